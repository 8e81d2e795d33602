// What builtins keep between calls: one per Vm, bounded.
//
// Internal to the rego library.
#pragma once

#include <algorithm>
#include <array>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "absl/time/time.h"
#include "aegis/rego/builtins/builtin.h"
#include "aegis/rego/builtins/expression.h"
#include "aegis/rego/builtins/token_cache.h"
#include "aegis/rego/hash.h"

namespace aegis::rego {

class JsonSchema;

// Texts of different kinds never share a place in the cache.
enum class PatternKind : uint8_t { kRegex, kGlob, kTemplate };

class BuiltinCaches {
 public:
  // Longer patterns are refused, in the caller's syntax and in RE2's.
  static constexpr size_t kMaxPatternText = 64 * 1024;
  // What RE2 makes of a pattern is smaller than this, or it refuses the pattern.
  static constexpr int kMaxInstructions = 16 * 1024;

  // A compiled pattern, or nullptr with `problem` set when it is not valid or too long, or when the
  // steps are used up. `key` is what the cache knows it by among its kind: patterns that differ
  // must have keys that differ. `translate` makes the RE2 pattern from it, in case it is not there.
  // Valid until the next call.
  template <typename Translate>
  Expression* Pattern(BuiltinContext& context, PatternKind kind, std::string_view key,
                      Translate translate, std::string& problem) {
    Set& set = sets_[(internal::HashString(key) + static_cast<size_t>(kind)) % kSets];
    for (Slot& slot : set.slots) {
      if (slot.expression && slot.kind == kind && slot.key == key) return &*slot.expression;
    }
    unkept_.reset();
    if (key.size() > kMaxPatternText) {
      problem = "the pattern is too long";
      return nullptr;
    }
    if (!context.Charge(key.size())) return nullptr;
    const std::string pattern = translate();
    std::unique_ptr<RE2> compiled = Compile(context, pattern, problem);
    if (compiled == nullptr) return nullptr;
    if (std::max(key.size(), pattern.size()) > kMaxKeptText) {
      return &unkept_.emplace(std::move(compiled));
    }
    Slot& slot = set.slots[set.next++ % kWays];
    slot.kind = kind;
    slot.key = key;
    return &slot.expression.emplace(std::move(compiled));
  }

  // nullptr with `problem` set when the pattern is not valid or too long. Charged by the size of
  // what it becomes: a short pattern can mean a large one.
  static std::unique_ptr<RE2> Compile(BuiltinContext& context, const std::string& pattern,
                                      std::string& problem);

  // The zone of an IANA name, nullptr when there is none or the steps are used up. "" is UTC.
  const absl::TimeZone* Zone(BuiltinContext& context, std::string_view name);

  // The compiled schema of that JSON text; nullptr with `problem` set when it is none.
  std::shared_ptr<const JsonSchema> Schema(std::string_view json, std::string& problem);

  TokenCache& tokens() { return tokens_; }

  // What a builtin writes its text or key into, for one at a time.
  std::string& scratch() { return scratch_; }

 private:
  // Together with the memory of one pattern this bounds what hostile patterns can take.
  static constexpr size_t kSets = 64;
  // Patterns that meet in a set do not drive each other out.
  static constexpr size_t kWays = 4;
  static constexpr size_t kMaxZones = 1024;
  static constexpr int64_t kPatternBytes = 1 << 20;
  // RE2 keeps the text and its syntax tree too, which are not counted there.
  static constexpr size_t kMaxKeptText = 4 * 1024;

  struct Slot {
    PatternKind kind = PatternKind::kRegex;
    std::string key;
    std::optional<Expression> expression;
  };
  struct Set {
    std::array<Slot, kWays> slots;
    size_t next = 0;  // the one that is replaced next
  };

  // Schemas of longer texts are not kept.
  static constexpr size_t kMaxSchemaBytes = 256 * 1024;
  static constexpr size_t kSchemaSlots = 16;
  struct SchemaSlot {
    std::string key;
    std::shared_ptr<const JsonSchema> schema;
  };

  std::array<Set, kSets> sets_;
  std::optional<Expression> unkept_;  // too long for a slot; there until another one is compiled
  std::string scratch_;
  std::unordered_map<std::string, absl::TimeZone> zones_;
  TokenCache tokens_;
  std::array<SchemaSlot, kSchemaSlots> schemas_;
};

// The scratch text of the caches, empty at first; what it needed is kept for the next one unless
// that is much.
class Scratch {
 public:
  explicit Scratch(BuiltinContext& context) : text_(context.caches().scratch()) { text_.clear(); }
  ~Scratch() {
    if (text_.capacity() > kMaxKept) std::string().swap(text_);
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  std::string& text() { return text_; }

 private:
  static constexpr size_t kMaxKept = 4 * 1024;
  std::string& text_;
};

}  // namespace aegis::rego
