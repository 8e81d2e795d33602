// io.jwt.decode, io.jwt.encode_sign, io.jwt.encode_sign_raw.
//
// Signatures with ES*, PS* and their likes differ each time, here and in OPA: a decision that holds
// one is not reproduced by a replay to the byte. HS*, RS* and EdDSA give the same each time.
#include "aegis/base/text.h"
#include "aegis/crypto/base64.h"
#include "aegis/crypto/jwt_key.h"
#include "aegis/json/tree.h"
#include "aegis/rego/builtins/jwt_token.h"
#include "aegis/rego/edit.h"
#include "aegis/rego/table.h"

namespace aegis::rego {
namespace {

Value Decode(BuiltinContext& context, const Value* args) {
  AEGIS_STRING_ARG(token, 0);
  std::string nested;  // what `text` refers to once a payload was a token itself
  for (std::string_view text = token;;) {
    const std::optional<TokenParts> parts = SplitToken(context, text);
    if (!parts) return Value();
    const Value header = DecodeHeader(context, *parts);
    if (header.is_undefined()) return Value();
    std::optional<std::string> payload = DecodePart(context, parts->payload, "JWT payload");
    if (!payload) return Value();
    const Value type = header.Get("cty");
    if (!type.is_undefined() && !type.is_string()) return context.Error("cty: must be a string");
    if (type.string_value() == "JWT") {
      nested = *std::move(payload);
      const size_t first = nested.find_first_not_of("\"'");
      const size_t last = nested.find_last_not_of("\"'");
      text = first == nested.npos ? std::string_view()
                                  : std::string_view(nested).substr(first, last + 1 - first);
      continue;
    }
    const Value claims = ParseObject(context, *payload, "");
    if (claims.is_undefined()) return Value();
    const std::optional<std::string> signature =
        DecodePart(context, parts->signature, "JWT signature");
    if (!signature) return Value();
    ArrayBuilder array(context.arena(), 3);
    array.Add(header);
    array.Add(claims);
    array.Add(String(context, HexEncode(*signature)));
    return array.Build();
  }
}

Value Sign(BuiltinContext& context, std::string_view header_json, std::string_view payload,
           std::string_view key_json) {
  if (!context.Charge((header_json.size() + payload.size()) / 8 + key_json.size())) return Value();
  const Result<crypto::JwtKey> key = crypto::JwtKey::ParseSigning(key_json);
  if (!key) return context.Error(key.error().message);
  Arena arena(4096);
  const json::TreeLimits limits{.max_bytes = kMaxTokenBytes, .max_depth = 64};
  const Result<json::Tree> header = json::ParseTree(header_json, arena, limits);
  const std::optional<std::string_view> name =
      header ? header->FindString("alg") : std::optional<std::string_view>();
  if (!name) return context.Error("missing or invalid 'alg' header");
  const std::optional<crypto::Algorithm> algorithm = crypto::AlgorithmFromJoseName(*name);
  // OPA signs with the older of the two names only.
  if (!algorithm || name == "Ed25519") {
    return context.Error("unknown JWS algorithm: " + std::string(*name));
  }
  const json::Limits payload_limits{
      .max_bytes = size_t{64} << 20, .max_depth = 500, .max_values = size_t{8} << 20};
  const std::optional<std::string_view> type = header->FindString("typ");
  if ((!type || type == "JWT") &&
      !internal::ParseJsonLastWins(payload, context.arena(), payload_limits)) {
    return context.Error("type is JWT but payload is not JSON");
  }
  std::string token = crypto::Base64UrlEncode(header_json);
  token += '.';
  token += crypto::Base64UrlEncode(payload);
  if (!context.Charge(key->sign_cost())) return Value();
  const Result<std::string> signature = key->Sign(*algorithm, token);
  if (!signature) return context.Error(signature.error().message);
  token += '.';
  token += crypto::Base64UrlEncode(*signature);
  return String(context, token);
}

Value EncodeSign(BuiltinContext& context, const Value* args) {
  std::string texts[3];
  for (int i = 0; i < 3; ++i) {
    AEGIS_TYPED_ARG(i, is_object, "object");
    if (!context.Charge(internal::Weight(args[i]) / 4)) return Value();
    internal::AppendGoJson(args[i], texts[i]);
  }
  return Sign(context, texts[0], texts[1], texts[2]);
}

Value EncodeSignRaw(BuiltinContext& context, const Value* args) {
  AEGIS_STRING_ARG(key, 2);
  AEGIS_STRING_ARG(header, 0);
  AEGIS_STRING_ARG(payload, 1);
  return Sign(context, header, payload, key);
}

constexpr Builtin kBuiltins[] = {
    {"io.jwt.decode", 1, Decode},
    {"io.jwt.encode_sign", 3, EncodeSign},
    {"io.jwt.encode_sign_raw", 3, EncodeSignRaw},
};

}  // namespace

std::span<const Builtin> JwtBuiltins() { return kBuiltins; }

}  // namespace aegis::rego
