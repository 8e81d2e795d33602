// "walk(x, [path, value])": the planner calls walk and scans the list of pairs that it gives, each
// of which it checks and takes apart. The list is as large as x and each path as long as x is deep,
// when most policies pass over nearly all values and read few paths.
#include "aegis/rego/builtins/builtin.h"
#include "aegis/rego/optimize/body.h"

namespace aegis::rego::internal {
namespace {

struct WalkLoop {
  uint32_t call;   // the kBuiltin
  uint32_t begin;  // the kScanBegin
  uint32_t next;   // the kScanNext
};

class WalkMaker {
 public:
  explicit WalkMaker(Body& body) : body_(body), live_(body), targets_(JumpTargets(body)) {}

  void Run() {
    const uint32_t size = body_.size();
    for (uint32_t i = 0; i < size; ++i) {
      if (body_.ops[i].code != OpCode::kBuiltin ||
          body_.folding.builtin(body_.ops[i].extra).name != "walk") {
        continue;
      }
      if (const WalkLoop loop = FindLoop(i); loop.next != 0 && TakesPairsApart(loop)) Make(loop);
    }
  }

 private:
  // The loop over what op `call` gives, when nothing else reads that; next is 0 when there is none.
  WalkLoop FindLoop(uint32_t call) const {
    const int32_t list = body_.ops[call].c;
    const uint32_t begin = SkipNops(body_, call + 1);
    if (begin + 1 >= body_.size()) return {};
    for (uint32_t i = call + 1; i <= begin; ++i) {
      if (targets_[i]) return {};
    }
    const Op& scan = body_.ops[begin];
    if (scan.code != OpCode::kScanBegin || scan.a != list || live_.IsLive(begin + 1, list) ||
        live_.IsLive(scan.jump, list) || live_.IsLive(body_.ops[call].jump, list)) {
      return {};
    }
    WalkLoop loop{call, begin, 0};
    for (uint32_t i = 0; i < body_.size(); ++i) {
      const Op& op = body_.ops[i];
      if (op.code != OpCode::kScanBegin && op.code != OpCode::kScanNext) continue;
      if (i == begin || op.b != scan.b) continue;
      if (op.code != OpCode::kScanNext || op.jump != begin + 1 || loop.next != 0) return {};
      loop.next = i;
    }
    return loop;
  }

  // Whether the loop never asks for the place in the list, and of a pair only for its parts.
  bool TakesPairsApart(const WalkLoop& loop) {
    const Op& scan = body_.ops[loop.begin];
    const auto pair = static_cast<int32_t>(scan.extra);
    for (const uint32_t after : {scan.jump, loop.next + 1}) {
      if (live_.IsLive(after, pair) || live_.IsLive(after, scan.c)) return false;
    }
    if (pair == scan.c || live_.IsLive(loop.begin + 1, scan.c)) return false;
    for (uint32_t i = 0; i < body_.size(); ++i) {
      Op& op = body_.ops[i];
      if (i == loop.begin || i == loop.next) continue;
      bool reads = false, writes = false;
      EachRead(body_, op, [&](int32_t number) { reads = reads || number == pair; });
      EachWrite(op, [&](int32_t number) { writes = writes || number == pair; });
      if (writes) return false;
      if (!reads) continue;
      const bool checks = op.code == OpCode::kIsType || op.code == OpCode::kLen;
      const bool takes = op.code == OpCode::kDot && op.b < 0 && op.a == pair && PartOf(op) >= 0;
      if (!checks && !takes) return false;
    }
    return true;
  }

  // 0: the path; 1: the value; -1: not a part of a pair.
  int PartOf(const Op& dot) const {
    const Value index = body_.folding.Constant(dot.b);
    if (!index.is_int() || index.int_value() < 0 || index.int_value() > 1) return -1;
    return static_cast<int>(index.int_value());
  }

  void Make(const WalkLoop& loop) {
    const Op call = body_.ops[loop.call], scan = body_.ops[loop.begin];
    const auto pair = static_cast<int32_t>(scan.extra);
    const int32_t walked = body_.args[static_cast<size_t>(call.a)];
    const int32_t value = body_.NewRegister();
    body_.ops[loop.call] = Op{.code = OpCode::kIsDefined, .a = walked, .jump = call.jump};
    body_.ops[loop.begin] =
        Op{.code = OpCode::kWalkBegin, .a = walked, .b = scan.b, .c = value, .jump = scan.jump};
    body_.ops[loop.next] =
        Op{.code = OpCode::kWalkNext, .b = scan.b, .c = value, .jump = loop.begin + 1};
    for (Op& op : body_.ops) {
      const bool asks =
          op.code == OpCode::kIsType || op.code == OpCode::kLen || op.code == OpCode::kDot;
      if (!asks || op.a != pair) continue;
      if (op.code == OpCode::kLen) {
        op = Op{.code = OpCode::kMove, .a = body_.folding.AddConstant(Value::Int(2)), .c = op.c};
      } else if (op.code == OpCode::kIsType) {
        const bool holds = static_cast<Type>(op.flag) == Type::kArray;
        op = Op{.code = holds ? OpCode::kNop : OpCode::kJump, .jump = holds ? kNone : op.jump};
      } else if (PartOf(op) == 0) {
        op = Op{.code = OpCode::kWalkPath, .b = scan.b, .c = op.c};
      } else {
        op = Op{.code = OpCode::kMove, .a = value, .c = op.c};
      }
    }
  }

  Body& body_;
  const Liveness live_;
  const std::vector<bool> targets_;
};

// Lets the walk that begins at `begin` pass over what the test at the begin of its loop refuses.
void TakeTest(Body& body, uint32_t begin) {
  Op& walk = body.ops[begin];
  const uint32_t first = SkipNops(body, begin + 1);
  if (first >= body.size() || body.ops[first].code != OpCode::kIsType) return;
  Op& test = body.ops[first];
  const uint32_t next = Destination(body, test.jump);
  if (test.a != walk.c || body.ops[next].code != OpCode::kWalkNext || body.ops[next].b != walk.b ||
      body.ops[next].flag != walk.flag || SkipNops(body, body.ops[next].jump) != first ||
      Destination(body, next + 1) != Destination(body, walk.jump)) {
    return;
  }
  walk.flag = body.ops[next].flag = test.flag;
  test = Op{.code = OpCode::kNop};
}

// Moves the making of a path behind what does not read it.
void SinkPath(Body& body, const Liveness& live, const std::vector<bool>& targets, uint32_t at) {
  for (; at + 1 < body.size(); ++at) {
    const Op path = body.ops[at];
    Op& op = body.ops[at + 1];
    bool apart = !targets[at + 1] && FallsThrough(op.code) && op.code != OpCode::kScanBegin &&
                 op.code != OpCode::kWalkBegin && op.code != OpCode::kWalkNext;
    if (op.jump != kNone) apart = apart && !live.IsLive(op.jump, path.c);
    EachRead(body, op, [&](int32_t number) { apart = apart && number != path.c; });
    EachWrite(op, [&](int32_t number) { apart = apart && number != path.c && number != path.b; });
    if (!apart) return;
    body.ops[at] = op;
    op = path;
  }
}

}  // namespace

void WalkInPlace(Body& body) { WalkMaker(body).Run(); }

void NarrowWalks(Body& body) {
  const Liveness live(body);
  const std::vector<bool> targets = JumpTargets(body);
  for (uint32_t i = body.size(); i-- > 0;) {
    if (body.ops[i].code == OpCode::kWalkPath) SinkPath(body, live, targets, i);
  }
  for (uint32_t i = 0; i < body.size(); ++i) {
    if (body.ops[i].code == OpCode::kWalkBegin) TakeTest(body, i);
  }
}

}  // namespace aegis::rego::internal
