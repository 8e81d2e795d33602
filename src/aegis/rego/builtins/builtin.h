// What a builtin function is, and the table of those that there are: one family per file, each with
// a list; a plan that names another one is refused when it is loaded.
//
// Internal to the rego library.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "aegis/base/arena.h"
#include "aegis/rego/value.h"

namespace aegis::rego {

class BuiltinCaches;  // compiled patterns, time zones: kept by a Vm between calls

// What a builtin gets besides its arguments, which are never undefined.
class BuiltinContext {
 public:
  BuiltinContext(Arena& arena, BuiltinCaches& caches, int64_t time_unix_ns, int64_t& steps_left)
      : arena_(arena), caches_(caches), time_unix_ns_(time_unix_ns), steps_left_(steps_left) {}

  Arena& arena() { return arena_; }
  BuiltinCaches& caches() { return caches_; }
  int64_t time_unix_ns() const { return time_unix_ns_; }

  // Ends the builtin with an error: the statement is undefined, or in strict mode the evaluation
  // fails. `return context.Error("...")`.
  Value Error(std::string_view what) {
    if (error_.empty()) error_ = what;
    return Value();
  }
  // The same for an argument that is not what the builtin takes (eval_type_error).
  Value TypeError(std::string_view what) {
    if (error_.empty()) is_type_error_ = true;
    return Error(what);
  }
  // "operand 1 must be string but got number"
  Value WrongType(int operand, std::string_view wanted, Value got);
  // Takes `steps` off what the evaluation may still do; false when that is used up, and then the
  // evaluation ends whatever the builtin returns. To be called before work that is out of
  // proportion to the sizes of the arguments.
  bool Charge(uint64_t steps) {
    if (steps_left_ < 0 || steps > static_cast<uint64_t>(steps_left_)) {
      steps_left_ = -1;
      return false;
    }
    steps_left_ -= static_cast<int64_t>(steps);
    return true;
  }

  int64_t steps_left() const { return steps_left_; }

  bool has_error() const { return !error_.empty(); }
  bool is_type_error() const { return is_type_error_; }
  const std::string& error() const { return error_; }
  void ClearError() {
    error_.clear();
    is_type_error_ = false;
  }

 private:
  Arena& arena_;
  BuiltinCaches& caches_;
  int64_t time_unix_ns_;
  int64_t& steps_left_;
  std::string error_;
  bool is_type_error_ = false;
};

using BuiltinFunction = Value (*)(BuiltinContext& context, const Value* args);

struct Builtin {
  std::string_view name;
  uint8_t arity;
  BuiltinFunction function;
};
inline constexpr int kMaxBuiltinArity = 8;

// nullptr: not supported (yet).
const Builtin* FindBuiltin(std::string_view name);
// Why a function of OPA is refused for good ("it reaches other hosts"); empty for all others. From
// tools/regoc/refused_builtins.json, with which regoc refuses it where Rego is compiled.
std::string_view WhyRefused(std::string_view name);
// Of all that there are, sorted.
std::vector<std::string_view> BuiltinNames();

// The families.
std::span<const Builtin> AggregateBuiltins();
std::span<const Builtin> ArithmeticBuiltins();
std::span<const Builtin> ArrayBuiltins();
std::span<const Builtin> AwsBuiltins();
std::span<const Builtin> CidrBuiltins();
std::span<const Builtin> CompareBuiltins();
std::span<const Builtin> EncodingBuiltins();
std::span<const Builtin> FormatBuiltins();
std::span<const Builtin> GlobBuiltins();
std::span<const Builtin> GraphBuiltins();
std::span<const Builtin> GraphqlBuiltins();
std::span<const Builtin> HashBuiltins();
std::span<const Builtin> JsonEditBuiltins();
std::span<const Builtin> JsonSchemaBuiltins();
std::span<const Builtin> JwtBuiltins();
std::span<const Builtin> JwtVerifyBuiltins();
std::span<const Builtin> ObjectBuiltins();
std::span<const Builtin> PatternBuiltins();
std::span<const Builtin> PrivateKeyBuiltins();
std::span<const Builtin> SetBuiltins();
std::span<const Builtin> StringBuiltins();
std::span<const Builtin> TimeBuiltins();
std::span<const Builtin> TypeBuiltins();
std::span<const Builtin> UnitBuiltins();
std::span<const Builtin> UriBuiltins();
std::span<const Builtin> UuidBuiltins();
std::span<const Builtin> VersionBuiltins();
std::span<const Builtin> X509Builtins();
std::span<const Builtin> YamlBuiltins();

// Loads the time zone of that name, if there is one, for all Vms of the process, so that
// evaluations read no files.
void WarmTimeZone(std::string_view name);

std::unique_ptr<BuiltinCaches, void (*)(BuiltinCaches*)> NewBuiltinCaches();

}  // namespace aegis::rego
