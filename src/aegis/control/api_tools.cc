// Tools of the control API: their documents (aegis/tool/spec.h).
#include "aegis/control/api_support.h"
#include "aegis/tool/spec.h"

namespace aegis::control {

using nlohmann::json;

namespace {

// Stored documents were good when they were stored.
json DocumentOf(const store::Tool& tool) {
  json document = json::parse(tool.document, nullptr, /*allow_exceptions=*/false);
  return document.is_object() ? document : json{{"name", tool.name}};
}

json ToolToJson(const store::Tool& tool, json document) {
  document["created_at"] = FormatRfc3339Millis(tool.created_at);
  document["updated_at"] = FormatRfc3339Millis(tool.updated_at);
  document["revision"] = tool.revision;
  return document;
}

// As lists have it: how many actions there are, not which.
json ToolSummary(const store::Tool& tool) {
  json document = DocumentOf(tool);
  const json& actions = document["actions"];
  json summary = {{"name", tool.name},
                  {"base_url", document.value("base_url", "")},
                  {"hosts", document.value("hosts", json::array())},
                  {"action_count", actions.is_array() ? actions.size() : 0}};
  return ToolToJson(tool, std::move(summary));
}

net::HttpResponse ToolAnswer(int status, const store::Tool& tool) {
  net::HttpResponse response = JsonAnswer(status, ToolToJson(tool, DocumentOf(tool)));
  SetEtag(response, tool.revision);
  return response;
}

// The tool that the document describes. False: `*refused` is the answer.
bool ReadTool(std::string_view document, std::string_view name, store::NewTool* tool,
              net::HttpResponse* refused) {
  std::vector<tool::Mistake> mistakes;
  const auto spec = tool::ReadSpec(document, &mistakes);
  std::vector<FieldError> errors;
  for (tool::Mistake& mistake : mistakes) {
    errors.push_back({std::move(mistake.pointer), std::move(mistake.detail)});
  }
  if (spec && !name.empty() && spec->name != name) {
    errors.push_back({"/name", "must be the name in the path; a tool cannot be renamed"});
  }
  if (!errors.empty()) {
    *refused = InvalidBody(errors);
    return false;
  }
  if (!spec) {
    *refused = ProblemAnswer(400, spec.error().reason, spec.error().message);
    return false;
  }
  *tool = {spec->name, tool::SpecJson(*spec), spec->hosts};
  return true;
}

}  // namespace

net::HttpResponse Api::ListTools(const ApiCall& call) {
  const auto request = ReadPageRequest(call.request);
  if (!request) return ProblemAnswer(request.error());
  const auto page = parts_.repository.ListTools(call.caller.tenant, *request);
  if (!page) return ProblemAnswer(page.error());
  json items = json::array();
  for (const store::Tool& tool : page->items) items.push_back(ToolSummary(tool));
  return PageAnswer(std::move(items), page->more,
                    page->items.empty() ? "" : page->items.back().name);
}

net::HttpResponse Api::AddTool(const ApiCall& call) {
  store::NewTool tool;
  net::HttpResponse refused;
  if (!ReadTool(call.request.body, {}, &tool, &refused)) return refused;
  return StoreNewTool(call, tool);
}

net::HttpResponse Api::StoreNewTool(const ApiCall& call, const store::NewTool& tool) {
  const auto added = parts_.repository.AddTool(call.caller.tenant, tool, OperatorOf(call));
  if (!added) return ProblemAnswer(added.error());
  DocumentOf(call.caller.tenant).Set(*added);
  net::HttpResponse response = ToolAnswer(201, *added);
  response.headers.Set("Location", "/api/v1/tools/" + added->name);
  return AfterSettingsChange(call, std::move(response));
}

net::HttpResponse Api::GetTool(const ApiCall& call) {
  const auto tool = parts_.repository.GetTool(call.caller.tenant, call.parameters[0]);
  return tool ? ToolAnswer(200, *tool) : ProblemAnswer(tool.error());
}

// The whole document.
net::HttpResponse Api::PutTool(const ApiCall& call) {
  const auto if_match = ReadIfMatch(call.request);
  if (!if_match) return ProblemAnswer(if_match.error());
  store::NewTool tool;
  net::HttpResponse refused;
  if (!ReadTool(call.request.body, call.parameters[0], &tool, &refused)) return refused;
  const auto changed =
      parts_.repository.ChangeTool(call.caller.tenant, tool, *if_match, OperatorOf(call));
  if (!changed && changed.error().reason == "tool_not_found" && !*if_match) {
    return StoreNewTool(call, tool);
  }
  if (!changed) return ProblemAnswer(changed.error());
  DocumentOf(call.caller.tenant).Set(*changed);
  return AfterSettingsChange(call, ToolAnswer(200, *changed));
}

// Members of the document: those that are given take the place of the old ones, null takes one
// away.
net::HttpResponse Api::ChangeTool(const ApiCall& call) {
  const auto body = ParseObject(call.request.body);
  if (!body) return ProblemAnswer(body.error());
  const auto if_match = ReadIfMatch(call.request);
  if (!if_match) return ProblemAnswer(if_match.error());
  const auto before = parts_.repository.GetTool(call.caller.tenant, call.parameters[0]);
  if (!before) return ProblemAnswer(before.error());
  json document = control::DocumentOf(*before);
  for (const auto& [name, value] : body->items()) {
    if (value.is_null()) {
      document.erase(name);
    } else {
      document[name] = value;
    }
  }
  store::NewTool tool;
  net::HttpResponse refused;
  if (!ReadTool(DumpJson(document), before->name, &tool, &refused)) return refused;
  // What was not given must not undo what another has changed meanwhile.
  const auto changed = parts_.repository.ChangeTool(
      call.caller.tenant, tool, if_match->value_or(before->revision), OperatorOf(call));
  if (!changed) return ProblemAnswer(changed.error());
  DocumentOf(call.caller.tenant).Set(*changed);
  return AfterSettingsChange(call, ToolAnswer(200, *changed));
}

}  // namespace aegis::control
