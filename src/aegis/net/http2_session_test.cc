#include "aegis/net/http2_session.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <functional>
#include <memory>
#include <optional>
#include <utility>

#include "aegis/net/http2_testing.h"

namespace aegis::net {
namespace {

using testing::ElementsAre;

constexpr uint32_t kProtocolError = 1;
constexpr uint32_t kFlowControlError = 3;
constexpr uint32_t kStreamClosed = 5;

const std::vector<Http2Field> kPost = {
    {":method", "POST"}, {":scheme", "http"}, {":authority", "a"}, {":path", "/p"}, {"x-a", "1"}};

// Writes down what happens to it.
class TestStream final : public Http2Stream {
 public:
  std::string events;
  bool consume = true;
  std::optional<uint32_t> gone;

  void OnHead() override {
    events += "head " + std::string(head().method()) + " " + std::string(head().path()) + ";";
  }
  void OnData(std::string_view bytes) override {
    events += "data " + std::to_string(bytes.size()) + ";";
    if (consume) Consume(bytes.size());
  }
  void OnEnd() override { events += "end;"; }
  void OnWritable() override { events += "writable;"; }
  void OnGone(uint32_t code) override { gone = code; }

  void Answer(std::string_view body) {
    SendHead(std::array{Http2Field{":status", "200"}}, false);
    SendData(body);
    SendTrailers(std::array{Http2Field{"x-end", "yes"}});
  }
};

// A session with both of its ends.
class Link final : public Http2Session::Application {
 public:
  explicit Link(const Http2Limits& given = {}, std::string_view settings = {}) : limits(given) {
    session = std::make_unique<Http2Session>(limits, *this);
    client.Preface(settings);
  }

  // Lets both sides say what they have to. False: the session has failed.
  bool Run() {
    const bool good = session->Receive(client.out);
    client.out.clear();
    std::string output;
    session->Produce(output, 1 << 20);
    client.Feed(output);
    outputs = 0;
    return good;
  }
  TestStream& stream(size_t i) { return *streams.at(i); }
  TestStream& Open(bool end) {
    client.Headers(static_cast<uint32_t>(streams.size() * 2 + 1), kPost, end);
    EXPECT_TRUE(Run());
    return *streams.back();
  }

  Http2Limits limits;
  Http2TestClient client;
  std::vector<std::unique_ptr<TestStream>> streams;
  std::unique_ptr<Http2Session> session;
  int outputs = 0;
  bool refuse = false;

 private:
  Http2Stream* NewStream() override {
    if (refuse) return nullptr;
    streams.push_back(std::make_unique<TestStream>());
    return streams.back().get();
  }
  void OnOutput() override { ++outputs; }
};

TEST(Http2SessionTest, RequestAndAnswer) {
  Link link;
  link.client.Headers(1, kPost, false);
  link.client.Data(1, "hello", true);
  ASSERT_TRUE(link.Run());
  TestStream& stream = link.stream(0);
  EXPECT_EQ(stream.events, "head POST /p;data 5;end;");
  EXPECT_EQ(stream.head().Find("x-a"), "1");
  EXPECT_EQ(stream.head().Find("x-b").data(), nullptr);
  EXPECT_EQ(stream.head().authority(), "a");
  EXPECT_EQ(link.client.settings, 1);
  EXPECT_EQ(link.client.settings_acked, 1);

  stream.Answer("world");
  EXPECT_GT(link.outputs, 0);
  ASSERT_TRUE(link.Run());
  const auto& answer = link.client.answers[1];
  EXPECT_EQ(answer.Head(":status"), "200");
  EXPECT_EQ(answer.data, "world");
  EXPECT_EQ(answer.Trailer("x-end"), "yes");
  EXPECT_TRUE(answer.ended);
  EXPECT_EQ(stream.gone, Http2Stream::kNoError);
  EXPECT_EQ(link.session->stream_count(), 0U);
}

TEST(Http2SessionTest, BytesOneByOneMeanTheSame) {
  Link link;
  link.client.Headers(1, kPost, false);
  link.client.Data(1, "hello", true);
  for (const char c : std::exchange(link.client.out, {})) {
    ASSERT_TRUE(link.session->Receive({&c, 1}));
  }
  EXPECT_EQ(link.stream(0).events, "head POST /p;data 1;data 1;data 1;data 1;data 1;end;");
}

TEST(Http2SessionTest, AnswerBeforeTheRequestIsWholeStopsTheRequest) {
  Link link;
  TestStream& stream = link.Open(false);
  stream.Answer("no");
  link.Run();
  EXPECT_TRUE(link.client.answers[1].ended);
  EXPECT_EQ(link.client.answers[1].reset, Http2Stream::kNoError);
  EXPECT_EQ(stream.gone, Http2Stream::kNoError);
}

TEST(Http2SessionTest, AnswerInPieces) {
  Link link;
  TestStream& stream = link.Open(true);
  stream.SendHead(std::array{Http2Field{":status", "200"}}, false);
  link.Run();
  EXPECT_EQ(link.client.answers[1].Head(":status"), "200");
  for (const std::string_view piece : {"a", "b", "c"}) {
    stream.SendData(piece);
    link.Run();
  }
  EXPECT_EQ(link.client.answers[1].data, "abc");
  EXPECT_FALSE(link.client.answers[1].ended);
  stream.SendTrailers({});
  link.Run();
  EXPECT_TRUE(link.client.answers[1].ended);
}

TEST(Http2SessionTest, ResetByTheClient) {
  Link link;
  TestStream& stream = link.Open(false);
  link.client.Reset(1, Http2Stream::kCancel);
  EXPECT_TRUE(link.Run());
  EXPECT_EQ(stream.gone, Http2Stream::kCancel);
  // Nothing happens to a stream that is gone.
  stream.Answer("late");
  link.Run();
  EXPECT_TRUE(link.client.answers[1].head.empty());
}

TEST(Http2SessionTest, EndOfTheSessionTellsStreams) {
  Link link;
  TestStream& stream = link.Open(false);
  link.session.reset();
  EXPECT_EQ(stream.gone, Http2Stream::kCancel);
}

TEST(Http2SessionTest, RefusedStream) {
  Link link;
  link.refuse = true;
  link.client.Headers(1, kPost, true);
  EXPECT_TRUE(link.Run());
  EXPECT_EQ(link.client.answers[1].reset, Http2Stream::kRefusedStream);
  EXPECT_FALSE(link.session->receiving_head());
}

TEST(Http2SessionTest, MoreStreamsThanAllowedAreRefused) {
  Http2Limits limits;
  limits.max_streams = 2;
  Link link(limits);
  link.client.Frame(Http2TestClient::kSettings, Http2TestClient::kAck, 0, {});
  link.Open(false);
  link.Open(false);
  link.client.Headers(5, kPost, false);
  link.Run();
  EXPECT_EQ(link.streams.size(), 2U);
  EXPECT_TRUE(!link.client.go_away_codes.empty() ||
              link.client.answers[5].reset == Http2Stream::kRefusedStream);
}

TEST(Http2SessionTest, WhatIsNotConsumedIsNotCredited) {
  Http2Limits limits;
  limits.stream_window = 64 * 1024;
  limits.connection_window = 128 * 1024;
  Link link(limits);
  link.client.Frame(Http2TestClient::kSettings, Http2TestClient::kAck, 0, {});
  link.Run();
  const uint64_t credit_before = link.client.credit;
  TestStream& stream = link.Open(false);
  stream.consume = false;
  const std::string piece(16 * 1024, 'x');
  for (int i = 0; i < 4; ++i) link.client.Data(1, piece, false);
  EXPECT_TRUE(link.Run());
  // The connection goes on for others, this stream does not.
  EXPECT_EQ(link.client.answers[1].credit, 0U);
  EXPECT_EQ(link.client.credit - credit_before, 64U * 1024);
  stream.Consume(64 * 1024);
  EXPECT_GT(link.outputs, 0);
  link.Run();
  EXPECT_EQ(link.client.answers[1].credit, 64U * 1024);
}

TEST(Http2SessionTest, MoreThanTheWindowIsAnError) {
  Http2Limits limits;
  limits.stream_window = 64 * 1024;
  Link link(limits);
  link.client.Frame(Http2TestClient::kSettings, Http2TestClient::kAck, 0, {});
  link.Run();
  link.Open(false).consume = false;
  const std::string piece(16 * 1024, 'x');
  for (int i = 0; i < 5; ++i) link.client.Data(1, piece, false);
  link.Run();
  EXPECT_TRUE(link.client.answers[1].reset == kFlowControlError ||
              !link.client.go_away_codes.empty());
  EXPECT_TRUE(link.stream(0).gone.has_value() || link.session->over());
}

TEST(Http2SessionTest, OutputWaitsForTheClientsWindow) {
  Link link;
  TestStream& stream = link.Open(true);
  stream.SendHead(std::array{Http2Field{":status", "200"}}, false);
  stream.SendData(std::string(300 * 1024, 'y'));
  EXPECT_TRUE(stream.congested());
  link.Run();
  EXPECT_EQ(link.client.answers[1].data.size(), 65'535U);
  EXPECT_EQ(stream.unsent(), 300U * 1024 - 65'535);
  EXPECT_EQ(stream.events, "head POST /p;end;");
  link.client.Credit(0, 1 << 20);
  link.client.Credit(1, 200 * 1024);
  link.Run();
  EXPECT_EQ(stream.events, "head POST /p;end;writable;");
  EXPECT_FALSE(stream.congested());
  link.client.Credit(1, 200 * 1024);
  stream.SendTrailers(std::array{Http2Field{"x-end", "yes"}});
  link.Run();
  EXPECT_EQ(link.client.answers[1].data, std::string(300 * 1024, 'y'));
  EXPECT_EQ(link.client.answers[1].Trailer("x-end"), "yes");
}

TEST(Http2SessionTest, OutputThatNobodyTakesEnds) {
  Link link({}, Http2TestClient::Setting(4, 0));  // INITIAL_WINDOW_SIZE
  TestStream& stuck = link.Open(true);
  TestStream& empty = link.Open(true);
  stuck.Answer("held");
  link.Run();
  link.session->ResetStalled(1'000, 500);
  link.session->ResetStalled(1'400, 500);
  link.Run();
  EXPECT_FALSE(stuck.gone.has_value());
  link.session->ResetStalled(1'500, 500);
  link.Run();
  EXPECT_EQ(link.client.answers[1].reset, Http2Stream::kCancel);
  EXPECT_TRUE(stuck.gone.has_value());
  EXPECT_FALSE(empty.gone.has_value());
}

TEST(Http2SessionTest, LargeStreamsTakeTurns) {
  Link link;
  link.client.Credit(0, 1 << 20);
  TestStream& first = link.Open(true);
  TestStream& second = link.Open(true);
  for (TestStream* stream : {&first, &second}) stream->Answer(std::string(60 * 1024, 'z'));
  std::string output;
  link.session->Produce(output, 50 * 1024);
  link.client.Feed(output);
  EXPECT_GT(link.client.answers[1].data.size(), 0U);
  EXPECT_GT(link.client.answers[3].data.size(), 0U);
}

TEST(Http2SessionTest, LargeHeadEndsItsStreamOnly) {
  Link link;
  std::vector<Http2Field> fields = kPost;
  const std::string value(1'000, 'v');
  for (int i = 0; i < 12; ++i) fields.push_back({"x-large", value});
  link.client.Headers(1, fields, true);  // fits
  ASSERT_TRUE(link.Run());
  EXPECT_EQ(link.stream(0).head().size(), 13U);
  link.limits.max_head_bytes = 8'000;
  link.client.Headers(3, fields, true);
  link.client.Headers(5, kPost, true);
  ASSERT_TRUE(link.Run());
  EXPECT_EQ(link.client.answers[3].reset, Http2Stream::kEnhanceYourCalm);
  EXPECT_EQ(link.stream(1).events, "");
  EXPECT_TRUE(link.stream(1).gone.has_value());
  EXPECT_EQ(link.stream(2).events, "head POST /p;end;");
}

TEST(Http2SessionTest, HeadsOfOpenStreamsHaveALimitTogether) {
  Link link;
  link.limits.max_heads_bytes = 10'000;
  std::vector<Http2Field> fields = kPost;
  const std::string value(4'000, 'v');
  fields.push_back({"x-large", value});
  for (const uint32_t id : {1, 3, 5}) link.client.Headers(id, fields, true);
  ASSERT_TRUE(link.Run());
  EXPECT_EQ(link.client.answers[5].reset, Http2Stream::kRefusedStream);
  EXPECT_EQ(link.stream(2).events, "");
  EXPECT_TRUE(link.stream(2).gone.has_value());
  // A stream that ends makes room for the next.
  link.stream(0).Answer("done");
  link.client.Headers(7, fields, true);
  ASSERT_TRUE(link.Run());
  link.client.Headers(9, fields, true);
  ASSERT_TRUE(link.Run());
  EXPECT_EQ(link.stream(3).events, "");  // came before the end of the first was said
  EXPECT_EQ(link.stream(4).events, "head POST /p;end;");
  EXPECT_FALSE(link.session->over());
}

TEST(Http2SessionTest, NoMoreStreamsThanWereOffered) {
  Link link;
  link.limits.max_heads_bytes = 64 << 20;
  const auto open = [&link](uint32_t first, uint32_t count) {
    for (uint32_t i = 0; i < count; ++i) link.client.Headers(first + 2 * i, kPost, true);
    link.Run();
  };
  open(1, 300);  // before the client has seen how many it may have
  EXPECT_EQ(link.session->stream_count(), 256U);
  EXPECT_EQ(link.client.answers[2 * 256 + 1].reset, Http2Stream::kRefusedStream);
  EXPECT_FALSE(link.session->over());
}

TEST(Http2HeadTest, LargeHeadDoesNotKeepItsMemory) {
  Http2Head head;
  head.Add("x-usual", std::string(1'000, 'v'));
  head.Clear();
  EXPECT_GE(head.capacity(), 1'000U);
  head.Add("x-large", std::string(30'000, 'v'));
  head.Clear();
  EXPECT_LT(head.capacity(), 100U);
}

TEST(Http2SessionTest, TrailersOfARequestCountAndAreDropped) {
  Link link;
  link.Open(false);
  link.client.Headers(1, {{"x-trailer", "t"}}, true);
  ASSERT_TRUE(link.Run());
  EXPECT_EQ(link.stream(0).events, "head POST /p;end;");
  EXPECT_EQ(link.stream(0).head().Find("x-trailer").data(), nullptr);
  link.limits.max_head_bytes = 200;
  link.Open(false);
  link.client.Headers(3, {{"x-trailer", std::string(200, 't')}}, true);
  ASSERT_TRUE(link.Run());
  EXPECT_EQ(link.client.answers[3].reset, Http2Stream::kEnhanceYourCalm);
}

TEST(Http2SessionTest, MalformedHeadsEndTheirStreams) {
  const Http2Field method = {":method", "POST"};
  const Http2Field scheme = {":scheme", "http"};
  const Http2Field authority = {":authority", "a"};
  const Http2Field path = {":path", "/"};
  const std::vector<std::vector<Http2Field>> heads = {
      {method, scheme, authority},                      // no path
      {method, scheme, path},                           // no authority and no host
      {method, authority, path},                        // no scheme
      {method, scheme, authority, {":path", ""}},       // an empty one
      {method, scheme, authority, path, path},          // two
      {method, scheme, authority, path, {"X-A", "1"}},  // upper case
      {method, scheme, authority, path, {"connection", "close"}},
      {method, scheme, authority, path, {"te", "gzip"}},
      {method, scheme, authority, path, {":status", "200"}},
      {method, scheme, authority, path, {":other", "x"}},
      {method, scheme, authority, {"x-a", "1"}, path},  // behind a field
      {method, scheme, authority, path, {"x-a", "a\r\nb: c"}},
      {method, scheme, authority, path, {"content-length", "x"}},
  };
  for (size_t i = 0; i < heads.size(); ++i) {
    Link link;
    link.client.Headers(1, heads[i], true);
    link.client.Headers(3, kPost, true);
    link.Run();
    ASSERT_EQ(link.streams.size(), 2U) << i;
    EXPECT_EQ(link.stream(0).events, "") << i;
    EXPECT_EQ(link.client.answers[1].reset, kProtocolError) << i;
    EXPECT_EQ(link.stream(1).events, "head POST /p;end;") << i;
  }
}

TEST(Http2SessionTest, ContentLengthMustBeTrue) {
  Link link;
  auto fields = kPost;
  fields.push_back({"content-length", "3"});
  link.client.Headers(1, fields, false);
  link.client.Data(1, "four", true);
  link.Run();
  EXPECT_EQ(link.client.answers[1].reset, kProtocolError);
  EXPECT_EQ(link.stream(0).events.find("end"), std::string::npos);
}

TEST(Http2SessionTest, ManyFaultsEndTheConnection) {
  Link link;
  for (uint32_t i = 0; i < 200; ++i) {
    link.client.Headers(2 * i + 1, {{":method", "POST"}}, true);
  }
  link.Run();
  EXPECT_THAT(link.client.go_away_codes, testing::Contains(Http2Stream::kEnhanceYourCalm));
  EXPECT_TRUE(link.session->over());
}

TEST(Http2SessionTest, HeadInTooManyFramesEndsTheConnection) {
  Link link;
  link.client.Frame(Http2TestClient::kHeaders, 0, 1, Http2TestClient::Block(kPost));
  link.Run();
  EXPECT_TRUE(link.session->receiving_head());
  for (int i = 0; i < 20; ++i) {
    link.client.Frame(Http2TestClient::kContinuation, 0, 1, Http2TestClient::Block({{"a", "b"}}));
  }
  EXPECT_FALSE(link.Run());
  EXPECT_TRUE(link.session->over());
  EXPECT_EQ(link.stream(0).events, "");
}

TEST(Http2SessionTest, FloodsEndTheConnection) {
  const std::vector<std::pair<std::string, std::function<void(Http2TestClient&, uint32_t)>>>
      floods = {
          {"ping", [](auto& client, uint32_t) { client.Frame(client.kPing, 0, 0, "12345678"); }},
          {"settings", [](auto& client, uint32_t) { client.Frame(client.kSettings, 0, 0, {}); }},
          {"window of a stream", [](auto& client, uint32_t) { client.Credit(1, 1); }},
          {"window", [](auto& client, uint32_t) { client.Credit(0, 1); }},
          {"empty data", [](auto& client, uint32_t) { client.Data(1, {}, false); }},
          {"reset",
           [](auto& client, uint32_t i) {
             client.Headers(2 * i + 3, kPost, false);
             client.Reset(2 * i + 3, Http2Stream::kCancel);
           }},
      };
  for (const auto& [name, flood] : floods) {
    Link link;
    link.Open(false);
    bool over = false;
    for (uint32_t i = 0; i < 4'000 && !over; ++i) {
      flood(link.client, i);
      // The client takes all answers, so nothing piles up.
      if (i % 50 == 49) {
        link.Run();
        over = link.session->over();
      }
    }
    EXPECT_TRUE(over) << name;
    EXPECT_FALSE(link.client.go_away_codes.empty()) << name;
  }
}

// Calls that are given up together, or streams that get a larger window each, are no flood.
TEST(Http2SessionTest, ManyStreamsMayBeCreditedAndResetAtOnce) {
  Http2Limits limits;
  limits.max_streams = 1'500;
  Link link(limits);
  const auto each = [&](const std::function<void(uint32_t)>& act) {
    for (uint32_t i = 0; i < limits.max_streams; ++i) act(2 * i + 1);
    ASSERT_TRUE(link.Run());
    EXPECT_FALSE(link.session->over());
  };
  each([&](uint32_t id) { link.client.Headers(id, kPost, true); });
  each([&](uint32_t id) { link.client.Credit(id, 1); });
  each([&](uint32_t id) { link.client.Reset(id, Http2Stream::kCancel); });
  EXPECT_EQ(link.session->stream_count(), 0U);
  // What was over already is no excuse.
  for (uint32_t i = 0; i < limits.max_streams; ++i) link.client.Reset(1, Http2Stream::kCancel);
  link.Run();
  EXPECT_TRUE(link.session->over());
}

TEST(Http2SessionTest, PingsBetweenRequestsAreFine) {
  Link link;
  for (uint32_t i = 0; i < 3'000; ++i) {
    link.client.Frame(Http2TestClient::kPing, 0, 0, "12345678");
    if (i % 500 == 0) link.Open(true).Answer("ok");
    ASSERT_TRUE(link.Run());
  }
  EXPECT_EQ(link.client.pings_acked, 3'000);
  EXPECT_FALSE(link.session->over());
}

TEST(Http2SessionTest, NoHttp2AtAll) {
  for (const std::string_view bytes : {"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
                                       "\x16\x03\x01\x02\x00\x01", "PRI * HTTP/2.0\r\n\r\nXX"}) {
    Link link;
    link.client.out = bytes;
    EXPECT_FALSE(link.Run());
    EXPECT_TRUE(link.session->over());
    EXPECT_TRUE(link.streams.empty());
  }
}

TEST(Http2SessionTest, FramesOutOfPlaceEndTheConnection) {
  using Client = Http2TestClient;
  const std::vector<std::function<void(Client&)>> cases = {
      [](Client& c) { c.Data(0, "x", false); },
      [](Client& c) { c.Data(7, "x", false); },  // idle stream
      [](Client& c) { c.Headers(2, kPost, true); },
      [](Client& c) { c.Frame(Client::kContinuation, 4, 1, {}); },
      [](Client& c) { c.Frame(Client::kPing, 0, 0, "short"); },
      [](Client& c) { c.Frame(Client::kPing, 0, 1, "12345678"); },
      [](Client& c) { c.Frame(Client::kSettings, 0, 0, "12345"); },
      [](Client& c) { c.Frame(Client::kSettings, 0, 0, Client::Setting(5, 1)); },
      [](Client& c) { c.Frame(Client::kPushPromise, 4, 1, Client::Number(2)); },
      [](Client& c) { c.Frame(Client::kReset, 0, 9, Client::Number(8)); },
      [](Client& c) { c.Credit(0, 0x7FFFFFFF); },
      [](Client& c) { c.Frame(Client::kHeaders, 4, 3, "\xFF\xFF\xFF\xFF\xFF\xFF"); },
      [](Client& c) { c.Frame(Client::kData, 0, 1, std::string(20'000, 'x')); },
      [](Client& c) {
        c.Frame(Client::kHeaders, 0, 3, Client::Block(kPost));
        c.Data(1, "x", false);
      },
  };
  for (size_t i = 0; i < cases.size(); ++i) {
    Link link;
    link.Open(false);
    cases[i](link.client);
    link.Run();
    EXPECT_TRUE(link.session->over() || link.stream(0).gone.has_value()) << i;
    EXPECT_FALSE(link.client.go_away_codes.empty() && !link.client.answers[1].reset) << i;
  }
}

TEST(Http2SessionTest, DataAfterTheEndIsRefused) {
  Link link;
  link.Open(true);
  link.client.Data(1, "more", false);
  link.Run();
  EXPECT_TRUE(link.client.answers[1].reset == kStreamClosed || !link.client.go_away_codes.empty());
  EXPECT_EQ(link.stream(0).events, "head POST /p;end;");
}

TEST(Http2SessionTest, DrainLetsRunningStreamsEnd) {
  Link link;
  TestStream& stream = link.Open(true);
  link.session->BeginDrain();
  EXPECT_GT(link.outputs, 0);
  link.Run();
  EXPECT_THAT(link.client.go_away_streams, ElementsAre(0x7FFFFFFF));
  EXPECT_EQ(link.client.pings, 1);
  // On its way when the client heard of it: still answered.
  TestStream& late = link.Open(true);
  link.client.Frame(Http2TestClient::kPing, Http2TestClient::kAck, 0, std::string(8, '\0'));
  link.Run();
  EXPECT_THAT(link.client.go_away_streams, ElementsAre(0x7FFFFFFF, 3));
  EXPECT_THAT(link.client.go_away_codes, ElementsAre(0, 0));
  link.client.Headers(5, kPost, true);
  link.Run();
  EXPECT_EQ(link.streams.size(), 2U);
  stream.Answer("one");
  late.Answer("two");
  EXPECT_FALSE(link.session->over());
  link.Run();
  EXPECT_TRUE(link.client.answers[1].ended);
  EXPECT_TRUE(link.client.answers[3].ended);
  EXPECT_TRUE(link.session->over());
}

}  // namespace
}  // namespace aegis::net
