#include "aegis/tool/spec.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "aegis/tool/base_url.h"

namespace aegis::tool {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// "pointer detail" of each mistake.
std::vector<std::string> MistakesOf(std::string_view json) {
  std::vector<Mistake> mistakes;
  const auto spec = ReadSpec(json, &mistakes);
  std::vector<std::string> out;
  for (const Mistake& mistake : mistakes) out.push_back(mistake.pointer + " " + mistake.detail);
  EXPECT_EQ(spec.has_value(), out.empty());
  return out;
}

std::string WithActions(const std::string& actions) {
  return R"({"name":"t","base_url":"http://h","actions":[)" + actions + "]}";
}
std::string WithAction(const std::string& members) {
  return WithActions(R"({"name":"a","method":"POST","path":"/v1/{id}",)" + members + "}");
}

TEST(SpecTest, IsReadAndWritten) {
  const std::string text =
      R"({"name":"pay","base_url":"http://h:1/x","hosts":["pay.internal","xn--bcher-kva.example"],)"
      R"("unmapped":"segment","actions":[{"name":"charge","method":"POST",)"
      R"("path":"/v1/customers/{id}/charges","params":{"amount":{"type":"number"},)"
      R"("customer":{"in":"path","name":"id","type":"integer"},)"
      R"("key":{"in":"header","name":"idempotency-key"},)"
      R"("tags":{"in":"query","type":"array","items":"string"}},"body":["json","form"]},)"
      R"({"name":"get","method":"GET","path":"/v1/**","body":[]}]})";
  std::vector<Mistake> mistakes;
  const auto spec = ReadSpec(text, &mistakes);
  ASSERT_TRUE(spec) << spec.error().message;
  EXPECT_EQ(SpecJson(*spec), text);
  EXPECT_EQ(*ReadSpec(SpecJson(*spec), &mistakes), *spec);
  ASSERT_EQ(spec->actions[0].params.size(), 4u);
  EXPECT_EQ(spec->actions[0].params[1].place, Place::kPath);
  EXPECT_TRUE(spec->actions[0].params[3].list);
  EXPECT_EQ(spec->actions[0].bodies, kJsonBody | kFormBody);
  EXPECT_EQ(spec->actions[1].bodies, 0);
}

TEST(SpecTest, AToolWithoutAMapIsNameAndUrl) {
  const std::string text = R"({"name":"t","base_url":"http://h"})";
  std::vector<Mistake> mistakes;
  EXPECT_EQ(SpecJson(*ReadSpec(text, &mistakes)), text);
}

TEST(SpecTest, AllMistakesComeAtOnce) {
  EXPECT_THAT(
      MistakesOf(R"({"name":"-","base_url":"ftp://x","host":["a.b"],"hosts":["A.b","a"],
                     "unmapped":"maybe","actions":[{"name":"x","method":"get","path":"a"},7]})"),
      ElementsAre("/name must begin with a letter or a digit",
                  "/base_url must begin with http:// or https://", "/hosts/0 must be in lower case",
                  HasSubstr("/hosts/1 must have a dot"), "/unmapped must be one of refuse segment",
                  HasSubstr("/actions/0/method must be"), "/actions/0/path must begin with '/'",
                  HasSubstr("/actions/1 must be an object"),
                  "/host is not a known member; did you mean 'hosts'?"));
  EXPECT_THAT(MistakesOf("{}"), ElementsAre("/name is required", "/base_url is required"));
  EXPECT_THAT(MistakesOf("[]"), ElementsAre(" must be an object"));
}

TEST(SpecTest, WhatIsNotJsonIsAnErrorOfItsOwn) {
  std::vector<Mistake> mistakes;
  EXPECT_EQ(ReadSpec("{", &mistakes).error().reason, "json_malformed");
  EXPECT_EQ(ReadSpec(R"({"name":"a","name":"b"})", &mistakes).error().reason, "json_duplicate_key");
  EXPECT_EQ(ReadSpec(std::string(kMaxDocumentBytes + 1, ' '), &mistakes).error().reason,
            "json_too_large");
  EXPECT_EQ(ReadSpec(std::string(9, '[') + std::string(9, ']'), &mistakes).error().reason,
            "json_too_deep");
}

TEST(SpecTest, WhatAnActionMayNotSay) {
  const struct {
    const char* member;
    const char* mistake;
  } cases[] = {
      {R"("params":{"x":{}})", "/params/x says nothing"},
      {R"("params":{"x":{"type":"int"}})", "/params/x/type must be one of"},
      {R"("params":{"x":{"in":"path"}})", "has no variable 'x'"},
      {R"("params":{"x":{"type":"string","items":"string"}})", "belongs to the type array only"},
      {R"("params":{"x":{"in":"header","type":"array"}})", "can be a list in"},
      {R"("params":{"id":{"type":"array"}})", "can be a list in"},
      {R"("params":{"x":{"in":"body","name":"y"}})", "can be given where"},
      {R"("params":{"x":{"in":"header","name":"Authorization"}})", "cannot be a param"},
      {R"("params":{"x":{"in":"header","name":"X-Aegis-Session"}})", "cannot be a param"},
      {R"("params":{"x":{"in":"header","name":"x_y"}})", "name of a header field"},
      {R"("params":{"x":{"in":"cookie","name":"a b"}})", "name of a cookie"},
      {R"("params":{"x[]":{"in":"query"}})", "must not have control characters, '['"},
      {R"("params":{"a.b":{"in":"query"},"A_b":{"in":"body"}})", "are one name to some tools"},
      {R"("params":{"x":{"in":"query","name":"q"},"y":{"in":"query","name":"Q"}})",
       "is sent under the name of"},
      {R"("params":{"x":{"type":"string"},"y":{"in":"query","name":"x"}})",
       "is sent under the name of"},
      {R"("params":{"ID":{"in":"query"}})", "whose name is that of another param"},
      {R"("params":{"x":{"in":"query","required":true}})", "/required is not a known member"},
      {R"("body":["xml"])", "/body/0 must be one of"},
      {R"("body":["unread","json"])", "must be [unread] alone"},
  };
  for (const auto& c : cases) {
    EXPECT_THAT(MistakesOf(WithAction(c.member)), ElementsAre(HasSubstr(c.mistake))) << c.member;
  }
}

TEST(SpecTest, WhatAPathMayNotBe) {
  const struct {
    const char* path;
    const char* mistake;
  } cases[] = {
      {"", "must begin with '/'"},
      {"v1", "must begin with '/'"},
      {"/v1//x", "empty segment"},
      {"//", "empty segment"},
      {"/v1/../x", "'.' or '..'"},
      {"/v1/%41", "has a '%'"},
      {"/v1/*", "has a '*'"},
      {"/v1/**/x", "must be the last one"},
      {"/v1/{a...}/x", "must be the last one"},
      {"/v1/**/", "a '/' behind"},
      {"/v1/{a}.json", "must be the whole segment"},
      {"/v1/{}", "has a variable that is not"},
      {"/v1/{1}", "has a variable that is not"},
      {"/v1/{a}/{a}", "the variable 'a' twice"},
      {"/v1/{a}/{A}", "that of another param"},
      {"/v1/x;y", "a character that literals"},
      {"/v1/x y", "a character that literals"},
      {"/v1/x?y", "a character that literals"},
      {"/caf\xc3\xa9", "a character that literals"},
      {"/a\\\\b", "a character that literals"},
  };
  for (const auto& c : cases) {
    const std::string text =
        WithActions(std::string(R"({"name":"a","method":"GET","path":")") + c.path + R"("})");
    EXPECT_THAT(MistakesOf(text), ElementsAre(HasSubstr(c.mistake))) << c.path;
  }
  std::string deep;
  for (int i = 0; i < 33; ++i) deep += "/a";
  EXPECT_THAT(MistakesOf(WithActions(R"({"name":"a","method":"GET","path":")" + deep + R"("})")),
              ElementsAre(HasSubstr("more than 32 segments")));
}

TEST(SpecTest, AFieldThatCarriesACredentialIsNoParam) {
  EXPECT_THAT(
      MistakesOf(
          R"({"name":"t","base_url":"http://h","credentials":[{"header":"X-Key","secret":"s"}],
                     "actions":[{"name":"a","method":"GET","path":"/a",
                                 "params":{"key":{"in":"header","name":"X-Key"}}}]})"),
      ElementsAre(HasSubstr("/actions/0/params/key is in a field that carries a credential")));
}

TEST(SpecTest, ActionsMayNotBeInConflict) {
  const auto two = [](const char* a, const char* b, const char* method = "GET") {
    return WithActions(std::string(R"({"name":"a","method":"GET","path":")") + a +
                       R"("},{"name":"b","method":")" + method + R"(","path":")" + b + R"("})");
  };
  EXPECT_THAT(MistakesOf(two("/{a}", "/{b}")), ElementsAre(HasSubstr("matches the same requests")));
  EXPECT_THAT(MistakesOf(two("/a", "/a/")), ElementsAre(HasSubstr("matches the same requests")));
  EXPECT_THAT(MistakesOf(two("/{a}/b", "/a/{b}")), ElementsAre(HasSubstr("neither is narrower")));
  EXPECT_THAT(MistakesOf(two("/x/Ab", "/x/aB/c", "PUT")),
              ElementsAre(HasSubstr("in the case of letters")));
  EXPECT_THAT(MistakesOf(two("/{a}", "/{b}", "PUT")), ElementsAre());
  EXPECT_THAT(MistakesOf(two("/{a}", "/a")), ElementsAre());
}

TEST(SpecTest, HasLimits) {
  std::string actions;
  for (size_t i = 0; i <= kMaxActions; ++i) {
    actions += (i > 0 ? "," : "") + std::string(R"({"name":"a","method":"GET","path":"/)") +
               std::to_string(i) + R"("})";
  }
  EXPECT_THAT(MistakesOf(WithActions(actions)),
              ElementsAre("/actions must be a list of at most 2000 items"));
  std::string params;
  for (size_t i = 0; i <= kMaxParams; ++i) {
    params += (i > 0 ? ",\"p" : "\"p") + std::to_string(i) + R"(":{"in":"query"})";
  }
  EXPECT_THAT(MistakesOf(WithAction("\"params\":{" + params + "}")),
              ElementsAre(HasSubstr("must be an object of at most 100 members")));
}

TEST(BaseUrlTest, IsAPlainUrl) {
  for (const char* good : {"http://h", "http://h/", "http://127.0.0.1:9400", "http://[::1]:80/v1",
                           "http://api.example.com/a/b%20c", "http://h:65535"}) {
    EXPECT_EQ(CheckBaseUrl(good), "") << good;
  }
  for (const char* bad : {"",
                          "h",
                          "http://",
                          "http:///x",
                          "http://:80",
                          "http://h:",
                          "http://h:0",
                          "http://h:65536",
                          "http://h:8x",
                          "http://user@h",
                          "http://user:pw@h",
                          "http://h/?q",
                          "http://h/#f",
                          "http://h/../x",
                          "http://h/./x",
                          "http://h h",
                          "http://h/a\r\nb",
                          "file:///etc/passwd",
                          "HTTP://h",
                          "http://[::1",
                          "http://[]:80",
                          "http://[::1]x",
                          "http://h\\x",
                          "ftp://h",
                          "http://h/\xC3\xA4"}) {
    EXPECT_NE(CheckBaseUrl(bad), "") << bad;
  }
  EXPECT_EQ(CheckBaseUrl("https://h"), "");
  EXPECT_NE(CheckBaseUrl("http://h/" + std::string(3000, 'a')), "");
}

TEST(HostTest, IsAPlainNameOfDns) {
  EXPECT_EQ(CheckHost("a.b"), "");
  EXPECT_EQ(CheckHost("api-1.payments.internal"), "");
  for (const char* bad : {"", "a", "localhost", "x.localhost", "A.b", "a.b.", ".a.b", "a..b",
                          "a.b:80", "127.0.0.1", "1.2", "a.0x7f", "[::1]",
                          "b\xc3\xbc"
                          "cher.example",
                          "a_b.c", "-a.b", "a-.b", "a.b/c"}) {
    EXPECT_NE(CheckHost(bad), "") << bad;
  }
  EXPECT_NE(CheckHost(std::string(64, 'a') + ".b"), "");
}

}  // namespace
}  // namespace aegis::tool
