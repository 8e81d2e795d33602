#include "aegis/cli/bundle_file.h"

#include <algorithm>
#include <cstdio>
#include <iostream>

#include "aegis/base/file.h"
#include "aegis/cli/output.h"
#include "aegis/rego/compiler_tool.h"

namespace aegis::cli {

Result<std::string> ReadFileOrStdin(const std::string& path, size_t max_bytes) {
  if (path != "-") return ReadFile(path, max_bytes);
  std::string text;
  char buffer[65536];
  while (std::cin.read(buffer, sizeof buffer), std::cin.gcount() > 0) {
    text.append(buffer, static_cast<size_t>(std::cin.gcount()));
    if (text.size() > max_bytes)
      return Fail(Code::kResourceExhausted, "file_too_large",
                  "standard input: larger than " + std::to_string(max_bytes) + " bytes");
  }
  return text;
}

std::string NameOf(const std::string& path) { return path == "-" ? "standard input" : path; }

Result<rego::Bundle> ReadPlannedBundle(const std::string& path,
                                       const std::vector<std::string>& entrypoints) {
  AEGIS_TRY(const std::string bytes, ReadFileOrStdin(path, rego::BundleLimits().max_archive_bytes));
  Result<rego::Bundle> bundle = rego::ReadBundle(bytes, nullptr);
  if (!bundle) return Fail(Annotate(std::move(bundle).error(), NameOf(path)));
  if (!bundle->plan_json.empty()) return bundle;
  const auto no_plan = [&](const std::string& why) {
    return Fail(Code::kFailedPrecondition, "bundle_no_plan",
                NameOf(path) + " has no plan.json, and " + why);
  };
  if (bundle->modules.empty()) return no_plan("no Rego to make one from");
  if (entrypoints.empty())
    return no_plan("what to plan is not known; name a rule, e.g. --entrypoint aegis/decision");
  const Result<rego::CompilerTool> tool = rego::CompilerTool::Find();
  if (!tool)
    return no_plan("it cannot be made here: " + tool.error().message +
                   "; or build the bundle with `opa build -t plan -e " + entrypoints[0] + "`");
  Result<std::string> plan = rego::PlanBundle(*bundle, entrypoints, *tool);
  if (!plan) return Fail(Annotate(std::move(plan).error(), NameOf(path)));
  bundle->plan_json = *std::move(plan);
  return bundle;
}

void PrintTrace(const rego::Trace& trace, const std::vector<rego::BundleFile>& modules) {
  std::vector<rego::SourceFile> sources;
  for (const rego::BundleFile& module : modules) sources.push_back({module.name, module.content});
  const std::string text = rego::TraceText(trace, sources);
  for (size_t start = 0; start < text.size();) {
    const size_t end = std::min(text.find('\n', start), text.size());
    std::printf("%s\n", Printable(std::string_view(text).substr(start, end - start)).c_str());
    start = end + 1;
  }
}

}  // namespace aegis::cli
