// base64, base64url, hex, urlquery, json.
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "aegis/base/text.h"
#include "aegis/crypto/base64.h"
#include "aegis/rego/builtins/operands.h"
#include "aegis/rego/edit.h"
#include "aegis/rego/table.h"

namespace aegis::rego {
namespace {

using crypto::Base64DecodeAsGo;
using crypto::Base64Form;

Value Base64Encode(BuiltinContext& context, const Value* args) {
  AEGIS_STRING_ARG(text, 0);
  return String(context, crypto::Base64Encode(text));
}

Value Base64Decode(BuiltinContext& context, const Value* args) {
  AEGIS_STRING_ARG(text, 0);
  const std::optional<std::string> out = Base64DecodeAsGo(text, Base64Form::kStandard);
  return out ? String(context, *out) : context.Error("illegal base64 data");
}

Value Base64IsValid(BuiltinContext&, const Value* args) {
  return Value::Bool(args[0].is_string() &&
                     Base64DecodeAsGo(args[0].string_value(), Base64Form::kStandard));
}

template <bool pad>
Value Base64UrlEncode(BuiltinContext& context, const Value* args) {
  AEGIS_STRING_ARG(text, 0);
  std::string out = crypto::Base64UrlEncode(text);
  if (pad) out.append((4 - out.size() % 4) % 4, '=');
  return String(context, out);
}

Value Base64UrlDecode(BuiltinContext& context, const Value* args) {
  AEGIS_STRING_ARG(text, 0);
  std::string padded(text);
  if (!padded.ends_with('=')) padded.append((4 - padded.size() % 4) % 4, '=');
  const std::optional<std::string> out = Base64DecodeAsGo(padded, Base64Form::kUrl);
  return out ? String(context, *out) : context.Error("illegal base64url data");
}

Value HexEncode(BuiltinContext& context, const Value* args) {
  AEGIS_STRING_ARG(text, 0);
  return String(context, aegis::HexEncode(text));
}

Value HexDecode(BuiltinContext& context, const Value* args) {
  AEGIS_STRING_ARG(text, 0);
  const std::optional<std::string> bytes = aegis::HexDecode(text);
  return bytes ? String(context, *bytes)
               : context.Error("not an even number of hexadecimal digits");
}

void AppendQueryEscaped(std::string& out, std::string_view text) {
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '-' || c == '_' || c == '.' || c == '~';
    if (plain) {
      out += c;
    } else if (c == ' ') {
      out += '+';
    } else {
      constexpr std::string_view kHex = "0123456789ABCDEF";
      out += '%';
      out += kHex[static_cast<unsigned char>(c) >> 4];
      out += kHex[static_cast<unsigned char>(c) & 15];
    }
  }
}

std::optional<std::string> QueryUnescaped(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '+') {
      out += ' ';
    } else if (text[i] != '%') {
      out += text[i];
    } else {
      const std::optional<std::string> byte = aegis::HexDecode(text.substr(i + 1, 2));
      if (!byte || byte->size() != 1) return std::nullopt;
      out += *byte;
      i += 2;
    }
  }
  return out;
}

Value QueryEncode(BuiltinContext& context, const Value* args) {
  AEGIS_STRING_ARG(text, 0);
  std::string out;
  AppendQueryEscaped(out, text);
  return String(context, out);
}

Value QueryDecode(BuiltinContext& context, const Value* args) {
  AEGIS_STRING_ARG(text, 0);
  const std::optional<std::string> out = QueryUnescaped(text);
  return out ? String(context, *out) : context.Error("invalid URL escape");
}

Value QueryEncodeObject(BuiltinContext& context, const Value* args) {
  AEGIS_TYPED_ARG(0, is_object, "object");
  std::string out;
  const auto add = [&](Value key, Value value) {
    if (!value.is_string()) return false;
    if (!out.empty()) out += '&';
    AppendQueryEscaped(out, key.is_string() ? std::string(key.string_value()) : ToJson(key));
    out += '=';
    AppendQueryEscaped(out, value.string_value());
    return true;
  };
  for (const Member& member : args[0].members()) {
    bool good = true;
    if (member.value.is_array() || member.value.is_set()) {
      for (const Value element : member.value.elements()) good = good && add(member.key, element);
    } else {
      good = add(member.key, member.value);
    }
    if (!good) {
      return context.TypeError("operand 1 values must be string, array[string], or set[string]");
    }
  }
  return String(context, out);
}

Value QueryDecodeObject(BuiltinContext& context, const Value* args) {
  AEGIS_STRING_ARG(query, 0);
  std::map<std::string, std::vector<std::string>> values;
  for (const std::string_view part : Split(query, '&')) {
    if (part.find(';') != part.npos) return context.Error("invalid semicolon separator in query");
    if (part.empty()) continue;
    const size_t equals = std::min(part.find('='), part.size());
    const std::optional<std::string> key = QueryUnescaped(part.substr(0, equals));
    const std::optional<std::string> value =
        QueryUnescaped(equals < part.size() ? part.substr(equals + 1) : std::string_view());
    if (!key || !value) return context.Error("invalid URL escape");
    values[*key].push_back(*value);
  }
  ObjectBuilder object(context.arena(), values.size());
  for (const auto& [key, texts] : values) {
    ArrayBuilder array(context.arena(), texts.size());
    for (const std::string& text : texts) array.Add(String(context, text));
    object.Add(String(context, key), array.Build());
  }
  return object.Build();
}

Value JsonMarshal(BuiltinContext& context, const Value* args) {
  if (!context.Charge(internal::Weight(args[0]) / 4)) return Value();
  std::string out;
  internal::AppendGoJson(args[0], out);
  return String(context, out);
}

// Go's json.Indent: JSON without spaces on many lines, all but the first of which start with
// `prefix`. False when the text becomes too long.
bool Indent(std::string_view json, std::string_view prefix, std::string_view indent,
            std::string& out) {
  constexpr size_t kMaxText = size_t{64} << 20;
  size_t depth = 0;
  const auto break_line = [&] {
    out += '\n';
    out += prefix;
    for (size_t i = 0; i < depth; ++i) out += indent;
  };
  bool in_string = false;
  for (size_t i = 0; i < json.size(); ++i) {
    const char c = json[i];
    if (in_string || c == '"') {
      out += c;
      if (c == '\\') {
        out += json[++i];
      } else if (c == '"') {
        in_string = !in_string;
      }
    } else if (c == '{' || c == '[') {
      out += c;
      if (json[i + 1] == c + 2) {
        out += json[++i];  // nothing between the brackets
      } else {
        ++depth;
        break_line();
      }
    } else if (c == '}' || c == ']') {
      --depth;
      break_line();
      out += c;
    } else {
      out += c;
      if (c == ',') break_line();
      if (c == ':') out += ' ';
    }
    if (out.size() > kMaxText || depth * indent.size() > kMaxText) return false;
  }
  return true;
}

Value JsonMarshalWithOptions(BuiltinContext& context, const Value* args) {
  AEGIS_TYPED_ARG(1, is_object, "object");
  std::string_view prefix, indent = "\t";
  bool formatted = false, pretty = false, pretty_given = false;
  for (const Member& option : args[1].members()) {
    const std::string_view name = option.key.string_value();
    if (name == "pretty" && option.value.is_bool()) {
      pretty = option.value.is_true();
      pretty_given = true;
    } else if ((name == "prefix" || name == "indent") && option.value.is_string()) {
      (name == "prefix" ? prefix : indent) = option.value.string_value();
      formatted = true;
    } else {
      return context.TypeError("operand 2 has an unknown key or a value of the wrong type: " +
                               ToJson(option.key));
    }
  }
  if (!context.Charge(internal::Weight(args[0]) / 4)) return Value();
  std::string json;
  internal::AppendGoJson(args[0], json);
  if (!(pretty_given ? pretty : formatted)) return String(context, json);
  std::string out(prefix);
  if (!Indent(json, prefix, indent, out)) return context.Error("the text becomes too long");
  if (!context.Charge(out.size() / 64)) return Value();
  return String(context, out);
}

constexpr json::Limits kJsonLimits{
    .max_bytes = size_t{64} << 20, .max_depth = 500, .max_values = size_t{8} << 20};

Value JsonUnmarshal(BuiltinContext& context, const Value* args) {
  AEGIS_STRING_ARG(text, 0);
  if (!context.Charge(text.size() / 64)) return Value();
  const Result<Value> value = internal::ParseJsonLastWins(text, context.arena(), kJsonLimits);
  return value ? *value : context.Error(std::string(value.error().message));
}

Value JsonIsValid(BuiltinContext& context, const Value* args) {
  if (!args[0].is_string()) return Value::Bool(false);
  const std::string_view text = args[0].string_value();
  if (!context.Charge(text.size() / 64)) return Value();
  const Result<Value> value = internal::ParseJsonLastWins(text, context.arena(), kJsonLimits);
  return Value::Bool(value.has_value() || value.error().reason == "json_number");
}

constexpr Builtin kBuiltins[] = {
    {"base64.encode", 1, Base64Encode},
    {"base64.decode", 1, Base64Decode},
    {"base64.is_valid", 1, Base64IsValid},
    {"base64url.encode", 1, Base64UrlEncode<true>},
    {"base64url.encode_no_pad", 1, Base64UrlEncode<false>},
    {"base64url.decode", 1, Base64UrlDecode},
    {"hex.encode", 1, HexEncode},
    {"hex.decode", 1, HexDecode},
    {"urlquery.encode", 1, QueryEncode},
    {"urlquery.decode", 1, QueryDecode},
    {"urlquery.encode_object", 1, QueryEncodeObject},
    {"urlquery.decode_object", 1, QueryDecodeObject},
    {"json.marshal", 1, JsonMarshal},
    {"json.marshal_with_options", 2, JsonMarshalWithOptions},
    {"json.unmarshal", 1, JsonUnmarshal},
    {"json.is_valid", 1, JsonIsValid},
};

}  // namespace

std::span<const Builtin> EncodingBuiltins() { return kBuiltins; }

}  // namespace aegis::rego
