// Tables of calls: results, errors, and limits where arguments are hostile. What OPA answers comes
// from its own cases (tests/conformance/test_opa_cases.py); here is what those leave out.
#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <vector>

#include "aegis/rego/builtins/testing.h"

namespace aegis::rego {
namespace {

struct Call {
  const char* name;
  std::string arguments;
  const char* result;
};

void ExpectAll(const std::vector<Call>& calls, const CallLimits& limits = {}) {
  for (const Call& call : calls) {
    EXPECT_EQ(CallBuiltin(call.name, call.arguments, limits), call.result)
        << call.name << call.arguments.substr(0, 200);
  }
}

std::string Repeat(std::string_view text, size_t times) {
  std::string out;
  for (size_t i = 0; i < times; ++i) out += text;
  return out;
}

TEST(Units, AmountsAreExact) {
  ExpectAll({
      {"units.parse", R"(["0.1"])", "0.1000000000"},
      {"units.parse", R"(["1.5Ki"])", "1536"},
      {"units.parse", R"(["1M"])", "1000000"},
      {"units.parse", R"(["1m"])", "0.0010000000"},
      {"units.parse", R"(["-0.000000000001"])", "-0.0000000000"},
      {"units.parse", R"(["1e3k"])", "1000000"},
      {"units.parse", R"(["5e"])", "5000000000000000000"},
      {"units.parse", R"(["1.2.3"])", "error"},
      {"units.parse", R"(["1e1234567"])", "error"},
      {"units.parse", R"([""])", "error"},
      {"units.parse", R"([5])", "type error"},
      {"units.parse_bytes", R"(["10KIB"])", "10240"},
      {"units.parse_bytes", R"(["-1.9"])", "-1"},
      {"units.parse_bytes", R"(["0.0001"])", "0"},
      {"units.parse_bytes", R"(["1 kb"])", "error"},
  });
  // A million digits are paid for.
  CallLimits few;
  few.steps = 100;
  ExpectAll({{"units.parse", R"(["1e999999"])", "steps"},
             {"units.parse", R"(["1e-999999"])", "steps"},
             {"units.parse_bytes", R"(["1e999999"])", "steps"}},
            few);
}

TEST(Versions, Order) {
  ExpectAll({
      {"semver.compare", R"(["1.0.0", "v1.0.0+build"])", "0"},
      {"semver.compare", R"(["1.0.0-2", "1.0.0-10"])", "-1"},
      {"semver.compare", R"(["1.0.0-alpha", "1.0.0-1"])", "1"},
      {"semver.compare", R"(["1.0.0-a.b", "1.0.0-a"])", "1"},
      {"semver.compare", R"(["1.0", "1.0.0"])", "error"},
      {"semver.is_valid", R"(["9223372036854775807.0.0"])", "true"},
      {"semver.is_valid", R"(["9223372036854775808.0.0"])", "false"},
      {"semver.is_valid", R"(["1.0.0-01"])", "false"},
      {"semver.is_valid", R"(["1.0.0-"])", "false"},
      {"semver.is_valid", R"([1])", "false"},
  });
}

TEST(Graphs, PathsEndWhereTheyWouldMeetThemselves) {
  ExpectAll({
      {"graph.reachable", R"([{"a":["b"],"b":["a","c"]}, ["a"]])", R"({"a", "b"})"},
      {"graph.reachable", R"([{"a":1}, {"$set":["a"]}])", R"({"a"})"},
      {"graph.reachable", R"([{"c":["a"],"b":["c","c","x"],"a":{"$set":["b"]}}, ["b","y","b"]])",
       R"({"a", "b", "c"})"},
      {"graph.reachable", R"([{}, ["a"]])", "set()"},
      {"graph.reachable", R"([{"a":[]}, []])", "set()"},
      {"graph.reachable", R"([{}, "a"])", "type error"},
      {"array.slice", R"([[1,[2],3], 0, 2])", "[1, [2]]"},
      {"array.slice", R"([[1,2,3], 1, 9])", "[2, 3]"},
      {"array.slice", R"([[1,2,3], -1, 0])", "[]"},
      {"graph.reachable_paths", R"([{"a":["b"],"b":["a","c"]}, ["a"]])", R"({["a", "b"]})"},
      {"graph.reachable_paths", R"([{"a":["a"]}, ["a"]])", R"({["a", "a"]})"},
  });
  // 2^40 paths through a chain of diamonds.
  std::string graph;
  for (int i = 0; i < 40; ++i) {
    const std::string at = std::to_string(i), next = std::to_string(i + 1);
    graph += "\"" + at + "\":[\"x" + at + "\",\"y" + at + "\"],\"x" + at + "\":[\"" + next +
             "\"],\"y" + at + "\":[\"" + next + "\"],";
  }
  ExpectAll({{"graph.reachable_paths", "[{" + graph + "\"40\":[]},[\"0\"]]", "steps"}});
  // A path of ten thousand vertices does not exhaust the stack.
  graph.clear();
  for (int i = 0; i < 10000; ++i) {
    graph += "\"" + std::to_string(i) + "\":[\"" + std::to_string(i + 1) + "\"],";
  }
  CallLimits many;
  many.steps = 1'000'000'000;
  ExpectAll({{"graph.reachable_paths", "[{" + graph + "\"10000\":[]},[\"0\"]]", "error"}}, many);
}

TEST(JsonEdit, FilterAndRemove) {
  ExpectAll({
      {"json.filter", R"([{"a":{"b":1,"c":2},"d":3}, ["a/b", ["d"]]])",
       R"({"a": {"b": 1}, "d": 3})"},
      {"json.filter", R"([{"a":[1,2,3]}, ["a/2", "a/0"]])", R"({"a": [1, 3]})"},
      {"json.filter", R"([{"a":1}, ["b"]])", "{}"},
      {"json.filter", R"([{"a/b":1,"c~d":2}, ["a~1b", "c~0d"]])", R"({"a/b": 1, "c~d": 2})"},
      {"json.remove", R"([{"a":{"b":1,"c":2}}, ["a/b/x", "a/c"]])", R"({"a": {"b": 1}})"},
      {"json.remove", R"([{"a":{"$set":["x","y"]}}, ["a/x"]])", R"({"a": {"y"}})"},
      {"json.remove", R"([{"a":1}, ["a", 5]])", "type error"},
      {"json.remove", R"([[1], ["0"]])", "type error"},
      {"json.remove", R"([{"a":{"b":1}}, ["a/b", "a"]])", "{}"},
  });
}

TEST(JsonEdit, PatchIsRfc6902) {
  const auto patch = [](std::string_view document, std::string_view operations) {
    return CallBuiltin("json.patch",
                       "[" + std::string(document) + "," + std::string(operations) + "]");
  };
  EXPECT_EQ(
      patch("[1,2,3]", R"([{"op":"remove","path":"/0"},{"op":"test","path":"/0","value":2}])"),
      "[2, 3]");
  EXPECT_EQ(patch(R"({"a":[{"k":1},{"k":2}]})",
                  R"([{"op":"remove","path":"/a/0"},{"op":"add","path":"/a/0/x","value":9}])"),
            R"({"a": [{"k": 2, "x": 9}]})");
  EXPECT_EQ(patch(R"({"a":1})", R"([{"op":"add","path":"/b/c","value":1}])"), "error");
  EXPECT_EQ(patch("[1]", R"([{"op":"add","path":"/-","value":2}])"), "[1, 2]");
  EXPECT_EQ(patch("[1]", R"([{"op":"add","path":"/2","value":2}])"), "error");
  EXPECT_EQ(patch("[1]", R"([{"op":"replace","path":"/01","value":2}])"), "error");
  EXPECT_EQ(patch("[1]", R"([{"op":"remove","path":"/99999999999999999999"}])"), "error");
  EXPECT_EQ(patch(R"({"a":{"b":1}})", R"([{"op":"move","from":"/a","path":"/a/b"}])"), "error");
  EXPECT_EQ(patch("5", R"([{"op":"replace","path":"","value":{"x":1}}])"), R"({"x": 1})");
  // OPA's process dies of this one.
  EXPECT_EQ(patch("5", R"([{"op":"remove","path":""}])"), "error");
  EXPECT_EQ(patch("5", R"([{"op":"remove","path":""},{"op":"remove","path":""}])"), "error");
  EXPECT_EQ(patch(R"({"$set":["x"]})", R"([{"op":"add","path":"/y","value":"y"}])"),
            R"({"x", "y"})");
  EXPECT_EQ(patch(R"({"$set":["x"]})", R"([{"op":"add","path":"/y","value":"z"}])"), "error");
}

TEST(JsonEdit, PatchesPayForWhatTheyCopy) {
  const std::string document = "[" + Repeat("0,", 9999) + "0]";
  const std::string operation = R"({"op":"replace","path":"/0","value":1})";
  ExpectAll({{"json.patch", "[" + document + ",[" + Repeat(operation + ",", 999) + operation + "]]",
              "steps"}});
}

TEST(Cidr, NetworksOfBothFamilies) {
  ExpectAll({
      {"net.cidr_is_valid", R"(["0.0.0.0/0"])", "true"},
      {"net.cidr_is_valid", R"(["255.255.255.255/32"])", "true"},
      {"net.cidr_is_valid", R"(["10.0.0.1/"])", "false"},
      {"net.cidr_is_valid", R"(["10.0.0.01/8"])", "false"},
      {"net.cidr_is_valid", R"(["00.0.0.0/8"])", "false"},
      {"net.cidr_is_valid", R"(["10.0.0.256/8"])", "false"},
      {"net.cidr_is_valid", R"(["10.0.0.1000/8"])", "false"},
      {"net.cidr_is_valid", R"(["10.0.0/8"])", "false"},
      {"net.cidr_is_valid", R"(["10.0.0.0.0/8"])", "false"},
      {"net.cidr_is_valid", R"(["10.0..0/8"])", "false"},
      {"net.cidr_is_valid", R"([".0.0.0/8"])", "false"},
      {"net.cidr_is_valid", R"(["10.0.0.0./8"])", "false"},
      {"net.cidr_is_valid", R"(["10.0.0.-1/8"])", "false"},
      {"net.cidr_is_valid", R"(["10.0.0.1"])", "false"},
      {"net.cidr_is_valid", R"(["10.0.0.1::/8"])", "false"},
      {"net.cidr_is_valid", R"(["10::/8"])", "true"},
      {"net.cidr_is_valid", R"(["::10.0.0.1/128"])", "true"},
      {"net.cidr_is_valid", R"(["/8"])", "false"},
      {"net.cidr_is_valid", R"([""])", "false"},
      {"net.cidr_contains", R"(["::ffff:10.0.0.0/104", "10.1.2.3"])", "true"},
      {"net.cidr_contains", R"(["10.0.0.0/0008", "10.0.0.0/9"])", "true"},
      {"net.cidr_contains", R"(["10.0.0.0/33", "10.0.0.1"])", "error"},
      {"net.cidr_contains", R"(["::/80", "::/80"])", "true"},
      {"net.cidr_contains", R"(["::/0", "10.0.0.1"])", "false"},
      {"net.cidr_expand", R"(["10.0.0.255/31"])", R"({"10.0.0.254", "10.0.0.255"})"},
      {"net.cidr_expand", R"(["255.255.255.255/32"])", R"({"255.255.255.255"})"},
      {"net.cidr_expand", R"(["ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128"])",
       R"({"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"})"},
      {"net.cidr_expand", R"(["1:0:0:2::/127"])", R"({"1:0:0:2::", "1:0:0:2::1"})"},
      {"net.cidr_expand", R"(["0.0.0.0/0"])", "steps"},
      {"net.cidr_expand", R"(["::/0"])", "steps"},
      {"net.cidr_merge", R"([["10.0.0.0/9", "10.128.0.0/9", "4000::/3", "6000::/3"]])",
       R"({"10.0.0.0/8", "4000::/2"})"},
      {"net.cidr_merge", R"([["10.0.0.0/8", "::/1"]])", R"({"::/1"})"},
      {"net.cidr_merge", R"([["192.0.2.5"]])", R"({"192.0.2.5/24"})"},
      {"net.cidr_merge", R"([["0.0.0.0/1", "128.0.0.0/1"]])", R"({"0.0.0.0/0"})"},
      {"net.cidr_merge", R"([["10.0.0.1/32", "10.0.0.2/32", "10.0.0.3/32"]])",
       R"({"10.0.0.1/32", "10.0.0.2/31"})"},
      {"net.cidr_merge", R"([["255.255.255.255/32", "::1:0:0:0/80"]])",
       R"({"255.255.255.255/32", "::1:0:0:0/80"})"},
      {"net.cidr_merge", R"([["fe80::1"]])", "error"},
      {"net.cidr_merge", R"([[1]])", "error"},
      {"net.cidr_contains_matches", R"([[["10.0.0.0/8","x"],"nonsense"], []])", "set()"},
      {"net.cidr_contains_matches", R"([{"n":"10.0.0.0/8"}, {"$set":["10.1.1.1"]}])",
       R"({["n", "10.1.1.1"]})"},
      {"net.cidr_contains_matches", R"([[[]], "10.0.0.0/8"])", "error"},
  });
}

TEST(Uris, HostsAreStrict) {
  ExpectAll({
      {"uri.parse", R"(["HTTP://u:p@[fe80::1%25en0]:80/a%2fb?q#f"])",
       R"({"fragment": "f", "hostname": "fe80::1%en0", "path": "/a/b", "port": "80", "raw_path": "/a%2fb", "raw_query": "q", "scheme": "http"})"},
      {"uri.parse", R"(["mailto:a@b"])", R"({"scheme": "mailto"})"},
      {"uri.parse", R"(["//h/p"])", R"({"hostname": "h", "path": "/p", "raw_path": "/p"})"},
      {"uri.parse", R"(["a:b:c"])", R"({"scheme": "a"})"},
      {"uri.is_valid", R"(["http://a:1:2/"])", "false"},
      {"uri.is_valid", R"(["tcp://a:1:2/"])", "true"},
      {"uri.is_valid", R"(["http://[1.2.3.4]/"])", "false"},
      {"uri.is_valid", R"(["http://[::1]x/"])", "false"},
      {"uri.is_valid", R"(["http://%41/"])", "false"},
      {"uri.is_valid", R"(["http://h/%4"])", "false"},
      {"uri.is_valid", R"(["http://a b/"])", "false"},
      {"uri.is_valid", R"(["1:2"])", "false"},
      {"uri.is_valid", R"([":x"])", "false"},
      {"uri.is_valid", R"(["a\u0001"])", "false"},
      {"uri.is_valid", R"([""])", "false"},
      {"uri.is_valid", R"([5])", "false"},
  });
}

TEST(Uuids, ReplayGivesTheSame) {
  const std::string first = CallBuiltin("uuid.rfc4122", R"(["k"])");
  EXPECT_EQ(first, CallBuiltin("uuid.rfc4122", R"(["k"])"));
  EXPECT_NE(first, CallBuiltin("uuid.rfc4122", R"([["k"]])"));
  CallLimits later;
  later.time_unix_ns = 1;
  EXPECT_NE(first, CallBuiltin("uuid.rfc4122", R"(["k"])", later));
  EXPECT_EQ(CallBuiltin("uuid.parse", "[" + first + "]"),
            R"({"variant": "RFC4122", "version": 4})");
  ExpectAll({
      {"uuid.parse", R"(["URN:UUID:00000000-0000-2000-c000-000000000000"])",
       R"({"clocksequence": 0, "domain": "Person", "id": 0, "macvariables": "global:unicast", "nodeid": "00-00-00-00-00-00", "time": 6227451273709551616, "variant": "Microsoft", "version": 2})"},
      {"uuid.parse", R"(["zzzzzzzz-0000-2000-c000-000000000000"])", "undefined"},
      {"uuid.parse", R"([""])", "undefined"},
      {"uuid.parse", R"([1])", "type error"},
  });
}

TEST(Globs, CommonTexts) {
  ExpectAll({
      {"regex.globs_match", R"(["a.b+", "[a-c]*"])", "true"},
      {"regex.globs_match", R"(["[a-c]", "[d-f]"])", "false"},
      {"regex.globs_match", R"(["a*", ""])", "false"},
      {"regex.globs_match", R"(["", ""])", "true"},
      {"regex.globs_match", R"(["\\", "a"])", "error"},
      {"regex.globs_match", R"(["[z-a]", "a"])", "error"},
      {"regex.globs_match", R"(["[a", "a"])", "error"},
      {"regex.globs_match", R"(["+", "a"])", "error"},
      {"regex.globs_match", "[\"[\\u0001-\\uffff]\",\"x\"]", "true"},
      {"regex.globs_match", "[\"" + Repeat("a", 2000) + "\",\"x\"]", "error"},
      // Takes 2^n steps when answers are not kept.
      {"regex.globs_match", "[\"" + Repeat("a*b*", 100) + "c\",\"" + Repeat("b+a+", 100) + "d\"]",
       "false"},
      {"regex.template_match", R"(["urn:<[0-9]+>:<a|b>", "urn:12:b", "<", ">"])", "true"},
      {"regex.template_match", R"(["a.<x", "a.x", "<", ">"])", "error"},
      {"regex.template_match", R"(["a<(>b<)>", "ab", "<", ">"])", "error"},
      {"regex.template_match", R"(["a", "a", "<<", ">"])", "error"},
  });
}

TEST(Encoding, JsonWithOptions) {
  ExpectAll({
      {"json.marshal_with_options", R"([{"a":[1,{}],"b":"[,\""}, {"indent":" ","prefix":">"}])",
       R"(">{\n> \"a\": [\n>  1,\n>  {}\n> ],\n> \"b\": \"[,\\\"\"\n>}")"},
      {"json.marshal_with_options", R"([[1,2], {"pretty":false,"indent":" "}])", R"("[1,2]")"},
      {"json.marshal_with_options", R"([[1,2], {"pretty":1}])", "type error"},
      {"json.marshal_with_options", R"([[1,2], {"other":1}])", "type error"},
  });
  // The product of depth and indent is bounded.
  const std::string deep = Repeat("[", 60) + "[1,2,3,4]" + Repeat("]", 60);
  ExpectAll({{"json.marshal_with_options",
              "[" + deep + R"(,{"indent":")" + Repeat(" ", 1 << 19) + "\"}]", "error"}});
}

std::string PatternAndText(const std::string& pattern, const std::string& text) {
  return "[" + Quoted(pattern) + "," + Quoted(text) + "]";
}

TEST(Patterns, KindsDoNotMeetInTheCache) {
  BuiltinCaller caller;
  for (const char* regex : {"glob:.:prod.*", "1:.prod.*", "template:<>urn:<[0-9]+>"}) {
    EXPECT_EQ(caller.Call("regex.is_valid", "[" + Quoted(regex) + "]"), "true");
  }
  EXPECT_EQ(caller.Call("glob.match", R"(["prod.*", [], "prod.x"])"), "true");
  EXPECT_EQ(caller.Call("regex.match", R"(["1:.prod.*", "prod.x"])"), "false");
  EXPECT_EQ(caller.Call("regex.template_match", R"(["urn:<[0-9]+>", "urn:7", "<", ">"])"), "true");
  EXPECT_EQ(caller.Call("regex.match", R"(["<>urn:<[0-9]+>", "<>urn:<7>"])"), "true");
  EXPECT_EQ(caller.Call("regex.template_match", R"(["urn:<[0-9]+>", "urn:7", "<", ">"])"), "true");
}

TEST(Patterns, GlobsOfOtherSeparatorsDoNotMeetInTheCache) {
  BuiltinCaller caller;
  EXPECT_EQ(caller.Call("glob.match", R"([".:foo", null, "foo"])"), "false");
  EXPECT_EQ(caller.Call("glob.match", R"(["foo", [":", "."], "foo"])"), "true");
  EXPECT_EQ(caller.Call("glob.match", R"([":foo", ["."], ":foo"])"), "true");
  EXPECT_EQ(caller.Call("glob.match", R"(["foo", [".", ":"], "foo"])"), "true");
  EXPECT_EQ(caller.Call("glob.match", R"(["*", null, "a.b"])"), "true");
  EXPECT_EQ(caller.Call("glob.match", R"(["*", [], "a.b"])"), "false");
  EXPECT_EQ(caller.Call("glob.match", R"(["*", null, "a.b"])"), "true");
}

TEST(Patterns, LongOnesAreRefused) {
  const std::string fits = Repeat("a", 64 * 1024), too_long = fits + "a";
  ExpectAll({{"regex.match", PatternAndText(fits, "a"), "false"},
             {"regex.match", PatternAndText(fits, fits), "steps"},
             {"regex.match", PatternAndText(too_long, too_long), "error"},
             {"regex.is_valid", "[" + Quoted(too_long) + "]", "false"},
             {"glob.match", "[" + Quoted(too_long) + R"(, [], "a"])", "error"},
             // Short, but each * stands for all separators.
             {"glob.match", "[" + Quoted(Repeat("*a", 20'000)) + R"(, [], "a"])", "error"},
             {"regex.template_match", "[" + Quoted(too_long) + R"(, "a", "<", ">"])", "error"}});
}

TEST(Patterns, CompilingAndSearchingAreCharged) {
  BuiltinCaller caller;
  const std::string pattern = Repeat("(a|b)", 200), text = Repeat("ab", 100);
  EXPECT_EQ(caller.Call("regex.match", PatternAndText(pattern, text)), "true");
  EXPECT_GE(caller.steps_used, 1000);
  EXPECT_EQ(caller.Call("regex.match", PatternAndText(pattern, text)), "true");
  EXPECT_LT(caller.steps_used, 100);  // it was kept
  // What is long or not valid is not kept.
  const std::string longer = Repeat("(a|b)", 1000);
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(caller.Call("regex.match", PatternAndText(longer, text)), "false");
    EXPECT_GE(caller.steps_used, 5000);
    EXPECT_EQ(caller.Call("regex.is_valid", "[" + Quoted(pattern + "(") + "]"), "false");
    EXPECT_GE(caller.steps_used, 1000);
    // Short, but too large when it is compiled.
    EXPECT_EQ(caller.Call("regex.is_valid", R"(["\\pL{1000}"])"), "false");
    EXPECT_GE(caller.steps_used, 10'000);
  }
  // Every part of a template is compiled.
  const std::string parts = "[" + Quoted(Repeat("<\\pL{20}>", 1000)) + R"(, "a", "<", ">"])";
  EXPECT_EQ(caller.Call("regex.template_match", parts).substr(0, 6), "error:");
  EXPECT_GE(caller.steps_used, 10'000);

  const std::string large = Repeat("a", 1 << 20);
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(caller.Call("regex.match", PatternAndText("b", large)), "false");
    EXPECT_GE(caller.steps_used, 16 * 1024);
    EXPECT_EQ(caller.Call("glob.match", "[\"b\", null," + Quoted(large) + "]"), "false");
    EXPECT_GE(caller.steps_used, 16 * 1024);
    EXPECT_EQ(caller.Call("regex.template_match", "[\"b\"," + Quoted(large) + R"(, "<", ">"])"),
              "false");
    EXPECT_GE(caller.steps_used, 16 * 1024);
  }
}

// As OPA 1.22 prints them.
TEST(Numbers, QuotientsAndWhatTheyAreRoundedTo) {
  ExpectAll({
      {"div", "[4153, 30]", "138.43333333333333333"},
      {"div", "[10, 4]", "2.5"},
      {"div", "[1, 3]", "0.33333333333333333334"},
      {"div", "[-1, 3]", "-0.33333333333333333334"},
      {"div", "[2, 3000000]", "6.6666666666666666666e-07"},
      {"div", "[1000000000, 7]", "1.4285714285714285714e+08"},
      {"div", "[1, 1099511627776]", "9.094947017729282379e-13"},
      {"div", "[1e-30, 3]", "3.3333333333333333335e-31"},
      {"round", "[138.43333333333333333]", "138"},
      {"round", "[2.5]", "3"},
      {"round", "[-2.5]", "-3"},
      {"round", "[2.4999]", "2"},
      // A float of 64 bits cannot tell it from a half.
      {"round", "[2.49999999999999999999999]", "3"},
      {"round", "[123456789012345.5]", "123456789012346"},
      {"round", "[0.4]", "0"},
      {"numbers.range", "[3, 1]", "[3, 2, 1]"},
      {"numbers.range", "[-9223372036854775808, -9223372036854775807]",
       "[-9223372036854775808, -9223372036854775807]"},
      {"numbers.range", "[9223372036854775807, 9223372036854775808]",
       "[9223372036854775807, 9223372036854775808]"},
      {"numbers.range", "[-9223372036854775808, 9223372036854775807]", "steps"},
      {"numbers.range", "[1, 1.0]", "[1]"},
  });
}

TEST(Numbers, LargeOnesAreCharged) {
  std::string ints = "1e30000", fractions = "1e-30000";
  for (int i = 0; i < 100; ++i) {
    ints += ",1e30000";
    fractions += ",1e-30000";
  }
  ExpectAll({{"sum", "[[" + ints + "]]", "steps"},
             {"sum", "[[" + fractions + "]]", "steps"},
             {"product", "[[" + ints + "]]", "steps"},
             {"product", "[[" + fractions + "]]", "steps"},
             // The reading is paid for, the text of the result is not.
             {"product", "[[0.5" + Repeat(",1e30000", 20) + "]]", "steps"},
             {"product", "[[0.5" + Repeat(",1e-30000", 20) + "]]", "steps"},
             {"product", "[[0.5, 3]]", "1.5"},
             {"sum", "[[9223372036854775807, 1]]", "9223372036854775808"},
             {"sum", "[[0.5, 1]]", "1.5"}});
  CallLimits few;
  few.steps = 10'000;
  for (const char* number : {"1e30000", "1e-30000", "-1e30000"}) {
    const std::string one = "[" + std::string(number) + "]", two = one.substr(0, one.size() - 1);
    for (const char* name : {"round", "ceil", "floor", "abs", "bits.negate"}) {
      ExpectAll({{name, one, "steps"}}, few);
    }
    for (const char* name : {"plus", "minus", "mul", "div", "rem", "bits.and", "bits.rsh"}) {
      ExpectAll({{name, two + ", 1]", "steps"}}, few);
    }
  }
  ExpectAll({{"ceil", "[2.5]", "3"}, {"abs", "[-9223372036854775808]", "9223372036854775808"}},
            few);
}

TEST(Times, LargeNumbersAreNotRead) {
  BuiltinCaller caller;
  for (const std::string& number :
       {std::string("1e30000"), std::string("1e-30000"), std::string("0.5"),
        "1." + Repeat("1", 100'000), std::string("9223372036854775808")}) {
    EXPECT_EQ(caller.Call("time.date", "[" + number + "]"), "error: timestamp too big");
    EXPECT_EQ(caller.steps_used, 0);
  }
  EXPECT_EQ(caller.Call("time.date", "[1.7e18]"), "[2023,11,14]");
}

TEST(Times, UnknownZonesAreChargedAndNotAskedFor) {
  BuiltinCaller caller;
  for (int i = 0; i < 2; ++i) {
    for (const char* name : {"Europe/Nowhere", "Fixed/UTC+01:00:00", "libc:localtime", "localtime",
                             "./Europe/Berlin", "Europe//Berlin", "Europe", "/etc/localtime"}) {
      EXPECT_EQ(caller.Call("time.clock", "[[0, " + Quoted(name) + "]]"),
                "error: unknown time zone " + std::string(name));
      EXPECT_EQ(caller.steps_used, 100);
    }
  }
  EXPECT_EQ(caller.Call("time.clock", R"([[0, "Europe/Berlin"]])"), "[1,0,0]");
  EXPECT_EQ(caller.steps_used, 100);
  EXPECT_EQ(caller.Call("time.clock", R"([[0, "Europe/Berlin"]])"), "[1,0,0]");
  EXPECT_EQ(caller.steps_used, 0);
}

TEST(Times, FormsOfGo) {
  ExpectAll({
      {"time.format",
       R"([[1700000000123456789, "America/New_York", "Mon Jan _2 3:04PM .000 MST"]])",
       R"("Tue Nov 14 5:13PM .123 EST")"},
      {"time.format", R"([1700000000000000000])", R"("2023-11-14T22:13:20Z")"},
      {"time.format", R"([[0, "UTC", 5]])", "type error"},
      {"time.format", R"([[0, "../etc/passwd"]])", "error"},
      {"time.parse_ns", R"(["2006-002", "2024-366"])", "1735603200000000000"},
      {"time.parse_ns", R"(["2006-01-02", "2023-02-29"])", "error"},
      {"time.parse_ns", R"(["2006-01-02", "9999-01-01"])", "error"},
      {"time.parse_ns", R"(["RFC1123", "Tue, 14 Nov 2023 22:13:20 GMT+3"])", "1700000000000000000"},
      {"time.parse_rfc3339_ns", R"(["2023-11-14T22:13:20.5+01:00"])", "1699996400500000000"},
      {"time.parse_duration_ns", R"(["1d2h"])", "93600000000000"},
      {"time.parse_duration_ns", R"(["-9223372036854775808ns"])", "-9223372036854775808"},
      {"time.parse_duration_ns", R"(["9223372036854775808ns"])", "error"},
      {"time.parse_duration_ns", R"(["1.2.3d"])", "error"},
      {"time.parse_duration_ns", R"(["d"])", "error"},
  });
}

std::string Graphql(std::string_view query, std::string_view schema) {
  return "[\"" + std::string(query) + "\",\"" + std::string(schema) + "\"]";
}

TEST(Graphql, SchemasAndQueries) {
  const std::string schema = "type Query { a(n: Int!): A } type A { b: [String!] c: A }";
  ExpectAll({
      {"graphql.is_valid", Graphql("{ a(n: 1) { b c { b } } }", schema), "true"},
      {"graphql.is_valid", Graphql("{ a(n: 1) }", schema), "false"},
      {"graphql.is_valid", Graphql("{ a { b } }", schema), "false"},
      {"graphql.is_valid", Graphql("query q($x: String!) { a(n: $x) { b } }", schema), "false"},
      {"graphql.is_valid", Graphql("{ a(n: 1) { b } a(n: 2) { b } }", schema), "false"},
      {"graphql.is_valid", Graphql("{ a(n: 1) { ...F } } fragment F on A { ...F }", schema),
       "false"},
      {"graphql.is_valid", Graphql("mutation { a }", schema), "false"},
      {"graphql.is_valid", R"([{"Operations":[{"Operation":5}]}, "type Query { a: Int }"])",
       "false"},
      {"graphql.is_valid", R"([{"Operations":[{"Operation":"?"}]}, "type Query { a: Int }"])",
       "false"},
      {"graphql.parse", Graphql("{ x }", schema), "error"},
      {"graphql.parse", R"([1, "type Query { a: Int }"])", "type error"},
      {"graphql.parse_query", R"(["{ a(s: \"x\\u00e9\") }"])",
       R"({"Operations": [{"Name": "", "Operation": "query", "SelectionSet": [{"Alias": "a", "Arguments": [{"Name": "s", "Value": {"ExpectedTypeHasDefault": false, "Kind": 3, "Raw": "xé"}}], "Name": "a"}]}]})"},
      {"graphql.schema_is_valid", R"(["input I { i: I! } type Query { a(i: I): Int }"])", "false"},
      {"graphql.schema_is_valid", R"(["type Query { __a: Int }"])", "false"},
      {"graphql.schema_is_valid", R"([7])", "false"},
      {"graphql.parse_schema", R"(["type Query {"])", "error"},
  });
}

TEST(Graphql, HostileDocumentsAreBounded) {
  const std::string schema = "type Query { a: Query b: Int }";
  // Fields of one name are compared in pairs on every level.
  std::string query = "b";
  for (int i = 0; i < 12; ++i) query = "a {" + query + "} a {" + query + "}";
  std::string input = "input I0 { i: Int } ";
  for (int i = 1; i < 6000; ++i) {
    input += "input I" + std::to_string(i) + " { i: I" + std::to_string(i - 1) + "! } ";
  }
  std::string fragments = "{ ...F0 } ";
  for (int i = 0; i < 3000; ++i) {
    fragments +=
        "fragment F" + std::to_string(i) + " on Query { ...F" + std::to_string(i + 1) + " } ";
  }
  ExpectAll({
      {"graphql.is_valid", Graphql("{" + query + "}", schema), "steps"},
      {"graphql.is_valid", Graphql(fragments + "fragment F3000 on Query { b }", schema), "false"},
      {"graphql.schema_is_valid", "[\"" + input + "\"]", "false"},
      {"graphql.parse_query", "[\"" + Repeat("{a", 100000) + "\"]", "error"},
      {"graphql.parse_query", "[\"{a(b:" + Repeat("[", 100000) + "\"]", "error"},
      {"graphql.parse_schema", "[\"type A { a: " + Repeat("[", 100000) + "\"]", "error"},
  });
}

TEST(JsonSchemas, DraftsAndReferences) {
  ExpectAll({
      {"json.match_schema", R"(["5", {"minimum": 3, "exclusiveMinimum": true}])", "[true, []]"},
      {"json.match_schema", R"(["1e400", {"const": 1}])", "error"},
      {"json.match_schema",
       R"([{"a": 3}, {"properties": {"a": {"$ref": "#/definitions/even"}}, "definitions": {"even": {"multipleOf": 2}}}])",
       R"([false, [{"desc": "Must be a multiple of 2", "error": "a: Must be a multiple of 2", "field": "a", "type": "multiple_of"}]])"},
      {"json.match_schema", R"([{"$set": [1]}, {}])", "error"},
      {"json.match_schema", R"(["nonsense", {}])", "error"},
      {"json.match_schema", R"(["[0.3]", {"items": {"multipleOf": 0.1}}])", "[true, []]"},
      {"json.verify_schema", R"([{"type": "strin"}])",
       R"([false, "jsonschema: has a primitive type that is NOT VALID -- given: /strin/ Expected valid values are:[array boolean integer number null object string]"])"},
      {"json.verify_schema", R"([{"$ref": "http://127.0.0.1:1/x"}])",
       R"([false, "jsonschema: reference to http://127.0.0.1:1/x: other documents are not fetched"])"},
      {"json.verify_schema", R"([{"$ref": "file:///etc/passwd"}])",
       R"([false, "jsonschema: reference to file:///etc/passwd: other documents are not fetched"])"},
      {"json.verify_schema", R"([{"minimum": 1e2000}])",
       R"([false, "jsonschema: minimum is out of range"])"},
      {"json.verify_schema", R"([7])",
       R"([false, "jsonschema: wrong type, expected string or object"])"},
  });
}

TEST(JsonSchemas, HostileSchemasAreBounded) {
  // References in circles, of which OPA's process dies.
  ExpectAll({
      {"json.match_schema", R"([{}, {"$ref": "#"}])", "error"},
      {"json.match_schema",
       R"([{}, {"$ref": "#/definitions/a", "definitions": {"a": {"$ref": "#/definitions/b"}, "b": {"$ref": "#/definitions/a"}}}])",
       "error"},
      {"json.match_schema", R"([{}, {"allOf": [{"$ref": "#"}, {"$ref": "#"}]}])", "error"},
  });
  // Twice the work on each level.
  std::string doubling = R"({"definitions":{"a0":{"type":"object"})";
  for (int i = 1; i < 40; ++i) {
    const std::string below = R"({"$ref":"#/definitions/a)" + std::to_string(i - 1) + "\"}";
    doubling += R"(,"a)" + std::to_string(i) + R"(":{"allOf":[)" + below + "," + below + "]}";
  }
  ExpectAll(
      {{"json.match_schema", "[{}," + doubling + R"(},"$ref":"#/definitions/a39"}])", "steps"}});
  std::string deep;
  for (int i = 0; i < 5000; ++i) deep += R"({\"not\":)";
  ExpectAll({{"json.verify_schema", "[\"" + deep + "{}" + Repeat("}", 5000) + "\"]",
              R"([false, "jsonschema: invalid JSON string"])"}});
  // What every reference and every schema below an id would copy.
  ExpectAll({{"json.verify_schema", R"([{"$id": "http://a/)" + std::string(5000, 'b') + "\"}]",
              R"([false, "jsonschema: an id or reference is too long"])"}});
}

TEST(JsonSchemas, PatternsAreBounded) {
  const std::string half = Repeat("a", 40'000);
  const auto verified = [](const std::string& schema) {
    return CallBuiltin("json.verify_schema", "[" + schema + "]");
  };
  EXPECT_EQ(verified("{\"pattern\": \"" + half + "\"}"), "[true, null]");
  EXPECT_NE(
      verified("{\"pattern\": \"" + half + "\", \"patternProperties\": {\"" + half + "\": {}}}")
          .find("[false, \"jsonschema: the schema's patterns are too many or too long"),
      std::string::npos);
  const std::string regex = "[\"\\\"" + half + half + "\\\"\", {\"format\": \"regex\"}]";
  EXPECT_EQ(CallBuiltin("json.match_schema", regex).substr(0, 6), "[false");
}

TEST(JsonSchemas, PointersAreUnescapedOnce) {
  ExpectAll({
      {"json.match_schema",
       R"(["1", {"$ref": "#/definitions/a~1b~01~~0", "definitions": {"a/b~1~~": {"type": "number"}}}])",
       "[true, []]"},
  });
  // As much work as the pointer is long.
  const std::string call = R"([{"$ref": "#/)" + Repeat("~1", 400000) + "\"}]";
  const auto start = std::chrono::steady_clock::now();
  EXPECT_NE(CallBuiltin("json.verify_schema", call).find("[false, \"jsonschema: Object has no key"),
            std::string::npos);
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(5));
}

TEST(JsonSchemas, MistakesPayForTheirMemory) {
  const auto call = [](const std::string& document, const std::string& schema) {
    return CallBuiltin("json.match_schema", "[" + document + "," + schema + "]",
                       {.steps = 10'000'000, .bytes = size_t{256} << 20});
  };
  // A long name stands above every mistake.
  const std::string deep = R"({"properties":{"a":{"items":{"type":"string"}}},)"
                           R"("additionalProperties":{"items":{"type":"string"}}})";
  const std::string name(100'000, 'k');
  const std::string few = call("{\"" + name + "\":[1,2]}", deep);
  const std::string cut = name.substr(0, 200);
  EXPECT_NE(few.find(R"("field": ")" + cut + R"(.1")"), std::string::npos) << few.substr(0, 1000);
  EXPECT_LT(few.size(), 2000U);
  // Never within a character.
  EXPECT_NE(call("{\"x" + Repeat("é", 200) + "\":[1]}", deep)
                .find(R"("field": "x)" + Repeat("é", 99) + R"(.0")"),
            std::string::npos);
  // Few mistakes with a long name each are kept; too many are not, whatever their size.
  EXPECT_TRUE(call("{\"a\":[0" + Repeat(",1", 9'999) + "]}", deep).starts_with("[false, [{"));
  EXPECT_EQ(call("{\"a\":[0" + Repeat(",1", 99'999) + "]}", deep), "error");
  // A description can be as long as the schema.
  const std::string constant = R"({"items":{"const":")" + std::string(1'000'000, 'c') + "\"}}";
  EXPECT_EQ(call("[0" + Repeat(",1", 20) + "]", constant), "error");
  EXPECT_EQ(CallBuiltin("json.match_schema", "[[0,1,2,3,4,5,6,7]," + constant + "]",
                        {.steps = 300'000, .bytes = size_t{64} << 20}),
            "steps");
  // Those of alternatives that are not told do not count.
  EXPECT_EQ(call("[0" + Repeat(",1", 59'999) + "]",
                 R"({"items":{"anyOf":[{"type":"string"},{"type":"null"},{"type":"number"}]}})"),
            "[true, []]");
}

TEST(JsonSchemas, Formats) {
  const auto is = [](const std::string& format, const std::string& text) {
    return CallBuiltin("json.match_schema", "[\"\\\"" + text + "\\\"\",{\"format\":\"" + format +
                                                "\"}]") == "[true, []]";
  };
  EXPECT_TRUE(is("email", "a.b@c"));
  EXPECT_TRUE(is("email", "Joe <a@b.c>"));
  EXPECT_FALSE(is("email", "a..b@c"));
  EXPECT_FALSE(is("email", "a@"));
  EXPECT_TRUE(is("hostname", "a-b.c"));
  EXPECT_FALSE(is("hostname", "a.-b"));
  EXPECT_TRUE(is("ipv4", "1.2.3.4"));
  EXPECT_FALSE(is("ipv4", "1.2.3.04"));
  EXPECT_TRUE(is("ipv6", "::1"));
  EXPECT_FALSE(is("ipv6", "fe80::1%en0"));
  EXPECT_TRUE(is("date-time", "2020-01-01T00:00:00Z"));
  EXPECT_FALSE(is("date", "2020-02-30"));
  EXPECT_TRUE(is("json-pointer", "/a~1b"));
  EXPECT_FALSE(is("json-pointer", "/a~2b"));
  EXPECT_TRUE(is("relative-json-pointer", "0#"));
  EXPECT_FALSE(is("relative-json-pointer", "01"));
  EXPECT_FALSE(is("regex", "("));
  EXPECT_FALSE(is("uuid", "x"));
  EXPECT_TRUE(is("uri-template", "/{a}/b"));
  EXPECT_FALSE(is("uri-template", "/{a"));
  EXPECT_TRUE(is("color", "anything"));
}

TEST(Yaml, ReadsTheCoreSchema) {
  ExpectAll({
      {"yaml.unmarshal", R"(["a: yes\nb: 0x1f\nc: ~\nd: 2020-01-01\ne: 1_000"])",
       R"({"a": "yes", "b": 31, "c": null, "d": "2020-01-01", "e": 1000})"},
      {"yaml.unmarshal", R"(["a: &x {b: 1}\nc: {<<: *x, b: 2}"])",
       R"({"a": {"b": 1}, "c": {"b": 2}})"},
      {"yaml.unmarshal", R"(["1: a\n1: b\ntrue: c"])", R"({"1": "b", "true": "c"})"},
      {"yaml.unmarshal", R"(["18446744073709551616"])", "18446744073709552000"},
      {"yaml.unmarshal", R"(["!!int x"])", "error"},
      {"yaml.unmarshal", R"(["a: .inf"])", "error"},
      {"yaml.unmarshal", R"(["  a:\nb: 1"])", "error"},
      {"yaml.unmarshal", R"(["*u"])", "error"},
      {"yaml.unmarshal", R"(["&a [*a]"])", "error"},
      {"yaml.unmarshal", R"(["? [a]\n: b"])", "error"},
      {"yaml.unmarshal", R"([""])", "null"},
      {"yaml.is_valid", R"([1])", "false"},
      {"yaml.is_valid", R"(["[1"])", "false"},
      {"yaml.marshal", R"([{"a10": [], "a9": [1, {"b": "x\ny\n"}], "c": "no"}])",
       R"("a9:\n  - 1\n  - b: |\n      x\n      y\na10: []\nc: \"no\"\n")"},
      {"yaml.marshal", R"(["\u007f"])", "error"},
  });
}

TEST(Yaml, HostileTextsAreBounded) {
  // Ten aliases on each of ten levels.
  std::string bomb = R"(a0: &a0 [x]\n)";
  for (int i = 1; i < 10; ++i) {
    const std::string below = "*a" + std::to_string(i - 1);
    bomb += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [" + below +
            Repeat("," + below, 9) + R"(]\n)";
  }
  std::string merges = R"(a0: &a0 {k: v}\n)";
  for (int i = 1; i < 40; ++i) {
    const std::string below = "*a" + std::to_string(i - 1);
    merges += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " {<<: [" + below + "," +
              below + R"(]}\n)";
  }
  ExpectAll({
      {"yaml.unmarshal", "[\"" + bomb + "\"]", "steps"},
      {"yaml.unmarshal", "[\"" + merges + "\"]", "steps"},
      {"yaml.unmarshal", "[\"" + Repeat("[", 100000) + "\"]", "error"},
      {"yaml.unmarshal", "[\"" + Repeat("- ", 100000) + "\"]", "error"},
      {"yaml.unmarshal", "[\"" + Repeat("{a: ", 100000) + "\"]", "error"},
  });

  // Deeper than the text by an alias in each of the merged mappings, which are read before they are
  // looked into.
  const auto chain = [](int length, int depth) {
    std::string text = "x: 1\\n";
    for (int i = 0; i < length; ++i) {
      const std::string below = i == 0 ? "1" : "*a" + std::to_string(i - 1);
      text += "<<: {x: &a" + std::to_string(i) + " " + Repeat("[", depth) + below +
              Repeat("]", depth) + "}\\n";
    }
    return "[\"" + text + "y: *a" + std::to_string(length - 1) + "\\n\"]";
  };
  const auto merge_chain = [](int length) {
    std::string text = "x: 1\\n<<: {x: &a0 {k: 1}}\\n";
    for (int i = 1; i < length; ++i) {
      text += "<<: {x: &a" + std::to_string(i) + " {<<: *a" + std::to_string(i - 1) + "}}\\n";
    }
    return "[\"" + text + "y: *a" + std::to_string(length - 1) + "\\n\"]";
  };
  std::string tags = "[\"", words = "[\"x: 'a\\n";
  for (int i = 0; i < 101; ++i) {
    tags += "%TAG !t" + std::to_string(i) + "! tag:x,\\n";
    words += "b%c\\n";
  }
  ExpectAll({
      {"yaml.is_valid", chain(120, 380), "false"},
      {"yaml.is_valid", merge_chain(20000), "false"},
      {"yaml.is_valid", chain(3, 133), "true"},
      {"yaml.is_valid", chain(4, 133), "false"},
      {"yaml.unmarshal", merge_chain(300), R"({"x": 1, "y": {"k": 1}})"},
      {"yaml.is_valid", tags + "--- a\"]", "false"},
      {"yaml.is_valid", R"(["%TAG !t! tag:x,\n--- !t!a b"])", "true"},
      {"yaml.is_valid", words + "'\"]", "true"},
  });
}

TEST(ArrayTest, WhatIsAddedToASliceDoesNotReachTheWhole) {
  Arena arena;
  const Value whole = *ParseJson("[[1,2,3],0,2]", arena);
  int64_t steps = 100;
  const auto caches = NewBuiltinCaches();
  BuiltinContext context(arena, *caches, 0, steps);
  Value slice = FindBuiltin("array.slice")->function(context, whole.elements().data());
  ASSERT_EQ(ArrayAppend(arena, slice, Value::Int(9)), Edit::kOk);
  EXPECT_EQ(ToJson(slice), "[1,2,9]");
  EXPECT_EQ(ToJson(whole.At(0)), "[1,2,3]");
}

// Patterns that are used again and again get automata of their own.
TEST(PatternTest, TheHundredthCallAnswersLikeTheFirst) {
  const struct {
    const char *name, *arguments, *answer;
  } cases[] = {
      {"regex.match", R"(["^[a-z]+$", "abc"])", "true"},
      {"regex.match", R"(["^[a-z]+$", "abcé"])", "false"},
      {"regex.match", R"(["^.{4}$", "abcé"])", "true"},
      {"regex.replace", R"(["a1 b22 é333", "\\d+", "N"])", R"("aN bN éN")"},
      {"regex.replace", R"(["a1 b22", "([a-z])\\d+", "<$1>"])", R"("<a> <b>")"},
      {"regex.replace", R"(["abc", "x*", "-"])", R"("-a-b-c-")"},
      {"regex.split", R"(["\\s*,\\s*", "a , b,c"])", R"(["a","b","c"])"},
      {"regex.find_n", R"(["[a-z]+?", "ab é", -1])", R"(["a","b"])"},
      {"glob.match", R"(["*.example.com", ["."], "www.example.com"])", "true"},
      {"glob.match", R"(["*.example.com", ["."], "a.b.example.com"])", "false"},
      {"glob.match", R"(["*.example.com", ["."], "é.example.com"])", "true"},
  };
  BuiltinCaller caller;
  for (const auto& one : cases) {
    for (int i = 0; i < 100; ++i) {
      ASSERT_EQ(caller.Call(one.name, one.arguments), one.answer) << one.arguments << i;
    }
  }
}

}  // namespace
}  // namespace aegis::rego
