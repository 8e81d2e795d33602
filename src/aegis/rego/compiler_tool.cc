#include "aegis/rego/compiler_tool.h"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include "aegis/base/child_process.h"
#include "aegis/base/text.h"
#include "aegis/json/tree.h"
#include "aegis/rego/builtins/builtin.h"

namespace aegis::rego {
namespace {

constexpr size_t kMaxRequestBytes = size_t{160} << 20;
constexpr size_t kMaxModuleBytes = size_t{16} << 20;  // of all modules
constexpr int kMistakesExitCode = 3;
constexpr size_t kMistakesShown = 5;
constexpr const char* kNames[] = {"aegis-regoc", "regoc"};

bool Runnable(const std::string& path) {
  std::error_code error;
  return std::filesystem::is_regular_file(path, error) && ::access(path.c_str(), X_OK) == 0;
}

tl::unexpected<Error> Missing(std::string message) {
  return Fail(Code::kFailedPrecondition, "regoc_missing",
              std::move(message) +
                  ". It is built with Aegis, by `make build` or `go build` in tools/regoc: put it "
                  "beside the aegis program as aegis-regoc, or name it in AEGIS_REGOC");
}

void AppendModule(std::string& out, const RegoModule& module) {
  out += R"({"name":)";
  json::AppendQuoted(out, module.name);
  out += R"(,"text":)";
  json::AppendQuoted(out, module.text);
  out += R"(,"custom":)";
  json::AppendQuoted(out, module.custom);
  out += '}';
}

template <typename Range>
void AppendStrings(std::string& out, const Range& texts) {
  out += '[';
  bool first = true;
  for (const auto& text : texts) {
    if (!first) out += ',';
    first = false;
    json::AppendQuoted(out, text);
  }
  out += ']';
}

std::string RequestJson(const CompileRequest& request) {
  std::string out = R"({"format":1,"rego_version":)" + std::to_string(request.rego_version) +
                    R"(,"entrypoints":)";
  AppendStrings(out, request.entrypoints);
  out += R"(,"functions":)";
  AppendStrings(out, BuiltinNames());
  out += R"(,"modules":[)";
  for (const RegoModule& module : request.modules) {
    if (&module != &request.modules.front()) out += ',';
    AppendModule(out, module);
  }
  out += ']';
  if (!request.data_json.empty()) out.append(R"(,"data":)").append(request.data_json);
  return out + '}';
}

uint32_t NumberOf(const json::Tree* tree) {
  const int64_t number = tree == nullptr ? 0 : tree->AsInt64().value_or(0);
  return static_cast<uint32_t>(std::clamp<int64_t>(number, 0, INT32_MAX));
}

Result<std::vector<RegoMistake>> ReadMistakes(std::string_view text) {
  Arena arena;
  AEGIS_TRY(const json::Tree answer, json::ParseTree(text, arena, {.max_bytes = 4 << 20}));
  const json::Tree* errors = answer.Find("errors");
  std::vector<RegoMistake> mistakes;
  if (errors == nullptr) return mistakes;
  for (const json::Tree& each : errors->elements()) {
    RegoMistake& mistake = mistakes.emplace_back();
    mistake.code = each.FindString("code").value_or("");
    mistake.message = each.FindString("message").value_or("");
    mistake.file = each.FindString("file").value_or("");
    mistake.row = NumberOf(each.Find("row"));
    mistake.column = NumberOf(each.Find("col"));
  }
  return mistakes;
}

tl::unexpected<Error> Failed(const std::string& path, std::string_view why) {
  return Fail(Code::kInternal, "regoc_failed",
              "the compiler " + path + " failed: " + std::string(why));
}

// What a Go program that broke has to say is in its first line.
std::string FirstLine(const std::string& text) {
  std::string line = text.substr(0, std::min<size_t>(text.find('\n'), 300));
  if (line.starts_with("regoc: ")) line.erase(0, 7);
  return line;
}

}  // namespace

std::string RegoMistake::ToString() const {
  std::string out = file;
  if (row > 0) out += ":" + std::to_string(row) + ":" + std::to_string(column);
  return out + (out.empty() ? "" : ": ") + message;
}

Result<CompilerTool> CompilerTool::Find() {
  if (const char* named = std::getenv("AEGIS_REGOC"); named != nullptr && *named != '\0') {
    if (Runnable(named)) return CompilerTool(named);
    return Missing("the compiler that AEGIS_REGOC names, " + std::string(named) +
                   ", is not a program");
  }
  std::vector<std::string> folders;
  std::error_code error;
  const std::filesystem::path self = std::filesystem::read_symlink("/proc/self/exe", error);
  if (!error) folders.push_back(self.parent_path());
  if (const char* path = std::getenv("PATH"); path != nullptr) {
    for (const std::string_view folder : Split(path, ':')) {
      if (folder.starts_with('/')) folders.emplace_back(folder);
    }
  }
  for (const std::string& folder : folders) {
    for (const char* name : kNames) {
      if (std::string path = folder + "/" + name; Runnable(path)) return CompilerTool(path);
    }
  }
  return Missing("the Rego compiler aegis-regoc was not found");
}

Result<CompileAnswer> CompilerTool::Compile(const CompileRequest& request) const {
  size_t bytes = 0;
  for (const RegoModule& module : request.modules) {
    bytes += module.text.size();
    if (!IsValidUtf8(module.text) || !IsValidUtf8(module.name)) {
      return Fail(Code::kInvalidArgument, "module_malformed", module.name + " is not UTF-8");
    }
  }
  const std::string input = RequestJson(request);
  if (bytes > kMaxModuleBytes || input.size() > kMaxRequestBytes) {
    return Fail(Code::kResourceExhausted, "rego_too_large",
                "the Rego modules have more than " + std::to_string(kMaxModuleBytes >> 20) +
                    " MiB together, or their data more than is compiled at once");
  }
  Result<ChildOutput> output = RunChild(path_, {"compile"}, input);
  if (!output && output.error().reason == "child_not_started") {
    return Missing(output.error().message);
  }
  if (!output) return Failed(path_, output.error().message);
  CompileAnswer answer;
  if (output->exit_code == 0) {
    answer.plan_json = std::move(output->out);
    if (answer.plan_json.empty()) return Failed(path_, "it gave no plan");
    return answer;
  }
  if (output->exit_code != kMistakesExitCode) {
    return Failed(path_,
                  "exit code " + std::to_string(output->exit_code) + ", " + FirstLine(output->err));
  }
  Result<std::vector<RegoMistake>> mistakes = ReadMistakes(output->out);
  if (!mistakes || mistakes->empty()) return Failed(path_, "its answer is not one");
  answer.mistakes = *std::move(mistakes);
  return answer;
}

Result<std::string> PlanBundle(const Bundle& bundle, const std::vector<std::string>& entrypoints,
                               const CompilerTool& tool) {
  if (bundle.manifest.rego_version > 1) {
    return Fail(Code::kUnimplemented, "bundle_unsupported",
                "the bundle's rego_version is not 0 or 1");
  }
  std::vector<RegoModule> modules;
  for (const BundleFile& module : bundle.modules) {
    modules.push_back({module.name, module.content, ""});
  }
  AEGIS_TRY(CompileAnswer answer, tool.Compile({.modules = modules,
                                                .data_json = bundle.data_json,
                                                .entrypoints = entrypoints,
                                                .rego_version = bundle.manifest.rego_version}));
  if (answer.mistakes.empty()) return std::move(answer.plan_json);
  std::string message = "the bundle's Rego does not compile";
  for (size_t i = 0; i < std::min(answer.mistakes.size(), kMistakesShown); ++i) {
    message += (i == 0 ? ": " : "; ") + answer.mistakes[i].ToString();
  }
  if (answer.mistakes.size() > kMistakesShown) message += "; and more";
  return Fail(Code::kInvalidArgument, "rego_invalid", std::move(message));
}

}  // namespace aegis::rego
