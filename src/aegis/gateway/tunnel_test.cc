#include "aegis/gateway/tunnel.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <functional>
#include <optional>
#include <string>

#include "aegis/base/file.h"

namespace aegis::gateway {
namespace {

using Side = Tunnel::Side;
using Over = Tunnel::Over;

// A tunnel between two socket pairs, whose far ends the test holds.
class TunnelTest : public ::testing::Test, private Tunnel::User {
 protected:
  class Port final : private net::Watch::Listener {
   public:
    Port(Side side, Tunnel& tunnel, net::EventLoop& loop) : side_(side), tunnel_(tunnel) {
      int fds[2];
      EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
      EXPECT_TRUE(watch.Open(loop, FileDescriptor(fds[0]), this));
      far = FileDescriptor(fds[1]);
    }
    // What has come, and whether the end has.
    bool Read(std::string& into) {
      char bytes[4096];
      ssize_t got = 0;
      while ((got = ::read(far.get(), bytes, sizeof bytes)) > 0) {
        into.append(bytes, static_cast<size_t>(got));
      }
      return got == 0;
    }
    size_t Write(std::string_view bytes) {
      const ssize_t sent = ::send(far.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
      return sent < 0 ? 0 : static_cast<size_t>(sent);
    }

    net::Watch watch;
    FileDescriptor far;
    SocketEnd end{watch};

   private:
    void OnReadable() override { tunnel_.OnReadable(side_); }
    void OnWritable() override { tunnel_.OnWritable(side_); }
    Side side_;
    Tunnel& tunnel_;
  };

  void OnTunnelOver(Over why) override {
    over_ = why;
    // What users do.
    agent_.watch.Close();
    upstream_.watch.Close();
  }

  // Works until `done` holds. False: it did not within ten seconds.
  bool RunUntil(const std::function<bool()>& done) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    bool held = false;
    std::function<void()> look = [&] {
      held = done();
      if (held || std::chrono::steady_clock::now() > deadline) return loop_.Stop();
      loop_.Post(look);
    };
    loop_.Post(look);
    loop_.Run();
    return held;
  }
  bool RunUntilOver() {
    return RunUntil([&] { return over_.has_value(); });
  }
  bool RunUntilReads(Port& port, std::string_view expected) {
    std::string got;
    return RunUntil([&] {
      port.Read(got);
      return got == expected;
    });
  }
  void Start(std::string_view from_agent = {}, std::string_view from_upstream = {}) {
    tunnel_.Start(agent_.end, upstream_.end, limits_, from_agent, from_upstream);
  }

  net::EventLoop loop_;
  BufferPool buffers_;
  Tunnel tunnel_{*this, loop_, buffers_};
  Port agent_{Side::kAgent, tunnel_, loop_};
  Port upstream_{Side::kUpstream, tunnel_, loop_};
  Tunnel::Limits limits_;
  std::optional<Over> over_;
};

TEST_F(TunnelTest, RelaysBothWaysAndWhatWasReceivedBeforeFirst) {
  agent_.Write(" two");
  upstream_.Write(" four");
  Start("one", "three");
  EXPECT_TRUE(RunUntilReads(upstream_, "one two"));
  EXPECT_TRUE(RunUntilReads(agent_, "three four"));
  EXPECT_EQ(tunnel_.bytes_from_agent(), 7u);
  EXPECT_EQ(tunnel_.bytes_from_upstream(), 10u);
  EXPECT_FALSE(over_.has_value());
}

TEST_F(TunnelTest, AHalfCloseIsPassedOnAndTheOtherDirectionGoesOn) {
  Start();
  agent_.Write("question");
  ::shutdown(agent_.far.get(), SHUT_WR);
  std::string question;
  EXPECT_TRUE(RunUntil([&] { return upstream_.Read(question); }));
  EXPECT_EQ(question, "question");
  EXPECT_FALSE(over_.has_value());
  upstream_.Write("answer");
  EXPECT_TRUE(RunUntilReads(agent_, "answer"));
  ::shutdown(upstream_.far.get(), SHUT_WR);
  EXPECT_TRUE(RunUntilOver());
  EXPECT_EQ(over_, Over::kClosed);
  EXPECT_EQ(TunnelError(*over_), "");
}

TEST_F(TunnelTest, AnEndThatDoesNotReadStopsTheOther) {
  Start();
  const std::string piece(64 * 1024, 'x');
  size_t sent = 0;
  int refused = 0;
  // Full when nothing more is taken over many turns of the loop.
  EXPECT_TRUE(RunUntil([&] {
    const size_t took = agent_.Write(piece);
    sent += took;
    refused = took == 0 ? refused + 1 : 0;
    return refused > 100;
  }));
  // All but one buffer is with the kernel.
  EXPECT_LE(sent - tunnel_.bytes_from_agent(), 512u * 1024);
  EXPECT_LT(sent, 2u << 20);
  std::string got;
  EXPECT_TRUE(RunUntil([&] {
    upstream_.Read(got);
    return got.size() == sent;
  }));
  EXPECT_EQ(tunnel_.bytes_from_agent(), sent);
}

TEST_F(TunnelTest, MuchDataBothWaysArrivesWholeAndInOrder) {
  std::string data(3 << 20, '\0');
  for (size_t i = 0; i < data.size(); ++i) data[i] = static_cast<char>(i * 2654435761u >> 24);
  Start();
  size_t up = 0, down = 0;
  std::string got_up, got_down;
  bool up_ended = false, down_ended = false;
  EXPECT_TRUE(RunUntil([&] {
    up += agent_.Write(std::string_view(data).substr(up));
    down += upstream_.Write(std::string_view(data).substr(down));
    if (up == data.size()) ::shutdown(agent_.far.get(), SHUT_WR);
    if (down == data.size()) ::shutdown(upstream_.far.get(), SHUT_WR);
    up_ended = upstream_.Read(got_up);
    down_ended = agent_.Read(got_down);
    return over_.has_value() && up_ended && down_ended;
  }));
  EXPECT_TRUE(got_up == data);
  EXPECT_TRUE(got_down == data);
  EXPECT_EQ(over_, Over::kClosed);
}

TEST_F(TunnelTest, IdleAndOldTunnelsEnd) {
  limits_.idle_timeout_ms = 100;
  Start();
  EXPECT_TRUE(RunUntilOver());
  EXPECT_EQ(over_, Over::kIdle);
  EXPECT_EQ(TunnelError(*over_), "idle_timeout");
}

TEST_F(TunnelTest, ABusyTunnelLivesNoLongerThanItMay) {
  limits_.idle_timeout_ms = 2'000;
  limits_.lifetime_ms = 200;
  Start();
  std::string got;
  EXPECT_TRUE(RunUntil([&] {
    if (!over_) agent_.Write("x");
    upstream_.Read(got);
    return over_.has_value();
  }));
  EXPECT_EQ(over_, Over::kLifetime);
  EXPECT_GT(got.size(), 0u);
}

TEST_F(TunnelTest, MoreBytesThanAllowedEndIt) {
  limits_.max_bytes_from_agent = 10;
  Start();
  agent_.Write("0123456789");
  EXPECT_TRUE(RunUntilReads(upstream_, "0123456789"));
  EXPECT_FALSE(over_.has_value());
  agent_.Write("!");
  EXPECT_TRUE(RunUntilOver());
  EXPECT_EQ(over_, Over::kByteLimit);
  std::string got;
  upstream_.Read(got);
  EXPECT_EQ(got, "");
  EXPECT_EQ(tunnel_.bytes_from_agent(), 10u);
}

TEST_F(TunnelTest, BytesReceivedBeforeCountToo) {
  limits_.max_bytes_from_upstream = 3;
  Start("", "four");
  EXPECT_EQ(over_, Over::kByteLimit);
  EXPECT_EQ(tunnel_.bytes_from_upstream(), 0u);
}

TEST_F(TunnelTest, ABrokenEndIsToldApart) {
  Start();
  // Unread bytes make the close a reset.
  EXPECT_EQ(::send(upstream_.watch.fd(), "unread", 6, 0), 6);
  upstream_.far = FileDescriptor();
  EXPECT_TRUE(RunUntilOver());
  EXPECT_EQ(over_, Over::kUpstreamBroken);
  EXPECT_EQ(TunnelError(*over_), "upstream_reset");
}

TEST_F(TunnelTest, WritingToAnAgentThatLeftEndsIt) {
  Start();
  agent_.far = FileDescriptor();
  upstream_.Write("late");
  EXPECT_TRUE(RunUntilOver());
  EXPECT_EQ(over_, Over::kAgentBroken);
}

TEST_F(TunnelTest, NothingIsSaidAfterCancel) {
  limits_.idle_timeout_ms = 50;
  Start();
  tunnel_.Cancel();
  EXPECT_FALSE(tunnel_.active());
  agent_.Write("x");
  tunnel_.OnReadable(Side::kAgent);
  int turns = 0;
  EXPECT_TRUE(RunUntil([&] { return ++turns > 100; }));
  EXPECT_FALSE(over_.has_value());
  std::string got;
  upstream_.Read(got);
  EXPECT_EQ(got, "");
}

// A TLS stream may want the opposite of what it is asked for.
class ContraryEnd final : public TunnelEnd {
 public:
  net::IoStep Read(char* data, size_t) override {
    if (reads++ == 0) return {-1, net::IoWant::kWrite};
    if (reads > 2) return {-1, net::IoWant::kRead};
    *data = 'r';
    return {1, net::IoWant::kNothing};
  }
  net::IoStep Write(std::string_view bytes) override {
    if (writes++ == 0) return {-1, net::IoWant::kRead};
    written.append(bytes);
    return {static_cast<ssize_t>(bytes.size()), net::IoWant::kNothing};
  }
  void CloseWriting() override {}
  void AwaitReadable() override { ++awaits_readable; }
  void AwaitWritable() override { ++awaits_writable; }

  int reads = 0, writes = 0, awaits_readable = 0, awaits_writable = 0;
  std::string written;
};

TEST_F(TunnelTest, ReadingMayWaitForWritableAndWritingForReadable) {
  ContraryEnd upstream;
  tunnel_.Start(agent_.end, upstream, limits_, "w");
  EXPECT_EQ(upstream.awaits_writable, 1);
  EXPECT_EQ(upstream.awaits_readable, 1);
  tunnel_.OnReadable(Side::kUpstream);
  EXPECT_EQ(upstream.written, "w");
  EXPECT_EQ(upstream.reads, 1);
  tunnel_.OnWritable(Side::kUpstream);
  EXPECT_EQ(upstream.awaits_readable, 2);
  std::string got;
  agent_.Read(got);
  EXPECT_EQ(got, "r");
}

}  // namespace
}  // namespace aegis::gateway
