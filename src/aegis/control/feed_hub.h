// What gateways follow: contents that change now and then, each with an ETag, served at once or
// when they change (long polling).
//
// A feed is one resource of one tenant. Publishing a new content answers everyone who waits for it
// before Publish returns.
//
// Threading: all methods may be called from any thread; none waits for the disk or the network.
// Answers go out on the thread that publishes, stops, or runs the timer of the hub's own.
#pragma once

#include <chrono>
#include <condition_variable>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "aegis/net/http_message.h"
#include "aegis/net/http_server.h"

namespace aegis::control {

class FeedHub {
 public:
  struct Content {
    std::string etag;  // with its quotes
    std::string content_type;
    std::shared_ptr<const std::string> body;
  };
  // What one request wants.
  struct Poll {
    std::string if_none_match;                   // the header's value; empty: none
    std::chrono::milliseconds wait{0};           // at most kMaxWait
    std::string content_type;                    // instead of the content's own; empty: that
    std::string missing_reason, missing_detail;  // of the 404 when nothing has been published
  };
  static constexpr std::chrono::seconds kMaxWait{300};
  // Waiters over all feeds; beyond that a poll is answered 503 with Retry-After.
  static constexpr size_t kMaxWaiters = 10'000;

  FeedHub();
  ~FeedHub();  // Stop
  FeedHub(const FeedHub&) = delete;
  FeedHub& operator=(const FeedHub&) = delete;

  void Publish(const std::string& feed, Content content);
  // 200 with the content, 304 when the client has it (at once, or after `wait` without a change),
  // 404 when there is none (likewise).
  void Serve(const std::string& feed, Poll poll, net::Responder respond);
  // Answers all who wait with 503; later polls do not wait.
  void Stop();

  size_t waiting() const;
  // The feed's ETag; empty when nothing has been published.
  std::string Etag(const std::string& feed) const;

 private:
  using Time = std::chrono::steady_clock::time_point;
  struct Waiter {
    Poll poll;
    Time deadline;
    net::Responder respond;
  };
  struct Feed {
    std::optional<Content> content;
    std::list<Waiter> waiters;
  };
  struct Answer {
    net::Responder respond;
    net::HttpResponse response;
  };

  static net::HttpResponse Render(const Feed& feed, const Poll& poll);
  void RunTimer();

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::string, Feed> feeds_;
  size_t waiting_ = 0;
  bool stopping_ = false;
  std::thread timer_;
};

// Whether an If-None-Match header names the ETag (RFC 9110 §13.1.2: weak comparison; "*" names
// any).
bool EtagMatches(std::string_view if_none_match, std::string_view etag);

// Seconds a client is ready to wait: ?wait=N, else the preference `wait` (RFC 7240 §4.3), which
// stock OPA sends as "modes=snapshot,delta;wait=N". Clipped to FeedHub::kMaxWait. Nothing: do not
// wait. `bad`: set when ?wait is not a number.
std::optional<std::chrono::seconds> RequestedWait(const net::HttpRequest& request, bool* bad);

}  // namespace aegis::control
