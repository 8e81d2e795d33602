#include "aegis/gateway/upstream.h"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "aegis/base/clock.h"
#include "aegis/base/result.h"

namespace aegis::gateway {
namespace {

using net::IoStep;
using net::IoWant;

constexpr int64_t kSweepMs = 5'000;
constexpr int64_t kTrustedIdleMs = 500;
constexpr size_t kTlsRecordBytes = 16 * 1024;  // RFC 8446 §5.1
constexpr size_t kFreeRetries = 3;

int64_t NowMs() { return Clock::System().MonotonicNanos() / 1'000'000; }

}  // namespace

struct UpstreamConnection::Endpoint {
  net::SocketAddress address;
  UpstreamHealth health;
};

UpstreamConnection::UpstreamConnection(UpstreamPool& pool, BufferPool& buffers,
                                       const net::Http1Limits& limits)
    : parser(limits),
      input(buffers),
      pool_(pool),
      timer_(
          [](void* self) {
            static_cast<UpstreamConnection*>(self)->OnFailed(UpstreamFailure::kTimeout,
                                                             "not in time");
          },
          this),
      again_([](void* self) { static_cast<UpstreamConnection*>(self)->OnAgain(); }, this) {}

bool UpstreamConnection::TryNext(UpstreamFailure* why) {
  const size_t count = std::min(pool_.endpoints_.size(), kMaxTried);
  while (tried_count_ < count) {
    std::shared_ptr<UpstreamPool::Endpoint> next = pool_.PickEndpoint(*this);
    // The last one stays: Release asks for it.
    if (!next) return false;
    endpoint_ = std::move(next);
    tried_[tried_count_++] = endpoint_.get();
    probe_ = endpoint_->health.Begin();
    auto fd = net::StartConnect(endpoint_->address);
    if (fd && watch_.Open(pool_.loop_, *std::move(fd), this)) {
      state_ = State::kConnecting;
      // All addresses together have the time that is allowed.
      timer_.Arm(pool_.loop_,
                 std::max(1, pool_.options().connect_timeout_ms / static_cast<int>(count)));
      watch_.WaitWritable();
      return true;
    }
    *why = UpstreamFailure::kConnect;
    if (!fd && fd.error().code == Code::kResourceExhausted) {
      // Not the address's fault.
      if (std::exchange(probe_, false)) endpoint_->health.Abandon();
      return false;
    }
    probe_ = false;
    pool_.Fail(*endpoint_, "cannot connect", fd ? "" : fd.error().message);
  }
  return false;
}

void UpstreamConnection::OnFailed(UpstreamFailure why, std::string_view detail) {
  timer_.Disarm();
  tls_.Close();
  watch_.Close();
  probe_ = false;
  pool_.Fail(*endpoint_, why == UpstreamFailure::kTls ? "no TLS" : "cannot connect", detail);
  if (TryNext(&why)) return;
  user_->OnUpstreamFailed(why);
}

void UpstreamConnection::OnConnectResult() {
  if (const int error = net::ConnectResult(watch_.fd()); error != 0) {
    return OnFailed(UpstreamFailure::kConnect, std::strerror(error));
  }
  if (!pool_.tls_) return OnOpen();
  const Status started = tls_.Start(pool_.tls_, pool_.server_name_, watch_.fd(), &pool_.session_);
  if (!started) return OnFailed(UpstreamFailure::kTls, started.error().message);
  state_ = State::kHandshaking;
  Handshake();
}

void UpstreamConnection::Handshake() {
  const IoStep step = tls_.Handshake();
  if (step.want == IoWant::kRead) return watch_.WaitReadable();
  if (step.want == IoWant::kWrite) return watch_.WaitWritable();
  if (step.bytes <= 0) return OnFailed(UpstreamFailure::kTls, tls_.error());
  OnOpen();
}

void UpstreamConnection::OnOpen() {
  timer_.Disarm();
  state_ = State::kActive;
  if (!pool_.options().answers_are_failures) {
    endpoint_->health.Succeed();
    probe_ = false;
  }
  user_->OnUpstreamConnected();
}

void UpstreamConnection::OnReadable() {
  switch (state_) {
    case State::kHandshaking:
      return Handshake();
    case State::kActive:
      if (std::exchange(write_waits_readable_, false)) {
        user_->OnUpstreamWritable();
        if (state_ != State::kActive) return;
      }
      return user_->OnUpstreamReadable();
    case State::kIdle:
      // The tool has closed it, or says what nobody asked for; or TLS had something to say.
      return IsStale() ? pool_.CloseIdle(this) : watch_.WaitReadable();
    case State::kConnecting:
    case State::kClosed:
      return;
  }
}

void UpstreamConnection::OnWritable() {
  switch (state_) {
    case State::kConnecting:
      return OnConnectResult();
    case State::kHandshaking:
      return Handshake();
    case State::kActive:
      if (std::exchange(read_waits_writable_, false)) {
        user_->OnUpstreamReadable();
        if (state_ != State::kActive) return;
      }
      return user_->OnUpstreamWritable();
    case State::kIdle:
    case State::kClosed:
      return;
  }
}

void UpstreamConnection::OnAgain() {
  if (state_ == State::kActive) user_->OnUpstreamReadable();
}

void UpstreamConnection::WaitReadable() {
  watch_.WaitReadable();
  if (tls_ && tls_.has_pending()) again_.Schedule(pool_.loop_);
}

IoStep UpstreamConnection::Read(char* data, size_t size) {
  if (tls_) return tls_.Read(data, size);
  return SocketEnd(watch_).Read(data, size);
}

IoStep UpstreamConnection::Write(std::string_view data) {
  if (tls_) return tls_.Write(data);
  return SocketEnd(watch_).Write(data);
}

void UpstreamConnection::CloseWriting() {
  if (tls_) tls_.Shutdown();
  ::shutdown(watch_.fd(), SHUT_WR);
}

IoStep UpstreamConnection::Receive(char* data, size_t size) {
  const IoStep step = Read(data, size);
  read_waits_writable_ = step.want == IoWant::kWrite;
  if (step.want == IoWant::kRead) watch_.WaitReadable();
  if (step.want == IoWant::kWrite) watch_.WaitWritable();
  return step;
}

Outbox::Result UpstreamConnection::Send(Outbox& out) {
  if (!tls_) {
    const Outbox::Result result = out.Flush(watch_.fd());
    if (result == Outbox::Result::kBlocked) watch_.WaitWritable();
    return result;
  }
  std::array<char, kTlsRecordBytes> room;
  while (!out.empty()) {
    // What was not taken is gathered anew next time, from the same bytes.
    const IoStep step = tls_.Write(out.Gather(room));
    if (step.bytes > 0) {
      out.Advance(static_cast<size_t>(step.bytes));
      continue;
    }
    if (step.want == IoWant::kNothing) return Outbox::Result::kFailed;
    write_waits_readable_ = step.want == IoWant::kRead;
    write_waits_readable_ ? watch_.WaitReadable() : watch_.WaitWritable();
    return Outbox::Result::kBlocked;
  }
  return Outbox::Result::kSent;
}

bool UpstreamConnection::IsStale() {
  char byte = 0;
  const ssize_t got = ::recv(watch_.fd(), &byte, 1, MSG_PEEK);
  if (got < 0) return errno != EAGAIN && errno != EWOULDBLOCK;
  if (got == 0 || !tls_) return true;
  // Servers send tickets after the handshake; anything else is not expected.
  return tls_.Read(&byte, 1).want != IoWant::kRead;
}

void UpstreamConnection::Close() {
  timer_.Disarm();
  again_.Cancel();
  if (tls_) tls_.Shutdown();
  tls_.Close();
  watch_.Close();
  state_ = State::kClosed;
  input.Release();
  if (std::exchange(probe_, false)) endpoint_->health.Abandon();
}

UpstreamPool::UpstreamPool(net::EventLoop& loop, BufferPool& buffers, Graveyard& graveyard,
                           UpstreamTarget target, const Options& options)
    : loop_(loop),
      buffers_(buffers),
      graveyard_(graveyard),
      tls_(std::move(target.tls)),
      server_name_(std::move(target.server_name)),
      options_(options),
      sweep_timer_([](void* self) { static_cast<UpstreamPool*>(self)->Sweep(); }, this),
      serve_([](void* self) { static_cast<UpstreamPool*>(self)->ServeWaiting(); }, this) {
  Update(target.addresses, options.upstream);
}

UpstreamPool::~UpstreamPool() { AEGIS_DCHECK(!in_use()); }

void UpstreamPool::Update(const std::vector<net::SocketAddress>& addresses,
                          const UpstreamOptions& options) {
  options_.upstream = options;
  retired_ = false;
  std::vector<std::shared_ptr<Endpoint>> next;
  for (const net::SocketAddress& address : addresses) {
    const auto known = std::find_if(endpoints_.begin(), endpoints_.end(),
                                    [&](const auto& one) { return one->address == address; });
    if (known != endpoints_.end()) {
      next.push_back(*known);
    } else {
      next.push_back(std::make_shared<Endpoint>());
      next.back()->address = address;
    }
  }
  endpoints_.swap(next);
  for (const auto& old : next) {
    if (std::find(endpoints_.begin(), endpoints_.end(), old) == endpoints_.end()) {
      CloseIdleOf(old.get());
    }
  }
  next_endpoint_ = 0;
}

void UpstreamPool::SetSecrets(std::vector<std::string> secrets) {
  if (secrets == secrets_) return;
  old_secrets_ = std::exchange(secrets_, std::move(secrets));
}

bool UpstreamPool::Reveals(std::string_view value) const {
  // A short one is found in what does not come from it.
  constexpr size_t kFindable = 8;
  for (const std::vector<std::string>* secrets : {&secrets_, &old_secrets_}) {
    for (const std::string& secret : *secrets) {
      if (value == secret) return true;
      if (secret.size() >= kFindable && value.find(secret) != std::string_view::npos) return true;
    }
  }
  return false;
}

bool UpstreamPool::BeginCall() {
  if (options().max_requests > 0 && calls_ >= options().max_requests) return false;
  ++calls_;
  return true;
}

void UpstreamPool::EndCall() { --calls_; }

bool UpstreamPool::BeginRetry() {
  if (retries_ >= std::max(kFreeRetries, calls_ / 5)) return false;
  ++retries_;
  return true;
}

std::shared_ptr<UpstreamPool::Endpoint> UpstreamPool::PickEndpoint(
    const UpstreamConnection& connection) {
  const int64_t now = NowMs();
  const auto tried_end = connection.tried_.begin() + connection.tried_count_;
  for (size_t i = 0; i < endpoints_.size(); ++i) {
    const auto& endpoint = endpoints_[(next_endpoint_ + i) % endpoints_.size()];
    if (!endpoint->health.available(now) ||
        std::find(connection.tried_.begin(), tried_end, endpoint.get()) != tried_end) {
      continue;
    }
    next_endpoint_ = (next_endpoint_ + i + 1) % endpoints_.size();
    return endpoint;
  }
  return nullptr;
}

UpstreamConnection* UpstreamPool::TakeIdle(UpstreamUser* user) {
  const int64_t now = NowMs();
  // A connection that was idle for a while may be closed by the tool at this very moment, with the
  // news still in the kernel; a request that must not be sent twice would fail for nothing.
  while (!idle_.empty() && now - idle_.back()->idle_since_ms_ >= kTrustedIdleMs &&
         idle_.back()->IsStale()) {
    CloseIdle(idle_.back());
  }
  if (idle_.empty()) return nullptr;
  UpstreamConnection* connection = idle_.back();
  idle_.pop_back();
  connection->state_ = UpstreamConnection::State::kActive;
  connection->reused_ = true;
  connection->user_ = user;
  return connection;
}

UpstreamPool::Acquired UpstreamPool::Acquire(UpstreamUser* user, bool fresh) {
  // Who came before is served before.
  if (!fresh && first_waiting_ == nullptr) {
    if (UpstreamConnection* idle = TakeIdle(user)) return {.connection = idle};
  }
  if (fresh && all_.size() >= options().max_connections && !idle_.empty()) {
    CloseIdle(idle_.front());
  }
  if (first_waiting_ != nullptr || all_.size() >= options().max_connections) {
    if (waiting_ >= options().max_pending) return {.why = UpstreamFailure::kOverloaded};
    user->waits_ = true;
    user->previous_ = last_waiting_;
    (last_waiting_ == nullptr ? first_waiting_ : last_waiting_->next_) = user;
    last_waiting_ = user;
    ++waiting_;
    return {.waits = true};
  }
  return Connect(user);
}

UpstreamPool::Acquired UpstreamPool::Connect(UpstreamUser* user) {
  auto connection = std::make_unique<UpstreamConnection>(*this, buffers_, options_.limits);
  UpstreamFailure why = UpstreamFailure::kUnavailable;
  if (!connection->TryNext(&why)) {
    connection->Close();
    return {.why = why};
  }
  connection->user_ = user;
  connection->index_ = all_.size();
  all_.push_back(std::move(connection));
  return {.connection = all_.back().get()};
}

void UpstreamPool::Withdraw(UpstreamUser* user) {
  if (!std::exchange(user->waits_, false)) return;
  (user->previous_ == nullptr ? first_waiting_ : user->previous_->next_) = user->next_;
  (user->next_ == nullptr ? last_waiting_ : user->next_->previous_) = user->previous_;
  user->next_ = user->previous_ = nullptr;
  --waiting_;
}

void UpstreamPool::ServeWaiting() {
  while (first_waiting_ != nullptr) {
    UpstreamUser* user = first_waiting_;
    Acquired got{.connection = TakeIdle(user)};
    if (got.connection == nullptr) {
      if (all_.size() >= options().max_connections) return;
      got = Connect(user);
    }
    Withdraw(user);
    got.connection == nullptr ? user->OnUpstreamFailed(got.why)
                              : user->OnUpstreamAssigned(got.connection);
  }
}

void UpstreamPool::Report(UpstreamConnection* connection, bool good) {
  if (!options().answers_are_failures) return;
  connection->probe_ = false;
  if (good) return connection->endpoint_->health.Succeed();
  Fail(*connection->endpoint_, "bad answer", "");
}

void UpstreamPool::Fail(Endpoint& endpoint, std::string_view why, std::string_view detail) {
  const int64_t now = NowMs();
  const bool ejected = endpoint.health.Fail(now, options());
  if (options_.logger != nullptr) {
    options_.logger->Warn("a tool fails", {{"tool", options_.name},
                                           {"address", endpoint.address.ToString()},
                                           {"why", why},
                                           {"detail", detail}});
  }
  if (!ejected) return;
  if (options_.metrics != nullptr) options_.metrics->upstream_ejections.Add();
  if (options_.logger != nullptr) {
    options_.logger->Warn("an address of a tool gets no calls for a while",
                          {{"tool", options_.name},
                           {"address", endpoint.address.ToString()},
                           {"ms", endpoint.health.wait_ms(now)}});
  }
  CloseIdleOf(&endpoint);
}

int UpstreamPool::retry_after_seconds() const {
  const int64_t now = NowMs();
  int64_t wait = options().max_ejection_ms;
  for (const auto& endpoint : endpoints_) wait = std::min(wait, endpoint->health.wait_ms(now));
  return static_cast<int>(std::max<int64_t>(1, (wait + 999) / 1000));
}

void UpstreamPool::Release(UpstreamConnection* connection, bool reusable) {
  connection->user_ = nullptr;
  if (waiting_ > 0) serve_.Schedule(loop_);
  const bool current =
      std::find(endpoints_.begin(), endpoints_.end(), connection->endpoint_) != endpoints_.end();
  // What an ejected address has left open is not used either.
  const bool good = connection->endpoint_->health.available(NowMs());
  if (!reusable || retired_ || !current || !good || idle_.size() >= options_.max_idle ||
      all_.size() > options().max_connections || !connection->input.empty() ||
      connection->watch_.waits_writable() || (connection->tls_ && connection->tls_.has_pending())) {
    return Close(connection);
  }
  connection->again_.Cancel();
  connection->read_waits_writable_ = connection->write_waits_readable_ = false;
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

void UpstreamPool::CloseIdleOf(const Endpoint* endpoint) {
  for (size_t i = idle_.size(); i-- > 0;) {
    if (idle_[i]->endpoint_.get() != endpoint) continue;
    UpstreamConnection* connection = idle_[i];
    idle_.erase(idle_.begin() + static_cast<ptrdiff_t>(i));
    Close(connection);
  }
}

void UpstreamPool::Close(UpstreamConnection* connection) {
  if (waiting_ > 0) serve_.Schedule(loop_);
  connection->Close();
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
