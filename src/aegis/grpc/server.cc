#include "aegis/grpc/server.h"

#include "aegis/grpc/server_call.h"

namespace aegis::grpc {
namespace {

constexpr size_t kKeptCalls = 512;

}  // namespace

Server::Server(net::EventLoop& loop, const Options& options)
    : loop_(loop), options_(options), connections_(loop, options.connections, *this) {}

Server::~Server() { Close(); }

void Server::AddService(std::string name, Service* service) {
  services_.emplace_back(std::move(name), service);
}

Service* Server::FindService(std::string_view name) const {
  for (const auto& [known, service] : services_) {
    if (known == name) return service;
  }
  return nullptr;
}

net::Http2Stream* Server::NewStream(const Peer& peer) {
  std::unique_ptr<ServerCall> call;
  if (free_calls_.empty()) {
    call = std::make_unique<ServerCall>(*this);
  } else {
    call = std::move(free_calls_.back());
    free_calls_.pop_back();
  }
  call->Begin(peer);
  ++live_calls_;
  return call.release();
}

void Server::Recycle(ServerCall* call) {
  --live_calls_;
  std::unique_ptr<ServerCall> owned(call);
  if (free_calls_.size() < kKeptCalls) free_calls_.push_back(std::move(owned));
}

}  // namespace aegis::grpc
