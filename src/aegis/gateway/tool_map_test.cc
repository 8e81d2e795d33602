// Calls of tools with a map: which action they are, and which params policy sees.
#include <gtest/gtest.h>

#include "aegis/gateway/params.h"
#include "aegis/gateway/settings.h"
#include "aegis/gateway/tool_call.h"
#include "aegis/tool/spec.h"

namespace aegis::gateway {
namespace {

constexpr std::string_view kDocument = R"({"name":"pay","base_url":"http://h","actions":[
  {"name":"charge","method":"POST","path":"/v1/customers/{id}/charges",
   "params":{"customer":{"in":"path","name":"id","type":"integer"},
             "amount":{"type":"number"},"urgent":{"type":"boolean"},
             "page":{"in":"query","name":"p","type":"integer"},
             "tags":{"in":"query","type":"array","items":"integer"},
             "key":{"in":"header","name":"idempotency-key"},
             "region":{"in":"cookie"}}},
  {"name":"upload","method":"PUT","path":"/v1/files/{path...}","body":["multipart","opaque"]},
  {"name":"soap","method":"POST","path":"/soap","body":["unread"]},
  {"name":"list","method":"GET","path":"/v1/customers","body":[]}]})";

class ToolMapTest : public testing::Test {
 protected:
  void SetUp() override {
    std::vector<tool::Mistake> mistakes;
    auto spec = tool::ReadSpec(kDocument, &mistakes);
    ASSERT_TRUE(spec) << spec.error().message;
    state_.tools["pay"].actions = std::make_shared<tool::ActionMap>(*spec);
    spec->unmapped = tool::Unmapped::kSegment;
    state_.tools["mixed"].actions = std::make_shared<tool::ActionMap>(*spec);
    state_.tools["plain"] = Tool();
    state_.tool_hosts["pay.internal"] = "pay";
  }

  // "action {params}" of a request, or "status reason".
  std::string Read(std::string_view method, std::string_view target, std::string_view type = {},
                   std::string_view body = {},
                   std::vector<std::pair<std::string, std::string>> more = {},
                   std::string_view tool = "pay") {
    const std::string length = std::to_string(body.size());
    std::vector<net::HeaderField> fields;
    if (!type.empty()) fields.push_back({"content-type", type});
    if (!body.empty()) fields.push_back({"content-length", length});
    for (const auto& [name, value] : more) fields.push_back({name, value});
    net::RequestHead head;
    net::Http1Error error;
    if (!net::MakeRequestHead(method, target, "h", fields, {}, &head, &error)) return "bad request";
    std::string storage;
    Route route = FindToolRoute(tool, {}, head.path, &storage);
    if (!route.error.empty()) return "bad path";
    tool::ActionMap::Match match;
    Refusal refusal = ResolveAction(&state_, method, &route, &match);
    if (refusal.status == 0) {
      const BodyType kind = ClassifyBody(head, BodiesOf(match), &refusal);
      if (refusal.status == 0) {
        arena_.Reset();
        const ParamSource source{kind, IsJudged(kind) ? body : std::string_view(), head.query,
                                 head.fields, match.action == nullptr ? nullptr : &match};
        const rego::Value params = BuildParams(source, arena_, &refusal);
        if (!params.is_undefined()) {
          EXPECT_EQ(refusal.status, 0);
          return std::string(route.action) + " " + rego::ToJson(params);
        }
      }
    }
    return std::to_string(refusal.status) + " " + std::string(refusal.reason);
  }
  std::string Charge(std::string_view query, std::string_view body,
                     std::vector<std::pair<std::string, std::string>> more = {}) {
    return Read("POST", "/v1/customers/7/charges" + std::string(query), "application/json", body,
                std::move(more));
  }
  std::string ChargeForm(std::string_view body) {
    return Read("POST", "/v1/customers/7/charges", "application/x-www-form-urlencoded", body);
  }

  State state_;
  Arena arena_;
};

TEST_F(ToolMapTest, ParamsComeFromWhereTheMapSays) {
  EXPECT_EQ(Read("GET", "/v1/customers?q=x"), R"(list {"q":"x"})");
  EXPECT_EQ(Charge("?p=2&tags=1&tags=2&note=n", R"({"amount":5,"id":"x"})",
                   {{"idempotency-key", "k"}, {"cookie", "a=b; region=eu"}}),
            R"(charge {"amount":5,"customer":7,"id":"x","key":"k","note":"n","page":2,)"
            R"("region":"eu","tags":[1,2]})");
  EXPECT_EQ(ChargeForm("amount=12.50&urgent=true&id=9&note=a+b"),
            R"(charge {"amount":12.50,"customer":7,"id":"9","note":"a b","urgent":true})");
  EXPECT_EQ(Charge("?amount=5", "{}"), R"(charge {"amount":5,"customer":7})");
  EXPECT_EQ(Read("PUT", "/v1/files/a%20b/c?x=1", "text/plain", "text"),
            R"(upload {"path":"a b/c","x":"1"})");
  EXPECT_EQ(Read("POST", "/soap?x=1", "application/xml", "<x/>"), R"(soap {"x":"1"})");
  EXPECT_EQ(Read("POST", "/soap"), "soap {}");
  EXPECT_EQ(Read("POST", "/v1/cust%6fmers/7/charges", "application/json", "{}"),
            R"(charge {"customer":7})");
}

TEST_F(ToolMapTest, FormsWithFiles) {
  const std::string form =
      "--B\r\nContent-Disposition: form-data; name=\"note\"\r\n\r\nhi\r\n"
      "--B\r\nContent-Disposition: form-data; name=\"meta\"\r\nContent-Type: application/json"
      "\r\n\r\n{\"a\":[1]}\r\n"
      "--B\r\nContent-Disposition: form-data; name=\"f\"; filename=\"x.pdf\"\r\n"
      "Content-Type: application/pdf\r\n\r\n\xff\xfe\r\n--B--\r\n";
  const std::string params =
      R"({"f":{"content_type":"application/pdf","filename":"x.pdf","size":2},"meta":{"a":[1]},)"
      R"("note":"hi")";
  EXPECT_EQ(Read("PUT", "/v1/files/x", "multipart/form-data; boundary=B", form),
            "upload " + params + R"(,"path":"x"})");
  EXPECT_EQ(Read("POST", "/send", "multipart/form-data; boundary=B", form, {}, "plain"),
            "send " + params + "}");
  EXPECT_EQ(Read("PUT", "/v1/files/x", "multipart/form-data", form), "400 bad_form");
  EXPECT_EQ(Read("PUT", "/v1/files/x", "multipart/form-data; boundary=C", form), "400 bad_form");
  EXPECT_EQ(Read("PUT", "/v1/files/x?note=1", "multipart/form-data; boundary=B", form),
            "400 ambiguous_params");
}

TEST_F(ToolMapTest, WhatAToolCouldReadOtherwiseIsRefused) {
  const std::pair<const char*, const char*> json[] = {
      {"?p=x", "{}"},  // type
      {"?p=1.0", "{}"},
      {"?p=01", "{}"},
      {"?p=+1", "{}"},
      {"?p=0x1", "{}"},
      {"?p=1e3", "{}"},
      {"?p=", "{}"},
      {"?p=-0", "{}"},
      {"?p=99999999999999999999", "{}"},
      {"?amount=NaN", "{}"},
      {"?amount=.5", "{}"},
      {"?amount=5.", "{}"},
      {"?amount=1_000", "{}"},
      {"?urgent=True", "{}"},
      {"?urgent=1", "{}"},
      {"?tags=1&tags=x", "{}"},
      {"", R"({"amount":"5"})"},
      {"", R"({"urgent":"true"})"},
      {"?p=1&p=2", "{}"},  // twice
      {"?amount=1", R"({"amount":2})"},
      {"?amount=1&amount=2", "{}"},
      {"?P=1", "{}"},  // spelt otherwise
      {"?Amount=1", "{}"},
      {"", R"({"Amount":9000})"},
      {"?page=1", "{}"},  // the name that policy knows another by
      {"", R"({"page":1})"},
      {"", R"({"customer":1})"},
      {"?customer=1", "{}"},
      {"?CUSTOMER=1", "{}"},
      {"?key=1", "{}"},
      {"", R"({"key":"1"})"},
      {"", R"({"tags":[1]})"},  // in another place
      {"", R"({"region":"us"})"},
      {"?_method=DELETE", "{}"},
      {"?_METHOD=DELETE", "{}"},
      {"", R"({"_method":"DELETE"})"},
      {"?tags[]=1", "{}"},
      {"?a=1;p=2", "{}"},
  };
  for (const auto& [query, body] : json) {
    EXPECT_TRUE(Charge(query, body).starts_with("400 ")) << query << body << Charge(query, body);
  }
  for (const char* form : {"amount=x", "amount=1&amount=2", "AMOUNT=1", "customer=8", "page=1",
                           "tags=1", "_method=PUT", "key=1", "urgent=yes"}) {
    EXPECT_TRUE(ChargeForm(form).starts_with("400 ")) << form << ChargeForm(form);
  }
  using Fields = std::vector<std::pair<std::string, std::string>>;
  for (const Fields& fields :
       {Fields{{"idempotency-key", "a"}, {"idempotency-key", "b"}},
        Fields{{"cookie", "region=a; region=b"}}, Fields{{"cookie", "region=a"}, {"cookie", "x=y"}},
        Fields{{"cookie", "Region=a"}}, Fields{{"cookie", "region=\"a\""}},
        Fields{{"cookie", "region=%61"}}, Fields{{"cookie", "region=a;x=b"}},
        Fields{{"cookie", "x=y, region=a"}}, Fields{{"cookie", "region"}},
        Fields{{"cookie", "=x"}}}) {
    EXPECT_TRUE(Charge("", "{}", fields).starts_with("400 ")) << fields[0].second;
  }
  EXPECT_EQ(Charge("", "{}", {{"idempotency-key", "a"}, {"connection", "idempotency-key"}}),
            R"(charge {"customer":7})")
      << "the tool does not get it";
}

TEST_F(ToolMapTest, WhatNoActionHasIsRefusedOrTheFirstSegment) {
  EXPECT_EQ(Read("GET", "/v1/other"), "404 unknown_action");
  EXPECT_EQ(Read("DELETE", "/v1/customers"), "404 unknown_action");
  EXPECT_EQ(Read("HEAD", "/v1/customers"), "404 unknown_action");
  EXPECT_EQ(Read("GET", "/"), "404 unknown_action");
  EXPECT_EQ(Read("GET", "/v1/customers/"), "400 ambiguous_path");
  EXPECT_EQ(Read("GET", "/V1/customers"), "400 ambiguous_path");
  EXPECT_EQ(Read("POST", "/v1/customers/x/charges", "application/json", "{}"), "400 bad_params");
  EXPECT_EQ(Read("POST", "/v1/customers/7%2fx/charges"), "bad path");
  EXPECT_EQ(Read("POST", "/v1/customers/7/../8/charges"), "bad path");
  EXPECT_EQ(Read("POST", "/v1/customers/7;x=1/charges"), "bad path");
  EXPECT_EQ(Read("POST", "/v1//customers/7/charges"), "bad path");
  EXPECT_EQ(Read("POST", "/v1/customers/%2537/charges"), "bad path");

  EXPECT_EQ(Read("GET", "/pick/x?a=1", {}, {}, {}, "mixed"), R"(pick {"a":"1"})");
  EXPECT_EQ(Read("DELETE", "/v1/customers", {}, {}, {}, "mixed"), "404 unknown_action");
  EXPECT_EQ(Read("GET", "/V1/customers", {}, {}, {}, "mixed"), "400 ambiguous_path");
  EXPECT_EQ(Read("GET", "/", {}, {}, {}, "mixed"), "400 bad_path");
  EXPECT_EQ(Read("GET", "/p%69ck/x", {}, {}, {}, "plain"), "pick {}");
  EXPECT_EQ(Read("GET", "/pick/x", {}, {}, {}, "unknown"), "pick {}");
}

TEST_F(ToolMapTest, BodiesAreOfTheKindsThatTheMapHas) {
  EXPECT_EQ(Read("GET", "/v1/customers", "application/json", "{}"), "415 content_type");
  EXPECT_EQ(Read("PUT", "/v1/files/x", "application/json", "{}"), "415 content_type");
  EXPECT_EQ(Read("PUT", "/v1/files/x", {}, "{}"), "415 content_type");
  EXPECT_EQ(Read("POST", "/v1/customers/7/charges", "application/xml", "<a/>"), "415 content_type");
}

TEST_F(ToolMapTest, HostsNameTools) {
  const struct {
    const char *host, *tool;
    bool refused;
  } cases[] = {
      {"pay.internal", "pay", false}, {"PAY.internal:8080", "pay", false},
      {"pay.internal.", "", true},    {"pay.internal.:80", "", true},
      {"pay.internal.x", "", false},  {"xpay.internal", "", false},
      {"127.0.0.1:8080", "", false},  {"[::1]:8080", "", false},
      {"localhost", "", false},       {"internal", "", false},
  };
  for (const auto& c : cases) {
    Refusal refusal;
    const std::string_view tool = FindHostTool(&state_, c.host, &refusal);
    EXPECT_EQ(refusal.status != 0, c.refused) << c.host;
    EXPECT_EQ(c.refused ? "" : tool, c.tool) << c.host;
  }
  Refusal refusal;
  EXPECT_EQ(FindHostTool(nullptr, "pay.internal", &refusal), "");
}

TEST(SettingsTest, AToolWhoseDocumentIsNotUnderstoodCannotBeCalled) {
  const auto settings = ParseSettings(
      R"({"org":"o","tenant":"t","revision":1,"agents":[],"revoked":{"epoch":1,"jtis":[]},"tools":[
          {"name":"a","base_url":"http://h","from_the_future":true},
          {"name":"b","base_url":"http://h"}]})");
  ASSERT_TRUE(settings) << settings.error().message;
  EXPECT_NE(settings->tools[0].problem.find("from_the_future"), std::string::npos);
  EXPECT_EQ(settings->tools[0].actions->unmapped(), tool::Unmapped::kRefuse);
  EXPECT_EQ(settings->tools[1].problem, "");
  EXPECT_EQ(settings->tools[1].actions, nullptr);
  EXPECT_FALSE(ParseSettings(
      R"({"org":"o","tenant":"t","revision":1,"agents":[],"revoked":{"epoch":1,"jtis":[]},"tools":[
          {"name":"a","base_url":"http://h","hosts":["x.y"]},
          {"name":"b","base_url":"http://h","hosts":["x.y"]}]})"));
}

}  // namespace
}  // namespace aegis::gateway
