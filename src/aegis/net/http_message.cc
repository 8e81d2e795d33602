#include "aegis/net/http_message.h"

#include "aegis/base/text.h"
#include "aegis/net/http1_grammar.h"

namespace aegis::net {

std::string_view HttpHeaders::Get(std::string_view name) const {
  for (const auto& [field, value] : fields) {
    if (EqualsIgnoreCase(field, name)) return value;
  }
  return {};
}

void HttpHeaders::Set(std::string name, std::string value) {
  std::erase_if(fields, [&](const auto& field) { return EqualsIgnoreCase(field.first, name); });
  fields.emplace_back(std::move(name), std::move(value));
}

std::string HttpRequest::QueryParam(std::string_view name) const {
  for (std::string_view pair : Split(query, '&')) {
    const size_t equals = pair.find('=');
    const std::optional<std::string> key = PercentDecode(pair.substr(0, equals), true);
    if (!key || *key != name) continue;
    if (equals == std::string_view::npos) return {};
    return PercentDecode(pair.substr(equals + 1), true).value_or(std::string());
  }
  return {};
}

}  // namespace aegis::net
