#include "aegis/decision/document.h"

#include <gtest/gtest.h>

#include <string>

#include "aegis/decision/params_hash.h"

namespace aegis::decision {
namespace {

class DocumentTest : public testing::Test {
 protected:
  Decision Translate(std::string_view json) {
    return TranslateDocument(*rego::ParseJson(json, arena_));
  }
  Arena arena_;
};

TEST_F(DocumentTest, Allow) {
  const Decision decision = Translate(
      R"({"outcome":"allow","reason":"allowed","rule":"a/b/c","message":"allowed","mode":"enforce",)"
      R"("violations":[],"obligations":{"approval":{},"sanitize":[],"labels":[]}})");
  EXPECT_EQ(decision.outcome, Outcome::kAllow);
  EXPECT_EQ(decision.reason, Reason::kAllowed);
  EXPECT_EQ(decision.mode, Mode::kEnforce);
  EXPECT_EQ(decision.rule, "a/b/c");
  EXPECT_TRUE(decision.allows());
}

TEST_F(DocumentTest, ShadowedDeny) {
  const Decision decision =
      Translate(R"({"outcome":"deny","reason":"condition_failed","mode":"shadow","message":"m"})");
  EXPECT_EQ(decision.outcome, Outcome::kDeny);
  EXPECT_EQ(decision.reason, Reason::kConditionFailed);
  EXPECT_EQ(decision.mode, Mode::kShadow);
  EXPECT_EQ(decision.rule, "");
  EXPECT_EQ(decision.message, "m");
}

TEST_F(DocumentTest, WhatIsNotUnderstoodIsDenied) {
  EXPECT_EQ(TranslateDocument({}).reason, Reason::kPolicyError);
  for (const std::string_view json :
       {"null",
        "true",
        "[]",
        "\"allow\"",
        "{}",
        R"({"outcome":"allow"})",
        R"({"reason":"allowed"})",
        R"({"outcome":"Allow","reason":"allowed"})",
        R"({"outcome":true,"reason":"allowed"})",
        R"({"outcome":"allow","reason":"because"})",
        R"({"outcome":"allow","reason":"condition_failed"})",
        R"({"outcome":"deny","reason":"allowed"})",
        R"({"outcome":"allow","reason":"allowed","mode":"off"})",
        R"({"outcome":"allow","reason":"allowed","mode":1})",
        R"({"outcome":"allow","reason":"allowed","rule":1})",
        R"({"outcome":"allow","reason":"allowed","message":[]})",
        R"({"outcome":"allow","reason":"allowed","obligations":{"sanitize":[{"fields":["x"]}]}})",
        R"({"outcome":"allow","reason":"allowed","obligations":{"approval":{"quorum":1}}})",
        R"({"outcome":"allow","reason":"allowed","obligations":[]})",
        R"({"outcome":"sanitize","reason":"allowed"})",
        R"({"outcome":"approval_needed","reason":"no_grant"})",
        R"({"outcome":"defer","reason":"no_grant"})",
        R"({"outcome":"deny","reason":"policy_error","mode":"shadow","message":"m"})"}) {
    const Decision decision = Translate(json);
    EXPECT_EQ(decision.outcome, Outcome::kDeny) << json;
    EXPECT_EQ(decision.reason, Reason::kPolicyError) << json;
    EXPECT_EQ(decision.mode, Mode::kEnforce) << json;
    EXPECT_NE(decision.message, "") << json;
  }
}

TEST_F(DocumentTest, LongTextsAreCutBetweenCharacters) {
  std::string text = "x";
  for (int i = 0; i < 3000; ++i) text += "\u00e9";
  const Decision decision = Translate(R"({"outcome":"deny","reason":"no_grant","rule":")" + text +
                                      R"(","message":")" + text + "\"}");
  EXPECT_EQ(decision.reason, Reason::kNoGrant);
  EXPECT_EQ(decision.message, text.substr(0, kMaxMessageBytes - 1));
  EXPECT_EQ(decision.rule, text.substr(0, kMaxRuleBytes - 1));
  EXPECT_EQ(Translate(R"({"outcome":"deny","reason":"no_grant","message":")" +
                      std::string(kMaxMessageBytes, 'x') + "\"}")
                .message.size(),
            kMaxMessageBytes);
}

TEST_F(DocumentTest, WhatAnAllowedEgressMayDoIsNothingThatMustBeDone) {
  const Decision decision = Translate(
      R"({"outcome":"allow","reason":"allowed","obligations":{"egress":{"tls":["ech"]}}})");
  EXPECT_TRUE(decision.allows());
  EXPECT_EQ(decision.egress.Get("tls").size(), 1u);
  EXPECT_TRUE(Translate(R"({"outcome":"deny","reason":"no_grant","obligations":{"egress":{}}})")
                  .egress.is_undefined());
  EXPECT_EQ(Translate(R"({"outcome":"allow","reason":"allowed",)"
                      R"("obligations":{"egress":{},"approval":{"by":"x"}}})")
                .reason,
            Reason::kPolicyError);
}

TEST_F(DocumentTest, EveryReasonHasItsName) {
  for (int i = 1; i < kReasonCount; ++i) {
    const Reason reason = static_cast<Reason>(i);
    const std::string json =
        R"({"outcome":"deny","reason":")" + std::string(ReasonName(reason)) + "\"}";
    EXPECT_EQ(Translate(json).reason, reason) << json;
  }
}

TEST(ParamsHasher, HashesCanonicalJson) {
  Arena arena;
  ParamsHasher hasher;
  const auto hash = [&](std::string_view json) {
    return std::string(hasher.Hash(*rego::ParseJson(json, arena)));
  };
  // SHA-256 of {} and of {"a":1,"b":[1.0,"x"]}.
  EXPECT_EQ(hash("{}"), "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a");
  EXPECT_EQ(hasher.Hash({}),
            "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a");
  EXPECT_EQ(hash(R"({"b":[1.0,"x"],"a":1})"), hash(R"( { "a" : 1, "b" : [ 1.0, "\u0078" ] } )"));
  EXPECT_NE(hash(R"({"a":1})"), hash(R"({"a":1.0})"));
  EXPECT_NE(hash(R"({"a":9007199254740993})"), hash(R"({"a":9007199254740992})"));
}

}  // namespace
}  // namespace aegis::decision
