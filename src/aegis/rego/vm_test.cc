#include "aegis/rego/vm.h"

#include <gtest/gtest.h>

#include <functional>
#include <thread>

#include "aegis/rego/plan_text.h"
#include "aegis/rego/program.h"

namespace aegis::rego {
namespace {

using namespace plan_text;  // NOLINT: the words that plans are written in

class VmTest : public testing::Test {
 protected:
  // The result as JSON; "undefined"; or the reason of the error.
  std::string Run(const std::string& plan, std::string_view input = "", std::string_view data = "",
                  const VmOptions& options = {}) {
    Result<std::unique_ptr<const Program>> program = Program::Load(plan, data);
    if (!program) return std::string(program.error().reason) + ": " + program.error().message;
    Arena arena(16 * 1024, 8 << 20);
    Value in;
    if (!input.empty()) in = *ParseJson(input, arena);
    Vm vm(options);
    std::string first;
    // Twice: nothing of the first evaluation may show in the second.
    for (int i = 0; i < 2; ++i) {
      const Result<Value> value = vm.Eval(**program, 0, in, kNow, arena);
      const std::string text = !value                  ? std::string(value.error().reason)
                               : value->is_undefined() ? "undefined"
                                                       : ToJson(*value);
      if (i == 1) {
        EXPECT_EQ(text, first);
      }
      first = text;
    }
    return first;
  }

  static constexpr int64_t kNow = 1'700'000'000'000'000'000;
};

TEST_F(VmTest, DotFollowsObjectsArraysAndSets) {
  const auto get = [&](std::string_view input) {
    return Run(Plan({"a"}, {}, {Dot(L(0), S(0), 2)}, 2), input);
  };
  EXPECT_EQ(get(R"({"a":[1]})"), "[1]");
  EXPECT_EQ(get(R"({"b":1})"), "undefined");
  EXPECT_EQ(get(R"("a")"), "undefined");
  EXPECT_EQ(get(""), "undefined");
  EXPECT_EQ(Run(Plan({}, {}, {Int(1, 2), Dot(L(0), L(2), 3)}, 3), "[5,6]"), "6");
  EXPECT_EQ(Run(Plan({}, {}, {Make("Set", 2), Add(B(true), 2), Dot(L(2), B(true), 3)}, 3)), "true");
  EXPECT_EQ(Run(Plan({}, {}, {Make("Set", 2), Dot(L(2), B(true), 3)}, 3)), "undefined");
  EXPECT_EQ(Run(Plan({"a"}, {}, {Dot(L(1), S(0), 2)}, 2), "", R"({"a":{"b":1}})"), R"({"b":1})");
}

TEST_F(VmTest, MakesValues) {
  EXPECT_EQ(Run(Plan({"1.50"}, {}, {Number(0, 2)}, 2)), "1.50");
  EXPECT_EQ(Run(Plan({"123456789012345678901234567890"}, {}, {Number(0, 2)}, 2)),
            "123456789012345678901234567890");
  EXPECT_EQ(Run(Plan({}, {}, {Make("Null", 2)}, 2)), "null");
  EXPECT_EQ(Run(Plan({"k"}, {},
                     {Make("Object", 2), Insert(S(0), B(false), 2), Insert(S(0), B(true), 2)}, 2)),
            R"({"k":true})");
  EXPECT_EQ(
      Run(Plan({}, {},
               {Make("Set", 2), Int(2, 3), Add(L(3), 2), Int(1, 3), Add(L(3), 2), Add(L(3), 2)},
               2)),
      "[1,2]");
  EXPECT_EQ(Run(Plan({}, {},
                     {Make("Array", 2), Append(B(true), 2),
                      Stmt("Len", Field("source", L(2)) + "," + Local("target", 3))},
                     3)),
            "1");
}

// An old plan has "Index", a new one both; "index" counts.
TEST_F(VmTest, IndexOfANumber) {
  const auto number = [&](const std::string& fields) {
    return Run(Plan({"1", "2"}, {}, {Stmt("MakeNumberRef", fields + "," + Local("target", 2))}, 2));
  };
  EXPECT_EQ(number(R"("Index":1)"), "2");
  EXPECT_EQ(number(R"("Index":1,"index":0)"), "1");
}

TEST_F(VmTest, AddingToACopyLeavesTheOriginal) {
  EXPECT_EQ(Run(Plan({"k"}, {},
                     {Make("Object", 2), Assign(L(2), 3), Insert(S(0), B(true), 2),
                      Make("Array", 4), Append(L(2), 4), Append(L(3), 4)},
                     4)),
            R"([{"k":true},{}])");
  // A value never contains itself.
  EXPECT_EQ(
      Run(Plan({"k"}, {}, {Make("Object", 2), Insert(S(0), L(2), 2), Insert(S(0), L(2), 2)}, 2)),
      R"({"k":{"k":{}}})");
}

TEST_F(VmTest, ConflictsAbort) {
  EXPECT_EQ(Run(Plan({}, {}, {AssignOnce(B(true), 2), AssignOnce(B(true), 2)}, 2)), "true");
  EXPECT_EQ(Run(Plan({}, {}, {AssignOnce(B(true), 2), AssignOnce(B(false), 2)}, 2)),
            "eval_conflict_error");
  EXPECT_EQ(Run(Plan({"k"}, {},
                     {Make("Object", 2), Insert(S(0), B(true), 2, "Once"),
                      Insert(S(0), B(true), 2, "Once")},
                     2)),
            R"({"k":true})");
  EXPECT_EQ(Run(Plan({"k"}, {},
                     {Make("Object", 2), Insert(S(0), B(true), 2, "Once"),
                      Insert(S(0), B(false), 2, "Once")},
                     2)),
            "eval_conflict_error");
}

TEST_F(VmTest, MergesObjects) {
  const auto merge = [&](std::string_view data) {
    return Run(
        Plan({"a", "b"}, {},
             {Dot(L(1), S(0), 2), Dot(L(1), S(1), 3),
              Stmt("ObjectMerge", Local("a", 2) + "," + Local("b", 3) + "," + Local("target", 4))},
             4),
        "", data);
  };
  EXPECT_EQ(merge(R"({"a":{"x":1,"y":{"p":1}},"b":{"x":2,"y":{"q":2},"z":3}})"),
            R"({"x":1,"y":{"p":1,"q":2},"z":3})");
  EXPECT_EQ(merge(R"({"a":1,"b":{}})"), "eval_conflict_error");
}

TEST_F(VmTest, UndefinedLeavesTheBlockOnly) {
  EXPECT_EQ(Run(Plan({"x"}, {},
                     {Int(1, 2), Blocks({Block({Int(2, 2), Dot(L(0), S(0), 3), Int(3, 2)})})}, 2),
                "{}"),
            "2");
  // Break 1 leaves the block around the list of blocks too.
  EXPECT_EQ(
      Run(Plan(
          {}, {},
          {Int(1, 2),
           Blocks({Block({Blocks({Block({Int(2, 2), Break(1)}), Block({Int(3, 2)})}), Int(4, 2)}),
                   Block({Int(5, 3)})}),
           Make("Array", 4), Append(L(2), 4), Append(L(3), 4)},
          4)),
      "[2,5]");
  EXPECT_EQ(Run(Plan({}, {}, {Stmt("Block", "\"blocks\":null"), Stmt("Nop", ""), Int(1, 2)}, 2)),
            "1");
}

TEST_F(VmTest, Not) {
  EXPECT_EQ(Run(Plan({"x"}, {}, {Int(1, 2), Not({Dot(L(0), S(0), 3)})}, 2), "{}"), "1");
  EXPECT_EQ(Run(Plan({"x"}, {}, {Int(1, 2), Not({Dot(L(0), S(0), 3)})}, 2), R"({"x":0})"),
            "undefined");
}

TEST_F(VmTest, Tests) {
  EXPECT_EQ(Run(Plan({}, {}, {Int(1, 2), Compare("Equal", L(0), L(2))}, 2), "1.0"), "1");
  EXPECT_EQ(Run(Plan({}, {}, {Int(1, 2), Compare("Equal", L(0), L(2))}, 2), "\"1\""), "undefined");
  EXPECT_EQ(Run(Plan({}, {}, {Int(1, 2), Compare("NotEqual", L(0), B(false))}, 2), "true"), "1");
  EXPECT_EQ(Run(Plan({}, {}, {Int(1, 2), Compare("NotEqual", L(0), B(false))}, 2), "false"),
            "undefined");
  for (const auto& [kind, input] : {std::pair("Array", "[]"), std::pair("Object", "{}")}) {
    EXPECT_EQ(Run(Plan({}, {}, {Int(1, 2), Is(kind, L(0))}, 2), input), "1");
    EXPECT_EQ(Run(Plan({}, {}, {Int(1, 2), Is(kind, L(0))}, 2), "1"), "undefined");
  }
  EXPECT_EQ(Run(Plan({}, {}, {Int(1, 2), Make("Set", 3), Is("Set", L(3))}, 2)), "1");
  EXPECT_EQ(
      Run(Plan({}, {},
               {Int(1, 2), Reset(2), IsLocal("Undefined", 2), Int(2, 2), IsLocal("Defined", 2)},
               2)),
      "2");
  EXPECT_EQ(Run(Plan({}, {}, {IsLocal("Defined", 2), Int(1, 2)}, 2)), "undefined");
}

TEST_F(VmTest, ScansInOrder) {
  const std::string pairs =
      Plan({}, {}, {Make("Array", 2), Scan(0, 3, 4, {Append(L(3), 2), Append(L(4), 2)})}, 2);
  EXPECT_EQ(Run(pairs, R"({"b":1,"a":2})"), R"(["a",2,"b",1])");
  EXPECT_EQ(Run(pairs, "[7,8]"), "[0,7,1,8]");
  EXPECT_EQ(Run(pairs, "[]"), "[]");
  EXPECT_EQ(Run(pairs, "5"), "[]");
  EXPECT_EQ(Run(pairs, ""), "[]");
  // What the loop adds to is not what it goes over.
  EXPECT_EQ(Run(Plan({}, {},
                     {Make("Array", 2), Append(B(true), 2), Scan(2, 3, 4, {Append(L(4), 2)})}, 2)),
            "[true,true]");
  EXPECT_EQ(Run(Plan({}, {},
                     {Make("Set", 2), Int(5, 3), Add(L(3), 2),
                      Scan(2, 4, 5, {Int(1, 3), Add(L(3), 2), Int(9, 3), Add(L(3), 2)})},
                     2)),
            "[1,5,9]");
  // Break 1 leaves the loop.
  EXPECT_EQ(
      Run(Plan({}, {}, {Blocks({Block({Scan(0, 2, 3, {Break(1)}), Int(1, 3)})})}, 3), "[7,8]"),
      "7");
}

TEST_F(VmTest, CallsFunctions) {
  const Function twice{
      "twice",
      {0, 1, 3},
      {Block({Make("Array", 2), Append(L(3), 2), Append(L(3), 2)}), Block({Return(2)})},
      "null"};
  EXPECT_EQ(Run(Plan({}, {twice}, {Int(4, 2), Call("twice", {L(0), L(1), L(2)}, 3)}, 3)), "[4,4]");
  // Arguments may be undefined; a function that gives nothing makes the call undefined.
  const Function absent{
      "absent",
      {0, 1},
      {Block({IsLocal("Undefined", 0), AssignOnce(B(true), 2)}), Block({Return(2)})},
      "null"};
  const std::string plan = Plan({}, {absent}, {Call("absent", {L(0), L(1)}, 3)}, 3);
  EXPECT_EQ(Run(plan, ""), "true");
  EXPECT_EQ(Run(plan, "1"), "undefined");
  // A body without a return gives nothing.
  const Function empty{"empty", {0, 1}, {}, "null"};
  EXPECT_EQ(Run(Plan({}, {empty}, {Int(1, 3), Call("empty", {L(0), L(1)}, 2)}, 3)), "undefined");
}

TEST_F(VmTest, CallsByPath) {
  const Function rule{"g0.data.p.q",
                      {0, 1},
                      {Block({AssignOnce(B(true), 2)}), Block({Return(2)})},
                      R"(["g0","p","q"])"};
  const auto call = [&](const std::string& last, std::string_view input = "") {
    const std::string path = "[" + Join({S(0), S(1), last}) + "]";
    return Run(
        Plan({"g0", "p", "q", "x"}, {rule},
             {Stmt("CallDynamic", R"("args":[0,1],"path":)" + path + "," + Local("result", 2))}, 2),
        input);
  };
  EXPECT_EQ(call(S(2)), "true");
  EXPECT_EQ(call(S(3)), "undefined");
  EXPECT_EQ(call(L(0), R"("q")"), "true");
  EXPECT_EQ(call(L(0), "7"), "undefined");
  EXPECT_EQ(call(L(0)), "undefined");
}

TEST_F(VmTest, WithReplacesAndRestores) {
  const auto collect = std::vector<std::string>{Append(L(0), 2)};
  const auto with = [&](const std::string& path, const std::string& value, std::string_view input) {
    return Run(Plan({"a", "b"}, {},
                    {Make("Array", 2), Blocks({Block({With(0, path, value, {Append(L(0), 2)})})}),
                     Blocks({Block({Append(L(0), 2)})})},
                    2),
               input);
  };
  EXPECT_EQ(with("null", S(0), R"({"x":1})"), R"(["a",{"x":1}])");
  EXPECT_EQ(with("[0]", S(1), R"({"x":1})"), R"([{"a":"b","x":1},{"x":1}])");
  EXPECT_EQ(with("[0,1]", B(true), R"({"a":{"c":2}})"),
            R"([{"a":{"b":true,"c":2}},{"a":{"c":2}}])");
  EXPECT_EQ(with("[0,1]", B(true), R"({"a":5})"), R"([{"a":{"b":true}},{"a":5}])");
  EXPECT_EQ(with("[0]", B(true), ""), R"([{"a":true}])");
  // The block is left in three ways; the input is restored in all of them.
  EXPECT_EQ(
      Run(Plan({"x"}, {},
               {Make("Array", 2),
                Blocks({Block({With(0, "null", S(0), {Dot(L(0), S(0), 3)}), Append(B(false), 2)}),
                        Block({With(0, "null", S(0), {Break(1)}), Append(B(false), 2)}),
                        Block({Append(L(0), 2)})})},
               2),
          "1"),
      "[1]");
}

TEST_F(VmTest, RulesAreEvaluatedOncePerScope) {
  // `rule` is the input's member; the memo must not leak into or out of the With.
  const Function rule{"rule",
                      {0, 1},
                      {Block({Dot(L(0), S(0), 3), AssignOnce(L(3), 2)}), Block({Return(2)})},
                      "null"};
  const auto call = [](int result) { return Call("rule", {L(0), L(1)}, result); };
  EXPECT_EQ(Run(Plan({"a"}, {rule},
                     {Make("Array", 2), call(3), Append(L(3), 2),
                      With(0, "[0]", B(true),
                           {call(3), Append(L(3), 2),
                            With(0, "[0]", B(false), {call(3), Append(L(3), 2)}), call(3),
                            Append(L(3), 2)}),
                      call(3), Append(L(3), 2)},
                     2),
                R"({"a":1})"),
            "[1,true,false,true,1]");
}

TEST_F(VmTest, MemoKeepsWorkLinear) {
  // Each of 40 rules asks the one below twice.
  std::vector<Function> rules;
  rules.push_back({"r0", {0, 1}, {Block({AssignOnce(B(true), 2)}), Block({Return(2)})}, "null"});
  for (int i = 1; i <= 40; ++i) {
    const std::string below = "r" + std::to_string(i - 1);
    rules.push_back(
        {"r" + std::to_string(i),
         {0, 1},
         {Block({Call(below, {L(0), L(1)}, 3), Call(below, {L(0), L(1)}, 4), AssignOnce(L(4), 2)}),
          Block({Return(2)})},
         "null"});
  }
  EXPECT_EQ(Run(Plan({}, rules, {Call("r40", {L(0), L(1)}, 2)}, 2)), "true");
}

// Functions of one argument too: f40(x) asks f39(x) twice, and so on.
TEST_F(VmTest, FunctionsRememberTheirArgument) {
  std::vector<Function> functions;
  functions.push_back({"f0",
                       {0, 1, 3},
                       {Block({Dot(L(3), S(0), 4), AssignOnce(L(4), 2)}), Block({Return(2)})},
                       "null"});
  for (int i = 1; i <= 40; ++i) {
    const std::string below = "f" + std::to_string(i - 1);
    functions.push_back({"f" + std::to_string(i),
                         {0, 1, 3},
                         {Block({Call(below, {L(0), L(1), L(3)}, 4),
                                 Call(below, {L(0), L(1), L(3)}, 5), AssignOnce(L(5), 2)}),
                          Block({Return(2)})},
                         "null"});
  }
  EXPECT_EQ(Run(Plan({"a"}, functions, {Call("f40", {L(0), L(1), L(0)}, 2)}, 2), R"({"a":7})"),
            "7");
}

// An argument that is added to between calls, and an input that a With replaces, are others.
TEST_F(VmTest, FunctionsAreAskedAgainForWhatChanged) {
  const Function counts{"counts",
                        {0, 1, 3},
                        {Block({Call("count", {L(3)}, 4), Make("Array", 5), Append(L(4), 5),
                                Append(L(0), 5), AssignOnce(L(5), 2)}),
                         Block({Return(2)})},
                        "null"};
  const auto call = [](int result) { return Call("counts", {L(0), L(1), L(6)}, result); };
  for (const std::string& add : {Add(L(0), 6), Append(L(0), 6)}) {
    const bool is_set = add == Add(L(0), 6);
    EXPECT_EQ(
        Run(Plan({}, {counts},
                 {Make(is_set ? "Set" : "Array", 6), Make("Array", 2), call(7), Append(L(7), 2),
                  add, call(7), Append(L(7), 2),
                  With(0, "null", B(true), {call(7), Append(L(7), 2)}), call(7), Append(L(7), 2)},
                 2),
            "5"),
        "[[0,5],[1,5],[1,true],[1,5]]");
  }
}

TEST_F(VmTest, BuiltinErrorsAreUndefinedUnlessStrict) {
  const std::string plan = Plan({"x"}, {}, {Call("plus", {L(0), S(0)}, 2)}, 2);
  EXPECT_EQ(Run(plan, "1"), "undefined");
  VmOptions strict;
  strict.strict_builtin_errors = true;
  EXPECT_EQ(Run(plan, "1", "", strict), "eval_type_error");
  const std::string divide = Plan({}, {}, {Int(0, 2), Call("div", {L(0), L(2)}, 3)}, 3);
  EXPECT_EQ(Run(divide, "1", "", strict), "eval_builtin_error");
  EXPECT_EQ(Run(plan, "", "", strict), "undefined");  // an argument is undefined: no error
}

TEST_F(VmTest, ComparisonsAndTheirTests) {
  // As the planner writes `input < 5`: call, then compare with false.
  const auto less = [&](std::string_view input) {
    return Run(
        Plan({}, {}, {Int(5, 2), Call("lt", {L(0), L(2)}, 3), Compare("NotEqual", L(3), B(false))},
             2),
        input);
  };
  EXPECT_EQ(less("4.999"), "5");
  EXPECT_EQ(less("5"), "undefined");
  EXPECT_EQ(less(""), "undefined");
  EXPECT_EQ(less("\"5\""), "undefined");
  EXPECT_EQ(Run(Plan({}, {}, {Call("is_number", {L(0)}, 3)}, 3), "\"5\""), "false");
  EXPECT_EQ(Run(Plan({}, {}, {Call("is_number", {L(0)}, 3)}, 3), ""), "undefined");
  EXPECT_EQ(
      Run(Plan({}, {},
               {Int(5, 2), Call("is_number", {L(0)}, 3), Compare("NotEqual", L(3), B(false))}, 2),
          "7"),
      "5");
}

TEST_F(VmTest, TimeIsTheCallers) {
  EXPECT_EQ(Run(Plan({}, {}, {Call("time.now_ns", {}, 2)}, 2)), std::to_string(kNow));
  EXPECT_EQ(
      Run(Plan({}, {}, {Stmt("Call", R"("func":"time.now_ns","args":null,)" + Local("result", 2))},
               2)),
      std::to_string(kNow));
}

TEST_F(VmTest, LimitsHold) {
  const Function endless{
      "endless", {0, 1}, {Block({Call("endless", {L(0), L(1)}, 2)}), Block({Return(2)})}, "null"};
  EXPECT_EQ(Run(Plan({}, {endless}, {Call("endless", {L(0), L(1)}, 2)}, 2)), "eval_depth_limit");

  VmOptions few;
  few.max_steps = 1000;
  const std::string nested =
      Plan({}, {}, {Scan(0, 2, 3, {Scan(0, 4, 5, {Scan(0, 6, 7, {Int(1, 8)})})}), Int(1, 2)}, 2);
  EXPECT_EQ(Run(nested, "[1,2]", "", few), "1");
  EXPECT_EQ(Run(nested, "[1,2,3,4,5,6,7,8,9,10]", "", few), "eval_step_limit");

  const std::string range =
      Plan({"1e15"}, {},
           {Int(1, 2), Number(0, 3), Call("numbers.range", {L(2), L(3)}, 4), Int(1, 4)}, 4);
  EXPECT_EQ(Run(range), "eval_step_limit");
  const std::string large = Plan({"400000"}, {},
                                 {Int(1, 2), Number(0, 3), Call("numbers.range", {L(2), L(3)}, 4),
                                  Call("array.concat", {L(4), L(4)}, 5)},
                                 5);
  EXPECT_EQ(Run(large), "eval_memory_limit");

  // x = [x, x], sixty times over, is small in memory only.
  std::vector<std::string> doubling = {Make("Array", 2)};
  for (int i = 0; i < 60; ++i) {
    for (const std::string& stmt :
         {Make("Array", 3), Append(L(2), 3), Append(L(2), 3), Assign(L(3), 2)}) {
      doubling.push_back(stmt);
    }
  }
  EXPECT_EQ(Run(Plan({}, {}, doubling, 2)), "eval_depth_limit");
}

TEST_F(VmTest, ThreadsShareAProgram) {
  const std::string plan =
      Plan({"a"}, {},
           {Dot(L(1), S(0), 2), Make("Array", 3),
            Scan(2, 4, 5, {Append(L(4), 3), Make("Set", 6), Add(L(5), 6), Append(L(6), 3)}),
            Append(L(2), 3)},
           3);
  const auto program = Program::Load(plan, R"({"a":{"z":[1],"b":{},"c":{"y":1,"x":2}}})");
  ASSERT_TRUE(program);
  const auto evaluate = [&](std::string& out) {
    Vm vm;
    Arena arena;
    for (int i = 0; i < 100; ++i) {
      arena.Reset();
      out = ToJson(*vm.Eval(**program, 0, Value(), kNow, arena));
    }
  };
  std::string first, second;
  std::thread other(evaluate, std::ref(second));
  evaluate(first);
  other.join();
  EXPECT_EQ(first,
            R"(["b",[{}],"c",[{"x":2,"y":1}],"z",[[1]],{"b":{},"c":{"x":2,"y":1},"z":[1]}])");
  EXPECT_EQ(second, first);
}

TEST_F(VmTest, ReachableInput) {
  const auto program =
      Program::Load(Plan({"a", "b", "c"},
                         {{"rule",
                           {0, 1},
                           {Block({Dot(L(0), S(1), 3), AssignOnce(L(3), 2)}), Block({Return(2)})},
                           "null"}},
                         {Assign(L(0), 4), Dot(L(4), S(0), 5), Call("rule", {L(0), L(1)}, 6)}, 6));
  ASSERT_TRUE(program);
  EXPECT_TRUE((*program)->ReachesInput(0, "a"));
  EXPECT_TRUE((*program)->ReachesInput(0, "b"));
  EXPECT_FALSE((*program)->ReachesInput(0, "c"));
  const auto all = Program::Load(Plan({}, {}, {Scan(0, 2, 3, {Int(1, 4)})}, 3));
  EXPECT_TRUE((*all)->ReachesInput(0, "anything"));
  const auto passed = Program::Load(Plan({}, {}, {Call("count", {L(0)}, 2)}, 2));
  EXPECT_TRUE((*passed)->ReachesInput(0, "anything"));
}

TEST_F(VmTest, ProgramsAreChecked) {
  const auto reason = [](const std::string& plan, std::string_view data = "") {
    const auto program = Program::Load(plan, data);
    return program ? "" : std::string(program.error().reason);
  };
  EXPECT_EQ(reason(Plan({}, {}, {Int(1, 2)}, 2)), "");
  EXPECT_EQ(reason("{}"), "");
  EXPECT_EQ(reason(""), "json_malformed");
  EXPECT_EQ(reason("[]"), "plan_malformed");
  EXPECT_EQ(reason(Plan({}, {}, {Dot(L(0), S(7), 2)}, 2)), "plan_malformed");
  EXPECT_EQ(reason(Plan({}, {}, {Dot(L(-1), S(0), 2)}, 2)), "plan_malformed");
  EXPECT_EQ(reason(Plan({}, {}, {Dot(L(0), S(0), 1 << 21)}, 2)), "plan_malformed");
  EXPECT_EQ(reason(Plan({}, {}, {Break(1)}, 2)), "plan_malformed");
  EXPECT_EQ(reason(Plan({}, {}, {Return(2)}, 2)), "plan_malformed");
  EXPECT_EQ(reason(Plan({"x"}, {}, {Number(0, 2)}, 2)), "plan_malformed");
  EXPECT_EQ(reason(Plan({}, {}, {Call("count", {}, 2)}, 2)), "plan_malformed");
  EXPECT_EQ(reason(Plan({}, {{"f", {0, 1}, {}, "null"}}, {Call("f", {L(0)}, 2)}, 2)),
            "plan_malformed");
  EXPECT_EQ(reason(Plan({}, {{"f", {0, 1}, {}, "null"}, {"f", {0}, {}, "null"}}, {}, 2)),
            "plan_malformed");
  EXPECT_EQ(reason(Plan({}, {{"f", {0, 0}, {}, "null"}}, {}, 2)), "plan_malformed");
  EXPECT_EQ(reason(Plan({}, {}, {Stmt("Leap", "")}, 2)), "plan_unsupported");
  EXPECT_EQ(reason(Plan({}, {}, {Call("no.such", {L(0)}, 2)}, 2)), "builtin_unsupported");
  EXPECT_EQ(reason(Plan({}, {}, {Call("http.send", {L(0)}, 2)}, 2)), "builtin_refused");
  EXPECT_EQ(reason(R"({"static":{"builtin_funcs":[{"name":"rand.intn"}]}})"), "builtin_refused");
  EXPECT_EQ(reason("{}", "[]"), "data_malformed");
  EXPECT_EQ(reason("{}", R"({"a":1,"a":2})"), "json_duplicate_key");
  std::string deep = Int(1, 2);
  for (int i = 0; i < 150; ++i) deep = Blocks({Block({deep})});
  EXPECT_EQ(reason(Plan({}, {}, {deep}, 2)), "");
  for (int i = 0; i < 100; ++i) deep = Blocks({Block({deep})});
  EXPECT_NE(reason(Plan({}, {}, {deep}, 2)), "");
}

TEST(Program, NamesTheFunctionThatIsRefusedAndTheRuleThatCallsIt) {
  const std::string call = Not({Call("net.lookup_ip_addr", {L(0)}, 2)});
  std::string plan = Plan({}, {{"g0.data.p.f", {0, 1}, {Block({call})}, "null"}}, {}, 2);
  // With the declaration that the planner makes, and without.
  constexpr std::string_view kStatic = R"({"static":{)";
  ASSERT_TRUE(plan.starts_with(kStatic));
  std::string declared = plan;
  declared.insert(kStatic.size(), R"("builtin_funcs":[{"name":"net.lookup_ip_addr"}],)");
  for (const std::string& each : {plan, declared}) {
    const auto program = Program::Load(each);
    ASSERT_FALSE(program);
    EXPECT_EQ(program.error().message,
              "g0.data.p.f: the policy calls the builtin function net.lookup_ip_addr, which is "
              "refused: it asks name servers");
  }
}

}  // namespace
}  // namespace aegis::rego
