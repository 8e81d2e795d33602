#include "aegis/net/http2_connection.h"

#include <algorithm>
#include <utility>

#include "aegis/base/clock.h"
#include "aegis/net/http2_server.h"

namespace aegis::net {
namespace {

constexpr int64_t kLingerMs = 2'000;
constexpr size_t kLingerBytes = 1 << 20;
constexpr int64_t kDrainNoticeMs = 1'000;  // a client that does not answer a PING by then is told
                                           // the final number of streams all the same

int64_t NowMs() { return Clock::System().MonotonicNanos() / 1'000'000; }

// How often time-outs are looked at: none may be late by more than a quarter or so.
int64_t TickMs(const Http2Server::Limits& limits) {
  const int shortest =
      std::min({limits.setup_timeout_ms, limits.head_timeout_ms, limits.idle_timeout_ms,
                limits.keep_alive_ms, limits.keep_alive_timeout_ms, limits.write_timeout_ms});
  return std::clamp(shortest / 4, 1, 1'000);
}

}  // namespace

Http2Connection::Http2Connection(Http2Server& server, ServerStream stream, Peer peer)
    : server_(server),
      timer_([](void* self) { static_cast<Http2Connection*>(self)->OnTimer(); }, this),
      flush_([](void* self) { static_cast<Http2Connection*>(self)->Flush(); }, this),
      reread_([](void* self) { static_cast<Http2Connection*>(self)->OnReadable(); }, this),
      stream_(std::move(stream)),
      session_(server.limits().http2, *this),
      peer_(std::move(peer)) {}

void Http2Connection::Start(FileDescriptor socket, std::shared_ptr<const TlsServerContext> tls) {
  started_ms_ = read_ms_ = no_streams_ms_ = NowMs();
  if (!watch_.Open(server_.loop(), std::move(socket), this)) return Close();
  timer_.Arm(server_.loop(), TickMs(server_.limits()));
  if (tls && !stream_.StartTls(std::move(tls))) return Close();
  if (stream_.is_tls()) return watch_.WaitReadable();
  state_ = State::kOpen;
  // The first SETTINGS leave with the answer to what the client says first.
  watch_.WaitReadable();
}

void Http2Connection::StartOpen(FileDescriptor socket, std::string_view received) {
  started_ms_ = read_ms_ = no_streams_ms_ = NowMs();
  if (!watch_.Open(server_.loop(), std::move(socket), this)) return Close();
  timer_.Arm(server_.loop(), TickMs(server_.limits()));
  state_ = State::kOpen;
  if (received.empty()) return Read();
  Take(received);
}

void Http2Connection::Drain() {
  if (state_ == State::kHandshake || (state_ == State::kOpen && !session_.established())) {
    return Close();
  }
  if (state_ != State::kOpen || session_.draining()) return;
  drain_ms_ = NowMs();
  session_.BeginDrain();
}

void Http2Connection::Close() {
  if (state_ == State::kClosed) return;
  state_ = State::kClosed;
  timer_.Disarm();
  flush_.Cancel();
  reread_.Cancel();
  session_.Abandon();
  watch_.Close();
  server_.Remove(this);
}

Http2Stream* Http2Connection::NewStream() { return server_.application().NewStream(peer_); }

void Http2Connection::OnOutput() {
  if (state_ == State::kOpen && !blocked_) flush_.Schedule(server_.loop());
}

void Http2Connection::Wait(IoWant want) {
  if (want == IoWant::kWrite) {
    watch_.WaitWritable();
  } else {
    watch_.WaitReadable();
  }
}

void Http2Connection::OnReadable() {
  switch (state_) {
    case State::kHandshake:
      return Handshake();
    case State::kOpen:
      // A TLS record may have to be read before one can be written.
      return blocked_ ? OnWritable() : Read();
    case State::kLinger:
      return ReadAway();
    case State::kClosed:
      return;
  }
}

void Http2Connection::OnWritable() {
  if (state_ == State::kHandshake) return Handshake();
  if (state_ == State::kLinger) return ReadAway();
  if (state_ == State::kOpen && blocked_) {
    if (!WritePending()) return;
    Flush();
  }
  // What wanted to write may have been a read of TLS.
  if (state_ == State::kOpen && !blocked_) Read();
}

void Http2Connection::Handshake() {
  const IoStep step = stream_.Handshake();
  if (step.want != IoWant::kNothing) return Wait(step.want);
  if (step.bytes <= 0) {
    ++server_.counters().handshakes_failed;
    return Close();
  }
  peer_.principal = stream_.Principal();
  state_ = State::kOpen;
  Read();
}

void Http2Connection::Read() {
  const IoStep step = stream_.Read(server_.input(), Http2Server::kReadBytes);
  if (step.want != IoWant::kNothing) return Wait(step.want);
  if (step.bytes <= 0) return Close();
  Take({server_.input(), static_cast<size_t>(step.bytes)});
}

void Http2Connection::Take(std::string_view received) {
  read_ms_ = NowMs();
  ping_ms_ = 0;
  // Whether it went well is seen when the session is over.
  session_.Receive(received);
  if (session_.receiving_head()) {
    if (head_ms_ == 0) head_ms_ = read_ms_;
  } else {
    head_ms_ = 0;
  }
  if (session_.stream_count() > 0) no_streams_ms_ = 0;
  Flush();
  if (state_ != State::kOpen || blocked_) return;
  watch_.WaitReadable();
  // What TLS holds already does not make the socket readable.
  if (stream_.has_pending()) reread_.Schedule(server_.loop());
}

// False: the client does not take it all now, or is gone.
bool Http2Connection::WritePending() {
  const IoStep step = stream_.Write(pending_);
  if (step.bytes < 0 && step.want == IoWant::kNothing) {
    Close();
    return false;
  }
  if (step.bytes > 0) {
    blocked_ms_ = NowMs();
    pending_.erase(0, static_cast<size_t>(step.bytes));
  }
  if (!pending_.empty()) {
    Wait(step.want == IoWant::kRead ? IoWant::kRead : IoWant::kWrite);
    return false;
  }
  blocked_ = false;
  std::string().swap(pending_);
  return true;
}

void Http2Connection::Flush() {
  flush_.Cancel();
  while (state_ == State::kOpen && !blocked_) {
    std::string& out = server_.output();
    out.clear();
    session_.Produce(out, Http2Server::kWriteBytes);
    if (out.empty()) break;
    const IoStep step = stream_.Write(out);
    if (step.bytes < 0 && step.want == IoWant::kNothing) return Close();
    const size_t sent = step.bytes > 0 ? static_cast<size_t>(step.bytes) : 0;
    if (sent == out.size()) continue;
    pending_.assign(out, sent);
    blocked_ = true;
    blocked_ms_ = NowMs();
    Wait(step.want == IoWant::kRead ? IoWant::kRead : IoWant::kWrite);
  }
  if (state_ == State::kOpen && !blocked_ && session_.over()) BeginLinger();
}

void Http2Connection::BeginLinger() {
  if (session_.broken()) ++server_.counters().broken;
  stream_.Shutdown();
  session_.Abandon();
  state_ = State::kLinger;
  drain_ms_ = NowMs();
  watch_.WaitReadable();
}

void Http2Connection::ReadAway() {
  const IoStep step = stream_.Read(server_.input(), Http2Server::kReadBytes);
  if (step.want != IoWant::kNothing) return Wait(step.want);
  if (step.bytes <= 0) return Close();
  lingered_ += static_cast<size_t>(step.bytes);
  if (lingered_ > kLingerBytes) return Close();
  watch_.WaitReadable();
}

void Http2Connection::OnTimer() {
  const Http2Server::Limits& limits = server_.limits();
  const int64_t now = NowMs();
  const auto since = [now](int64_t then) { return now - then; };
  timer_.Arm(server_.loop(), TickMs(limits));
  if (state_ == State::kLinger) {
    if (since(drain_ms_) >= kLingerMs) Close();
    return;
  }
  const bool set_up = state_ == State::kOpen && session_.established();
  if ((!set_up && since(started_ms_) >= limits.setup_timeout_ms) ||
      (head_ms_ != 0 && since(head_ms_) >= limits.head_timeout_ms) ||
      (blocked_ && since(blocked_ms_) >= limits.write_timeout_ms) ||
      (ping_ms_ != 0 && since(ping_ms_) >= limits.keep_alive_timeout_ms)) {
    ++server_.counters().broken;
    return Close();
  }
  if (!set_up) return;
  if (session_.draining() && since(drain_ms_) >= kDrainNoticeMs) session_.FinishDrain();
  session_.ResetStalled(now, limits.write_timeout_ms);
  session_.Tick(now);
  if (session_.stream_count() > 0) {
    no_streams_ms_ = 0;
  } else if (no_streams_ms_ == 0) {
    no_streams_ms_ = std::max(read_ms_, now - TickMs(limits));
  } else if (since(no_streams_ms_) >= limits.idle_timeout_ms && !session_.draining()) {
    return Drain();
  }
  if (ping_ms_ == 0 && since(read_ms_) >= limits.keep_alive_ms && !blocked_) {
    ping_ms_ = now;
    session_.Ping();
  }
}

}  // namespace aegis::net
