#include "aegis/decision/snapshot.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "aegis/base/file.h"
#include "aegis/rego/bundle.h"

namespace aegis::decision {
namespace {

std::string SmallPlan() {
  return *ReadFile(std::string(AEGIS_SOURCE_DIR) + "/src/aegis/decision/testdata/small.plan.json");
}

std::vector<rego::BundleFile> Files() {
  return {{".manifest", R"({"revision":"r7","roots":["aegis"]})"},
          {"data.json", R"({"aegis":{"limit":100,"rules":{"pay":"finance/pay","big":5}}})"},
          {"plan.json", SmallPlan()}};
}

class SnapshotTest : public testing::Test {
 protected:
  SnapshotTest() {
    principal_.org = "acme";
    principal_.tenant = "t1";
    principal_.agent = "a";
    call_.principal = &principal_;
    call_.tool = "pay";
    call_.action = "x";
  }

  static Result<std::shared_ptr<const Snapshot>> Load(const std::vector<rego::BundleFile>& files) {
    return Snapshot::Load(*rego::WriteBundle(files, nullptr),
                          {.tenant = "t1", .verifier = nullptr});
  }

  Decision Decide(std::string_view tool, std::string_view params) {
    evaluator_.Reset();
    call_.tool = tool;
    call_.params = *rego::ParseJson(params, evaluator_.arena());
    return evaluator_.Evaluate(*snapshot_, call_);
  }

  std::shared_ptr<const Snapshot> snapshot_ = *Load(Files());
  Evaluator evaluator_;
  identity::Principal principal_;
  Call call_;
};

TEST_F(SnapshotTest, KnowsItsBundle) {
  EXPECT_EQ(snapshot_->tenant(), "t1");
  EXPECT_EQ(snapshot_->policy_version(), "r7");
  EXPECT_EQ(snapshot_->bundle_sha256().size(), 64u);
}

TEST_F(SnapshotTest, Decides) {
  Decision decision = Decide("pay", R"({"amount":100})");
  EXPECT_EQ(decision.outcome, Outcome::kAllow);
  EXPECT_EQ(decision.reason, Reason::kAllowed);
  EXPECT_EQ(decision.rule, "finance/pay");
  decision = Decide("pay", R"({"amount":100.5})");
  EXPECT_EQ(decision.outcome, Outcome::kDeny);
  EXPECT_EQ(decision.reason, Reason::kConditionFailed);
  EXPECT_EQ(decision.mode, Mode::kShadow);
  EXPECT_EQ(decision.message, "too much");
}

TEST_F(SnapshotTest, FailsClosed) {
  struct Case {
    std::string_view tool, params, message;
  };
  for (const Case& c : {Case{"pay", "{}", "the policy gave no decision"},
                        Case{"conflict", R"({"amount":1000})",
                             "the policy could not be evaluated: eval_conflict_error"},
                        Case{"malformed", "{}", "the policy's decision is not an object"},
                        Case{"big", R"({"amount":1})",
                             "the policy's decision has a rule or a message that is not a string"},
                        Case{"\xff", "{}", "the policy could not be evaluated: call_malformed"}}) {
    const Decision decision = Decide(c.tool, c.params);
    EXPECT_EQ(decision.outcome, Outcome::kDeny) << c.tool;
    EXPECT_EQ(decision.reason, Reason::kPolicyError) << c.tool;
    EXPECT_EQ(decision.mode, Mode::kEnforce) << c.tool;
    EXPECT_EQ(decision.message, c.message);
  }
}

TEST_F(SnapshotTest, AnotherTenantsCallIsABugAndDenied) {
  const uint64_t bugs = BugCount();
  principal_.tenant = "t2";
  const Decision decision = Decide("pay", R"({"amount":1})");
  EXPECT_EQ(decision.reason, Reason::kPolicyError);
  EXPECT_EQ(BugCount(), bugs + 1);
}

TEST_F(SnapshotTest, AWarmEvaluatorKeepsItsMemory) {
  Decide("pay", R"({"amount":1})");
  const size_t reserved = evaluator_.arena().reserved_bytes();
  for (int i = 0; i < 1000; ++i) Decide("pay", R"({"amount":1})");
  EXPECT_EQ(evaluator_.arena().reserved_bytes(), reserved);
}

TEST_F(SnapshotTest, RefusesBundlesItCannotUse) {
  const auto reason = [](const std::vector<rego::BundleFile>& files) {
    return Load(files).error().reason;
  };
  std::vector<rego::BundleFile> files = Files();
  files.pop_back();
  EXPECT_EQ(reason(files), "bundle_no_plan");
  files.push_back({"plan.json", "{}"});
  EXPECT_FALSE(Load(files));
  std::string other = SmallPlan();
  for (size_t at; (at = other.find("aegis/decision\"")) != std::string::npos;)
    other.replace(at, 14, "aegis/elsewhere");
  files.back().content = other;
  EXPECT_EQ(reason(files), "bundle_no_entrypoint");
  EXPECT_FALSE(Snapshot::Load("", {.tenant = "t1", .verifier = nullptr}));
}

TEST_F(SnapshotTest, SignedBundlesAndScope) {
  const rego::BundleSigner signer{*crypto::SigningKey::Generate(crypto::Algorithm::kEs256), "t1"};
  rego::BundleVerifier verifier;
  ASSERT_TRUE(verifier.keys.Add(signer.key.verification_key()));
  verifier.scope = "t1";
  const std::string bytes = *rego::WriteBundle(Files(), &signer);
  EXPECT_TRUE(Snapshot::Load(bytes, {.tenant = "t1", .verifier = &verifier}));
  EXPECT_EQ(Snapshot::Load(bytes, {.tenant = "t2", .verifier = &verifier}).error().reason,
            "bundle_scope");
  verifier.scope = "t2";
  EXPECT_EQ(Snapshot::Load(bytes, {.tenant = "t2", .verifier = &verifier}).error().reason,
            "bundle_signature");
  EXPECT_EQ(
      Snapshot::Load(*rego::WriteBundle(Files(), nullptr), {.tenant = "t2", .verifier = &verifier})
          .error()
          .reason,
      "bundle_unsigned");
}

}  // namespace
}  // namespace aegis::decision
