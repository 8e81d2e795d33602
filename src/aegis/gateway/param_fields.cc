#include "aegis/gateway/param_fields.h"

#include <algorithm>
#include <charconv>
#include <optional>

#include "aegis/base/text.h"
#include "aegis/gateway/form_data.h"
#include "aegis/gateway/tool_call.h"
#include "aegis/net/http1_grammar.h"
#include "aegis/tool/loose_name.h"

namespace aegis::gateway {
namespace {

using tool::Param;
using tool::Place;
using tool::Type;

constexpr Refusal kTooMany{400, "too_many_params", "the request has too many parameters"};
constexpr Refusal kTwice{400, "ambiguous_params", "a parameter is given twice"};
constexpr Refusal kMisplaced{
    400, "ambiguous_params",
    "a parameter has a name that the tool's map gives to another, or spells otherwise"};
constexpr Refusal kWrongType{400, "bad_params",
                             "a parameter is not of the type that the tool's map says"};
constexpr Refusal kOverride{400, "ambiguous_params",
                            "_method makes some tools take the request for one of another method"};
constexpr Refusal kBadForm{
    400, "bad_form",
    "the multipart body is not in the one form that all tools read alike: parts with "
    "Content-Disposition: form-data; name=\"...\" and nothing around them"};
constexpr Refusal kBadPart{
    415, "content_type",
    "a part of the form that is no file must be text in UTF-8, or application/json"};
constexpr Refusal kJoined{
    400, "ambiguous_params",
    "a field that the tool's map takes a param from has a ',' or '!': Envoy may have joined fields "
    "or replaced bytes by them (encode_raw_headers tells them apart)"};
constexpr Refusal kNotUtf8{400, "bad_params", "a parameter is not UTF-8"};
constexpr Refusal kBadCookies{400, "ambiguous_cookies",
                              "the cookies cannot be read in one way: the tool's map takes params "
                              "from them"};

bool HasControlByte(std::string_view text) {
  return std::any_of(text.begin(), text.end(),
                     [](char c) { return static_cast<uint8_t>(c) < 0x20 || c == 0x7f; });
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

bool IsDigits(std::string_view text) {
  return !text.empty() &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

// "-12", "0.5": digits without leading zeros, no exponent, no sign but '-', for readers take others
// in several ways. "-0" is none.
bool IsPlainNumber(std::string_view text, bool integer) {
  if (text.size() > 40) return false;
  if (text == "-0") return false;
  if (text.starts_with('-')) text.remove_prefix(1);
  const size_t point = text.find('.');
  const std::string_view whole = text.substr(0, point);
  if (!IsDigits(whole) || (whole.size() > 1 && whole[0] == '0')) return false;
  return point == std::string_view::npos || (!integer && IsDigits(text.substr(point + 1)));
}

// A text as the type says; undefined: it is none of that type.
rego::Value Convert(Type type, std::string_view text, Arena& arena) {
  switch (type) {
    case Type::kAny:
    case Type::kString:
      return rego::MakeStringView(text);
    case Type::kInteger: {
      int64_t number = 0;
      const char* const end = text.data() + text.size();
      if (!IsPlainNumber(text, true)) return {};
      const auto parsed = std::from_chars(text.data(), end, number);
      return parsed.ec == std::errc() ? rego::Value::Int(number) : rego::Value();
    }
    case Type::kNumber:
      return IsPlainNumber(text, false) ? rego::MakeNumber(arena, text) : rego::Value();
    case Type::kBoolean:
      if (text == "true" || text == "false") return rego::Value::Bool(text == "true");
      return {};
  }
  return {};
}

bool IsOfType(rego::Value value, Type type) {
  switch (type) {
    case Type::kAny:
      return true;
    case Type::kString:
      return value.is_string();
    case Type::kInteger:
      return value.is_int();
    case Type::kNumber:
      return value.is_number();
    case Type::kBoolean:
      return value.is_bool();
  }
  return false;
}

bool IsOfType(rego::Value value, const Param& param) {
  if (!param.list) return IsOfType(value, param.type);
  if (!value.is_array()) return false;
  const auto elements = value.elements();
  return std::all_of(elements.begin(), elements.end(),
                     [&](rego::Value element) { return IsOfType(element, param.type); });
}

}  // namespace

bool ParamFields::Refuse(const Refusal& refusal) {
  *refusal_ = refusal;
  return false;
}

std::string_view ParamFields::Loose(std::string_view name) {
  char* out = static_cast<char*>(arena_.Allocate(name.size(), 1));
  return out == nullptr ? std::string_view() : std::string_view(out, tool::FoldName(name, out));
}

bool ParamFields::AddUrlEncoded(Place place, std::string_view text) {
  if (text.find(';') != std::string_view::npos) {
    return Refuse({400, "ambiguous_params", "';' in parameters is ambiguous; send it as %3B"});
  }
  while (!text.empty()) {
    const size_t ampersand = text.find('&');
    const std::string_view pair = text.substr(0, ampersand);
    text = ampersand == std::string_view::npos ? std::string_view() : text.substr(ampersand + 1);
    if (pair.empty()) continue;
    const size_t equals = pair.find('=');
    const auto name = Decode(pair.substr(0, equals), arena_);
    const auto value = equals == std::string_view::npos ? std::string_view()
                                                        : Decode(pair.substr(equals + 1), arena_);
    if (!name || !value || name->empty() || HasControlByte(*name) || !IsValidUtf8(*name) ||
        !IsValidUtf8(*value)) {
      return Refuse({400, "bad_params", "a parameter is not percent-encoded UTF-8 with a name"});
    }
    if (!AddSent(place, *name, *value)) return false;
  }
  return true;
}

bool ParamFields::AddFormData(std::string_view body, std::string_view content_type) {
  const std::string_view boundary = FindFormBoundary(content_type);
  if (boundary.empty()) return Refuse(kBadForm);
  FormDataReader reader(body, boundary);
  FormDataReader::Part part;
  for (;;) {
    switch (reader.Next(&part)) {
      case FormDataReader::Step::kEnd:
        return true;
      case FormDataReader::Step::kMalformed:
        return Refuse(kBadForm);
      case FormDataReader::Step::kPart:
        break;
    }
    // Some frameworks read a part by its type, named like a file or not.
    if (!part.is_file || ClassifyPart(part.content_type) == PartType::kJson) {
      if (!AddPart(part.name, part.content_type, part.content)) return false;
      continue;
    }
    // The file itself passes unread: what is known of it is what policy may ask.
    rego::ObjectBuilder file(arena_, 3);
    if (!part.content_type.empty()) {
      file.Add("content_type", rego::MakeStringView(part.content_type));
    }
    file.Add("filename", rego::MakeStringView(part.filename));
    file.Add("size", rego::Value::Int(static_cast<int64_t>(part.content.size())));
    if (!AddSent(Place::kBody, part.name, file.Build())) return false;
  }
}

bool ParamFields::AddPart(std::string_view name, std::string_view content_type,
                          std::string_view content) {
  const PartType type = ClassifyPart(content_type);
  if (type == PartType::kOther || !IsValidUtf8(content)) return Refuse(kBadPart);
  if (type == PartType::kText) return AddSent(Place::kBody, name, content);
  const rego::Value value = ParseJsonParams(content, arena_, refusal_);
  return !value.is_undefined() && AddSent(Place::kBody, name, value);
}

// Which param the field is; `*param` is nullptr when the map says nothing of it.
bool ParamFields::FindParam(Place place, std::string_view sent_as, const Param** param) {
  *param = nullptr;
  if (sent_as.find('[') != std::string_view::npos) {
    return Refuse({400, "ambiguous_params",
                   "'[' in a parameter's name means different things to different tools; send "
                   "JSON"});
  }
  const std::string_view loose = Loose(sent_as);
  if (loose.empty()) return Refuse({400, "bad_params", "a parameter has no name"});
  if (action_ == nullptr) return true;
  if (loose == "_method") return Refuse(kOverride);
  const auto field = action_->Find(place, sent_as, loose, param);
  return field != tool::MappedAction::Field::kRefused || Refuse(kMisplaced);
}

bool ParamFields::AddSent(Place place, std::string_view sent_as, std::string_view text) {
  const Param* param = nullptr;
  if (!FindParam(place, sent_as, &param)) return false;
  if (param == nullptr) return Add(sent_as, rego::MakeStringView(text), false);
  return AddText(*param, text);
}

bool ParamFields::AddSent(Place place, std::string_view sent_as, rego::Value value) {
  const Param* param = nullptr;
  if (!FindParam(place, sent_as, &param)) return false;
  if (param == nullptr) return Add(sent_as, value, false);
  if (!IsOfType(value, param->type)) return Refuse(kWrongType);
  return Add(param->name, value, param->list);
}

bool ParamFields::AddText(const Param& param, std::string_view text) {
  if (!IsValidUtf8(text)) return Refuse(kNotUtf8);
  const rego::Value value = Convert(param.type, text, arena_);
  if (value.is_undefined()) return Refuse(kWrongType);
  return Add(param.name, value, param.list);
}

bool ParamFields::MakeRoom() {
  if (count_ < fields_.size()) return true;
  const size_t room = fields_.empty() ? 16 : fields_.size() * 4;
  if (room > kMaxFields) return false;
  auto* const more = arena_.AllocateArray<Field>(room);
  if (more == nullptr) return false;
  std::copy(fields_.begin(), fields_.end(), more);
  fields_ = {more, room};
  return true;
}

bool ParamFields::Add(std::string_view name, rego::Value value, bool is_list) {
  const std::string_view loose = Loose(name);
  for (size_t i = 0; i < count_; ++i) {
    if (fields_[i].loose != loose) continue;
    if (!is_list) return Refuse(kTwice);
    return rego::ArrayAppend(arena_, fields_[i].value, value) == rego::Edit::kOk ||
           Refuse(kTooMany);
  }
  if (is_list) {
    rego::ArrayBuilder list(arena_, 4);
    list.Add(value);
    value = list.Build();
  }
  if (value.is_undefined() || !MakeRoom()) return Refuse(kTooMany);
  fields_[count_++] = {name, loose, value};
  return true;
}

bool ParamFields::AddMapped(const tool::ActionMap::Match& match,
                            std::span<const net::HeaderField> fields, bool joined) {
  for (size_t i = 0; i < action_->variable_count(); ++i) {
    if (!AddText(action_->variable(i), match.variables[i])) return false;
  }
  for (const Param& param : action_->from_headers()) {
    if (!AddHeader(param, fields, joined)) return false;
  }
  return action_->from_cookies().empty() || AddCookies(fields, joined);
}

bool ParamFields::AddHeader(const Param& param, std::span<const net::HeaderField> fields,
                            bool joined) {
  const net::HeaderField* found = nullptr;
  for (const net::HeaderField& field : fields) {
    // One that is for this hop does not reach the tool.
    if (field.name != param.sent_as || field.nominated) continue;
    if (found != nullptr) return Refuse(kTwice);
    found = &field;
  }
  if (found == nullptr) return true;
  if (joined && found->value.find_first_of(",!") != std::string_view::npos) return Refuse(kJoined);
  return AddText(param, found->value);
}

// RFC 6265 §4.2.1, without quotes. Readers differ in what they make of all else.
bool ParamFields::AddCookies(std::span<const net::HeaderField> fields, bool joined) {
  const net::HeaderField* found = nullptr;
  for (const net::HeaderField& field : fields) {
    if (field.name != "cookie") continue;
    if (found != nullptr) return Refuse(kBadCookies);
    found = &field;
  }
  if (found == nullptr) return true;
  std::string_view left = found->value;
  if (joined && left.find('!') != std::string_view::npos) return Refuse(kJoined);
  while (!left.empty()) {
    const size_t end = std::min(left.find("; "), left.size());
    const std::string_view pair = left.substr(0, end);
    left.remove_prefix(std::min(end + 2, left.size()));
    const size_t equals = pair.find('=');
    const std::string_view name = pair.substr(0, equals);
    if (equals == std::string_view::npos || !net::IsToken(name) ||
        pair.find_first_of(" \t\",;\\", name.size()) != std::string_view::npos) {
      return Refuse(kBadCookies);
    }
    if (!AddCookie(name, pair.substr(equals + 1))) return false;
  }
  return true;
}

bool ParamFields::AddCookie(std::string_view name, std::string_view value) {
  const std::string_view loose = Loose(name);
  for (const Param& param : action_->from_cookies()) {
    if (param.sent_as != name) {
      if (tool::LooseName(param.sent_as) == loose) return Refuse(kBadCookies);
      continue;
    }
    // Some readers decode these, others do not.
    if (value.find_first_of("%+") != std::string_view::npos) return Refuse(kBadCookies);
    return AddText(param, value);
  }
  return true;
}

bool ParamFields::CheckMembers(rego::Value object) {
  if (action_ == nullptr) return true;
  for (const rego::Member& member : object.members()) {
    const std::string_view name = member.key.string_value();
    const std::string_view loose = Loose(name);
    if (loose == "_method") return Refuse(kOverride);
    const Param* param = nullptr;
    if (action_->Find(Place::kBody, name, loose, &param) == tool::MappedAction::Field::kRefused) {
      return Refuse(kMisplaced);
    }
    if (param != nullptr && !IsOfType(member.value, *param)) return Refuse(kWrongType);
  }
  return true;
}

bool ParamFields::AddTo(rego::Value& params) {
  if (count_ == 0) return true;
  // Names of the body, as the loosest reader takes them.
  std::span<std::string_view> in_body;
  if (const auto members = params.members(); !members.empty()) {
    auto* names = arena_.AllocateArray<std::string_view>(members.size());
    if (names == nullptr) return Refuse(kTooMany);
    for (size_t i = 0; i < members.size(); ++i) names[i] = Loose(members[i].key.string_value());
    std::sort(names, names + members.size());
    in_body = {names, members.size()};
  }
  for (size_t i = 0; i < count_; ++i) {
    const Field& field = fields_[i];
    if (std::binary_search(in_body.begin(), in_body.end(), field.loose)) {
      return Refuse({400, "ambiguous_params",
                     "a parameter is given in two places, such as the query and the body"});
    }
    if (rego::ObjectInsert(arena_, params, rego::MakeStringView(field.name), field.value) !=
        rego::Edit::kOk) {
      return Refuse(kTooMany);
    }
  }
  return true;
}

}  // namespace aegis::gateway
