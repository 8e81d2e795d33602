#include <algorithm>
#include <filesystem>
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
    if (!fs::is_directory(path, error)) return ReadFileAt(path);
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

  void ReadFileAt(const std::string& path) {
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
  size_t total_ = 0;
  bool full_ = false;
};

}  // namespace

std::vector<SourceFile> ReadSources(std::span<const std::string> paths, FileKind kind,
                                    Diagnostics& diagnostics, const SourceLimits& limits) {
  SourceReader reader(kind, limits, diagnostics);
  for (const std::string& path : paths) reader.ReadPath(path);
  return reader.Take();
}

}  // namespace aegis::policy
