// For tests: a Server on a loop of its own thread, with an echo service, and a client that says
// what it is told to over a socket pair.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "aegis/grpc/server.h"
#include "aegis/net/event_loop.h"
#include "aegis/net/http2_testing.h"

namespace aegis::grpc {

// Methods of test.Echo; Echo and Large take streams:
//   /Echo    sends each message back; OK at the end
//   /Fail    finishes with what the message says: "CODE text"
//   /Silent  never answers
//   /Large   answers each message with as many bytes as its text says
// What happens to handlers is counted; the counts may be read while the loop does not run.
class EchoService final : public Service {
 public:
  EchoService();
  ~EchoService() override;
  Handler* Start(Call& call) override;

  int started = 0;
  int cancelled = 0;
  int released = 0;
  int ended = 0;
  int writable = 0;
  size_t messages = 0;
  size_t made = 0;  // handlers that had to be allocated
  Peer last_peer;
  std::string last_metadata;  // of "x-test"
  int64_t last_timeout_ns = 0;

 private:
  class Echo;
  std::vector<std::unique_ptr<Echo>> all_;
  std::vector<Echo*> free_;
};

class ServerFixture {
 public:
  explicit ServerFixture(Server::Options options = {});
  ~ServerFixture();

  // Runs `task` on the loop's thread and waits for it.
  void OnLoop(const std::function<void()>& task);
  // The client's end of a new connection.
  FileDescriptor Connect();

  net::EventLoop loop;
  EchoService echo;
  std::unique_ptr<Server> server;

 private:
  std::thread thread_;
};

// A client on a socket, for one connection.
class TestClient : public net::Http2TestClient {
 public:
  explicit TestClient(FileDescriptor socket, std::string_view settings_payload = {});

  // Begins a call of a method of test.Echo, or of a whole path; its number.
  uint32_t Start(std::string_view method, std::vector<net::Http2Field> more = {});
  void Message(uint32_t call, std::string_view message, bool end);
  // Sends what was said and reads until `done` or the end of the connection. False: that end, or 5
  // s have passed.
  bool Await(const std::function<bool()>& done);
  // Until the call is over; its grpc-status ("(none)": reset, or no gRPC).
  std::string Status(uint32_t call);
  std::string StatusMessage(uint32_t call);
  // The messages that a call was answered with.
  std::vector<std::string> Messages(uint32_t call);
  // The server has closed the connection.
  bool AwaitClose();
  void Close() { socket_.Close(); }

 private:
  FileDescriptor socket_;
  uint32_t next_ = 1;
};

std::string Framed(std::string_view message);

}  // namespace aegis::grpc
