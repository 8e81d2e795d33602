#include "aegis/rego/builtins/jwt_token.h"

#include "aegis/base/text.h"
#include "aegis/crypto/base64.h"
#include "aegis/rego/edit.h"

namespace aegis::rego {
namespace {

constexpr json::Limits kJsonLimits{
    .max_bytes = kMaxTokenBytes, .max_depth = 500, .max_values = kMaxTokenBytes};

}  // namespace

std::optional<TokenParts> SplitToken(BuiltinContext& context, std::string_view token) {
  if (!context.Charge(token.size() / 8)) return std::nullopt;
  if (token.size() > kMaxTokenBytes) {
    context.Error("encoded JWT is longer than 1 MiB");
    return std::nullopt;
  }
  const std::vector<std::string_view> parts = Split(token, '.');
  if (parts.size() == 1) {
    context.Error("encoded JWT had no period separators");
    return std::nullopt;
  }
  if (parts.size() != 3) {
    context.Error("encoded JWT must have 3 sections, found " + std::to_string(parts.size()));
    return std::nullopt;
  }
  return TokenParts{parts[0], parts[1], parts[2],
                    token.substr(0, parts[0].size() + 1 + parts[1].size())};
}

std::optional<std::string> DecodePart(BuiltinContext& context, std::string_view part,
                                      std::string_view what) {
  std::string padded(part);
  if (!padded.ends_with('=')) padded.append((4 - padded.size() % 4) % 4, '=');
  std::optional<std::string> bytes = crypto::Base64DecodeAsGo(padded, crypto::Base64Form::kUrl);
  if (!bytes) context.Error(std::string(what) + " had invalid encoding: illegal base64 data");
  return bytes;
}

Value ParseObject(BuiltinContext& context, std::string_view json, std::string_view what) {
  const Result<Value> value = internal::ParseJsonLastWins(json, context.arena(), kJsonLimits);
  if (!value) return context.Error(std::string(what) + "invalid JSON: " + value.error().message);
  if (!value->is_object()) {
    return context.Error(std::string(what) + "decoded JSON type was not an Object");
  }
  return *value;
}

Value DecodeHeader(BuiltinContext& context, const TokenParts& parts) {
  const std::optional<std::string> json = DecodePart(context, parts.header, "JWT header");
  if (!json) return Value();
  const Value header = ParseObject(context, *json, "bad JWT header: ");
  if (!header.Get("enc").is_undefined()) {
    return context.Error("JWT is a JWE object, which is not supported");
  }
  return header;
}

}  // namespace aegis::rego
