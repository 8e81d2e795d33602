// time.*, in IANA zones; the time itself comes from the evaluation.
#include "absl/time/time.h"

#include <string>

#include "absl/time/civil_time.h"
#include "aegis/rego/big_number.h"
#include "aegis/rego/builtins/caches.h"
#include "aegis/rego/builtins/operands.h"

namespace aegis::rego {
namespace {

struct Moment {
  absl::Time time;
  const absl::TimeZone* zone = nullptr;
};

// ns, or [ns, zone] and what may follow; false after an error.
bool ReadMoment(BuiltinContext& context, Value operand, Moment& out) {
  Value nanos = operand;
  std::string_view zone_name;
  if (operand.is_array()) {
    nanos = operand.At(0);
    const Value zone = operand.At(1);
    if (!zone.is_undefined() && !zone.is_string()) {
      context.WrongType(1, "string", zone);
      return false;
    }
    zone_name = zone.string_value();
  }
  if (!nanos.is_number()) {
    context.TypeError("operand 1 must be either number (ns) or [number (ns), string (tz)]");
    return false;
  }
  std::optional<int64_t> value = nanos.AsInt64();
  if (!value) {
    const std::optional<mpz_class> integer = internal::ToInteger(nanos);
    if (integer && integer->fits_slong_p()) value = integer->get_si();
  }
  if (!value) {
    context.Error("timestamp too big");
    return false;
  }
  out.zone = context.caches().Zone(zone_name);
  if (out.zone == nullptr) {
    context.Error("unknown time zone " + std::string(zone_name));
    return false;
  }
  out.time = absl::FromUnixNanos(*value);
  return true;
}

Value Integers(BuiltinContext& context, std::initializer_list<int64_t> values) {
  ArrayBuilder array(context.arena(), values.size());
  for (const int64_t value : values) array.Add(Value::Int(value));
  return array.Build();
}

Value FromTime(BuiltinContext& context, absl::Time time) {
  if (time < absl::FromUnixNanos(INT64_MIN) || time > absl::FromUnixNanos(INT64_MAX)) {
    return context.Error("time outside of valid range");
  }
  return Value::Int(absl::ToUnixNanos(time));
}

Value NowNanos(BuiltinContext& context, const Value*) { return Value::Int(context.time_unix_ns()); }

Value Clock(BuiltinContext& context, const Value* args) {
  Moment moment;
  if (!ReadMoment(context, args[0], moment)) return Value();
  const absl::CivilSecond civil = moment.zone->At(moment.time).cs;
  return Integers(context, {civil.hour(), civil.minute(), civil.second()});
}

Value Date(BuiltinContext& context, const Value* args) {
  Moment moment;
  if (!ReadMoment(context, args[0], moment)) return Value();
  const absl::CivilSecond civil = moment.zone->At(moment.time).cs;
  return Integers(context, {civil.year(), civil.month(), civil.day()});
}

Value Weekday(BuiltinContext& context, const Value* args) {
  static constexpr std::string_view kNames[] = {"Monday", "Tuesday",  "Wednesday", "Thursday",
                                                "Friday", "Saturday", "Sunday"};
  Moment moment;
  if (!ReadMoment(context, args[0], moment)) return Value();
  const absl::CivilDay day(moment.zone->At(moment.time).cs);
  return MakeStringView(kNames[static_cast<int>(absl::GetWeekday(day))]);
}

// Go's Time.AddDate: the parts are added and overflow into the next ones; a local time that does
// not exist takes the offset from before the change.
Value AddDate(BuiltinContext& context, const Value* args) {
  Moment moment;
  if (!ReadMoment(context, args[0], moment)) return Value();
  AEGIS_INT_ARG(years, 1);
  AEGIS_INT_ARG(months, 2);
  AEGIS_INT_ARG(days, 3);
  constexpr int64_t kFar = 1'000'000'000;
  if (years > kFar || years < -kFar || months > kFar || months < -kFar || days > kFar ||
      days < -kFar) {
    return context.Error("time outside of valid range");
  }
  const absl::CivilSecond civil = moment.zone->At(moment.time).cs;
  const absl::CivilSecond moved(civil.year() + years, civil.month() + months, civil.day() + days,
                                civil.hour(), civil.minute(), civil.second());
  const absl::Duration fraction =
      moment.time - absl::FromUnixSeconds(absl::ToUnixSeconds(moment.time));
  return FromTime(context, moment.zone->At(moved).pre + fraction);
}

Value Difference(BuiltinContext& context, const Value* args) {
  Moment first, second;
  if (!ReadMoment(context, args[0], first) || !ReadMoment(context, args[1], second)) return Value();
  second.zone = first.zone;
  if (first.time > second.time) std::swap(first.time, second.time);
  const absl::CivilSecond from = first.zone->At(first.time).cs;
  const absl::CivilSecond to = first.zone->At(second.time).cs;
  int64_t year = to.year() - from.year(), month = to.month() - from.month();
  int64_t day = to.day() - from.day(), hour = to.hour() - from.hour();
  int64_t minute = to.minute() - from.minute(), second_count = to.second() - from.second();
  if (second_count < 0) {
    second_count += 60;
    --minute;
  }
  if (minute < 0) {
    minute += 60;
    --hour;
  }
  if (hour < 0) {
    hour += 24;
    --day;
  }
  if (day < 0) {
    const absl::CivilMonth start(from);
    day += absl::CivilDay(start + 1) - absl::CivilDay(start);
    --month;
  }
  if (month < 0) {
    month += 12;
    --year;
  }
  return Integers(context, {year, month, day, hour, minute, second_count});
}

// RFC 3339 as Go's time.Parse takes it: capital T and Z, any number of digits after the second.
class Rfc3339 {
 public:
  explicit Rfc3339(std::string_view text) : text_(text) {}

  std::optional<absl::Time> Parse() {
    int year, month, day, hour, minute, second;
    if (!Number(4, year) || !Skip('-') || !Number(2, month) || !Skip('-') || !Number(2, day) ||
        !Skip('T') || !Hour(hour) || !Skip(':') || !Number(2, minute) || !Skip(':') ||
        !Number(2, second)) {
      return std::nullopt;
    }
    absl::Duration fraction;
    if (Peek() == '.' || Peek() == ',') {
      ++at_;
      int64_t nanos = 0, unit = 100'000'000;
      if (!IsDigit()) return std::nullopt;
      for (; IsDigit(); ++at_, unit /= 10) nanos += (text_[at_] - '0') * unit;
      fraction = absl::Nanoseconds(nanos);
    }
    int offset = 0;
    if (!Skip('Z')) {
      const char sign = Peek();
      int hours, minutes;
      if ((sign != '+' && sign != '-') || !Skip(sign) || !Number(2, hours) || !Skip(':') ||
          !Number(2, minutes) || hours > 24 || minutes > 60) {
        return std::nullopt;
      }
      offset = (hours * 60 + minutes) * 60 * (sign == '-' ? -1 : 1);
    }
    if (at_ != text_.size() || month < 1 || month > 12 || day < 1 || hour > 23 || minute > 59 ||
        second > 59) {
      return std::nullopt;
    }
    const absl::CivilSecond civil(year, month, day, hour, minute, second);
    if (civil.day() != day) return std::nullopt;
    return absl::FromCivil(civil, absl::UTCTimeZone()) + fraction - absl::Seconds(offset);
  }

 private:
  char Peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }
  bool IsDigit() const { return Peek() >= '0' && Peek() <= '9'; }
  bool Skip(char c) {
    if (Peek() != c) return false;
    ++at_;
    return true;
  }
  bool Number(int digits, int& out) {
    out = 0;
    for (int i = 0; i < digits; ++i) {
      if (!IsDigit()) return false;
      out = out * 10 + (text_[at_++] - '0');
    }
    return true;
  }
  // Go takes one digit too.
  bool Hour(int& out) {
    if (!IsDigit()) return false;
    const bool two = at_ + 1 < text_.size() && text_[at_ + 1] >= '0' && text_[at_ + 1] <= '9';
    return Number(two ? 2 : 1, out);
  }

  std::string_view text_;
  size_t at_ = 0;
};

Value ParseRfc3339(BuiltinContext& context, const Value* args) {
  AEGIS_STRING_ARG(text, 0);
  const std::optional<absl::Time> time = Rfc3339(text).Parse();
  return time ? FromTime(context, *time) : context.Error("cannot parse the text as RFC 3339 time");
}

constexpr Builtin kBuiltins[] = {
    {"time.now_ns", 0, NowNanos},
    {"time.clock", 1, Clock},
    {"time.date", 1, Date},
    {"time.weekday", 1, Weekday},
    {"time.add_date", 4, AddDate},
    {"time.diff", 2, Difference},
    {"time.parse_rfc3339_ns", 1, ParseRfc3339},
};

}  // namespace

std::span<const Builtin> TimeBuiltins() { return kBuiltins; }

}  // namespace aegis::rego
