// Runs planned programs (lines of `regoc programs`) in the engine and in the reference evaluator
// and compares both with OPA's answers.
//
//   program_tool [--no-reference] < planned.jsonl
//
// Prints each difference and a closing line "P programs, N answers, D different"; exit code 1 when
// there is one, or when there was nothing to compare.
#include <cstdio>
#include <iostream>
#include <string>

#include "aegis/rego/program.h"
#include "aegis/rego/vm.h"
#include "conformance/reference_evaluator.h"

namespace aegis::rego {
namespace {

constexpr int kShown = 5;
constexpr std::string_view kConflict = R"({"error":"eval_conflict_error"})";
constexpr std::string_view kBroken = R"({"error":"eval_internal_error"})";
constexpr std::string_view kGaveUp = R"({"error":"reference_limit"})";

class Comparison {
 public:
  explicit Comparison(bool with_reference) : with_reference_(with_reference) {}

  bool Line(const std::string& line) {
    lines_.Reset();
    const Result<Value> parsed = ParseJson(
        line, lines_, {.max_bytes = size_t{64} << 20, .max_depth = 900, .max_values = 4'000'000});
    if (!parsed) {
      std::fprintf(stderr, "%s\n", parsed.error().ToString().c_str());
      return false;
    }
    if (!parsed->Get("error").is_undefined()) {
      ++refused_by_opa_;
      return true;
    }
    ++programs_;
    const std::string_view plan = parsed->Get("plan").string_value();
    const std::string data = ToJson(parsed->Get("data"));
    const Result<std::unique_ptr<const Program>> program = Program::Load(plan, data);
    const Result<ir::Policy> policy = ir::ReadPlan(plan, size_t{64} << 20);
    if (!program || !policy) {
      Differ(*parsed, SIZE_MAX, (program ? policy.error() : program.error()).ToString(), "");
      return true;
    }
    const Value inputs = parsed->Get("inputs"), answers = parsed->Get("answers");
    for (size_t i = 0; i < inputs.size(); ++i) {
      ++answers_;
      const std::string expected_text(answers.At(i).string_value());
      const std::string got = Engine(**program, inputs.At(i));
      const std::string slow =
          with_reference_ ? Reference(*policy, inputs.At(i), parsed->Get("data")) : expected_text;
      const bool gave_up = slow == kGaveUp;
      given_up_ += gave_up;
      if (got == expected_text) {
        if (slow != got && !gave_up) Differ(*parsed, i, slow, "reference");
      } else if (expected_text == kBroken && slow == got) {
        ++broken_;  // OPA's own indexes of comprehensions stumble over some sets
      } else if (got == parsed->Get("indexed").At(i).string_value() ||
                 (got == kConflict && slow == kConflict)) {
        // A conflict in a rule that has no result is met or not: by OPA's index, and by the order
        // in which OPA's evaluator takes a body, which is not always the plan's.
        ++conflicts_aside_;
      } else {
        Differ(*parsed, i, got, "engine");
        break;  // one of a program is enough
      }
    }
    return true;
  }

  int Finish() const {
    std::printf(
        "%d programs, %d answers, %d different; %d conflicts aside, %d errors inside OPA, %d "
        "refused by OPA's compiler, "
        "%d too "
        "long for the reference\n",
        programs_, answers_, different_, conflicts_aside_, broken_, refused_by_opa_, given_up_);
    return different_ == 0 && answers_ > 0 ? 0 : 1;
  }

 private:
  static std::string Answer(Value result_set) {
    if (result_set.size() == 0) return "{}";
    return "{\"result\":" + ToJson(result_set.At(0).Get("result")) + "}";
  }
  static std::string ErrorAnswer(std::string_view code) {
    return "{\"error\":\"" + std::string(code) + "\"}";
  }

  std::string Engine(const Program& program, Value input) {
    arena_.Reset();
    const Result<Value> results = vm_.EvalResultSet(program, 0, input, 0, arena_);
    return results ? Answer(*results) : ErrorAnswer(results.error().reason);
  }

  std::string Reference(const ir::Policy& policy, Value input, Value data) {
    const reference::RefOutcome outcome =
        reference::Evaluate(policy, 0, reference::FromRego(input), reference::FromRego(data), 0);
    if (!outcome.error.empty()) return ErrorAnswer(outcome.error);
    arena_.Reset();
    return Answer(reference::ToRego(reference::RefValue(outcome.results), arena_));
  }

  void Differ(Value program, size_t input, const std::string& got, const char* who) {
    if (++different_ > kShown) return;
    std::printf("--- difference %d (%s)\n%.*s", different_, who,
                static_cast<int>(program.Get("module").string_value().size()),
                program.Get("module").string_value().data());
    std::printf("data   %s\n", ToJson(program.Get("data")).c_str());
    if (input != SIZE_MAX) {
      std::printf("input  %s\nOPA    %s\n", ToJson(program.Get("inputs").At(input)).c_str(),
                  std::string(program.Get("answers").At(input).string_value()).c_str());
    }
    std::printf("got    %s\n", got.c_str());
  }

  const bool with_reference_;
  Vm vm_;
  Arena lines_{1 << 20, size_t{1} << 30};
  Arena arena_;
  int programs_ = 0, answers_ = 0, different_ = 0, refused_by_opa_ = 0, given_up_ = 0;
  int conflicts_aside_ = 0, broken_ = 0;
};

}  // namespace
}  // namespace aegis::rego

int main(int argc, char** argv) {
  std::ios::sync_with_stdio(false);
  aegis::rego::Comparison comparison(argc < 2 || std::string(argv[1]) != "--no-reference");
  std::string line;
  while (std::getline(std::cin, line)) {
    if (!comparison.Line(line)) return 2;
  }
  return comparison.Finish();
}
