#include "aegis/policy/node_builder.h"

#include <algorithm>

namespace aegis::policy {

void NodeBuilder::StartDocument() {
  tree_ = std::make_unique<NodeTree>();
  open_.clear();
  nodes_ = 0;
}

void NodeBuilder::Report(size_t offset, std::string message, Severity severity) {
  diagnostics_.Add(
      {severity, std::string(source_.name()), source_.PositionAt(offset), std::move(message)});
}

bool NodeBuilder::Count(uint32_t weight, uint32_t offset) {
  nodes_ += weight;
  if (nodes_ <= limits_.max_nodes_per_document) return true;
  Report(offset, "the document has more than " + std::to_string(limits_.max_nodes_per_document) +
                     " values (aliases counted each time); split it");
  return false;
}

bool NodeBuilder::Open(Node::Kind kind, uint32_t offset) {
  if (expects_key()) {
    Report(offset, "a key must be plain text, not a list or a map");
    return false;
  }
  if (open_.size() >= limits_.max_depth) {
    Report(offset,
           "lists and maps are nested more than " + std::to_string(limits_.max_depth) + " deep");
    return false;
  }
  if (!Count(1, offset)) return false;
  open_.push_back(
      {.node = tree_->New(kind, offset), .expects_key = kind == Node::Kind::kMap, .key = {}});
  return true;
}

const Node* NodeBuilder::Close() {
  const Node* node = open_.back().node;
  open_.pop_back();
  Attach(node);
  return node;
}

const Node* NodeBuilder::AddScalar(Node::Kind kind, bool plain, uint32_t offset,
                                   std::string_view written, std::string text) {
  if (written.size() > limits_.max_scalar_bytes) {
    Report(offset, "a text is longer than " + std::to_string(limits_.max_scalar_bytes) + " bytes");
    return nullptr;
  }
  if (!Count(1, offset)) return nullptr;
  if (expects_key()) {
    AddKey(written, offset);
    return open_.back().node;
  }
  Node* node = tree_->New(kind, offset);
  node->plain = plain;
  node->text = std::move(text);
  Attach(node);
  return node;
}

bool NodeBuilder::AddShared(const Node* node, uint32_t offset) {
  if (expects_key()) {
    Report(offset, "an alias cannot stand for a key");
    return false;
  }
  if (!Count(node->weight, offset)) return false;
  Attach(node);
  return true;
}

void NodeBuilder::AddKey(std::string_view written, uint32_t offset) {
  Frame& frame = open_.back();
  frame.expects_key = false;
  frame.key_offset = offset;
  frame.skip_value = frame.keys.contains(written);
  if (frame.skip_value) {
    const Node::Member* first = frame.node->FindMember(written);
    Report(offset,
           "the key '" + std::string(written) + "' is already given in line " +
               std::to_string(first == nullptr ? 0 : source_.PositionAt(first->key_offset).line) +
               "; remove one of them");
    return;
  }
  frame.key = tree_->Keep(std::string(written));
  frame.keys.insert(frame.key);
}

void NodeBuilder::Attach(const Node* node) {
  if (open_.empty()) {
    tree_->root = node;
    return;
  }
  Frame& frame = open_.back();
  const uint64_t weight = uint64_t{frame.node->weight} + node->weight;
  frame.node->weight = static_cast<uint32_t>(std::min<uint64_t>(weight, UINT32_MAX));
  if (frame.node->kind == Node::Kind::kList) {
    frame.node->items.push_back(node);
    return;
  }
  if (!frame.skip_value) frame.node->members.push_back({frame.key, frame.key_offset, node});
  frame.expects_key = true;
}

}  // namespace aegis::policy
