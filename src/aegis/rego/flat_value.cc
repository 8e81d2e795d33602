#include "aegis/rego/flat_value.h"

#include <algorithm>
#include <cstring>
#include <span>
#include <utility>

#include "aegis/rego/number.h"
#include "aegis/rego/table.h"

namespace aegis::rego::internal {
namespace {

constexpr size_t kAlign = 16;
constexpr size_t kBitsOffset = sizeof(uint64_t);  // of a Value's pointer
static_assert(__STDCPP_DEFAULT_NEW_ALIGNMENT__ >= kAlign);

template <typename T>
T Read(const std::byte* at) {
  T out;
  std::memcpy(static_cast<void*>(&out), at, sizeof(T));
  return out;
}

void Shift(std::byte* block, const std::vector<uint32_t>& pointers, uint64_t by) {
  for (const uint32_t at : pointers) {
    const uint64_t moved = Read<uint64_t>(block + at) + by;
    std::memcpy(block + at, &moved, sizeof(moved));
  }
}

}  // namespace

// Pointers are offsets in the block until its place is known.
class Flattener {
 public:
  explicit Flattener(size_t max_bytes) : max_bytes_(max_bytes) {}

  bool Run(Value value) {
    size_t at;
    return Reserve(sizeof(Value), at) && PutValue(at, value);
  }
  FlatValue Take() {
    out_.block_.shrink_to_fit();
    Shift(out_.block_.data(), out_.pointers_, reinterpret_cast<uint64_t>(out_.block_.data()));
    return std::move(out_);
  }

 private:
  bool Reserve(size_t bytes, size_t& at, size_t align = kAlign) {
    at = (out_.block_.size() + align - 1) / align * align;
    if (bytes > max_bytes_ || at > max_bytes_ - bytes) return false;
    out_.block_.resize(at + bytes);
    return true;
  }
  void Put(size_t at, const void* from, size_t bytes) {
    if (bytes > 0) std::memcpy(out_.block_.data() + at, from, bytes);
  }
  void PutPointer(size_t at, size_t target) {
    const uint64_t offset = target;
    Put(at, &offset, sizeof(offset));
    out_.pointers_.push_back(static_cast<uint32_t>(at));
  }

  bool PutValue(size_t at, Value value) {
    Put(at, &value, sizeof(value));
    switch (value.type()) {
      case Type::kString:
        return PutText(at, value);
      case Type::kNumber:
        return value.is_int() || PutNumber(at, *value.big_number());
      case Type::kArray:
        return PutArray(at, value);
      case Type::kObject:
      case Type::kSet:
        return PutTable(at, value);
      default:
        return true;
    }
  }

  bool PutText(size_t at, Value value) {
    const std::string_view text = value.string_value();
    if (text.empty()) {
      const Value empty = MakeStringView("");
      Put(at, &empty, sizeof(empty));
      return true;
    }
    size_t place;
    if (!Reserve(text.size(), place, 1)) return false;
    Put(place, text.data(), text.size());
    PutPointer(at + kBitsOffset, place);
    return true;
  }

  bool PutNumber(size_t at, const Number& number) {
    size_t place, text;
    if (!Reserve(sizeof(Number), place, alignof(Number)) || !Reserve(number.text_size, text, 1))
      return false;
    Put(place, &number, sizeof(number));
    Put(text, number.text, number.text_size);
    PutPointer(place + offsetof(Number, text), text);
    PutPointer(at + kBitsOffset, place);
    return true;
  }

  bool PutArray(size_t at, Value array) {
    const std::span<const Value> elements = array.elements();
    if (elements.empty()) {
      const Value empty = Value::EmptyArray();
      Put(at, &empty, sizeof(empty));
      return true;
    }
    const auto size = static_cast<uint32_t>(elements.size());
    ArrayHeader header{size, size, 0};
    for (const Value element : elements) header.weight += Weight(element);
    size_t place;
    if (!Reserve(sizeof(header) + elements.size_bytes(), place)) return false;
    Put(place, &header, sizeof(header));
    PutPointer(at + kBitsOffset, place + sizeof(header));
    return PutValues(place + sizeof(header), elements);
  }

  bool PutTable(size_t at, Value collection) {
    if (collection.size() == 0) {
      const Value empty = collection.is_set() ? Value::EmptySet() : Value::EmptyObject();
      Put(at, &empty, sizeof(empty));
      return true;
    }
    EnsureSorted(collection);
    Table table = *collection.table();
    table.capacity = table.size;
    table.frozen = true;
    const std::span<const Value> entries(table.entries,
                                         size_t{table.size} * (collection.is_set() ? 1 : 2));
    const size_t slots_size =
        table.has_slots() ? (size_t{table.slot_mask()} + 1) * sizeof(Slot) : 0;
    size_t place, first;
    if (!Reserve(sizeof(table), place, alignof(Table)) ||
        !Reserve(slots_size + entries.size_bytes(), first)) {
      return false;
    }
    if (slots_size > 0) Put(first, &table.slot(table.slot_mask()), slots_size);
    first += slots_size;
    Put(place, &table, sizeof(table));
    PutPointer(at + kBitsOffset, place);
    PutPointer(place + offsetof(Table, entries), first);
    return PutValues(first, entries);
  }

  bool PutValues(size_t at, std::span<const Value> values) {
    for (const Value value : values) {
      if (!PutValue(at, value)) return false;
      at += sizeof(Value);
    }
    return true;
  }

  size_t max_bytes_;
  FlatValue out_;
};

std::optional<FlatValue> FlatValue::Of(Value value, size_t max_bytes) {
  Flattener flattener(std::min<size_t>(max_bytes, UINT32_MAX));
  if (!flattener.Run(value)) return std::nullopt;
  return flattener.Take();
}

Value FlatValue::value() const { return block_.empty() ? Value() : Read<Value>(block_.data()); }

Value FlatValue::CopyTo(Arena& arena) const {
  if (block_.empty()) return Value();
  auto* const copy = static_cast<std::byte*>(arena.Allocate(block_.size(), kAlign));
  if (copy == nullptr) return Value();
  std::memcpy(copy, block_.data(), block_.size());
  Shift(copy, pointers_,
        reinterpret_cast<uint64_t>(copy) - reinterpret_cast<uint64_t>(block_.data()));
  return Read<Value>(copy);
}

}  // namespace aegis::rego::internal
