// The egress door of one worker: accepts agents' connections to the forward proxy.
//
// Threading: belongs to one worker.
#pragma once

#include <memory>
#include <vector>

#include "aegis/gateway/buffer.h"
#include "aegis/gateway/egress/egress_connection.h"
#include "aegis/gateway/egress/egress_hub.h"
#include "aegis/gateway/graveyard.h"
#include "aegis/gateway/options.h"
#include "aegis/gateway/pipeline.h"
#include "aegis/net/event_loop.h"
#include "aegis/net/tcp.h"
#include "aegis/telemetry/log.h"
#include "aegis/telemetry/metrics.h"

namespace aegis::gateway {

class EgressDoor {
 public:
  // What it works with; all of it outlives the door.
  struct Parts {
    EgressHub& hub;
    const Limits& limits;
    AddressLimit& addresses;
    net::EventLoop& loop;
    BufferPool& buffers;
    Graveyard& graveyard;
    Pipeline& pipeline;
    telemetry::WorkerMetrics& metrics;
    telemetry::Logger& logger;
  };
  explicit EgressDoor(const Parts& parts) : parts_(parts), mailbox_(parts.loop) {}

  void Listen(FileDescriptor listening);
  // The pipeline has another state: who may no longer connect is cut.
  void OnState();
  void BeginDrain();
  void Close();
  size_t connection_count() const { return connections_.size(); }

  // --- For connections ---
  const Parts& parts() const { return parts_; }
  Resolver::Mailbox& mailbox() { return mailbox_; }
  void Remove(EgressConnection* connection);

 private:
  void Accept(FileDescriptor socket, const net::SocketAddress& peer);

  Parts parts_;
  Resolver::Mailbox mailbox_;
  bool draining_ = false;
  std::vector<std::unique_ptr<net::Acceptor>> acceptors_;
  std::vector<std::unique_ptr<EgressConnection>> connections_;
};

}  // namespace aegis::gateway
