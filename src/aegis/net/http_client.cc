#include "aegis/net/http_client.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <map>

#include "aegis/net/chunked.h"
#include "aegis/net/http1_grammar.h"
#include "aegis/net/http1_parser.h"
#include "aegis/net/tcp.h"
#include "aegis/net/tls_stream.h"

namespace aegis::net {
namespace {

class Deadline {
 public:
  explicit Deadline(int64_t ms)
      : end_(std::chrono::steady_clock::now() + std::chrono::milliseconds(ms)) {}
  int left_ms() const {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
        end_ - std::chrono::steady_clock::now());
    return static_cast<int>(std::max<int64_t>(0, left.count()));
  }

 private:
  std::chrono::steady_clock::time_point end_;
};

enum class Waited : uint8_t { kReady, kTimedOut, kInterrupted };

// Waits until `fd` is ready, the deadline has passed, or `interrupt` is readable.
Waited WaitFor(int fd, short events, const Deadline& deadline, int interrupt) {
  while (true) {
    pollfd items[2] = {{fd, events, 0}, {interrupt, POLLIN, 0}};
    const int ready = ::poll(items, 2, deadline.left_ms());
    if (ready > 0) return items[1].revents != 0 ? Waited::kInterrupted : Waited::kReady;
    if (ready == 0) return Waited::kTimedOut;
    if (errno != EINTR) return Waited::kTimedOut;
  }
}

Error WaitError(Waited waited, std::string message) {
  if (waited == Waited::kInterrupted) return {Code::kCancelled, "interrupted", "interrupted"};
  return {Code::kDeadlineExceeded, "timeout", std::move(message)};
}

struct Url {
  bool tls = false;
  std::string origin;     // key of the connection
  std::string authority;  // for Host
  std::string host;       // without port and brackets
  std::string address;    // host:port
  std::string path;       // without the final '/'
};

Result<Url> ParseUrl(const std::string& text) {
  Url url;
  url.tls = text.starts_with("https://");
  const std::string_view scheme = url.tls ? "https://" : "http://";
  if (text.starts_with(scheme)) {
    const size_t slash = text.find('/', scheme.size());
    url.authority = text.substr(scheme.size(), slash - scheme.size());
    if (slash != std::string::npos) url.path = text.substr(slash);
    while (!url.path.empty() && url.path.back() == '/') url.path.pop_back();
  }
  if (url.authority.empty() || !AllOfClass(url.authority, internal::kHostChar) ||
      !AllOfClass(url.path, internal::kPathChar)) {
    return Fail(Code::kInvalidArgument, "bad_url",
                "'" + text + "' is not a URL that can be called: write http(s)://host:port");
  }
  const size_t colon = url.authority.rfind(':');
  const bool has_port = colon != std::string::npos && url.authority.back() != ']';
  url.address = has_port ? url.authority : url.authority + (url.tls ? ":443" : ":80");
  url.host = has_port ? url.authority.substr(0, colon) : url.authority;
  if (url.host.starts_with('[') && url.host.ends_with(']')) {
    url.host = url.host.substr(1, url.host.size() - 2);
  }
  url.origin = std::string(scheme) + url.authority;
  return url;
}

}  // namespace

struct HttpClient::Impl {
  Options options;
  std::map<std::string, ClientStream> connections;  // idle ones by origin
  std::shared_ptr<const TlsContext> tls;
  FileDescriptor interrupt{::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)};

  // Why an attempt failed, and whether it may be repeated on a fresh connection.
  struct Failure {
    Error error;
    bool stale = false;
  };

  Result<ClientStream> Connect(const Url& url, const Deadline& deadline) {
    auto address = ResolveAddress(url.address);
    if (!address) {
      return Fail(Code::kUnavailable, "connect_failed", std::move(address).error().message);
    }
    AEGIS_TRY(FileDescriptor fd, StartConnect(*address));
    const Deadline own(std::min<int64_t>(options.connect_timeout_ms, deadline.left_ms()));
    if (const Waited waited = net::WaitFor(fd.get(), POLLOUT, own, interrupt.get());
        waited != Waited::kReady) {
      return Fail(WaitError(waited, "no connection to " + url.address + " in time"));
    }
    if (const int error = ConnectResult(fd.get()); error != 0) {
      return Fail(
          Code::kUnavailable, "connect_failed",
          "cannot connect to " + url.address + ": " + std::strerror(error) + "; is it running?");
    }
    ClientStream stream(std::move(fd));
    if (url.tls) AEGIS_RETURN_IF_ERROR(StartTls(url, own, stream));
    return stream;
  }

  Status StartTls(const Url& url, const Deadline& deadline, ClientStream& stream) {
    if (!tls) {
      AEGIS_TRY(tls, TlsContext::Make({.ca_file = options.ca_file}));
    }
    AEGIS_RETURN_IF_ERROR(stream.StartTls(tls, url.host));
    while (true) {
      const ClientStream::Step step = stream.Handshake();
      if (step.bytes > 0) return Ok();
      if (step.want == ClientStream::Want::kNothing) {
        return Fail(Code::kUnavailable, "tls_failed",
                    "no TLS connection to " + url.address + ": " + stream.error());
      }
      if (const Waited waited = WaitFor(stream, step.want, deadline); waited != Waited::kReady) {
        return Fail(WaitError(waited, "no TLS connection to " + url.address + " in time"));
      }
    }
  }

  Waited WaitFor(const ClientStream& stream, ClientStream::Want want, const Deadline& deadline) {
    const short events = want == ClientStream::Want::kWrite ? POLLOUT : POLLIN;
    return net::WaitFor(stream.fd(), events, deadline, interrupt.get());
  }

  static tl::unexpected<Failure> Failed(Code code, std::string_view reason, std::string message,
                                        bool stale = false) {
    return tl::unexpected<Failure>(Failure{Error{code, reason, std::move(message)}, stale});
  }

  static tl::unexpected<Failure> Failed(Error error) {
    return tl::unexpected<Failure>(Failure{std::move(error), false});
  }

  // Sends and receives on `stream`; sets `*reusable` when the connection may serve again.
  tl::expected<HttpResponse, Failure> Exchange(ClientStream& stream, const Url& url,
                                               const std::string& method, std::string_view message,
                                               const Deadline& deadline, bool* reusable) {
    while (!message.empty()) {
      const ClientStream::Step step = stream.Write(message);
      if (step.bytes > 0) {
        message.remove_prefix(static_cast<size_t>(step.bytes));
        continue;
      }
      // Broken: the server may have answered and closed before it read all.
      if (step.want == ClientStream::Want::kNothing) break;
      if (const Waited waited = WaitFor(stream, step.want, deadline); waited != Waited::kReady) {
        return Failed(WaitError(waited, url.address + " takes no more bytes"));
      }
    }
    std::string input;
    HttpResponse response;
    ResponseParser parser;
    parser.Reset(method);
    ChunkDecoder decoder(ChunkDecoder::Trailers::kDrop);
    bool in_body = false;
    BodyKind kind = BodyKind::kNone;
    uint64_t left = 0;
    bool keep_alive = false;
    while (true) {
      if (!in_body && !input.empty()) {
        const ParseStatus status = parser.Parse(input.data(), input.size());
        if (status == ParseStatus::kError) {
          return Failed(Code::kUnavailable, "bad_response",
                        url.address + ": " + std::string(parser.error().detail));
        }
        if (status == ParseStatus::kDone) {
          const ResponseHead& head = parser.head();
          const size_t bytes = head.bytes;
          if (head.status >= 200) {
            in_body = true;
            response.status = head.status;
            for (const HeaderField& field : head.fields) {
              response.headers.fields.emplace_back(field.name, field.value);
            }
            kind = head.body;
            left = kind == BodyKind::kLength ? head.content_length : 0;
            keep_alive = head.keep_alive;
          }
          input.erase(0, bytes);
          if (!in_body) continue;
        }
      }
      if (in_body) {
        bool done = kind == BodyKind::kNone;
        if (kind == BodyKind::kChunked) {
          size_t used = 0;
          while (used < input.size() && !done) {
            size_t consumed = 0;
            std::string_view piece;
            const ParseStatus status =
                decoder.Decode(input.data() + used, input.size() - used, &consumed, &piece);
            if (status == ParseStatus::kError) {
              return Failed(Code::kUnavailable, "bad_response",
                            url.address + ": " + std::string(decoder.error().detail));
            }
            used += consumed;
            response.body.append(piece);
            done = status == ParseStatus::kDone;
          }
          input.erase(0, used);
        } else if (kind != BodyKind::kNone) {
          const size_t take = kind == BodyKind::kLength
                                  ? static_cast<size_t>(std::min<uint64_t>(left, input.size()))
                                  : input.size();
          response.body.append(input, 0, take);
          input.erase(0, take);
          if (kind == BodyKind::kLength) {
            left -= take;
            done = left == 0;
          }
        }
        if (response.body.size() > options.max_body_bytes || left > options.max_body_bytes) {
          return Failed(
              Code::kResourceExhausted, "response_too_large",
              url.address + " sent more than " + std::to_string(options.max_body_bytes) + " bytes");
        }
        if (done) {
          *reusable = keep_alive && input.empty();
          return response;
        }
      }
      std::array<char, 16 * 1024> buffer;
      const ClientStream::Step step = stream.Read(buffer.data(), buffer.size());
      if (step.bytes < 0 && step.want != ClientStream::Want::kNothing) {
        if (const Waited waited = WaitFor(stream, step.want, deadline); waited != Waited::kReady) {
          return Failed(WaitError(waited, url.address + " did not answer in time"));
        }
        continue;
      }
      if (step.bytes <= 0) {
        if (step.bytes == 0 && in_body && kind == BodyKind::kUntilClose) return response;
        const bool nothing_yet = !in_body && input.empty();
        return Failed(Code::kUnavailable, "bad_response",
                      url.address + " closed the connection before it answered", nothing_yet);
      }
      input.append(buffer.data(), static_cast<size_t>(step.bytes));
    }
  }
};

HttpClient::HttpClient() : HttpClient(Options{}) {}
HttpClient::HttpClient(Options options) : impl_(std::make_unique<Impl>()) {
  impl_->options = options;
}
HttpClient::~HttpClient() = default;

void HttpClient::Interrupt() {
  const uint64_t one = 1;
  // Never read again: every later wait ends at once.
  [[maybe_unused]] const ssize_t written = ::write(impl_->interrupt.get(), &one, sizeof one);
}

Result<HttpResponse> HttpClient::Send(const std::string& url_text, const HttpRequest& request,
                                      int timeout_ms) {
  AEGIS_TRY(const Url url, ParseUrl(url_text));
  const Deadline deadline(timeout_ms);
  std::string message = request.method + " " + url.path + request.path;
  if (url.path.empty() && request.path.empty()) message += "/";
  if (!request.query.empty()) message += "?" + request.query;
  if (!IsToken(request.method) ||
      !AllOfClass(std::string_view(message).substr(request.method.size() + 1),
                  internal::kQueryChar)) {
    return Fail(Code::kInvalidArgument, "bad_url", "the method or path holds a byte it may not");
  }
  message += " HTTP/1.1\r\nHost: " + url.authority + "\r\n";
  for (const auto& [name, value] : request.headers.fields) {
    if (!IsToken(name) || !IsFieldValue(value)) {
      return Fail(Code::kInvalidArgument, "bad_url", "a header holds a byte it may not");
    }
    message.append(name).append(": ").append(value).append("\r\n");
  }
  const bool has_body = !request.body.empty() || request.method == "POST" ||
                        request.method == "PUT" || request.method == "PATCH";
  if (has_body) message += "Content-Length: " + std::to_string(request.body.size()) + "\r\n";
  message += "\r\n" + request.body;

  ClientStream stream;
  if (auto found = impl_->connections.find(url.origin); found != impl_->connections.end()) {
    stream = std::move(found->second);
    impl_->connections.erase(found);
    // Readable while idle means closed, or bytes that nobody asked for.
    if (!stream.IdleAndOpen()) stream.Close();
  }
  const bool idempotent = request.method != "POST" && request.method != "PATCH";
  for (bool fresh = !stream;; fresh = true) {
    if (!stream) {
      AEGIS_TRY(stream, impl_->Connect(url, deadline));
    }
    bool reusable = false;
    auto response = impl_->Exchange(stream, url, request.method, message, deadline, &reusable);
    if (response) {
      if (reusable) impl_->connections[url.origin] = std::move(stream);
      return *std::move(response);
    }
    stream.Close();
    // A kept connection may have been closed by the server at that moment.
    if (fresh || !response.error().stale || !idempotent) return Fail(response.error().error);
  }
}

}  // namespace aegis::net
