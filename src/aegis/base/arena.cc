#include "aegis/base/arena.h"

namespace aegis {

void Arena::Enter(const Chunk& chunk) {
  cursor_ = reinterpret_cast<uintptr_t>(chunk.memory.get());
  end_ = cursor_ + chunk.size;
}

void* Arena::AllocateSlow(size_t bytes, size_t align) {
  if (bytes > SIZE_MAX / 2 || (limit_bytes_ != 0 && used_bytes() + bytes > limit_bytes_)) {
    exhausted_ = true;
    return nullptr;
  }
  if (bytes + align > chunk_bytes_) {
    Chunk chunk{std::make_unique_for_overwrite<std::byte[]>(bytes + align), bytes + align};
    const uintptr_t base = reinterpret_cast<uintptr_t>(chunk.memory.get());
    full_bytes_ += chunk.size;
    reserved_bytes_ += chunk.size;
    oversized_.push_back(std::move(chunk));
    return reinterpret_cast<void*>((base + (align - 1)) & ~(uintptr_t{align} - 1));
  }
  if (next_ > 0) full_bytes_ += chunks_[next_ - 1].size;
  if (next_ == chunks_.size()) {
    chunks_.push_back({std::make_unique_for_overwrite<std::byte[]>(chunk_bytes_), chunk_bytes_});
    reserved_bytes_ += chunk_bytes_;
  }
  Enter(chunks_[next_++]);
  return Allocate(bytes, align);
}

void Arena::Reset() {
  for (const Chunk& chunk : oversized_) reserved_bytes_ -= chunk.size;
  oversized_.clear();
  full_bytes_ = 0;
  exhausted_ = false;
  if (chunks_.empty()) {
    cursor_ = end_ = 0;
    next_ = 0;
    return;
  }
  next_ = 1;
  Enter(chunks_[0]);
}

size_t Arena::used_bytes() const {
  if (next_ == 0) return full_bytes_;
  const Chunk& current = chunks_[next_ - 1];
  return full_bytes_ + (cursor_ - reinterpret_cast<uintptr_t>(current.memory.get()));
}

}  // namespace aegis
