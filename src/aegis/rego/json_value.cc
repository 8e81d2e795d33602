#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "aegis/json/parser.h"
#include "aegis/json/writer.h"
#include "aegis/rego/edit.h"
#include "aegis/rego/number.h"
#include "aegis/rego/string_pool.h"
#include "aegis/rego/table.h"
#include "aegis/rego/value.h"

namespace aegis::rego {
namespace {

// What a name that occurs twice in an object means.
enum class Names { kUnique, kLastWins };

// Collects finished values on a stack; when an array or object ends, its parts are taken from
// there.
class Builder {
 public:
  Builder(Arena& arena, std::vector<Value>& stack, Names names, bool in_place,
          internal::StringPool* pool)
      : arena_(arena), stack_(stack), names_(names), in_place_(in_place), pool_(pool) {
    stack_.clear();
  }

  bool OnNull() { return Push(Value::Null()); }
  bool OnBool(bool value) { return Push(Value::Bool(value)); }
  bool OnNumber(std::string_view text) {
    const Value number = MakeNumber(arena_, text);
    if (!number.is_undefined()) [[likely]]
      return Push(number);
    if (arena_.exhausted()) return OutOfMemory();
    error_ = {Code::kInvalidArgument, "json_number", "a number is out of range"};
    return false;
  }
  bool OnString(std::string_view text, bool in_text) {
    const Value value = pool_ != nullptr       ? pool_->MakePassing(text)
                        : in_text && in_place_ ? MakeStringView(text)
                                               : MakeString(arena_, text);
    return value.is_undefined() ? OutOfMemory() : Push(value);
  }
  bool OnKey(std::string_view text, bool in_text) { return OnString(text, in_text); }
  bool OnStartObject() { return true; }
  bool OnStartArray() { return true; }

  bool OnEndArray(size_t count) {
    const size_t first = stack_.size() - count;
    const Value array = internal::ArrayOf(arena_, std::span(stack_).subspan(first));
    if (array.is_undefined()) return Refuse();
    stack_.resize(first);
    return Push(array);
  }

  bool OnEndObject(size_t count) {
    const size_t first = stack_.size() - 2 * count;
    bool duplicate = false;
    Value object;
    if (count == 0) {
      object = Value::EmptyObject();
    } else if (count <= internal::kLinear) {
      const auto* members = reinterpret_cast<const Member*>(stack_.data() + first);
      object = internal::SmallObject(arena_, {members, count}, duplicate);
      // The last of two counts: the general way puts it in place of the first.
      if (duplicate && names_ == Names::kLastWins) object = General(first, count);
    } else {
      object = General(first, count);
      duplicate = object.size() != count;
    }
    if (object.is_undefined()) return Refuse();
    if (duplicate && names_ == Names::kUnique) {
      error_ = {Code::kInvalidArgument, "json_duplicate_key",
                "the object that ends here has two members of the same name"};
      return false;
    }
    stack_.resize(first);
    return Push(object);
  }

  Error error() { return std::move(error_); }
  Value result() const { return stack_.back(); }

 private:
  bool Push(Value value) {
    stack_.push_back(value);
    return true;
  }
  bool OutOfMemory() {
    error_ = {Code::kResourceExhausted, "json_memory", "the JSON text needs too much memory"};
    return false;
  }
  bool Refuse() {
    if (arena_.exhausted()) return OutOfMemory();
    error_ = {Code::kResourceExhausted, "json_too_deep",
              "arrays and objects nest too deep or hold too many values"};
    return false;
  }
  Value General(size_t first, size_t count) {
    Value object = NewObject(arena_, count);
    for (size_t i = first; i < stack_.size(); i += 2) {
      if (ObjectInsert(arena_, object, stack_[i], stack_[i + 1]) != Edit::kOk) return Value();
    }
    return object;
  }

  Arena& arena_;
  std::vector<Value>& stack_;
  Names names_;
  bool in_place_;
  internal::StringPool* pool_;
  Error error_;
};

constexpr size_t kKeptTextBytes = size_t{1} << 20;

Result<Value> Parse(std::string_view text, Arena& arena, const json::Limits& limits, Names names,
                    bool in_place, internal::StringPool* pool = nullptr) {
  // Scratch only: nothing of a call is left in it that a later one reads.
  thread_local json::Parser kept_parser;
  thread_local std::vector<Value> kept_stack;
  const auto parse = [&](json::Parser& parser, std::vector<Value>& stack) -> Result<Value> {
    Builder builder(arena, stack, names, in_place, pool);
    AEGIS_RETURN_IF_ERROR(parser.Parse(text, limits, builder));
    return builder.result();
  };
  // A thread keeps what calls need, not what a large document took.
  if (text.size() <= kKeptTextBytes) return parse(kept_parser, kept_stack);
  json::Parser parser;
  std::vector<Value> stack;
  return parse(parser, stack);
}

// Members in the order of their names as JSON: keys that are not strings take the text of their
// JSON; of equal names the last counts, as in OPA's conversion to Go maps.
std::vector<std::pair<std::string, Value>> NamedMembers(Value object) {
  std::vector<std::pair<std::string, Value>> named;
  for (const Member& member : object.members()) {
    auto& [name, value] = named.emplace_back(std::string(member.key.string_value()), member.value);
    if (!member.key.is_string()) internal::AppendGoJson(member.key, name);
  }
  std::stable_sort(named.begin(), named.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  size_t kept = 0;
  for (size_t i = 0; i < named.size(); ++i) {
    if (i + 1 < named.size() && named[i].first == named[i + 1].first) continue;
    if (kept != i) named[kept] = std::move(named[i]);
    ++kept;
  }
  named.resize(kept);
  return named;
}

using AppendText = void (*)(std::string& out, std::string_view text);

template <AppendText append_string>
void AppendValue(Value value, std::string& out);

template <AppendText append_string>
void AppendObject(Value object, std::string& out) {
  const std::span<const Member> members = object.members();
  out.push_back('{');
  // Strings sort after the scalars and before collections, so the ends tell.
  if (!members.empty() && !(members.front().key.is_string() && members.back().key.is_string())) {
    for (const auto& [name, value] : NamedMembers(object)) {
      if (out.back() != '{') out.push_back(',');
      append_string(out, name);
      out.push_back(':');
      AppendValue<append_string>(value, out);
    }
  } else {
    for (size_t i = 0; i < members.size(); ++i) {
      if (i > 0) out.push_back(',');
      append_string(out, members[i].key.string_value());
      out.push_back(':');
      AppendValue<append_string>(members[i].value, out);
    }
  }
  out.push_back('}');
}

template <AppendText append_string>
void AppendValue(Value value, std::string& out) {
  switch (value.type()) {
    case Type::kUndefined:
    case Type::kNull:
      out += "null";
      return;
    case Type::kBool:
      out += value.is_true() ? "true" : "false";
      return;
    case Type::kNumber: {
      char buffer[24];
      out += internal::NumberText(value, buffer);
      return;
    }
    case Type::kString:
      append_string(out, value.string_value());
      return;
    case Type::kArray:
    case Type::kSet: {
      out.push_back('[');
      bool first = true;
      for (const Value element : value.elements()) {
        if (!first) out.push_back(',');
        first = false;
        AppendValue<append_string>(element, out);
      }
      out.push_back(']');
      return;
    }
    case Type::kObject:
      AppendObject<append_string>(value, out);
      return;
  }
}

}  // namespace

Result<Value> ParseJson(std::string_view text, Arena& arena, const json::Limits& limits) {
  return Parse(text, arena, limits, Names::kUnique, false);
}

Result<Value> ParseJsonInPlace(std::string_view text, Arena& arena, const json::Limits& limits) {
  return Parse(text, arena, limits, Names::kUnique, true);
}

namespace internal {
Result<Value> ParseJsonPooled(std::string_view text, Arena& arena, const json::Limits& limits,
                              StringPool& pool) {
  return Parse(text, arena, limits, Names::kUnique, false, &pool);
}

Result<Value> ParseJsonLastWins(std::string_view text, Arena& arena, const json::Limits& limits) {
  return Parse(text, arena, limits, Names::kLastWins, false);
}

void AppendGoJson(Value value, std::string& out) { AppendValue<json::AppendGoString>(value, out); }
}  // namespace internal

void AppendJson(Value value, std::string& out) { AppendValue<json::AppendString>(value, out); }

std::string ToJson(Value value) {
  std::string out;
  AppendJson(value, out);
  return out;
}

}  // namespace aegis::rego
