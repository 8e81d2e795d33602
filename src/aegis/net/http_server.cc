#include "aegis/net/http_server.h"

#include <sys/socket.h>
#include <time.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <list>
#include <mutex>
#include <thread>
#include <vector>

#include "aegis/net/chunked.h"
#include "aegis/net/event_loop.h"
#include "aegis/net/http1_grammar.h"
#include "aegis/net/http1_parser.h"
#include "aegis/net/tcp.h"

namespace aegis::net {
namespace {

constexpr size_t kReadBytes = 16 * 1024;
constexpr int kLingerMs = 2'000;
constexpr size_t kLingerBytes = 1 << 20;

class Connection;

// One thread of the server: its loop and its connections. Responders refer to it weakly.
struct ServerThread {
  const HttpServer::Options* options = nullptr;
  const Handler* handler = nullptr;
  std::unique_ptr<EventLoop> loop = std::make_unique<EventLoop>();
  std::unique_ptr<Acceptor> acceptor;
  std::list<std::shared_ptr<Connection>> connections;
  std::thread thread;

  std::mutex
      mutex;  // guards `alive`; held while a responder posts, so that the loop is still there
  bool alive = true;
};

class Connection final : public Watch::Listener, public std::enable_shared_from_this<Connection> {
 public:
  Connection(const std::shared_ptr<ServerThread>& thread, const SocketAddress& peer)
      : thread_(thread),
        peer_(peer.ToString()),
        timer_([](void* self) { static_cast<Connection*>(self)->OnTimeout(); }, this),
        parser_({.max_head_bytes = thread_.lock()->options->max_header_bytes}) {}

  void Start(FileDescriptor socket, std::list<std::shared_ptr<Connection>>::iterator self) {
    self_ = self;
    auto thread = thread_.lock();
    loop_ = thread->loop.get();
    options_ = thread->options;
    if (!watch_.Open(*loop_, std::move(socket), this)) return Close();
    AwaitRequest();
  }

  // The answer to request number `number`; late or double ones are ignored.
  void Answer(uint64_t number, HttpResponse response) {
    if (state_ != State::kHandling || number != request_number_) return;
    WriteResponse(std::move(response), keep_alive_);
  }

  void Close() {
    if (state_ == State::kClosed) return;
    state_ = State::kClosed;
    timer_.Disarm();
    watch_.Close();
    if (auto thread = thread_.lock()) {
      // Destroyed only after the current callback, which may be ours.
      auto keep = std::move(*self_);
      thread->connections.erase(self_);
      loop_->Post([keep] {});
    }
  }

 private:
  enum class State : uint8_t {
    kIdle,      // no byte of a request yet
    kHead,      // receiving a head
    kBody,      // receiving its body
    kHandling,  // the handler has it
    kWriting,   // sending the answer
    kLinger,    // answered for good; reading away what still comes, so that the answer is not lost
    kClosed,
  };

  void AwaitRequest() {
    state_ = State::kIdle;
    parser_.Reset();
    decoder_.Reset();
    request_ = HttpRequest();
    head_request_ = false;
    timer_.Arm(*loop_, options_->idle_timeout_ms);
    if (input_.empty()) {
      input_.shrink_to_fit();
      watch_.WaitReadable();
    } else {
      Advance();
    }
  }

  void OnTimeout() {
    if (state_ == State::kHead || state_ == State::kBody) {
      return Refuse(408, "the request did not arrive in time");
    }
    Close();
  }

  void OnReadable() override {
    if (state_ == State::kHandling || state_ == State::kWriting) {
      // Only to notice that the client left; more requests stay in the kernel until their turn.
      char byte = 0;
      const ssize_t got = ::recv(watch_.fd(), &byte, 1, MSG_PEEK);
      if (got == 0 || (got < 0 && errno != EAGAIN)) Close();
      return;
    }
    std::array<char, kReadBytes> buffer;
    const ssize_t got = ::recv(watch_.fd(), buffer.data(), buffer.size(), 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return watch_.WaitReadable();
    if (got <= 0) return Close();
    if (state_ == State::kLinger) {
      lingered_ += static_cast<size_t>(got);
      return lingered_ > kLingerBytes ? Close() : watch_.WaitReadable();
    }
    input_.append(buffer.data(), static_cast<size_t>(got));
    Advance();
  }

  // Takes from `input_` what the state can use.
  void Advance() {
    if (state_ == State::kIdle) {
      state_ = State::kHead;
      timer_.Arm(*loop_, options_->request_timeout_ms);
    }
    if (state_ == State::kHead) {
      switch (parser_.Parse(input_.data(), input_.size())) {
        case ParseStatus::kNeedMore:
          return watch_.WaitReadable();
        case ParseStatus::kError:
          return Refuse(parser_.error().status, parser_.error().detail);
        case ParseStatus::kDone:
          break;
      }
      if (!TakeHead()) return;
    }
    if (state_ == State::kBody && !TakeBody()) return;
    state_ = State::kHandling;
    timer_.Disarm();
    watch_.WaitReadable();
    const uint64_t number = ++request_number_;
    request_.peer = peer_;
    (*thread_.lock()->handler)(std::move(request_), [weak = weak_from_this(), thread = thread_,
                                                     number](HttpResponse response) {
      const auto owner = thread.lock();
      if (!owner) return;
      std::lock_guard lock(owner->mutex);
      if (!owner->alive) return;
      owner->loop->Post([weak, number, response = std::move(response)]() mutable {
        if (auto connection = weak.lock()) connection->Answer(number, std::move(response));
      });
    });
  }

  bool TakeHead() {
    const RequestHead& head = parser_.head();
    request_.method = head.method;
    request_.path = head.path;
    request_.query = head.query;
    for (const HeaderField& field : head.fields) {
      request_.headers.fields.emplace_back(field.name, field.value);
    }
    head_request_ = head.method == "HEAD";
    keep_alive_ = head.keep_alive;
    body_ = head.body;
    left_ = head.content_length;
    const bool expects = head.expect_continue && body_ != BodyKind::kNone;
    input_.erase(0, head.bytes);
    body_limit_ = options_->max_body_bytes;
    if (options_->body_limit && body_ != BodyKind::kNone) {
      body_limit_ = std::min(body_limit_, options_->body_limit(request_));
    }
    if (left_ > body_limit_) {
      Refuse(413, "the body is too large");
      return false;
    }
    state_ = State::kBody;
    if (expects && input_.empty()) {
      constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
      // The send buffer is empty here, so that these few bytes always fit.
      [[maybe_unused]] const ssize_t sent =
          ::send(watch_.fd(), kContinue.data(), kContinue.size(), MSG_NOSIGNAL);
    }
    return true;
  }

  // True when the body is whole.
  bool TakeBody() {
    if (body_ == BodyKind::kNone) return true;
    if (body_ == BodyKind::kLength) {
      const size_t take = static_cast<size_t>(std::min<uint64_t>(left_, input_.size()));
      request_.body.append(input_, 0, take);
      input_.erase(0, take);
      left_ -= take;
      if (left_ == 0) return true;
      watch_.WaitReadable();
      return false;
    }
    size_t used = 0;
    ParseStatus status = ParseStatus::kNeedMore;
    while (status == ParseStatus::kNeedMore && used < input_.size()) {
      size_t consumed = 0;
      std::string_view piece;
      status = decoder_.Decode(input_.data() + used, input_.size() - used, &consumed, &piece);
      if (status == ParseStatus::kError) {
        Refuse(decoder_.error().status, decoder_.error().detail);
        return false;
      }
      used += consumed;
      request_.body.append(piece);
      if (request_.body.size() > body_limit_) {
        Refuse(413, "the body is too large");
        return false;
      }
    }
    input_.erase(0, used);
    if (status == ParseStatus::kDone) return true;
    watch_.WaitReadable();
    return false;
  }

  void Refuse(int status, std::string_view detail) {
    HttpResponse response;
    response.status = status;
    response.headers.Set("Content-Type", "application/problem+json");
    response.body = "{\"type\":\"about:blank\",\"title\":\"" + std::string(StatusPhrase(status)) +
                    "\",\"status\":" + std::to_string(status) + ",\"detail\":\"" +
                    std::string(detail) + "\"}";
    WriteResponse(std::move(response), false);
  }

  void WriteResponse(HttpResponse response, bool keep_alive) {
    close_after_ = !keep_alive;
    const bool bodyless = response.status == 204 || response.status == 304 || response.status < 200;
    output_ = "HTTP/1.1 " + std::to_string(response.status) + " " +
              std::string(StatusPhrase(response.status)) +
              "\r\nDate: " + FormatHttpDate(::time(nullptr)) + "\r\n";
    for (const auto& [name, value] : response.headers.fields) {
      // A handler's mistake must not become a second response.
      if (AEGIS_BUG(!IsToken(name) || !IsFieldValue(value))) continue;
      output_.append(name).append(": ").append(value).append("\r\n");
    }
    if (!bodyless) {
      output_.append("Content-Length: ")
          .append(std::to_string(response.body.size()))
          .append("\r\n");
    }
    output_.append(close_after_ ? "Connection: close\r\n\r\n" : "\r\n");
    if (!bodyless && !head_request_) output_ += response.body;
    written_ = 0;
    state_ = State::kWriting;
    Flush();
  }

  void OnWritable() override {
    if (state_ == State::kWriting) Flush();
  }

  void Flush() {
    while (written_ < output_.size()) {
      const ssize_t sent =
          ::send(watch_.fd(), output_.data() + written_, output_.size() - written_, MSG_NOSIGNAL);
      if (sent < 0) {
        if (errno == EINTR) continue;
        if (errno != EAGAIN && errno != EWOULDBLOCK) return Close();
        timer_.Arm(*loop_, options_->idle_timeout_ms);
        return watch_.WaitWritable();
      }
      written_ += static_cast<size_t>(sent);
    }
    output_ = std::string();
    if (!close_after_) return AwaitRequest();
    ::shutdown(watch_.fd(), SHUT_WR);
    state_ = State::kLinger;
    timer_.Arm(*loop_, kLingerMs);
    watch_.WaitReadable();
  }

  std::weak_ptr<ServerThread> thread_;
  EventLoop* loop_ = nullptr;
  const HttpServer::Options* options_ = nullptr;
  std::list<std::shared_ptr<Connection>>::iterator self_;
  std::string peer_;
  Watch watch_;
  Timer timer_;
  State state_ = State::kIdle;
  RequestParser parser_;
  ChunkDecoder decoder_;
  std::string input_;
  HttpRequest request_;
  uint64_t request_number_ = 0;
  BodyKind body_ = BodyKind::kNone;
  uint64_t left_ = 0;
  size_t body_limit_ = 0;  // of the request being received
  bool head_request_ = false;
  bool keep_alive_ = false;
  bool close_after_ = false;
  std::string output_;
  size_t written_ = 0;
  size_t lingered_ = 0;
};

class HttpServerImpl final : public HttpServer {
 public:
  HttpServerImpl(Options options, Handler handler)
      : options_(std::move(options)), handler_(std::move(handler)) {}

  Status Bind() {
    AEGIS_TRY(SocketAddress address, ResolveAddress(options_.address));
    const int threads = std::max(1, options_.threads);
    if (threads > 1) AEGIS_RETURN_IF_ERROR(CheckAddressFree(address));
    for (int i = 0; i < threads; ++i) {
      AEGIS_TRY(FileDescriptor fd, ListenTcp(address, threads > 1));
      if (i == 0) address = LocalAddress(fd.get());  // the others share the port that 0 stood for
      listening_.push_back(std::move(fd));
    }
    address_ = address;
    return Ok();
  }

  void Run() {
    for (FileDescriptor& fd : listening_) {
      auto thread = std::make_shared<ServerThread>();
      thread->options = &options_;
      thread->handler = &handler_;
      ServerThread* raw = thread.get();
      thread->acceptor = std::make_unique<Acceptor>(
          *thread->loop, std::move(fd),
          [raw, weak = std::weak_ptr(thread), limit = options_.max_connections](
              FileDescriptor socket, const SocketAddress& peer) {
            if (raw->connections.size() >= limit) return;
            auto connection = std::make_shared<Connection>(weak.lock(), peer);
            raw->connections.push_front(connection);
            connection->Start(std::move(socket), raw->connections.begin());
          });
      thread->thread = std::thread([raw] { raw->loop->Run(); });
      threads_.push_back(std::move(thread));
    }
    listening_.clear();
  }

  ~HttpServerImpl() override {
    for (auto& thread : threads_) {
      {
        std::lock_guard lock(thread->mutex);
        thread->alive = false;
      }
      thread->loop->Stop();
      thread->thread.join();
      thread->acceptor.reset();
      while (!thread->connections.empty()) thread->connections.front()->Close();
    }
    threads_.clear();
  }

  uint16_t port() const override { return address_.port(); }
  std::string address() const override { return address_.ToString(); }

 private:
  Options options_;
  Handler handler_;
  std::vector<FileDescriptor> listening_;
  SocketAddress address_;
  std::vector<std::shared_ptr<ServerThread>> threads_;
};

}  // namespace

Result<std::unique_ptr<HttpServer>> HttpServer::Start(Options options, Handler handler) {
  auto server = std::make_unique<HttpServerImpl>(std::move(options), std::move(handler));
  AEGIS_RETURN_IF_ERROR(server->Bind());
  server->Run();
  return server;
}

}  // namespace aegis::net
