#include "aegis/cli/tool_files.h"

#include <cstdio>

#include "aegis/base/file.h"
#include "aegis/base/text.h"
#include "aegis/policy/node.h"

namespace aegis::cli {
namespace {

constexpr size_t kMaxFileBytes = size_t{16} << 20;

// RFC 6901 §4.
std::string UnescapePointer(std::string_view part) {
  std::string out;
  for (size_t i = 0; i < part.size(); ++i) {
    if (part[i] == '~' && i + 1 < part.size()) {
      out += part[++i] == '1' ? '/' : '~';
    } else {
      out += part[i];
    }
  }
  return out;
}

// Where the value is that the pointer names, or the nearest one around it.
size_t OffsetOf(const policy::Node& root, std::string_view pointer) {
  const policy::Node* node = &root;
  size_t offset = root.offset;
  if (pointer.empty()) return offset;
  for (const std::string_view part : Split(pointer.substr(1), '/')) {
    const policy::Node* next = nullptr;
    if (node->kind == policy::Node::Kind::kMap) {
      const policy::Node::Member* member = node->FindMember(UnescapePointer(part));
      if (member == nullptr) break;
      next = member->value;
      offset = member->key_offset;
    } else if (node->kind == policy::Node::Kind::kList) {
      const size_t index = std::strtoul(std::string(part).c_str(), nullptr, 10);
      if (index >= node->items.size()) break;
      next = node->items[index];
      offset = next->offset;
    } else {
      break;
    }
    node = next;
  }
  return offset;
}

class Documents final : public policy::DocumentSink {
 public:
  Documents(const policy::SourceText& source, policy::Diagnostics& diagnostics)
      : source_(source), diagnostics_(diagnostics) {}

  void OnDocument(const policy::NodeTree& tree) override {
    std::string json;
    policy::AppendJson(*tree.root, json);
    std::vector<tool::Mistake> mistakes;
    auto spec = tool::ReadSpec(json, &mistakes);
    for (const tool::Mistake& mistake : mistakes) {
      Report(OffsetOf(*tree.root, mistake.pointer), mistake.pointer + " " + mistake.detail);
    }
    if (spec) {
      specs.push_back(*std::move(spec));
    } else if (mistakes.empty()) {
      Report(tree.root->offset, spec.error().message);
    }
  }

  std::vector<tool::Spec> specs;

 private:
  void Report(size_t offset, std::string message) {
    diagnostics_.Add({policy::Severity::kError, std::string(source_.name()),
                      source_.PositionAt(offset), std::move(message)});
  }

  const policy::SourceText& source_;
  policy::Diagnostics& diagnostics_;
};

}  // namespace

std::vector<tool::Spec> ParseToolDocuments(std::string_view text, const std::string& name,
                                           policy::Diagnostics& diagnostics) {
  const policy::SourceText source(name, text);
  Documents documents(source, diagnostics);
  policy::ReadSource(source, policy::SourceLimits{}, documents, diagnostics);
  return std::move(documents.specs);
}

Result<std::string> ReadFileOrInput(const std::string& path, size_t max_bytes) {
  if (path != "-") return ReadFile(path, max_bytes);
  std::string text;
  char buffer[16 * 1024];
  while (const size_t got = std::fread(buffer, 1, sizeof buffer, stdin)) {
    text.append(buffer, got);
    if (text.size() > max_bytes) {
      return Fail(Code::kInvalidArgument, "input_too_large",
                  "standard input has more than " + std::to_string(max_bytes) + " bytes");
    }
  }
  return text;
}

Result<std::vector<tool::Spec>> ReadToolFile(const std::string& path,
                                             policy::Diagnostics& diagnostics) {
  AEGIS_TRY(const std::string text, ReadFileOrInput(path, kMaxFileBytes));
  return ParseToolDocuments(text, path == "-" ? "stdin" : path, diagnostics);
}

}  // namespace aegis::cli
