// Takes an answer's body apart into the texts that a ContentFilter inspects, and lets on what it
// lets pass: JSON whole, NDJSON line by line, server-sent events (WHATWG HTML, "Server-sent
// events") event by event.
//
// Nothing goes on unseen: a body of another type or with a Content-Encoding, an event whose data is
// neither JSON nor "[DONE]", and what a client could read in another way than this are refused.
//
// Threading: one thread at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "aegis/gateway/envoy/content_filter.h"
#include "aegis/gateway/params.h"

namespace aegis::gateway {

class ResponseInspector {
 public:
  // For an answer with a body. `filter`: nullptr to let all pass. `max_held`: bytes of a JSON text,
  // a line or an event. A refusal of status 0: its body may be given to Take.
  Refusal Start(ContentFilter* filter, std::string_view content_type,
                std::string_view content_encoding, size_t max_held);

  // The next bytes of the body; appends to `out` what may go on. After a refusal: no more.
  Refusal Take(std::string_view bytes, bool last, std::string* out);

  // Whether nothing goes on before the last byte has come, so that the head can wait as well.
  bool holds_all() const { return form_ == Form::kJson; }
  bool inspects() const { return form_ != Form::kPlain; }
  bool changed() const { return changed_; }
  size_t held() const { return held_.size(); }
  void Clear();

 private:
  enum class Form : uint8_t { kPlain, kJson, kLines, kEvents };

  Refusal TakeLines(bool last, std::string* out);
  Refusal TakeEvents(bool last, std::string* out);
  Refusal PassEvent(std::string_view event, std::string* out);
  // A text that must be JSON, or what takes its place.
  Refusal Pass(std::string_view text, std::string* out);

  ContentFilter* filter_ = nullptr;
  Form form_ = Form::kPlain;
  bool changed_ = false;
  bool begun_ = false;
  size_t max_held_ = 0;
  size_t seen_ = 0;  // of held_: has been searched for an end
  std::string held_;
  std::string data_;      // of an event with more than one data line
  std::string replaced_;  // a filter's text
};

}  // namespace aegis::gateway
