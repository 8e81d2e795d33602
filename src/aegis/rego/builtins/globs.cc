// regex.globs_match: whether a text can match both of two patterns.
//
// The patterns have characters, '.', sets like [a-z_], each alone or with '+' or '*' behind it, and
// '\' before a character that stands for itself. What counts as common is decided as OPA does it
// (github.com/yashtewari/glob-intersection), which misses some texts where an item with '*' of one
// pattern would have to match nothing.
#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "aegis/rego/builtins/operands.h"
#include "aegis/rego/builtins/unicode.h"

namespace aegis::rego {
namespace {

enum class Repeat : uint8_t { kOnce, kPlus, kStar };

struct Item {
  using Range = std::pair<uint32_t, uint32_t>;

  bool any = false;           // '.'
  bool is_set = false;        // "[a]" is not the same item as "a"
  std::vector<Range> ranges;  // sorted, without overlaps
  Repeat repeat = Repeat::kOnce;

  bool SameButRepeat(const Item& other) const {
    return any == other.any && is_set == other.is_set && ranges == other.ranges;
  }
};

using Pattern = std::vector<Item>;

bool Meet(const Item& a, const Item& b) {
  if (a.any || b.any) return true;
  for (size_t i = 0, j = 0; i < a.ranges.size() && j < b.ranges.size();) {
    if (a.ranges[i].second < b.ranges[j].first) {
      ++i;
    } else if (b.ranges[j].second < a.ranges[i].first) {
      ++j;
    } else {
      return true;
    }
  }
  return false;
}

std::vector<Item::Range> Sorted(std::vector<Item::Range> ranges) {
  std::sort(ranges.begin(), ranges.end());
  std::vector<Item::Range> out;
  for (const Item::Range& range : ranges) {
    if (!out.empty() && range.first <= out.back().second + 1) {
      out.back().second = std::max(out.back().second, range.second);
    } else {
      out.push_back(range);
    }
  }
  return out;
}

class Reader {
 public:
  // More items are refused: deciding takes time in the product of both patterns' sizes.
  static constexpr size_t kMaxItems = 1000;

  explicit Reader(std::string_view text) : runes_(Runes(text)) {}

  // Empty with problem() set when the pattern is not valid.
  Pattern Read() {
    Pattern out;
    while (at_ < runes_.size() && problem_.empty()) {
      Item item;
      if (!ReadItem(item)) break;
      if (!out.empty() && out.back().repeat != Repeat::kOnce && item.repeat != Repeat::kOnce &&
          out.back().SameButRepeat(item)) {
        // a+a* is a+.
        if (item.repeat == Repeat::kPlus) out.back().repeat = Repeat::kPlus;
        continue;
      }
      out.push_back(std::move(item));
      if (out.size() > kMaxItems) problem_ = "the pattern is too long";
    }
    return out;
  }
  const std::string& problem() const { return problem_; }

 private:
  bool Refuse(std::string_view why) {
    problem_ = why;
    return false;
  }

  bool ReadRune(uint32_t& rune, bool& escaped) {
    rune = runes_[at_++];
    escaped = rune == '\\';
    if (!escaped) return true;
    if (at_ == runes_.size()) return Refuse("the pattern ends with a backslash");
    rune = runes_[at_++];
    return true;
  }

  bool ReadItem(Item& item) {
    uint32_t rune;
    bool escaped;
    if (!ReadRune(rune, escaped)) return false;
    if (!escaped && (rune == '+' || rune == '*')) return Refuse("nothing to repeat");
    if (!escaped && rune == ']') return Refuse("']' without '['");
    if (!escaped && rune == '[') {
      if (!ReadSet(item)) return false;
    } else if (!escaped && rune == '.') {
      item.any = true;
    } else {
      item.ranges.emplace_back(rune, rune);
    }
    if (at_ == runes_.size()) return true;
    if (runes_[at_] == '\\' && at_ + 1 == runes_.size()) {
      return Refuse("the pattern ends with a backslash");
    }
    if (runes_[at_] == '+' || runes_[at_] == '*') {
      item.repeat = runes_[at_++] == '+' ? Repeat::kPlus : Repeat::kStar;
    }
    return true;
  }

  bool ReadSet(Item& item) {
    item.is_set = true;
    bool has_first = false;  // of a range
    while (at_ < runes_.size()) {
      uint32_t rune;
      bool escaped;
      if (!ReadRune(rune, escaped)) return false;
      if (!escaped && rune == ']') {
        item.ranges = Sorted(std::move(item.ranges));
        return true;
      }
      if (escaped || rune != '-') {
        item.ranges.emplace_back(rune, rune);
        has_first = true;
        continue;
      }
      if (!has_first || at_ + 1 >= runes_.size()) return Refuse("'-' without a range");
      if (!ReadRune(rune, escaped)) return false;
      if (!escaped && (rune == ']' || rune == '-')) return Refuse("'-' without a range");
      if (rune < item.ranges.back().first) return Refuse("a range is out of order");
      item.ranges.back().second = rune;
      has_first = false;
    }
    return Refuse("'[' without ']'");
  }

  std::vector<uint32_t> runes_;
  size_t at_ = 0;
  std::string problem_;
};

// Every question is about the rest of both patterns; answers are kept, so that each is worked out
// once.
class Intersection {
 public:
  Intersection(const Pattern& left, const Pattern& right)
      : patterns_{&left, &right},
        known_(kQuestions * (left.size() + 1) * (right.size() + 1), kUnknown) {}

  bool NotEmpty() {
    const Pattern &left = *patterns_[0], &right = *patterns_[1];
    // Both ends must fit as far as nothing repeats.
    for (size_t i = 0; i < left.size() && i < right.size(); ++i) {
      if (left[i].repeat != Repeat::kOnce || right[i].repeat != Repeat::kOnce) break;
      if (!Meet(left[i], right[i])) return false;
    }
    return Rest({0, 0, 0});
  }

 private:
  // The rest of pattern `first` from `i` on, and of the other one from `j` on.
  struct Place {
    int first;
    size_t i;
    size_t j;
  };
  enum Question : uint8_t { kRest, kStar, kQuestionKinds };
  static constexpr size_t kQuestions = kQuestionKinds * 2;
  static constexpr int8_t kUnknown = -1;

  const Pattern& First(const Place& place) const { return *patterns_[place.first]; }
  const Pattern& Second(const Place& place) const { return *patterns_[1 - place.first]; }
  static Place Swapped(const Place& place) { return {1 - place.first, place.j, place.i}; }

  int8_t& Known(Question question, const Place& place) {
    const size_t left = place.first == 0 ? place.i : place.j;
    const size_t right = place.first == 0 ? place.j : place.i;
    const size_t kind = static_cast<size_t>(question) * 2 + static_cast<size_t>(place.first);
    return known_[(kind * (patterns_[0]->size() + 1) + left) * (patterns_[1]->size() + 1) + right];
  }

  bool Rest(Place place) {
    const Pattern &first = First(place), &second = Second(place);
    for (; place.i < first.size() && place.j < second.size(); ++place.i, ++place.j) {
      const Item &a = first[place.i], &b = second[place.j];
      if (a.repeat != Repeat::kOnce || b.repeat != Repeat::kOnce) {
        const int8_t known = Known(kRest, place);
        if (known != kUnknown) return known == 1;
        const bool answer = Repeated(a.repeat != Repeat::kOnce ? place : Swapped(place));
        Known(kRest, place) = answer ? 1 : 0;
        return answer;
      }
      if (!Meet(a, b)) return false;
    }
    return place.i == first.size() && place.j == second.size();
  }

  // The first item of `place.first` repeats.
  bool Repeated(const Place& place) {
    const Item &repeated = First(place)[place.i], &other = Second(place)[place.j];
    if (repeated.repeat == Repeat::kStar) return Star(place);
    if (!Meet(repeated, other)) return false;
    if (Star({place.first, place.i, place.j + 1})) return true;
    return other.repeat != Repeat::kOnce && Rest({place.first, place.i + 1, place.j});
  }

  // The first item takes items of the other pattern, until the rest fits.
  bool Star(const Place& place) {
    const int8_t known = Known(kStar, place);
    if (known != kUnknown) return known == 1;
    const bool answer = TakeItems(place);
    Known(kStar, place) = answer ? 1 : 0;
    return answer;
  }
  bool TakeItems(const Place& place) {
    const Pattern &first = First(place), &second = Second(place);
    const Item& star = first[place.i];
    const bool last = place.i + 1 == first.size();
    for (size_t j = place.j; j < second.size(); ++j) {
      if (!last && Meet(second[j], first[place.i + 1]) && Rest({place.first, place.i + 1, j})) {
        return true;
      }
      if (!Meet(second[j], star)) return false;
    }
    return last;
  }

  const Pattern* patterns_[2];
  std::vector<int8_t> known_;
};

Value GlobsMatch(BuiltinContext& context, const Value* args) {
  AEGIS_STRING_ARG(left_text, 0);
  AEGIS_STRING_ARG(right_text, 1);
  if (!context.Charge((left_text.size() + right_text.size()) / 4)) return Value();
  Reader left_reader(left_text), right_reader(right_text);
  const Pattern left = left_reader.Read(), right = right_reader.Read();
  for (const Reader* reader : {&left_reader, &right_reader}) {
    if (!reader->problem().empty()) return context.Error(reader->problem());
  }
  if (!context.Charge((left.size() + 1) * (right.size() + 1) * 4)) return Value();
  return Value::Bool(Intersection(left, right).NotEmpty());
}

constexpr Builtin kBuiltins[] = {{"regex.globs_match", 2, GlobsMatch}};

}  // namespace

std::span<const Builtin> GlobBuiltins() { return kBuiltins; }

}  // namespace aegis::rego
