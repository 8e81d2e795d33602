// Policies that mean harm: each ends soon, with the error of a limit or with nothing.
#include <gtest/gtest.h>

#include <chrono>

#include "aegis/rego/plan_text.h"
#include "aegis/rego/program.h"
#include "aegis/rego/vm.h"

namespace aegis::rego {
namespace {

using namespace plan_text;  // NOLINT: the words that plans are written in

// Local 2, `times` over: `step` gives local 3 from it.
std::vector<std::string> Again(int times, const std::string& begin,
                               const std::vector<std::string>& step) {
  std::vector<std::string> stmts = {begin};
  for (int i = 0; i < times; ++i) {
    stmts.insert(stmts.end(), step.begin(), step.end());
    stmts.push_back(Assign(L(3), 2));
  }
  return stmts;
}

// With the limits of a decision. The reason of the error, "undefined" or "a value"; fails when it
// takes long: the limits are in steps, not in time, so the bound is wide.
std::string EndOf(const std::string& plan, const std::string& input = "null") {
  auto program = Program::Load(plan, "{}");
  if (!program) return program.error().message;
  Arena arena(64 * 1024, size_t{64} << 20);
  Vm vm;
  const Value in = *ParseJson(input, arena);
  const auto start = std::chrono::steady_clock::now();
  const Result<Value> value = vm.Eval(**program, 0, in, 0, arena);
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  EXPECT_LT(seconds.count(), 5);
  if (!value) return std::string(value.error().reason);
  return value->is_undefined() ? "undefined" : "a value";
}

std::string List(int count) {
  std::string out = "[0";
  for (int i = 1; i < count; ++i) out += "," + std::to_string(i);
  return out + "]";
}

TEST(HostileTest, WalkOfWhatIsSmallInMemoryOnly) {
  auto stmts = Again(24, Assign(L(0), 2), {Make("Array", 3), Append(L(2), 3), Append(L(2), 3)});
  stmts.push_back(Call("walk", {L(2)}, 4));
  EXPECT_EQ(EndOf(Plan({}, {}, stmts, 4)), "eval_memory_limit");
}

TEST(HostileTest, LoopsInLoops) {
  const std::string cubed = Scan(0, 3, 4, {Scan(0, 5, 6, {Scan(0, 7, 8, {Append(L(8), 2)})})});
  EXPECT_EQ(EndOf(Plan({}, {}, {Make("Array", 2), cubed}, 2), List(3000)), "eval_memory_limit");
  const std::string nothing = Scan(0, 3, 4, {Scan(0, 5, 6, {Scan(0, 7, 8, {Assign(L(8), 2)})})});
  EXPECT_EQ(EndOf(Plan({}, {}, {Int(1, 2), nothing}, 2), List(3000)), "eval_step_limit");
  const std::string sets =
      Scan(0, 3, 4,
           {Make("Set", 9),
            Scan(0, 5, 6, {Make("Array", 10), Append(L(4), 10), Append(L(6), 10), Add(L(10), 9)}),
            Append(L(9), 2)});
  const std::string ended = EndOf(Plan({}, {}, {Make("Array", 2), sets}, 2), List(3000));
  EXPECT_TRUE(ended == "eval_step_limit" || ended == "eval_memory_limit") << ended;
}

TEST(HostileTest, TextsThatDouble) {
  const auto concat =
      Again(60, Assign(S(1), 2),
            {Make("Array", 4), Append(L(2), 4), Append(L(2), 4), Call("concat", {S(0), L(4)}, 3)});
  EXPECT_EQ(EndOf(Plan({"", "aaaaaaaaaaaaaaaa"}, {}, concat, 2)), "eval_memory_limit");
  const auto replace = Again(60, Assign(S(0), 2), {Call("replace", {L(2), S(0), S(1)}, 3)});
  EXPECT_NE(EndOf(Plan({"a", "aaaaaaaaaaaaaaaa"}, {}, replace, 2)), "a value");
}

TEST(HostileTest, FormatsWithGiantWidths) {
  for (const char* format : {"%999999999d", "%.999999999f", "%-999999999s", "%0999999999x"}) {
    const std::string ended = EndOf(
        Plan({format}, {},
             {Int(7, 3), Make("Array", 4), Append(L(3), 4), Call("sprintf", {S(0), L(4)}, 2)}, 2));
    EXPECT_TRUE(ended == "eval_step_limit" || ended == "eval_memory_limit" ||
                ended == "undefined" || ended == "a value")
        << ended;
  }
}

TEST(HostileTest, NumbersThatGrow) {
  const auto squares = Again(64, Number(0, 2), {Call("mul", {L(2), L(2)}, 3)});
  EXPECT_NE(EndOf(Plan({"123456789123456789123456789"}, {}, squares, 2)), "a value");
  EXPECT_NE(EndOf(Plan({"1000000000000"}, {},
                       {Int(1, 3), Number(0, 4), Call("bits.lsh", {L(3), L(4)}, 2)}, 2)),
            "a value");
  EXPECT_NE(EndOf(Plan({"1000000000000"}, {},
                       {Int(1, 3), Number(0, 4), Call("numbers.range", {L(3), L(4)}, 2)}, 2)),
            "a value");
}

TEST(HostileTest, PatternsThatBacktrackOrGrow) {
  const auto matches = [](const std::string& pattern, const std::string& text) {
    return EndOf(Plan({pattern, text}, {}, {Call("regex.match", {S(0), S(1)}, 2)}, 2));
  };
  EXPECT_EQ(matches("^(a+)+$", std::string(100'000, 'a') + "b"), "a value");
  EXPECT_EQ(matches("(.*)*(.*)*(.*)*x", std::string(100'000, 'a')), "a value");
  EXPECT_EQ(matches("((a{100}){100}){100}", "a"), "undefined");
}

TEST(HostileTest, Nesting) {
  const std::string deepen = Scan(0, 4, 5, {Make("Array", 3), Append(L(2), 3), Assign(L(3), 2)});
  EXPECT_EQ(EndOf(Plan({}, {}, {Make("Array", 2), deepen}, 2), List(100'000)), "eval_depth_limit");
}

// The same question of large values, asked again and again.
TEST(HostileTest, ComparisonsOfLargeValues) {
  const std::string input = "[" + List(20'000) + "," + List(20'000) + "]";
  std::vector<std::string> stmts = {Int(0, 3), Dot(L(0), L(3), 4), Int(1, 3), Dot(L(0), L(3), 5)};
  stmts.push_back(Make("Array", 2));
  stmts.push_back(Scan(4, 6, 7, {Compare("Equal", L(4), L(5)), Append(L(7), 2)}));
  EXPECT_EQ(EndOf(Plan({}, {}, stmts, 2), input), "eval_step_limit");
  stmts.back() = Scan(4, 6, 7, {Call("internal.member_2", {L(5), L(0)}, 8), Append(L(7), 2)});
  EXPECT_EQ(EndOf(Plan({}, {}, stmts, 2), input), "eval_step_limit");
}

// Loading is bounded too: constants are not copied or walked over and over.
TEST(HostileTest, ConstantsOfConstants) {
  std::vector<std::string> stmts = {Make("Array", 2)};
  for (int i = 0; i < 200; ++i) stmts.push_back(Append(L(1), 2));
  for (int k = 3; k < 60; ++k) {
    stmts.push_back(Make("Array", k));
    for (int i = 0; i < 50; ++i) stmts.push_back(Append(L(k - 1), k));
  }
  const auto start = std::chrono::steady_clock::now();
  const auto program = Program::Load(Plan({}, {}, stmts, 59), "{\"list\":" + List(100'000) + "}");
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  ASSERT_TRUE(program);
  EXPECT_LT(seconds.count(), 10);
}

}  // namespace
}  // namespace aegis::rego
