#include "aegis/policy/parse.h"

#include <algorithm>
#include <tuple>
#include <unordered_map>

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

}  // namespace

ParseResult ParseSources(std::span<const SourceFile> sources, const SourceLimits& limits) {
  ParseResult result;
  PolicySet set;
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
    const SourceText source(file.name, file.text);
    Diagnostics diagnostics;
    SetBuilder builder(source, limits.max_documents, diagnostics, set.documents);
    const bool read = ReadSource(source, limits, builder, diagnostics);
    if (read && builder.count() == 0) {
      diagnostics.Add({Severity::kError, file.name, {}, "the file has no policy document"});
    }
    result.diagnostics.Append(std::move(diagnostics));
    set.sources.push_back({std::string(LastPart(file.name)), crypto::Sha256Hex(file.text)});
  }
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
