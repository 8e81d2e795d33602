#include "aegis/rego/trace.h"

#include <algorithm>
#include <map>
#include <memory>
#include <span>
#include <unordered_map>
#include <utility>

#include "aegis/json/writer.h"
#include "aegis/rego/builtins/builtin.h"
#include "aegis/rego/edit.h"
#include "aegis/rego/ir.h"
#include "aegis/rego/value.h"

namespace aegis::rego {
namespace {

using ir::Kind;
using ir::Local;
using ir::Operand;
using ir::Stmt;

constexpr size_t kMaxValueBytes = 120;
constexpr int64_t kMaxSteps = 10'000'000;
constexpr int kMaxDepth = 200;
constexpr size_t kArenaBytes = size_t{512} << 20;

// A value as people want to see it: short.
std::string Shown(Value value) {
  if (value.is_undefined()) return "undefined";
  std::string text = ToJson(value);
  if (text.size() <= kMaxValueBytes) return text;
  size_t end = kMaxValueBytes;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80)
    --end;  // whole code points
  return text.substr(0, end) + "...";
}

// "g0.data.authz.allow" -> "data.authz.allow"
std::string RuleName(const ir::Func& func) {
  const size_t dot = func.name.find('.');
  const bool generated = func.name.starts_with('g') && dot != std::string::npos &&
                         func.name.find_first_not_of("0123456789", 1) == dot;
  return generated ? func.name.substr(dot + 1) : func.name;
}

std::string_view Symbol(std::string_view function) {
  static const std::map<std::string_view, std::string_view> symbols = {
      {"equal", "=="}, {"neq", "!="}, {"lt", "<"}, {"lte", "<="}, {"gt", ">"}, {"gte", ">="}};
  const auto found = symbols.find(function);
  return found == symbols.end() ? "" : found->second;
}

struct Ended {
  enum class How : uint8_t { kNormally, kBreak, kReturn, kStopped };
  How how = How::kNormally;
  int64_t levels = 0;  // kBreak: blocks to leave besides the one that it is in

  bool normally() const { return how == How::kNormally; }
  bool leaves_this_block_only() const { return how == How::kBreak && levels == 0; }
  Ended Outward() const { return how == How::kBreak ? Ended{how, levels - 1} : *this; }
};
constexpr Ended kNormally{};
constexpr Ended kUndefined{Ended::How::kBreak, 0};
constexpr Ended kStopped{Ended::How::kStopped, 0};

class Tracer {
 public:
  Tracer(const ir::Policy& policy, Arena& arena, int64_t time_unix_ns)
      : policy_(policy),
        arena_(arena),
        caches_(NewBuiltinCaches()),
        context_(arena, *caches_, time_unix_ns, steps_left_) {
    for (size_t i = 0; i < policy.funcs.size(); ++i) functions_.emplace(policy.funcs[i].name, i);
  }

  Trace Run(const ir::Plan& plan, Value input, Value data) {
    Frame frame;
    frame.locals[ir::kInput] = input;
    frame.locals[ir::kData] = data;
    results_ = Value::EmptyArray();
    for (const ir::Block& block : plan.blocks) {
      if (RunBlock(block, frame).how == Ended::How::kStopped) break;
    }
    if (trace_.error.empty()) trace_.result_set = ToJson(results_);
    return std::move(trace_);
  }

 private:
  static constexpr size_t kNotTraced = SIZE_MAX;

  struct Frame {
    std::unordered_map<Local, Value> locals;
    Value returned;
    size_t rule = kNotTraced;      // in trace_.rules
    bool in_body = false;          // the last of that rule's bodies is running
    const Stmt* effect = nullptr;  // what it does when all its conditions hold
    // The call that gave the value which the next statement tests.
    const Stmt* call = nullptr;
    std::string call_text;
  };
  struct MemoKey {
    size_t function;
    uint64_t input[2], data[2];
    auto operator<=>(const MemoKey&) const = default;
  };

  static Value Read(const Frame& frame, Local local) {
    const auto found = frame.locals.find(local);
    return found == frame.locals.end() ? Value() : found->second;
  }
  Value Read(const Frame& frame, const Operand& operand) const {
    switch (operand.kind) {
      case Operand::Kind::kLocal:
        return Read(frame, operand.value);
      case Operand::Kind::kBool:
        return Value::Bool(operand.value != 0);
      case Operand::Kind::kString:
        return String(operand.value);
      case Operand::Kind::kNone:
        break;
    }
    return Value();
  }
  Value String(int64_t index) const {
    return MakeStringView(policy_.strings[static_cast<size_t>(index)]);
  }
  // A second handle is kept: adding to either must not be seen through the other.
  static void Set(Frame& frame, Local local, Value value) {
    Freeze(value);
    frame.locals[local] = value;
  }

  Ended Stop(std::string error) {
    trace_.error = std::move(error);
    return kStopped;
  }
  Ended StopAt(std::string_view error, const Stmt& stmt) {
    std::string text(error);
    if (stmt.place.row != 0) {
      text += " at " + FileOf(stmt.place) + ":" + std::to_string(stmt.place.row);
    }
    return Stop(std::move(text));
  }
  std::string FileOf(const ir::Place& place) const {
    return place.file < policy_.files.size() ? policy_.files[place.file] : "";
  }

  // --- What failed ---

  // Notes that `stmt` failed, if no failure further on in this body is known. In a loop the last
  // round counts.
  template <typename Why>
  Ended Fails(Frame& frame, const Stmt& stmt, Why why) {
    if (!frame.in_body || frame.rule == kNotTraced || stmt.place.row == 0) return kUndefined;
    BodyTrace& body = trace_.rules[frame.rule].bodies.back();
    const auto here = std::pair(stmt.place.row, stmt.place.col);
    if (here < std::pair(body.failed_row, body.failed_col)) return kUndefined;
    body.failed_row = stmt.place.row;
    body.failed_col = stmt.place.col;
    body.why = why();
    return kUndefined;
  }

  // --- Statements ---

  Ended RunBlock(const ir::Block& block, Frame& frame) {
    for (const Stmt& stmt : block.stmts) {
      if (--steps_left_ < 0) return StopAt("eval_step_limit", stmt);
      if (arena_.exhausted()) return StopAt("eval_memory_limit", stmt);
      const Ended ended = RunStmt(stmt, frame);
      if (!ended.normally()) return ended;
      if (&stmt == frame.effect) trace_.rules[frame.rule].bodies.back().holds = true;
    }
    return kNormally;
  }

  Ended Give(Frame& frame, const Stmt& stmt, Value value, std::string_view why) {
    Set(frame, stmt.target, value);
    if (!value.is_undefined()) return kNormally;
    return Fails(frame, stmt, [&] { return std::string(why); });
  }

  Ended Edited(const Stmt& stmt, Edit edit) {
    return edit == Edit::kOk ? kNormally : StopAt("eval_memory_limit", stmt);
  }

  Ended IsType(Frame& frame, const Stmt& stmt, Type type) {
    const Value a = Read(frame, stmt.a);
    if (a.type() == type) return kNormally;
    return Fails(frame, stmt,
                 [&] { return Shown(a) + " is not of type " + std::string(TypeName(type)); });
  }

  Ended RunStmt(const Stmt& stmt, Frame& frame) {
    const Value a = Read(frame, stmt.a), b = Read(frame, stmt.b);
    switch (stmt.kind) {
      case Kind::kNop:
        return kNormally;
      case Kind::kAssignInt:
      case Kind::kMakeNumberInt:
        return Give(frame, stmt, Value::Int(stmt.number), "");
      case Kind::kMakeNumberRef:
        return Give(frame, stmt,
                    MakeNumber(arena_, policy_.strings[static_cast<size_t>(stmt.number)]), "");
      case Kind::kMakeNull:
        return Give(frame, stmt, Value::Null(), "");
      case Kind::kMakeArray:
        frame.locals[stmt.target] = NewArray(arena_, 0);
        return kNormally;
      case Kind::kMakeObject:
        frame.locals[stmt.target] = NewObject(arena_, 0);
        return kNormally;
      case Kind::kMakeSet:
        frame.locals[stmt.target] = NewSet(arena_, 0);
        return kNormally;
      case Kind::kAssignVar:
        Set(frame, stmt.target, a);
        return kNormally;
      case Kind::kAssignVarOnce: {
        const Value old = Read(frame, stmt.target);
        if (!old.is_undefined() && !Equal(old, a)) return StopAt("eval_conflict_error", stmt);
        Set(frame, stmt.target, a);
        return kNormally;
      }
      case Kind::kResetLocal:
        frame.locals.erase(stmt.target);
        return kNormally;
      case Kind::kIsDefined:
        return a.is_undefined() ? Fails(frame, stmt, [] { return "it is undefined"; }) : kNormally;
      case Kind::kIsUndefined:
        return a.is_undefined() ? kNormally : Fails(frame, stmt, [] { return "it is defined"; });
      case Kind::kIsArray:
        return IsType(frame, stmt, Type::kArray);
      case Kind::kIsObject:
        return IsType(frame, stmt, Type::kObject);
      case Kind::kIsSet:
        return IsType(frame, stmt, Type::kSet);
      case Kind::kEqual:
        if (Equal(a, b)) return kNormally;
        return Fails(frame, stmt, [&] { return Shown(a) + " is not " + Shown(b); });
      case Kind::kNotEqual:
        if (!Equal(a, b)) return kNormally;
        return Fails(frame, stmt, [&] { return WhyEqual(frame, a, b); });
      case Kind::kDot:
        return Give(frame, stmt, a.Get(b),
                    a.is_collection() ? "there is no " + Shown(b)
                                      : "there is no " + Shown(b) + " in " + Shown(a));
      case Kind::kLen:
        return Give(frame, stmt,
                    a.is_collection() ? Value::Int(static_cast<int64_t>(a.size())) : Value(),
                    "it has no length");
      case Kind::kArrayAppend:
      case Kind::kSetAdd:
      case Kind::kObjectInsert:
      case Kind::kObjectInsertOnce:
        return AddTo(stmt, frame, a, b);
      case Kind::kObjectMerge: {
        if (!a.is_object() || !b.is_object()) return StopAt("eval_conflict_error", stmt);
        Value merged;
        const Edit edit = internal::Merge(arena_, b, a, merged);
        Set(frame, stmt.target, merged);
        return Edited(stmt, edit);
      }
      case Kind::kResultSetAdd:
        if (a.is_undefined()) return kUndefined;
        Freeze(a);
        return Edited(stmt, ArrayAppend(arena_, results_, a));
      case Kind::kReturnLocal:
        frame.returned = a;
        return {Ended::How::kReturn, 0};
      case Kind::kBreak:
        return {Ended::How::kBreak, stmt.number};
      case Kind::kBlock:
        for (const ir::Block& block : stmt.blocks) {
          const Ended ended = RunBlock(block, frame);
          if (!ended.normally() && !ended.leaves_this_block_only()) return ended.Outward();
        }
        return kNormally;
      case Kind::kNot:
        return RunNot(stmt, frame);
      case Kind::kScan:
        return RunScan(stmt, frame, a);
      case Kind::kWith:
        return RunWith(stmt, frame, a);
      case Kind::kCall:
        return RunCall(stmt, frame);
      case Kind::kCallDynamic:
        return RunCallDynamic(stmt, frame);
    }
    return StopAt("a statement of an unknown kind", stmt);
  }

  // A condition is compiled to "its value is not false": the call tells more.
  std::string WhyEqual(const Frame& frame, Value a, Value b) const {
    if (b.is_bool() && !b.is_true()) {
      return (frame.call == nullptr ? std::string("it") : frame.call_text) + " is false";
    }
    return Shown(a) + " is " + Shown(b);
  }

  Ended AddTo(const Stmt& stmt, Frame& frame, Value a, Value b) {
    Value& target = frame.locals[stmt.target];
    if (a.is_undefined()) return kUndefined;
    Freeze(a);
    if (stmt.kind == Kind::kArrayAppend) {
      return target.is_array() ? Edited(stmt, ArrayAppend(arena_, target, a)) : kUndefined;
    }
    if (stmt.kind == Kind::kSetAdd) {
      return target.is_set() ? Edited(stmt, SetAdd(arena_, target, a)) : kUndefined;
    }
    if (b.is_undefined() || !target.is_object()) return kUndefined;
    if (stmt.kind == Kind::kObjectInsertOnce) {
      const Value old = target.Get(b);
      if (!old.is_undefined() && !Equal(old, a)) return StopAt("eval_conflict_error", stmt);
      if (!old.is_undefined() && stmt.number == 0) return kNormally;
    }
    Freeze(b);
    return Edited(stmt, ObjectInsert(arena_, target, b, a));
  }

  Ended RunNot(const Stmt& stmt, Frame& frame) {
    // What fails inside is what makes it hold.
    const bool in_body = std::exchange(frame.in_body, false);
    const Ended ended = RunBlock(stmt.blocks[0], frame);
    frame.in_body = in_body;
    if (ended.normally()) {
      return Fails(frame, stmt, [] { return "what must not hold does"; });
    }
    return ended.leaves_this_block_only() ? kNormally : ended.Outward();
  }

  Ended RunScan(const Stmt& stmt, Frame& frame, Value source) {
    const auto visit = [&](Value key, Value value) {
      Set(frame, stmt.key, key);
      Set(frame, stmt.target, value);
      const Ended ended = RunBlock(stmt.blocks[0], frame);
      return ended.leaves_this_block_only() ? kNormally : ended.Outward();
    };
    if (source.size() == 0) {
      Fails(frame, stmt, [&] { return "there is nothing in " + Shown(source); });
      return kNormally;
    }
    Freeze(source);
    if (source.is_object()) {
      for (const Member& member : source.members()) {
        if (const Ended ended = visit(member.key, member.value); !ended.normally()) return ended;
      }
      return kNormally;
    }
    int64_t position = 0;
    for (const Value element : source.elements()) {
      const Value key = source.is_set() ? element : Value::Int(position++);
      if (const Ended ended = visit(key, element); !ended.normally()) return ended;
    }
    return kNormally;
  }

  Ended RunWith(const Stmt& stmt, Frame& frame, Value value) {
    const Value old = Read(frame, stmt.target);
    Value replaced = value;
    if (!stmt.path.empty()) {
      if (value.is_undefined()) return kUndefined;
      std::vector<Value> path;
      for (const Operand& segment : stmt.path) path.push_back(String(segment.value));
      const Edit edit = internal::Upsert(arena_, old, path, value, replaced);
      if (edit != Edit::kOk) return StopAt("eval_memory_limit", stmt);
    }
    Set(frame, stmt.target, replaced);
    const Ended ended = RunBlock(stmt.blocks[0], frame);
    Set(frame, stmt.target, old);
    return ended.leaves_this_block_only() ? kUndefined : ended.Outward();
  }

  // --- Calls ---

  static std::string CallText(std::string_view name, const std::vector<Value>& args) {
    if (const std::string_view symbol = Symbol(name); !symbol.empty() && args.size() == 2) {
      return Shown(args[0]) + " " + std::string(symbol) + " " + Shown(args[1]);
    }
    std::string text = std::string(name) + "(";
    for (size_t i = 0; i < args.size(); ++i) text += (i > 0 ? ", " : "") + Shown(args[i]);
    return text + ")";
  }

  Ended RunCall(const Stmt& stmt, Frame& frame) {
    std::vector<Value> args;
    for (const Operand& operand : stmt.args) args.push_back(Read(frame, operand));
    const auto function = functions_.find(stmt.func);
    if (function != functions_.end()) return CallFunction(function->second, args, stmt, frame);
    const bool defined =
        std::none_of(args.begin(), args.end(), [](Value arg) { return arg.is_undefined(); });
    Value result;
    std::string error;
    if (defined) {
      result = FindBuiltin(stmt.func)->function(context_, args.data());
      if (steps_left_ < 0) return StopAt("eval_step_limit", stmt);
      error = context_.error();
      context_.ClearError();
    }
    if (frame.rule != kNotTraced && frame.in_body) {
      frame.call = &stmt;
      frame.call_text = CallText(stmt.func, args);
    }
    Set(frame, stmt.target, result);
    if (!result.is_undefined()) return kNormally;
    return Fails(frame, stmt, [&] {
      return CallText(stmt.func, args) + (error.empty() ? " is undefined" : ": " + error);
    });
  }

  Ended RunCallDynamic(const Stmt& stmt, Frame& frame) {
    std::vector<std::string> path;
    for (const Operand& operand : stmt.path) {
      path.emplace_back(Read(frame, operand).string_value());
    }
    std::vector<Value> args;
    for (const Operand& operand : stmt.args) args.push_back(Read(frame, operand));
    for (size_t i = 0; i < policy_.funcs.size(); ++i) {
      const ir::Func& func = policy_.funcs[i];
      if (func.path == path && func.params.size() == args.size()) {
        return CallFunction(i, args, stmt, frame);
      }
    }
    return Give(frame, stmt, Value(), "there is no such rule");
  }

  Ended CallFunction(size_t index, const std::vector<Value>& args, const Stmt& stmt,
                     Frame& caller) {
    const ir::Func& func = policy_.funcs[index];
    const bool is_rule = args.size() == 2;  // of input and data alone
    std::string name = RuleName(func);
    if (!is_rule) name = CallText(name, {args.begin() + 2, args.end()});
    Value result;
    const MemoKey key{index,
                      {args[0].head(), args[0].bits()},
                      {args.size() > 1 ? args[1].head() : 0, args.size() > 1 ? args[1].bits() : 0}};
    const auto known = is_rule ? memo_.find(key) : memo_.end();
    if (known != memo_.end()) {
      result = known->second;
    } else {
      if (++depth_ > kMaxDepth) return StopAt("eval_depth_limit", stmt);
      Frame frame;
      for (size_t i = 0; i < args.size(); ++i) Set(frame, func.params[i], args[i]);
      if (trace_.rules.size() < kMaxTracedRules) {
        frame.rule = trace_.rules.size();
        trace_.rules.emplace_back().name = name;
      } else {
        ++trace_.more_rules;
      }
      if (RunFunction(func, frame).how == Ended::How::kStopped) return kStopped;
      --depth_;
      result = frame.returned;
      if (is_rule) memo_.emplace(key, result);
    }
    if (caller.rule != kNotTraced && caller.in_body) {
      caller.call = &stmt;
      caller.call_text = name;
    }
    return Give(caller, stmt, result, name + " is undefined");
  }

  // OPA's planner makes one block for each body of a rule; it begins by resetting the body's value,
  // or, after `else`, by looking whether that is undefined still. Blocks of an `else` chain are in
  // a block statement together.
  static bool IsElseChain(const ir::Block& block) {
    if (block.stmts.size() != 1 || block.stmts[0].kind != Kind::kBlock) return false;
    const std::vector<ir::Block>& inner = block.stmts[0].blocks;
    return !inner.empty() && !inner[0].stmts.empty() && inner[0].stmts[0].kind == Kind::kResetLocal;
  }
  static bool IsBody(const ir::Block& block, bool in_chain) {
    if (block.stmts.size() < 2) return false;
    const Kind first = block.stmts.front().kind;
    return first == Kind::kResetLocal || (in_chain && first == Kind::kIsUndefined);
  }

  // The last statement of a body, however deep, is what the body is for.
  static const Stmt* EffectOf(const ir::Block& block) {
    const Stmt* last = &block.stmts.back();
    while ((last->kind == Kind::kScan || last->kind == Kind::kWith) &&
           !last->blocks[0].stmts.empty()) {
      last = &last->blocks[0].stmts.back();
    }
    return last;
  }

  Ended RunBody(const ir::Block& block, Frame& frame, bool in_chain) {
    frame.effect = nullptr;
    frame.call = nullptr;
    frame.in_body = frame.rule != kNotTraced && IsBody(block, in_chain);
    if (frame.in_body) {
      const Stmt& first = block.stmts.front();
      // A body behind `else` that is not asked because one before it holds is not told of.
      if (first.kind == Kind::kIsUndefined && !Read(frame, first.a).is_undefined()) {
        frame.in_body = false;
        return kUndefined;
      }
      BodyTrace& body = trace_.rules[frame.rule].bodies.emplace_back();
      body.file = FileOf(first.place);
      body.row = first.place.row;
      frame.effect = EffectOf(block);
    }
    return RunBlock(block, frame);
  }

  Ended RunFunction(const ir::Func& func, Frame& frame) {
    const size_t rule = frame.rule;
    for (const ir::Block& block : func.blocks) {
      const bool chain = IsElseChain(block);
      const std::span<const ir::Block> bodies =
          chain ? std::span(block.stmts[0].blocks) : std::span(&block, 1);
      Ended ended;
      for (const ir::Block& each : bodies) {
        ended = RunBody(each, frame, chain);
        // No more than its own block is left by a body: a break further out ends the chain.
        if (!ended.normally() && !ended.leaves_this_block_only()) break;
      }
      if (ended.how == Ended::How::kStopped) return ended;
      if (ended.how == Ended::How::kReturn) break;
    }
    if (rule != kNotTraced) {
      RuleTrace& traced = trace_.rules[rule];
      if (!frame.returned.is_undefined()) traced.result = Shown(frame.returned);
      const bool any = std::any_of(traced.bodies.begin(), traced.bodies.end(),
                                   [](const BodyTrace& body) { return body.holds; });
      traced.is_default = !any && !frame.returned.is_undefined() && !frame.returned.is_collection();
    }
    return kNormally;
  }

  const ir::Policy& policy_;
  Arena& arena_;
  std::unique_ptr<BuiltinCaches, void (*)(BuiltinCaches*)> caches_;
  int64_t steps_left_ = kMaxSteps;
  BuiltinContext context_;
  std::unordered_map<std::string_view, size_t> functions_;
  std::map<MemoKey, Value> memo_;
  int depth_ = 0;
  Value results_;
  Trace trace_;
};

// Every builtin of the plan is one that there is.
Status CheckBuiltins(const ir::Policy& policy, const std::vector<ir::Block>& blocks) {
  for (const ir::Block& block : blocks) {
    for (const Stmt& stmt : block.stmts) {
      if (stmt.kind == Kind::kCall && FindBuiltin(stmt.func) == nullptr &&
          std::none_of(policy.funcs.begin(), policy.funcs.end(),
                       [&](const ir::Func& func) { return func.name == stmt.func; })) {
        return Fail(
            Code::kUnimplemented, "builtin_unsupported",
            "the policy calls the builtin function " + stmt.func + ", which is not supported");
      }
      AEGIS_RETURN_IF_ERROR(CheckBuiltins(policy, stmt.blocks));
    }
  }
  return Ok();
}

std::string_view LineOf(const std::vector<SourceFile>& sources, const std::string& file,
                        uint32_t row) {
  for (const SourceFile& source : sources) {
    // A bundle's names may have a slash in front that the plan's have not.
    if (source.name != file && !(file.starts_with('/') && source.name == file.substr(1))) continue;
    std::string_view rest = source.text;
    for (uint32_t i = 1; i < row; ++i) {
      const size_t end = rest.find('\n');
      if (end == rest.npos) return "";
      rest.remove_prefix(end + 1);
    }
    std::string_view line = rest.substr(0, rest.find('\n'));
    while (!line.empty() && (line.front() == ' ' || line.front() == '\t')) line.remove_prefix(1);
    return line;
  }
  return "";
}

}  // namespace

Result<Trace> TraceEvaluation(std::string_view plan_json, std::string_view data_json,
                              std::string_view entrypoint, std::string_view input_json,
                              int64_t time_unix_ns) {
  AEGIS_TRY(const ir::Policy policy, ir::ReadPlan(plan_json, size_t{64} << 20));
  for (const ir::Func& func : policy.funcs) {
    AEGIS_RETURN_IF_ERROR(CheckBuiltins(policy, func.blocks));
  }
  for (const ir::Plan& plan : policy.plans) {
    AEGIS_RETURN_IF_ERROR(CheckBuiltins(policy, plan.blocks));
  }
  const auto plan = std::find_if(policy.plans.begin(), policy.plans.end(),
                                 [&](const ir::Plan& each) { return each.name == entrypoint; });
  if (plan == policy.plans.end()) {
    return Fail(Code::kNotFound, "eval_no_entrypoint",
                "the policy has no entrypoint " + std::string(entrypoint));
  }
  Arena arena(256 * 1024, kArenaBytes);
  Value input, data = Value::EmptyObject();
  const json::Limits limits{
      .max_bytes = kArenaBytes, .max_depth = kMaxHeight - 1, .max_values = kArenaBytes};
  if (!data_json.empty()) {
    Result<Value> parsed = ParseJson(data_json, arena, limits);
    if (!parsed) return Fail(Annotate(std::move(parsed).error(), "data.json"));
    data = *parsed;
  }
  if (!input_json.empty()) {
    Result<Value> parsed = ParseJson(input_json, arena);
    if (!parsed) return Fail(Annotate(std::move(parsed).error(), "input"));
    input = *parsed;
  }
  return Tracer(policy, arena, time_unix_ns).Run(*plan, input, data);
}

std::string TraceText(const Trace& trace, const std::vector<SourceFile>& sources) {
  std::string out;
  for (const RuleTrace& rule : trace.rules) {
    out += rule.name + (rule.result.empty() ? " is undefined" : " = " + rule.result);
    out += rule.is_default ? " (its default)\n" : "\n";
    for (const BodyTrace& body : rule.bodies) {
      out += "  " + body.file + ":" + std::to_string(body.row);
      if (body.holds) {
        out += " holds\n";
        continue;
      }
      out += " does not hold";
      if (body.failed_row != 0) {
        out += ": line " + std::to_string(body.failed_row) + ", " + body.why;
        const std::string_view line = LineOf(sources, body.file, body.failed_row);
        if (!line.empty()) out.append("\n      ").append(line);
      }
      out += "\n";
    }
  }
  if (trace.more_rules > 0) {
    out += "and " + std::to_string(trace.more_rules) + " more calls of rules\n";
  }
  if (!trace.error.empty()) out += trace.error + "\n";
  return out;
}

std::string TraceJson(const Trace& trace) {
  std::string out = "{";
  const auto text = [&](std::string_view name, std::string_view value) {
    if (out.back() != '{') out += ',';
    json::AppendString(out, name);
    out += ':';
    json::AppendString(out, value);
  };
  const auto number = [&](std::string_view name, uint64_t value) {
    if (out.back() != '{') out += ',';
    json::AppendString(out, name);
    out += ':' + std::to_string(value);
  };
  const auto truth = [&](std::string_view name, bool value) {
    if (out.back() != '{') out += ',';
    json::AppendString(out, name);
    out += value ? ":true" : ":false";
  };
  if (trace.error.empty()) {
    out += "\"result_set\":" + trace.result_set;
  } else {
    text("error", trace.error);
  }
  number("more_rules", trace.more_rules);
  out += ",\"rules\":[";
  for (const RuleTrace& rule : trace.rules) {
    if (out.back() != '[') out += ',';
    out += '{';
    text("name", rule.name);
    if (!rule.result.empty()) text("result", rule.result);
    truth("default", rule.is_default);
    out += ",\"bodies\":[";
    for (const BodyTrace& body : rule.bodies) {
      if (out.back() != '[') out += ',';
      out += '{';
      text("file", body.file);
      number("row", body.row);
      truth("holds", body.holds);
      if (!body.holds && body.failed_row != 0) {
        number("failed_row", body.failed_row);
        number("failed_col", body.failed_col);
        text("why", body.why);
      }
      out += '}';
    }
    out += "]}";
  }
  return out + "]}";
}

}  // namespace aegis::rego
