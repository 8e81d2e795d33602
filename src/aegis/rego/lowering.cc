#include "aegis/rego/lowering.h"

#include <algorithm>
#include <map>
#include <unordered_map>

#include "aegis/rego/hash.h"
#include "aegis/rego/number.h"
#include "aegis/rego/table.h"

namespace aegis::rego::internal {
namespace {

using ir::Kind;
using ir::Local;
using ir::Operand;
using ir::Stmt;

tl::unexpected<Error> Malformed(std::string message) {
  return Fail(Code::kInvalidArgument, "plan_malformed",
              "plan.json cannot be used: " + std::move(message));
}

bool Calls(const std::vector<ir::Block>& blocks, const std::string& name) {
  for (const ir::Block& block : blocks) {
    for (const ir::Stmt& stmt : block.stmts) {
      if ((stmt.kind == ir::Kind::kCall && stmt.func == name) || Calls(stmt.blocks, name)) {
        return true;
      }
    }
  }
  return false;
}

// A function that there is not: refused for good or not there yet. `place`: empty or "g0.data.p.f:
// ".
tl::unexpected<Error> NoSuchBuiltin(const std::string& name, const std::string& place) {
  const std::string what = place + "the policy calls the builtin function " + name;
  const std::string_view why = WhyRefused(name);
  if (why.empty()) {
    return Fail(Code::kUnimplemented, "builtin_unsupported", what + ", which is not supported yet");
  }
  return Fail(Code::kPermissionDenied, "builtin_refused",
              what + ", which is refused: " + std::string(why));
}

// The first rule that calls the builtin.
std::string PlaceOfCall(const ir::Policy& policy, const std::string& name) {
  for (const ir::Func& func : policy.funcs) {
    if (Calls(func.blocks, name)) return func.name + ": ";
  }
  return "";
}

// Constants and tables that all functions share.
class Pools {
 public:
  Pools(const ir::Policy& policy, Arena& arena, StringPool& strings, internal::ByteCode& code)
      : policy_(policy), arena_(arena), strings_(strings), code_(code) {
    string_constants_.resize(policy.strings.size(), kUnset);
    for (size_t i = 0; i < policy.funcs.size(); ++i) {
      functions_.emplace(policy.funcs[i].name, static_cast<uint32_t>(i));
    }
  }

  int32_t StringConstant(int32_t index) {
    int32_t& constant = string_constants_[static_cast<size_t>(index)];
    if (constant == kUnset) constant = Add(String(index));
    return constant;
  }
  int32_t BoolConstant(bool value) {
    return Scalar(value ? kTrueKey : kFalseKey, Value::Bool(value));
  }
  int32_t NullConstant() { return Scalar(kNullKey, Value::Null()); }
  int32_t UndefinedConstant() { return Scalar(kUndefinedKey, Value()); }
  int32_t DataConstant() { return Scalar(kDataKey, code_.data); }
  Value Constant(int32_t operand) const { return code_.constants[~static_cast<size_t>(operand)]; }
  // Of a value that is a part of the data.
  int32_t PartConstant(Value part) {
    if (part.is_undefined()) return UndefinedConstant();
    const auto [found, added] = parts_.emplace(std::pair(part.head(), part.bits()), 0);
    if (added) found->second = Add(part);
    return found->second;
  }
  int32_t IntConstant(int64_t value) {
    const auto [found, added] = ints_.emplace(value, 0);
    if (added) found->second = Add(Value::Int(value));
    return found->second;
  }
  Result<int32_t> NumberConstant(int64_t index) {
    const std::string& text = policy_.strings[static_cast<size_t>(index)];
    const Value number = MakeGoNumber(arena_, text);
    if (number.is_int()) return IntConstant(number.int_value());
    if (!number.is_number()) return Malformed("\"" + text + "\" is not a number");
    const auto [found, added] = numbers_.emplace(text, 0);
    if (added) found->second = Add(number);
    return found->second;
  }

  Value String(int32_t index) { return strings_.Make(policy_.strings[static_cast<size_t>(index)]); }
  const uint32_t* FindFunction(const std::string& name) const {
    const auto found = functions_.find(name);
    return found == functions_.end() ? nullptr : &found->second;
  }
  Result<uint32_t> BuiltinIndex(const std::string& name, size_t arguments) {
    const auto [found, added] = builtins_.emplace(name, 0);
    if (added) {
      const Builtin* builtin = FindBuiltin(name);
      if (builtin == nullptr) return NoSuchBuiltin(name, "");
      found->second = static_cast<uint32_t>(code_.builtins.size());
      code_.builtins.push_back(builtin);
    }
    if (code_.builtins[found->second]->arity != arguments) {
      return Malformed(name + " is called with " + std::to_string(arguments) + " arguments");
    }
    return found->second;
  }
  internal::ByteCode& code() { return code_; }
  Arena& arena() { return arena_; }

 private:
  static constexpr int32_t kUnset = 0;
  static constexpr int kTrueKey = 1, kFalseKey = 0, kNullKey = 2, kUndefinedKey = 3, kDataKey = 4;

  int32_t Scalar(int key, Value value) {
    int32_t& constant = scalars_[key];
    if (constant == kUnset) constant = Add(value);
    return constant;
  }
  int32_t Add(Value value) {
    code_.constants.push_back(value);
    return ~static_cast<int32_t>(code_.constants.size() - 1);
  }

  const ir::Policy& policy_;
  Arena& arena_;
  StringPool& strings_;
  internal::ByteCode& code_;
  std::vector<int32_t> string_constants_;
  int32_t scalars_[5] = {kUnset, kUnset, kUnset, kUnset, kUnset};
  std::map<std::pair<uint64_t, uint64_t>, int32_t> parts_;
  std::unordered_map<int64_t, int32_t> ints_;
  std::unordered_map<std::string, int32_t> numbers_;
  std::unordered_map<std::string_view, uint32_t> functions_;
  std::unordered_map<std::string, uint32_t> builtins_;
};

const std::unordered_map<std::string_view, Comparison>& Comparisons() {
  static const auto* const table = new std::unordered_map<std::string_view, Comparison>{
      {"equal", Comparison::kEqual}, {"neq", Comparison::kNotEqual},
      {"lt", Comparison::kLess},     {"lte", Comparison::kLessEqual},
      {"gt", Comparison::kGreater},  {"gte", Comparison::kGreaterEqual}};
  return *table;
}

const std::unordered_map<std::string_view, Type>& TypeTests() {
  static const auto* const table = new std::unordered_map<std::string_view, Type>{
      {"is_null", Type::kNull},     {"is_boolean", Type::kBool}, {"is_number", Type::kNumber},
      {"is_string", Type::kString}, {"is_array", Type::kArray},  {"is_object", Type::kObject},
      {"is_set", Type::kSet}};
  return *table;
}

// Lowers the body of one function or plan. Jumps hold numbers of labels until Finish.
class FunctionLowering {
 public:
  FunctionLowering(Pools& pools, const ProgramLimits& limits) : pools_(pools), limits_(limits) {}

  // `data_local`: the local that is known to hold the base data, or kNoLocal.
  Status Run(const std::vector<Local>& params, Local data_local,
             const std::vector<ir::Block>& blocks, bool is_plan) {
    for (const Local param : params) Register(param);
    data_local_ = data_local;
    AEGIS_RETURN_IF_ERROR(LowerBlocks(blocks));
    if (is_plan) {
      Emit({.code = OpCode::kHalt});
    } else if (ops_.empty() || ops_.back().code != OpCode::kReturn || JumpsToEnd()) {
      // A body that does not return gives nothing; OPA's planner always ends with a return.
      Emit({.code = OpCode::kReturn, .a = pools_.UndefinedConstant()});
    }
    if (registers() > limits_.max_registers) {
      return Fail(Code::kResourceExhausted, "plan_too_large",
                  "a function of the plan has more than " + std::to_string(limits_.max_registers) +
                      " locals");
    }
    ResolveLabels();
    return Ok();
  }

  std::vector<Op>& ops() { return ops_; }
  uint32_t registers() const { return static_cast<uint32_t>(next_register_); }

 private:
  // A block that is open. Leaving a With's block restores what it replaced.
  struct Scope {
    uint32_t end;  // label
    bool is_with = false;
    int32_t local = 0;
    int32_t saved = 0;
  };

  int32_t Register(Local local) {
    const auto [found, added] = registers_.emplace(local, 0);
    if (added) found->second = NewRegister();
    return found->second;
  }
  int32_t NewRegister() { return next_register_++; }

  int32_t Lowered(const Operand& operand) {
    switch (operand.kind) {
      case Operand::Kind::kLocal:
        return operand.value == data_local_ ? pools_.DataConstant() : Register(operand.value);
      case Operand::Kind::kBool:
        return pools_.BoolConstant(operand.value != 0);
      case Operand::Kind::kString:
        return pools_.StringConstant(operand.value);
      case Operand::Kind::kNone:
        break;
    }
    return pools_.NullConstant();
  }

  uint32_t NewLabel() {
    labels_.push_back(kNone);
    return static_cast<uint32_t>(labels_.size() - 1);
  }
  void Place(uint32_t label) { labels_[label] = static_cast<uint32_t>(ops_.size()); }
  void Emit(Op op) { ops_.push_back(op); }
  void EmitJump(uint32_t label) { Emit({.code = OpCode::kJump, .jump = label}); }
  void EmitWithEnd(const Scope& scope) {
    Emit({.code = OpCode::kWithEnd, .b = scope.saved, .c = scope.local});
  }
  uint32_t Undefined() const { return scopes_.back().end; }

  bool JumpsToEnd() const {
    return std::find(labels_.begin(), labels_.end(), static_cast<uint32_t>(ops_.size())) !=
           labels_.end();
  }

  void ResolveLabels() {
    for (Op& op : ops_) {
      if (op.jump != kNone) op.jump = labels_[op.jump];
    }
  }

  // Each block ends where the next begins.
  Status LowerBlocks(const std::vector<ir::Block>& blocks) {
    for (const ir::Block& block : blocks) {
      const uint32_t end = NewLabel();
      AEGIS_RETURN_IF_ERROR(LowerBlock(block, {.end = end}));
      Place(end);
    }
    return Ok();
  }

  Status LowerBlock(const ir::Block& block, Scope scope) {
    scopes_.push_back(scope);
    for (const Stmt& stmt : block.stmts) {
      AEGIS_RETURN_IF_ERROR(LowerStmt(stmt));
      if (ops_.size() > limits_.max_ops) {
        return Fail(Code::kResourceExhausted, "plan_too_large",
                    "the plan has more than " + std::to_string(limits_.max_ops) + " operations");
      }
    }
    scopes_.pop_back();
    return Ok();
  }

  void LowerBreak(int64_t index) {
    const size_t target = scopes_.size() - 1 - static_cast<size_t>(index);
    for (size_t i = scopes_.size() - 1; i > target; --i) {
      if (scopes_[i].is_with) EmitWithEnd(scopes_[i]);
    }
    EmitJump(scopes_[target].end);
  }

  void LowerReturn(const Stmt& stmt) {
    for (size_t i = scopes_.size(); i-- > 0;) {
      if (scopes_[i].is_with) EmitWithEnd(scopes_[i]);
    }
    Emit({.code = OpCode::kReturn, .a = Lowered(stmt.a)});
  }

  Status LowerScan(const Stmt& stmt) {
    const uint32_t begin_failed = NewLabel(), next = NewLabel(), body = NewLabel();
    const int32_t iterator = NewRegister();
    NewRegister();
    const int32_t key = Register(stmt.key), value = Register(stmt.target);
    Emit({.code = OpCode::kScanBegin,
          .a = Lowered(stmt.a),
          .b = iterator,
          .c = key,
          .jump = begin_failed,
          .extra = static_cast<uint32_t>(value)});
    Place(body);
    AEGIS_RETURN_IF_ERROR(LowerBlock(stmt.blocks[0], {.end = next}));
    Place(next);
    Emit({.code = OpCode::kScanNext,
          .b = iterator,
          .c = key,
          .jump = body,
          .extra = static_cast<uint32_t>(value)});
    Place(begin_failed);
    return Ok();
  }

  Status LowerNot(const Stmt& stmt) {
    const uint32_t undefined_inside = NewLabel();
    AEGIS_RETURN_IF_ERROR(LowerBlock(stmt.blocks[0], {.end = undefined_inside}));
    EmitJump(Undefined());
    Place(undefined_inside);
    return Ok();
  }

  Status LowerWith(const Stmt& stmt) {
    const uint32_t undefined_inside = NewLabel(), done = NewLabel();
    const int32_t local = Register(stmt.target), saved = NewRegister();
    uint32_t path = kNone;
    if (!stmt.path.empty()) {
      path = static_cast<uint32_t>(pools_.code().paths.size());
      std::vector<Value>& segments = pools_.code().paths.emplace_back();
      for (const Operand& segment : stmt.path) segments.push_back(pools_.String(segment.value));
    }
    Emit({.code = OpCode::kWithBegin,
          .a = Lowered(stmt.a),
          .b = saved,
          .c = local,
          .jump = Undefined(),
          .extra = path});
    const Scope scope{.end = undefined_inside, .is_with = true, .local = local, .saved = saved};
    AEGIS_RETURN_IF_ERROR(LowerBlock(stmt.blocks[0], scope));
    EmitWithEnd(scope);
    EmitJump(done);
    Place(undefined_inside);
    EmitWithEnd(scope);
    EmitJump(Undefined());
    Place(done);
    return Ok();
  }

  int32_t AddArgs(const std::vector<Operand>& operands) {
    std::vector<int32_t>& args = pools_.code().args;
    const auto start = static_cast<int32_t>(args.size());
    for (const Operand& operand : operands) {
      const int32_t lowered = Lowered(operand);
      args.push_back(lowered);
    }
    return start;
  }

  Status LowerCall(const Stmt& stmt) {
    const auto count = static_cast<uint16_t>(stmt.args.size());
    if (const uint32_t* function = pools_.FindFunction(stmt.func)) {
      const int32_t args = AddArgs(stmt.args);
      Emit({.code = OpCode::kCall,
            .count = count,
            .a = args,
            .c = Register(stmt.target),
            .jump = Undefined(),
            .extra = *function});
      return Ok();
    }
    AEGIS_TRY(const uint32_t builtin, pools_.BuiltinIndex(stmt.func, stmt.args.size()));
    const auto comparison = Comparisons().find(stmt.func);
    if (comparison != Comparisons().end()) {
      const int32_t a = Lowered(stmt.args[0]), b = Lowered(stmt.args[1]);
      Emit({.code = OpCode::kCompare,
            .flag = static_cast<uint8_t>(comparison->second),
            .a = a,
            .b = b,
            .c = Register(stmt.target),
            .jump = Undefined()});
      return Ok();
    }
    if (stmt.func == "internal.member_2") {
      const int32_t a = Lowered(stmt.args[0]), b = Lowered(stmt.args[1]);
      Emit({.code = OpCode::kMember,
            .a = a,
            .b = b,
            .c = Register(stmt.target),
            .jump = Undefined()});
      return Ok();
    }
    const auto type = TypeTests().find(stmt.func);
    if (type != TypeTests().end()) {
      Emit({.code = OpCode::kTypeIs,
            .flag = static_cast<uint8_t>(type->second),
            .a = Lowered(stmt.args[0]),
            .c = Register(stmt.target),
            .jump = Undefined()});
      return Ok();
    }
    const int32_t args = AddArgs(stmt.args);
    Emit({.code = OpCode::kBuiltin,
          .count = count,
          .a = args,
          .c = Register(stmt.target),
          .jump = Undefined(),
          .extra = builtin});
    return Ok();
  }

  void LowerCallDynamic(const Stmt& stmt) {
    const int32_t args = AddArgs(stmt.args);
    AddArgs(stmt.path);
    Emit({.code = OpCode::kCallDynamic,
          .count = static_cast<uint16_t>(stmt.args.size()),
          .a = args,
          .c = Register(stmt.target),
          .jump = Undefined(),
          .extra = static_cast<uint32_t>(stmt.path.size())});
  }

  // c = a
  void EmitMove(int32_t source, Local target) {
    Emit({.code = OpCode::kMove, .a = source, .c = Register(target)});
  }
  // c from a and b, or jump
  void EmitSimple(OpCode code, const Stmt& stmt, uint8_t flag = 0) {
    Op op{.code = code, .flag = flag, .jump = Undefined()};
    if (stmt.a.kind != Operand::Kind::kNone) op.a = Lowered(stmt.a);
    if (stmt.b.kind != Operand::Kind::kNone) op.b = Lowered(stmt.b);
    if (stmt.target != ir::kNoLocal) op.c = Register(stmt.target);
    Emit(op);
  }
  void EmitMake(OpCode code, const Stmt& stmt) {
    const int64_t capacity = std::clamp<int64_t>(stmt.number, 0, 64);
    Emit({.code = code, .c = Register(stmt.target), .extra = static_cast<uint32_t>(capacity)});
  }

  Status LowerStmt(const Stmt& stmt) {
    switch (stmt.kind) {
      case Kind::kArrayAppend:
        EmitSimple(OpCode::kArrayAppend, stmt);
        return Ok();
      case Kind::kAssignInt:
      case Kind::kMakeNumberInt:
        EmitMove(pools_.IntConstant(stmt.number), stmt.target);
        return Ok();
      case Kind::kAssignVarOnce:
        Emit({.code = OpCode::kMoveOnce, .a = Lowered(stmt.a), .c = Register(stmt.target)});
        return Ok();
      case Kind::kAssignVar:
        EmitMove(Lowered(stmt.a), stmt.target);
        return Ok();
      case Kind::kBlock:
        return LowerBlocks(stmt.blocks);
      case Kind::kBreak:
        LowerBreak(stmt.number);
        return Ok();
      case Kind::kCallDynamic:
        LowerCallDynamic(stmt);
        return Ok();
      case Kind::kCall:
        return LowerCall(stmt);
      case Kind::kDot:
        EmitSimple(OpCode::kDot, stmt);
        return Ok();
      case Kind::kEqual:
        EmitSimple(OpCode::kEqual, stmt);
        return Ok();
      case Kind::kNotEqual:
        EmitSimple(OpCode::kNotEqual, stmt);
        return Ok();
      case Kind::kIsArray:
        EmitSimple(OpCode::kIsType, stmt, static_cast<uint8_t>(Type::kArray));
        return Ok();
      case Kind::kIsObject:
        EmitSimple(OpCode::kIsType, stmt, static_cast<uint8_t>(Type::kObject));
        return Ok();
      case Kind::kIsSet:
        EmitSimple(OpCode::kIsType, stmt, static_cast<uint8_t>(Type::kSet));
        return Ok();
      case Kind::kIsDefined:
        EmitSimple(OpCode::kIsDefined, stmt);
        return Ok();
      case Kind::kIsUndefined:
        EmitSimple(OpCode::kIsUndefined, stmt);
        return Ok();
      case Kind::kLen:
        EmitSimple(OpCode::kLen, stmt);
        return Ok();
      case Kind::kMakeArray:
        EmitMake(OpCode::kMakeArray, stmt);
        return Ok();
      case Kind::kMakeNull:
        EmitMove(pools_.NullConstant(), stmt.target);
        return Ok();
      case Kind::kMakeNumberRef: {
        AEGIS_TRY(const int32_t number, pools_.NumberConstant(stmt.number));
        EmitMove(number, stmt.target);
        return Ok();
      }
      case Kind::kMakeObject:
        EmitMake(OpCode::kMakeObject, stmt);
        return Ok();
      case Kind::kMakeSet:
        EmitMake(OpCode::kMakeSet, stmt);
        return Ok();
      case Kind::kNop:
        return Ok();
      case Kind::kNot:
        return LowerNot(stmt);
      case Kind::kObjectInsertOnce:
        EmitSimple(OpCode::kObjectInsertOnce, stmt, static_cast<uint8_t>(stmt.number));
        return Ok();
      case Kind::kObjectInsert:
        EmitSimple(OpCode::kObjectInsert, stmt);
        return Ok();
      case Kind::kObjectMerge:
        EmitSimple(OpCode::kObjectMerge, stmt);
        return Ok();
      case Kind::kResetLocal:
        EmitMove(pools_.UndefinedConstant(), stmt.target);
        return Ok();
      case Kind::kResultSetAdd:
        EmitSimple(OpCode::kResultAdd, stmt);
        return Ok();
      case Kind::kReturnLocal:
        LowerReturn(stmt);
        return Ok();
      case Kind::kScan:
        return LowerScan(stmt);
      case Kind::kSetAdd:
        EmitSimple(OpCode::kSetAdd, stmt);
        return Ok();
      case Kind::kWith:
        return LowerWith(stmt);
    }
    return Malformed("a statement of an unknown kind");
  }

  Pools& pools_;
  const ProgramLimits& limits_;
  std::vector<Op> ops_;
  std::vector<uint32_t> labels_;
  std::vector<Scope> scopes_;
  std::unordered_map<Local, int32_t> registers_;
  Local data_local_ = ir::kNoLocal;
  int32_t next_register_ = 0;
};

// Lowers one body and appends it to the program.
Status AddFunction(Pools& pools, const ProgramLimits& limits, const std::string& name,
                   const std::vector<Local>& params, Local data_local,
                   const std::vector<ir::Block>& blocks, bool is_plan) {
  internal::ByteCode& code = pools.code();
  FunctionLowering lowering(pools, limits);
  if (Status lowered = lowering.Run(params, data_local, blocks, is_plan); !lowered) {
    return Fail(Annotate(std::move(lowered).error(), name));
  }
  Function function;
  function.name = name;
  function.params = static_cast<uint32_t>(params.size());
  struct Folding final : ConstantFolding {
    explicit Folding(Pools& all) : pools(all) {}
    Value Constant(int32_t operand) const override { return pools.Constant(operand); }
    int32_t Member(int32_t source, int32_t key) override {
      return pools.PartConstant(pools.Constant(source).Get(pools.Constant(key)));
    }
    int32_t AddConstant(Value value) override { return pools.PartConstant(value); }
    const Builtin& builtin(uint32_t index) const override { return *pools.code().builtins[index]; }
    Arena& arena() override { return pools.arena(); }
    size_t switch_count() const override { return pools.code().switches.size(); }
    void AddSwitch(Switch made) override { pools.code().switches.push_back(std::move(made)); }
    Pools& pools;
  } folding(pools);
  const size_t switches = code.switches.size();
  Optimize(lowering.ops(), code.args, lowering.registers(), folding, function);
  function.entry = static_cast<uint32_t>(code.ops.size());
  if (code.ops.size() + lowering.ops().size() > limits.max_ops) {
    return Fail(Code::kResourceExhausted, "plan_too_large",
                "the plan has more than " + std::to_string(limits.max_ops) + " operations");
  }
  for (Op op : lowering.ops()) {
    if (op.jump != kNone) op.jump += function.entry;
    if ((op.code == OpCode::kDot || op.code == OpCode::kLoad) && op.b < 0 &&
        pools.Constant(op.b).is_string()) {
      op.extra = SlotHash(HashString(pools.Constant(op.b).string_value()));
    }
    code.ops.push_back(op);
  }
  for (size_t i = switches; i < code.switches.size(); ++i) {
    for (Switch::Case& one : code.switches[i].cases) one.entry += function.entry;
  }
  code.functions.push_back(std::move(function));
  return Ok();
}

}  // namespace

void AppendPathSegment(std::string& key, std::string_view segment) {
  key += std::to_string(segment.size());
  key += ':';
  key += segment;
}

Status Lower(const ir::Policy& policy, Arena& arena, StringPool& strings,
             const ProgramLimits& limits, internal::ByteCode& code) {
  Pools pools(policy, arena, strings, code);
  for (const std::string& name : policy.builtins) {
    if (FindBuiltin(name) == nullptr) return NoSuchBuiltin(name, PlaceOfCall(policy, name));
  }
  const std::vector<Local> data_locals = FindDataLocals(policy);
  for (size_t i = 0; i < policy.funcs.size(); ++i) {
    const ir::Func& func = policy.funcs[i];
    if (!func.path.empty()) {
      std::string key;
      for (const std::string& segment : func.path) AppendPathSegment(key, segment);
      code.dynamic.emplace(std::move(key), static_cast<uint32_t>(code.functions.size()));
    }
    AEGIS_RETURN_IF_ERROR(
        AddFunction(pools, limits, func.name, func.params, data_locals[i], func.blocks, false));
  }
  for (size_t i = 0; i < policy.plans.size(); ++i) {
    const ir::Plan& plan = policy.plans[i];
    code.entrypoints.push_back({plan.name, static_cast<uint32_t>(code.functions.size()), {}, true});
    AEGIS_RETURN_IF_ERROR(AddFunction(pools, limits, plan.name, {ir::kInput, ir::kData},
                                      data_locals[policy.funcs.size() + i], plan.blocks, true));
  }
  std::reverse(code.constants.begin(), code.constants.end());
  FindInputUse(policy, code);
  return Ok();
}

}  // namespace aegis::rego::internal
