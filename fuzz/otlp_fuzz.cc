// What a collector answers: no bytes may crash the exporter, nor make it believe in texts that are
// not within them.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "aegis/telemetry/otlp.h"
#include "aegis/telemetry/span_exporter.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  if (const auto answer = aegis::telemetry::ReadOtlpTraceResponse(bytes)) {
    const std::string_view message = answer->message;
    if (!message.empty() && (message.data() < bytes.data() ||
                             message.data() + message.size() > bytes.data() + bytes.size())) {
      std::abort();
    }
    if (answer->rejected_spans >> 63 != 0) std::abort();
  }
  const auto pause = aegis::telemetry::ParseRetryAfter(bytes, 1'800'000'000);
  if (pause > std::chrono::minutes(5) || pause < std::chrono::milliseconds(-1)) std::abort();
  return 0;
}
