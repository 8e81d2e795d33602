// Relays bytes between an agent and an upstream both ways until both have said their last: what
// follows a CONNECT or a switch of protocols.
//
// Back-pressure: a direction holds at most one buffer of kBufferBytes; its source is not read while
// the other end does not take what was read. A direction with nothing on its way holds no memory.
// An end that says its last is passed on as such (half-close); the other direction goes on.
//
// Threading: belongs to one worker. Ownership: the ends, whose sockets or TLS streams belong to
// others, must outlast the tunnel, or be told of by Cancel. No allocation once warm.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "aegis/gateway/buffer.h"
#include "aegis/net/event_loop.h"
#include "aegis/net/tls_stream.h"

namespace aegis::gateway {

// One end, as a tunnel needs it. Whoever owns the socket's Watch passes its events to the tunnel.
class TunnelEnd {
 public:
  // As of net::ClientStream.
  virtual net::IoStep Read(char* data, size_t size) = 0;
  virtual net::IoStep Write(std::string_view data) = 0;
  // Nothing more will be written; reading goes on.
  virtual void CloseWriting() = 0;
  virtual void AwaitReadable() = 0;
  virtual void AwaitWritable() = 0;

 protected:
  ~TunnelEnd() = default;
};

// The end of a connection without TLS, whose Watch is open and somebody else's.
class SocketEnd final : public TunnelEnd {
 public:
  explicit SocketEnd(net::Watch& watch) : watch_(watch) {}
  net::IoStep Read(char* data, size_t size) override;
  net::IoStep Write(std::string_view data) override;
  void CloseWriting() override;
  void AwaitReadable() override { watch_.WaitReadable(); }
  void AwaitWritable() override { watch_.WaitWritable(); }

 private:
  net::Watch& watch_;
};

class Tunnel {
 public:
  static constexpr size_t kBufferBytes = 16 * 1024;

  enum class Side : uint8_t { kAgent, kUpstream };
  enum class Over : uint8_t {
    kClosed,       // both ends have said their last
    kAgentBroken,  // the agent's connection failed
    kUpstreamBroken,
    kIdle,       // nothing moved for idle_timeout_ms
    kLifetime,   // lifetime_ms are over
    kByteLimit,  // an end sent more than it may; the excess was not passed on
  };
  class User {
   public:
    // The tunnel does nothing more. Both connections are to be closed; what was written before is
    // with the kernel. The tunnel may be destroyed here.
    virtual void OnTunnelOver(Over why) = 0;

   protected:
    ~User() = default;
  };
  // 0: no limit.
  struct Limits {
    int64_t idle_timeout_ms = 0;
    int64_t lifetime_ms = 0;
    uint64_t max_bytes_from_agent = 0;
    uint64_t max_bytes_from_upstream = 0;
  };

  Tunnel(User& user, net::EventLoop& loop, BufferPool& buffers);
  ~Tunnel() { Cancel(); }
  Tunnel(const Tunnel&) = delete;
  Tunnel& operator=(const Tunnel&) = delete;

  // Begins. `from_agent` and `from_upstream` were received already and go first; they are copied.
  // OnTunnelOver may be called from within.
  void Start(TunnelEnd& agent, TunnelEnd& upstream, const Limits& limits,
             std::string_view from_agent = {}, std::string_view from_upstream = {});
  // The user is told nothing more, and the ends are not touched any more.
  void Cancel();
  bool active() const { return active_; }

  // The side's connection is readable or writable. OnTunnelOver may be called from within.
  void OnReadable(Side side) { OnEvent(side, Wait::kReadable); }
  void OnWritable(Side side) { OnEvent(side, Wait::kWritable); }

  // Of the current or last tunnel: passed on to the other end's socket.
  uint64_t bytes_from_agent() const { return ways_[0].passed; }
  uint64_t bytes_from_upstream() const { return ways_[1].passed; }

 private:
  enum class Wait : uint8_t { kNothing, kReadable, kWritable };
  // One direction.
  struct Way {
    Way(Side side, BufferPool& pool) : from(side), buffer(pool) {}
    void Begin(TunnelEnd& from_end, TunnelEnd& to_end, uint64_t most, std::string_view received);

    const Side from;
    TunnelEnd* source = nullptr;
    TunnelEnd* sink = nullptr;
    ByteBuffer buffer;  // taken and not passed yet
    uint64_t max_bytes = 0;
    uint64_t taken = 0;          // from the source
    uint64_t passed = 0;         // to the sink
    bool ended = false;          // the source has said its last
    bool done = false;           // and the sink was told
    Wait wait = Wait::kNothing;  // for what of which end it waits
    Side wait_side = Side::kAgent;
  };
  enum class Step : uint8_t { kWaits, kYields, kDone, kByteLimit, kSourceBroken, kSinkBroken };

  static Side Other(Side side) { return side == Side::kAgent ? Side::kUpstream : Side::kAgent; }
  static Over BrokenAt(Side side) {
    return side == Side::kAgent ? Over::kAgentBroken : Over::kUpstreamBroken;
  }
  void OnEvent(Side side, Wait event);
  void OnAgain();
  // Moves what it can. False: the tunnel is over, and `over_` says why.
  bool Pump(Way& way);
  static Step Move(Way& way);
  static Step Await(Way& way, Side side, net::IoWant want, Step broken);
  void FinishWhenDone();
  void Finish(Over why);

  User& user_;
  net::EventLoop& loop_;
  net::Timer idle_timer_;
  net::Timer life_timer_;
  net::Deferred again_;  // a direction that has moved much lets others have their turn
  bool active_ = false;
  Limits limits_;
  std::array<Way, 2> ways_;
  Over over_ = Over::kClosed;
};

// Stable ids for records: "", "client_gone", "upstream_reset", "idle_timeout", "lifetime_exceeded",
// "byte_limit".
std::string_view TunnelError(Tunnel::Over why);

}  // namespace aegis::gateway
