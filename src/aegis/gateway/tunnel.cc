#include "aegis/gateway/tunnel.h"

#include <sys/socket.h>

#include <cerrno>

namespace aegis::gateway {
namespace {

using net::IoStep;
using net::IoWant;

// Of one direction, before the loop looks at others.
constexpr uint64_t kBytesPerTurn = 16 * Tunnel::kBufferBytes;

IoStep StepOf(ssize_t moved, IoWant want) {
  if (moved >= 0) return {moved, IoWant::kNothing};
  const bool blocked = errno == EAGAIN || errno == EWOULDBLOCK;
  return {-1, blocked ? want : IoWant::kNothing};
}

}  // namespace

IoStep SocketEnd::Read(char* data, size_t size) {
  ssize_t got = 0;
  do got = ::recv(watch_.fd(), data, size, 0);
  while (got < 0 && errno == EINTR);
  return StepOf(got, IoWant::kRead);
}

IoStep SocketEnd::Write(std::string_view data) {
  ssize_t sent = 0;
  do sent = ::send(watch_.fd(), data.data(), data.size(), MSG_NOSIGNAL);
  while (sent < 0 && errno == EINTR);
  return StepOf(sent, IoWant::kWrite);
}

void SocketEnd::CloseWriting() { ::shutdown(watch_.fd(), SHUT_WR); }

std::string_view TunnelError(Tunnel::Over why) {
  switch (why) {
    case Tunnel::Over::kClosed:
      return {};
    case Tunnel::Over::kAgentBroken:
      return "client_gone";
    case Tunnel::Over::kUpstreamBroken:
      return "upstream_reset";
    case Tunnel::Over::kIdle:
      return "idle_timeout";
    case Tunnel::Over::kLifetime:
      return "lifetime_exceeded";
    case Tunnel::Over::kByteLimit:
      return "byte_limit";
  }
  return {};
}

Tunnel::Tunnel(User& user, net::EventLoop& loop, BufferPool& buffers)
    : user_(user),
      loop_(loop),
      idle_timer_([](void* self) { static_cast<Tunnel*>(self)->Finish(Over::kIdle); }, this),
      life_timer_([](void* self) { static_cast<Tunnel*>(self)->Finish(Over::kLifetime); }, this),
      again_([](void* self) { static_cast<Tunnel*>(self)->OnAgain(); }, this),
      ways_{Way(Side::kAgent, buffers), Way(Side::kUpstream, buffers)} {}

void Tunnel::Start(TunnelEnd& agent, TunnelEnd& upstream, const Limits& limits,
                   std::string_view from_agent, std::string_view from_upstream) {
  Cancel();
  active_ = true;
  limits_ = limits;
  ways_[0].Begin(agent, upstream, limits.max_bytes_from_agent, from_agent);
  ways_[1].Begin(upstream, agent, limits.max_bytes_from_upstream, from_upstream);
  if (limits_.lifetime_ms > 0) life_timer_.Arm(loop_, limits_.lifetime_ms);
  if (limits_.idle_timeout_ms > 0) idle_timer_.Arm(loop_, limits_.idle_timeout_ms);
  OnAgain();
}

void Tunnel::Way::Begin(TunnelEnd& from_end, TunnelEnd& to_end, uint64_t most,
                        std::string_view received) {
  source = &from_end;
  sink = &to_end;
  max_bytes = most;
  taken = received.size();
  passed = 0;
  ended = done = false;
  wait = Wait::kNothing;
  buffer.Append(received);
}

void Tunnel::Cancel() {
  active_ = false;
  idle_timer_.Disarm();
  life_timer_.Disarm();
  again_.Cancel();
  for (Way& way : ways_) way.buffer.Release();
}

void Tunnel::OnEvent(Side side, Wait event) {
  if (!active_) return;
  for (Way& way : ways_) {
    if (way.wait == event && way.wait_side == side && !Pump(way)) return Finish(over_);
  }
  FinishWhenDone();
}

void Tunnel::OnAgain() {
  for (Way& way : ways_) {
    if (way.wait == Wait::kNothing && !Pump(way)) return Finish(over_);
  }
  FinishWhenDone();
}

void Tunnel::FinishWhenDone() {
  if (ways_[0].done && ways_[1].done) Finish(Over::kClosed);
}

bool Tunnel::Pump(Way& way) {
  if (way.done) return true;
  way.wait = Wait::kNothing;
  const uint64_t before = way.taken + way.passed;
  const Step step = Move(way);
  if (way.taken + way.passed != before && limits_.idle_timeout_ms > 0) {
    idle_timer_.Arm(loop_, limits_.idle_timeout_ms);
  }
  if (way.buffer.empty()) way.buffer.Release();
  switch (step) {
    case Step::kWaits:
      return true;
    case Step::kYields:
      again_.Schedule(loop_);
      return true;
    case Step::kDone:
      way.done = true;
      way.sink->CloseWriting();
      return true;
    case Step::kByteLimit:
      over_ = Over::kByteLimit;
      return false;
    case Step::kSourceBroken:
      over_ = BrokenAt(way.from);
      return false;
    case Step::kSinkBroken:
      over_ = BrokenAt(Other(way.from));
      return false;
  }
  return true;
}

Tunnel::Step Tunnel::Move(Way& way) {
  const uint64_t turn_ends = way.passed + kBytesPerTurn;
  while (true) {
    if (way.max_bytes > 0 && way.taken > way.max_bytes) return Step::kByteLimit;
    if (!way.buffer.empty()) {
      const IoStep step = way.sink->Write(way.buffer.view());
      if (step.bytes <= 0) return Await(way, Other(way.from), step.want, Step::kSinkBroken);
      way.buffer.Consume(static_cast<size_t>(step.bytes));
      way.passed += static_cast<uint64_t>(step.bytes);
      continue;
    }
    if (way.ended) return Step::kDone;
    if (way.passed >= turn_ends) return Step::kYields;
    way.buffer.Reserve(kBufferBytes);
    const IoStep step = way.source->Read(way.buffer.room(), kBufferBytes);
    if (step.bytes < 0) return Await(way, way.from, step.want, Step::kSourceBroken);
    way.ended = step.bytes == 0;
    way.buffer.Commit(static_cast<size_t>(step.bytes));
    way.taken += static_cast<uint64_t>(step.bytes);
  }
}

Tunnel::Step Tunnel::Await(Way& way, Side side, IoWant want, Step broken) {
  if (want == IoWant::kNothing) return broken;
  TunnelEnd& end = side == way.from ? *way.source : *way.sink;
  way.wait = want == IoWant::kRead ? Wait::kReadable : Wait::kWritable;
  way.wait_side = side;
  if (want == IoWant::kRead) {
    end.AwaitReadable();
  } else {
    end.AwaitWritable();
  }
  return Step::kWaits;
}

void Tunnel::Finish(Over why) {
  Cancel();
  user_.OnTunnelOver(why);
}

}  // namespace aegis::gateway
