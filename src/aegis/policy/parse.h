// Sources of policies: reading them from disk and parsing them.
//
// Threading: free functions; no shared state.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "aegis/policy/document.h"
#include "aegis/policy/node.h"

namespace aegis::policy {

struct SourceFile {
  std::string name;  // as diagnostics name it; its last part orders documents
  std::string text;
};

struct ParseResult {
  // Only when there is no error: a part of the policies must never be taken for all of them.
  std::optional<PolicySet> policies;
  Diagnostics diagnostics;
};

// Parses all sources and reports all of their mistakes. Sources named *.rego are the custom Rego
// that documents list; what is in them is looked at by PlanCustomRego (custom_rego.h). No source at
// all gives an empty set, which denies every call.
ParseResult ParseSources(std::span<const SourceFile> sources, const SourceLimits& limits = {});
// One source.
ParseResult ParseDocument(std::string_view text, std::string_view filename,
                          const SourceLimits& limits = {});

// Which files of a folder are meant.
enum class FileKind : uint8_t {
  kPolicies,  // *.yaml, *.yml, *.json
  kTests,     // *_test.yaml, *_test.yml, *_test.json
};

// The files that `paths` name: of folders all files of the kind below them, hidden ones and links
// to folders left out. A file that is named itself is read if it is of the kind; a policy that is
// named where tests are wanted stands for the tests beside it (finance.yaml for finance_test.yaml).
// Each file once, in the order of `paths`, within a folder by name; after the policies the files of
// custom Rego that they list. What cannot be read is a diagnostic.
std::vector<SourceFile> ReadSources(std::span<const std::string> paths, FileKind kind,
                                    Diagnostics& diagnostics, const SourceLimits& limits = {});

// Adds the files of custom Rego that the policies among `sources` list, by paths from their own
// folders. Missing ones are reported by ParseSources.
void AddListedModules(std::vector<SourceFile>& sources, Diagnostics& diagnostics,
                      const SourceLimits& limits = {});

// ReadSources and ParseSources.
ParseResult LoadSources(std::span<const std::string> paths, const SourceLimits& limits = {});

}  // namespace aegis::policy
