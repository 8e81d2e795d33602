#include "aegis/gateway/admin.h"

#include "aegis/base/json_text.h"
#include "aegis/gateway/problem.h"

namespace aegis::gateway {
namespace {

// Writes one JSON object, member by member.
class ObjectWriter {
 public:
  explicit ObjectWriter(std::string& out) : out_(out) { out_.push_back('{'); }
  void Close() { out_.push_back('}'); }
  std::string& Key(std::string_view name) {
    if (!first_) out_.push_back(',');
    first_ = false;
    out_.append("\"").append(name).append("\":");
    return out_;
  }
  void Text(std::string_view name, std::string_view value) { AppendJsonText(Key(name), value); }
  void Number(std::string_view name, size_t value) { Key(name).append(std::to_string(value)); }
  void Flag(std::string_view name, bool value) { Key(name).append(value ? "true" : "false"); }

 private:
  std::string& out_;
  bool first_ = true;
};

void WritePart(ObjectWriter& parent, std::string_view name, const Sync::Part& part) {
  ObjectWriter writer(parent.Key(name));
  writer.Flag("loaded", part.loaded);
  writer.Flag("from_cache", part.from_cache);
  writer.Text("version", part.version);
  if (!part.error.empty()) writer.Text("error", part.error);
  writer.Close();
}

void WriteState(ObjectWriter& writer, const Gateway& gateway, const Sync* sync) {
  if (const auto state = gateway.state()) {
    writer.Text("org", state->org);
    writer.Text("tenant", state->tenant);
    writer.Text("settings_revision", state->revision);
    if (state->snapshot) {
      writer.Text("policy_version", state->snapshot->policy_version());
      writer.Text("bundle_sha256", state->snapshot->bundle_sha256());
    }
  }
  if (sync) {
    const Sync::Report status = sync->status();
    ObjectWriter parts(writer.Key("sync"));
    WritePart(parts, "settings", status.settings);
    WritePart(parts, "bundle", status.bundle);
    WritePart(parts, "keys", status.keys);
    parts.Close();
    writer.Text("bundle_source", status.bundle_source);
    writer.Flag("bundle_long_polling", status.bundle_long_polling);
  }
}

net::HttpResponse Answer(int status, std::string_view content_type, std::string body) {
  net::HttpResponse response;
  response.status = status;
  response.headers.Set("Content-Type", std::string(content_type));
  response.headers.Set("Cache-Control", "no-store");
  response.body = std::move(body);
  return response;
}

net::HttpResponse ProblemAnswer(int status, std::string_view reason, std::string_view detail) {
  Problem problem;
  problem.status = status;
  problem.reason = reason;
  problem.detail = detail;
  std::string body;
  AppendProblem(problem, body);
  return Answer(status, "application/problem+json", std::move(body));
}

}  // namespace

Result<std::unique_ptr<AdminServer>> AdminServer::Start(const Options& options,
                                                        const Gateway& gateway) {
  std::unique_ptr<AdminServer> admin(new AdminServer(options, gateway));
  net::HttpServer::Options server;
  server.address = options.address;
  server.max_body_bytes = 1024;
  server.max_connections = 128;
  AdminServer* raw = admin.get();
  AEGIS_TRY(admin->server_,
            net::HttpServer::Start(server, [raw](net::HttpRequest request, net::Responder respond) {
              respond(raw->Handle(request));
            }));
  return admin;
}

net::HttpResponse AdminServer::Handle(const net::HttpRequest& request) const {
  if (request.method != "GET" && request.method != "HEAD") {
    net::HttpResponse response =
        ProblemAnswer(405, "method_not_allowed", "the admin port takes GET only");
    response.headers.Set("Allow", "GET, HEAD");
    return response;
  }
  if (request.path == "/healthz") return Answer(200, "text/plain", "ok\n");
  if (request.path == "/readyz") {
    const std::string reason = gateway_.NotReadyBecause();
    return Answer(reason.empty() ? 200 : 503, "application/json", ReadyDocument(reason));
  }
  if (request.path == "/metrics") {
    std::string body;
    gateway_.options().metrics->AppendExposition(body);
    return Answer(200, telemetry::Metrics::kContentType, std::move(body));
  }
  if (request.path == "/config") return Answer(200, "application/json", ConfigDocument());
  return ProblemAnswer(404, "no_such_path",
                       "the admin port serves /healthz, /readyz, /metrics and /config");
}

std::string AdminServer::ReadyDocument(std::string_view reason) const {
  std::string out;
  ObjectWriter writer(out);
  writer.Flag("ready", reason.empty());
  if (!reason.empty()) writer.Text("reason", reason);
  WriteState(writer, gateway_, options_.sync);
  writer.Close();
  out.push_back('\n');
  return out;
}

std::string AdminServer::ConfigDocument() const {
  const Gateway::Options& gateway = gateway_.options();
  std::string out;
  ObjectWriter writer(out);
  writer.Text("version", options_.version);
  writer.Text("mode", gateway.shadow ? "shadow" : "enforce");
  writer.Text("producer", gateway.producer);
  writer.Number("workers", gateway.workers);
  std::string& addresses = writer.Key("addresses");
  addresses.push_back('[');
  for (const std::string& address : gateway_.addresses()) {
    if (addresses.back() != '[') addresses.push_back(',');
    AppendJsonText(addresses, address);
  }
  addresses.push_back(']');
  if (!gateway_.envoy_address().empty()) writer.Text("envoy", gateway_.envoy_address());
  if (!gateway_.opa_envoy_address().empty()) writer.Text("opa_envoy", gateway_.opa_envoy_address());
  ObjectWriter limits(writer.Key("limits"));
  limits.Number("max_head_bytes", gateway.limits.http.max_head_bytes);
  limits.Number("max_fields", gateway.limits.http.max_fields);
  limits.Number("max_body_bytes", gateway.limits.max_body_bytes);
  limits.Number("max_connections", gateway.limits.max_connections);
  limits.Close();
  WriteState(writer, gateway_, options_.sync);
  if (const auto state = gateway_.state()) {
    writer.Number("agents", state->agents.size());
    ObjectWriter tools(writer.Key("tools"));
    for (const auto& [name, tool] : state->tools) {
      // The name is another's text, and so a value as much as a key.
      std::string key;
      AppendJsonText(key, name);
      ObjectWriter entry(tools.Key(std::string_view(key).substr(1, key.size() - 2)));
      entry.Text("base_url", tool.base_url);
      if (tool.problem.status != 0) entry.Text("problem", tool.problem.message);
      entry.Close();
    }
    tools.Close();
  }
  writer.Close();
  out.push_back('\n');
  return out;
}

}  // namespace aegis::gateway
