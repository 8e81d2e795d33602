// Policies that are valid, but probably not what was meant: grants that can never decide a call or
// whose conditions hold nobody back, and names that nobody has.
//
// Findings are certain, not complete: what cannot be told from the policies is not reported.
//
// Threading: free functions on values.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "aegis/policy/document.h"

namespace aegis::policy {

enum class LintRule : uint8_t {
  kDeniedGrant,           // denied_tools of the same agents rules out all that it grants
  kUnneededGrant,         // a grant before it allows every call that it allows
  kLoosenedGrant,         // another grant allows the same calls under fewer conditions
  kUnaskedShadow,         // an enforced grant covers the same calls, so this one is not asked
  kImpossibleConditions,  // no call can meet them together
  kImpossibleCaller,      // no call can meet a caller's conditions and the grant's
  kGrantsEverything,      // every action of every tool without any condition
  kGrantsNothing,         // the document neither allows nor denies
  kUnknownAgent,          // not registered
  kUnknownTool,           // no registered tool fits the name
  kUnknownAction,         // the tools that fit have maps, and none has such an action
  kAgentWithoutPolicy,    // registered, and no document is for it: every call is refused
  kGroupWithoutAgents,    // no registered agent has the labels of `match`
};
// "denied-grant", "unneeded-grant", ...
std::string_view LintRuleName(LintRule rule);

struct LintFinding {
  LintRule rule = LintRule::kDeniedGrant;
  std::string file;  // as the caller named it; empty: of no document
  Position position;
  std::string message;

  // "finance.yaml:3:5: denied-grant: message"
  std::string ToString() const;
};

// What the control plane knows; for the last rules of the list.
struct Registry {
  struct Agent {
    std::string name;
    std::vector<std::pair<std::string, std::string>> labels;
  };
  std::vector<Agent> agents;
  std::vector<std::string> tools;
  // Of the tools whose map refuses what it does not have: all of their actions.
  std::map<std::string, std::vector<std::string>> actions = {};
};

// All findings, by file and position. Without a `registry` names are not checked, and documents for
// an agent by name and by labels are not held against each other.
std::vector<LintFinding> Lint(const PolicySet& policies, const Registry* registry = nullptr);

}  // namespace aegis::policy
