// Documents of tools: no input may crash the reader; what it accepts is written and read again as
// it was, and makes a map.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "aegis/tool/action_map.h"
#include "aegis/tool/spec.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  std::vector<aegis::tool::Mistake> mistakes;
  const auto spec = aegis::tool::ReadSpec(text, &mistakes);
  if (spec.has_value() && !mistakes.empty()) std::abort();
  if (mistakes.size() > 100) std::abort();
  if (!spec) return 0;
  const auto again = aegis::tool::ReadSpec(aegis::tool::SpecJson(*spec), &mistakes);
  if (!again || *again != *spec) std::abort();
  const aegis::tool::ActionMap map(*spec);
  aegis::tool::ActionMap::Match match;
  map.Find("GET", "/v1/x", &match);
  return 0;
}
