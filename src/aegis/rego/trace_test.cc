#include "aegis/rego/trace.h"

#include <gtest/gtest.h>

#include "aegis/rego/plan_text.h"

namespace aegis::rego {
namespace {

using namespace plan_text;

// A statement of plan_text.h, at a place.
std::string At(int row, int col, std::string stmt) {
  const std::string nowhere = R"("file":0,"col":0,"row":0)";
  const size_t found = stmt.find(nowhere);
  return stmt.replace(
      found, nowhere.size(),
      "\"file\":0,\"col\":" + std::to_string(col) + ",\"row\":" + std::to_string(row));
}

// p if { input.method == "GET"; f(input.n) }   (rows 1 and 2)
// p if { some x in input.xs; x == "a" }        (rows 4 and 5)
std::string TwoBodies() {
  const std::string first = Block({
      At(1, 1, Reset(3)),
      At(1, 8, Dot(L(0), S(0), 4)),
      At(1, 8, plan_text::Compare("Equal", L(4), S(1))),
      At(2, 8, Dot(L(0), S(2), 5)),
      At(2, 8, Call("g0.data.test.f", {L(0), L(1), L(5)}, 6)),
      At(1, 1, AssignOnce(B(true), 3)),
  });
  const std::string second = Block({
      At(4, 1, Reset(3)),
      At(4, 8, Dot(L(0), S(3), 7)),
      At(4, 8,
         Scan(7, 8, 9,
              {At(5, 8, plan_text::Compare("Equal", L(9), S(4))),
               At(4, 1, AssignOnce(B(true), 3))})),
  });
  const std::string copy = Block({IsLocal("Defined", 3), AssignOnce(L(3), 2)});
  const std::string copy_f = Block({IsLocal("Defined", 4), AssignOnce(L(4), 2)});
  const std::string end = Block({Return(2)});
  const std::string f = Block({
      At(8, 1, Reset(4)),
      At(8, 9, Call("gt", {L(3), L(3)}, 5)),
      At(8, 9, plan_text::Compare("NotEqual", L(5), B(false))),
      At(8, 1, AssignOnce(B(true), 4)),
  });
  std::string plan = Plan({"method", "GET", "n", "xs", "a"},
                          {{"g0.data.test.p", {0, 1}, {first, copy, second, copy, end}},
                           {"g0.data.test.f", {0, 1, 3}, {f, copy_f, end}}},
                          {Call("g0.data.test.p", {L(0), L(1)}, 2)}, 2);
  return plan.replace(plan.find(R"({"static":{)"), 11,
                      R"({"static":{"files":[{"value":"p.rego"}],)");
}

std::string Explained(const std::string& input) {
  const Result<Trace> trace = TraceEvaluation(TwoBodies(), "{}", "test/p", input, 0);
  if (!trace) return trace.error().ToString();
  return TraceText(*trace, {{"p.rego",
                             "p if { input.method == \"GET\"\n"
                             "f(input.n) }\n\n"
                             "p if { some x in input.xs\n"
                             "  x == \"a\" }"}});
}

TEST(TraceTest, TheFirstConditionThatFailed) {
  EXPECT_EQ(Explained(R"({"method": "POST", "xs": ["b", "c"]})"),
            "data.test.p is undefined\n"
            "  p.rego:1 does not hold: line 1, \"POST\" is not \"GET\"\n"
            "      p if { input.method == \"GET\"\n"
            "  p.rego:4 does not hold: line 5, \"c\" is not \"a\"\n"
            "      x == \"a\" }\n");
  EXPECT_EQ(Explained(R"({"method": "GET", "n": 3})"),
            "data.test.p is undefined\n"
            "  p.rego:1 does not hold: line 2, data.test.f(3) is undefined\n"
            "      f(input.n) }\n"
            "  p.rego:4 does not hold: line 4, there is no \"xs\"\n"
            "      p if { some x in input.xs\n"
            "data.test.f(3) is undefined\n"
            "  p.rego:8 does not hold: line 8, 3 > 3 is false\n");
  EXPECT_EQ(Explained(R"({"xs": []})"),
            "data.test.p is undefined\n"
            "  p.rego:1 does not hold: line 1, there is no \"method\"\n"
            "      p if { input.method == \"GET\"\n"
            "  p.rego:4 does not hold: line 4, there is nothing in []\n"
            "      p if { some x in input.xs\n");
}

TEST(TraceTest, WhatHolds) {
  EXPECT_EQ(Explained(R"({"method": "GET", "xs": ["b", "a"]})"),
            "data.test.p = true\n"
            "  p.rego:1 does not hold: line 2, there is no \"n\"\n"
            "      f(input.n) }\n"
            "  p.rego:4 holds\n");
}

TEST(TraceTest, Json) {
  const Result<Trace> trace = TraceEvaluation(TwoBodies(), "{}", "test/p", R"({"xs": ["a"]})", 0);
  ASSERT_TRUE(trace);
  EXPECT_EQ(TraceJson(*trace),
            R"({"result_set":[{"result":true}],"more_rules":0,"rules":[{"name":"data.test.p",)"
            R"("result":"true","default":false,"bodies":[{"file":"p.rego","row":1,"holds":false,)"
            R"("failed_row":1,"failed_col":8,"why":"there is no \"method\""},)"
            R"({"file":"p.rego","row":4,"holds":true}]}]})");
}

TEST(TraceTest, Errors) {
  const auto reason = [](const Result<Trace>& trace) {
    return trace ? std::string_view() : trace.error().reason;
  };
  EXPECT_EQ(reason(TraceEvaluation("{", "", "test/p", "", 0)), "json_malformed");
  EXPECT_EQ(reason(TraceEvaluation(TwoBodies(), "", "test/q", "", 0)), "eval_no_entrypoint");
  EXPECT_EQ(reason(TraceEvaluation(TwoBodies(), "", "test/p", "{", 0)), "json_malformed");
  const std::string unknown = Plan({}, {}, {Call("no.such", {L(0)}, 2)}, 2);
  EXPECT_EQ(reason(TraceEvaluation(unknown, "", "test/p", "{}", 0)), "builtin_unsupported");
}

TEST(TraceTest, RecursionEnds) {
  const std::string block =
      Block({At(1, 1, Call("g0.data.test.f", {L(0), L(1), L(3)}, 4)), Return(4)});
  const std::string plan = Plan({}, {{"g0.data.test.f", {0, 1, 3}, {block}}},
                                {Call("g0.data.test.f", {L(0), L(1), L(0)}, 2)}, 2);
  const Result<Trace> trace = TraceEvaluation(plan, "", "test/p", "1", 0);
  ASSERT_TRUE(trace) << trace.error().ToString();
  EXPECT_TRUE(trace->error.starts_with("eval_depth_limit")) << trace->error;
}

}  // namespace
}  // namespace aegis::rego
