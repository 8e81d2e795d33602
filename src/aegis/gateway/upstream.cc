#include "aegis/gateway/upstream.h"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

#include "aegis/base/clock.h"
#include "aegis/base/result.h"

namespace aegis::gateway {
namespace {

constexpr int64_t kSweepMs = 5'000;
constexpr int64_t kTrustedIdleMs = 500;

int64_t NowMs() { return Clock::System().MonotonicNanos() / 1'000'000; }

}  // namespace

void UpstreamConnection::OnReadable() {
  if (state_ == State::kActive) return user_->OnUpstreamReadable();
  // An idle connection that becomes readable was closed by the tool, or says what nobody asked for.
  if (state_ == State::kIdle) pool_.CloseIdle(this);
}

void UpstreamConnection::OnWritable() {
  if (state_ == State::kActive) return user_->OnUpstreamWritable();
  if (state_ != State::kConnecting) return;
  const int error = net::ConnectResult(watch_.fd());
  if (error != 0) return user_->OnUpstreamConnectFailed(error);
  state_ = State::kActive;
  user_->OnUpstreamConnected();
}

UpstreamPool::UpstreamPool(net::EventLoop& loop, BufferPool& buffers, Graveyard& graveyard,
                           const net::SocketAddress& address, const Options& options)
    : loop_(loop),
      buffers_(buffers),
      graveyard_(graveyard),
      address_(address),
      options_(options),
      sweep_timer_([](void* self) { static_cast<UpstreamPool*>(self)->Sweep(); }, this) {}

UpstreamPool::~UpstreamPool() { AEGIS_DCHECK(!in_use()); }

// A connection that was idle for a while may be closed by the tool at this very moment, with the
// news still in the kernel; a request that must not be sent twice would fail for nothing.
bool UpstreamPool::IsStale(const UpstreamConnection& connection) {
  if (NowMs() - connection.idle_since_ms_ < kTrustedIdleMs) return false;
  char byte = 0;
  return ::recv(connection.fd(), &byte, 1, MSG_PEEK) >= 0 || errno != EAGAIN;
}

UpstreamConnection* UpstreamPool::Acquire(UpstreamUser* user, bool fresh) {
  while (!fresh && !idle_.empty() && IsStale(*idle_.back())) CloseIdle(idle_.back());
  if (!fresh && !idle_.empty()) {
    UpstreamConnection* connection = idle_.back();
    idle_.pop_back();
    connection->state_ = UpstreamConnection::State::kActive;
    connection->reused_ = true;
    connection->user_ = user;
    return connection;
  }
  auto fd = net::StartConnect(address_);
  if (!fd) return nullptr;
  auto connection = std::make_unique<UpstreamConnection>(*this, buffers_, options_.limits);
  if (!connection->watch_.Open(loop_, *std::move(fd), connection.get())) return nullptr;
  connection->user_ = user;
  connection->index_ = all_.size();
  connection->watch_.WaitWritable();
  all_.push_back(std::move(connection));
  return all_.back().get();
}

void UpstreamPool::Release(UpstreamConnection* connection, bool reusable) {
  connection->user_ = nullptr;
  if (!reusable || retired_ || idle_.size() >= options_.max_idle || !connection->input.empty() ||
      connection->watch_.waits_writable()) {
    return Close(connection);
  }
  connection->input.Release();
  connection->state_ = UpstreamConnection::State::kIdle;
  connection->idle_since_ms_ = NowMs();
  connection->watch_.WaitReadable();
  idle_.push_back(connection);
  if (!sweep_timer_.armed()) sweep_timer_.Arm(loop_, kSweepMs);
}

void UpstreamPool::Retire() {
  retired_ = true;
  while (!idle_.empty()) CloseIdle(idle_.back());
}

void UpstreamPool::CloseIdle(UpstreamConnection* connection) {
  idle_.erase(std::find(idle_.begin(), idle_.end(), connection));
  Close(connection);
}

void UpstreamPool::Close(UpstreamConnection* connection) {
  connection->watch_.Close();
  connection->state_ = UpstreamConnection::State::kClosed;
  connection->input.Release();
  const size_t index = connection->index_;
  std::unique_ptr<UpstreamConnection> dead = std::move(all_[index]);
  if (index + 1 < all_.size()) {
    all_[index] = std::move(all_.back());
    all_[index]->index_ = index;
  }
  all_.pop_back();
  graveyard_.Bury(std::move(dead));
}

void UpstreamPool::Sweep() {
  const int64_t limit = NowMs() - options_.idle_timeout_ms;
  // The first were used longest ago.
  while (!idle_.empty() && idle_.front()->idle_since_ms_ <= limit) CloseIdle(idle_.front());
  if (!idle_.empty()) sweep_timer_.Arm(loop_, kSweepMs);
}

}  // namespace aegis::gateway
