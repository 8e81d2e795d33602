#include "aegis/rego/value.h"

#include <sys/random.h>

#include <algorithm>
#include <chrono>

#include "aegis/rego/hash.h"
#include "aegis/rego/number.h"
#include "aegis/rego/table.h"

namespace aegis::rego {
namespace internal {
namespace {

uint64_t DrawSeed() {
  uint64_t seed = 0;
  if (getrandom(&seed, sizeof(seed), GRND_NONBLOCK) != sizeof(seed)) {
    seed = static_cast<uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count());
  }
  return seed | 1;
}

struct EmptyBlock {
  ArrayHeader header{0, 0, 0};
  Value none;
};
EmptyBlock empty_block;

ArrayHeader* HeaderOf(const Value* elements) {
  return reinterpret_cast<ArrayHeader*>(const_cast<Value*>(elements)) - 1;
}

Value ArrayHandle(const Value* elements, uint32_t size, int height) {
  return Value(Value::Head(Type::kArray, 0, static_cast<uint16_t>(height), size),
               reinterpret_cast<uint64_t>(elements));
}

Value* NewElements(Arena& arena, size_t capacity, size_t used, uint64_t weight) {
  // More than that counts as memory that the arena does not have.
  const size_t bytes =
      capacity > (size_t{1} << 28) ? SIZE_MAX : sizeof(ArrayHeader) + capacity * sizeof(Value);
  void* memory = arena.Allocate(bytes, alignof(Value));
  if (memory == nullptr) return nullptr;
  auto* header = new (memory)
      ArrayHeader{static_cast<uint32_t>(capacity), static_cast<uint32_t>(used), weight};
  return reinterpret_cast<Value*>(header + 1);
}

uint64_t HashTable(Value value) {
  const Table& table = *value.table();
  uint64_t sum = table.size;
  for (uint32_t i = 0; i < table.size; ++i) {
    if (value.is_set()) {
      sum += Mix(Hash(table.entries[i]) ^ kOdd0, kOdd1);
    } else {
      const Member& member = Members(table)[i];
      sum += Mix(Hash(member.key) ^ kOdd0, Hash(member.value) ^ kOdd1);
    }
  }
  return Mix(sum ^ static_cast<uint64_t>(value.type()), kOdd0);
}

int CompareStrings(std::string_view a, std::string_view b) {
  const size_t common = std::min(a.size(), b.size());
  if (common >= 8) {
    const uint64_t x = __builtin_bswap64(Load64(a.data()));
    const uint64_t y = __builtin_bswap64(Load64(b.data()));
    if (x != y) return x < y ? -1 : 1;
  }
  const int order = common == 0 ? 0 : std::memcmp(a.data(), b.data(), common);
  if (order != 0) return order;
  return a.size() < b.size() ? -1 : a.size() > b.size() ? 1 : 0;
}

int CompareElements(std::span<const Value> a, std::span<const Value> b) {
  const size_t common = std::min(a.size(), b.size());
  for (size_t i = 0; i < common; ++i) {
    if (const int order = Compare(a[i], b[i]); order != 0) return order;
  }
  return a.size() < b.size() ? -1 : a.size() > b.size() ? 1 : 0;
}

// Compare, in line for equal strings.
inline int CompareParts(const Value& a, const Value& b) {
  return a.is_string() && SameString(a, b) ? 0 : Compare(a, b);
}

int CompareMembers(std::span<const Member> a, std::span<const Member> b) {
  const size_t common = std::min(a.size(), b.size());
  for (size_t i = 0; i < common; ++i) {
    if (const int order = CompareParts(a[i].key, b[i].key); order != 0) return order;
    if (const int order = CompareParts(a[i].value, b[i].value); order != 0) return order;
  }
  return a.size() < b.size() ? -1 : a.size() > b.size() ? 1 : 0;
}

bool EqualTables(Value a, Value b) {
  if (a.bits() == b.bits()) return true;
  const Table& left = *a.table();
  const Table& right = *b.table();
  if (left.size != right.size) return false;
  if (a.is_set()) {
    for (uint32_t i = 0; i < left.size; ++i) {
      if (Find(right, true, left.entries[i]) < 0) return false;
    }
    return true;
  }
  // Scalars first: what differs mostly differs there. Members are mostly in the same places.
  for (const bool collections : {false, true}) {
    for (uint32_t i = 0; i < left.size; ++i) {
      const Member& member = Members(left)[i];
      if (member.value.is_collection() != collections) continue;
      const bool same_place = Equal(member.key, Members(right)[i].key);
      const int64_t found = same_place ? i : Find(right, false, member.key);
      if (found < 0 || !Equal(member.value, Members(right)[found].value)) return false;
    }
  }
  return true;
}

}  // namespace

const uint64_t kHashSeed = DrawSeed();

uint64_t HashLong(const char* at, size_t size) {
  uint64_t state = kHashSeed ^ size;
  size_t left = size;
  const char* cursor = at;
  while (left > 16) {
    state = Mix(Load64(cursor) ^ kOdd0 ^ kHashSeed, Load64(cursor + 8) ^ state);
    cursor += 16;
    left -= 16;
  }
  return Mix(Load64(at + size - 16) ^ kOdd1 ^ kHashSeed, Load64(at + size - 8) ^ state);
}

}  // namespace internal

std::string_view TypeName(Type type) {
  switch (type) {
    case Type::kUndefined:
      return "undefined";
    case Type::kNull:
      return "null";
    case Type::kBool:
      return "boolean";
    case Type::kNumber:
      return "number";
    case Type::kString:
      return "string";
    case Type::kArray:
      return "array";
    case Type::kObject:
      return "object";
    case Type::kSet:
      return "set";
  }
  return "undefined";
}

Value Value::EmptyArray() { return internal::ArrayHandle(&internal::empty_block.none, 0, 1); }

Value MakeStringView(std::string_view text) {
  if (text.size() > UINT32_MAX) return Value();
  if (text.empty()) text = "";  // never a null pointer, and always the same
  return Value(Value::Head(Type::kString, 0, internal::MarkOf(text.data(), text.size()),
                           static_cast<uint32_t>(text.size())),
               reinterpret_cast<uint64_t>(text.data()));
}

Value MakeString(Arena& arena, std::string_view text) {
  const std::string_view copy = arena.Copy(text);
  return copy.size() == text.size() ? MakeStringView(copy) : Value();
}

Value NewArray(Arena& arena, size_t capacity) {
  if (capacity == 0) return Value::EmptyArray();
  const Value* elements = internal::NewElements(arena, capacity, 0, 0);
  return elements == nullptr ? Value() : internal::ArrayHandle(elements, 0, 1);
}

namespace internal {
Value ArrayOf(Arena& arena, std::span<const Value> elements) {
  if (elements.empty()) return Value::EmptyArray();
  int height = 0;
  uint64_t weight = 0;
  for (const Value element : elements) {
    Share(element);
    height = std::max(height, Height(element));
    weight += Weight(element);
  }
  if (height + 1 > kMaxHeight || weight > kMaxWeight) return Value();
  Value* const kept = NewElements(arena, elements.size(), elements.size(), weight);
  if (kept == nullptr) return Value();
  std::copy(elements.begin(), elements.end(), kept);
  return ArrayHandle(kept, static_cast<uint32_t>(elements.size()), height + 1);
}
}  // namespace internal

Edit ArrayAppend(Arena& arena, Value& array, Value element) {
  if (!array.is_array()) return Edit::kOutOfMemory;
  const int height = 1 + internal::Height(element);
  internal::Share(element);
  const uint32_t size = array.size_field();
  auto* elements = const_cast<Value*>(array.array_data());
  internal::ArrayHeader* header = internal::HeaderOf(elements);
  const uint64_t weight = header->weight + internal::Weight(element);
  if (height > kMaxHeight || weight > kMaxWeight) return Edit::kTooDeep;
  if (header->used != size || header->capacity == size) {
    // Small ones grow faster: they are copied less often.
    const size_t capacity = size < 4 ? 4 : size_t{size} * (size < 16 ? 4 : 2);
    elements = internal::NewElements(arena, capacity, size, weight);
    if (elements == nullptr) return Edit::kOutOfMemory;
    std::copy_n(array.array_data(), size, elements);
    header = internal::HeaderOf(elements);
  }
  elements[size] = element;
  header->used = size + 1;
  header->weight = weight;
  array = internal::ArrayHandle(elements, size + 1, std::max<int>(array.mark(), height));
  return Edit::kOk;
}

int Compare(Value a, Value b) {
  if (a.IsSame(b)) return 0;
  if (a.type() != b.type()) return a.type() < b.type() ? -1 : 1;
  switch (a.type()) {
    case Type::kUndefined:
    case Type::kNull:
      return 0;
    case Type::kBool:
      return static_cast<int>(a.bits()) - static_cast<int>(b.bits());
    case Type::kNumber:
      return internal::CompareNumbers(a, b);
    case Type::kString:
      return internal::CompareStrings(a.string_value(), b.string_value());
    case Type::kArray:
    case Type::kSet:
      return internal::CompareElements(a.elements(), b.elements());
    case Type::kObject:
      return internal::CompareMembers(a.members(), b.members());
  }
  return 0;
}

bool Equal(Value a, Value b) {
  if (a.is_string() || b.is_string()) return internal::SameString(a, b);
  if (a.type() != b.type()) return false;
  if (a.IsSame(b)) return true;
  if (a.type() >= Type::kObject) return internal::EqualTables(a, b);
  if (a.is_array()) {
    return a.size_field() == b.size_field() &&
           std::equal(a.elements().begin(), a.elements().end(), b.elements().begin(), Equal);
  }
  return Compare(a, b) == 0;
}

uint64_t Hash(Value value) {
  switch (value.type()) {
    case Type::kUndefined:
    case Type::kNull:
    case Type::kBool:
      return internal::Mix(internal::kHashSeed ^ static_cast<uint64_t>(value.type()),
                           internal::kOdd0 + value.bits());
    case Type::kNumber:
      return internal::HashNumber(value);
    case Type::kString:
      return internal::HashString(value.string_value());
    case Type::kArray: {
      uint64_t hash = internal::kHashSeed + value.size_field();
      for (const Value element : value.elements()) {
        hash = internal::Mix(hash ^ internal::kOdd0, Hash(element) ^ internal::kOdd1);
      }
      return hash;
    }
    case Type::kObject:
    case Type::kSet:
      return internal::HashTable(value);
  }
  return 0;
}

}  // namespace aegis::rego
