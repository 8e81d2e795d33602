#include "aegis/rego/builtins/ascii_dfa.h"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "aegis/rego/builtins/ascii_dfa_testing.h"

namespace aegis::rego {
namespace {

// All texts of up to `most` of these pieces.
std::vector<std::string> Texts(const std::vector<std::string>& pieces, size_t most) {
  std::vector<std::string> texts = {""};
  for (size_t begin = 0, length = 0; length < most; ++length) {
    const size_t end = texts.size();
    for (; begin < end; ++begin) {
      for (const std::string& piece : pieces) texts.push_back(texts[begin] + piece);
    }
  }
  return texts;
}

const std::vector<std::string> kPieces = {"a", "b", ".", "[ab]", "[^a]", "(",
                                          ")", "|", "*", "+",    "?",    "{2",
                                          ",", "}", "^", "$",    "\\w",  "(?s:.)"};

TEST(AsciiDfaTest, AgreesWithRe2OnAllSmallPatternsAndTexts) {
  const std::vector<std::string> texts = Texts({"a", "b", "\n", "é", "\xff"}, 3);
  size_t automata = 0, answers = 0;
  for (const std::string& pattern : Texts(kPieces, 3)) {
    ComparedPattern compared(pattern);
    automata += compared.has_automata();
    if (!compared.has_automata()) continue;
    for (const std::string& text : texts) ASSERT_EQ(compared.Difference(text), "");
    answers += compared.answers();
  }
  EXPECT_GT(automata, 1000);
  EXPECT_GT(answers, 100'000);
}

TEST(AsciiDfaTest, AgreesWithRe2OnLargerPatterns) {
  std::vector<std::string> pieces = kPieces;
  for (const char* more :
       {"(a|b)", "(?:ab?|b)", "[a-b]+?", "a*?", "{1,3}", "{2,}", "{0,2}?", "{02}", "{1,02}", "\\.",
        "\\d", "\\D", "[^\\s-]", "(?P<n>a)", "\\x61", "[]a]", "[b-]", "é"}) {
    pieces.push_back(more);
  }
  std::mt19937 random(1);
  size_t automata = 0;
  for (int round = 0; round < 30'000; ++round) {
    std::string pattern;
    for (size_t i = 3 + random() % 6; i > 0; --i) pattern += pieces[random() % pieces.size()];
    ComparedPattern compared(pattern);
    automata += compared.has_automata();
    for (int i = 0; i < 10 && compared.has_automata(); ++i) {
      std::string text;
      for (size_t size = random() % 12; size > 0; --size) text += "aaabbb.1 -\n"[random() % 11];
      if (i == 9) text += "é";
      ASSERT_EQ(compared.Difference(text), "");
    }
  }
  EXPECT_GT(automata, 1000);
}

TEST(AsciiDfaTest, PatternsOfPolicies) {
  for (const char* pattern :
       {"^[a-z0-9.-]{1,253}$", R"(^/[\w./-]*$)", R"(\d+)", "^/v1/orders/[0-9]+(/[a-z-]+)?$",
        R"(\A(?:[^\x{2e}]*\.api\.example\.com)\z)", "^(GET|HEAD|OPTIONS)$", "[^/]+", R"(\s*,\s*)",
        "(?:red|blue)s?", R"(^[^@\s]+@[^@\s]+\.[a-z]{2,}$)"}) {
    ComparedPattern compared(pattern);
    EXPECT_TRUE(compared.has_automata()) << pattern;
    for (const char* text :
         {"", "/", "GET", "HEAD /", "eu.api.example.com", "a.b.api.example.com", "1, 22,333 , 4",
          "/v1/orders/12", "/v1/orders/12/a-b", "/v1/orders/12/a_b", "me@example.com", "me@é.com",
          "blues and reds", "client/3.4 (build 2057)"}) {
      EXPECT_EQ(compared.Difference(text), "");
    }
    EXPECT_EQ(compared.Difference(std::string(253, 'a')), "");
    EXPECT_EQ(compared.Difference(std::string(254, 'a')), "");
  }
}

TEST(AsciiDfaTest, WhatItLeavesToRe2) {
  for (const char* pattern :
       {"(?i)a", "(?m)^a", R"(\ba)", "é", "[^é]", R"(\pL)", "[[:alpha:]]", "(a*)*", "(?U)a+",
        R"(\Qa\E)", "(?:ab){600}", "(a?){3}", R"(\x{e9})"}) {
    EXPECT_FALSE(ReadAsciiPattern(pattern)) << pattern;
  }
}

TEST(AsciiDfaTest, TextBeyondAsciiIsLeftToRe2WhereItCouldMatch) {
  ComparedPattern digits(R"(\d+$)"), other("[^a]b");
  EXPECT_EQ(digits.Difference("é12"), "");
  EXPECT_EQ(digits.answers(), 5u);
  EXPECT_EQ(other.Difference("éb"), "");
  EXPECT_EQ(other.answers(), 2u);  // from "b" on and from the end on
}

TEST(AsciiDfaTest, LargeOnesAreNotMade) {
  uint64_t steps = 0;
  // Which of the last twelve were an a: 4,096 states.
  const auto program = ReadAsciiPattern("a[ab]{11}b");
  ASSERT_TRUE(program);
  EXPECT_EQ(AsciiDfa::Make(*program, AsciiDfa::Purpose::kWhether, steps), nullptr);
  EXPECT_LT(steps, 10'000u);
  EXPECT_FALSE(ReadAsciiPattern("((a{100}){100}){100}"));
}

TEST(AsciiDfaTest, SearchesInVainAreBounded) {
  const auto program = ReadAsciiPattern("a+b");
  ASSERT_TRUE(program);
  uint64_t steps;
  const auto where = AsciiDfa::Make(*program, AsciiDfa::Purpose::kWhere, steps);
  ASSERT_NE(where, nullptr);
  EXPECT_FALSE(where->First(std::string(1000, 'a'), 0));
  EXPECT_TRUE(where->First(std::string(1000, 'c') + "ab", 0));
}

}  // namespace
}  // namespace aegis::rego
