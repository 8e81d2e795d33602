// The HTTP variant of Envoy's authorization, through real sockets.
#include <gtest/gtest.h>

#include <string>

#include "aegis/gateway/gateway_testing.h"

namespace aegis::gateway {
namespace {

using testing::BodyOf;
using testing::HeaderOf;
using testing::Socket;
using testing::StatusOf;
using testing::TestGateway;

class ExtAuthzHttpTest : public ::testing::Test {
 protected:
  std::string Ask(const std::string& path, const std::string& body = R"({"amount":42})",
                  const std::string& head = "X-Envoy-Auth-Partial-Body: false\r\n",
                  const std::string& agent = "finance-agent") {
    return Say(gateway_.Post(path, body, head, agent));
  }
  // The answer to a request as it is.
  std::string Say(const std::string& request) {
    Socket client(gateway_.address());
    client.Send(request);
    return client.ReceiveAnswer();
  }
  // "403 condition_failed", or "200".
  std::string Outcome(const std::string& answer) {
    std::string status = std::to_string(StatusOf(answer));
    const size_t at = answer.find("\"reason\":\"");
    if (at == std::string::npos) return status;
    return status + " " + answer.substr(at + 10, answer.find('"', at + 10) - at - 10);
  }

  TestGateway gateway_;
};

TEST_F(ExtAuthzHttpTest, AllowedCallsMayGoOn) {
  const std::string answer =
      Ask("/v1/ext_authz/tools/payments/create_payment?dry_run=1", R"({"amount":42})",
          "X-Envoy-Auth-Partial-Body: false\r\nX-Aegis-Session: s-1\r\n"
          "X-Original-Url: /x\r\nX-Custom: kept\r\n");
  EXPECT_EQ(StatusOf(answer), 200) << answer;
  EXPECT_EQ(BodyOf(answer), "");
  EXPECT_EQ(HeaderOf(answer, "X-Aegis-Decision"), "allow");
  EXPECT_EQ(HeaderOf(answer, "X-Aegis-Decision-Id").size(), 36u);
  EXPECT_EQ(HeaderOf(answer, "X-Envoy-Auth-Headers-To-Remove"),
            "authorization,x-aegis-session,x-original-url");
  gateway_.journal.WaitFor(1);
  const std::string record = gateway_.journal.records()[0];
  for (const char* part : {R"("door":"ext_authz")", R"("tool":"payments")",
                           R"("action":"create_payment")", R"("session":"s-1")"}) {
    EXPECT_NE(record.find(part), std::string::npos) << part << " in " << record;
  }
  EXPECT_EQ(gateway_.metrics.worker(0)
                .envoy_answers[static_cast<size_t>(telemetry::EnvoyAnswer::kAllowed)]
                .value(),
            1u);
}

TEST_F(ExtAuthzHttpTest, WhatIsRefused) {
  const std::string payment = "/v1/ext_authz/tools/payments/create_payment";
  EXPECT_EQ(Outcome(Ask(payment, R"({"amount":9000})")), "403 condition_failed");
  EXPECT_EQ(Outcome(Ask(payment, R"({"amount":1,"amount":2})")), "400 ambiguous_params");
  EXPECT_EQ(Outcome(Ask(payment, "{}", "X-Envoy-Auth-Partial-Body: false\r\n", "bad-agent")),
            "403 agent_suspended");
  EXPECT_EQ(Outcome(Ask("/v1/ext_authz/tools/payments/../x")), "400 bad_path");
  EXPECT_EQ(Outcome(Ask("/v1/ext_authz/tools/payments/a;b")), "400 bad_path");
  EXPECT_EQ(Outcome(Ask("/v1/ext_authz/tools/payments")), "400 bad_path");
  EXPECT_EQ(Outcome(Ask("/v1/ext_authz/v1/decisions")), "404 no_such_path");
  EXPECT_EQ(Outcome(Ask("/v1/ext_authz/v1/ext_authz/tools/payments/list_all")), "404 no_such_path");
  EXPECT_EQ(Outcome(Ask("/v1/ext_authz/v1/ext_authz_for/payments/list_all")), "404 no_such_path");
  EXPECT_EQ(Outcome(Ask("/v1/ext_authz")), "404 no_such_path");
  EXPECT_EQ(Outcome(Ask(payment, "{}", "X-Envoy-Auth-Partial-Body: true\r\n")), "413 partial_body");
  EXPECT_EQ(Outcome(Ask("/v1/ext_authz/tools/payments/list_all", "", "")), "403 body_missing");
  EXPECT_EQ(Outcome(Ask("/v1/ext_authz/tools/payments/list_all", "{}", "Upgrade: x\r\n")),
            "403 upgrade_not_judged");
  Socket client(gateway_.address());
  client.Send("GET /v1/ext_authz/tools/payments/list_all HTTP/1.1\r\nHost: a\r\n\r\n");
  const std::string answer = client.ReceiveAnswer();
  EXPECT_EQ(Outcome(answer), "401 token_invalid");
  EXPECT_EQ(HeaderOf(answer, "WWW-Authenticate"), "Bearer realm=\"aegis\"");
}

TEST_F(ExtAuthzHttpTest, WhatMayHaveABodyThatEnvoyDoesNotShow) {
  const std::string token = gateway_.Token("finance-agent");
  const auto outcome = [&](const std::string& method, const std::string& fields) {
    return Outcome(Say(method + " /v1/ext_authz/tools/payments/list_all HTTP/1.1\r\nHost: a\r\n" +
                       "Authorization: Bearer " + token + "\r\nContent-Length: 0\r\n" + fields +
                       "\r\n"));
  };
  const std::string whole = "X-Envoy-Auth-Partial-Body: false\r\n";
  EXPECT_EQ(outcome("GET", ""), "200");
  EXPECT_EQ(outcome("GET", whole), "200");
  EXPECT_EQ(outcome("GET", "Content-Type: application/json\r\n"), "403 body_missing");
  EXPECT_EQ(outcome("GET", "Content-Encoding: identity\r\n"), "403 body_missing");
  EXPECT_EQ(outcome("GET", "Expect: 100-continue\r\n"), "403 body_missing");
  // The field may be a client's, when Envoy has another header_prefix.
  for (const std::string method : {"POST", "PUT", "PATCH", "DELETE"}) {
    EXPECT_EQ(outcome(method, ""), "403 body_missing") << method;
    EXPECT_EQ(outcome(method, whole), "403 body_missing") << method;
  }
}

TEST_F(ExtAuthzHttpTest, ABodyIsWholeWhenEnvoyAloneSaysSo) {
  const std::string list = "/v1/ext_authz/tools/payments/list_all";
  const std::string whole = "X-Envoy-Auth-Partial-Body: false\r\n";
  EXPECT_EQ(Outcome(Ask(list, "{}", whole)), "200");
  EXPECT_EQ(Outcome(Ask(list, "{}", "")), "413 partial_body");
  EXPECT_EQ(Outcome(Ask(list, "{}", whole + "X-Prefix-Auth-Partial-Body: false\r\n")),
            "413 partial_body");
  const std::string full = "{}" + std::string((1 << 20) - 2, ' ');
  EXPECT_EQ(Outcome(Ask(list, full, whole)), "413 partial_body");
  EXPECT_EQ(Outcome(Ask(list, full.substr(0, full.size() - 1), whole)), "200");
  EXPECT_EQ(Outcome(Ask(list, full + " ", whole)), "413 body_too_large");
  // Without a type, which Envoy may keep from Aegis; and with a length that Envoy always says.
  const std::string head = "POST " + list + " HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer " +
                           gateway_.Token("finance-agent") + "\r\n" + whole;
  EXPECT_EQ(Outcome(Say(head + "Content-Length: 12\r\n\r\n{\"amount\":1}")), "415 content_type");
  EXPECT_EQ(Outcome(Say(head + "Content-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n"
                               "1\r\na\r\n0\r\n\r\n")),
            "413 partial_body");
}

TEST_F(ExtAuthzHttpTest, ToolsNamedByThePrefix) {
  EXPECT_EQ(Outcome(Ask("/v1/ext_authz_for/payments/create_payment/x?a=b")), "200");
  EXPECT_EQ(Outcome(Ask("/v1/ext_authz_for/payments/create_payment", R"({"amount":9000})")),
            "403 condition_failed");
  EXPECT_EQ(Outcome(Ask("/v1/ext_authz_for/other/create_payment")), "403 no_grant");
  EXPECT_EQ(Outcome(Ask("/v1/ext_authz_for/payments/")), "400 bad_path");
  EXPECT_EQ(Outcome(Ask("/v1/ext_authz_for/payments")), "404 no_such_path");
  // A client's path cannot get out of the prefix that does not name the tool.
  EXPECT_EQ(Outcome(Ask("/v1/ext_authz/_for/payments/list_all")), "404 no_such_path");
}

TEST_F(ExtAuthzHttpTest, AnErrorOfOursIsNoErrorToEnvoy) {
  // Envoy takes 5xx for a failure of the server, which failure_mode_allow lets pass.
  gateway_.journal.refuse = true;
  EXPECT_EQ(Outcome(Ask("/v1/ext_authz/tools/payments/create_payment")), "403 audit_unavailable");
  gateway_.journal.refuse = false;
  gateway_.journal.fail = true;
  EXPECT_EQ(Outcome(Ask("/v1/ext_authz/tools/payments/create_payment")), "403 audit_unavailable");
  gateway_.journal.fail = false;
  // Not what the parser refuses either.
  const std::string path = "/v1/ext_authz/tools/payments/create_payment";
  const std::string coded = " HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n";
  EXPECT_EQ(StatusOf(Say("POST /tools/payments/create_payment" + coded)), 501);
  EXPECT_EQ(StatusOf(Say("POST " + path + coded)), 403);
  EXPECT_EQ(StatusOf(Say("POST " + path + " HTTP/3.0\r\nHost: a\r\n\r\n")), 403);
  EXPECT_EQ(Outcome(Ask("/v1/ext_authz/tools/payments/create_payment")), "200");
}

}  // namespace
}  // namespace aegis::gateway
