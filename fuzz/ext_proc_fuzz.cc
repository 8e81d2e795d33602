// Envoy's external processing: sequences of messages, of which none may crash the reader or reach
// an answer before the call was let go on; and answers' bodies, of which the agent must get the
// same however they are cut, with nothing left that was to be redacted.
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "aegis/gateway/envoy/json_redactor.h"
#include "aegis/gateway/envoy/processing_message.h"
#include "aegis/gateway/envoy/processing_order.h"
#include "aegis/gateway/envoy/response_inspector.h"

namespace {

using aegis::gateway::JsonRedactor;
using aegis::gateway::OwnHeader;
using aegis::gateway::ProcessingKind;
using aegis::gateway::ProcessingOrder;
using aegis::gateway::ProcessingRequest;
using aegis::gateway::ReadHeaderMap;
using aegis::gateway::ResponseInspector;
using State = ProcessingOrder::State;

constexpr size_t kMaxHeld = 4096;
constexpr std::string_view kTypes[] = {"application/json", "application/x-ndjson",
                                       "text/event-stream"};

bool HasAnswer(State state) {
  return state == State::kResponseHeaders || state == State::kResponseBody ||
         state == State::kResponseRest || state == State::kDone;
}

// What the agent gets of a body in pieces; "refused" if it is.
std::string Inspect(JsonRedactor& redactor, std::string_view type,
                    const std::vector<std::string>& pieces) {
  ResponseInspector inspector;
  std::string out;
  if (inspector.Start(&redactor, type, {}, kMaxHeld).status != 0) std::abort();
  for (size_t i = 0; i < pieces.size(); ++i) {
    if (inspector.Take(pieces[i], i + 1 == pieces.size(), &out).status != 0) return "refused";
    if (inspector.held() > kMaxHeld) std::abort();
  }
  if (inspector.held() != 0) std::abort();
  return out;
}

void CheckBody(std::string_view type, const std::vector<std::string>& pieces) {
  JsonRedactor redactor({.request = {}, .response = {"pan", "customer.ssn"}}, kMaxHeld);
  std::string whole;
  for (const std::string& piece : pieces) whole += piece;
  // A text that is too long may be found so sooner or later.
  if (whole.size() > kMaxHeld) return;
  const std::string cut = Inspect(redactor, type, pieces);
  const std::string at_once = Inspect(redactor, type, {whole});
  if (cut != at_once) std::abort();
  if (cut == "refused") return;
  // What was redacted stays as it is.
  if (Inspect(redactor, type, {cut}) != cut && cut.size() <= kMaxHeld) std::abort();
}

}  // namespace

// Two bytes of length, little endian, before each message; the first byte of all names a type.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view type = kTypes[data[0] % std::size(kTypes)];
  std::string_view rest(reinterpret_cast<const char*>(data) + 1, size - 1);
  ProcessingOrder order;
  std::vector<std::string> pieces;
  std::vector<OwnHeader> fields;
  bool proceeded = false;
  while (rest.size() >= 2) {
    const size_t length = std::min<size_t>(
        static_cast<uint8_t>(rest[0]) | static_cast<uint8_t>(rest[1]) << 8, rest.size() - 2);
    // A copy of its own size lets the sanitizer see any byte read beyond it.
    const auto copy = std::make_unique<char[]>(length);
    std::copy(rest.begin() + 2, rest.begin() + 2 + static_cast<ptrdiff_t>(length), copy.get());
    rest.remove_prefix(2 + length);
    ProcessingRequest message;
    if (!message.Read({copy.get(), length})) break;
    ReadHeaderMap(message.headers, 20, &fields);
    const bool good = order.Take(message);
    if (good == (order.state() == State::kOver)) std::abort();
    if (HasAnswer(order.state()) && !proceeded) std::abort();
    if (!good) break;
    if (message.kind == ProcessingKind::kResponseBody) pieces.emplace_back(message.body);
    if (order.state() == State::kJudging) {
      order.Proceed();
      proceeded = true;
    }
  }
  if (!pieces.empty()) CheckBody(type, pieces);
  return 0;
}
