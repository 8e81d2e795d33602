// An Envoy authorization server on our gRPC transport that allows every call without looking: what
// the transport alone costs. Its counterpart on grpc-go is the yardstick of the benchmarks.
//
//   grpc_floor PORT
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "aegis/grpc/server.h"
#include "aegis/net/tcp.h"

namespace {

using aegis::grpc::Call;

// CheckResponse{status{}, ok_response{headers{header{"x-aegis-decision", "allow"}}}}
constexpr std::string_view kAllowed(
    "\x0a\x00\x1a\x1d\x12\x1b\x0a\x19\x0a\x10x-aegis-decision\x12\x05"
    "allow",
    33);

class Service final : public aegis::grpc::Service {
 public:
  aegis::grpc::Handler* Start(Call& call) override {
    if (call.method() != "/envoy.service.auth.v3.Authorization/Check") return nullptr;
    if (free_.empty()) {
      all_.push_back(std::make_unique<Check>(*this));
      free_.push_back(all_.back().get());
    }
    Check* check = free_.back();
    free_.pop_back();
    check->call = &call;
    return check;
  }

 private:
  struct Check final : aegis::grpc::Handler {
    explicit Check(Service& owner) : service(owner) {}
    void OnMessage(std::string_view) override {}
    void OnEnd() override {
      call->Send(kAllowed);
      call->FinishOk();
    }
    void OnCancelled() override {}
    void Release() override { service.free_.push_back(this); }

    Service& service;
    Call* call = nullptr;
  };

  std::vector<std::unique_ptr<Check>> all_;
  std::vector<Check*> free_;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: grpc_floor PORT\n");
    return 2;
  }
  const auto address = aegis::net::ResolveAddress("127.0.0.1:" + std::string(argv[1]));
  auto listening = address ? aegis::net::ListenTcp(*address, false)
                           : tl::unexpected<aegis::Error>(address.error());
  if (!listening) {
    std::fprintf(stderr, "grpc_floor: %s\n", listening.error().message.c_str());
    return 1;
  }
  aegis::net::EventLoop loop;
  Service service;
  aegis::grpc::Server server(loop, {});
  server.AddService("envoy.service.auth.v3.Authorization", &service);
  server.Listen(*std::move(listening));
  loop.Run();
}
