// Agent tokens: no input may crash the verifier; what it accepts keeps its promises. The fuzzer
// cannot sign, so one kind of input is claims that are signed here with a key the verifier knows,
// and one a header under a good signature.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "aegis/crypto/base64.h"
#include "aegis/crypto/jws.h"
#include "aegis/crypto/key.h"
#include "aegis/identity/agent_token.h"

namespace {

using aegis::Result;
using aegis::crypto::SigningKey;
using aegis::identity::Principal;
using aegis::identity::TokenVerifier;

constexpr int64_t kNow = 1'800'000'000;

// HS256 is the quickest to sign with; the verifier treats all keys alike.
const SigningKey& Key() {
  static const SigningKey* const key = [] {
    Result<SigningKey> made = SigningKey::FromSecret(std::string(32, 's'), "k");
    if (!made) std::abort();
    return new SigningKey(*std::move(made));
  }();
  return *key;
}

const TokenVerifier& Verifier() {
  static const TokenVerifier* const verifier = [] {
    TokenVerifier::Options options;
    if (!options.keys.Add(Key().verification_key())) std::abort();
    options.issuer = "i";
    options.audience = "a";
    options.tenant = "t";
    return new TokenVerifier(options);
  }();
  return *verifier;
}

void Check(std::string_view token) {
  (void)aegis::identity::DecodeUnverified(token);
  (void)aegis::identity::ClaimedAgent(token);
  (void)Verifier().VerifyIgnoringTime(token);
  const Result<Principal> principal = Verifier().Verify(token, kNow);
  if (!principal) {
    if (principal.error().code != aegis::Code::kUnauthenticated) std::abort();
    if (!principal.error().reason.starts_with("token_")) std::abort();
    return;
  }
  if (token.size() > aegis::identity::kMaxTokenBytes || principal->tenant != "t" ||
      !aegis::identity::IsValidName(principal->agent) ||
      !aegis::identity::IsValidName(principal->org) ||
      principal->chain.size() > aegis::identity::kMaxChainLinks ||
      principal->expires_at + 5 <= kNow || principal->token_id.empty()) {
    std::abort();
  }
  for (const aegis::identity::ChainLink& link : principal->chain) {
    if (link.type != "user" && link.type != "agent") std::abort();
    if (link.type == "agent" && link.id == principal->agent) std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0] % 4) {
    case 0:
      Check(text);
      break;
    case 1: {
      const Result<std::string> token = aegis::crypto::SignJws(Key(), text, "at+jwt");
      if (token) Check(*token);
      break;
    }
    case 2: {
      const std::string input = aegis::crypto::Base64UrlEncode(text) + ".e30";
      const Result<std::string> signature = Key().Sign(input);
      if (signature) Check(input + "." + aegis::crypto::Base64UrlEncode(*signature));
      break;
    }
    default:
      (void)aegis::crypto::KeySet::FromJwks(text);
      (void)aegis::crypto::VerificationKey::FromJwk(text);
      (void)aegis::crypto::VerificationKey::FromPem(text);
  }
  return 0;
}
