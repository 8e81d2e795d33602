#include "aegis/control/api.h"

#include <charconv>

#include "aegis/base/text.h"
#include "aegis/control/api_support.h"
#include "aegis/crypto/digest.h"

namespace aegis::control {

using nlohmann::json;

std::string BundleFeed(const store::TenantKey& tenant) {
  return "bundle/" + tenant.org + "/" + tenant.tenant;
}

std::string SettingsFeed(const store::TenantKey& tenant) {
  return "settings/" + tenant.org + "/" + tenant.tenant;
}

Result<store::PageRequest> ReadPageRequest(const net::HttpRequest& request) {
  store::PageRequest page{"", kDefaultPage};
  if (const std::string limit = request.QueryParam("limit"); !limit.empty()) {
    const auto parsed = std::from_chars(limit.data(), limit.data() + limit.size(), page.limit);
    if (parsed.ec != std::errc() || parsed.ptr != limit.data() + limit.size() || page.limit < 1 ||
        page.limit > kMaxPage) {
      return Fail(Code::kInvalidArgument, "bad_limit",
                  "limit must be a number from 1 to " + std::to_string(kMaxPage));
    }
  }
  if (const std::string cursor = request.QueryParam("cursor"); !cursor.empty()) {
    const auto key = HexDecode(cursor);
    if (!key || key->size() > 512 || !IsValidUtf8(*key)) {
      return Fail(Code::kInvalidArgument, "bad_cursor",
                  "cursor is not one that a list of this API gave as next_cursor");
    }
    page.after = *key;
  }
  return page;
}

net::HttpResponse PageAnswer(json items, bool more, std::string_view last_key) {
  json body = {{"items", std::move(items)}};
  if (more) {
    body["next_cursor"] = HexEncode(last_key);
  } else {
    body["next_cursor"] = nullptr;
  }
  return JsonAnswer(200, body);
}

Result<std::optional<int64_t>> ReadIfMatch(const net::HttpRequest& request) {
  const std::string_view header = Trim(request.headers.Get("If-Match"));
  if (header.empty() || header == "*") return std::optional<int64_t>();
  int64_t revision = 0;
  if (header.size() >= 3 && header.front() == '"' && header.back() == '"') {
    const char* end = header.data() + header.size() - 1;
    const auto parsed = std::from_chars(header.data() + 1, end, revision);
    if (parsed.ec == std::errc() && parsed.ptr == end) return std::optional<int64_t>(revision);
  }
  return Fail(Code::kInvalidArgument, "bad_if_match",
              "If-Match must be the one ETag that the API gave for this resource, or *");
}

void SetEtag(net::HttpResponse& response, int64_t revision) {
  response.headers.Set("ETag", "\"" + std::to_string(revision) + "\"");
}

net::HttpResponse InvalidBody(const std::vector<FieldError>& errors) {
  std::string detail = "the body has " + std::to_string(errors.size()) +
                       (errors.size() == 1 ? " mistake: " : " mistakes; the first: ");
  detail += errors.front().pointer.empty() ? "the body" : errors.front().pointer;
  detail += " " + errors.front().detail;
  return ProblemAnswer(422, "body_invalid", detail, errors);
}

Api::Api(Parts parts) : parts_(std::move(parts)), started_at_(parts_.clock.UnixNanos()) {}

store::Operator Api::OperatorOf(const ApiCall& call) const {
  return {"apikey:" + call.caller.credential_id, call.request_id, parts_.clock.UnixNanos()};
}

net::HttpResponse Api::Handle(Endpoint endpoint, const ApiCall& call) {
  switch (endpoint) {
    case Endpoint::kListAgents:
      return ListAgents(call);
    case Endpoint::kRegisterAgent:
      return RegisterAgent(call);
    case Endpoint::kGetAgent:
      return GetAgent(call);
    case Endpoint::kChangeAgent:
      return ChangeAgent(call);
    case Endpoint::kListUnknownAgents:
      return ListUnknownAgents(call);
    case Endpoint::kListBlocks:
      return ListBlocks(call);
    case Endpoint::kAddBlock:
      return AddBlock(call);
    case Endpoint::kRemoveBlock:
      return RemoveBlock(call);
    case Endpoint::kIssueToken:
      return IssueToken(call);
    case Endpoint::kRevokeToken:
      return RevokeToken(call);
    case Endpoint::kListTools:
      return ListTools(call);
    case Endpoint::kAddTool:
      return AddTool(call);
    case Endpoint::kGetTool:
      return GetTool(call);
    case Endpoint::kPutTool:
      return PutTool(call);
    case Endpoint::kChangeTool:
      return ChangeTool(call);
    case Endpoint::kListPolicies:
      return ListPolicies(call);
    case Endpoint::kPublishPolicy:
      return PublishPolicy(call);
    case Endpoint::kGetPolicy:
      return GetPolicy(call);
    case Endpoint::kListOperations:
      return ListOperations(call);
    case Endpoint::kGetStatus:
      return GetStatus(call);
    case Endpoint::kReportUnknownAgents:
      return ReportUnknownAgents(call);
    case Endpoint::kGetBundle:
    case Endpoint::kGetSettings:
    case Endpoint::kGetJwks:
      break;  // served from the feeds
  }
  return ProblemAnswer(500, "internal", "this endpoint is not served here");
}

SettingsDocument& Api::DocumentOf(const store::TenantKey& tenant) {
  return settings_.try_emplace(SettingsFeed(tenant), tenant).first->second;
}

Status Api::PublishSettings(const store::TenantKey& tenant, store::SettingsPart part) {
  AEGIS_TRY(const store::Settings settings,
            parts_.repository.ReadSettings(tenant, parts_.clock.UnixNanos(), part));
  SettingsDocument& document = DocumentOf(tenant);
  document.Set(settings);
  auto text = std::make_shared<const std::string>(document.Render());
  std::string etag = "\"" + crypto::Sha256Hex(*text) + "\"";
  parts_.feeds.Publish(SettingsFeed(tenant),
                       {std::move(etag), "application/json", std::move(text)});
  return Ok();
}

net::HttpResponse Api::AfterSettingsChange(const ApiCall& call, net::HttpResponse answer) {
  const auto published = PublishSettings(call.caller.tenant, store::SettingsPart::kChanging);
  if (!published) {
    return ProblemAnswer(
        503, "gateways_not_told",
        "the change was recorded, but gateways cannot be told of it: " + published.error().message);
  }
  return answer;
}

void Api::PublishBundle(const store::TenantKey& tenant, std::string bundle,
                        const std::string& sha256) {
  parts_.feeds.Publish(BundleFeed(tenant),
                       {"\"" + sha256 + "\"", "application/gzip",
                        std::make_shared<const std::string>(std::move(bundle))});
}

Status Api::LoadFeeds(const store::TenantKey& tenant) {
  AEGIS_RETURN_IF_ERROR(PublishSettings(tenant, store::SettingsPart::kAll));
  AEGIS_TRY(const int64_t active, parts_.repository.ActivePolicy(tenant));
  if (active == 0) return Ok();
  AEGIS_TRY(std::string bundle, parts_.repository.GetPolicyBundle(tenant, active));
  if (parts_.compiler.Accepts(bundle)) {
    PublishBundle(tenant, bundle, crypto::Sha256Hex(bundle));
    return Ok();
  }
  store::NewPolicyVersion policy;
  AEGIS_TRY(policy.sources, parts_.repository.GetPolicySources(tenant, active));
  AEGIS_TRY(policy.version, parts_.repository.NextPolicyVersion(tenant));
  const std::string revision = std::to_string(policy.version);
  // A version without sources was a whole bundle.
  AEGIS_TRY(CompiledPolicy compiled, policy.sources.empty()
                                         ? parts_.compiler.Adopt(bundle, "bundle", revision)
                                         : parts_.compiler.Compile(policy.sources, revision));
  if (compiled.bundle.empty()) {
    return Fail(Code::kFailedPrecondition, "policy_not_compiled",
                "policy version " + std::to_string(active) +
                    " was signed with another bundle key and this Aegis cannot compile its sources "
                    "again; put the old key back");
  }
  policy.message = "version " + std::to_string(active) + ", signed with the new bundle key";
  policy.bundle = std::move(compiled.bundle);
  policy.bundle_sha256 = crypto::Sha256Hex(policy.bundle);
  AEGIS_TRY(
      [[maybe_unused]] auto published,
      parts_.repository.PublishPolicy(tenant, policy, {"system", "", parts_.clock.UnixNanos()}));
  PublishBundle(tenant, std::move(policy.bundle), policy.bundle_sha256);
  return Ok();
}

net::HttpResponse Api::ListOperations(const ApiCall& call) {
  const auto request = ReadPageRequest(call.request);
  if (!request) return ProblemAnswer(request.error());
  const auto page = parts_.repository.ListOperations(call.caller.tenant, *request);
  if (!page) return ProblemAnswer(page.error());
  json items = json::array();
  for (const store::OperatorEntry& entry : page->items) {
    json item = {{"sequence", entry.sequence}, {"at", FormatRfc3339Millis(entry.at)},
                 {"actor", entry.actor},       {"request_id", entry.request_id},
                 {"action", entry.action},     {"object", entry.object},
                 {"before", json(nullptr)},    {"after", json(nullptr)}};
    if (!entry.before.empty()) item["before"] = json::parse(entry.before, nullptr, false);
    if (!entry.after.empty()) item["after"] = json::parse(entry.after, nullptr, false);
    items.push_back(std::move(item));
  }
  const int64_t last = page->items.empty() ? 0 : page->items.back().sequence;
  return PageAnswer(std::move(items), page->more, std::to_string(last));
}

net::HttpResponse Api::GetStatus(const ApiCall& call) {
  const store::TenantKey& tenant = call.caller.tenant;
  const auto counts = parts_.repository.ReadCounts(tenant);
  if (!counts) return ProblemAnswer(counts.error());
  const auto schema = parts_.repository.SchemaVersion();
  if (!schema) return ProblemAnswer(schema.error());
  const int64_t now = parts_.clock.UnixNanos();
  json body = {{"version", parts_.version},
               {"org", tenant.org},
               {"tenant", tenant.tenant},
               {"time", FormatRfc3339Millis(now)},
               {"started_at", FormatRfc3339Millis(started_at_)},
               {"policy", json(nullptr)},
               {"agents", counts->agents},
               {"suspended_agents", counts->suspended_agents},
               {"tools", counts->tools},
               {"policy_versions", counts->policy_versions},
               {"revocations", counts->revocations},
               {"operations", counts->operator_entries},
               {"waiting_polls", parts_.feeds.waiting()},
               {"schema_version", *schema}};
  if (counts->active_policy != 0) {
    const auto policy = parts_.repository.GetPolicy(tenant, counts->active_policy);
    if (!policy) return ProblemAnswer(policy.error());
    body["policy"] = {{"version", policy->version},
                      {"bundle_sha256", policy->bundle_sha256},
                      {"author", policy->author},
                      {"published_at", FormatRfc3339Millis(policy->created_at)}};
  }
  return JsonAnswer(200, body);
}

}  // namespace aegis::control
