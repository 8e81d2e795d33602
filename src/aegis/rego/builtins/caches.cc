#include "aegis/rego/builtins/caches.h"

#include "aegis/rego/builtins/builtin.h"
#include "aegis/rego/builtins/json_schema.h"

namespace aegis::rego {

std::unique_ptr<RE2> BuiltinCaches::Compile(const std::string& pattern) {
  RE2::Options options;
  options.set_log_errors(false);
  options.set_max_mem(kPatternBytes);
  return std::make_unique<RE2>(pattern, options);
}

namespace {

// Only names below the zone database, none of Abseil's own. Abseil keeps what it has loaded.
bool LoadZone(std::string_view name, absl::TimeZone& zone) {
  if (name.size() > 64 || name.front() == '/' || name.find("..") != name.npos ||
      name.find('\\') != name.npos || name.find('\0') != name.npos || name == "localtime" ||
      name.starts_with("Fixed/") || name.starts_with("libc:") || name.starts_with("file:")) {
    return false;
  }
  return absl::LoadTimeZone(std::string(name), &zone);
}

}  // namespace

const absl::TimeZone* BuiltinCaches::Zone(std::string_view name) {
  static const absl::TimeZone utc = absl::UTCTimeZone();
  if (name.empty() || name == "UTC") return &utc;
  const auto found = zones_.find(std::string(name));
  if (found != zones_.end()) return &found->second;
  absl::TimeZone zone;
  if (!LoadZone(name, zone)) return nullptr;
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
