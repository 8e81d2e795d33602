#include "aegis/net/http2_server.h"

#include <utility>

namespace aegis::net {

Http2Server::Http2Server(EventLoop& loop, const Limits& limits, Application& application)
    : loop_(loop),
      limits_(limits),
      application_(application),
      input_(std::make_unique_for_overwrite<char[]>(kReadBytes)),
      bury_([](void* self) { static_cast<Http2Server*>(self)->dead_.clear(); }, this) {}

Http2Server::~Http2Server() { Close(); }

void Http2Server::Listen(FileDescriptor listening, std::shared_ptr<const TlsServerContext> tls) {
  acceptors_.push_back(std::make_unique<Acceptor>(
      loop_, std::move(listening),
      [this, tls = std::move(tls)](FileDescriptor socket, const SocketAddress& address) {
        Adopt(std::move(socket), tls && tls_ ? tls_ : tls, Peer{address.ToString(), {}, {}});
      }));
}

void Http2Server::Adopt(FileDescriptor socket, std::shared_ptr<const TlsServerContext> tls,
                        Peer peer) {
  Http2Connection* connection = Add(ServerStream(socket.get()), std::move(peer));
  if (connection != nullptr) connection->Start(std::move(socket), std::move(tls));
}

void Http2Server::AdoptOpen(FileDescriptor socket, ServerStream stream, Peer peer,
                            std::string_view received) {
  Http2Connection* connection = Add(std::move(stream), std::move(peer));
  if (connection != nullptr) connection->StartOpen(std::move(socket), received);
}

// nullptr: beyond the limit the connection is closed at once, which is clearer to the client than
// silence.
Http2Connection* Http2Server::Add(ServerStream stream, Peer peer) {
  if (connections_.size() >= limits_.max_connections || draining_) {
    ++counters_.refused;
    return nullptr;
  }
  ++counters_.accepted;
  auto connection = std::make_unique<Http2Connection>(*this, std::move(stream), std::move(peer));
  Http2Connection* raw = connection.get();
  raw->index = connections_.size();
  connections_.push_back(std::move(connection));
  return raw;
}

void Http2Server::Remove(Http2Connection* connection) {
  const size_t index = connection->index;
  dead_.push_back(std::move(connections_[index]));
  if (index + 1 < connections_.size()) {
    connections_[index] = std::move(connections_.back());
    connections_[index]->index = index;
  }
  connections_.pop_back();
  bury_.Schedule(loop_);
}

void Http2Server::BeginDrain() {
  draining_ = true;
  for (auto& acceptor : acceptors_) acceptor->Close();
  // Closing takes a connection out of the list and another into its place.
  for (size_t i = connections_.size(); i-- > 0;) connections_[i]->Drain();
}

void Http2Server::Close() {
  draining_ = true;
  for (auto& acceptor : acceptors_) acceptor->Close();
  while (!connections_.empty()) connections_.back()->Close();
  dead_.clear();
  bury_.Cancel();
}

}  // namespace aegis::net
