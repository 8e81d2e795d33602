// Joins: `some port in input.ports; port.id == wanted` goes over all elements and asks each for the
// same. One op does that without leaving the loop.
#include "aegis/rego/optimize/body.h"

namespace aegis::rego::internal {
namespace {

// How far DropImpliedTests looks.
constexpr uint32_t kMaxDistance = 16;

bool IsWrittenBy(const Op& op, int32_t register_number) {
  bool written = false;
  EachWrite(op, [&](int32_t number) { written = written || number == register_number; });
  return written;
}

// Whether an op that jumps when one of its operands is undefined reads that register.
bool NeedsDefined(const Body& body, Op& op, int32_t wanted) {
  switch (op.code) {
    case OpCode::kDot:
    case OpCode::kIsDefined:
    case OpCode::kCompareJump:
    case OpCode::kMemberJump:
    case OpCode::kScanBegin:
    case OpCode::kBuiltin:
    case OpCode::kArray:
    case OpCode::kObject: {
      bool reads = false;
      EachOperand(body, op, [&](int32_t operand) { reads = reads || operand == wanted; });
      return reads;
    }
    default:
      return false;
  }
}

class ImpliedTests {
 public:
  explicit ImpliedTests(Body& body) : body_(body), live_(body), targets_(JumpTargets(body)) {}

  void Run() {
    for (uint32_t i = 0; i < body_.size(); ++i) {
      Op& op = body_.ops[i];
      if (op.code == OpCode::kIsDefined && op.a >= 0 && IsImplied(i)) {
        op = Op{.code = OpCode::kNop};
      }
    }
  }

 private:
  // Whether what follows op i goes to the same place when the register is undefined, and nothing
  // that is done on the way there is seen.
  bool IsImplied(uint32_t i) const {
    const int32_t tested = body_.ops[i].a;
    const uint32_t out = body_.ops[i].jump;
    for (uint32_t at = i + 1; at < std::min(i + kMaxDistance, body_.size()); ++at) {
      Op& op = body_.ops[at];
      if (op.code == OpCode::kNop) continue;
      if (op.jump != kNone && op.jump != out) return false;
      if (HasResult(op.code) && live_.IsLive(out, op.c)) return false;
      if (NeedsDefined(body_, op, tested)) return true;
      if (op.code == OpCode::kEqual && (op.a == tested || op.b == tested)) {
        return IsDefinedBefore(at, op.a == tested ? op.b : op.a);
      }
      const bool loads =
          op.code == OpCode::kDot || op.code == OpCode::kLoad || op.code == OpCode::kMove;
      if (!(loads || IsTest(op.code)) || IsWrittenBy(op, tested)) return false;
    }
    return false;
  }
  // Whether the last op that wrote it, a little before, says so.
  bool IsDefinedBefore(uint32_t at, int32_t operand) const {
    if (operand < 0) return !body_.folding.Constant(operand).is_undefined();
    for (uint32_t i = at; i-- > 0 && at - i < kMaxDistance && !targets_[i + 1];) {
      if (IsWrittenBy(body_.ops[i], operand)) return body_.ops[i].code == OpCode::kDot;
    }
    return false;
  }

  Body& body_;
  const Liveness live_;
  const std::vector<bool> targets_;
};

class SearchFuser {
 public:
  explicit SearchFuser(Body& body) : body_(body), live_(body), sources_(body.ops.size(), 0) {
    for (const Op& op : body.ops) {
      if (op.jump != kNone) ++sources_[op.jump];
    }
  }

  void Run() {
    for (uint32_t i = 0; i + 1 < body_.size(); ++i) {
      if (body_.ops[i].code == OpCode::kScanBegin) Fuse(i);
    }
  }

 private:
  void Fuse(uint32_t begin) {
    const Op scan = body_.ops[begin];
    const uint32_t first = begin + 1, next = body_.ops[first].jump;
    if (next == kNone || next <= first || !IsLoop(scan, first, next)) return;
    // Where the comparison is, and the load in front of it if it is of a member.
    const auto value = static_cast<int32_t>(scan.extra);
    const Op load = body_.ops[first];
    const bool of_member = load.code == OpCode::kDot && load.a == value && load.b < 0 &&
                           body_.folding.Constant(load.b).is_string() && load.c != value;
    const uint32_t at = of_member ? first + 1 : first;
    const Op test = body_.ops[at];
    if (test.code != OpCode::kEqual && test.code != OpCode::kNotEqual) return;
    if (test.jump != next || (of_member && sources_[at] != 0)) return;
    const int32_t compared = of_member ? load.c : value;
    if ((test.a == compared) == (test.b == compared)) return;
    const int32_t wanted = test.a == compared ? test.b : test.a;
    // All are compared with the same.
    for (uint32_t i = begin; i <= next; ++i) {
      if (IsWrittenBy(body_.ops[i], wanted)) return;
    }
    // When no element matches, nothing of the loop is seen behind it.
    for (const int32_t written : {scan.c, value, compared}) {
      if (live_.IsLive(scan.jump, written)) return;
    }
    const bool keeps_load = of_member && live_.IsLive(at + 1, load.c);
    if (of_member && live_.IsLive(next, load.c)) return;

    const int32_t key = of_member ? load.b : body_.folding.AddConstant(Value());
    Op find{.code = OpCode::kFindFirst,
            .flag = static_cast<uint8_t>(test.code == OpCode::kNotEqual),
            .count = 3,
            .a = AddArgs({wanted, key, scan.a}),
            .b = scan.b,
            .c = scan.c,
            .jump = scan.jump,
            .extra = scan.extra};
    body_.ops[begin] = find;
    find.code = OpCode::kFind;
    find.count = 2;
    find.a = AddArgs({wanted, key});
    find.jump = first;
    body_.ops[next] = find;
    body_.ops[at] = Op{.code = OpCode::kNop};
    if (of_member && !keeps_load) body_.ops[first] = Op{.code = OpCode::kNop};
  }

  // Whether op `next` ends the rounds of a loop that is entered from `scan` and from there only.
  bool IsLoop(const Op& scan, uint32_t first, uint32_t next) const {
    const Op& last = body_.ops[next];
    return last.code == OpCode::kScanNext && last.b == scan.b && last.jump == first &&
           sources_[first] == 1;
  }

  int32_t AddArgs(std::initializer_list<int32_t> operands) {
    body_.args.insert(body_.args.end(), operands);
    return static_cast<int32_t>(body_.args.size() - operands.size());
  }

  Body& body_;
  const Liveness live_;
  std::vector<uint32_t> sources_;  // by op, how many jump to it
};

}  // namespace

void DropImpliedTests(Body& body) {
  ImpliedTests(body).Run();
  Compact(body);
}

void FuseSearches(Body& body) {
  SearchFuser(body).Run();
  Compact(body);
}

}  // namespace aegis::rego::internal
