// Agents and tokens of the control API.
#include "aegis/control/api_support.h"
#include "aegis/control/validation.h"

namespace aegis::control {

using nlohmann::json;

json AgentToJson(const store::Agent& agent) {
  return {{"name", agent.name},
          {"labels", json(agent.labels)},
          {"status", std::string(store::AgentStatusName(agent.status))},
          {"created_at", FormatRfc3339Millis(agent.created_at)},
          {"updated_at", FormatRfc3339Millis(agent.updated_at)},
          {"revision", agent.revision}};
}

namespace {

net::HttpResponse AgentAnswer(int status, const store::Agent& agent) {
  net::HttpResponse response = JsonAnswer(status, AgentToJson(agent));
  SetEtag(response, agent.revision);
  return response;
}

}  // namespace

net::HttpResponse Api::ListAgents(const ApiCall& call) {
  const auto request = ReadPageRequest(call.request);
  if (!request) return ProblemAnswer(request.error());
  const auto page = parts_.repository.ListAgents(call.caller.tenant, *request);
  if (!page) return ProblemAnswer(page.error());
  json items = json::array();
  for (const store::Agent& agent : page->items) items.push_back(AgentToJson(agent));
  return PageAnswer(std::move(items), page->more,
                    page->items.empty() ? "" : page->items.back().name);
}

net::HttpResponse Api::RegisterAgent(const ApiCall& call) {
  const auto body = ParseObject(call.request.body);
  if (!body) return ProblemAnswer(body.error());
  std::vector<FieldError> errors;
  ObjectReader reader(*body, "", errors);
  const auto name = reader.Text("name");
  const auto adopts = reader.OptionalText("adopts");
  const json* labels_json = reader.OptionalObject("labels", kMaxLabels);
  reader.Finish();
  if (adopts) {
    if (std::string problem = CheckCallerName(*adopts); !problem.empty()) {
      reader.AddError("adopts", problem);
    }
  }
  if (name) {
    if (std::string problem = CheckEntityName(*name); !problem.empty()) {
      reader.AddError("name", problem);
    }
  }
  std::map<std::string, std::string> labels;
  if (labels_json) labels = ReadLabels(*labels_json, "/labels", errors);
  if (!errors.empty()) return InvalidBody(errors);

  const store::TenantKey& tenant = call.caller.tenant;
  const auto agent =
      adopts ? parts_.repository.AdoptAgent(tenant, *adopts, *name, labels, OperatorOf(call))
             : parts_.repository.AddAgent(tenant, *name, labels, OperatorOf(call));
  if (!agent) return ProblemAnswer(agent.error());
  DocumentOf(tenant).Set(*agent);
  net::HttpResponse response = AgentAnswer(201, *agent);
  response.headers.Set("Location", "/api/v1/agents/" + agent->name);
  return AfterSettingsChange(call, std::move(response));
}

net::HttpResponse Api::GetAgent(const ApiCall& call) {
  const auto agent = parts_.repository.GetAgent(call.caller.tenant, call.parameters[0]);
  return agent ? AgentAnswer(200, *agent) : ProblemAnswer(agent.error());
}

net::HttpResponse Api::ChangeAgent(const ApiCall& call) {
  const auto body = ParseObject(call.request.body);
  if (!body) return ProblemAnswer(body.error());
  const auto if_match = ReadIfMatch(call.request);
  if (!if_match) return ProblemAnswer(if_match.error());
  std::vector<FieldError> errors;
  ObjectReader reader(*body, "", errors);
  const auto status = reader.OptionalText("status");
  const json* labels_json = reader.OptionalObject("labels", kMaxLabels);
  reader.Finish();
  store::Repository::AgentChange change;
  change.if_revision = *if_match;
  if (status == "active") {
    change.status = store::AgentStatus::kActive;
  } else if (status == "suspended") {
    change.status = store::AgentStatus::kSuspended;
  } else if (status) {
    reader.AddError("status", "must be 'active' or 'suspended'");
  }
  if (labels_json) change.labels = ReadLabels(*labels_json, "/labels", errors);
  if (errors.empty() && !status && !labels_json) {
    errors.push_back({"", "must have 'status' or 'labels'"});
  }
  if (!errors.empty()) return InvalidBody(errors);

  const auto agent = parts_.repository.ChangeAgent(call.caller.tenant, call.parameters[0], change,
                                                   OperatorOf(call));
  if (!agent) return ProblemAnswer(agent.error());
  DocumentOf(call.caller.tenant).Set(*agent);
  return AfterSettingsChange(call, AgentAnswer(200, *agent));
}

net::HttpResponse Api::IssueToken(const ApiCall& call) {
  // All members are optional, so the whole body is.
  const auto body = ParseObject(call.request.body.empty() ? "{}" : call.request.body);
  if (!body) return ProblemAnswer(body.error());
  std::vector<FieldError> errors;
  ObjectReader reader(*body, "", errors);
  const int64_t ttl =
      reader.OptionalInt("ttl_seconds", kMinTokenTtl, kMaxTokenTtl).value_or(kDefaultTokenTtl);
  const json* chain_json = reader.OptionalArray("chain", identity::kMaxChainLinks);
  // Read, so that the answer can say more than "unknown".
  if (reader.OptionalText("scope"))
    reader.AddError("scope", "is not supported yet: no gateway enforces scopes");
  reader.Finish();
  std::vector<identity::ChainLink> chain;
  if (chain_json) chain = ReadChain(*chain_json, "/chain", errors);
  if (!errors.empty()) return InvalidBody(errors);

  const store::TenantKey& tenant = call.caller.tenant;
  const auto agent = parts_.repository.GetAgent(tenant, call.parameters[0]);
  if (!agent) return ProblemAnswer(agent.error());
  // Whoever vouches for a chain must not vouch for agents nobody knows, or that have been stopped.
  std::vector<store::Agent> involved = {*agent};
  for (size_t i = 0; i < chain.size(); ++i) {
    if (chain[i].type != "agent") continue;
    const auto link = parts_.repository.GetAgent(tenant, chain[i].id);
    if (!link && link.error().reason == "agent_not_found") {
      return InvalidBody({{"/chain/" + std::to_string(i) + "/id", "is not a registered agent"}});
    }
    if (!link) return ProblemAnswer(link.error());
    involved.push_back(*link);
  }
  for (const store::Agent& each : involved) {
    if (each.status == store::AgentStatus::kSuspended) {
      return ProblemAnswer(409, "agent_suspended",
                           "agent '" + each.name + "' is suspended; resume it first");
    }
  }

  const auto issued = parts_.tokens.Issue(tenant, agent->name, chain, /*scope=*/"", ttl);
  if (!issued && issued.error().reason == "token_request") {
    return ProblemAnswer(422, issued.error().reason, issued.error().message);
  }
  if (!issued) return ProblemAnswer(issued.error());
  json detail = {{"jti", issued->token_id},
                 {"expires_at", FormatRfc3339Millis(issued->expires_at * 1'000'000'000)},
                 {"chain", json::array()}};
  for (const identity::ChainLink& link : chain) {
    detail["chain"].push_back({{"type", link.type}, {"id", link.id}});
  }
  const auto recorded = parts_.repository.RecordOperation(
      tenant, "token.issue", "agent/" + agent->name, DumpJson(detail), OperatorOf(call));
  // Not recorded, not handed out.
  if (!recorded) return ProblemAnswer(recorded.error());
  return JsonAnswer(201, {{"token", issued->token},
                          {"token_type", "Bearer"},
                          {"jti", issued->token_id},
                          {"agent", agent->name},
                          {"expires_at", detail["expires_at"]}});
}

net::HttpResponse Api::RevokeToken(const ApiCall& call) {
  const auto body = ParseObject(call.request.body);
  if (!body) return ProblemAnswer(body.error());
  std::vector<FieldError> errors;
  ObjectReader reader(*body, "", errors);
  const auto jti = reader.OptionalText("jti");
  const auto token = reader.OptionalText("token");
  reader.Finish();
  if (jti) {
    if (std::string problem = CheckTokenId(*jti); !problem.empty()) reader.AddError("jti", problem);
  }
  if (errors.empty() && jti.has_value() == token.has_value()) {
    errors.push_back({"", "must have one of 'jti' and 'token'"});
  }
  if (!errors.empty()) return InvalidBody(errors);

  store::Revocation revocation;
  if (token) {
    const auto read = parts_.tokens.Read(call.caller.tenant, *token);
    if (!read) {
      return ProblemAnswer(422, read.error().reason, read.error().message);
    }
    revocation = {read->token_id, read->expires_at * 1'000'000'000};
  } else {
    // No token lives longer than this, so the entry may go then. The extra minute is for the
    // clocks.
    revocation = {*jti, parts_.clock.UnixNanos() + (kMaxTokenTtl + 60) * 1'000'000'000};
  }
  const auto revoked =
      parts_.repository.RevokeToken(call.caller.tenant, revocation, OperatorOf(call));
  if (!revoked) return ProblemAnswer(revoked.error());
  return AfterSettingsChange(
      call, JsonAnswer(200, {{"jti", revocation.jti},
                             {"revoked_until", FormatRfc3339Millis(revocation.until)}}));
}

}  // namespace aegis::control
