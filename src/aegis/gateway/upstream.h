// Connections of one worker to one tool: made on demand, kept alive, used by one call at a time;
// and how many calls the tool gets at a time.
//
// An address that fails again and again is left alone for a while (upstream_health.h); with none
// left, calls fail at once.
//
// Threading: belongs to one worker. Ownership: the pool owns all its connections; a call borrows
// one between Acquire and Release.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "aegis/gateway/buffer.h"
#include "aegis/gateway/graveyard.h"
#include "aegis/gateway/outbox.h"
#include "aegis/gateway/tunnel.h"
#include "aegis/gateway/upstream_health.h"
#include "aegis/gateway/upstream_options.h"
#include "aegis/net/event_loop.h"
#include "aegis/net/http1_parser.h"
#include "aegis/net/tcp.h"
#include "aegis/net/tls_stream.h"
#include "aegis/telemetry/log.h"
#include "aegis/telemetry/metrics.h"

namespace aegis::gateway {

class UpstreamPool;
class UpstreamConnection;

// Why there is no connection.
enum class UpstreamFailure : uint8_t {
  kConnect,      // no address accepts it
  kTls,          // the certificate is not accepted, or TLS failed otherwise
  kTimeout,      // not in time
  kOverloaded,   // too many calls already
  kUnavailable,  // every address was ejected
};

// Who uses a connection. Calls come from the event loop, never from within Acquire or Release.
class UpstreamUser {
 public:
  // A call that waited got this connection, which may be connecting still.
  virtual void OnUpstreamAssigned(UpstreamConnection* connection) = 0;
  virtual void OnUpstreamConnected() = 0;
  // A connection that was assigned is borrowed still.
  virtual void OnUpstreamFailed(UpstreamFailure why) = 0;
  virtual void OnUpstreamReadable() = 0;
  virtual void OnUpstreamWritable() = 0;

 protected:
  ~UpstreamUser() = default;

 private:
  friend class UpstreamPool;
  // In the row of those who wait for a connection.
  UpstreamUser* next_ = nullptr;
  UpstreamUser* previous_ = nullptr;
  bool waits_ = false;
};

class UpstreamConnection final : public Mortal, public TunnelEnd, private net::Watch::Listener {
 public:
  UpstreamConnection(UpstreamPool& pool, BufferPool& buffers, const net::Http1Limits& limits);

  bool connected() const { return state_ == State::kActive; }
  // Whether an earlier call used it: then the tool may have closed it meanwhile.
  bool reused() const { return reused_; }

  // As net::IoStep; when there is nothing yet, OnUpstreamReadable follows.
  net::IoStep Receive(char* data, size_t size);
  // When not all is taken, OnUpstreamWritable follows.
  Outbox::Result Send(Outbox& out);
  void WaitReadable();
  void WaitWritable() { watch_.WaitWritable(); }

  // TunnelEnd; its events come by OnUpstreamReadable and OnUpstreamWritable.
  net::IoStep Read(char* data, size_t size) override;
  net::IoStep Write(std::string_view data) override;
  void CloseWriting() override;
  void AwaitReadable() override { WaitReadable(); }
  void AwaitWritable() override { WaitWritable(); }

  net::ResponseParser parser;
  ByteBuffer input;

 private:
  friend class UpstreamPool;
  enum class State : uint8_t {
    kConnecting,   // borrowed; becomes kHandshaking or kActive, or fails
    kHandshaking,  // the same
    kActive,       // borrowed
    kIdle,         // in the pool; anything readable closes it
    kClosed,
  };
  static constexpr size_t kMaxTried = 4;  // addresses for one connection

  void OnReadable() override;
  void OnWritable() override;
  void OnAgain();
  // Begins with the next address that is not tried yet. False: there is none.
  bool TryNext(UpstreamFailure* why);
  void OnConnectResult();
  void Handshake();
  void OnOpen();
  void OnFailed(UpstreamFailure why, std::string_view detail);
  bool IsStale();
  void Close();

  UpstreamPool& pool_;
  net::Watch watch_;
  net::TlsClient tls_;
  net::Timer timer_;     // while connecting
  net::Deferred again_;  // what TLS holds already does not make the socket readable
  State state_ = State::kConnecting;
  bool reused_ = false;
  bool probe_ = false;                 // of its endpoint's health
  bool read_waits_writable_ = false;   // TLS must write before it can read,
  bool write_waits_readable_ = false;  // or the other way round
  UpstreamUser* user_ = nullptr;
  struct Endpoint;
  std::shared_ptr<Endpoint> endpoint_;
  std::array<const Endpoint*, kMaxTried> tried_{};
  size_t tried_count_ = 0;
  size_t index_ = 0;  // in the pool's list of all
  int64_t idle_since_ms_ = 0;
};

class UpstreamPool {
 public:
  struct Options {
    std::string name;  // of the tool, for logs
    size_t max_idle = 256;
    int idle_timeout_ms = 60'000;
    net::Http1Limits limits;
    UpstreamOptions upstream;  // its times are set, not 0
    telemetry::WorkerMetrics* metrics = nullptr;
    telemetry::Logger* logger = nullptr;  // nullptr: no logs
  };
  UpstreamPool(net::EventLoop& loop, BufferPool& buffers, Graveyard& graveyard,
               UpstreamTarget target, const Options& options);
  ~UpstreamPool();

  // Addresses and options may change while calls run; what is known of an address stays.
  void Update(const std::vector<net::SocketAddress>& addresses, const UpstreamOptions& options);
  // What the tool is told and agents must not learn, now. The secrets before these stay secret.
  void SetSecrets(std::vector<std::string> secrets);
  // Whether a field of an answer has one of them in it.
  bool Reveals(std::string_view value) const;
  const UpstreamOptions& options() const { return options_.upstream; }
  BufferPool& buffers() { return buffers_; }

  // A call begins and ends. False: there are too many; then EndCall must not follow.
  bool BeginCall();
  void EndCall();
  // A request is sent once more. Of the calls at hand at most a fifth may be such, or three, so
  // that retries do not bring down a tool that is in trouble. False: not now.
  bool BeginRetry();
  void EndRetry() { --retries_; }

  struct Acquired {
    UpstreamConnection* connection = nullptr;
    bool waits = false;  // OnUpstreamAssigned or OnUpstreamFailed follows
    UpstreamFailure why = UpstreamFailure::kConnect;  // of neither
  };
  // An idle connection, or a new one that is connecting (`fresh`: always a new one).
  Acquired Acquire(UpstreamUser* user, bool fresh);
  // The user waits no more.
  void Withdraw(UpstreamUser* user);
  // Gives a connection back; `reusable`: the exchange ended cleanly and both sides keep it alive.
  void Release(UpstreamConnection* connection, bool reusable);
  // How a call of that connection went, for the health of its address.
  void Report(UpstreamConnection* connection, bool good);
  // For Retry-After, of kOverloaded and kUnavailable.
  int retry_after_seconds() const;

  // Closes idle connections; those in use are closed when they are released.
  void Retire();
  bool in_use() const { return calls_ > 0 || all_.size() > idle_.size(); }

 private:
  friend class UpstreamConnection;
  using Endpoint = UpstreamConnection::Endpoint;

  UpstreamConnection* TakeIdle(UpstreamUser* user);
  Acquired Connect(UpstreamUser* user);
  std::shared_ptr<Endpoint> PickEndpoint(const UpstreamConnection& connection);
  void Fail(Endpoint& endpoint, std::string_view why, std::string_view detail);
  void CloseIdleOf(const Endpoint* endpoint);
  void ServeWaiting();
  void Close(UpstreamConnection* connection);
  void CloseIdle(UpstreamConnection* connection);
  void Sweep();

  net::EventLoop& loop_;
  BufferPool& buffers_;
  Graveyard& graveyard_;
  std::shared_ptr<const net::TlsContext> tls_;
  std::string server_name_;
  Options options_;
  net::Timer sweep_timer_;
  net::Deferred serve_;
  bool retired_ = false;
  size_t calls_ = 0;
  size_t retries_ = 0;
  std::vector<std::string> secrets_, old_secrets_;
  std::vector<std::shared_ptr<Endpoint>> endpoints_;
  size_t next_endpoint_ = 0;
  net::TlsSession session_;  // before the connections that use it
  std::vector<std::unique_ptr<UpstreamConnection>> all_;
  std::vector<UpstreamConnection*> idle_;  // the most recently used last
  UpstreamUser* first_waiting_ = nullptr;
  UpstreamUser* last_waiting_ = nullptr;
  size_t waiting_ = 0;
};

}  // namespace aegis::gateway
