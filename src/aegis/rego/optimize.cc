// Improves lowered functions: the plan of OPA copies nearly everything it touches into a fresh
// local and tests each condition by comparing its result with false.
//
// All passes work on one list of ops whose jumps are indices. What a pass takes away becomes kNop;
// Compact removes those at the end.
#include <algorithm>
#include <bit>
#include <utility>

#include "aegis/rego/lowering.h"

namespace aegis::rego::internal {
namespace {

// Registers or copies, as bits.
class BitRows {
 public:
  BitRows(size_t rows, size_t bits, bool value = false)
      : words_((bits + 63) / 64), data_(rows * words_, value ? ~uint64_t{0} : 0) {}
  uint64_t* row(size_t i) { return data_.data() + i * words_; }
  size_t words() const { return words_; }

 private:
  size_t words_;
  std::vector<uint64_t> data_;
};

bool Test(const uint64_t* row, size_t bit) { return (row[bit / 64] >> (bit % 64) & 1) != 0; }
void Set(uint64_t* row, size_t bit) { row[bit / 64] |= uint64_t{1} << (bit % 64); }
void Clear(uint64_t* row, size_t bit) { row[bit / 64] &= ~(uint64_t{1} << (bit % 64)); }

class Optimizer {
 public:
  Optimizer(std::vector<Op>& ops, std::vector<int32_t>& args, uint32_t registers,
            ConstantFolding& folding, Function& function)
      : ops_(ops), args_(args), registers_(registers), folding_(folding), function_(function) {}

  void Run() {
    function_.registers = std::max(registers_, function_.params);
    function_.init_end = function_.registers;
    // What is too large for the tables of the passes runs as it is.
    constexpr size_t kMaxWords = size_t{1} << 21;
    if (ops_.size() * (registers_ / 64 + 1) <= kMaxWords) {
      for (int round = 0; round < 3; ++round) {
        ThreadJumps();
        PropagateCopies();
        Fold();
        FindLive();
        MergeMoves();
        FindLive();
        FuseTests();
        FindLive();
        DropDeadMoves();
        Compact();
      }
      SkipKnownTests();
      ThreadJumps();
      Compact();
      FindLive();
      Renumber();
    }
    function_.op_count = static_cast<uint32_t>(ops_.size());
  }

 private:
  // --- What an op reads and writes ---

  static bool HasResult(OpCode code) {
    switch (code) {
      case OpCode::kMove:
      case OpCode::kDot:
      case OpCode::kTypeIs:
      case OpCode::kLen:
      case OpCode::kMakeArray:
      case OpCode::kMakeObject:
      case OpCode::kMakeSet:
      case OpCode::kObjectMerge:
      case OpCode::kCall:
      case OpCode::kCallDynamic:
      case OpCode::kBuiltin:
      case OpCode::kCompare:
        return true;
      default:
        return false;
    }
  }
  static bool ReadsA(OpCode code) {
    switch (code) {
      case OpCode::kMakeArray:
      case OpCode::kMakeObject:
      case OpCode::kMakeSet:
      case OpCode::kJump:
      case OpCode::kScanNext:
      case OpCode::kCall:
      case OpCode::kCallDynamic:
      case OpCode::kBuiltin:
      case OpCode::kWithEnd:
      case OpCode::kHalt:
      case OpCode::kNop:
        return false;
      default:
        return true;
    }
  }
  static bool ReadsB(OpCode code) {
    switch (code) {
      case OpCode::kDot:
      case OpCode::kEqual:
      case OpCode::kNotEqual:
      case OpCode::kObjectInsert:
      case OpCode::kObjectInsertOnce:
      case OpCode::kObjectMerge:
      case OpCode::kCompare:
      case OpCode::kCompareJump:
        return true;
      default:
        return false;
    }
  }
  static bool IsCall(OpCode code) {
    return code == OpCode::kCall || code == OpCode::kCallDynamic || code == OpCode::kBuiltin;
  }
  static size_t OperandCount(const Op& op) {
    return op.count + (op.code == OpCode::kCallDynamic ? op.extra : 0u);
  }
  // Changes c in place or keeps it if it is set.
  static bool UpdatesC(OpCode code) {
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
  static bool FallsThrough(OpCode code) {
    return code != OpCode::kJump && code != OpCode::kReturn && code != OpCode::kHalt;
  }

  // Calls `visit` with every operand that may be replaced by an equal one.
  template <typename Visit>
  void EachOperand(Op& op, Visit visit) {
    if (ReadsA(op.code)) visit(op.a);
    if (ReadsB(op.code)) visit(op.b);
    if (IsCall(op.code)) {
      for (size_t i = 0; i < OperandCount(op); ++i) visit(args_[static_cast<size_t>(op.a) + i]);
    }
  }
  // Calls `visit` with every register that is read.
  template <typename Visit>
  void EachRead(Op& op, Visit visit) {
    EachOperand(op, [&](int32_t operand) {
      if (operand >= 0) visit(operand);
    });
    if (UpdatesC(op.code) || op.code == OpCode::kWithBegin) visit(op.c);
    if (op.code == OpCode::kWithEnd || op.code == OpCode::kScanNext) visit(op.b);
    if (op.code == OpCode::kScanNext) visit(op.b + 1);
  }
  // Calls `visit` with every register that is written when the op goes to the next one (`jumps`
  // false) or to its jump (`jumps` true).
  template <typename Visit>
  static void EachWrite(const Op& op, bool jumps, Visit visit) {
    if (HasResult(op.code)) visit(op.c);
    if (UpdatesC(op.code)) visit(op.c);
    const auto element = [&] {
      visit(op.b + 1);
      visit(op.c);
      visit(static_cast<int32_t>(op.extra));
    };
    if (op.code == OpCode::kScanBegin && !jumps) {
      visit(op.b);
      element();
    }
    if (op.code == OpCode::kScanNext && jumps) element();
    if (op.code == OpCode::kWithBegin && !jumps) {
      visit(op.b);
      visit(op.c);
    }
    if (op.code == OpCode::kWithEnd) visit(op.c);
  }

  // --- Jumps ---

  uint32_t SkipNops(uint32_t at) const {
    while (at < ops_.size() && ops_[at].code == OpCode::kNop) ++at;
    return at;
  }
  // Where a jump to `at` ends up.
  uint32_t Destination(uint32_t at) const {
    at = SkipNops(at);
    for (int hops = 0; hops < 64 && ops_[at].code == OpCode::kJump; ++hops) {
      at = SkipNops(ops_[at].jump);
    }
    return at;
  }

  static bool IsTest(OpCode code) {
    return code == OpCode::kIsType || code == OpCode::kIsDefined || code == OpCode::kIsUndefined ||
           code == OpCode::kEqual || code == OpCode::kNotEqual || code == OpCode::kCompareJump;
  }

  // Jumps to jumps, jumps to the next op, tests whose outcome does not matter, unreachable ops.
  void ThreadJumps() {
    bool changed = true;
    while (changed) {
      changed = false;
      for (Op& op : ops_) {
        if (op.jump != kNone) op.jump = Destination(op.jump);
      }
      for (uint32_t i = 0; i < ops_.size(); ++i) {
        Op& op = ops_[i];
        const bool pointless = op.code == OpCode::kJump || IsTest(op.code);
        if (pointless && op.jump == Destination(i + 1)) {
          op = Op{.code = OpCode::kNop};
          changed = true;
        }
      }
      changed = DropUnreachable() || changed;
    }
  }

  bool DropUnreachable() {
    std::vector<bool> reached(ops_.size(), false);
    std::vector<uint32_t> todo = {0};
    while (!todo.empty()) {
      const uint32_t at = todo.back();
      todo.pop_back();
      if (at >= ops_.size() || reached[at]) continue;
      reached[at] = true;
      if (ops_[at].jump != kNone) todo.push_back(ops_[at].jump);
      if (FallsThrough(ops_[at].code)) todo.push_back(at + 1);
    }
    bool changed = false;
    for (uint32_t i = 0; i < ops_.size(); ++i) {
      if (reached[i] || ops_[i].code == OpCode::kNop) continue;
      ops_[i] = Op{.code = OpCode::kNop};
      changed = true;
    }
    return changed;
  }

  // Ops that some op jumps to.
  std::vector<bool> Targets() const {
    std::vector<bool> targets(ops_.size(), false);
    for (const Op& op : ops_) {
      if (op.jump != kNone) targets[op.jump] = true;
    }
    return targets;
  }

  // --- Copies ---

  // Replaces reads of c behind "c = a" by a, wherever neither has changed since on any way there.
  void PropagateCopies() {
    std::vector<uint32_t> copies;
    for (uint32_t i = 0; i < ops_.size(); ++i) {
      if (ops_[i].code == OpCode::kMove && ops_[i].a != ops_[i].c) copies.push_back(i);
    }
    if (copies.empty() || ops_.size() * (copies.size() / 64 + 1) > (size_t{1} << 21)) return;
    // By register, the copies that a write to it ends.
    std::vector<std::vector<uint32_t>> touching(registers_);
    for (uint32_t i = 0; i < copies.size(); ++i) {
      const Op& copy = ops_[copies[i]];
      touching[static_cast<size_t>(copy.c)].push_back(i);
      if (copy.a >= 0) touching[static_cast<size_t>(copy.a)].push_back(i);
    }
    // available.row(i): copies that hold before op i. Starts with all and loses.
    BitRows available(ops_.size() + 1, copies.size(), true);
    std::fill_n(available.row(0), available.words(), 0);
    std::vector<uint64_t> next(available.words());
    std::vector<uint32_t> copy_at(ops_.size(), kNone);
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
      EachWrite(ops_[i], jumps, [&](int32_t written) {
        for (const uint32_t copy : touching[static_cast<size_t>(written)]) {
          Clear(next.data(), copy);
        }
      });
      if (copy_at[i] != kNone) Set(next.data(), copy_at[i]);
    };
    while (changed) {
      changed = false;
      for (uint32_t i = 0; i < ops_.size(); ++i) {
        if (FallsThrough(ops_[i].code)) {
          after(i, false);
          meet(i + 1, next.data());
        }
        if (ops_[i].jump != kNone) {
          after(i, true);
          meet(ops_[i].jump, next.data());
        }
      }
    }
    for (uint32_t i = 0; i < ops_.size(); ++i) {
      const uint64_t* row = available.row(i);
      EachOperand(ops_[i], [&](int32_t& operand) {
        if (operand < 0) return;
        for (const uint32_t copy : touching[static_cast<size_t>(operand)]) {
          const Op& source = ops_[copies[copy]];
          if (source.c == operand && Test(row, copy)) {
            operand = source.a;
            return;
          }
        }
      });
    }
  }

  // Members of constants, and tests of constants.
  void Fold() {
    for (Op& op : ops_) {
      if (op.code == OpCode::kDot && op.a < 0 && op.b < 0) {
        const int32_t member = folding_.Member(op.a, op.b);
        if (folding_.Constant(member).is_undefined()) {
          // The result is undefined; what reads it on the way there has no other source.
          continue;
        }
        op = Op{.code = OpCode::kMove, .a = member, .c = op.c};
      } else if (op.code == OpCode::kIsDefined && op.a < 0) {
        FoldTest(op, !folding_.Constant(op.a).is_undefined());
      } else if (op.code == OpCode::kIsUndefined && op.a < 0) {
        FoldTest(op, folding_.Constant(op.a).is_undefined());
      } else if (op.code == OpCode::kNotEqual && op.a < 0 && op.b < 0) {
        FoldTest(op, !Equal(folding_.Constant(op.a), folding_.Constant(op.b)));
      }
    }
  }
  static void FoldTest(Op& op, bool holds) {
    op = holds ? Op{.code = OpCode::kNop} : Op{.code = OpCode::kJump, .jump = op.jump};
  }

  // --- Liveness ---

  // live_.row(i): registers whose value before op i may be read.
  void FindLive() {
    live_ = BitRows(ops_.size() + 1, registers_);
    std::vector<uint64_t> row(live_.words()), edge(live_.words());
    bool changed = true;
    while (changed) {
      changed = false;
      for (uint32_t i = static_cast<uint32_t>(ops_.size()); i-- > 0;) {
        Op& op = ops_[i];
        std::fill(row.begin(), row.end(), 0);
        const auto add_edge = [&](uint32_t to, bool jumps) {
          std::copy_n(live_.row(to), live_.words(), edge.data());
          EachWrite(op, jumps,
                    [&](int32_t written) { Clear(edge.data(), static_cast<size_t>(written)); });
          for (size_t w = 0; w < row.size(); ++w) row[w] |= edge[w];
        };
        if (FallsThrough(op.code)) add_edge(i + 1, false);
        if (op.jump != kNone) add_edge(op.jump, true);
        EachRead(op, [&](int32_t read) { Set(row.data(), static_cast<size_t>(read)); });
        if (!std::equal(row.begin(), row.end(), live_.row(i))) {
          std::copy(row.begin(), row.end(), live_.row(i));
          changed = true;
        }
      }
    }
  }
  bool IsLive(uint32_t before_op, int32_t register_number) {
    return before_op < ops_.size() &&
           Test(live_.row(before_op), static_cast<size_t>(register_number));
  }

  // "x = …; y = x" becomes "y = …" when x is not read again.
  void MergeMoves() {
    const std::vector<bool> targets = Targets();
    for (uint32_t i = 0; i + 1 < ops_.size(); ++i) {
      Op& first = ops_[i];
      if (!HasResult(first.code) || first.code == OpCode::kMove) continue;
      uint32_t at = i + 1;
      while (at < ops_.size() && ops_[at].code == OpCode::kNop && !targets[at]) ++at;
      if (at >= ops_.size() || targets[at] || ops_[at].code != OpCode::kMove) continue;
      Op& move = ops_[at];
      const int32_t x = first.c, y = move.c;
      if (move.a != x || y == x || IsLive(at + 1, x)) continue;
      // When the first op fails y becomes undefined instead of x.
      if (first.jump != kNone && (IsLive(first.jump, x) || IsLive(first.jump, y))) continue;
      first.c = y;
      move = Op{.code = OpCode::kNop};
    }
  }

  // "x = a < b; jump unless x != false" becomes one op when x is not read again.
  void FuseTests() {
    const std::vector<bool> targets = Targets();
    for (uint32_t i = 0; i + 1 < ops_.size(); ++i) {
      Op& first = ops_[i];
      if (first.code != OpCode::kCompare && first.code != OpCode::kTypeIs) continue;
      uint32_t at = i + 1;
      while (at < ops_.size() && ops_[at].code == OpCode::kNop && !targets[at]) ++at;
      if (at >= ops_.size() || targets[at] || ops_[at].code != OpCode::kNotEqual) continue;
      Op& test = ops_[at];
      if (test.a != first.c || test.b >= 0 || test.jump != first.jump) continue;
      const Value expected = folding_.Constant(test.b);
      if (!expected.is_bool() || expected.is_true()) continue;
      if (IsLive(at + 1, first.c) || IsLive(first.jump, first.c)) continue;
      if (first.code == OpCode::kCompare) {
        first.code = OpCode::kCompareJump;
      } else {
        first.code = OpCode::kIsType;
      }
      first.c = 0;
      test = Op{.code = OpCode::kNop};
    }
  }

  void DropDeadMoves() {
    for (uint32_t i = 0; i < ops_.size(); ++i) {
      Op& op = ops_[i];
      if (op.code == OpCode::kMove && (op.a == op.c || !IsLive(i + 1, op.c))) {
        op = Op{.code = OpCode::kNop};
      }
    }
  }

  // Behind "x = a once" x is defined: the tests of x that follow are passed over.
  void SkipKnownTests() {
    for (uint32_t i = 0; i + 1 < ops_.size(); ++i) {
      Op& op = ops_[i];
      if (op.code != OpCode::kMoveOnce || op.jump != kNone) continue;
      uint32_t at = Destination(i + 1);
      const uint32_t next = at;
      for (int hops = 0; hops < 1000; ++hops) {
        const Op& test = ops_[at];
        if (test.code == OpCode::kIsUndefined && test.a == op.c) {
          at = Destination(test.jump);
        } else if (test.code == OpCode::kIsDefined && test.a == op.c) {
          at = Destination(at + 1);
        } else {
          break;
        }
      }
      if (at != next) op.jump = at;
    }
  }

  // --- Layout ---

  void Compact() {
    std::vector<uint32_t> moved(ops_.size() + 1);
    uint32_t count = 0;
    for (uint32_t i = 0; i < ops_.size(); ++i) {
      moved[i] = count;
      if (ops_[i].code != OpCode::kNop) ++count;
    }
    moved[ops_.size()] = count;
    std::erase_if(ops_, [](const Op& op) { return op.code == OpCode::kNop; });
    for (Op& op : ops_) {
      if (op.jump != kNone) op.jump = moved[op.jump];
    }
  }

  // Parameters first, then the registers that must start undefined, then the others that are left.
  void Renumber() {
    std::vector<bool> used(registers_, false), pair(registers_, false);
    for (Op& op : ops_) {
      const auto use = [&](int32_t number) { used[static_cast<size_t>(number)] = true; };
      EachRead(op, use);
      EachWrite(op, false, use);
      EachWrite(op, true, use);
      if (op.code == OpCode::kScanBegin) pair[static_cast<size_t>(op.b)] = true;
    }
    std::vector<int32_t> renamed(registers_, 0);
    uint32_t next = 0;
    for (; next < function_.params; ++next) renamed[next] = static_cast<int32_t>(next);
    for (const bool needs_init : {true, false}) {
      for (uint32_t i = function_.params; i < registers_; ++i) {
        // An iterator's two registers stay together; neither is read before it is written.
        const bool second = i > 0 && pair[i - 1];
        if (second || !used[i] || IsLive(0, static_cast<int32_t>(i)) != needs_init) continue;
        renamed[i] = static_cast<int32_t>(next++);
        if (pair[i]) renamed[i + 1] = static_cast<int32_t>(next++);
      }
      if (needs_init) function_.init_end = next;
    }
    function_.registers = next;
    const auto rename = [&](int32_t& number) {
      if (number >= 0) number = renamed[static_cast<size_t>(number)];
    };
    for (Op& op : ops_) {
      const bool writes_b = op.code == OpCode::kScanBegin || op.code == OpCode::kScanNext ||
                            op.code == OpCode::kWithBegin || op.code == OpCode::kWithEnd;
      const bool has_c = HasResult(op.code) || UpdatesC(op.code) || writes_b;
      EachOperand(op, rename);
      if (writes_b) rename(op.b);
      if (has_c) rename(op.c);
      if (op.code == OpCode::kScanBegin || op.code == OpCode::kScanNext) {
        op.extra = static_cast<uint32_t>(renamed[op.extra]);
      }
    }
  }

  std::vector<Op>& ops_;
  std::vector<int32_t>& args_;
  uint32_t registers_;
  ConstantFolding& folding_;
  Function& function_;
  BitRows live_{0, 0};
};

}  // namespace

void Optimize(std::vector<Op>& ops, std::vector<int32_t>& args, uint32_t registers,
              ConstantFolding& folding, Function& function) {
  Optimizer(ops, args, registers, folding, function).Run();
}

}  // namespace aegis::rego::internal
