// Delta bundles: reading patch.json. Applying it is ApplyDelta of bundle.h.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "aegis/base/arena.h"
#include "aegis/base/result.h"
#include "aegis/json/tree.h"

namespace aegis::rego {

// One member of patch.json's "data".
struct PatchOperation {
  enum class Kind : uint8_t { kUpsert, kRemove, kReplace };
  Kind kind;
  std::vector<std::string> path;  // keys and list indices, unescaped
  json::Tree value;               // null when absent; lives in the arena and the text
};

// {"data":[{"op":"upsert|remove|replace","path":"/a/b","value":...}]}. A path is escaped as OPA
// does it: percent-encoding, then RFC 6901's ~1 and ~0. An empty list is refused: OPA takes the
// bundle for a whole one and drops all data. Errors: bundle_malformed.
Result<std::vector<PatchOperation>> ParsePatch(std::string_view json, Arena& arena);

}  // namespace aegis::rego
