// What Aegis itself answers to an HTTP call that does not go on: a problem document (RFC 9457) with
// its status and headers. The proxy door sends it; through Envoy the client gets the same.
//
// Threading: value types. Lifetime: views point into the answer, and into the ticket and the error
// that it was made of.
#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "aegis/base/result.h"
#include "aegis/gateway/pipeline.h"
#include "aegis/gateway/problem.h"
#include "aegis/telemetry/metrics.h"

namespace aegis::gateway {

// As what the answer to a caller who was not let in counts; `error`: of Pipeline::Authenticate.
telemetry::EnvoyAnswer EnvoyAnswerTo(const Error& error);

struct OwnHeader {
  std::string_view name;
  std::string_view value;
};

// A short row of headers without memory of its own.
class OwnHeaders {
 public:
  static constexpr size_t kMax = 8;
  void Clear() { count_ = 0; }
  // The value of the last one.
  void ReplaceLast(std::string_view value) { items_[count_ - 1].value = value; }
  void Add(std::string_view name, std::string_view value) { items_[count_++] = {name, value}; }
  // X-Aegis-Decision, -Decision-Id, -Policy-Version and, in shadow, -Shadow.
  void AddDecision(const Ticket& ticket);
  std::span<const OwnHeader> items() const { return {items_.data(), count_}; }

 private:
  std::array<OwnHeader, kMax> items_;
  size_t count_ = 0;
};

// As whole lines with CRLF.
void AppendLines(std::span<const OwnHeader> headers, std::string& out);

struct OwnAnswer {
  Problem problem;     // its status is the answer's
  OwnHeaders headers;  // without Content-Type and Content-Length

  // The call was decided and does not go on.
  void SetDenied(const Ticket& ticket);
  // Who calls is not known (401), is blocked (403), or cannot be known now (503). `decided`:
  // nullptr when there is no decision on record.
  void SetUnauthenticated(const Error& error, const Ticket* decided);
  // Anything else. `decided`: as above.
  void SetProblem(int status, std::string_view reason, std::string_view detail,
                  const Ticket* decided);
  // Of a 503, after SetProblem; default 1.
  void SetRetryAfter(int seconds);

 private:
  void SetUnauthenticated(std::string_view token_error, std::string_view detail,
                          const Ticket* decided);
  std::string authenticate_;
  std::string retry_after_;
};

}  // namespace aegis::gateway
