#include <algorithm>
#include <set>
#include <unordered_map>
#include <unordered_set>

#include "aegis/rego/lowering.h"

namespace aegis::rego::internal {
namespace {

using ir::Kind;
using ir::Local;
using ir::Operand;
using ir::Stmt;

// Follows the input through one plan and the functions it calls. A local that may hold the whole
// input somewhere in a function is taken to hold it everywhere in that function, so locals that are
// used twice for different things can only make the answer larger.
class InputUse {
 public:
  explicit InputUse(const ir::Policy& policy) : policy_(policy) {
    for (size_t i = 0; i < policy.funcs.size(); ++i) {
      functions_.emplace(policy.funcs[i].name, i);
    }
    aliases_.resize(policy.funcs.size());
  }

  void Run(const ir::Plan& plan, Entrypoint& entrypoint) {
    std::unordered_set<Local> aliases = {ir::kInput};
    Visit(plan.blocks, aliases);
    while (!pending_.empty() && !all_) {
      const size_t function = pending_.back();
      pending_.pop_back();
      Visit(policy_.funcs[function].blocks, aliases_[function]);
    }
    entrypoint.all_input = all_;
    if (!all_) entrypoint.input_keys.assign(keys_.begin(), keys_.end());
  }

 private:
  void Visit(const std::vector<ir::Block>& blocks, std::unordered_set<Local>& aliases) {
    size_t before;
    do {
      before = aliases.size();
      FindAliases(blocks, aliases);
    } while (aliases.size() != before);
    FindUses(blocks, aliases);
  }

  static bool Is(const std::unordered_set<Local>& aliases, const Operand& operand) {
    return operand.kind == Operand::Kind::kLocal && aliases.contains(operand.value);
  }

  void FindAliases(const std::vector<ir::Block>& blocks, std::unordered_set<Local>& aliases) {
    for (const ir::Block& block : blocks) {
      for (const Stmt& stmt : block.stmts) {
        const bool copies = stmt.kind == Kind::kAssignVar || stmt.kind == Kind::kAssignVarOnce ||
                            (stmt.kind == Kind::kWith && stmt.path.empty());
        if (copies && Is(aliases, stmt.a)) aliases.insert(stmt.target);
        FindAliases(stmt.blocks, aliases);
      }
    }
  }

  void FindUses(const std::vector<ir::Block>& blocks, const std::unordered_set<Local>& aliases) {
    for (const ir::Block& block : blocks) {
      for (const Stmt& stmt : block.stmts) {
        FindUse(stmt, aliases);
        FindUses(stmt.blocks, aliases);
      }
    }
  }

  void FindUse(const Stmt& stmt, const std::unordered_set<Local>& aliases) {
    switch (stmt.kind) {
      case Kind::kAssignVar:
      case Kind::kAssignVarOnce:
      case Kind::kIsDefined:
      case Kind::kIsUndefined:
        return;
      case Kind::kDot:
        if (Is(aliases, stmt.b)) all_ = true;
        if (!Is(aliases, stmt.a)) return;
        if (stmt.b.kind == Operand::Kind::kString) {
          keys_.insert(policy_.strings[static_cast<size_t>(stmt.b.value)]);
        } else {
          all_ = true;
        }
        return;
      case Kind::kWith:
        // Replacing a member of the input reads nothing of it.
        if (!stmt.path.empty() && Is(aliases, stmt.a)) all_ = true;
        return;
      case Kind::kCall: {
        const auto function = functions_.find(stmt.func);
        for (size_t i = 0; i < stmt.args.size(); ++i) {
          if (!Is(aliases, stmt.args[i])) continue;
          if (function == functions_.end()) {
            all_ = true;
          } else {
            Pass(function->second, i);
          }
        }
        return;
      }
      case Kind::kCallDynamic:
        for (const Operand& segment : stmt.path) {
          if (Is(aliases, segment)) all_ = true;
        }
        for (size_t i = 0; i < stmt.args.size(); ++i) {
          if (!Is(aliases, stmt.args[i])) continue;
          for (size_t function = 0; function < policy_.funcs.size(); ++function) {
            if (policy_.funcs[function].params.size() == stmt.args.size()) Pass(function, i);
          }
        }
        return;
      default:
        if (Is(aliases, stmt.a) || Is(aliases, stmt.b)) all_ = true;
    }
  }

  // The function's parameter gets the input.
  void Pass(size_t function, size_t argument) {
    const Local param = policy_.funcs[function].params[argument];
    if (aliases_[function].insert(param).second) pending_.push_back(function);
  }

  const ir::Policy& policy_;
  std::unordered_map<std::string_view, size_t> functions_;
  std::vector<std::unordered_set<Local>> aliases_;
  std::vector<size_t> pending_;
  std::set<std::string> keys_;
  bool all_ = false;
};

}  // namespace

void FindInputUse(const ir::Policy& policy, internal::ByteCode& code) {
  for (size_t i = 0; i < policy.plans.size(); ++i) {
    InputUse(policy).Run(policy.plans[i], code.entrypoints[i]);
  }
}

}  // namespace aegis::rego::internal
