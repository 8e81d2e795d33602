// Kills a writing process at random moments and checks that what it had acknowledged is there, and
// that every change has its operator entry.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <random>
#include <thread>

#include "aegis/store/sqlite.h"
#include "aegis/store/sqlite_repository.h"
#include "aegis/store/test_folder.h"

namespace aegis::store {
namespace {

const TenantKey kTenant{"default", "default"};
const Operator kBy{"system", "", 1};

// What the child reports after each acknowledged change; small enough for one atomic pipe write.
struct Acknowledged {
  char kind;  // 'a': agent, 'p': policy version
  int64_t number;
};

// Writes for ever: agents and policy versions in turn.
[[noreturn]] void WriteUntilKilled(const std::string& path, int64_t first, int report) {
  auto repository = OpenSqliteRepository({path, 1});
  if (!repository || !(*repository)->EnsureTenant(kTenant, kBy)) ::_exit(3);
  for (int64_t n = first;; ++n) {
    if (!(*repository)->AddAgent(kTenant, "agent-" + std::to_string(n), {}, kBy)) ::_exit(4);
    const Acknowledged agent{'a', n};
    if (::write(report, &agent, sizeof agent) != sizeof agent) ::_exit(5);

    auto version = (*repository)->NextPolicyVersion(kTenant);
    if (!version) ::_exit(6);
    NewPolicyVersion policy;
    policy.version = *version;
    policy.bundle = std::string(20'000, static_cast<char>('a' + *version % 26));
    policy.bundle_sha256 = std::string(64, static_cast<char>('a' + *version % 6));
    policy.sources = {{"p.yaml", std::to_string(*version)}};
    if (!(*repository)->PublishPolicy(kTenant, policy, kBy)) ::_exit(7);
    const Acknowledged published{'p', *version};
    if (::write(report, &published, sizeof published) != sizeof published) ::_exit(8);
  }
}

void ExpectWhole(const std::string& path) {
  auto database = Database::Open(path, false);
  ASSERT_TRUE(database);
  for (const char* pragma : {"PRAGMA integrity_check", "PRAGMA foreign_key_check"}) {
    auto check = (*database)->Start(pragma);
    ASSERT_TRUE(check);
    auto row = check->Step();
    ASSERT_TRUE(row);
    if (*row) {
      EXPECT_EQ(check->Text(0), "ok") << pragma;
    }
  }
}

TEST(CrashTest, AKillLosesNothingAcknowledged) {
  constexpr int kRounds = 25;
  TestFolder folder;
  const std::string path = folder.File("aegis.db");
  std::mt19937 random(20240601);
  int64_t next = 0, last_agent = -1, last_version = 0;

  for (int round = 0; round < kRounds; ++round) {
    int ends[2];
    ASSERT_EQ(::pipe(ends), 0);
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      ::close(ends[0]);
      WriteUntilKilled(path, next, ends[1]);
    }
    ::close(ends[1]);
    // The moment is the point here: anywhere in opening, migrating, writing, or committing.
    std::this_thread::sleep_for(std::chrono::microseconds(random() % 60'000));
    ::kill(child, SIGKILL);
    int status = 0;
    ::waitpid(child, &status, 0);
    ASSERT_TRUE(WIFSIGNALED(status)) << "the writer failed by itself: exit " << WEXITSTATUS(status);
    Acknowledged acknowledged{};
    while (::read(ends[0], &acknowledged, sizeof acknowledged) == sizeof acknowledged) {
      (acknowledged.kind == 'a' ? last_agent : last_version) = acknowledged.number;
    }
    ::close(ends[0]);

    auto repository = OpenSqliteRepository({path, 1});
    ASSERT_TRUE(repository) << repository.error().ToString();
    ASSERT_TRUE((*repository)->EnsureTenant(kTenant, kBy));
    auto counts = (*repository)->ReadCounts(kTenant);
    ASSERT_TRUE(counts);
    // Names are numbered without gaps, so a count says that each one is there. One more than
    // acknowledged is fine: committed, then killed before the report.
    EXPECT_GE(counts->agents, last_agent + 1);
    EXPECT_LE(counts->agents, last_agent + 2);
    EXPECT_GE(counts->policy_versions, last_version);
    EXPECT_LE(counts->policy_versions, last_version + 1);
    EXPECT_EQ(counts->active_policy, counts->policy_versions);
    EXPECT_EQ(counts->operator_entries, 1 + counts->agents + counts->policy_versions);
    if (counts->active_policy > 0) {
      auto bundle = (*repository)->GetPolicyBundle(kTenant, counts->active_policy);
      ASSERT_TRUE(bundle);
      EXPECT_EQ(*bundle, std::string(20'000, static_cast<char>('a' + counts->active_policy % 26)));
      EXPECT_EQ((*repository)->GetPolicySources(kTenant, counts->active_policy)->at(0).content,
                std::to_string(counts->active_policy));
    }
    next = counts->agents;
    last_agent = counts->agents - 1;
    last_version = counts->policy_versions;
    repository->reset();
    ExpectWhole(path);
  }
  EXPECT_GT(last_version, 0) << "no round got as far as a change";
}

}  // namespace
}  // namespace aegis::store
