#include "aegis/gateway/egress/resolver.h"

#include <netdb.h>

#include <condition_variable>
#include <cstring>
#include <deque>
#include <thread>
#include <unordered_map>
#include <utility>

#include "aegis/base/clock.h"

namespace aegis::gateway {
namespace {

int64_t NowMs() { return Clock::System().MonotonicNanos() / 1'000'000; }

}  // namespace

struct Resolver::Core {
  struct Waiter {
    std::shared_ptr<Mailbox::State> mailbox;
    std::function<void(const Resolved&)> answer;
  };
  struct Asked {
    std::string asker;
    int64_t until_ms = 0;  // then the last of those who wait has given up
    std::vector<Waiter> waiters;
  };
  struct Asker {
    size_t names = 0;    // that are waited for
    size_t running = 0;  // of them, being looked up
  };
  struct Cached {
    std::shared_ptr<const Resolved> answer;
    int64_t until_ms = 0;
  };

  explicit Core(Lookup lookup_by) : lookup(std::move(lookup_by)) {}

  static void Tell(Waiter waiter, std::shared_ptr<const Resolved> answer) {
    std::lock_guard lock(waiter.mailbox->mutex);
    if (waiter.mailbox->loop == nullptr) return;
    // The mailbox may be gone when the loop gets to it, and with it whom the answer is for; both
    // happen on the loop's thread.
    waiter.mailbox->loop->Post(
        [mailbox = waiter.mailbox, tell = std::move(waiter.answer), answer = std::move(answer)] {
          {
            std::lock_guard again(mailbox->mutex);
            if (mailbox->loop == nullptr) return;
          }
          tell(*answer);
        });
  }

  bool MayAsk(const std::string& asker) const {
    const auto known = askers.find(asker);
    return waiting.size() < kMaxWaiting &&
           (known == askers.end() || known->second.names < kMaxWaitingOfOne);
  }

  // The next name in turn whose asker may have one more thread. Names are dropped on the way whose
  // waiters have given up.
  bool Take(std::string* name) {
    const int64_t now = NowMs();
    for (auto it = queue.begin(); it != queue.end();) {
      const auto asked = waiting.find(*it);
      if (asked->second.until_ms <= now) {
        Drop(asked);
        it = queue.erase(it);
        continue;
      }
      Asker& asker = askers[asked->second.asker];
      if (asker.running < kMaxRunningOfOne) {
        ++asker.running;
        *name = std::move(*it);
        queue.erase(it);
        return true;
      }
      ++it;
    }
    return false;
  }

  void Drop(std::unordered_map<std::string, Asked>::iterator asked) {
    const auto asker = askers.find(asked->second.asker);
    if (--asker->second.names == 0) askers.erase(asker);
    waiting.erase(asked);
  }

  void Work() {
    std::unique_lock lock(mutex);
    std::string name;
    while (true) {
      wake.wait(lock, [&] { return stopping || Take(&name); });
      if (stopping) return;
      lock.unlock();
      auto answer = std::make_shared<const Resolved>(lookup(name));
      lock.lock();
      if (stopping) return;
      Keep(name, answer);
      const auto asked = waiting.find(name);
      std::vector<Waiter> waiters = std::move(asked->second.waiters);
      --askers[asked->second.asker].running;
      Drop(asked);
      wake.notify_all();
      lock.unlock();
      for (Waiter& waiter : waiters) Tell(std::move(waiter), answer);
      lock.lock();
    }
  }

  void Keep(const std::string& name, const std::shared_ptr<const Resolved>& answer) {
    const int64_t now = NowMs();
    if (cache.size() >= kMaxCached) {
      std::erase_if(cache, [now](const auto& item) { return item.second.until_ms <= now; });
    }
    if (cache.size() >= kMaxCached) cache.clear();
    cache[name] = {answer, now + (answer->error.empty() ? kCachedMs : kFailureCachedMs)};
  }

  const Lookup lookup;
  std::mutex mutex;  // of all below
  std::condition_variable wake;
  bool stopping = false;
  std::deque<std::string> queue;
  std::unordered_map<std::string, Asked> waiting;
  std::unordered_map<std::string, Asker> askers;
  std::unordered_map<std::string, Cached> cache;
};

Resolver::Resolver(Lookup lookup) : core_(std::make_shared<Core>(std::move(lookup))) {
  for (size_t i = 0; i < kThreads; ++i) {
    // getaddrinfo cannot be interrupted, so that nobody waits for these threads; what they touch
    // is theirs.
    std::thread([core = core_] { core->Work(); }).detach();
  }
}

Resolver::~Resolver() {
  std::lock_guard lock(core_->mutex);
  core_->stopping = true;
  core_->wake.notify_all();
}

Resolver::Mailbox::~Mailbox() {
  std::lock_guard lock(state_->mutex);
  state_->loop = nullptr;
}

void Resolver::Resolve(const std::string& name, const std::string& asker, Mailbox& mailbox,
                       std::function<void(const Resolved&)> answer) {
  Core::Waiter waiter{mailbox.state_, std::move(answer)};
  std::shared_ptr<const Resolved> known;
  {
    std::lock_guard lock(core_->mutex);
    const auto cached = core_->cache.find(name);
    if (cached != core_->cache.end() && cached->second.until_ms > NowMs()) {
      known = cached->second.answer;
    } else if (const auto same = core_->waiting.find(name); same != core_->waiting.end()) {
      same->second.waiters.push_back(std::move(waiter));
      same->second.until_ms = NowMs() + kWaitMs;
      return;
    } else if (core_->MayAsk(asker)) {
      ++core_->askers[asker].names;
      Core::Asked& asked = core_->waiting[name];
      asked = {asker, NowMs() + kWaitMs, {}};
      asked.waiters.push_back(std::move(waiter));
      core_->queue.push_back(name);
      core_->wake.notify_one();
      return;
    }
  }
  if (!known) {
    Resolved busy;
    busy.error = "resolver_busy";
    known = std::make_shared<const Resolved>(std::move(busy));
  }
  Core::Tell(std::move(waiter), std::move(known));
}

Resolved Resolver::SystemLookup(const std::string& name) {
  Resolved out;
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_ADDRCONFIG;
  addrinfo* found = nullptr;
  // With the dot that says that the name is whole: no search list is tried.
  const std::string whole = name.find('.') == std::string::npos ? name : name + ".";
  const int error = ::getaddrinfo(whole.c_str(), nullptr, &hints, &found);
  if (error != 0) {
    const bool unknown = error == EAI_NONAME || error == EAI_NODATA;
    out.error = unknown ? "name_unknown" : "resolver_failed";
    return out;
  }
  for (const addrinfo* item = found; item != nullptr; item = item->ai_next) {
    if (out.addresses.size() == kMaxAddresses) break;
    net::SocketAddress address;
    std::memcpy(&address.storage, item->ai_addr, item->ai_addrlen);
    address.size = item->ai_addrlen;
    out.addresses.push_back(address);
  }
  ::freeaddrinfo(found);
  if (out.addresses.empty()) out.error = "name_unknown";
  return out;
}

}  // namespace aegis::gateway
