// What the load generator reads of an envoy.service.auth.v3.CheckResponse.
#pragma once

#include <string_view>

namespace aegis::bench {

// Of status.code that stands for "not a CheckResponse, or one that contradicts itself".
inline constexpr int kBadAnswer = -1000;

// status.code (0: allowed) of a serialized CheckResponse. kBadAnswer unless code 0 comes with an
// ok_response or none, and another code with a denied_response.
int CheckAnswerCode(std::string_view message);

}  // namespace aegis::bench
