// What a change of policies means for agents, in words: what they gain, what they lose, what is
// held tighter or looser.
//
// Compared is what the documents say of each agent and of each group that `match` names, document
// boundaries and order apart. Whether a condition became tighter is told where that can be decided
// (bounds, lists, days and hours); elsewhere it is "changed".
//
// Threading: free functions on values.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "aegis/policy/document.h"

namespace aegis::policy {

enum class ChangeKind : uint8_t {
  kGain,       // may now do what it might not
  kLoss,       // may no longer do what it might
  kLoosened,   // may do it under fewer conditions
  kTightened,  // may do it under more conditions
  kChanged,    // under others; neither can be told
};
std::string_view ChangeKindName(ChangeKind kind);  // "gain", "loss", "loosened", ...

struct Change {
  ChangeKind kind = ChangeKind::kChanged;
  // Agents by name, or "agents with team=finance"; all with the same change, sorted.
  std::vector<std::string> subjects;
  std::string tool;    // pattern
  std::string action;  // pattern
  std::string text;    // "max_amount 5000 -> 9000"

  friend bool operator==(const Change&, const Change&) = default;
};

struct PolicyDiff {
  std::vector<Change> changes;  // by subjects, then tool and action

  bool empty() const { return changes.empty(); }
  // Whether anything is granted or loosened, or changed in a way that may do so: what a reviewer
  // must see.
  bool widens() const;
  // For people; "no change in what agents may do\n" when empty.
  std::string ToString() const;
  // {"changes":[{"kind","subjects","tool","action","text"}],"widens":bool}
  std::string ToJson() const;
};

PolicyDiff Diff(const PolicySet& before, const PolicySet& after);

}  // namespace aegis::policy
