// Reads members of what does not change in a loop once, in front of it: `input.user` in the body of
// `some role in data.roles[…]` stays the same from round to round.
#include <map>

#include "aegis/rego/optimize/body.h"

namespace aegis::rego::internal {
namespace {

// The ops from the first of a loop's body to its kScanNext or kWalkNext.
struct Loop {
  uint32_t begin;  // the kScanBegin or kWalkBegin, in front of the body
  uint32_t body;
  uint32_t next;
};

// Loops whose body is entered at its begin only, outer ones first.
std::vector<Loop> FindLoops(const Body& body) {
  std::vector<Loop> loops;
  std::map<int32_t, uint32_t> begins;  // by iterator
  for (uint32_t i = 0; i < body.size(); ++i) {
    const Op& op = body.ops[i];
    if (op.code == OpCode::kScanBegin || op.code == OpCode::kWalkBegin) begins[op.b] = i;
    if (op.code != OpCode::kScanNext && op.code != OpCode::kWalkNext) continue;
    const auto begin = begins.find(op.b);
    if (begin != begins.end() && begin->second + 1 == op.jump) {
      loops.push_back({begin->second, op.jump, i});
    }
  }
  std::sort(loops.begin(), loops.end(),
            [](const Loop& x, const Loop& y) { return x.begin < y.begin; });
  return loops;
}

// For each op the innermost loop of whose every round it is a part: nothing but what ends the round
// comes between its begin and the op. SIZE_MAX: none.
std::vector<size_t> AlwaysReached(const Body& body, const std::vector<Loop>& loops) {
  std::vector<size_t> out(body.ops.size(), SIZE_MAX);
  const std::vector<bool> targets = JumpTargets(body);
  for (size_t l = 0; l < loops.size(); ++l) {
    for (uint32_t i = loops[l].body; i < loops[l].next; ++i) {
      const Op& op = body.ops[i];
      if (i != loops[l].body && targets[i]) break;
      out[i] = l;
      if (!FallsThrough(op.code) || (op.jump != kNone && op.jump < loops[l].next)) break;
    }
  }
  return out;
}

}  // namespace

bool HoistLoads(Body& body) {
  const std::vector<Loop> loops = FindLoops(body);
  if (loops.empty()) return false;
  // In front of a loop, what is loaded there: (a, b) to register.
  std::map<std::pair<uint32_t, std::pair<int32_t, int32_t>>, int32_t> loaded;
  Insertions insertions;
  const std::vector<size_t> reached = AlwaysReached(body, loops);
  std::vector<std::vector<bool>> written(loops.size());  // registers, by loop
  for (uint32_t i = 0; i < body.size(); ++i) {
    Op& op = body.ops[i];
    const bool loads = op.code == OpCode::kDot || op.code == OpCode::kLoad;
    if (!loads || op.a < 0 || op.b >= 0 || reached[i] == SIZE_MAX) continue;
    const Loop& loop = loops[reached[i]];
    std::vector<bool>& changes = written[reached[i]];
    if (changes.empty()) {
      changes.resize(body.registers, false);
      for (uint32_t k = loop.begin; k <= loop.next; ++k) {
        EachWrite(body.ops[k],
                  [&](int32_t number) { changes[static_cast<size_t>(number)] = true; });
      }
    }
    if (static_cast<size_t>(op.a) >= changes.size() || changes[static_cast<size_t>(op.a)]) continue;
    const auto [known, added] = loaded.emplace(std::pair(loop.begin, std::pair(op.a, op.b)), 0);
    if (added) {
      known->second = body.NewRegister();
      insertions.Before(loop.begin,
                        Op{.code = OpCode::kLoad, .a = op.a, .b = op.b, .c = known->second});
    }
    if (op.code == OpCode::kLoad) {
      op = Op{.code = OpCode::kMove, .a = known->second, .c = op.c};
      continue;
    }
    // Undefined, c is what the kDot would have made it; defined, it is a copy.
    insertions.Before(i, Op{.code = OpCode::kMove, .a = known->second, .c = op.c});
    op = Op{.code = OpCode::kIsDefined, .a = known->second, .jump = op.jump};
  }
  if (insertions.empty()) return false;
  insertions.Apply(body);
  return true;
}

}  // namespace aegis::rego::internal
