#include "aegis/control/feed_hub.h"

#include <gtest/gtest.h>

#include <future>

namespace aegis::control {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

FeedHub::Content MakeContent(const std::string& text) {
  return {"\"" + text + "\"", "text/plain", std::make_shared<const std::string>(text)};
}

// Asks and keeps the answer.
class Asker {
 public:
  Asker(FeedHub& hub, const std::string& feed, const std::string& if_none_match,
        milliseconds wait) {
    hub.Serve(feed, {if_none_match, wait, "", "nothing", "nothing yet"},
              [promise = promise_](net::HttpResponse response) { promise->set_value(response); });
  }
  bool Answered() { return future_.wait_for(seconds(0)) == std::future_status::ready; }
  net::HttpResponse Answer() { return future_.get(); }

 private:
  std::shared_ptr<std::promise<net::HttpResponse>> promise_ =
      std::make_shared<std::promise<net::HttpResponse>>();
  std::future<net::HttpResponse> future_ = promise_->get_future();
};

TEST(FeedHubTest, AnswersAtOnceWhenThereIsSomethingNew) {
  FeedHub hub;
  EXPECT_EQ(Asker(hub, "f", "", seconds(0)).Answer().status, 404);
  hub.Publish("f", MakeContent("one"));
  for (const milliseconds wait : {milliseconds(0), milliseconds(60'000)}) {
    const auto fresh = Asker(hub, "f", "\"zero\"", wait).Answer();
    EXPECT_EQ(fresh.status, 200);
    EXPECT_EQ(fresh.body, "one");
    EXPECT_EQ(fresh.headers.Get("ETag"), "\"one\"");
    EXPECT_EQ(fresh.headers.Get("Content-Type"), "text/plain");
  }
  const auto same = Asker(hub, "f", "\"one\"", seconds(0)).Answer();
  EXPECT_EQ(same.status, 304);
  EXPECT_EQ(same.body, "");
}

TEST(FeedHubTest, PublishAnswersAllWhoWaitForThatFeedBeforeItReturns) {
  FeedHub hub;
  hub.Publish("f", MakeContent("one"));
  Asker first(hub, "f", "\"one\"", seconds(60)), second(hub, "f", "\"one\"", seconds(60));
  Asker other(hub, "g", "", seconds(60));
  EXPECT_EQ(hub.waiting(), 3u);
  hub.Publish("f", MakeContent("one"));
  EXPECT_FALSE(first.Answered()) << "the same content is no change";
  hub.Publish("f", MakeContent("two"));
  ASSERT_TRUE(first.Answered());
  ASSERT_TRUE(second.Answered());
  EXPECT_FALSE(other.Answered());
  EXPECT_EQ(first.Answer().body, "two");
  EXPECT_EQ(hub.waiting(), 1u);
}

TEST(FeedHubTest, AWaitWithoutAChangeEnds) {
  FeedHub hub;
  hub.Publish("f", MakeContent("one"));
  Asker late(hub, "f", "\"one\"", milliseconds(30)), missing(hub, "g", "", milliseconds(10));
  EXPECT_EQ(late.Answer().status, 304);
  EXPECT_EQ(missing.Answer().status, 404);
  EXPECT_EQ(hub.waiting(), 0u);
}

TEST(FeedHubTest, StopLetsEveryoneGo) {
  FeedHub hub;
  Asker waiting(hub, "f", "", seconds(60));
  hub.Stop();
  EXPECT_EQ(waiting.Answer().status, 503);
  EXPECT_EQ(Asker(hub, "f", "", seconds(60)).Answer().status, 503);
}

TEST(FeedHubTest, EtagsInHeaders) {
  const struct {
    const char* header;
    bool matches;
  } cases[] = {{"\"a\"", true}, {"W/\"a\"", true}, {"\"b\", \"a\"", true}, {"*", true},
               {"", false},     {"a", false},      {"\"b\"", false},       {"\"A\"", false},
               {",,,", false},  {"\"a", false}};
  for (const auto& [header, matches] : cases)
    EXPECT_EQ(EtagMatches(header, "\"a\""), matches) << header;
}

TEST(FeedHubTest, WaitsInRequests) {
  const struct {
    const char* query;
    const char* prefer;
    int seconds;  // -1: none
    bool bad;
  } cases[] = {{"", "", -1, false},
               {"wait=20", "", 20, false},
               {"wait=0", "", 0, false},
               {"wait=99999999", "", 300, false},
               {"wait=-1", "", -1, true},
               {"wait=x", "", -1, true},
               {"wait=5s", "", -1, true},
               {"", "wait=10", 10, false},
               {"", "modes=snapshot,delta;wait=10", 10, false},
               {"", "modes=snapshot,delta", -1, false},
               {"", "respond-async, WAIT=7", 7, false},
               {"", "wait=x", -1, false},
               {"wait=3", "wait=10", 3, false}};
  for (const auto& [query, prefer, wanted, bad] : cases) {
    net::HttpRequest request;
    request.query = query;
    if (*prefer) request.headers.Set("Prefer", prefer);
    bool is_bad = false;
    const auto wait = RequestedWait(request, &is_bad);
    EXPECT_EQ(wait ? wait->count() : -1, wanted) << query << " " << prefer;
    EXPECT_EQ(is_bad, bad) << query << " " << prefer;
  }
}

}  // namespace
}  // namespace aegis::control
