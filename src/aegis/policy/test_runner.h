// Policy unit tests: calls and the decisions that the policies must give on them, run against the
// compiled bundle in the engine that gateways use. The format is described in
// docs/policy-dialect.md and by TestFileJsonSchema().
//
// Threading: free functions on values.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "aegis/base/result.h"
#include "aegis/policy/document.h"
#include "aegis/policy/parse.h"

namespace aegis::policy {

struct TestResult {
  struct Mismatch {
    std::string field;  // "outcome", "reason", "rule", "mode", "message"
    std::string expected;
    std::string actual;
  };
  std::string file;
  Position position;  // of the test
  std::string name;
  std::vector<Mismatch> mismatches;
  std::string message;  // of the decision: why it was reached

  bool passed() const { return mismatches.empty(); }
};

struct TestReport {
  Diagnostics diagnostics;  // mistakes in the test files
  std::vector<TestResult> results;

  size_t passed() const;
  size_t failed() const;
  // Whether there were tests, all of them passed and no file had a mistake.
  bool ok() const;
  // Diagnostics, each failed test as `file:line:column: name: ...` with what differs, and a last
  // line with the counts.
  std::string ToString() const;
  // {"passed":n,"failed":n,"tests":[{"file","line","column","name","passed","message","mismatches":[...]}],
  //  "diagnostics":[...]}
  std::string ToJson() const;
};

// Runs the tests of `files` against `policies`. Mistakes in test files are in the report.
// Errors: those of CompileToBundle and of loading the bundle's plan.
Result<TestReport> RunTests(const PolicySet& policies, std::span<const SourceFile> files,
                            const SourceLimits& limits = {});

}  // namespace aegis::policy
