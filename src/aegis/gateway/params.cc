#include "aegis/gateway/params.h"

#include <algorithm>
#include <array>
#include <optional>
#include <span>

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
  bool ambiguous = false;  // readers differ in which charset they take
};

MediaType ParseMediaType(std::string_view value) {
  MediaType out;
  size_t semicolon = value.find(';');
  out.type = Trim(value.substr(0, semicolon));
  while (semicolon != std::string_view::npos) {
    const size_t next = value.find(';', semicolon + 1);
    const std::string_view parameter = Trim(value.substr(semicolon + 1, next - semicolon - 1));
    const size_t equals = parameter.find('=');
    const std::string_view name = Trim(parameter.substr(0, equals));
    if (EqualsIgnoreCase(name.substr(0, 7), "charset")) {
      if (name.size() != 7 || equals == std::string_view::npos || !out.charset.empty()) {
        out.ambiguous = true;
        return out;
      }
      std::string_view charset = Trim(parameter.substr(equals + 1));
      if (charset.size() >= 2 && charset.front() == '"' && charset.back() == '"') {
        charset = charset.substr(1, charset.size() - 2);
      }
      out.charset = charset;
      if (charset.empty()) out.ambiguous = true;
    }
    semicolon = next;
  }
  return out;
}

bool IsJsonType(std::string_view type) {
  return EqualsIgnoreCase(type, "application/json") || EqualsIgnoreCase(type, "text/json") ||
         (type.size() > 5 && EqualsIgnoreCase(type.substr(type.size() - 5), "+json"));
}

// Bodies that no tool takes for params: they pass by unread. Anything else that is neither JSON nor
// a form is refused, for policy would judge a call whose params it has not seen.
bool IsOpaqueType(std::string_view type) {
  // "image/png,application/json" are two types, of which a tool may take the other.
  const size_t slash = type.find('/');
  if (slash == std::string_view::npos || !net::IsToken(type.substr(slash + 1))) return false;
  for (const std::string_view family : {"image/", "audio/", "video/", "font/"}) {
    if (type.size() > family.size() && EqualsIgnoreCase(type.substr(0, family.size()), family))
      return !EqualsIgnoreCase(type, "image/svg+xml");
  }
  for (const std::string_view known :
       {"application/octet-stream", "application/pdf", "application/zip", "application/gzip",
        "application/x-tar", "text/plain", "text/csv"}) {
    if (EqualsIgnoreCase(type, known)) return true;
  }
  return false;
}

// Bytes after which a folded text is never longer, in the forms that fold to an ASCII letter:
// U+017F to s, U+212A to k (Go's encoding/json matches names so).
constexpr std::string_view kLongS = "\xc5\xbf";
constexpr std::string_view kKelvin = "\xe2\x84\xaa";

// A name as readers that do not distinguish case take it.
std::string_view FoldCase(std::string_view name, Arena& arena) {
  char* out = static_cast<char*>(arena.Allocate(name.size(), 1));
  if (!out) return {};
  size_t size = 0;
  for (size_t i = 0; i < name.size(); ++i) {
    const char c = name[i];
    if (c >= 'A' && c <= 'Z') {
      out[size++] = static_cast<char>(c + ('a' - 'A'));
    } else if (name.substr(i).starts_with(kLongS)) {
      out[size++] = 's';
      i += kLongS.size() - 1;
    } else if (name.substr(i).starts_with(kKelvin)) {
      out[size++] = 'k';
      i += kKelvin.size() - 1;
    } else {
      out[size++] = c;
    }
  }
  return {out, size};
}

bool FoldsToItself(std::string_view name) {
  for (const char c : name) {
    if ((c >= 'A' && c <= 'Z') || c == kLongS[0] || c == kKelvin[0]) return false;
  }
  return true;
}

// Whether two names of one object, anywhere in `value`, are one name to a reader that does not
// distinguish case, or a name is another to a reader that ends it at NUL: the tool would take one
// of them and policy the other. True when the arena is full.
bool HasAmbiguousName(rego::Value value, Arena& arena) {
  if (value.is_array()) {
    for (const rego::Value element : value.elements()) {
      if (HasAmbiguousName(element, arena)) return true;
    }
    return false;
  }
  if (!value.is_object()) return false;
  const auto members = value.members();
  bool folds = false;
  for (const rego::Member& member : members) {
    const std::string_view name = member.key.string_value();
    if (name.find('\0') != std::string_view::npos) return true;
    if (HasAmbiguousName(member.value, arena)) return true;
    folds = folds || !FoldsToItself(name);
  }
  if (!folds || members.size() < 2) return false;
  auto* names = arena.AllocateArray<std::string_view>(members.size());
  if (!names) return true;
  for (size_t i = 0; i < members.size(); ++i) {
    names[i] = FoldCase(members[i].key.string_value(), arena);
  }
  std::sort(names, names + members.size());
  return std::adjacent_find(names, names + members.size()) != names + members.size();
}

// A form or query name as the loosest reader takes it: besides case, PHP drops leading spaces and
// makes
// '_' of ' ' and '.'.
std::string_view LooseName(std::string_view name, Arena& arena) {
  name.remove_prefix(std::min(name.find_first_not_of(' '), name.size()));
  const std::string_view folded = FoldCase(name, arena);
  char* out = const_cast<char*>(folded.data());  // FoldCase has just written it
  for (size_t i = 0; i < folded.size(); ++i) {
    if (out[i] == ' ' || out[i] == '.') out[i] = '_';
  }
  return folded;
}

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
  std::string_view loose;  // LooseName of it
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
    if (name->find('[') != std::string_view::npos) {
      *refusal = {400, "ambiguous_params",
                  "'[' in a parameter's name means different things to different tools; send JSON"};
      return false;
    }
    const std::string_view loose = LooseName(*name, arena);
    if (loose.empty()) {
      *refusal = {400, "bad_params", "a parameter has no name"};
      return false;
    }
    if (pairs->count == kMaxPairs) {
      *refusal = kTooMany;
      return false;
    }
    for (size_t i = 0; i < pairs->count; ++i) {
      if (pairs->items[i].loose == loose) {
        *refusal = {400, "ambiguous_params", "a parameter is given twice"};
        return false;
      }
    }
    pairs->items[pairs->count++] = {*name, loose, *value};
  }
  return true;
}

}  // namespace

bool CheckNames(rego::Value params, Arena& arena, Refusal* refusal) {
  if (!HasAmbiguousName(params, arena)) return true;
  *refusal = {400, "ambiguous_params",
              "names of one JSON object differ in case only, or hold NUL; tools read that in two "
              "ways"};
  return false;
}

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
  if (media.ambiguous) {
    *refusal = {415, "charset", "the charset of Content-Type must be given once, and plainly"};
    return BodyType::kNone;
  }
  if (!media.charset.empty() && !EqualsIgnoreCase(media.charset, "utf-8") &&
      !EqualsIgnoreCase(media.charset, "us-ascii")) {
    *refusal = {415, "charset", "the only charset accepted in requests is UTF-8"};
    return BodyType::kNone;
  }
  if (IsJsonType(media.type)) return BodyType::kJson;
  if (EqualsIgnoreCase(media.type, "application/x-www-form-urlencoded")) return BodyType::kForm;
  // Without a type it may yet be JSON, which LookAtBody tells.
  if (IsOpaqueType(media.type) || media.type.empty()) {
    return media.type.empty() ? BodyType::kUndeclared : BodyType::kOpaque;
  }
  *refusal = {415, "content_type",
              "bodies of this type are not judged yet; send application/json or a form"};
  return BodyType::kNone;
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
  // Some readers skip every control byte as if it were white space.
  size_t first = 0;
  while (first < start.size() && static_cast<uint8_t>(start[first]) <= ' ') ++first;
  if (first == start.size()) {
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
    if (!CheckNames(*value, arena, refusal)) return {};
    params = *value;
  }
  if (type == BodyType::kUndeclared) {
    *refusal = kUndeclaredBody;
    return {};
  }
  if (type == BodyType::kForm && LookAtBody(body) == Looks::kLikeJson) {
    *refusal = {400, "ambiguous_params", "the form begins like JSON; some tools would read it so"};
    return {};
  }
  if (query.empty() && type != BodyType::kForm) return params;
  if (query.find(';') != std::string_view::npos ||
      (type == BodyType::kForm && body.find(';') != std::string_view::npos)) {
    *refusal = {400, "ambiguous_params", "';' in parameters is ambiguous; send it as %3B"};
    return {};
  }
  Pairs pairs;
  if (type == BodyType::kForm && !ParsePairs(body, arena, &pairs, refusal)) return {};
  if (!ParsePairs(query, arena, &pairs, refusal)) return {};
  // Names of the body, as the loosest reader takes them.
  std::span<std::string_view> in_body;
  if (const auto members = params.members(); !members.empty() && pairs.count > 0) {
    auto* names = arena.AllocateArray<std::string_view>(members.size());
    if (!names) {
      *refusal = kTooMany;
      return {};
    }
    for (size_t i = 0; i < members.size(); ++i) {
      names[i] = LooseName(members[i].key.string_value(), arena);
    }
    std::sort(names, names + members.size());
    in_body = {names, members.size()};
  }
  for (size_t i = 0; i < pairs.count; ++i) {
    const Pair& pair = pairs.items[i];
    if (std::binary_search(in_body.begin(), in_body.end(), pair.loose)) {
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
