// Where one HTTP/1.1 message ends in a buffer of bytes: just enough of RFC 9112 §6 for a load
// generator that talks to servers of its own choosing. Not a parser for hostile input.
#pragma once

#include <cstddef>
#include <string_view>

namespace aegis::bench {

struct Frame {
  enum class State { kIncomplete, kComplete, kBad } state = State::kIncomplete;
  size_t header_bytes = 0;  // up to and with the empty line
  size_t total_bytes = 0;   // of the whole message, when complete
  bool close = false;       // "Connection: close"
};

// `bytes` begins with a message. A message without Content-Length and without chunked coding has no
// body.
Frame MeasureMessage(std::string_view bytes);

}  // namespace aegis::bench
