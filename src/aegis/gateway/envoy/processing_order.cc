#include "aegis/gateway/envoy/processing_order.h"

namespace aegis::gateway {

bool ProcessingOrder::Take(const ProcessingRequest& message) {
  bool good = false;
  switch (message.kind) {
    case ProcessingKind::kNone:
      break;
    case ProcessingKind::kRequestHeaders:
      good = TakeRequestHeaders(message);
      break;
    case ProcessingKind::kRequestBody:
      good = TakeRequestBody(message.end_of_stream);
      break;
    case ProcessingKind::kRequestTrailers:
      good = TakeRequestTrailers();
      break;
    case ProcessingKind::kResponseHeaders:
      good = TakeResponseHeaders(message.end_of_stream);
      break;
    case ProcessingKind::kResponseBody:
      good = TakeResponseBody(message.end_of_stream);
      break;
    case ProcessingKind::kResponseTrailers:
      good = TakeResponseTrailers();
      break;
  }
  if (!good) state_ = State::kOver;
  return good;
}

bool ProcessingOrder::TakeRequestHeaders(const ProcessingRequest& message) {
  if (state_ != State::kRequestHeaders) return false;
  request_mode_ = message.request_mode;
  response_mode_ = message.response_mode;
  request_open_ = !message.end_of_stream;
  const bool shown = request_mode_ == BodyMode::kBuffered || request_mode_ == BodyMode::kFullDuplex;
  body_unseen_ = request_open_ && !shown;
  state_ = request_open_ && shown ? State::kRequestBody : State::kJudging;
  return true;
}

bool ProcessingOrder::TakeRequestBody(bool last) {
  if (state_ != State::kRequestBody) return false;
  if (last) request_open_ = false;
  if (last || request_mode_ == BodyMode::kBuffered) state_ = State::kJudging;
  return true;
}

bool ProcessingOrder::TakeRequestTrailers() {
  if (!request_open_) return false;
  request_open_ = false;
  switch (state_) {
    case State::kRequestBody:
      if (request_mode_ != BodyMode::kFullDuplex) return false;
      state_ = State::kJudging;
      return true;
    case State::kResponseHeaders:
    case State::kResponseBody:
    case State::kResponseRest:
    case State::kDone:
      return true;
    default:
      return false;
  }
}

bool ProcessingOrder::TakeResponseHeaders(bool last) {
  if (state_ != State::kResponseHeaders) return false;
  state_ = State::kResponseBody;
  if (response_mode_ == BodyMode::kNone) state_ = State::kResponseRest;
  if (last) state_ = State::kDone;
  return true;
}

bool ProcessingOrder::TakeResponseBody(bool last) {
  if (state_ != State::kResponseBody) return false;
  if (response_mode_ == BodyMode::kBuffered) {
    // Envoy says "last" here although trailers follow.
    state_ = State::kResponseRest;
  } else if (last) {
    state_ = State::kDone;
  }
  return true;
}

bool ProcessingOrder::TakeResponseTrailers() {
  if (state_ != State::kResponseBody && state_ != State::kResponseRest) return false;
  state_ = State::kDone;
  return true;
}

}  // namespace aegis::gateway
