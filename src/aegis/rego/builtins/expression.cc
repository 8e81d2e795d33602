#include "aegis/rego/builtins/expression.h"

namespace aegis::rego {
namespace {

// For one search. With a large program RE2's automaton can outgrow its memory, and then every byte
// of the text costs as much as the program is long.
bool ChargeSearch(BuiltinContext& context, const RE2& pattern, std::string_view text) {
  constexpr int kLarge = 1024;
  const int size = pattern.ProgramSize();
  return context.Charge(text.size() * static_cast<size_t>(size > kLarge ? size : 1) / 16);
}

}  // namespace

void Expression::Use(BuiltinContext& context, AsciiDfa::Purpose purpose, Automaton& automaton) {
  if (++automaton.uses <= kUsesBefore) return;
  const std::optional<AsciiProgram> program = ReadAsciiPattern(re2_->pattern());
  if (!program) return;
  uint64_t steps = 0;
  automaton.dfa = AsciiDfa::Make(*program, purpose, steps);
  context.Charge(steps);
}

bool Expression::Matches(BuiltinContext& context, std::string_view text) {
  const AsciiDfa* const dfa = Get(context, AsciiDfa::Purpose::kWhether, whether_);
  if (!ChargeSearch(context, *re2_, text)) return false;
  if (dfa != nullptr) {
    if (const std::optional<bool> found = dfa->Matches(text)) return *found;
  }
  return re2_->Match(text, 0, text.size(), RE2::UNANCHORED, nullptr, 0);
}

bool Expression::Find(BuiltinContext& context, std::string_view text, size_t from,
                      std::span<re2::StringPiece> groups) {
  const AsciiDfa* const dfa =
      groups.size() == 1 ? Get(context, AsciiDfa::Purpose::kWhere, where_) : nullptr;
  if (!context.Charge(1) || !ChargeSearch(context, *re2_, text)) return false;
  if (dfa != nullptr) {
    if (const std::optional<AsciiDfa::Span> found = dfa->First(text, from)) {
      if (found->begin == text.npos) return false;
      groups[0] = re2::StringPiece(text.data() + found->begin, found->end - found->begin);
      return true;
    }
  }
  return re2_->Match(text, from, text.size(), RE2::UNANCHORED, groups.data(),
                     static_cast<int>(groups.size()));
}

}  // namespace aegis::rego
