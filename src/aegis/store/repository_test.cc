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

NewTool ToolAt(const std::string& name, const std::string& url,
               std::vector<std::string> hosts = {}) {
  return {name, R"({"name":")" + name + R"(","base_url":")" + url + "\"}", std::move(hosts)};
}

TEST_P(RepositoryTest, NoTwoToolsClaimAHost) {
  ASSERT_TRUE(repository_->AddTool(tenant_, ToolAt("a", "http://a", {"x.y", "z.y"}), by_));
  EXPECT_EQ(ReasonOf(repository_->AddTool(tenant_, ToolAt("b", "http://b", {"w.y", "z.y"}), by_)),
            "host_taken");
  EXPECT_EQ(ReasonOf(repository_->GetTool(tenant_, "b")), "tool_not_found") << "rolled back";
  ASSERT_TRUE(repository_->ChangeTool(tenant_, ToolAt("a", "http://a2", {"x.y"}), {}, by_));
  ASSERT_TRUE(repository_->AddTool(tenant_, ToolAt("b", "http://b", {"w.y", "z.y"}), by_));
  EXPECT_EQ(ReasonOf(repository_->ChangeTool(tenant_, ToolAt("b", "http://c", {"x.y"}), {}, by_)),
            "host_taken");
  EXPECT_EQ(repository_->GetTool(tenant_, "b")->revision, 1);
  ASSERT_TRUE(repository_->EnsureTenant(other_, by_));
  EXPECT_TRUE(repository_->AddTool(other_, ToolAt("a", "http://a", {"x.y"}), by_));
}

TEST_P(RepositoryTest, NamesAreUniqueAndCaseSensitive) {
  ASSERT_TRUE(repository_->AddAgent(tenant_, "a", {}, by_));
  EXPECT_EQ(ReasonOf(repository_->AddAgent(tenant_, "a", {}, by_)), "agent_exists");
  EXPECT_TRUE(repository_->AddAgent(tenant_, "A", {}, by_));
  ASSERT_TRUE(repository_->AddTool(tenant_, ToolAt("t", "http://h"), by_));
  EXPECT_EQ(ReasonOf(repository_->AddTool(tenant_, ToolAt("t", "http://h"), by_)), "tool_exists");
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

  ASSERT_TRUE(repository_->AddTool(tenant_, ToolAt("t", "http://one"), by_));
  EXPECT_EQ(ReasonOf(repository_->ChangeTool(tenant_, ToolAt("t", "http://two"), 7, by_)),
            "revision_mismatch");
  auto moved = repository_->ChangeTool(tenant_, ToolAt("t", "http://two"), 1, by_);
  ASSERT_TRUE(moved);
  EXPECT_EQ(moved->document, ToolAt("t", "http://two").document);
  EXPECT_EQ(repository_->GetTool(tenant_, "t")->revision, 2);
}

TEST_P(RepositoryTest, ListsComeInPagesInOrder) {
  for (const char* name : {"c", "a", "B", "d"}) {
    ASSERT_TRUE(repository_->AddAgent(tenant_, name, {}, by_));
    ASSERT_TRUE(repository_->AddTool(tenant_, ToolAt(name, "http://h"), by_));
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
  ASSERT_TRUE(repository_->AddTool(tenant_, ToolAt("t", "http://h:1"), by_));
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
  ASSERT_TRUE(repository_->AddTool(tenant_, ToolAt("t", "http://h"), by_));
  ASSERT_TRUE(repository_->ChangeTool(tenant_, ToolAt("t", "http://i"), {}, by_));
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

UnknownCaller Seen(const std::string& source, const std::string& name, int64_t at,
                   const std::string& reason = "agent_unknown", const std::string& target = "tool",
                   int64_t count = 1) {
  return {source, name, target, reason, count, at, at};
}

// "source name target reason count", in the list's order.
std::vector<std::string> Lines(Repository& repository, const TenantKey& tenant) {
  std::vector<std::string> lines;
  auto page = repository.ListUnknownCallers(tenant, {"", 1'000});
  EXPECT_TRUE(page && !page->more);
  for (const UnknownCaller& caller : page->items) {
    lines.push_back(caller.source + " " + caller.name + " " + caller.target + " " + caller.reason +
                    " " + std::to_string(caller.count));
  }
  return lines;
}

TEST_P(RepositoryTest, SightingsOfTheSameAddUpAndAreNoOperation) {
  ASSERT_TRUE(repository_->RecordUnknownCallers(
      tenant_, {Seen("10.0.0.1", "a", 50), Seen("10.0.0.1", "a", 70, "token_expired")}));
  UnknownCaller more = Seen("10.0.0.1", "a", 40, "agent_unknown", "tool", 5);
  more.last_seen = 90;
  ASSERT_TRUE(repository_->RecordUnknownCallers(tenant_, {more, Seen("10.0.0.2", "a", 60)}));
  Reopen();
  EXPECT_THAT(Lines(*repository_, tenant_),
              ElementsAre("10.0.0.1 a tool agent_unknown 6", "10.0.0.1 a tool token_expired 1",
                          "10.0.0.2 a tool agent_unknown 1"));
  auto first = repository_->ListUnknownCallers(tenant_, {"", 1});
  ASSERT_TRUE(first && first->more);
  EXPECT_EQ(first->items[0].first_seen, 40);
  EXPECT_EQ(first->items[0].last_seen, 90);
  auto next = repository_->ListUnknownCallers(tenant_, {UnknownCallerKey(first->items[0]), 5});
  ASSERT_TRUE(next);
  EXPECT_EQ(next->items.size(), 2u);
  EXPECT_FALSE(next->more);
  EXPECT_EQ(ReasonOf(repository_->ListUnknownCallers(tenant_, {"x", 5})), "bad_cursor");
  EXPECT_THAT(Actions(), ElementsAre("tenant.create"));
}

TEST_P(RepositoryTest, ManyUnknownCallersBecomeOneRowAndNoneIsLost) {
  ASSERT_TRUE(repository_->RecordUnknownCallers(tenant_, {Seen("10.0.0.9", "quiet", 1)}));
  // One source under ever new names: its own oldest go.
  std::vector<UnknownCaller> seen;
  for (int i = 0; i < 1'000; ++i) {
    seen.push_back(Seen("10.0.0.1", "n" + std::to_string(i), 100 + i));
  }
  ASSERT_TRUE(repository_->RecordUnknownCallers(tenant_, seen));
  auto lines = Lines(*repository_, tenant_);
  EXPECT_EQ(lines.size(), kMaxUnknownCallersOfASource + 2);
  EXPECT_EQ(lines[0], "10.0.0.1 * * agent_unknown 800");
  EXPECT_EQ(lines[1], "10.0.0.1 n800 tool agent_unknown 1");
  EXPECT_EQ(lines.back(), "10.0.0.9 quiet tool agent_unknown 1");

  // Ever new sources: the oldest of all go.
  seen.clear();
  for (int i = 0; i < 6'000; ++i) seen.push_back(Seen("s" + std::to_string(i), "n", 5'000 + i));
  ASSERT_TRUE(repository_->RecordUnknownCallers(tenant_, seen));
  int64_t rows = 0, calls = 0;
  PageRequest page{"", 1'000};
  for (;;) {
    auto part = repository_->ListUnknownCallers(tenant_, page);
    ASSERT_TRUE(part);
    for (const UnknownCaller& caller : part->items) {
      ++rows;
      calls += caller.count;
    }
    if (!part->more) break;
    page.after = UnknownCallerKey(part->items.back());
  }
  EXPECT_EQ(rows, static_cast<int64_t>(kMaxUnknownCallers) + 1);
  EXPECT_EQ(calls, 1 + 1'000 + 6'000);
  auto first = repository_->ListUnknownCallers(tenant_, {"", 1});
  EXPECT_EQ(first->items[0].source, "*");
  EXPECT_EQ(first->items[0].first_seen, 1);
}

TEST_P(RepositoryTest, CountsDoNotOverflow) {
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(repository_->RecordUnknownCallers(
        tenant_, {Seen("s", "n", 1, "agent_unknown", "t", INT64_MAX)}));
  }
  EXPECT_THAT(Lines(*repository_, tenant_),
              ElementsAre("s n t agent_unknown " + std::to_string(int64_t{1} << 53)));
}

TEST_P(RepositoryTest, WhoIsAdoptedIsNoLongerUnknown) {
  ASSERT_TRUE(repository_->RecordUnknownCallers(
      tenant_, {Seen("10.0.0.1", "curl/8", 1, "token_missing"), Seen("10.0.0.1", "bot", 1),
                Seen("10.0.0.2", "bot", 1), Seen("10.0.0.2", "other", 1)}));
  EXPECT_EQ(ReasonOf(repository_->AdoptAgent(tenant_, "nobody", "nobody", {}, by_)),
            "caller_not_found");
  auto agent = repository_->AdoptAgent(tenant_, "curl/8", "script", {{"k", "v"}}, by_);
  ASSERT_TRUE(agent);
  EXPECT_EQ(agent->name, "script");
  EXPECT_EQ(repository_->GetAgent(tenant_, "script")->labels.at("k"), "v");
  ASSERT_TRUE(repository_->AddAgent(tenant_, "bot", {}, by_)) << "as good as adopting";
  EXPECT_THAT(Lines(*repository_, tenant_), ElementsAre("10.0.0.2 other tool agent_unknown 1"));
  EXPECT_EQ(ReasonOf(repository_->AdoptAgent(tenant_, "other", "bot", {}, by_)), "agent_exists");
  EXPECT_EQ(Lines(*repository_, tenant_).size(), 1u) << "a refused one changes nothing";
  // A gateway that had not heard of the registration; a bad token of the agent is news, though.
  ASSERT_TRUE(repository_->RecordUnknownCallers(
      tenant_, {Seen("10.0.0.1", "bot", 2), Seen("10.0.0.1", "bot", 2, "token_expired")}));
  EXPECT_THAT(Lines(*repository_, tenant_), ElementsAre("10.0.0.1 bot tool token_expired 1",
                                                        "10.0.0.2 other tool agent_unknown 1"));
  EXPECT_THAT(Actions(), ElementsAre("tenant.create", "agent.adopt", "agent.register"));
}

TEST_P(RepositoryTest, WhoIsBlockedIsToldToGatewaysAndLeftOut) {
  ASSERT_TRUE(repository_->AddAgent(tenant_, "good", {}, by_));
  ASSERT_TRUE(repository_->RecordUnknownCallers(
      tenant_, {Seen("10.0.0.1", "evil", 1), Seen("10.0.0.2", "evil", 1), Seen("10.0.0.2", "x", 1),
                Seen("10.0.0.3", "y", 1)}));
  EXPECT_EQ(ReasonOf(repository_->AddBlock(tenant_, BlockKind::kName, "good", by_)),
            "agent_exists");
  ASSERT_TRUE(repository_->AddBlock(tenant_, BlockKind::kName, "evil", by_));
  ASSERT_TRUE(repository_->AddBlock(tenant_, BlockKind::kSource, "10.0.0.2", by_));
  const int64_t revision = repository_->ReadSettings(tenant_, 0)->revision;
  auto again = repository_->AddBlock(tenant_, BlockKind::kName, "evil", {"apikey:eve", "", 9'000});
  ASSERT_TRUE(again);
  EXPECT_EQ(again->created_at, 1'000);
  ASSERT_TRUE(repository_->RecordUnknownCallers(
      tenant_, {Seen("10.0.0.7", "evil", 2), Seen("10.0.0.2", "z", 2)}));
  EXPECT_THAT(Lines(*repository_, tenant_), ElementsAre("10.0.0.3 y tool agent_unknown 1"));
  EXPECT_EQ(ReasonOf(repository_->AddAgent(tenant_, "evil", {}, by_)), "name_blocked");
  EXPECT_EQ(ReasonOf(repository_->AdoptAgent(tenant_, "y", "evil", {}, by_)), "name_blocked");

  Reopen();
  auto settings = repository_->ReadSettings(tenant_, 0, SettingsPart::kChanging);
  ASSERT_TRUE(settings);
  EXPECT_EQ(settings->revision, revision);
  EXPECT_THAT(settings->blocked_names, ElementsAre("evil"));
  EXPECT_THAT(settings->blocked_sources, ElementsAre("10.0.0.2"));
  auto page = repository_->ListBlocks(tenant_, {"", 1});
  ASSERT_TRUE(page && page->more);
  EXPECT_EQ(page->items[0].value, "evil");
  page = repository_->ListBlocks(tenant_, {BlockKey(page->items[0]), 1});
  ASSERT_TRUE(page && !page->more);
  EXPECT_EQ(page->items[0].value, "10.0.0.2");

  EXPECT_EQ(ReasonOf(repository_->RemoveBlock(tenant_, BlockKind::kSource, "evil", by_)),
            "block_not_found");
  ASSERT_TRUE(repository_->RemoveBlock(tenant_, BlockKind::kName, "evil", by_));
  EXPECT_TRUE(repository_->ReadSettings(tenant_, 0)->blocked_names.empty());
  EXPECT_EQ(repository_->ReadSettings(tenant_, 0)->revision, revision + 1);
  EXPECT_TRUE(repository_->AddAgent(tenant_, "evil", {}, by_));
  EXPECT_THAT(Actions(), ElementsAre("tenant.create", "agent.register", "caller.block",
                                     "caller.block", "caller.unblock", "agent.register"));
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
  ASSERT_TRUE(repository_->RecordUnknownCallers(tenant_, {Seen("10.0.0.1", "b", 1)}));
  ASSERT_TRUE(repository_->AddBlock(tenant_, BlockKind::kSource, "10.0.0.2", by_));
  EXPECT_TRUE(Lines(*repository_, other_).empty());
  EXPECT_EQ(ReasonOf(repository_->AdoptAgent(other_, "b", "b", {}, by_)), "caller_not_found");
  EXPECT_TRUE(repository_->ListBlocks(other_, {})->items.empty());
  EXPECT_TRUE(repository_->ReadSettings(other_, 0)->blocked_sources.empty());
  EXPECT_EQ(ReasonOf(repository_->RemoveBlock(other_, BlockKind::kSource, "10.0.0.2", by_)),
            "block_not_found");
  EXPECT_TRUE(repository_->AddAgent(other_, "a", {}, by_));
  EXPECT_EQ(repository_->ListOperations(other_, {})->items.size(), 2u);
  EXPECT_EQ(repository_->ReadCounts(tenant_)->operator_entries, 4);
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
