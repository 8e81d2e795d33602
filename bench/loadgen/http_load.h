// HTTP/1.1 connections that are kept alive: each is one slot.
#pragma once

#include <vector>

#include "load.h"

namespace aegis::bench {

LoadResult RunHttpLoad(const std::vector<Request>& requests, const LoadOptions& options);

}  // namespace aegis::bench
