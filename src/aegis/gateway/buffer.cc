#include "aegis/gateway/buffer.h"

#include <algorithm>

namespace aegis::gateway {

BufferPool::~BufferPool() {
  for (auto& blocks : free_) {
    for (char* block : blocks) delete[] block;
  }
}

char* BufferPool::Take(size_t bytes, size_t* capacity) {
  for (size_t i = 0; i < kSizes.size(); ++i) {
    if (bytes > kSizes[i]) continue;
    *capacity = kSizes[i];
    if (free_[i].empty()) return new char[kSizes[i] + kPadding];
    char* block = free_[i].back();
    free_[i].pop_back();
    return block;
  }
  *capacity = bytes;
  return new char[bytes + kPadding];
}

void BufferPool::Give(char* block, size_t capacity) {
  for (size_t i = 0; i < kSizes.size(); ++i) {
    if (capacity == kSizes[i] && free_[i].size() < kKeptBytesPerSize / kSizes[i]) {
      free_[i].push_back(block);
      return;
    }
  }
  delete[] block;
}

void ByteBuffer::Grow(size_t bytes) {
  if (capacity_ - size() >= bytes) {
    Compact();
    return;
  }
  // Doubling keeps the copying of a body that comes in small parts linear.
  const size_t wanted = std::max(size() + bytes, std::min(capacity_ * 2, capacity_ + (1 << 20)));
  size_t capacity = 0;
  char* block = pool_->Take(wanted, &capacity);
  const size_t used = size();
  if (used > 0) std::memcpy(block, data(), used);
  if (block_) pool_->Give(block_, capacity_);
  block_ = block;
  capacity_ = capacity;
  begin_ = 0;
  end_ = used;
}

}  // namespace aegis::gateway
