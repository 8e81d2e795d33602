#include "aegis/policy/lint.h"

#include <algorithm>
#include <functional>
#include <map>
#include <set>
#include <tuple>

#include "aegis/base/text.h"
#include "aegis/policy/compare.h"
#include "aegis/policy/contradiction.h"

namespace aegis::policy {
namespace {

// The documents that one agent is under, in order; or, where agents are not known, one group.
using Subject = std::vector<const Document*>;

bool HasLabels(const Registry::Agent& agent, const Document& document) {
  return std::all_of(
      document.match_labels.begin(), document.match_labels.end(), [&](const auto& label) {
        return std::find(agent.labels.begin(), agent.labels.end(), label) != agent.labels.end();
      });
}

bool IsFor(const Document& document, const Registry::Agent& agent) {
  if (document.match_labels.empty()) {
    return std::find(document.agents.begin(), document.agents.end(), agent.name) !=
           document.agents.end();
  }
  return HasLabels(agent, document);
}

std::string LabelsText(const Document& document) {
  std::string text;
  for (const auto& [key, value] : document.match_labels) {
    text += (text.empty() ? "" : ", ") + key + "=" + value;
  }
  return text;
}

std::vector<Subject> SubjectsOf(const PolicySet& policies, const Registry* registry) {
  std::map<std::string, Subject> by_name;
  const auto quoted = [](const std::string& text) { return "agent " + text; };
  for (const Document& document : policies.documents) {
    for (const std::string& agent : document.agents) by_name[quoted(agent)].push_back(&document);
    if (!document.match_labels.empty()) by_name[LabelsText(document)].push_back(&document);
  }
  if (registry != nullptr) {
    for (const Registry::Agent& agent : registry->agents) {
      Subject& subject = by_name[quoted(agent.name)];
      subject.clear();
      for (const Document& document : policies.documents) {
        if (IsFor(document, agent)) subject.push_back(&document);
      }
    }
  }
  std::vector<Subject> subjects;
  for (auto& [name, subject] : by_name) subjects.push_back(std::move(subject));
  return subjects;
}

std::string At(const Document& document, Position position) {
  return document.file + ":" + std::to_string(position.line);
}

std::string Joined(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

bool HasBody(const Entry& entry) {
  return !entry.conditions.empty() || entry.callers.has_value() || entry.schedule.has_value();
}

class Linter {
 public:
  Linter(const PolicySet& policies, const Registry* registry)
      : policies_(policies), registry_(registry) {}

  std::vector<LintFinding> Run() {
    const std::vector<Subject> subjects = SubjectsOf(policies_, registry_);
    std::map<const Document*, std::vector<const Subject*>> under;
    for (const Subject& subject : subjects) {
      for (const Document* document : subject) under[document].push_back(&subject);
    }
    for (const Document& document : policies_.documents) {
      CheckDocument(document);
      for (const Entry& entry : document.allowed_tools) {
        CheckAlone(document, entry);
        CheckAmongOthers(document, entry, under[&document]);
      }
    }
    if (registry_ != nullptr) CheckNames();
    std::stable_sort(findings_.begin(), findings_.end(), [](const auto& a, const auto& b) {
      return std::tie(a.file, a.position.line, a.position.column) <
             std::tie(b.file, b.position.line, b.position.column);
    });
    return std::move(findings_);
  }

 private:
  void Add(LintRule rule, const Document& document, Position position, std::string message) {
    findings_.push_back({rule, document.file, position, std::move(message)});
  }

  void CheckDocument(const Document& document) {
    if (!document.allowed_tools.empty() || !document.denied_tools.empty() ||
        !document.egress.allow.empty()) {
      return;
    }
    Add(LintRule::kGrantsNothing, document, document.position,
        "the document neither allows nor denies anything");
  }

  // --- One entry by itself ---

  void CheckAlone(const Document& document, const Entry& entry) {
    const bool all_actions =
        std::find(entry.actions.begin(), entry.actions.end(), "*") != entry.actions.end();
    if (entry.tool == "*" && all_actions && !HasBody(entry)) {
      Add(LintRule::kGrantsEverything, document, entry.position,
          "grants every action of every tool without any condition; name the tools that the agent "
          "needs");
    }
    for (size_t i = 0; i < entry.conditions.size(); ++i) {
      for (size_t j = 0; j < i; ++j) {
        if (!Contradict(entry.conditions[j], entry.conditions[i])) continue;
        Add(LintRule::kImpossibleConditions, document, entry.position,
            "can never allow a call: on '" + entry.conditions[i].path + "', no value meets both " +
                entry.conditions[j].Said() + " and " + entry.conditions[i].Said());
      }
    }
    if (!entry.callers) return;
    for (const Caller& caller : *entry.callers) {
      for (const Condition& own : caller.conditions) {
        for (const Condition& shared : entry.conditions) {
          if (!Contradict(own, shared)) continue;
          Add(LintRule::kImpossibleCaller, document, entry.position,
              caller.type + ":" + caller.pattern + " can never be behind an allowed call: on '" +
                  own.path + "', no value meets both its " + own.Said() + " and the grant's " +
                  shared.Said());
        }
      }
    }
  }

  // --- An entry against what else its agents are under ---

  // Another entry or denial that makes this one moot for one action, or "".
  using Reason = std::function<std::string(const Subject&, const std::string& action)>;

  // Reports the actions of `entry` for which every subject has a reason.
  void Report(LintRule rule, const Document& document, const Entry& entry,
              const std::vector<const Subject*>& subjects, const Reason& reason) {
    std::map<std::string, std::vector<std::string>> actions_by_reason;
    for (const std::string& action : entry.actions) {
      std::string first;
      const bool all = !subjects.empty() &&
                       std::all_of(subjects.begin(), subjects.end(), [&](const Subject* subject) {
                         const std::string why = reason(*subject, action);
                         if (first.empty()) first = why;
                         return !why.empty();
                       });
      if (all) actions_by_reason[first].push_back(action);
    }
    for (const auto& [why, actions] : actions_by_reason) {
      std::string what = "the grant of " + entry.tool;
      if (actions.size() < entry.actions.size()) what += " " + Joined(actions);
      Add(rule, document, entry.position, what + " " + why);
    }
  }

  void CheckAmongOthers(const Document& document, const Entry& entry,
                        const std::vector<const Subject*>& subjects) {
    const size_t before = findings_.size();
    Report(LintRule::kDeniedGrant, document, entry, subjects,
           [&](const Subject& subject, const std::string& action) {
             const auto [other, denial] = FindDenial(subject, entry, action);
             return denial == nullptr ? std::string()
                                      : "can never allow a call: denied_tools at " +
                                            At(*other, denial->position) + " wins over it";
           });
    if (findings_.size() != before) return;
    if (entry.mode == Mode::kShadow) {
      Report(LintRule::kUnaskedShadow, document, entry, subjects,
             [&](const Subject& subject, const std::string& action) {
               return FindGrant(
                   subject, entry, action,
                   [&](const Entry& other, bool) { return other.mode == Mode::kEnforce; },
                   "in shadow mode is not asked: an enforced one covers the same calls at ");
             });
      if (findings_.size() != before) return;
    }
    Report(
        LintRule::kUnneededGrant, document, entry, subjects,
        [&](const Subject& subject, const std::string& action) {
          return FindGrant(
              subject, entry, action,
              [&](const Entry& other, bool earlier) { return earlier && AllowsAll(other, entry); },
              "is not needed: one before it allows the same calls at ");
        });
    if (findings_.size() != before || !HasBody(entry)) return;
    Report(LintRule::kLoosenedGrant, document, entry, subjects,
           [&](const Subject& subject, const std::string& action) {
             return FindGrant(
                 subject, entry, action,
                 [&](const Entry& other, bool) {
                   return AllowsAll(other, entry) && !AllowsAll(entry, other);
                 },
                 "holds nobody back: its calls are allowed under fewer conditions at ");
           });
  }

  static std::pair<const Document*, const Denial*> FindDenial(const Subject& subject,
                                                              const Entry& entry,
                                                              const std::string& action) {
    for (const Document* document : subject) {
      // In shadow mode a denial only says what it would do.
      if (document->mode == Mode::kShadow && entry.mode == Mode::kEnforce) continue;
      for (const Denial& denial : document->denied_tools) {
        if (!PatternCovers(denial.tool, entry.tool)) continue;
        for (const std::string& denied : denial.actions) {
          if (PatternCovers(denied, action)) return {document, &denial};
        }
      }
    }
    return {nullptr, nullptr};
  }

  // `words` and the place of the first other entry that covers the action and fits; else "".
  template <typename Fits>
  static std::string FindGrant(const Subject& subject, const Entry& entry,
                               const std::string& action, Fits fits, const char* words) {
    bool earlier = true;
    for (const Document* document : subject) {
      for (const Entry& other : document->allowed_tools) {
        if (&other == &entry) {
          earlier = false;
          continue;
        }
        if (!PatternCovers(other.tool, entry.tool) || !fits(other, earlier)) continue;
        const bool covers =
            std::any_of(other.actions.begin(), other.actions.end(),
                        [&](const std::string& each) { return PatternCovers(each, action); });
        if (covers) return words + At(*document, other.position);
      }
    }
    return "";
  }

  // --- Names ---

  void CheckNames() {
    std::set<std::string_view> agents;
    for (const Registry::Agent& agent : registry_->agents) agents.insert(agent.name);
    for (const Document& document : policies_.documents) {
      for (const std::string& agent : document.agents) {
        if (agents.contains(agent)) continue;
        Add(LintRule::kUnknownAgent, document, document.position,
            "agent " + agent + " is not registered; next: aegis agent register " + agent);
      }
      CheckGroup(document);
      for (const Entry& entry : document.allowed_tools) CheckTool(document, entry);
    }
    for (const Registry::Agent& agent : registry_->agents) {
      const bool any =
          std::any_of(policies_.documents.begin(), policies_.documents.end(),
                      [&](const Document& document) { return IsFor(document, agent); });
      if (any) continue;
      findings_.push_back({LintRule::kAgentWithoutPolicy,
                           "",
                           {},
                           "agent " + agent.name +
                               " is under no document: every call of it is refused (no_policy)"});
    }
  }

  void CheckGroup(const Document& document) {
    if (document.match_labels.empty()) return;
    const bool any = std::any_of(registry_->agents.begin(), registry_->agents.end(),
                                 [&](const auto& agent) { return HasLabels(agent, document); });
    if (any) return;
    Add(LintRule::kGroupWithoutAgents, document, document.position,
        "no registered agent has the labels " + LabelsText(document));
  }

  void CheckTool(const Document& document, const Entry& entry) {
    const bool any =
        std::any_of(registry_->tools.begin(), registry_->tools.end(),
                    [&](const std::string& tool) { return MatchesWildcard(entry.tool, tool); });
    if (any) return CheckActions(document, entry);
    Add(LintRule::kUnknownTool, document, entry.position,
        "no registered tool is named " + entry.tool + "; next: aegis tool add " + entry.tool +
            " --url URL");
  }

  // Whether each pattern of the grant fits an action, where all tools that it is of say which they
  // have.
  void CheckActions(const Document& document, const Entry& entry) {
    std::vector<const std::vector<std::string>*> maps;
    for (const std::string& tool : registry_->tools) {
      if (!MatchesWildcard(entry.tool, tool)) continue;
      const auto found = registry_->actions.find(tool);
      if (found == registry_->actions.end()) return;
      maps.push_back(&found->second);
    }
    for (const std::string& pattern : entry.actions) {
      const bool any = std::any_of(maps.begin(), maps.end(), [&](const auto* actions) {
        return std::any_of(actions->begin(), actions->end(), [&](const std::string& action) {
          return MatchesWildcard(pattern, action);
        });
      });
      if (any) continue;
      Add(LintRule::kUnknownAction, document, entry.position,
          "the map of " + entry.tool + " has no action " + pattern + "; next: aegis tool show " +
              entry.tool);
    }
  }

  const PolicySet& policies_;
  const Registry* registry_;
  std::vector<LintFinding> findings_;
};

}  // namespace

std::string_view LintRuleName(LintRule rule) {
  switch (rule) {
    case LintRule::kDeniedGrant:
      return "denied-grant";
    case LintRule::kUnneededGrant:
      return "unneeded-grant";
    case LintRule::kLoosenedGrant:
      return "loosened-grant";
    case LintRule::kUnaskedShadow:
      return "unasked-shadow";
    case LintRule::kImpossibleConditions:
      return "impossible-conditions";
    case LintRule::kImpossibleCaller:
      return "impossible-caller";
    case LintRule::kGrantsEverything:
      return "grants-everything";
    case LintRule::kGrantsNothing:
      return "grants-nothing";
    case LintRule::kUnknownAgent:
      return "unknown-agent";
    case LintRule::kUnknownTool:
      return "unknown-tool";
    case LintRule::kUnknownAction:
      return "unknown-action";
    case LintRule::kAgentWithoutPolicy:
      return "agent-without-policy";
    case LintRule::kGroupWithoutAgents:
      return "group-without-agents";
  }
  return "";
}

std::string LintFinding::ToString() const {
  std::string text;
  if (!file.empty()) {
    text =
        file + ":" + std::to_string(position.line) + ":" + std::to_string(position.column) + ": ";
  }
  return text + std::string(LintRuleName(rule)) + ": " + message;
}

std::vector<LintFinding> Lint(const PolicySet& policies, const Registry* registry) {
  return Linter(policies, registry).Run();
}

}  // namespace aegis::policy
