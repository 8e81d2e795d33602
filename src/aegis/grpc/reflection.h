// Server reflection (grpc/doc/server-reflection.md), versions v1 and v1alpha, which differ in name
// only: which services there are, and the descriptors of their messages.
//
// Threading: belongs to its server's loop; the descriptors may be shared.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "aegis/grpc/descriptor_pool.h"
#include "aegis/grpc/handler_pool.h"
#include "aegis/grpc/service.h"

namespace aegis::grpc {

class Server;

class ReflectionService final : public Service {
 public:
  static constexpr std::string_view kNames[] = {"grpc.reflection.v1.ServerReflection",
                                                "grpc.reflection.v1alpha.ServerReflection"};

  // Called when a client first asks for a descriptor, and each time after.
  using Descriptors = std::function<const DescriptorPool&()>;

  // The server and the descriptors must outlive it. The services that it lists are the server's.
  ReflectionService(const Server& server, Descriptors descriptors);
  ~ReflectionService() override;

  Handler* Start(Call& call) override;

 private:
  class Stream;

  // False: the request is malformed.
  bool Answer(std::string_view request, std::string& out) const;

  const Server& server_;
  Descriptors descriptors_;
  HandlerPool<Stream> streams_;
};

}  // namespace aegis::grpc
