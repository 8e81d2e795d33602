// plan.json from a hostile bundle: it is refused, or it runs within its limits.
#include <cstdint>
#include <memory>
#include <string_view>

#include "aegis/rego/program.h"
#include "aegis/rego/vm.h"

namespace {

using aegis::Arena;
using aegis::rego::Value;

constexpr std::string_view kData =
    R"({"a":{"b":[1,2.5,"x",null,true,{"c":"d"}],"k":{"x":1,"y":{"z":[]}}},"test":{"p":"q"}})";
constexpr std::string_view kInput =
    R"({"a":[1,2,3],"b":{"c":"text","d":1e30},"user":"alice","n":-1.5,"e":{}})";

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  const std::string_view plan(reinterpret_cast<const char*>(bytes), size);
  const auto program = aegis::rego::Program::Load(plan, kData);
  if (!program) return 0;
  static aegis::rego::Vm vm([] {
    aegis::rego::VmOptions options;
    options.max_steps = 100'000;
    options.max_call_depth = 200;
    options.max_registers = 1 << 14;
    return options;
  }());
  const size_t plans = (*program)->entrypoints().size();
  for (uint32_t i = 0; i < plans && i < 4; ++i) {
    Arena arena(16 * 1024, 16 << 20);
    const auto input = aegis::rego::ParseJson(kInput, arena);
    for (const Value in : {*input, Value()}) {
      const auto result = vm.EvalResultSet(**program, i, in, 1'700'000'000'000'000'000, arena);
      if (result) aegis::rego::Hash(*result);
    }
  }
  return 0;
}
