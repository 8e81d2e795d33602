// Patterns and texts from a hostile policy or call: the automata for simple ones tell the same as
// RE2. An input is a pattern and a text with \x01 between them.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "aegis/rego/builtins/ascii_dfa_testing.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(bytes), size);
  const size_t end = input.find('\x01');
  if (end == input.npos) return 0;
  aegis::rego::ComparedPattern compared(input.substr(0, end));
  const std::string difference = compared.Difference(input.substr(end + 1));
  if (difference.empty()) return 0;
  std::fprintf(stderr, "not as RE2: %s\n", difference.c_str());
  std::abort();
}
