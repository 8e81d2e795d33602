// The parts of a token, as OPA's io.jwt functions take it apart.
//
// Internal to the rego library.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "aegis/rego/builtins/operands.h"

namespace aegis::rego {

// Longer tokens are an error; OPA has no limit.
inline constexpr size_t kMaxTokenBytes = size_t{1} << 20;

struct TokenParts {
  std::string_view header, payload, signature;  // base64url
  std::string_view signing_input;               // header.payload
};

// Each of these gives nothing, or undefined, when it has set the context's error or is out of
// steps.
std::optional<TokenParts> SplitToken(BuiltinContext& context, std::string_view token);
// As base64url.decode.
std::optional<std::string> DecodePart(BuiltinContext& context, std::string_view part,
                                      std::string_view what);
// An object from its JSON text; of members that occur twice the last counts.
Value ParseObject(BuiltinContext& context, std::string_view json, std::string_view what);
// The decoded header; a JWE's is refused.
Value DecodeHeader(BuiltinContext& context, const TokenParts& parts);

}  // namespace aegis::rego
