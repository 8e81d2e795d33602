// Policies of the control API: publish, list, show.
#include <charconv>
#include <unordered_set>

#include "aegis/control/api_support.h"
#include "aegis/control/validation.h"
#include "aegis/crypto/base64.h"
#include "aegis/crypto/digest.h"

namespace aegis::control {

using nlohmann::json;

namespace {

constexpr size_t kMaxFiles = 20'000;

json VersionToJson(const store::PolicyVersion& version, int64_t active) {
  return {{"version", version.version},
          {"revision", std::to_string(version.version)},
          {"active", version.version == active},
          {"author", version.author},
          {"message", version.message},
          {"created_at", FormatRfc3339Millis(version.created_at)},
          {"bundle_sha256", version.bundle_sha256},
          {"bundle_bytes", version.bundle_bytes},
          {"kind", version.source_names.empty() ? "bundle" : "files"},
          {"file_names", json(version.source_names)}};
}

json DiagnosticsToJson(const std::vector<PolicyDiagnostic>& diagnostics) {
  json list = json::array();
  for (const PolicyDiagnostic& each : diagnostics) {
    list.push_back({{"severity", each.error ? "error" : "warning"},
                    {"file", each.file},
                    {"line", each.line},
                    {"column", each.column},
                    {"message", each.message}});
  }
  return list;
}

std::vector<store::PolicySource> ReadFiles(const json& files, std::vector<FieldError>& errors) {
  std::vector<store::PolicySource> sources;
  std::unordered_set<std::string> names;
  size_t index = 0;
  for (const json& file : files) {
    const std::string at = "/files/" + std::to_string(index++);
    if (errors.size() >= 100) break;
    if (!file.is_object()) {
      errors.push_back({at, "must be an object {\"name\", \"content\"}"});
      continue;
    }
    ObjectReader reader(file, at, errors);
    auto name = reader.Text("name");
    auto content = reader.Text("content");
    reader.Finish();
    if (!name || !content) continue;
    if (std::string problem = CheckSourceName(*name); !problem.empty()) {
      reader.AddError("name", problem);
    } else if (!names.insert(*name).second) {
      reader.AddError("name", "is there twice");
    } else {
      sources.push_back({*std::move(name), *std::move(content)});
    }
  }
  return sources;
}

// {"name", "content"}, the content in base64.
store::PolicySource ReadWholeBundle(const json& bundle, std::vector<FieldError>& errors) {
  ObjectReader reader(bundle, "/bundle", errors);
  const auto name = reader.Text("name");
  const auto content = reader.Text("content");
  reader.Finish();
  if (!name || !content) return {};
  if (std::string problem = CheckSourceName(*name); !problem.empty()) {
    reader.AddError("name", problem);
  }
  std::optional<std::string> bytes = crypto::Base64Decode(*content);
  if (!bytes) reader.AddError("content", "must be base64 with padding (RFC 4648 section 4)");
  return {*name, std::move(bytes).value_or("")};
}

net::HttpResponse PolicyInvalid(const CompiledPolicy& compiled) {
  size_t errors = 0;
  const PolicyDiagnostic* first = nullptr;
  for (const PolicyDiagnostic& each : compiled.diagnostics) {
    if (!each.error) continue;
    if (++errors == 1) first = &each;
  }
  std::string detail = "the policies have " + std::to_string(errors) +
                       (errors == 1 ? " mistake" : " mistakes") +
                       "; nothing was published and the running version stays";
  if (first) {
    detail += ". First: " + first->file;
    if (first->line > 0) {
      detail += ":" + std::to_string(first->line) + ":" + std::to_string(first->column);
    }
    detail += ": " + first->message;
  }
  return ProblemAnswer(422, "policy_invalid", detail,
                       json{{"diagnostics", DiagnosticsToJson(compiled.diagnostics)}});
}

}  // namespace

net::HttpResponse Api::PublishPolicy(const ApiCall& call) {
  const store::TenantKey& tenant = call.caller.tenant;
  const auto if_match = ReadIfMatch(call.request);
  if (!if_match) return ProblemAnswer(if_match.error());
  store::NewPolicyVersion policy;
  std::optional<store::PolicySource> whole;  // a bundle in place of files
  bool dry_run = false;
  {
    const auto body = ParseObject(call.request.body);
    if (!body) return ProblemAnswer(body.error());
    std::vector<FieldError> errors;
    ObjectReader reader(*body, "", errors);
    const json* files = reader.OptionalArray("files", kMaxFiles);
    const json* bundle = reader.OptionalObject("bundle", 2);
    policy.message = reader.OptionalText("message").value_or("");
    dry_run = reader.OptionalBool("dry_run").value_or(false);
    reader.Finish();
    if (std::string problem = CheckMessage(policy.message); !problem.empty()) {
      reader.AddError("message", problem);
    }
    if (!files && !bundle && errors.empty()) {
      reader.AddError("files", "is required, or \"bundle\" in its place");
    }
    if (files && bundle) reader.AddError("bundle", "cannot be there together with \"files\"");
    if (bundle) whole = ReadWholeBundle(*bundle, errors);
    if (files && files->empty()) reader.AddError("files", "must have at least one file");
    if (files) policy.sources = ReadFiles(*files, errors);
    if (!errors.empty()) return InvalidBody(errors);
  }

  const auto next = parts_.repository.NextPolicyVersion(tenant);
  if (!next) return ProblemAnswer(next.error());
  policy.version = *next;
  if (*if_match) {
    const auto active = parts_.repository.ActivePolicy(tenant);
    if (!active) return ProblemAnswer(active.error());
    if (*active != **if_match) {
      return ProblemAnswer(412, "revision_mismatch",
                           "the active policy version is " + std::to_string(*active) +
                               "; look at what was published since and try again");
    }
  }
  const std::string revision = std::to_string(policy.version);
  auto compiled = whole ? parts_.compiler.Adopt(whole->content, whole->name, revision)
                        : parts_.compiler.Compile(policy.sources, revision);
  if (!compiled && (compiled.error().reason == "policy_too_large" ||
                    compiled.error().reason == "bundle_too_large")) {
    return ProblemAnswer(422, compiled.error().reason, compiled.error().message);
  }
  if (!compiled) return ProblemAnswer(compiled.error());
  if (compiled->bundle.empty()) return PolicyInvalid(*compiled);
  policy.bundle = std::move(compiled->bundle);
  policy.bundle_sha256 = crypto::Sha256Hex(policy.bundle);
  if (dry_run) {
    return JsonAnswer(200, {{"dry_run", true},
                            {"valid", true},
                            {"bundle_bytes", policy.bundle.size()},
                            {"diagnostics", DiagnosticsToJson(compiled->diagnostics)}});
  }

  const auto published = parts_.repository.PublishPolicy(tenant, policy, OperatorOf(call));
  if (!published) return ProblemAnswer(published.error());
  PublishBundle(tenant, std::move(policy.bundle), published->bundle_sha256);
  json answer = VersionToJson(*published, published->version);
  answer["diagnostics"] = DiagnosticsToJson(compiled->diagnostics);
  net::HttpResponse response = JsonAnswer(201, answer);
  SetEtag(response, published->version);
  response.headers.Set("Location", "/api/v1/policies/" + std::to_string(published->version));
  return response;
}

net::HttpResponse Api::ListPolicies(const ApiCall& call) {
  const auto request = ReadPageRequest(call.request);
  if (!request) return ProblemAnswer(request.error());
  const auto active = parts_.repository.ActivePolicy(call.caller.tenant);
  if (!active) return ProblemAnswer(active.error());
  const auto page = parts_.repository.ListPolicies(call.caller.tenant, *request);
  if (!page) return ProblemAnswer(page.error());
  json items = json::array();
  for (const store::PolicyVersion& version : page->items) {
    items.push_back(VersionToJson(version, *active));
  }
  const int64_t last = page->items.empty() ? 0 : page->items.back().version;
  return PageAnswer(std::move(items), page->more, std::to_string(last));
}

net::HttpResponse Api::GetPolicy(const ApiCall& call) {
  const store::TenantKey& tenant = call.caller.tenant;
  const auto active = parts_.repository.ActivePolicy(tenant);
  if (!active) return ProblemAnswer(active.error());
  const std::string& wanted = call.parameters[0];
  int64_t number = 0;
  if (wanted == "active") {
    if (*active == 0) {
      return ProblemAnswer(404, "policy_not_found", "no policy has been published in this tenant");
    }
    number = *active;
  } else {
    const char* end = wanted.data() + wanted.size();
    const auto parsed = std::from_chars(wanted.data(), end, number);
    if (parsed.ec != std::errc() || parsed.ptr != end || number < 1) {
      return ProblemAnswer(400, "bad_version", "a policy version is a number from 1, or 'active'");
    }
  }
  const auto version = parts_.repository.GetPolicy(tenant, number);
  if (!version) return ProblemAnswer(version.error());
  const auto sources = parts_.repository.GetPolicySources(tenant, number);
  if (!sources) return ProblemAnswer(sources.error());
  json answer = VersionToJson(*version, *active);
  answer["files"] = json::array();
  for (const store::PolicySource& source : *sources) {
    answer["files"].push_back({{"name", source.name}, {"content", source.content}});
  }
  net::HttpResponse response = JsonAnswer(200, answer);
  SetEtag(response, number);
  return response;
}

}  // namespace aegis::control
