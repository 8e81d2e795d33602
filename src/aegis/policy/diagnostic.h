// What is wrong with policy sources, and where. Printed as `file:line:column: message`.
//
// Threading: value types, no shared state.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace aegis::policy {

// Line and column start at 1; columns count Unicode code points. Line 0: the file as a whole.
struct Position {
  uint32_t line = 0;
  uint32_t column = 0;
  friend bool operator==(const Position&, const Position&) = default;
};

enum class Severity : uint8_t {
  kError,    // the sources are refused
  kWarning,  // accepted, but probably not what was meant
};

struct Diagnostic {
  Severity severity = Severity::kError;
  std::string file;  // as the caller named it
  Position position;
  std::string message;  // what is wrong, and the next step

  // "finance.yaml:3:5: message", "finance.yaml:3:5: warning: message", "finance.yaml: message".
  std::string ToString() const;
};

// All mistakes of all files, in the order of the files and then of the positions.
class Diagnostics {
 public:
  // More than this many errors are counted but not kept, so that hostile input costs bounded
  // memory.
  static constexpr size_t kMaxKept = 1000;

  // Control characters of the message are written as \x1b, so that it can be shown on a terminal.
  // A second report of the same place and message (an alias that is used twice) is dropped.
  void Add(Diagnostic diagnostic);
  void Append(Diagnostics other);

  bool has_errors() const { return errors_ > 0; }
  size_t error_count() const { return errors_; }
  size_t warning_count() const { return warnings_; }
  const std::vector<Diagnostic>& items() const { return items_; }
  // How many were left out because of kMaxKept.
  size_t dropped() const { return dropped_; }

  // One line each, and a last line that says how many were left out, if any were.
  std::string ToString() const;
  // [{"severity","file","line","column","message"}]; line and column only where they are known.
  std::string ToJson() const;

 private:
  std::vector<Diagnostic> items_;
  size_t errors_ = 0;
  size_t warnings_ = 0;
  size_t dropped_ = 0;
};

}  // namespace aegis::policy
