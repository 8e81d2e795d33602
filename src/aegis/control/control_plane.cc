#include "aegis/control/control_plane.h"

#include <mutex>

#include "aegis/base/ids.h"
#include "aegis/base/text.h"
#include "aegis/control/api.h"
#include "aegis/control/authenticator.h"
#include "aegis/control/feed_hub.h"
#include "aegis/control/problem.h"
#include "aegis/control/routes.h"
#include "aegis/control/token_service.h"
#include "aegis/control/work_queue.h"
#include "aegis/crypto/digest.h"
#include "aegis/net/http_server.h"
#include "aegis/store/sqlite_repository.h"

namespace aegis::control {
namespace {

constexpr size_t kMaxBodyBytes = size_t{64} << 20;
// What anybody may make the server hold, to be told what is wrong.
constexpr size_t kStrangersBodyBytes = size_t{64} << 10;
constexpr size_t kMaxQueuedRequests = 1024;
// Each holds its whole body.
constexpr size_t kMaxQueuedPublishes = 8;
constexpr const char* kLongPollType = "application/vnd.openpolicyagent.bundles";

// nullopt: all fine. Parameters that nobody reads are mistakes of the caller.
std::optional<net::HttpResponse> CheckQuery(const net::HttpRequest& request, const Route& route) {
  if (request.query.empty()) return {};
  std::vector<std::string_view> seen;
  for (const std::string_view pair : Split(request.query, '&')) {
    const std::string_view name = pair.substr(0, pair.find('='));
    bool known = false;
    for (const std::string_view each : route.query) known = known || each == name;
    if (!known) {
      return ProblemAnswer(400, "unknown_parameter",
                           "the query has a parameter that this resource does not know");
    }
    for (const std::string_view each : seen) {
      if (each == name) {
        return ProblemAnswer(400, "repeated_parameter", "the query has the same parameter twice");
      }
    }
    seen.push_back(name);
  }
  return {};
}

std::optional<net::HttpResponse> CheckBody(const net::HttpRequest& request, const Route& route) {
  if (request.body.size() > route.max_body_bytes) {
    return route.max_body_bytes == 0
               ? ProblemAnswer(400, "unexpected_body", "this request must not have a body")
               : ProblemAnswer(413, "body_too_large",
                               "the body may have at most " + std::to_string(route.max_body_bytes) +
                                   " bytes");
  }
  if (!request.body.empty()) {
    const std::string_view type = request.headers.Get("Content-Type");
    const std::string_view media = Trim(type.substr(0, type.find(';')));
    if (!EqualsIgnoreCase(media, "application/json")) {
      return ProblemAnswer(415, "unsupported_media_type", "send the body as application/json");
    }
  }
  if (!request.headers.Get("Idempotency-Key").empty()) {
    return ProblemAnswer(400, "not_supported_yet",
                         "Idempotency-Key is not supported yet; leave it out");
  }
  return {};
}

}  // namespace

struct ControlPlane::Impl {
  explicit Impl(const Options& opts)
      : options(opts),
        tenant{opts.org, opts.tenant},
        tokens(opts.folder->token_key(), *opts.clock) {}

  Status Open();
  size_t BodyLimit(const net::HttpRequest& head) const;
  void Handle(net::HttpRequest request, net::Responder respond);
  void ServeDataPlane(const Route& route, const net::HttpRequest& request,
                      const std::vector<std::string>& parameters, const Caller* caller,
                      net::Responder respond);
  std::string NextRequestId() {
    const std::lock_guard lock(ids_mutex);
    return ids.Next(options.clock->UnixMillis()).str();
  }
  telemetry::Logger& log() { return options.logger ? *options.logger : telemetry::NullLogger(); }

  Options options;
  store::TenantKey tenant;
  TokenService tokens;
  std::unique_ptr<store::Repository> repository;
  std::unique_ptr<PolicyCompiler> compiler;
  std::unique_ptr<Authenticator> authenticator;
  std::string jwks_etag;
  std::mutex ids_mutex;
  UuidGenerator ids;
  FeedHub feeds;
  std::unique_ptr<Api> api;
  std::unique_ptr<WorkQueue> requests;
  std::unique_ptr<WorkQueue> publishes;
  std::unique_ptr<net::HttpServer> server;
};

Status ControlPlane::Impl::Open() {
  const DataFolder& folder = *options.folder;
  const int64_t now = options.clock->UnixNanos();
  AEGIS_TRY(repository, store::OpenSqliteRepository({folder.database_path(), now}));
  const store::Operator system{"system", "", now};
  AEGIS_RETURN_IF_ERROR(repository->EnsureTenant(tenant, system));

  const struct {
    const char* use;
    const crypto::SigningKey& key;
  } keys[] = {{"token", folder.token_key()}, {"bundle", folder.bundle_key()}};
  for (const auto& [use, key] : keys) {
    AEGIS_TRY(const std::string pem, key.verification_key().ToPem());
    AEGIS_RETURN_IF_ERROR(repository->SetCurrentKey(
        tenant,
        {use, key.kid(), std::string(crypto::JoseName(key.algorithm())), pem, now, std::nullopt},
        system));
  }
  AEGIS_RETURN_IF_ERROR(repository->SetCredential(
      tenant, {"admin", "admin", crypto::Sha256Hex(folder.admin_key()), now}, system));
  AEGIS_RETURN_IF_ERROR(repository->SetCredential(
      tenant, {"gateway", "gateway", crypto::Sha256Hex(folder.gateway_key()), now}, system));
  AEGIS_TRY(const auto credentials, repository->ListCredentials(tenant));
  authenticator = std::make_unique<Authenticator>(tenant, credentials);
  jwks_etag = "\"" + crypto::Sha256Hex(tokens.jwks()) + "\"";

  compiler = options.make_compiler ? options.make_compiler()
                                   : MakePolicyCompiler(folder.bundle_key(), tenant);
  api = std::make_unique<Api>(
      Api::Parts{*repository, feeds, *compiler, tokens, *options.clock, options.version});
  AEGIS_RETURN_IF_ERROR(api->LoadFeeds(tenant));
  requests = std::make_unique<WorkQueue>(kMaxQueuedRequests);
  publishes = std::make_unique<WorkQueue>(kMaxQueuedPublishes);
  return Ok();
}

void ControlPlane::Impl::ServeDataPlane(const Route& route, const net::HttpRequest& request,
                                        const std::vector<std::string>& parameters,
                                        const Caller* caller, net::Responder respond) {
  if (route.endpoint == Endpoint::kGetJwks) {
    net::HttpResponse response;
    response.headers.Set("Content-Type", "application/jwk-set+json");
    response.headers.Set("Cache-Control", "max-age=60");
    response.headers.Set("ETag", jwks_etag);
    if (EtagMatches(request.headers.Get("If-None-Match"), jwks_etag)) {
      response.status = 304;
    } else {
      response.body = tokens.jwks();
    }
    return respond(std::move(response));
  }
  bool bad_wait = false;
  const auto wait = RequestedWait(request, &bad_wait);
  if (bad_wait) {
    return respond(
        ProblemAnswer(400, "bad_wait", "wait must be a number of seconds from 0 to 300"));
  }
  FeedHub::Poll poll;
  poll.if_none_match = request.headers.Get("If-None-Match");
  poll.wait = wait.value_or(std::chrono::seconds(0));
  if (route.endpoint == Endpoint::kGetSettings) {
    poll.missing_reason = "settings_not_found";
    poll.missing_detail = "there are no settings for this tenant";
    return feeds.Serve(SettingsFeed(caller->tenant), std::move(poll), std::move(respond));
  }
  // Whether another tenant exists is not this caller's business.
  if (parameters[0] != caller->tenant.tenant) {
    return respond(
        ProblemAnswer(404, "tenant_not_found", "the API key is not for a tenant of that name"));
  }
  if (wait) poll.content_type = kLongPollType;
  poll.missing_reason = "policy_not_found";
  poll.missing_detail = "no policy has been published in this tenant";
  feeds.Serve(BundleFeed(caller->tenant), std::move(poll), std::move(respond));
}

size_t ControlPlane::Impl::BodyLimit(const net::HttpRequest& head) const {
  const RouteMatch match = FindRoute(head.method, head.path);
  if (!match.route || match.route->access == Access::kOpen) return kStrangersBodyBytes;
  const auto caller = authenticator->Authenticate(head.headers.Get("Authorization"));
  if (!caller || !MayCall(*caller, match.route->access)) return kStrangersBodyBytes;
  // A little more than the resource takes, so that it can say itself what is too large.
  return kStrangersBodyBytes + match.route->max_body_bytes;
}

void ControlPlane::Impl::Handle(net::HttpRequest request, net::Responder respond) {
  RouteMatch match = FindRoute(request.method, request.path);
  if (!match.route) {
    if (match.allowed.empty()) {
      return respond(ProblemAnswer(404, "not_found", "there is no such resource in this API"));
    }
    net::HttpResponse response =
        ProblemAnswer(405, "method_not_allowed", "this resource does not have that method");
    std::string allow;
    for (const std::string_view method : match.allowed) {
      allow += (allow.empty() ? "" : ", ") + std::string(method);
    }
    response.headers.Set("Allow", allow);
    return respond(std::move(response));
  }
  const Route& route = *match.route;
  std::optional<Caller> caller;
  if (route.access != Access::kOpen) {
    caller = authenticator->Authenticate(request.headers.Get("Authorization"));
    if (!caller) {
      log().Warn("a request to the control API has no valid API key",
                 {{"peer", request.peer}, {"method", route.method}, {"path", route.path}});
      return respond(ProblemAnswer(
          401, "not_authenticated",
          "send Authorization: Bearer with a valid API key (admin.key of the data folder)"));
    }
    if (!MayCall(*caller, route.access)) {
      return respond(ProblemAnswer(403, "not_permitted",
                                   "the role '" + caller->role + "' may not use this resource"));
    }
  }
  if (auto wrong = CheckQuery(request, route)) return respond(*std::move(wrong));
  if (auto wrong = CheckBody(request, route)) return respond(*std::move(wrong));

  switch (route.endpoint) {
    case Endpoint::kGetBundle:
    case Endpoint::kGetSettings:
    case Endpoint::kGetJwks:
      return ServeDataPlane(route, request, match.parameters, caller ? &*caller : nullptr,
                            std::move(respond));
    default:
      break;
  }
  WorkQueue& queue = route.endpoint == Endpoint::kPublishPolicy ? *publishes : *requests;
  const bool queued =
      queue.Post([this, &route, respond, request = std::move(request),
                  parameters = std::move(match.parameters), caller = *std::move(caller)] {
        const std::string request_id = NextRequestId();
        net::HttpResponse response =
            api->Handle(route.endpoint, {request, parameters, caller, request_id});
        response.headers.Set("X-Request-Id", request_id);
        response.headers.Set("Cache-Control", "no-store");
        if (response.status >= 500) {
          log().Error("a request to the control API failed", {{"method", route.method},
                                                              {"path", route.path},
                                                              {"status", response.status},
                                                              {"request_id", request_id},
                                                              {"answer", response.body}});
        } else if (route.method != "GET" && route.access != Access::kGateway) {
          log().Info("control API", {{"method", route.method},
                                     {"path", route.path},
                                     {"status", response.status},
                                     {"actor", caller.credential_id},
                                     {"request_id", request_id}});
        }
        respond(std::move(response));
      });
  if (!queued) {
    respond(ProblemAnswer(503, "overloaded", "too many requests wait to be handled; try again"));
  }
}

ControlPlane::ControlPlane(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Result<std::unique_ptr<ControlPlane>> ControlPlane::Start(const Options& options) {
  if (!options.folder || !options.clock) {
    return Fail(Code::kInvalidArgument, "bad_options", "the control plane needs a data folder");
  }
  auto impl = std::make_unique<Impl>(options);
  AEGIS_RETURN_IF_ERROR(impl->Open());
  net::HttpServer::Options server;
  server.address = options.address;
  server.max_body_bytes = kMaxBodyBytes;
  Impl* const raw = impl.get();
  server.body_limit = [raw](const net::HttpRequest& head) { return raw->BodyLimit(head); };
  AEGIS_TRY(impl->server,
            net::HttpServer::Start(server, [raw](net::HttpRequest request, net::Responder respond) {
              raw->Handle(std::move(request), std::move(respond));
            }));
  return std::unique_ptr<ControlPlane>(new ControlPlane(std::move(impl)));
}

ControlPlane::~ControlPlane() {
  // First nobody waits and nothing new is queued, then the queues run dry while the server can
  // still send their answers, then the server goes.
  impl_->feeds.Stop();
  impl_->requests->Stop();
  impl_->publishes->Stop();
  impl_->server.reset();
}

std::string ControlPlane::address() const { return impl_->server->address(); }

std::string ControlPlane::url() const { return "http://" + impl_->server->address(); }

void ControlPlane::Handle(net::HttpRequest request, net::Responder respond) {
  impl_->Handle(std::move(request), std::move(respond));
}

}  // namespace aegis::control
