// A bump allocator for everything that lives as long as one call.
//
// Memory is handed out from chunks that Reset keeps, so that a warm arena never calls the system
// allocator. Nothing is destroyed: put only trivially destructible things in it.
//
// Threading: one thread at a time. Ownership: pointers are valid until Reset or destruction.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <string_view>
#include <type_traits>
#include <vector>

namespace aegis {

class Arena {
 public:
  // `chunk_bytes`: size of a regular chunk. `limit_bytes`: Allocate returns nullptr beyond it
  // (0: no limit); the way a memory limit reaches hostile input or policy.
  explicit Arena(size_t chunk_bytes = 16 * 1024, size_t limit_bytes = 0)
      : chunk_bytes_(chunk_bytes), limit_bytes_(limit_bytes) {}
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  // Uninitialised memory of `bytes` bytes, aligned to `align` (a power of two, at most 16).
  // nullptr only when the limit is passed.
  void* Allocate(size_t bytes, size_t align = 8) {
    const uintptr_t start = (cursor_ + (align - 1)) & ~(uintptr_t{align} - 1);
    if (start + bytes <= end_ && start + bytes >= start) [[likely]] {
      cursor_ = start + bytes;
      return reinterpret_cast<void*>(start);
    }
    return AllocateSlow(bytes, align);
  }

  // `count` uninitialised Ts; nullptr when the limit is passed or the size overflows.
  template <typename T>
  T* AllocateArray(size_t count) {
    static_assert(std::is_trivially_destructible_v<T>);
    if (count > SIZE_MAX / sizeof(T)) count = SIZE_MAX / sizeof(T);
    return static_cast<T*>(Allocate(count * sizeof(T), alignof(T)));
  }

  template <typename T, typename... Args>
  T* New(Args&&... args) {
    static_assert(std::is_trivially_destructible_v<T>);
    void* memory = Allocate(sizeof(T), alignof(T));
    return memory ? new (memory) T(static_cast<Args&&>(args)...) : nullptr;
  }

  // A copy of `text` that lives in the arena; empty when the limit is passed.
  std::string_view Copy(std::string_view text) {
    char* memory = static_cast<char*>(Allocate(text.size(), 1));
    if (!memory) return {};
    if (!text.empty()) std::memcpy(memory, text.data(), text.size());
    return {memory, text.size()};
  }

  // Forgets everything; keeps the regular chunks for reuse and frees oversized ones.
  void Reset();

  // Whether Allocate has returned nullptr since the last Reset: what was built since then may lack
  // parts.
  bool exhausted() const { return exhausted_; }

  // Bytes handed out since the last Reset, including what chunk ends wasted.
  size_t used_bytes() const;
  // Bytes held from the system.
  size_t reserved_bytes() const { return reserved_bytes_; }
  size_t limit_bytes() const { return limit_bytes_; }

 private:
  struct Chunk {
    std::unique_ptr<std::byte[]> memory;
    size_t size = 0;
  };

  void* AllocateSlow(size_t bytes, size_t align);
  void Enter(const Chunk& chunk);

  size_t chunk_bytes_;
  size_t limit_bytes_;
  bool exhausted_ = false;
  uintptr_t cursor_ = 0;
  uintptr_t end_ = 0;
  std::vector<Chunk> chunks_;     // regular ones; [0, next_) are in use
  std::vector<Chunk> oversized_;  // each for one large allocation
  size_t next_ = 0;
  size_t full_bytes_ = 0;  // sizes of all chunks in use but the current one
  size_t reserved_bytes_ = 0;
};

}  // namespace aegis
