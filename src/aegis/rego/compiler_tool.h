// OPA's compiler, which is a program of its own (tools/regoc): from Rego modules to a plan. Only
// Rego that users wrote needs it, when it is published or tried out; deciding calls never does.
//
// The program runs as a child with limits on time and memory, without environment, files or network
// (base/child_process.h).
//
// Threading: immutable; Compile may be called from several threads.
#pragma once

#include <chrono>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "aegis/base/result.h"
#include "aegis/rego/bundle.h"

namespace aegis::rego {

struct RegoModule {
  std::string name;  // what mistakes are reported under; differs from the others'
  std::string text;  // UTF-8
  // X: this is custom Rego of the policy dialect, package aegis.custom.X, and held to what that may
  // be (tools/regoc/custom.go). Empty: any Rego.
  std::string custom;
};

struct CompileRequest {
  std::span<const RegoModule> modules;
  std::string_view data_json;  // base documents that rules must not contradict; empty: none
  std::vector<std::string> entrypoints;  // paths of rules: "aegis/decision"
  int rego_version = 1;                  // 0 or 1
};

// Row and column start at 1, columns count code points; row 0: the module as a whole; no file: none
// of them in particular.
struct RegoMistake {
  std::string code;  // "rego_parse_error", "function_refused", ...
  std::string message;
  std::string file;
  uint32_t row = 0;
  uint32_t column = 0;

  std::string ToString() const;  // "file:row:column: message"
};

struct CompileAnswer {
  std::string plan_json;  // empty when there are mistakes
  std::vector<RegoMistake> mistakes;
};

class CompilerTool {
 public:
  // `path`: the regoc program.
  explicit CompilerTool(std::string path) : path_(std::move(path)) {}

  // The program that AEGIS_REGOC names, else `aegis-regoc` or `regoc` in the folder of this
  // program, else on PATH. Errors: regoc_missing, with how to get it.
  static Result<CompilerTool> Find();

  // Mistakes of the modules are in the answer. Errors: regoc_missing; regoc_failed (it broke, or
  // did not keep within its limits); module_malformed (not UTF-8); rego_too_large (all of it
  // together).
  Result<CompileAnswer> Compile(const CompileRequest& request) const;

  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// What a bundle that was built without `-t plan` lacks: its plan for `entrypoints`. Errors: those
// of CompilerTool::Compile; rego_invalid, with the first mistakes.
Result<std::string> PlanBundle(const Bundle& bundle, const std::vector<std::string>& entrypoints,
                               const CompilerTool& tool);

}  // namespace aegis::rego
