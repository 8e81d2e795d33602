// Improves lowered functions: the plan of OPA copies nearly everything it touches into a fresh
// local, tests each condition by comparing its result with false, and goes on with a rule when its
// value is settled.
#include "aegis/rego/optimize/body.h"

namespace aegis::rego::internal {
namespace {

// Members of constants, and tests of constants.
void Fold(Body& body) {
  const auto fold_test = [](Op& op, bool holds) {
    op = holds ? Op{.code = OpCode::kNop} : Op{.code = OpCode::kJump, .jump = op.jump};
  };
  ConstantFolding& folding = body.folding;
  for (Op& op : body.ops) {
    if (op.code == OpCode::kDot && op.a < 0 && op.b < 0) {
      const int32_t member = folding.Member(op.a, op.b);
      if (!folding.Constant(member).is_undefined()) {
        op = Op{.code = OpCode::kMove, .a = member, .c = op.c};
      } else {
        // The result is undefined, and what is there otherwise is not reached.
        op = Op{.code = OpCode::kMoveJump, .a = member, .c = op.c, .jump = op.jump};
      }
    } else if (op.code == OpCode::kIsDefined && op.a < 0) {
      fold_test(op, !folding.Constant(op.a).is_undefined());
    } else if (op.code == OpCode::kIsUndefined && op.a < 0) {
      fold_test(op, folding.Constant(op.a).is_undefined());
    } else if (op.code == OpCode::kNotEqual && op.a < 0 && op.b < 0) {
      fold_test(op, !Equal(folding.Constant(op.a), folding.Constant(op.b)));
    } else if (op.code == OpCode::kEqual && op.a < 0 && op.b < 0) {
      fold_test(op, Equal(folding.Constant(op.a), folding.Constant(op.b)));
    } else if (op.code == OpCode::kIsType && op.a < 0) {
      fold_test(op, folding.Constant(op.a).type() == static_cast<Type>(op.flag));
    }
  }
}

void Simplify(Body& body, int rounds) {
  for (int round = 0; round < rounds; ++round) {
    ThreadJumps(body);
    PropagateCopies(body);
    Fold(body);
    FollowKnownTests(body);
    ThreadJumps(body);
    MergeMoves(body);
    FuseTests(body);
    DropDeadMoves(body);
    Compact(body);
  }
}

// Parameters first, then the registers that must start undefined, then the others that are left.
void Renumber(Body& body, const std::vector<bool>& starts_undefined, Function& function) {
  std::vector<bool> used(body.registers, false), pair(body.registers, false);
  for (Op& op : body.ops) {
    const auto use = [&](int32_t number) { used[static_cast<size_t>(number)] = true; };
    EachRead(body, op, use);
    EachWrite(op, use);
    if (IsBegin(op.code) || op.code == OpCode::kSwitch) {
      use(op.b);
      pair[static_cast<size_t>(op.b)] = true;
    }
  }
  std::vector<int32_t> renamed(body.registers, 0);
  uint32_t next = 0;
  for (; next < body.params; ++next) renamed[next] = static_cast<int32_t>(next);
  for (const bool needs_init : {true, false}) {
    for (uint32_t i = body.params; i < body.registers; ++i) {
      // An iterator's two registers stay together; neither is read before it is written.
      const bool second = i > 0 && pair[i - 1];
      if (second || !used[i] || starts_undefined[i] != needs_init) continue;
      renamed[i] = static_cast<int32_t>(next++);
      if (pair[i]) renamed[i + 1] = static_cast<int32_t>(next++);
    }
    if (needs_init) function.init_end = next;
  }
  function.registers = next;
  const auto rename = [&](int32_t& number) {
    if (number >= 0) number = renamed[static_cast<size_t>(number)];
  };
  for (Op& op : body.ops) {
    const bool is_scan = IsBegin(op.code) || IsNext(op.code);
    const bool is_with = op.code == OpCode::kWithBegin || op.code == OpCode::kWithEnd;
    const bool is_walk = IsWalk(op.code);
    const bool is_switch = op.code == OpCode::kSwitch || op.code == OpCode::kNextCase;
    EachOperand(body, op, rename);
    if (is_scan || is_with || is_walk || is_switch) rename(op.b);
    if (HasResult(op.code) || UpdatesC(op.code) || op.code == OpCode::kMoveJump || is_scan ||
        is_with || is_walk) {
      rename(op.c);
    }
    if (is_scan) op.extra = static_cast<uint32_t>(renamed[op.extra]);
  }
}

}  // namespace

void Optimize(std::vector<Op>& ops, std::vector<int32_t>& args, uint32_t registers,
              ConstantFolding& folding, Function& function) {
  Body body{ops, args, function.params, std::max(registers, function.params), folding};
  function.registers = body.registers;
  function.init_end = body.registers;
  if (FitsTables(body, body.registers)) {
    Simplify(body, 2);
    ExitEarly(body);
    MakeCollections(body);
    WalkInPlace(body);
    Simplify(body, 1);
    NarrowWalks(body);
    MakeCollections(body);  // of those that became constants
    Simplify(body, 1);
    // Each round moves what was loaded from what the round before moved.
    for (int round = 0; round < 4 && HoistLoads(body); ++round) Simplify(body, 1);
    // A switch wants the loads of its subjects in each case.
    for (int round = 0; round < 4 && !HasSwitches(body) && ReuseLoads(body); ++round) {
      Simplify(body, 2);  // jumps to tests that are known now, once the copies are gone
    }
    DropImpliedTests(body);
    FuseSearches(body);
    const Liveness live(body);
    std::vector<bool> starts_undefined(body.registers);
    for (uint32_t i = 0; i < body.registers; ++i) {
      starts_undefined[i] = live.IsLive(0, static_cast<int32_t>(i));
    }
    MakeSwitches(body);
    starts_undefined.resize(body.registers);
    Renumber(body, starts_undefined, function);
  }
  function.op_count = static_cast<uint32_t>(ops.size());
}

}  // namespace aegis::rego::internal
