// Requests that must be refused, each with its status and reason.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "aegis/control/routes.h"
#include "aegis/control/test_support.h"

namespace aegis::control {
namespace {

using nlohmann::json;

TEST_F(ControlPlaneTest, NoResourceButTheOpenOnesWorksWithoutTheRightKey) {
  const std::string admin = folder_->admin_key(), gateway = folder_->gateway_key();
  std::string flipped = admin;
  flipped.back() = flipped.back() == '0' ? '1' : '0';
  const struct {
    std::string authorization;
    const char* what;
  } wrong[] = {{"", "none"},
               {"Bearer", "no key"},
               {"Bearer ", "empty key"},
               {"Basic " + admin, "another scheme"},
               {admin, "no scheme"},
               {"Bearer " + flipped, "one digit wrong"},
               {"Bearer " + admin.substr(0, admin.size() - 1), "cut"},
               {"Bearer " + admin + "0", "longer"},
               {"Bearer " + admin + " " + admin, "twice"},
               {"Bearer " + std::string(5000, 'a'), "very long"},
               {"Bearer eyJhbGciOiJub25lIn0.e30.", "an agent's token"}};
  for (const Route& route : Routes()) {
    if (route.access == Access::kOpen) continue;
    for (const auto& [authorization, what] : wrong) {
      Headers headers;
      if (!authorization.empty()) headers.emplace_back("Authorization", authorization);
      const auto response = Send(std::string(route.method), ExamplePath(route), "", headers);
      EXPECT_EQ(response.status, 401) << route.method << " " << route.path << ", " << what;
      EXPECT_THAT(std::string(response.headers.Get("WWW-Authenticate")),
                  testing::HasSubstr("Bearer"));
      EXPECT_EQ(response.body.find(admin), std::string::npos);
    }
  }
}

TEST_F(ControlPlaneTest, RolesHaveTheirOwnResourcesOnly) {
  for (const Route& route : Routes()) {
    const std::string method(route.method), path = ExamplePath(route);
    if (route.access == Access::kAdmin) {
      EXPECT_EQ(Send(method, path, "", {{"Authorization", GatewayAuth()}}).status, 403) << path;
    }
    if (route.access == Access::kGateway) {
      EXPECT_EQ(Send(method, path, "", {{"Authorization", AdminAuth()}}).status, 403) << path;
    }
  }
}

TEST_F(ControlPlaneTest, AnotherTenantIsNotThere) {
  EXPECT_EQ(Post("/api/v1/policies", Policy("fine")).status, 201);
  for (const char* tenant :
       {"other", "Default", "default%20", "%2e%2e", "default%00", "..%2fdefault"}) {
    const auto response = GatewayGet(std::string("/v1/bundles/") + tenant);
    EXPECT_EQ(response.status, 404) << tenant;
    EXPECT_EQ(Json(response)["reason"], "tenant_not_found") << tenant;
  }
  EXPECT_EQ(GatewayGet("/v1/bundles/%64efault").status, 200) << "the same name, written otherwise";
}

TEST_F(ControlPlaneTest, HostileRequests) {
  ASSERT_EQ(Post("/api/v1/agents", {{"name", "finance"}}).status, 201);
  ASSERT_EQ(Post("/api/v1/tools", {{"name", "stripe"}, {"base_url", "http://h"}}).status, 201);
  const std::string agents = "/api/v1/agents", tools = "/api/v1/tools",
                    policies = "/api/v1/policies";
  const std::string blocks = "/api/v1/blocks";
  const std::string tokens = "/api/v1/agents/finance/tokens", revoke = "/api/v1/tokens/revoke";
  const struct {
    std::string method, target, body;
    int status;
    std::string reason;
  } cases[] = {
      // Paths and methods.
      {"GET", "/", "", 404, "not_found"},
      {"GET", "/api/v1", "", 404, "not_found"},
      {"GET", "/api/v1/agents/", "", 404, "not_found"},
      {"GET", "//api/v1/agents", "", 404, "not_found"},
      {"GET", "/api/v2/agents", "", 404, "not_found"},
      {"GET", "/api/v1/agents/a/b/c", "", 404, "not_found"},
      {"GET", "/api/v1/agents/" + std::string(3000, 'a'), "", 404, "not_found"},
      {"DELETE", agents, "", 405, "method_not_allowed"},
      {"PUT", "/api/v1/agents/finance", "{}", 405, "method_not_allowed"},
      {"OPTIONS", agents, "", 405, "method_not_allowed"},
      {"GET", revoke, "", 405, "method_not_allowed"},
      // Names that cannot exist are simply not there.
      {"GET", "/api/v1/agents/..%2F..%2Fadmin", "", 404, "agent_not_found"},
      {"GET", "/api/v1/agents/a'%20OR%201=1--", "", 404, "agent_not_found"},
      {"GET", "/api/v1/agents/%00", "", 404, "agent_not_found"},
      {"GET", "/api/v1/tools/%ff%fe", "", 404, "tool_not_found"},
      // Queries.
      {"GET", agents + "?limit=0", "", 400, "bad_limit"},
      {"GET", agents + "?limit=501", "", 400, "bad_limit"},
      {"GET", agents + "?limit=-1", "", 400, "bad_limit"},
      {"GET", agents + "?limit=99999999999999999999", "", 400, "bad_limit"},
      {"GET", agents + "?cursor=zz", "", 400, "bad_cursor"},
      {"GET", agents + "?cursor=ff", "", 400, "bad_cursor"},
      {"GET", policies + "?cursor=61", "", 400, "bad_cursor"},
      {"GET", "/api/v1/operations?cursor=61", "", 400, "bad_cursor"},
      {"GET", agents + "?limt=5", "", 400, "unknown_parameter"},
      {"GET", agents + "?limit=5&limit=6", "", 400, "repeated_parameter"},
      {"GET", "/api/v1/status?x=1", "", 400, "unknown_parameter"},
      // Bodies.
      {"POST", agents, "", 400, "json_malformed"},
      {"POST", agents, "[]", 400, "json_malformed"},
      {"POST", agents, R"({"name":"a")", 400, "json_malformed"},
      {"POST", agents, R"({"name":"a","name":"b"})", 400, "json_duplicate_key"},
      {"POST", agents, R"({"name":"a","labels":)" + std::string(60'000, '['), 400, "json_too_deep"},
      {"POST", agents, R"({"name":")" + std::string(70'000, 'a') + "\"}", 413, "body_too_large"},
      {"GET", agents, "{}", 400, "unexpected_body"},
      {"POST", agents, "{}", 422, "body_invalid"},
      {"POST", agents, R"({"name":7})", 422, "body_invalid"},
      {"POST", agents, R"({"name":null})", 422, "body_invalid"},
      {"POST", agents, R"({"name":""})", 422, "body_invalid"},
      {"POST", agents, R"({"name":"../x"})", 422, "body_invalid"},
      {"POST", agents, R"({"name":"a b"})", 422, "body_invalid"},
      {"POST", agents, R"({"name":"a*"})", 422, "body_invalid"},
      {"POST", agents, R"({"name":"a\u0000"})", 422, "body_invalid"},
      {"POST", agents, R"({"name":")" + std::string(129, 'a') + "\"}", 422, "body_invalid"},
      {"POST", agents, R"({"name":"a","status":"active"})", 422, "body_invalid"},
      {"POST", agents, R"({"name":"a","tenant":"other"})", 422, "body_invalid"},
      {"POST", agents, R"({"name":"a","labels":{"k":1}})", 422, "body_invalid"},
      {"POST", agents, R"({"name":"a","labels":[]})", 422, "body_invalid"},
      {"POST", agents + "/finance", "{}", 422, "body_invalid"},
      {"POST", agents + "/finance", R"({"status":"deleted"})", 422, "body_invalid"},
      {"POST", agents + "/finance", R"({"name":"other"})", 422, "body_invalid"},
      {"POST", tools, R"({"name":"t"})", 422, "body_invalid"},
      {"POST", tools, R"({"name":"t","base_url":"file:///etc/passwd"})", 422, "body_invalid"},
      {"POST", tools, R"({"name":"t","base_url":"http://u:p@h"})", 422, "body_invalid"},
      {"POST", tools, R"({"name":"t","base_url":"http://h/\r\nx: y"})", 422, "body_invalid"},
      {"POST", tools + "/stripe", R"({"base_url":"ftp://h"})", 422, "body_invalid"},
      {"POST", tools + "/stripe", R"({"base_url":null})", 422, "body_invalid"},
      {"POST", tools + "/stripe", R"({"name":"other"})", 422, "body_invalid"},
      {"POST", tools + "/stripe", R"({"created_at":"x"})", 422, "body_invalid"},
      {"POST", tools + "/other", R"({"base_url":"http://h"})", 404, "tool_not_found"},
      {"PUT", tools + "/stripe", R"({"name":"other","base_url":"http://h"})", 422, "body_invalid"},
      {"PUT", tools + "/stripe", R"({"base_url":"http://h"})", 422, "body_invalid"},
      {"PUT", tools + "/..%2Fx", R"({"name":"../x","base_url":"http://h"})", 422, "body_invalid"},
      {"PUT", tools + "/x", R"({"name":"x","base_url":"http://h","hosts":["localhost"]})", 422,
       "body_invalid"},
      {"PUT", tools + "/x",
       R"({"name":"x","base_url":"http://h","actions":)" + std::string(60'000, '['), 400,
       "json_too_deep"},
      {"POST", tokens, R"({"ttl_seconds":0})", 422, "body_invalid"},
      {"POST", tokens, R"({"ttl_seconds":3601})", 422, "body_invalid"},
      {"POST", tokens, R"({"ttl_seconds":"60"})", 422, "body_invalid"},
      {"POST", tokens, R"({"ttl_seconds":1e9})", 422, "body_invalid"},
      {"POST", tokens, R"({"scope":"a  b"})", 422, "body_invalid"},
      {"POST", tokens, R"({"tenant":"other"})", 422, "body_invalid"},
      {"POST", tokens, R"({"chain":{}})", 422, "body_invalid"},
      {"POST", tokens, R"({"chain":[{"type":"agent","id":"stranger"}]})", 422, "body_invalid"},
      {"POST", tokens, R"({"chain":[{"type":"root","id":"a"}]})", 422, "body_invalid"},
      {"POST", agents, R"({"name":"a","adopts":"nobody-saw-it"})", 404, "caller_not_found"},
      {"POST", agents, R"({"name":"a","adopts":"*"})", 422, "body_invalid"},
      {"POST", agents, R"({"name":"a","adopts":"-"})", 422, "body_invalid"},
      {"POST", blocks, "{}", 422, "body_invalid"},
      {"POST", blocks, R"({"source":"10.0.0.1","name":"a"})", 422, "body_invalid"},
      {"POST", blocks, R"({"source":"10.0.0.1:80"})", 422, "body_invalid"},
      {"POST", blocks, R"({"source":"[::1]"})", 422, "body_invalid"},
      {"POST", blocks, R"({"source":"10.0.0.0/8"})", 422, "body_invalid"},
      {"POST", blocks, R"({"source":"*"})", 422, "body_invalid"},
      {"POST", blocks, R"({"source":"10.0.0.1\u0000"})", 422, "body_invalid"},
      {"POST", blocks, R"({"name":"-"})", 422, "body_invalid"},
      {"POST", blocks, R"({"name":"a*"})", 422, "body_invalid"},
      {"POST", blocks, R"({"name":"\u001b[2J"})", 422, "body_invalid"},
      {"POST", blocks, R"({"name":")" + std::string(129, 'a') + "\"}", 422, "body_invalid"},
      {"POST", blocks, R"({"name":"finance"})", 409, "agent_exists"},
      {"POST", blocks + "/remove", R"({"name":"finance"})", 404, "block_not_found"},
      {"GET", blocks + "?cursor=61", "", 400, "bad_cursor"},
      {"GET", "/api/v1/unknown-agents?cursor=61", "", 400, "bad_cursor"},
      {"POST", "/api/v1/agents/nobody/tokens", "{}", 404, "agent_not_found"},
      {"POST", revoke, "{}", 422, "body_invalid"},
      {"POST", revoke, R"({"jti":"a","token":"b"})", 422, "body_invalid"},
      {"POST", revoke, R"({"jti":"a b"})", 422, "body_invalid"},
      {"POST", policies, "{}", 422, "body_invalid"},
      {"POST", policies, R"({"files":[]})", 422, "body_invalid"},
      {"POST", policies, R"({"files":["x"]})", 422, "body_invalid"},
      {"POST", policies, R"({"files":[{"name":"a.yaml"}]})", 422, "body_invalid"},
      {"POST", policies, R"({"files":[{"name":"../a.yaml","content":""}]})", 422, "body_invalid"},
      {"POST", policies, R"({"files":[{"name":"a","content":""},{"name":"a","content":""}]})", 422,
       "body_invalid"},
      {"POST", policies, R"({"files":[{"name":"a","content":""}],"dryrun":true})", 422,
       "body_invalid"},
      {"POST", policies, R"({"files":[{"name":"a","content":""}],"message":"\u001b[2J"})", 422,
       "body_invalid"},
  };
  const size_t operations = Json(Get("/api/v1/operations"))["items"].size();
  for (const auto& [method, target, body, status, reason] : cases) {
    const auto response =
        Send(method, target, body,
             {{"Authorization", AdminAuth()}, {"Content-Type", "application/json"}});
    EXPECT_EQ(response.status, status)
        << method << " " << target.substr(0, 80) << " " << body.substr(0, 80) << "\n"
        << response.body;
    EXPECT_EQ(response.headers.Get("Content-Type"), "application/problem+json");
    const json problem = Json(response);
    EXPECT_EQ(problem.value("reason", ""), reason)
        << method << " " << target << " " << body.substr(0, 80);
    EXPECT_EQ(problem.value("status", 0), status);
    EXPECT_EQ(problem.value("type", ""), "urn:aegis:problem:" + reason);
    EXPECT_EQ(reason == "body_invalid", problem.contains("errors"));
  }
  EXPECT_EQ(Json(Get("/api/v1/operations"))["items"].size(), operations) << "something was changed";
}

TEST_F(ControlPlaneTest, HostileReportsOfAGateway) {
  const auto refused = [&](const json& body, int status = 422) {
    const auto response = GatewayPost("/v1/gateway/unknown-agents", body);
    EXPECT_EQ(response.status, status) << body.dump().substr(0, 200) << "\n" << response.body;
  };
  const auto with = [](const char* member, const json& value) {
    json item = Sighting("10.0.0.1", "n");
    item[member] = value;
    return json{{"seen", {item}}};
  };
  refused({{"seen", "x"}});
  refused({{"seen", {1}}});
  refused(json::object());
  refused({{"seen", json::array()}, {"tenant", "other"}});
  for (const char* member : {"source", "name", "target", "reason"}) {
    refused(with(member, ""));
    refused(with(member, 7));
    refused(with(member, "a\nb"));
    refused(with(member, "a\x1b[2J"));
    refused(with(member, "\u00e9"));
    refused(with(member, std::string(129, 'a')));
  }
  refused(with("count", 0));
  refused(with("count", -5));
  refused(with("count", 1.5));
  refused(with("first_seen_ms", -1));
  refused(with("last_seen_ms", 1e300));
  refused(with("org", "other"));
  refused({{"seen", std::vector<json>(501, Sighting("10.0.0.1", "n"))}});
  refused({{"seen", {{{"name", std::string(300'000, 'a')}}}}}, 413);
  EXPECT_TRUE(Json(Get("/api/v1/unknown-agents"))["items"].empty());
  EXPECT_EQ(GatewayPost("/v1/gateway/unknown-agents",
                        {{"seen", std::vector<json>(500, Sighting("10.0.0.1", "n"))}})
                .status,
            200);
  // A clock that is ahead does not make a caller the latest for ever.
  GatewayPost("/v1/gateway/unknown-agents", with("last_seen_ms", 253402300799999));
  const json row = Json(Get("/api/v1/unknown-agents"))["items"][0];
  EXPECT_EQ(row["count"], 501);
  EXPECT_LT(row["last_seen"], "3000") << row;
}

TEST_F(ControlPlaneTest, MalformedPathsAreRefusedWithoutTheServersHelpToo) {
  for (const char* path : {"", "*", "/api/v1/agents/%zz", "/api/v1/agents/%2", "/api/v1/agents/%",
                           "/api/v1/agents/%%", "http://h/api/v1/agents"}) {
    net::HttpRequest request;
    request.path = path;
    request.headers.Set("Authorization", AdminAuth());
    int status = 0;
    control_->Handle(request, [&](const net::HttpResponse& response) { status = response.status; });
    EXPECT_EQ(status, 404) << path;
  }
}

TEST_F(ControlPlaneTest, HeadersThatAreWrongOrNotSupportedAreRefused) {
  ASSERT_EQ(Post("/api/v1/agents", {{"name", "finance"}}).status, 201);
  const auto refused = [&](const Headers& headers, int status, const char* reason) {
    Headers all = headers;
    all.emplace_back("Authorization", AdminAuth());
    const auto response = Send("POST", "/api/v1/agents/finance", R"({"status":"active"})", all);
    EXPECT_EQ(response.status, status) << response.body;
    EXPECT_EQ(Json(response)["reason"], reason);
  };
  refused({}, 415, "unsupported_media_type");
  refused({{"Content-Type", "text/plain"}}, 415, "unsupported_media_type");
  refused({{"Content-Type", "application/x-www-form-urlencoded"}}, 415, "unsupported_media_type");
  refused({{"Content-Type", "application/json"}, {"Idempotency-Key", "1"}}, 400,
          "not_supported_yet");
  refused({{"Content-Type", "application/json"}, {"If-Match", "1"}}, 400, "bad_if_match");
  refused({{"Content-Type", "application/json"}, {"If-Match", "\"1\", \"2\""}}, 400,
          "bad_if_match");
  refused({{"Content-Type", "application/json"}, {"If-Match", "\"999\""}}, 412,
          "revision_mismatch");
  EXPECT_EQ(GatewayGet("/v1/gateway/settings?wait=x").status, 400);
  EXPECT_EQ(GatewayGet("/v1/gateway/settings?wait=-5").status, 400);
}

TEST_F(ControlPlaneTest, StrangersCannotMakeItHoldLargeBodies) {
  const std::string large = "{\"files\":\"" + std::string(1'000'000, 'a') + "\"}";
  const Headers typed = {{"Content-Type", "application/json"}};
  EXPECT_EQ(Send("POST", "/api/v1/policies", large, typed).status, 413);
  EXPECT_EQ(Send("POST", "/no/such/path", large, typed).status, 413);
  Headers admin = typed;
  admin.emplace_back("Authorization", AdminAuth());
  EXPECT_EQ(Send("POST", "/api/v1/policies", large, admin).status, 422) << "it was read";
}

TEST_F(ControlPlaneTest, AMistypedMemberIsPointedOut) {
  const json problem = Json(Post("/api/v1/agents", {{"nmae", "finance"}}));
  ASSERT_EQ(problem["errors"].size(), 2u);
  EXPECT_EQ(problem["errors"][0], json({{"pointer", "/name"}, {"detail", "is required"}}));
  EXPECT_EQ(problem["errors"][1]["pointer"], "/nmae");
  EXPECT_THAT(problem["errors"][1]["detail"].get<std::string>(),
              testing::HasSubstr("did you mean 'name'?"));
}

}  // namespace
}  // namespace aegis::control
