// Automata for simple patterns and ASCII text, both of which most are: they take a few instructions
// a byte where RE2 has much to do before it looks at the first one. What they cannot tell is for
// RE2, with which they agree otherwise.
//
// Internal to the rego library.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "aegis/rego/builtins/ascii_program.h"

namespace aegis::rego {

class AsciiDfa {
 public:
  enum class Purpose : uint8_t {
    kWhether,  // whether there is a match
    kWhere,    // where the first match is: of the leftmost ones the one that RE2 prefers
  };

  // Of a program of ReadAsciiPattern. nullptr when the automaton becomes too large. `steps`: what
  // the work, which is bounded, should cost an evaluation.
  static std::unique_ptr<const AsciiDfa> Make(const AsciiProgram& program, Purpose purpose,
                                              uint64_t& steps);

  // Whether the pattern matches somewhere in `text`; nothing if that cannot be told here. Only for
  // kWhether.
  std::optional<bool> Matches(std::string_view text) const {
    uint16_t state = begin_;
    for (const char c : text) {
      if (state <= kLastFinal * stride_) break;
      state = next_[state + class_of_[static_cast<unsigned char>(c)]];
    }
    if (state == kUnknown * stride_) return std::nullopt;
    return (next_[state + stride_ - 1] & kMatchesAtEnd) != 0;
  }

  // The first match from `from` on, in bytes; `begin` is npos when there is none. Only for kWhere.
  // Takes at most a few steps for each byte from there on.
  struct Span {
    size_t begin = std::string_view::npos, end = std::string_view::npos;
  };
  std::optional<Span> First(std::string_view text, size_t from) const;

 private:
  friend class AsciiDfaMaker;
  AsciiDfa() = default;

  // States are named by where their rows are in `next_`. The last column of a row holds two bits;
  // the one before it is for what is not ASCII.
  static constexpr uint16_t kDead = 0, kFound = 1, kUnknown = 2, kLastFinal = 2;
  static constexpr uint16_t kMatches = 1, kMatchesAtEnd = 2;

  std::array<uint8_t, 256> class_of_{};
  std::vector<uint16_t> next_;
  uint16_t stride_ = 0;
  uint16_t begin_ = 0;   // the state where the text begins
  uint16_t middle_ = 0;  // kWhere: the state where a search begins within the text
};

}  // namespace aegis::rego
