// What the passes of the optimizer work on: the ops of one function, what each reads and writes,
// and facts about registers as rows of bits.
//
// Jumps are indices into the ops. What a pass takes away becomes kNop; Compact removes those.
//
// Internal to the rego library.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "aegis/rego/code.h"
#include "aegis/rego/lowering.h"

namespace aegis::rego::internal {

struct Body {
  std::vector<Op>& ops;
  std::vector<int32_t>& args;  // operands of calls; each call has its own
  uint32_t params = 0;         // registers 0 to params-1 come from the caller
  uint32_t registers = 0;
  ConstantFolding& folding;

  uint32_t size() const { return static_cast<uint32_t>(ops.size()); }
  int32_t NewRegister() { return static_cast<int32_t>(registers++); }
};

// --- What an op reads and writes ---

// Writes c; with a jump, c becomes undefined when it is taken.
inline bool HasResult(OpCode code) {
  switch (code) {
    case OpCode::kMove:
    case OpCode::kDot:
    case OpCode::kLoad:
    case OpCode::kTypeIs:
    case OpCode::kLen:
    case OpCode::kMakeArray:
    case OpCode::kMakeObject:
    case OpCode::kMakeSet:
    case OpCode::kArray:
    case OpCode::kObject:
    case OpCode::kMember:
    case OpCode::kObjectMerge:
    case OpCode::kWalkPath:
    case OpCode::kCall:
    case OpCode::kCallDynamic:
    case OpCode::kBuiltin:
    case OpCode::kCompare:
      return true;
    default:
      return false;
  }
}
// Changes c in place or keeps it if it is set.
inline bool UpdatesC(OpCode code) {
  switch (code) {
    case OpCode::kMoveOnce:
    case OpCode::kArrayAppend:
    case OpCode::kObjectInsert:
    case OpCode::kObjectInsertOnce:
    case OpCode::kSetAdd:
      return true;
    default:
      return false;
  }
}
inline bool ReadsA(OpCode code) {
  switch (code) {
    case OpCode::kMakeArray:
    case OpCode::kMakeObject:
    case OpCode::kMakeSet:
    case OpCode::kArray:
    case OpCode::kObject:
    case OpCode::kJump:
    case OpCode::kScanNext:
    case OpCode::kWalkNext:
    case OpCode::kWalkPath:
    case OpCode::kFindFirst:
    case OpCode::kFind:
    case OpCode::kCall:
    case OpCode::kCallDynamic:
    case OpCode::kBuiltin:
    case OpCode::kWithEnd:
    case OpCode::kSwitch:
    case OpCode::kNextCase:
    case OpCode::kHalt:
    case OpCode::kNop:
      return false;
    default:
      return true;
  }
}
inline bool ReadsB(OpCode code) {
  switch (code) {
    case OpCode::kDot:
    case OpCode::kLoad:
    case OpCode::kEqual:
    case OpCode::kNotEqual:
    case OpCode::kObjectInsert:
    case OpCode::kObjectInsertOnce:
    case OpCode::kObjectMerge:
    case OpCode::kMember:
    case OpCode::kMemberJump:
    case OpCode::kCompare:
    case OpCode::kCompareJump:
      return true;
    default:
      return false;
  }
}
inline bool HasArgs(OpCode code) {
  return code == OpCode::kCall || code == OpCode::kCallDynamic || code == OpCode::kBuiltin ||
         code == OpCode::kArray || code == OpCode::kObject || code == OpCode::kSwitch ||
         code == OpCode::kFindFirst || code == OpCode::kFind;
}
inline size_t ArgCount(const Op& op) {
  return op.count + (op.code == OpCode::kCallDynamic ? op.extra : 0u);
}
inline bool FallsThrough(OpCode code) {
  return code != OpCode::kJump && code != OpCode::kMoveJump && code != OpCode::kReturn &&
         code != OpCode::kHalt;
}
// Starts an iterator, and goes on with its next element.
inline bool IsBegin(OpCode code) {
  return code == OpCode::kScanBegin || code == OpCode::kFindFirst;
}
inline bool IsNext(OpCode code) { return code == OpCode::kScanNext || code == OpCode::kFind; }
// Compares and does nothing else.
inline bool IsTest(OpCode code) {
  return code == OpCode::kIsType || code == OpCode::kIsDefined || code == OpCode::kIsUndefined ||
         code == OpCode::kEqual || code == OpCode::kNotEqual || code == OpCode::kCompareJump ||
         code == OpCode::kMemberJump;
}
// Sets c to a, whatever follows.
inline bool IsMove(OpCode code) { return code == OpCode::kMove || code == OpCode::kMoveJump; }

inline bool IsWalk(OpCode code) {
  return code == OpCode::kWalkBegin || code == OpCode::kWalkNext || code == OpCode::kWalkPath;
}

// Calls `visit` with every operand that may be replaced by an equal one.
template <typename Visit>
void EachOperand(const Body& body, Op& op, Visit visit) {
  if (ReadsA(op.code)) visit(op.a);
  if (ReadsB(op.code)) visit(op.b);
  if (HasArgs(op.code)) {
    for (size_t i = 0; i < ArgCount(op); ++i) visit(body.args[static_cast<size_t>(op.a) + i]);
  }
}
// Calls `visit` with every register that is read.
template <typename Visit>
void EachRead(const Body& body, Op& op, Visit visit) {
  EachOperand(body, op, [&](int32_t operand) {
    if (operand >= 0) visit(operand);
  });
  if (UpdatesC(op.code) || op.code == OpCode::kWithBegin) visit(op.c);
  if (op.code == OpCode::kWithEnd || op.code == OpCode::kWalkNext || op.code == OpCode::kWalkPath ||
      IsNext(op.code)) {
    visit(op.b);
  }
  if (IsNext(op.code)) visit(op.b + 1);
}
// Calls `visit` with every register that is written when the op goes to the next one (`jumps`
// false) or to its jump (`jumps` true).
template <typename Visit>
void EachWrite(const Op& op, bool jumps, Visit visit) {
  if (HasResult(op.code) || UpdatesC(op.code) || op.code == OpCode::kMoveJump) visit(op.c);
  const auto element = [&] {
    visit(op.b + 1);
    visit(op.c);
    visit(static_cast<int32_t>(op.extra));
  };
  if (IsBegin(op.code) && !jumps) {
    visit(op.b);
    element();
  }
  if (IsNext(op.code) && jumps) element();
  if (op.code == OpCode::kWalkBegin && !jumps) {
    visit(op.b);
    visit(op.c);
  }
  if (op.code == OpCode::kWalkNext && jumps) visit(op.c);
  if (op.code == OpCode::kWithBegin && !jumps) {
    visit(op.b);
    visit(op.c);
  }
  if (op.code == OpCode::kWithEnd) visit(op.c);
}
// Calls `visit` with every register that is written on either way.
template <typename Visit>
void EachWrite(const Op& op, Visit visit) {
  EachWrite(op, false, visit);
  if (IsNext(op.code) || op.code == OpCode::kWalkNext) EachWrite(op, true, visit);
}

// --- Facts ---

// A row of bits for each op: for registers, or for what else a pass counts.
class BitRows {
 public:
  BitRows(size_t rows, size_t bits, bool value = false)
      : words_((bits + 63) / 64), data_(rows * words_, value ? ~uint64_t{0} : 0) {}
  uint64_t* row(size_t i) { return data_.data() + i * words_; }
  const uint64_t* row(size_t i) const { return data_.data() + i * words_; }
  size_t words() const { return words_; }

 private:
  size_t words_;
  std::vector<uint64_t> data_;
};
inline bool TestBit(const uint64_t* row, size_t bit) {
  return (row[bit / 64] >> (bit % 64) & 1) != 0;
}
inline void SetBit(uint64_t* row, size_t bit) { row[bit / 64] |= uint64_t{1} << (bit % 64); }
inline void ClearBit(uint64_t* row, size_t bit) { row[bit / 64] &= ~(uint64_t{1} << (bit % 64)); }

// What is too large for such tables is left as it is.
inline constexpr size_t kMaxWords = size_t{1} << 22;
inline bool FitsTables(const Body& body, size_t bits) {
  return body.ops.size() * (bits / 64 + 1) <= kMaxWords;
}

// Registers whose value before an op may be read.
class Liveness {
 public:
  explicit Liveness(const Body& body);
  bool IsLive(uint32_t before_op, int32_t register_number) const {
    return before_op < size_ && TestBit(rows_.row(before_op), static_cast<size_t>(register_number));
  }

 private:
  size_t size_;
  BitRows rows_;
};

// --- Jumps (jumps.cc) ---

uint32_t SkipNops(const Body& body, uint32_t at);
// Where a jump to `at` ends up.
uint32_t Destination(const Body& body, uint32_t at);
// Ops that some op jumps to.
std::vector<bool> JumpTargets(const Body& body);
// Shortens jumps to jumps; drops jumps to the next op, tests whose outcome does not matter, and
// what is not reached.
void ThreadJumps(Body& body);
// Passes over tests of registers that are known to be defined, or undefined, on the way there.
void FollowKnownTests(Body& body);
// Removes kNop; the new index of each op.
std::vector<uint32_t> Compact(Body& body);

// Ops to be put in front of others, all at once.
class Insertions {
 public:
  // A jump to `at` goes to the first op that is put in front of it.
  void Before(uint32_t at, const Op& op) { list_.push_back({at, op}); }
  bool empty() const { return list_.empty(); }
  // The new index of each op, that of the end included. Jumps of inserted ops are old indices.
  std::vector<uint32_t> Apply(Body& body);

 private:
  struct Insertion {
    uint32_t at;
    Op op;
  };
  std::vector<Insertion> list_;
};

// --- Copies (copies.cc) ---

// Reads of a copy become reads of what was copied, as long as neither has changed.
void PropagateCopies(Body& body);
// "x = …; y = x" becomes "y = …" when x is not read again.
void MergeMoves(Body& body);
// "x = a < b; jump unless x != false" becomes one op when x is not read again.
void FuseTests(Body& body);
void DropDeadMoves(Body& body);

// --- Others, each in its file ---

// Makes collections that are written out at once.
void MakeCollections(Body& body);
// Once a rule has its value, and all that may follow can give no other, goes to where it is used.
void ExitEarly(Body& body);
// Goes over what is walked over value by value, instead of over a list of pairs of path and value.
void WalkInPlace(Body& body);
// Walks pass over values of other types than the loop asks for, and paths are made where they are
// read.
void NarrowWalks(Body& body);
// Reads members of what does not change in a loop once, in front of it; false if there are none.
bool HoistLoads(Body& body);
// Does not load again what a register still holds; false if there is nothing of that kind.
bool ReuseLoads(Body& body);
// Drops tests whether something is defined that what follows makes anyway.
void DropImpliedTests(Body& body);
// Loops that begin with an equality of the element or a member of it go to the elements that hold.
void FuseSearches(Body& body);
// Replaces runs of rules that each ask for an equality by look-ups of the rules that may hold.
// Makes ops that the other passes do not understand: comes last.
void MakeSwitches(Body& body);
// Whether it would replace any.
bool HasSwitches(Body& body);

}  // namespace aegis::rego::internal
