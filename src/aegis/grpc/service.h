// What a gRPC service implements and what it gets to see: calls of clients, without any HTTP/2.
//
// A service is registered with a Server (server.h) under its full name and gives each call a
// Handler. Handlers are pooled by their service, so that a warm unary call allocates nothing.
//
// Threading: everything here belongs to one worker's thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "aegis/base/result.h"
#include "aegis/net/peer.h"

namespace aegis::grpc {

// Who is at the other end of a connection: address and verified principal.
using Peer = net::Peer;

// One call of a client. Valid until Finish, or until Handler::OnCancelled returned.
class Call {
 public:
  // "/envoy.service.auth.v3.Authorization/Check"; metadata and this stay valid as the call does.
  virtual std::string_view method() const = 0;
  // The first value of a request header, whose name is lower case; empty: none.
  virtual std::string_view Metadata(std::string_view name) const = 0;
  virtual const Peer& peer() const = 0;
  // Both of Clock::MonotonicNanos. 0: the client sets no deadline. The transport cancels a call
  // within about 0.1 s of its deadline.
  virtual int64_t deadline_ns() const = 0;
  virtual int64_t started_ns() const = 0;  // when the head arrived

  // Sends one message, which is copied. Output of a turn of the loop leaves in one write.
  virtual void Send(std::string_view message) = 0;
  // Bytes sent that the client has not taken yet. Beyond the high mark (256 KiB) the client's next
  // messages wait until it fell below the low one (64 KiB); then Handler::OnWritable comes.
  virtual size_t unsent() const = 0;

  // Ends the call with this status after all that was sent. The call is gone when it returns.
  // Handler::Release follows, but not from within Finish.
  virtual void Finish(Code code, std::string_view message = {}) = 0;
  // Ends it with OK.
  virtual void FinishOk() = 0;

 protected:
  ~Call() = default;
};

// What a service does with one call. Send and Finish may be called from all methods but OnCancelled
// and Release, or at any later time on the worker's thread.
class Handler {
 public:
  // One message, whole; its bytes are valid during the call only. A message of a unary call is
  // followed by OnEnd, which is where to answer (unless Finish came before).
  virtual void OnMessage(std::string_view message) = 0;
  // The client has sent all.
  virtual void OnEnd() = 0;
  // The client reset the call, its deadline passed, or the connection is lost: the Call is gone
  // when this returns, and Release follows.
  virtual void OnCancelled() = 0;
  // Whether messages may come at any time after the first. Else all of the request must come within
  // the server's time for it.
  virtual bool takes_stream() const { return false; }
  // unsent() fell below the low mark after it had passed the high one.
  virtual void OnWritable() {}
  // The last call; comes once, never from within another method of the handler. The service may
  // give the handler to another call.
  virtual void Release() = 0;

 protected:
  ~Handler() = default;
};

class Service {
 public:
  virtual ~Service() = default;
  // The handler of a call; nullptr: the service has no such method (UNIMPLEMENTED). The call may
  // not be finished here yet.
  virtual Handler* Start(Call& call) = 0;
};

}  // namespace aegis::grpc
