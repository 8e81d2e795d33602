#include "aegis/grpc/server_testing.h"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <future>
#include <utility>

#include "aegis/grpc/wire.h"

namespace aegis::grpc {

namespace {

size_t NumberIn(std::string_view text) {
  size_t number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

}  // namespace

class EchoService::Echo final : public Handler {
 public:
  explicit Echo(EchoService& service) : service_(service) {}

  void Begin(Call& call) {
    call_ = &call;
    method_ = call.method();
  }
  void OnMessage(std::string_view message) override {
    ++service_.messages;
    if (method_.ends_with("/Echo")) {
      call_->Send(message);
    } else if (method_.ends_with("/Large")) {
      call_->Send(std::string(std::min<size_t>(NumberIn(message), 4 << 20), 'L'));
    } else if (method_.ends_with("/Fail")) {
      const size_t space = message.find(' ');
      call_->Finish(static_cast<Code>(NumberIn(message) % 17), message.substr(space + 1));
    }
  }
  void OnEnd() override {
    ++service_.ended;
    if (!method_.ends_with("/Silent")) call_->FinishOk();
  }
  bool takes_stream() const override {
    return method_.ends_with("/Echo") || method_.ends_with("/Large");
  }
  void OnWritable() override { ++service_.writable; }
  void OnCancelled() override { ++service_.cancelled; }
  void Release() override {
    ++service_.released;
    service_.free_.push_back(this);
  }

 private:
  EchoService& service_;
  Call* call_ = nullptr;
  std::string method_;
};

EchoService::EchoService() = default;
EchoService::~EchoService() = default;

Handler* EchoService::Start(Call& call) {
  constexpr std::array<std::string_view, 4> kMethods = {"/Echo", "/Fail", "/Silent", "/Large"};
  bool known = false;
  for (const std::string_view method : kMethods) {
    known = known || call.method() == "/test.Echo" + std::string(method);
  }
  if (!known) return nullptr;
  ++started;
  last_peer = call.peer();
  last_metadata = call.Metadata("x-test");
  last_timeout_ns = call.deadline_ns() == 0 ? 0 : call.deadline_ns() - call.started_ns();
  if (free_.empty()) {
    ++made;
    all_.push_back(std::make_unique<Echo>(*this));
    free_.push_back(all_.back().get());
  }
  Echo* handler = free_.back();
  free_.pop_back();
  handler->Begin(call);
  return handler;
}

ServerFixture::ServerFixture(Server::Options options)
    : server(std::make_unique<Server>(loop, options)) {
  server->AddService("test.Echo", &echo);
  thread_ = std::thread([this] { loop.Run(); });
}

ServerFixture::~ServerFixture() {
  OnLoop([this] { server->Close(); });
  loop.Stop();
  thread_.join();
  server.reset();
}

void ServerFixture::OnLoop(const std::function<void()>& task) {
  std::promise<void> done;
  loop.Post([&] {
    task();
    done.set_value();
  });
  done.get_future().wait();
}

FileDescriptor ServerFixture::Connect() {
  std::array<int, 2> ends{};
  AEGIS_CHECK(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends.data()) ==
              0);
  OnLoop([&] { server->Adopt(FileDescriptor(ends[1]), Peer{"test", "spiffe://test/client"}); });
  return FileDescriptor(ends[0]);
}

TestClient::TestClient(FileDescriptor socket, std::string_view settings_payload)
    : socket_(std::move(socket)) {
  Preface(settings_payload);
}

std::string Framed(std::string_view message) {
  const auto prefix = WritePrefix(static_cast<uint32_t>(message.size()));
  return std::string(prefix.data(), prefix.size()).append(message);
}

uint32_t TestClient::Start(std::string_view method, std::vector<net::Http2Field> more) {
  const std::string path =
      method.starts_with('/') ? std::string(method) : "/test.Echo/" + std::string(method);
  std::vector<net::Http2Field> fields = {{":method", "POST"},
                                         {":scheme", "http"},
                                         {":path", path},
                                         {":authority", "test"},
                                         {"content-type", "application/grpc"},
                                         {"te", "trailers"}};
  fields.insert(fields.end(), more.begin(), more.end());
  const uint32_t id = std::exchange(next_, next_ + 2);
  Headers(id, fields, false);
  return id;
}

void TestClient::Message(uint32_t call, std::string_view message, bool end) {
  constexpr size_t kFrame = 16 * 1024;
  const std::string framed = Framed(message);
  for (size_t at = 0; at < framed.size(); at += kFrame) {
    Data(call, std::string_view(framed).substr(at, kFrame), end && at + kFrame >= framed.size());
  }
}

bool TestClient::Await(const std::function<bool()>& done) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(5);
  while (!done()) {
    pollfd poll{socket_.get(), static_cast<short>(POLLIN | (out.empty() ? 0 : POLLOUT)), 0};
    if (std::chrono::steady_clock::now() > deadline || ::poll(&poll, 1, 5'000) <= 0) return false;
    if (!out.empty() && (poll.revents & POLLOUT) != 0) {
      const ssize_t sent = ::send(socket_.get(), out.data(), out.size(), MSG_NOSIGNAL);
      if (sent > 0) out.erase(0, static_cast<size_t>(sent));
    }
    if ((poll.revents & (POLLIN | POLLHUP)) == 0) continue;
    std::array<char, 64 * 1024> buffer;
    const ssize_t got = ::recv(socket_.get(), buffer.data(), buffer.size(), 0);
    if (got == 0 || (got < 0 && errno != EAGAIN)) return done();
    if (got > 0) Feed({buffer.data(), static_cast<size_t>(got)});
  }
  return true;
}

std::string TestClient::Status(uint32_t call) {
  if (!Await([&] { return answers[call].over(); })) return "(no answer)";
  const Answer& answer = answers[call];
  // Without a message head and trailers are one.
  return answer.trailers.empty() ? answer.Head("grpc-status") : answer.Trailer("grpc-status");
}

std::string TestClient::StatusMessage(uint32_t call) {
  Status(call);
  const Answer& answer = answers[call];
  return answer.trailers.empty() ? answer.Head("grpc-message") : answer.Trailer("grpc-message");
}

std::vector<std::string> TestClient::Messages(uint32_t call) {
  std::vector<std::string> messages;
  std::string_view data = answers[call].data;
  while (data.size() >= kPrefixBytes) {
    const auto prefix = ReadPrefix(data.data());
    if (!prefix || data.size() < kPrefixBytes + prefix->size) break;
    messages.emplace_back(data.substr(kPrefixBytes, prefix->size));
    data.remove_prefix(kPrefixBytes + prefix->size);
  }
  return messages;
}

bool TestClient::AwaitClose() {
  bool closed = false;
  // Await returns false at the end of the connection; what is never done tells it from a time-out.
  const auto start = std::chrono::steady_clock::now();
  Await([] { return false; });
  closed = std::chrono::steady_clock::now() - start < std::chrono::seconds(5);
  return closed;
}

}  // namespace aegis::grpc
