// time.*, in IANA zones; the time itself comes from the evaluation.
#include "absl/time/time.h"

#include <string>

#include "absl/time/civil_time.h"
#include "aegis/rego/big_number.h"
#include "aegis/rego/builtins/caches.h"
#include "aegis/rego/builtins/go_time.h"
#include "aegis/rego/builtins/operands.h"
#include "aegis/rego/number.h"

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
  // An integer of 64 bits has no more digits; what has many more is not worth reading.
  constexpr int kMaxDigits = 20;
  if (const internal::Number* const big = value ? nullptr : nanos.big_number();
      big != nullptr && big->point <= kMaxDigits && big->digits <= kMaxDigits) {
    const std::optional<mpz_class> integer = internal::ToInteger(nanos);
    if (integer && integer->fits_slong_p()) value = integer->get_si();
  }
  if (!value) {
    context.Error("timestamp too big");
    return false;
  }
  out.zone = context.caches().Zone(context, zone_name);
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

// The text of a time, [ns, zone, layout]; RFC 3339 with what there is of a fraction by default.
Value Format(BuiltinContext& context, const Value* args) {
  Moment moment;
  if (!ReadMoment(context, args[0], moment)) return Value();
  std::string_view layout = kRfc3339Nano;
  if (const Value given = args[0].At(2); !given.is_undefined()) {
    if (!given.is_string()) return context.WrongType(1, "string", given);
    if (!given.string_value().empty()) layout = GoLayout(given.string_value());
  }
  if (!context.Charge(layout.size())) return Value();
  return String(context, FormatGoTime(moment.time, *moment.zone, layout));
}

Value ParseTime(BuiltinContext& context, std::string_view layout, std::string_view text) {
  if (!context.Charge((layout.size() + text.size()) / 4)) return Value();
  const std::optional<absl::Time> time = ParseGoTime(layout, text);
  return time ? FromTime(context, *time)
              : context.Error("cannot parse \"" + std::string(text) + "\" as \"" +
                              std::string(layout) + "\"");
}

Value ParseNanos(BuiltinContext& context, const Value* args) {
  AEGIS_STRING_ARG(layout, 0);
  AEGIS_STRING_ARG(text, 1);
  return ParseTime(context, GoLayout(layout), text);
}

Value ParseRfc3339(BuiltinContext& context, const Value* args) {
  AEGIS_STRING_ARG(text, 0);
  return ParseTime(context, kRfc3339, text);
}

Value ParseDuration(BuiltinContext& context, const Value* args) {
  AEGIS_STRING_ARG(text, 0);
  if (!context.Charge(text.size() / 8)) return Value();
  const std::optional<int64_t> nanos = ParseGoDuration(text);
  return nanos ? Value::Int(*nanos) : context.Error("time: invalid duration");
}

constexpr Builtin kBuiltins[] = {
    {"time.now_ns", 0, NowNanos},
    {"time.clock", 1, Clock},
    {"time.date", 1, Date},
    {"time.weekday", 1, Weekday},
    {"time.add_date", 4, AddDate},
    {"time.diff", 2, Difference},
    {"time.format", 1, Format},
    {"time.parse_ns", 2, ParseNanos},
    {"time.parse_rfc3339_ns", 1, ParseRfc3339},
    {"time.parse_duration_ns", 1, ParseDuration},
};

}  // namespace

std::span<const Builtin> TimeBuiltins() { return kBuiltins; }

}  // namespace aegis::rego
