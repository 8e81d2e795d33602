#include <unordered_map>

#include "aegis/rego/lowering.h"

namespace aegis::rego::internal {
namespace {

using ir::Kind;
using ir::Local;
using ir::Stmt;

// Starts from "the second parameter of every function is the data" and takes away what calls and
// assignments contradict, until nothing changes.
class DataLocals {
 public:
  explicit DataLocals(const ir::Policy& policy) : policy_(policy) {
    for (size_t i = 0; i < policy.funcs.size(); ++i) {
      const ir::Func& func = policy.funcs[i];
      functions_.emplace(func.name, i);
      holds_.push_back(func.params.size() >= 2 && !Writes(func.blocks, func.params[1]));
    }
    for (const ir::Plan& plan : policy.plans) holds_.push_back(!Writes(plan.blocks, ir::kData));
  }

  std::vector<Local> Run() {
    do {
      changed_ = false;
      for (size_t i = 0; i < policy_.funcs.size(); ++i) {
        VisitCalls(policy_.funcs[i].blocks, DataOf(i));
      }
      for (size_t i = 0; i < policy_.plans.size(); ++i) {
        VisitCalls(policy_.plans[i].blocks, DataOf(policy_.funcs.size() + i));
      }
    } while (changed_);
    std::vector<Local> out;
    for (size_t i = 0; i < holds_.size(); ++i) out.push_back(DataOf(i));
    return out;
  }

 private:
  Local DataOf(size_t body) const {
    if (!holds_[body]) return ir::kNoLocal;
    return body < policy_.funcs.size() ? policy_.funcs[body].params[1] : ir::kData;
  }

  static bool Writes(const std::vector<ir::Block>& blocks, Local local) {
    for (const ir::Block& block : blocks) {
      for (const Stmt& stmt : block.stmts) {
        if (stmt.target == local || stmt.key == local || Writes(stmt.blocks, local)) return true;
      }
    }
    return false;
  }

  void VisitCalls(const std::vector<ir::Block>& blocks, Local data) {
    for (const ir::Block& block : blocks) {
      for (const Stmt& stmt : block.stmts) {
        if (stmt.kind == Kind::kCall) {
          const auto function = functions_.find(stmt.func);
          if (function != functions_.end()) Pass(function->second, stmt, data);
        } else if (stmt.kind == Kind::kCallDynamic) {
          for (size_t i = 0; i < policy_.funcs.size(); ++i) {
            if (policy_.funcs[i].params.size() == stmt.args.size()) Pass(i, stmt, data);
          }
        }
        VisitCalls(stmt.blocks, data);
      }
    }
  }

  void Pass(size_t function, const Stmt& call, Local data) {
    if (!holds_[function]) return;
    if (data != ir::kNoLocal && call.args[1].is_local(data)) return;
    holds_[function] = false;
    changed_ = true;
  }

  const ir::Policy& policy_;
  std::unordered_map<std::string_view, size_t> functions_;
  std::vector<bool> holds_;  // functions, then plans
  bool changed_ = false;
};

}  // namespace

std::vector<ir::Local> FindDataLocals(const ir::Policy& policy) { return DataLocals(policy).Run(); }

}  // namespace aegis::rego::internal
