// Request bodies, read strictly: one JSON object, no duplicate keys, no unknown members, no
// coercion.
//
// Threading: free functions and values used by one thread.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "aegis/base/result.h"
#include "aegis/control/problem.h"

namespace aegis::control {

inline constexpr size_t kMaxJsonDepth = 16;

// Errors: json_malformed (not RFC 8259 JSON, not UTF-8, or not an object), json_duplicate_key,
// json_too_deep.
Result<nlohmann::json> ParseObject(std::string_view text);

// Reads the members of one object and collects all that is wrong with it. Ask for each member that
// may be there, then call Finish: what was not asked for is an unknown member.
class ObjectReader {
 public:
  // `pointer`: of the object itself. `object` and `errors` must outlive the reader.
  ObjectReader(const nlohmann::json& object, std::string pointer, std::vector<FieldError>& errors);

  // Absent or of a wrong type: an error and nothing.
  std::optional<std::string> Text(std::string_view name);
  std::optional<std::string> OptionalText(std::string_view name);
  std::optional<int64_t> OptionalInt(std::string_view name, int64_t min, int64_t max);
  std::optional<bool> OptionalBool(std::string_view name);
  // nullptr when absent or wrong.
  const nlohmann::json* OptionalArray(std::string_view name, size_t max_items);
  const nlohmann::json* OptionalObject(std::string_view name, size_t max_members);

  void AddError(std::string_view name, std::string detail);
  std::string PointerTo(std::string_view name) const;
  void Finish();

 private:
  const nlohmann::json* Take(std::string_view name);

  const nlohmann::json& object_;
  std::string pointer_;
  std::vector<FieldError>& errors_;
  std::vector<std::string> asked_;
};

}  // namespace aegis::control
