// What builtins keep between calls: one per Vm, bounded.
//
// Internal to the rego library.
#pragma once

#include <re2/re2.h>

#include <array>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

#include "absl/time/time.h"
#include "aegis/rego/builtins/token_cache.h"
#include "aegis/rego/hash.h"

namespace aegis::rego {

class JsonSchema;

class BuiltinCaches {
 public:
  // A compiled pattern, or nullptr with `problem` set when it is not valid. `key` is what the cache
  // knows it by, `translate` makes the RE2 pattern from it, in case it is not there. Valid until
  // the next call.
  template <typename Translate>
  const RE2* Pattern(std::string_view key, Translate translate, std::string& problem) {
    Set& set = sets_[internal::HashString(key) % kSets];
    size_t way = 0;
    while (way < kWays && (set.slots[way].expression == nullptr || set.slots[way].key != key)) {
      ++way;
    }
    if (way == kWays) {
      way = set.next++ % kWays;
      set.slots[way].expression = Compile(translate());
      set.slots[way].key = key;
    }
    const Slot& slot = set.slots[way];
    if (slot.expression->ok()) return slot.expression.get();
    problem = slot.expression->error();
    return nullptr;
  }

  // The zone of an IANA name, nullptr when there is none. "" is UTC.
  const absl::TimeZone* Zone(std::string_view name);

  // The compiled schema of that JSON text; nullptr with `problem` set when it is none.
  std::shared_ptr<const JsonSchema> Schema(std::string_view json, std::string& problem);

  TokenCache& tokens() { return tokens_; }

 private:
  // Together with the memory of one pattern this bounds what hostile patterns can take.
  static constexpr size_t kSets = 64;
  // Patterns that meet in a set do not drive each other out.
  static constexpr size_t kWays = 4;
  static constexpr size_t kMaxZones = 1024;
  static constexpr int64_t kPatternBytes = 1 << 20;

  struct Slot {
    std::string key;
    std::unique_ptr<RE2> expression;
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

  static std::unique_ptr<RE2> Compile(const std::string& pattern);

  std::array<Set, kSets> sets_;
  std::unordered_map<std::string, absl::TimeZone> zones_;
  TokenCache tokens_;
  std::array<SchemaSlot, kSchemaSlots> schemas_;
};

}  // namespace aegis::rego
