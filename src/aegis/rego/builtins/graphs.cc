// graph.*: a graph is an object from vertices to arrays or sets of their neighbours.
#include <algorithm>
#include <span>
#include <utility>
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
  // Vertices are known by their places among the members, which are in order.
  const std::span<const Member> members = args[0].members();
  if (members.empty()) return Value::EmptySet();
  if (!context.Charge(members.size() / 4096)) return Value();
  std::vector<bool> is_reached(members.size());
  std::vector<std::pair<size_t, Value>> reached;
  reached.reserve(16);
  const auto reach = [&](std::span<const Value> vertices) {
    for (const Value vertex : vertices) {
      const int64_t found = internal::Find(*args[0].table(), false, vertex);
      if (found < 0 || is_reached[static_cast<size_t>(found)]) continue;
      is_reached[static_cast<size_t>(found)] = true;
      reached.emplace_back(static_cast<size_t>(found), vertex);
    }
  };
  reach(args[1].elements());
  for (size_t i = 0; i < reached.size(); ++i) {
    const auto [place, vertex] = reached[i];
    const Value neighbours = members[place].value;
    if (!context.Charge(1 + internal::Weight(vertex) / 16 + neighbours.size())) return Value();
    reach(neighbours.elements());  // neither a number nor an object has any
  }
  std::sort(reached.begin(), reached.end(),
            [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<Value> vertices;
  vertices.reserve(reached.size());
  for (const auto& [place, vertex] : reached) vertices.push_back(vertex);
  return MakeSet(context.arena(), vertices);
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
