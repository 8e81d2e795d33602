#include "aegis/rego/flat_value.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>

#include "aegis/rego/builtins/testing.h"

namespace aegis::rego::internal {
namespace {

constexpr std::string_view kTexts[] = {
    "null",
    "true",
    "-5",
    "1.50",
    "123456789012345678901234567890",
    R"("")",
    R"("text é")",
    "[]",
    "{}",
    R"({"$set":[]})",
    R"([1,["a",[2.5]],{"b":{"c":[]}}])",
    R"({"$set":["z","y",["x",1e3],{"w":null}]})",
    R"({"a":1,"b":2,"c":3,"d":4,"e":5,"f":6,"g":7,"h":8,"i":9,"j":{"k":["l"]}})",
};

TEST(FlatValueTest, CopiesNeedNothingOfTheOriginal) {
  for (const std::string_view text : kTexts) {
    auto original = std::make_unique<Arena>();
    const Value value = WithSets(*original, *ParseJson(text, *original));
    const std::string shown = ToJson(value);
    std::optional<FlatValue> flat = FlatValue::Of(value, 4096);
    ASSERT_TRUE(flat) << text;
    EXPECT_EQ(Hash(flat->value()), Hash(value));
    original.reset();
    auto kept = std::make_unique<FlatValue>(*std::move(flat));
    EXPECT_EQ(ToJson(kept->value()), shown);
    Arena arena;
    const Value copy = kept->CopyTo(arena);
    kept.reset();
    EXPECT_EQ(ToJson(copy), shown);
  }
}

TEST(FlatValueTest, CopiesCanBeLookedIntoAndAddedTo) {
  Arena arena;
  const FlatValue flat = *FlatValue::Of(*ParseJson(kTexts[std::size(kTexts) - 1], arena), 4096);
  const Value copy = flat.CopyTo(arena);
  EXPECT_EQ(copy.Get("e").int_value(), 5);
  EXPECT_EQ(copy.Get("j").Get("k").At(0).string_value(), "l");
  EXPECT_TRUE(copy.Get("z").is_undefined());
  Value longer = copy;
  EXPECT_EQ(ObjectInsert(arena, longer, MakeStringView("z"), Value::Int(1)), Edit::kOk);
  EXPECT_EQ(longer.size(), 11u);
  EXPECT_EQ(copy.size(), 10u);
  Value list = copy.Get("j").Get("k");
  EXPECT_EQ(ArrayAppend(arena, list, Value::Int(1)), Edit::kOk);
  EXPECT_EQ(ToJson(list), R"(["l",1])");
  EXPECT_EQ(ToJson(copy.Get("j")), R"({"k":["l"]})");
}

TEST(FlatValueTest, OneHandleOfSeveralToAnArray) {
  Arena arena;
  Value shorter = Value::EmptyArray();
  ASSERT_EQ(ArrayAppend(arena, shorter, Value::Int(1)), Edit::kOk);
  Value longer = shorter;
  ASSERT_EQ(ArrayAppend(arena, longer, Value::Int(2)), Edit::kOk);
  EXPECT_EQ(ToJson(FlatValue::Of(shorter, 4096)->value()), "[1]");
}

TEST(FlatValueTest, Limits) {
  Arena arena;
  const Value value = *ParseJson(R"(["a long text of some forty characters....."])", arena);
  EXPECT_FALSE(FlatValue::Of(value, 64));
  const std::optional<FlatValue> flat = FlatValue::Of(value, 4096);
  ASSERT_TRUE(flat);
  Arena small(64, 64);
  EXPECT_TRUE(flat->CopyTo(small).is_undefined());
  EXPECT_TRUE(small.exhausted());
  EXPECT_TRUE(FlatValue().value().is_undefined());
}

}  // namespace
}  // namespace aegis::rego::internal
