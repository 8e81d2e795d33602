// Connections of one worker to one tool: made on demand, kept alive, used by one call at a time.
//
// Threading: belongs to one worker. Ownership: the pool owns all its connections; a call borrows
// one between Acquire and Release.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "aegis/gateway/buffer.h"
#include "aegis/gateway/graveyard.h"
#include "aegis/net/event_loop.h"
#include "aegis/net/http1_parser.h"
#include "aegis/net/tcp.h"

namespace aegis::gateway {

class UpstreamPool;

// Who uses a connection. Calls come from the event loop, never from within Acquire or Release.
class UpstreamUser {
 public:
  virtual void OnUpstreamConnected() = 0;
  // `error_number`: errno of the failed connect. The connection is still borrowed.
  virtual void OnUpstreamConnectFailed(int error_number) = 0;
  virtual void OnUpstreamReadable() = 0;
  virtual void OnUpstreamWritable() = 0;

 protected:
  ~UpstreamUser() = default;
};

class UpstreamConnection final : public Mortal, private net::Watch::Listener {
 public:
  UpstreamConnection(UpstreamPool& pool, BufferPool& buffers, const net::Http1Limits& limits)
      : parser(limits), input(buffers), pool_(pool) {}

  int fd() const { return watch_.fd(); }
  bool connected() const { return state_ != State::kConnecting; }
  // Whether an earlier call used it: then the tool may have closed it meanwhile.
  bool reused() const { return reused_; }
  void WaitReadable() { watch_.WaitReadable(); }
  void WaitWritable() { watch_.WaitWritable(); }

  net::ResponseParser parser;
  ByteBuffer input;

 private:
  friend class UpstreamPool;
  enum class State : uint8_t {
    kConnecting,  // borrowed; becomes kActive or fails
    kActive,      // borrowed
    kIdle,        // in the pool; anything readable closes it
    kClosed,
  };
  void OnReadable() override;
  void OnWritable() override;

  UpstreamPool& pool_;
  net::Watch watch_;
  State state_ = State::kConnecting;
  bool reused_ = false;
  UpstreamUser* user_ = nullptr;
  size_t index_ = 0;  // in the pool's list of all
  int64_t idle_since_ms_ = 0;
};

class UpstreamPool {
 public:
  struct Options {
    size_t max_idle = 256;
    int idle_timeout_ms = 60'000;
    net::Http1Limits limits;
  };
  UpstreamPool(net::EventLoop& loop, BufferPool& buffers, Graveyard& graveyard,
               const net::SocketAddress& address, const Options& options);
  ~UpstreamPool();

  // An idle connection, or a new one that is connecting (`fresh`: always a new one). nullptr when
  // no socket can be made.
  UpstreamConnection* Acquire(UpstreamUser* user, bool fresh);
  // Gives a connection back; `reusable`: the exchange ended cleanly and both sides keep it alive.
  void Release(UpstreamConnection* connection, bool reusable);
  // Closes idle connections; those in use are closed when they are released.
  void Retire();
  bool in_use() const { return all_.size() > idle_.size(); }

 private:
  friend class UpstreamConnection;
  static bool IsStale(const UpstreamConnection& connection);
  void Close(UpstreamConnection* connection);
  void CloseIdle(UpstreamConnection* connection);
  void Sweep();

  net::EventLoop& loop_;
  BufferPool& buffers_;
  Graveyard& graveyard_;
  net::SocketAddress address_;
  Options options_;
  net::Timer sweep_timer_;
  bool retired_ = false;
  std::vector<std::unique_ptr<UpstreamConnection>> all_;
  std::vector<UpstreamConnection*> idle_;  // the most recently used last
};

}  // namespace aegis::gateway
