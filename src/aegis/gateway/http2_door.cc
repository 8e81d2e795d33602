#include "aegis/gateway/http2_door.h"

#include "aegis/gateway/worker.h"

namespace aegis::gateway {
namespace {

constexpr size_t kKeptCalls = 256;

net::Http2Server::Limits ServerLimits(const Limits& limits) {
  net::Http2Server::Limits out;
  out.http2.max_head_bytes = limits.http.max_head_bytes;
  out.http2.max_streams = 128;
  out.http2.high_mark = 64 * 1024;
  out.http2.low_mark = 16 * 1024;
  out.max_connections = limits.max_connections;  // of the worker: it counts them itself
  out.setup_timeout_ms = limits.head_timeout_ms;
  out.head_timeout_ms = limits.head_timeout_ms;
  out.idle_timeout_ms = limits.keep_alive_timeout_ms;
  out.write_timeout_ms = limits.idle_timeout_ms;
  return out;
}

}  // namespace

Http2Door::Http2Door(Worker& worker)
    : worker_(worker), server_(worker.loop(), ServerLimits(worker.limits()), *this) {}

net::Http2Stream* Http2Door::NewStream(const net::Peer& peer) {
  if (free_.empty()) {
    auto call = std::make_unique<Http2Call>(worker_, *this);
    call->index = calls_.size();
    free_.push_back(call.get());
    calls_.push_back(std::move(call));
  }
  Http2Call* call = free_.back();
  free_.pop_back();
  call->Begin(peer);
  return call;
}

void Http2Door::TakeBack(Http2Call* call) {
  if (free_.size() < kKeptCalls) return free_.push_back(call);
  const size_t index = call->index;
  std::unique_ptr<Http2Call> dead = std::move(calls_[index]);
  if (index + 1 < calls_.size()) {
    calls_[index] = std::move(calls_.back());
    calls_[index]->index = index;
  }
  calls_.pop_back();
  worker_.graveyard().Bury(std::move(dead));
}

}  // namespace aegis::gateway
