// Arrays, objects and sets that are written out in a policy: the planner makes them empty and adds
// one part after the other. Of constants they become a constant, else one op.
#include "aegis/rego/optimize/body.h"
#include "aegis/rego/table.h"

namespace aegis::rego::internal {
namespace {

OpCode Adds(OpCode make) {
  switch (make) {
    case OpCode::kMakeArray:
      return OpCode::kArrayAppend;
    case OpCode::kMakeObject:
      return OpCode::kObjectInsert;
    case OpCode::kMakeSet:
      return OpCode::kSetAdd;
    default:
      return OpCode::kNop;
  }
}

// More would not be compact.
constexpr size_t kMaxParts = 256;

class CollectionMaker {
 public:
  explicit CollectionMaker(Body& body) : body_(body), live_(body), targets_(JumpTargets(body)) {}

  void Run() {
    for (uint32_t i = 0; i < body_.size(); ++i) {
      if (Adds(body_.ops[i].code) != OpCode::kNop) Make(i);
    }
  }

 private:
  // The ops that add the parts of what op `begin` makes, as far as they can be taken together.
  std::vector<uint32_t> FindParts(uint32_t begin) const {
    const OpCode adds = Adds(body_.ops[begin].code);
    const int32_t made = body_.ops[begin].c;
    std::vector<uint32_t> parts;
    std::vector<int32_t> read;  // registers that the parts hold, and must keep
    for (uint32_t i = begin + 1; i < body_.size() && parts.size() < kMaxParts; ++i) {
      Op& op = body_.ops[i];
      if (targets_[i] || !FallsThrough(op.code)) break;
      if (op.code == adds && op.c == made) {
        const bool has_key = adds == OpCode::kObjectInsert;
        if (op.a == made || (has_key && !IsNewKey(parts, op.b))) break;
        if (!parts.empty() && body_.ops[parts.front()].jump != op.jump) break;
        if (live_.IsLive(op.jump, made)) break;
        parts.push_back(i);
        if (op.a >= 0) read.push_back(op.a);
        continue;
      }
      // Other ops may stand between, as long as they have nothing to do with it.
      bool apart = op.code != OpCode::kWithBegin && op.code != OpCode::kWithEnd;
      EachRead(body_, op, [&](int32_t number) { apart = apart && number != made; });
      EachWrite(op, [&](int32_t number) {
        apart =
            apart && number != made && std::find(read.begin(), read.end(), number) == read.end();
      });
      if (op.jump != kNone) apart = apart && !live_.IsLive(op.jump, made);
      if (!apart) break;
    }
    return parts;
  }

  // A constant string that is none of the keys so far.
  bool IsNewKey(const std::vector<uint32_t>& parts, int32_t key) const {
    if (key >= 0 || !body_.folding.Constant(key).is_string()) return false;
    return std::none_of(parts.begin(), parts.end(),
                        [&](uint32_t part) { return body_.ops[part].b == key; });
  }

  // Whether something is added later to what op `begin` makes.
  bool IsAddedTo(uint32_t begin, uint32_t behind) const {
    const Op& make = body_.ops[begin];
    for (uint32_t i = behind; i < body_.size(); ++i) {
      const Op& op = body_.ops[i];
      if (op.c != make.c) continue;
      if (UpdatesC(op.code) && op.code != OpCode::kMoveOnce) return true;
      if (HasResult(op.code)) return false;
    }
    return false;
  }

  void Make(uint32_t begin) {
    const std::vector<uint32_t> parts = FindParts(begin);
    const uint32_t last = parts.empty() ? begin : parts.back();
    const Op make = body_.ops[begin];
    if (IsAddedTo(begin, last + 1)) return;
    const bool constant = std::all_of(parts.begin(), parts.end(), [&](uint32_t part) {
      return body_.ops[part].a < 0 && !body_.folding.Constant(body_.ops[part].a).is_undefined();
    });
    if (constant) {
      const Value value = Build(make, parts);
      if (value.is_undefined()) return;
      Drop(begin, parts);
      body_.ops[last] =
          Op{.code = OpCode::kMove, .a = body_.folding.AddConstant(value), .c = make.c};
      return;
    }
    if (make.code == OpCode::kMakeSet || parts.empty()) return;
    Op op{.code = make.code == OpCode::kMakeArray ? OpCode::kArray : OpCode::kObject,
          .a = static_cast<int32_t>(body_.args.size()),
          .c = make.c,
          .jump = body_.ops[last].jump};
    std::vector<uint32_t> order = parts;
    if (op.code == OpCode::kObject) {
      std::sort(order.begin(), order.end(),
                [&](uint32_t x, uint32_t y) { return Compare(KeyOf(x), KeyOf(y)) < 0; });
    }
    for (const uint32_t part : order) {
      if (op.code == OpCode::kObject) body_.args.push_back(body_.ops[part].b);
      body_.args.push_back(body_.ops[part].a);
    }
    op.count = static_cast<uint16_t>(body_.args.size() - static_cast<size_t>(op.a));
    Drop(begin, parts);
    body_.ops[last] = op;
  }

  Value KeyOf(uint32_t part) const { return body_.folding.Constant(body_.ops[part].b); }

  void Drop(uint32_t begin, const std::vector<uint32_t>& parts) {
    body_.ops[begin] = Op{.code = OpCode::kNop};
    for (const uint32_t part : parts) body_.ops[part] = Op{.code = OpCode::kNop};
  }

  // Undefined when it becomes too large.
  Value Build(const Op& make, const std::vector<uint32_t>& parts) const {
    Arena& arena = body_.folding.arena();
    Value value = make.code == OpCode::kMakeArray    ? NewArray(arena, parts.size())
                  : make.code == OpCode::kMakeObject ? NewObject(arena, parts.size())
                                                     : NewSet(arena, parts.size());
    for (const uint32_t part : parts) {
      const Value one = body_.folding.Constant(body_.ops[part].a);
      const Edit edit = make.code == OpCode::kMakeArray ? ArrayAppend(arena, value, one)
                        : make.code == OpCode::kMakeObject
                            ? ObjectInsert(arena, value, KeyOf(part), one)
                            : SetAdd(arena, value, one);
      if (edit != Edit::kOk) return Value();
    }
    // Its parts are constants already.
    if (!value.is_array()) EnsureSorted(value);
    Freeze(value);
    return value;
  }

  Body& body_;
  const Liveness live_;
  const std::vector<bool> targets_;
};

}  // namespace

void MakeCollections(Body& body) { CollectionMaker(body).Run(); }

}  // namespace aegis::rego::internal
