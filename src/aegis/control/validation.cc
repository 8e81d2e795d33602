#include "aegis/control/validation.h"

#include "aegis/base/text.h"
#include "aegis/control/strict_json.h"
#include "aegis/tool/spec.h"

namespace aegis::control {
namespace {

using nlohmann::json;

bool HasControl(std::string_view text, std::string_view allowed = {}) {
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if ((byte < 0x20 || byte == 0x7f) && allowed.find(c) == std::string_view::npos) return true;
  }
  return false;
}

std::string TooLong(size_t limit) { return "is longer than " + std::to_string(limit) + " bytes"; }

}  // namespace

std::string CheckEntityName(std::string_view name) { return tool::CheckName(name); }

std::string CheckCallerName(std::string_view name) {
  if (name.empty()) return "must not be empty";
  if (name.size() > kMaxNameBytes) return TooLong(kMaxNameBytes);
  for (const char c : name) {
    if (c < 0x20 || c > 0x7e) return "may only have printable ASCII characters";
  }
  if (name == "-" || name.find('*') != std::string_view::npos) {
    return "must name one caller: '-' and '*' stand for many";
  }
  return {};
}

std::string CheckUserId(std::string_view id) {
  if (identity::IsValidUserId(id)) return {};
  return "must be 1 to " + std::to_string(identity::kMaxUserIdBytes) +
         " bytes of UTF-8 without control characters and without a space at either end";
}

std::string CheckMessage(std::string_view message) {
  if (message.size() > kMaxMessageBytes) return TooLong(kMaxMessageBytes);
  if (HasControl(message, "\t\n")) return "must not have control characters";
  return {};
}

std::string CheckSourceName(std::string_view name) {
  if (name.empty()) return "must not be empty";
  if (name.size() > kMaxSourceNameBytes) return TooLong(kMaxSourceNameBytes);
  if (HasControl(name) || name.find('\\') != std::string_view::npos) {
    return "must not have control characters or '\\'";
  }
  for (const std::string_view segment : Split(name, '/')) {
    if (segment.empty() || segment == "." || segment == "..") {
      return "must be a relative path without '.', '..' and empty parts";
    }
  }
  return {};
}

std::string CheckTokenId(std::string_view jti) {
  if (jti.empty()) return "must not be empty";
  if (jti.size() > 128) return TooLong(128);
  for (const char c : jti) {
    if (c < 0x21 || c > 0x7e) return "may only have printable ASCII without spaces";
  }
  return {};
}

std::map<std::string, std::string> ReadLabels(const json& object, const std::string& pointer,
                                              std::vector<FieldError>& errors) {
  std::map<std::string, std::string> labels;
  ObjectReader reader(object, pointer, errors);
  for (const auto& [key, value] : object.items()) {
    if (std::string problem = CheckEntityName(key); !problem.empty()) {
      reader.AddError(key.size() > kMaxNameBytes ? key.substr(0, 64) : key,
                      "a label's key " + problem);
    } else if (!value.is_string()) {
      reader.AddError(key, "must be a string");
    } else if (const auto& text = value.get_ref<const std::string&>();
               text.size() > kMaxLabelBytes || HasControl(text)) {
      reader.AddError(key, "must be at most " + std::to_string(kMaxLabelBytes) +
                               " bytes without control characters");
    } else {
      labels.emplace(key, text);
    }
  }
  return labels;
}

std::vector<identity::ChainLink> ReadChain(const json& array, const std::string& pointer,
                                           std::vector<FieldError>& errors) {
  std::vector<identity::ChainLink> chain;
  size_t index = 0;
  for (const json& item : array) {
    const std::string at = pointer + "/" + std::to_string(index++);
    if (!item.is_object()) {
      errors.push_back({at, "must be an object {\"type\", \"id\"}"});
      continue;
    }
    ObjectReader reader(item, at, errors);
    const auto type = reader.Text("type");
    const auto id = reader.Text("id");
    reader.Finish();
    if (!type || !id) continue;
    if (*type != "user" && *type != "agent") {
      reader.AddError("type", "must be 'user' or 'agent'");
    } else if (std::string problem = *type == "user" ? CheckUserId(*id) : CheckEntityName(*id);
               !problem.empty()) {
      reader.AddError("id", problem);
    } else {
      chain.push_back({*type, *id});
    }
  }
  return chain;
}

}  // namespace aegis::control
