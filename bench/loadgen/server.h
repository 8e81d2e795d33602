// A tool server for benchmarks: answers every HTTP/1.1 request with the same small JSON document,
// as fast as one thread can.
#pragma once

#include <cstddef>
#include <cstdint>

namespace aegis::bench {

// Serves 127.0.0.1:`port` (0: any; the port is printed first, alone on a line) until SIGTERM or
// SIGINT. Returns the number of requests answered.
uint64_t RunServer(uint16_t port, size_t body_bytes);

}  // namespace aegis::bench
