// Envoy's authorization service against a pipeline, without connections; and its answers beside
// those of the proxy door.
#include "aegis/gateway/envoy/ext_authz_service.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "aegis/gateway/envoy/envoy_testing.h"
#include "aegis/gateway/gateway_testing.h"
#include "aegis/gateway/recorder.h"

namespace aegis::gateway {
namespace {

using testing::BodyOf;
using testing::CheckAnswer;
using testing::CheckSpec;
using testing::FakeCall;
using testing::FakeJournal;
using testing::HeaderOf;
using testing::Socket;
using testing::StatusOf;
using testing::TestGateway;

constexpr const char* kCheck = "/envoy.service.auth.v3.Authorization/Check";

class ExtAuthzTest : public ::testing::Test {
 protected:
  ExtAuthzTest() {
    pipeline_.SetState(std::make_shared<State>(gateway_.state));
    recorder_.set_on_idle([](void* self) { static_cast<ExtAuthzTest*>(self)->loop_.Stop(); }, this);
  }

  // Until every record is reported.
  void Settle() {
    if (recorder_.outstanding() > 0) loop_.Run();
  }

  std::string Token(const std::string& agent = "finance-agent") { return gateway_.Token(agent); }

  CheckAnswer Ask(std::string_view message) {
    FakeCall call(kCheck);
    grpc::Handler* handler = service_.Start(call);
    handler->OnMessage(message);
    handler->OnEnd();
    Settle();
    EXPECT_EQ(call.code, 0);
    handler->Release();
    EXPECT_EQ(call.sent.size(), 1u);
    const CheckAnswer answer = CheckAnswer::Read(call.sent.empty() ? "" : call.sent[0]);
    EXPECT_TRUE(answer.valid);
    EXPECT_TRUE(answer.all_overwrite);
    EXPECT_EQ(metrics_.worker(0).requests_in_flight.value(), 0);
    return answer;
  }
  CheckAnswer Ask(const CheckSpec& spec) { return Ask(spec.Encode()); }

  CheckSpec Payment(const std::string& body = R"({"amount":42})") {
    CheckSpec spec;
    spec.WithToken(Token()).WithBody(body);
    return spec;
  }

  // "403 condition_failed", or "200" for a call that may go on.
  std::string Outcome(const CheckSpec& spec) {
    const CheckAnswer answer = Ask(spec);
    if (answer.ok) return "200";
    const size_t at = answer.body.find("\"reason\":\"") + 10;
    return std::to_string(answer.status) + " " +
           answer.body.substr(at, answer.body.find('"', at) - at);
  }

  TestGateway gateway_;
  FakeJournal journal_;
  telemetry::Metrics metrics_{MetricsOptions(1, "0.0.0", "")};
  net::EventLoop loop_;
  Recorder recorder_{loop_, journal_};
  Pipeline pipeline_{
      {.shadow = false, .producer = "ext-authz-test"}, recorder_, metrics_.worker(0)};
  Limits limits_;
  ExtAuthzService service_{pipeline_, limits_, metrics_.worker(0), telemetry::NullLogger()};
};

TEST_F(ExtAuthzTest, AnAllowedCallGoesOnWithoutWhatNoToolGets) {
  CheckSpec spec = Payment();
  spec.principal = "spiffe://example/agent";
  spec.headers.insert(spec.headers.end(), {{"x-aegis-session", "s-1"},
                                           {"x-aegis-decision", "forged"},
                                           {"x-aegis-shadow", "forged"},
                                           {"x-original-url", "/other"},
                                           {"x_odd", "1"},
                                           {"proxy-authorization", "Basic x"},
                                           {"accept", "*/*"}});
  const CheckAnswer answer = Ask(spec);
  ASSERT_TRUE(answer.ok);
  EXPECT_EQ(answer.request_headers, answer.response_headers);
  EXPECT_EQ(answer.request_headers.size(), 3u);
  EXPECT_EQ(answer.request_headers.at("X-Aegis-Decision"), "allow");
  EXPECT_EQ(answer.request_headers.at("X-Aegis-Policy-Version"), "1");
  const std::string id = answer.request_headers.at("X-Aegis-Decision-Id");
  // Not X-Aegis-Decision, which Envoy would remove after it was set.
  std::vector<std::string> removed = answer.removed;
  std::sort(removed.begin(), removed.end());
  EXPECT_EQ(removed,
            (std::vector<std::string>{"authorization", "proxy-authorization", "x-aegis-session",
                                      "x-aegis-shadow", "x-original-url", "x_odd"}));
  EXPECT_EQ(answer.metadata, (std::map<std::string, std::string>{{"decision_id", id},
                                                                 {"outcome", "allow"},
                                                                 {"reason", "allowed"},
                                                                 {"policy_version", "1"},
                                                                 {"agent", "finance-agent"},
                                                                 {"tool", "payments"},
                                                                 {"action", "create_payment"}}));
  ASSERT_EQ(journal_.records().size(), 1u);
  const std::string record = journal_.records()[0];
  for (const std::string& part :
       {std::string(R"("door":"ext_authz")"), std::string(R"("outcome":"allow")"),
        std::string(R"("session":"s-1")"), std::string(R"("source":"spiffe://example/agent")"),
        "\"id\":\"" + id + "\""}) {
    EXPECT_NE(record.find(part), std::string::npos) << part << " in " << record;
  }
}

TEST_F(ExtAuthzTest, TheToolsOwnCredentialStays) {
  CheckSpec spec;
  spec.WithBody("{}").headers.insert(spec.headers.end(),
                                     {{"x-aegis-token", Token()}, {"authorization", "Basic tool"}});
  spec.path = "/tools/payments/list_all";
  const CheckAnswer answer = Ask(spec);
  ASSERT_TRUE(answer.ok);
  EXPECT_EQ(answer.removed, std::vector<std::string>{"x-aegis-token"});
}

TEST_F(ExtAuthzTest, ADenialIsTheAnswerOfTheProxyDoor) {
  const CheckAnswer answer = Ask(Payment(R"({"amount":9000})"));
  ASSERT_TRUE(answer.denied);
  EXPECT_EQ(answer.code, 7);
  EXPECT_EQ(answer.status, 403);
  EXPECT_EQ(answer.denied_headers.at("Content-Type"), "application/problem+json");
  EXPECT_EQ(answer.denied_headers.at("X-Aegis-Decision"), "deny");
  const std::string id = answer.denied_headers.at("X-Aegis-Decision-Id");
  EXPECT_NE(answer.body.find(id), std::string::npos);
  EXPECT_EQ(answer.metadata.at("outcome"), "deny");
  EXPECT_EQ(answer.metadata.at("reason"), "condition_failed");
  EXPECT_EQ(answer.metadata.at("decision_id"), id);

  Socket client(gateway_.address());
  client.Send(gateway_.Post("/tools/payments/create_payment", R"({"amount":9000})"));
  const std::string proxy = client.ReceiveAnswer();
  std::string expected(BodyOf(proxy));
  const std::string proxy_id = HeaderOf(proxy, "X-Aegis-Decision-Id");
  expected.replace(expected.find(proxy_id), proxy_id.size(), id);
  EXPECT_EQ(answer.body, expected);
}

TEST_F(ExtAuthzTest, WhoMayNotCall) {
  CheckSpec spec;
  spec.WithBody("{}");
  CheckAnswer answer = Ask(spec);
  EXPECT_EQ(answer.code, 16);
  EXPECT_EQ(answer.status, 401);
  EXPECT_EQ(answer.denied_headers.at("WWW-Authenticate"), "Bearer realm=\"aegis\"");
  EXPECT_NE(answer.body.find("token_missing"), std::string::npos);
  EXPECT_EQ(answer.metadata,
            (std::map<std::string, std::string>{{"outcome", "deny"}, {"reason", "token_invalid"}}));
  EXPECT_TRUE(journal_.records().empty());

  answer = Ask(CheckSpec().WithToken("bad").WithBody("{}"));
  EXPECT_EQ(answer.status, 401);
  EXPECT_NE(answer.denied_headers.at("WWW-Authenticate").find("invalid_token"), std::string::npos);

  answer = Ask(CheckSpec().WithToken(Token("stranger")).WithBody("{}"));
  EXPECT_EQ(answer.status, 401);
  EXPECT_NE(answer.body.find("agent_unknown"), std::string::npos);
  EXPECT_EQ(answer.denied_headers.at("X-Aegis-Decision"), "deny");

  // A suspended agent's call is refused whatever is wrong with it besides, and recorded.
  answer = Ask(CheckSpec().WithToken(Token("bad-agent")).WithBody("no json"));
  EXPECT_EQ(answer.status, 403);
  EXPECT_EQ(answer.metadata.at("reason"), "agent_suspended");
  EXPECT_EQ(journal_.records().size(), 2u);

  pipeline_.SetState(nullptr);
  answer = Ask(Payment());
  EXPECT_EQ(answer.code, 14);
  EXPECT_EQ(answer.status, 503);
  EXPECT_NE(answer.body.find("not_ready"), std::string::npos);
}

TEST_F(ExtAuthzTest, UnknownCallersAreListedWithTheAddressThatEnvoyReports) {
  const auto seen = [&] {
    const auto taken = pipeline_.unknown_callers().Take();
    if (taken.size() != 1) return std::to_string(taken.size()) + " callers";
    return taken[0].source + " " + taken[0].name + " " + taken[0].target + " " +
           std::string(taken[0].reason) + " " + std::to_string(taken[0].count);
  };
  CheckSpec nobody;
  nobody.WithBody("{}");
  nobody.headers.emplace_back("user-agent", "curl/8.5 (x)");
  EXPECT_EQ(Outcome(nobody), "401 token_invalid");
  EXPECT_EQ(seen(), "10.1.2.3 curl/8.5 payments token_missing 1");
  CheckSpec ghost;
  ghost.WithToken(Token("ghost")).WithBody("{}");
  EXPECT_EQ(Outcome(ghost), "401 token_invalid");
  EXPECT_EQ(seen(), "10.1.2.3 ghost payments agent_unknown 1");
  EXPECT_EQ(Outcome(Payment()), "200");
  EXPECT_EQ(seen(), "0 callers");

  State state = gateway_.state;
  state.blocked_names = {"ghost"};
  pipeline_.SetState(std::make_shared<State>(state));
  EXPECT_EQ(Outcome(ghost), "403 caller_blocked");
  state.blocked_sources = {"10.1.2.3"};
  pipeline_.SetState(std::make_shared<State>(state));
  EXPECT_EQ(Outcome(Payment()), "403 caller_blocked");
  EXPECT_EQ(seen(), "0 callers");
}

TEST_F(ExtAuthzTest, ShadowLetsPassAndSaysSo) {
  CheckSpec spec;
  spec.WithToken(Token("watched-agent")).WithBody("{}");
  spec.headers.emplace_back("x-aegis-shadow", "forged");
  const CheckAnswer answer = Ask(spec);
  ASSERT_TRUE(answer.ok);
  EXPECT_EQ(answer.request_headers.at("X-Aegis-Shadow"), "deny");
  EXPECT_EQ(answer.metadata.at("outcome"), "allow");
  EXPECT_EQ(answer.metadata.at("shadow"), "deny");
  EXPECT_EQ(std::count(answer.removed.begin(), answer.removed.end(), "x-aegis-shadow"), 0);
}

TEST_F(ExtAuthzTest, NothingIsAnsweredBeforeItsRecordIsDurable) {
  journal_.Hold(true);
  FakeCall call(kCheck);
  grpc::Handler* handler = service_.Start(call);
  handler->OnMessage(Payment().Encode());
  handler->OnEnd();
  while (journal_.waiting() < 1) std::this_thread::yield();
  EXPECT_TRUE(call.sent.empty());
  journal_.Hold(false);
  Settle();
  ASSERT_EQ(call.sent.size(), 1u);
  EXPECT_TRUE(CheckAnswer::Read(call.sent[0]).ok);
  handler->Release();
}

TEST_F(ExtAuthzTest, TheAnswerWaitsForTheEndOfTheCall) {
  FakeCall call(kCheck);
  grpc::Handler* handler = service_.Start(call);
  handler->OnMessage(Payment().Encode());
  Settle();
  EXPECT_TRUE(call.sent.empty());
  handler->OnEnd();
  EXPECT_EQ(call.sent.size(), 1u);
  EXPECT_EQ(call.code, 0);
  handler->Release();
}

TEST_F(ExtAuthzTest, WithoutAJournalNothingPasses) {
  journal_.refuse = true;
  CheckAnswer answer = Ask(Payment());
  EXPECT_EQ(answer.status, 503);
  EXPECT_EQ(answer.code, 14);
  journal_.refuse = false;
  journal_.fail = true;
  answer = Ask(Payment());
  EXPECT_EQ(answer.status, 503);
  EXPECT_EQ(answer.denied_headers.at("Retry-After"), "1");
  EXPECT_EQ(answer.denied_headers.count("X-Aegis-Decision"), 0u);
  EXPECT_NE(answer.body.find("audit_unavailable"), std::string::npos);
  EXPECT_EQ(answer.metadata.count("decision_id"), 0u);
}

TEST_F(ExtAuthzTest, CancelledCalls) {
  // Before the record is durable: the waiter is withdrawn, and that it was not answered is told.
  journal_.Hold(true);
  FakeCall call(kCheck);
  grpc::Handler* handler = service_.Start(call);
  handler->OnMessage(Payment().Encode());
  handler->OnCancelled();
  handler->Release();
  journal_.Hold(false);
  Settle();
  EXPECT_TRUE(call.sent.empty());
  ASSERT_EQ(journal_.records().size(), 2u);
  EXPECT_NE(journal_.records()[1].find(R"("error":"client_gone")"), std::string::npos);
  // Nobody was let through by a denial.
  handler = service_.Start(call);
  handler->OnMessage(Payment(R"({"amount":9000})").Encode());
  handler->OnCancelled();
  handler->Release();
  Settle();
  EXPECT_EQ(journal_.records().size(), 3u);
  // Before anything was sent.
  handler = service_.Start(call);
  handler->OnCancelled();
  handler->Release();
  EXPECT_EQ(metrics_.worker(0).requests_in_flight.value(), 0);
  EXPECT_TRUE(Ask(Payment()).ok);
}

TEST_F(ExtAuthzTest, CallsThatAreNoUnaryCheck) {
  FakeCall other("/envoy.service.auth.v3.Authorization/Other");
  EXPECT_EQ(service_.Start(other), nullptr);

  FakeCall empty(kCheck);
  grpc::Handler* handler = service_.Start(empty);
  handler->OnEnd();
  EXPECT_EQ(empty.code, static_cast<int>(Code::kInvalidArgument));
  EXPECT_TRUE(empty.sent.empty());
  handler->Release();

  FakeCall twice(kCheck);
  handler = service_.Start(twice);
  handler->OnMessage(Payment().Encode());
  handler->OnMessage(Payment().Encode());
  handler->OnEnd();
  EXPECT_EQ(twice.code, static_cast<int>(Code::kInvalidArgument));
  handler->Release();
  Settle();
  EXPECT_TRUE(twice.sent.empty());
  EXPECT_EQ(metrics_.worker(0).requests_in_flight.value(), 0);

  // An empty message is one, and an empty answer would be "allow".
  EXPECT_EQ(Ask("").status, 400);
  EXPECT_EQ(Ask("nonsense").status, 400);
}

TEST_F(ExtAuthzTest, ToolsNamedByTheRoute) {
  const auto outcome = [&](const std::string& path, const testing::Pairs& extensions) {
    CheckSpec spec = Payment();
    spec.path = path;
    spec.extensions = extensions;
    return Outcome(spec);
  };
  EXPECT_EQ(outcome("/create_payment", {{"aegis.tool", "payments"}}), "200");
  EXPECT_EQ(outcome("/create_payment/x?y=1", {{"aegis.tool", "payments"}}), "200");
  EXPECT_EQ(outcome("/create_payment", {{"aegis.tool", "other"}}), "403 no_grant");
  EXPECT_EQ(outcome("/tools/payments/create_payment", {{"aegis.tool", "payments"}}),
            "403 action_not_allowed");
  EXPECT_EQ(outcome("/v1/pay", {{"aegis.tool", "payments"}, {"aegis.action", "create_payment"}}),
            "200");
  EXPECT_EQ(outcome("/", {{"aegis.tool", "payments"}, {"aegis.action", "list_all"}}), "200");
  EXPECT_EQ(outcome("/tools/payments/nothing", {{"aegis.action", "list_all"}}), "200");
  EXPECT_EQ(outcome("/", {{"aegis.tool", "payments"}}), "400 bad_path");
  EXPECT_EQ(outcome("/create_payment", {}), "404 no_such_path");
  EXPECT_EQ(outcome("/v1/decisions", {}), "404 no_such_path");
  EXPECT_EQ(outcome("/v1/data/x", {}), "404 no_such_path");
  // Below a prefix.
  const testing::Pairs below = {{"aegis.tool", "payments"}, {"aegis.prefix", "/api/v2"}};
  EXPECT_EQ(outcome("/api/v2/create_payment", below), "200");
  EXPECT_EQ(outcome("/api/v2create_payment", below), "404 no_such_path");
  EXPECT_EQ(outcome("/api/v1/create_payment", below), "404 no_such_path");
  EXPECT_EQ(outcome("/api/v2", below), "400 bad_path");
  EXPECT_EQ(outcome("/api/v2/../create_payment", below), "400 bad_path");
  EXPECT_EQ(outcome("/api/v2/create_payment;x", below), "400 bad_path");
  EXPECT_EQ(outcome("/a", {{"aegis.tool", "payments"}, {"aegis.prefix", "a"}}),
            "403 route_misconfigured");
  EXPECT_EQ(outcome("/a", {{"aegis.tool", "payments"}, {"aegis.prefix", "/a/"}}),
            "403 route_misconfigured");
  EXPECT_EQ(outcome("/a", {{"aegis.prefix", "/a"}}), "403 route_misconfigured");
  EXPECT_EQ(outcome("/tools/payments/list_all", {{"aegis.tol", "x"}}), "403 route_misconfigured");
  // Tenants.
  EXPECT_EQ(outcome("/tools/payments/list_all", {{"aegis.tenant", "default"}}), "200");
  EXPECT_EQ(outcome("/tools/payments/list_all", {{"aegis.tenant", "other"}}), "403 wrong_tenant");
}

TEST_F(ExtAuthzTest, TheBodyIsTheOneThatTheToolGets) {
  const std::string json = R"({"amount":42})";
  const auto outcome = [&](const std::function<void(CheckSpec&)>& change) {
    CheckSpec spec = Payment(json);
    change(spec);
    return Outcome(spec);
  };
  const auto drop = [](CheckSpec& spec, const char* name) {
    std::erase_if(spec.headers, [&](const auto& header) { return header.first == name; });
  };
  const auto set = [&](CheckSpec& spec, const char* name, const std::string& value) {
    drop(spec, name);
    spec.headers.emplace_back(name, value);
  };
  EXPECT_EQ(outcome([](CheckSpec&) {}), "200");
  EXPECT_EQ(outcome([&](CheckSpec& spec) { drop(spec, "content-length"); }), "200");
  EXPECT_EQ(outcome([](CheckSpec& spec) { spec.size = -1; }), "200");
  EXPECT_EQ(outcome([](CheckSpec& spec) { spec.size = 0; }), "200");
  EXPECT_EQ(outcome([](CheckSpec& spec) { std::swap(spec.body, spec.raw_body); }), "200");
  // Cut, or not what is announced.
  EXPECT_EQ(outcome([](CheckSpec& spec) { spec.partial = "true"; }), "413 partial_body");
  EXPECT_EQ(outcome([](CheckSpec& spec) { spec.partial = "maybe"; }), "413 partial_body");
  EXPECT_EQ(outcome([](CheckSpec& spec) { spec.size = 14; }), "400 body_mismatch");
  EXPECT_EQ(outcome([&](CheckSpec& spec) { set(spec, "content-length", "14"); }),
            "400 body_mismatch");
  EXPECT_EQ(outcome([](CheckSpec& spec) { spec.raw_body += " "; }), "400 body_mismatch");
  // Not there.
  EXPECT_EQ(outcome([](CheckSpec& spec) { spec.raw_body.clear(); }), "403 body_missing");
  const auto without = [&](CheckSpec& spec) {
    spec.raw_body.clear();
    spec.partial.clear();
    spec.size = 0;
    spec.path = "/tools/payments/list_all";
  };
  EXPECT_EQ(outcome(without), "403 body_missing");  // by its Content-Length
  EXPECT_EQ(outcome([&](CheckSpec& spec) {
              without(spec);
              drop(spec, "content-length");
            }),
            "403 body_missing");
  EXPECT_EQ(outcome([&](CheckSpec& spec) {
              without(spec);
              drop(spec, "content-length");
              spec.size = 13;
              spec.method = "GET";
            }),
            "403 body_missing");
  EXPECT_EQ(outcome([&](CheckSpec& spec) {
              without(spec);
              drop(spec, "content-length");
              spec.headers.emplace_back("transfer-encoding", "chunked");
              spec.method = "GET";
            }),
            "403 body_missing");
  EXPECT_EQ(outcome([&](CheckSpec& spec) {
              without(spec);
              drop(spec, "content-length");
              spec.method = "GET";
            }),
            "200");
  EXPECT_EQ(outcome([&](CheckSpec& spec) {
              without(spec);
              set(spec, "content-length", "0");
            }),
            "200");
  // With another header_prefix this is the word of a client.
  EXPECT_EQ(outcome([&](CheckSpec& spec) {
              without(spec);
              drop(spec, "content-length");
              spec.partial = "false";
            }),
            "403 body_missing");
  // What may not be what was sent.
  const std::string shout = R"({"amount":42,"note":"hi!"})";
  CheckSpec text;
  text.WithToken(Token()).WithBody(shout);
  EXPECT_EQ(Outcome(text), "200");
  std::swap(text.body, text.raw_body);
  EXPECT_EQ(Outcome(text), "400 ambiguous_text");
  EXPECT_EQ(outcome([](CheckSpec& spec) { spec.path += "?a=b!"; }), "400 ambiguous_text");
  EXPECT_EQ(outcome([](CheckSpec& spec) {
              spec.path += "?a=b!";
              spec.raw_headers = true;
            }),
            "200");
  EXPECT_EQ(outcome([](CheckSpec& spec) {
              spec.path += "?a=b!";
              spec.raw_headers = true;
              spec.pseudo = false;
            }),
            "400 ambiguous_text");
  // Not read at all, by the operator's will: conditions on its params do not hold.
  const auto unread = [&](CheckSpec& spec) {
    spec.extensions = {{"aegis.body", "unread"}};
    spec.raw_body.clear();
    set(spec, "content-type", "application/grpc");
  };
  EXPECT_EQ(outcome(unread), "403 condition_failed");
  EXPECT_EQ(outcome([&](CheckSpec& spec) {
              unread(spec);
              spec.path = "/tools/payments/list_all";
            }),
            "200");
  EXPECT_EQ(outcome([](CheckSpec& spec) { spec.extensions = {{"aegis.body", "read"}}; }),
            "403 route_misconfigured");
  EXPECT_EQ(outcome([&](CheckSpec& spec) {
              spec.raw_body = "{\"amount\":1,\"x\":\"" + std::string(1 << 20, 'x') + "\"}";
              spec.size = 0;
              drop(spec, "content-length");
            }),
            "413 body_too_large");
}

TEST_F(ExtAuthzTest, ABodyIsWholeWhenItsLengthOrEnvoyAloneSaysSo) {
  const std::string list = "/tools/payments/list_all";
  const auto outcome = [&](const std::string& body, const std::string& partial, bool has_length,
                           const testing::Pairs& more = {}, const std::string& type = "text/plain",
                           bool text = false) {
    CheckSpec spec;
    spec.path = list;
    spec.WithToken(Token()).WithBody(body, type);
    if (!has_length) {
      std::erase_if(spec.headers,
                    [](const auto& field) { return field.first == "content-length"; });
    }
    if (type.empty()) {
      std::erase_if(spec.headers, [](const auto& field) { return field.first == "content-type"; });
    }
    spec.headers.insert(spec.headers.end(), more.begin(), more.end());
    spec.partial = partial;
    if (text) std::swap(spec.body, spec.raw_body);
    return Outcome(spec);
  };
  const testing::Pairs other = {{"x-prefix-auth-partial-body", "false"}};
  EXPECT_EQ(outcome("a", "", true), "200");
  EXPECT_EQ(outcome("a", "false", false), "200");
  EXPECT_EQ(outcome("a", "", false), "413 partial_body");
  EXPECT_EQ(outcome("a", "false", false, other), "413 partial_body");
  EXPECT_EQ(outcome("a", "false", true, other), "413 partial_body");
  EXPECT_EQ(outcome("", "", true, other), "413 partial_body");
  // With allow_partial_message Envoy says "false" of a body that just fills its buffer.
  const std::string full(1 << 20, 'x');
  EXPECT_EQ(outcome(full, "false", false), "413 partial_body");
  EXPECT_EQ(outcome(full, "false", true), "200");
  EXPECT_EQ(outcome(full.substr(1), "false", false), "200");
  EXPECT_EQ(outcome(full + "x", "false", true), "413 body_too_large");
  // Envoy may keep the type from Aegis, and tell the tool that this is a form.
  EXPECT_EQ(outcome(R"({"amount":1})", "false", true, {}, ""), "415 content_type");
  EXPECT_EQ(outcome(R"({"amount":1}&amount=9000)", "false", true, {}, ""), "415 content_type");
  // Two types, of which a tool may take the second.
  EXPECT_EQ(outcome("a=1", "false", true, {}, "image/png,application/x-www-form-urlencoded"),
            "415 content_type");
  EXPECT_EQ(outcome("a=1", "false", true, {}, "image/"), "415 content_type");
  EXPECT_EQ(outcome("a=1", "false", true, {}, "image/png"), "200");
  // A mark of UTF-16, as Envoy shows it in text.
  EXPECT_EQ(outcome("!!{", "false", true, {}, "text/plain", true), "400 ambiguous_text");
  EXPECT_EQ(outcome(" \n!", "false", true, {}, "text/plain", true), "400 ambiguous_text");
  EXPECT_EQ(outcome("hi!", "false", true, {}, "text/plain", true), "200");
  EXPECT_EQ(outcome("!!{", "false", true), "200");
}

TEST_F(ExtAuthzTest, WhatTurnsIntoAnotherProtocolIsNotJudged) {
  CheckSpec spec;
  spec.method = "GET";
  spec.path = "/tools/payments/list_all";
  spec.WithToken(Token());
  EXPECT_EQ(Outcome(spec), "200");
  CheckSpec upgrade = spec;
  upgrade.headers.emplace_back("upgrade", "websocket");
  EXPECT_EQ(Outcome(upgrade), "403 upgrade_not_judged");
  CheckSpec connect = spec;
  connect.headers.emplace_back(":protocol", "websocket");
  EXPECT_EQ(Outcome(connect), "403 upgrade_not_judged");
  connect.method = "CONNECT";
  EXPECT_EQ(Outcome(connect), "405 method_not_allowed");
}

// What is refused at the proxy door is refused here for the same reason, and what passes, passes.
TEST_F(ExtAuthzTest, JudgesAsTheProxyDoor) {
  struct Case {
    const char* method = "POST";
    std::string path = "/tools/payments/create_payment";
    std::string type = "application/json";
    std::string body = R"({"amount":42})";
    testing::Pairs headers = {};
  };
  const std::vector<Case> cases = {
      {},
      {.body = R"({"amount":9000})"},
      {.body = "{}"},
      {.body = ""},
      {.type = "", .body = ""},
      {.path = "/tools/payments/unknown"},
      {.path = "/tools/unknown/create_payment"},
      {.path = "/tools/payments/list_all?a=1&b=2", .body = "{}"},
      {.path = "/tools/payments/create%5Fpayment"},
      {.path = "/tools/payments/create_payment?dry_run=1"},
      // Paths.
      {.path = "/tools/payments"},
      {.path = "/tools/payments/"},
      {.path = "/tools//create_payment"},
      {.path = "/tools/payments//create_payment"},
      {.path = "/tools/payments/./create_payment"},
      {.path = "/tools/payments/../payments/create_payment"},
      {.path = "/tools/payments/%2e%2e/create_payment"},
      {.path = "/tools/payments/create_payment%2f.."},
      {.path = "/tools/payments/create_payment%00"},
      {.path = "/tools/payments/create_payment;x=1"},
      {.path = "/tools/payments/create_payment%3bx"},
      {.path = "/tools/payments/%ff"},
      {.path = "/tools/payments/%4"},
      {.path = "/tools/payments/\xc3\xa4"},
      {.path = "/nothing"},
      // Methods.
      {.method = "TRACE"},
      {.method = "BREW"},
      {.method = "PUT"},
      {.method = "DELETE", .path = "/tools/payments/list_all"},
      // Bodies.
      {.body = "{"},
      {.body = "[1]"},
      {.body = "1"},
      {.body = R"({"amount":1,"amount":2})"},
      {.body = R"({"amount":1,"Amount":2})"},
      {.body = R"({"amount":1} {})"},
      {.body = "\xef\xbb\xbf{}"},
      {.body = "{\"amount\":\"\xff\"}"},
      {.body = std::string(2000, '[')},
      {.type = "application/x-www-form-urlencoded", .body = "currency=usd"},
      {.path = "/tools/payments/pick",
       .type = "application/x-www-form-urlencoded",
       .body = "currency=usd"},
      {.type = "application/x-www-form-urlencoded", .body = "a=1&a=2"},
      {.type = "application/x-www-form-urlencoded", .body = "a=1;b=2"},
      {.type = "application/x-www-form-urlencoded", .body = "a[]=1"},
      {.path = "/tools/payments/create_payment?amount=1"},
      {.path = "/tools/payments/list_all?a=1&A=2", .body = "{}"},
      {.path = "/tools/payments/list_all?a=1;b=2", .body = "{}"},
      {.path = "/tools/payments/list_all?=1", .body = "{}"},
      {.path = "/tools/payments/list_all?a=%ff", .body = "{}"},
      // Types.
      {.type = "", .body = "plain"},
      {.type = "text/plain"},
      {.path = "/tools/payments/list_all", .type = "text/plain", .body = "plain"},
      {.path = "/tools/payments/list_all", .type = "application/octet-stream", .body = "  {"},
      {.type = "application/xml", .body = "<a/>"},
      {.type = "multipart/form-data; boundary=x", .body = "--x--"},
      {.type = "application/json; charset=utf-16"},
      {.type = "application/json; charset=utf-8; charset=x"},
      {.headers = {{"content-encoding", "gzip"}}},
      {.headers = {{"x-aegis-session", std::string(257, 's')}}},
      {.headers = {{"x-a", "\xff"}}},
      {.headers = {{"x-a b", "1"}}},
      {.headers = {{"x-aegis-token", "none"}}},
  };
  // The tool is away, which is how the proxy door says that it would have passed the call on.
  gateway_.SetTool("payments", "http://127.0.0.1:1");
  gateway_.Change([](State& state) { state.tools["payments"].upstream.ejection_failures = 0; });
  int passed = 0;
  for (const Case& c : cases) {
    std::string text = std::string(c.method) + " " + c.path + " HTTP/1.1\r\nHost: a\r\n";
    CheckSpec spec;
    spec.host = "a";
    spec.method = c.method;
    spec.path = c.path;
    spec.WithToken(Token());
    spec.headers.emplace_back("content-length", std::to_string(c.body.size()));
    if (!c.type.empty()) spec.headers.emplace_back("content-type", c.type);
    spec.headers.insert(spec.headers.end(), c.headers.begin(), c.headers.end());
    spec.raw_body = c.body;
    spec.raw_headers = true;
    for (const auto& [name, value] : spec.headers) text += name + ": " + value + "\r\n";
    Socket client(gateway_.address());
    client.Send(text + "\r\n" + c.body);
    const std::string answer = client.ReceiveAnswer();
    const std::string_view body = BodyOf(answer);
    std::string proxy = std::to_string(StatusOf(answer));
    if (proxy == "502") {
      proxy = "200";
      ++passed;
    } else {
      const size_t at = body.find("\"reason\":\"") + 10;
      proxy += " " + std::string(body.substr(at, body.find('"', at) - at));
    }
    EXPECT_EQ(Outcome(spec), proxy) << c.method << ' ' << c.path << ' ' << c.type << ' ' << c.body;
  }
  EXPECT_GE(passed, 7);
  EXPECT_LE(passed, 12);
}

TEST_F(ExtAuthzTest, HandlersAreUsedAgain) {
  FakeCall first(kCheck), second(kCheck), third(kCheck);
  grpc::Handler* one = service_.Start(first);
  grpc::Handler* two = service_.Start(second);
  EXPECT_NE(one, two);
  one->OnCancelled();
  one->Release();
  EXPECT_EQ(service_.Start(third), one);
  two->OnCancelled();
  two->Release();
  one->OnCancelled();
  one->Release();
}

}  // namespace
}  // namespace aegis::gateway
