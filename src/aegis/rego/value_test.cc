#include "aegis/rego/value.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

namespace aegis::rego {
namespace {

class ValueTest : public testing::Test {
 protected:
  Value Parse(std::string_view text) {
    Result<Value> value = ParseJson(text, arena_);
    EXPECT_TRUE(value) << (value ? "" : value.error().ToString());
    return value ? *value : Value();
  }
  std::string Reason(std::string_view text, const json::Limits& limits = {}) {
    const Result<Value> value = ParseJson(text, arena_, limits);
    return value ? "" : std::string(value.error().reason);
  }
  Arena arena_;
};

TEST_F(ValueTest, JsonRoundTrip) {
  for (const std::string_view text :
       {"null", "true", "0", "-0", "1.0", "1e2", "-9223372036854775808", "9223372036854775807",
        "9223372036854775808", "0.1", "123456789012345678901234567890.5", "\"a\\nb\"", "[]", "{}",
        "[[],{},[1]]", R"({"a":1,"b":{"c":[true,false,null]},"z":"\u0001"})"}) {
    EXPECT_EQ(ToJson(Parse(text)), text);
  }
  EXPECT_EQ(ToJson(Parse(R"({"b":1, "a" : 2, "aa":3, "":4})")), R"({"":4,"a":2,"aa":3,"b":1})");
}

TEST_F(ValueTest, JsonRefusals) {
  EXPECT_EQ(Reason(R"({"a":1,"b":2,"a":3})"), "json_duplicate_key");
  EXPECT_EQ(Reason(R"([{"x":{"a":1,"\u0061":3}}])"), "json_duplicate_key");
  std::string many = "{";
  for (int i = 0; i < 100; ++i) many += "\"k" + std::to_string(i) + "\":0,";
  EXPECT_EQ(Reason(many + "\"k77\":1}"), "json_duplicate_key");
  EXPECT_EQ(Reason(many + "\"k100\":1}"), "");
  EXPECT_EQ(Reason("1e1000000000"), "json_number");
  EXPECT_EQ(Reason("1e-1000000000"), "json_number");
  EXPECT_EQ(Reason("1e30102"), "");
  EXPECT_EQ(Reason("9.99e30102"), "");
  EXPECT_EQ(Reason("9.991e30102"), "json_number");
  EXPECT_EQ(Reason("1e-30102"), "");
  EXPECT_EQ(Reason("1e-30104"), "json_number");
  EXPECT_EQ(Reason("0e1000000000"), "");
  EXPECT_EQ(Reason("[1"), "json_malformed");
  EXPECT_EQ(Reason("[[1]]", {.max_depth = 1}), "json_too_deep");
  Arena small(1024, 4096);
  EXPECT_EQ(ParseJson("[" + std::string(3000, '1') + "," + std::string(3000, '2') + "]", small)
                .error()
                .reason,
            "json_memory");
}

TEST_F(ValueTest, NumbersCompareExactly) {
  // Each row is in ascending order; texts between '=' are equal.
  const std::vector<std::vector<std::string>> rows = {
      {"-1e300"},
      {"-9223372036854775809"},
      {"-9223372036854775808"},
      {"-2", "-2.0", "-20e-1"},
      {"-1.5"},
      {"-1e-300"},
      {"0", "-0", "0.0", "0e9", "-0.000"},
      {"1e-300"},
      {"0.1", "0.10", "1e-1", "0.01e1"},
      {"0.10000000000000000001"},
      {"1", "1.0", "10e-1", "1e0"},
      {"1.0000000000000000000000001"},
      {"9", "9.0"},
      {"9.99"},
      {"10", "1e1"},
      {"99"},
      {"100"},
      {"9007199254740992"},
      {"9007199254740993", "9007199254740993.0"},
      {"9223372036854775807"},
      {"9223372036854775808", "9.223372036854775808e18"},
      {"9223372036854775808.5"},
      {"9223372036854775809"},
      {"123456789012345678901234567890"},
      {"123456789012345678901234567891"},
      {"1e300"}};
  for (size_t i = 0; i < rows.size(); ++i) {
    for (const std::string& a : rows[i]) {
      for (size_t j = 0; j < rows.size(); ++j) {
        for (const std::string& b : rows[j]) {
          const int order = Compare(Parse(a), Parse(b));
          EXPECT_EQ(order < 0 ? -1 : order > 0, i < j ? -1 : i > j) << a << " and " << b;
          EXPECT_EQ(Equal(Parse(a), Parse(b)), i == j);
          if (i == j) {
            EXPECT_EQ(Hash(Parse(a)), Hash(Parse(b))) << a << " and " << b;
          }
        }
      }
    }
  }
}

TEST_F(ValueTest, OpasFloatEquality) {
  // OPA 1.22: decimals that end in zero and are one float64 are equal, others are not.
  EXPECT_TRUE(Equal(Parse("0.12345678901234567890"), Parse("0.12345678901234567910")));
  EXPECT_FALSE(Equal(Parse("0.1234567890123456789"), Parse("0.1234567890123456791")));
}

TEST_F(ValueTest, TotalOrder) {
  std::vector<Value> values = {Parse("null"),
                               Parse("false"),
                               Parse("true"),
                               Parse("-1"),
                               Parse("3"),
                               Parse("\"\""),
                               Parse("\"a\""),
                               Parse("\"ab\""),
                               Parse("\"b\""),
                               Parse("[]"),
                               Parse("[1]"),
                               Parse("[1,2]"),
                               Parse("[2]"),
                               Parse("{}"),
                               Parse(R"({"a":1})"),
                               Parse(R"({"a":2})"),
                               Parse(R"({"a":2,"b":0})"),
                               Parse(R"({"b":1})")};
  SetBuilder set(arena_);
  values.push_back(set.Build());
  set.Add(Value::Int(1));
  values.push_back(set.Build());
  for (size_t i = 0; i < values.size(); ++i) {
    for (size_t j = 0; j < values.size(); ++j) {
      const int order = Compare(values[i], values[j]);
      EXPECT_EQ(order < 0 ? -1 : order > 0, i < j ? -1 : i > j) << i << " and " << j;
      EXPECT_EQ(Equal(values[i], values[j]), i == j);
    }
  }
}

TEST_F(ValueTest, Lookups) {
  const Value object = Parse(R"({"a":1,"b":[10,20],"c":{"d":null}})");
  EXPECT_EQ(object.Get("a").int_value(), 1);
  EXPECT_TRUE(object.Get("c").Get("d").is_null());
  EXPECT_TRUE(object.Get("x").is_undefined());
  EXPECT_TRUE(object.Get("a").Get("b").is_undefined());
  const Value array = object.Get("b");
  EXPECT_EQ(array.Get(Value::Int(1)).int_value(), 20);
  EXPECT_EQ(array.Get(Parse("1.0")).int_value(), 20);
  EXPECT_TRUE(array.Get(Parse("1e0")).is_undefined());
  EXPECT_TRUE(array.Get(Parse("0.5")).is_undefined());
  EXPECT_TRUE(array.Get(Value::Int(2)).is_undefined());
  EXPECT_TRUE(array.Get(Value::Int(-1)).is_undefined());
  EXPECT_TRUE(array.Get(Parse("\"1\"")).is_undefined());
  EXPECT_EQ(array.At(0).int_value(), 10);
  EXPECT_TRUE(array.At(2).is_undefined());
}

TEST_F(ValueTest, LargeObjectsAndSets) {
  ObjectBuilder object(arena_);
  SetBuilder set(arena_);
  for (int i = 0; i < 5000; ++i) {
    const int key = i * 7919 % 5000;
    object.Add(MakeString(arena_, "key" + std::to_string(key)), Value::Int(key));
    set.Add(Value::Int(key));
    set.Add(MakeNumber(arena_, std::to_string(key) + ".0"));
  }
  object.Add("key3", Value::Int(-3));
  const Value built = object.Build();
  EXPECT_EQ(built.size(), 5000u);
  EXPECT_EQ(built.Get("key4711").int_value(), 4711);
  EXPECT_EQ(built.Get("key3").int_value(), -3);
  EXPECT_TRUE(built.Get("key5000").is_undefined());
  EXPECT_TRUE(
      std::is_sorted(built.members().begin(), built.members().end(),
                     [](const Member& a, const Member& b) { return Compare(a.key, b.key) < 0; }));
  EXPECT_EQ(built.Get("key4711").int_value(), 4711);
  const Value numbers = set.Build();
  ASSERT_EQ(numbers.size(), 5000u);
  for (int i = 0; i < 5000; ++i) {
    EXPECT_EQ(numbers.elements()[static_cast<size_t>(i)].AsInt64(), i);
    EXPECT_TRUE(numbers.Contains(Value::Int(i)));
  }
}

TEST_F(ValueTest, AddingLeavesOtherHandlesAlone) {
  Value array = NewArray(arena_, 0);
  ASSERT_EQ(ArrayAppend(arena_, array, Value::Int(1)), Edit::kOk);
  Value other = array;
  ASSERT_EQ(ArrayAppend(arena_, array, Value::Int(2)), Edit::kOk);
  ASSERT_EQ(ArrayAppend(arena_, other, Value::Int(3)), Edit::kOk);
  EXPECT_EQ(ToJson(array), "[1,2]");
  EXPECT_EQ(ToJson(other), "[1,3]");

  Value object = Parse(R"({"a":1})");
  Value holder = NewArray(arena_, 0);
  ASSERT_EQ(ArrayAppend(arena_, holder, object), Edit::kOk);
  ASSERT_EQ(ObjectInsert(arena_, object, MakeStringView("b"), holder), Edit::kOk);
  EXPECT_EQ(ToJson(holder), R"([{"a":1}])");
  EXPECT_EQ(ToJson(object), R"({"a":1,"b":[{"a":1}]})");

  Value empty = Value::EmptySet();
  ASSERT_EQ(SetAdd(arena_, empty, Value::Null()), Edit::kOk);
  EXPECT_EQ(Value::EmptySet().size(), 0u);
  EXPECT_EQ(ToJson(empty), "[null]");
}

TEST_F(ValueTest, NestingIsBounded) {
  Value value = Value::EmptyArray();
  Edit edit = Edit::kOk;
  int made = 0;
  while (edit == Edit::kOk) {
    Value outer = NewArray(arena_, 1);
    edit = ArrayAppend(arena_, outer, value);
    value = outer;
    ++made;
  }
  EXPECT_EQ(edit, Edit::kTooDeep);
  EXPECT_EQ(made, kMaxHeight);
}

TEST_F(ValueTest, ObjectsFromSortedMembers) {
  for (int size = 0; size < 20; ++size) {
    std::vector<Member> members;
    ObjectBuilder builder(arena_);
    for (int i = 0; i < size; ++i) {
      members.push_back({MakeString(arena_, "k" + std::to_string(10 + i)), Parse("[{}]")});
      builder.Add(members.back().key, members.back().value);
    }
    Value made = MakeObject(arena_, members);
    EXPECT_TRUE(Equal(made, builder.Build())) << size;
    EXPECT_EQ(ToJson(made), ToJson(builder.Build()));
    // What is added later changes neither the members nor what else points to them.
    const Value before = made;
    Freeze(before);
    EXPECT_EQ(ObjectInsert(arena_, made, MakeString(arena_, "a"), Value::Int(1)), Edit::kOk);
    EXPECT_EQ(made.size(), static_cast<size_t>(size) + 1);
    EXPECT_EQ(before.size(), static_cast<size_t>(size));
  }
  const Member undefined{MakeString(arena_, "k"), Value()};
  EXPECT_TRUE(MakeObject(arena_, {&undefined, 1}).is_undefined());
  Arena small(64, 64);
  const Member one{Value::Int(1), Value::Int(2)};
  EXPECT_TRUE(MakeObject(small, std::vector<Member>(8, one)).is_undefined());
}

TEST_F(ValueTest, SetsFromSortedElements) {
  for (int size = 0; size < 20; ++size) {
    std::vector<Value> elements;
    SetBuilder builder(arena_);
    for (int i = 0; i < size; ++i) {
      elements.push_back(i % 2 == 0 ? Value::Int(i / 2) : MakeString(arena_, std::to_string(i)));
      builder.Add(elements.back());
    }
    std::sort(elements.begin(), elements.end(), [](Value a, Value b) { return Compare(a, b) < 0; });
    Value made = MakeSet(arena_, elements);
    EXPECT_TRUE(Equal(made, builder.Build())) << size;
    EXPECT_EQ(ToJson(made), ToJson(builder.Build()));
    for (const Value element : elements) EXPECT_TRUE(made.Contains(element));
    EXPECT_FALSE(made.Contains(Value::Int(100)));
    EXPECT_EQ(SetAdd(arena_, made, Value::Int(100)), Edit::kOk);
    EXPECT_EQ(made.size(), static_cast<size_t>(size) + 1);
  }
  Arena small(64, 64);
  EXPECT_TRUE(MakeSet(small, std::vector<Value>(8, Value::Int(1))).is_undefined());
}

TEST_F(ValueTest, KeysThatAreNotStrings) {
  ObjectBuilder object(arena_);
  object.Add(Value::Int(10), Value::Int(1));
  object.Add(Value::Bool(true), Value::Int(2));
  object.Add("10", Value::Int(3));
  object.Add(Parse("[1]"), Value::Int(4));
  EXPECT_EQ(ToJson(object.Build()), R"({"10":3,"[1]":4,"true":2})");
}

TEST_F(ValueTest, EqualStringsInDifferentPlaces) {
  for (const std::string_view text : {"", "a", "abcd", "abcdefgh", "abcdefghijklmnopqrstuvwxyz"}) {
    EXPECT_TRUE(Equal(MakeString(arena_, text), MakeString(arena_, text)));
    EXPECT_EQ(Hash(MakeString(arena_, text)), Hash(MakeString(arena_, text)));
    EXPECT_FALSE(Equal(MakeString(arena_, text), MakeString(arena_, std::string(text) + "x")));
  }
}

}  // namespace
}  // namespace aegis::rego
