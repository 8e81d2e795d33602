// The order in which Envoy's external processing tells of one call: which message may come when,
// and what it completes. Whatever comes at another time is an error and never lets a call go on.
//
// States:
//   kRequestHeaders   the first message is awaited
//   kRequestBody      the body is awaited (BUFFERED: one message) or being received (full duplex)
//   kJudging          the request is whole: judged, and its record is not durable yet
//   kResponseHeaders  the call goes on; the tool's answer is awaited
//   kResponseBody     the answer's body is awaited or being received
//   kResponseRest     the answer's body is whole, or is not shown; trailers may follow
//   kDone             the answer is whole
//   kOver             refused, or the stream broke the order
//
//   message            in                               then
//   request_headers    kRequestHeaders                  kJudging if nothing more of the request is
//                                                       shown, else kRequestBody
//   request_body       kRequestBody                     kJudging: BUFFERED, or the last; else stays
//   request_trailers   kRequestBody, full duplex        kJudging
//                      from kResponseHeaders on, once,  stays
//                      unless the request had ended
//   (Proceed)          kJudging                         kResponseHeaders
//   response_headers   kResponseHeaders                 kDone if the last, kResponseRest if no body
//                                                       is shown, else kResponseBody
//   response_body      kResponseBody                    kDone: full duplex, the last;
//   kResponseRest:
//                                                       BUFFERED; else stays
//   response_trailers  kResponseBody, kResponseRest     kDone
//
// A BUFFERED request that has trailers and no body would pass Envoy without a word about its body:
// whoever uses this must have refused it by its head (docs/envoy.md).
//
// Threading: a value.
#pragma once

#include <cstdint>

#include "aegis/gateway/envoy/processing_message.h"

namespace aegis::gateway {

class ProcessingOrder {
 public:
  enum class State : uint8_t {
    kRequestHeaders,
    kRequestBody,
    kJudging,
    kResponseHeaders,
    kResponseBody,
    kResponseRest,
    kDone,
    kOver,
  };

  State state() const { return state_; }
  BodyMode request_mode() const { return request_mode_; }
  BodyMode response_mode() const { return response_mode_; }
  // Whether the request has a body, or may have, that no message shows.
  bool body_unseen() const { return body_unseen_; }

  // Moves on by a message. False: it may not come now; the state is kOver.
  bool Take(const ProcessingRequest& message);
  // The judged call goes on. Only in kJudging.
  void Proceed() { state_ = State::kResponseHeaders; }
  void End() { state_ = State::kOver; }

 private:
  bool TakeRequestHeaders(const ProcessingRequest& message);
  bool TakeRequestBody(bool last);
  bool TakeRequestTrailers();
  bool TakeResponseHeaders(bool last);
  bool TakeResponseBody(bool last);
  bool TakeResponseTrailers();

  State state_ = State::kRequestHeaders;
  BodyMode request_mode_ = BodyMode::kNone;
  BodyMode response_mode_ = BodyMode::kNone;
  bool body_unseen_ = false;
  bool request_open_ = false;  // trailers of the request may still come
};

}  // namespace aegis::gateway
