// io.jwt.verify_*, io.jwt.decode_verify.
//
// Tokens whose signature was checked are kept (token_cache.h). OPA can be told to keep them too;
// what is found here is what the same call found before, never what another function found.
//
// Not taken over from OPA: decode_verify verifies no token whose header names an algorithm by a
// name of OPA's crypto library ("HMAC_WITH_SHA256") instead of JOSE's.
#include <algorithm>
#include <charconv>
#include <cmath>

#include "aegis/base/text.h"
#include "aegis/crypto/digest.h"
#include "aegis/rego/builtins/caches.h"
#include "aegis/rego/builtins/jwt_token.h"
#include "aegis/rego/builtins/token_cache.h"
#include "aegis/rego/number.h"

namespace aegis::rego {
namespace {

using crypto::Algorithm;
using crypto::JwtKey;

// What matters of a header (RFC 7515 §4.1).
struct Header {
  std::string_view alg, kid, cty;
  bool critical_unknown = false;
};

bool ReadHeader(BuiltinContext& context, Value object, Header& out) {
  std::string_view typ;
  const std::pair<std::string_view, std::string_view*> strings[] = {
      {"alg", &out.alg}, {"cty", &out.cty}, {"kid", &out.kid}, {"typ", &typ}};
  for (const auto& [name, text] : strings) {
    const Value value = object.Get(name);
    if (value.is_undefined()) continue;
    if (!value.is_string()) {
      context.Error(std::string(name) + ": must be a string");
      return false;
    }
    *text = value.string_value();
  }
  const Value critical = object.Get("crit");
  if (critical.is_undefined()) return true;
  if (!critical.is_array()) {
    context.Error("crit: must be a list");
    return false;
  }
  if (!critical.At(0).is_string()) {
    context.Error("crit: must be a nonempty list");
    return false;
  }
  for (const Value name : critical.elements()) {
    if (!name.is_string()) break;
    const std::string_view text = name.string_value();
    const bool known =
        text == "alg" || text == "kid" || text == "typ" || text == "cty" || text == "crit";
    if (!known && !object.Get(text).is_undefined()) out.critical_unknown = true;
  }
  return true;
}

// Whether one of the keys verifies, tried in OPA's order: the key that the header names, if there
// is one, and no other; else all whose algorithm, if they have one, is the header's. Nothing when
// the steps are used up.
template <typename Check>
std::optional<bool> TryKeys(BuiltinContext& context, const JwtKeys& keys, const Header& header,
                            uint64_t& cost, Check check) {
  const auto attempt = [&](const JwtKey& key) -> std::optional<bool> {
    cost += key.verify_cost();
    if (!context.Charge(key.verify_cost())) return std::nullopt;
    return check(key);
  };
  if (!header.kid.empty()) {
    for (const JwtKey& key : keys) {
      if (key.kid() == header.kid) return attempt(key);
    }
  }
  for (const JwtKey& key : keys) {
    if (!key.alg().empty() && key.alg() != header.alg) continue;
    const std::optional<bool> valid = attempt(key);
    if (!valid || *valid) return valid;
  }
  return false;
}

// The keys of a text, which is charged whether it is parsed or known.
std::shared_ptr<const JwtKeys> KeysOf(BuiltinContext& context, std::string_view text) {
  if (!context.Charge(text.size() / 2)) return nullptr;
  Result<std::shared_ptr<const JwtKeys>> keys = context.caches().tokens().Keys(text);
  if (keys) return *std::move(keys);
  context.Error(keys.error().message);
  return nullptr;
}

template <Algorithm algorithm>
Value Verify(BuiltinContext& context, const Value* args) {
  AEGIS_STRING_ARG(token, 0);
  AEGIS_STRING_ARG(key_text, 1);
  const std::optional<TokenParts> parts = SplitToken(context, token);
  if (!parts) return Value();
  const std::shared_ptr<const JwtKeys> keys = KeysOf(context, key_text);
  if (keys == nullptr) return Value();
  TokenCache& cache = context.caches().tokens();
  const TokenCache::Question question{.function = crypto::JoseName(algorithm),
                                      .alg = {},
                                      .token = token,
                                      .secret = {},
                                      .keys = keys};
  if (const TokenCache::Answer* known = cache.Find(question)) {
    return context.Charge(known->cost) ? Value::Bool(known->valid) : Value();
  }
  const std::optional<std::string> signature =
      DecodePart(context, parts->signature, "JWT signature");
  if (!signature) return Value();
  const Value object = DecodeHeader(context, *parts);
  Header header;
  if (object.is_undefined() || !ReadHeader(context, object, header)) return Value();
  uint64_t cost = 0;
  const std::optional<bool> valid = TryKeys(context, *keys, header, cost, [&](const JwtKey& key) {
    return key.VerifyAsPublic(algorithm, parts->signing_input, *signature);
  });
  if (!valid) return Value();
  cache.Remember(question, *valid, cost);
  return Value::Bool(*valid);
}

// Cheap enough to be done each time.
template <crypto::HashFunction function>
Value VerifyHmac(BuiltinContext& context, const Value* args) {
  AEGIS_STRING_ARG(token, 0);
  AEGIS_STRING_ARG(secret, 1);
  const std::optional<TokenParts> parts = SplitToken(context, token);
  if (!parts || !context.Charge(secret.size() / 16)) return Value();
  const std::optional<std::string> signature =
      DecodePart(context, parts->signature, "JWT signature");
  if (!signature) return Value();
  return Value::Bool(
      crypto::ConstantTimeEquals(*signature, crypto::Hmac(function, secret, parts->signing_input)));
}

struct Constraints {
  std::shared_ptr<const JwtKeys> keys;
  std::string_view secret, alg, iss, aud;
  double time_ns = -1;
};

bool ReadTime(BuiltinContext& context, Value value, Constraints& out) {
  if (!value.is_number()) {
    context.Error("token time constraint: must be a number");
    return false;
  }
  char buffer[24];
  const std::string_view text = internal::NumberText(value, buffer);
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), out.time_ns);
  if (problem != std::errc() || out.time_ns < 0) {
    context.Error("token time constraint: must not be negative, nor too large or small");
    return false;
  }
  return true;
}

bool ReadConstraints(BuiltinContext& context, Value object, Constraints& out) {
  const std::pair<std::string_view, std::string_view*> strings[] = {
      {"alg", &out.alg}, {"aud", &out.aud}, {"iss", &out.iss}, {"secret", &out.secret}};
  for (const Member& member : object.members()) {
    const std::string_view name = member.key.string_value();
    const auto found = std::find_if(std::begin(strings), std::end(strings),
                                    [&](const auto& known) { return known.first == name; });
    if (name == "time") {
      if (!ReadTime(context, member.value, out)) return false;
    } else if (name != "cert" && found == std::end(strings)) {
      context.Error("unknown token validation constraint: " + std::string(name));
      return false;
    } else if (!member.value.is_string()) {
      context.Error(std::string(name) + " constraint: must be a string");
      return false;
    } else if (name == "cert") {
      out.keys = KeysOf(context, member.value.string_value());
      if (out.keys == nullptr) return false;
    } else {
      *found->second = member.value.string_value();
    }
  }
  if (out.time_ns < 0) out.time_ns = static_cast<double>(context.time_unix_ns());
  if (out.keys != nullptr && !out.secret.empty()) {
    context.Error("duplicate key constraints");
    return false;
  }
  if (out.keys == nullptr && out.secret.empty()) {
    context.Error("no key constraint");
    return false;
  }
  return true;
}

struct Checked {
  bool valid = false;
  Value header, payload;  // when valid
  uint64_t cost = 0;      // of the cryptography
};

// Everything that does not depend on time, issuer and audience (RFC 7519 §7.2). False when the
// builtin ends with an error.
bool CheckSignature(BuiltinContext& context, std::string_view token, const Constraints& constraints,
                    Checked& out) {
  std::string nested;  // what `text` refers to once a payload was a token itself
  for (std::string_view text = token;;) {
    const std::optional<TokenParts> parts = SplitToken(context, text);
    if (!parts) return false;
    const Value object = DecodeHeader(context, *parts);
    Header header;
    if (object.is_undefined() || !ReadHeader(context, object, header)) return false;
    if (header.alg.empty() || header.critical_unknown) return true;
    if (!constraints.alg.empty() && constraints.alg != header.alg) return true;
    const std::optional<std::string> signature =
        DecodePart(context, parts->signature, "JWT signature");
    if (!signature) return false;
    const std::optional<Algorithm> algorithm = crypto::AlgorithmFromJoseName(header.alg);
    const auto check = [&](const JwtKey& key) {
      return algorithm && key.Verify(*algorithm, parts->signing_input, *signature);
    };
    if (constraints.keys != nullptr) {
      const std::optional<bool> valid =
          TryKeys(context, *constraints.keys, header, out.cost, check);
      if (!valid) return false;
      if (!*valid) return true;
    } else if (!check(JwtKey::FromSecret(constraints.secret))) {
      return true;
    }
    std::optional<std::string> payload = DecodePart(context, parts->payload, "JWT payload");
    if (!payload) return false;
    if (!EqualsIgnoreCase(header.cty, "JWT")) {
      out.header = object;
      out.payload = ParseObject(context, *payload, "");
      out.valid = true;
      return !out.payload.is_undefined();
    }
    nested = *std::move(payload);
    text = nested;
  }
}

bool IsAudience(Value audience, std::string_view wanted) {
  if (audience.is_string()) return audience.string_value() == wanted;
  if (!audience.is_array()) return false;
  const std::span<const Value> all = audience.elements();
  return std::any_of(all.begin(), all.end(), [&](const Value& one) {
    return one.is_string() && one.string_value() == wanted;
  });
}

// How the time compares with that of the claim: negative, zero, positive.
std::optional<int> CompareNow(BuiltinContext& context, const Constraints& constraints, Value claim,
                              const char* name) {
  if (!claim.is_number()) {
    context.Error(std::string(name) + " value must be a number");
    return std::nullopt;
  }
  // Seconds as OPA has them: a float of the nanoseconds, divided and written in its shortest form.
  const double seconds = constraints.time_ns / 1e9;
  constexpr int64_t kExact = int64_t{1} << 53;
  if (claim.is_int() && claim.int_value() > -kExact && claim.int_value() < kExact) {
    // A float too, which the shortest form of another one lies on the same side of.
    const auto time = static_cast<double>(claim.int_value());
    return seconds < time ? -1 : seconds > time ? 1 : 0;
  }
  char text[64];
  const auto [end, problem] = std::to_chars(text, text + sizeof text, seconds);
  const Value now =
      MakeNumber(context.arena(), std::string_view(text, static_cast<size_t>(end - text)));
  if (problem != std::errc() || now.is_undefined()) {
    context.Error("time is out of range");
    return std::nullopt;
  }
  return Compare(now, claim);
}

// Whether the registered claims (RFC 7519 §4.1) meet the constraints; nothing on an error.
std::optional<bool> CheckClaims(BuiltinContext& context, Value payload,
                                const Constraints& constraints) {
  if (!constraints.iss.empty()) {
    const Value issuer = payload.Get("iss");
    if (!issuer.is_undefined() && !issuer.is_string()) {
      context.Error("iss value must be a string");
      return std::nullopt;
    }
    if (issuer.is_undefined() || issuer.string_value() != constraints.iss) return false;
  }
  const Value audience = payload.Get("aud");
  if (audience.is_undefined() ? !constraints.aud.empty() : !IsAudience(audience, constraints.aud)) {
    return false;
  }
  const Value expiry = payload.Get("exp");
  if (!expiry.is_undefined()) {
    const std::optional<int> order = CompareNow(context, constraints, expiry, "exp");
    if (!order) return std::nullopt;
    if (*order >= 0) return false;
  }
  const Value not_before = payload.Get("nbf");
  if (!not_before.is_undefined()) {
    const std::optional<int> order = CompareNow(context, constraints, not_before, "nbf");
    if (!order) return std::nullopt;
    if (*order < 0) return false;
  }
  return true;
}

Value Outcome(BuiltinContext& context, bool valid, Value header, Value payload) {
  ArrayBuilder array(context.arena(), 3);
  array.Add(Value::Bool(valid));
  array.Add(header);
  array.Add(payload);
  return array.Build();
}

Value DecodeVerify(BuiltinContext& context, const Value* args) {
  AEGIS_TYPED_ARG(1, is_object, "object");
  Constraints constraints;
  if (!ReadConstraints(context, args[1], constraints)) return Value();
  AEGIS_STRING_ARG(token, 0);
  TokenCache& cache = context.caches().tokens();
  const TokenCache::Question question{.function = "decode_verify",
                                      .alg = constraints.alg,
                                      .token = token,
                                      .secret = constraints.secret,
                                      .keys = constraints.keys};
  const auto refused = [&] {
    return Outcome(context, false, Value::EmptyObject(), Value::EmptyObject());
  };
  if (const TokenCache::Answer* known = cache.Find(question)) {
    if (!context.Charge(known->cost)) return Value();
    if (!known->valid) return refused();
    const Value payload = known->value.value().At(2);
    const std::optional<bool> met = CheckClaims(context, payload, constraints);
    if (!met) return Value();
    return *met ? known->value.CopyTo(context.arena()) : refused();
  }
  Checked checked;
  const int64_t before = context.steps_left();
  if (!CheckSignature(context, token, constraints, checked)) return Value();
  const auto cost = static_cast<uint64_t>(before - context.steps_left());
  if (!checked.valid) {
    cache.Remember(question, false, cost);
    return refused();
  }
  const Value accepted = Outcome(context, true, checked.header, checked.payload);
  if (accepted.is_undefined()) return Value();
  cache.Remember(question, true, cost, accepted);
  const std::optional<bool> met = CheckClaims(context, checked.payload, constraints);
  if (!met) return Value();
  return *met ? accepted : refused();
}

constexpr Builtin kBuiltins[] = {
    {"io.jwt.decode_verify", 2, DecodeVerify},
    {"io.jwt.verify_eddsa", 2, Verify<Algorithm::kEd25519>},
    {"io.jwt.verify_es256", 2, Verify<Algorithm::kEs256>},
    {"io.jwt.verify_es384", 2, Verify<Algorithm::kEs384>},
    {"io.jwt.verify_es512", 2, Verify<Algorithm::kEs512>},
    {"io.jwt.verify_hs256", 2, VerifyHmac<crypto::HashFunction::kSha256>},
    {"io.jwt.verify_hs384", 2, VerifyHmac<crypto::HashFunction::kSha384>},
    {"io.jwt.verify_hs512", 2, VerifyHmac<crypto::HashFunction::kSha512>},
    {"io.jwt.verify_ps256", 2, Verify<Algorithm::kPs256>},
    {"io.jwt.verify_ps384", 2, Verify<Algorithm::kPs384>},
    {"io.jwt.verify_ps512", 2, Verify<Algorithm::kPs512>},
    {"io.jwt.verify_rs256", 2, Verify<Algorithm::kRs256>},
    {"io.jwt.verify_rs384", 2, Verify<Algorithm::kRs384>},
    {"io.jwt.verify_rs512", 2, Verify<Algorithm::kRs512>},
};

}  // namespace

std::span<const Builtin> JwtVerifyBuiltins() { return kBuiltins; }

}  // namespace aegis::rego
