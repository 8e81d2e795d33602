// The values of Rego: JSON's, sets, numbers of any size, and "undefined".
//
// A Value is a 16-byte handle, copied freely; what it points to lives in an Arena or in a loaded
// Program and is not changed once it is shared. Order, equality and the text of numbers are OPA's
// (v1/ast/compare.go and term.go of OPA 1.22).
//
// Threading: values of a Program may be read by all threads; values in an Arena only by the thread
// that owns the arena (members are put in order when they are first asked for in order).
// Ownership: a Value is valid as long as the arena, Program or text that it points into.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "aegis/base/arena.h"
#include "aegis/base/result.h"
#include "aegis/json/limits.h"

namespace aegis::rego {

// In OPA's total order of types (v1/ast/compare.go), kUndefined apart.
enum class Type : uint8_t { kUndefined, kNull, kBool, kNumber, kString, kArray, kObject, kSet };
std::string_view TypeName(Type type);  // OPA's type_name: "null", "boolean", "number", ...

class Value;
struct Member;

namespace internal {

struct Number;  // a number that is not an int64 in its shortest form; see number.h
struct Table;   // members of an object or elements of a set; see table.h

// In front of the elements of an array. An array is the first size() elements of such a block, so
// that appending to a copy never changes the original.
struct ArrayHeader {
  uint32_t capacity;
  uint32_t used;
  uint64_t weight;  // of all elements that are used; see Weight in table.h
};

}  // namespace internal

class Value {
 public:
  constexpr Value() = default;  // undefined
  static constexpr Value Null() { return Value(Head(Type::kNull, 0, 0, 0), 0); }
  static constexpr Value Bool(bool value) {
    return Value(Head(Type::kBool, 0, 0, 0), value ? 1 : 0);
  }
  static constexpr Value Int(int64_t value) {
    return Value(Head(Type::kNumber, 0, 0, 0), static_cast<uint64_t>(value));
  }
  static Value EmptyArray();
  static Value EmptyObject();
  static Value EmptySet();

  Type type() const { return static_cast<Type>(head_ & 0xff); }
  bool is_undefined() const { return type() == Type::kUndefined; }
  bool is_null() const { return type() == Type::kNull; }
  bool is_bool() const { return type() == Type::kBool; }
  bool is_number() const { return type() == Type::kNumber; }
  bool is_string() const { return type() == Type::kString; }
  bool is_array() const { return type() == Type::kArray; }
  bool is_object() const { return type() == Type::kObject; }
  bool is_set() const { return type() == Type::kSet; }
  bool is_collection() const { return type() >= Type::kArray; }

  bool is_true() const { return is_bool() && bits_ != 0; }
  bool bool_value() const { return is_true(); }
  // A number held as int64; other numbers, 1.0 among them, keep the text they were written in.
  bool is_int() const { return (head_ & 0xffff) == static_cast<uint64_t>(Type::kNumber); }
  int64_t int_value() const { return is_int() ? static_cast<int64_t>(bits_) : 0; }
  // A number without exponent and with no fraction but zeros ("2", "2.00"), if it fits: what OPA
  // takes for an index.
  std::optional<int64_t> AsInt64() const;
  // Empty when this is not a string.
  std::string_view string_value() const {
    return is_string() ? std::string_view(reinterpret_cast<const char*>(bits_), size_field())
                       : std::string_view();
  }

  // Elements or members; 0 for all that is not a collection.
  size_t size() const;
  // Member of an object; undefined when absent or when this is not an object.
  Value Get(std::string_view key) const;
  // Member of an object, element of an array, or the element of a set itself; else undefined.
  Value Get(Value key) const;
  bool Contains(Value element) const { return !Get(element).is_undefined(); }  // sets
  // Element of an array; undefined when `i` is out of range or when this is not an array.
  Value At(size_t i) const {
    return is_array() && i < size_field() ? reinterpret_cast<const Value*>(bits_)[i] : Value();
  }
  // Elements of an array, in order, or of a set, sorted; empty for the others.
  std::span<const Value> elements() const;
  // Members of an object, sorted by key; empty for the others.
  std::span<const Member> members() const;

  // Same handle: the same value in the same place. Implies equality, not the other way round.
  bool IsSame(Value other) const { return head_ == other.head_ && bits_ == other.bits_; }

  // --- For the rego library only ---
  static constexpr uint64_t Head(Type type, uint8_t flags, uint16_t mark, uint32_t size) {
    return static_cast<uint64_t>(type) | uint64_t{flags} << 8 | uint64_t{mark} << 16 |
           uint64_t{size} << 32;
  }
  static constexpr uint8_t kBigNumber = 1;
  constexpr Value(uint64_t head, uint64_t bits) : head_(head), bits_(bits) {}
  uint64_t head() const { return head_; }
  uint64_t bits() const { return bits_; }
  uint32_t size_field() const { return static_cast<uint32_t>(head_ >> 32); }
  uint16_t mark() const { return static_cast<uint16_t>(head_ >> 16); }
  internal::Table* table() const { return reinterpret_cast<internal::Table*>(bits_); }
  const internal::Number* big_number() const {
    return reinterpret_cast<const internal::Number*>(bits_);
  }
  const char* string_data() const { return reinterpret_cast<const char*>(bits_); }
  const Value* array_data() const { return reinterpret_cast<const Value*>(bits_); }

 private:
  // type (8 bits), flags (8), mark (16: strings, some bits of a hash; arrays, the height), size
  // (32: bytes of a string, elements of an array).
  uint64_t head_ = 0;
  uint64_t bits_ = 0;  // the int64, the bool, or a pointer
};
static_assert(sizeof(Value) == 16 && std::is_trivially_copyable_v<Value>);

struct Member {
  Value key;
  Value value;
};

// A copy of `text` (UTF-8, under 4 GiB) in the arena; undefined when the arena's limit is passed.
Value MakeString(Arena& arena, std::string_view text);
// Refers to `text`, which must live as long as the value is used.
Value MakeStringView(std::string_view text);
inline Value MakeStringView(Arena&, std::string_view text) { return MakeStringView(text); }
// A number from its JSON text (RFC 8259 §6), which is copied unless the number fits an int64.
// Undefined when the text is not one, when it is beyond what OPA takes (2^±100000), or when the
// arena's limit is passed.
Value MakeNumber(Arena& arena, std::string_view text);

// What became of adding to a collection. kTooDeep: it would nest too deep, or hold too many values.
enum class Edit : uint8_t { kOk, kOutOfMemory, kTooDeep };
// Collections nest at most this deep.
inline constexpr int kMaxHeight = 1000;
// And hold at most this many values, one that is there n times counted n times: what is small in
// memory because its parts are shared can still take forever to compare or to print.
inline constexpr uint64_t kMaxWeight = uint64_t{1} << 26;

// Adding gives `collection` a new handle; other handles to it keep what they had. A key that is
// there already gets the new value.
Edit ArrayAppend(Arena& arena, Value& array, Value element);
Edit ObjectInsert(Arena& arena, Value& object, Value key, Value value);
Edit SetAdd(Arena& arena, Value& set, Value element);
// New collections with room for `capacity`; undefined when the arena's limit is passed.
Value NewArray(Arena& arena, size_t capacity);
Value NewObject(Arena& arena, size_t capacity);
Value NewSet(Arena& arena, size_t capacity);
// An object with these members, which are sorted by key and have no key twice: what the builder
// below makes, without its look-ups. Undefined when the arena's limit is passed, when it would nest
// too deep, or when a value is undefined.
Value MakeObject(Arena& arena, std::span<const Member> members);
// The same for the elements of a set.
Value MakeSet(Arena& arena, std::span<const Value> elements);
// Says that a second handle to a collection is kept, so that adding to one copies it first. Value's
// own functions and the VM do this; call it only before keeping a handle that will be added to.
void Freeze(Value value);

// Builders: Build gives undefined when the arena's limit is passed or the value nests too deep.
class ArrayBuilder {
 public:
  explicit ArrayBuilder(Arena& arena, size_t capacity = 0)
      : arena_(arena), array_(NewArray(arena, capacity)) {}
  void Add(Value element) {
    if (ArrayAppend(arena_, array_, element) != Edit::kOk) failed_ = true;
  }
  Value Build() const { return failed_ ? Value() : array_; }

 private:
  Arena& arena_;
  Value array_;
  bool failed_ = false;
};

class ObjectBuilder {
 public:
  explicit ObjectBuilder(Arena& arena, size_t capacity = 0)
      : arena_(arena), object_(NewObject(arena, capacity)) {}
  // A key that was added before gets the new value. An undefined value is not added.
  void Add(Value key, Value value) {
    if (value.is_undefined()) return;
    if (ObjectInsert(arena_, object_, key, value) != Edit::kOk) failed_ = true;
  }
  void Add(std::string_view key, Value value) { Add(MakeStringView(key), value); }
  Value Build() const {
    Freeze(object_);
    return failed_ ? Value() : object_;
  }

 private:
  Arena& arena_;
  Value object_;
  bool failed_ = false;
};

class SetBuilder {
 public:
  explicit SetBuilder(Arena& arena, size_t capacity = 0)
      : arena_(arena), set_(NewSet(arena, capacity)) {}
  void Add(Value element) {
    if (SetAdd(arena_, set_, element) != Edit::kOk) failed_ = true;
  }
  Value Build() const {
    Freeze(set_);
    return failed_ ? Value() : set_;
  }

 private:
  Arena& arena_;
  Value set_;
  bool failed_ = false;
};

// OPA's total order: negative, zero, positive. Undefined comes before all.
int Compare(Value a, Value b);
bool Equal(Value a, Value b);
// Equal values have equal hashes; differs from process to process.
uint64_t Hash(Value value);

// A JSON text as a value; strings are copied. Refuses what json::Parser refuses, duplicate keys,
// and numbers beyond 2^±100000 as OPA does. Errors: json_too_large, json_too_deep, json_too_many,
// json_malformed, json_duplicate_key, json_number, json_memory (the arena's limit); with the offset
// in bytes.
Result<Value> ParseJson(std::string_view text, Arena& arena, const json::Limits& limits = {});
// The same; strings without escapes point into `text`, which must outlive the value.
Result<Value> ParseJsonInPlace(std::string_view text, Arena& arena,
                               const json::Limits& limits = {});

// Keys sorted, no spaces, numbers as they were written, sets as sorted arrays, keys that are not
// strings as the text of their JSON, undefined as null.
void AppendJson(Value value, std::string& out);
std::string ToJson(Value value);

}  // namespace aegis::rego
