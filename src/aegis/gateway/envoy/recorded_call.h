// A unary call of gRPC that is answered with one message, once the record of what was decided is
// durable. What is decided, and how it is said, is the deriving class's.
//
// Threading: belongs to one worker. Once warm no allocation of its own.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "aegis/gateway/pipeline.h"
#include "aegis/grpc/service.h"
#include "aegis/telemetry/metrics.h"

namespace aegis::gateway {

class RecordedCall : public grpc::Handler, private RecordWaiter {
 public:
  RecordedCall(Pipeline& pipeline, telemetry::WorkerMetrics& metrics)
      : pipeline_(pipeline), metrics_(metrics) {}
  virtual ~RecordedCall() = default;

  void Start(grpc::Call& call);
  void OnMessage(std::string_view message) final;
  void OnEnd() final;
  void OnCancelled() final;

 protected:
  // What the client is answered at once: the call was not decided.
  static constexpr RecordSlot* kNothingToRecord = nullptr;

  // Judges the message and sets answer_ and kind_. The result is that of Pipeline::Judge, called
  // with waiter() and &ticket_ after set_decided(); kNothingToRecord without it.
  virtual RecordSlot* Judge(std::string_view message) = 0;
  // Sets answer_: the decision could not be recorded, so that nobody may rely on it.
  virtual void RefuseUnrecorded() = 0;

  RecordWaiter* waiter() { return this; }
  void set_decided() { decided_ = true; }
  grpc::Call& call() { return *call_; }

  Pipeline& pipeline_;
  telemetry::WorkerMetrics& metrics_;
  telemetry::EnvoyAnswer kind_ = telemetry::EnvoyAnswer::kRefused;
  Ticket ticket_;
  std::string answer_;

 private:
  enum class State : uint8_t {
    kReceiving,  // the message is awaited
    kRecording,  // judged; the record is not durable yet
    kAnswering,  // answer_ may be sent once the client has sent all
  };

  void OnRecorded(bool durable) override;
  void Unrecorded();
  void Answer();
  void Finish(Code code, std::string_view message);
  void Abandon();
  void FinishSpan(std::string_view error);
  void End();

  grpc::Call* call_ = nullptr;  // nullptr: over
  State state_ = State::kReceiving;
  bool ended_ = false;    // the client has sent all
  bool decided_ = false;  // ticket_ is on record or on its way there
  RecordSlot* pending_ = nullptr;
};

}  // namespace aegis::gateway
