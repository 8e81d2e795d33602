// Compares automata with RE2, for tests and fuzzing.
#pragma once

#include <re2/re2.h>

#include <memory>
#include <string>
#include <string_view>

#include "aegis/rego/builtins/ascii_dfa.h"
#include "aegis/rego/builtins/unicode.h"

namespace aegis::rego {

// A pattern with both of its automata, as far as there are such.
class ComparedPattern {
 public:
  explicit ComparedPattern(std::string_view pattern) : re2_(pattern, RE2::Quiet) {
    if (!re2_.ok()) return;
    const std::optional<AsciiProgram> program = ReadAsciiPattern(pattern);
    if (!program) return;
    uint64_t steps;
    whether_ = AsciiDfa::Make(*program, AsciiDfa::Purpose::kWhether, steps);
    where_ = AsciiDfa::Make(*program, AsciiDfa::Purpose::kWhere, steps);
  }

  bool has_automata() const { return whether_ != nullptr && where_ != nullptr; }

  // How the automata tell something else of `text` than RE2; empty if they do not.
  std::string Difference(std::string_view text) {
    if (whether_ != nullptr) {
      const std::optional<bool> found = whether_->Matches(text);
      answers_ += found.has_value();
      if (found && *found != RE2::PartialMatch(text, re2_)) {
        return re2_.pattern() + (*found ? " matches " : " does not match ") + std::string(text);
      }
    }
    if (where_ == nullptr) return "";
    for (size_t from = 0; from <= text.size();) {
      const std::optional<AsciiDfa::Span> found = where_->First(text, from);
      answers_ += found.has_value();
      re2::StringPiece match;
      const bool matches = re2_.Match(text, from, text.size(), RE2::UNANCHORED, &match, 1);
      const size_t begin =
          matches ? static_cast<size_t>(match.data() - text.data()) : std::string_view::npos;
      if (found && (found->begin != begin || (matches && found->end != begin + match.size()))) {
        return re2_.pattern() + " in " + std::string(text) + " from " + std::to_string(from) +
               ": " + std::to_string(found->begin) + " to " + std::to_string(found->end);
      }
      if (from == text.size()) break;
      size_t size;
      DecodeRune(text.substr(from), size);
      from += size;
    }
    return "";
  }

  // How often the automata could tell.
  size_t answers() const { return answers_; }

 private:
  RE2 re2_;
  std::unique_ptr<const AsciiDfa> whether_, where_;
  size_t answers_ = 0;
};

}  // namespace aegis::rego
