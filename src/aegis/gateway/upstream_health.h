// Whether calls go to an address of a tool: after some failures in a row it is ejected for a time;
// then one call is let through as a probe, whose end decides.
//
//   good --failures--> ejected --time--> probed --success--> good
//                          ^---------failure (longer)-----'
//
// Threading: belongs to one worker. Times are of a monotonic clock, in milliseconds.
#pragma once

#include <cstdint>

#include "aegis/gateway/upstream_options.h"

namespace aegis::gateway {

class UpstreamHealth {
 public:
  bool available(int64_t now_ms) const {
    return ejected_until_ms_ == 0 || (now_ms >= ejected_until_ms_ && !probing_);
  }
  // Until the next probe; at least 1 when not available. For Retry-After.
  int64_t wait_ms(int64_t now_ms) const;

  // A connection is begun, only when available. True: it is the probe; then one of Succeed, Fail
  // and Abandon must follow.
  bool Begin();
  void Succeed();
  // True: the address is ejected by this.
  bool Fail(int64_t now_ms, const UpstreamOptions& options);
  // The probe ended without an answer to the question.
  void Abandon() { probing_ = false; }

 private:
  int failures_ = 0;  // in a row
  int ejections_ = 0;
  int64_t ejected_until_ms_ = 0;  // 0: not ejected
  bool probing_ = false;
};

}  // namespace aegis::gateway
