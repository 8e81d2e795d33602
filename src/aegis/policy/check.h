// Holds a node against a type of the dialect's table.
#pragma once

#include <string_view>

#include "aegis/policy/dialect.h"
#include "aegis/policy/node.h"

namespace aegis::policy {

// Where mistakes of one source are reported.
class Reporter {
 public:
  Reporter(const SourceText& source, Diagnostics& diagnostics)
      : source_(source), diagnostics_(diagnostics) {}
  void Error(uint32_t offset, std::string message) const {
    Add(Severity::kError, offset, std::move(message));
  }
  void Warn(uint32_t offset, std::string message) const {
    Add(Severity::kWarning, offset, std::move(message));
  }
  const SourceText& source() const { return source_; }

 private:
  void Add(Severity severity, uint32_t offset, std::string message) const {
    diagnostics_.Add(
        {severity, std::string(source_.name()), source_.PositionAt(offset), std::move(message)});
  }
  const SourceText& source_;
  Diagnostics& diagnostics_;
};

// Reports everything in `node` that is not as `type` says: wrong kinds, unknown, missing and not
// yet supported keys, texts of a wrong form, sizes, repeated items. `what` names the node in
// messages: "'actions'", "the document". True when there was nothing to report.
bool CheckNode(const Node& node, const Type& type, std::string_view what, const Reporter& reporter);

}  // namespace aegis::policy
