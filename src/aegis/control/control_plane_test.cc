#include "aegis/control/control_plane.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <thread>

#include "aegis/control/test_support.h"
#include "aegis/crypto/digest.h"

namespace aegis::control {
namespace {

using nlohmann::json;
using testing::ElementsAre;

std::vector<std::string> Names(const json& page) {
  std::vector<std::string> names;
  for (const json& item : page["items"]) names.push_back(item["name"]);
  return names;
}

TEST_F(ControlPlaneTest, AgentsAreRegisteredShownAndChanged) {
  auto made = Post("/api/v1/agents", {{"name", "finance"}, {"labels", {{"team", "money"}}}});
  EXPECT_EQ(made.status, 201) << made.body;
  EXPECT_EQ(made.headers.Get("Location"), "/api/v1/agents/finance");
  EXPECT_EQ(made.headers.Get("ETag"), "\"1\"");
  EXPECT_EQ(made.headers.Get("Cache-Control"), "no-store");
  EXPECT_EQ(Post("/api/v1/agents", {{"name", "finance"}}).status, 409);

  auto shown = Json(Get("/api/v1/agents/finance"));
  EXPECT_EQ(shown["name"], "finance");
  EXPECT_EQ(shown["labels"], json({{"team", "money"}}));
  EXPECT_EQ(shown["status"], "active");
  EXPECT_EQ(Get("/api/v1/agents/nobody").status, 404);

  auto suspended =
      Post("/api/v1/agents/finance", {{"status", "suspended"}}, {{"If-Match", "\"1\""}});
  EXPECT_EQ(suspended.status, 200) << suspended.body;
  EXPECT_EQ(Json(suspended)["status"], "suspended");
  auto stale = Post("/api/v1/agents/finance", {{"status", "active"}}, {{"If-Match", "\"1\""}});
  EXPECT_EQ(stale.status, 412);
  EXPECT_EQ(Json(stale)["reason"], "revision_mismatch");
  EXPECT_EQ(Json(Post("/api/v1/agents/finance", {{"labels", json::object()}}))["labels"],
            json::object());
  EXPECT_EQ(Post("/api/v1/agents/nobody", {{"status", "active"}}).status, 404);
}

TEST_F(ControlPlaneTest, ListsComeInPages) {
  for (const char* name : {"c", "a", "b"}) {
    EXPECT_EQ(Post("/api/v1/agents", {{"name", name}}).status, 201);
    EXPECT_EQ(Post("/api/v1/tools", {{"name", name}, {"base_url", "http://h"}}).status, 201);
  }
  for (const std::string path : {"/api/v1/agents", "/api/v1/tools"}) {
    const json first = Json(Get(path + "?limit=2"));
    EXPECT_THAT(Names(first), ElementsAre("a", "b"));
    const json second =
        Json(Get(path + "?limit=2&cursor=" + first["next_cursor"].get<std::string>()));
    EXPECT_THAT(Names(second), ElementsAre("c"));
    EXPECT_TRUE(second["next_cursor"].is_null());
  }
}

TEST_F(ControlPlaneTest, ToolsAreAddedAndMoved) {
  EXPECT_EQ(Post("/api/v1/tools", {{"name", "stripe"}, {"base_url", "http://one:1"}}).status, 201);
  EXPECT_EQ(Post("/api/v1/tools", {{"name", "stripe"}, {"base_url", "http://two:2"}}).status, 409);
  EXPECT_EQ(Json(Get("/api/v1/tools/stripe"))["base_url"], "http://one:1");
  EXPECT_EQ(Json(Post("/api/v1/tools/stripe", {{"base_url", "http://two:2"}}))["base_url"],
            "http://two:2");
  EXPECT_EQ(Get("/api/v1/tools/other").status, 404);
}

TEST_F(ControlPlaneTest, AToolsDocumentIsPutAndChangedByMembers) {
  const json action = {{"name", "pay"}, {"method", "POST"}, {"path", "/v1/pay"}};
  const json document = {{"name", "stripe"},
                         {"base_url", "http://one:1"},
                         {"hosts", {"pay.internal"}},
                         {"actions", json::array({action})}};
  const auto made = Put("/api/v1/tools/stripe", document);
  EXPECT_EQ(made.status, 201) << made.body;
  EXPECT_EQ(Put("/api/v1/tools/stripe", document).headers.Get("ETag"), "\"1\"") << "unchanged";
  const json moved = Json(Post("/api/v1/tools/stripe", {{"base_url", "http://two:2"}}));
  EXPECT_EQ(moved["actions"], document["actions"]) << "what is not given stays";
  EXPECT_EQ(moved["base_url"], "http://two:2");
  const json list = Json(Get("/api/v1/tools"));
  EXPECT_EQ(list["items"][0]["action_count"], 1);
  EXPECT_FALSE(list["items"][0].contains("actions"));
  EXPECT_EQ(Json(GatewayGet("/v1/gateway/settings"))["tools"][0]["actions"], document["actions"]);

  json other = {{"name", "other"}, {"base_url", "http://h"}, {"hosts", {"pay.internal"}}};
  const auto taken = Put("/api/v1/tools/other", other);
  EXPECT_EQ(taken.status, 409);
  EXPECT_EQ(Json(taken)["reason"], "host_taken");
  EXPECT_EQ(Json(Post("/api/v1/tools/stripe", {{"hosts", nullptr}})).contains("hosts"), false);
  EXPECT_EQ(Put("/api/v1/tools/other", other).status, 201);

  json broken = document;
  broken["actions"].push_back({{"name", "b"}, {"method", "POST"}, {"path", "/v1/PAY/"}});
  const auto refused = Put("/api/v1/tools/stripe", broken);
  EXPECT_EQ(refused.status, 422);
  EXPECT_EQ(Json(refused)["errors"][0]["pointer"], "/actions/1/path");
  EXPECT_EQ(Put("/api/v1/tools/stripe", document, {{"If-Match", "\"7\""}}).status, 412);
}

TEST_F(ControlPlaneTest, PublishingMakesANewActiveVersion) {
  EXPECT_EQ(Get("/api/v1/policies/active").status, 404);
  auto first = Post("/api/v1/policies", Policy("fine and odd"));
  EXPECT_EQ(first.status, 201) << first.body;
  EXPECT_EQ(first.headers.Get("ETag"), "\"1\"");
  EXPECT_EQ(Json(first)["version"], 1);
  EXPECT_EQ(Json(first)["revision"], "1");
  EXPECT_EQ(Json(first)["author"], "apikey:admin");
  EXPECT_EQ(Json(first)["diagnostics"][0]["severity"], "warning");
  EXPECT_EQ(Post("/api/v1/policies", Policy("better"), {{"If-Match", "\"1\""}}).status, 201);
  auto lost = Post("/api/v1/policies", Policy("lost update"), {{"If-Match", "\"1\""}});
  EXPECT_EQ(lost.status, 412);

  const json list = Json(Get("/api/v1/policies"));
  ASSERT_EQ(list["items"].size(), 2u);
  EXPECT_EQ(list["items"][0]["version"], 2);
  EXPECT_EQ(list["items"][0]["active"], true);
  EXPECT_EQ(list["items"][1]["active"], false);
  EXPECT_EQ(list["items"][1]["file_names"], json({"p.yaml"}));
  const json old = Json(Get("/api/v1/policies/1"));
  EXPECT_EQ(old["files"][0]["content"], "fine and odd");
  EXPECT_EQ(Json(Get("/api/v1/policies/active"))["version"], 2);
  EXPECT_EQ(Get("/api/v1/policies/3").status, 404);
  EXPECT_EQ(Get("/api/v1/policies/x").status, 400);
  EXPECT_EQ(Get("/api/v1/policies/0").status, 400);
}

TEST_F(ControlPlaneTest, ABrokenPolicyIsRefusedWithEveryMistakeAndTheRunningOneStays) {
  EXPECT_EQ(Post("/api/v1/policies", Policy("fine")).status, 201);
  const std::string etag(GatewayGet("/v1/bundles/default").headers.Get("ETag"));
  const json body = {
      {"files",
       {{{"name", "a.yaml"}, {"content", "broken"}}, {{"name", "b.yaml"}, {"content", "broken"}}}}};
  auto refused = Post("/api/v1/policies", body);
  EXPECT_EQ(refused.status, 422);
  EXPECT_EQ(refused.headers.Get("Content-Type"), "application/problem+json");
  const json problem = Json(refused);
  EXPECT_EQ(problem["reason"], "policy_invalid");
  ASSERT_EQ(problem["diagnostics"].size(), 2u);
  EXPECT_EQ(problem["diagnostics"][1], json({{"severity", "error"},
                                             {"file", "b.yaml"},
                                             {"line", 3},
                                             {"column", 5},
                                             {"message", "unknown key 'broken'"}}));
  EXPECT_THAT(problem["detail"].get<std::string>(), testing::HasSubstr("a.yaml:3:5"));
  EXPECT_EQ(GatewayGet("/v1/bundles/default").headers.Get("ETag"), etag);
  EXPECT_EQ(Json(Get("/api/v1/status"))["policy"]["version"], 1);
}

TEST_F(ControlPlaneTest, ADryRunPublishesNothing) {
  json body = Policy("fine");
  body["dry_run"] = true;
  auto checked = Post("/api/v1/policies", body);
  EXPECT_EQ(checked.status, 200);
  EXPECT_EQ(Json(checked)["valid"], true);
  body["files"][0]["content"] = "broken";
  EXPECT_EQ(Post("/api/v1/policies", body).status, 422);
  EXPECT_TRUE(Json(Get("/api/v1/policies"))["items"].empty());
  EXPECT_EQ(GatewayGet("/v1/bundles/default").status, 404);
}

TEST_F(ControlPlaneTest, BundlesHaveTheirHashAsEtag) {
  EXPECT_EQ(GatewayGet("/v1/bundles/default").status, 404);
  EXPECT_EQ(Post("/api/v1/policies", Policy("fine")).status, 201);
  auto bundle = GatewayGet("/v1/bundles/default");
  EXPECT_EQ(bundle.status, 200);
  EXPECT_EQ(bundle.body, "one:1");
  EXPECT_EQ(bundle.headers.Get("ETag"), "\"" + crypto::Sha256Hex(bundle.body) + "\"");
  EXPECT_EQ(bundle.headers.Get("Content-Type"), "application/gzip");
  const std::string etag(bundle.headers.Get("ETag"));
  EXPECT_EQ(GatewayGet("/v1/bundles/default", {{"If-None-Match", etag}}).status, 304);
  EXPECT_EQ(Get("/v1/bundles/default").status, 200) << "the admin may look too";
}

TEST_F(ControlPlaneTest, OpaSeesThatLongPollingIsSupported) {
  EXPECT_EQ(Post("/api/v1/policies", Policy("fine")).status, 201);
  auto polled = GatewayGet("/v1/bundles/default", {{"Prefer", "modes=snapshot,delta;wait=30"}});
  EXPECT_EQ(polled.status, 200);
  EXPECT_EQ(polled.headers.Get("Content-Type"), "application/vnd.openpolicyagent.bundles");
  const std::string etag(polled.headers.Get("ETag"));
  auto unchanged =
      GatewayGet("/v1/bundles/default", {{"Prefer", "wait=1"}, {"If-None-Match", etag}});
  EXPECT_EQ(unchanged.status, 304);
  EXPECT_EQ(unchanged.headers.Get("Content-Type"), "application/vnd.openpolicyagent.bundles");
}

TEST_F(ControlPlaneTest, APublishWakesThoseWhoWaitAtOnce) {
  EXPECT_EQ(Post("/api/v1/policies", Policy("one")).status, 201);
  const std::string etag(GatewayGet("/v1/bundles/default").headers.Get("ETag"));
  net::HttpResponse woken;
  std::chrono::steady_clock::time_point woken_at;
  std::thread gateway([&] {
    woken = GatewayGet("/v1/bundles/default?wait=60", {{"If-None-Match", etag}});
    woken_at = std::chrono::steady_clock::now();
  });
  while (Json(Get("/api/v1/status"))["waiting_polls"] != 1) std::this_thread::yield();
  const auto asked_at = std::chrono::steady_clock::now();
  EXPECT_EQ(Post("/api/v1/policies", Policy("two")).status, 201);
  gateway.join();
  EXPECT_EQ(woken.status, 200);
  EXPECT_EQ(woken.body, "one:2");
  // The bar is 1 s; the log line of a run shows what it is (a few ms, most of it the database's
  // fsync).
  const auto took = std::chrono::duration_cast<std::chrono::microseconds>(woken_at - asked_at);
  RecordProperty("publish_to_gateway_us", static_cast<int>(took.count()));
  EXPECT_LT(took, std::chrono::seconds(1));
}

TEST_F(ControlPlaneTest, SettingsTellGatewaysOfAgentsToolsAndRevocations) {
  auto settings = GatewayGet("/v1/gateway/settings");
  EXPECT_EQ(settings.status, 200);
  EXPECT_EQ(Json(settings),
            json({{"org", "default"},
                  {"tenant", "default"},
                  {"revision", 0},
                  {"tools", json::array()},
                  {"agents", json::array()},
                  {"blocked", {{"names", json::array()}, {"sources", json::array()}}},
                  {"revoked", {{"epoch", 0}, {"jtis", json::array()}}}}));
  Post("/api/v1/agents", {{"name", "finance"}, {"labels", {{"team", "money"}}}});
  Post("/api/v1/tools", {{"name", "stripe"}, {"base_url", "http://h:1"}});
  Post("/api/v1/tokens/revoke", {{"jti", "token-1"}});
  Post("/api/v1/agents/finance", {{"status", "suspended"}});
  const json after = Json(GatewayGet("/v1/gateway/settings"));
  EXPECT_EQ(
      after["agents"],
      json({{{"name", "finance"}, {"labels", {{"team", "money"}}}, {"status", "suspended"}}}));
  EXPECT_EQ(after["tools"], json({{{"name", "stripe"}, {"base_url", "http://h:1"}}}));
  EXPECT_EQ(after["revoked"], json({{"epoch", 2}, {"jtis", {"token-1"}}}));
  EXPECT_EQ(after["revision"], 4);

  const std::string etag(settings.headers.Get("ETag"));
  EXPECT_EQ(GatewayGet("/v1/gateway/settings?wait=60", {{"If-None-Match", etag}}).status, 200);
}

TEST_F(ControlPlaneTest, ASuspensionWakesThoseWhoWait) {
  Post("/api/v1/agents", {{"name", "finance"}});
  const std::string etag(GatewayGet("/v1/gateway/settings").headers.Get("ETag"));
  net::HttpResponse woken;
  std::thread gateway(
      [&] { woken = GatewayGet("/v1/gateway/settings?wait=60", {{"If-None-Match", etag}}); });
  while (Json(Get("/api/v1/status"))["waiting_polls"] != 1) std::this_thread::yield();
  EXPECT_EQ(Post("/api/v1/agents/finance", {{"status", "suspended"}}).status, 200);
  gateway.join();
  EXPECT_EQ(Json(woken)["agents"][0]["status"], "suspended");
}

TEST_F(ControlPlaneTest, UnknownAgentsAreListedAdoptedAndBlocked) {
  const auto report = [&](std::vector<json> seen) {
    return GatewayPost("/v1/gateway/unknown-agents", {{"seen", std::move(seen)}});
  };
  EXPECT_EQ(report({Sighting("10.0.0.1", "curl/8.0", 3), Sighting("10.0.0.2", "evil")}).status,
            200);
  EXPECT_EQ(report({Sighting("10.0.0.1", "curl/8.0", 4)}).status, 200);
  const json first = Json(Get("/api/v1/unknown-agents?limit=1"));
  EXPECT_EQ(first["items"][0], json({{"source", "10.0.0.1"},
                                     {"name", "curl/8.0"},
                                     {"target", "payments"},
                                     {"reason", "agent_unknown"},
                                     {"count", 7},
                                     {"first_seen", "1970-01-01T00:00:01.000Z"},
                                     {"last_seen", "1970-01-01T00:00:02.000Z"}}));
  const json second =
      Json(Get("/api/v1/unknown-agents?limit=1&cursor=" + first["next_cursor"].get<std::string>()));
  EXPECT_EQ(second["items"][0]["name"], "evil");
  EXPECT_TRUE(second["next_cursor"].is_null());

  const auto adopted = Post("/api/v1/agents", {{"name", "script"}, {"adopts", "curl/8.0"}});
  EXPECT_EQ(adopted.status, 201);
  EXPECT_EQ(Json(adopted)["name"], "script");
  const std::string etag(GatewayGet("/v1/gateway/settings").headers.Get("ETag"));
  EXPECT_EQ(Json(Post("/api/v1/blocks", {{"source", "::ffff:10.0.0.2"}}))["source"], "10.0.0.2");
  EXPECT_EQ(Post("/api/v1/blocks", {{"name", "evil"}}).status, 200);
  EXPECT_TRUE(Json(Get("/api/v1/unknown-agents"))["items"].empty());
  const auto settings = GatewayGet("/v1/gateway/settings?wait=60", {{"If-None-Match", etag}});
  EXPECT_EQ(Json(settings)["blocked"], json({{"names", {"evil"}}, {"sources", {"10.0.0.2"}}}));
  EXPECT_EQ(Json(Post("/api/v1/agents", {{"name", "evil"}}))["reason"], "name_blocked");

  Restart();
  EXPECT_EQ(GatewayGet("/v1/gateway/settings").body, settings.body);
  const json blocks = Json(Get("/api/v1/blocks"))["items"];
  ASSERT_EQ(blocks.size(), 2u);
  EXPECT_EQ(blocks[1]["source"], "10.0.0.2");
  EXPECT_EQ(Post("/api/v1/blocks/remove", {{"source", "10.0.0.2"}}).status, 200);
  EXPECT_EQ(Post("/api/v1/blocks/remove", {{"name", "evil"}}).status, 200);
  EXPECT_EQ(Json(GatewayGet("/v1/gateway/settings"))["blocked"],
            json({{"names", json::array()}, {"sources", json::array()}}));
  EXPECT_EQ(Post("/api/v1/agents", {{"name", "evil"}}).status, 201);
  EXPECT_EQ(Json(Get("/api/v1/operations?limit=2"))["items"][1]["action"], "caller.unblock");
}

TEST_F(ControlPlaneTest, EveryChangeIsInTheOperationsList) {
  Post("/api/v1/agents", {{"name", "finance"}});
  auto suspended = Post("/api/v1/agents/finance", {{"status", "suspended"}});
  Post("/api/v1/policies", Policy("fine"));
  Post("/api/v1/agents", {{"name", "finance"}});  // refused: not a change
  const json page = Json(Get("/api/v1/operations?limit=2"));
  ASSERT_EQ(page["items"].size(), 2u);
  EXPECT_EQ(page["items"][0]["action"], "policy.publish");
  EXPECT_EQ(page["items"][0]["object"], "policy/1");
  const json& suspend = page["items"][1];
  EXPECT_EQ(suspend["action"], "agent.suspend");
  EXPECT_EQ(suspend["actor"], "apikey:admin");
  EXPECT_EQ(suspend["before"]["status"], "active");
  EXPECT_EQ(suspend["after"]["status"], "suspended");
  EXPECT_EQ(suspend["request_id"], std::string(suspended.headers.Get("X-Request-Id")));
  std::vector<std::string> actions;
  std::string cursor;
  do {
    const json next = Json(Get("/api/v1/operations?limit=3" + cursor));
    for (const json& item : next["items"]) actions.push_back(item["action"]);
    cursor =
        next["next_cursor"].is_null() ? "" : "&cursor=" + next["next_cursor"].get<std::string>();
  } while (!cursor.empty());
  EXPECT_THAT(actions,
              ElementsAre("policy.publish", "agent.suspend", "agent.register", "credential.create",
                          "credential.create", "key.activate", "key.activate", "tenant.create"));
}

TEST_F(ControlPlaneTest, ARestartFindsTheSameState) {
  Post("/api/v1/agents", {{"name", "finance"}, {"labels", {{"team", "money"}}}});
  Post("/api/v1/tools", {{"name", "stripe"}, {"base_url", "http://h:1"}});
  Post("/api/v1/tokens/revoke", {{"jti", "token-1"}});
  Post("/api/v1/policies", Policy("fine"));
  const json agent = Json(Get("/api/v1/agents/finance"));
  const std::string bundle(GatewayGet("/v1/bundles/default").headers.Get("ETag"));
  const std::string settings(GatewayGet("/v1/gateway/settings").headers.Get("ETag"));
  const std::string jwks = Send("GET", "/.well-known/jwks.json", "", {}).body;
  const size_t operations = Json(Get("/api/v1/operations"))["items"].size();

  Restart();
  EXPECT_EQ(Json(Get("/api/v1/agents/finance")), agent);
  EXPECT_EQ(GatewayGet("/v1/bundles/default").headers.Get("ETag"), bundle);
  EXPECT_EQ(GatewayGet("/v1/gateway/settings").headers.Get("ETag"), settings);
  EXPECT_EQ(Send("GET", "/.well-known/jwks.json", "", {}).body, jwks);
  EXPECT_EQ(Json(Get("/api/v1/operations"))["items"].size(), operations)
      << "a restart changes nothing";
  EXPECT_EQ(Json(Post("/api/v1/policies", Policy("next")))["version"], 2);
}

TEST_F(ControlPlaneTest, ANewBundleKeySignsTheActivePolicyAnew) {
  Post("/api/v1/policies", Policy("fine"));
  make_compiler_ = [] { return std::make_unique<FakeCompiler>("two"); };
  Restart();
  EXPECT_EQ(GatewayGet("/v1/bundles/default").body, "two:2");
  const json active = Json(Get("/api/v1/policies/active"));
  EXPECT_EQ(active["version"], 2);
  EXPECT_EQ(active["author"], "system");
  EXPECT_EQ(active["files"][0]["content"], "fine");
}

TEST_F(ControlPlaneTest, AReplacedKeyFileMakesTheOldApiKeyWorthless) {
  const std::string old = AdminAuth();
  Stop();
  std::filesystem::remove(root_.path() + "/data/admin.key");
  Start();
  EXPECT_EQ(Get("/api/v1/status").status, 200);
  EXPECT_EQ(Send("GET", "/api/v1/status", "", {{"Authorization", old}}).status, 401);
  EXPECT_EQ(Json(Get("/api/v1/operations?limit=1"))["items"][0]["action"], "credential.replace");
}

TEST_F(ControlPlaneTest, StoppingAnswersThoseWhoWait) {
  net::HttpResponse answer;
  std::thread gateway([&] { answer = GatewayGet("/v1/bundles/default?wait=60"); });
  while (Json(Get("/api/v1/status"))["waiting_polls"] != 1) std::this_thread::yield();
  const std::string url = control_->url();
  control_.reset();
  gateway.join();
  EXPECT_EQ(answer.status, 503);
}

TEST_F(ControlPlaneTest, ManyClientsAtOnceLeaveOneConsistentState) {
  constexpr int kThreads = 4, kEach = 15;
  std::atomic<bool> done = false;
  std::thread gateway([&] {
    std::string settings_etag, bundle_etag;
    while (!done) {
      const auto settings =
          GatewayGet("/v1/gateway/settings?wait=1", {{"If-None-Match", settings_etag}});
      if (settings.status == 200) settings_etag = settings.headers.Get("ETag");
      const auto bundle = GatewayGet("/v1/bundles/default", {{"If-None-Match", bundle_etag}});
      if (bundle.status == 200) bundle_etag = bundle.headers.Get("ETag");
    }
  });
  std::vector<std::thread> operators;
  for (int t = 0; t < kThreads; ++t) {
    operators.emplace_back([this, t] {
      for (int i = 0; i < kEach; ++i) {
        const std::string name = "agent-" + std::to_string(t) + "-" + std::to_string(i);
        EXPECT_EQ(Post("/api/v1/agents", {{"name", name}}).status, 201);
        EXPECT_EQ(Post("/api/v1/agents/" + name, {{"status", "suspended"}}).status, 200);
        EXPECT_EQ(Post("/api/v1/policies", Policy(name)).status, 201);
      }
    });
  }
  for (std::thread& each : operators) each.join();
  done = true;
  gateway.join();
  const json settings = Json(GatewayGet("/v1/gateway/settings"));
  ASSERT_EQ(settings["agents"].size(), size_t{kThreads * kEach});
  for (const json& agent : settings["agents"]) EXPECT_EQ(agent["status"], "suspended");
  EXPECT_EQ(settings["revision"], 2 * kThreads * kEach);
  EXPECT_EQ(GatewayGet("/v1/bundles/default").body, "one:" + std::to_string(kThreads * kEach));
  const std::string body = GatewayGet("/v1/gateway/settings").body;
  Restart();
  EXPECT_EQ(GatewayGet("/v1/gateway/settings").body, body) << "kept piece by piece, or read anew";
}

TEST_F(ControlPlaneTest, StatusIsTrue) {
  Post("/api/v1/agents", {{"name", "finance"}});
  const json status = Json(Get("/api/v1/status"));
  EXPECT_EQ(status["version"], "1.2.3");
  EXPECT_EQ(status["tenant"], "default");
  EXPECT_EQ(status["agents"], 1);
  EXPECT_EQ(status["tools"], 0);
  EXPECT_TRUE(status["policy"].is_null());
  EXPECT_EQ(status["schema_version"], 3);
}

}  // namespace
}  // namespace aegis::control
