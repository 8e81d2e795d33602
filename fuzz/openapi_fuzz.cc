// OpenAPI descriptions: no input may crash the importer or keep it busy, and what it makes is a
// document that the reader of documents takes.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "aegis/tool/openapi.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto made = aegis::tool::ImportOpenApi(text, "t", "http://h");
  if (!made) return 0;
  std::vector<aegis::tool::Mistake> mistakes;
  const auto spec = aegis::tool::ReadSpec(aegis::tool::SpecJson(made->spec), &mistakes);
  if (!spec || *spec != made->spec) std::abort();
  return 0;
}
