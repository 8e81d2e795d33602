#include "aegis/gateway/envoy/response_inspector.h"

#include <gtest/gtest.h>

#include <string>

#include "aegis/gateway/envoy/json_redactor.h"

namespace aegis::gateway {
namespace {

constexpr size_t kMax = 200;

// What the agent gets of `body`, given in pieces of `piece` bytes; the refusal's status if refused.
std::string Inspect(std::string_view type, std::string_view body, size_t piece,
                    std::string_view encoding = {}) {
  JsonRedactor redactor({.request = {}, .response = {"pan"}}, kMax);
  ResponseInspector inspector;
  Refusal refusal = inspector.Start(&redactor, type, encoding, kMax);
  std::string out;
  bool last = false;
  while (refusal.status == 0 && !last) {
    const std::string_view part = body.substr(0, piece);
    body.remove_prefix(part.size());
    last = body.empty();
    refusal = inspector.Take(part, last, &out);
    EXPECT_TRUE(refusal.status != 0 || inspector.held() <= kMax);
  }
  if (refusal.status != 0) return std::to_string(refusal.status);
  EXPECT_EQ(inspector.changed(), out.find("[redacted]") != std::string::npos);
  EXPECT_EQ(inspector.held(), 0u);
  return out;
}

TEST(ResponseInspectorTest, TheSameHoweverItIsCut) {
  const std::string json = "application/json", lines = "application/x-ndjson",
                    events = "text/event-stream";
  const std::string r = R"({"pan":"[redacted]"})";
  const struct {
    std::string type, body, out;
  } cases[] = {
      {json, "", ""},
      {json, R"({"a": 1})", R"({"a": 1})"},
      {json, R"({ "pan": 1})", r},
      {"application/problem+json; charset=utf-8", R"({"pan":1})", r},
      {json, "{\"pan\":1}\n{\"pan\":1}", "502"},
      {json, "text", "502"},
      {json, "[" + std::string(kMax, ' ') + "]", "502"},
      {lines, "", ""},
      {lines, "{\"pan\":1}\n\n[ 1 ]\r\n{\"pan\":2}", r + "\n\n[ 1 ]\r\n" + r},
      {lines, "{\"pan\":1}\n{\"pan\":\n1}\n", "502"},
      {lines, "text\n", "502"},
      {lines, "[" + std::string(kMax, ' ') + "]\n", "502"},
      {events, "", ""},
      {events, "data: {\"pan\":1}\n\n", "data: " + r + "\n\n"},
      {events, "data:{\"pan\":1}\n\n", "data: " + r + "\n\n"},
      {events, "data: {\"pan\":1}\r\n\r\n", "data: " + r + "\n\r\n"},
      {events, "data: {\"pan\":1}", "data: " + r + "\n"},
      {events, ": hello\n\nevent: a\nid: 7\ndata: {\ndata: \"pan\":1}\nretry: 5\n\n",
       ": hello\n\nevent: a\nid: 7\ndata: " + r + "\nretry: 5\n\n"},
      {events, "data: {\"a\":  1}\n\ndata: [DONE]\n\ndata\n\n\n\n",
       "data: {\"a\":  1}\n\ndata: [DONE]\n\ndata\n\n\n\n"},
      {events, "\ndata: {\"pan\":1}\n\n", "\ndata: " + r + "\n\n"},
      // What a client might read in another way.
      {events, "data: {\"a\":1}\rdata: {\"pan\":1}\n\n", "502"},
      {events,
       "\xef\xbb\xbf"
       "data: {\"pan\":1}\n\n",
       "502"},
      {events, "Data: {\"pan\":1}\n\n", "502"},
      {events, " data: {\"pan\":1}\n\n", "502"},
      {events, "data : {\"pan\":1}\n\n", "502"},
      {events, "data: text\n\n", "502"},
      {events, "data: {\"pan\":1} x\n\n", "502"},
      {events, "data: {\"pan\":1", "502"},
      {events, ": " + std::string(kMax, 'x') + "\n\n", "502"},
      {events, "data: {\"pan\":1}\r\r", "502"},
  };
  for (const auto& [type, body, out] : cases) {
    for (const size_t piece : {size_t{1}, size_t{2}, size_t{3}, size_t{7}, size_t{10000}}) {
      EXPECT_EQ(Inspect(type, body, piece), out) << type << " " << body << " by " << piece;
    }
  }
}

TEST(ResponseInspectorTest, WhatCannotBeInspected) {
  for (const char* type : {"", "text/html", "text/plain", "application/json-seq", "multipart/mixed",
                           "application/grpc", "application/json; charset=utf-16",
                           "application/json;charset", "text/event-stream; charset=latin1"}) {
    EXPECT_EQ(Inspect(type, "{}", 10), "502") << type;
  }
  EXPECT_EQ(Inspect("application/json", "{}", 10, "gzip"), "502");
  EXPECT_EQ(Inspect("application/json", "{}", 10, "identity"), "{}");
}

TEST(ResponseInspectorTest, WithoutAFilterAllPass) {
  ResponseInspector inspector;
  EXPECT_EQ(inspector.Start(nullptr, "text/html", "gzip", 1).status, 0);
  EXPECT_FALSE(inspector.inspects());
  std::string out;
  EXPECT_EQ(inspector.Take("\xff\r{", false, &out).status, 0);
  EXPECT_EQ(inspector.Take("x", true, &out).status, 0);
  EXPECT_EQ(out, "\xff\r{x");
}

}  // namespace
}  // namespace aegis::gateway
