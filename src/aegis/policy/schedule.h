// Days and hours of a schedule. No time zones here: those are applied when a call is decided.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace aegis::policy {

// Bit 0 is Monday. "mon-fri", "mon,wed", "sat-mon" (over the week's end), "mon - wed, sun". 0: not
// days.
uint8_t ParseDays(std::string_view text);
// "mon-fri", "mon,wed,fri": the shortest writing.
std::string FormatDays(uint8_t days);

// Minutes of the local day. `to` may be 1440; `to` < `from` goes over midnight.
struct Hours {
  int from = 0;
  int to = 1440;
  friend bool operator==(const Hours&, const Hours&) = default;
};
// "08:00-18:00". The start is at most 23:59. Equal ends are accepted here.
std::optional<Hours> ParseHours(std::string_view text);
std::string FormatHours(Hours hours);

}  // namespace aegis::policy
