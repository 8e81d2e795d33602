// Times and durations as text in the forms of Go's time package, which OPA shows to policies.
//
// Internal to the rego library.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "absl/time/time.h"

namespace aegis::rego {

inline constexpr std::string_view kRfc3339 = "2006-01-02T15:04:05Z07:00";
inline constexpr std::string_view kRfc3339Nano = "2006-01-02T15:04:05.999999999Z07:00";

// The layout that Go has a constant for ("RFC822"), or `name` itself.
std::string_view GoLayout(std::string_view name);

// Time.Format: the layout shows how 2006-01-02 15:04:05 MST is to be written.
std::string FormatGoTime(absl::Time time, const absl::TimeZone& zone, std::string_view layout);

// time.Parse in a process whose local zone is UTC: names of zones tell nothing about the offset.
// Takes time in proportion to both sizes.
std::optional<absl::Time> ParseGoTime(std::string_view layout, std::string_view text);

// Nanoseconds of "1h30m", "-1.5s", …; also with OPA's units d (24 hours), w (7 days) and y (365
// days).
std::optional<int64_t> ParseGoDuration(std::string_view text);

}  // namespace aegis::rego
