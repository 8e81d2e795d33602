#include "aegis/gateway/envoy/processing_order.h"

#include <gtest/gtest.h>

#include <string>

namespace aegis::gateway {
namespace {

using State = ProcessingOrder::State;

// One letter a message: H B T of the request, h b t of the answer, with '.' behind it if it is the
// last; '>' lets the judged call proceed. Modes: n(one), b(uffered), d(uplex).
ProcessingKind KindOf(char letter) {
  switch (letter) {
    case 'H':
      return ProcessingKind::kRequestHeaders;
    case 'B':
      return ProcessingKind::kRequestBody;
    case 'T':
      return ProcessingKind::kRequestTrailers;
    case 'h':
      return ProcessingKind::kResponseHeaders;
    case 'b':
      return ProcessingKind::kResponseBody;
    case 't':
      return ProcessingKind::kResponseTrailers;
    default:
      return ProcessingKind::kNone;
  }
}
BodyMode ModeOf(char letter) {
  return letter == 'b' ? BodyMode::kBuffered
                       : (letter == 'd' ? BodyMode::kFullDuplex : BodyMode::kNone);
}

// The state at the end; kOver as soon as a message is refused, "!" if that is not so.
std::string StateAfter(const std::string& modes, const std::string& messages) {
  ProcessingOrder order;
  for (size_t i = 0; i < messages.size(); ++i) {
    if (messages[i] == '>') {
      if (order.state() != State::kJudging) return "not judging";
      order.Proceed();
      continue;
    }
    ProcessingRequest message;
    message.kind = KindOf(messages[i]);
    message.request_mode = ModeOf(modes[0]);
    message.response_mode = ModeOf(modes[1]);
    message.end_of_stream = i + 1 < messages.size() && messages[i + 1] == '.';
    if (message.end_of_stream) ++i;
    const bool good = order.Take(message);
    if (good == (order.state() == State::kOver)) return "!";
    if (!good) return i + 1 == messages.size() ? "refused" : "refused early";
  }
  switch (order.state()) {
    case State::kRequestHeaders:
      return "request headers";
    case State::kRequestBody:
      return "request body";
    case State::kJudging:
      return order.body_unseen() ? "judging unseen" : "judging";
    case State::kResponseHeaders:
      return "response headers";
    case State::kResponseBody:
      return "response body";
    case State::kResponseRest:
      return "response rest";
    case State::kDone:
      return "done";
    case State::kOver:
      return "over";
  }
  return "";
}

TEST(ProcessingOrderTest, Table) {
  const struct {
    const char* modes;
    const char* messages;
    const char* state;
  } cases[] = {
      {"nn", "", "request headers"},
      // The request.
      {"nn", "H.", "judging"},
      {"bn", "H.", "judging"},
      {"dn", "H.", "judging"},
      {"nn", "H", "judging unseen"},
      {"bn", "H", "request body"},
      {"dn", "H", "request body"},
      {"bn", "HB.", "judging"},
      {"bn", "HB", "judging"},
      {"dn", "HB", "request body"},
      {"dn", "HBB", "request body"},
      {"dn", "HBB.", "judging"},
      {"dn", "HBT", "judging"},
      {"dn", "HT", "judging"},
      {"bn", "HT", "refused"},
      {"nn", "HT", "refused"},
      {"nn", "H.T", "refused"},
      {"nn", "HB", "refused"},
      {"nn", "HH", "refused"},
      {"bn", "HH", "refused"},
      {"bn", "HBB", "refused"},
      {"dn", "HB.B", "refused"},
      {"dn", "HB.T", "refused"},
      {"dn", "HTB", "refused"},
      {"dn", "HTT", "refused"},
      {"bn", "B", "refused"},
      {"dn", "T", "refused"},
      // An answer before the call was let go on.
      {"nn", "h", "refused"},
      {"bn", "Hh", "refused"},
      {"bn", "HBh", "refused"},
      {"dn", "HBh.", "refused"},
      {"nn", "H.h", "refused"},
      {"nn", "H.b", "refused"},
      {"nn", "H.t", "refused"},
      // The request's trailers, after the call was let go on.
      {"nn", "H>T", "response headers"},
      {"bn", "HB>T", "response headers"},
      {"bn", "HB>hT", "response rest"},
      {"nb", "H>hTb", "response rest"},
      {"nb", "H>h.T", "done"},
      {"bn", "HB.>T", "refused"},
      {"nn", "H.>T", "refused"},
      {"nn", "H>TT", "refused"},
      {"dn", "HBT>T", "refused"},
      {"nn", "H>B", "refused"},
      {"bn", "HB>B", "refused"},
      {"bn", "HB>H", "refused"},
      // The answer.
      {"nn", "H.>h", "response rest"},
      {"nn", "H.>h.", "done"},
      {"nb", "H.>h", "response body"},
      {"nb", "H.>h.", "done"},
      {"nb", "H.>hb.", "response rest"},
      {"nb", "H.>hbt", "done"},
      {"nb", "H.>ht", "done"},
      {"nd", "H.>hb", "response body"},
      {"nd", "H.>hbb.", "done"},
      {"nd", "H.>hbt", "done"},
      {"nn", "H.>ht", "done"},
      {"nb", "H.>hbb", "refused"},
      {"nn", "H.>hb", "refused"},
      {"nd", "H.>hb.b", "refused"},
      {"nd", "H.>hb.t", "refused"},
      {"nd", "H.>htt", "refused"},
      {"nd", "H.>hh", "refused"},
      {"nb", "H.>b", "refused"},
      {"nd", "H.>t", "refused"},
      {"nn", "H.>h.t", "refused"},
      {"nd", "H.>hH", "refused"},
  };
  for (const auto& [modes, messages, state] : cases) {
    EXPECT_EQ(StateAfter(modes, messages), state) << modes << " " << messages;
  }
}

// From no sequence of four messages does a call reach its answer without being let go on.
TEST(ProcessingOrderTest, NoSequenceSkipsTheJudgement) {
  const std::string letters = "HBTXhbt";
  for (const std::string modes : {"nn", "bb", "dd", "bd", "db", "nd", "dn"}) {
    for (size_t code = 0; code < 14u * 14 * 14 * 14; ++code) {
      std::string messages;
      for (size_t i = 0, rest = code; i < 4; ++i, rest /= 14) {
        messages += letters[rest % 7];
        if (rest % 14 >= 7) messages += '.';
      }
      const std::string state = StateAfter(modes, messages);
      EXPECT_NE(state, "!") << modes << " " << messages;
      EXPECT_FALSE(state.starts_with("response") || state == "done") << modes << " " << messages;
    }
  }
}

}  // namespace
}  // namespace aegis::gateway
