#include "aegis/gateway/egress/egress_door.h"

#include <utility>

namespace aegis::gateway {

void EgressDoor::Listen(FileDescriptor listening) {
  acceptors_.push_back(std::make_unique<net::Acceptor>(
      parts_.loop, std::move(listening),
      [this](FileDescriptor socket, const net::SocketAddress& peer) {
        Accept(std::move(socket), peer);
      }));
}

void EgressDoor::Accept(FileDescriptor socket, const net::SocketAddress& peer) {
  // Beyond the limit the connection is closed at once: that is clearer to the agent than silence.
  if (draining_) return;
  const AddressLimit::Source source = AddressLimit::SourceOf(peer);
  if (!parts_.addresses.Enter(source)) return;
  if (!parts_.hub.Enter()) return parts_.addresses.Leave(source);
  auto connection = std::make_unique<EgressConnection>(*this);
  EgressConnection* raw = connection.get();
  raw->index = connections_.size();
  connections_.push_back(std::move(connection));
  parts_.metrics.connections.Add(1);
  raw->Start(std::move(socket), peer);
}

void EgressDoor::Remove(EgressConnection* connection) {
  const size_t index = connection->index;
  std::unique_ptr<EgressConnection> dead = std::move(connections_[index]);
  if (index + 1 < connections_.size()) {
    connections_[index] = std::move(connections_.back());
    connections_[index]->index = index;
  }
  connections_.pop_back();
  parts_.hub.Leave();
  parts_.addresses.Leave(dead->source);
  parts_.metrics.connections.Add(-1);
  parts_.graveyard.Bury(std::move(dead));
}

void EgressDoor::OnState() {
  // Cutting takes a connection out of the list and another into its place.
  for (size_t i = connections_.size(); i-- > 0;) connections_[i]->OnState();
}

void EgressDoor::BeginDrain() {
  draining_ = true;
  for (auto& acceptor : acceptors_) acceptor->Close();
  for (size_t i = connections_.size(); i-- > 0;) connections_[i]->Drain();
}

void EgressDoor::Close() {
  draining_ = true;
  for (auto& acceptor : acceptors_) acceptor->Close();
  while (!connections_.empty()) connections_.back()->Close("gateway_stopped");
}

}  // namespace aegis::gateway
