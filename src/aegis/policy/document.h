// Policies as typed values: what the dialect's documents say, checked.
//
// Threading: value types; a PolicySet is only read once it is parsed.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "aegis/policy/diagnostic.h"
#include "aegis/policy/egress_target.h"
#include "aegis/policy/schedule.h"

namespace aegis::policy {

enum class Mode : uint8_t { kEnforce, kShadow };
std::string_view ModeName(Mode mode);  // "enforce", "shadow"

// In the order of OperatorKeys() (dialect.h).
enum class Op : uint8_t {
  kEq,
  kNe,
  kIn,
  kNotIn,
  kLt,
  kLte,
  kGt,
  kGte,
  kMatches,
  kStartsWith,
  kEndsWith,
  kContains,
  kLengthLte,
  kLengthGte,
  kExists,
  kType,
  kCidr,
  kDomain,
};
inline constexpr int kOpCount = 18;
std::string_view OpName(Op op);

// One operator on one path.
struct Condition {
  Op op = Op::kEq;
  std::string path;        // below params: "items[*].price"; for the short forms their X
  std::string short_form;  // "max_amount"; empty: not written so
  std::string bound;       // compact JSON, as written: 5000, ["usd","eur"], "10.0.0.0/8"
  // The parts of the bound. in, not_in: JSON of each value. cidr, domain, and the operators with a
  // text: the texts. Else the bound itself.
  std::vector<std::string> values;

  // What the policy calls it: "max_amount 5000", "in ["usd","eur"]".
  std::string Said() const;
  friend bool operator==(const Condition&, const Condition&) = default;
};

struct Caller {
  std::string type;  // "user" or "agent"
  std::string pattern;
  std::vector<Condition> conditions;
  friend bool operator==(const Caller&, const Caller&) = default;
};

struct Schedule {
  uint8_t days = 0x7F;  // bit 0: Monday
  Hours hours;
  std::string timezone = "UTC";
  std::string ToString() const;  // "mon-fri 08:00-18:00 Europe/Berlin"
  friend bool operator==(const Schedule&, const Schedule&) = default;
};

// One item of allowed_tools.
struct Entry {
  std::string tool;                  // pattern
  std::vector<std::string> actions;  // patterns; {"*"} when the policy names none
  std::vector<Condition> conditions;
  std::optional<std::vector<Caller>> callers;  // empty list: nobody may be in the chain
  std::optional<Schedule> schedule;
  Mode mode = Mode::kEnforce;  // its own, else the document's
  Position position;
};

// One item of denied_tools.
struct Denial {
  std::string tool;
  std::vector<std::string> actions;
  Position position;
};

// `egress`: what the agent may connect to through the egress door.
struct Egress {
  struct Allowed {
    std::string text;  // as written
    EgressTarget target;
  };
  std::vector<Allowed> allow;
  std::vector<std::string> tls;  // what is allowed there: of "missing_sni", "ech", "plain"; sorted
};

// A file of custom Rego that a document lists.
struct RegoListing {
  std::string file;     // as written: a path from the document's folder
  std::string package;  // X of aegis.custom.X: the file's name without folder and ".rego"
  Position position;
};

struct Document {
  // Unique, and what orders documents. `name:`, else the file's name without folder and extension;
  // further documents of that file have "#2", "#3" ... after it.
  std::string name;
  std::string file;  // as the caller named it
  Position position;
  std::string agent;                // `agent:`; empty: not given
  std::vector<std::string> agents;  // of `agent` or `agents`; empty for `match`
  std::vector<std::pair<std::string, std::string>> match_labels;  // sorted by key
  Mode mode = Mode::kEnforce;
  std::string description;
  std::vector<Entry> allowed_tools;
  std::vector<Denial> denied_tools;
  Egress egress;
  std::vector<RegoListing> rego;

  // The first part of rules: the agent's name for `agent:`, else the document's.
  const std::string& Label() const { return agent.empty() ? name : agent; }
};

// What the sources were, for the record.
struct SourceDigest {
  std::string name;    // without folder
  std::string sha256;  // lower-case hex
};

// Custom Rego, package aegis.custom.X.
struct CustomModule {
  std::string package;  // X
  std::string file;     // as the caller named it
  std::string text;
};

struct PolicySet {
  std::vector<Document> documents;    // in their order
  std::vector<SourceDigest> sources;  // sorted by name
  std::vector<CustomModule> modules;  // that documents list; sorted by package
  // The plan of the dialect's library together with `modules`, once PlanCustomRego (custom_rego.h)
  // has made it; empty when there are no modules.
  std::string custom_plan_json;
};

// Splits a path at dots and [*]: "items[*].price" -> {{"items"}, {"price"}}, "a.b" -> {{"a", "b"}},
// "tags[*]" -> {{"tags"}, {}}. One part more than there are [*].
std::vector<std::vector<std::string>> SplitPath(std::string_view path);

}  // namespace aegis::policy
