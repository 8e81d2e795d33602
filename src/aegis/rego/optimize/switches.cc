// Rule indexing. The planner's code asks one rule after the other; where many rules begin with
// equalities of the same things (input.method == "GET"), a look-up finds those that may hold.
#include <map>
#include <optional>

#include "aegis/rego/optimize/body.h"

namespace aegis::rego::internal {
namespace {

// Something that rules compare with constants: a parameter of the function and the constant keys
// that lead to a part of it.
using Subject = std::vector<int32_t>;

struct Guard {
  uint32_t op;                // the kEqual
  std::vector<uint32_t> way;  // the kDots to what it compares
  int32_t constant;
};

// Ops that are entered at `begin` only, and left to `end` when one of the first fails.
struct Case {
  uint32_t begin, end;
  std::map<Subject, Guard> guards;
};

class SwitchMaker {
 public:
  explicit SwitchMaker(Body& body)
      : body_(body),
        live_(body),
        first_source_(body.ops.size() + 1, UINT32_MAX),
        last_source_(body.ops.size() + 1, 0) {
    for (uint32_t i = 0; i < body.size(); ++i) {
      const uint32_t to = body.ops[i].jump;
      if (to == kNone) continue;
      first_source_[to] = std::min(first_source_[to], i);
      last_source_[to] = std::max(last_source_[to], i);
    }
  }

  // Calls `make` with each run of cases, and the subjects that are worth a look-up, if any is.
  template <typename Make>
  void EachRun(Make make) const {
    for (uint32_t at = 0; at < body_.size();) {
      std::vector<Case> cases = FindCases(at);
      at = cases.empty() ? at + 1 : cases.back().end;
      Trim(cases);
      const std::vector<Subject> subjects = ChooseSubjects(cases);
      if (!subjects.empty()) make(cases, subjects);
    }
  }

  void Run() {
    EachRun([this](std::vector<Case>& cases, const std::vector<Subject>& subjects) {
      Make(cases, subjects);
    });
    if (insertions_.empty()) return;
    DropImpliedLoads();
    const std::vector<uint32_t> moved = insertions_.Apply(body_);
    const std::vector<uint32_t> compacted = Compact(body_);
    for (Switch& made : made_) {
      for (Switch::Case& one : made.cases) one.entry = compacted[moved[one.entry]];
      body_.folding.AddSwitch(std::move(made));
    }
  }

 private:
  // Consecutive cases from `at` on.
  std::vector<Case> FindCases(uint32_t at) const {
    std::vector<Case> cases;
    while (at < body_.size()) {
      std::optional<Case> found = FindCase(at);
      if (!found || (!cases.empty() && !IsLeftOnlyFrom(cases.front().begin, at))) break;
      at = found->end;
      cases.push_back(std::move(*found));
    }
    return cases;
  }

  // Whether all that jumps to `at` is between `begin` and it.
  bool IsLeftOnlyFrom(uint32_t begin, uint32_t at) const {
    return first_source_[at] >= begin && last_source_[at] < at;
  }

  std::optional<Case> FindCase(uint32_t begin) const {
    const uint32_t end = body_.ops[begin].jump;
    if (end == kNone || end <= begin || !FallsThrough(body_.ops[begin].code)) return std::nullopt;
    for (uint32_t i = begin; i < end; ++i) {
      const bool entered = i != begin && first_source_[i] != UINT32_MAX &&
                           (first_source_[i] < begin || last_source_[i] >= end);
      const uint32_t to = body_.ops[i].jump;
      if (entered || (to != kNone && to < begin)) return std::nullopt;
    }
    return Case{begin, end, FindGuards(begin, end)};
  }

  // Takes away cases at either end that ask for nothing.
  void Trim(std::vector<Case>& cases) const {
    while (!cases.empty() && cases.back().guards.empty()) cases.pop_back();
    auto first = std::find_if(cases.begin(), cases.end(),
                              [](const Case& one) { return !one.guards.empty(); });
    for (auto one = first; one != cases.end(); ++one) {
      if (one != first && !IsLeftOnlyFrom(first->begin, one->begin)) first = cases.begin();
    }
    cases.erase(cases.begin(), first);
  }

  // The equalities among the tests at the begin of a case.
  std::map<Subject, Guard> FindGuards(uint32_t begin, uint32_t end) const {
    std::map<Subject, Guard> guards;
    struct Part {
      Subject subject;
      std::vector<uint32_t> way;
    };
    std::map<int32_t, Part> parts;  // by register
    const auto part_of = [&](int32_t operand) -> std::optional<Part> {
      if (const auto found = parts.find(operand); found != parts.end()) return found->second;
      if (operand >= 0 && operand < static_cast<int32_t>(body_.params)) {
        return Part{{operand}, {}};
      }
      return std::nullopt;
    };
    for (uint32_t i = begin; i < end; ++i) {
      const Op& op = body_.ops[i];
      if (op.jump != end) break;
      if (op.code == OpCode::kDot) {
        // Cases that are passed over do not set it.
        if (live_.IsLive(end, op.c)) break;
        std::optional<Part> part = op.b < 0 ? part_of(op.a) : std::nullopt;
        parts.erase(op.c);
        if (!part) continue;
        part->subject.push_back(op.b);
        part->way.push_back(i);
        parts.insert_or_assign(op.c, std::move(*part));
      } else if (op.code == OpCode::kEqual && (op.a < 0) != (op.b < 0)) {
        const int32_t constant = std::min(op.a, op.b);
        const std::optional<Part> part = part_of(std::max(op.a, op.b));
        if (part && !body_.folding.Constant(constant).is_undefined()) {
          guards.emplace(part->subject, Guard{i, part->way, constant});
        }
      } else if (!IsTest(op.code)) {
        break;
      }
    }
    return guards;
  }

  // How many cases one look-up of the subject leaves, on average over those that ask for it.
  double Left(const std::vector<Case>& cases, const Subject& subject) const {
    std::map<int32_t, double> by_constant;
    double asking = 0, squares = 0;
    for (const Case& one : cases) {
      const auto guard = one.guards.find(subject);
      if (guard == one.guards.end()) continue;
      asking += 1;
      by_constant[guard->second.constant] += 1;
    }
    for (const auto& [constant, count] : by_constant) squares += count * count;
    return static_cast<double>(cases.size()) - asking + squares / std::max(asking, 1.0);
  }

  // The best first, if a look-up is worth it.
  std::vector<Subject> ChooseSubjects(const std::vector<Case>& cases) const {
    std::map<Subject, size_t> asked;
    for (const Case& one : cases) {
      for (const auto& [subject, guard] : one.guards) ++asked[subject];
    }
    std::vector<std::pair<double, Subject>> ranked;
    for (const auto& [subject, count] : asked) {
      if (count * 4 >= cases.size()) ranked.emplace_back(Left(cases, subject), subject);
    }
    std::sort(ranked.begin(), ranked.end());
    std::vector<Subject> chosen;
    const auto total = static_cast<double>(cases.size());
    constexpr double kLeastSaved = 3;
    if (ranked.empty() || total - ranked[0].first < std::max(kLeastSaved, total / 3)) return {};
    for (auto& [left, subject] : ranked) {
      if (chosen.size() < Switch::kMaxSubjects) chosen.push_back(std::move(subject));
    }
    return chosen;
  }

  void Make(std::vector<Case>& cases, const std::vector<Subject>& subjects) {
    Switch made;
    std::vector<uint32_t> first_numbers;  // by case; 0: does not ask
    made.cases.resize(cases.size());
    for (size_t s = 0; s < subjects.size(); ++s) {
      Value built = Value::EmptyObject();
      uint32_t last = 0;
      for (size_t i = 0; i < cases.size(); ++i) {
        uint32_t number = 0;
        const auto guard = cases[i].guards.find(subjects[s]);
        if (guard != cases[i].guards.end()) {
          const Value constant = body_.folding.Constant(guard->second.constant);
          const Value known = built.Get(constant);
          number = known.is_undefined() ? ++last : static_cast<uint32_t>(known.int_value());
          if (known.is_undefined() && ObjectInsert(body_.folding.arena(), built, constant,
                                                   Value::Int(number)) != Edit::kOk) {
            return;
          }
        }
        if (s == 0) {
          first_numbers.push_back(number);
        } else {
          made.cases[i].wanted[s - 1] = number;
        }
      }
      made.numbers.push_back(built);
      if (s == 0) made.starts.assign(last + 1, 0);
    }
    // Lists by number: counted, then filled.
    std::vector<uint32_t> counts(made.starts.size(), 0);
    for (const uint32_t number : first_numbers) ++counts[number];
    uint32_t sum = 0;
    for (size_t i = 0; i < counts.size(); ++i) {
      made.starts[i] = sum;
      sum += counts[i];
    }
    made.starts.push_back(sum);
    made.lists.resize(sum);
    std::vector<uint32_t> next(made.starts.begin(), made.starts.end() - 1);
    for (uint32_t i = 0; i < cases.size(); ++i) made.lists[next[first_numbers[i]]++] = i;

    Emit(cases, subjects);
    for (size_t i = 0; i < cases.size(); ++i) made.cases[i].entry = cases[i].begin;
    made_.push_back(std::move(made));
  }

  // The look-up in front of the first case, and what goes on behind each.
  void Emit(const std::vector<Case>& cases, const std::vector<Subject>& subjects) {
    const uint32_t begin = cases.front().begin, end = cases.back().end;
    const auto number = static_cast<uint32_t>(body_.folding.switch_count() + made_.size());
    std::map<Subject, int32_t> loaded;
    std::vector<int32_t> operands;
    for (const Subject& subject : subjects) {
      int32_t at = subject[0];
      Subject part = {at};
      for (size_t i = 1; i < subject.size(); ++i) {
        part.push_back(subject[i]);
        const auto [known, added] = loaded.emplace(part, 0);
        if (added) {
          known->second = body_.NewRegister();
          insertions_.Before(
              begin, Op{.code = OpCode::kLoad, .a = at, .b = subject[i], .c = known->second});
        }
        at = known->second;
      }
      operands.push_back(at);
    }
    const int32_t state = body_.NewRegister();
    body_.NewRegister();
    insertions_.Before(begin, Op{.code = OpCode::kSwitch,
                                 .count = static_cast<uint16_t>(operands.size()),
                                 .a = static_cast<int32_t>(body_.args.size()),
                                 .b = state,
                                 .jump = end,
                                 .extra = number});
    body_.args.insert(body_.args.end(), operands.begin(), operands.end());
    for (size_t i = 1; i < cases.size(); ++i) {
      insertions_.Before(cases[i].begin, Op{.code = OpCode::kNextCase,
                                            .b = state,
                                            .c = static_cast<int32_t>(i),
                                            .jump = end,
                                            .extra = number});
    }
    for (const Case& one : cases) {
      for (const Subject& subject : subjects) {
        const auto guard = one.guards.find(subject);
        if (guard == one.guards.end()) continue;
        body_.ops[guard->second.op] = Op{.code = OpCode::kNop};
        implied_.insert(implied_.end(), guard->second.way.begin(), guard->second.way.end());
      }
    }
  }

  // The parts of the subjects are there when a case is entered: loads of them cannot fail, and
  // those that nothing else reads go.
  void DropImpliedLoads() {
    std::sort(implied_.begin(), implied_.end(), std::greater<>());
    bool changed = true;
    while (changed) {
      changed = false;
      const Liveness live(body_);
      for (const uint32_t i : implied_) {
        Op& op = body_.ops[i];
        if (op.code != OpCode::kDot || live.IsLive(i + 1, op.c)) continue;
        op = Op{.code = OpCode::kNop};
        changed = true;
      }
    }
  }

  Body& body_;
  const Liveness live_;
  // By op, the first and the last op that jumps to it.
  std::vector<uint32_t> first_source_, last_source_;
  Insertions insertions_;
  std::vector<uint32_t> implied_;
  std::vector<Switch> made_;
};

}  // namespace

void MakeSwitches(Body& body) { SwitchMaker(body).Run(); }

bool HasSwitches(Body& body) {
  bool found = false;
  SwitchMaker(body).EachRun([&](std::vector<Case>&, const std::vector<Subject>&) { found = true; });
  return found;
}

}  // namespace aegis::rego::internal
