// MakeRequestHead: what did not arrive as HTTP/1.1 text is held to the rules of what did.
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "aegis/net/http1_parser.h"

namespace aegis::net {
namespace {

using Fields = std::vector<std::pair<std::string, std::string>>;

struct Request {
  std::string method = "POST";
  std::string target = "/tools/t/a?x=1";
  std::string host = "a:8080";
  Fields fields = {};
};

struct Made {
  std::string outcome;
  RequestHead head;
  std::vector<HeaderField> fields;
};

Made Make(const Request& request, const Http1Limits& limits = {}) {
  Made made;
  for (const auto& [name, value] : request.fields) made.fields.push_back({name, value});
  Http1Error error;
  const bool ok = MakeRequestHead(request.method, request.target, request.host, made.fields, limits,
                                  &made.head, &error);
  made.outcome = ok ? "ok" : std::to_string(error.status) + " " + std::string(error.reason);
  return made;
}

// The same request as text.
std::string Parse(const Request& request) {
  std::string text = request.method + " " + request.target + " HTTP/1.1\r\nHost: " + request.host;
  for (const auto& [name, value] : request.fields) text += "\r\n" + name + ": " + value;
  text += "\r\n\r\n";
  RequestParser parser;
  switch (parser.Parse(text.data(), text.size())) {
    case ParseStatus::kDone:
      return "ok";
    case ParseStatus::kError:
      return std::to_string(parser.error().status) + " " + std::string(parser.error().reason);
    case ParseStatus::kNeedMore:
      break;
  }
  return "more";
}

TEST(RequestHeadTest, HoldsToTheRulesOfText) {
  const std::vector<Request> requests = {
      {},
      {.method = "GET", .target = "/"},
      {.target = "/a%41"},
      {.target = "/a%4"},
      {.target = "/a\xc3\xa4"},
      {.target = "/a\"b"},
      {.target = "/a#b"},
      {.target = "/?a=\xff"},
      {.target = "a"},
      {.target = "*"},
      {.target = "http://a/b"},
      {.target = "/" + std::string(9000, 'a')},
      {.method = "post"},
      {.method = "PO(ST"},
      {.method = std::string(33, 'A')},
      {.host = "a b"},
      {.host = "a/b"},
      {.host = std::string(256, 'a')},
      {.fields = {{"content-type", "application/json"}, {"x-a", "  b\t"}, {"x-empty", ""}}},
      {.fields = {{"x(a", "1"}}},
      {.fields = {{"x a", "1"}}},
      {.fields = {{"", "1"}}},
      {.fields = {{"x-a", "\xc3\xa4"}}},
      {.fields = {{"x-a", "\xff"}}},
      {.fields = {{"x-a", std::string("b\0c", 3)}}},
      {.fields = {{"x-a", "b\x7f"}}},
      {.fields = {{"content-length", "5"}}},
      {.fields = {{"content-length", "05"}}},
      {.fields = {{"content-length", "5,5"}}},
      {.fields = {{"content-length", "-1"}}},
      {.fields = {{"content-length", "5"}, {"content-length", "5"}}},
      {.fields = {{"content-length", "5"}, {"transfer-encoding", "chunked"}}},
      {.fields = {{"transfer-encoding", "chunked"}}},
      {.fields = {{"transfer-encoding", "gzip"}}},
      {.fields = {{"transfer-encoding", "chunked"}, {"transfer-encoding", "chunked"}}},
      {.fields = {{"connection", "authorization"}}},
      {.fields = {{"connection", "x-hop"}, {"x-hop", "1"}}},
      {.fields = {{"expect", "100-continue"}}},
      {.fields = {{"expect", "more"}}},
      {.fields = Fields(99, {"x-a", "b"})},
      {.fields = Fields(101, {"x-a", "b"})},
      {.fields = {{"x-a", std::string(40000, 'b')}}},
  };
  int refused = 0;
  for (const Request& request : requests) {
    const std::string made = Make(request).outcome;
    EXPECT_EQ(made, Parse(request)) << request.method << ' ' << request.target << ' '
                                    << (request.fields.empty() ? "" : request.fields[0].first);
    if (made != "ok") ++refused;
  }
  EXPECT_GT(refused, 25);
}

TEST(RequestHeadTest, OfItsOwn) {
  // Text has its names put to lower case, has a Host field, and its lines end at control bytes.
  EXPECT_EQ(Make({.fields = {{"Content-Type", "a"}}}).outcome, "400 bad_field_name");
  EXPECT_EQ(Make({.host = ""}).outcome, "400 bad_host");
  EXPECT_EQ(Make({.target = ""}).outcome, "400 bad_target");
  EXPECT_EQ(Make({.method = ""}).outcome, "400 bad_method");
  EXPECT_EQ(Make({.fields = {{"x-a", "b\r\nc: d"}}}).outcome, "400 control_byte");
  EXPECT_EQ(Make({.fields = {{"host", "a:8080"}}}).outcome, "ok");
  EXPECT_EQ(Make({.fields = {{"host", "b"}}}).outcome, "400 duplicate_host");
  EXPECT_EQ(Make({.fields = {{"host", "a:8080"}, {"host", "a:8080"}}}).outcome,
            "400 duplicate_host");
}

TEST(RequestHeadTest, WhatItSays) {
  // The head's views are into it.
  const Request request{.fields = {{"content-length", "12"},
                                   {"x-aegis-token", " t "},
                                   {"connection", "close, x-hop"},
                                   {"x-hop", "1"}}};
  const Made made = Make(request);
  ASSERT_EQ(made.outcome, "ok");
  EXPECT_EQ(made.head.path, "/tools/t/a");
  EXPECT_EQ(made.head.query, "x=1");
  EXPECT_EQ(made.head.host, "a:8080");
  EXPECT_EQ(made.head.body, BodyKind::kLength);
  EXPECT_EQ(made.head.content_length, 12u);
  EXPECT_EQ(made.head.Find(FieldId::kAegis)->value, "t");
  EXPECT_FALSE(made.head.keep_alive);
  EXPECT_TRUE(made.head.Find("x-hop")->nominated);
}

}  // namespace
}  // namespace aegis::net
