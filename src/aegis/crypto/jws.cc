#include "aegis/crypto/jws.h"

#include <optional>

#include "aegis/base/arena.h"
#include "aegis/crypto/base64.h"
#include "aegis/json/tree.h"

namespace aegis::crypto {
namespace {

tl::unexpected<Error> Refuse(std::string_view reason, std::string message) {
  return Fail(Code::kInvalidArgument, reason, std::move(message));
}

// The member's string; empty when absent. Errors: jws_header when it is no string.
Result<std::string> HeaderString(const json::Tree& header, std::string_view name) {
  const json::Tree* member = header.Find(name);
  if (member == nullptr) return std::string();
  if (!member->is_string()) {
    return Refuse("jws_header", "the header's \"" + std::string(name) + "\" is not a string");
  }
  return std::string(member->text());
}

Status ReadHeader(std::string_view text, Jws& jws) {
  Arena arena(4096);
  const Result<json::Tree> header =
      json::ParseTree(text, arena, {.max_bytes = kMaxJwsHeaderBytes, .max_depth = 8});
  if (!header || !header->is_object()) {
    return Refuse("jws_malformed", "the header is not a strict JSON object");
  }
  for (const std::string_view name : {"crit", "jku", "jwk", "x5u", "x5c"}) {
    if (header->Find(name) != nullptr) {
      return Refuse("jws_header",
                    "the header member \"" + std::string(name) + "\" is not accepted");
    }
  }
  AEGIS_TRY(jws.alg, HeaderString(*header, "alg"));
  AEGIS_TRY(jws.kid, HeaderString(*header, "kid"));
  AEGIS_TRY(jws.typ, HeaderString(*header, "typ"));
  if (jws.alg.empty()) return Refuse("jws_header", "the header has no \"alg\"");
  return Ok();
}

}  // namespace

Result<Jws> ParseJws(std::string_view compact, size_t max_bytes) {
  if (compact.size() > max_bytes) {
    return Fail(Code::kResourceExhausted, "jws_too_large",
                "longer than " + std::to_string(max_bytes) + " bytes");
  }
  const size_t first = compact.find('.');
  const size_t second = first == std::string_view::npos ? first : compact.find('.', first + 1);
  if (second == std::string_view::npos || compact.find('.', second + 1) != std::string_view::npos) {
    return Refuse("jws_malformed", "a compact JWS has three parts with dots between them");
  }
  if (first > kMaxJwsHeaderBytes) return Refuse("jws_malformed", "the header is too long");
  std::optional<std::string> header = Base64UrlDecode(compact.substr(0, first));
  std::optional<std::string> payload =
      Base64UrlDecode(compact.substr(first + 1, second - first - 1));
  std::optional<std::string> signature = Base64UrlDecode(compact.substr(second + 1));
  if (!header || !payload || !signature) {
    return Refuse("jws_malformed", "a part is not unpadded base64url");
  }
  Jws jws;
  AEGIS_RETURN_IF_ERROR(ReadHeader(*header, jws));
  jws.payload = *std::move(payload);
  jws.signature = *std::move(signature);
  jws.signing_input = compact.substr(0, second);
  return jws;
}

Status VerifyJws(const Jws& jws, const VerificationKey& key) {
  if (!JoseNameMatches(jws.alg, key.algorithm())) {
    return Refuse("jws_algorithm",
                  "the header's alg is not the key's, " + std::string(JoseName(key.algorithm())));
  }
  if (!key.Verify(jws.signing_input, jws.signature)) {
    return Refuse("jws_signature", "the signature does not match");
  }
  return Ok();
}

Status VerifyJws(const Jws& jws, const KeySet& keys) {
  const VerificationKey* key = jws.kid.empty() ? nullptr : keys.Find(jws.kid);
  if (key == nullptr) {
    // An unsigned token is told apart, since it is an attack and not a rotated key.
    if (jws.alg == "none") return Refuse("jws_algorithm", "the header's alg is \"none\"");
    return Refuse("jws_unknown_key", "no configured key has the header's kid");
  }
  return VerifyJws(jws, *key);
}

Result<std::string> SignJws(const SigningKey& key, std::string_view payload, std::string_view typ) {
  std::string header = R"({"alg":")";
  header += JoseName(key.algorithm());
  header += R"(","kid":)";
  json::AppendQuoted(header, key.kid());
  if (!typ.empty()) {
    header += R"(,"typ":)";
    json::AppendQuoted(header, typ);
  }
  header += '}';
  std::string compact = Base64UrlEncode(header) + '.' + Base64UrlEncode(payload);
  AEGIS_TRY(const std::string signature, key.Sign(compact));
  compact += '.';
  compact += Base64UrlEncode(signature);
  return compact;
}

}  // namespace aegis::crypto
