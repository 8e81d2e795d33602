#include "aegis/rego/builtins/go_time.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

#include "absl/time/civil_time.h"
#include "aegis/base/text.h"

namespace aegis::rego {
namespace {

constexpr std::string_view kMonths[] = {"January",   "February", "March",    "April",
                                        "May",       "June",     "July",     "August",
                                        "September", "October",  "November", "December"};
constexpr std::string_view kDays[] = {"Monday", "Tuesday",  "Wednesday", "Thursday",
                                      "Friday", "Saturday", "Sunday"};

// What a layout can name.
enum class Part : uint8_t {
  kNone,  // only text is left
  kYear,
  kLongYear,
  kMonth,
  kLongMonth,
  kNumMonth,
  kZeroMonth,
  kWeekDay,
  kLongWeekDay,
  kDay,
  kUnderDay,
  kZeroDay,
  kUnderYearDay,
  kZeroYearDay,
  kHour,
  kHour12,
  kZeroHour12,
  kMinute,
  kZeroMinute,
  kSecond,
  kZeroSecond,
  kUpperPm,
  kLowerPm,
  kZoneName,
  kOffset,
  kFraction,         // .000
  kTrimmedFraction,  // .999
};

struct Piece {
  std::string_view before;  // text in front of the part
  Part part = Part::kNone;
  // Of kOffset: "Z" for UTC; colons; without minutes; with seconds.
  bool z = false;
  bool colons = false;
  bool hours_only = false;
  bool seconds = false;
  // Of fractions.
  size_t digits = 0;
  char separator = '.';
};

bool IsDigit(std::string_view text, size_t at) {
  return at < text.size() && text[at] >= '0' && text[at] <= '9';
}

struct Word {
  std::string_view text;
  Part part;
};
// Where one starts another the longer comes first.
constexpr Word kWords[] = {
    {"January", Part::kLongMonth},
    {"Jan", Part::kMonth},
    {"Monday", Part::kLongWeekDay},
    {"Mon", Part::kWeekDay},
    {"MST", Part::kZoneName},
    {"01", Part::kZeroMonth},
    {"02", Part::kZeroDay},
    {"03", Part::kZeroHour12},
    {"04", Part::kZeroMinute},
    {"05", Part::kZeroSecond},
    {"06", Part::kYear},
    {"002", Part::kZeroYearDay},
    {"15", Part::kHour},
    {"1", Part::kNumMonth},
    {"2006", Part::kLongYear},
    {"2", Part::kDay},
    {"_2", Part::kUnderDay},
    {"__2", Part::kUnderYearDay},
    {"3", Part::kHour12},
    {"4", Part::kMinute},
    {"5", Part::kSecond},
    {"PM", Part::kUpperPm},
    {"pm", Part::kLowerPm},
};

// Behind '-' or 'Z'.
struct Offset {
  std::string_view text;
  bool colons;
  bool hours_only;
  bool seconds;
};
constexpr Offset kOffsets[] = {
    {"070000", false, false, true}, {"07:00:00", true, false, true}, {"0700", false, false, false},
    {"07:00", true, false, false},  {"07", false, true, false},
};

// The part that `layout` starts with; its size, or 0 when there is none.
size_t PartAt(std::string_view layout, Piece& piece) {
  const char c = layout[0];
  if (c == '-' || c == 'Z') {
    for (const Offset& offset : kOffsets) {
      if (!layout.substr(1).starts_with(offset.text)) continue;
      piece.part = Part::kOffset;
      piece.z = c == 'Z';
      piece.colons = offset.colons;
      piece.hours_only = offset.hours_only;
      piece.seconds = offset.seconds;
      return 1 + offset.text.size();
    }
    return 0;
  }
  if (c == '.' || c == ',') {
    const char digit = layout.size() > 1 ? layout[1] : '\0';
    if (digit != '0' && digit != '9') return 0;
    size_t end = 1;
    while (end < layout.size() && layout[end] == digit) ++end;
    if (IsDigit(layout, end)) return 0;
    piece.part = digit == '0' ? Part::kFraction : Part::kTrimmedFraction;
    piece.digits = end - 1;
    piece.separator = c;
    return end;
  }
  // "_2006" is an underscore before a year.
  if (layout.starts_with("_2006")) return 0;
  for (const Word& word : kWords) {
    if (!layout.starts_with(word.text)) continue;
    const std::string_view rest = layout.substr(word.text.size());
    const bool is_short = word.part == Part::kMonth || word.part == Part::kWeekDay;
    if (is_short && !rest.empty() && rest[0] >= 'a' && rest[0] <= 'z') continue;
    piece.part = word.part;
    return word.text.size();
  }
  return 0;
}

Piece NextPiece(std::string_view& layout) {
  Piece piece;
  for (size_t i = 0; i < layout.size(); ++i) {
    const size_t size = PartAt(layout.substr(i), piece);
    if (size == 0) continue;
    piece.before = layout.substr(0, i);
    layout.remove_prefix(i + size);
    return piece;
  }
  piece.before = std::exchange(layout, std::string_view());
  return piece;
}

void AppendNumber(std::string& out, int64_t value, size_t width) {
  if (value < 0) out += '-';
  const std::string digits = std::to_string(value < 0 ? -value : value);
  if (digits.size() < width) out.append(width - digits.size(), '0');
  out += digits;
}

void AppendOffset(std::string& out, const Piece& piece, int offset) {
  if (piece.z && offset == 0) {
    out += 'Z';
    return;
  }
  out += offset / 60 < 0 ? '-' : '+';
  const int seconds = offset / 60 < 0 ? -offset : offset, minutes = std::abs(offset / 60);
  AppendNumber(out, minutes / 60, 2);
  if (piece.colons) out += ':';
  if (!piece.hours_only) AppendNumber(out, minutes % 60, 2);
  if (!piece.seconds) return;
  if (piece.colons) out += ':';
  AppendNumber(out, seconds % 60, 2);
}

void AppendFraction(std::string& out, const Piece& piece, int64_t nanos) {
  std::string digits;
  AppendNumber(digits, nanos, 9);
  digits.resize(std::min<size_t>(piece.digits, 9));
  if (piece.part == Part::kTrimmedFraction) {
    digits.resize(digits.find_last_not_of('0') + 1);
    if (digits.empty()) return;
  }
  out += piece.separator;
  out += digits;
}

}  // namespace

std::string_view GoLayout(std::string_view name) {
  constexpr std::pair<std::string_view, std::string_view> kLayouts[] = {
      {"ANSIC", "Mon Jan _2 15:04:05 2006"},
      {"UnixDate", "Mon Jan _2 15:04:05 MST 2006"},
      {"RubyDate", "Mon Jan 02 15:04:05 -0700 2006"},
      {"RFC822", "02 Jan 06 15:04 MST"},
      {"RFC822Z", "02 Jan 06 15:04 -0700"},
      {"RFC850", "Monday, 02-Jan-06 15:04:05 MST"},
      {"RFC1123", "Mon, 02 Jan 2006 15:04:05 MST"},
      {"RFC1123Z", "Mon, 02 Jan 2006 15:04:05 -0700"},
      {"RFC3339", kRfc3339},
      {"RFC3339Nano", kRfc3339Nano},
  };
  for (const auto& [known, layout] : kLayouts) {
    if (known == name) return layout;
  }
  return name;
}

std::string FormatGoTime(absl::Time time, const absl::TimeZone& zone, std::string_view layout) {
  const absl::TimeZone::CivilInfo info = zone.At(time);
  const absl::CivilSecond& civil = info.cs;
  const absl::CivilDay day(civil);
  const std::string_view month = kMonths[civil.month() - 1];
  const std::string_view weekday = kDays[static_cast<size_t>(absl::GetWeekday(day))];
  const int year_day = absl::GetYearDay(day);
  const int hour = civil.hour(), hour12 = hour % 12 == 0 ? 12 : hour % 12;
  std::string out;
  while (!layout.empty()) {
    const Piece piece = NextPiece(layout);
    out += piece.before;
    switch (piece.part) {
      case Part::kNone:
        break;
      case Part::kYear:
        AppendNumber(out, std::abs(civil.year()) % 100, 2);
        break;
      case Part::kLongYear:
        AppendNumber(out, civil.year(), 4);
        break;
      case Part::kMonth:
        out += month.substr(0, 3);
        break;
      case Part::kLongMonth:
        out += month;
        break;
      case Part::kNumMonth:
      case Part::kZeroMonth:
        AppendNumber(out, civil.month(), piece.part == Part::kZeroMonth ? 2 : 1);
        break;
      case Part::kWeekDay:
        out += weekday.substr(0, 3);
        break;
      case Part::kLongWeekDay:
        out += weekday;
        break;
      case Part::kDay:
      case Part::kZeroDay:
        AppendNumber(out, civil.day(), piece.part == Part::kZeroDay ? 2 : 1);
        break;
      case Part::kUnderDay:
        if (civil.day() < 10) out += ' ';
        AppendNumber(out, civil.day(), 1);
        break;
      case Part::kUnderYearDay:
        if (year_day < 100) out.append(year_day < 10 ? 2 : 1, ' ');
        AppendNumber(out, year_day, 1);
        break;
      case Part::kZeroYearDay:
        AppendNumber(out, year_day, 3);
        break;
      case Part::kHour:
        AppendNumber(out, hour, 2);
        break;
      case Part::kHour12:
      case Part::kZeroHour12:
        AppendNumber(out, hour12, piece.part == Part::kZeroHour12 ? 2 : 1);
        break;
      case Part::kMinute:
      case Part::kZeroMinute:
        AppendNumber(out, civil.minute(), piece.part == Part::kZeroMinute ? 2 : 1);
        break;
      case Part::kSecond:
      case Part::kZeroSecond:
        AppendNumber(out, civil.second(), piece.part == Part::kZeroSecond ? 2 : 1);
        break;
      case Part::kUpperPm:
        out += hour >= 12 ? "PM" : "AM";
        break;
      case Part::kLowerPm:
        out += hour >= 12 ? "pm" : "am";
        break;
      case Part::kZoneName:
        out += info.zone_abbr;
        break;
      case Part::kOffset:
        AppendOffset(out, piece, info.offset);
        break;
      case Part::kFraction:
      case Part::kTrimmedFraction:
        AppendFraction(out, piece, absl::ToInt64Nanoseconds(info.subsecond));
        break;
    }
  }
  return out;
}

namespace {

// Reads one time; every function takes what it reads off `text_` and is false when that is not
// there.
class TimeParser {
 public:
  TimeParser(std::string_view layout, std::string_view text) : layout_(layout), text_(text) {}

  std::optional<absl::Time> Parse() {
    while (true) {
      const Piece piece = NextPiece(layout_);
      if (!Skip(piece.before)) return std::nullopt;
      if (piece.part == Part::kNone) break;
      if (!Read(piece)) return std::nullopt;
    }
    if (!text_.empty()) return std::nullopt;
    return Time();
  }

 private:
  static constexpr int kUnset = -1;

  // A space of the layout stands for any number of them.
  bool Skip(std::string_view before) {
    while (!before.empty()) {
      if (before[0] == ' ') {
        if (!text_.empty() && text_[0] != ' ') return false;
        before.remove_prefix(std::min(before.find_first_not_of(' '), before.size()));
        text_.remove_prefix(std::min(text_.find_first_not_of(' '), text_.size()));
        continue;
      }
      if (!text_.starts_with(before[0])) return false;
      before.remove_prefix(1);
      text_.remove_prefix(1);
    }
    return true;
  }

  // One or two digits; exactly two when `fixed`.
  static bool TakeNumber(std::string_view& text, bool fixed, int& out) {
    if (!IsDigit(text, 0) || (fixed && !IsDigit(text, 1))) return false;
    out = text[0] - '0';
    if (IsDigit(text, 1)) out = out * 10 + (text[1] - '0');
    text.remove_prefix(IsDigit(text, 1) ? 2 : 1);
    return true;
  }
  bool Number(bool fixed, int low, int high, int& out) {
    return TakeNumber(text_, fixed, out) && out >= low && out <= high;
  }

  // The first `size` bytes as a number with an optional sign.
  bool Fixed(size_t size, int& out) {
    if (text_.size() < size) return false;
    std::string_view digits = text_.substr(0, size);
    text_.remove_prefix(size);
    const bool negative = digits[0] == '-';
    if (negative || digits[0] == '+') digits.remove_prefix(1);
    out = 0;
    for (size_t i = 0; i < digits.size(); ++i) {
      if (!IsDigit(digits, i)) return false;
      out = out * 10 + (digits[i] - '0');
    }
    if (negative) out = -out;
    return true;
  }

  template <size_t count>
  bool Name(const std::string_view (&names)[count], size_t size, int& out) {
    for (size_t i = 0; i < count; ++i) {
      const std::string_view name = names[i].substr(0, size);
      if (text_.size() < name.size() || !EqualsIgnoreCase(text_.substr(0, name.size()), name)) {
        continue;
      }
      text_.remove_prefix(name.size());
      out = static_cast<int>(i) + 1;
      return true;
    }
    return false;
  }

  void SkipSpace() {
    if (text_.starts_with(' ')) text_.remove_prefix(1);
  }

  bool ReadYear() {
    if (!Fixed(2, year_)) return false;
    year_ += year_ >= 69 ? 1900 : 2000;
    return true;
  }

  bool ReadYearDay(bool fixed) {
    if (!fixed) {
      SkipSpace();
      SkipSpace();
    }
    size_t size = 0;
    year_day_ = 0;
    for (; size < 3 && IsDigit(text_, size); ++size) {
      year_day_ = year_day_ * 10 + (text_[size] - '0');
    }
    text_.remove_prefix(size);
    return size == 3 || (size > 0 && !fixed);
  }

  // A separator and digits, `size` bytes in all; what is beyond nanoseconds is dropped.
  bool Fraction(size_t size) {
    if (text_.size() < size || (text_[0] != '.' && text_[0] != ',')) return false;
    const std::string_view digits = text_.substr(1, std::min<size_t>(size, 10) - 1);
    text_.remove_prefix(size);
    nanos_ = 0;
    for (size_t i = 0; i < 9; ++i) {
      if (i < digits.size() && !IsDigit(digits, i)) return false;
      nanos_ = nanos_ * 10 + (i < digits.size() ? digits[i] - '0' : 0);
    }
    return true;
  }
  // Any number of digits, if there are some.
  bool OptionalFraction() {
    if (text_.empty() || (text_[0] != '.' && text_[0] != ',') || !IsDigit(text_, 1)) return true;
    size_t size = 2;
    while (IsDigit(text_, size)) ++size;
    return Fraction(size);
  }

  bool ReadSecond(bool fixed) {
    if (!Number(fixed, 0, 59, second_)) return false;
    // A fraction may follow that the layout does not name.
    std::string_view rest = layout_;
    const Part next = NextPiece(rest).part;
    return next == Part::kFraction || next == Part::kTrimmedFraction || OptionalFraction();
  }

  bool ReadPm(std::string_view pm, std::string_view am) {
    pm_ = pm_ || text_.starts_with(pm);
    am_ = am_ || text_.starts_with(am);
    if (!text_.starts_with(pm) && !text_.starts_with(am)) return false;
    text_.remove_prefix(2);
    return true;
  }

  bool ReadOffset(const Piece& piece) {
    if (piece.z && text_.starts_with('Z')) {
      text_.remove_prefix(1);
      utc_ = true;
      return true;
    }
    if (text_.empty() || (text_[0] != '+' && text_[0] != '-')) return false;
    const bool negative = text_[0] == '-';
    text_.remove_prefix(1);
    int parts[3] = {};
    const size_t count = piece.hours_only ? 1 : piece.seconds ? 3 : 2;
    for (size_t i = 0; i < count; ++i) {
      if (i > 0 && piece.colons) {
        if (!text_.starts_with(':')) return false;
        text_.remove_prefix(1);
      }
      if (!TakeNumber(text_, true, parts[i]) || parts[i] > (i == 0 ? 24 : 60)) return false;
    }
    offset_ = (parts[0] * 60 + parts[1]) * 60 + parts[2];
    if (negative) offset_ = -offset_;
    return true;
  }

  // "+3" behind GMT or alone: the size, or 0.
  static size_t SignedOffsetSize(std::string_view text) {
    if (text.empty() || (text[0] != '+' && text[0] != '-')) return 0;
    size_t end = 1;
    int value = 0;
    for (; IsDigit(text, end); ++end) value = std::min(value * 10 + (text[end] - '0'), 1000);
    return end > 1 && value <= 23 ? end : 0;
  }

  static size_t ZoneNameSize(std::string_view text) {
    if (text.size() < 3) return 0;
    if (text.starts_with("ChST") || text.starts_with("MeST")) return 4;
    if (text.starts_with("GMT")) return 3 + SignedOffsetSize(text.substr(3));
    if (text[0] == '+' || text[0] == '-') return SignedOffsetSize(text);
    size_t upper = 0;
    while (upper < 6 && upper < text.size() && text[upper] >= 'A' && text[upper] <= 'Z') ++upper;
    if (upper == 3) return 3;
    if (upper == 4) return text[3] == 'T' || text.starts_with("WITA") ? 4 : 0;
    return upper == 5 && text[4] == 'T' ? 5 : 0;
  }

  bool ReadZoneName() {
    if (text_.starts_with("UTC")) {
      utc_ = true;
      text_.remove_prefix(3);
      return true;
    }
    const size_t size = ZoneNameSize(text_);
    text_.remove_prefix(size);
    return size > 0;
  }

  bool Read(const Piece& piece) {
    int ignored;
    switch (piece.part) {
      case Part::kNone:
        return true;
      case Part::kYear:
        return ReadYear();
      case Part::kLongYear:
        return IsDigit(text_, 0) && Fixed(4, year_);
      case Part::kMonth:
        return Name(kMonths, 3, month_);
      case Part::kLongMonth:
        return Name(kMonths, std::string_view::npos, month_);
      case Part::kNumMonth:
      case Part::kZeroMonth:
        return Number(piece.part == Part::kZeroMonth, 1, 12, month_);
      case Part::kWeekDay:
        return Name(kDays, 3, ignored);
      case Part::kLongWeekDay:
        return Name(kDays, std::string_view::npos, ignored);
      case Part::kUnderDay:
        SkipSpace();
        return Number(false, 0, 99, day_);
      case Part::kDay:
      case Part::kZeroDay:
        return Number(piece.part == Part::kZeroDay, 0, 99, day_);
      case Part::kUnderYearDay:
      case Part::kZeroYearDay:
        return ReadYearDay(piece.part == Part::kZeroYearDay);
      case Part::kHour:
        return Number(false, 0, 23, hour_);
      case Part::kHour12:
      case Part::kZeroHour12:
        return Number(piece.part == Part::kZeroHour12, 0, 12, hour_);
      case Part::kMinute:
      case Part::kZeroMinute:
        return Number(piece.part == Part::kZeroMinute, 0, 59, minute_);
      case Part::kSecond:
      case Part::kZeroSecond:
        return ReadSecond(piece.part == Part::kZeroSecond);
      case Part::kUpperPm:
        return ReadPm("PM", "AM");
      case Part::kLowerPm:
        return ReadPm("pm", "am");
      case Part::kZoneName:
        return ReadZoneName();
      case Part::kOffset:
        return ReadOffset(piece);
      case Part::kFraction:
        return Fraction(1 + piece.digits);
      case Part::kTrimmedFraction:
        return OptionalFraction();
    }
    return false;
  }

  // The day from the day of the year; what was given besides must agree.
  bool PlaceYearDay() {
    const absl::CivilDay first(year_, 1, 1);
    const absl::CivilDay day = first + (year_day_ - 1);
    if (year_day_ < 1 || day.year() != first.year()) return false;
    if (month_ != kUnset && month_ != day.month()) return false;
    if (day_ != kUnset && day_ != day.day()) return false;
    month_ = day.month();
    day_ = day.day();
    return true;
  }

  std::optional<absl::Time> Time() {
    if (pm_ && hour_ < 12) {
      hour_ += 12;
    } else if (am_ && hour_ == 12) {
      hour_ = 0;
    }
    if (year_day_ != kUnset && !PlaceYearDay()) return std::nullopt;
    if (month_ == kUnset) month_ = 1;
    if (day_ == kUnset) day_ = 1;
    const absl::CivilSecond civil(year_, month_, day_, hour_, minute_, second_);
    if (day_ < 1 || civil.day() != day_) return std::nullopt;
    absl::Time time = absl::FromCivil(civil, absl::UTCTimeZone()) + absl::Nanoseconds(nanos_);
    // An offset of minus one second is Go's sign for "none was given".
    if (!utc_ && offset_ != kUnset) time -= absl::Seconds(offset_);
    return time;
  }

  std::string_view layout_;
  std::string_view text_;
  int year_ = 0;
  int month_ = kUnset;
  int day_ = kUnset;
  int year_day_ = kUnset;
  int hour_ = 0;
  int minute_ = 0;
  int second_ = 0;
  int64_t nanos_ = 0;
  int offset_ = kUnset;  // seconds
  bool utc_ = false;
  bool pm_ = false;
  bool am_ = false;
};

constexpr uint64_t kHourNanos = 3'600'000'000'000;

std::optional<uint64_t> UnitNanos(std::string_view unit) {
  if (unit == "ns") return 1;
  if (unit == "us" || unit == "µs" || unit == "μs") return 1000;
  if (unit == "ms") return 1'000'000;
  if (unit == "s") return 1'000'000'000;
  if (unit == "m") return 60'000'000'000;
  if (unit == "h") return kHourNanos;
  return std::nullopt;
}

// time.ParseDuration.
std::optional<int64_t> ParseStandardDuration(std::string_view text) {
  constexpr uint64_t kTop = uint64_t{1} << 63;
  const bool negative = text.starts_with('-');
  if (negative || text.starts_with('+')) text.remove_prefix(1);
  if (text == "0") return 0;
  if (text.empty()) return std::nullopt;
  uint64_t total = 0;
  while (!text.empty()) {
    uint64_t whole = 0, fraction = 0;
    double scale = 1;
    size_t at = 0;
    for (; IsDigit(text, at); ++at) {
      if (whole > kTop / 10) return std::nullopt;
      whole = whole * 10 + static_cast<uint64_t>(text[at] - '0');
      if (whole > kTop) return std::nullopt;
    }
    size_t digits = at;
    if (at < text.size() && text[at] == '.') {
      bool full = false;
      for (++at; IsDigit(text, at); ++at, ++digits) {
        full = full || fraction > (kTop - 1) / 10;
        if (full) continue;
        fraction = fraction * 10 + static_cast<uint64_t>(text[at] - '0');
        scale *= 10;
      }
    }
    if (digits == 0) return std::nullopt;
    const size_t end = std::min(text.find_first_of(".0123456789", at), text.size());
    const std::optional<uint64_t> unit = UnitNanos(text.substr(at, end - at));
    if (!unit || whole > kTop / *unit) return std::nullopt;
    text.remove_prefix(end);
    whole *= *unit;
    if (fraction > 0) {
      whole += static_cast<uint64_t>(static_cast<double>(fraction) *
                                     (static_cast<double>(*unit) / scale));
      if (whole > kTop) return std::nullopt;
    }
    total += whole;
    if (total > kTop) return std::nullopt;
  }
  if (negative) return static_cast<int64_t>(~total + 1);
  return total < kTop ? std::optional(static_cast<int64_t>(total)) : std::nullopt;
}

// "1d" as "24h", as OPA rewrites it.
bool AppendInHours(std::string& out, std::string_view digits, double hours_per_unit) {
  double value = 0;
  const char* const end = digits.data() + digits.size();
  const auto [read, error] = std::from_chars(digits.data(), end, value, std::chars_format::fixed);
  if (error != std::errc() || read != end) return false;
  std::array<char, 512> buffer;
  const auto [written, problem] = std::to_chars(buffer.data(), buffer.data() + buffer.size(),
                                                value * hours_per_unit, std::chars_format::fixed);
  if (problem != std::errc()) return false;
  out.append(buffer.data(), written);
  out += 'h';
  return true;
}

}  // namespace

std::optional<absl::Time> ParseGoTime(std::string_view layout, std::string_view text) {
  return TimeParser(layout, text).Parse();
}

std::optional<int64_t> ParseGoDuration(std::string_view text) {
  if (text.find_first_of("dwy") == text.npos) return ParseStandardDuration(text);
  std::string standard;
  if (text[0] == '-' || text[0] == '+') {
    standard += text[0];
    text.remove_prefix(1);
  }
  while (!text.empty()) {
    const size_t size = std::min(text.find_first_not_of(".0123456789"), text.size());
    const std::string_view digits = text.substr(0, size);
    text.remove_prefix(size);
    if (digits.empty() || text.empty()) return std::nullopt;
    size_t unit_size = 1;
    for (const std::string_view unit : {"ms", "us", "µs", "ns"}) {
      if (text.starts_with(unit)) unit_size = unit.size();
    }
    const std::string_view unit = text.substr(0, unit_size);
    text.remove_prefix(unit_size);
    const double hours = unit == "d" ? 24 : unit == "w" ? 7 * 24 : unit == "y" ? 365 * 24 : 0;
    if (hours == 0) {
      standard.append(digits).append(unit);
    } else if (!AppendInHours(standard, digits, hours)) {
      return std::nullopt;
    }
  }
  return ParseStandardDuration(standard);
}

}  // namespace aegis::rego
