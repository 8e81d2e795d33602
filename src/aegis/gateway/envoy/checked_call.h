// The call to a tool that a CheckRequest is about, under the rules of the proxy door: what is
// refused there is refused here, for the same reasons.
//
// Threading: one thread at a time. Lifetime: views point into the message that the CheckRequest was
// read from, and into the CheckedCall.
#pragma once

#include <string>
#include <string_view>

#include "aegis/base/arena.h"
#include "aegis/gateway/envoy/check_request.h"
#include "aegis/gateway/options.h"
#include "aegis/gateway/params.h"
#include "aegis/gateway/route.h"
#include "aegis/gateway/state.h"
#include "aegis/net/http1_parser.h"
#include "aegis/rego/value.h"

namespace aegis::gateway {

// What Envoy says of the body that it passes on: "false" if that is whole, "true" if not. It takes
// this field from no client.
inline constexpr std::string_view kPartialBodyField = "x-envoy-auth-partial-body";

// With header_prefix Envoy names it otherwise, and a client may send the one above.
inline constexpr std::string_view kPartialBodySuffix = "-auth-partial-body";

inline constexpr Refusal kPartialBody{
    413, "partial_body",
    "Envoy passed on the beginning of the body only: allow more bytes (max_request_bytes) and no "
    "partial messages"};
inline constexpr Refusal kMaybePartialBody{
    413, "partial_body",
    "nothing says that the body is whole: it has no Content-Length, and either Envoy does not say "
    "so by x-envoy-auth-partial-body: false alone (header_prefix must not be set), or there are as "
    "many bytes as Envoy would hand over of a longer one (max_request_bytes)"};
inline constexpr Refusal kBodyTooLarge{
    413, "body_too_large",
    "the body is larger than the gateway judges, or than envoy.max_request_bytes in aegis.yaml"};
inline constexpr Refusal kBodyMissing{
    403, "body_missing",
    "the request has, or may have, a body that Envoy did not pass on: set with_request_body; a "
    "request without a body says so by Content-Length: 0"};
inline constexpr Refusal kUpgradeNotJudged{
    403, "upgrade_not_judged", "what follows an upgrade of the connection cannot be judged"};

// Without a Content-Length, only these are taken to have no body when none is there.
bool HasNoBodyByNature(std::string_view method);

struct CheckedCall {
  net::RequestHead head;  // of the call, its fields in CheckRequest::headers
  std::string_view tool;
  std::string_view action;
  BodyType body_type = BodyType::kNone;  // as judged; since ReadParams

  // What the head alone says. A refusal of status 0: nothing is wrong with it.
  Refusal ReadHead(CheckRequest& request, const net::Http1Limits& limits);
  // Which action it is, and how its params are read, unless Envoy's configuration of the route says
  // so (`state` may be nullptr). Only after ReadHead; again when the state may be another.
  Refusal FindAction(const CheckRequest& request, const State* state);
  // The params, in `arena`; undefined, with `*refusal` set, when they cannot be told. Only after
  // FindAction.
  rego::Value ReadParams(const CheckRequest& request, const Limits& limits, Arena& arena,
                         Refusal* refusal);

 private:
  Route route_;
  tool::ActionMap::Match match_;
  std::string storage_;  // of what had to be decoded
};

}  // namespace aegis::gateway
