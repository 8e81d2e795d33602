// api/openapi.yaml against the table of routes and the running server.
#include <gtest/gtest.h>
#include <yaml-cpp/yaml.h>

#include <set>

#include "aegis/control/api.h"
#include "aegis/control/routes.h"
#include "aegis/control/test_support.h"
#include "aegis/control/token_service.h"
#include "aegis/control/validation.h"
#include "aegis/tool/path_template.h"
#include "aegis/tool/spec.h"

namespace aegis::control {
namespace {

using nlohmann::json;

YAML::Node LoadDocument() { return YAML::LoadFile(AEGIS_SOURCE_DIR "/api/openapi.yaml"); }

std::string Upper(std::string text) {
  for (char& c : text) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return text;
}

// "#/components/parameters/Limit" and the like, followed.
YAML::Node Resolve(const YAML::Node& document, const YAML::Node& node) {
  if (!node.IsMap() || !node["$ref"]) return node;
  YAML::Node found = YAML::Clone(document);
  std::string path = node["$ref"].as<std::string>().substr(2);
  for (size_t start = 0; start <= path.size();) {
    const size_t slash = std::min(path.find('/', start), path.size());
    YAML::Node next = found[path.substr(start, slash - start)];
    found.reset(next);
    start = slash + 1;
  }
  return found;
}

TEST(OpenApiTest, DescribesExactlyWhatIsServed) {
  const YAML::Node document = LoadDocument();
  EXPECT_EQ(document["openapi"].as<std::string>().substr(0, 3), "3.1");
  std::set<std::string> described, served;
  for (const auto& path : document["paths"]) {
    for (const auto& operation : path.second) {
      const std::string key = operation.first.as<std::string>();
      if (key == "parameters") continue;
      described.insert(Upper(key) + " " + path.first.as<std::string>());
    }
  }
  for (const Route& route : Routes()) {
    served.insert(std::string(route.method) + " " + std::string(route.path));
  }
  EXPECT_EQ(described, served);
}

TEST(OpenApiTest, SaysWhoMayCallWithWhichParametersAndBodies) {
  const YAML::Node document = LoadDocument();
  for (const Route& route : Routes()) {
    const YAML::Node path = document["paths"][std::string(route.path)];
    std::string method(route.method);
    for (char& c : method) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    const YAML::Node operation = path[method];
    const std::string what = std::string(route.method) + " " + std::string(route.path);
    ASSERT_TRUE(operation) << what;
    EXPECT_TRUE(operation["operationId"]) << what;

    std::set<std::string> schemes, wanted;
    for (const auto& requirement : operation["security"]) {
      for (const auto& scheme : requirement) schemes.insert(scheme.first.as<std::string>());
    }
    if (route.access == Access::kAdmin || route.access == Access::kAdminOrGateway)
      wanted.insert("adminKey");
    if (route.access == Access::kGateway || route.access == Access::kAdminOrGateway)
      wanted.insert("gatewayKey");
    EXPECT_EQ(schemes, wanted) << what;

    EXPECT_EQ(static_cast<bool>(operation["requestBody"]), route.max_body_bytes > 0) << what;

    std::set<std::string> query, path_parameters;
    for (const YAML::Node& list : {path["parameters"], operation["parameters"]}) {
      for (const auto& each : list) {
        const YAML::Node parameter = Resolve(document, each);
        const std::string in = parameter["in"].as<std::string>();
        if (in == "query") query.insert(parameter["name"].as<std::string>());
        if (in == "path") path_parameters.insert(parameter["name"].as<std::string>());
      }
    }
    EXPECT_EQ(query, std::set<std::string>(route.query.begin(), route.query.end())) << what;
    const size_t braces =
        static_cast<size_t>(std::count(route.path.begin(), route.path.end(), '{'));
    EXPECT_EQ(path_parameters.size(), braces) << what;
  }
}

TEST(OpenApiTest, HasTheLimitsOfTheCode) {
  const YAML::Node document = LoadDocument();
  const YAML::Node schemas = document["components"]["schemas"];
  EXPECT_EQ(schemas["Name"]["maxLength"].as<size_t>(), kMaxNameBytes);
  EXPECT_EQ(schemas["Labels"]["maxProperties"].as<size_t>(), kMaxLabels);
  EXPECT_EQ(schemas["TokenRequest"]["properties"]["ttl_seconds"]["maximum"].as<int64_t>(),
            kMaxTokenTtl);
  EXPECT_EQ(schemas["TokenRequest"]["properties"]["ttl_seconds"]["default"].as<int64_t>(),
            kDefaultTokenTtl);
  EXPECT_EQ(schemas["TokenRequest"]["properties"]["chain"]["maxItems"].as<size_t>(),
            identity::kMaxChainLinks);
  const YAML::Node tool = schemas["ToolDocument"]["properties"];
  EXPECT_EQ(tool["hosts"]["maxItems"].as<size_t>(), tool::kMaxHosts);
  EXPECT_EQ(tool["actions"]["maxItems"].as<size_t>(), tool::kMaxActions);
  const YAML::Node action = schemas["ToolAction"]["properties"];
  EXPECT_EQ(action["path"]["maxLength"].as<size_t>(), tool::kMaxTemplateBytes);
  EXPECT_EQ(action["params"]["maxProperties"].as<size_t>(), tool::kMaxParams);
  EXPECT_EQ(schemas["CallerName"]["maxLength"].as<size_t>(), kMaxNameBytes);
  const YAML::Node limit = document["components"]["parameters"]["Limit"]["schema"];
  EXPECT_EQ(limit["maximum"].as<size_t>(), kMaxPage);
  EXPECT_EQ(limit["default"].as<size_t>(), kDefaultPage);
}

TEST_F(ControlPlaneTest, EveryDescribedOperationIsServed) {
  for (const Route& route : Routes()) {
    const std::string path = ExamplePath(route);
    const std::string auth = route.access == Access::kGateway ? GatewayAuth() : AdminAuth();
    const auto response = Send(std::string(route.method), path, "",
                               {{"Authorization", auth}, {"Content-Type", "application/json"}});
    // The route is there: what it complains about is its own.
    EXPECT_NE(response.status, 405) << path;
    if (response.status == 404) {
      EXPECT_NE(Json(response)["reason"], "not_found") << path;
    }
    EXPECT_LT(response.status, 500) << path << " " << response.body;
  }
}

// The members of real answers are the ones that the document names, and the required ones are
// there.
class OpenApiAnswersTest : public ControlPlaneTest {
 protected:
  void ExpectShape(const json& value, const YAML::Node& schema_or_ref, const std::string& where) {
    const YAML::Node schema = Resolve(document_, schema_or_ref);
    if (schema["items"] && value.is_array()) {
      for (const json& item : value) ExpectShape(item, schema["items"], where + "[]");
    }
    if (!schema["properties"] || !value.is_object()) return;
    for (const auto& [name, member] : value.items()) {
      ASSERT_TRUE(schema["properties"][name]) << where << ": '" << name << "' is not described";
      ExpectShape(member, schema["properties"][name], where + "." + name);
    }
    for (const auto& required : schema["required"]) {
      EXPECT_TRUE(value.contains(required.as<std::string>()))
          << where << "." << required.as<std::string>();
    }
  }
  void ExpectAnswer(const net::HttpResponse& response, const std::string& method,
                    const std::string& path) {
    const std::string where = method + " " + path + " " + std::to_string(response.status);
    const YAML::Node answer =
        document_["paths"][path][method]["responses"][std::to_string(response.status)];
    ASSERT_TRUE(answer) << where << " is not described: " << response.body;
    const YAML::Node resolved = Resolve(document_, answer);
    const std::string type(response.headers.Get("Content-Type"));
    const YAML::Node content = resolved["content"][type];
    ASSERT_TRUE(content) << where << ": content type " << type << " is not described";
    if (type.find("json") != std::string::npos) {
      ExpectShape(json::parse(response.body), content["schema"], where);
    }
  }

  const YAML::Node document_ = LoadDocument();
};

TEST_F(OpenApiAnswersTest, HaveTheDescribedMembers) {
  ExpectAnswer(Post("/api/v1/agents", {{"name", "a"}, {"labels", {{"k", "v"}}}}), "post",
               "/api/v1/agents");
  ExpectAnswer(Post("/api/v1/agents", {{"name", "a"}}), "post", "/api/v1/agents");
  ExpectAnswer(Post("/api/v1/agents", {{"nmae", "a"}}), "post", "/api/v1/agents");
  ExpectAnswer(Get("/api/v1/agents"), "get", "/api/v1/agents");
  ExpectAnswer(Get("/api/v1/agents/a"), "get", "/api/v1/agents/{name}");
  ExpectAnswer(Get("/api/v1/agents/b"), "get", "/api/v1/agents/{name}");
  ExpectAnswer(Post("/api/v1/agents/a", {{"labels", json::object()}}), "post",
               "/api/v1/agents/{name}");
  ExpectAnswer(Post("/api/v1/agents", {{"name", "b"}, {"adopts", "c"}}), "post", "/api/v1/agents");
  ExpectAnswer(GatewayPost("/v1/gateway/unknown-agents",
                           {{"seen", json::array({Sighting("10.0.0.1", "c")})}}),
               "post", "/v1/gateway/unknown-agents");
  ExpectAnswer(Get("/api/v1/unknown-agents"), "get", "/api/v1/unknown-agents");
  ExpectAnswer(Post("/api/v1/blocks", {{"source", "10.0.0.9"}}), "post", "/api/v1/blocks");
  ExpectAnswer(Post("/api/v1/blocks", {{"name", "a"}}), "post", "/api/v1/blocks");
  ExpectAnswer(Post("/api/v1/blocks", {{"name", "d"}}), "post", "/api/v1/blocks");
  ExpectAnswer(Get("/api/v1/blocks"), "get", "/api/v1/blocks");
  ExpectAnswer(Post("/api/v1/blocks/remove", {{"name", "d"}}), "post", "/api/v1/blocks/remove");
  ExpectAnswer(Post("/api/v1/blocks/remove", {{"name", "d"}}), "post", "/api/v1/blocks/remove");
  ExpectAnswer(PostText("/api/v1/agents/a/tokens", "{}"), "post", "/api/v1/agents/{name}/tokens");
  ExpectAnswer(Post("/api/v1/tokens/revoke", {{"jti", "j"}}), "post", "/api/v1/tokens/revoke");
  ExpectAnswer(Post("/api/v1/tools", {{"name", "t"}, {"base_url", "http://h"}}), "post",
               "/api/v1/tools");
  ExpectAnswer(Get("/api/v1/tools"), "get", "/api/v1/tools");
  ExpectAnswer(Get("/api/v1/tools/t"), "get", "/api/v1/tools/{name}");
  ExpectAnswer(Post("/api/v1/tools/t", {{"base_url", "http://i"}}), "post", "/api/v1/tools/{name}");
  const json document = {
      {"name", "u"},
      {"base_url", "http://h"},
      {"hosts", {"u.internal"}},
      {"unmapped", "segment"},
      {"actions", json::array({{{"name", "a"},
                                {"method", "GET"},
                                {"path", "/a/{id}"},
                                {"body", {"json"}},
                                {"params",
                                 {{"q", {{"in", "query"}, {"type", "array"}, {"items", "integer"}}},
                                  {"k", {{"in", "header"}, {"name", "x-k"}}}}}}})}};
  ExpectAnswer(Put("/api/v1/tools/u", document), "put", "/api/v1/tools/{name}");
  ExpectAnswer(Put("/api/v1/tools/u", document), "put", "/api/v1/tools/{name}");
  ExpectAnswer(Put("/api/v1/tools/v", document), "put", "/api/v1/tools/{name}");
  ExpectAnswer(Get("/api/v1/tools/u"), "get", "/api/v1/tools/{name}");
  ExpectAnswer(Get("/api/v1/tools"), "get", "/api/v1/tools");
  ExpectAnswer(Get("/api/v1/status"), "get", "/api/v1/status");
  ExpectAnswer(Post("/api/v1/policies", Policy("odd")), "post", "/api/v1/policies");
  ExpectAnswer(Post("/api/v1/policies", Policy("broken")), "post", "/api/v1/policies");
  json dry = Policy("fine");
  dry["dry_run"] = true;
  ExpectAnswer(Post("/api/v1/policies", dry), "post", "/api/v1/policies");
  const json bundle = {{"bundle", {{"name", "b.tar.gz"}, {"content", "YQ=="}}}};
  ExpectAnswer(Post("/api/v1/policies", bundle), "post", "/api/v1/policies");
  ExpectAnswer(Get("/api/v1/policies"), "get", "/api/v1/policies");
  ExpectAnswer(Get("/api/v1/policies/1"), "get", "/api/v1/policies/{version}");
  ExpectAnswer(Get("/api/v1/operations"), "get", "/api/v1/operations");
  ExpectAnswer(Get("/api/v1/status"), "get", "/api/v1/status");
  ExpectAnswer(GatewayGet("/v1/bundles/default"), "get", "/v1/bundles/{tenant}");
  ExpectAnswer(GatewayGet("/v1/bundles/default?wait=1"), "get", "/v1/bundles/{tenant}");
  ExpectAnswer(GatewayGet("/v1/bundles/other"), "get", "/v1/bundles/{tenant}");
  ExpectAnswer(GatewayGet("/v1/gateway/settings"), "get", "/v1/gateway/settings");
  ExpectAnswer(Get("/v1/gateway/settings"), "get", "/v1/gateway/settings");
  ExpectAnswer(Send("GET", "/.well-known/jwks.json", "", {}), "get", "/.well-known/jwks.json");
  ExpectAnswer(Send("GET", "/api/v1/status", "", {}), "get", "/api/v1/status");
}

}  // namespace
}  // namespace aegis::control
