// The neutral tree that YAML and JSON sources become before the dialect looks at them.
//
// Threading: a NodeTree is built on one thread and then only read.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "aegis/policy/diagnostic.h"

namespace aegis::policy {

// Limits on what one set of sources may be. docs/policy-dialect.md lists them for users.
struct SourceLimits {
  size_t max_files = 20'000;
  size_t max_file_bytes = size_t{64} << 20;
  size_t max_total_bytes = size_t{256} << 20;
  size_t max_documents = 100'000;           // of all files
  size_t max_depth = 32;                    // of lists and maps in each other
  size_t max_nodes_per_document = 500'000;  // aliases counted as often as they are used
  size_t max_scalar_bytes = 16 * 1024;
};

struct Node {
  enum class Kind : uint8_t { kNull, kBool, kNumber, kString, kList, kMap };
  struct Member {
    std::string_view key;  // lives in the tree
    uint32_t key_offset;
    const Node* value;
  };

  Kind kind = Kind::kNull;
  bool plain = false;   // a YAML scalar without quotes
  uint32_t offset = 0;  // byte in the source where the node starts
  uint32_t weight = 1;  // nodes of this subtree, aliases expanded; saturates
  // kString: the value. kNumber: the JSON spelling, all digits kept. kBool: "true" or "false".
  std::string text;
  std::vector<const Node*> items;  // kList
  std::vector<Member> members;     // kMap, in order of writing, keys distinct

  const Node* Find(std::string_view key) const;
  const Member* FindMember(std::string_view key) const;
};

// Owns the nodes of one document.
class NodeTree {
 public:
  Node* New(Node::Kind kind, uint32_t offset);
  std::string_view Keep(std::string text);
  const Node* root = nullptr;

 private:
  std::deque<Node> nodes_;
  std::deque<std::string> keys_;
};

// "a list", "the text 'x'", "the number 5": for messages. Long text is cut.
std::string Describe(const Node& node);

// The text itself, cut before 60 bytes if it is longer.
std::string Shorten(std::string_view text);

// The node as compact JSON, keys in order of writing.
void AppendJson(const Node& node, std::string& out);
// A JSON string literal: the shortest escapes, UTF-8 as it is.
void AppendJsonString(std::string_view text, std::string& out);

// What a plain (unquoted) scalar means in the core schema of YAML 1.2.2 §10.3.2. A number is given
// in its JSON spelling. `problem` is set for numbers that cannot be carried exactly (too long, out
// of range, infinite); the node is then not to be used.
struct PlainScalar {
  Node::Kind kind = Node::Kind::kString;
  std::string text;
  std::string problem;
};
PlainScalar ResolvePlainScalar(std::string_view text);

// Checks a JSON number's size: at most 64 digits and a decimal exponent within ±1000, so that it
// has an exact value that every engine can compare. Empty when fine, else what is wrong.
std::string NumberProblem(std::string_view json_number);

// One source text and where its lines start. A UTF-8 byte order mark at the start is not part of
// the text.
class SourceText {
 public:
  SourceText(std::string_view name, std::string_view text);
  std::string_view name() const { return name_; }
  std::string_view text() const { return text_; }
  Position PositionAt(size_t offset) const;
  // Byte offset of a line and of a byte within it, both counted from 0; clipped to the text.
  size_t OffsetOf(size_t line, size_t byte_column) const;

 private:
  void Index() const;
  uint32_t CharactersBefore(size_t offset) const;
  std::string_view name_;
  std::string_view text_;
  mutable std::vector<uint32_t> line_starts_;
  mutable std::vector<uint32_t> characters_before_;  // each block of the text
};

// Receives the documents of one source; the tree dies after the call.
class DocumentSink {
 public:
  virtual ~DocumentSink() = default;
  virtual void OnDocument(const NodeTree& tree) = 0;
};

// Reads all documents of a YAML (or JSON) text. Mistakes go to `diagnostics`; what can be read of a
// text with a syntax mistake is still given to the sink. False when the text was not read to its
// end.
bool ReadYaml(const SourceText& source, const SourceLimits& limits, DocumentSink& sink,
              Diagnostics& diagnostics);
// Reads one JSON value (RFC 8259), the only document of the text.
bool ReadJson(const SourceText& source, const SourceLimits& limits, DocumentSink& sink,
              Diagnostics& diagnostics);
// ReadJson for names that end in ".json", else ReadYaml. Refuses text that is too large, is not
// UTF-8 or has control characters.
bool ReadSource(const SourceText& source, const SourceLimits& limits, DocumentSink& sink,
                Diagnostics& diagnostics);

}  // namespace aegis::policy
