#include "aegis/rego/vm.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <new>
#include <string>
#include <vector>

#include "aegis/rego/code.h"
#include "aegis/rego/edit.h"
#include "aegis/rego/hash.h"
#include "aegis/rego/lookup.h"
#include "aegis/rego/rows.h"
#include "aegis/rego/table.h"
#include "aegis/rego/walk.h"

namespace aegis::rego {
namespace {

using internal::Comparison;
using internal::Function;
using internal::kNone;
using internal::Op;
using internal::OpCode;

using internal::Lookup;
using internal::RowIndexes;
using internal::Rows;
using internal::SameValue;
using internal::Share;
using internal::Walker;

inline bool Holds(Comparison comparison, int order) {
  switch (comparison) {
    case Comparison::kLess:
      return order < 0;
    case Comparison::kLessEqual:
      return order <= 0;
    case Comparison::kGreater:
      return order > 0;
    default:
      return order >= 0;
  }
}
[[gnu::always_inline]] inline bool Holds(Comparison comparison, const Value& a, const Value& b) {
  if (comparison == Comparison::kEqual) return SameValue(a, b);
  if (comparison == Comparison::kNotEqual) return !SameValue(a, b);
  if (a.is_int() && b.is_int()) [[likely]] {
    return Holds(comparison, a.int_value() < b.int_value() ? -1 : a.int_value() > b.int_value());
  }
  return Holds(comparison, Compare(a, b));
}

struct FreeStack {
  void operator()(Value* stack) const { ::operator delete(stack); }
};

}  // namespace

class Vm::Machine {
 public:
  explicit Machine(const VmOptions& options)
      : options_(options),
        caches_(NewBuiltinCaches()),
        // Not touched until used: a deep stack costs address space only.
        stack_(static_cast<Value*>(::operator new(sizeof(Value) * options.max_registers))),
        frames_(std::make_unique<Frame[]>(options.max_call_depth)) {}

  Result<Value> Run(const Program& program, uint32_t entrypoint, Value input, int64_t time_unix_ns,
                    Arena& arena) {
    code_ = &program.code();
    if (entrypoint >= code_->entrypoints.size()) {
      return Fail(Code::kNotFound, "eval_no_entrypoint", "the policy has no such entrypoint");
    }
    arena_ = &arena;
    results_ = Value::EmptyArray();
    depth_ = 0;
    scopes_.clear();
    undo_.clear();
    scope_ = ++next_scope_;
    indexes_.Begin(scope_);
    steps_left_ = options_.max_steps;
    if (memo_.size() < code_->functions.size()) {
      memo_.resize(code_->functions.size());
      call_memo_.resize(code_->functions.size() * kCallMemos);
    }

    const Function& function = code_->functions[code_->entrypoints[entrypoint].function];
    if (function.registers > options_.max_registers) return Fail(TooDeep(function));
    Value* const registers = stack_.get();
    std::fill_n(registers, function.init_end, Value());
    Share(input);
    registers[0] = input;
    registers[1] = code_->data;
    function_ = &function;
    BuiltinContext context(arena, *caches_, time_unix_ns, steps_left_);
    if (!Execute(context, registers)) return Fail(std::move(error_));
    if (steps_left_ < 0) return Fail(OutOfSteps());
    if (arena.exhausted()) return Fail(OutOfMemory());
    return results_;
  }

 private:
  struct Frame {
    const Op* call;  // in the caller's code
    Value* registers;
    const Function* function;
    bool memoize;
  };
  // What a function of (input, data) gave in one scope. Scopes are numbered anew for each
  // evaluation and each With, so nothing has to be cleared.
  struct Memo {
    uint64_t scope = 0;
    Value input;
    Value data;
    Value result;
  };
  struct Scope {
    uint64_t outer;
    size_t undo_size;
  };
  // A memo of an outer scope that an inner one replaced, for when the inner one ends.
  struct Undo {
    uint32_t function;
    Memo memo;
  };

  bool Execute(BuiltinContext& context, Value* registers);

  // --- Rare or long operations; all return false after setting error_ ---

  bool Refuse(Error error) {
    error_ = std::move(error);
    return false;
  }
  std::string Where() const { return "in " + function_->name + ": "; }
  Error OutOfMemory() const {
    return {Code::kResourceExhausted, "eval_memory_limit",
            Where() + "the evaluation needs more memory than it may use"};
  }
  Error OutOfSteps() const {
    return {Code::kResourceExhausted, "eval_step_limit",
            Where() + "the evaluation takes more than " + std::to_string(options_.max_steps) +
                " steps"};
  }
  Error TooDeep(const Function& function) const {
    return {Code::kResourceExhausted, "eval_depth_limit",
            "in " + function.name + ": calls nest too deep"};
  }
  Error Conflict(std::string_view what) const {
    return {Code::kFailedPrecondition, "eval_conflict_error", Where() + std::string(what)};
  }
  // What looks into a collection is charged for its size; the next call or loop notices.
  void ChargeFor(const Value& value) {
    if (value.is_collection()) [[unlikely]] {
      steps_left_ -= static_cast<int64_t>(internal::Weight(value) / 16);
    }
  }
  // Whether `element` is one of a collection, or a value of an object. Charged like ChargeFor.
  bool Contains(const Value& collection, const Value& element) {
    constexpr size_t kFew = 64;
    if (collection.is_array() && element.is_string() && collection.size_field() <= kFew) {
      const Value* const end = collection.array_data() + collection.size_field();
      for (const Value* one = collection.array_data(); one != end; ++one) {
        if (internal::SameString(*one, element)) return true;
      }
      return false;
    }
    const size_t compared = collection.is_set() ? 1 : collection.size();
    if (compared > kFew || element.is_collection()) [[unlikely]] {
      steps_left_ -= static_cast<int64_t>(compared * internal::Weight(element) / 16);
      if (steps_left_ < 0) return false;
    }
    if (collection.is_set()) return collection.Contains(element);
    if (collection.is_object()) {
      const Member* const members = internal::Members(*collection.table());
      return std::any_of(members, members + compared, [element](const Member& member) {
        return SameValue(member.value, element);
      });
    }
    const std::span<const Value> elements = collection.elements();
    return std::any_of(elements.begin(), elements.end(),
                       [element](const Value& one) { return SameValue(one, element); });
  }

  bool RefuseEdit(Edit edit) {
    if (edit == Edit::kOutOfMemory) return Refuse(OutOfMemory());
    return Refuse({Code::kResourceExhausted, "eval_depth_limit",
                   Where() + "a value nests too deep or becomes too large"});
  }

  bool InsertOnce(Value& object, Value key, Value value, bool replace) {
    const Value old = object.Get(key);
    if (!old.is_undefined()) {
      ChargeFor(value);
      if (!Equal(old, value)) return Refuse(Conflict("object keys must be unique"));
      if (!replace || old.IsSame(value)) return true;
    }
    const Edit edit = ObjectInsert(*arena_, object, key, value);
    return edit == Edit::kOk || RefuseEdit(edit);
  }

  // Loads element `position` of what is iterated over; false at the end.
  static bool Load(Value collection, size_t position, Value& key, Value& value) {
    if (!collection.is_collection()) return false;
    if (position >= (collection.is_array() ? collection.size_field() : collection.table()->size)) {
      return false;
    }
    if (collection.is_object()) {
      const Member& member = internal::Members(*collection.table())[position];
      key = member.key;
      value = member.value;
    } else if (collection.is_array()) {
      key = Value::Int(static_cast<int64_t>(position));
      value = collection.array_data()[position];
    } else {
      key = value = collection.table()->entries[position];
    }
    return true;
  }

  static Walker& WalkerIn(Value iterator) { return *reinterpret_cast<Walker*>(iterator.bits()); }
  static bool IsWanted(const Op& walk, Value value) {
    const auto wanted = static_cast<Type>(walk.flag);
    return wanted == Type::kUndefined || value.type() == wanted;
  }
  // To the next value that is wanted; false at the end or when the steps are used up, which what
  // comes next notices.
  bool WalkOn(const Op& walk, Walker& walker) {
    while (steps_left_ >= 0 && walker.Next()) {
      if (IsWanted(walk, walker.value())) return true;
      --steps_left_;
    }
    return false;
  }
  // Loads the first element from `position` on that matches; false if there is none or the steps
  // are used up. Each element is charged with the ops that one of these saves.
  template <bool kIsString>
  bool FindMatch(const Op& op, const Value& wanted, const Value& key, Value* registers,
                 size_t position) {
    constexpr int64_t kSteps = 3;
    const Value collection = registers[op.b];
    Rows rows(collection, key);
    const bool differs = op.flag != 0;
    const int64_t cost =
        kSteps + (wanted.is_collection() ? static_cast<int64_t>(internal::Weight(wanted) / 16) : 0);
    const RowIndexes::Index* index = nullptr;
    if (!differs && !wanted.is_collection()) {
      index = indexes_.Find(rows, collection, position == 0, *arena_, steps_left_);
    }
    if (index != nullptr) {
      position = position == 0 ? index->First(wanted) : index->After(position - 1);
    }
    while (position < rows.size) {
      steps_left_ -= cost;
      if (steps_left_ < 0) [[unlikely]]
        return false;
      const Value* const compared = rows.Compared(position);
      const bool same = compared != nullptr && (kIsString ? internal::SameString(*compared, wanted)
                                                          : SameValue(*compared, wanted));
      if (compared != nullptr && same != differs) {
        registers[op.extra] = rows.Element(position);
        registers[op.c] = collection.is_array() ? Value::Int(static_cast<int64_t>(position))
                                                : rows.elements[position * rows.stride];
        registers[op.b + 1] = Value::Int(static_cast<int64_t>(position));
        return true;
      }
      position = index == nullptr ? position + 1 : index->After(position);
    }
    return false;
  }
  bool Find(const Op& op, const Value& wanted, const Value& key, Value* registers,
            size_t position) {
    return wanted.is_string() ? FindMatch<true>(op, wanted, key, registers, position)
                              : FindMatch<false>(op, wanted, key, registers, position);
  }

  // What a switch keeps in its two registers: how far it is in the list of the first subject's
  // number and in the list of the cases that do not ask for it, and the numbers of the others.
  struct CaseCursor {
    uint32_t listed, listed_end;
    uint32_t others, others_end;
    uint32_t numbers[4];
  };
  static_assert(sizeof(CaseCursor) == 2 * sizeof(Value));

  void FindCases(const internal::Switch& choice, const int32_t* operands, const Value* registers,
                 Value* state) {
    CaseCursor cursor{};
    for (size_t i = 0; i < choice.numbers.size(); ++i) {
      const Value& subject = (operands[i] >= 0 ? registers : code_->constants_end())[operands[i]];
      ChargeFor(subject);
      Value other;
      const Value* const number = Lookup(choice.numbers[i], subject, kNone, other);
      // No case asks for UINT32_MAX.
      cursor.numbers[i] = number != nullptr ? static_cast<uint32_t>(number->bits()) : UINT32_MAX;
    }
    cursor.others = choice.starts[0];
    cursor.others_end = choice.starts[1];
    if (cursor.numbers[0] != UINT32_MAX) {
      cursor.listed = choice.starts[cursor.numbers[0]];
      cursor.listed_end = choice.starts[cursor.numbers[0] + 1];
    }
    std::memcpy(static_cast<void*>(state), &cursor, sizeof(cursor));
  }

  // The op of the next case from number `from` on that may hold, or kNone.
  static uint32_t NextCase(const internal::Switch& choice, uint32_t from, Value* state) {
    CaseCursor cursor;
    std::memcpy(&cursor, static_cast<const void*>(state), sizeof(cursor));
    uint32_t entry = kNone;
    while (entry == kNone) {
      const uint32_t listed =
          cursor.listed < cursor.listed_end ? choice.lists[cursor.listed] : kNone;
      const uint32_t other =
          cursor.others < cursor.others_end ? choice.lists[cursor.others] : kNone;
      if (listed == kNone && other == kNone) break;
      const uint32_t number = std::min(listed, other);
      ++(listed < other ? cursor.listed : cursor.others);
      const internal::Switch::Case& found = choice.cases[number];
      bool may_hold = number >= from;
      for (size_t i = 1; i < choice.numbers.size(); ++i) {
        const uint32_t wanted = found.wanted[i - 1];
        may_hold = may_hold && (wanted == 0 || wanted == cursor.numbers[i]);
      }
      if (may_hold) entry = found.entry;
    }
    std::memcpy(static_cast<void*>(state), &cursor, sizeof(cursor));
    return entry;
  }

  void PushScope() {
    scopes_.push_back({scope_, undo_.size()});
    scope_ = ++next_scope_;
  }
  void PopScope() {
    const Scope scope = scopes_.back();
    scopes_.pop_back();
    while (undo_.size() > scope.undo_size) {
      memo_[undo_.back().function] = undo_.back().memo;
      undo_.pop_back();
    }
    scope_ = scope.outer;
  }

  void Memoize(const Function& function, Value input, Value data, Value result) {
    const auto index = static_cast<uint32_t>(&function - code_->functions.data());
    Memo& memo = memo_[index];
    if (!scopes_.empty() && memo.scope != scope_ && memo.scope >= scopes_.front().outer) {
      undo_.push_back({index, memo});
    }
    memo = {scope_, input, data, result};
  }

  // What functions of one more argument gave in this scope, a few for each: rules that go over the
  // same rows ask the same again. An argument is known by where it is.
  struct CallMemo {
    uint64_t scope = 0;
    Value input;
    Value data;
    Value argument;
    Value result;
  };
  static constexpr size_t kCallMemos = 4;
  CallMemo& CallMemoOf(size_t function, Value argument) {
    const uint64_t mixed = (argument.bits() ^ argument.head()) * 0x9e3779b97f4a7c15;
    return call_memo_[function * kCallMemos + (mixed >> 62)];
  }

  // Sets up the frame of a call; nullptr after setting error_.
  [[gnu::always_inline]] Value* Enter(const Op* call, const Function& callee, Value* registers,
                                      const int32_t* operands, size_t count, bool memoize) {
    Value* const frame = registers + function_->registers;
    if (depth_ >= options_.max_call_depth ||
        callee.registers > static_cast<size_t>(stack_.get() + options_.max_registers - frame)) {
      Refuse(TooDeep(callee));
      return nullptr;
    }
    steps_left_ -= callee.op_count + 1;
    if (steps_left_ < 0) {
      Refuse(OutOfSteps());
      return nullptr;
    }
    const Value* const constants = code_->constants_end();
    for (size_t i = 0; i < count; ++i) {
      const int32_t operand = operands[i];
      frame[i] = (operand >= 0 ? registers : constants)[operand];
      Share(frame[i]);
    }
    std::fill(frame + callee.params, frame + callee.init_end, Value());
    frames_[depth_++] = {call, registers, function_, memoize};
    function_ = &callee;
    return frame;
  }

  const Function* FindDynamic(const Op& op, const Value* registers) {
    const Value* const constants = code_->constants_end();
    dynamic_key_.clear();
    for (size_t i = 0; i < op.extra; ++i) {
      const int32_t operand = code_->args[static_cast<size_t>(op.a) + op.count + i];
      const Value segment = (operand >= 0 ? registers : constants)[operand];
      if (!segment.is_string()) return nullptr;
      internal::AppendPathSegment(dynamic_key_, segment.string_value());
    }
    const auto found = code_->dynamic.find(dynamic_key_);
    if (found == code_->dynamic.end()) return nullptr;
    const Function& function = code_->functions[found->second];
    return function.params == op.count ? &function : nullptr;
  }

  VmOptions options_;
  std::unique_ptr<BuiltinCaches, void (*)(BuiltinCaches*)> caches_;
  std::unique_ptr<Value, FreeStack> stack_;
  std::unique_ptr<Frame[]> frames_;
  uint32_t depth_ = 0;  // frames that are in use
  std::vector<Memo> memo_;
  std::vector<CallMemo> call_memo_;
  RowIndexes indexes_;
  std::vector<Scope> scopes_;
  std::vector<Undo> undo_;
  std::string dynamic_key_;
  std::array<Value, kMaxBuiltinArity> arguments_;
  std::vector<Value> parts_;  // of the collection that is made
  uint64_t next_scope_ = 0;

  // Of the evaluation that runs.
  const internal::ByteCode* code_ = nullptr;
  Arena* arena_ = nullptr;
  const Function* function_ = nullptr;
  uint64_t scope_ = 0;
  int64_t steps_left_ = 0;
  Value results_;
  Error error_;
};

bool Vm::Machine::Execute(BuiltinContext& context, Value* registers) {
  const Op* const ops = code_->ops.data();
  const Value* const constants = code_->constants_end();
  Arena& arena = *arena_;
  const Op* op = ops + function_->entry;
  const auto get = [&](int32_t operand) -> const Value& {
    return (operand >= 0 ? registers : constants)[operand];
  };

  while (true) {
    switch (op->code) {
      case OpCode::kMove: {
        const Value value = get(op->a);
        Share(value);
        registers[op->c] = value;
        ++op;
        continue;
      }
      case OpCode::kMoveJump: {
        const Value value = get(op->a);
        Share(value);
        registers[op->c] = value;
        break;
      }
      case OpCode::kMoveOnce: {
        const Value value = get(op->a);
        Value& target = registers[op->c];
        if (target.is_undefined()) [[likely]] {
          Share(value);
          target = value;
        } else if (ChargeFor(value); !Equal(target, value)) {
          return Refuse(Conflict("complete rules must not produce multiple outputs"));
        }
        if (op->jump != kNone && !value.is_undefined()) break;
        ++op;
        continue;
      }
      case OpCode::kDot: {
        Value other;
        const Value* const found = Lookup(get(op->a), get(op->b), op->extra, other);
        if (found == nullptr) {
          registers[op->c] = Value();
          break;
        }
        registers[op->c] = *found;
        ++op;
        continue;
      }
      case OpCode::kLoad: {
        Value other;
        const Value* const found = Lookup(get(op->a), get(op->b), op->extra, other);
        registers[op->c] = found == nullptr ? Value() : *found;
        ++op;
        continue;
      }
      case OpCode::kTypeIs: {
        const Value value = get(op->a);
        if (value.is_undefined()) {
          registers[op->c] = Value();
          break;
        }
        registers[op->c] = Value::Bool(value.type() == static_cast<Type>(op->flag));
        ++op;
        continue;
      }
      case OpCode::kEqual:
        ChargeFor(get(op->a));
        if (!SameValue(get(op->a), get(op->b))) break;
        ++op;
        continue;
      case OpCode::kNotEqual:
        ChargeFor(get(op->a));
        if (SameValue(get(op->a), get(op->b))) break;
        ++op;
        continue;
      case OpCode::kIsType:
        if (get(op->a).type() != static_cast<Type>(op->flag)) break;
        ++op;
        continue;
      case OpCode::kIsDefined:
        if (get(op->a).is_undefined()) break;
        ++op;
        continue;
      case OpCode::kIsUndefined:
        if (!get(op->a).is_undefined()) break;
        ++op;
        continue;
      case OpCode::kLen: {
        const Value value = get(op->a);
        if (!value.is_collection()) {
          registers[op->c] = Value();
          break;
        }
        registers[op->c] = Value::Int(static_cast<int64_t>(value.size()));
        ++op;
        continue;
      }
      case OpCode::kMakeArray:
        registers[op->c] = NewArray(arena, op->extra);
        if (registers[op->c].is_undefined()) return Refuse(OutOfMemory());
        ++op;
        continue;
      case OpCode::kMakeObject:
        registers[op->c] = NewObject(arena, 0);
        if (registers[op->c].is_undefined()) return Refuse(OutOfMemory());
        ++op;
        continue;
      case OpCode::kMakeSet:
        registers[op->c] = NewSet(arena, 0);
        if (registers[op->c].is_undefined()) return Refuse(OutOfMemory());
        ++op;
        continue;
      case OpCode::kArray:
      case OpCode::kObject: {
        const int32_t* const operands = code_->args.data() + op->a;
        parts_.clear();
        bool undefined = false;
        for (size_t i = 0; i < op->count; ++i) {
          parts_.push_back(get(operands[i]));
          undefined |= parts_.back().is_undefined();
        }
        if (undefined) {
          registers[op->c] = Value();
          break;
        }
        const Value made = op->code == OpCode::kArray
                               ? internal::ArrayOf(arena, parts_)
                               : MakeObject(arena, {reinterpret_cast<const Member*>(parts_.data()),
                                                    parts_.size() / 2});
        if (made.is_undefined()) [[unlikely]] {
          return RefuseEdit(arena.exhausted() ? Edit::kOutOfMemory : Edit::kTooDeep);
        }
        registers[op->c] = made;
        ++op;
        continue;
      }
      case OpCode::kArrayAppend: {
        const Value value = get(op->a);
        if (value.is_undefined() || !registers[op->c].is_array()) break;
        const Edit edit = ArrayAppend(arena, registers[op->c], value);
        if (edit != Edit::kOk) [[unlikely]]
          return RefuseEdit(edit);
        ++op;
        continue;
      }
      case OpCode::kObjectInsert: {
        const Value value = get(op->a), key = get(op->b);
        if (value.is_undefined() || key.is_undefined() || !registers[op->c].is_object()) break;
        ChargeFor(key);
        const Edit edit = ObjectInsert(arena, registers[op->c], key, value);
        if (edit != Edit::kOk) [[unlikely]]
          return RefuseEdit(edit);
        ++op;
        continue;
      }
      case OpCode::kObjectInsertOnce: {
        const Value value = get(op->a), key = get(op->b);
        if (value.is_undefined() || key.is_undefined() || !registers[op->c].is_object()) break;
        if (!InsertOnce(registers[op->c], key, value, op->flag != 0)) return false;
        ++op;
        continue;
      }
      case OpCode::kObjectMerge: {
        const Value a = get(op->a), b = get(op->b);
        if (!a.is_object() || !b.is_object()) {
          return Refuse(Conflict("base and virtual documents must be objects to be merged"));
        }
        ChargeFor(a);
        ChargeFor(b);
        Value merged;
        const Edit edit = internal::Merge(arena, b, a, merged);
        if (edit != Edit::kOk) [[unlikely]]
          return RefuseEdit(edit);
        registers[op->c] = merged;
        ++op;
        continue;
      }
      case OpCode::kSetAdd: {
        const Value value = get(op->a);
        if (value.is_undefined() || !registers[op->c].is_set()) break;
        ChargeFor(value);
        const Edit edit = SetAdd(arena, registers[op->c], value);
        if (edit != Edit::kOk) [[unlikely]]
          return RefuseEdit(edit);
        ++op;
        continue;
      }
      case OpCode::kResultAdd: {
        const Value value = get(op->a);
        if (value.is_undefined()) break;
        const Edit edit = ArrayAppend(arena, results_, value);
        if (edit != Edit::kOk) [[unlikely]]
          return RefuseEdit(edit);
        ++op;
        continue;
      }
      case OpCode::kJump:
        break;
      case OpCode::kScanBegin: {
        const Value collection = get(op->a);
        if (collection.type() >= Type::kObject) {
          internal::EnsureSorted(collection);
          Freeze(collection);
        }
        if (!Load(collection, 0, registers[op->c], registers[op->extra])) break;
        registers[op->b] = collection;
        registers[op->b + 1] = Value::Int(0);
        ++op;
        continue;
      }
      case OpCode::kScanNext: {
        const Value collection = registers[op->b];
        const auto position = static_cast<size_t>(registers[op->b + 1].bits()) + 1;
        if (collection.is_array()) [[likely]] {
          if (position >= collection.size_field()) {
            ++op;
            continue;
          }
          registers[op->c] = Value::Int(static_cast<int64_t>(position));
          registers[op->extra] = collection.array_data()[position];
        } else if (!Load(collection, position, registers[op->c], registers[op->extra])) {
          ++op;
          continue;
        }
        registers[op->b + 1] = Value::Int(static_cast<int64_t>(position));
        steps_left_ -= op - (ops + op->jump) + 1;
        if (steps_left_ < 0) [[unlikely]]
          return Refuse(OutOfSteps());
        break;
      }
      case OpCode::kWalkBegin: {
        const Value root = get(op->a);
        if (root.is_undefined()) break;
        Walker* const walker = Walker::Begin(arena, root);
        if (walker == nullptr) return Refuse(OutOfMemory());
        registers[op->b] = Value::Int(reinterpret_cast<intptr_t>(walker));
        if (!IsWanted(*op, root) && !WalkOn(*op, *walker)) break;
        registers[op->c] = walker->value();
        ++op;
        continue;
      }
      case OpCode::kWalkNext: {
        Walker& walker = WalkerIn(registers[op->b]);
        const bool found = WalkOn(*op, walker);
        steps_left_ -= op - (ops + op->jump) + 1;
        if (steps_left_ < 0) [[unlikely]]
          return Refuse(OutOfSteps());
        if (!found) {
          ++op;
          continue;
        }
        registers[op->c] = walker.value();
        break;
      }
      case OpCode::kWalkPath: {
        const Walker& walker = WalkerIn(registers[op->b]);
        steps_left_ -= static_cast<int64_t>(walker.depth() / 4);
        registers[op->c] = walker.Path(arena);
        if (registers[op->c].is_undefined()) [[unlikely]]
          return RefuseEdit(arena.exhausted() ? Edit::kOutOfMemory : Edit::kTooDeep);
        ++op;
        continue;
      }
      case OpCode::kFindFirst: {
        const int32_t* const operands = code_->args.data() + op->a;
        const Value collection = get(operands[2]);
        if (!collection.is_collection()) break;
        if (collection.type() >= Type::kObject) {
          internal::EnsureSorted(collection);
          Freeze(collection);
        }
        registers[op->b] = collection;
        if (!Find(*op, get(operands[0]), get(operands[1]), registers, 0)) {
          if (steps_left_ < 0) [[unlikely]]
            return Refuse(OutOfSteps());
          break;
        }
        ++op;
        continue;
      }
      case OpCode::kFind: {
        const int32_t* const operands = code_->args.data() + op->a;
        const auto position = static_cast<size_t>(registers[op->b + 1].bits()) + 1;
        steps_left_ -= op - (ops + op->jump) + 1;
        if (!Find(*op, get(operands[0]), get(operands[1]), registers, position)) {
          if (steps_left_ < 0) [[unlikely]]
            return Refuse(OutOfSteps());
          ++op;
          continue;
        }
        break;
      }
      case OpCode::kCall: {
        const Function& callee = code_->functions[op->extra];
        const int32_t* const operands = code_->args.data() + op->a;
        const bool memoize = op->count == 2 || op->count == 3;
        if (op->count == 3) {
          const CallMemo& memo = CallMemoOf(op->extra, get(operands[2]));
          if (memo.scope == scope_ && memo.argument.IsSame(get(operands[2])) &&
              memo.input.IsSame(get(operands[0])) && memo.data.IsSame(get(operands[1]))) {
            registers[op->c] = memo.result;
            if (memo.result.is_undefined()) break;
            ++op;
            continue;
          }
        } else if (memoize) {
          const Memo& memo = memo_[op->extra];
          if (memo.scope == scope_ && memo.input.IsSame(get(operands[0])) &&
              memo.data.IsSame(get(operands[1]))) {
            registers[op->c] = memo.result;
            if (memo.result.is_undefined()) break;
            ++op;
            continue;
          }
        }
        Value* const frame = Enter(op, callee, registers, operands, op->count, memoize);
        if (frame == nullptr) [[unlikely]]
          return false;
        registers = frame;
        op = ops + callee.entry;
        continue;
      }
      case OpCode::kCallDynamic: {
        const Function* const callee = FindDynamic(*op, registers);
        if (callee == nullptr) {
          registers[op->c] = Value();
          break;
        }
        Value* const frame =
            Enter(op, *callee, registers, code_->args.data() + op->a, op->count, false);
        if (frame == nullptr) [[unlikely]]
          return false;
        registers = frame;
        op = ops + callee->entry;
        continue;
      }
      case OpCode::kSwitch:
        FindCases(code_->switches[op->extra], code_->args.data() + op->a, registers,
                  registers + op->b);
        [[fallthrough]];
      case OpCode::kNextCase: {
        const uint32_t entry =
            NextCase(code_->switches[op->extra], static_cast<uint32_t>(op->c), registers + op->b);
        if (entry == kNone) break;
        op = ops + entry;
        continue;
      }
      case OpCode::kReturn: {
        const Value result = get(op->a);
        Share(result);
        const Frame frame = frames_[--depth_];
        if (frame.memoize) {
          // The callee never writes what it was called with but by With, which has ended.
          const int32_t* const operands = code_->args.data() + frame.call->a;
          const auto outer = [&](int32_t operand) {
            return (operand >= 0 ? frame.registers : constants)[operand];
          };
          if (frame.call->count == 3) {
            const Value argument = outer(operands[2]);
            CallMemoOf(frame.call->extra, argument) = {scope_, outer(operands[0]),
                                                       outer(operands[1]), argument, result};
          } else {
            Memoize(*function_, outer(operands[0]), outer(operands[1]), result);
          }
        }
        function_ = frame.function;
        registers = frame.registers;
        op = frame.call;
        registers[op->c] = result;
        if (result.is_undefined()) break;
        ++op;
        continue;
      }
      case OpCode::kBuiltin: {
        Value* const arguments = arguments_.data();
        const int32_t* const operands = code_->args.data() + op->a;
        bool undefined = false;
        for (size_t i = 0; i < op->count; ++i) {
          arguments[i] = get(operands[i]);
          undefined |= arguments[i].is_undefined();
        }
        if (undefined) {
          registers[op->c] = Value();
          break;
        }
        const Value result = code_->builtins[op->extra]->function(context, arguments);
        registers[op->c] = result;
        if (!result.is_undefined()) [[likely]] {
          ++op;
          continue;
        }
        if (steps_left_ < 0) return Refuse(OutOfSteps());
        if (arena.exhausted()) return Refuse(OutOfMemory());
        if (context.has_error()) {
          if (options_.strict_builtin_errors) {
            return Refuse(
                {Code::kFailedPrecondition,
                 context.is_type_error() ? "eval_type_error" : "eval_builtin_error",
                 Where() + std::string(code_->builtins[op->extra]->name) + ": " + context.error()});
          }
          context.ClearError();
        }
        break;
      }
      case OpCode::kMember:
      case OpCode::kMemberJump: {
        const Value &a = get(op->a), &b = get(op->b);
        const bool undefined = a.is_undefined() || b.is_undefined();
        const bool found = !undefined && Contains(b, a);
        if (op->code == OpCode::kMember) {
          registers[op->c] = undefined ? Value() : Value::Bool(found);
          if (undefined) break;
        } else if (!found) {
          break;
        }
        ++op;
        continue;
      }
      case OpCode::kCompare: {
        const Value &a = get(op->a), &b = get(op->b);
        if (a.is_undefined() || b.is_undefined()) {
          registers[op->c] = Value();
          break;
        }
        ChargeFor(a);
        registers[op->c] = Value::Bool(Holds(static_cast<Comparison>(op->flag), a, b));
        ++op;
        continue;
      }
      case OpCode::kCompareJump: {
        const Value &a = get(op->a), &b = get(op->b);
        ChargeFor(a);
        if (a.is_undefined() || b.is_undefined() ||
            !Holds(static_cast<Comparison>(op->flag), a, b)) {
          break;
        }
        ++op;
        continue;
      }
      case OpCode::kWithBegin: {
        const Value value = get(op->a);
        Value& local = registers[op->c];
        Value replaced = value;
        if (op->extra != kNone) {
          if (value.is_undefined()) break;
          const Edit edit =
              internal::Upsert(arena, local, code_->paths[op->extra], value, replaced);
          if (edit != Edit::kOk) [[unlikely]]
            return RefuseEdit(edit);
        }
        Share(replaced);
        registers[op->b] = local;
        local = replaced;
        PushScope();
        ++op;
        continue;
      }
      case OpCode::kWithEnd:
        registers[op->c] = registers[op->b];
        PopScope();
        ++op;
        continue;
      case OpCode::kNop:
      case OpCode::kHalt:
        return true;
    }
    op = ops + op->jump;
  }
}

Vm::Vm(const VmOptions& options) : machine_(std::make_unique<Machine>(options)) {}
Vm::~Vm() = default;

Result<Value> Vm::EvalResultSet(const Program& program, uint32_t entrypoint, Value input,
                                int64_t time_unix_ns, Arena& arena) {
  return machine_->Run(program, entrypoint, input, time_unix_ns, arena);
}

Result<Value> Vm::Eval(const Program& program, uint32_t entrypoint, Value input,
                       int64_t time_unix_ns, Arena& arena) {
  AEGIS_TRY(const Value results, machine_->Run(program, entrypoint, input, time_unix_ns, arena));
  return results.At(0).Get("result");
}

}  // namespace aegis::rego
