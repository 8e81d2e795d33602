// The seam for what looks into the contents of calls and answers: redaction now, detectors later.
// A filter sees one JSON text at a time, whole: the params of a call, an answer, or one event or
// line of a streamed answer.
//
// Threading: an implementation belongs to one worker.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "aegis/gateway/envoy/processing_message.h"

namespace aegis::gateway {

class ContentFilter {
 public:
  enum class Verdict : uint8_t {
    kPass,     // nothing to do
    kReplace,  // `*out`, JSON without line breaks, takes the place of the text
    kRefuse,   // the text cannot be inspected; it may not go on
  };

  virtual ~ContentFilter() = default;
  // Whether it looks at texts of this direction. If so, whatever cannot be shown to it is refused.
  virtual bool Covers(Direction direction) const = 0;
  // `out`: empty; what is left in it is of no use unless kReplace.
  virtual Verdict Inspect(Direction direction, std::string_view json, std::string* out) = 0;
};

}  // namespace aegis::gateway
