// Unary gRPC calls over HTTP/2 without TLS: each stream of each connection is one slot. A request's
// bytes are the message, sent to envoy.service.auth.v3.Authorization/Check, and its status is the
// one in the CheckResponse; -N in the statuses stands for gRPC status N without an answer.
#pragma once

#include <vector>

#include "load.h"

namespace aegis::bench {

LoadResult RunGrpcLoad(const std::vector<Request>& requests, const LoadOptions& options);

}  // namespace aegis::bench
