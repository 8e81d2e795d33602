#include "aegis/gateway/gateway_testing.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>

#include "aegis/base/text.h"
#include "aegis/net/tcp.h"

namespace aegis::gateway::testing {
namespace {

constexpr int kPatienceMs = 10'000;

bool Ready(int fd, short events) {
  pollfd item{fd, events, 0};
  return ::poll(&item, 1, kPatienceMs) > 0;
}

}  // namespace

Socket::Socket(const std::string& address) {
  auto resolved = net::ResolveAddress(address);
  fd_ = FileDescriptor(::socket(resolved->storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  EXPECT_EQ(
      ::connect(fd_.get(), reinterpret_cast<const sockaddr*>(&resolved->storage), resolved->size),
      0);
}

bool Socket::Send(std::string_view bytes) {
  while (!bytes.empty()) {
    if (!Ready(fd_.get(), POLLOUT)) return false;
    const ssize_t sent = ::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0) return false;
    bytes.remove_prefix(static_cast<size_t>(sent));
  }
  return true;
}

std::string Socket::Receive(size_t max) {
  if (!pending_.empty()) return std::exchange(pending_, {});
  std::string out(max, '\0');
  if (!Ready(fd_.get(), POLLIN)) return {};
  const ssize_t got = ::recv(fd_.get(), out.data(), max, 0);
  out.resize(got > 0 ? static_cast<size_t>(got) : 0);
  return out;
}

std::string Socket::ReceiveUntil(std::string_view end) {
  std::string out;
  while (out.find(end) == std::string::npos) {
    const std::string more = Receive();
    if (more.empty()) return out;
    out += more;
  }
  const size_t size = out.find(end) + end.size();
  pending_ = out.substr(size);
  out.resize(size);
  return out;
}

std::string Socket::ReceiveAll() {
  std::string out;
  while (true) {
    const std::string more = Receive();
    if (more.empty()) return out;
    out += more;
  }
}

std::string Socket::ReceiveAnswer() {
  std::string out = ReceiveUntil("\r\n\r\n");
  if (HeaderOf(out, "transfer-encoding") == "chunked") return out + ReceiveUntil("0\r\n\r\n");
  const std::string length = HeaderOf(out, "content-length");
  size_t left = length.empty() ? 0 : std::stoul(length);
  while (left > 0) {
    std::string more = Receive();
    if (more.empty()) return out + "(cut)";
    if (more.size() > left) {
      pending_ = more.substr(left);
      more.resize(left);
    }
    left -= more.size();
    out += more;
  }
  return out;
}

void Socket::CloseWriting() { ::shutdown(fd_.get(), SHUT_WR); }

ScriptedTool::ScriptedTool(Serve serve) : serve_(std::move(serve)) {
  listening_ = *net::ListenTcp(*net::ResolveAddress("127.0.0.1:0"), false);
  acceptor_ = std::thread([this] {
    while (!stopping_) {
      if (!Ready(listening_.get(), POLLIN)) continue;
      const int fd = ::accept4(listening_.get(), nullptr, nullptr, SOCK_CLOEXEC);
      if (fd < 0) continue;
      std::lock_guard lock(mutex_);
      if (stopping_) {
        ::close(fd);
        return;
      }
      open_.push_back(::dup(fd));
      const int number = ++connections_;
      threads_.emplace_back([this, fd, number] {
        Socket socket(fd);
        serve_(socket, number);
        // open_ holds the connection too.
        ::shutdown(fd, SHUT_RDWR);
      });
    }
  });
}

ScriptedTool::~ScriptedTool() {
  stopping_ = true;
  {
    Socket wake(net::LocalAddress(listening_.get()).ToString());
  }
  acceptor_.join();
  for (int fd : open_) ::shutdown(fd, SHUT_RDWR);
  for (std::thread& thread : threads_) thread.join();
  for (int fd : open_) ::close(fd);
}

std::string ScriptedTool::url() const {
  return "http://" + net::LocalAddress(listening_.get()).ToString();
}

FakeJournal::FakeJournal() : thread_([this] { Run(); }) {}

FakeJournal::~FakeJournal() {
  {
    std::lock_guard lock(mutex_);
    stop_ = true;
    hold_ = false;
  }
  changed_.notify_all();
  thread_.join();
}

bool FakeJournal::Append(audit::PendingRecord* record, audit::DurableSink* sink) {
  if (refuse) return false;
  std::lock_guard lock(mutex_);
  queue_.push_back({record, sink});
  changed_.notify_all();
  return true;
}

void FakeJournal::Run() {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [this] { return stop_ || (!queue_.empty() && !hold_); });
    if (queue_.empty()) return;
    std::vector<Item> batch;
    batch.swap(queue_);
    for (const Item& item : batch) {
      item.record->failed = fail;
      item.record->sequence = ++sequence_;
      if (!fail) {
        records_.push_back(item.record->head + std::to_string(sequence_) + item.record->tail);
      }
    }
    changed_.notify_all();
    lock.unlock();
    for (const Item& item : batch) item.sink->OnDurable({&item.record, 1});
    lock.lock();
  }
}

void FakeJournal::Hold(bool hold) {
  std::lock_guard lock(mutex_);
  hold_ = hold;
  changed_.notify_all();
}

std::vector<std::string> FakeJournal::records() const {
  std::lock_guard lock(mutex_);
  return records_;
}

size_t FakeJournal::waiting() const {
  std::lock_guard lock(mutex_);
  return queue_.size();
}

void FakeJournal::WaitFor(size_t count) const {
  std::unique_lock lock(mutex_);
  EXPECT_TRUE(changed_.wait_for(lock, std::chrono::milliseconds(kPatienceMs), [&] {
    return records_.size() >= count;
  })) << records_.size();
}

TestGateway::TestGateway(std::function<void(Gateway::Options&)> change)
    : metrics(MetricsOptions(1, "0.0.0", "")) {
  auto key = crypto::SigningKey::Generate(crypto::Algorithm::kEd25519);
  identity::TokenVerifier::Options verifier;
  EXPECT_TRUE(verifier.keys.Add(key->verification_key()).has_value());
  verifier.issuer = "https://issuer.example";
  verifier.audience = "aegis-gateway";
  verifier.org = "acme";
  verifier.tenant = "default";
  issuer_ = std::make_unique<identity::TokenIssuer>(*key, verifier.issuer, verifier.audience);
  state.org = "acme";
  state.tenant = "default";
  state.verifier = std::make_shared<identity::TokenVerifier>(std::move(verifier));
  state.revocations = std::make_shared<identity::RevocationSet>(1);
  static const auto snapshot = MakeSnapshot();
  state.snapshot = snapshot;
  state.agents["finance-agent"].labels = {{"team", "finance"}};
  state.agents["watched-agent"] = {};
  state.agents["bad-agent"].suspended = true;

  Gateway::Options options;
  options.listeners = {{.address = "127.0.0.1:0"}};
  options.producer = "gateway-test";
  options.journal = &journal;
  options.metrics = &metrics;
  if (change) change(options);
  auto started = Gateway::Start(options);
  EXPECT_TRUE(started.has_value()) << started.error().message;
  gateway = *std::move(started);
  gateway->UpdateState(std::make_shared<State>(state));
}

TestGateway::~TestGateway() {
  journal.Hold(false);
  gateway->Stop();
}

void TestGateway::Change(const std::function<void(State&)>& change) {
  change(state);
  gateway->UpdateState(std::make_shared<State>(state));
  // The worker takes the state before it reads from a connection that it accepts later.
  Socket probe(address());
  probe.Send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  probe.ReceiveAnswer();
}

void TestGateway::SetTool(const std::string& name, const std::string& url) {
  Change([&](State& next) { next.tools[name] = *MakeTool(url); });
}

std::string TestGateway::Token(const std::string& agent, int64_t lifetime) const {
  identity::TokenRequest request;
  request.org = "acme";
  request.tenant = "default";
  request.agent = agent;
  request.issued_at = Clock::System().UnixSeconds();
  request.lifetime = lifetime;
  return issuer_->Issue(request)->token;
}

std::string TestGateway::Post(const std::string& path, const std::string& body,
                              const std::string& head, const std::string& agent) const {
  return "POST " + path + " HTTP/1.1\r\nHost: gateway\r\nAuthorization: Bearer " + Token(agent) +
         "\r\nContent-Type: application/json\r\nContent-Length: " + std::to_string(body.size()) +
         "\r\n" + head + "\r\n" + body;
}

int StatusOf(std::string_view answer) {
  if (!answer.starts_with("HTTP/1.1 ") || answer.size() < 12) return 0;
  return std::stoi(std::string(answer.substr(9, 3)));
}

std::string_view BodyOf(std::string_view answer) {
  const size_t end = answer.find("\r\n\r\n");
  return end == std::string_view::npos ? std::string_view() : answer.substr(end + 4);
}

std::string HeaderOf(std::string_view answer, std::string_view name) {
  const std::string_view head = answer.substr(0, answer.find("\r\n\r\n"));
  for (std::string_view line : Split(head, '\n')) {
    const size_t colon = line.find(':');
    if (colon == std::string_view::npos || !EqualsIgnoreCase(line.substr(0, colon), name)) continue;
    line.remove_prefix(colon + 1);
    if (line.ends_with('\r')) line.remove_suffix(1);
    return std::string(Trim(line));
  }
  return {};
}

}  // namespace aegis::gateway::testing
