#include <algorithm>
#include <array>
#include <unordered_map>

#include "aegis/rego/ir.h"
#include "aegis/rego/value.h"

namespace aegis::rego::ir {
namespace {

// Fields of plan.json that a statement may have, and where they go.
enum class Field : uint8_t {
  kA,         // operand -> a
  kB,         // operand -> b
  kALocal,    // local -> a, as an operand
  kBLocal,    // local -> b, as an operand
  kTarget,    // local -> target
  kKey,       // local -> key
  kNumber,    // integer -> number
  kIndex,     // index of a string -> number; "Index" in older plans
  kFunc,      // name -> func
  kArgs,      // operands or null -> args
  kLocals,    // locals or null -> args
  kOperands,  // operands -> path
  kPath,      // indices of strings or null -> path
  kBlock,     // block -> blocks[0]
  kBlocks,    // blocks or null -> blocks
};

struct FieldSpec {
  std::string_view name;
  Field field = Field::kA;
};

struct KindSpec {
  std::string_view name;
  Kind kind;
  std::array<FieldSpec, 4> fields;  // up to the first without a name
};

constexpr KindSpec kKinds[] = {
    {"ArrayAppendStmt", Kind::kArrayAppend, {{{"value", Field::kA}, {"array", Field::kTarget}}}},
    {"AssignIntStmt", Kind::kAssignInt, {{{"value", Field::kNumber}, {"target", Field::kTarget}}}},
    {"AssignVarOnceStmt",
     Kind::kAssignVarOnce,
     {{{"source", Field::kA}, {"target", Field::kTarget}}}},
    {"AssignVarStmt", Kind::kAssignVar, {{{"source", Field::kA}, {"target", Field::kTarget}}}},
    {"BlockStmt", Kind::kBlock, {{{"blocks", Field::kBlocks}}}},
    {"BreakStmt", Kind::kBreak, {{{"index", Field::kNumber}}}},
    {"CallDynamicStmt",
     Kind::kCallDynamic,
     {{{"args", Field::kLocals}, {"path", Field::kOperands}, {"result", Field::kTarget}}}},
    {"CallStmt",
     Kind::kCall,
     {{{"func", Field::kFunc}, {"args", Field::kArgs}, {"result", Field::kTarget}}}},
    {"DotStmt",
     Kind::kDot,
     {{{"source", Field::kA}, {"key", Field::kB}, {"target", Field::kTarget}}}},
    {"EqualStmt", Kind::kEqual, {{{"a", Field::kA}, {"b", Field::kB}}}},
    {"IsArrayStmt", Kind::kIsArray, {{{"source", Field::kA}}}},
    {"IsDefinedStmt", Kind::kIsDefined, {{{"source", Field::kALocal}}}},
    {"IsObjectStmt", Kind::kIsObject, {{{"source", Field::kA}}}},
    {"IsSetStmt", Kind::kIsSet, {{{"source", Field::kA}}}},
    {"IsUndefinedStmt", Kind::kIsUndefined, {{{"source", Field::kALocal}}}},
    {"LenStmt", Kind::kLen, {{{"source", Field::kA}, {"target", Field::kTarget}}}},
    {"MakeArrayStmt",
     Kind::kMakeArray,
     {{{"capacity", Field::kNumber}, {"target", Field::kTarget}}}},
    {"MakeNullStmt", Kind::kMakeNull, {{{"target", Field::kTarget}}}},
    {"MakeNumberIntStmt",
     Kind::kMakeNumberInt,
     {{{"value", Field::kNumber}, {"target", Field::kTarget}}}},
    {"MakeNumberRefStmt",
     Kind::kMakeNumberRef,
     {{{"index", Field::kIndex}, {"target", Field::kTarget}}}},
    {"MakeObjectStmt", Kind::kMakeObject, {{{"target", Field::kTarget}}}},
    {"MakeSetStmt", Kind::kMakeSet, {{{"target", Field::kTarget}}}},
    {"NopStmt", Kind::kNop, {}},
    {"NotEqualStmt", Kind::kNotEqual, {{{"a", Field::kA}, {"b", Field::kB}}}},
    {"NotStmt", Kind::kNot, {{{"block", Field::kBlock}}}},
    {"ObjectInsertOnceStmt",
     Kind::kObjectInsertOnce,
     {{{"key", Field::kB}, {"value", Field::kA}, {"object", Field::kTarget}}}},
    {"ObjectInsertStmt",
     Kind::kObjectInsert,
     {{{"key", Field::kB}, {"value", Field::kA}, {"object", Field::kTarget}}}},
    {"ObjectMergeStmt",
     Kind::kObjectMerge,
     {{{"a", Field::kALocal}, {"b", Field::kBLocal}, {"target", Field::kTarget}}}},
    {"ResetLocalStmt", Kind::kResetLocal, {{{"target", Field::kTarget}}}},
    {"ResultSetAddStmt", Kind::kResultSetAdd, {{{"value", Field::kALocal}}}},
    {"ReturnLocalStmt", Kind::kReturnLocal, {{{"source", Field::kALocal}}}},
    {"ScanStmt",
     Kind::kScan,
     {{{"source", Field::kALocal},
       {"key", Field::kKey},
       {"value", Field::kTarget},
       {"block", Field::kBlock}}}},
    {"SetAddStmt", Kind::kSetAdd, {{{"value", Field::kA}, {"set", Field::kTarget}}}},
    {"WithStmt",
     Kind::kWith,
     {{{"local", Field::kTarget},
       {"path", Field::kPath},
       {"value", Field::kA},
       {"block", Field::kBlock}}}},
};
static_assert(std::size(kKinds) == 34);

// Statements nest in blocks at most this deep; the parsers and the lowering recurse.
constexpr int kMaxNesting = 200;
constexpr size_t kMaxPathSegments = 1000;

class PlanReader {
 public:
  explicit PlanReader(Value plan) : plan_(plan) {
    for (const KindSpec& spec : kKinds) kinds_.emplace(spec.name, &spec);
  }

  Result<Policy> Read() {
    if (!plan_.is_object()) return Malformed("it is not an object");
    AEGIS_RETURN_IF_ERROR(ReadStatic(plan_.Get("static")));
    AEGIS_RETURN_IF_ERROR(ReadFuncs(plan_.Get("funcs")));
    AEGIS_RETURN_IF_ERROR(ReadPlans(plan_.Get("plans")));
    return std::move(policy_);
  }

 private:
  tl::unexpected<Error> Malformed(std::string_view what) const {
    std::string message = "plan.json cannot be used: ";
    if (!where_.empty()) message += where_ + ": ";
    message += what;
    message += "; make it again with opa build -t plan";
    return Fail(Code::kInvalidArgument, "plan_malformed", std::move(message));
  }

  // A list that may be null or absent.
  Result<std::span<const Value>> List(Value list, std::string_view what) const {
    if (list.is_array()) return list.elements();
    if (list.is_null() || list.is_undefined()) return std::span<const Value>();
    return Malformed(std::string(what) + " is not a list");
  }

  Status ReadNames(Value list, std::string_view field, std::string_view what,
                   std::vector<std::string>& out) {
    AEGIS_TRY(const auto items, List(list, what));
    for (const Value item : items) {
      const Value name = item.Get(field);
      if (!name.is_string()) return Malformed(std::string(what) + " has an entry with no text");
      out.emplace_back(name.string_value());
    }
    return Ok();
  }

  Status ReadStatic(Value static_part) {
    AEGIS_RETURN_IF_ERROR(
        ReadNames(static_part.Get("strings"), "value", "static.strings", policy_.strings));
    AEGIS_RETURN_IF_ERROR(
        ReadNames(static_part.Get("files"), "value", "static.files", policy_.files));
    return ReadNames(static_part.Get("builtin_funcs"), "name", "static.builtin_funcs",
                     policy_.builtins);
  }

  Status ReadFuncs(Value funcs) {
    AEGIS_TRY(const auto items, List(funcs.Get("funcs"), "funcs"));
    policy_.funcs.reserve(items.size());
    for (const Value item : items) {
      Func func;
      where_ = "funcs";
      if (!item.Get("name").is_string()) return Malformed("a function has no name");
      func.name = item.Get("name").string_value();
      where_ = "function " + func.name;
      AEGIS_TRY(const auto params, List(item.Get("params"), "params"));
      for (const Value param : params) {
        AEGIS_TRY(const Local local, ReadLocal(param));
        if (std::count(func.params.begin(), func.params.end(), local) != 0) {
          return Malformed("two parameters are one local");
        }
        func.params.push_back(local);
        if (func.params.size() > 255) return Malformed("more than 255 parameters");
      }
      AEGIS_TRY(func.result, ReadLocal(item.Get("return")));
      AEGIS_TRY(const auto path, List(item.Get("path"), "path"));
      for (const Value segment : path) {
        if (!segment.is_string()) return Malformed("a segment of its path is not a string");
        func.path.emplace_back(segment.string_value());
      }
      in_function_ = true;
      result_ = func.result;
      AEGIS_RETURN_IF_ERROR(ReadBlocks(item.Get("blocks"), 0, func.blocks));
      policy_.funcs.push_back(std::move(func));
    }
    return Ok();
  }

  Status ReadPlans(Value plans) {
    AEGIS_TRY(const auto items, List(plans.Get("plans"), "plans"));
    for (const Value item : items) {
      Plan plan;
      where_ = "plans";
      if (!item.Get("name").is_string()) return Malformed("a plan has no name");
      plan.name = item.Get("name").string_value();
      where_ = "plan " + plan.name;
      in_function_ = false;
      result_ = kNoLocal;
      AEGIS_RETURN_IF_ERROR(ReadBlocks(item.Get("blocks"), 0, plan.blocks));
      policy_.plans.push_back(std::move(plan));
    }
    return Ok();
  }

  // `depth`: how many blocks are open around the list.
  Status ReadBlocks(Value list, int depth, std::vector<Block>& out) {
    AEGIS_TRY(const auto items, List(list, "blocks"));
    out.reserve(items.size());
    for (const Value item : items) {
      Block block;
      AEGIS_RETURN_IF_ERROR(ReadBlock(item, depth, block));
      out.push_back(std::move(block));
    }
    return Ok();
  }

  Status ReadBlock(Value item, int depth, Block& out) {
    if (!item.is_object()) return Malformed("a block is not an object");
    if (depth >= kMaxNesting) return Malformed("blocks nest too deep");
    AEGIS_TRY(const auto stmts, List(item.Get("stmts"), "stmts"));
    out.stmts.reserve(stmts.size());
    for (const Value stmt : stmts) {
      out.stmts.emplace_back();
      AEGIS_RETURN_IF_ERROR(ReadStmt(stmt, depth + 1, out.stmts.back()));
    }
    return Ok();
  }

  // `depth`: how many blocks are open around the statement.
  Status ReadStmt(Value item, int depth, Stmt& out) {
    const Value type = item.Get("type");
    const Value body = item.Get("stmt");
    if (!type.is_string() || !body.is_object()) {
      return Malformed("a statement has no type or no stmt");
    }
    const auto found = kinds_.find(type.string_value());
    if (found == kinds_.end()) {
      return Fail(Code::kUnimplemented, "plan_unsupported",
                  "plan.json has a statement of type " + std::string(type.string_value()) +
                      ", which is not supported yet; make the plan with OPA 1.22");
    }
    const KindSpec& spec = *found->second;
    out.kind = spec.kind;
    out.place = ReadPlace(body);
    for (const FieldSpec& field : spec.fields) {
      if (field.name.empty()) break;
      if (Status read = ReadField(body, field, depth, out); !read) {
        return Fail(Annotate(std::move(read).error(),
                             std::string(spec.name) + "." + std::string(field.name)));
      }
    }
    if (out.kind == Kind::kBreak && (out.number < 0 || out.number >= depth)) {
      return Malformed("a break leaves more blocks than there are");
    }
    if (out.kind == Kind::kObjectInsertOnce) out.number = out.target == result_ ? 0 : 1;
    if (out.kind == Kind::kReturnLocal && !in_function_) {
      return Malformed("a plan returns like a function");
    }
    if (out.kind == Kind::kResultSetAdd && in_function_) {
      return Malformed("a function adds to the result set");
    }
    return Ok();
  }

  // Places are for people: what is no number is not known.
  static Place ReadPlace(Value body) {
    const auto number = [&](std::string_view field) {
      const int64_t value = body.Get(field).int_value();
      return value < 0 || value > UINT32_MAX ? 0 : static_cast<uint32_t>(value);
    };
    return {number("file"), number("row"), number("col")};
  }

  Status ReadField(Value body, const FieldSpec& spec, int depth, Stmt& out) {
    const Value value = body.Get(spec.name);
    switch (spec.field) {
      case Field::kA:
        return Put(out.a, ReadOperand(value));
      case Field::kB:
        return Put(out.b, ReadOperand(value));
      case Field::kALocal:
        return PutLocal(out.a, value);
      case Field::kBLocal:
        return PutLocal(out.b, value);
      case Field::kTarget:
        return Put(out.target, ReadLocal(value));
      case Field::kKey:
        return Put(out.key, ReadLocal(value));
      case Field::kNumber:
        if (!value.is_int()) return Malformed("not an integer");
        out.number = value.int_value();
        return Ok();
      case Field::kIndex: {
        // OPA wrote "Index" up to 1.14 and writes both now; the new name counts.
        return Put(out.number, ReadIndex(value.is_undefined() ? body.Get("Index") : value));
      }
      case Field::kFunc:
        if (!value.is_string()) return Malformed("not a string");
        out.func = value.string_value();
        return Ok();
      case Field::kArgs:
        return ReadOperands(value, out.args);
      case Field::kLocals: {
        AEGIS_TRY(const auto items, List(value, "args"));
        for (const Value item : items) {
          AEGIS_RETURN_IF_ERROR(PutLocal(out.args.emplace_back(), item));
        }
        return items.size() > 255 ? Status(Malformed("more than 255 arguments")) : Ok();
      }
      case Field::kOperands:
        return ReadOperands(value, out.path);
      case Field::kPath: {
        AEGIS_TRY(const auto items, List(value, "path"));
        if (items.size() > kMaxPathSegments) return Malformed("the path is too long");
        for (const Value item : items) {
          AEGIS_TRY(const int64_t index, ReadIndex(item));
          out.path.push_back({Operand::Kind::kString, static_cast<int32_t>(index)});
        }
        return Ok();
      }
      case Field::kBlock:
        out.blocks.emplace_back();
        return ReadBlock(value, depth, out.blocks.back());
      case Field::kBlocks:
        return ReadBlocks(value, depth, out.blocks);
    }
    return Malformed("an unknown field");
  }

  template <typename T, typename U>
  static Status Put(T& out, Result<U> value) {
    if (!value) return Fail(std::move(value).error());
    out = *value;
    return Ok();
  }
  Status PutLocal(Operand& out, Value value) {
    AEGIS_TRY(const Local local, ReadLocal(value));
    out = {Operand::Kind::kLocal, local};
    return Ok();
  }

  Result<Local> ReadLocal(Value value) const {
    if (!value.is_int() || value.int_value() < 0 || value.int_value() >= kMaxLocal) {
      return Malformed("not the number of a local");
    }
    return static_cast<Local>(value.int_value());
  }

  Result<int64_t> ReadIndex(Value value) const {
    if (!value.is_int() || value.int_value() < 0 ||
        static_cast<uint64_t>(value.int_value()) >= policy_.strings.size()) {
      return Malformed("not the index of a string");
    }
    return value.int_value();
  }

  Result<Operand> ReadOperand(Value operand) const {
    const std::string_view type = operand.Get("type").string_value();
    const Value value = operand.Get("value");
    if (type == "local") {
      AEGIS_TRY(const Local local, ReadLocal(value));
      return Operand{Operand::Kind::kLocal, local};
    }
    if (type == "bool") {
      if (!value.is_bool()) return Malformed("a bool operand is none");
      return Operand{Operand::Kind::kBool, value.is_true() ? 1 : 0};
    }
    if (type == "string_index") {
      AEGIS_TRY(const int64_t index, ReadIndex(value));
      return Operand{Operand::Kind::kString, static_cast<int32_t>(index)};
    }
    return Malformed("an operand is neither local, bool nor string_index");
  }

  Status ReadOperands(Value list, std::vector<Operand>& out) const {
    AEGIS_TRY(const auto items, List(list, "operands"));
    if (items.size() > 255) return Malformed("more than 255 operands");
    for (const Value item : items) {
      AEGIS_TRY(const Operand operand, ReadOperand(item));
      out.push_back(operand);
    }
    return Ok();
  }

  Value plan_;
  std::unordered_map<std::string_view, const KindSpec*> kinds_;
  Policy policy_;
  std::string where_;
  bool in_function_ = false;
  Local result_ = kNoLocal;  // of the function
};

// Names are unique; every call has the number of arguments that its function takes. Names that no
// function has are builtins, which the lowering looks up.
class CallChecker {
 public:
  explicit CallChecker(const Policy& policy) : policy_(policy) {}

  Status Check() {
    for (const Func& func : policy_.funcs) {
      if (!arities_.emplace(func.name, func.params.size()).second) {
        return Malformed("two functions are named " + func.name);
      }
    }
    std::unordered_map<std::string_view, int> plans;
    for (const Plan& plan : policy_.plans) {
      if (!plans.emplace(plan.name, 0).second) {
        return Malformed("two plans are named " + plan.name);
      }
      AEGIS_RETURN_IF_ERROR(CheckBlocks(plan.blocks));
    }
    for (const Func& func : policy_.funcs) AEGIS_RETURN_IF_ERROR(CheckBlocks(func.blocks));
    return Ok();
  }

 private:
  static tl::unexpected<Error> Malformed(std::string what) {
    return Fail(Code::kInvalidArgument, "plan_malformed", "plan.json cannot be used: " + what);
  }
  Status CheckBlocks(const std::vector<Block>& blocks) {
    for (const Block& block : blocks) {
      for (const Stmt& stmt : block.stmts) {
        if (stmt.kind == Kind::kCall) {
          const auto found = arities_.find(stmt.func);
          if (found != arities_.end() && found->second != stmt.args.size()) {
            return Malformed(stmt.func + " is called with " + std::to_string(stmt.args.size()) +
                             " arguments and takes " + std::to_string(found->second));
          }
        }
        AEGIS_RETURN_IF_ERROR(CheckBlocks(stmt.blocks));
      }
    }
    return Ok();
  }

  const Policy& policy_;
  std::unordered_map<std::string_view, size_t> arities_;
};

}  // namespace

Result<Policy> ReadPlan(std::string_view plan_json, size_t max_bytes) {
  Arena arena(256 * 1024);
  const json::Limits limits{
      .max_bytes = max_bytes, .max_depth = kMaxHeight - 1, .max_values = max_bytes};
  Result<Value> plan = ParseJsonInPlace(plan_json, arena, limits);
  if (!plan) return Fail(Annotate(std::move(plan).error(), "plan.json"));
  AEGIS_TRY(Policy policy, PlanReader(*plan).Read());
  AEGIS_RETURN_IF_ERROR(CallChecker(policy).Check());
  return policy;
}

}  // namespace aegis::rego::ir
