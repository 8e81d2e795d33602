#include "aegis/rego/optimize/body.h"

namespace aegis::rego::internal {

Liveness::Liveness(const Body& body)
    : size_(body.ops.size()), rows_(body.ops.size() + 1, body.registers) {
  std::vector<uint64_t> row(rows_.words()), edge(rows_.words());
  bool changed = true;
  while (changed) {
    changed = false;
    for (uint32_t i = body.size(); i-- > 0;) {
      Op& op = body.ops[i];
      std::fill(row.begin(), row.end(), 0);
      const auto add_edge = [&](uint32_t to, bool jumps) {
        std::copy_n(rows_.row(to), rows_.words(), edge.data());
        EachWrite(op, jumps,
                  [&](int32_t written) { ClearBit(edge.data(), static_cast<size_t>(written)); });
        for (size_t w = 0; w < row.size(); ++w) row[w] |= edge[w];
      };
      if (FallsThrough(op.code)) add_edge(i + 1, false);
      if (op.jump != kNone) add_edge(op.jump, true);
      EachRead(body, op, [&](int32_t read) { SetBit(row.data(), static_cast<size_t>(read)); });
      if (!std::equal(row.begin(), row.end(), rows_.row(i))) {
        std::copy(row.begin(), row.end(), rows_.row(i));
        changed = true;
      }
    }
  }
}

uint32_t SkipNops(const Body& body, uint32_t at) {
  while (at < body.size() && body.ops[at].code == OpCode::kNop) ++at;
  return at;
}

uint32_t Destination(const Body& body, uint32_t at) {
  at = SkipNops(body, at);
  for (int hops = 0; hops < 64 && body.ops[at].code == OpCode::kJump; ++hops) {
    at = SkipNops(body, body.ops[at].jump);
  }
  return at;
}

std::vector<bool> JumpTargets(const Body& body) {
  std::vector<bool> targets(body.ops.size(), false);
  for (const Op& op : body.ops) {
    if (op.jump != kNone) targets[op.jump] = true;
  }
  return targets;
}

namespace {

bool DropUnreachable(Body& body) {
  std::vector<bool> reached(body.ops.size(), false);
  std::vector<uint32_t> todo = {0};
  while (!todo.empty()) {
    const uint32_t at = todo.back();
    todo.pop_back();
    if (at >= body.size() || reached[at]) continue;
    reached[at] = true;
    if (body.ops[at].jump != kNone) todo.push_back(body.ops[at].jump);
    if (FallsThrough(body.ops[at].code)) todo.push_back(at + 1);
  }
  bool changed = false;
  for (uint32_t i = 0; i < body.size(); ++i) {
    if (reached[i] || body.ops[i].code == OpCode::kNop) continue;
    body.ops[i] = Op{.code = OpCode::kNop};
    changed = true;
  }
  return changed;
}

}  // namespace

void ThreadJumps(Body& body) {
  bool changed = true;
  while (changed) {
    changed = false;
    for (Op& op : body.ops) {
      if (op.jump != kNone) op.jump = Destination(body, op.jump);
    }
    for (uint32_t i = 0; i < body.size(); ++i) {
      Op& op = body.ops[i];
      const bool jumps_on = op.jump != kNone && op.jump == Destination(body, i + 1);
      if (!jumps_on) continue;
      if (op.code == OpCode::kJump || IsTest(op.code)) {
        op = Op{.code = OpCode::kNop};
        changed = true;
      } else if (op.code == OpCode::kMoveJump) {
        op.code = OpCode::kMove;
        op.jump = kNone;
        changed = true;
      }
    }
    changed = DropUnreachable(body) || changed;
  }
}

std::vector<uint32_t> Compact(Body& body) {
  std::vector<uint32_t> moved(body.ops.size() + 1);
  uint32_t count = 0;
  for (uint32_t i = 0; i < body.size(); ++i) {
    moved[i] = count;
    if (body.ops[i].code != OpCode::kNop) ++count;
  }
  moved[body.ops.size()] = count;
  std::erase_if(body.ops, [](const Op& op) { return op.code == OpCode::kNop; });
  for (Op& op : body.ops) {
    if (op.jump != kNone) op.jump = moved[op.jump];
  }
  return moved;
}

std::vector<uint32_t> Insertions::Apply(Body& body) {
  std::stable_sort(list_.begin(), list_.end(),
                   [](const Insertion& x, const Insertion& y) { return x.at < y.at; });
  std::vector<Op> out;
  out.reserve(body.ops.size() + list_.size());
  // Where op i itself is now, and where what jumps to it goes.
  std::vector<uint32_t> moved(body.ops.size() + 1), entry(body.ops.size() + 1);
  size_t next = 0;
  for (uint32_t i = 0; i <= body.size(); ++i) {
    entry[i] = static_cast<uint32_t>(out.size());
    for (; next < list_.size() && list_[next].at == i; ++next) out.push_back(list_[next].op);
    moved[i] = static_cast<uint32_t>(out.size());
    if (i < body.size()) out.push_back(body.ops[i]);
  }
  for (Op& op : out) {
    if (op.jump != kNone) op.jump = entry[op.jump];
  }
  body.ops = std::move(out);
  list_.clear();
  return moved;
}

namespace {

// Forward: for each op the registers that are defined, and those that are undefined, whenever it
// is reached.
class Definedness {
 public:
  explicit Definedness(Body& body)
      : body_(body),
        words_(body.registers / 64 + 1),
        rows_(body.ops.size() + 1, words_ * 128, true),
        state_(2 * words_) {
    std::fill_n(rows_.row(0), 2 * words_, 0);
  }

  void Run() {
    bool changed = true;
    while (changed) {
      changed = false;
      for (uint32_t i = 0; i < body_.size(); ++i) {
        if (FallsThrough(body_.ops[i].code)) changed = Meet(i, false, i + 1) || changed;
        if (body_.ops[i].jump != kNone) changed = Meet(i, true, body_.ops[i].jump) || changed;
      }
    }
  }

  enum class Fact { kUnknown, kDefined, kUndefined };

  // Before op i.
  Fact Before(uint32_t i, int32_t operand) { return Read(rows_.row(i), operand); }
  // Loads the facts on one of the ways out of op i, for Now.
  void Leave(uint32_t i, bool jumps) {
    std::copy_n(rows_.row(i), 2 * words_, state_.data());
    Pass(body_.ops[i], jumps);
  }
  Fact Now(int32_t operand) { return Read(state_.data(), operand); }

 private:
  Fact Read(const uint64_t* row, int32_t operand) const {
    if (operand < 0) {
      return body_.folding.Constant(operand).is_undefined() ? Fact::kUndefined : Fact::kDefined;
    }
    const auto bit = static_cast<size_t>(operand);
    if (TestBit(row, bit)) return Fact::kDefined;
    return TestBit(row + words_, bit) ? Fact::kUndefined : Fact::kUnknown;
  }
  void Set(int32_t operand, Fact fact) {
    if (operand < 0) return;
    const auto bit = static_cast<size_t>(operand);
    ClearBit(state_.data(), bit);
    ClearBit(state_.data() + words_, bit);
    if (fact == Fact::kDefined) SetBit(state_.data(), bit);
    if (fact == Fact::kUndefined) SetBit(state_.data() + words_, bit);
  }

  bool Meet(uint32_t from, bool jumps, uint32_t to) {
    Leave(from, jumps);
    uint64_t* target = rows_.row(to);
    bool changed = false;
    for (size_t w = 0; w < 2 * words_; ++w) {
      const uint64_t both = target[w] & state_[w];
      changed = changed || both != target[w];
      target[w] = both;
    }
    return changed;
  }

  void Pass(const Op& op, bool jumps) {
    const auto defined_if = [](bool yes) { return yes ? Fact::kDefined : Fact::kUndefined; };
    switch (op.code) {
      case OpCode::kMove:
      case OpCode::kMoveJump:
        Set(op.c, Now(op.a));
        return;
      case OpCode::kMoveOnce: {
        // With a jump, a is defined on that way and not on the other.
        if (op.jump != kNone) Set(op.a, defined_if(jumps));
        const Fact a = Now(op.a), c = Now(op.c);
        if (a == Fact::kDefined || c == Fact::kDefined) {
          Set(op.c, Fact::kDefined);
        } else if (a != Fact::kUndefined) {
          Set(op.c, Fact::kUnknown);
        }
        return;
      }
      case OpCode::kIsDefined:
        Set(op.a, defined_if(!jumps));
        return;
      case OpCode::kIsUndefined:
        Set(op.a, defined_if(jumps));
        return;
      case OpCode::kEqual:
        if (!jumps && Now(op.a) == Fact::kDefined) Set(op.b, Fact::kDefined);
        if (!jumps && Now(op.b) == Fact::kDefined) Set(op.a, Fact::kDefined);
        return;
      case OpCode::kCompareJump:
      case OpCode::kMemberJump:
        if (!jumps) Set(op.b, Fact::kDefined);
        [[fallthrough]];
      case OpCode::kIsType:
        if (!jumps) Set(op.a, Fact::kDefined);
        return;
      case OpCode::kArrayAppend:
      case OpCode::kObjectInsert:
      case OpCode::kObjectInsertOnce:
      case OpCode::kSetAdd:
        if (!jumps) Set(op.c, Fact::kDefined);
        return;
      case OpCode::kWithBegin:
        if (jumps) return;
        Set(op.b, Now(op.c));
        // A member was put into it, or it was replaced.
        Set(op.c, op.extra != kNone ? Fact::kDefined : Now(op.a));
        return;
      case OpCode::kWithEnd:
        Set(op.c, Now(op.b));
        return;
      default:
        break;
    }
    if (op.code == OpCode::kLoad) {
      Set(op.c, Fact::kUnknown);
      return;
    }
    if (HasResult(op.code)) {
      Set(op.c, defined_if(!jumps));
      return;
    }
    // Elements are never undefined.
    EachWrite(op, jumps, [&](int32_t written) { Set(written, Fact::kDefined); });
  }

  Body& body_;
  size_t words_;
  BitRows rows_;  // defined, then undefined
  std::vector<uint64_t> state_;
};

}  // namespace

void FollowKnownTests(Body& body) {
  if (!FitsTables(body, 2 * body.registers)) return;
  using Fact = Definedness::Fact;
  Definedness facts(body);
  facts.Run();
  // Whether a test always passes (kDefined) or fails, given what is known of its operand; `fact_of`
  // is asked for tests only: what others have for operand `a` may be no register.
  const auto outcome = [](const Op& test, const auto& fact_of) {
    const bool asks_defined = test.code == OpCode::kIsDefined;
    if (!asks_defined && test.code != OpCode::kIsUndefined) return Fact::kUnknown;
    const Fact fact = fact_of(test.a);
    if (fact == Fact::kUnknown) return fact;
    return (fact == Fact::kDefined) == asks_defined ? Fact::kDefined : Fact::kUndefined;
  };
  // Where the way that was left to `at` goes on behind the tests that it is known to pass or fail.
  const auto follow = [&](uint32_t at) {
    for (int hops = 0; hops < 1000; ++hops) {
      at = Destination(body, at);
      const Op& test = body.ops[at];
      const Fact passes = outcome(test, [&](int32_t operand) { return facts.Now(operand); });
      if (passes == Fact::kUnknown) break;
      at = passes == Fact::kDefined ? at + 1 : test.jump;
    }
    return at;
  };
  for (uint32_t i = 0; i < body.size(); ++i) {
    Op& op = body.ops[i];
    if (op.code == OpCode::kNop) continue;
    if (op.jump != kNone) {
      facts.Leave(i, true);
      op.jump = follow(op.jump);
      continue;
    }
    if (!IsMove(op.code) && op.code != OpCode::kMoveOnce) continue;
    // Behind "c = a" the tests of c that follow are passed over.
    facts.Leave(i, false);
    const uint32_t next = Destination(body, i + 1), to = follow(i + 1);
    if (to == next) continue;
    if (op.code == OpCode::kMove) {
      op.code = OpCode::kMoveJump;
      op.jump = to;
    } else if (facts.Now(op.a) == Fact::kDefined) {
      op.jump = to;
    }
  }
  for (uint32_t i = 0; i < body.size(); ++i) {
    Op& op = body.ops[i];
    const Fact passes = outcome(op, [&](int32_t operand) { return facts.Before(i, operand); });
    if (passes != Fact::kUnknown) {
      op = passes == Fact::kDefined ? Op{.code = OpCode::kNop}
                                    : Op{.code = OpCode::kJump, .jump = op.jump};
      continue;
    }
    // The first value that is set is no conflict.
    if (op.code == OpCode::kMoveOnce && facts.Before(i, op.c) == Fact::kUndefined) {
      const bool is_defined = facts.Before(i, op.a) == Fact::kDefined;
      if (op.jump == kNone) {
        op.code = OpCode::kMove;
      } else if (is_defined) {
        op.code = OpCode::kMoveJump;
      }
    }
  }
}

}  // namespace aegis::rego::internal
