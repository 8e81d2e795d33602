// The handlers of a service, used again and again.
//
// Threading: belongs to its service's thread.
#pragma once

#include <cstddef>
#include <memory>
#include <unordered_map>
#include <utility>
#include <vector>

namespace aegis::grpc {

template <typename T>
class HandlerPool {
 public:
  // `make`: a std::unique_ptr<T>, when none is free.
  template <typename Make>
  T* Take(Make make) {
    if (free_.empty()) {
      std::unique_ptr<T> made = make();
      T* const handler = made.get();
      all_.emplace(handler, std::move(made));
      return handler;
    }
    T* const handler = free_.back();
    free_.pop_back();
    return handler;
  }
  // The handler may be gone when this returns: a burst of calls does not keep its memory for good.
  void Give(T* handler) {
    if (free_.size() < kKept) {
      free_.push_back(handler);
    } else {
      all_.erase(handler);
    }
  }
  size_t size() const { return all_.size(); }

  static constexpr size_t kKept = 512;

 private:
  std::unordered_map<T*, std::unique_ptr<T>> all_;
  std::vector<T*> free_;
};

}  // namespace aegis::grpc
