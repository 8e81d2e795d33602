#include "aegis/policy/dialect.h"

namespace aegis::policy {
namespace {

constexpr std::string_view kModes[] = {"enforce", "shadow"};
constexpr std::string_view kVersions[] = {kDialect};
constexpr std::string_view kTypeNames[] = {"string", "number", "integer", "boolean",
                                           "array",  "object", "null"};
constexpr std::string_view kAgentKeys[] = {"agent", "agents", "match"};

// Printable, no space at the ends; the first form without '*'.
#define AEGIS_NAME_PATTERN \
  "^[^\\u0000-\\u0020\\u007f*]([^\\u0000-\\u001f\\u007f*]*[^\\u0000-\\u0020\\u007f*])?$"
#define AEGIS_STAR_PATTERN \
  "^[^\\u0000-\\u0020\\u007f]([^\\u0000-\\u001f\\u007f]*[^\\u0000-\\u0020\\u007f])?$"
#define AEGIS_DAY "(mon|tue|wed|thu|fri|sat|sun)"
#define AEGIS_PATH_PART "[^\\u0000-\\u001f\\u007f.\\[\\]]+(\\[\\*\\])*"

// ---- Texts

constexpr Type kVersion = {
    .shape = Shape::kText, .expected = "the version of the dialect", .allowed = kVersions};
constexpr Type kMode = {.shape = Shape::kText, .expected = "a mode", .allowed = kModes};
constexpr Type kDescription = {.shape = Shape::kText, .expected = "a text", .max_bytes = 4096};
constexpr Type kName = {.shape = Shape::kText,
                        .expected = "a name",
                        .check = CheckName,
                        .schema_pattern = AEGIS_NAME_PATTERN,
                        .max_bytes = kMaxNameBytes};
constexpr Type kDocumentName = {.shape = Shape::kText,
                                .expected = "a name",
                                .check = CheckDocumentName,
                                .schema_pattern =
                                    "^[^\\u0000-\\u0020\\u007f*/#]([^\\u0000-\\u001f\\u007f*/"
                                    "#]*[^\\u0000-\\u0020\\u007f*/#])?$",
                                .max_bytes = kMaxNameBytes};
constexpr Type kPattern = {.shape = Shape::kText,
                           .expected = "a name or a pattern with '*'",
                           .check = CheckPattern,
                           .schema_pattern = AEGIS_STAR_PATTERN,
                           .max_bytes = kMaxNameBytes};
constexpr Type kCallerText = {.shape = Shape::kText,
                              .expected = "user:PATTERN or agent:PATTERN",
                              .check = CheckCaller,
                              .schema_pattern =
                                  "^(user|agent):[^\\u0000-\\u0020\\u007f]([^\\u0000-"
                                  "\\u001f\\u007f]*[^\\u0000-\\u0020\\u007f])?$",
                              .max_bytes = kMaxNameBytes + 6};
constexpr Type kTimezone = {.shape = Shape::kText,
                            .expected = "an IANA time zone",
                            .check = CheckTimezone,
                            .schema_pattern = "^[A-Za-z][A-Za-z0-9_+/-]*$",
                            .max_bytes = 64};
constexpr Type kDays = {.shape = Shape::kText,
                        .expected = "days such as 'mon-fri'",
                        .check = CheckDays,
                        .schema_pattern = "^[ \\t]*" AEGIS_DAY "[ \\t]*(-[ \\t]*" AEGIS_DAY
                                          "[ \\t]*)?(,[ \\t]*" AEGIS_DAY
                                          "[ \\t]*(-[ \\t]*" AEGIS_DAY "[ \\t]*)?)*$",
                        .max_bytes = kMaxNameBytes};
constexpr Type kHours = {.shape = Shape::kText,
                         .expected = "a span such as '08:00-18:00'",
                         .check = CheckHours,
                         .schema_pattern =
                             "^[ \\t]*([01][0-9]|2[0-3]):[0-5][0-9][ \\t]*-[ "
                             "\\t]*(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)[ \\t]*$",
                         .max_bytes = 64};
constexpr Type kRegexText = {.shape = Shape::kText,
                             .expected = "an RE2 pattern",
                             .check = CheckRegex,
                             .max_bytes = kMaxPatternBytes};
constexpr Type kFragment = {.shape = Shape::kText, .expected = "a text"};
constexpr Type kTypeName = {
    .shape = Shape::kText, .expected = "the name of a type", .allowed = kTypeNames};
constexpr Type kCidr = {.shape = Shape::kText,
                        .expected = "a block of IP addresses",
                        .check = CheckCidr,
                        .schema_pattern = "^[0-9A-Fa-f:.]+(/[0-9]{1,3})?$",
                        .max_bytes = 64};
constexpr Type kDomain = {
    .shape = Shape::kText,
    .expected = "a host name",
    .check = CheckDomain,
    .schema_pattern = "^(\\*\\.)?[A-Za-z0-9_-]{1,63}(\\.[A-Za-z0-9_-]{1,63})*\\.?$",
    .max_bytes = kMaxNameBytes};

// ---- Values

constexpr Type kNumber = {.shape = Shape::kNumber, .expected = "a number"};
constexpr Type kCount = {.shape = Shape::kCount, .expected = "a whole number of at least 0"};
constexpr Type kBool = {.shape = Shape::kBool, .expected = "true or false"};
constexpr Type kAnyValue = {.shape = Shape::kValue, .expected = "a value"};
constexpr Type kScalar = {.shape = Shape::kScalar, .expected = "a text, a number, true or false"};
constexpr Type kValues = {.shape = Shape::kList,
                          .expected = "a list of values",
                          .element = &kAnyValue,
                          .min_size = 1,
                          .max_size = kMaxListedValues};
constexpr Type kCidrList = {.shape = Shape::kList,
                            .expected = "a list of blocks of IP addresses",
                            .element = &kCidr,
                            .min_size = 1,
                            .max_size = kMaxListedValues};
constexpr const Type* kCidrOptions[] = {&kCidr, &kCidrList};
constexpr Type kCidrs = {.shape = Shape::kChoice,
                         .expected = "a block of IP addresses or a list of them",
                         .options = kCidrOptions};
constexpr Type kDomainList = {.shape = Shape::kList,
                              .expected = "a list of host names",
                              .element = &kDomain,
                              .min_size = 1,
                              .max_size = kMaxListedValues};
constexpr const Type* kDomainOptions[] = {&kDomain, &kDomainList};
constexpr Type kDomains = {.shape = Shape::kChoice,
                           .expected = "a host name or a list of them",
                           .options = kDomainOptions};

// ---- Conditions. The order of the operators is that of enum Op (document.h).

constexpr Key kOperators[] = {
    {"eq", &kAnyValue, "equals by JSON value: 1 = 1.0, true is not 1, \"1\" is not 1"},
    {"ne", &kAnyValue, "is there and does not equal"},
    {"in", &kValues, "equals one of the list"},
    {"not_in", &kValues, "is there and equals none of the list"},
    {"lt", &kNumber, "is a number below"},
    {"lte", &kNumber, "is a number of at most"},
    {"gt", &kNumber, "is a number above"},
    {"gte", &kNumber, "is a number of at least"},
    {"matches", &kRegexText, "is a string that the RE2 pattern matches as a whole"},
    {"starts_with", &kFragment, "is a string that starts with"},
    {"ends_with", &kFragment, "is a string that ends with"},
    {"contains", &kAnyValue, "is a string with that substring, or a list with that element"},
    {"length_lte", &kCount, "is a string (code points), list or object of at most that size"},
    {"length_gte", &kCount, "is a string (code points), list or object of at least that size"},
    {"exists", &kBool, "is present (true; null is present) or absent (false)"},
    {"type", &kTypeName, "is of the type"},
    {"cidr", &kCidrs, "is an IP address in one of the blocks"},
    {"domain", &kDomains, "is one of the hosts, or for '*.x' a host below x; case is ignored"},
};

constexpr Type kOperatorMap = {.shape = Shape::kMap,
                               .expected = "a map of operators such as {lte: 5000}",
                               .doc =
                                   "All operators must hold. A param that is missing or of the "
                                   "wrong type fails.",
                               .id = "operators",
                               .min_size = 1,
                               .keys = kOperators,
                               .key_word = "operator"};
constexpr const Type* kConditionOptions[] = {&kScalar, &kOperatorMap};
constexpr Type kCondition = {
    .shape = Shape::kChoice,
    .expected = "the value that the param must equal, or a map of operators such as {in: [a, b]}",
    .doc = "A bare value means eq.",
    .options = kConditionOptions};
constexpr const Type* kBoundOptions[] = {&kNumber, &kOperatorMap};
constexpr Type kBound = {.shape = Shape::kChoice,
                         .expected = "a number",
                         .doc = "A map of operators speaks of the param of this very name.",
                         .options = kBoundOptions};
constexpr const Type* kAllowedOptions[] = {&kValues, &kOperatorMap};
constexpr Type kAllowedValues = {.shape = Shape::kChoice,
                                 .expected = "a list of values such as [usd, eur]",
                                 .doc = "A map of operators speaks of the param of this very name.",
                                 .options = kAllowedOptions};
constexpr KeyFamily kShortForms[] = {
    {"max_", &kBound, "max_X: N is X: {lte: N}"},
    {"min_", &kBound, "min_X: N is X: {gte: N}"},
    {"allowed_", &kAllowedValues, "allowed_X: [...] is X: {in: [...]}"},
};
constexpr Type kConditions = {
    .shape = Shape::kMap,
    .expected = "a map of conditions such as {max_amount: 5000}",
    .doc = "Keys are paths below params: a, a.b, items[*].price. All must hold.",
    .id = "conditions",
    .element = &kCondition,
    .max_size = kMaxConditions,
    .families = kShortForms,
    .check_key = CheckPath,
    .key_schema_pattern = "^" AEGIS_PATH_PART "(\\." AEGIS_PATH_PART ")*$",
    .key_word = "path"};

// ---- Entries

constexpr Type kActions = {
    .shape = Shape::kList,
    .expected = "a list of names or patterns of actions such as [read, 'get_*']",
    .element = &kPattern,
    .min_size = 1,
    .max_size = kMaxActions,
    .unique = true};
constexpr Key kCallerKeys[] = {
    {"agent", &kPattern, "The agent, or a pattern of agents, that may be in the chain.", true},
    {"conditions", &kConditions, "What the call must meet when this agent is behind it."},
};
constexpr Type kCallerMap = {
    .shape = Shape::kMap, .expected = "a map {agent: ..., conditions: ...}", .keys = kCallerKeys};
constexpr const Type* kCallerOptions[] = {&kCallerText, &kCallerMap};
constexpr Type kCaller = {
    .shape = Shape::kChoice,
    .expected = "'user:PATTERN', 'agent:PATTERN' or a map {agent: ..., conditions: ...}",
    .options = kCallerOptions};
constexpr Type kCallers = {
    .shape = Shape::kList,
    .expected = "a list of callers such as ['user:*', 'agent:planner-agent']",
    .doc =
        "Who may be in the chain behind the agent. Without it: users may, agents may not. []: "
        "nobody.",
    .element = &kCaller,
    .max_size = kMaxCallers};
constexpr Key kScheduleKeys[] = {
    {"days", &kDays,
     "Days of the week; a span over midnight belongs to the day it begins on. Default: all."},
    {"hours", &kHours, "Local time from-to. Default: all day."},
    {"timezone", &kTimezone, "IANA time zone. Default: UTC."},
};
constexpr Type kSchedule = {
    .shape = Shape::kMap,
    .expected = "a map such as {days: mon-fri, hours: '08:00-18:00', timezone: Europe/Berlin}",
    .min_size = 1,
    .keys = kScheduleKeys};

constexpr Key kToolKeys[] = {
    {"name", &kPattern, "The tool, or a pattern of tools.", true},
    {"actions", &kActions, "Actions, or patterns of actions. Default: all."},
    {"conditions", &kConditions, "What the params must meet; all must hold."},
    {"callers", &kCallers, "Who may be in the chain behind the agent."},
    {"schedule", &kSchedule, "When the entry holds."},
    {"mode", &kMode, "shadow: record what would be decided, let the call pass."},
    {"approval", nullptr, "A human approves before the call leaves."},
    {"sanitize", nullptr, "Mask or redact parts of request and response."},
    {"labels", nullptr, "Labels that the session carries after this call."},
    {"forbid_after", nullptr, "Session labels that rule this call out."},
    {"approve_after", nullptr, "Session labels that make this call need approval."},
    {"rate_limits", nullptr, "Requests per time."},
    {"budget", nullptr, "Spending limits."},
    {"cost", nullptr, "What one call costs."},
};
constexpr Type kTool = {.shape = Shape::kMap,
                        .expected = "a map with the tool's name, such as {name: stripe-payments}",
                        .keys = kToolKeys};
constexpr Type kAllowedTools = {.shape = Shape::kList,
                                .expected = "a list of tools such as [{name: stripe-payments}]",
                                .element = &kTool,
                                .max_size = kMaxEntries};
constexpr Key kDeniedKeys[] = {
    {"name", &kPattern, "The tool, or a pattern of tools.", true},
    {"actions", &kActions, "Actions, or patterns of actions. Default: all."},
};
constexpr Type kDenied = {.shape = Shape::kMap,
                          .expected = "a map with the tool's name, such as {name: '*'}",
                          .keys = kDeniedKeys};
constexpr Type kDeniedTools = {
    .shape = Shape::kList,
    .expected = "a list of tools such as [{name: '*', actions: ['delete_*']}]",
    .element = &kDenied,
    .max_size = kMaxEntries};

// ---- Egress

constexpr std::string_view kVerdicts[] = {"refuse", "allow"};
constexpr Type kVerdict = {
    .shape = Shape::kText, .expected = "'refuse' or 'allow'", .allowed = kVerdicts};
constexpr Type kEgressHost = {.shape = Shape::kText,
                              .expected = "a host such as 'api.example.com:443'",
                              .check = CheckEgressHost,
                              .schema_pattern = "^[^\\u0000-\\u0020\\u007f]+$",
                              .max_bytes = 512};
constexpr Type kEgressAllow = {.shape = Shape::kList,
                               .expected = "a list of hosts such as ['api.example.com:443']",
                               .element = &kEgressHost,
                               .max_size = kMaxEntries};
constexpr Key kEgressTlsKeys[] = {
    {"missing_sni", &kVerdict, "TLS that does not name the host it means. Default: refuse."},
    {"ech", &kVerdict,
     "TLS that hides the host it means (Encrypted Client Hello). Default: refuse."},
    {"plain", &kVerdict, "What is not TLS at all, through CONNECT. Default: refuse."},
};
constexpr Type kEgressTls = {.shape = Shape::kMap,
                             .expected = "a map such as {ech: allow}",
                             .doc =
                                 "What connections through CONNECT may hold but TLS that names "
                                 "the host of the CONNECT.",
                             .min_size = 1,
                             .keys = kEgressTlsKeys};
constexpr Key kEgressKeys[] = {
    {"allow", &kEgressAllow,
     "host, *.host below it, or a block of IP addresses, each with :port, :from-to or :* (443 "
     "alone when there is none). Only a listed block opens private addresses.",
     true},
    {"tls", &kEgressTls, "What TLS connections need not keep to."},
};
constexpr Type kEgress = {.shape = Shape::kMap,
                          .expected = "a map such as {allow: ['api.example.com:443']}",
                          .keys = kEgressKeys};

// ---- Documents

constexpr Type kAgents = {.shape = Shape::kList,
                          .expected = "a list of names of agents",
                          .element = &kName,
                          .min_size = 1,
                          .max_size = kMaxAgents,
                          .unique = true};
constexpr Type kLabels = {.shape = Shape::kMap,
                          .expected = "a map of labels such as {team: finance}",
                          .element = &kName,
                          .min_size = 1,
                          .max_size = 16,
                          .check_key = CheckName,
                          .key_schema_pattern = AEGIS_NAME_PATTERN,
                          .key_word = "label"};
constexpr Key kMatchKeys[] = {
    {"labels", &kLabels, "All of these labels, with these values.", true},
};
constexpr Type kMatch = {.shape = Shape::kMap,
                         .expected = "a map such as {labels: {team: finance}}",
                         .keys = kMatchKeys};
constexpr Type kRegoFile = {
    .shape = Shape::kText,
    .expected = "a file of Rego such as 'payments_extra.rego'",
    .check = CheckRegoFile,
    .schema_pattern = "^([A-Za-z0-9_-][A-Za-z0-9_.-]*/)*[A-Za-z_][A-Za-z0-9_]*\\.rego$",
    .max_bytes = kMaxNameBytes};
constexpr Type kRegoFiles = {.shape = Shape::kList,
                             .expected = "a list of files of Rego such as [payments_extra.rego]",
                             .element = &kRegoFile,
                             .min_size = 1,
                             .max_size = kMaxRegoFiles,
                             .unique = true};
constexpr Key kDocumentKeys[] = {
    {"apiVersion", &kVersion, "Version of the dialect. Default: aegis/v1."},
    {"name", &kDocumentName,
     "Name of this document, which orders documents. Default: the file's name."},
    {"agent", &kName, "The agent that this document is for."},
    {"agents", &kAgents, "The agents that this document is for."},
    {"match", &kMatch, "This document is for every agent with these labels."},
    {"mode", &kMode, "shadow: record what would be decided, let the calls pass. Default: enforce."},
    {"description", &kDescription, "For people."},
    {"allowed_tools", &kAllowedTools, "What the agent may call. All else is denied.", true},
    {"denied_tools", &kDeniedTools, "Calls that are denied whatever allows them."},
    {"egress", &kEgress, "Hosts that the agent may connect to, through the egress door."},
    {"budget", nullptr, "Spending limits."},
    {"rate_limits", nullptr, "Requests per time."},
    {"concurrency", nullptr, "Calls at the same time."},
    {"rego", &kRegoFiles,
     "Files of custom Rego beside this one, package aegis.custom.NAME, that may deny more."},
};
constexpr Type kDocument = {.shape = Shape::kMap,
                            .expected = "a policy document: a map with 'agent' and 'allowed_tools'",
                            .doc = "What one agent, or a group of agents, may do.",
                            .keys = kDocumentKeys,
                            .exactly_one = kAgentKeys};

// ---- Policy unit tests

constexpr std::string_view kOutcomes[] = {"allow", "deny", "sanitize", "approval_needed", "defer"};
// Those that a policy can give; tokens and suspended agents are refused before.
constexpr std::string_view kReasons[] = {"allowed",          "no_policy",
                                         "no_grant",         "action_not_allowed",
                                         "condition_failed", "caller_not_permitted",
                                         "outside_schedule", "denied_tool",
                                         "custom_denied",    "egress_not_allowed",
                                         "policy_error"};
constexpr Type kReason = {.shape = Shape::kText, .expected = "a reason", .allowed = kReasons};
constexpr Type kOutcome = {.shape = Shape::kText, .expected = "an outcome", .allowed = kOutcomes};
constexpr Type kText = {.shape = Shape::kText, .expected = "a text", .max_bytes = 4096};
constexpr Type kTitle = {.shape = Shape::kText,
                         .expected = "a name",
                         .check = CheckName,
                         .schema_pattern = AEGIS_NAME_PATTERN,
                         .max_bytes = kMaxNameBytes};
constexpr Type kParams = {.shape = Shape::kMap,
                          .expected = "a map of params such as {amount: 4200}",
                          .element = &kAnyValue};
constexpr Type kAgentLabels = {.shape = Shape::kMap,
                               .expected = "a map of the agent's labels such as {team: finance}",
                               .element = &kText};
constexpr Type kLink = {.shape = Shape::kText,
                        .expected = "user:NAME or agent:NAME",
                        .check = CheckLink,
                        .schema_pattern = "^(user|agent):[\\s\\S]",
                        .max_bytes = 4096};
constexpr Type kChain = {.shape = Shape::kList,
                         .expected = "a list such as ['user:alice', 'agent:planner-agent']",
                         .element = &kLink,
                         .max_size = 64};
constexpr Type kTime = {.shape = Shape::kText,
                        .expected = "a time such as '2026-11-24T09:30:00Z' (RFC 3339)",
                        .check = CheckTime,
                        .schema_pattern =
                            "^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}"
                            "(\\.[0-9]+)?([Zz]|[+-][0-9]{2}:[0-9]{2})$",
                        .max_bytes = 64};
constexpr std::string_view kDoors[] = {"cli", "http", "sdk", "egress"};
constexpr Type kDoor = {.shape = Shape::kText, .expected = "a door", .allowed = kDoors};
constexpr Key kCallKeys[] = {
    {"agent", &kText, "The acting agent.", true},
    {"tool", &kText, "The tool.", true},
    {"action", &kText, "The action.", true},
    {"params", &kParams, "The call's arguments. Default: none."},
    {"chain", &kChain, "Who is behind the call, the first cause first. Default: nobody."},
    {"labels", &kAgentLabels, "The agent's labels. Default: none."},
    {"door", &kDoor,
     "How it comes; egress: the tool is a host, params.port its port. Default: cli."},
    {"time", &kTime, "When. Default: Monday, 2026-01-05T12:00:00Z."},
};
constexpr Type kCall = {.shape = Shape::kMap,
                        .expected = "a call: a map with 'agent', 'tool' and 'action'",
                        .keys = kCallKeys};
constexpr Key kExpectKeys[] = {
    {"outcome", &kOutcome, "allow, deny, ...", true},
    {"reason", &kReason, "The reason's id, for example condition_failed."},
    {"rule", &kText,
     "The rule that decided, for example finance-agent/stripe-payments/create_payment."},
    {"mode", &kMode, "Whether the verdict is enforced."},
    {"message", &kText, "The whole message."},
};
constexpr Type kExpect = {.shape = Shape::kMap,
                          .expected = "a map such as {outcome: deny, reason: condition_failed}",
                          .keys = kExpectKeys};
constexpr Key kTestKeys[] = {
    {"name", &kTitle, "What the test shows.", true},
    {"call", &kCall, "The call that is decided.", true},
    {"expect", &kExpect, "What the decision must be; what is left out may be anything.", true},
};
constexpr Type kTest = {.shape = Shape::kMap,
                        .expected = "a test: a map with 'name', 'call' and 'expect'",
                        .keys = kTestKeys};
constexpr Type kTests = {.shape = Shape::kList,
                         .expected = "a list of tests",
                         .element = &kTest,
                         .min_size = 1,
                         .max_size = 100'000};
constexpr Key kTestFileKeys[] = {
    {"tests", &kTests, "The tests.", true},
};
constexpr Type kTestFile = {.shape = Shape::kMap,
                            .expected = "a file of policy tests: a map with 'tests'",
                            .doc = "Calls and the decisions that the policies must give on them.",
                            .keys = kTestFileKeys};

#undef AEGIS_NAME_PATTERN
#undef AEGIS_STAR_PATTERN
#undef AEGIS_DAY
#undef AEGIS_PATH_PART

}  // namespace

const Type& DocumentType() { return kDocument; }
const Type& TestFileType() { return kTestFile; }
std::span<const Key> OperatorKeys() { return kOperators; }

}  // namespace aegis::policy
