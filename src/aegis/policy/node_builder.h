// Puts nodes together under the limits; shared by the YAML and the JSON reader.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>
#include <vector>

#include "aegis/policy/node.h"

namespace aegis::policy {

// Builds one document at a time. Every method says by its result whether reading may go on; after
// false the mistake has been reported.
class NodeBuilder {
 public:
  NodeBuilder(const SourceText& source, const SourceLimits& limits, Diagnostics& diagnostics)
      : source_(source), limits_(limits), diagnostics_(diagnostics) {}

  void StartDocument();
  bool OpenList(uint32_t offset) { return Open(Node::Kind::kList, offset); }
  bool OpenMap(uint32_t offset) { return Open(Node::Kind::kMap, offset); }
  // The list or map that was closed.
  const Node* Close();
  // In a map, the first, third ... scalar is a key. nullptr: stop.
  const Node* AddScalar(Node::Kind kind, bool plain, uint32_t offset, std::string_view written,
                        std::string text);
  // `node` once more, as the value of an alias at `offset`.
  bool AddShared(const Node* node, uint32_t offset);
  bool expects_key() const { return !open_.empty() && open_.back().expects_key; }
  // Where the key is whose value comes next, else the list or map around.
  std::optional<uint32_t> enclosing_offset() const {
    if (open_.empty()) return std::nullopt;
    const Frame& frame = open_.back();
    return frame.node->kind == Node::Kind::kMap ? frame.key_offset : frame.node->offset;
  }
  bool has_root() const { return tree_->root != nullptr; }

  const NodeTree& tree() const { return *tree_; }
  void Report(size_t offset, std::string message, Severity severity = Severity::kError);

 private:
  struct Frame {
    Node* node;
    bool expects_key;
    bool skip_value = false;  // of a duplicate key, which is reported and left out
    std::string_view key;
    uint32_t key_offset = 0;
    std::unordered_set<std::string_view> keys{};
  };

  bool Open(Node::Kind kind, uint32_t offset);
  bool Count(uint32_t weight, uint32_t offset);
  void AddKey(std::string_view written, uint32_t offset);
  void Attach(const Node* node);

  const SourceText& source_;
  const SourceLimits& limits_;
  Diagnostics& diagnostics_;
  std::unique_ptr<NodeTree> tree_;
  std::vector<Frame> open_;
  size_t nodes_ = 0;
};

}  // namespace aegis::policy
