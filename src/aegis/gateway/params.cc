#include "aegis/gateway/params.h"

#include <algorithm>

#include "aegis/base/text.h"
#include "aegis/gateway/param_fields.h"
#include "aegis/net/http1_grammar.h"
#include "aegis/tool/loose_name.h"

namespace aegis::gateway {
namespace {

using net::FieldId;

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

// A name as readers that do not distinguish case take it.
std::string_view FoldCase(std::string_view name, Arena& arena) {
  char* out = static_cast<char*>(arena.Allocate(name.size(), 1));
  return out == nullptr ? std::string_view() : std::string_view(out, tool::FoldCase(name, out));
}

bool FoldsToItself(std::string_view name) {
  for (const char c : name) {
    if ((c >= 'A' && c <= 'Z') || static_cast<uint8_t>(c) >= 0x80) return false;
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

}  // namespace

bool CheckNames(rego::Value params, Arena& arena, Refusal* refusal) {
  if (!HasAmbiguousName(params, arena)) return true;
  *refusal = {400, "ambiguous_params",
              "names of one JSON object differ in case only, or hold NUL; tools read that in two "
              "ways"};
  return false;
}

PartType ClassifyPart(std::string_view content_type) {
  if (content_type.empty()) return PartType::kText;
  const MediaType media = ParseMediaType(content_type);
  const bool is_utf8 = media.charset.empty() || EqualsIgnoreCase(media.charset, "utf-8") ||
                       EqualsIgnoreCase(media.charset, "us-ascii");
  if (media.ambiguous || !is_utf8) return PartType::kOther;
  if (IsJsonType(media.type)) return PartType::kJson;
  return EqualsIgnoreCase(media.type, "text/plain") ? PartType::kText : PartType::kOther;
}

namespace {

// As ClassifyBody, for an action that may have any kind of body that is judged.
BodyType ClassifyJudged(const net::RequestHead& head, Refusal* refusal) {
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
  if (EqualsIgnoreCase(media.type, "multipart/form-data")) return BodyType::kMultipart;
  // Without a type it may yet be JSON, which LookAtBody tells.
  if (IsOpaqueType(media.type) || media.type.empty()) {
    return media.type.empty() ? BodyType::kUndeclared : BodyType::kOpaque;
  }
  *refusal = {415, "content_type",
              "bodies of this type are not judged yet; send application/json or a form"};
  return BodyType::kNone;
}

bool MayHave(tool::Bodies bodies, BodyType type) {
  switch (type) {
    case BodyType::kNone:
    case BodyType::kUnread:
      return true;
    case BodyType::kJson:
    case BodyType::kUndeclared:  // it may turn out to be JSON
      return (bodies & tool::kJsonBody) != 0;
    case BodyType::kForm:
      return (bodies & tool::kFormBody) != 0;
    case BodyType::kMultipart:
      return (bodies & tool::kMultipartBody) != 0;
    case BodyType::kOpaque:
      return (bodies & tool::kOpaqueBody) != 0;
  }
  return false;
}

}  // namespace

BodyType ClassifyBody(const net::RequestHead& head, tool::Bodies bodies, Refusal* refusal) {
  if (bodies == tool::kUnreadBody) {
    const bool none = head.body == net::BodyKind::kNone ||
                      (head.body == net::BodyKind::kLength && head.content_length == 0);
    return none ? BodyType::kNone : BodyType::kUnread;
  }
  const BodyType type = ClassifyJudged(head, refusal);
  if (refusal->status != 0 || MayHave(bodies, type)) return type;
  *refusal = {415, "content_type", "by the tool's map the action takes no body of this type"};
  return BodyType::kNone;
}

Looks LookAtBody(std::string_view start) {
  // Lenient readers skip a byte order mark and guess UTF-16 and UTF-32 from where the zero bytes
  // are.
  for (std::string_view mark :
       {std::string_view("\xef\xbb\xbf"), std::string_view("\xff\xfe"),
        std::string_view("\xfe\xff"), std::string_view("\0\0\xfe\xff", 4)}) {
    // The beginning of a mark may yet become one: what follows decides.
    if (start.size() < mark.size() && mark.starts_with(start)) return Looks::kUnknown;
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

rego::Value ParseJsonParams(std::string_view text, Arena& arena, Refusal* refusal) {
  json::Limits limits;
  limits.max_bytes = SIZE_MAX;  // the door has limited it
  auto value = rego::ParseJsonInPlace(text, arena, limits);
  if (!value) {
    const std::string_view reason = value.error().reason;
    if (reason == "json_duplicate_key") {
      *refusal = {400, "ambiguous_params", "the JSON body has a member twice"};
    } else if (reason == "json_too_deep" || reason == "json_too_many" || reason == "json_memory") {
      *refusal = {413, reason, "the JSON body nests too deep or holds too many values"};
    } else {
      *refusal = {400, "bad_json", "the body is not one valid JSON text in UTF-8"};
    }
    return {};
  }
  return CheckNames(*value, arena, refusal) ? *value : rego::Value();
}

rego::Value BuildParams(const ParamSource& source, Arena& arena, Refusal* refusal) {
  rego::Value params = rego::Value::EmptyObject();
  if (source.type == BodyType::kJson) {
    params = ParseJsonParams(source.body, arena, refusal);
    if (params.is_undefined()) return {};
    if (!params.is_object()) {
      *refusal = {400, "params_not_object", "the JSON body of a call must be an object"};
      return {};
    }
  }
  if (source.type == BodyType::kUndeclared) {
    *refusal = kUndeclaredBody;
    return {};
  }
  if (source.type == BodyType::kForm && LookAtBody(source.body) == Looks::kLikeJson) {
    *refusal = {400, "ambiguous_params", "the form begins like JSON; some tools would read it so"};
    return {};
  }
  const bool is_form = source.type == BodyType::kForm || source.type == BodyType::kMultipart;
  if (source.query.empty() && !is_form && source.match == nullptr) return params;
  ParamFields fields(source.match == nullptr ? nullptr : source.match->action, arena, refusal);
  bool good = fields.CheckMembers(params);
  if (source.type == BodyType::kForm) {
    good = good && fields.AddUrlEncoded(tool::Place::kBody, source.body);
  } else if (source.type == BodyType::kMultipart) {
    std::string_view content_type;
    for (const net::HeaderField& field : source.fields) {
      if (field.id == FieldId::kContentType) content_type = field.value;
    }
    good = good && fields.AddFormData(source.body, content_type);
  }
  good = good && fields.AddUrlEncoded(tool::Place::kQuery, source.query);
  if (source.match != nullptr)
    good = good && fields.AddMapped(*source.match, source.fields, source.joined_fields);
  good = good && fields.AddTo(params);
  return good ? params : rego::Value();
}

}  // namespace aegis::gateway
