// A policy, loaded: the plan of an OPA bundle lowered to a compact program, with its data.
//
// Threading: immutable; shared by any number of threads, each with a Vm of its own.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "aegis/base/result.h"
#include "aegis/rego/value.h"

namespace aegis::rego {

namespace internal {
struct ByteCode;
}

struct ProgramLimits {
  size_t max_plan_bytes = size_t{64} << 20;
  size_t max_data_bytes = size_t{256} << 20;
  size_t max_ops = size_t{8} << 20;        // operations of all functions after lowering
  size_t max_registers = size_t{1} << 16;  // of one function
};

class Program {
 public:
  // `plan_json`: plan.json as `opa build -t plan` of OPA 1.22 or older writes it. `data_json`: an
  // object, the base documents; empty: {}.
  // Errors: plan_malformed; plan_unsupported, builtin_unsupported and builtin_refused (named in the
  // message); plan_too_large; data_malformed; those of ParseJson.
  static Result<std::unique_ptr<const Program>> Load(std::string_view plan_json,
                                                     std::string_view data_json = {},
                                                     const ProgramLimits& limits = {});
  ~Program();
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  // Names of the plans ("aegis/decision"), in the order of the file.
  std::vector<std::string_view> entrypoints() const;
  std::optional<uint32_t> FindEntrypoint(std::string_view name) const;

  // The program's own string of that text; undefined when it has none. An input that is built from
  // such strings is compared by pointer.
  Value Intern(std::string_view text) const;
  Value data() const;

  // Whether the plan can look at input[key]: what it cannot reach need not be built. All keys are
  // reachable when that cannot be told, e.g. when the input is iterated over.
  bool ReachesInput(uint32_t entrypoint, std::string_view key) const;

  const internal::ByteCode& code() const { return *code_; }

 private:
  class Strings;
  Program();

  std::unique_ptr<Strings> strings_;
  std::unique_ptr<internal::ByteCode> code_;
};

}  // namespace aegis::rego
