// A gRPC server with the test services of the library's own tests, for clients of other makers.
//
//   grpc_tool ADDRESS [--tls CERTIFICATE KEY [CLIENT_CA]] [--descriptors FILE]
//
// ADDRESS: 127.0.0.1:0 or unix:PATH. Prints the address as bound. A line on its input that says
// "drain" begins a drain, "down" and "up" what health says; the end of the input ends the program.
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <iostream>
#include <memory>
#include <string>
#include <thread>

#include "aegis/base/file.h"
#include "aegis/grpc/descriptor_pool.h"
#include "aegis/grpc/health.h"
#include "aegis/grpc/reflection.h"
#include "aegis/grpc/server.h"
#include "aegis/grpc/server_testing.h"
#include "aegis/net/tcp.h"
#include "aegis/net/tls_server.h"
#include "aegis/net/unix_socket.h"

namespace {

using aegis::FileDescriptor;
using aegis::Result;
using aegis::Status;

struct Arguments {
  std::string address;
  aegis::net::TlsServerContext::Options tls;
  std::string descriptors;
};

// Sends back who the client is.
class WhoAmI final : public aegis::grpc::Service {
 public:
  aegis::grpc::Handler* Start(aegis::grpc::Call& call) override {
    if (!call.method().ends_with("/WhoAmI")) return nullptr;
    return new Answer(call);  // deletes itself
  }

 private:
  struct Answer final : aegis::grpc::Handler {
    explicit Answer(aegis::grpc::Call& given) : call(given) {}
    void OnMessage(std::string_view) override {}
    void OnEnd() override {
      call.Send(call.peer().address + "|" + call.peer().principal);
      call.FinishOk();
    }
    void OnCancelled() override {}
    void Release() override { delete this; }
    aegis::grpc::Call& call;
  };
};

bool Parse(int argc, char** argv, Arguments& out) {
  if (argc < 2) return false;
  out.address = argv[1];
  for (int i = 2; i < argc; ++i) {
    const std::string option = argv[i];
    if (option == "--tls" && i + 2 < argc) {
      out.tls.certificate_file = argv[++i];
      out.tls.key_file = argv[++i];
      if (i + 1 < argc && argv[i + 1][0] != '-') out.tls.client_ca_file = argv[++i];
    } else if (option == "--descriptors" && i + 1 < argc) {
      out.descriptors = argv[++i];
    } else {
      return false;
    }
  }
  return true;
}

Result<FileDescriptor> Listen(const std::string& address) {
  if (address.starts_with("unix:")) return aegis::net::ListenUnix(address.substr(5));
  AEGIS_TRY(const auto resolved, aegis::net::ResolveAddress(address));
  return aegis::net::ListenTcp(resolved, false);
}

Result<std::shared_ptr<const aegis::net::TlsServerContext>> MakeTls(const Arguments& arguments) {
  if (arguments.tls.certificate_file.empty()) return nullptr;
  auto options = arguments.tls;
  options.protocols = {"h2"};
  return aegis::net::TlsServerContext::Make(options);
}

Status Serve(const Arguments& arguments) {
  aegis::net::EventLoop loop;
  aegis::grpc::DescriptorPool pool;
  if (!arguments.descriptors.empty()) {
    AEGIS_TRY(const std::string set, aegis::ReadFile(arguments.descriptors));
    AEGIS_RETURN_IF_ERROR(pool.Add(set));
  }
  AEGIS_TRY(const auto tls, MakeTls(arguments));
  AEGIS_TRY(FileDescriptor listening, Listen(arguments.address));
  std::cout << aegis::net::LocalAddress(listening.get()).ToString() << std::endl;

  bool serving = true;  // the loop's
  aegis::grpc::EchoService echo;
  WhoAmI who;
  aegis::grpc::HealthService health(loop, [&serving] { return serving; });
  aegis::grpc::Server server(loop, {});
  aegis::grpc::ReflectionService reflection(server, [&pool]() -> const auto& { return pool; });
  server.AddService("test.Echo", &echo);
  server.AddService("test.Who", &who);
  server.AddService(std::string(health.kName), &health);
  for (const std::string_view name : reflection.kNames) {
    server.AddService(std::string(name), &reflection);
  }
  server.Listen(std::move(listening), tls);
  const auto renew = [&arguments, &server] {
    auto renewed = MakeTls(arguments);
    if (renewed) server.SetTls(*std::move(renewed));
  };
  std::thread thread([&loop] { loop.Run(); });
  for (std::string line; std::getline(std::cin, line);) {
    loop.Post([&, line] {
      if (line == "up" || line == "down") {
        serving = line == "up";
        health.Update();
      } else if (line == "renew") {
        renew();
      } else if (line == "drain") {
        health.Shutdown();
        server.BeginDrain();
      }
    });
  }
  loop.Post([&] { server.Close(); });
  loop.Stop();
  thread.join();
  return aegis::Ok();
}

}  // namespace

int main(int argc, char** argv) {
  Arguments arguments;
  if (!Parse(argc, argv, arguments)) {
    std::fprintf(stderr,
                 "usage: grpc_tool ADDRESS [--tls CERTIFICATE KEY [CLIENT_CA]] "
                 "[--descriptors FILE]\n");
    return 2;
  }
  if (const auto served = Serve(arguments); !served) {
    std::fprintf(stderr, "grpc_tool: %s\n", served.error().message.c_str());
    return 1;
  }
}
