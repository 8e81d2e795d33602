#include "aegis/decision/input.h"

#include <array>
#include <span>
#include <vector>

#include "aegis/base/text.h"

namespace aegis::decision {
namespace {

using rego::MakeStringView;
using rego::ObjectBuilder;
using rego::Value;

constexpr std::array<std::string_view, InputPlan::kPartCount> kPartNames = {
    "action",  "agent",   "chain",  "door", "org", "params",
    "request", "session", "tenant", "time", "tool"};
constexpr std::array<std::string_view, InputPlan::kWordCount> kWords = {
    "id",      "labels",  "type", "user", "agent", "headers", "host", "method", "path", "local",
    "unix_ns", "weekday", "sun",  "mon",  "tue",   "wed",     "thu",  "fri",    "sat"};

void PutDigits(char* at, int64_t value, int digits) {
  for (int i = digits - 1; i >= 0; --i, value /= 10) at[i] = static_cast<char>('0' + value % 10);
}

// RFC 3339 in UTC with milliseconds, 24 characters. The day to date conversion counts years from
// March, so that the leap day is the last of a year.
void PutRfc3339(char* text, int64_t days, int64_t millis_of_day) {
  const int64_t shifted = days + 719468;  // since 0000-03-01
  const int64_t era = (shifted >= 0 ? shifted : shifted - 146096) / 146097;
  const int64_t day_of_era = shifted - era * 146097;
  const int64_t year_of_era =
      (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
  const int64_t day_of_year =
      day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  const int64_t march_month = (5 * day_of_year + 2) / 153;
  const int64_t day = day_of_year - (153 * march_month + 2) / 5 + 1;
  const int64_t month = march_month < 10 ? march_month + 3 : march_month - 9;
  const int64_t year = year_of_era + era * 400 + (month <= 2 ? 1 : 0);
  std::string_view("0000-00-00T00:00:00.000Z").copy(text, 24);
  PutDigits(text, year, 4);
  PutDigits(text + 5, month, 2);
  PutDigits(text + 8, day, 2);
  PutDigits(text + 11, millis_of_day / 3'600'000, 2);
  PutDigits(text + 14, millis_of_day / 60'000 % 60, 2);
  PutDigits(text + 17, millis_of_day / 1000 % 60, 2);
  PutDigits(text + 20, millis_of_day % 1000, 3);
}

// Builds the parts and remembers when the arena had no room: a part that is silently missing could
// turn a deny into an allow.
class Builder {
 public:
  Builder(const Call& call, const InputPlan& plan, Arena& arena)
      : call_(call), plan_(plan), arena_(arena) {}

  bool failed() const { return failed_; }

  Value Input() {
    const identity::Principal& principal = *call_.principal;
    // In order of their names.
    std::array<rego::Member, InputPlan::kPartCount> members;
    size_t count = 0;
    const auto add = [&](InputPlan::Part part, Value value) {
      members[count++] = {plan_.parts[part], value};
    };
    if (Has(InputPlan::kAction)) add(InputPlan::kAction, MakeStringView(call_.action));
    if (Has(InputPlan::kAgent)) add(InputPlan::kAgent, Agent());
    if (Has(InputPlan::kChain)) add(InputPlan::kChain, Chain());
    if (Has(InputPlan::kDoor)) add(InputPlan::kDoor, MakeStringView(DoorName(call_.door)));
    if (Has(InputPlan::kOrg)) add(InputPlan::kOrg, MakeStringView(principal.org));
    if (Has(InputPlan::kParams)) add(InputPlan::kParams, OrEmpty(call_.params));
    if (Has(InputPlan::kRequest) && !call_.method.empty()) add(InputPlan::kRequest, Request());
    if (Has(InputPlan::kSession) && !call_.session.empty()) add(InputPlan::kSession, Session());
    if (Has(InputPlan::kTenant)) add(InputPlan::kTenant, MakeStringView(principal.tenant));
    if (Has(InputPlan::kTime)) add(InputPlan::kTime, Time());
    if (Has(InputPlan::kTool)) add(InputPlan::kTool, MakeStringView(call_.tool));
    return Object({members.data(), count});
  }

 private:
  Value Whole(Value value) {
    if (value.is_undefined()) failed_ = true;
    return value;
  }
  bool Has(InputPlan::Part part) const { return plan_.reached[part]; }
  Value W(int word) const { return plan_.words[static_cast<size_t>(word)]; }
  // Of members in order of their keys.
  Value Object(std::span<const rego::Member> members) {
    return Whole(rego::MakeObject(arena_, members));
  }
  static Value OrEmpty(Value object) {
    return object.is_undefined() ? Value::EmptyObject() : object;
  }
  char* Allocate(size_t size) {
    char* const memory = static_cast<char*>(arena_.Allocate(size, 1));
    if (memory == nullptr) failed_ = true;
    return memory;
  }

  Value Agent() {
    const rego::Member members[] = {{W(InputPlan::kId), MakeStringView(call_.principal->agent)},
                                    {W(InputPlan::kLabels), OrEmpty(call_.agent_labels)}};
    return Object(members);
  }

  Value Chain() {
    const std::vector<identity::ChainLink>& links = call_.principal->chain;
    if (links.empty()) return Value::EmptyArray();
    rego::ArrayBuilder chain(arena_, links.size());
    for (const identity::ChainLink& link : links) {
      const rego::Member members[] = {
          {W(InputPlan::kId), MakeStringView(link.id)},
          {W(InputPlan::kType),
           link.type == "agent" ? W(InputPlan::kAgentWord) : W(InputPlan::kUser)}};
      chain.Add(Object(members));
    }
    return Whole(chain.Build());
  }

  // With U+FFFD for each byte that is not part of a UTF-8 character.
  Value CleanText(std::string_view text) {
    if (IsValidUtf8(text)) return MakeStringView(text);
    constexpr std::string_view kReplacement = "\xef\xbf\xbd";
    char* const clean = Allocate(text.size() * kReplacement.size());
    if (clean == nullptr) return Value();
    size_t size = 0;
    while (!text.empty()) {
      size_t length = 1;
      while (length <= 4 && length <= text.size() && !IsValidUtf8(text.substr(0, length))) {
        ++length;
      }
      const bool valid = length <= 4 && length <= text.size();
      const std::string_view piece = valid ? text.substr(0, length) : kReplacement;
      size += piece.copy(clean + size, piece.size());
      text.remove_prefix(valid ? length : 1);
    }
    return MakeStringView({clean, size});
  }

  // The values of all headers of one name, whose first is at `first`.
  Value HeaderValue(size_t first) {
    const std::span<const Header> rest = call_.headers.subspan(first);
    size_t size = 0, count = 0;
    for (const Header& header : rest) {
      if (header.name != rest[0].name) continue;
      size += header.value.size() + 2;
      ++count;
    }
    if (count == 1) return CleanText(rest[0].value);
    char* const joined = Allocate(size);
    if (joined == nullptr) return Value();
    size_t at = 0;
    for (const Header& header : rest) {
      if (header.name != rest[0].name) continue;
      if (at > 0) at += std::string_view(", ").copy(joined + at, 2);
      at += header.value.copy(joined + at, header.value.size());
    }
    return CleanText({joined, at});
  }

  Value Headers() {
    ObjectBuilder headers(arena_, call_.headers.size());
    for (size_t i = 0; i < call_.headers.size(); ++i) {
      bool seen = false;
      for (size_t j = 0; j < i && !seen; ++j) seen = call_.headers[j].name == call_.headers[i].name;
      if (!seen) headers.Add(Whole(CleanText(call_.headers[i].name)), Whole(HeaderValue(i)));
    }
    return Whole(headers.Build());
  }

  Value Request() {
    const rego::Member members[] = {{W(InputPlan::kHeaders), Headers()},
                                    {W(InputPlan::kHost), CleanText(call_.host)},
                                    {W(InputPlan::kMethod), CleanText(call_.method)},
                                    {W(InputPlan::kPath), CleanText(call_.path)}};
    return Object(members);
  }

  Value Session() {
    const rego::Member member = {W(InputPlan::kId), MakeStringView(call_.session)};
    return Object({&member, 1});
  }

  Value Time() {
    constexpr int64_t kNanosPerDay = int64_t{86'400} * 1'000'000'000;
    int64_t days = call_.time_unix_ns / kNanosPerDay, rest = call_.time_unix_ns % kNanosPerDay;
    if (rest < 0) {
      rest += kNanosPerDay;
      --days;
    }
    char* const local = Allocate(24);
    if (local == nullptr) return Value();
    PutRfc3339(local, days, rest / 1'000'000);
    // 1970-01-01 was a Thursday.
    const int weekday = static_cast<int>(((days + 4) % 7 + 7) % 7);
    const rego::Member members[] = {{W(InputPlan::kLocal), MakeStringView({local, 24})},
                                    {W(InputPlan::kUnixNs), Value::Int(call_.time_unix_ns)},
                                    {W(InputPlan::kWeekday), W(InputPlan::kSunday + weekday)}};
    return Object(members);
  }

  const Call& call_;
  const InputPlan& plan_;
  Arena& arena_;
  bool failed_ = false;
};

}  // namespace

InputPlan InputPlan::For(const rego::Program& program, uint32_t entrypoint) {
  InputPlan plan = All();
  for (size_t i = 0; i < kPartNames.size(); ++i) {
    plan.reached[i] = program.ReachesInput(entrypoint, kPartNames[i]);
    if (const Value own = program.Intern(kPartNames[i]); !own.is_undefined()) plan.parts[i] = own;
  }
  for (size_t i = 0; i < kWords.size(); ++i) {
    if (const Value own = program.Intern(kWords[i]); !own.is_undefined()) plan.words[i] = own;
  }
  return plan;
}

InputPlan InputPlan::All() {
  InputPlan plan;
  plan.reached.fill(true);
  for (size_t i = 0; i < kPartNames.size(); ++i) plan.parts[i] = MakeStringView(kPartNames[i]);
  for (size_t i = 0; i < kWords.size(); ++i) plan.words[i] = MakeStringView(kWords[i]);
  return plan;
}

Result<Value> BuildInput(const Call& call, const InputPlan& plan, Arena& arena) {
  if (call.principal == nullptr || !IsValidUtf8(call.tool) || !IsValidUtf8(call.action) ||
      !IsValidUtf8(call.session)) {
    return Fail(Code::kInvalidArgument, "call_malformed",
                "the call's tool, action or session is not UTF-8");
  }
  Builder builder(call, plan, arena);
  const Value built = builder.Input();
  if (builder.failed()) {
    return Fail(Code::kResourceExhausted, "call_too_large",
                "the call needs more memory than a decision may have");
  }
  return built;
}

}  // namespace aegis::decision
