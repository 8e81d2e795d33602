// A parsed JSON text as a small read-only tree (RFC 8259), for keys, tokens, manifests and other
// things that are read once: strict, with limits, and with numbers kept as they were written.
//
// What is refused beyond the grammar: duplicate member names (RFC 7493 §2.3), text that is not
// UTF-8, escapes that leave a lone surrogate, anything after the value.
//
// Threading: immutable once parsed. Ownership: nodes live in the arena; strings without escapes and
// numbers point into the parsed text, so arena and text must both outlive the tree.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "aegis/base/arena.h"
#include "aegis/base/result.h"

namespace aegis::json {

struct TreeLimits {
  size_t max_bytes = size_t{1} << 20;
  int max_depth = 64;  // nested arrays and objects
};

struct Member;

class Tree {
 public:
  enum class Kind : uint8_t { kNull, kBool, kNumber, kString, kArray, kObject };

  Kind kind() const { return kind_; }
  bool is_string() const { return kind_ == Kind::kString; }
  bool is_object() const { return kind_ == Kind::kObject; }
  bool is_array() const { return kind_ == Kind::kArray; }

  bool bool_value() const { return kind_ == Kind::kBool && size_ != 0; }
  // A string's value, or a number as it was written; empty for the other kinds.
  std::string_view text() const {
    return kind_ == Kind::kString || kind_ == Kind::kNumber
               ? std::string_view(static_cast<const char*>(data_), size_)
               : std::string_view();
  }
  // A number that is written as an integer (no fraction, no exponent) and fits.
  std::optional<int64_t> AsInt64() const;

  // Elements of an array, in order; empty for the other kinds.
  std::span<const Tree> elements() const {
    return {static_cast<const Tree*>(data_), kind_ == Kind::kArray ? size_ : 0};
  }
  // Members of an object, sorted by the bytes of their names; empty for the other kinds.
  std::span<const Member> members() const;
  // The member of that name; nullptr when absent or when this is not an object.
  const Tree* Find(std::string_view name) const;
  // The member's string value; nothing when absent or not a string.
  std::optional<std::string_view> FindString(std::string_view name) const;

 private:
  friend class TreeParser;
  Kind kind_ = Kind::kNull;
  size_t size_ = 0;  // bytes, elements or members; for kBool the value
  const void* data_ = nullptr;
};

struct Member {
  std::string_view name;
  Tree value;
};

// Errors: json_too_large, json_too_deep, json_malformed (with line and column), json_duplicate_key,
// json_memory (the arena's limit).
Result<Tree> ParseTree(std::string_view text, Arena& arena, const TreeLimits& limits = {});

// Appends `text` (UTF-8) as a JSON string with quotes; escapes '"', '\' and control characters
// only.
void AppendQuoted(std::string& out, std::string_view text);
// Appends the tree without white space, members sorted, numbers as they were written.
void AppendTree(std::string& out, const Tree& tree);

}  // namespace aegis::json
