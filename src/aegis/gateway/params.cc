#include "aegis/gateway/params.h"

#include <array>
#include <optional>

#include "aegis/base/text.h"
#include "aegis/net/http1_grammar.h"

namespace aegis::gateway {
namespace {

using net::FieldId;

constexpr size_t kMaxPairs = 256;
constexpr Refusal kTooMany{400, "too_many_params", "the request has too many parameters"};

// Media type and charset of a Content-Type (RFC 9110 §8.3).
struct MediaType {
  std::string_view type;
  std::string_view charset;
};

MediaType ParseMediaType(std::string_view value) {
  MediaType out;
  size_t semicolon = value.find(';');
  out.type = Trim(value.substr(0, semicolon));
  while (semicolon != std::string_view::npos) {
    const size_t next = value.find(';', semicolon + 1);
    const std::string_view parameter = Trim(value.substr(semicolon + 1, next - semicolon - 1));
    const size_t equals = parameter.find('=');
    if (equals != std::string_view::npos &&
        EqualsIgnoreCase(Trim(parameter.substr(0, equals)), "charset")) {
      std::string_view charset = Trim(parameter.substr(equals + 1));
      if (charset.size() >= 2 && charset.front() == '"' && charset.back() == '"') {
        charset = charset.substr(1, charset.size() - 2);
      }
      out.charset = charset;
    }
    semicolon = next;
  }
  return out;
}

bool IsJsonType(std::string_view type) {
  return EqualsIgnoreCase(type, "application/json") || EqualsIgnoreCase(type, "text/json") ||
         (type.size() > 5 && EqualsIgnoreCase(type.substr(type.size() - 5), "+json"));
}

// The name that frameworks give to "a[b]", "a[]".
std::string_view BaseName(std::string_view name) { return name.substr(0, name.find('[')); }

bool HasControlByte(std::string_view text) {
  for (char c : text) {
    if (static_cast<uint8_t>(c) < 0x20 || c == 0x7f) return true;
  }
  return false;
}

// Percent-decoded text in the arena, or the text itself when there is nothing to decode.
std::optional<std::string_view> Decode(std::string_view text, Arena& arena) {
  if (text.find_first_of("%+") == std::string_view::npos) return text;
  const std::optional<std::string> decoded = net::PercentDecode(text, true);
  if (!decoded) return std::nullopt;
  const std::string_view copy = arena.Copy(*decoded);
  if (copy.size() != decoded->size()) return std::nullopt;
  return copy;
}

struct Pair {
  std::string_view name;
  std::string_view value;
};

struct Pairs {
  std::array<Pair, kMaxPairs> items;
  size_t count = 0;
};

bool ParsePairs(std::string_view text, Arena& arena, Pairs* pairs, Refusal* refusal) {
  while (!text.empty()) {
    const size_t ampersand = text.find('&');
    const std::string_view pair = text.substr(0, ampersand);
    text = ampersand == std::string_view::npos ? std::string_view() : text.substr(ampersand + 1);
    if (pair.empty()) continue;
    const size_t equals = pair.find('=');
    const auto name = Decode(pair.substr(0, equals), arena);
    const auto value = equals == std::string_view::npos ? std::string_view()
                                                        : Decode(pair.substr(equals + 1), arena);
    if (!name || !value || name->empty() || HasControlByte(*name) || !IsValidUtf8(*name) ||
        !IsValidUtf8(*value)) {
      *refusal = {400, "bad_params", "a parameter is not percent-encoded UTF-8 with a name"};
      return false;
    }
    if (pairs->count == kMaxPairs) {
      *refusal = kTooMany;
      return false;
    }
    for (size_t i = 0; i < pairs->count; ++i) {
      if (BaseName(pairs->items[i].name) == BaseName(*name)) {
        *refusal = {400, "ambiguous_params", "a parameter is given twice"};
        return false;
      }
    }
    pairs->items[pairs->count++] = {*name, *value};
  }
  return true;
}

}  // namespace

BodyType ClassifyBody(const net::RequestHead& head, Refusal* refusal) {
  std::string_view content_type;
  int types = 0;
  for (const net::HeaderField& field : head.fields) {
    if (field.id == FieldId::kContentType) {
      ++types;
      content_type = field.value;
    } else if (field.id == FieldId::kContentEncoding &&
               !EqualsIgnoreCase(field.value, "identity")) {
      *refusal = {415, "content_encoding",
                  "request bodies with a Content-Encoding are not accepted; send it plain"};
      return BodyType::kNone;
    }
  }
  if (types > 1) {
    *refusal = {400, "ambiguous_content_type", "Content-Type is given twice"};
    return BodyType::kNone;
  }
  if (head.body == net::BodyKind::kNone ||
      (head.body == net::BodyKind::kLength && head.content_length == 0)) {
    return BodyType::kNone;
  }
  const MediaType media = ParseMediaType(content_type);
  if (!media.charset.empty() && !EqualsIgnoreCase(media.charset, "utf-8") &&
      !EqualsIgnoreCase(media.charset, "us-ascii")) {
    *refusal = {415, "charset", "the only charset accepted in requests is UTF-8"};
    return BodyType::kNone;
  }
  if (IsJsonType(media.type)) return BodyType::kJson;
  if (EqualsIgnoreCase(media.type, "application/x-www-form-urlencoded")) return BodyType::kForm;
  if (media.type.size() >= 10 && EqualsIgnoreCase(media.type.substr(0, 10), "multipart/")) {
    return BodyType::kMultipart;
  }
  return BodyType::kOther;
}

Looks LookAtBody(std::string_view start) {
  // Lenient readers skip a byte order mark and guess UTF-16 and UTF-32 from where the zero bytes
  // are.
  for (std::string_view mark :
       {std::string_view("\xef\xbb\xbf"), std::string_view("\xff\xfe"),
        std::string_view("\xfe\xff"), std::string_view("\0\0\xfe\xff", 4)}) {
    if (start.starts_with(mark)) {
      start.remove_prefix(mark.size());
      break;
    }
  }
  const size_t first = start.find_first_not_of(std::string_view(" \t\r\n\0", 5));
  if (first == std::string_view::npos) {
    // Nobody sends this much white space in earnest.
    return start.size() > 4096 ? Looks::kLikeJson : Looks::kUnknown;
  }
  return start[first] == '{' || start[first] == '[' ? Looks::kLikeJson : Looks::kOpaque;
}

rego::Value BuildParams(BodyType type, std::string_view body, std::string_view query, Arena& arena,
                        Refusal* refusal) {
  rego::Value params = rego::Value::EmptyObject();
  if (type == BodyType::kJson) {
    json::Limits limits;
    limits.max_bytes = SIZE_MAX;  // the door has limited it
    auto value = rego::ParseJsonInPlace(body, arena, limits);
    if (!value) {
      const std::string_view reason = value.error().reason;
      if (reason == "json_duplicate_key") {
        *refusal = {400, "ambiguous_params", "the JSON body has a member twice"};
      } else if (reason == "json_too_deep" || reason == "json_too_many" ||
                 reason == "json_memory") {
        *refusal = {413, reason, "the JSON body nests too deep or holds too many values"};
      } else {
        *refusal = {400, "bad_json", "the body is not one valid JSON text in UTF-8"};
      }
      return {};
    }
    if (!value->is_object()) {
      *refusal = {400, "params_not_object", "the JSON body of a call must be an object"};
      return {};
    }
    params = *value;
  }
  if (query.empty() && type != BodyType::kForm) return params;
  if (type == BodyType::kMultipart) {
    *refusal = {400, "ambiguous_params",
                "a multipart body beside query parameters is not accepted"};
    return {};
  }
  if (query.find(';') != std::string_view::npos ||
      (type == BodyType::kForm && body.find(';') != std::string_view::npos)) {
    *refusal = {400, "ambiguous_params", "';' in parameters is ambiguous; send it as %3B"};
    return {};
  }
  Pairs pairs;
  if (type == BodyType::kForm && !ParsePairs(body, arena, &pairs, refusal)) return {};
  if (!ParsePairs(query, arena, &pairs, refusal)) return {};
  for (size_t i = 0; i < pairs.count; ++i) {
    const Pair& pair = pairs.items[i];
    if (!params.Get(BaseName(pair.name)).is_undefined() || !params.Get(pair.name).is_undefined()) {
      *refusal = {400, "ambiguous_params", "a parameter is in both the query and the body"};
      return {};
    }
    if (rego::ObjectInsert(arena, params, rego::MakeStringView(pair.name),
                           rego::MakeStringView(pair.value)) != rego::Edit::kOk) {
      *refusal = kTooMany;
      return {};
    }
  }
  return params;
}

}  // namespace aegis::gateway
