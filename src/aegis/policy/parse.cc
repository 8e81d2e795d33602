#include "aegis/policy/parse.h"

#include <algorithm>
#include <map>
#include <set>
#include <tuple>
#include <unordered_map>

#include "aegis/base/file.h"
#include "aegis/base/text.h"
#include "aegis/crypto/digest.h"
#include "aegis/policy/condition_reader.h"

namespace aegis::policy {
namespace {

std::string_view LastPart(std::string_view path) {
  const size_t slash = path.rfind('/');
  return slash == std::string_view::npos ? path : path.substr(slash + 1);
}

// "teams/finance.yaml" -> "finance"
std::string_view Stem(std::string_view path) {
  std::string_view name = LastPart(path);
  for (const std::string_view extension : {".yaml", ".yml", ".json"}) {
    if (name.ends_with(extension) && name.size() > extension.size()) {
      name.remove_suffix(extension.size());
      break;
    }
  }
  return name;
}

bool IsRego(std::string_view path) { return path.ends_with(".rego"); }

// "rules/payments_extra.rego" -> "payments_extra"
std::string_view RegoPackage(std::string_view path) {
  std::string_view name = LastPart(path);
  name.remove_suffix(std::string_view(".rego").size());
  return name;
}

std::string TextOf(const Node* node) {
  return node != nullptr && node->kind == Node::Kind::kString ? node->text : std::string();
}

std::vector<std::string> TextsOf(const Node* node) {
  std::vector<std::string> texts;
  if (node == nullptr) return texts;
  for (const Node* item : node->items) texts.push_back(TextOf(item));
  return texts;
}

Mode ModeOf(const Node* node, Mode otherwise) {
  const std::string text = TextOf(node);
  if (text.empty()) return otherwise;
  return text == "shadow" ? Mode::kShadow : Mode::kEnforce;
}

// From a checked node to a Document. Reads what it can of a node with mistakes, so that the checks
// here can report theirs too.
class DocumentReader {
 public:
  explicit DocumentReader(const Reporter& reporter) : reporter_(reporter) {}

  Document Read(const Node& root) {
    Document document;
    document.position = At(root);
    document.file = reporter_.source().name();
    document.name = TextOf(root.Find("name"));
    document.description = TextOf(root.Find("description"));
    document.mode = ModeOf(root.Find("mode"), Mode::kEnforce);
    document.agent = TextOf(root.Find("agent"));
    document.agents = TextsOf(root.Find("agents"));
    if (!document.agent.empty()) document.agents = {document.agent};
    if (const Node* match = root.Find("match")) ReadLabels(match->Find("labels"), document);
    if (const Node* tools = root.Find("allowed_tools")) {
      for (const Node* item : tools->items) {
        document.allowed_tools.push_back(ReadEntry(*item, document.mode));
      }
    }
    if (const Node* tools = root.Find("denied_tools")) {
      for (const Node* item : tools->items) {
        document.denied_tools.push_back(
            {TextOf(item->Find("name")), ReadActions(*item), At(*item)});
      }
    }
    if (const Node* egress = root.Find("egress")) document.egress = ReadEgress(*egress);
    if (const Node* files = root.Find("rego")) {
      for (const Node* item : files->items) {
        const std::string file = TextOf(item);
        if (file.empty() || !CheckRegoFile(file).empty()) continue;
        document.rego.push_back({file, std::string(RegoPackage(file)), At(*item)});
      }
    }
    return document;
  }

 private:
  Position At(const Node& node) const { return reporter_.source().PositionAt(node.offset); }

  static void ReadLabels(const Node* labels, Document& document) {
    if (labels == nullptr) return;
    for (const Node::Member& label : labels->members) {
      document.match_labels.emplace_back(label.key, TextOf(label.value));
    }
    std::sort(document.match_labels.begin(), document.match_labels.end());
  }

  static std::vector<std::string> ReadActions(const Node& item) {
    const Node* actions = item.Find("actions");
    return actions == nullptr ? std::vector<std::string>{"*"} : TextsOf(actions);
  }

  Entry ReadEntry(const Node& item, Mode document_mode) {
    Entry entry;
    entry.position = At(item);
    entry.tool = TextOf(item.Find("name"));
    entry.actions = ReadActions(item);
    entry.mode = ModeOf(item.Find("mode"), document_mode);
    if (const Node* node = item.Find("conditions"))
      entry.conditions = ReadConditions(*node, reporter_);
    if (const Node* node = item.Find("callers")) entry.callers = ReadCallers(*node);
    if (const Node* node = item.Find("schedule")) entry.schedule = ReadSchedule(*node);
    return entry;
  }

  static Egress ReadEgress(const Node& node) {
    Egress egress;
    for (const std::string& text : TextsOf(node.Find("allow"))) {
      EgressTarget target;
      if (ReadEgressTarget(text, &target).empty())
        egress.allow.push_back({text, std::move(target)});
    }
    if (const Node* tls = node.Find("tls")) {
      for (const Node::Member& member : tls->members) {
        if (TextOf(member.value) == "allow") egress.tls.emplace_back(member.key);
      }
    }
    std::sort(egress.tls.begin(), egress.tls.end());
    return egress;
  }

  std::vector<Caller> ReadCallers(const Node& node) {
    std::vector<Caller> callers;
    for (const Node* item : node.items) {
      Caller& caller = callers.emplace_back();
      if (item->kind == Node::Kind::kString) {
        const size_t colon = std::min(item->text.find(':'), item->text.size());
        caller.type = item->text.substr(0, colon);
        caller.pattern = item->text.substr(std::min(colon + 1, item->text.size()));
        continue;
      }
      caller.type = "agent";
      caller.pattern = TextOf(item->Find("agent"));
      if (const Node* conditions = item->Find("conditions")) {
        caller.conditions = ReadConditions(*conditions, reporter_);
      }
    }
    return callers;
  }

  static Schedule ReadSchedule(const Node& node) {
    Schedule schedule;
    if (const Node* days = node.Find("days")) schedule.days = ParseDays(TextOf(days));
    if (const Node* hours = node.Find("hours")) {
      schedule.hours = ParseHours(TextOf(hours)).value_or(Hours{});
    }
    if (const Node* zone = node.Find("timezone")) schedule.timezone = TextOf(zone);
    return schedule;
  }

  const Reporter& reporter_;
};

// Takes the documents of one source.
class SetBuilder final : public DocumentSink {
 public:
  SetBuilder(const SourceText& source, size_t max_documents, Diagnostics& diagnostics,
             std::vector<Document>& documents)
      : source_(source),
        max_documents_(max_documents),
        reporter_(source, diagnostics),
        documents_(documents) {}

  void OnDocument(const NodeTree& tree) override {
    const Node& root = *tree.root;
    // `---` at the end of a file, or between two others, begins a document without content.
    if (root.kind == Node::Kind::kNull) return;
    ++count_;
    if (documents_.size() >= max_documents_) {
      if (documents_.size() == max_documents_ && !full_) {
        reporter_.Error(root.offset, "more than " + std::to_string(max_documents_) +
                                         " policy documents; publish them in several tenants");
      }
      full_ = true;
      return;
    }
    CheckNode(root, DocumentType(), "the document", reporter_);
    if (root.kind != Node::Kind::kMap) return;
    Document document = DocumentReader(reporter_).Read(root);
    if (document.name.empty()) {
      document.name = Stem(source_.name());
      const std::string problem = CheckDocumentName(document.name);
      if (!problem.empty()) {
        reporter_.Error(root.offset, "the document's name '" + Shorten(document.name) +
                                         "', taken from the file's, " + problem +
                                         "; add 'name:' to the document");
      }
      if (count_ > 1) document.name += "#" + std::to_string(count_);
    }
    documents_.push_back(std::move(document));
  }

  size_t count() const { return count_; }

 private:
  const SourceText& source_;
  size_t max_documents_;
  Reporter reporter_;
  std::vector<Document>& documents_;
  size_t count_ = 0;
  bool full_ = false;
};

// "finance#10" comes after "finance#2": documents of one file keep its order.
std::tuple<std::string_view, unsigned long> OrderKey(std::string_view name) {
  const size_t hash = name.rfind('#');
  if (hash == std::string_view::npos) return {name, 1};
  return {name.substr(0, hash), std::stoul(std::string(name.substr(hash + 1)))};
}

void ReportEqualNames(const std::vector<Document>& documents, Diagnostics& diagnostics) {
  std::unordered_map<std::string_view, const Document*> by_name;
  for (const Document& document : documents) {
    const auto [known, fresh] = by_name.emplace(document.name, &document);
    if (fresh) continue;
    const Document& first = *known->second;
    diagnostics.Add({Severity::kError, document.file, document.position,
                     "two documents are named '" + document.name + "', the other is " + first.file +
                         ":" + std::to_string(first.position.line) +
                         "; give one of them another 'name:'"});
  }
}

// Files of custom Rego among the sources, by package. The name of a file is the name of its
// package, so two files of one name would be one package.
class ModuleFinder {
 public:
  explicit ModuleFinder(Diagnostics& diagnostics) : diagnostics_(diagnostics) {}

  void Add(const SourceFile& source) {
    const std::string_view name = LastPart(source.name);
    if (const std::string problem = CheckRegoFile(name); !problem.empty()) {
      return Error(source, "a file of Rego " + problem);
    }
    if (source.text.size() > kMaxModuleBytes) {
      return Error(source, "is larger than " + std::to_string(kMaxModuleBytes >> 20) + " MiB");
    }
    if (!IsValidUtf8(source.text)) return Error(source, "is not UTF-8");
    const auto [known, fresh] = modules_.emplace(RegoPackage(name), &source);
    if (!fresh) {
      Error(source, "another file of Rego is named so, " + known->second->name +
                        "; names must differ, they are names of packages");
    }
  }

  std::vector<CustomModule> Listed(const std::vector<Document>& documents) {
    std::map<std::string_view, CustomModule> listed;
    for (const Document& document : documents) {
      for (const RegoListing& listing : document.rego) {
        const auto found = modules_.find(listing.package);
        if (found == modules_.end()) {
          diagnostics_.Add({Severity::kError, document.file, listing.position,
                            "the file '" + listing.file +
                                "' is missing; it is looked for from this file's folder"});
          continue;
        }
        listed.emplace(listing.package,
                       CustomModule{listing.package, found->second->name, found->second->text});
      }
    }
    std::vector<CustomModule> modules;
    for (auto& [package, module] : listed) modules.push_back(std::move(module));
    for (const auto& [package, source] : modules_) {
      if (listed.contains(package)) continue;
      diagnostics_.Add({Severity::kWarning,
                        source->name,
                        {},
                        "no policy lists this file under 'rego'; it is not in force"});
    }
    if (modules.size() > kMaxModules) {
      Error({modules.back().file, {}},
            "more than " + std::to_string(kMaxModules) + " files of Rego are listed");
    }
    return modules;
  }

 private:
  void Error(const SourceFile& source, std::string message) {
    diagnostics_.Add({Severity::kError, source.name, {}, std::move(message)});
  }

  Diagnostics& diagnostics_;
  std::map<std::string_view, const SourceFile*> modules_;
};

}  // namespace

ParseResult ParseSources(std::span<const SourceFile> sources, const SourceLimits& limits) {
  ParseResult result;
  PolicySet set;
  ModuleFinder modules(result.diagnostics);
  size_t total = 0;
  for (const SourceFile& file : sources) {
    total += file.text.size();
    if (total > limits.max_total_bytes) {
      result.diagnostics.Add({Severity::kError,
                              file.name,
                              {},
                              "the policies have more than " +
                                  std::to_string(limits.max_total_bytes) + " bytes together"});
      break;
    }
    set.sources.push_back({std::string(LastPart(file.name)), crypto::Sha256Hex(file.text)});
    if (IsRego(file.name)) {
      modules.Add(file);
      continue;
    }
    const SourceText source(file.name, file.text);
    Diagnostics diagnostics;
    SetBuilder builder(source, limits.max_documents, diagnostics, set.documents);
    const bool read = ReadSource(source, limits, builder, diagnostics);
    if (read && builder.count() == 0) {
      diagnostics.Add({Severity::kError, file.name, {}, "the file has no policy document"});
    }
    result.diagnostics.Append(std::move(diagnostics));
  }
  set.modules = modules.Listed(set.documents);
  ReportEqualNames(set.documents, result.diagnostics);
  if (result.diagnostics.has_errors()) return result;
  std::sort(set.documents.begin(), set.documents.end(), [](const Document& a, const Document& b) {
    return OrderKey(a.name) < OrderKey(b.name);
  });
  std::sort(set.sources.begin(), set.sources.end(),
            [](const SourceDigest& a, const SourceDigest& b) {
              return std::tie(a.name, a.sha256) < std::tie(b.name, b.sha256);
            });
  result.policies = std::move(set);
  return result;
}

void AddListedModules(std::vector<SourceFile>& sources, Diagnostics& diagnostics,
                      const SourceLimits& limits) {
  std::set<std::string> read;
  for (const SourceFile& source : sources) {
    if (IsRego(source.name)) read.insert(source.name);
  }
  const size_t policies = sources.size();
  for (size_t i = 0; i < policies; ++i) {
    // Parsing everything twice would be for nothing in most policies.
    if (IsRego(sources[i].name) || sources[i].text.find("rego") == std::string::npos) continue;
    std::vector<Document> documents;
    Diagnostics reported_later;
    {
      const SourceText text(sources[i].name, sources[i].text);
      SetBuilder builder(text, limits.max_documents, reported_later, documents);
      ReadSource(text, limits, builder, reported_later);
    }
    const std::string folder = sources[i].name.substr(0, sources[i].name.rfind('/') + 1);
    for (const Document& document : documents) {
      for (const RegoListing& listing : document.rego) {
        const std::string path = folder + listing.file;
        if (!read.insert(path).second || !FileExists(path)) continue;
        // One more than may be, so that ParseSources says so.
        if (sources.size() - policies > kMaxModules) return;
        Result<std::string> content = ReadFile(path, kMaxModuleBytes);
        if (content) {
          sources.push_back({path, *std::move(content)});
        } else {
          diagnostics.Add(
              {Severity::kError, document.file, listing.position, content.error().message});
        }
      }
    }
  }
}

ParseResult ParseDocument(std::string_view text, std::string_view filename,
                          const SourceLimits& limits) {
  const SourceFile source{std::string(filename), std::string(text)};
  return ParseSources(std::span(&source, 1), limits);
}

ParseResult LoadSources(std::span<const std::string> paths, const SourceLimits& limits) {
  Diagnostics diagnostics;
  const std::vector<SourceFile> sources =
      ReadSources(paths, FileKind::kPolicies, diagnostics, limits);
  ParseResult result = ParseSources(sources, limits);
  diagnostics.Append(std::move(result.diagnostics));
  result.diagnostics = std::move(diagnostics);
  if (result.diagnostics.has_errors()) result.policies.reset();
  return result;
}

}  // namespace aegis::policy
