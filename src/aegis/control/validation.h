// What names, labels, URLs and the like may be. Each check gives what is wrong as the end of a
// sentence
// ("must not be empty"), or nothing when the value is good.
//
// Threading: free functions.
#pragma once

#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "aegis/control/problem.h"
#include "aegis/identity/agent_token.h"
#include "aegis/identity/principal.h"

namespace aegis::control {

inline constexpr size_t kMaxNameBytes = 128;
inline constexpr size_t kMaxLabels = 64;
inline constexpr size_t kMaxLabelBytes = 256;
inline constexpr size_t kMaxMessageBytes = 4096;
inline constexpr size_t kMaxSourceNameBytes = 256;

// Agents, tools, labels: 1 to 128 of A-Z a-z 0-9 . _ -, the first a letter or a digit.
std::string CheckEntityName(std::string_view name);
// What an unknown caller says of itself: 1 to 128 printable ASCII characters; not "-" (it said
// nothing) or "*" (several).
std::string CheckCallerName(std::string_view name);
// A user in a chain: any printable text (e-mail addresses and the like).
std::string CheckUserId(std::string_view id);
// One line of text or several; no control characters but tab and line feed.
std::string CheckMessage(std::string_view message);
// A relative path of a policy file: "finance.yaml", "teams/finance.yaml".
std::string CheckSourceName(std::string_view name);
// A token id: 1 to 128 printable ASCII characters without spaces.
std::string CheckTokenId(std::string_view jti);

// {"key": "value"}; errors go to `errors`.
std::map<std::string, std::string> ReadLabels(const nlohmann::json& object,
                                              const std::string& pointer,
                                              std::vector<FieldError>& errors);
// [{"type": "user|agent", "id": "..."}], the one who started first.
std::vector<identity::ChainLink> ReadChain(const nlohmann::json& array, const std::string& pointer,
                                           std::vector<FieldError>& errors);

}  // namespace aegis::control
