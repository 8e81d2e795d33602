// crypto.md5, crypto.sha1, crypto.sha256, crypto.hmac.*.
#include "aegis/base/text.h"
#include "aegis/crypto/digest.h"
#include "aegis/rego/builtins/operands.h"

namespace aegis::rego {
namespace {

using crypto::HashFunction;

template <HashFunction function>
Value Hash(BuiltinContext& context, const Value* args) {
  AEGIS_STRING_ARG(text, 0);
  if (!context.Charge(text.size() / 16)) return Value();
  return String(context, HexEncode(crypto::Hash(function, text)));
}

template <HashFunction function>
Value Hmac(BuiltinContext& context, const Value* args) {
  AEGIS_STRING_ARG(text, 0);
  AEGIS_STRING_ARG(key, 1);
  if (!context.Charge((text.size() + key.size()) / 16)) return Value();
  return String(context, HexEncode(crypto::Hmac(function, key, text)));
}

Value HmacEqual(BuiltinContext& context, const Value* args) {
  AEGIS_STRING_ARG(a, 0);
  AEGIS_STRING_ARG(b, 1);
  return Value::Bool(crypto::ConstantTimeEquals(a, b));
}

constexpr Builtin kBuiltins[] = {
    {"crypto.md5", 1, Hash<HashFunction::kMd5>},
    {"crypto.sha1", 1, Hash<HashFunction::kSha1>},
    {"crypto.sha256", 1, Hash<HashFunction::kSha256>},
    {"crypto.hmac.md5", 2, Hmac<HashFunction::kMd5>},
    {"crypto.hmac.sha1", 2, Hmac<HashFunction::kSha1>},
    {"crypto.hmac.sha256", 2, Hmac<HashFunction::kSha256>},
    {"crypto.hmac.sha512", 2, Hmac<HashFunction::kSha512>},
    {"crypto.hmac.equal", 2, HmacEqual},
};

}  // namespace

std::span<const Builtin> HashBuiltins() { return kBuiltins; }

}  // namespace aegis::rego
