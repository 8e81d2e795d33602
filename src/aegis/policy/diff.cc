#include "aegis/policy/diff.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <tuple>

#include "aegis/policy/compare.h"
#include "aegis/policy/node.h"

namespace aegis::policy {
namespace {

using Target = std::pair<std::string_view, std::string_view>;  // patterns of tool and action

// A module of custom Rego that documents list.
struct CustomUse {
  Mode mode = Mode::kEnforce;  // enforced, if one of several documents is
  std::string_view text;
};

// All that documents say of one agent or one group.
struct View {
  std::map<Target, std::vector<const Entry*>> grants;
  std::map<Target, Mode> denials;  // enforced, if one of several is
  std::map<std::string_view, CustomUse> custom;
  std::vector<const Document*> egress;  // those that say something of it
};

using Views = std::map<std::string, View>;

void AddDocument(const PolicySet& policies, const Document& document, View& view) {
  for (const Entry& entry : document.allowed_tools) {
    for (const std::string& action : entry.actions)
      view.grants[{entry.tool, action}].push_back(&entry);
  }
  for (const Denial& denial : document.denied_tools) {
    for (const std::string& action : denial.actions) {
      const auto [known, fresh] = view.denials.emplace(Target{denial.tool, action}, document.mode);
      if (!fresh && document.mode == Mode::kEnforce) known->second = Mode::kEnforce;
    }
  }
  if (!document.egress.allow.empty()) view.egress.push_back(&document);
  for (const RegoListing& listing : document.rego) {
    const auto module =
        std::find_if(policies.modules.begin(), policies.modules.end(),
                     [&](const CustomModule& each) { return each.package == listing.package; });
    if (module == policies.modules.end()) continue;
    const auto [known, fresh] =
        view.custom.emplace(module->package, CustomUse{document.mode, module->text});
    if (!fresh && document.mode == Mode::kEnforce) known->second.mode = Mode::kEnforce;
  }
}

std::string GroupName(const Document& document) {
  std::string text = "agents with ";
  for (size_t i = 0; i < document.match_labels.size(); ++i) {
    if (i > 0) text += ", ";
    text += document.match_labels[i].first + "=" + document.match_labels[i].second;
  }
  return text;
}

Views ViewsOf(const PolicySet& policies) {
  Views views;
  for (const Document& document : policies.documents) {
    for (const std::string& agent : document.agents) AddDocument(policies, document, views[agent]);
    if (!document.match_labels.empty()) AddDocument(policies, document, views[GroupName(document)]);
  }
  return views;
}

bool Covered(const Target& target, const Entry& entry, const View& view) {
  for (const auto& [other, entries] : view.grants) {
    if (!PatternCovers(other.first, target.first) || !PatternCovers(other.second, target.second)) {
      continue;
    }
    for (const Entry* candidate : entries) {
      if (AllowsAll(*candidate, entry)) return true;
    }
  }
  return false;
}

bool Denied(const Target& target, Mode mode, const View& view) {
  for (const auto& [other, other_mode] : view.denials) {
    if (other_mode == mode && PatternCovers(other.first, target.first) &&
        PatternCovers(other.second, target.second)) {
      return true;
    }
  }
  return false;
}

class Comparer {
 public:
  Comparer(const View& before, const View& after) : before_(before), after_(after) {}

  std::vector<Change> Compare() {
    static const std::vector<const Entry*> none;
    std::set<Target> targets;
    for (const auto& [target, entries] : before_.grants) targets.insert(target);
    for (const auto& [target, entries] : after_.grants) targets.insert(target);
    for (const Target& target : targets) {
      const auto was = before_.grants.find(target);
      const auto is = after_.grants.find(target);
      CompareGrants(target, was == before_.grants.end() ? none : was->second,
                    is == after_.grants.end() ? none : is->second);
    }
    CompareDenials();
    CompareEgress(before_, after_, ChangeKind::kLoss);
    CompareEgress(after_, before_, ChangeKind::kGain);
    CompareCustom();
    return std::move(changes_);
  }

 private:
  void Add(ChangeKind kind, const Target& target, std::string text) {
    changes_.push_back(
        {kind, {}, std::string(target.first), std::string(target.second), std::move(text)});
  }

  void CompareGrants(const Target& target, std::vector<const Entry*> was,
                     std::vector<const Entry*> is) {
    // Entries that say the same are taken off in pairs.
    std::erase_if(was, [&](const Entry* old_entry) {
      const auto same = std::find_if(is.begin(), is.end(), [&](const Entry* entry) {
        return CompareBodies(*old_entry, *entry).empty();
      });
      if (same == is.end()) return false;
      is.erase(same);
      return true;
    });
    if (was.size() == 1 && is.size() == 1) {
      for (const BodyChange& change : CompareBodies(*was.front(), *is.front())) {
        Add(change.kind, target, change.text);
      }
      return;
    }
    for (const Entry* entry : was) {
      if (!Covered(target, *entry, after_)) Add(ChangeKind::kLoss, target, DescribeBody(*entry));
    }
    for (const Entry* entry : is) {
      if (!Covered(target, *entry, before_)) Add(ChangeKind::kGain, target, DescribeBody(*entry));
    }
  }

  void CompareDenials() {
    for (const auto& [target, mode] : before_.denials) {
      if (!Denied(target, mode, after_))
        Add(ChangeKind::kGain, target, DenialText("no longer denied", mode));
    }
    for (const auto& [target, mode] : after_.denials) {
      if (!Denied(target, mode, before_))
        Add(ChangeKind::kLoss, target, DenialText("now denied", mode));
    }
  }

  // What `one` lets the agent reach and `other` does not, with the same leave.
  void CompareEgress(const View& one, const View& other, ChangeKind kind) {
    for (const Document* document : one.egress) {
      for (const Egress::Allowed& allowed : document->egress.allow) {
        if (EgressCovered(allowed.target, *document, other)) continue;
        std::string text;
        for (const std::string& leave : document->egress.tls) {
          text += (text.empty() ? "tls: " : ", ") + leave;
        }
        if (document->mode == Mode::kShadow) text += text.empty() ? "shadow" : " (shadow)";
        const std::string name = allowed.target.Canonical();
        Add(kind, {name, "egress"}, text);
      }
    }
  }

  static bool EgressCovered(const EgressTarget& target, const Document& document,
                            const View& view) {
    for (const Document* other : view.egress) {
      if (other->mode != document.mode ||
          !std::includes(other->egress.tls.begin(), other->egress.tls.end(),
                         document.egress.tls.begin(), document.egress.tls.end())) {
        continue;
      }
      for (const Egress::Allowed& allowed : other->egress.allow) {
        if (allowed.target.Covers(target)) return true;
      }
    }
    return false;
  }

  // What custom Rego refuses cannot be told from here, only whether it is asked.
  void CompareCustom() {
    static constexpr Target kAll{"*", "*"};
    const auto text = [](std::string_view package, std::string_view words, Mode mode) {
      return "custom Rego " + std::string(package) + std::string(words) +
             (mode == Mode::kShadow ? " (shadow)" : "");
    };
    for (const auto& [package, was] : before_.custom) {
      const auto is = after_.custom.find(package);
      if (is == after_.custom.end()) {
        Add(ChangeKind::kLoosened, kAll, text(package, " no longer asked", was.mode));
        continue;
      }
      if (is->second.mode != was.mode) {
        const bool tighter = is->second.mode == Mode::kEnforce;
        Add(tighter ? ChangeKind::kTightened : ChangeKind::kLoosened, kAll,
            text(package, tighter ? " now enforced" : " no longer enforced", is->second.mode));
      }
      if (is->second.text != was.text) {
        Add(ChangeKind::kChanged, kAll, text(package, " has other rules", was.mode));
      }
    }
    for (const auto& [package, is] : after_.custom) {
      if (before_.custom.contains(package)) continue;
      Add(ChangeKind::kTightened, kAll, text(package, " now asked", is.mode));
    }
  }

  static std::string DenialText(std::string_view words, Mode mode) {
    return std::string(words) + " by denied_tools" + (mode == Mode::kShadow ? " (shadow)" : "");
  }

  const View& before_;
  const View& after_;
  std::vector<Change> changes_;
};

std::string_view Sign(ChangeKind kind) {
  switch (kind) {
    case ChangeKind::kGain:
      return "+ may call";
    case ChangeKind::kLoss:
      return "- may not call";
    case ChangeKind::kLoosened:
      return "> looser";
    case ChangeKind::kTightened:
      return "< tighter";
    case ChangeKind::kChanged:
      break;
  }
  return "~ changed";
}

std::string SubjectsLine(const std::vector<std::string>& subjects) {
  constexpr size_t kShown = 5;
  std::string text;
  for (size_t i = 0; i < std::min(subjects.size(), kShown); ++i) {
    text += (i > 0 ? ", " : "") + subjects[i];
  }
  if (subjects.size() > kShown)
    text += " and " + std::to_string(subjects.size() - kShown) + " more";
  return text;
}

// Names may hold what a terminal or a reader would take for something else.
void AppendField(std::string_view key, std::string_view value, std::string& out) {
  out.append("\"").append(key).append("\":");
  AppendJsonString(value, out);
}

}  // namespace

std::string_view ChangeKindName(ChangeKind kind) {
  switch (kind) {
    case ChangeKind::kGain:
      return "gain";
    case ChangeKind::kLoss:
      return "loss";
    case ChangeKind::kLoosened:
      return "loosened";
    case ChangeKind::kTightened:
      return "tightened";
    case ChangeKind::kChanged:
      break;
  }
  return "changed";
}

bool PolicyDiff::widens() const {
  return std::any_of(changes.begin(), changes.end(), [](const Change& change) {
    return change.kind != ChangeKind::kLoss && change.kind != ChangeKind::kTightened;
  });
}

std::string PolicyDiff::ToString() const {
  if (changes.empty()) return "no change in what agents may do\n";
  std::string text;
  const std::vector<std::string>* subjects = nullptr;
  for (const Change& change : changes) {
    if (subjects == nullptr || *subjects != change.subjects) {
      text += SubjectsLine(change.subjects) + "\n";
      subjects = &change.subjects;
    }
    text.append("  ").append(Sign(change.kind)).append(" ");
    text += change.tool + "/" + change.action;
    if (!change.text.empty()) text += ": " + change.text;
    text += '\n';
  }
  return text;
}

std::string PolicyDiff::ToJson() const {
  std::string out = "{\"changes\":[";
  for (size_t i = 0; i < changes.size(); ++i) {
    const Change& change = changes[i];
    out += i > 0 ? ",{" : "{";
    AppendField("kind", ChangeKindName(change.kind), out);
    out += ",\"subjects\":[";
    for (size_t j = 0; j < change.subjects.size(); ++j) {
      if (j > 0) out += ',';
      AppendJsonString(change.subjects[j], out);
    }
    out += "],";
    AppendField("tool", change.tool, out);
    out += ',';
    AppendField("action", change.action, out);
    out += ',';
    AppendField("text", change.text, out);
    out += '}';
  }
  return out + "],\"widens\":" + (widens() ? "true" : "false") + "}";
}

PolicyDiff Diff(const PolicySet& before, const PolicySet& after) {
  const Views old_views = ViewsOf(before);
  const Views new_views = ViewsOf(after);
  std::set<std::string> subjects;
  for (const auto& [subject, view] : old_views) subjects.insert(subject);
  for (const auto& [subject, view] : new_views) subjects.insert(subject);

  // Subjects with equal changes are told together, at the place of the first.
  using Key = std::vector<std::tuple<ChangeKind, std::string, std::string, std::string>>;
  std::map<Key, size_t> known;
  std::vector<std::pair<std::vector<std::string>, std::vector<Change>>> groups;
  static const View nothing;
  for (const std::string& subject : subjects) {
    const auto was = old_views.find(subject);
    const auto is = new_views.find(subject);
    std::vector<Change> changes = Comparer(was == old_views.end() ? nothing : was->second,
                                           is == new_views.end() ? nothing : is->second)
                                      .Compare();
    if (changes.empty()) continue;
    Key key;
    for (const Change& change : changes) {
      key.emplace_back(change.kind, change.tool, change.action, change.text);
    }
    const auto [group, fresh] = known.emplace(std::move(key), groups.size());
    if (fresh) groups.push_back({{}, changes});
    groups[group->second].first.push_back(subject);
  }
  PolicyDiff diff;
  for (auto& [members, changes] : groups) {
    for (Change& change : changes) {
      change.subjects = members;
      diff.changes.push_back(std::move(change));
    }
  }
  return diff;
}

}  // namespace aegis::policy
