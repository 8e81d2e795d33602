#include "aegis/rego/rows.h"

#include <algorithm>

namespace aegis::rego::internal {

void RowIndexes::Build(Index& index, Rows rows, Arena& arena, int64_t& steps_left) {
  uint32_t heads = 8;
  while (heads < 2 * rows.size) heads *= 2;
  // Never the reason why memory or steps are used up.
  const size_t bytes = (heads + rows.size) * sizeof(uint32_t);
  const auto steps = static_cast<int64_t>(4 * rows.size);
  if (arena.limit_bytes() != 0 && arena.used_bytes() + bytes > arena.limit_bytes() / 2) return;
  if (steps > steps_left / 2) return;
  steps_left -= steps;
  auto* const numbers = arena.AllocateArray<uint32_t>(heads + rows.size);
  if (numbers == nullptr) return;
  std::fill_n(numbers, heads, 0);
  index.mask = heads - 1;
  index.next = numbers + heads;
  for (size_t i = rows.size; i-- > 0;) {
    const Value* const compared = rows.Compared(i);
    if (compared == nullptr) continue;
    // Their hashes would have to be paid for.
    if (compared->is_collection() || compared->size_field() > 256) return;
    uint32_t& head = numbers[SlotHash(Hash(*compared)) & index.mask];
    index.next[i] = head;
    head = static_cast<uint32_t>(i + 1);
  }
  index.heads = numbers;
}

}  // namespace aegis::rego::internal
