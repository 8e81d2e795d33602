// The load: connections that are kept alive, one request in flight on each.
//
// Closed loop: a connection sends its next request when the last one was answered: throughput.
// Open loop: request k is due at start + k / rate whatever the server does, and its latency counts
// from then, also while it waits for a free connection: no coordinated omission.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "request_set.h"

namespace aegis::bench {

struct LoadOptions {
  uint16_t port = 0;    // on 127.0.0.1
  int connections = 1;  // 1 to 10000
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
  uint64_t failed = 0;                 // connection lost, time-out, not HTTP
  uint64_t unfinished = 0;             // sent or due, and no answer by the end
  uint64_t reconnects = 0;
  std::map<int, uint64_t> statuses;
  double counted_seconds = 0;  // from the end of the warm-up to the last counted answer
  double cpu_seconds = 0;      // of the generator, in the counted time
  std::string first_wrong;     // the beginning of the first wrong answer
};

LoadResult RunLoad(const std::vector<Request>& requests, const LoadOptions& options);

}  // namespace aegis::bench
