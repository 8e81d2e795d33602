// The policy library in one include, for the CLI and the control plane:
//
//   LoadSources, ParseSources, ParseDocument   sources -> PolicySet and Diagnostics     parse.h
//   CompileData, CompileToBundleFiles, CompileToBundle, ContentRevision                 compile.h
//   PlanCustomRego      custom Rego -> its plan, or Diagnostics                       custom_rego.h
//   JsonSchema, TestFileJsonSchema json_schema.h RunTests *_test.yaml against a PolicySet
//   test_runner.h Diff                                       what agents gain and lose diff.h
//   Lint                                                what was probably not meant     lint.h
#pragma once

#include "aegis/policy/compile.h"      // IWYU pragma: export
#include "aegis/policy/custom_rego.h"  // IWYU pragma: export
#include "aegis/policy/diagnostic.h"   // IWYU pragma: export
#include "aegis/policy/diff.h"         // IWYU pragma: export
#include "aegis/policy/document.h"     // IWYU pragma: export
#include "aegis/policy/json_schema.h"  // IWYU pragma: export
#include "aegis/policy/lint.h"         // IWYU pragma: export
#include "aegis/policy/parse.h"        // IWYU pragma: export
#include "aegis/policy/test_runner.h"  // IWYU pragma: export
