#include "aegis/net/event_loop.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <thread>

namespace aegis::net {
namespace {

int64_t NowMs() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

TEST(EventLoopTest, RunsPostedTasksInOrder) {
  EventLoop loop;
  std::string order;
  std::thread other([&] {
    loop.Post([&] { order += "a"; });
    loop.Post([&] { order += "b"; });
    loop.Stop();
  });
  loop.Run();
  other.join();
  EXPECT_EQ(order, "ab");
}

TEST(EventLoopTest, DeferredWorkComesOnceAndAfterTheEventsAtHand) {
  EventLoop loop;
  struct Shared {
    EventLoop* loop;
    std::string order;
    Deferred* again = nullptr;
  } shared{&loop, {}};
  Deferred once([](void* context) { static_cast<Shared*>(context)->order += "d"; }, &shared);
  Deferred cancelled([](void* context) { static_cast<Shared*>(context)->order += "x"; }, &shared);
  Deferred again(
      [](void* context) {
        auto* self = static_cast<Shared*>(context);
        self->order += "a";
        if (self->order.size() < 6) self->again->Schedule(*self->loop);
        if (self->order.size() == 6) self->loop->Stop();
      },
      &shared);
  shared.again = &again;
  loop.Post([&] {
    cancelled.Schedule(loop);
    once.Schedule(loop);
    once.Schedule(loop);
    cancelled.Cancel();
    EXPECT_FALSE(cancelled.scheduled());
    EXPECT_TRUE(once.scheduled());
    shared.order += "1";
  });
  loop.Post([&] {
    again.Schedule(loop);
    shared.order += "2";
  });
  loop.Run();
  EXPECT_EQ(shared.order, "12adaa");
}

TEST(EventLoopTest, TimersFireInTimeAndCanMove) {
  EventLoop loop;
  struct Shot {
    EventLoop* loop;
    int64_t at = 0;
    bool last = false;
  };
  const auto fire = [](void* context) {
    auto* shot = static_cast<Shot*>(context);
    shot->at = NowMs();
    if (shot->last) shot->loop->Stop();
  };
  Shot first{&loop}, moved{&loop}, cancelled{&loop}, last{&loop, 0, true};
  Timer a(fire, &first), b(fire, &moved), c(fire, &cancelled), d(fire, &last);
  const int64_t start = NowMs();
  a.Arm(loop, 100);
  b.Arm(loop, 100);
  b.Arm(loop, 250);  // later
  c.Arm(loop, 100);
  d.Arm(loop, 100'000);
  d.Arm(loop, 350);  // earlier
  c.Disarm();
  loop.Run();
  EXPECT_GE(first.at - start, 100);
  EXPECT_LE(first.at, moved.at);
  EXPECT_GE(moved.at - start, 250);
  EXPECT_EQ(cancelled.at, 0);
  EXPECT_FALSE(a.armed());
}

TEST(EventLoopTest, TimerBeyondOneRoundOfTheWheelWaits) {
  EventLoop loop;
  int fired = 0;
  Timer far([](void* context) { ++*static_cast<int*>(context); }, &fired);
  Timer stop([](void* context) { static_cast<EventLoop*>(context)->Stop(); }, &loop);
  // 256 slots of 50 ms: this one shares a slot with the near one.
  far.Arm(loop, 256 * 50 + 100);
  stop.Arm(loop, 100);
  loop.Run();
  EXPECT_EQ(fired, 0);
  EXPECT_TRUE(far.armed());
}

struct Pair final : Watch::Listener {
  Pair(EventLoop& owner) : loop(owner) {
    int fds[2];
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    watch.Open(loop, FileDescriptor(fds[0]), this);
    other = FileDescriptor(fds[1]);
  }
  void OnReadable() override {
    ++readable;
    if (close_when_readable) watch.Close();
    loop.Stop();
  }
  void OnWritable() override {
    ++writable;
    loop.Stop();
  }
  EventLoop& loop;
  Watch watch;
  FileDescriptor other;
  int readable = 0, writable = 0;
  bool close_when_readable = false;
};

TEST(WatchTest, WaitsAreOneShotAndLevelTriggered) {
  EventLoop loop;
  Pair pair(loop);
  pair.watch.WaitWritable();
  loop.Run();
  EXPECT_EQ(pair.writable, 1);
  ASSERT_EQ(::write(pair.other.get(), "ab", 2), 2);
  pair.watch.WaitReadable();
  pair.watch.WaitReadable();  // armed already
  loop.Run();
  EXPECT_EQ(pair.readable, 1);
  // Nothing was read: a new wait fires for the same bytes.
  pair.watch.WaitReadable();
  loop.Run();
  EXPECT_EQ(pair.readable, 2);
  // The peer's close is readable.
  char buffer[2];
  ASSERT_EQ(::read(pair.watch.fd(), buffer, 2), 2);
  pair.watch.WaitReadable();
  pair.other.Close();
  loop.Run();
  EXPECT_EQ(pair.readable, 3);
}

TEST(WatchTest, ClosedWatchIsSilentAndReusable) {
  EventLoop loop;
  Pair first(loop);
  first.watch.WaitReadable();
  first.watch.Close();
  Pair second(loop);
  second.close_when_readable = true;
  second.watch.WaitReadable();
  ASSERT_EQ(::write(second.other.get(), "a", 1), 1);
  loop.Run();
  EXPECT_EQ(first.readable, 0);
  EXPECT_EQ(second.readable, 1);
  EXPECT_FALSE(second.watch.is_open());
}

TEST(WakerTest, NoWakeIsLost) {
  EventLoop loop;
  struct Shared {
    EventLoop* loop;
    std::atomic<int> produced{0};
    int seen = 0;
  } shared{&loop};
  constexpr int kCount = 20'000;
  Waker waker(
      loop,
      [](void* context) {
        auto* state = static_cast<Shared*>(context);
        state->seen = state->produced.load(std::memory_order_relaxed);
        if (state->seen == kCount) state->loop->Stop();
      },
      &shared);
  std::thread producer([&] {
    for (int i = 0; i < kCount; ++i) {
      shared.produced.fetch_add(1, std::memory_order_relaxed);
      waker.Wake();
    }
  });
  loop.Run();
  producer.join();
  EXPECT_EQ(shared.seen, kCount);
}

}  // namespace
}  // namespace aegis::net
