// Runs OPA's own test cases, for test_opa_cases.py.
//
//   regoc cases | cases_tool
//
// A line of input is a case as `regoc cases` writes it; a line of output is
// {"id": ..., "passed": bool, "why": "..."}. A case passes when the result set is the wanted one,
// by OPA's own comparison (testAssertResultSet in v1/topdown/exported_test.go), or when the
// evaluation fails with the wanted code. The texts of errors are ours and are not compared.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "aegis/rego/program.h"
#include "aegis/rego/value.h"
#include "aegis/rego/vm.h"

namespace aegis::rego {
namespace {

constexpr json::Limits kLimits{
    .max_bytes = size_t{64} << 20, .max_depth = 900, .max_values = size_t{16} << 20};

int64_t NowNanos() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

// A value from the form in which regoc writes Rego terms.
Value FromTagged(Arena& arena, Value tagged) {
  if (!tagged.is_object()) return tagged;
  if (const Value elements = tagged.Get("set"); elements.is_array()) {
    SetBuilder set(arena, elements.size());
    for (const Value element : elements.elements()) set.Add(FromTagged(arena, element));
    return set.Build();
  }
  if (const Value elements = tagged.Get("array"); elements.is_array()) {
    ArrayBuilder array(arena, elements.size());
    for (const Value element : elements.elements()) array.Add(FromTagged(arena, element));
    return array.Build();
  }
  ObjectBuilder object(arena);
  for (const Value member : tagged.Get("object").elements()) {
    object.Add(FromTagged(arena, member.At(0)), FromTagged(arena, member.At(1)));
  }
  return object.Build();
}

// What JSON keeps of a value.
Result<Value> ThroughJson(Arena& arena, Value value) {
  return ParseJson(ToJson(value), arena, kLimits);
}

Value Sorted(Arena& arena, Value array) {
  std::vector<Value> elements(array.elements().begin(), array.elements().end());
  std::sort(elements.begin(), elements.end(), [](Value a, Value b) { return Compare(a, b) < 0; });
  ArrayBuilder out(arena, elements.size());
  for (const Value element : elements) out.Add(element);
  return out.Build();
}

// The set of a result set's bindings.
Result<Value> Bindings(Arena& arena, Value test, Value results) {
  SetBuilder set(arena, results.size());
  for (const Value result : results.elements()) {
    ObjectBuilder bindings(arena);
    for (const Member& member : result.members()) {
      if (test.Get("ignore_generated_vars").is_true() &&
          member.key.string_value().starts_with("__localq")) {
        continue;
      }
      AEGIS_TRY(Value value, ThroughJson(arena, member.value));
      if (test.Get("sort_bindings").is_true() && value.is_array()) value = Sorted(arena, value);
      bindings.Add(member.key, value);
    }
    set.Add(bindings.Build());
  }
  return set.Build();
}

// Empty when the case passes, else why not.
std::string RunCase(Arena& arena, Value test) {
  const Value data = test.Get("data");
  const Result<std::unique_ptr<const Program>> program =
      Program::Load(ToJson(test.Get("plan")), data.is_undefined() ? "" : ToJson(data));
  if (!program) return program.error().ToString();
  Value input = test.Get("input");
  if (const Value term = test.Get("input_term"); !term.is_undefined()) {
    input = FromTagged(arena, term);
  }
  VmOptions options;
  options.strict_builtin_errors = test.Get("strict_error").is_true();
  Vm vm(options);
  const Result<Value> results = vm.EvalResultSet(**program, 0, input, NowNanos(), arena);

  const std::string_view wanted_code = test.Get("want_error_code").string_value();
  const std::string_view wanted_text = test.Get("want_error").string_value();
  const Value wanted = test.Get("want_result");
  if (!results) {
    if (wanted_code.empty() && wanted_text.empty()) return results.error().ToString();
    if (wanted_code.empty() || results.error().reason == wanted_code) return "";
    return "wanted " + std::string(wanted_code) + ", got " + results.error().ToString();
  }
  const Result<Value> got = Bindings(arena, test, *results);
  if (!got) return got.error().ToString();
  if (!wanted_code.empty() || !wanted_text.empty()) {
    return "wanted " + std::string(wanted_code.empty() ? "an error" : wanted_code) + ", got " +
           ToJson(*got);
  }
  if (!wanted.is_array()) return "the case wants neither a result nor an error";
  SetBuilder expected(arena, wanted.size());
  for (const Value bindings : wanted.elements()) expected.Add(bindings);
  const Value want = expected.Build();
  return Equal(want, *got) ? "" : "wanted " + ToJson(want) + ", got " + ToJson(*got);
}

int Run() {
  Arena arena(1 << 20);
  std::string line;
  while (std::getline(std::cin, line)) {
    arena.Reset();
    const Result<Value> test = ParseJson(line, arena, kLimits);
    if (!test) {
      std::fprintf(stderr, "%s\n", test.error().ToString().c_str());
      return 2;
    }
    const std::string why = RunCase(arena, *test);
    ObjectBuilder answer(arena);
    answer.Add("id", test->Get("id"));
    answer.Add("passed", Value::Bool(why.empty()));
    answer.Add("why", MakeString(arena, why));
    std::printf("%s\n", ToJson(answer.Build()).c_str());
  }
  return 0;
}

}  // namespace
}  // namespace aegis::rego

int main() { return aegis::rego::Run(); }
