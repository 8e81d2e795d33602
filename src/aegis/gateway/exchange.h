// One request's way through the gateway: route, authenticate, judge, wait for the record, then
// forward or answer, and settle. Serves a connection request after request.
//
// States:
//   kIdle       no request
//   kReceiving  the caller is known; the body is being received
//   kRecording  judged; nothing leaves before the record is durable
//   kForwarding the relay works
//
// Threading: belongs to one worker.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "aegis/gateway/downstream.h"
#include "aegis/gateway/own_answer.h"
#include "aegis/gateway/params.h"
#include "aegis/gateway/pipeline.h"
#include "aegis/gateway/relay.h"
#include "aegis/gateway/route.h"
#include "aegis/gateway/websocket.h"

namespace aegis::gateway {

class Worker;

class Exchange final : private RecordWaiter, private RelayClient {
 public:
  Exchange(Worker& worker, Downstream& downstream);
  ~Exchange();

  // A head is there. Ends in Downstream::CollectBody or an answer.
  void OnHead();
  // `body`: whole when `complete`, else its beginning (then it is not to be judged). Valid until
  // the exchange is over. `at_once`: within OnHead.
  void OnBody(BodyType type, std::string_view body, bool complete, bool at_once);
  void OnClientReadable() { relay_.OnClientReadable(); }
  void OnClientWritable() { relay_.OnClientWritable(); }
  bool wants_client_input() const { return relay_.wants_client_input(); }
  bool forwarding() const { return state_ == State::kForwarding; }
  // There is a new state of the tenant: an agent that may not call any more is cut off from the
  // call at hand.
  void OnNewState();
  // The agent is gone, or is about to be cut off.
  void OnClientGone();
  // An answer that was given as a whole (Downstream::Send) is sent.
  void OnAnswered() { End(); }

 private:
  enum class State : uint8_t { kIdle, kReceiving, kRecording, kForwarding };

  // RecordWaiter
  void OnRecorded(bool durable) override;
  // RelayClient
  void OnRelayDone() override;
  void OnRelayFailed(int status, std::string_view reason, std::string_view detail) override;
  void OnRelayAborted(std::string_view reason) override;

  // Of the call that is judged.
  const net::RequestHead& head() const;
  // Whether the call is one of a tool, for the proxy door or for Envoy.
  bool is_tool_call() const {
    return route_.door == Door::kProxy || route_.door == Door::kExtAuthz;
  }
  Pipeline::Origin CallOrigin() const;
  bool FindDoor();
  bool CheckMethod();
  // Whether Envoy asks about a call that can be judged, with all of its body.
  bool CheckEnvoyCall();
  void Judge(std::string_view tool, std::string_view action, rego::Value params,
             std::string_view session);
  // After `pending_` was set by the pipeline.
  void AwaitRecord();
  void JudgeToolCall(BodyType type);
  void JudgeDecisionRequest();
  void JudgeDataRequest();
  // Of a data request, whose input is `input`.
  void JudgeDataDecision(rego::Value input);
  void AnswerData();
  void AnswerDataError(int status, std::string_view reason, std::string_view detail,
                       std::span<const OwnHeader> headers, bool close);
  void TakeResult();
  void Forward();
  void BuildUpstreamHead(const Tool& tool, bool chunked, uint64_t length, bool has_length);
  void AnswerDenied();
  void AnswerDecision();
  void AnswerEnvoy();
  void AnswerUnauthenticated(const Error& error);  // without a decision
  void AnswerProblem(int status, std::string_view reason, std::string_view detail,
                     bool close = false);
  void SendOwn(bool close);
  void PrepareForEnvoy(Problem* problem);
  void Settle(int status, std::string_view error);
  void NoteAnswer(int status, std::string_view error);
  void End();
  void StopWaiting();

  Worker& worker_;
  Downstream& downstream_;
  Relay relay_;
  State state_ = State::kIdle;
  bool counted_ = false;  // in requests_in_flight
  bool settled_ = false;  // the outcome is recorded
  bool credential_in_authorization_ = true;
  RecordSlot* pending_ = nullptr;
  Route route_;
  WebSocketRequest websocket_;
  std::string path_storage_, tool_storage_;
  Caller caller_;
  Ticket ticket_;
  CallSpans::End span_;
  CallSpans::ToolCall tool_span_;
  std::string tool_host_;  // of tool_span_
  std::string_view body_;
  bool body_complete_ = false;
  OwnHeaders decision_headers_;  // of ticket_
  OwnAnswer own_;
  net::RequestHead asked_head_;  // kExtAuthz: the request's, with the path of the call
  std::string upstream_head_;
  std::string text_;            // bodies of own answers
  std::string removed_fields_;  // kExtAuthz
  // What a data request asked for.
  struct DataRequest {
    bool decides = false;    // the path is that of the decision
    bool pretty = false;     // the answer is to be indented
    bool has_input = false;  // else a warning goes with the answer
    std::string input;       // of a GET: the parameter, decoded
    Pipeline::QueryAnswer answer;
  } data_;
};

}  // namespace aegis::gateway
