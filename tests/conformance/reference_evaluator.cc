#include "conformance/reference_evaluator.h"

#include <algorithm>
#include <map>

#include "aegis/rego/builtins/builtin.h"

namespace aegis::rego::reference {
namespace {

using ir::Kind;
using ir::Local;
using ir::Operand;
using ir::Stmt;
using Maybe = std::optional<RefValue>;

struct Conflict {};
struct GaveUp {
  std::string why;
};

// How a statement or a block ended.
struct Ended {
  enum class How : uint8_t { kNormally, kBreak, kReturn };
  How how = How::kNormally;
  int64_t levels = 0;  // kBreak: blocks to leave besides the one that it is in

  static Ended Normally() { return {}; }
  static Ended Undefined() { return {How::kBreak, 0}; }
  bool normally() const { return how == How::kNormally; }
  bool leaves_this_block_only() const { return how == How::kBreak && levels == 0; }
  // The same, seen from the block around.
  Ended Outward() const { return how == How::kBreak ? Ended{how, levels - 1} : *this; }
};

class Evaluator {
 public:
  Evaluator(const ir::Policy& policy, int64_t time_unix_ns, int64_t max_steps)
      : policy_(policy), time_unix_ns_(time_unix_ns), steps_left_(max_steps) {
    for (const ir::Func& func : policy.funcs) {
      functions_[func.name] = &func;
      if (!func.path.empty()) by_path_[func.path] = &func;
    }
  }

  void RunPlan(const ir::Plan& plan, const Maybe& input, const RefValue& data) {
    Frame frame;
    Set(frame, ir::kInput, input);
    frame.locals[ir::kData] = data;
    for (const ir::Block& block : plan.blocks) Run(block, frame);
  }

  RefArray results;

 private:
  struct Frame {
    std::map<Local, RefValue> locals;  // those that are defined
    Maybe returned;
  };

  static void Set(Frame& frame, Local local, Maybe value) {
    if (value) {
      frame.locals[local] = *std::move(value);
    } else {
      frame.locals.erase(local);
    }
  }
  static Maybe Read(const Frame& frame, Local local) {
    const auto found = frame.locals.find(local);
    if (found == frame.locals.end()) return std::nullopt;
    return found->second;
  }
  RefValue String(int64_t index) const {
    return RefValue(policy_.strings[static_cast<size_t>(index)]);
  }
  Maybe Read(const Frame& frame, const Operand& operand) const {
    switch (operand.kind) {
      case Operand::Kind::kLocal:
        return Read(frame, operand.value);
      case Operand::Kind::kBool:
        return RefValue(operand.value != 0);
      case Operand::Kind::kString:
        return String(operand.value);
      case Operand::Kind::kNone:
        break;
    }
    return std::nullopt;
  }

  Ended Run(const ir::Block& block, Frame& frame) {
    for (const Stmt& stmt : block.stmts) {
      if (--steps_left_ < 0) throw GaveUp{"reference_limit"};
      if (const Ended ended = Run(stmt, frame); !ended.normally()) return ended;
    }
    return Ended::Normally();
  }

  template <typename T>
  T* Collection(Frame& frame, Local local) {
    const auto found = frame.locals.find(local);
    return found == frame.locals.end() ? nullptr : found->second.As<T>();
  }
  template <typename T>
  Ended Test(const Maybe& value) {
    return value && value->As<T>() ? Ended::Normally() : Ended::Undefined();
  }

  Ended Run(const Stmt& stmt, Frame& frame) {
    const Maybe a = Read(frame, stmt.a), b = Read(frame, stmt.b);
    const auto give = [&](Maybe value) {
      const bool defined = value.has_value();
      Set(frame, stmt.target, std::move(value));
      return defined ? Ended::Normally() : Ended::Undefined();
    };
    switch (stmt.kind) {
      case Kind::kNop:
        return Ended::Normally();
      case Kind::kAssignInt:
      case Kind::kMakeNumberInt:
        return give(RefValue::Int(stmt.number));
      case Kind::kMakeNumberRef:
        return give(RefValue(RefNumber{*String(stmt.number).As<std::string>()}));
      case Kind::kMakeNull:
        return give(RefValue());
      case Kind::kMakeArray:
        return give(RefValue(RefArray()));
      case Kind::kMakeObject:
        return give(RefValue(RefObject()));
      case Kind::kMakeSet:
        return give(RefValue(RefSet()));
      case Kind::kAssignVar:
        Set(frame, stmt.target, a);
        return Ended::Normally();
      case Kind::kAssignVarOnce:
        if (const Maybe old = Read(frame, stmt.target)) {
          if (!a || Compare(*old, *a) != 0) throw Conflict();
        } else {
          Set(frame, stmt.target, a);
        }
        return Ended::Normally();
      case Kind::kResetLocal:
        Set(frame, stmt.target, std::nullopt);
        return Ended::Normally();
      case Kind::kIsDefined:
        return a ? Ended::Normally() : Ended::Undefined();
      case Kind::kIsUndefined:
        return a ? Ended::Undefined() : Ended::Normally();
      case Kind::kIsArray:
        return Test<RefArray>(a);
      case Kind::kIsObject:
        return Test<RefObject>(a);
      case Kind::kIsSet:
        return Test<RefSet>(a);
      case Kind::kEqual:
        return Same(a, b) ? Ended::Normally() : Ended::Undefined();
      case Kind::kNotEqual:
        return Same(a, b) ? Ended::Undefined() : Ended::Normally();
      case Kind::kDot:
        return give(a && b ? Get(*a, *b) : std::nullopt);
      case Kind::kLen:
        return give(a ? Size(*a) : std::nullopt);
      case Kind::kArrayAppend: {
        RefArray* array = Collection<RefArray>(frame, stmt.target);
        if (array == nullptr || !a) return Ended::Undefined();
        array->push_back(*a);
        return Ended::Normally();
      }
      case Kind::kSetAdd: {
        RefSet* set = Collection<RefSet>(frame, stmt.target);
        if (set == nullptr || !a) return Ended::Undefined();
        set->insert(*a);
        return Ended::Normally();
      }
      case Kind::kObjectInsert:
      case Kind::kObjectInsertOnce: {
        RefObject* object = Collection<RefObject>(frame, stmt.target);
        if (object == nullptr || !a || !b) return Ended::Undefined();
        const auto found = object->find(*b);
        const bool once = found != object->end() && stmt.kind == Kind::kObjectInsertOnce;
        if (once && Compare(found->second, *a) != 0) throw Conflict();
        if (!once || stmt.number == 1) object->insert_or_assign(*b, *a);
        return Ended::Normally();
      }
      case Kind::kObjectMerge:
        if (!a || !b || !a->As<RefObject>() || !b->As<RefObject>()) throw Conflict();
        return give(Merged(*a, *b));
      case Kind::kResultSetAdd:
        if (!a) return Ended::Undefined();
        results.push_back(*a);
        return Ended::Normally();
      case Kind::kReturnLocal:
        frame.returned = a;
        return {Ended::How::kReturn, 0};
      case Kind::kBreak:
        return {Ended::How::kBreak, stmt.number};
      case Kind::kBlock:
        return RunBlocks(stmt, frame);
      case Kind::kNot: {
        const Ended ended = Run(stmt.blocks[0], frame);
        if (ended.normally()) return Ended::Undefined();
        return ended.leaves_this_block_only() ? Ended::Normally() : ended.Outward();
      }
      case Kind::kScan:
        return a ? Scan(*a, stmt, frame) : Ended::Normally();
      case Kind::kWith:
        return With(a, stmt, frame);
      case Kind::kCall:
        return give(Call(stmt, frame));
      case Kind::kCallDynamic:
        return give(CallDynamic(stmt, frame));
    }
    throw GaveUp{"reference: a statement of an unknown kind"};
  }

  static bool Same(const Maybe& a, const Maybe& b) {
    if (!a || !b) return !a && !b;
    return Compare(*a, *b) == 0;
  }

  static Maybe Size(const RefValue& value) {
    size_t size = 0;
    if (const auto* array = value.As<RefArray>()) {
      size = array->size();
    } else if (const auto* object = value.As<RefObject>()) {
      size = object->size();
    } else if (const auto* set = value.As<RefSet>()) {
      size = set->size();
    } else {
      return std::nullopt;
    }
    return RefValue::Int(static_cast<int64_t>(size));
  }

  // Members of both; objects under one key are merged, of other values `a`'s counts.
  static RefValue Merged(const RefValue& a, const RefValue& b) {
    RefObject out = *b.As<RefObject>();
    for (const auto& [key, value] : *a.As<RefObject>()) {
      const auto found = out.find(key);
      const bool nested =
          found != out.end() && found->second.As<RefObject>() && value.As<RefObject>();
      out.insert_or_assign(key, nested ? Merged(value, found->second) : value);
    }
    return RefValue(std::move(out));
  }

  Ended RunBlocks(const Stmt& stmt, Frame& frame) {
    for (const ir::Block& block : stmt.blocks) {
      const Ended ended = Run(block, frame);
      if (!ended.normally() && !ended.leaves_this_block_only()) return ended.Outward();
    }
    return Ended::Normally();
  }

  Ended Scan(const RefValue& source, const Stmt& stmt, Frame& frame) {
    const auto visit = [&](const RefValue& key, const RefValue& value) {
      frame.locals[stmt.key] = key;
      frame.locals[stmt.target] = value;
      const Ended ended = Run(stmt.blocks[0], frame);
      return ended.leaves_this_block_only() ? Ended::Normally() : ended.Outward();
    };
    if (const auto* array = source.As<RefArray>()) {
      for (size_t i = 0; i < array->size(); ++i) {
        const Ended ended = visit(RefValue::Int(static_cast<int64_t>(i)), (*array)[i]);
        if (!ended.normally()) return ended;
      }
    } else if (const auto* object = source.As<RefObject>()) {
      for (const auto& [key, value] : *object) {
        if (const Ended ended = visit(key, value); !ended.normally()) return ended;
      }
    } else if (const auto* set = source.As<RefSet>()) {
      for (const RefValue& element : *set) {
        if (const Ended ended = visit(element, element); !ended.normally()) return ended;
      }
    }
    return Ended::Normally();
  }

  RefValue Upserted(const Maybe& base, const std::vector<Operand>& path, size_t at,
                    const RefValue& value) const {
    if (at == path.size()) return value;
    RefObject object;
    if (base && base->As<RefObject>()) object = *base->As<RefObject>();
    const RefValue key = String(path[at].value);
    const auto found = object.find(key);
    const Maybe inner = found == object.end() ? Maybe() : Maybe(found->second);
    object.insert_or_assign(key, Upserted(inner, path, at + 1, value));
    return RefValue(std::move(object));
  }

  Ended With(const Maybe& value, const Stmt& stmt, Frame& frame) {
    const Maybe old = Read(frame, stmt.target);
    if (stmt.path.empty()) {
      Set(frame, stmt.target, value);
    } else {
      if (!value) return Ended::Undefined();
      Set(frame, stmt.target, Upserted(old, stmt.path, 0, *value));
    }
    const Ended ended = Run(stmt.blocks[0], frame);
    Set(frame, stmt.target, old);
    // A break out of the block, like one statement of it that is undefined, leaves the block
    // around.
    return ended.leaves_this_block_only() ? Ended::Undefined() : ended.Outward();
  }

  Maybe CallFunction(const ir::Func& func, const std::vector<Maybe>& args) {
    if (++depth_ > 200) throw GaveUp{"reference_limit"};
    Frame frame;
    for (size_t i = 0; i < args.size(); ++i) Set(frame, func.params[i], args[i]);
    for (const ir::Block& block : func.blocks) {
      if (Run(block, frame).how == Ended::How::kReturn) break;
    }
    --depth_;
    return frame.returned;
  }

  Maybe Call(const Stmt& stmt, Frame& frame) {
    std::vector<Maybe> args;
    for (const Operand& operand : stmt.args) args.push_back(Read(frame, operand));
    const auto function = functions_.find(stmt.func);
    if (function != functions_.end()) return CallFunction(*function->second, args);
    for (const Maybe& arg : args) {
      if (!arg) return std::nullopt;
    }
    return CallBuiltin(stmt.func, args);
  }

  Maybe CallDynamic(const Stmt& stmt, Frame& frame) {
    std::vector<std::string> path;
    for (const Operand& operand : stmt.path) {
      const Maybe segment = Read(frame, operand);
      if (!segment || !segment->As<std::string>()) return std::nullopt;
      path.push_back(*segment->As<std::string>());
    }
    const auto found = by_path_.find(path);
    if (found == by_path_.end() || found->second->params.size() != stmt.args.size()) {
      return std::nullopt;
    }
    std::vector<Maybe> args;
    for (const Operand& operand : stmt.args) args.push_back(Read(frame, operand));
    return CallFunction(*found->second, args);
  }

  Maybe CallBuiltin(const std::string& name, const std::vector<Maybe>& args) {
    if (args.size() == 2) {
      const std::strong_ordering order = Compare(*args[0], *args[1]);
      if (name == "equal") return RefValue(order == 0);
      if (name == "neq") return RefValue(order != 0);
      if (name == "lt") return RefValue(order < 0);
      if (name == "lte") return RefValue(order <= 0);
      if (name == "gt") return RefValue(order > 0);
      if (name == "gte") return RefValue(order >= 0);
    }
    const Builtin* builtin = FindBuiltin(name);
    if (builtin == nullptr) throw GaveUp{"reference: there is no builtin " + name};
    Arena arena;
    int64_t steps = INT64_MAX / 2;
    const auto caches = NewBuiltinCaches();
    BuiltinContext context(arena, *caches, time_unix_ns_, steps);
    std::vector<Value> values;
    for (const Maybe& arg : args) values.push_back(ToRego(*arg, arena));
    const Value result = builtin->function(context, values.data());
    if (result.is_undefined()) return std::nullopt;
    return FromRego(result);
  }

  const ir::Policy& policy_;
  const int64_t time_unix_ns_;
  int64_t steps_left_;
  int depth_ = 0;
  std::map<std::string, const ir::Func*> functions_;
  std::map<std::vector<std::string>, const ir::Func*> by_path_;
};

}  // namespace

RefOutcome Evaluate(const ir::Policy& policy, size_t plan, const Maybe& input, const RefValue& data,
                    int64_t time_unix_ns, int64_t max_steps) {
  Evaluator evaluator(policy, time_unix_ns, max_steps);
  try {
    evaluator.RunPlan(policy.plans[plan], input, data);
  } catch (const Conflict&) {
    return {{}, "eval_conflict_error"};
  } catch (const GaveUp& gave_up) {
    return {{}, gave_up.why};
  }
  return {std::move(evaluator.results), ""};
}

}  // namespace aegis::rego::reference
