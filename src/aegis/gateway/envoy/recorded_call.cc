#include "aegis/gateway/envoy/recorded_call.h"

namespace aegis::gateway {

using telemetry::EnvoyAnswer;

void RecordedCall::Start(grpc::Call& call) {
  call_ = &call;
  state_ = State::kReceiving;
  ended_ = false;
  decided_ = false;
  metrics_.requests_in_flight.Add(1);
}

void RecordedCall::OnMessage(std::string_view message) {
  if (call_ == nullptr) return;
  if (state_ != State::kReceiving) {
    Abandon();
    return Finish(Code::kInvalidArgument, "the method takes one message");
  }
  answer_.clear();
  kind_ = EnvoyAnswer::kRefused;
  state_ = State::kRecording;
  pending_ = Judge(message);
  if (pending_ != nullptr) return;
  state_ = State::kAnswering;
  if (decided_) Unrecorded();
}

void RecordedCall::OnEnd() {
  if (call_ == nullptr) return;
  ended_ = true;
  if (state_ == State::kReceiving)
    return Finish(Code::kInvalidArgument, "the method takes a message");
  if (state_ == State::kAnswering) Answer();
}

void RecordedCall::OnCancelled() {
  metrics_.CountEnvoyAnswer(EnvoyAnswer::kCancelled);
  Abandon();
  FinishSpan("client_gone");
  End();
}

void RecordedCall::FinishSpan(std::string_view error) {
  CallSpans::End end;
  end.rpc = call_->method();
  end.error = error;
  end.failed = kind_ == EnvoyAnswer::kUnavailable;
  pipeline_.spans().Finish(&ticket_, end);
}

void RecordedCall::OnRecorded(bool durable) {
  pending_ = nullptr;
  state_ = State::kAnswering;
  if (!durable) Unrecorded();
  if (ended_) Answer();
}

void RecordedCall::Unrecorded() {
  decided_ = false;
  ticket_.decided = false;
  kind_ = EnvoyAnswer::kUnavailable;
  answer_.clear();
  RefuseUnrecorded();
}

void RecordedCall::Answer() {
  call_->Send(answer_);
  metrics_.CountEnvoyAnswer(kind_);
  metrics_.request_duration.Observe(pipeline_.clock().MonotonicNanos() - call_->started_ns());
  grpc::Call* call = call_;
  FinishSpan(kind_ == EnvoyAnswer::kUnavailable ? "unavailable" : "");
  End();
  call->FinishOk();
}

void RecordedCall::Finish(Code code, std::string_view message) {
  grpc::Call* call = call_;
  FinishSpan("malformed");
  End();
  call->Finish(code, message);
}

// Nobody waits for the answer any more. What was let through and not answered is said so.
void RecordedCall::Abandon() {
  if (pending_) pending_->waiter = nullptr;
  pending_ = nullptr;
  if (!decided_ || !ticket_.proceeds) return;
  decided_ = false;
  Pipeline::OutcomeFigures figures;
  figures.error = "client_gone";
  pipeline_.RecordOutcome(ticket_, ticket_.id.text(), figures);
}

void RecordedCall::End() {
  call_ = nullptr;
  metrics_.requests_in_flight.Add(-1);
}

}  // namespace aegis::gateway
