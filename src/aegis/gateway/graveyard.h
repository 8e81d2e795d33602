// Deletes objects after the callback that closed them has returned.
//
// Threading: belongs to one worker.
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "aegis/net/event_loop.h"

namespace aegis::gateway {

class Mortal {
 public:
  virtual ~Mortal() = default;
};

class Graveyard {
 public:
  explicit Graveyard(net::EventLoop& loop) : loop_(loop) {}

  void Bury(std::unique_ptr<Mortal> dead) {
    dead_.push_back(std::move(dead));
    if (dead_.size() > 1) return;
    loop_.Post([this] { Clear(); });
  }
  void Clear() {
    // Moved out first: an object that dies may close another.
    const std::vector<std::unique_ptr<Mortal>> dead = std::move(dead_);
    dead_.clear();
  }

 private:
  net::EventLoop& loop_;
  std::vector<std::unique_ptr<Mortal>> dead_;
};

}  // namespace aegis::gateway
