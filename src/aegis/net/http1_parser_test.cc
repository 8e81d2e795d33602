#include "aegis/net/http1_parser.h"

#include <gtest/gtest.h>

#include <string>

#include "aegis/net/http1_grammar.h"

namespace aegis::net {
namespace {

// The outcome of a request head: "200 ..." when accepted, else the status and reason of the
// refusal, or "more". Fed whole and byte by byte, which must not differ.
std::string Outcome(RequestParser& parser, ParseStatus status) {
  switch (status) {
    case ParseStatus::kNeedMore:
      return "more";
    case ParseStatus::kError:
      return std::to_string(parser.error().status) + " " + std::string(parser.error().reason);
    case ParseStatus::kDone:
      return "ok";
  }
  return "";
}

std::string ParseRequest(std::string bytes, const Http1Limits& limits = {}) {
  std::string copy = bytes;
  RequestParser whole(limits);
  const std::string first = Outcome(whole, whole.Parse(copy.data(), copy.size()));
  RequestParser slow(limits);
  std::string second = "more";
  for (size_t i = 1; i <= bytes.size() && second == "more"; ++i) {
    std::string prefix = bytes.substr(0, i);  // moves with each call
    second = Outcome(slow, slow.Parse(prefix.data(), prefix.size()));
  }
  EXPECT_EQ(first, second) << bytes;
  return first;
}

struct Row {
  const char* what;
  std::string bytes;
  const char* outcome;
};

std::string Head(const std::string& fields, const std::string& line = "POST /tools/t/a HTTP/1.1") {
  return line + "\r\n" + fields + "\r\n";
}

TEST(RequestParserTest, TargetsOfAProxy) {
  struct ProxyRow {
    const char* line;
    const char* outcome;  // or "authority path ?query"
  };
  const ProxyRow rows[] = {
      {"CONNECT api.example.com:443", "api.example.com:443 "},
      {"CONNECT [::1]:443", "[::1]:443 "},
      {"CONNECT /", "/ "},  // for the door to refuse
      {"GET http://a.example/p?q", "a.example /p ?q"},
      {"GET HTTP://a.example:80/", "a.example:80 /"},
      {"GET http://a.example", "a.example /"},
      {"GET http://u@a.example/", "u@a.example /"},  // likewise
      {"GET http://a.example?q", "400 bad_target"},
      {"GET http://a.example#f", "400 bad_target"},
      {"GET http://a.example/#f", "400 bad_target"},
      {"GET http://a.example/%zz", "400 bad_target"},
      {"GET https://a.example/", "400 bad_target"},
      {"GET ftp://a.example/", "400 bad_target"},
      {"GET /", "400 bad_target"},
      {"OPTIONS *", "400 bad_target"},
      {"connect a:443", "400 bad_method"},
  };
  for (const ProxyRow& row : rows) {
    std::string bytes = Head("Host: x\r\n", std::string(row.line) + " HTTP/1.1");
    RequestParser parser({}, TargetForm::kProxy);
    std::string outcome = Outcome(parser, parser.Parse(bytes.data(), bytes.size()));
    if (outcome == "ok") {
      const RequestHead& head = parser.head();
      outcome = std::string(head.authority) + " " + std::string(head.path);
      if (head.has_query) outcome += " ?" + std::string(head.query);
    }
    EXPECT_EQ(outcome, row.outcome) << row.line;
  }
}

TEST(RequestParserTest, HostileAndOrdinaryHeads) {
  const std::string host = "Host: a\r\n";
  const Row rows[] = {
      // Ordinary ones.
      {"plain", Head(host), "ok"},
      {"lower-case field names", Head("host: a:8080\r\ncontent-length: 5\r\n"), "ok"},
      {"no space after colon", Head("Host:a\r\n"), "ok"},
      {"tabs around a value", Head("Host:\t a \t\r\n"), "ok"},
      {"empty value", Head(host + "X-Empty:\r\n"), "ok"},
      {"HTTP/1.0 without Host", Head("", "GET / HTTP/1.0"), "ok"},
      {"query with brackets", Head(host, "GET /a?b=[1]&c={2}|'\"x HTTP/1.1"), "ok"},
      {"UTF-8 value", Head(host + "X: gr\xc3\xbc\xc3\x9f\r\n"), "ok"},
      {"chunked", Head(host + "Transfer-Encoding: chunked\r\n"), "ok"},
      {"CHUNKED", Head(host + "Transfer-Encoding: CHUNKED\r\n"), "ok"},
      {"IPv6 host", Head("Host: [::1]:80\r\n"), "ok"},
      {"IPv6 host without a port", Head("Host: [2001:db8::192.0.2.1]\r\n"), "ok"},
      {"host with the largest port", Head("Host: a_b.example-1.:65535\r\n"), "ok"},
      {"expectation", Head(host + "Expect: 100-continue\r\n"), "ok"},
      {"incomplete", "GET / HTTP/1.1\r\nHost: a\r\n", "more"},
      // Request line.
      {"empty line first", "\r\n" + Head(host), "400 bad_method"},
      {"space first", " GET / HTTP/1.1\r\n" + host + "\r\n", "400 bad_method"},
      {"TLS client hello", std::string("\x16\x03\x01\x02\x00\x01", 6), "400 bad_method"},
      {"lower-case method", Head(host, "get / HTTP/1.1"), "400 bad_method"},
      {"mixed-case method", Head(host, "GeT / HTTP/1.1"), "400 bad_method"},
      {"method with bad byte", Head(host, "G@T / HTTP/1.1"), "400 bad_method"},
      {"long method", Head(host, std::string(33, 'A') + " / HTTP/1.1"), "400 bad_method"},
      {"no version (HTTP/0.9)", Head("", "GET /"), "400 bad_request_line"},
      {"no target", Head(host, "GET HTTP/1.1"), "400 bad_request_line"},
      {"two spaces before target", Head(host, "GET  / HTTP/1.1"), "400 bad_request_line"},
      {"two spaces before version", Head(host, "GET /  HTTP/1.1"), "400 bad_request_line"},
      {"tab as separator", Head(host, "GET\t/ HTTP/1.1"), "400 bad_method"},
      {"space behind version", Head(host, "GET / HTTP/1.1 "), "400 bad_request_line"},
      {"space in target", Head(host, "GET /a b HTTP/1.1"), "400 bad_request_line"},
      {"HTTP/2.0", Head(host, "GET / HTTP/2.0"), "505 bad_version"},
      {"HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "505 bad_version"},
      {"HTTP/1.2", Head(host, "GET / HTTP/1.2"), "505 bad_version"},
      {"HTTP/1.10", Head(host, "GET / HTTP/1.10"), "400 bad_request_line"},
      {"HTTP/01.1", Head(host, "GET / HTTP/01.1"), "400 bad_request_line"},
      {"http/1.1", Head(host, "GET / http/1.1"), "400 bad_request_line"},
      {"absolute-form", Head(host, "GET http://b/ HTTP/1.1"), "400 bad_target"},
      {"authority-form", Head(host, "CONNECT b:443 HTTP/1.1"), "400 bad_target"},
      {"asterisk-form", Head(host, "OPTIONS * HTTP/1.1"), "400 bad_target"},
      {"relative target", Head(host, "GET a HTTP/1.1"), "400 bad_target"},
      {"fragment", Head(host, "GET /a#b HTTP/1.1"), "400 bad_target"},
      {"fragment in query", Head(host, "GET /a?b#c HTTP/1.1"), "400 bad_target"},
      {"backslash in path", Head(host, "GET /a\\b HTTP/1.1"), "400 bad_target"},
      {"quote in path", Head(host, "GET /a\"b HTTP/1.1"), "400 bad_target"},
      {"bytes above 127 in path", Head(host, "GET /\xc3\xbc HTTP/1.1"), "400 bad_target"},
      {"percent alone", Head(host, "GET /% HTTP/1.1"), "400 bad_target"},
      {"percent with one digit", Head(host, "GET /a%4 HTTP/1.1"), "400 bad_target"},
      {"percent with letters", Head(host, "GET /a%zz HTTP/1.1"), "400 bad_target"},
      {"percent in query", Head(host, "GET /a?%u0041 HTTP/1.1"), "400 bad_target"},
      {"NUL in target", Head(host, std::string("GET /a\0b HTTP/1.1", 17)), "400 control_byte"},
      {"CR in target", Head(host, "GET /a\rb HTTP/1.1"), "400 control_byte"},
      {"long target", Head(host, "GET /" + std::string(8192, 'a') + " HTTP/1.1"),
       "414 target_too_long"},
      {"target beyond the head", "GET /" + std::string(40000, 'a'), "414 target_too_long"},
      // Line ends and bytes.
      {"bare LF in request line", "GET / HTTP/1.1\nHost: a\r\n\r\n", "400 bare_lf"},
      {"bare LF in fields", "GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n", "400 bare_lf"},
      {"bare LF at the end", "GET / HTTP/1.1\r\nHost: a\r\n\n", "400 bare_lf"},
      {"CR CR LF", "GET / HTTP/1.1\r\nHost: a\r\r\n\r\n", "400 control_byte"},
      {"bare CR in a value", Head(host + "X: a\rb\r\n"), "400 control_byte"},
      {"NUL in a value", Head(host + std::string("X: a\0b\r\n", 8)), "400 control_byte"},
      {"NUL in a name", Head(host + std::string("X\0: a\r\n", 7)), "400 control_byte"},
      {"DEL in a value", Head(host + "X: a\x7f\r\n"), "400 control_byte"},
      {"vertical tab in a value",
       Head(host + "X: a\x0b"
                   "b\r\n"),
       "400 control_byte"},
      {"value not UTF-8", Head(host + "X: \xff\xfe\r\n"), "400 bad_field_value"},
      // Fields.
      {"folded field", Head(host + "X: a\r\n b\r\n"), "400 obs_fold"},
      {"folded by tab", Head(host + "X: a\r\n\tb\r\n"), "400 obs_fold"},
      {"space before first field", Head(" Host: a\r\n"), "400 obs_fold"},
      {"space before colon", Head("Host : a\r\n"), "400 bad_field_name"},
      {"space in a name", Head(host + "X Y: a\r\n"), "400 bad_field_name"},
      {"no colon", Head(host + "XY\r\n"), "400 bad_field_name"},
      {"empty name", Head(host + ": a\r\n"), "400 bad_field_name"},
      {"bytes above 127 in a name", Head(host + "X\xc3\xbc: a\r\n"), "400 bad_field_name"},
      {"brackets in a name", Head(host + "X[]: a\r\n"), "400 bad_field_name"},
      {"too many fields",
       Head(host +
            [] {
              std::string many;
              for (int i = 0; i < 100; ++i) many += "X: a\r\n";
              return many;
            }()),
       "431 too_many_fields"},
      {"head too large", Head(host + "X: " + std::string(32 * 1024, 'a') + "\r\n"),
       "431 head_too_large"},
      // Host.
      {"no Host", Head(""), "400 no_host"},
      {"two Hosts", Head(host + "Host: b\r\n"), "400 duplicate_host"},
      {"two equal Hosts", Head(host + host), "400 duplicate_host"},
      {"empty Host", Head("Host:\r\n"), "400 bad_host"},
      {"Host with path", Head("Host: a/b\r\n"), "400 bad_host"},
      {"Host with user", Head("Host: u@a\r\n"), "400 bad_host"},
      {"Host list", Head("Host: a, b\r\n"), "400 bad_host"},
      {"Host with a port that is none", Head("Host: a:b\r\n"), "400 bad_host"},
      {"Host with an empty port", Head("Host: a:\r\n"), "400 bad_host"},
      {"Host with port 0", Head("Host: a:0\r\n"), "400 bad_host"},
      {"Host with a port of 17 bits", Head("Host: a:65536\r\n"), "400 bad_host"},
      {"Host with a signed port", Head("Host: a:-1\r\n"), "400 bad_host"},
      {"Host with two ports", Head("Host: a:80:90\r\n"), "400 bad_host"},
      {"Host of a port", Head("Host: :80\r\n"), "400 bad_host"},
      {"Host without its bracket", Head("Host: [::1\r\n"), "400 bad_host"},
      {"Host of a bracket", Head("Host: [\r\n"), "400 bad_host"},
      {"Host with a name in brackets", Head("Host: [a]\r\n"), "400 bad_host"},
      {"Host with a bracket inside", Head("Host: a[::1]\r\n"), "400 bad_host"},
      {"Host with bytes behind the bracket", Head("Host: [::1]a\r\n"), "400 bad_host"},
      {"Host of IPv6 without brackets", Head("Host: ::1\r\n"), "400 bad_host"},
      // Framing.
      {"length and coding", Head(host + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"),
       "400 length_and_coding"},
      {"coding and length", Head(host + "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n"),
       "400 length_and_coding"},
      {"two lengths", Head(host + "Content-Length: 5\r\nContent-Length: 6\r\n"),
       "400 duplicate_content_length"},
      {"two equal lengths", Head(host + "Content-Length: 5\r\nContent-Length: 5\r\n"),
       "400 duplicate_content_length"},
      {"length list", Head(host + "Content-Length: 5, 5\r\n"), "400 bad_content_length"},
      {"length with plus", Head(host + "Content-Length: +5\r\n"), "400 bad_content_length"},
      {"negative length", Head(host + "Content-Length: -1\r\n"), "400 bad_content_length"},
      {"hexadecimal length", Head(host + "Content-Length: 0x5\r\n"), "400 bad_content_length"},
      {"length with leading zero", Head(host + "Content-Length: 010\r\n"),
       "400 bad_content_length"},
      {"empty length", Head(host + "Content-Length:\r\n"), "400 bad_content_length"},
      {"length with a space within", Head(host + "Content-Length: 1 0\r\n"),
       "400 bad_content_length"},
      {"huge length", Head(host + "Content-Length: 99999999999999999999\r\n"),
       "400 bad_content_length"},
      {"two codings", Head(host + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"),
       "400 duplicate_transfer_encoding"},
      {"coding identity", Head(host + "Transfer-Encoding: identity\r\n"),
       "501 unknown_transfer_coding"},
      {"coding list", Head(host + "Transfer-Encoding: gzip, chunked\r\n"),
       "501 unknown_transfer_coding"},
      {"chunked twice in a list", Head(host + "Transfer-Encoding: chunked, chunked\r\n"),
       "501 unknown_transfer_coding"},
      {"coding xchunked", Head(host + "Transfer-Encoding: xchunked\r\n"),
       "501 unknown_transfer_coding"},
      {"coding with parameter", Head(host + "Transfer-Encoding: chunked;q=1\r\n"),
       "501 unknown_transfer_coding"},
      {"empty coding", Head(host + "Transfer-Encoding:\r\n"), "501 unknown_transfer_coding"},
      {"coding in HTTP/1.0", Head(host + "Transfer-Encoding: chunked\r\n", "POST / HTTP/1.0"),
       "400 coding_in_http10"},
      {"coding hidden by a space", Head(host + "Transfer-Encoding : chunked\r\n"),
       "400 bad_field_name"},
      {"Connection names Host", Head(host + "Connection: close, host\r\n"), "400 bad_connection"},
      {"Connection names Content-Length", Head(host + "Connection: Content-Length\r\n"),
       "400 bad_connection"},
      {"Connection malformed", Head(host + "Connection: a b\r\n"), "400 bad_connection"},
      {"unknown expectation", Head(host + "Expect: 200-ok\r\n"), "417 bad_expectation"},
  };
  int refused = 0;
  for (const Row& row : rows) {
    EXPECT_EQ(ParseRequest(row.bytes), row.outcome) << row.what;
    refused += row.outcome[0] >= '4' && row.outcome[0] <= '5';
  }
  EXPECT_GE(refused, 60);
}

TEST(RequestParserTest, ReadsTheHead) {
  std::string bytes =
      "PUT /tools/t/a%20b?x=1&y HTTP/1.1\r\nHost: example.com:80\r\nContent-LENGTH: 12\r\n"
      "X-Aegis-Token: s\r\nX_AEGIS_Evil: 1\r\nConnection: close, X-Hop\r\nx-hop: v\r\n\r\nbody";
  RequestParser parser;
  ASSERT_EQ(parser.Parse(bytes.data(), bytes.size()), ParseStatus::kDone);
  const RequestHead& head = parser.head();
  EXPECT_EQ(bytes.substr(head.bytes), "body");
  EXPECT_EQ(head.method, "PUT");
  EXPECT_EQ(head.target, "/tools/t/a%20b?x=1&y");
  EXPECT_EQ(head.path, "/tools/t/a%20b");
  EXPECT_EQ(head.query, "x=1&y");
  EXPECT_EQ(head.host, "example.com:80");
  EXPECT_EQ(head.body, BodyKind::kLength);
  EXPECT_EQ(head.content_length, 12u);
  EXPECT_FALSE(head.keep_alive);
  ASSERT_EQ(head.fields.size(), 6u);
  EXPECT_EQ(head.fields[1].name, "content-length");
  EXPECT_EQ(head.fields[2].id, FieldId::kAegis);
  EXPECT_EQ(head.fields[3].id, FieldId::kAegis);
  EXPECT_TRUE(head.Find("x-hop")->nominated);
  EXPECT_FALSE(head.Find(FieldId::kHost)->nominated);
}

TEST(RequestParserTest, KeepAliveByVersionAndConnection) {
  const auto keeps = [](std::string bytes) {
    RequestParser parser;
    EXPECT_EQ(parser.Parse(bytes.data(), bytes.size()), ParseStatus::kDone) << bytes;
    return parser.head().keep_alive;
  };
  EXPECT_TRUE(keeps("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
  EXPECT_FALSE(keeps("GET / HTTP/1.1\r\nHost: a\r\nConnection: Close\r\n\r\n"));
  EXPECT_FALSE(keeps("GET / HTTP/1.0\r\n\r\n"));
  EXPECT_TRUE(keeps("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n"));
  EXPECT_FALSE(keeps("GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, close\r\n\r\n"));
}

std::string ParseResponse(std::string bytes, std::string_view method = "GET") {
  ResponseParser parser;
  parser.Reset(method);
  const ParseStatus status = parser.Parse(bytes.data(), bytes.size());
  if (status == ParseStatus::kNeedMore) return "more";
  if (status == ParseStatus::kError) {
    EXPECT_EQ(parser.error().status, 502);
    return std::string(parser.error().reason);
  }
  const ResponseHead& head = parser.head();
  static constexpr const char* kKinds[] = {"none", "length", "chunked", "close"};
  return std::to_string(head.status) + " " + kKinds[static_cast<int>(head.body)] + " " +
         std::to_string(head.content_length) + (head.keep_alive ? " keep" : "");
}

TEST(ResponseParserTest, HostileAndOrdinaryHeads) {
  const struct {
    std::string bytes;
    const char* method;
    const char* outcome;
  } rows[] = {
      {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "GET", "200 length 5 keep"},
      {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "HEAD", "200 none 5 keep"},
      {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "GET", "200 chunked 0 keep"},
      {"HTTP/1.1 200 OK\r\n\r\n", "GET", "200 close 0"},
      {"HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n", "GET", "200 length 0 keep"},
      {"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", "GET", "200 length 0 keep"},
      {"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\n", "GET", "200 length 5"},
      {"HTTP/1.1 204 No Content\r\n\r\n", "GET", "204 none 0 keep"},
      {"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", "GET", "304 none 9 keep"},
      {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", "POST", "100 none 0 keep"},
      {"HTTP/1.1 200 OK\r\nX: \xff\r\nContent-Length: 0\r\n\r\n", "GET", "200 length 0 keep"},
      {"HTTP/1.1 200 OK\r\nContent-Le", "GET", "more"},
      {"HTTP/1.1 101 Switching\r\n\r\n", "GET", "bad_status"},
      {"HTTP/1.1 600 X\r\n\r\n", "GET", "bad_status"},
      {"HTTP/1.1 099 X\r\n\r\n", "GET", "bad_status"},
      {"HTTP/1.1 2x0 X\r\n\r\n", "GET", "bad_status_line"},
      {"HTTP/1.1 2000 X\r\n\r\n", "GET", "bad_status_line"},
      {"HTTP/1.1  200 X\r\n\r\n", "GET", "bad_status_line"},
      {"HTTP/2.0 200 X\r\n\r\n", "GET", "bad_version"},
      {"ICY 200 OK\r\n\r\n", "GET", "bad_status_line"},
      {"\r\nHTTP/1.1 200 OK\r\n\r\n", "GET", "bad_status_line"},
      {"HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n", "GET", "bare_lf"},
      {"HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n", "GET", "obs_fold"},
      {"HTTP/1.1 200 OK\r\nX : a\r\n\r\n", "GET", "bad_field_name"},
      {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n", "GET",
       "duplicate_content_length"},
      {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", "GET",
       "length_and_coding"},
      {"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", "GET", "unknown_transfer_coding"},
      {"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "GET", "coding_in_http10"},
      {"HTTP/1.1 204 X\r\nContent-Length: 5\r\n\r\n", "GET", "body_not_allowed"},
      {"HTTP/1.1 204 X\r\nTransfer-Encoding: chunked\r\n\r\n", "GET", "body_not_allowed"},
      {"HTTP/1.1 100 X\r\nContent-Length: 5\r\n\r\n", "GET", "body_not_allowed"},
      {std::string("HTTP/1.1 200 O\0K\r\n\r\n", 19), "GET", "control_byte"},
  };
  for (const auto& row : rows) {
    EXPECT_EQ(ParseResponse(row.bytes, row.method), row.outcome) << row.bytes;
  }
}

TEST(ResponseParserTest, HeadAfterInterimHead) {
  std::string bytes =
      "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\nContent-Length: 1\r\n\r\n";
  ResponseParser parser;
  parser.Reset("POST");
  ASSERT_EQ(parser.Parse(bytes.data(), bytes.size()), ParseStatus::kDone);
  const size_t used = parser.head().bytes;
  ASSERT_EQ(parser.Parse(bytes.data() + used, bytes.size() - used), ParseStatus::kDone);
  EXPECT_EQ(parser.head().status, 201);
  EXPECT_EQ(parser.head().content_length, 1u);
}

TEST(GrammarTest, GovernedPaths) {
  for (const char* fine : {"/", "/a", "/a/b", "/a/", "/a%20b", "/a/b.c", "/a/...", "/.well-known",
                           "/a..b", "/%C3%BC", "/a;b=c", "/a/~u/$x"}) {
    EXPECT_EQ(CheckGovernedPath(fine), "") << fine;
  }
  for (const char* refused :
       {"",        "a",        "/.",      "/..",   "/a/../b",     "/a/./b",  "/a/..",  "/%2e%2e/b",
        "/.%2E/b", "/a/%2e",   "//",      "/a//b", "/a%2fb",      "/a%2Fb",  "/a%5cb", "/a%5C..",
        "/a%00",   "/a%0d%0a", "/a%1f",   "/a%7f", "/a%25%32%65", "/a%252e", "/..;/b", "/..;x=1/b",
        "/.;/b",   "/%ff",     "/%c0%ae", "/a\\b", "/%zz"}) {
    EXPECT_NE(CheckGovernedPath(refused), "") << refused;
  }
}

TEST(GrammarTest, PercentDecode) {
  EXPECT_EQ(PercentDecode("a%20b+c", false), "a b+c");
  EXPECT_EQ(PercentDecode("a%20b+c", true), "a b c");
  EXPECT_EQ(PercentDecode("%", false), std::nullopt);
  EXPECT_EQ(PercentDecode("%4", false), std::nullopt);
  EXPECT_EQ(PercentDecode("%4g", false), std::nullopt);
}

}  // namespace
}  // namespace aegis::net
