#include "aegis/identity/agent_token.h"

#include <algorithm>
#include <atomic>
#include <optional>
#include <span>

#include "aegis/base/arena.h"
#include "aegis/base/ids.h"
#include "aegis/base/text.h"
#include "aegis/crypto/base64.h"
#include "aegis/crypto/jws.h"
#include "aegis/json/tree.h"

namespace aegis::identity {
namespace {

using json::Tree;

constexpr std::string_view kType = "at+jwt";
constexpr std::string_view kLongType = "application/at+jwt";
constexpr std::string_view kAgentPrefix = "agent:";
constexpr std::string_view kUserPrefix = "user:";
constexpr size_t kMaxTokenIdBytes = 128;
constexpr size_t kMaxAudiences = 16;
constexpr int64_t kMaxTime = 253402300799;  // 9999-12-31T23:59:59Z

// The chain nests one level for each link, and the claims themselves are one.
constexpr json::TreeLimits kClaimsLimits{.max_bytes = kMaxTokenBytes, .max_depth = 32};

tl::unexpected<Error> Refuse(std::string_view reason, std::string message) {
  return Fail(Code::kUnauthenticated, reason, std::move(message));
}

tl::unexpected<Error> BadClaim(std::string_view name, std::string_view what) {
  return Refuse("token_claims", "the claim \"" + std::string(name) + "\" " + std::string(what));
}

bool IsAlphanumeric(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool IsValidTokenId(std::string_view id) {
  return !id.empty() && id.size() <= kMaxTokenIdBytes &&
         std::all_of(id.begin(), id.end(), [](char c) { return c > ' ' && c < 0x7f; });
}

// RFC 6749 §3.3: tokens of printable ASCII but '"' and '\', one space between them.
bool IsValidScope(std::string_view scope) {
  if (scope.empty()) return true;
  if (scope.size() > kMaxScopeBytes) return false;
  for (const std::string_view token : Split(scope, ' ')) {
    const bool fine = std::all_of(token.begin(), token.end(), [](char c) {
      return c > ' ' && c < 0x7f && c != '"' && c != '\\';
    });
    if (token.empty() || !fine) return false;
  }
  return true;
}

bool IsValidLink(const ChainLink& link) {
  return link.type == "agent" ? IsValidName(link.id)
                              : link.type == "user" && IsValidUserId(link.id);
}

// Nobody may be in the chain twice, and the acting agent may not be behind itself: such a call
// would have come around in a circle, and who caused it could not be said.
bool HasLoop(std::span<const ChainLink> chain, std::string_view agent) {
  for (size_t i = 0; i < chain.size(); ++i) {
    if (chain[i].type == "agent" && chain[i].id == agent) return true;
    for (size_t j = 0; j < i; ++j) {
      if (chain[i] == chain[j]) return true;
    }
  }
  return false;
}

std::string AgentSubject(std::string_view tenant, std::string_view agent) {
  return std::string(kAgentPrefix).append(tenant).append("/").append(agent);
}

// The reasons of the layer below in the words of this one.
Error FromJws(const Error& error) {
  struct Mapping {
    std::string_view from, to;
  };
  static constexpr Mapping kMappings[] = {
      {"jws_too_large", "token_too_large"}, {"jws_header", "token_header"},
      {"jws_algorithm", "token_algorithm"}, {"jws_unknown_key", "token_unknown_key"},
      {"jws_signature", "token_signature"},
  };
  for (const Mapping& mapping : kMappings) {
    if (mapping.from == error.reason) {
      return {Code::kUnauthenticated, mapping.to, "the agent token is refused: " + error.message};
    }
  }
  return {Code::kUnauthenticated, "token_malformed",
          "the agent token is malformed: " + error.message};
}

// Reads the claims one after the other; the first that is wrong ends it.
class ClaimsReader {
 public:
  ClaimsReader(const Tree& claims, const TokenVerifier::Options& options)
      : claims_(claims), options_(options) {}

  // `now`: nothing when the clock is not to be looked at.
  Result<Principal> Read(std::optional<int64_t> now) {
    AEGIS_RETURN_IF_ERROR(CheckIssuerAndAudience());
    Principal principal;
    AEGIS_RETURN_IF_ERROR(ReadNames(principal));
    AEGIS_RETURN_IF_ERROR(ReadTimes(principal, now));
    AEGIS_RETURN_IF_ERROR(ReadChain(principal));
    if (claims_.Find("cnf") != nullptr) {
      return Refuse("token_unsupported",
                    "the token is bound to a key (cnf), which is not supported yet");
    }
    return principal;
  }

 private:
  Result<std::string_view> String(std::string_view name) const {
    const std::optional<std::string_view> value = claims_.FindString(name);
    if (!value) return BadClaim(name, "is missing or not a string");
    return *value;
  }

  Result<int64_t> Time(std::string_view name) const {
    const Tree* claim = claims_.Find(name);
    const std::optional<int64_t> value = claim ? claim->AsInt64() : std::nullopt;
    if (!value || *value < 0 || *value > kMaxTime) {
      return BadClaim(name, "is missing or not a time in whole seconds");
    }
    return *value;
  }

  Status CheckIssuerAndAudience() const {
    AEGIS_TRY(const std::string_view issuer, String("iss"));
    if (issuer != options_.issuer)
      return Refuse("token_issuer", "the token is from another issuer");
    const Tree* audience = claims_.Find("aud");
    if (audience == nullptr) return BadClaim("aud", "is missing");
    const std::span<const Tree> several = audience->elements();
    if (!audience->is_string() && (several.empty() || several.size() > kMaxAudiences)) {
      return BadClaim("aud", "is neither a string nor an array of 1 to 16 strings");
    }
    const auto is_ours = [this](const Tree& one) {
      return one.is_string() && one.text() == options_.audience;
    };
    if (!is_ours(*audience) && std::none_of(several.begin(), several.end(), is_ours)) {
      return Refuse("token_audience", "the token is for another audience");
    }
    return Ok();
  }

  Status ReadNames(Principal& out) const {
    for (const auto& [name, target] : {std::pair<std::string_view, std::string*>{"org", &out.org},
                                       {"tenant", &out.tenant},
                                       {"agent", &out.agent}}) {
      AEGIS_TRY(const std::string_view value, String(name));
      if (!IsValidName(value)) return BadClaim(name, "is not a valid name");
      *target = value;
    }
    if (!options_.org.empty() && out.org != options_.org) {
      return Refuse("token_org", "the token is of another org");
    }
    if (!options_.tenant.empty() && out.tenant != options_.tenant) {
      return Refuse("token_tenant", "the token is of another tenant");
    }
    AEGIS_TRY(const std::string_view subject, String("sub"));
    if (subject != AgentSubject(out.tenant, out.agent)) {
      return Refuse("token_subject", "the token's sub does not agree with its tenant and agent");
    }
    AEGIS_TRY(out.token_id, String("jti"));
    if (!IsValidTokenId(out.token_id))
      return BadClaim("jti", "is not 1 to 128 printable characters");
    if (claims_.Find("scope") != nullptr) {
      AEGIS_TRY(out.scope, String("scope"));
      if (!IsValidScope(out.scope)) return BadClaim("scope", "is not a list of scopes");
    }
    return Ok();
  }

  Status ReadTimes(Principal& out, std::optional<int64_t> now) const {
    AEGIS_TRY(out.issued_at, Time("iat"));
    AEGIS_TRY(out.expires_at, Time("exp"));
    int64_t not_before = out.issued_at;
    if (claims_.Find("nbf") != nullptr) {
      AEGIS_TRY(not_before, Time("nbf"));
    }
    if (out.expires_at <= out.issued_at || out.expires_at - out.issued_at > options_.max_lifetime) {
      return Refuse("token_lifetime", "the token's exp is not after its iat, or more than " +
                                          std::to_string(options_.max_lifetime) + " s after it");
    }
    if (!now) return Ok();
    if (*now >= out.expires_at + options_.leeway) {
      return Refuse("token_expired", "the token has expired; get a new one");
    }
    if (std::max(not_before, out.issued_at) > *now + options_.leeway) {
      return Refuse("token_not_yet_valid", "the token is not valid yet; check the clocks");
    }
    return Ok();
  }

  Status ReadChain(Principal& out) const {
    for (const Tree* act = claims_.Find("act"); act != nullptr; act = act->Find("act")) {
      if (out.chain.size() == kMaxChainLinks) {
        return Refuse("token_chain", "the token's act has more than 8 levels");
      }
      const std::optional<std::string_view> subject = act->FindString("sub");
      if (!subject) return Refuse("token_chain", "the token's act is not an object with a sub");
      ChainLink link;
      if (subject->starts_with(kUserPrefix)) {
        link = {"user", std::string(subject->substr(kUserPrefix.size()))};
      } else if (const std::string own = AgentSubject(out.tenant, ""); subject->starts_with(own)) {
        link = {"agent", std::string(subject->substr(own.size()))};
      }
      if (!IsValidLink(link)) {
        return Refuse("token_chain",
                      "a sub in the token's act is neither a user nor an agent of the tenant");
      }
      out.chain.push_back(std::move(link));
    }
    std::reverse(out.chain.begin(), out.chain.end());
    if (HasLoop(out.chain, out.agent)) {
      return Refuse("token_chain", "the token's act goes in a loop");
    }
    return Ok();
  }

  const Tree& claims_;
  const TokenVerifier::Options& options_;
};

Result<Principal> VerifyToken(std::string_view token, const TokenVerifier::Options& options,
                              std::optional<int64_t> now) {
  const Result<crypto::Jws> jws = crypto::ParseJws(token, kMaxTokenBytes);
  if (!jws) return Fail(FromJws(jws.error()));
  if (const Status valid = crypto::VerifyJws(*jws, options.keys); !valid) {
    return Fail(FromJws(valid.error()));
  }
  // Media types are compared without case (RFC 7515 §4.1.9).
  if (!EqualsIgnoreCase(jws->typ, kType) && !EqualsIgnoreCase(jws->typ, kLongType)) {
    return Refuse("token_type", "the header's typ is not at+jwt, so this is no agent token");
  }
  Arena arena(4096);
  const Result<Tree> claims = json::ParseTree(jws->payload, arena, kClaimsLimits);
  if (!claims || !claims->is_object()) {
    return Refuse("token_malformed", "the token's claims are not a strict JSON object");
  }
  return ClaimsReader(*claims, options).Read(now);
}

Status CheckRequest(const TokenRequest& request) {
  const auto refuse = [](std::string_view what) {
    return Fail(Code::kInvalidArgument, "token_request",
                "no token can be issued: " + std::string(what));
  };
  if (!IsValidName(request.org)) return refuse("the org is not a valid name");
  if (!IsValidName(request.tenant)) return refuse("the tenant is not a valid name");
  if (!IsValidName(request.agent)) return refuse("the agent is not a valid name");
  if (request.chain.size() > kMaxChainLinks) return refuse("the chain has more than 8 links");
  if (!std::all_of(request.chain.begin(), request.chain.end(), IsValidLink)) {
    return refuse("a link of the chain is not a valid user or agent");
  }
  if (HasLoop(request.chain, request.agent)) return refuse("the chain goes in a loop");
  if (!IsValidScope(request.scope))
    return refuse("the scope is not a list of scopes of at most 1024 bytes");
  if (!request.token_id.empty() && !IsValidTokenId(request.token_id))
    return refuse("the token id is not valid");
  if (request.issued_at < 0 || request.issued_at > kMaxTime || request.lifetime <= 0 ||
      request.lifetime > kMaxTime - request.issued_at) {
    return refuse("the times are out of range");
  }
  return Ok();
}

void AppendMember(std::string& out, std::string_view name, std::string_view value) {
  out += out.back() == '{' ? "" : ",";
  json::AppendQuoted(out, name);
  out += ':';
  json::AppendQuoted(out, value);
}

void AppendMember(std::string& out, std::string_view name, int64_t value) {
  out += out.back() == '{' ? "" : ",";
  json::AppendQuoted(out, name);
  out += ':';
  out += std::to_string(value);
}

std::string RandomTokenId() {
  char bytes[16];
  RandomBytes({reinterpret_cast<uint8_t*>(bytes), sizeof bytes});
  return crypto::Base64UrlEncode({bytes, sizeof bytes});
}

}  // namespace

bool IsValidName(std::string_view name) {
  return !name.empty() && name.size() <= kMaxNameBytes && IsAlphanumeric(name.front()) &&
         std::all_of(name.begin(), name.end(), [](char c) {
           return IsAlphanumeric(c) || std::string_view("._@:-").find(c) != std::string_view::npos;
         });
}

bool IsValidUserId(std::string_view id) {
  return !id.empty() && id.size() <= kMaxUserIdBytes && id.front() != ' ' && id.back() != ' ' &&
         std::none_of(id.begin(), id.end(),
                      [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }) &&
         IsValidUtf8(id);
}

Result<IssuedToken> TokenIssuer::Issue(const TokenRequest& request) const {
  AEGIS_RETURN_IF_ERROR(CheckRequest(request));
  IssuedToken issued;
  issued.token_id = request.token_id.empty() ? RandomTokenId() : request.token_id;
  issued.expires_at = request.issued_at + request.lifetime;
  std::string claims = "{";
  AppendMember(claims, "iss", issuer_);
  AppendMember(claims, "aud", audience_);
  AppendMember(claims, "sub", AgentSubject(request.tenant, request.agent));
  AppendMember(claims, "org", request.org);
  AppendMember(claims, "tenant", request.tenant);
  AppendMember(claims, "agent", request.agent);
  AppendMember(claims, "jti", issued.token_id);
  AppendMember(claims, "iat", request.issued_at);
  AppendMember(claims, "nbf", request.issued_at);
  AppendMember(claims, "exp", issued.expires_at);
  if (!request.scope.empty()) AppendMember(claims, "scope", request.scope);
  for (auto link = request.chain.rbegin(); link != request.chain.rend(); ++link) {
    claims += R"(,"act":{)";
    AppendMember(claims, "sub",
                 link->type == "agent" ? AgentSubject(request.tenant, link->id)
                                       : std::string(kUserPrefix) + link->id);
  }
  claims.append(request.chain.size() + 1, '}');
  AEGIS_TRY(issued.token, crypto::SignJws(key_, claims, kType));
  if (issued.token.size() > kMaxTokenBytes) {
    return Fail(Code::kInvalidArgument, "token_request",
                "no token can be issued: it would be longer than " +
                    std::to_string(kMaxTokenBytes) + " bytes");
  }
  return issued;
}

TokenVerifier::TokenVerifier(Options options) : options_(std::move(options)) {
  static std::atomic<uint64_t> last_generation{0};
  generation_ = ++last_generation;
}

Result<Principal> TokenVerifier::Verify(std::string_view token, int64_t now) const {
  return VerifyToken(token, options_, now);
}

Result<Principal> TokenVerifier::VerifyIgnoringTime(std::string_view token) const {
  return VerifyToken(token, options_, std::nullopt);
}

Result<DecodedToken> DecodeUnverified(std::string_view token) {
  const Result<crypto::Jws> jws = crypto::ParseJws(token, kMaxTokenBytes);
  if (!jws) {
    Error error = FromJws(jws.error());
    if (error.reason != "token_too_large") error.reason = "token_malformed";
    return Fail(std::move(error));
  }
  Arena arena(4096);
  if (const Result<Tree> claims = json::ParseTree(jws->payload, arena, kClaimsLimits);
      !claims || !claims->is_object()) {
    return Refuse("token_malformed", "the token's claims are not a strict JSON object");
  }
  return DecodedToken{*crypto::Base64UrlDecode(token.substr(0, token.find('.'))), jws->payload};
}

std::string ClaimedAgent(std::string_view token) {
  // Also of tokens that are no proper JWS, e.g. unsigned ones.
  const size_t first = token.find('.');
  if (token.size() > kMaxTokenBytes || first == std::string_view::npos) return {};
  const size_t second = token.find('.', first + 1);
  const auto payload = crypto::Base64UrlDecode(token.substr(first + 1, second - first - 1));
  if (!payload) return {};
  Arena arena(4096);
  const Result<Tree> claims = json::ParseTree(*payload, arena, kClaimsLimits);
  if (!claims) return {};
  if (const auto agent = claims->FindString("agent")) return std::string(*agent);
  std::string_view subject = claims->FindString("sub").value_or("");
  if (subject.starts_with(kAgentPrefix)) {
    subject.remove_prefix(std::max(subject.find('/') + 1, kAgentPrefix.size()));
  }
  return std::string(subject);
}

}  // namespace aegis::identity
