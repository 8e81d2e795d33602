#include "aegis/decision/query.h"

#include <algorithm>
#include <array>

#include "aegis/decision/input.h"

namespace aegis::decision {
namespace {

using rego::Value;

constexpr std::array<InputPlan::Part, 6> kOurs = {InputPlan::kAgent,  InputPlan::kChain,
                                                  InputPlan::kDoor,   InputPlan::kOrg,
                                                  InputPlan::kTenant, InputPlan::kTime};

const InputPlan& IdentityPlan() {
  static const InputPlan* const plan = [] {
    auto* made = new InputPlan(InputPlan::All());
    made->reached.fill(false);
    for (const InputPlan::Part part : kOurs) made->reached[part] = true;
    return made;
  }();
  return *plan;
}

// Takes the size of the text off `left`; false as soon as it is more.
bool Take(Value value, size_t& left) {
  const auto take = [&](size_t bytes) {
    if (bytes > left) return false;
    left -= bytes;
    return true;
  };
  switch (value.type()) {
    case rego::Type::kString:
      return take(value.string_value().size() + 2);
    case rego::Type::kArray:
    case rego::Type::kSet:
      if (!take(2)) return false;
      for (const Value element : value.elements()) {
        if (!take(1) || !Take(element, left)) return false;
      }
      return true;
    case rego::Type::kObject:
      if (!take(2)) return false;
      for (const rego::Member& member : value.members()) {
        if (!take(2) || !Take(member.key, left) || !Take(member.value, left)) return false;
      }
      return true;
    default:
      return take(1);
  }
}

}  // namespace

Result<Value> BuildQueryInput(const Call& call, Value sent, Arena& arena) {
  if (!sent.is_object()) return sent;
  const InputPlan& plan = IdentityPlan();
  AEGIS_TRY(const Value ours, BuildInput(call, plan, arena));
  rego::ObjectBuilder merged(arena, sent.size() + kOurs.size());
  for (const rego::Member& member : sent.members()) {
    const bool replaced = std::any_of(kOurs.begin(), kOurs.end(), [&](InputPlan::Part part) {
      return rego::Equal(member.key, plan.parts[part]);
    });
    if (!replaced) merged.Add(member.key, member.value);
  }
  for (const rego::Member& member : ours.members()) merged.Add(member.key, member.value);
  const Value built = merged.Build();
  if (built.is_undefined()) {
    return Fail(Code::kResourceExhausted, "call_too_large",
                "the input needs more memory than a decision may have");
  }
  return built;
}

bool JsonFits(Value value, size_t max_bytes) { return Take(value, max_bytes); }

}  // namespace aegis::decision
