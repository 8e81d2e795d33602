// Rules of one function read the same parts of their arguments, each for itself: what was loaded
// already, and is still there, is not loaded again.
#include <map>
#include <tuple>

#include "aegis/rego/optimize/body.h"

namespace aegis::rego::internal {
namespace {

// Register c holds what a[b] is, undefined if there is no such member.
using Fact = std::tuple<int32_t, int32_t, int32_t>;  // a, b, c

bool IsLoad(const Op& op) {
  return (op.code == OpCode::kDot || op.code == OpCode::kLoad) && op.a >= 0 && op.b < 0;
}

// For each op the facts that hold whenever it is reached.
class KnownLoads {
 public:
  explicit KnownLoads(const Body& body) : body_(body), touching_(body.registers) {
    for (const Op& op : body.ops) {
      // On both ways out of it.
      if (!IsLoad(op) || op.a == op.c) continue;
      const auto number = static_cast<uint32_t>(facts_.size());
      const auto [known, added] = facts_.emplace(Fact{op.a, op.b, op.c}, number);
      if (!added) continue;
      touching_[static_cast<size_t>(op.a)].push_back(number);
      touching_[static_cast<size_t>(op.c)].push_back(number);
    }
  }

  // False when there is nothing to be known, or too much.
  bool Run() {
    if (facts_.empty() || !FitsTables(body_, facts_.size())) return false;
    rows_ = BitRows(body_.ops.size() + 1, facts_.size(), true);
    std::fill_n(rows_.row(0), rows_.words(), 0);
    std::vector<uint64_t> state(rows_.words());
    bool changed = true;
    const auto leave = [&](uint32_t i, bool jumps, uint32_t to) {
      const Op& op = body_.ops[i];
      std::copy_n(rows_.row(i), rows_.words(), state.data());
      EachWrite(op, jumps, [&](int32_t written) {
        for (const uint32_t fact : touching_[static_cast<size_t>(written)]) {
          ClearBit(state.data(), fact);
        }
      });
      if (IsLoad(op) && op.a != op.c) SetBit(state.data(), facts_.at(Fact{op.a, op.b, op.c}));
      uint64_t* const target = rows_.row(to);
      for (size_t w = 0; w < state.size(); ++w) {
        changed = changed || (target[w] & ~state[w]) != 0;
        target[w] &= state[w];
      }
    };
    while (changed) {
      changed = false;
      for (uint32_t i = 0; i < body_.size(); ++i) {
        if (FallsThrough(body_.ops[i].code)) leave(i, false, i + 1);
        if (body_.ops[i].jump != kNone) leave(i, true, body_.ops[i].jump);
      }
    }
    return true;
  }

  // A register that holds what the load of op i gives, the op's own if it does; -1: there is none.
  int32_t Holding(uint32_t i) const {
    const Op& op = body_.ops[i];
    int32_t found = -1;
    for (auto known = facts_.lower_bound(Fact{op.a, op.b, 0}); known != facts_.end(); ++known) {
      const auto& [a, b, c] = known->first;
      if (a != op.a || b != op.b) break;
      if (!TestBit(rows_.row(i), known->second)) continue;
      if (found < 0 || c == op.c) found = c;
    }
    return found;
  }

 private:
  const Body& body_;
  std::map<Fact, uint32_t> facts_;               // to their numbers
  std::vector<std::vector<uint32_t>> touching_;  // by register, the facts that a write to it ends
  BitRows rows_{0, 0};
};

}  // namespace

bool ReuseLoads(Body& body) {
  KnownLoads known(body);
  if (!known.Run()) return false;
  Insertions insertions;
  bool changed = false;
  for (uint32_t i = 0; i < body.size(); ++i) {
    Op& op = body.ops[i];
    if (!IsLoad(op)) continue;
    const int32_t held = known.Holding(i);
    if (held < 0) continue;
    changed = true;
    const Op move{.code = OpCode::kMove, .a = held, .c = op.c};
    if (op.code == OpCode::kLoad) {
      op = move;
      continue;
    }
    // Undefined, c is what the kDot would have made it.
    if (held != op.c) insertions.Before(i, move);
    op = Op{.code = OpCode::kIsDefined, .a = held, .jump = op.jump};
  }
  if (!insertions.empty()) insertions.Apply(body);
  return changed;
}

}  // namespace aegis::rego::internal
