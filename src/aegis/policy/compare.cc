#include "aegis/policy/compare.h"

#include <algorithm>
#include <set>

#include "aegis/base/text.h"
#include "aegis/policy/number.h"

namespace aegis::policy {
namespace {

// Who may be in the chain when an entry has no `callers`.
const std::vector<Caller>& DefaultCallers() {
  static const std::vector<Caller> users = {{"user", "*", {}}};
  return users;
}

const std::vector<Caller>& CallersOf(const Entry& entry) {
  return entry.callers ? *entry.callers : DefaultCallers();
}

std::string SaidOf(const Condition& condition) {
  if (!condition.short_form.empty()) return condition.Said();
  return condition.path + " " + condition.Said();
}

enum class Relation : uint8_t { kEqual, kWider, kNarrower, kOther };

Relation RelationOfOrder(int order) {
  if (order == 0) return Relation::kEqual;
  return order > 0 ? Relation::kWider : Relation::kNarrower;
}

Relation Inverted(Relation relation) {
  if (relation == Relation::kWider) return Relation::kNarrower;
  return relation == Relation::kNarrower ? Relation::kWider : relation;
}

// `after` against `before` as sets of what is listed.
Relation CompareLists(const Condition& before, const Condition& after) {
  const std::set<std::string> old_values(before.values.begin(), before.values.end());
  const std::set<std::string> new_values(after.values.begin(), after.values.end());
  const bool keeps =
      std::includes(new_values.begin(), new_values.end(), old_values.begin(), old_values.end());
  const bool adds_none =
      std::includes(old_values.begin(), old_values.end(), new_values.begin(), new_values.end());
  if (keeps && adds_none) return Relation::kEqual;
  if (keeps) return Relation::kWider;
  return adds_none ? Relation::kNarrower : Relation::kOther;
}

// What `after` allows against `before`, both with one path and operator.
Relation CompareBounds(const Condition& before, const Condition& after) {
  switch (before.op) {
    case Op::kLt:
    case Op::kLte:
    case Op::kLengthLte:
      return RelationOfOrder(CompareNumbers(after.bound, before.bound));
    case Op::kGt:
    case Op::kGte:
    case Op::kLengthGte:
      return RelationOfOrder(CompareNumbers(before.bound, after.bound));
    case Op::kIn:
    case Op::kCidr:
    case Op::kDomain:
      return CompareLists(before, after);
    case Op::kNotIn:
      return Inverted(CompareLists(before, after));
    default:
      return before.bound == after.bound ? Relation::kEqual : Relation::kOther;
  }
}

ChangeKind KindOf(Relation relation) {
  if (relation == Relation::kWider) return ChangeKind::kLoosened;
  return relation == Relation::kNarrower ? ChangeKind::kTightened : ChangeKind::kChanged;
}

const Condition* FindSame(const std::vector<Condition>& conditions, const Condition& wanted) {
  for (const Condition& condition : conditions) {
    if (condition.op == wanted.op && condition.path == wanted.path) return &condition;
  }
  return nullptr;
}

void CompareConditions(const std::vector<Condition>& before, const std::vector<Condition>& after,
                       const std::string& prefix, std::vector<BodyChange>& changes) {
  for (const Condition& old_condition : before) {
    const Condition* now = FindSame(after, old_condition);
    if (now == nullptr) {
      changes.push_back(
          {ChangeKind::kLoosened, prefix + "no longer needs " + SaidOf(old_condition)});
      continue;
    }
    const Relation relation = CompareBounds(old_condition, *now);
    if (relation == Relation::kEqual) continue;
    changes.push_back({KindOf(relation), prefix + SaidOf(old_condition) + " -> " + now->bound});
  }
  for (const Condition& condition : after) {
    if (FindSame(before, condition) != nullptr) continue;
    changes.push_back({ChangeKind::kTightened, prefix + "now needs " + SaidOf(condition)});
  }
}

// The one caller with that type and pattern; nullptr when there is none or more than one, whose
// conditions cannot be paired.
const Caller* FindSame(const std::vector<Caller>& callers, const Caller& wanted) {
  const Caller* found = nullptr;
  for (const Caller& caller : callers) {
    if (caller.type != wanted.type || caller.pattern != wanted.pattern) continue;
    if (found != nullptr) return nullptr;
    found = &caller;
  }
  return found;
}

void CompareCallers(const Entry& before, const Entry& after, std::vector<BodyChange>& changes) {
  const std::vector<Caller>& old_callers = CallersOf(before);
  const std::vector<Caller>& new_callers = CallersOf(after);
  for (const Caller& caller : old_callers) {
    const std::string who = caller.type + ":" + caller.pattern;
    const Caller* now = FindSame(new_callers, caller);
    if (now == nullptr) {
      if (std::find(new_callers.begin(), new_callers.end(), caller) != new_callers.end()) continue;
      changes.push_back({ChangeKind::kTightened, "no longer on behalf of " + who});
    } else {
      CompareConditions(caller.conditions, now->conditions, "on behalf of " + who + ": ", changes);
    }
  }
  for (const Caller& caller : new_callers) {
    if (FindSame(old_callers, caller) != nullptr) continue;
    if (std::find(old_callers.begin(), old_callers.end(), caller) != old_callers.end()) continue;
    changes.push_back(
        {ChangeKind::kLoosened, "now on behalf of " + caller.type + ":" + caller.pattern});
  }
}

bool HoursCover(Hours wide, Hours narrow) {
  if (wide == narrow) return true;
  if (wide.from > wide.to || narrow.from > narrow.to) return false;
  return wide.from <= narrow.from && narrow.to <= wide.to;
}

bool ScheduleCovers(const Schedule& wide, const Schedule& narrow) {
  const bool days = (wide.days & narrow.days) == narrow.days;
  const bool all_day = wide.hours == Hours{} && wide.days == 0x7F;
  return all_day ||
         (wide.timezone == narrow.timezone && days && HoursCover(wide.hours, narrow.hours));
}

void CompareSchedules(const Entry& before, const Entry& after, std::vector<BodyChange>& changes) {
  const Schedule always;
  const Schedule& old_schedule = before.schedule ? *before.schedule : always;
  const Schedule& new_schedule = after.schedule ? *after.schedule : always;
  const bool wider = ScheduleCovers(new_schedule, old_schedule);
  const bool narrower = ScheduleCovers(old_schedule, new_schedule);
  if (wider && narrower) return;
  const ChangeKind kind = wider      ? ChangeKind::kLoosened
                          : narrower ? ChangeKind::kTightened
                                     : ChangeKind::kChanged;
  auto said = [](const Entry& entry) {
    return entry.schedule ? entry.schedule->ToString() : std::string("always");
  };
  changes.push_back({kind, "schedule " + said(before) + " -> " + said(after)});
}

}  // namespace

std::vector<BodyChange> CompareBodies(const Entry& before, const Entry& after) {
  std::vector<BodyChange> changes;
  if (before.mode != after.mode) {
    const bool shadow = after.mode == Mode::kShadow;
    changes.push_back({shadow ? ChangeKind::kLoosened : ChangeKind::kTightened,
                       shadow ? "mode enforce -> shadow: refusals are only recorded"
                              : "mode shadow -> enforce: refusals now count"});
  }
  CompareConditions(before.conditions, after.conditions, "", changes);
  CompareCallers(before, after, changes);
  CompareSchedules(before, after, changes);
  return changes;
}

bool AllowsAll(const Entry& wide, const Entry& narrow) {
  if (wide.mode != narrow.mode) return false;
  const std::vector<BodyChange> changes = CompareBodies(narrow, wide);
  return std::all_of(changes.begin(), changes.end(),
                     [](const BodyChange& change) { return change.kind == ChangeKind::kLoosened; });
}

// What a star of `narrow` stands for is taken by the star of `wide` that took the star itself.
bool PatternCovers(std::string_view wide, std::string_view narrow) {
  return MatchesWildcard(wide, narrow);
}

std::string DescribeBody(const Entry& entry) {
  std::string text;
  for (const Condition& condition : entry.conditions) {
    if (!text.empty()) text += ", ";
    text += SaidOf(condition);
  }
  auto add = [&text](const std::string& part) { text += text.empty() ? part : "; " + part; };
  if (entry.callers) {
    std::string callers;
    for (const Caller& caller : *entry.callers) {
      callers += callers.empty() ? "" : ", ";
      callers += caller.type + ":" + caller.pattern;
      if (!caller.conditions.empty()) callers += " (held tighter)";
    }
    add("callers " + (callers.empty() ? std::string("nobody") : callers));
  }
  if (entry.schedule) add(entry.schedule->ToString());
  if (entry.mode == Mode::kShadow) add("shadow");
  return text;
}

}  // namespace aegis::policy
