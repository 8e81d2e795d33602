#include "aegis/policy/test_runner.h"

#include <algorithm>

#include "aegis/base/arena.h"
#include "aegis/policy/compile.h"
#include "aegis/policy/custom_rego.h"
#include "aegis/policy/node.h"
#include "aegis/policy/test_file.h"
#include "aegis/rego/program.h"
#include "aegis/rego/value.h"
#include "aegis/rego/vm.h"

namespace aegis::policy {
namespace {

constexpr size_t kArenaBytes = size_t{64} << 20;

// Evaluates one call after the other.
class Engine {
 public:
  static Result<Engine> Make(const PolicySet& policies) {
    AEGIS_TRY(const std::string data, CompileData(policies));
    AEGIS_TRY(const BundleRego rego, RegoOf(policies));
    AEGIS_TRY(auto program, rego::Program::Load(rego.plan_json, data));
    const std::optional<uint32_t> entrypoint = program->FindEntrypoint(kEntrypoint);
    if (!entrypoint) {
      return Fail(Code::kInternal, "bundle_no_entrypoint",
                  "the built-in library has no entrypoint " + std::string(kEntrypoint));
    }
    return Engine(std::move(program), *entrypoint);
  }

  TestResult Run(const PolicyTest& test) {
    arena_->Reset();
    const rego::Value decision = Decide(test);
    TestResult result;
    result.file = test.file;
    result.position = test.position;
    result.name = test.name;
    result.message = decision.Get("message").string_value();
    if (!error_.empty()) result.message = error_;
    for (const auto& [field, expected] : test.expected) {
      // A policy that cannot be evaluated denies, as it does in a gateway.
      std::string actual(decision.Get(field).string_value());
      if (!error_.empty() && field == "outcome") actual = "deny";
      if (!error_.empty() && field == "reason") actual = "policy_error";
      if (!error_.empty() && field == "mode") actual = "enforce";
      if (actual != expected) result.mismatches.push_back({field, expected, std::move(actual)});
    }
    return result;
  }

 private:
  Engine(std::unique_ptr<const rego::Program> program, uint32_t entrypoint)
      : program_(std::move(program)),
        entrypoint_(entrypoint),
        vm_(std::make_unique<rego::Vm>()),
        arena_(std::make_unique<Arena>(64 * 1024, kArenaBytes)) {}

  rego::Value Decide(const PolicyTest& test) {
    error_.clear();
    const Result<rego::Value> input = rego::ParseJson(test.input_json, *arena_);
    if (!input) return Failed(input.error());
    const Result<rego::Value> decision =
        vm_->Eval(*program_, entrypoint_, *input, test.time_unix_ns, *arena_);
    if (!decision) return Failed(decision.error());
    if (!decision->is_object()) error_ = "the policy gave no decision";
    return *decision;
  }

  rego::Value Failed(const Error& error) {
    error_ = error.ToString();
    return {};
  }

  std::unique_ptr<const rego::Program> program_;
  uint32_t entrypoint_;
  std::unique_ptr<rego::Vm> vm_;
  std::unique_ptr<Arena> arena_;
  std::string error_;
};

std::string Shown(const std::string& value) { return value.empty() ? "nothing" : value; }

void AppendField(std::string_view key, std::string_view value, std::string& out) {
  out.append("\"").append(key).append("\":");
  AppendJsonString(value, out);
}

void AppendPlace(const std::string& file, Position position, std::string& out) {
  AppendField("file", file, out);
  out += ",\"line\":" + std::to_string(position.line) +
         ",\"column\":" + std::to_string(position.column);
}

void AppendResult(const TestResult& result, std::string& out) {
  out += '{';
  AppendPlace(result.file, result.position, out);
  out += ',';
  AppendField("name", result.name, out);
  out += result.passed() ? ",\"passed\":true," : ",\"passed\":false,";
  AppendField("message", result.message, out);
  out += ",\"mismatches\":[";
  for (size_t i = 0; i < result.mismatches.size(); ++i) {
    const TestResult::Mismatch& mismatch = result.mismatches[i];
    out += i > 0 ? ",{" : "{";
    AppendField("field", mismatch.field, out);
    out += ',';
    AppendField("expected", mismatch.expected, out);
    out += ',';
    AppendField("actual", mismatch.actual, out);
    out += '}';
  }
  out += "]}";
}

}  // namespace

size_t TestReport::passed() const {
  return static_cast<size_t>(std::count_if(results.begin(), results.end(),
                                           [](const TestResult& r) { return r.passed(); }));
}

size_t TestReport::failed() const { return results.size() - passed(); }

bool TestReport::ok() const {
  return !results.empty() && failed() == 0 && !diagnostics.has_errors();
}

std::string TestReport::ToString() const {
  std::string text = diagnostics.ToString();
  for (const TestResult& result : results) {
    if (result.passed()) continue;
    text += result.file + ":" + std::to_string(result.position.line) + ":" +
            std::to_string(result.position.column) + ": " + result.name + ": ";
    for (size_t i = 0; i < result.mismatches.size(); ++i) {
      const TestResult::Mismatch& mismatch = result.mismatches[i];
      text += (i > 0 ? "; " : "") + mismatch.field + ": expected " + mismatch.expected + ", got " +
              Shown(mismatch.actual);
    }
    if (!result.message.empty()) text += " (" + result.message + ")";
    text += '\n';
  }
  if (results.empty() && !diagnostics.has_errors()) text += "there are no tests\n";
  return text + std::to_string(passed()) + " passed, " + std::to_string(failed()) + " failed\n";
}

std::string TestReport::ToJson() const {
  std::string out = "{\"passed\":" + std::to_string(passed()) +
                    ",\"failed\":" + std::to_string(failed()) + ",\"tests\":[";
  for (size_t i = 0; i < results.size(); ++i) {
    if (i > 0) out += ',';
    AppendResult(results[i], out);
  }
  return out + "],\"diagnostics\":" + diagnostics.ToJson() + "}";
}

Result<TestReport> RunTests(const PolicySet& policies, std::span<const SourceFile> files,
                            const SourceLimits& limits) {
  TestReport report;
  const std::vector<PolicyTest> tests = ReadTests(files, report.diagnostics, limits);
  AEGIS_TRY(Engine engine, Engine::Make(policies));
  for (const PolicyTest& test : tests) report.results.push_back(engine.Run(test));
  return report;
}

}  // namespace aegis::policy
