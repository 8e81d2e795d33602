// The load: slots in which one request each may be in flight, and when each request is sent. What a
// slot is, a derived class says.
//
// Closed loop: a slot sends its next request when the last one was answered: throughput.
// Open loop: request k is due at start + k / rate whatever the server does, and its latency counts
// from then, also while it waits for a free slot: no coordinated omission.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "request_set.h"

namespace aegis::bench {

struct LoadOptions {
  uint16_t port = 0;    // on 127.0.0.1
  int connections = 1;  // 1 to 10000
  int streams = 1;      // of each connection, 1 to 1000; more than one with HTTP/2 only
  double rate = 0;      // requests per second; 0: closed loop
  double seconds = 5;   // counted time
  double warmup = 1;    // not counted, before it
  double grace = 2;     // time for what is unfinished at the end
  bool poll = false;    // never sleep: for when the core is the generator's own
  double timeout = 10;  // an answer later than this is a failure
};

struct LoadResult {
  std::vector<uint64_t> latencies_ns;  // of the counted, right answers
  uint64_t sent = 0;                   // all, with the warm-up
  uint64_t right = 0;                  // all right answers, with the warm-up
  uint64_t wrong = 0;                  // another status, or without the marker
  uint64_t failed = 0;                 // connection or call lost, time-out, not the protocol
  uint64_t unfinished = 0;             // sent or due, and no answer by the end
  uint64_t reconnects = 0;
  std::map<int, uint64_t> statuses;
  double counted_seconds = 0;  // from the end of the warm-up to the last counted answer
  double cpu_seconds = 0;      // of the generator, in the counted time
  std::string first_wrong;     // the beginning of the first wrong answer
};

class Load {
 public:
  Load(const std::vector<Request>& requests, const LoadOptions& options);
  Load(const Load&) = delete;
  Load& operator=(const Load&) = delete;
  virtual ~Load();

  // Once only.
  LoadResult Run();

 protected:
  // Opens what the slots need.
  virtual void Start() = 0;
  virtual bool HasFreeSlot() const = 0;
  // Takes a free slot; the request may leave with Flush().
  virtual void Send(const Request& request, uint64_t due, uint64_t now) = 0;
  virtual void Flush() {}
  // `what` was given to Connect().
  virtual void OnEvents(void* what, uint32_t events) = 0;
  // Fails what was sent before `oldest`.
  virtual void FailLate(uint64_t oldest) = 0;

  // A socket to the server whose input is watched. Ends the process when nothing listens there.
  int Connect(void* what);
  // The server may take no more bytes: whether to say when it does again.
  void WatchRoom(int fd, void* what, bool wanted);
  static uint64_t Now();

  // Each frees a slot: exactly one of them for each Send().
  void Right(uint64_t due, uint64_t now);
  void Wrong(std::string_view answer);
  void Failed();
  void CountStatus(int status) { ++result_.statuses[status]; }
  void CountReconnect() { ++result_.reconnects; }
  // An answer that nobody asked for.
  void Unasked(std::string_view answer);
  void Note(std::string_view answer);

  const LoadOptions& options() const { return options_; }

 private:
  uint64_t DueAt(uint64_t k) const;
  void SendDue(uint64_t now);
  void Wait(uint64_t now);

  const std::vector<Request>& requests_;
  const LoadOptions options_;
  int epoll_ = -1;
  uint64_t start_ = 0, counted_from_ = 0, end_ = 0;
  uint64_t next_ = 0;  // number of the request that is sent next
  int in_flight_ = 0;
  uint64_t last_answer_ = 0;
  double cpu_after_ = -1;
  LoadResult result_;
};

}  // namespace aegis::bench
