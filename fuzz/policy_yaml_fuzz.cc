// Policy sources: no input may crash the YAML and JSON front ends or pass their limits; reading is
// a function of the text alone; every mistake is placed inside the text; what is accepted compiles
// to tables that are JSON, and does not differ from itself.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "aegis/policy/compile.h"
#include "aegis/policy/diff.h"
#include "aegis/policy/parse.h"
#include "aegis/policy/test_file.h"

namespace {

using aegis::policy::Diagnostic;
using aegis::policy::Diagnostics;
using aegis::policy::ParseResult;
using aegis::policy::SourceFile;
using aegis::policy::SourceLimits;

constexpr SourceLimits kLimits{.max_files = 4,
                               .max_file_bytes = 1 << 16,
                               .max_total_bytes = 1 << 17,
                               .max_documents = 64,
                               .max_depth = 16,
                               .max_nodes_per_document = 4096,
                               .max_scalar_bytes = 1024};

void Require(bool holds) {
  if (!holds) std::abort();
}

class Ignore final : public aegis::policy::DocumentSink {
 public:
  void OnDocument(const aegis::policy::NodeTree& tree) override { Require(tree.root != nullptr); }
};

void CheckPlaces(const Diagnostics& diagnostics, std::string_view text) {
  const auto lines = static_cast<uint32_t>(std::count(text.begin(), text.end(), '\n')) + 1;
  for (const Diagnostic& item : diagnostics.items()) {
    Require(!item.message.empty());
    if (item.position.line == 0) continue;
    Require(item.position.line <= lines);
    Require(item.position.column >= 1 && item.position.column <= text.size() + 1);
  }
}

void ReadPolicies(const SourceFile& source) {
  const std::span<const SourceFile> sources(&source, 1);
  const ParseResult result = aegis::policy::ParseSources(sources, kLimits);
  Require(result.policies.has_value() == !result.diagnostics.has_errors());
  CheckPlaces(result.diagnostics, source.text);
  const ParseResult again = aegis::policy::ParseSources(sources, kLimits);
  Require(again.diagnostics.ToString() == result.diagnostics.ToString());
  if (!result.policies) return;
  const auto data = aegis::policy::CompileData(*result.policies);
  Require(data.has_value());
  Require(*data == *aegis::policy::CompileData(*again.policies));
  Ignore sink;
  Diagnostics none;
  SourceLimits wide;
  wide.max_depth = 64;
  wide.max_scalar_bytes = 1 << 20;
  const aegis::policy::SourceText text("data.json", *data);
  aegis::policy::ReadJson(text, wide, sink, none);
  Require(!none.has_errors());
  Require(aegis::policy::Diff(*result.policies, *again.policies).empty());
}

}  // namespace

// The first byte chooses: bit 0 JSON, bit 1 a file of tests.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const SourceFile source{(data[0] & 1) != 0 ? "p.json" : "p.yaml",
                          std::string(reinterpret_cast<const char*>(data + 1), size - 1)};
  if ((data[0] & 2) != 0) {
    Diagnostics diagnostics;
    aegis::policy::ReadTests(std::span(&source, 1), diagnostics, kLimits);
    CheckPlaces(diagnostics, source.text);
  } else {
    ReadPolicies(source);
  }
  return 0;
}
