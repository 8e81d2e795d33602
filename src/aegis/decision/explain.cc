#include "aegis/decision/explain.h"

#include <algorithm>
#include <charconv>
#include <memory>

#include "aegis/json/tree.h"
#include "aegis/rego/program.h"
#include "aegis/rego/vm.h"

namespace aegis::decision {
namespace {

using rego::Value;

constexpr json::Limits kDataLimits{
    .max_bytes = size_t{256} << 20, .max_depth = 256, .max_values = size_t{1} << 26};
constexpr json::Limits kInputLimits{.max_bytes = size_t{16} << 20, .max_depth = 256};
constexpr size_t kMaxValues = 8;
constexpr size_t kMaxShownBytes = 200;

// Several grants may have the same rule text, so before evaluating each gets its number in front
// of it. Nothing in the library looks at the text; it only hands it on.
constexpr char kNumberEnd = '#';

Value NumberedGrants(Value grants, Arena& arena) {
  rego::ArrayBuilder numbered(arena, grants.size());
  int64_t number = 0;
  for (const Value grant : grants.elements()) {
    rego::ObjectBuilder copy(arena, grant.size());
    for (const rego::Member& member : grant.members()) copy.Add(member.key, member.value);
    const std::string rule =
        std::to_string(number++) + kNumberEnd + std::string(grant.Get("rule").string_value());
    copy.Add("rule", rego::MakeString(arena, rule));
    numbered.Add(copy.Build());
  }
  return numbered.Build();
}

Value WithMember(Value object, std::string_view key, Value value, Arena& arena) {
  rego::ObjectBuilder copy(arena, object.size());
  for (const rego::Member& member : object.members()) copy.Add(member.key, member.value);
  copy.Add(key, value);
  return copy.Build();
}

// The number that NumberedGrants put in front; nothing when the rule is not a grant's (a denial's
// may begin with digits and '#' by itself).
std::optional<int64_t> TakeNumber(std::string_view& rule, Value grants) {
  const size_t end = rule.find(kNumberEnd);
  if (end == std::string_view::npos || end == 0) return std::nullopt;
  int64_t number = 0;
  const auto [at, error] = std::from_chars(rule.data(), rule.data() + end, number);
  if (error != std::errc() || at != rule.data() + end) return std::nullopt;
  const std::string_view rest = rule.substr(end + 1);
  if (grants.At(static_cast<size_t>(number)).Get("rule").string_value() != rest) {
    return std::nullopt;
  }
  rule = rest;
  return number;
}

std::string Shown(Value value) {
  std::string text = rego::ToJson(value);
  if (text.size() <= kMaxShownBytes) return text;
  size_t end = kMaxShownBytes;
  while (end > 0 && (text[end] & 0xc0) == 0x80) --end;  // not within a character
  return text.substr(0, end) + "\xe2\x80\xa6";
}

Value Walk(Value value, Value names) {
  for (const Value name : names.elements()) {
    if (!value.is_object()) return Value();
    value = value.Get(name);
  }
  return value;
}

// What the call has where a row looks: `key`, `path` or `each` (docs/formats/policy-data.md, ROW).
void CollectEach(Value value, std::span<const Value> parts, std::vector<std::string>& out) {
  if (out.size() == kMaxValues) return;
  value = Walk(value, parts.front());
  if (value.is_undefined()) return;
  if (parts.size() == 1) {
    out.push_back(Shown(value));
    return;
  }
  for (const Value element : value.is_array() ? value.elements() : std::span<const Value>()) {
    CollectEach(element, parts.subspan(1), out);
  }
}

std::vector<std::string> ValuesOf(Value row, Value params) {
  std::vector<std::string> out;
  if (const Value each = row.Get("each"); each.is_array() && each.size() > 0) {
    CollectEach(params, each.elements(), out);
    return out;
  }
  const Value key = row.Get("key");
  const Value value = key.is_undefined() ? Walk(params, row.Get("path"))
                                         : (params.is_object() ? params.Get(key) : Value());
  if (!value.is_undefined()) out.push_back(Shown(value));
  return out;
}

Explanation::Verdict VerdictOf(Value row, std::string_view reason, Value violations) {
  if (reason == "allowed") return Explanation::Verdict::kHolds;
  if (reason != "condition_failed") return Explanation::Verdict::kNotAsked;
  for (const Value violation : violations.elements()) {
    if (rego::Equal(violation, row.Get("violation"))) return Explanation::Verdict::kFails;
  }
  return Explanation::Verdict::kHolds;
}

std::string_view VerdictName(Explanation::Verdict verdict) {
  switch (verdict) {
    case Explanation::Verdict::kHolds:
      return "holds";
    case Explanation::Verdict::kFails:
      return "fails";
    case Explanation::Verdict::kNotAsked:
      return "not asked";
  }
  return "";
}

void DescribeGrant(Value tables, Value input, Value violations, Explanation& out) {
  const Value body = tables.Get("bodies").At(static_cast<size_t>(
      tables.Get("grants").At(static_cast<size_t>(*out.grant)).Get("body").int_value()));
  for (const Value row : body.Get("conditions").elements()) {
    const Value violation = row.Get("violation");
    Explanation::Condition condition;
    condition.path = violation.Get("path").string_value();
    condition.op = violation.Get("op").string_value();
    condition.bound_json = Shown(violation.Get("bound"));
    condition.values_json = ValuesOf(row, input.Get("params"));
    condition.verdict = VerdictOf(row, out.reason, violations);
    out.conditions.push_back(std::move(condition));
  }
  const Value callers = body.Get("callers");
  out.any_user_may_call = callers.is_undefined();
  for (const Value caller : callers.elements()) {
    out.callers.emplace_back(caller.Get("who").string_value());
  }
  out.schedule = body.Get("schedule").Get("text").string_value();
}

std::string Joined(const std::vector<std::string>& texts, std::string_view none) {
  if (texts.empty()) return std::string(none);
  std::string out;
  for (const std::string& text : texts) {
    if (!out.empty()) out += ", ";
    out += text;
  }
  return out;
}

void AppendJsonStrings(std::string& out, const std::vector<std::string>& texts) {
  out += '[';
  for (const std::string& text : texts) {
    if (&text != &texts.front()) out += ',';
    json::AppendQuoted(out, text);
  }
  out += ']';
}

}  // namespace

Result<Explanation> Explain(std::string_view plan_json, std::string_view data_json,
                            std::string_view input_json) {
  Arena arena(256 * 1024);
  AEGIS_TRY(Value data, rego::ParseJson(data_json.empty() ? "{}" : data_json, arena, kDataLimits));
  AEGIS_TRY(const Value input, rego::ParseJson(input_json, arena, kInputLimits));
  const Value tables = data.Get("aegis");
  std::string numbered;
  if (tables.Get("format").is_int() && tables.Get("grants").is_array()) {
    const Value grants = NumberedGrants(tables.Get("grants"), arena);
    data = WithMember(data, "aegis", WithMember(tables, "grants", grants, arena), arena);
    rego::AppendJson(data, numbered);
    data_json = numbered;
  }
  AEGIS_TRY(const std::unique_ptr<const rego::Program> program,
            rego::Program::Load(plan_json, data_json));
  const std::optional<uint32_t> entrypoint = program->FindEntrypoint("aegis/decision");
  if (!entrypoint) {
    return Fail(Code::kInvalidArgument, "bundle_no_entrypoint",
                "the bundle's plan has no entrypoint aegis/decision");
  }
  rego::Vm vm;
  const int64_t time = input.Get("time").Get("unix_ns").AsInt64().value_or(0);
  AEGIS_TRY(Value document, vm.Eval(*program, *entrypoint, input, time, arena));
  if (!document.is_object()) {
    return Fail(Code::kFailedPrecondition, "no_decision",
                "the policy gave no decision document for this input");
  }
  Explanation out;
  std::string_view rule = document.Get("rule").string_value();
  if (!numbered.empty()) out.grant = TakeNumber(rule, tables.Get("grants"));
  if (out.grant) document = WithMember(document, "rule", rego::MakeString(arena, rule), arena);
  out.document_json = rego::ToJson(document);
  out.rule = rule;
  out.outcome = document.Get("outcome").string_value();
  out.reason = document.Get("reason").string_value();
  out.mode = document.Get("mode").string_value();
  out.message = document.Get("message").string_value();
  for (const Value link : input.Get("chain").elements()) {
    out.chain.push_back(std::string(link.Get("type").string_value()) + ":" +
                        std::string(link.Get("id").string_value()));
  }
  if (out.grant) DescribeGrant(tables, input, document.Get("violations"), out);
  return out;
}

std::string Explanation::ToText() const {
  std::string out = outcome + ": " + reason;
  if (mode == "shadow") out += " (in shadow: recorded, not enforced)";
  out += "\n  message   " + message + "\n";
  if (!rule.empty()) out += std::string(grant ? "  grant     " : "  rule      ") + rule + "\n";
  if (!grant) return out;
  out += "  callers   " +
         (any_user_may_call ? "users only, the policy names none" : Joined(callers, "nobody")) +
         "; the call's chain: " + Joined(chain, "empty") + "\n";
  out += "  schedule  " + (schedule.empty() ? "any time" : schedule) + "\n";
  if (conditions.empty()) out += "  the grant has no conditions\n";
  for (const Condition& condition : conditions) {
    std::string verdict(VerdictName(condition.verdict));
    verdict.resize(10, ' ');
    out += "  " + verdict + condition.path + " " + condition.op + " " + condition.bound_json +
           "; the call has " + Joined(condition.values_json, "nothing there") + "\n";
  }
  return out;
}

std::string Explanation::ToJson() const {
  std::string out = R"({"callers":)";
  if (any_user_may_call || !grant) {
    out += "null";
  } else {
    AppendJsonStrings(out, callers);
  }
  out += R"(,"chain":)";
  AppendJsonStrings(out, chain);
  out += R"(,"conditions":[)";
  for (const Condition& condition : conditions) {
    if (&condition != &conditions.front()) out += ',';
    out += R"({"bound":)";
    // A bound that was cut is no JSON any more, so it is given as text.
    const bool cut = condition.bound_json.ends_with("\xe2\x80\xa6");
    cut ? json::AppendQuoted(out, condition.bound_json) : void(out += condition.bound_json);
    out += R"(,"op":)";
    json::AppendQuoted(out, condition.op);
    out += R"(,"path":)";
    json::AppendQuoted(out, condition.path);
    out += R"(,"values":)";
    AppendJsonStrings(out, condition.values_json);
    out += R"(,"verdict":)";
    json::AppendQuoted(out, VerdictName(condition.verdict));
    out += '}';
  }
  out += R"(],"decision":)" + document_json + R"(,"grant":)";
  out += grant ? std::to_string(*grant) : "null";
  out += R"(,"schedule":)";
  json::AppendQuoted(out, schedule);
  return out + "}";
}

}  // namespace aegis::decision
