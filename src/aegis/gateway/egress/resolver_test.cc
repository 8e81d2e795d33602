#include "aegis/gateway/egress/resolver.h"

#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <optional>

namespace aegis::gateway {
namespace {

Resolved Answer(const char* address) {
  Resolved out;
  out.addresses.push_back(*net::ResolveAddress(std::string(address) + ":0"));
  return out;
}

TEST(ResolverTest, AsksOnceForManyAndKeepsTheAnswer) {
  std::atomic<int> lookups{0};
  std::promise<void> go;
  const std::shared_future<void> may_go(go.get_future());
  Resolver resolver([&](const std::string& name) {
    ++lookups;
    may_go.wait();
    EXPECT_EQ(name, "a.example");
    return Answer("192.0.2.1");
  });
  net::EventLoop loop;
  Resolver::Mailbox mailbox(loop);
  int answers = 0;
  const auto count = [&](const Resolved& resolved) {
    EXPECT_EQ(resolved.addresses.at(0).ToString(), "192.0.2.1:0");
    if (++answers == 3) loop.Stop();
  };
  resolver.Resolve("a.example", "agent", mailbox, count);
  resolver.Resolve("a.example", "agent", mailbox, count);
  go.set_value();
  // Once those have their answer it is known.
  resolver.Resolve("a.example", "agent", mailbox,
                   [&](const Resolved& resolved) { count(resolved); });
  loop.Run();
  EXPECT_EQ(answers, 3);
  EXPECT_EQ(lookups, 1);
}

TEST(ResolverTest, AFailureIsToldAndHungThreadsLeaveOthersAlone) {
  std::promise<void> never;
  const std::shared_future<void> hang(never.get_future());
  net::EventLoop loop;
  {
    Resolver resolver([&, hang](const std::string& name) {
      if (name == "slow.example") hang.wait();
      Resolved out;
      out.error = "name_unknown";
      return out;
    });
    Resolver::Mailbox mailbox(loop);
    resolver.Resolve("slow.example", "agent", mailbox, [](const Resolved&) { FAIL(); });
    std::string error;
    resolver.Resolve("gone.example", "agent", mailbox, [&](const Resolved& resolved) {
      error = resolved.error;
      loop.Stop();
    });
    loop.Run();
    EXPECT_EQ(error, "name_unknown");
  }
  // The resolver is gone though a thread of it still waits.
  never.set_value();
}

TEST(ResolverTest, OneAskersHangingNamesHoldUpNobodyElse) {
  std::promise<void> never;
  const std::shared_future<void> hang(never.get_future());
  net::EventLoop loop;
  Resolver resolver([hang](const std::string& name) {
    if (name.starts_with("h")) hang.wait();
    Resolved out;
    out.error = "name_unknown";
    return out;
  });
  Resolver::Mailbox mailbox(loop);
  for (size_t i = 0; i < Resolver::kMaxWaitingOfOne; ++i) {
    resolver.Resolve("h" + std::to_string(i) + ".example", "agent", mailbox,
                     [](const Resolved&) {});
  }
  std::string error;
  resolver.Resolve("more.example", "agent", mailbox, [&](const Resolved& resolved) {
    error = resolved.error;
    loop.Stop();
  });
  loop.Run();
  EXPECT_EQ(error, "resolver_busy");
  resolver.Resolve("other.example", "other", mailbox, [&](const Resolved& resolved) {
    error = resolved.error;
    loop.Stop();
  });
  loop.Run();
  EXPECT_EQ(error, "name_unknown");
  never.set_value();
}

TEST(ResolverTest, TheSystemKnowsLocalhost) {
  const Resolved resolved = Resolver::SystemLookup("localhost");
  ASSERT_FALSE(resolved.addresses.empty()) << resolved.error;
  EXPECT_TRUE(resolved.addresses[0].is_loopback());
  EXPECT_EQ(Resolver::SystemLookup("no-such-name.invalid").addresses.size(), 0u);
}

}  // namespace
}  // namespace aegis::gateway
