#include "aegis/grpc/health.h"

#include <algorithm>

#include "aegis/base/protobuf_wire.h"
#include "aegis/base/text.h"

namespace aegis::grpc {
namespace {

constexpr int64_t kLookMs = 1'000;

// HealthCheckRequest{service = 1}. False: it is malformed.
bool ReadRequest(std::string_view message, std::string_view& service) {
  service = {};
  WireReader reader(message);
  WireField field;
  while (!reader.done()) {
    if (!reader.Next(field)) return false;
    if (field.number == 1 && field.wire == Wire::kBytes) service = field.bytes;
  }
  return IsValidUtf8(service);
}

}  // namespace

class HealthService::HealthCall final : public Handler {
 public:
  explicit HealthCall(HealthService& service) : service_(service) {}

  void Begin(Call& call, bool watch) {
    call_ = &call;
    watch_ = watch;
    asked_ = false;
  }
  Call& call() { return *call_; }

  void OnMessage(std::string_view message) override {
    std::string_view name;
    if (asked_ || !ReadRequest(message, name)) {
      StopWatching();
      return call_->Finish(Code::kInvalidArgument, "one HealthCheckRequest is expected");
    }
    asked_ = true;
    // The name itself, which may be as large as a message, is not kept.
    known_ = service_.Knows(name);
    if (!watch_) return;
    if (service_.shut_down_) return call_->Finish(Code::kUnavailable, "the server shuts down");
    if (!known_) return SendStatus(*call_, Serving::kServiceUnknown);
    service_.Update();
    SendStatus(*call_, service_.told_);
    service_.watching_.push_back(this);
    service_.timer_.Arm(service_.loop_, kLookMs);
  }

  void OnEnd() override {
    if (!asked_) return call_->Finish(Code::kInvalidArgument, "a HealthCheckRequest is missing");
    if (watch_) return;
    if (!known_) return call_->Finish(Code::kNotFound, "there is no such service");
    SendStatus(*call_, service_.Now());
    call_->FinishOk();
  }

  void OnCancelled() override { StopWatching(); }
  bool takes_stream() const override { return watch_; }
  void Release() override { service_.calls_.Give(this); }

 private:
  void StopWatching() { std::erase(service_.watching_, this); }

  HealthService& service_;
  Call* call_ = nullptr;
  bool watch_ = false;
  bool asked_ = false;
  bool known_ = false;  // the service that is asked for
};

HealthService::HealthService(net::EventLoop& loop, std::function<bool()> serving)
    : loop_(loop),
      serving_(std::move(serving)),
      timer_([](void* self) { static_cast<HealthService*>(self)->OnTimer(); }, this) {}

HealthService::~HealthService() = default;

Handler* HealthService::Start(Call& call) {
  const std::string_view method = call.method().substr(call.method().rfind('/') + 1);
  if (method != "Check" && method != "Watch") return nullptr;
  HealthCall* handler = calls_.Take([this] { return std::make_unique<HealthCall>(*this); });
  handler->Begin(call, method == "Watch");
  return handler;
}

HealthService::Serving HealthService::Now() const {
  return !shut_down_ && serving_() ? Serving::kServing : Serving::kNotServing;
}

bool HealthService::Knows(std::string_view name) const {
  return std::find(names_.begin(), names_.end(), name) != names_.end();
}

void HealthService::SendStatus(Call& call, Serving status) {
  // HealthCheckResponse{status = 1}
  const char message[] = {1 << 3, static_cast<char>(status)};
  call.Send({message, sizeof message});
}

void HealthService::Update() {
  const Serving now = Now();
  if (now == told_) return;
  told_ = now;
  for (HealthCall* handler : watching_) SendStatus(handler->call(), now);
}

void HealthService::OnTimer() {
  if (watching_.empty()) return;
  Update();
  timer_.Arm(loop_, kLookMs);
}

void HealthService::Shutdown() {
  shut_down_ = true;
  Update();
  for (HealthCall* handler : std::exchange(watching_, {})) {
    handler->call().Finish(Code::kUnavailable, "the server shuts down");
  }
}

}  // namespace aegis::grpc
