#include "aegis/gateway/envoy/check_request.h"

#include <gtest/gtest.h>

#include <functional>
#include <string>

#include "aegis/base/protobuf_wire.h"
#include "aegis/gateway/envoy/envoy_testing.h"

namespace aegis::gateway {
namespace {

using testing::CheckSpec;

std::string Outcome(std::string_view message, size_t max_headers = 100) {
  CheckRequest request;
  const Refusal refusal = request.Read(message, max_headers);
  return refusal.status == 0 ? "ok"
                             : std::to_string(refusal.status) + " " + std::string(refusal.reason);
}

// A message whose attributes, request or http message is what `write` writes.
std::string Attributes(const std::function<void(WireWriter&)>& write) {
  std::string out;
  WireWriter writer(out);
  const size_t attributes = writer.Begin(1);
  write(writer);
  writer.End(attributes);
  return out;
}
std::string Http(const std::function<void(WireWriter&)>& write) {
  return Attributes([&](WireWriter& writer) {
    const size_t request = writer.Begin(4);
    const size_t http = writer.Begin(2);
    write(writer);
    writer.End(http);
    writer.End(request);
  });
}

TEST(CheckRequestTest, ReadsWhatEnvoySends) {
  for (const bool raw : {false, true}) {
    CheckSpec spec;
    spec.path = "/a/b?c=d";
    spec.headers = {{"x-a", "1"}, {"x-b", ""}};
    spec.raw_headers = raw;
    spec.WithBody("{}");
    spec.principal = "spiffe://example/agent";
    spec.extensions = {{"aegis.tool", "payments"}, {"other", "x"}};
    spec.route_metadata = {{"action", "pay"}, {"tool", "payments"}};
    spec.metadata = {{"tenant", "default"}};
    const std::string bytes = spec.Encode();
    CheckRequest request;
    ASSERT_EQ(request.Read(bytes, 100).status, 0);
    EXPECT_TRUE(request.is_http);
    EXPECT_EQ(request.id, "17");
    EXPECT_EQ(request.method, "POST");
    EXPECT_EQ(request.path, "/a/b?c=d");
    EXPECT_EQ(request.host, "tools.example");
    EXPECT_EQ(request.scheme, "https");
    EXPECT_EQ(request.protocol, "HTTP/2");
    EXPECT_EQ(request.size, 2);
    EXPECT_EQ(request.body, "{}");
    EXPECT_FALSE(request.body_is_text);
    EXPECT_EQ(request.path_is_text, !raw);
    EXPECT_EQ(request.partial_body, "false");
    EXPECT_EQ(request.source.address, "10.1.2.3");
    EXPECT_EQ(request.source.port, 4567u);
    EXPECT_EQ(request.source.principal, "spiffe://example/agent");
    EXPECT_EQ(request.names.tool, "payments");
    EXPECT_EQ(request.names.action, "pay");
    EXPECT_EQ(request.names.tenant, "default");
    ASSERT_EQ(request.headers.size(), 4u);
    EXPECT_EQ(request.headers[0].name, "x-a");
    EXPECT_EQ(request.headers[0].value, "1");
    EXPECT_EQ(request.headers[1].value, "");
    EXPECT_EQ(request.headers[3].name, "content-length");

    // Nothing of it is left for the next one.
    const std::string next = CheckSpec{.method = "GET", .pseudo = false}.Encode();
    ASSERT_EQ(request.Read(next, 100).status, 0);
    EXPECT_TRUE(request.headers.empty());
    EXPECT_EQ(request.body, "");
    EXPECT_EQ(request.size, 0);
    EXPECT_EQ(request.partial_body, "");
    EXPECT_EQ(request.names.tool, "");
    EXPECT_EQ(request.source.principal, "");
    EXPECT_TRUE(request.path_is_text);
  }
}

TEST(CheckRequestTest, SizeMayBeUnknown) {
  CheckSpec spec;
  spec.size = -1;
  const std::string bytes = spec.Encode();
  CheckRequest request;
  ASSERT_EQ(request.Read(bytes, 100).status, 0);
  EXPECT_EQ(request.size, -1);
}

TEST(CheckRequestTest, NotOfHttp) {
  CheckRequest request;
  EXPECT_EQ(request.Read("", 100).status, 0);
  EXPECT_FALSE(request.is_http);
  EXPECT_EQ(request.Read(Attributes([](WireWriter& writer) { writer.Bytes(1, ""); }), 100).status,
            0);
  EXPECT_FALSE(request.is_http);
}

TEST(CheckRequestTest, UnknownFieldsAreSkipped) {
  std::string bytes = CheckSpec().Encode();
  WireWriter writer(bytes);
  writer.Number(2, 1);
  writer.Bytes(900, "x");
  EXPECT_EQ(Outcome(bytes), "ok");
  EXPECT_EQ(Outcome(Http([](WireWriter& w) {
              w.Bytes(4, "/");
              w.Double(14, 1);
            })),
            "ok");
}

TEST(CheckRequestTest, RefusesWhatIsNotOne) {
  const std::string good = CheckSpec().WithBody("{\"amount\":1}").Encode();
  ASSERT_EQ(Outcome(good), "ok");
  // Whatever is cut off, one of the sizes does not fit any more; but the empty message is one.
  for (size_t i = 1; i < good.size(); ++i) {
    EXPECT_EQ(Outcome(std::string_view(good).substr(0, i)), "400 check_malformed") << i;
  }
  const auto entry = [](WireWriter& w, uint32_t field, std::string_view key, std::string_view value,
                        int keys = 1) {
    const size_t mark = w.Begin(field);
    for (int i = 0; i < keys; ++i) w.Bytes(1, key);
    w.Bytes(2, value);
    w.End(mark);
  };
  struct Case {
    const char* what;
    std::string bytes;
    const char* outcome;
  };
  const Case cases[] = {
      {"no protobuf", "GET / HTTP/1.1\r\n\r\n", "400 check_malformed"},
      {"attributes twice", good + good, "400 check_malformed"},
      {"attributes of another type", std::string("\x08\x01", 2), "400 check_malformed"},
      {"the request twice", Attributes([](WireWriter& w) {
         w.Bytes(4, "");
         w.Bytes(4, "");
       }),
       "400 check_malformed"},
      {"http twice", Attributes([](WireWriter& w) {
         const size_t mark = w.Begin(4);
         w.Bytes(2, "");
         w.Bytes(2, "");
         w.End(mark);
       }),
       "400 check_malformed"},
      {"the path twice", Http([](WireWriter& w) {
         w.Bytes(4, "/a");
         w.Bytes(4, "/a");
       }),
       "400 check_malformed"},
      {"the path is a number", Http([](WireWriter& w) { w.Number(4, 1); }), "400 check_malformed"},
      {"the size is a text", Http([](WireWriter& w) { w.Bytes(9, "1"); }), "400 check_malformed"},
      {"the body twice", Http([](WireWriter& w) {
         w.Bytes(12, "a");
         w.Bytes(12, "b");
       }),
       "400 check_malformed"},
      {"two bodies", Http([](WireWriter& w) {
         w.Bytes(11, "a");
         w.Bytes(12, "a");
       }),
       "400 check_contradictory"},
      {"a header twice", Http([&](WireWriter& w) {
         entry(w, 3, "x-a", "1");
         entry(w, 3, "x-a", "1");
       }),
       "400 check_malformed"},
      {"a pseudo-header twice", Http([&](WireWriter& w) {
         entry(w, 3, ":path", "");
         entry(w, 3, ":path", "");
       }),
       "400 check_malformed"},
      {"a header with two names", Http([&](WireWriter& w) { entry(w, 3, "x-a", "1", 2); }),
       "400 check_malformed"},
      {"what Envoy says of the body, twice", Http([&](WireWriter& w) {
         entry(w, 3, "x-envoy-auth-partial-body", "false");
         entry(w, 3, "x-envoy-auth-partial-body", "false");
       }),
       "400 check_malformed"},
      {"both kinds of headers", Http([&](WireWriter& w) {
         entry(w, 3, "x-a", "1");
         const size_t map = w.Begin(13);
         entry(w, 1, "x-b", "1");
         w.End(map);
       }),
       "400 check_contradictory"},
      {"a header with two values", Http([&](WireWriter& w) {
         const size_t map = w.Begin(13);
         const size_t header = w.Begin(1);
         w.Bytes(1, "x-a");
         w.Bytes(2, "1");
         w.Bytes(3, "2");
         w.End(header);
         w.End(map);
       }),
       "400 check_contradictory"},
      {"another path among the headers", Http([&](WireWriter& w) {
         w.Bytes(4, "/a");
         entry(w, 3, ":path", "/b");
       }),
       "400 check_contradictory"},
      {"another method among the headers", Http([&](WireWriter& w) {
         w.Bytes(2, "GET");
         entry(w, 3, ":method", "POST");
       }),
       "400 check_contradictory"},
      {"another host among the headers", Http([&](WireWriter& w) {
         w.Bytes(5, "a");
         entry(w, 3, ":authority", "b");
       }),
       "400 check_contradictory"},
      {"a path only among the headers", Http([&](WireWriter& w) { entry(w, 3, ":path", "/b"); }),
       "400 check_contradictory"},
      {"another query", Http([](WireWriter& w) {
         w.Bytes(4, "/a?b");
         w.Bytes(7, "c");
       }),
       "400 check_contradictory"},
      {"a fragment", Http([](WireWriter& w) { w.Bytes(8, "c"); }), "400 check_contradictory"},
      {"a peer of another type", Attributes([](WireWriter& w) { w.Number(1, 1); }),
       "400 check_malformed"},
      {"a broken peer", Attributes([](WireWriter& w) { w.Bytes(1, "\x0a\x05x"); }),
       "400 check_malformed"},
      {"broken metadata", Attributes([](WireWriter& w) { w.Bytes(13, "\x0a\x05x"); }),
       "400 check_malformed"},
      {"a broken TLS session", Attributes([](WireWriter& w) { w.Bytes(12, "\x0a\x05x"); }),
       "400 check_malformed"},
  };
  for (const Case& c : cases) EXPECT_EQ(Outcome(c.bytes), c.outcome) << c.what;
}

TEST(CheckRequestTest, WhatTheRouteIsCalled) {
  const auto outcome = [](const testing::Pairs& extensions, const testing::Pairs& route = {},
                          const testing::Pairs& request = {}) {
    CheckSpec spec;
    spec.extensions = extensions;
    spec.route_metadata = route;
    spec.metadata = request;
    return Outcome(spec.Encode());
  };
  EXPECT_EQ(outcome({{"aegis.tool", "a"}, {"aegis.body", "unread"}, {"aegisx", "y"}}), "ok");
  EXPECT_EQ(outcome({{"aegis.tool", "a"}}, {{"tool", "a"}}, {{"tool", "a"}}), "ok");
  EXPECT_EQ(outcome({{"aegis.tol", "a"}}), "403 route_misconfigured");
  EXPECT_EQ(outcome({{"aegis.", "a"}}), "403 route_misconfigured");
  EXPECT_EQ(outcome({{"aegis.tool", ""}}), "403 route_misconfigured");
  EXPECT_EQ(outcome({{"aegis.tool", std::string(257, 'a')}}), "403 route_misconfigured");
  EXPECT_EQ(outcome({{"aegis.tool", "a"}, {"aegis.tool", "b"}}), "403 route_misconfigured");
  EXPECT_EQ(outcome({}, {{"tol", "a"}}), "403 route_misconfigured");
  EXPECT_EQ(outcome({{"aegis.tool", "a"}}, {{"tool", "b"}}), "403 route_misconfigured");
  EXPECT_EQ(outcome({}, {{"tool", "a"}}, {{"tool", "b"}}), "403 route_misconfigured");

  // A number, and no value at all, where a text belongs.
  const auto member = [](std::string_view value) {
    return Attributes([&](WireWriter& w) {
      const size_t metadata = w.Begin(13);
      const size_t entry = w.Begin(1);
      w.Bytes(1, "aegis");
      const size_t fields = w.Begin(2);
      const size_t field = w.Begin(1);
      w.Bytes(1, "tool");
      w.Bytes(2, value);
      w.End(field);
      w.End(fields);
      w.End(entry);
      w.End(metadata);
    });
  };
  EXPECT_EQ(Outcome(member("\x1a\x01x")), "ok");
  EXPECT_EQ(Outcome(member(std::string("\x11\0\0\0\0\0\0\0\0", 9))), "403 route_misconfigured");
  EXPECT_EQ(Outcome(member("")), "403 route_misconfigured");
  EXPECT_EQ(Outcome(member("\x1a\x01x\x1a\x01y")), "400 check_malformed");
}

TEST(CheckRequestTest, HeadersAreLimited) {
  CheckSpec spec;
  for (int i = 0; i < 20; ++i) spec.headers.emplace_back("x-" + std::to_string(i), "v");
  spec.partial = "false";
  for (const bool raw : {false, true}) {
    spec.raw_headers = raw;
    EXPECT_EQ(Outcome(spec.Encode(), 20), "ok");
    EXPECT_EQ(Outcome(spec.Encode(), 19), "431 too_many_fields");
  }
}

}  // namespace
}  // namespace aegis::gateway
