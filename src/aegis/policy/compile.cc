#include "aegis/policy/compile.h"

#include <algorithm>
#include <map>
#include <span>
#include <unordered_map>
#include <unordered_set>

#include "aegis/base/text.h"
#include "aegis/crypto/digest.h"
#include "aegis/policy/custom_rego.h"
#include "aegis/policy/dialect.h"
#include "aegis/policy/node.h"
#include "aegis/policy/row_writer.h"

namespace aegis::policy {
namespace {

// A little less than a bundle may hold in one file.
constexpr size_t kMaxDataBytes = size_t{120} << 20;

bool IsExact(std::string_view pattern) { return pattern.find('*') == std::string_view::npos; }

// One item of allowed_tools or denied_tools with the numbers of its action patterns: the first
// one's, the others follow.
struct Item {
  std::string_view tool;
  const std::vector<std::string>* actions;
  uint32_t first_number;
  Mode mode;
};

// The items of a set of documents, in order, with those for one exact tool at hand.
class ItemIndex {
 public:
  void Add(const Item& item) {
    const auto at = static_cast<uint32_t>(items_.size());
    items_.push_back(item);
    if (IsExact(item.tool)) {
      by_tool_[item.tool].push_back(at);
    } else {
      patterns_.push_back(at);
    }
  }
  // Items whose tool pattern covers `tool`, in order.
  std::vector<const Item*> Covering(std::string_view tool) const {
    std::vector<uint32_t> found;
    if (const auto exact = by_tool_.find(tool); exact != by_tool_.end()) found = exact->second;
    for (const uint32_t at : patterns_) {
      if (MatchesWildcard(items_[at].tool, tool)) found.push_back(at);
    }
    std::sort(found.begin(), found.end());
    std::vector<const Item*> items;
    items.reserve(found.size());
    for (const uint32_t at : found) items.push_back(&items_[at]);
    return items;
  }
  void AddExactTools(std::vector<std::string_view>& tools) const {
    for (const auto& [tool, items] : by_tool_) tools.push_back(tool);
  }
  std::vector<const Item*> WithToolPattern() const {
    std::vector<const Item*> items;
    for (const uint32_t at : patterns_) items.push_back(&items_[at]);
    return items;
  }

 private:
  std::vector<Item> items_;
  std::unordered_map<std::string_view, std::vector<uint32_t>> by_tool_;
  std::vector<uint32_t> patterns_;
};

class DataWriter {
 public:
  explicit DataWriter(const PolicySet& policies) : policies_(policies) {}

  Result<std::string> Write() {
    NumberItems();
    AssignProfiles();
    std::string out = "{\"aegis\":{\"format\":1,\"documents\":";
    out += std::to_string(policies_.documents.size());
    AppendAgents(out);
    AppendLabelled(out);
    out +=
        ",\"grants\":[" + grants_ + "],\"denials\":[" + denials_ + "],\"bodies\":[" + bodies_ + "]";
    out += ",\"profiles\":[";
    std::string calls;
    for (size_t i = 0; i < profiles_.size() && !too_large_; ++i) {
      if (i > 0) {
        out += ',';
        calls += ',';
      }
      AppendProfile(profiles_[i], out, calls);
      too_large_ = too_large_ || out.size() + calls.size() > kMaxDataBytes;
    }
    out += "],\"calls\":[" + calls + "]}}";
    too_large_ = too_large_ || out.size() > kMaxDataBytes;
    if (too_large_) {
      return Fail(
          Code::kResourceExhausted, "policy_too_large",
          "the compiled policies exceed " + std::to_string(kMaxDataBytes >> 20) +
              " MiB; share documents between agents (agents, match), use fewer patterns, or "
              "spread them over tenants");
    }
    return out;
  }

 private:
  struct DocumentItems {
    std::vector<Item> entries;
    std::vector<Item> denials;
    uint32_t first_egress = 0;  // number of the grant of its first egress target
  };

  // ---- Grants, denials and bodies are numbered through all documents.

  void NumberItems() {
    uint32_t grants = 0;
    uint32_t denials = 0;
    for (const Document& document : policies_.documents) {
      DocumentItems& items = items_.emplace_back();
      for (const Entry& entry : document.allowed_tools) {
        items.entries.push_back({entry.tool, &entry.actions, grants, entry.mode});
        const std::string tail = ",\"mode\":\"" + std::string(ModeName(entry.mode)) +
                                 "\",\"body\":" + std::to_string(BodyNumber(entry)) + "}";
        for (const std::string& action : entry.actions) {
          AppendRule(document.Label() + "/" + entry.tool + "/" + action, tail, grants++, grants_);
        }
      }
      items.first_egress = grants;
      if (!document.egress.allow.empty()) {
        const std::string tail = EgressTail(document);
        for (const Egress::Allowed& allowed : document.egress.allow) {
          AppendRule(document.Label() + "/egress/" + allowed.text, tail, grants++, grants_);
        }
      }
      const std::string tail = ",\"mode\":\"" + std::string(ModeName(document.mode)) + "\"}";
      for (const Denial& denial : document.denied_tools) {
        items.denials.push_back({denial.tool, &denial.actions, denials, document.mode});
        for (const std::string& action : denial.actions) {
          AppendRule(document.Label() + "/denied_tools/" + denial.tool + "/" + action, tail,
                     denials++, denials_);
        }
      }
      too_large_ = too_large_ || grants_.size() + denials_.size() + bodies_.size() > kMaxDataBytes;
      if (too_large_) return;
    }
  }

  static void AppendRule(const std::string& rule, const std::string& tail, uint32_t number,
                         std::string& out) {
    out += number > 0 ? ",{\"rule\":" : "{\"rule\":";
    AppendJsonString(rule, out);
    out += tail;
  }

  // Its grants are as those of an entry without callers, schedule and conditions.
  std::string EgressTail(const Document& document) {
    std::string tail = ",\"mode\":\"" + std::string(ModeName(document.mode)) +
                       "\",\"body\":" + std::to_string(BodyNumber(Entry{})) + ",\"tls\":[";
    for (const std::string& allowed : document.egress.tls) {
      if (tail.back() != '[') tail += ',';
      AppendJsonString(allowed, tail);
    }
    return tail + "]}";
  }

  size_t BodyNumber(const Entry& entry) {
    std::string body;
    AppendBody(entry, body);
    const auto [known, fresh] = body_numbers_.emplace(body, body_numbers_.size());
    if (fresh) {
      if (!bodies_.empty()) bodies_ += ',';
      bodies_ += body;
    }
    return known->second;
  }

  // ---- Which documents speak for whom.

  using DocumentSetKey = std::vector<uint32_t>;

  void AssignProfiles() {
    std::map<std::string_view, DocumentSetKey> of_agent;
    for (uint32_t i = 0; i < policies_.documents.size(); ++i) {
      const Document& document = policies_.documents[i];
      for (const std::string& agent : document.agents) of_agent[agent].push_back(i);
      if (document.match_labels.empty()) continue;
      labelled_.emplace_back(i, profiles_.size());
      profiles_.push_back({i});
    }
    std::map<DocumentSetKey, size_t> known;
    for (auto& [agent, documents] : of_agent) {
      const auto [profile, fresh] = known.emplace(documents, profiles_.size());
      if (fresh) profiles_.push_back(documents);
      agents_.emplace_back(agent, profile->second);
    }
  }

  void AppendAgents(std::string& out) const {
    out += ",\"agents\":{";
    for (size_t i = 0; i < agents_.size(); ++i) {
      if (i > 0) out += ',';
      AppendJsonString(agents_[i].first, out);
      out += ":" + std::to_string(agents_[i].second);
    }
    out += '}';
  }

  void AppendLabelled(std::string& out) const {
    if (labelled_.empty()) return;
    std::map<std::string_view, std::map<std::string_view, std::string>> rows;
    for (const auto& [document, profile] : labelled_) {
      const auto& labels = policies_.documents[document].match_labels;
      std::string& list = rows[labels.front().first][labels.front().second];
      if (!list.empty()) list += ',';
      list += "{\"profile\":" + std::to_string(profile) + ",\"match\":{";
      for (size_t i = 1; i < labels.size(); ++i) {
        if (i > 1) list += ',';
        AppendJsonString(labels[i].first, list);
        list += ':';
        AppendJsonString(labels[i].second, list);
      }
      list += "}}";
    }
    out += ",\"labelled\":{";
    bool first_key = true;
    for (const auto& [key, values] : rows) {
      if (!first_key) out += ',';
      first_key = false;
      AppendJsonString(key, out);
      out += ":{";
      bool first_value = true;
      for (const auto& [value, list] : values) {
        if (!first_value) out += ',';
        first_value = false;
        AppendJsonString(value, out);
        out += ":[" + list + "]";
      }
      out += '}';
    }
    out += '}';
  }

  // ---- What the documents of a profile say.

  void AppendProfile(const DocumentSetKey& documents, std::string& out, std::string& calls) {
    ItemIndex entries;
    ItemIndex denials;
    bool all_shadow = true;
    for (const uint32_t i : documents) {
      for (const Item& item : items_[i].entries) entries.Add(item);
      for (const Item& item : items_[i].denials) denials.Add(item);
      all_shadow = all_shadow && policies_.documents[i].mode == Mode::kShadow;
    }
    std::vector<std::string_view> tools;
    entries.AddExactTools(tools);
    denials.AddExactTools(tools);
    std::sort(tools.begin(), tools.end());
    tools.erase(std::unique(tools.begin(), tools.end()), tools.end());

    out.append("{\"mode\":\"").append(ModeName(all_shadow ? Mode::kShadow : Mode::kEnforce));
    out += "\",\"tools\":{";
    std::string calls_of_tools;
    for (size_t i = 0; i < tools.size() && !too_large_; ++i) {
      if (i > 0) out += ',';
      AppendJsonString(tools[i], out);
      out += ':';
      AppendTool(tools[i], entries.Covering(tools[i]), denials.Covering(tools[i]), out,
                 calls_of_tools);
      too_large_ = too_large_ || out.size() > kMaxDataBytes;
    }
    out += '}';
    AppendPatternItems("grants", "grant", entries.WithToolPattern(), out);
    AppendPatternItems("deny", "denial", denials.WithToolPattern(), out);
    AppendEgress(documents, out);
    AppendCustom(documents, out);
    out += '}';
    calls.append("{").append(calls_of_tools) += '}';
  }

  void AppendEgress(const DocumentSetKey& documents, std::string& out) const {
    // Rows by host, and by the host that they are below; those of networks are asked one by one.
    std::map<std::string_view, std::string> hosts, below;
    std::string networks;
    for (const uint32_t i : documents) {
      uint32_t grant = items_[i].first_egress;
      for (const Egress::Allowed& allowed : policies_.documents[i].egress.allow) {
        const EgressTarget& target = allowed.target;
        const bool network = target.kind == EgressTarget::Kind::kNetwork;
        std::string& rows = network                                     ? networks
                            : target.kind == EgressTarget::Kind::kBelow ? below[target.text]
                                                                        : hosts[target.text];
        rows += rows.empty() ? "{" : ",{";
        if (network) rows += "\"cidr\":\"" + target.text + "\",";
        rows += "\"from\":" + std::to_string(target.first_port) +
                ",\"to\":" + std::to_string(target.last_port) +
                ",\"grant\":" + std::to_string(grant++) + "}";
      }
    }
    std::string members;
    AppendEgressRows("hosts", hosts, members);
    AppendEgressRows("below", below, members);
    if (!networks.empty()) members += ",\"networks\":[" + networks + "]";
    if (members.empty()) return;
    members.front() = '{';
    out.append(",\"egress\":").append(members) += '}';
  }

  static void AppendEgressRows(std::string_view key,
                               const std::map<std::string_view, std::string>& rows,
                               std::string& out) {
    if (rows.empty()) return;
    out.append(",\"").append(key).append("\":");
    char before = '{';
    for (const auto& [name, list] : rows) {
      out += before;
      before = ',';
      AppendJsonString(name, out);
      out.append(":[").append(list) += ']';
    }
    out += '}';
  }

  // Each package once: enforced, if one of the documents that list it is.
  void AppendCustom(const DocumentSetKey& documents, std::string& out) const {
    std::map<std::string_view, Mode> packages;
    for (const uint32_t i : documents) {
      const Document& document = policies_.documents[i];
      for (const RegoListing& listing : document.rego) {
        const auto [known, fresh] = packages.emplace(listing.package, document.mode);
        if (document.mode == Mode::kEnforce) known->second = Mode::kEnforce;
      }
    }
    bool first = true;
    for (const auto& [package, mode] : packages) {
      out += first ? ",\"custom\":[{\"package\":" : ",{\"package\":";
      first = false;
      AppendJsonString(package, out);
      out.append(",\"mode\":\"").append(ModeName(mode)) += "\"}";
    }
    if (!first) out += ']';
  }

  static void AppendPatternItems(std::string_view key, std::string_view number_key,
                                 const std::vector<const Item*>& items, std::string& out) {
    if (items.empty()) return;
    out.append(",\"").append(key).append("\":[");
    bool first = true;
    for (const Item* item : items) {
      for (size_t i = 0; i < item->actions->size(); ++i) {
        out += first ? "{\"tool\":" : ",{\"tool\":";
        first = false;
        AppendPatternRow(item->tool, out);
        out += ",\"action\":";
        AppendPatternRow((*item->actions)[i], out);
        out.append(",\"").append(number_key).append("\":");
        out += std::to_string(item->first_number + i) + "}";
      }
    }
    out += ']';
  }

  // The tool's member of PROFILE.tools into `out`; its actions on which no denial fires into
  // `calls`.
  void AppendTool(std::string_view tool, const std::vector<const Item*>& entries,
                  const std::vector<const Item*>& denials, std::string& out, std::string& calls) {
    std::string members;  // each with a comma before it
    if (!entries.empty()) {
      const auto shadows = std::count_if(entries.begin(), entries.end(),
                                         [](const Item* e) { return e->mode == Mode::kShadow; });
      const bool all_shadow = static_cast<size_t>(shadows) == entries.size();
      members.append(",\"mode\":\"").append(ModeName(all_shadow ? Mode::kShadow : Mode::kEnforce));
      members += '"';
      if (shadows > 0 && !all_shadow) members += ",\"mixed\":true";
    }
    std::string free;     // actions on which no denial fires, with their first grant
    std::string refused;  // the others with theirs, should the denial be in shadow
    std::string more;
    std::string denied;
    for (const std::string_view action : ExactActions(entries, denials)) {
      const std::vector<uint32_t> numbers = Deciding(entries, action);
      const bool fires = AppendDenied(denials, action, denied);
      if (!numbers.empty()) {
        AppendNumber(action, numbers.front(), fires ? refused : free);
        AppendMore(action, numbers, more);
      }
      too_large_ =
          too_large_ || out.size() + free.size() + more.size() + denied.size() > kMaxDataBytes;
      if (too_large_) return;
    }
    const auto add_object = [&members](std::string_view key, const std::string& content) {
      if (!content.empty()) members.append(",\"").append(key).append("\":{").append(content) += '}';
    };
    add_object("actions", refused);
    add_object("more", more);
    AppendActionPatterns("patterns", "grant", entries, members);
    add_object("denied", denied);
    AppendActionPatterns("deny", "denial", denials, members);
    if (!members.empty()) members.front() = '{';
    out.append(members.empty() ? "{" : members) += '}';
    if (free.empty()) return;
    if (!calls.empty()) calls += ',';
    AppendJsonString(tool, calls);
    calls.append(":{").append(free) += '}';
  }

  static std::vector<std::string_view> ExactActions(const std::vector<const Item*>& entries,
                                                    const std::vector<const Item*>& denials) {
    std::vector<std::string_view> actions;
    for (const auto* items : {&entries, &denials}) {
      for (const Item* item : *items) {
        for (const std::string& action : *item->actions) {
          if (IsExact(action)) actions.push_back(action);
        }
      }
    }
    std::sort(actions.begin(), actions.end());
    actions.erase(std::unique(actions.begin(), actions.end()), actions.end());
    return actions;
  }

  static void AppendNumber(std::string_view key, uint32_t number, std::string& out) {
    if (!out.empty()) out += ',';
    AppendJsonString(key, out);
    out += ":" + std::to_string(number);
  }

  // The grants that decide on an exact action: of each entry its first fitting pattern; those in
  // shadow only where no enforced one is.
  static std::vector<uint32_t> Deciding(const std::vector<const Item*>& entries,
                                        std::string_view action) {
    std::vector<uint32_t> enforced;
    std::vector<uint32_t> shadow;
    for (const Item* item : entries) {
      for (size_t i = 0; i < item->actions->size(); ++i) {
        if (!MatchesWildcard((*item->actions)[i], action)) continue;
        (item->mode == Mode::kShadow ? shadow : enforced)
            .push_back(item->first_number + static_cast<uint32_t>(i));
        break;
      }
    }
    return enforced.empty() ? shadow : enforced;
  }

  // The grants after the first, which is all that most calls need.
  static void AppendMore(std::string_view action, const std::vector<uint32_t>& numbers,
                         std::string& out) {
    if (numbers.size() < 2) return;
    if (!out.empty()) out += ',';
    AppendJsonString(action, out);
    out += ":[";
    for (size_t i = 1; i < numbers.size(); ++i) {
      if (i > 1) out += ',';
      out += std::to_string(numbers[i]);
    }
    out += ']';
  }

  // Whether a denial fires.
  static bool AppendDenied(const std::vector<const Item*>& denials, std::string_view action,
                           std::string& out) {
    std::optional<uint32_t> firing;
    bool enforced = false;
    for (const Item* item : denials) {
      for (size_t i = 0; i < item->actions->size() && !enforced; ++i) {
        if (!MatchesWildcard((*item->actions)[i], action)) continue;
        enforced = item->mode == Mode::kEnforce;
        if (enforced || !firing) firing = item->first_number + static_cast<uint32_t>(i);
      }
    }
    if (!firing) return false;
    AppendNumber(action, *firing, out);
    return true;
  }

  static void AppendActionPatterns(std::string_view key, std::string_view number_key,
                                   const std::vector<const Item*>& items, std::string& out) {
    bool first = true;
    for (const Item* item : items) {
      for (size_t i = 0; i < item->actions->size(); ++i) {
        const std::string& action = (*item->actions)[i];
        if (IsExact(action)) continue;
        if (first) {
          out.append(",\"").append(key).append("\":[");
        } else {
          out += ',';
        }
        first = false;
        out += "{\"action\":";
        AppendPatternRow(action, out);
        out.append(",\"").append(number_key).append("\":");
        out += std::to_string(item->first_number + i) + "}";
      }
    }
    if (!first) out += ']';
  }

  const PolicySet& policies_;
  std::vector<DocumentItems> items_;
  std::string grants_;
  std::string denials_;
  std::string bodies_;
  std::unordered_map<std::string, size_t> body_numbers_;
  std::vector<DocumentSetKey> profiles_;
  std::vector<std::pair<uint32_t, size_t>> labelled_;        // document, profile
  std::vector<std::pair<std::string_view, size_t>> agents_;  // by name
  bool too_large_ = false;
};

std::string MetadataJson(const PolicySet& policies) {
  std::string out = "{\"compiler\":\"aegis " AEGIS_VERSION "\",\"dialect\":";
  AppendJsonString(kDialect, out);
  out += ",\"sources\":[";
  for (size_t i = 0; i < policies.sources.size(); ++i) {
    out += i > 0 ? ",{\"name\":" : "{\"name\":";
    AppendJsonString(policies.sources[i].name, out);
    out += ",\"sha256\":\"" + policies.sources[i].sha256 + "\"}";
  }
  return out + "]}";
}

}  // namespace

Result<std::string> CompileData(const PolicySet& policies) { return DataWriter(policies).Write(); }

Result<std::vector<rego::BundleFile>> CompileToBundleFiles(const PolicySet& policies,
                                                           std::string_view revision) {
  AEGIS_TRY(std::string data, CompileData(policies));
  rego::Manifest manifest;
  manifest.revision = revision;
  manifest.roots = {"aegis"};
  manifest.rego_version = 1;
  manifest.metadata_json = MetadataJson(policies);
  AEGIS_TRY(const BundleRego rego, RegoOf(policies));
  std::vector<rego::BundleFile> files;
  files.push_back({".manifest", rego::ManifestJson(manifest)});
  files.insert(files.end(), rego.modules.begin(), rego.modules.end());
  files.push_back({"data.json", std::move(data)});
  files.push_back({"plan.json", std::string(rego.plan_json)});
  return files;
}

Result<std::string> CompileToBundle(const PolicySet& policies, std::string_view revision,
                                    const rego::BundleSigner* signer) {
  AEGIS_TRY(const std::vector<rego::BundleFile> files, CompileToBundleFiles(policies, revision));
  return rego::WriteBundle(files, signer);
}

Result<std::string> ContentRevision(const PolicySet& policies) {
  AEGIS_TRY(const std::string data, CompileData(policies));
  crypto::Sha256Hasher hasher;
  auto update = [&hasher](std::string_view part) {
    hasher.Update(std::to_string(part.size()) + ":");
    hasher.Update(part);
  };
  update(data);
  AEGIS_TRY(const BundleRego rego, RegoOf(policies));
  update(rego.plan_json);
  for (const rego::BundleFile& module : rego.modules) update(module.content);
  return "sha256:" + HexEncode(crypto::AsText(hasher.Finish()));
}

}  // namespace aegis::policy
