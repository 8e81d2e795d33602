// Byte buffers of a worker's connections, from a pool, so that a connection that is idle holds
// none.
//
// Threading: a pool and its buffers belong to one worker.
#pragma once

#include <array>
#include <cstddef>
#include <cstring>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

namespace aegis::gateway {

// Blocks of a few sizes, kept for reuse up to a limit.
class BufferPool {
 public:
  static constexpr std::array<size_t, 3> kSizes = {4 * 1024, 16 * 1024, 64 * 1024};
  // Every block has this many bytes more than its size, which JSON parsing may read.
  static constexpr size_t kPadding = 64;

  BufferPool() = default;
  ~BufferPool();
  BufferPool(const BufferPool&) = delete;
  BufferPool& operator=(const BufferPool&) = delete;

  // A block of the smallest size that holds `bytes`; a size of its own when none does.
  char* Take(size_t bytes, size_t* capacity);
  void Give(char* block, size_t capacity);

 private:
  static constexpr size_t kKeptBytesPerSize = 1 << 20;
  std::array<std::vector<char*>, kSizes.size()> free_;
};

// A buffer with a readable part and room behind it. Holds no memory while it is empty and released.
class ByteBuffer {
 public:
  explicit ByteBuffer(BufferPool& pool) : pool_(&pool) {}
  ~ByteBuffer() { Release(); }
  ByteBuffer(const ByteBuffer&) = delete;
  ByteBuffer& operator=(const ByteBuffer&) = delete;

  char* data() { return block_ + begin_; }
  size_t size() const { return end_ - begin_; }
  bool empty() const { return begin_ == end_; }
  std::string_view view() const { return {block_ + begin_, end_ - begin_}; }

  char* room() { return block_ + end_; }
  size_t room_size() const { return capacity_ - end_; }
  size_t capacity() const { return capacity_; }

  // Makes room for `bytes` more, moving what is readable if it must.
  void Reserve(size_t bytes) {
    if (room_size() >= bytes) return;
    Grow(bytes);
  }
  void Commit(size_t bytes) { end_ += bytes; }
  void Consume(size_t bytes) {
    begin_ += bytes;
    if (begin_ == end_) begin_ = end_ = 0;
  }
  void Append(std::string_view bytes) {
    if (bytes.empty()) return;
    Reserve(bytes.size());
    std::memcpy(room(), bytes.data(), bytes.size());
    Commit(bytes.size());
  }
  // Moves what is readable to the front of the block.
  void Compact() {
    if (begin_ == 0) return;
    std::memmove(block_, block_ + begin_, size());
    end_ -= begin_;
    begin_ = 0;
  }
  // Forgets everything and gives the memory back.
  void Release() {
    if (block_) pool_->Give(block_, capacity_);
    block_ = nullptr;
    capacity_ = begin_ = end_ = 0;
  }
  void Clear() { begin_ = end_ = 0; }
  // Both of one pool.
  void Swap(ByteBuffer& other) {
    std::swap(block_, other.block_);
    std::swap(capacity_, other.capacity_);
    std::swap(begin_, other.begin_);
    std::swap(end_, other.end_);
  }

 private:
  void Grow(size_t bytes);

  BufferPool* pool_;
  char* block_ = nullptr;
  size_t capacity_ = 0;
  size_t begin_ = 0;
  size_t end_ = 0;
};

}  // namespace aegis::gateway
