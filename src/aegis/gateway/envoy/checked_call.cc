#include "aegis/gateway/envoy/checked_call.h"

#include "aegis/gateway/route.h"
#include "aegis/gateway/tool_call.h"

namespace aegis::gateway {
namespace {

using net::BodyKind;
using net::FieldId;

constexpr std::string_view kUnread = "unread";

constexpr Refusal kNotHttp{400, "not_http", "only HTTP requests are judged"};
constexpr Refusal kAmbiguousText{
    400, "ambiguous_text",
    "'!' may stand for a byte that Envoy has replaced: let it send bytes (encode_raw_headers and "
    "pack_as_bytes)"};
constexpr Refusal kNoPath{404, "no_such_path",
                          "the path is not /tools/<tool>/<action>, and Envoy's configuration of "
                          "the route names no tool"};
constexpr Refusal kNotBelowPrefix{404, "no_such_path",
                                  "the path is not below the prefix that Envoy's configuration "
                                  "of the route gives"};
constexpr Refusal kBadPrefix{403, "route_misconfigured",
                             "aegis.prefix must be a path without a '/' at its end, and stands "
                             "beside aegis.tool only"};
constexpr Refusal kBadBody{403, "route_misconfigured", "aegis.body must be 'unread' or left out"};
constexpr Refusal kMismatch{400, "body_mismatch", "the body is not as long as the request says"};

// Whether the body at hand is the one that the tool gets.
Refusal CheckBody(const CheckRequest& request, const net::RequestHead& head,
                  size_t max_request_bytes) {
  const bool said_whole = request.partial_body == "false";
  if (!said_whole && !request.partial_body.empty()) return kPartialBody;
  if (request.has_other_partial_body) return kMaybePartialBody;
  const bool has_length = head.body == BodyKind::kLength;
  if (!request.body.empty()) {
    if (!request.body_is_whole) {
      if (request.body.size() > max_request_bytes) return kBodyTooLarge;
      // With allow_partial_message Envoy calls a body whole that just fills its buffer.
      const bool may_go_on = !said_whole || request.body.size() == max_request_bytes;
      if (!has_length && may_go_on) return kMaybePartialBody;
    }
    if (has_length && head.content_length != request.body.size()) return kMismatch;
    // Clients other than Envoy leave the size out.
    if (request.size > 0 && static_cast<uint64_t>(request.size) != request.body.size()) {
      return kMismatch;
    }
    return {};
  }
  if (has_length ? head.content_length > 0 : head.body == BodyKind::kChunked) return kBodyMissing;
  if (request.size > 0) return kBodyMissing;
  // The client said that there is none. That Envoy has seen the end of an empty body may be the
  // word of a client, when Envoy has another header_prefix.
  if (has_length || request.body_is_whole) return {};
  return HasNoBodyByNature(head.method) ? Refusal{} : kBodyMissing;
}

// Whether the bytes that tell how a body may be read, such as a mark of UTF-16, may have been
// others.
bool BeginsReplaced(std::string_view text) {
  for (const char c : text) {
    if (static_cast<uint8_t>(c) > ' ') return c == '!';
  }
  return false;
}

}  // namespace

bool HasNoBodyByNature(std::string_view method) {
  return method == "GET" || method == "HEAD" || method == "DELETE" || method == "OPTIONS";
}

Refusal CheckedCall::ReadHead(CheckRequest& request, const net::Http1Limits& limits) {
  if (!request.is_http) return kNotHttp;
  net::Http1Error error;
  if (!net::MakeRequestHead(request.method, request.path, request.host, request.headers, limits,
                            &head, &error)) {
    return {error.status, error.reason, error.detail};
  }
  if (request.path_is_text && request.path.find('!') != std::string_view::npos) {
    return kAmbiguousText;
  }
  const RouteNames& names = request.names;
  if (!names.body.empty() && names.body != kUnread) return kBadBody;
  if (names.tool.empty()) {
    if (!names.prefix.empty()) return kBadPrefix;
    route_ = FindRoute(head.path, &storage_);
  } else {
    if (!names.prefix.empty() && (names.prefix.front() != '/' || names.prefix.back() == '/')) {
      return kBadPrefix;
    }
    route_ = FindToolRoute(names.tool, names.prefix, head.path, &storage_);
  }
  if (!route_.error.empty()) return {400, "bad_path", route_.error};
  if (route_.door != Door::kProxy) return names.tool.empty() ? kNoPath : kNotBelowPrefix;
  tool = route_.tool;
  action = names.action;
  match_.action = nullptr;
  if (!IsToolMethod(head.method)) return kMethodRefusal;
  if (request.has_other_pseudo_header || head.Find(FieldId::kUpgrade) != nullptr)
    return kUpgradeNotJudged;
  return {};
}

Refusal CheckedCall::FindAction(const CheckRequest& request, const State* state) {
  if (!request.names.action.empty()) return {};
  const Refusal refusal = ResolveAction(state, head.method, &route_, &match_);
  action = route_.action;
  return refusal;
}

rego::Value CheckedCall::ReadParams(const CheckRequest& request, const Limits& limits, Arena& arena,
                                    Refusal* refusal) {
  body_type = BodyType::kNone;
  ParamSource source{BodyType::kNone,
                     {},
                     head.query,
                     head.fields,
                     match_.action == nullptr ? nullptr : &match_,
                     request.has_joined_fields()};
  if (request.names.body == kUnread) return BuildParams(source, arena, refusal);
  *refusal = CheckBody(request, head, limits.max_request_bytes);
  if (refusal->status != 0) return {};
  head.body = request.body.empty() ? BodyKind::kNone : BodyKind::kLength;
  head.content_length = request.body.size();
  BodyType type = ClassifyBody(head, BodiesOf(match_), refusal);
  if (refusal->status != 0) return {};
  if (type == BodyType::kUndeclared) {
    // Even if it looks like JSON: Envoy may keep the type from Aegis, and tell the tool of a form.
    *refusal = kUndeclaredBody;
    return {};
  }
  if (type == BodyType::kOpaque) {
    if (request.body_is_text && BeginsReplaced(request.body)) {
      *refusal = kAmbiguousText;
      return {};
    }
    // Whatever it is declared as, a tool may read it as JSON; so policy must.
    if (LookAtBody(request.body) == Looks::kLikeJson) type = BodyType::kJson;
  }
  const bool judged = IsJudged(type);
  if (judged && request.body.size() > limits.max_body_bytes) {
    *refusal = kBodyTooLarge;
    return {};
  }
  if (judged && request.body_is_text && request.body.find('!') != std::string_view::npos) {
    *refusal = kAmbiguousText;
    return {};
  }
  body_type = type;
  source.type = type;
  source.body = request.body;
  return BuildParams(source, arena, refusal);
}

}  // namespace aegis::gateway
