// Comparing the bodies of two grants: which one allows more.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "aegis/policy/diff.h"
#include "aegis/policy/document.h"

namespace aegis::policy {

struct BodyChange {
  ChangeKind kind;  // kLoosened, kTightened or kChanged
  std::string text;
};

// How `after` differs from `before` in conditions, callers, schedule and mode; tool and actions
// apart. Empty: they allow the same.
std::vector<BodyChange> CompareBodies(const Entry& before, const Entry& after);

// Whether `wide` certainly allows every call that `narrow` does, tools and actions apart.
bool AllowsAll(const Entry& wide, const Entry& narrow);

// Whether every name that fits `narrow` certainly fits `wide`.
bool PatternCovers(std::string_view wide, std::string_view narrow);

// "max_amount 500, currency in ["usd"]; callers user:*; mon-fri UTC; shadow". Empty: no conditions.
std::string DescribeBody(const Entry& entry);

}  // namespace aegis::policy
