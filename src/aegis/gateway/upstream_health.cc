#include "aegis/gateway/upstream_health.h"

#include <algorithm>

namespace aegis::gateway {

int64_t UpstreamHealth::wait_ms(int64_t now_ms) const {
  if (available(now_ms)) return 0;
  return std::max<int64_t>(1, ejected_until_ms_ - now_ms);
}

bool UpstreamHealth::Begin() {
  if (ejected_until_ms_ == 0) return false;
  probing_ = true;
  return true;
}

void UpstreamHealth::Succeed() {
  failures_ = 0;
  ejected_until_ms_ = 0;
  probing_ = false;
  if (ejections_ > 0) --ejections_;
}

bool UpstreamHealth::Fail(int64_t now_ms, const UpstreamOptions& options) {
  if (options.ejection_failures == 0) {
    *this = UpstreamHealth();
    return false;
  }
  // Calls that began before the ejection say nothing new.
  if (ejected_until_ms_ != 0 && !probing_) return false;
  if (!probing_ && ++failures_ < options.ejection_failures) return false;
  constexpr int kMaxDoublings = 20;
  int64_t time = int64_t{options.ejection_ms} << std::min(ejections_, kMaxDoublings);
  time = std::min<int64_t>(time, std::max(options.ejection_ms, options.max_ejection_ms));
  ++ejections_;
  failures_ = 0;
  probing_ = false;
  ejected_until_ms_ = now_ms + time;
  return true;
}

}  // namespace aegis::gateway
