// A compiled regular expression with the automata that make its searches quick.
//
// Internal to the rego library.
#pragma once

#include <re2/re2.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "aegis/rego/builtins/ascii_dfa.h"
#include "aegis/rego/builtins/builtin.h"

namespace aegis::rego {

class Expression {
 public:
  explicit Expression(std::unique_ptr<RE2> re2) : re2_(std::move(re2)) {}

  const RE2& re2() const { return *re2_; }

  // Both are charged, and find nothing when the steps are used up.
  //
  // Whether it matches somewhere in `text`.
  bool Matches(BuiltinContext& context, std::string_view text);
  // The first match from byte `from` on, where `text` begins at byte 0: itself in groups[0], and as
  // many of its groups as there is room for.
  bool Find(BuiltinContext& context, std::string_view text, size_t from,
            std::span<re2::StringPiece> groups);

 private:
  // Made once it is clear that the pattern is used again and again.
  struct Automaton {
    std::unique_ptr<const AsciiDfa> dfa;
    int uses = 0;
  };
  static constexpr int kUsesBefore = 4;

  const AsciiDfa* Get(BuiltinContext& context, AsciiDfa::Purpose purpose, Automaton& automaton) {
    if (automaton.dfa == nullptr && automaton.uses <= kUsesBefore) Use(context, purpose, automaton);
    return automaton.dfa.get();
  }
  void Use(BuiltinContext& context, AsciiDfa::Purpose purpose, Automaton& automaton);

  std::unique_ptr<RE2> re2_;
  Automaton whether_, where_;
};

}  // namespace aegis::rego
