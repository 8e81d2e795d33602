#include "aegis/policy/schedule.h"

#include <array>

#include "aegis/base/text.h"

namespace aegis::policy {
namespace {

constexpr std::array<std::string_view, 7> kDays = {"mon", "tue", "wed", "thu", "fri", "sat", "sun"};

int DayIndex(std::string_view text) {
  for (size_t i = 0; i < kDays.size(); ++i) {
    if (kDays[i] == text) return static_cast<int>(i);
  }
  return -1;
}

// "HH:MM"; -1 if it is not.
int ParseMinute(std::string_view text) {
  if (text.size() != 5 || text[2] != ':') return -1;
  for (const size_t i : {0, 1, 3, 4}) {
    if (text[i] < '0' || text[i] > '9') return -1;
  }
  const int hour = (text[0] - '0') * 10 + (text[1] - '0');
  const int minute = (text[3] - '0') * 10 + (text[4] - '0');
  if (minute > 59 || hour > 24 || (hour == 24 && minute > 0)) return -1;
  return hour * 60 + minute;
}

std::string FormatMinute(int minute) {
  std::string text = "00:00";
  text[0] = static_cast<char>('0' + minute / 600);
  text[1] = static_cast<char>('0' + minute / 60 % 10);
  text[3] = static_cast<char>('0' + minute % 60 / 10);
  text[4] = static_cast<char>('0' + minute % 10);
  return text;
}

}  // namespace

uint8_t ParseDays(std::string_view text) {
  unsigned days = 0;
  for (const std::string_view part : Split(text, ',')) {
    const size_t dash = part.find('-');
    const int first = DayIndex(Trim(part.substr(0, dash)));
    const int last = dash == std::string_view::npos ? first : DayIndex(Trim(part.substr(dash + 1)));
    if (first < 0 || last < 0) return 0;
    for (int day = first;; day = (day + 1) % 7) {
      days |= 1U << day;
      if (day == last) break;
    }
  }
  return static_cast<uint8_t>(days);
}

std::string FormatDays(uint8_t days) {
  std::string text;
  for (unsigned day = 0; day < 7; ++day) {
    if ((days >> day & 1) == 0) continue;
    unsigned last = day;
    while (last + 1 < 7 && (days >> (last + 1) & 1) != 0) ++last;
    if (!text.empty()) text += ',';
    text += kDays[day];
    if (last > day) text.append(last == day + 1 ? "," : "-").append(kDays[last]);
    day = last;
  }
  return text;
}

std::optional<Hours> ParseHours(std::string_view text) {
  const size_t dash = text.find('-');
  if (dash == std::string_view::npos) return std::nullopt;
  const Hours hours{ParseMinute(Trim(text.substr(0, dash))),
                    ParseMinute(Trim(text.substr(dash + 1)))};
  if (hours.from < 0 || hours.to < 0 || hours.from == 1440) return std::nullopt;
  return hours;
}

std::string FormatHours(Hours hours) {
  return FormatMinute(hours.from) + "-" + FormatMinute(hours.to);
}

}  // namespace aegis::policy
