// Once a complete rule, a function or a condition of `every` has its value, the planner's code goes
// on with what could only give the same value again. This pass jumps over that.
#include <map>
#include <set>

#include "aegis/rego/optimize/body.h"

namespace aegis::rego::internal {
namespace {

constexpr uint32_t kUnreached = UINT32_MAX;
// Bound of the whole pass, in ops that are looked at.
constexpr size_t kMaxWork = size_t{1} << 23;
// A register that is set to more values than that is not settled by one of them.
constexpr size_t kMaxValues = 8;

// The ways through a body while register `settled` holds the constant `value`.
class SettledWays {
 public:
  SettledWays(const Body& body, const Liveness& live, int32_t settled, Value value, size_t& work)
      : body_(body), live_(live), settled_(settled), value_(value), end_(body.size()), work_(work) {
    FindMeetingPoints();
  }

  // From `from` on: the furthest op that is reached whatever happens, with nothing changed that
  // is read there. `from` itself if nothing on the way is about the settled register: what is done
  // in vain for other reasons may still end in a conflict, as it does in OPA.
  uint32_t Furthest(uint32_t from) {
    uint32_t at = from;
    bool settles = false;
    while (at < end_) {
      const auto [known, added] = steps_.emplace(at, Step{at, false});
      Step& step = known->second;
      if (added && meeting_[at] < end_ && IsClean(at, meeting_[at], step.settles)) {
        step.to = meeting_[at];
      }
      if (step.to == at) break;
      at = step.to;
      settles = settles || step.settles || (at < end_ && IsAboutSettled(body_.ops[at]));
    }
    return settles ? at : from;
  }

 private:
  struct Ways {
    uint32_t to[2];
    int count = 0;
    void Add(uint32_t at) { to[count++] = at; }
  };

  bool IsValue(int32_t operand) const {
    return operand < 0 && Equal(body_.folding.Constant(operand), value_);
  }

  // Where op i goes, with tests of the settled register decided.
  Ways WaysFrom(uint32_t i) const {
    const Op& op = body_.ops[i];
    bool falls = FallsThrough(op.code), jumps = op.jump != kNone;
    const auto decide = [&](bool holds) { (holds ? jumps : falls) = false; };
    if (op.code == OpCode::kIsDefined && op.a == settled_) decide(true);
    if (op.code == OpCode::kIsUndefined && op.a == settled_) decide(false);
    if ((op.code == OpCode::kEqual || op.code == OpCode::kNotEqual) && op.a == settled_ &&
        op.b < 0) {
      decide(IsValue(op.b) == (op.code == OpCode::kEqual));
    }
    if (op.code == OpCode::kMoveOnce && jumps && op.a < 0) decide(false);
    Ways ways;
    if (falls) ways.Add(i + 1);
    if (jumps) ways.Add(op.jump);
    if (ways.count == 0) ways.Add(end_);
    return ways;
  }

  // Immediate post-dominators (Cooper, Harvey, Kennedy: A Simple, Fast Dominance Algorithm).
  void FindMeetingPoints() {
    std::vector<std::vector<uint32_t>> sources(end_ + 1);
    for (uint32_t i = 0; i < end_; ++i) {
      const Ways ways = WaysFrom(i);
      for (int k = 0; k < ways.count; ++k) sources[ways.to[k]].push_back(i);
    }
    // In postorder from the end backwards.
    std::vector<uint32_t> number(end_ + 1, kUnreached), order;
    std::vector<std::pair<uint32_t, size_t>> stack = {{end_, 0}};
    std::vector<bool> seen(end_ + 1, false);
    seen[end_] = true;
    while (!stack.empty()) {
      auto& [at, next] = stack.back();
      if (next < sources[at].size()) {
        const uint32_t source = sources[at][next++];
        if (!seen[source]) {
          seen[source] = true;
          stack.emplace_back(source, 0);
        }
        continue;
      }
      number[at] = static_cast<uint32_t>(order.size());
      order.push_back(at);
      stack.pop_back();
    }
    meeting_.assign(end_ + 1, kUnreached);
    meeting_[end_] = end_;
    bool changed = true;
    while (changed) {
      changed = false;
      for (size_t k = order.size() - 1; k-- > 0;) {
        const uint32_t at = order[k];
        const Ways ways = WaysFrom(at);
        uint32_t found = kUnreached;
        for (int w = 0; w < ways.count; ++w) {
          const uint32_t to = ways.to[w];
          if (meeting_[to] == kUnreached) continue;
          found = found == kUnreached ? to : Meet(found, to, number);
        }
        changed = changed || meeting_[at] != found;
        meeting_[at] = found;
      }
      work_ += order.size();
    }
  }
  uint32_t Meet(uint32_t a, uint32_t b, const std::vector<uint32_t>& number) const {
    while (a != b) {
      while (number[a] < number[b]) a = meeting_[a];
      while (number[b] < number[a]) b = meeting_[b];
    }
    return a;
  }

  // Whether it tests the settled register, or sets it unless it is set.
  bool IsAboutSettled(const Op& op) const {
    const bool tests = op.code == OpCode::kIsDefined || op.code == OpCode::kIsUndefined ||
                       op.code == OpCode::kEqual || op.code == OpCode::kNotEqual;
    return (tests && op.a == settled_) || (op.code == OpCode::kMoveOnce && op.c == settled_);
  }

  // Whether nothing between `from` and `to` has an effect that is seen at `to`; `settles`: whether
  // something there is about the settled register.
  bool IsClean(uint32_t from, uint32_t to, bool& settles) {
    std::vector<uint32_t> todo = {from};
    std::set<uint32_t> seen = {from};
    while (!todo.empty()) {
      const uint32_t at = todo.back();
      todo.pop_back();
      if (at >= end_ || !HasNoEffect(body_.ops[at], to) || ++work_ > kMaxWork) return false;
      settles = settles || IsAboutSettled(body_.ops[at]);
      const Ways ways = WaysFrom(at);
      for (int k = 0; k < ways.count; ++k) {
        if (ways.to[k] != to && seen.insert(ways.to[k]).second) todo.push_back(ways.to[k]);
      }
    }
    return true;
  }

  bool HasNoEffect(const Op& op, uint32_t to) const {
    switch (op.code) {
      case OpCode::kResultAdd:
      case OpCode::kWithBegin:
      case OpCode::kWithEnd:
      case OpCode::kReturn:
      case OpCode::kHalt:
        return false;
      default:
        break;
    }
    bool clean = true;
    EachWrite(op, [&](int32_t written) {
      if (written != settled_) {
        clean = clean && !live_.IsLive(to, written);
      } else {
        clean = clean && (IsMove(op.code) || op.code == OpCode::kMoveOnce) && IsValue(op.a);
      }
    });
    return clean;
  }

  const Body& body_;
  const Liveness& live_;
  const int32_t settled_;
  const Value value_;
  const uint32_t end_;
  size_t& work_;
  std::vector<uint32_t> meeting_;  // where all ways from an op meet again
  struct Step {
    uint32_t to;
    bool settles;
  };
  std::map<uint32_t, Step> steps_;
};

}  // namespace

void ExitEarly(Body& body) {
  const Liveness live(body);
  std::map<std::pair<int32_t, int32_t>, std::vector<uint32_t>> settling;  // (c, a) -> ops
  for (uint32_t i = 0; i < body.size(); ++i) {
    const Op& op = body.ops[i];
    const bool sets = IsMove(op.code) || op.code == OpCode::kMoveOnce;
    if (!sets || op.a >= 0 || body.folding.Constant(op.a).is_undefined()) continue;
    settling[{op.c, op.a}].push_back(i);
  }
  std::map<int32_t, size_t> values;  // how many each register is set to
  for (const auto& [what, ops] : settling) ++values[what.first];
  size_t work = 0;
  struct Exit {
    uint32_t op, to;
  };
  std::vector<Exit> exits;
  for (const auto& [what, ops] : settling) {
    if (values[what.first] > kMaxValues) continue;
    if (work + body.ops.size() > kMaxWork) break;
    SettledWays ways(body, live, what.first, body.folding.Constant(what.second), work);
    for (const uint32_t i : ops) {
      const Op& op = body.ops[i];
      const uint32_t next = op.jump != kNone ? op.jump : i + 1;
      const uint32_t furthest = ways.Furthest(next);
      if (furthest != next && furthest != Destination(body, next)) exits.push_back({i, furthest});
    }
  }
  for (const auto& [i, to] : exits) {
    Op& op = body.ops[i];
    if (op.code == OpCode::kMove) op.code = OpCode::kMoveJump;
    op.jump = to;
  }
}

}  // namespace aegis::rego::internal
