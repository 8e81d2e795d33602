// The instructions of a simple regular expression, as far as they concern ASCII text; ascii_dfa.h
// makes an automaton of them.
//
// Internal to the rego library.
#pragma once

#include <bitset>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace aegis::rego {

struct AsciiInstruction {
  enum class Kind : uint8_t {
    kBytes,  // takes one character of `bytes`
    kSplit,  // goes on at both `first` and `second`; what `first` leads to is preferred
    kJump,   // goes on at `first`
    kBegin,  // goes on with the next where the text begins
    kEnd,    // goes on with the next where the text ends
    kMatch,
  };
  Kind kind = Kind::kMatch;
  bool beyond = false;        // kBytes: takes any character that is not ASCII too
  int first = 0, second = 0;  // relative to this one
  std::bitset<128> bytes{};
};
using AsciiProgram = std::vector<AsciiInstruction>;

// Of a pattern in the syntax of RE2, which RE2 takes; nothing when it has parts that are not known
// here, or needs more than kMaxAsciiInstructions. Known are characters, '.', classes, groups,
// alternatives, repetitions of what is never empty, the beginning and the end of the text; not, for
// example, characters beyond ASCII, flags but (?s:…), \b and names of classes.
inline constexpr size_t kMaxAsciiInstructions = 1024;
std::optional<AsciiProgram> ReadAsciiPattern(std::string_view pattern);

}  // namespace aegis::rego
