// What every repository must do, whatever stands behind it: the suite runs once per back end.
#include "aegis/store/repository.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <thread>

#include "aegis/store/sqlite_repository.h"
#include "aegis/store/test_folder.h"

namespace aegis::store {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

struct Backend {
  const char* name;
  // Opens the repository that is kept in `folder`; opening again shows the same state.
  std::function<Result<std::unique_ptr<Repository>>(const TestFolder& folder)> open;
};

class RepositoryTest : public testing::TestWithParam<Backend> {
 protected:
  void SetUp() override {
    Reopen();
    ASSERT_TRUE(repository_->EnsureTenant(tenant_, by_));
  }

  void Reopen() {
    repository_.reset();
    auto opened = GetParam().open(folder_);
    ASSERT_TRUE(opened) << opened.error().ToString();
    repository_ = *std::move(opened);
  }

  Result<PolicyVersion> Publish(int64_t version, std::string content = "agent: a") {
    NewPolicyVersion policy;
    policy.version = version;
    policy.message = "message " + std::to_string(version);
    policy.sources = {{"b.yaml", content}, {"a.yaml", "agent: b"}};
    policy.bundle = std::string("bundle\0bytes ", 13) + std::to_string(version);
    policy.bundle_sha256 = std::string(64, static_cast<char>('a' + version));
    return repository_->PublishPolicy(tenant_, policy, by_);
  }

  std::vector<std::string> Actions() {
    std::vector<std::string> actions;
    auto entries = repository_->ListOperations(tenant_, {});
    EXPECT_TRUE(entries);
    for (const OperatorEntry& entry : entries->items) actions.insert(actions.begin(), entry.action);
    return actions;
  }

  TestFolder folder_;
  const TenantKey tenant_{"default", "default"};
  const TenantKey other_{"default", "other"};
  const Operator by_{"apikey:admin", "request-1", 1'000};
  std::unique_ptr<Repository> repository_;
};

template <typename T>
std::string_view ReasonOf(const Result<T>& result) {
  return result ? "" : result.error().reason;
}

TEST_P(RepositoryTest, AgentsAreKeptAcrossReopening) {
  ASSERT_TRUE(
      repository_->AddAgent(tenant_, "finance", {{"team", "money"}, {"ü", "\"quoted\""}}, by_));
  Reopen();
  auto agent = repository_->GetAgent(tenant_, "finance");
  ASSERT_TRUE(agent);
  EXPECT_EQ(agent->labels.at("team"), "money");
  EXPECT_EQ(agent->labels.at("ü"), "\"quoted\"");
  EXPECT_EQ(agent->status, AgentStatus::kActive);
  EXPECT_EQ(agent->created_at, 1'000);
  EXPECT_EQ(agent->revision, 1);
}

TEST_P(RepositoryTest, NamesAreUniqueAndCaseSensitive) {
  ASSERT_TRUE(repository_->AddAgent(tenant_, "a", {}, by_));
  EXPECT_EQ(ReasonOf(repository_->AddAgent(tenant_, "a", {}, by_)), "agent_exists");
  EXPECT_TRUE(repository_->AddAgent(tenant_, "A", {}, by_));
  ASSERT_TRUE(repository_->AddTool(tenant_, "t", "http://h", by_));
  EXPECT_EQ(ReasonOf(repository_->AddTool(tenant_, "t", "http://h", by_)), "tool_exists");
  EXPECT_EQ(ReasonOf(repository_->GetAgent(tenant_, "none")), "agent_not_found");
  EXPECT_EQ(ReasonOf(repository_->GetTool(tenant_, "none")), "tool_not_found");
}

TEST_P(RepositoryTest, ChangesRaiseTheRevisionAndCheckIt) {
  ASSERT_TRUE(repository_->AddAgent(tenant_, "a", {}, by_));
  auto suspended = repository_->ChangeAgent(tenant_, "a", {AgentStatus::kSuspended, {}, 1}, by_);
  ASSERT_TRUE(suspended);
  EXPECT_EQ(suspended->revision, 2);
  EXPECT_EQ(ReasonOf(repository_->ChangeAgent(tenant_, "a", {AgentStatus::kActive, {}, 1}, by_)),
            "revision_mismatch");
  auto same = repository_->ChangeAgent(tenant_, "a", {AgentStatus::kSuspended, {}, {}}, by_);
  ASSERT_TRUE(same);
  EXPECT_EQ(same->revision, 2) << "nothing changed";
  EXPECT_EQ(ReasonOf(repository_->ChangeAgent(tenant_, "b", {}, by_)), "agent_not_found");

  ASSERT_TRUE(repository_->AddTool(tenant_, "t", "http://one", by_));
  EXPECT_EQ(ReasonOf(repository_->ChangeTool(tenant_, "t", "http://two", 7, by_)),
            "revision_mismatch");
  auto moved = repository_->ChangeTool(tenant_, "t", "http://two", 1, by_);
  ASSERT_TRUE(moved);
  EXPECT_EQ(moved->base_url, "http://two");
  EXPECT_EQ(repository_->GetTool(tenant_, "t")->revision, 2);
}

TEST_P(RepositoryTest, ListsComeInPagesInOrder) {
  for (const char* name : {"c", "a", "B", "d"}) {
    ASSERT_TRUE(repository_->AddAgent(tenant_, name, {}, by_));
    ASSERT_TRUE(repository_->AddTool(tenant_, name, "http://h", by_));
  }
  auto first = repository_->ListAgents(tenant_, {"", 3});
  ASSERT_TRUE(first);
  EXPECT_TRUE(first->more);
  ASSERT_EQ(first->items.size(), 3u);
  EXPECT_EQ(first->items[0].name, "B");
  EXPECT_EQ(first->items[2].name, "c");
  auto second = repository_->ListAgents(tenant_, {"c", 3});
  EXPECT_FALSE(second->more);
  ASSERT_EQ(second->items.size(), 1u);
  EXPECT_EQ(second->items[0].name, "d");
  auto exactly = repository_->ListTools(tenant_, {"", 4});
  EXPECT_FALSE(exactly->more);
  EXPECT_EQ(exactly->items.size(), 4u);
}

TEST_P(RepositoryTest, PolicyVersionsRiseByOneAndTheNewestIsActive) {
  EXPECT_EQ(*repository_->ActivePolicy(tenant_), 0);
  EXPECT_EQ(*repository_->NextPolicyVersion(tenant_), 1);
  EXPECT_EQ(ReasonOf(Publish(2)), "version_conflict");
  ASSERT_TRUE(Publish(1));
  EXPECT_EQ(ReasonOf(Publish(1)), "version_conflict");
  ASSERT_TRUE(Publish(2, "agent: \xE2\x82\xAC"));
  Reopen();
  EXPECT_EQ(*repository_->ActivePolicy(tenant_), 2);
  EXPECT_EQ(*repository_->NextPolicyVersion(tenant_), 3);
  EXPECT_EQ(*repository_->GetPolicyBundle(tenant_, 1), std::string("bundle\0bytes 1", 14));
  auto sources = repository_->GetPolicySources(tenant_, 2);
  ASSERT_TRUE(sources);
  ASSERT_EQ(sources->size(), 2u);
  EXPECT_EQ((*sources)[0].name, "b.yaml") << "in the order given";
  EXPECT_EQ((*sources)[0].content, "agent: \xE2\x82\xAC");
  auto version = repository_->GetPolicy(tenant_, 2);
  ASSERT_TRUE(version);
  EXPECT_EQ(version->author, "apikey:admin");
  EXPECT_EQ(version->message, "message 2");
  EXPECT_EQ(version->bundle_bytes, 14);
  EXPECT_THAT(version->source_names, ElementsAre("b.yaml", "a.yaml"));
  EXPECT_EQ(ReasonOf(repository_->GetPolicy(tenant_, 3)), "policy_not_found");
  EXPECT_EQ(ReasonOf(repository_->GetPolicySources(tenant_, 3)), "policy_not_found");
  EXPECT_EQ(ReasonOf(repository_->GetPolicyBundle(tenant_, 3)), "policy_not_found");
}

TEST_P(RepositoryTest, PoliciesAreListedNewestFirst) {
  for (int64_t version = 1; version <= 3; ++version) ASSERT_TRUE(Publish(version));
  auto page = repository_->ListPolicies(tenant_, {"", 2});
  ASSERT_TRUE(page);
  ASSERT_EQ(page->items.size(), 2u);
  EXPECT_EQ(page->items[0].version, 3);
  EXPECT_TRUE(page->more);
  page = repository_->ListPolicies(tenant_, {"2", 2});
  ASSERT_EQ(page->items.size(), 1u);
  EXPECT_EQ(page->items[0].version, 1);
  EXPECT_EQ(ReasonOf(repository_->ListPolicies(tenant_, {"two", 2})), "bad_cursor");
}

TEST_P(RepositoryTest, APublishThatFailsLeavesTheActiveOne) {
  ASSERT_TRUE(Publish(1));
  NewPolicyVersion twice;
  twice.version = 2;
  twice.bundle_sha256 = std::string(64, 'a');
  twice.sources = {{"same.yaml", "x"}, {"same.yaml", "y"}};
  EXPECT_FALSE(repository_->PublishPolicy(tenant_, twice, by_));
  EXPECT_EQ(*repository_->ActivePolicy(tenant_), 1);
  EXPECT_EQ(*repository_->NextPolicyVersion(tenant_), 2);
  EXPECT_THAT(Actions(), ElementsAre("tenant.create", "policy.publish"));
}

TEST_P(RepositoryTest, SettingsHoldWhatGatewaysNeed) {
  ASSERT_TRUE(repository_->AddAgent(tenant_, "b", {{"k", "v"}}, by_));
  ASSERT_TRUE(repository_->AddAgent(tenant_, "a", {}, by_));
  ASSERT_TRUE(repository_->AddTool(tenant_, "t", "http://h:1", by_));
  ASSERT_TRUE(repository_->RevokeToken(tenant_, {"jti-2", 5'000}, by_));
  ASSERT_TRUE(repository_->RevokeToken(tenant_, {"jti-1", 9'000}, by_));
  auto settings = repository_->ReadSettings(tenant_, 2'000);
  ASSERT_TRUE(settings);
  EXPECT_EQ(settings->revision, 5);
  EXPECT_EQ(settings->revocation_epoch, 2);
  ASSERT_EQ(settings->agents.size(), 2u);
  EXPECT_EQ(settings->agents[0].name, "a");
  ASSERT_EQ(settings->tools.size(), 1u);
  ASSERT_EQ(settings->revocations.size(), 2u);
  EXPECT_EQ(settings->revocations[0].jti, "jti-1");
  EXPECT_EQ(repository_->ReadSettings(tenant_, 5'000)->revocations.size(), 1u) << "expired by now";
  const auto part = repository_->ReadSettings(tenant_, 2'000, SettingsPart::kChanging);
  ASSERT_TRUE(part);
  EXPECT_EQ(part->revision, 5);
  EXPECT_EQ(part->revocations.size(), 2u);
  EXPECT_TRUE(part->agents.empty() && part->tools.empty());
}

TEST_P(RepositoryTest, SuspendingRaisesTheRevocationEpoch) {
  ASSERT_TRUE(repository_->AddAgent(tenant_, "a", {}, by_));
  const int64_t before = repository_->ReadSettings(tenant_, 0)->revocation_epoch;
  ASSERT_TRUE(repository_->ChangeAgent(tenant_, "a", {AgentStatus::kSuspended, {}, {}}, by_));
  EXPECT_EQ(repository_->ReadSettings(tenant_, 0)->revocation_epoch, before + 1);
  ASSERT_TRUE(repository_->ChangeAgent(tenant_, "a", {AgentStatus::kActive, {}, {}}, by_));
  EXPECT_EQ(repository_->ReadSettings(tenant_, 0)->revocation_epoch, before + 1);
}

TEST_P(RepositoryTest, RevokingTwiceKeepsTheLaterEndAndOldOnesAreForgotten) {
  ASSERT_TRUE(repository_->RevokeToken(tenant_, {"j", 9'000}, by_));
  ASSERT_TRUE(repository_->RevokeToken(tenant_, {"j", 3'000}, by_));
  auto settings = repository_->ReadSettings(tenant_, 0);
  ASSERT_EQ(settings->revocations.size(), 1u);
  EXPECT_EQ(settings->revocations[0].until, 9'000);
  ASSERT_TRUE(repository_->RevokeToken(tenant_, {"k", 20'000}, {"a", "", 10'000}));
  EXPECT_EQ(repository_->ReadCounts(tenant_)->revocations, 1);
}

TEST_P(RepositoryTest, KeysRetireWhenAnotherTakesTheirPlace) {
  const KeyRecord one{"token", "k1", "EdDSA", "PEM 1", 10, {}};
  const KeyRecord two{"token", "k2", "EdDSA", "PEM 2", 20, {}};
  ASSERT_TRUE(repository_->SetCurrentKey(tenant_, one, by_));
  ASSERT_TRUE(repository_->SetCurrentKey(tenant_, one, by_));
  ASSERT_TRUE(repository_->SetCurrentKey(tenant_, two, by_));
  ASSERT_TRUE(repository_->SetCurrentKey(tenant_, {"bundle", "k1", "ES256", "PEM 3", 5, {}}, by_));
  auto keys = repository_->ListKeys(tenant_);
  ASSERT_TRUE(keys);
  ASSERT_EQ(keys->size(), 3u);
  EXPECT_EQ((*keys)[1].key_id, "k1");
  EXPECT_TRUE((*keys)[1].retired_at.has_value());
  EXPECT_FALSE((*keys)[2].retired_at.has_value());
  auto forged = repository_->SetCurrentKey(tenant_, {"token", "k1", "EdDSA", "PEM 9", 30, {}}, by_);
  EXPECT_EQ(ReasonOf(forged), "key_conflict");
  EXPECT_THAT(Actions(),
              ElementsAre("tenant.create", "key.activate", "key.activate", "key.activate"));
}

TEST_P(RepositoryTest, CredentialsAreReplacedByIdAndNeverLogged) {
  const std::string hash(64, 'a');
  ASSERT_TRUE(repository_->SetCredential(tenant_, {"admin", "admin", hash, 1}, by_));
  ASSERT_TRUE(repository_->SetCredential(tenant_, {"admin", "admin", hash, 2}, by_));
  ASSERT_TRUE(
      repository_->SetCredential(tenant_, {"admin", "admin", std::string(64, 'b'), 3}, by_));
  auto credentials = repository_->ListCredentials(tenant_);
  ASSERT_TRUE(credentials);
  ASSERT_EQ(credentials->size(), 1u);
  EXPECT_EQ((*credentials)[0].secret_sha256, std::string(64, 'b'));
  EXPECT_THAT(Actions(), ElementsAre("tenant.create", "credential.create", "credential.replace"));
  auto entries = repository_->ListOperations(tenant_, {});
  for (const OperatorEntry& entry : entries->items) {
    EXPECT_THAT(entry.before + entry.after, testing::Not(HasSubstr("aaaa")));
    EXPECT_THAT(entry.before + entry.after, testing::Not(HasSubstr("bbbb")));
  }
}

TEST_P(RepositoryTest, EveryChangeIsLoggedWithWhoWhatBeforeAndAfter) {
  ASSERT_TRUE(repository_->AddAgent(tenant_, "a", {{"k", "v"}}, by_));
  ASSERT_TRUE(repository_->ChangeAgent(tenant_, "a", {AgentStatus::kSuspended, {}, {}},
                                       {"apikey:eve", "request-9", 2'000}));
  ASSERT_TRUE(repository_->AddTool(tenant_, "t", "http://h", by_));
  ASSERT_TRUE(repository_->ChangeTool(tenant_, "t", "http://i", {}, by_));
  ASSERT_TRUE(Publish(1));
  ASSERT_TRUE(Publish(2));
  ASSERT_TRUE(repository_->RevokeToken(tenant_, {"j", 9'000}, by_));
  ASSERT_TRUE(
      repository_->RecordOperation(tenant_, "token.issue", "agent/a", R"({"jti":"j"})", by_));
  EXPECT_THAT(Actions(), ElementsAre("tenant.create", "agent.register", "agent.suspend", "tool.add",
                                     "tool.change", "policy.publish", "policy.publish",
                                     "token.revoke", "token.issue"));
  auto entries = repository_->ListOperations(tenant_, {"4", 1});
  ASSERT_TRUE(entries);
  ASSERT_EQ(entries->items.size(), 1u);
  EXPECT_TRUE(entries->more);
  const OperatorEntry& suspend = entries->items[0];
  EXPECT_EQ(suspend.sequence, 3);
  EXPECT_EQ(suspend.at, 2'000);
  EXPECT_EQ(suspend.actor, "apikey:eve");
  EXPECT_EQ(suspend.request_id, "request-9");
  EXPECT_EQ(suspend.object, "agent/a");
  EXPECT_EQ(suspend.before, R"({"labels":{"k":"v"},"name":"a","revision":1,"status":"active"})");
  EXPECT_EQ(suspend.after, R"({"labels":{"k":"v"},"name":"a","revision":2,"status":"suspended"})");
  EXPECT_EQ(ReasonOf(repository_->ListOperations(tenant_, {"x", 1})), "bad_cursor");
}

TEST_P(RepositoryTest, TenantsDoNotSeeEachOther) {
  ASSERT_TRUE(repository_->AddAgent(tenant_, "a", {}, by_));
  ASSERT_TRUE(Publish(1));
  EXPECT_EQ(ReasonOf(repository_->AddAgent(other_, "a", {}, by_)), "tenant_not_found");
  EXPECT_EQ(ReasonOf(repository_->ReadSettings(other_, 0)), "tenant_not_found");
  ASSERT_TRUE(repository_->EnsureTenant(other_, by_));
  EXPECT_EQ(ReasonOf(repository_->GetAgent(other_, "a")), "agent_not_found");
  EXPECT_TRUE(repository_->ListAgents(other_, {})->items.empty());
  EXPECT_EQ(*repository_->NextPolicyVersion(other_), 1);
  EXPECT_EQ(ReasonOf(repository_->GetPolicyBundle(other_, 1)), "policy_not_found");
  EXPECT_TRUE(repository_->AddAgent(other_, "a", {}, by_));
  EXPECT_EQ(repository_->ListOperations(other_, {})->items.size(), 2u);
  EXPECT_EQ(repository_->ReadCounts(tenant_)->operator_entries, 3);
}

TEST_P(RepositoryTest, CountsAreTrue) {
  ASSERT_TRUE(repository_->AddAgent(tenant_, "a", {}, by_));
  ASSERT_TRUE(repository_->AddAgent(tenant_, "b", {}, by_));
  ASSERT_TRUE(repository_->ChangeAgent(tenant_, "b", {AgentStatus::kSuspended, {}, {}}, by_));
  ASSERT_TRUE(Publish(1));
  auto counts = repository_->ReadCounts(tenant_);
  ASSERT_TRUE(counts);
  EXPECT_EQ(counts->agents, 2);
  EXPECT_EQ(counts->suspended_agents, 1);
  EXPECT_EQ(counts->tools, 0);
  EXPECT_EQ(counts->policy_versions, 1);
  EXPECT_EQ(counts->active_policy, 1);
  EXPECT_EQ(counts->operator_entries, 5);
}

TEST_P(RepositoryTest, ThreadsCanShareIt) {
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([this, t] {
      for (int i = 0; i < 20; ++i) {
        const std::string name = std::to_string(t) + "-" + std::to_string(i);
        EXPECT_TRUE(repository_->AddAgent(tenant_, name, {}, by_));
        EXPECT_TRUE(repository_->ListAgents(tenant_, {}));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(repository_->ReadCounts(tenant_)->agents, 80);
  EXPECT_EQ(repository_->ReadSettings(tenant_, 0)->revision, 80);
}

INSTANTIATE_TEST_SUITE_P(Backends, RepositoryTest,
                         testing::Values(Backend{"sqlite",
                                                 [](const TestFolder& folder) {
                                                   return OpenSqliteRepository(
                                                       {folder.File("aegis.db"), 1});
                                                 }}),
                         [](const testing::TestParamInfo<Backend>& param_info) {
                           return std::string(param_info.param.name);
                         });

}  // namespace
}  // namespace aegis::store
