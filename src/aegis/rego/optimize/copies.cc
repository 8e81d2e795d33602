#include "aegis/rego/optimize/body.h"

namespace aegis::rego::internal {

void PropagateCopies(Body& body) {
  std::vector<Op>& ops = body.ops;
  std::vector<uint32_t> copies;
  std::vector<int32_t> copied;  // what each copies, before that is replaced too
  for (uint32_t i = 0; i < ops.size(); ++i) {
    if (!IsMove(ops[i].code) || ops[i].a == ops[i].c) continue;
    copies.push_back(i);
    copied.push_back(ops[i].a);
  }
  if (copies.empty() || !FitsTables(body, copies.size())) return;
  // By register, the copies that a write to it ends.
  std::vector<std::vector<uint32_t>> touching(body.registers);
  for (uint32_t i = 0; i < copies.size(); ++i) {
    const Op& copy = ops[copies[i]];
    touching[static_cast<size_t>(copy.c)].push_back(i);
    if (copy.a >= 0) touching[static_cast<size_t>(copy.a)].push_back(i);
  }
  // available.row(i): copies that hold before op i. Starts with all and loses.
  BitRows available(ops.size() + 1, copies.size(), true);
  std::fill_n(available.row(0), available.words(), 0);
  std::vector<uint64_t> next(available.words());
  std::vector<uint32_t> copy_at(ops.size(), kNone);
  for (uint32_t i = 0; i < copies.size(); ++i) copy_at[copies[i]] = i;
  bool changed = true;
  const auto meet = [&](uint32_t to, const uint64_t* row) {
    uint64_t* target = available.row(to);
    for (size_t w = 0; w < available.words(); ++w) {
      const uint64_t both = target[w] & row[w];
      if (both != target[w]) {
        target[w] = both;
        changed = true;
      }
    }
  };
  const auto after = [&](uint32_t i, bool jumps) {
    std::copy_n(available.row(i), available.words(), next.data());
    EachWrite(ops[i], jumps, [&](int32_t written) {
      for (const uint32_t copy : touching[static_cast<size_t>(written)]) {
        ClearBit(next.data(), copy);
      }
    });
    if (copy_at[i] != kNone) SetBit(next.data(), copy_at[i]);
  };
  while (changed) {
    changed = false;
    for (uint32_t i = 0; i < ops.size(); ++i) {
      if (FallsThrough(ops[i].code)) {
        after(i, false);
        meet(i + 1, next.data());
      }
      if (ops[i].jump != kNone) {
        after(i, true);
        meet(ops[i].jump, next.data());
      }
    }
  }
  for (uint32_t i = 0; i < ops.size(); ++i) {
    const uint64_t* row = available.row(i);
    // The copy of a copy is what was copied first, if that is still there.
    const auto replace = [&](int32_t& operand) {
      if (operand < 0) return false;
      for (const uint32_t copy : touching[static_cast<size_t>(operand)]) {
        if (ops[copies[copy]].c != operand || !TestBit(row, copy)) continue;
        operand = copied[copy];
        return true;
      }
      return false;
    };
    EachOperand(body, ops[i], [&](int32_t& operand) {
      for (int hops = 0; hops < 8 && replace(operand); ++hops) continue;
    });
  }
}

namespace {

// The op behind op i if nothing but op i leads there; else the end.
uint32_t OnlyNext(const Body& body, const std::vector<bool>& targets, uint32_t i) {
  uint32_t at = i + 1;
  while (at < body.size() && body.ops[at].code == OpCode::kNop && !targets[at]) ++at;
  return at < body.size() && !targets[at] ? at : body.size();
}

}  // namespace

void MergeMoves(Body& body) {
  const Liveness live(body);
  const std::vector<bool> targets = JumpTargets(body);
  for (uint32_t i = 0; i + 1 < body.size(); ++i) {
    Op& first = body.ops[i];
    if (!HasResult(first.code) || first.code == OpCode::kMove) continue;
    const uint32_t at = OnlyNext(body, targets, i);
    if (at == body.size() || !IsMove(body.ops[at].code)) continue;
    Op& move = body.ops[at];
    const int32_t x = first.c, y = move.c;
    const uint32_t next = move.code == OpCode::kMoveJump ? move.jump : at + 1;
    if (move.a != x || y == x || live.IsLive(next, x)) continue;
    // When the first op fails y becomes undefined instead of x.
    if (first.jump != kNone && (live.IsLive(first.jump, x) || live.IsLive(first.jump, y))) {
      continue;
    }
    first.c = y;
    move = move.code == OpCode::kMoveJump ? Op{.code = OpCode::kJump, .jump = move.jump}
                                          : Op{.code = OpCode::kNop};
  }
}

void FuseTests(Body& body) {
  const Liveness live(body);
  const std::vector<bool> targets = JumpTargets(body);
  for (uint32_t i = 0; i + 1 < body.size(); ++i) {
    Op& first = body.ops[i];
    if (first.code != OpCode::kCompare && first.code != OpCode::kTypeIs &&
        first.code != OpCode::kMember) {
      continue;
    }
    const uint32_t at = OnlyNext(body, targets, i);
    if (at == body.size() || body.ops[at].code != OpCode::kNotEqual) continue;
    Op& test = body.ops[at];
    if (test.a != first.c || test.b >= 0 ||
        Destination(body, test.jump) != Destination(body, first.jump)) {
      continue;
    }
    const Value expected = body.folding.Constant(test.b);
    if (!expected.is_bool() || expected.is_true()) continue;
    if (live.IsLive(at + 1, first.c) || live.IsLive(first.jump, first.c)) continue;
    first.code = first.code == OpCode::kCompare  ? OpCode::kCompareJump
                 : first.code == OpCode::kMember ? OpCode::kMemberJump
                                                 : OpCode::kIsType;
    first.c = 0;
    test = Op{.code = OpCode::kNop};
  }
}

void DropDeadMoves(Body& body) {
  const Liveness live(body);
  for (uint32_t i = 0; i < body.size(); ++i) {
    Op& op = body.ops[i];
    if (op.code == OpCode::kMove && (op.a == op.c || !live.IsLive(i + 1, op.c))) {
      op = Op{.code = OpCode::kNop};
    } else if (op.code == OpCode::kMoveJump && (op.a == op.c || !live.IsLive(op.jump, op.c))) {
      op = Op{.code = OpCode::kJump, .jump = op.jump};
    } else if (op.code == OpCode::kWalkPath && !live.IsLive(i + 1, op.c)) {
      op = Op{.code = OpCode::kNop};
    }
  }
}

}  // namespace aegis::rego::internal
