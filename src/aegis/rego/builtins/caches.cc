#include "aegis/rego/builtins/caches.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <vector>

#include "aegis/rego/builtins/builtin.h"
#include "aegis/rego/builtins/json_schema.h"

namespace aegis::rego {

std::unique_ptr<RE2> BuiltinCaches::Compile(BuiltinContext& context, const std::string& pattern,
                                            std::string& problem) {
  if (pattern.size() > kMaxPatternText) {
    problem = "the pattern is too long";
    return nullptr;
  }
  RE2::Options options;
  options.set_log_errors(false);
  options.set_max_mem(kPatternBytes);
  auto expression = std::make_unique<RE2>(pattern, options);
  const bool too_large = expression->error_code() == RE2::ErrorPatternTooLarge;
  const int instructions = too_large ? kMaxInstructions : expression->ProgramSize();
  if (instructions > 0 && !context.Charge(static_cast<uint64_t>(instructions))) return nullptr;
  if (expression->ok()) return expression;
  problem = expression->error();
  return nullptr;
}

namespace {

// The names below the zone database, sorted. Where Abseil looks for them.
std::vector<std::string> ReadZoneNames() {
  namespace fs = std::filesystem;
  const char* const set = std::getenv("TZDIR");
  const fs::path root = set != nullptr && *set != '\0' ? set : "/usr/share/zoneinfo";
  constexpr int kMaxDepth = 4;  // "right/America/Argentina/Ushuaia"
  std::vector<std::string> names;
  std::error_code error;
  fs::recursive_directory_iterator entry(root, error);
  while (!error && entry != fs::recursive_directory_iterator()) {
    if (entry.depth() + 1 >= kMaxDepth) entry.disable_recursion_pending();
    std::error_code unreadable;
    if (entry->is_regular_file(unreadable)) {
      names.push_back(entry->path().lexically_relative(root).generic_string());
    }
    entry.increment(error);
  }
  std::sort(names.begin(), names.end());
  return names;
}

// Abseil keeps every name it was ever asked for, and reads files for it: it is asked only for names
// in the zone database, none of its own ("Fixed/UTC+01:00:00", "libc:localtime").
bool LoadZone(std::string_view name, absl::TimeZone& zone) {
  static const std::vector<std::string> names = ReadZoneNames();
  if (name == "localtime" || !std::binary_search(names.begin(), names.end(), name)) return false;
  return absl::LoadTimeZone(std::string(name), &zone);
}

}  // namespace

const absl::TimeZone* BuiltinCaches::Zone(BuiltinContext& context, std::string_view name) {
  static const absl::TimeZone utc = absl::UTCTimeZone();
  constexpr uint64_t kStepsToLoad = 100;
  if (name.empty() || name == "UTC") return &utc;
  const auto found = zones_.find(std::string(name));
  if (found != zones_.end()) return &found->second;
  absl::TimeZone zone;
  if (!context.Charge(kStepsToLoad) || !LoadZone(name, zone)) return nullptr;
  if (zones_.size() >= kMaxZones) zones_.clear();
  return &zones_.emplace(name, zone).first->second;
}

std::shared_ptr<const JsonSchema> BuiltinCaches::Schema(std::string_view json,
                                                        std::string& problem) {
  SchemaSlot& slot = schemas_[internal::HashString(json) % kSchemaSlots];
  if (slot.schema != nullptr && slot.key == json) return slot.schema;
  std::shared_ptr<const JsonSchema> schema = JsonSchema::Compile(json, problem);
  if (schema != nullptr && json.size() <= kMaxSchemaBytes) slot = {std::string(json), schema};
  return schema;
}

void WarmTimeZone(std::string_view name) {
  absl::TimeZone zone;
  if (!name.empty()) LoadZone(name, zone);
}

std::unique_ptr<BuiltinCaches, void (*)(BuiltinCaches*)> NewBuiltinCaches() {
  return {new BuiltinCaches(), [](BuiltinCaches* caches) { delete caches; }};
}

}  // namespace aegis::rego
