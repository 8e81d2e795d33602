// The operators' side of the control plane: one function from request to answer, free of sockets.
// Authentication, size limits and query checks have been done (control_plane.h).
//
// Threading: Handle may be called from several threads, but endpoints that publish policies from
// one at a time, and all others from one at a time: each of the two feeds has one writer.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "aegis/base/clock.h"
#include "aegis/control/feed_hub.h"
#include "aegis/control/policy_compiler.h"
#include "aegis/control/routes.h"
#include "aegis/control/settings_document.h"
#include "aegis/control/token_service.h"
#include "aegis/net/http_message.h"
#include "aegis/store/repository.h"

namespace aegis::control {

inline constexpr size_t kDefaultPage = 100;
inline constexpr size_t kMaxPage = 500;

// An authenticated caller. An API key belongs to one tenant; all it does is done there.
struct Caller {
  std::string credential_id;
  std::string role;
  store::TenantKey tenant;
};

struct ApiCall {
  const net::HttpRequest& request;
  const std::vector<std::string>& parameters;  // of the path
  const Caller& caller;
  const std::string& request_id;
};

// Names of the feeds in the hub.
std::string BundleFeed(const store::TenantKey& tenant);
std::string SettingsFeed(const store::TenantKey& tenant);

class Api {
 public:
  struct Parts {
    store::Repository& repository;
    FeedHub& feeds;
    PolicyCompiler& compiler;
    TokenService& tokens;
    const Clock& clock;
    std::string version;  // of this Aegis
  };
  explicit Api(Parts parts);

  net::HttpResponse Handle(Endpoint endpoint, const ApiCall& call);

  // Puts the tenant's state into the feeds, as at start. A bundle that gateways would not accept
  // (the signing key has changed) is compiled and signed anew as a new version.
  Status LoadFeeds(const store::TenantKey& tenant);

 private:
  net::HttpResponse ListAgents(const ApiCall& call);
  net::HttpResponse RegisterAgent(const ApiCall& call);
  net::HttpResponse GetAgent(const ApiCall& call);
  net::HttpResponse ChangeAgent(const ApiCall& call);
  net::HttpResponse ListUnknownAgents(const ApiCall& call);
  net::HttpResponse ReportUnknownAgents(const ApiCall& call);
  net::HttpResponse ListBlocks(const ApiCall& call);
  net::HttpResponse AddBlock(const ApiCall& call);
  net::HttpResponse RemoveBlock(const ApiCall& call);
  net::HttpResponse IssueToken(const ApiCall& call);
  net::HttpResponse RevokeToken(const ApiCall& call);
  net::HttpResponse ListTools(const ApiCall& call);
  net::HttpResponse AddTool(const ApiCall& call);
  net::HttpResponse StoreNewTool(const ApiCall& call, const store::NewTool& tool);
  net::HttpResponse GetTool(const ApiCall& call);
  net::HttpResponse PutTool(const ApiCall& call);
  net::HttpResponse ChangeTool(const ApiCall& call);
  net::HttpResponse ListPolicies(const ApiCall& call);
  net::HttpResponse PublishPolicy(const ApiCall& call);
  net::HttpResponse GetPolicy(const ApiCall& call);
  net::HttpResponse ListOperations(const ApiCall& call);
  net::HttpResponse GetStatus(const ApiCall& call);

  store::Operator OperatorOf(const ApiCall& call) const;
  SettingsDocument& DocumentOf(const store::TenantKey& tenant);
  Status PublishSettings(const store::TenantKey& tenant, store::SettingsPart part);
  void PublishBundle(const store::TenantKey& tenant, std::string bundle, const std::string& sha256);
  // After a change of agents, tools or revocations, with the changed one set in the document:
  // answers the gateways that wait. `answer`, or the problem of telling them.
  net::HttpResponse AfterSettingsChange(const ApiCall& call, net::HttpResponse answer);

  Parts parts_;
  int64_t started_at_;
  std::map<std::string, SettingsDocument> settings_;  // by feed
};

}  // namespace aegis::control
