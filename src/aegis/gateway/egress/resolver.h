// Looks host names up without holding up an event loop: a few threads that call getaddrinfo, and a
// cache of seconds.
//
// A name is looked up once however many ask at the same time. One asker's lookups have half of the
// threads at most, so that names that nobody answers for hold up only whoever asks for them; a name
// for which nobody waits any more is not looked up, and beyond kMaxWaiting (kMaxWaitingOfOne of one
// asker) lookups are refused at once.
//
// Threading: Resolve belongs to the loop's thread; everything else may be called from any thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "aegis/net/event_loop.h"
#include "aegis/net/tcp.h"

namespace aegis::gateway {

struct Resolved {
  std::vector<net::SocketAddress> addresses;  // without port; at most kMaxAddresses
  std::string_view error;  // "name_unknown", "resolver_failed", "resolver_busy"; empty: none
};

class Resolver {
 public:
  static constexpr size_t kThreads = 8;
  static constexpr size_t kMaxRunningOfOne = kThreads / 2;
  static constexpr size_t kMaxWaiting = 1024;  // names
  static constexpr size_t kMaxWaitingOfOne = 256;
  static constexpr int kWaitMs = 5'000;  // how long an asker may be expected to wait
  static constexpr size_t kMaxCached = 4096;
  static constexpr size_t kMaxAddresses = 64;
  static constexpr int64_t kCachedMs = 10'000;  // of an answer
  static constexpr int64_t kFailureCachedMs = 2'000;

  // Any thread but a loop's; may block. For tests another than the system's.
  using Lookup = std::function<Resolved(const std::string& name)>;
  explicit Resolver(Lookup lookup = SystemLookup);
  ~Resolver();  // waits for no lookup; nobody is told any more
  Resolver(const Resolver&) = delete;
  Resolver& operator=(const Resolver&) = delete;

  // Where answers of one loop go: outlives neither the loop nor its questions.
  class Mailbox {
   public:
    explicit Mailbox(net::EventLoop& loop) : state_(std::make_shared<State>()) {
      state_->loop = &loop;
    }
    // What is not answered yet never will be.
    ~Mailbox();

   private:
    friend class Resolver;
    struct State {
      std::mutex mutex;
      net::EventLoop* loop = nullptr;  // nullptr: the mailbox is gone; guarded by mutex
    };
    std::shared_ptr<State> state_;
  };
  // `asker`: the agent. `answer` is called once on the mailbox's loop, never from within; not at
  // all if the mailbox is destroyed before.
  void Resolve(const std::string& name, const std::string& asker, Mailbox& mailbox,
               std::function<void(const Resolved&)> answer);

  static Resolved SystemLookup(const std::string& name);

 private:
  struct Core;
  std::shared_ptr<Core> core_;
};

}  // namespace aegis::gateway
