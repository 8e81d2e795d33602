#include "aegis/rego/builtins/ascii_dfa.h"

#include <algorithm>
#include <map>

namespace aegis::rego {

// Makes the states from the beginning on, each with all its successors. A state is the instructions
// at which the program may be, in the order of preference, or for kWhether in any.
class AsciiDfaMaker {
 public:
  AsciiDfaMaker(const AsciiProgram& program, AsciiDfa::Purpose purpose)
      : program_(program),
        whether_(purpose == AsciiDfa::Purpose::kWhether),
        marks_(program.size()) {}

  uint64_t work() const { return work_; }

  bool Run(AsciiDfa& out) {
    dfa_ = &out;
    MakeClasses();
    for (const uint16_t row : {AsciiDfa::kDead, AsciiDfa::kFound, AsciiDfa::kUnknown}) {
      dfa_->next_.resize(dfa_->next_.size() + dfa_->stride_,
                         static_cast<uint16_t>(row * dfa_->stride_));
      dfa_->next_.back() = row == AsciiDfa::kFound ? AsciiDfa::kMatchesAtEnd : 0;
    }
    dfa_->begin_ = Start(true);
    dfa_->middle_ = whether_ ? dfa_->begin_ : Start(false);
    while (!failed_ && done_ < lists_.size()) MakeSuccessors();
    return !failed_;
  }

 private:
  using Kind = AsciiInstruction::Kind;
  using List = std::vector<uint16_t>;
  static constexpr size_t kMaxCells = 8192;
  static constexpr uint64_t kMaxWork = 32 * 1024;

  // Characters that no instruction tells apart are one class.
  void MakeClasses() {
    std::array<uint8_t, 256>& class_of = dfa_->class_of_;
    uint8_t classes = 1;
    const AsciiInstruction* last = nullptr;
    for (const AsciiInstruction& instruction : program_) {
      if (instruction.kind != Kind::kBytes) continue;
      if (last != nullptr && instruction.bytes == last->bytes) continue;  // a repetition
      last = &instruction;
      work_ += 32;
      std::array<bool, 128> stays{};  // by class: the instruction does not take all of it
      std::array<uint8_t, 128> renamed{};
      for (size_t c = 0; c < 128; ++c) stays[class_of[c]] |= !instruction.bytes[c];
      for (size_t c = 0; c < 128; ++c) {
        if (!instruction.bytes[c] || !stays[class_of[c]]) continue;
        uint8_t& name = renamed[class_of[c]];
        if (name == 0) name = classes++;
        class_of[c] = name;
      }
    }
    for (size_t c = 128; c < 256; ++c) class_of[c] = classes;
    representatives_.assign(classes, 0);
    for (size_t c = 0; c < 128; ++c) representatives_[class_of[c]] = c;
    dfa_->stride_ = static_cast<uint16_t>(classes + 2);
  }

  // Adds where the program can be from `at` on without taking a character. False when a match cuts
  // off what would be preferred less.
  bool Add(List& list, size_t at, bool begins, bool ends) {
    pending_.assign(1, at);
    while (!pending_.empty()) {
      const size_t here = pending_.back();
      pending_.pop_back();
      if (marks_[here] == round_) continue;
      marks_[here] = round_;
      ++work_;
      const AsciiInstruction& instruction = program_[here];
      const auto go = [&](int offset) {
        pending_.push_back(here + static_cast<size_t>(static_cast<ptrdiff_t>(offset)));
      };
      switch (instruction.kind) {
        case Kind::kJump:
          go(instruction.first);
          break;
        case Kind::kSplit:
          go(instruction.second);
          go(instruction.first);
          break;
        case Kind::kBegin:
          if (begins) go(1);
          break;
        case Kind::kEnd:
          if (ends) {
            go(1);
          } else {
            list.push_back(static_cast<uint16_t>(here));
          }
          break;
        case Kind::kMatch:
          list.push_back(static_cast<uint16_t>(here));
          return false;
        case Kind::kBytes:
          list.push_back(static_cast<uint16_t>(here));
          break;
      }
    }
    return true;
  }

  bool Matches(const List& list) const {
    return !list.empty() && program_[list.back()].kind == Kind::kMatch;
  }

  bool MatchesAtEnd(const List& list, bool begins) {
    if (Matches(list)) return true;
    ++round_;
    List behind;
    for (const uint16_t at : list) {
      if (program_[at].kind == Kind::kEnd && !Add(behind, at + size_t{1}, begins, true))
        return true;
    }
    return false;
  }

  uint16_t Start(bool begins) {
    ++round_;
    List list;
    Add(list, 0, begins, false);
    return StateOf(std::move(list), begins);
  }

  uint16_t StateOf(List list, bool begins) {
    if (list.empty()) return AsciiDfa::kDead;
    if (whether_) {
      if (Matches(list)) return static_cast<uint16_t>(AsciiDfa::kFound * dfa_->stride_);
      std::sort(list.begin(), list.end());
    }
    uint16_t bits = 0;
    if (Matches(list)) bits |= AsciiDfa::kMatches;
    if (MatchesAtEnd(list, begins)) bits |= AsciiDfa::kMatchesAtEnd;
    work_ += 8 + list.size();
    const auto [place, is_new] =
        names_.try_emplace({bits, list}, static_cast<uint16_t>(dfa_->next_.size()));
    if (!is_new) return place->second;
    if (dfa_->next_.size() + dfa_->stride_ > kMaxCells || work_ > kMaxWork) {
      failed_ = true;
      return 0;
    }
    dfa_->next_.resize(dfa_->next_.size() + dfa_->stride_);
    dfa_->next_.back() = bits;
    lists_.push_back(std::move(list));
    return place->second;
  }

  void MakeSuccessors() {
    const List list = lists_[done_];
    const size_t row = (AsciiDfa::kLastFinal + 1 + done_) * dfa_->stride_;
    ++done_;
    const size_t classes = representatives_.size();
    for (size_t i = 0; i <= classes && !failed_; ++i) {
      ++round_;
      List next;
      bool cut = false, unknown = false;
      for (const uint16_t at : list) {
        const AsciiInstruction& instruction = program_[at];
        ++work_;
        if (instruction.kind != Kind::kBytes) continue;
        if (i == classes) {
          unknown |= instruction.beyond;
        } else if (instruction.bytes[representatives_[i]] &&
                   !Add(next, at + size_t{1}, false, false)) {
          cut = true;
          break;
        }
      }
      // The search goes on from every character.
      if (whether_ && !cut) Add(next, 0, false, false);
      const uint16_t state = unknown ? static_cast<uint16_t>(AsciiDfa::kUnknown * dfa_->stride_)
                                     : StateOf(std::move(next), false);
      if (!failed_) dfa_->next_[row + i] = state;
    }
  }

  const AsciiProgram& program_;
  const bool whether_;
  AsciiDfa* dfa_ = nullptr;
  std::vector<size_t> representatives_;  // a character of each class
  std::vector<List> lists_;              // by number of state
  std::map<std::pair<uint16_t, List>, uint16_t> names_;
  size_t done_ = 0;  // states with successors
  uint64_t work_ = 0;
  bool failed_ = false;
  // For Add.
  std::vector<size_t> pending_;
  std::vector<uint64_t> marks_;
  uint64_t round_ = 0;
};

std::unique_ptr<const AsciiDfa> AsciiDfa::Make(const AsciiProgram& program, Purpose purpose,
                                               uint64_t& steps) {
  std::unique_ptr<AsciiDfa> made(new AsciiDfa());
  AsciiDfaMaker maker(program, purpose);
  const bool done = maker.Run(*made);
  steps = maker.work() / 4;
  if (!done) return nullptr;
  return made;
}

std::optional<AsciiDfa::Span> AsciiDfa::First(std::string_view text, size_t from) const {
  // A pattern can look far ahead from everywhere, in vain. RE2 does not.
  size_t left = 4 * (text.size() - from) + 64;
  const uint16_t* const rows = next_.data();
  const size_t bits = stride_ - size_t{1};
  const auto step = [&](uint16_t state, char c) {
    return rows[state + class_of_[static_cast<unsigned char>(c)]];
  };
  const bool middle_matches = (rows[middle_ + bits] & kMatches) != 0;
  for (size_t begin = from;; ++begin) {
    if (begin > 0 && !middle_matches) {
      const size_t skipped = begin;
      while (begin < text.size() && step(middle_, text[begin]) == kDead) ++begin;
      if (begin - skipped > left) return std::nullopt;
      left -= begin - skipped;
    }
    uint16_t state = begin == 0 ? begin_ : middle_;
    Span found;
    size_t at = begin;
    while (true) {
      if ((rows[state + bits] & kMatches) != 0) found = {begin, at};
      if (state <= kLastFinal * stride_ || at == text.size()) break;
      state = step(state, text[at++]);
    }
    if (state == kUnknown * stride_) return std::nullopt;
    if (at == text.size() && (rows[state + bits] & kMatchesAtEnd) != 0) found = {begin, at};
    if (found.begin != std::string_view::npos || begin == text.size()) return found;
    if (at - begin > left) return std::nullopt;
    left -= at - begin;
  }
}

}  // namespace aegis::rego
