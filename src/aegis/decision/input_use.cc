#include "aegis/decision/input_use.h"

#include <optional>
#include <set>
#include <string>

#include "aegis/json/tree.h"

namespace aegis::decision {
namespace {

using json::Tree;

struct NamedPart {
  std::string_view name;
  InputPart part;
};
constexpr NamedPart kParts[] = {
    {"org", InputPart::kOrg},         {"tenant", InputPart::kTenant},
    {"agent", InputPart::kAgent},     {"chain", InputPart::kChain},
    {"door", InputPart::kDoor},       {"tool", InputPart::kTool},
    {"action", InputPart::kAction},   {"params", InputPart::kParams},
    {"request", InputPart::kRequest}, {"session", InputPart::kSession},
    {"time", InputPart::kTime},
};

// The fields of statements that are locals written as plain numbers.
constexpr std::string_view kLocalFields[] = {"source", "local",  "array",  "object", "set",  "a",
                                             "b",      "target", "result", "key",    "value"};

constexpr std::string_view kPlainStatements[] = {
    "ReturnLocalStmt", "LenStmt",         "AssignVarStmt",     "AssignVarOnceStmt",
    "ResetLocalStmt",  "MakeNullStmt",    "MakeNumberRefStmt", "MakeArrayStmt",
    "MakeObjectStmt",  "MakeSetStmt",     "EqualStmt",         "NotEqualStmt",
    "IsArrayStmt",     "IsObjectStmt",    "IsSetStmt",         "IsDefinedStmt",
    "IsUndefinedStmt", "ArrayAppendStmt", "ObjectInsertStmt",  "ObjectInsertOnceStmt",
    "ObjectMergeStmt", "SetAddStmt",      "ResultSetAddStmt",  "BreakStmt",
    "NopStmt",         "BlockStmt",       "NotStmt",           "ScanStmt",
    "WithStmt",
};

// Follows the local that holds `input`: number 0 of a plan, the first parameter of a function. It
// never changes hands unseen: whatever is not a look-up by a constant or a call that hands it on
// ends the walk.
class Walk {
 public:
  explicit Walk(const Tree& policy) : policy_(policy) {}

  // Nothing: the plan uses input in a way that is not followed.
  std::optional<InputParts> Run() {
    const Tree* functions = Down(&policy_, "funcs", "funcs");
    const Tree* plans = Down(&policy_, "plans", "plans");
    if (plans == nullptr) return std::nullopt;
    if (functions != nullptr) {
      for (const Tree& function : functions->elements()) {
        functions_.insert(function.FindString("name").value_or(""));
      }
      for (const Tree& function : functions->elements()) {
        const Tree* parameters = function.Find("params");
        if (parameters == nullptr || parameters->elements().empty()) return std::nullopt;
        input_ = parameters->elements()[0].AsInt64().value_or(-1);
        if (!Blocks(function.Find("blocks"))) return std::nullopt;
      }
    }
    input_ = 0;
    for (const Tree& plan : plans->elements()) {
      if (!Blocks(plan.Find("blocks"))) return std::nullopt;
    }
    return parts_;
  }

 private:
  static const Tree* Down(const Tree* tree, std::string_view first, std::string_view second) {
    tree = tree->Find(first);
    return tree == nullptr ? nullptr : tree->Find(second);
  }

  bool IsInputOperand(const Tree& operand) const {
    const Tree* value = operand.Find("value");
    return operand.FindString("type") == "local" && value != nullptr && value->AsInt64() == input_;
  }
  bool IsInputLocal(const Tree& field) const { return field.AsInt64() == input_; }

  bool Blocks(const Tree* blocks) {
    if (blocks == nullptr) return true;
    for (const Tree& block : blocks->elements()) {
      if (!Block(&block)) return false;
    }
    return true;
  }

  bool Block(const Tree* block) {
    const Tree* statements = block == nullptr ? nullptr : block->Find("stmts");
    if (statements == nullptr) return true;
    for (const Tree& statement : statements->elements()) {
      const std::optional<std::string_view> type = statement.FindString("type");
      const Tree* body = statement.Find("stmt");
      if (!type || body == nullptr || !Statement(*type, *body)) return false;
    }
    return true;
  }

  bool Statement(std::string_view type, const Tree& body) {
    if (type == "DotStmt") return Dot(body);
    if (type == "CallStmt") return Call(body);
    if (type == "CallDynamicStmt") return CallDynamic(body);
    if (type == "AssignIntStmt" || type == "MakeNumberIntStmt") {
      const Tree* target = body.Find("target");
      return target != nullptr && !IsInputLocal(*target);
    }
    for (const std::string_view known : kPlainStatements) {
      if (known == type)
        return Fields(body) && Block(body.Find("block")) && Blocks(body.Find("blocks"));
    }
    return false;
  }

  // No field may be the input, neither read nor written.
  bool Fields(const Tree& body) const {
    for (const std::string_view name : kLocalFields) {
      const Tree* field = body.Find(name);
      if (field != nullptr && (IsInputLocal(*field) || IsInputOperand(*field))) return false;
    }
    return true;
  }

  bool Dot(const Tree& body) {
    const Tree* source = body.Find("source");
    const Tree* key = body.Find("key");
    const Tree* target = body.Find("target");
    if (source == nullptr || key == nullptr || target == nullptr) return false;
    if (IsInputLocal(*target) || IsInputOperand(*key)) return false;
    return !IsInputOperand(*source) || AddKey(*key);
  }

  bool AddKey(const Tree& key) {
    const Tree* index = key.Find("value");
    const Tree* strings = Down(&policy_, "static", "strings");
    if (key.FindString("type") != "string_index" || index == nullptr || strings == nullptr)
      return false;
    const int64_t at = index->AsInt64().value_or(-1);
    if (at < 0 || static_cast<size_t>(at) >= strings->elements().size()) return false;
    const std::string_view name =
        strings->elements()[static_cast<size_t>(at)].FindString("value").value_or("");
    for (const NamedPart& named : kParts) {
      if (named.name == name) parts_.Add(named.part);
    }
    return true;
  }

  // A function of the plan gets input as its first argument; a builtin that does looks at it.
  bool Call(const Tree& body) const {
    const Tree* arguments = body.Find("args");
    const Tree* result = body.Find("result");
    if (result == nullptr || IsInputLocal(*result)) return false;
    if (arguments == nullptr) return true;
    const bool planned = functions_.contains(body.FindString("func").value_or(""));
    bool first = true;
    for (const Tree& argument : arguments->elements()) {
      if (IsInputOperand(argument) && !(first && planned)) return false;
      first = false;
    }
    return true;
  }

  bool CallDynamic(const Tree& body) const {
    const Tree* arguments = body.Find("args");
    const Tree* path = body.Find("path");
    const Tree* result = body.Find("result");
    if (arguments == nullptr || path == nullptr || result == nullptr || IsInputLocal(*result))
      return false;
    bool first = true;
    for (const Tree& argument : arguments->elements()) {
      // Plain numbers in OPA 1.22, operands in older plans.
      if (!first && (IsInputLocal(argument) || IsInputOperand(argument))) return false;
      first = false;
    }
    for (const Tree& component : path->elements()) {
      if (IsInputOperand(component)) return false;
    }
    return true;
  }

  const Tree& policy_;
  std::set<std::string_view> functions_;
  int64_t input_ = 0;
  InputParts parts_ = InputParts::None();
};

}  // namespace

InputParts InputUse(std::string_view plan_json) {
  Arena arena(256 * 1024);
  const Result<Tree> policy =
      json::ParseTree(plan_json, arena, {.max_bytes = size_t{128} << 20, .max_depth = 512});
  if (!policy) return InputParts::All();
  return Walk(*policy).Run().value_or(InputParts::All());
}

}  // namespace aegis::decision
