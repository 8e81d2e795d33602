// What the passes promise: the same results as the plan, in fewer steps. Rules are written as
// OPA's planner writes them.
#include <gtest/gtest.h>

#include <set>

#include "aegis/rego/code.h"
#include "aegis/rego/plan_text.h"
#include "aegis/rego/program.h"
#include "aegis/rego/vm.h"

namespace aegis::rego {
namespace {

using namespace plan_text;  // NOLINT: the words that plans are written in
using internal::OpCode;

class OptimizeTest : public testing::Test {
 protected:
  void Load(const std::string& plan, std::string_view data = "") {
    auto loaded = Program::Load(plan, data);
    ASSERT_TRUE(loaded) << loaded.error().message;
    program_ = *std::move(loaded);
  }
  // The result as JSON; "undefined"; or the reason of the error.
  std::string Run(std::string_view input, int64_t max_steps = 100'000) {
    Arena arena(16 * 1024, 8 << 20);
    VmOptions options;
    options.max_steps = max_steps;
    Vm vm(options);
    const Result<Value> value = vm.Eval(*program_, 0, *ParseJson(input, arena), 0, arena);
    if (!value) return std::string(value.error().reason);
    return value->is_undefined() ? "undefined" : ToJson(*value);
  }
  size_t Count(OpCode code) const {
    size_t count = 0;
    for (const internal::Op& op : program_->code().ops) count += op.code == code ? 1 : 0;
    return count;
  }

  std::unique_ptr<const Program> program_;
};

// A rule of the complete document in local 2.
std::string Rule(std::vector<std::string> stmts, const std::string& value) {
  stmts.push_back(AssignOnce(value, 3));
  return Block({Reset(3), Blocks({Block(stmts)}), IsLocal("Defined", 3), AssignOnce(L(3), 2)});
}
Function Complete(std::vector<std::string> rules) {
  rules.push_back(Block({Return(2)}));
  return {"rule", {0, 1}, rules, "null"};
}
const std::string kCallRule = Call("rule", {L(0), L(1)}, 2);

// --- Rule indexing ---

// Rules that ask for input.m, input.o.k or both; 0: does not ask. The strings: m, o, k, then
// values.
struct Asking {
  int m, k;
  int gives;
};
const std::vector<std::string> kWords = {"m", "o", "k", "A", "B", "C", "D", "E", "F"};
constexpr int kM = 0, kO = 1, kK = 2, kA = 3;
const std::vector<Asking> kRules = {{kA, kA, kA},         {kA, kA + 1, kA}, {kA + 1, kA, kA + 1},
                                    {0, kA + 2, kA},      {kA + 2, 0, kA},  {kA + 2, kA, kA + 1},
                                    {kA + 3, kA + 3, kA}, {kA + 4, kA, kA}, {kA + 4, kA + 1, kA},
                                    {0, kA + 4, kA + 1},  {kA, kA + 5, kA}};

std::vector<std::string> Guards(const Asking& rule) {
  std::vector<std::string> stmts;
  if (rule.k != 0) {
    stmts.push_back(Dot(L(0), S(kO), 5));
    stmts.push_back(Dot(L(5), S(kK), 6));
    stmts.push_back(Compare("Equal", L(6), S(rule.k)));
  }
  if (rule.m != 0) {
    stmts.push_back(Dot(L(0), S(kM), 4));
    stmts.push_back(Compare("Equal", S(rule.m), L(4)));
  }
  return stmts;
}

// Calls `check` with each input and the values of the rules that hold for it.
template <typename Check>
void EachInput(Check check) {
  for (int m = kA - 1; m < kA + 7; ++m) {
    for (int k = kA - 1; k < kA + 7; ++k) {
      const auto text = [](int word) {
        return word < kA ? std::string("7")
               : word < static_cast<int>(kWords.size())
                   ? "\"" + kWords[static_cast<size_t>(word)] + "\""
                   : "null";
      };
      std::set<std::string> values;
      for (const Asking& rule : kRules) {
        if ((rule.m != 0 && rule.m != m) || (rule.k != 0 && rule.k != k)) continue;
        values.insert("\"" + kWords[static_cast<size_t>(rule.gives)] + "\"");
      }
      check(R"({"m":)" + text(m) + R"(,"o":{"k":)" + text(k) + "}}", values);
    }
  }
}

TEST_F(OptimizeTest, SwitchesKeepValuesAndConflictsOfCompleteRules) {
  std::vector<std::string> rules;
  for (const Asking& rule : kRules) rules.push_back(Rule(Guards(rule), S(rule.gives)));
  Load(Plan(kWords, {Complete(rules)}, {kCallRule}, 2));
  EXPECT_EQ(program_->code().switches.size(), 1U);
  EachInput([&](const std::string& input, const std::set<std::string>& values) {
    const std::string want = values.empty()       ? "undefined"
                             : values.size() == 1 ? *values.begin()
                                                  : "eval_conflict_error";
    EXPECT_EQ(Run(input), want) << input;
  });
  EXPECT_EQ(Run(R"({"m":"A"})"), "undefined");
  EXPECT_EQ(Run(R"({"m":"C"})"), "\"A\"");
  EXPECT_EQ(Run(R"({"o":{"k":"C"}})"), "\"A\"");
  EXPECT_EQ(Run(R"({"m":["A"],"o":"k"})"), "undefined");
  EXPECT_EQ(Run("[]"), "undefined");
}

TEST_F(OptimizeTest, SwitchesKeepPartialSets) {
  std::vector<std::string> rules = {Block({Make("Set", 2)})};
  for (const Asking& rule : kRules) {
    std::vector<std::string> stmts = Guards(rule);
    stmts.push_back(Add(S(rule.gives), 2));
    rules.push_back(Block(stmts));
  }
  Load(Plan(kWords, {Complete(rules)}, {kCallRule}, 2));
  EXPECT_EQ(program_->code().switches.size(), 1U);
  EachInput([&](const std::string& input, const std::set<std::string>& values) {
    std::string want;
    for (const std::string& value : values) want += (want.empty() ? "" : ",") + value;
    EXPECT_EQ(Run(input), "[" + want + "]") << input;
  });
}

TEST_F(OptimizeTest, SwitchesCompareNumbersByValue) {
  std::vector<std::string> rules;
  for (int i = 0; i < 6; ++i) {
    rules.push_back(
        Rule({Int(i, 5), Dot(L(0), S(kM), 4), Compare("Equal", L(4), L(5))}, S(kA + i)));
  }
  Load(Plan(kWords, {Complete(rules)}, {kCallRule}, 2));
  EXPECT_EQ(program_->code().switches.size(), 1U);
  EXPECT_EQ(Run(R"({"m":2})"), "\"C\"");
  EXPECT_EQ(Run(R"({"m":2.0})"), "\"C\"");
  EXPECT_EQ(Run(R"({"m":20e-1})"), "\"C\"");
  EXPECT_EQ(Run(R"({"m":"2"})"), "undefined");
}

TEST_F(OptimizeTest, SwitchesSeeWhatWithReplaced) {
  std::vector<std::string> rules;
  for (const Asking& rule : kRules) rules.push_back(Rule(Guards(rule), S(rule.gives)));
  Load(Plan(kWords, {Complete(rules)},
            {Make("Array", 7), kCallRule, Append(L(2), 7),
             With(0, "[0]", S(kA + 1), {Call("rule", {L(0), L(1)}, 8), Append(L(8), 7)}),
             Call("rule", {L(0), L(1)}, 9), Append(L(9), 7)},
            7));
  EXPECT_EQ(Run(R"({"m":"A","o":{"k":"A"}})"), R"(["A","B","A"])");
}

// Of an else-chain only the first that holds counts; the rules behind the chain are asked too.
TEST_F(OptimizeTest, SwitchesKeepElse) {
  const auto guarded = [](int word, int gives, bool leaves) {
    std::vector<std::string> stmts = {Dot(L(0), S(kM), 4), Compare("Equal", L(4), S(word)),
                                      Append(S(gives), 2)};
    if (leaves) stmts.push_back(Break(1));
    return Block(stmts);
  };
  std::vector<std::string> chain;
  for (const auto& [word, gives] : {std::pair(kA, kA),
                                    {kA + 1, kA + 1},
                                    {kA, kA + 2},
                                    {kA + 2, kA},
                                    {kA + 3, kA},
                                    {kA + 4, kA}}) {
    chain.push_back(guarded(word, gives, true));
  }
  Load(
      Plan(kWords,
           {Complete({Block({Make("Array", 2)}), Block({Blocks(chain)}), guarded(kA, kA + 4, false),
                      guarded(kA + 1, kA + 4, false), guarded(kA, kA + 5, false)})},
           {kCallRule}, 2));
  EXPECT_EQ(program_->code().switches.size(), 1U);
  EXPECT_EQ(Run(R"({"m":"A"})"), R"(["A","E","F"])");
  EXPECT_EQ(Run(R"({"m":"B"})"), R"(["B","E"])");
}

// What a rule reads behind its guards is still loaded, and rules that do more than compare stay in
// order.
TEST_F(OptimizeTest, SwitchesKeepWhatRulesReadOfTheirSubjects) {
  std::vector<std::string> rules = {Block({Make("Array", 2)})};
  for (int i = 0; i < 12; ++i) {
    rules.push_back(
        Block({Dot(L(0), S(kO), 5), Dot(L(5), S(kK), 6), Compare("Equal", L(6), S(kA + i % 4)),
               Append(L(6), 2), Append(L(5), 2), Int(i, 4), Append(L(4), 2)}));
  }
  Load(Plan(kWords, {Complete(rules)}, {kCallRule}, 2));
  EXPECT_EQ(program_->code().switches.size(), 1U);
  EXPECT_EQ(Run(R"({"o":{"k":"B"}})"), R"(["B",{"k":"B"},1,"B",{"k":"B"},5,"B",{"k":"B"},9])");
  EXPECT_EQ(Run(R"({"o":{"k":"X"}})"), "[]");
}

TEST_F(OptimizeTest, SwitchesMakeManyRulesCheap) {
  std::vector<std::string> words = {"m"};
  std::vector<std::string> rules;
  for (int i = 0; i < 2000; ++i) {
    words.push_back("value" + std::to_string(i));
    rules.push_back(Rule({Dot(L(0), S(0), 4), Compare("Equal", L(4), S(i + 1))}, S(i + 1)));
  }
  Load(Plan(words, {Complete(rules)}, {kCallRule}, 2));
  EXPECT_EQ(Count(OpCode::kEqual), 0U);
  EXPECT_EQ(Run(R"({"m":"value1999"})"), "\"value1999\"");
}

// --- Early exit ---

std::string Elements(int count, const std::string& first) {
  std::string out = "[" + first;
  for (int i = 1; i < count; ++i) out += ",1";
  return out + "]";
}

TEST_F(OptimizeTest, ARuleEndsWhenItsValueIsSettled) {
  const std::string scan =
      Scan(0, 5, 6, {Scan(0, 7, 8, {Compare("Equal", L(6), S(0)), AssignOnce(B(true), 3)})});
  Load(Plan({"x"},
            {Complete({Block(
                {Reset(3), Blocks({Block({scan})}), IsLocal("Defined", 3), AssignOnce(L(3), 2)})})},
            {kCallRule}, 2));
  EXPECT_EQ(Run(Elements(500, "\"x\""), 200), "true");
  EXPECT_EQ(Run(Elements(500, "1"), 200), "eval_step_limit");
  EXPECT_EQ(Run("[1,2]"), "undefined");
}

// every v in input { v == "x" }, as planned: the first that fails decides.
TEST_F(OptimizeTest, EveryEndsAtTheFirstThatFails) {
  const std::string body =
      Blocks({Block({Reset(4), Blocks({Block({Compare("Equal", L(6), S(0)), Assign(B(true), 4)})}),
                     IsLocal("Undefined", 4), Assign(B(true), 3)})});
  Load(Plan({"x"},
            {Complete({Block({Reset(3), Scan(0, 5, 6, {body}), IsLocal("Undefined", 3),
                              AssignOnce(B(true), 2)})})},
            {kCallRule}, 2));
  EXPECT_EQ(Run(R"(["x","x"])"), "true");
  EXPECT_EQ(Run("[]"), "true");
  EXPECT_EQ(Run(R"(["x","y"])"), "undefined");
  EXPECT_EQ(Run(Elements(5000, "1"), 100), "undefined");
}

TEST_F(OptimizeTest, DifferentValuesStillConflict) {
  const auto rule = [](int word, bool value) {
    return Block({Reset(3),
                  Scan(0, 5, 6, {Compare("Equal", L(6), S(word)), AssignOnce(B(value), 3)}),
                  IsLocal("Defined", 3), AssignOnce(L(3), 2)});
  };
  Load(Plan({"x", "y"}, {Complete({rule(0, true), rule(1, true)})}, {kCallRule}, 2));
  EXPECT_EQ(Run(R"(["x","y"])"), "true");
  Load(Plan({"x", "y"}, {Complete({rule(0, true), rule(1, false)})}, {kCallRule}, 2));
  EXPECT_EQ(Run(R"(["x","y"])"), "eval_conflict_error");
  EXPECT_EQ(Run(R"(["z","y"])"), "false");
  EXPECT_EQ(Run(R"(["x","z"])"), "true");
}

// What a loop collects is not cut short by a value that is settled.
TEST_F(OptimizeTest, EffectsAreNotPassedOver) {
  Load(Plan({}, {},
            {Make("Array", 2), Reset(3), Scan(0, 5, 6, {AssignOnce(B(true), 3), Append(L(6), 2)}),
             Append(L(3), 2)},
            2));
  EXPECT_EQ(Run("[7,8,9]"), "[7,8,9,true]");
  // A With that is left restores the input.
  Load(Plan({"x"}, {},
            {Make("Array", 2), Reset(3),
             Scan(0, 5, 6, {With(0, "null", S(0), {AssignOnce(B(true), 3)})}), Append(L(0), 2)},
            2));
  EXPECT_EQ(Run("[7,8]"), "[[7,8]]");
}

// --- Loads in front of loops ---

TEST_F(OptimizeTest, WhatALoopDoesNotChangeIsLoadedOnce) {
  // For each x of input.list, each y of input.other: [x, y, input.m.n].
  Load(
      Plan({"list", "other", "m", "n"}, {},
           {Make("Array", 2), Dot(L(0), S(0), 3),
            Scan(3, 4, 5,
                 {Dot(L(0), S(1), 6), Scan(6, 7, 8,
                                           {Dot(L(0), S(2), 9), Dot(L(9), S(3), 10),
                                            Append(L(5), 2), Append(L(8), 2), Append(L(10), 2)})})},
           2));
  EXPECT_EQ(Count(OpCode::kLoad), 3U);
  EXPECT_EQ(Run(R"({"list":[1,2],"other":[3,4],"m":{"n":5}})"), "[1,3,5,1,4,5,2,3,5,2,4,5]");
  EXPECT_EQ(Run(R"({"list":[1,2],"other":[3,4],"m":{}})"), "[]");
  EXPECT_EQ(Run(R"({"list":[1,2],"other":[3,4]})"), "[]");
  EXPECT_EQ(Run(R"({"list":[1,2],"m":{"n":5}})"), "[]");
  EXPECT_EQ(Run(R"({"list":[],"other":[3,4],"m":{"n":5}})"), "[]");
}

TEST_F(OptimizeTest, WhatALoopReplacesIsLoadedInIt) {
  Load(Plan({"list", "m"}, {},
            {Make("Array", 2), Dot(L(0), S(0), 3),
             Scan(3, 4, 5, {With(0, "[1]", L(5), {Dot(L(0), S(1), 6), Append(L(6), 2)})})},
            2));
  EXPECT_EQ(Run(R"({"list":[1,2],"m":3})"), "[1,2]");
  // The loop's own element.
  Load(
      Plan({"m"}, {}, {Make("Array", 2), Scan(0, 4, 5, {Dot(L(5), S(0), 6), Append(L(6), 2)})}, 2));
  EXPECT_EQ(Run(R"([{"m":1},{},{"m":2}])"), "[1,2]");
}

// --- Walks ---

// walk(L(source), [L(path), L(value)]) { stmts }, as planned; takes five locals from `first` on.
std::vector<std::string> Walk(int source, int path, int value, int first,
                              std::vector<std::string> stmts) {
  const int list = first, pair = first + 2;
  stmts.insert(
      stmts.begin(),
      {Is("Array", L(pair)),
       Stmt("Len", Field("source", L(pair)) + "," + Local("target", first + 3)), Int(2, first + 4),
       Compare("Equal", L(first + 3), L(first + 4)), Int(0, first + 3),
       Dot(L(pair), L(first + 3), path), Int(1, first + 3), Dot(L(pair), L(first + 3), value)});
  return {Call("walk", {L(source)}, list), Scan(list, first + 1, pair, stmts)};
}
std::vector<std::string> operator+(std::vector<std::string> a, const std::vector<std::string>& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}
constexpr std::string_view kTree = R"({"b":[1,{"x":"s"}],"a":{},"c":["t",[]]})";

TEST_F(OptimizeTest, WalksGoOverValuesInPlace) {
  Load(Plan({}, {},
            std::vector{Make("Array", 2)} + Walk(0, 5, 6, 10, {Append(L(5), 2), Append(L(6), 2)}),
            2));
  EXPECT_EQ(Count(OpCode::kWalkBegin), 1U);
  EXPECT_EQ(Count(OpCode::kBuiltin), 0U);
  EXPECT_EQ(Run(kTree), R"([[],{"a":{},"b":[1,{"x":"s"}],"c":["t",[]]},["a"],{},)"
                        R"(["b"],[1,{"x":"s"}],["b",0],1,["b",1],{"x":"s"},["b",1,"x"],"s",)"
                        R"(["c"],["t",[]],["c",0],"t",["c",1],[]])");
  EXPECT_EQ(Run("7"), "[[],7]");
  EXPECT_EQ(Run("[]"), "[[],[]]");
}

TEST_F(OptimizeTest, WalksPassOverOtherTypes) {
  // The path is made for what passes the tests only.
  Load(Plan({"s"}, {},
            std::vector{Make("Array", 2)} +
                Walk(0, 5, 6, 10,
                     {Call("is_string", {L(6)}, 7), Compare("NotEqual", L(7), B(false)),
                      Compare("Equal", L(6), S(0)), Append(L(5), 2)}),
            2));
  EXPECT_EQ(Count(OpCode::kIsType), 0U);
  EXPECT_EQ(Run(kTree), R"([["b",1,"x"]])");
  EXPECT_EQ(Run(R"("s")"), "[[]]");
  EXPECT_EQ(Run("[1,2,[null]]"), "[]");
  // What is passed over counts too.
  EXPECT_EQ(Run(Elements(500, "1"), 400), "eval_step_limit");
  EXPECT_EQ(Run(Elements(500, "1"), 600), "[]");
}

TEST_F(OptimizeTest, WalksOfSets) {
  Load(
      Plan({"b", "a"}, {},
           std::vector{Make("Set", 3), Add(L(0), 3), Add(S(0), 3), Add(S(1), 3), Make("Array", 2)} +
               Walk(3, 5, 6, 10, {Append(L(5), 2)}),
           2));
  EXPECT_EQ(Run("[4]"), R"([[],["a"],["b"],[[4]],[[4],0]])");
}

TEST_F(OptimizeTest, WalksInWalks) {
  Load(Plan({}, {},
            std::vector{Make("Array", 2)} +
                Walk(0, 5, 6, 10, Walk(6, 7, 8, 20, {Append(L(5), 2), Append(L(7), 2)})),
            2));
  EXPECT_EQ(Count(OpCode::kWalkBegin), 2U);
  EXPECT_EQ(Run("[[1]]"), "[[],[],[],[0],[],[0,0],[0],[],[0],[0],[0,0],[]]");
}

// The first of several places, as `some` finds it; the path is read behind the loop.
TEST_F(OptimizeTest, WalksThatEndEarly) {
  Load(Plan({"t"}, {},
            {Blocks({Block(Walk(0, 5, 6, 10, {Compare("Equal", L(6), S(0)), Break(1)}))}),
             Assign(L(5), 2)},
            2));
  EXPECT_EQ(Run(kTree), R"(["c",0])");
}

TEST_F(OptimizeTest, WalksWhosePairsAreKept) {
  Load(Plan({}, {}, std::vector{Make("Array", 2)} + Walk(0, 5, 6, 10, {Append(L(12), 2)}), 2));
  EXPECT_EQ(Count(OpCode::kWalkBegin), 0U);
  EXPECT_EQ(Run("[3]"), "[[[],[3]],[[0],3]]");
  // The place in the list.
  Load(Plan({}, {}, std::vector{Make("Array", 2)} + Walk(0, 5, 6, 10, {Append(L(11), 2)}), 2));
  EXPECT_EQ(Run("[3]"), "[0,1]");
  // A pair that holds after the loop.
  Load(Plan({}, {}, Walk(0, 5, 6, 10, {}) + std::vector{Assign(L(12), 2)}, 2));
  EXPECT_EQ(Run("[3]"), "[[0],3]");
}

// --- Copies ---

TEST_F(OptimizeTest, CopiesOfCopiesKeepWhatTheyHold) {
  Load(Plan({"m", "n"}, {},
            {Make("Array", 2), Dot(L(0), S(0), 3), Assign(L(3), 4), Assign(L(4), 5),
             Dot(L(0), S(1), 3), Append(L(5), 2), Append(L(3), 2), Append(L(4), 2)},
            2));
  EXPECT_EQ(Run(R"({"m":1,"n":2})"), "[1,2,1]");
}

// --- Loads that repeat ---

TEST_F(OptimizeTest, WhatIsThereIsNotLoadedAgain) {
  Load(Plan({"m", "n", "o"}, {},
            {Make("Array", 2),
             Blocks({Block({Dot(L(0), S(0), 3), Dot(L(3), S(1), 4), Append(L(4), 2)}),
                     Block({Dot(L(0), S(0), 5), Dot(L(5), S(2), 6), Append(L(6), 2)}),
                     Block({Dot(L(0), S(0), 5), Dot(L(5), S(1), 7), Append(L(7), 2)})})},
            2));
  EXPECT_EQ(Count(OpCode::kDot), 3U);
  EXPECT_EQ(Run(R"({"m":{"n":1,"o":2}})"), "[1,2,1]");
  EXPECT_EQ(Run(R"({"m":{"n":1}})"), "[1,1]");
  EXPECT_EQ(Run(R"({"m":{"o":2}})"), "[2]");
  EXPECT_EQ(Run(R"({"m":[]})"), "[]");
  EXPECT_EQ(Run("{}"), "[]");
  // The element of each round.
  Load(Plan(
      {"m"}, {},
      {Make("Array", 2),
       Scan(0, 4, 5, {Dot(L(5), S(0), 6), Append(L(6), 2), Dot(L(5), S(0), 7), Append(L(7), 2)})},
      2));
  EXPECT_EQ(Count(OpCode::kDot), 1U);
  EXPECT_EQ(Run(R"([{"m":1},{},{"m":2}])"), "[1,1,2,2]");
}

TEST_F(OptimizeTest, WhatMayHaveChangedIsLoadedAgain) {
  Load(Plan({"m", "n"}, {},
            {Make("Array", 2), Dot(L(0), S(0), 3), Append(L(3), 2),
             With(0, "[0]", S(1), {Dot(L(0), S(0), 4), Append(L(4), 2)}), Dot(L(0), S(0), 5),
             Append(L(5), 2)},
            2));
  EXPECT_EQ(Run(R"({"m":1})"), R"([1,"n",1])");
  // What it is loaded from, or what it was loaded to, is another value.
  Load(Plan({"m", "n"}, {},
            {Make("Array", 2), Dot(L(0), S(0), 3), Dot(L(3), S(0), 4), Append(L(4), 2),
             Dot(L(0), S(1), 3), Dot(L(3), S(0), 5), Append(L(5), 2)},
            2));
  EXPECT_EQ(Run(R"({"m":{"m":1},"n":{"m":2}})"), "[1,2]");
  Load(Plan({"m", "n"}, {},
            {Make("Array", 2), Dot(L(0), S(0), 3), Append(L(3), 2), Dot(L(0), S(1), 3),
             Append(L(3), 2), Dot(L(0), S(0), 4), Append(L(4), 2)},
            2));
  EXPECT_EQ(Run(R"({"m":1,"n":2})"), "[1,2,1]");
  Load(Plan({"m"}, {},
            {Make("Array", 2), Make("Object", 3), Insert(S(0), L(0), 3), Dot(L(3), S(0), 4),
             Append(L(4), 2), Insert(S(0), B(true), 3), Dot(L(3), S(0), 5), Append(L(5), 2)},
            2));
  EXPECT_EQ(Run("7"), "[7,true]");
  // Loaded on one of two ways only.
  Load(Plan(
      {"m", "n"}, {},
      {Make("Array", 2), Blocks({Block({Dot(L(0), S(1), 4), Dot(L(0), S(0), 3), Append(L(3), 2)})}),
       Dot(L(0), S(0), 5), Append(L(5), 2)},
      2));
  EXPECT_EQ(Run(R"({"m":1})"), "[1]");
  EXPECT_EQ(Run(R"({"m":1,"n":2})"), "[1,1]");
}

// --- Searches ---

// For each w of input.wanted, each row of input.rows of which `compare` holds: [w, key, row].
std::string Join(const std::vector<std::string>& compare) {
  std::vector<std::string> body = compare;
  for (const int local : {5, 7, 8}) body.push_back(Append(L(local), 2));
  return Plan({"wanted", "rows", "id"}, {},
              {Make("Array", 2), Dot(L(0), S(0), 3),
               Scan(3, 4, 5, {Dot(L(0), S(1), 6), Scan(6, 7, 8, body)})},
              2);
}
const std::vector<std::string> kMemberIs = {Dot(L(8), S(2), 9), Compare("Equal", L(5), L(9))};

TEST_F(OptimizeTest, SearchesFindWhatLoopsFind) {
  const std::vector<std::string> values = {"1",     "1.0",  "10e-1",      "2",     "\"1\"",
                                           "\"a\"", "null", "false",      "[1]",   "[1.0]",
                                           "[]",    "{}",   "{\"id\":1}", "1e400", "\"\""};
  const auto row = [](const std::string& id, int i) {
    return i % 3 == 0 ? R"({"id":)" + id + "}" : R"({"a":0,"id":)" + id + R"(,"z":[]})";
  };
  struct Table {
    std::string as_array, as_object;
  } members, elements;
  for (int i = 0; i < 40; ++i) {
    const std::string& value = values[static_cast<size_t>(i) * 7 % values.size()];
    const std::string key = (i == 0 ? "\"" : ",\"") + std::to_string(i) + "\":";
    members.as_array += (i == 0 ? "" : ",") + row(value, i) + (i % 5 == 0 ? ",7,{\"a\":1}" : "");
    members.as_object += key + row(value, i);
    elements.as_array += (i == 0 ? "" : ",") + value;
    elements.as_object += key + value;
  }
  // Scalars only, which is what an index can be made of.
  std::string scalars;
  for (int i = 0; i < 30; ++i) {
    scalars += (i == 0 ? "" : ",") + row(values[static_cast<size_t>(i % 8)], i);
  }
  struct Case {
    std::vector<std::string> compare;
    std::vector<std::string> rows;
    OpCode tells;  // the comparison of the loop
  };
  const std::vector<Case> cases = {
      {kMemberIs,
       {"[" + members.as_array + "]", "{" + members.as_object + "}", "[" + scalars + "]", "[]",
        "\"x\"", "[[1],1,\"id\"]"},
       OpCode::kEqual},
      {{Compare("Equal", L(8), L(5))},
       {"[" + elements.as_array + "]", "{" + elements.as_object + "}", "[1,2,3,1.0,\"a\"]"},
       OpCode::kEqual},
      {{Dot(L(8), S(2), 9), Compare("NotEqual", L(9), L(5))},
       {"[" + scalars + "]", "{" + members.as_object + "}"},
       OpCode::kNotEqual},
  };
  const auto input = [](const std::string& wanted, const std::string& rows) {
    return R"({"wanted":[)" + wanted + R"(],"rows":)" + rows + "}";
  };
  for (const Case& one : cases) {
    Load(Join(one.compare));
    EXPECT_EQ(Count(one.tells), 0U);
    const std::unique_ptr<const Program> searching = std::move(program_);
    // The same with a comparison that is not taken for a search: behind an op that does nothing.
    std::vector<std::string> apart = {Compare("NotEqual", L(7), S(2))};
    apart.insert(apart.end(), one.compare.begin(), one.compare.end());
    Load(Join(apart));
    EXPECT_NE(Count(one.tells), 0U);
    const std::unique_ptr<const Program> looping = std::move(program_);
    for (const std::string& rows : one.rows) {
      std::string all;
      for (int round = 0; round < 3; ++round) {
        for (const std::string& value : values) all += (all.empty() ? "" : ",") + value;
      }
      for (const std::string& wanted : {values[0], values[8], all}) {
        const auto run = [&](const Program& program) {
          Arena arena(16 * 1024, 8 << 20);
          Vm vm;
          return ToJson(*vm.Eval(program, 0, *ParseJson(input(wanted, rows), arena), 0, arena));
        };
        EXPECT_EQ(run(*searching), run(*looping)) << input(wanted, rows);
      }
    }
  }
}

std::string Rows(int count) {
  std::string out;
  for (int i = 0; i < count; ++i)
    out += (i == 0 ? "" : ",") + (R"({"id":)" + std::to_string(i) + "}");
  return out;
}

TEST_F(OptimizeTest, SearchesAreChargedAndIndexed) {
  Load(Join(kMemberIs));
  EXPECT_EQ(Count(OpCode::kFind), 1U);
  const std::string one = R"({"wanted":[-1],"rows":[)" + Rows(5000) + "]}";
  EXPECT_EQ(Run(one, 14'000), "eval_step_limit");
  EXPECT_EQ(Run(one, 16'000), "[]");
  // A thousand searches among as many rows do not compare a million times.
  std::string wanted = "0";
  for (int i = 1; i < 1000; ++i) wanted += "," + std::to_string(-i);
  const std::string many = R"({"wanted":[)" + wanted + R"(],"rows":[)" + Rows(1000) + "]}";
  EXPECT_EQ(Run(many, 40'000), R"([0,0,{"id":0}])");
}

// What the loop changes is not searched for.
TEST_F(OptimizeTest, LoopsThatChangeWhatTheyCompareWithAreLeft) {
  Load(Plan({"id"}, {},
            {Make("Array", 2), Int(1, 3),
             Scan(0, 4, 5,
                  {Dot(L(5), S(0), 6), Compare("Equal", L(6), L(3)), Append(L(4), 2),
                   Dot(L(5), S(0), 7), Int(2, 3)})},
            2));
  EXPECT_EQ(Count(OpCode::kFind), 0U);
  EXPECT_EQ(Run(R"([{"id":1},{"id":1},{"id":2}])"), "[0,2]");
}

// --- Collections that are written out ---

TEST_F(OptimizeTest, CollectionsOfConstantsAreConstants) {
  Load(Plan({"a", "b"}, {},
            {Make("Set", 3), Add(S(1), 3), Add(S(0), 3), Make("Array", 4), Append(L(3), 4),
             Append(B(true), 4), Make("Object", 2), Insert(S(1), L(4), 2), Insert(S(0), S(0), 2)},
            2));
  EXPECT_EQ(Count(OpCode::kSetAdd) + Count(OpCode::kArrayAppend) + Count(OpCode::kObjectInsert),
            0U);
  EXPECT_EQ(Run("{}"), R"({"a":"a","b":[["a","b"],true]})");
}

TEST_F(OptimizeTest, CollectionsWithParametersAreMadeAtOnce) {
  Load(Plan({"b", "a", "c"}, {},
            {Make("Object", 2), Dot(L(0), S(0), 3), Insert(S(0), L(3), 2), Insert(S(1), B(true), 2),
             Make("Array", 4), Append(L(3), 4), Append(L(0), 4), Insert(S(2), L(4), 2)},
            2));
  EXPECT_EQ(Count(OpCode::kObjectInsert) + Count(OpCode::kArrayAppend), 0U);
  EXPECT_EQ(Run(R"({"b":1})"), R"({"a":true,"b":1,"c":[1,{"b":1}]})");
  EXPECT_EQ(Run("{}"), "undefined");
  // The value that is set last counts; what is added later is added.
  Load(Plan({"b"}, {}, {Make("Object", 2), Insert(S(0), B(true), 2), Insert(S(0), L(0), 2)}, 2));
  EXPECT_EQ(Run("7"), R"({"b":7})");
  Load(Plan({}, {}, {Make("Array", 2), Append(B(true), 2), Scan(0, 3, 4, {Append(L(4), 2)})}, 2));
  EXPECT_EQ(Run("[1,2]"), "[true,1,2]");
  EXPECT_EQ(Run("[1,2]"), "[true,1,2]");
  // A part that changes in between is taken as it was.
  Load(Plan({}, {},
            {Int(1, 3), Make("Array", 2), Append(L(3), 2), Assign(L(0), 3), Append(L(3), 2)}, 2));
  EXPECT_EQ(Run("5"), "[1,5]");
}

TEST_F(OptimizeTest, Membership) {
  const auto in = [&](std::string_view input) { return Run(input); };
  Load(Plan({"a", "b", "x", "y"}, {},
            {Make("Array", 2), Dot(L(0), S(2), 3), Dot(L(0), S(3), 4),
             Call("internal.member_2", {L(3), L(4)}, 5), Append(L(5), 2)},
            2));
  EXPECT_EQ(in(R"({"x":1,"y":[2,1.0]})"), "[true]");
  EXPECT_EQ(in(R"({"x":1,"y":{"k":1}})"), "[true]");
  EXPECT_EQ(in(R"({"x":"k","y":{"k":1}})"), "[false]");
  EXPECT_EQ(in(R"({"x":1,"y":"1"})"), "[false]");
  EXPECT_EQ(in(R"({"x":1})"), "undefined");
  Load(Plan({"a", "b"}, {},
            {Make("Set", 3), Add(S(0), 3), Add(S(1), 3), Call("internal.member_2", {L(0), L(3)}, 4),
             Compare("NotEqual", L(4), B(false)), Int(1, 2)},
            2));
  EXPECT_EQ(Count(OpCode::kMemberJump), 1U);
  EXPECT_EQ(in(R"("b")"), "1");
  EXPECT_EQ(in(R"("c")"), "undefined");
}

}  // namespace
}  // namespace aegis::rego
