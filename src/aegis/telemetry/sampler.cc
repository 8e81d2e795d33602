#include "aegis/telemetry/sampler.h"

#include <charconv>

namespace aegis::telemetry {

std::optional<Sampler> Sampler::FromName(std::string_view name, double ratio) {
  constexpr std::string_view kParentBased = "parentbased_";
  Sampler sampler;
  sampler.parent_based_ = name.starts_with(kParentBased);
  if (sampler.parent_based_) name.remove_prefix(kParentBased.size());
  if (name == "always_on") return sampler;
  if (name == "always_off") {
    sampler.bound_ = 0;
    return sampler;
  }
  if (name != "traceidratio" || !(ratio >= 0 && ratio <= 1)) return std::nullopt;
  // At 1 the product is 2^63 exactly, which is above every id.
  sampler.bound_ = static_cast<uint64_t>(ratio * 0x1p63);
  return sampler;
}

uint64_t Sampler::LowBits(const TraceContext& context) {
  const char* const end = context.trace_id.data() + context.trace_id.size();
  uint64_t value = 0;
  std::from_chars(end - 16, end, value, 16);
  return value >> 1;
}

}  // namespace aegis::telemetry
