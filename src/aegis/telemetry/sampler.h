// Which traces are kept: the samplers of the OpenTelemetry SDK specification ("Trace SDK",
// Sampling) by their names there.
//
// Threading: an immutable value.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "aegis/telemetry/trace_context.h"

namespace aegis::telemetry {

class Sampler {
 public:
  // All that begin here; of others those whose caller keeps them. "parentbased_always_on".
  Sampler() = default;
  // `name`: always_on, always_off, traceidratio or the same with "parentbased_" before it. `ratio`:
  // from 0 to 1, for traceidratio only. Nothing: there is no such sampler.
  static std::optional<Sampler> FromName(std::string_view name, double ratio);

  // `own`: the trace and span that begin. `has_parent`: its flags are the caller's still.
  bool Samples(const TraceContext& own, bool has_parent) const {
    if (has_parent && parent_based_) return own.sampled();
    return bound_ > kAll || LowBits(own) < bound_;
  }

 private:
  // Ids have 63 bits here, as in the SDK for Go: the last 16 digits of the trace id, halved.
  static constexpr uint64_t kAll = (uint64_t{1} << 63) - 1;
  static uint64_t LowBits(const TraceContext& context);

  bool parent_based_ = true;
  uint64_t bound_ = kAll + 1;  // those below it are kept
};

}  // namespace aegis::telemetry
