// grpc.health.v1.Health: Check and Watch (grpc/doc/health-checking.md). Whether the server serves
// is one answer for it and for all services that it is told of.
//
// Threading: belongs to its server's loop.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "aegis/grpc/handler_pool.h"
#include "aegis/grpc/service.h"
#include "aegis/net/event_loop.h"

namespace aegis::grpc {

class HealthService final : public Service {
 public:
  static constexpr std::string_view kName = "grpc.health.v1.Health";

  // `serving` is asked for each Check, and once a second while somebody watches.
  HealthService(net::EventLoop& loop, std::function<bool()> serving);
  ~HealthService() override;

  // A service that clients may ask for by name; "" (the whole server) is known already.
  void AddName(std::string name) { names_.push_back(std::move(name)); }
  // Tells those who watch if the answer is another one now.
  void Update();
  // NOT_SERVING from now on; those who watch are told and their calls end, so that the server can
  // be drained.
  void Shutdown();

  Handler* Start(Call& call) override;

 private:
  enum class Serving : uint8_t { kServing = 1, kNotServing = 2, kServiceUnknown = 3 };
  class HealthCall;

  Serving Now() const;
  bool Knows(std::string_view name) const;
  static void SendStatus(Call& call, Serving status);
  void OnTimer();

  net::EventLoop& loop_;
  std::function<bool()> serving_;
  std::vector<std::string> names_ = {""};
  bool shut_down_ = false;
  Serving told_ = Serving::kNotServing;  // to those who watch
  net::Timer timer_;
  HandlerPool<HealthCall> calls_;
  std::vector<HealthCall*> watching_;
};

}  // namespace aegis::grpc
