// The agents of a worker that speak HTTP/2: their connections, and the calls that are their
// streams.
//
// Threading: belongs to one worker.
#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "aegis/base/file.h"
#include "aegis/gateway/http2_call.h"
#include "aegis/net/http2_server.h"

namespace aegis::gateway {

class Worker;

class Http2Door final : private net::Http2Server::Application {
 public:
  explicit Http2Door(Worker& worker);

  // A connection on which TLS is set up, if there is any, and the client has agreed on HTTP/2 or
  // has begun with its preface, which is in `received`.
  void Serve(FileDescriptor socket, net::ServerStream stream, net::Peer peer,
             std::string_view received) {
    server_.AdoptOpen(std::move(socket), std::move(stream), std::move(peer), received);
  }
  // The worker has a new state, in which calls at hand may not go on.
  void OnNewState() {
    for (const auto& call : calls_) call->OnNewState();
  }
  void BeginDrain() { server_.BeginDrain(); }
  void Close() { server_.Close(); }

  // --- For calls ---
  void TakeBack(Http2Call* call);
  // Memory for the fields of one answer at a time.
  std::vector<net::Http2Field>& fields() { return fields_; }

 private:
  net::Http2Stream* NewStream(const net::Peer& peer) override;

  Worker& worker_;
  std::vector<net::Http2Field> fields_;
  std::vector<std::unique_ptr<Http2Call>> calls_;
  std::vector<Http2Call*> free_;
  net::Http2Server server_;  // last: its end hands the calls back
};

}  // namespace aegis::gateway
