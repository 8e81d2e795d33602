#include <algorithm>
#include <filesystem>
#include <set>
#include <system_error>

#include "aegis/base/file.h"
#include "aegis/policy/parse.h"

namespace aegis::policy {
namespace {

namespace fs = std::filesystem;

bool IsTestFile(std::string_view name) {
  return name.ends_with("_test.yaml") || name.ends_with("_test.yml") ||
         name.ends_with("_test.json");
}

constexpr std::string_view kExtensions[] = {".yaml", ".yml", ".json"};

bool IsMeant(std::string_view name, FileKind kind) {
  if (name.starts_with('.')) return false;
  const bool source = name.ends_with(".yaml") || name.ends_with(".yml") || name.ends_with(".json");
  return source && IsTestFile(name) == (kind == FileKind::kTests);
}

class SourceReader {
 public:
  SourceReader(FileKind kind, const SourceLimits& limits, Diagnostics& diagnostics)
      : kind_(kind), limits_(limits), diagnostics_(diagnostics) {}

  void ReadPath(const std::string& path) {
    std::error_code error;
    if (!fs::is_directory(path, error)) return ReadNamed(path);
    std::vector<std::string> names;
    fs::recursive_directory_iterator entries(path, error);
    const fs::recursive_directory_iterator end;
    while (!error && entries != end) {
      const std::string name = entries->path().filename().string();
      std::error_code ignored;
      if (entries->is_directory(ignored)) {
        if (name.starts_with('.')) entries.disable_recursion_pending();
      } else if (IsMeant(name, kind_)) {
        names.push_back(entries->path().string());
      }
      if (names.size() > limits_.max_files) break;
      entries.increment(error);
    }
    if (error) return Report(path, "the folder cannot be read: " + error.message());
    if (names.empty()) {
      return Report(path, kind_ == FileKind::kTests
                              ? "the folder has no policy tests (*_test.yaml)"
                              : "the folder has no policies (*.yaml, *.yml, *.json)");
    }
    std::sort(names.begin(), names.end());
    for (const std::string& name : names) ReadFileAt(name);
  }

  std::vector<SourceFile> Take() { return std::move(sources_); }

 private:
  void Report(const std::string& path, std::string message) {
    diagnostics_.Add({Severity::kError, path, {}, std::move(message)});
  }

  // A file that was named itself. Tests of a policy are beside it, and `*.yaml` names both.
  void ReadNamed(const std::string& path) {
    if (kind_ == FileKind::kPolicies) {
      if (!IsTestFile(path)) ReadFileAt(path);
      return;
    }
    if (IsTestFile(path)) return ReadFileAt(path);
    for (const std::string_view extension : kExtensions) {
      if (!path.ends_with(extension)) continue;
      const std::string stem = path.substr(0, path.size() - extension.size());
      for (const std::string_view other : kExtensions) {
        const std::string tests = stem + "_test" + std::string(other);
        if (FileExists(tests)) ReadFileAt(tests);
      }
    }
  }

  void ReadFileAt(const std::string& path) {
    // `finance.yaml finance_test.yaml` and a folder with its files name some of them twice.
    if (!read_.insert(path).second) return;
    if (sources_.size() >= limits_.max_files) {
      if (!full_) Report(path, "more than " + std::to_string(limits_.max_files) + " files");
      full_ = true;
      return;
    }
    Result<std::string> text = ReadFile(path, limits_.max_file_bytes);
    if (!text) return Report(path, text.error().message);
    total_ += text->size();
    if (total_ > limits_.max_total_bytes) {
      if (!full_) {
        Report(path, "the files have more than " + std::to_string(limits_.max_total_bytes) +
                         " bytes together");
      }
      full_ = true;
      return;
    }
    sources_.push_back({path, *std::move(text)});
  }

  FileKind kind_;
  const SourceLimits& limits_;
  Diagnostics& diagnostics_;
  std::vector<SourceFile> sources_;
  std::set<std::string> read_;
  size_t total_ = 0;
  bool full_ = false;
};

}  // namespace

std::vector<SourceFile> ReadSources(std::span<const std::string> paths, FileKind kind,
                                    Diagnostics& diagnostics, const SourceLimits& limits) {
  SourceReader reader(kind, limits, diagnostics);
  for (const std::string& path : paths) reader.ReadPath(path);
  std::vector<SourceFile> sources = reader.Take();
  // An empty set denies every call: never by a slip of the command line.
  if (kind == FileKind::kPolicies && sources.empty() && !paths.empty() &&
      !diagnostics.has_errors()) {
    diagnostics.Add({Severity::kError, paths.front(), {}, "there are only tests, and no policy"});
  }
  if (kind == FileKind::kPolicies) AddListedModules(sources, diagnostics, limits);
  return sources;
}

}  // namespace aegis::policy
