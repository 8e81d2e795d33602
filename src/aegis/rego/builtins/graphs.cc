// graph.*: a graph is an object from vertices to arrays or sets of their neighbours.
#include <vector>

#include "aegis/rego/builtins/operands.h"
#include "aegis/rego/table.h"

namespace aegis::rego {
namespace {

Value Reachable(BuiltinContext& context, const Value* args) {
  AEGIS_TYPED_ARG(0, is_object, "object");
  if (!args[1].is_array() && !args[1].is_set()) {
    return context.WrongType(2, "one of {array, set}", args[1]);
  }
  std::vector<Value> queue(args[1].elements().begin(), args[1].elements().end());
  Value reached = Value::EmptySet();
  while (!queue.empty()) {
    const Value vertex = queue.back();
    queue.pop_back();
    const Value neighbours = args[0].Get(vertex);
    if (neighbours.is_undefined() || reached.Contains(vertex)) continue;
    if (!context.Charge(1 + internal::Weight(vertex) / 16 + neighbours.size())) return Value();
    if (SetAdd(context.arena(), reached, vertex) != Edit::kOk) return Value();
    // Neither a number nor an object has neighbours.
    for (const Value neighbour : neighbours.elements()) queue.push_back(neighbour);
  }
  return reached;
}

// All paths from a vertex until where they end or would meet themselves. There can be exponentially
// many: each step is charged with the length of its path.
class Paths {
 public:
  Paths(BuiltinContext& context, Value graph) : context_(context), graph_(graph) {}

  // False when there is no more to spend.
  bool From(Value root) {
    const Value neighbours = graph_.Get(root);
    if (neighbours.is_undefined()) return true;
    path_.assign(1, root);
    if (neighbours.elements().empty()) return Commit();
    for (const Value neighbour : neighbours.elements()) {
      // An edge from the root to itself makes a path of OPA's.
      if (!Enter(neighbour)) return false;
    }
    return true;
  }
  Value result() const { return result_.Build(); }

 private:
  // A path longer than this could not be compared or printed.
  static constexpr size_t kMaxLength = 4000;

  bool Commit() {
    if (!context_.Charge(1 + path_.size())) return false;
    ArrayBuilder array(context_.arena(), path_.size());
    for (const Value vertex : path_) array.Add(vertex);
    result_.Add(array.Build());
    return true;
  }

  bool OnPath(Value vertex) const {
    for (const Value earlier : path_) {
      if (Equal(earlier, vertex)) return true;
    }
    return false;
  }

  bool Extend(Value vertex) {
    const uint64_t work = (1 + internal::Weight(vertex) / 16) * (1 + path_.size());
    if (!context_.Charge(work)) return false;
    return OnPath(vertex) ? Commit() : Enter(vertex);
  }

  bool Enter(Value vertex) {
    const Value neighbours = graph_.Get(vertex);
    if (neighbours.is_undefined()) return Commit();
    if (path_.size() >= kMaxLength) {
      context_.Error("a path has too many vertices");
      return false;
    }
    path_.push_back(vertex);
    bool done = true;
    if (neighbours.elements().empty()) {
      done = Commit();
    } else {
      for (const Value neighbour : neighbours.elements()) {
        done = done && Extend(neighbour);
      }
    }
    path_.pop_back();
    return done;
  }

  BuiltinContext& context_;
  Value graph_;
  std::vector<Value> path_;
  SetBuilder result_{context_.arena()};
};

Value ReachablePaths(BuiltinContext& context, const Value* args) {
  AEGIS_TYPED_ARG(0, is_object, "object");
  if (!args[1].is_array() && !args[1].is_set()) {
    return context.WrongType(2, "one of {array, set}", args[1]);
  }
  Paths paths(context, args[0]);
  for (const Value root : args[1].elements()) {
    if (!paths.From(root)) return Value();
  }
  return paths.result();
}

constexpr Builtin kBuiltins[] = {
    {"graph.reachable", 2, Reachable},
    {"graph.reachable_paths", 2, ReachablePaths},
};

}  // namespace

std::span<const Builtin> GraphBuiltins() { return kBuiltins; }

}  // namespace aegis::rego
