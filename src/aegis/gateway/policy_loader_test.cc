// Which bundles come into force, one after the other, and what is kept of them.
#include "aegis/gateway/policy_loader.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "aegis/base/file.h"
#include "aegis/gateway/gateway_testing.h"

namespace aegis::gateway {
namespace {

using rego::BundleFile;

// A plan that gives data.aegis.decision as its decision; data and revision make the difference.
std::string Pack(const std::string& manifest, const std::string& data,
                 const rego::BundleSigner* signer = nullptr, bool plan = true) {
  const std::string plan_json = R"({"static":{"strings":[{"value":"result"},{"value":"aegis"},
      {"value":"decision"}]},"plans":{"plans":[{"name":"aegis/decision","blocks":[{"stmts":[
      {"type":"DotStmt","stmt":{"source":{"type":"local","value":1},
        "key":{"type":"string_index","value":1},"target":2}},
      {"type":"DotStmt","stmt":{"source":{"type":"local","value":2},
        "key":{"type":"string_index","value":2},"target":3}},
      {"type":"MakeObjectStmt","stmt":{"target":4}},
      {"type":"ObjectInsertStmt","stmt":{"key":{"type":"string_index","value":0},
        "value":{"type":"local","value":3},"object":4}},
      {"type":"ResultSetAddStmt","stmt":{"value":4}}]}]}]},"funcs":{"funcs":[]}})";
  std::vector<BundleFile> files = {{".manifest", manifest},
                                   {"data.json", R"({"aegis":{"decision":)" + data + "}}"}};
  if (plan) files.push_back({"plan.json", plan_json});
  return *rego::WriteBundle(files, signer);
}

std::string Revision(const std::string& revision, const std::string& rollback_from = {}) {
  return R"({"revision":")" + revision + R"(","roots":["aegis"],"metadata":{"aegis":{)" +
         (rollback_from.empty() ? "" : R"("rollback_from":")" + rollback_from + "\"") + "}}}";
}

std::string Delta(const std::string& revision, const std::string& value) {
  const std::vector<BundleFile> files = {
      {".manifest", Revision(revision)},
      {"patch.json",
       R"({"data":[{"op":"upsert","path":"/aegis/decision/reason","value":")" + value + "\"}]}"}};
  return *rego::WriteBundle(files, nullptr);
}

class PolicyLoaderTest : public ::testing::Test {
 protected:
  PolicyLoaderTest()
      : folder_(std::filesystem::temp_directory_path() /
                ("aegis-loader-test-" + std::to_string(::getpid()))) {
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directories(folder_);
    Restart();
  }
  ~PolicyLoaderTest() override { std::filesystem::remove_all(folder_); }

  void Restart() {
    loader_ = std::make_unique<PolicyLoader>(source_, PolicyLoader::Options{"t", folder_, nullptr});
  }
  // "" when it came into force, else the reason.
  std::string Take(const std::string& bundle, bool may_be_delta = true) {
    const auto before = loader_->current();
    const auto taken = loader_->Take(bundle, may_be_delta);
    if (taken) return "";
    EXPECT_EQ(loader_->current(), before) << "an error changes nothing";
    return std::string(taken.error().reason);
  }
  // The reason that the policy in force gives.
  std::string InForce() {
    identity::Principal principal;
    principal.tenant = "t";
    decision::Call call;
    call.principal = &principal;
    decision::Evaluator evaluator;
    const auto decision = evaluator.Evaluate(*loader_->current(), call);
    return loader_->current()->policy_version() + " " +
           std::string(decision::ReasonName(decision.reason));
  }

  static std::string Deny(const std::string& reason) {
    return R"({"outcome":"deny","reason":")" + reason + "\"}";
  }

  std::string folder_;
  BundleSource source_;
  std::unique_ptr<PolicyLoader> loader_;
};

TEST_F(PolicyLoaderTest, NumbersMoveForward) {
  EXPECT_EQ(Take(Pack(Revision("9"), Deny("no_grant"))), "");
  EXPECT_EQ(InForce(), "9 no_grant");
  EXPECT_EQ(Take(Pack(Revision("8"), Deny("no_grant"))), "bundle_older");
  EXPECT_EQ(Take(Pack(Revision("9"), Deny("denied_tool"))), "bundle_revision_reused");
  EXPECT_EQ(Take(Pack(Revision("9"), Deny("no_grant"))), "") << "the same again";
  EXPECT_EQ(Take(Pack(Revision("10"), Deny("denied_tool"))), "");
  EXPECT_EQ(InForce(), "10 denied_tool");
}

TEST_F(PolicyLoaderTest, OtherRevisionsAreRemembered) {
  const std::string a = Pack(Revision("a1f3"), Deny("no_grant"));
  EXPECT_EQ(Take(a), "");
  EXPECT_EQ(Take(Pack(Revision("77be"), Deny("denied_tool"))), "");
  EXPECT_EQ(Take(a), "bundle_older") << "its content was replaced";
  EXPECT_EQ(Take(Pack(Revision("a1f3"), Deny("denied_tool"))), "bundle_revision_reused");
  EXPECT_EQ(Take(Pack(Revision("77be"), Deny("no_grant"))), "bundle_revision_reused");
  // Also by the next process.
  Restart();
  EXPECT_EQ(Take(a), "bundle_older");
  ASSERT_TRUE(loader_->LoadKept().has_value());
  EXPECT_EQ(InForce(), "77be denied_tool");
  EXPECT_EQ(Take(a), "bundle_older");
  // The old content under a new revision is a step forward; so is a bundle without a revision.
  EXPECT_EQ(Take(Pack(Revision("c0de"), Deny("no_grant"))), "");
  EXPECT_EQ(Take(Pack(Revision(""), Deny("no_grant"))), "");
  EXPECT_EQ(Take(Pack(Revision(""), Deny("denied_tool"))), "");
  EXPECT_EQ(Take(Pack(Revision(""), Deny("no_grant"))), "bundle_older");
}

TEST_F(PolicyLoaderTest, RecordedRollback) {
  EXPECT_EQ(Take(Pack(Revision("1"), Deny("no_grant"))), "");
  EXPECT_EQ(Take(Pack(Revision("2"), Deny("denied_tool"))), "");
  EXPECT_EQ(Take(Pack(Revision("1", "1"), Deny("no_grant"))), "bundle_older");
  const std::string rollback = Pack(Revision("1", "2"), Deny("no_grant"));
  EXPECT_EQ(Take(rollback), "");
  EXPECT_EQ(InForce(), "1 no_grant");
  EXPECT_EQ(Take(Pack(Revision("3"), Deny("denied_tool"))), "");
  EXPECT_EQ(Take(rollback), "bundle_older");
  // Back to the state in which it was permitted: it is used up.
  EXPECT_EQ(Take(Pack(Revision("2", "3"), Deny("denied_tool"))), "");
  EXPECT_EQ(Take(rollback), "bundle_older");
}

TEST_F(PolicyLoaderTest, DeltasChangeWhatIsInForce) {
  EXPECT_EQ(Take(Delta("1", "no_grant")), "bundle_delta") << "there is nothing to change";
  EXPECT_EQ(Take(Pack(Revision("r1"), Deny("no_grant"))), "");
  const std::string sha256 = loader_->current()->bundle_sha256();
  EXPECT_EQ(Take(Delta("r2", "denied_tool"), false), "bundle_delta") << "nobody asked for one";
  EXPECT_EQ(Take(Delta("r2", "denied_tool")), "");
  EXPECT_EQ(InForce(), "r2 denied_tool");
  EXPECT_NE(loader_->current()->bundle_sha256(), sha256);
  EXPECT_EQ(Take(Delta("r3", "outside_schedule")), "");
  EXPECT_EQ(InForce(), "r3 outside_schedule");
  EXPECT_EQ(Take(Delta("r1", "no_grant")), "bundle_revision_reused");

  // Not kept; what the server then sends as a whole may bear the delta's revision.
  Restart();
  ASSERT_TRUE(loader_->LoadKept().has_value());
  EXPECT_EQ(InForce(), "r1 no_grant");
  EXPECT_EQ(Take(Pack(Revision("r3"), Deny("outside_schedule"))), "");
  EXPECT_EQ(Take(Pack(Revision("r3"), Deny("no_grant"))), "bundle_revision_reused");
}

TEST_F(PolicyLoaderTest, SignedSourcesTakeNoDeltas) {
  const rego::BundleSigner signer{*crypto::SigningKey::Generate(crypto::Algorithm::kEs256), ""};
  source_.verifier.emplace();
  ASSERT_TRUE(source_.verifier->keys.Add(signer.key.verification_key()).has_value());
  Restart();
  EXPECT_FALSE(loader_->accepts_deltas());
  EXPECT_EQ(Take(Pack(Revision("1"), Deny("no_grant"))), "bundle_unsigned");
  EXPECT_EQ(Take(Pack(Revision("1"), Deny("no_grant"), &signer)), "");
  EXPECT_EQ(Take(Delta("2", "denied_tool")), "bundle_unsigned");
  source_.verifier->allow_unsigned_deltas = true;
  Restart();
  ASSERT_TRUE(loader_->LoadKept().has_value());
  EXPECT_EQ(Take(Delta("2", "denied_tool")), "");
  EXPECT_EQ(InForce(), "2 denied_tool");
}

TEST_F(PolicyLoaderTest, WhatIsNoPolicyIsRefused) {
  EXPECT_EQ(Take("garbage"), "bundle_malformed");
  EXPECT_EQ(Take(Pack(Revision("1"), "{}", nullptr, false)), "bundle_no_plan");
  EXPECT_EQ(Take(Pack(Revision("1"), "{}").substr(0, 300)), "bundle_malformed");
  source_.entrypoint = "other/rule";
  Restart();
  EXPECT_EQ(Take(Pack(Revision("1"), "{}")), "bundle_no_entrypoint");
  source_.limits.max_file_bytes = 100;
  Restart();
  EXPECT_EQ(Take(Pack(Revision("1"), "{}")), "bundle_too_large");
  EXPECT_EQ(loader_->LoadKept().error().code, Code::kNotFound) << "nothing bad was kept";
}

TEST_F(PolicyLoaderTest, ThePlannerPlansWhatHasNoPlan) {
  int asked = 0;
  source_.planner = [&](const rego::Bundle& bundle, std::string_view entrypoint) {
    ++asked;
    EXPECT_EQ(bundle.manifest.revision, "5");
    EXPECT_EQ(entrypoint, "aegis/decision");
    return Result<std::string>(
        rego::ReadBundle(Pack(Revision("5"), Deny("no_grant")), nullptr)->plan_json);
  };
  Restart();
  EXPECT_EQ(Take(Pack(Revision("5"), Deny("no_grant"), nullptr, false)), "");
  EXPECT_EQ(InForce(), "5 no_grant");
  EXPECT_EQ(asked, 1);
}

TEST_F(PolicyLoaderTest, DamagedFilesAreNotBelieved) {
  EXPECT_EQ(Take(Pack(Revision("1"), Deny("no_grant"))), "");
  EXPECT_EQ(Take(Pack(Revision("2"), Deny("denied_tool"))), "");
  const std::string path = folder_ + "/bundle.tar.gz";
  const std::string good = *ReadFile(path);
  for (const size_t size : {size_t{0}, size_t{1}, good.size() / 2, good.size() - 1}) {
    ASSERT_TRUE(WriteFileAtomic(path, good.substr(0, size)).has_value());
    Restart();
    EXPECT_EQ(loader_->LoadKept().error().reason, "bundle_malformed") << size;
    EXPECT_EQ(Take(Pack(Revision("1"), Deny("no_grant"))), "bundle_older") << "history holds";
  }
  ASSERT_TRUE(WriteFileAtomic(path, good).has_value());
  ASSERT_TRUE(WriteFileAtomic(folder_ + "/bundle.history.json", "{").has_value());
  Restart();
  ASSERT_TRUE(loader_->LoadKept().has_value());
  EXPECT_EQ(Take(Pack(Revision("1"), Deny("no_grant"))), "bundle_older") << "2 is in force";
}

TEST_F(PolicyLoaderTest, NothingIsKeptIfNotWanted) {
  source_.persist = false;
  Restart();
  EXPECT_EQ(Take(Pack(Revision("1"), Deny("no_grant"))), "");
  EXPECT_TRUE(std::filesystem::is_empty(folder_));
}

}  // namespace
}  // namespace aegis::gateway
