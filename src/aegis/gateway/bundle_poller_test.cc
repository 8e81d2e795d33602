// Polling a bundle server: how it is asked, and that nothing it answers harms.
#include "aegis/gateway/bundle_poller.h"

#include <gtest/gtest.h>

#include <deque>
#include <filesystem>

#include "aegis/gateway/gateway_testing.h"
#include "aegis/net/http_server.h"

namespace aegis::gateway {
namespace {

using testing::MakeBundle;

// Answers each request with the next of the given answers, the last one again and again.
class Server {
 public:
  struct Answer {
    int status = 200;
    std::string body;
    std::string etag;
    std::string content_type = "application/gzip";
  };

  explicit Server(std::deque<Answer> answers) : answers_(std::move(answers)) {
    server_ = *net::HttpServer::Start({}, [this](net::HttpRequest request, net::Responder respond) {
      net::HttpResponse response;
      {
        const std::lock_guard lock(mutex_);
        requests_.push_back(std::move(request));
        const Answer answer = answers_.front();
        if (answers_.size() > 1) answers_.pop_front();
        response.status = answer.status;
        if (!answer.etag.empty()) response.headers.Set("ETag", answer.etag);
        response.headers.Set("Content-Type", answer.content_type);
        response.body = answer.body;
      }
      respond(std::move(response));
    });
  }
  std::string url() const { return "http://" + server_->address(); }
  std::vector<net::HttpRequest> requests() const {
    const std::lock_guard lock(mutex_);
    return requests_;
  }

 private:
  mutable std::mutex mutex_;
  std::deque<Answer> answers_;
  std::vector<net::HttpRequest> requests_;
  std::unique_ptr<net::HttpServer> server_;
};

class BundlePollerTest : public ::testing::Test {
 protected:
  BundlePollerTest()
      : metrics_(MetricsOptions(1, "0", "")),
        folder_(std::filesystem::temp_directory_path() /
                ("aegis-poller-test-" + std::to_string(::getpid()))) {
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directories(folder_);
    source_.resource = "bundles/t.tar.gz?channel=stable";
    source_.min_delay = source_.max_delay = std::chrono::milliseconds(1);
  }
  ~BundlePollerTest() override {
    poller_.reset();
    std::filesystem::remove_all(folder_);
  }

  void Poll(const std::string& url) {
    poller_.reset();
    source_.url = url;
    poller_ = std::make_unique<BundlePoller>(
        source_, BundlePoller::Options{"default", folder_, nullptr, &metrics_},
        [this](std::shared_ptr<const decision::Snapshot> snapshot) {
          const std::lock_guard lock(mutex_);
          revisions_.push_back(snapshot->policy_version());
        });
    poller_->Start();
  }
  void Eventually(const std::function<bool()>& condition) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (!condition()) {
      ASSERT_LT(std::chrono::steady_clock::now(), deadline) << poller_->status().error;
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  }
  void EventuallyError(const std::string& reason) {
    Eventually([&] { return poller_->status().error.find(reason) != std::string::npos; });
  }
  std::vector<std::string> revisions() {
    const std::lock_guard lock(mutex_);
    return revisions_;
  }

  telemetry::Metrics metrics_;
  std::string folder_;
  BundleSource source_;
  std::mutex mutex_;
  std::vector<std::string> revisions_;
  std::unique_ptr<BundlePoller> poller_;
};

constexpr const char* kLongPoll = "application/vnd.openpolicyagent.bundles";

TEST_F(BundlePollerTest, AsksAsOpaDoes) {
  source_.bearer_token = []() -> Result<std::string> { return std::string("s3cret"); };
  source_.long_polling_timeout = 7;
  Server server({{200, MakeBundle("1", nullptr, 1), "\"e1\""}, {304, "", "\"e1\""}});
  Poll(server.url() + "/base/");
  Eventually([&] { return server.requests().size() >= 3; });
  const auto requests = server.requests();
  EXPECT_EQ(requests[0].path, "/base/bundles/t.tar.gz");
  EXPECT_EQ(requests[0].query, "channel=stable");
  EXPECT_EQ(requests[0].headers.Get("Authorization"), "Bearer s3cret");
  EXPECT_EQ(requests[0].headers.Get("If-None-Match"), "");
  EXPECT_EQ(requests[0].headers.Get("Prefer"), "modes=snapshot,delta;wait=7");
  // The answer's type says that the server does not hold polls.
  EXPECT_EQ(requests[1].headers.Get("If-None-Match"), "\"e1\"");
  EXPECT_EQ(requests[1].headers.Get("Prefer"), "modes=snapshot,delta");
  EXPECT_FALSE(poller_->status().long_polling);
  EXPECT_EQ(poller_->status().source, server.url() + "/base/bundles/t.tar.gz");
  EXPECT_EQ(revisions(), std::vector<std::string>{"1"});
  EXPECT_EQ(metrics_.policy_reloads_ok.value(), 1u);
}

TEST_F(BundlePollerTest, LongPollingGoesOnWhileTheServerDoesIt) {
  source_.long_polling_timeout = 1;
  Server server({{200, MakeBundle("1", nullptr, 1), "\"e1\"", kLongPoll},
                 {200, MakeBundle("2", nullptr, 1), "\"e2\"", kLongPoll},
                 {304, "", "\"e2\"", kLongPoll}});
  Poll(server.url());
  Eventually([&] { return server.requests().size() >= 3; });
  for (const auto& request : server.requests()) {
    EXPECT_EQ(request.headers.Get("Prefer"), "modes=snapshot,delta;wait=1");
  }
  EXPECT_EQ(revisions(), (std::vector<std::string>{"1", "2"}));
  EXPECT_TRUE(poller_->status().long_polling);
}

TEST_F(BundlePollerTest, ServersThatClaimToHoldPollsAreNotAskedWithoutEnd) {
  source_.long_polling_timeout = 30;
  Server server({{200, MakeBundle("1", nullptr, 1), "", kLongPoll}});  // always, at once
  const auto begin = std::chrono::steady_clock::now();
  Poll(server.url());
  Eventually([&] { return server.requests().size() >= 3; });
  EXPECT_GE(std::chrono::steady_clock::now() - begin, std::chrono::milliseconds(1000));
  EXPECT_EQ(revisions(), std::vector<std::string>{"1"}) << "the same is not loaded again";
}

TEST_F(BundlePollerTest, WhatIsRefusedStaysOutAndIsNotLoadedAgain) {
  const std::string bad = MakeBundle("1", nullptr, 1).substr(0, 500);
  Server server({{200, MakeBundle("5", nullptr, 1), "\"good\""},
                 {200, bad, "\"bad\""},
                 {200, bad, "\"bad\""},
                 {200, bad, "\"bad\""},
                 {200, MakeBundle("6", nullptr, 1), "\"next\""},
                 {304, "", "\"next\""}});
  Poll(server.url());
  EventuallyError("bundle_malformed");
  Eventually([&] { return revisions().size() == 2; });
  EXPECT_EQ(revisions(), (std::vector<std::string>{"5", "6"}));
  EXPECT_EQ(metrics_.policy_reloads_failed.value(), 1u);
  EXPECT_EQ(metrics_.policy_fetch_failures.value(), 3u);
  Eventually([&] { return poller_->status().error.empty(); });
  // A delta would be made against the ETag, so the refused one is not named.
  for (const auto& request : server.requests()) {
    EXPECT_EQ(request.headers.Get("If-None-Match").find("bad"), std::string_view::npos);
  }
}

TEST_F(BundlePollerTest, SignedSourcesTellTheServerWhatWasRefused) {
  const rego::BundleSigner signer{*crypto::SigningKey::Generate(crypto::Algorithm::kEs256),
                                  "payments"};
  source_.verifier.emplace();
  source_.verifier->scope = "payments";
  ASSERT_TRUE(source_.verifier->keys.Add(signer.key.verification_key()).has_value());
  Server server({{200, MakeBundle("5", &signer, 1), "\"good\""},
                 {200, MakeBundle("6", nullptr, 1), "\"bad\""},
                 {304, "", "\"bad\""},
                 {304, "", "\"bad\""},
                 {304, "", "\"good\""}});
  Poll(server.url());
  EventuallyError("bundle_unsigned");
  Eventually([&] { return server.requests().size() >= 3; });
  EXPECT_EQ(server.requests()[2].headers.Get("If-None-Match"), "\"good\", \"bad\"");
  EXPECT_EQ(server.requests()[2].headers.Get("Prefer"), "modes=snapshot");
  Eventually([&] { return poller_->status().error.empty(); });
  EXPECT_EQ(revisions(), std::vector<std::string>{"5"});
}

TEST_F(BundlePollerTest, DeltasAreTakenAndElseAskedForAsAWhole) {
  const auto delta = [](const char* revision, const char* path) {
    return *rego::WriteBundle(
        std::vector<rego::BundleFile>{
            {".manifest", std::string(R"({"roots":["aegis"],"revision":")") + revision + "\"}"},
            {"patch.json",
             std::string(R"({"data":[{"op":"upsert","path":")") + path + R"(","value":1}]})"}},
        nullptr);
  };
  Server server({{200, MakeBundle("1", nullptr, 1), "\"e1\""},
                 {200, delta("2", "/aegis/extra"), "\"e2\""},
                 {200, delta("3", "/elsewhere"), "\"e3\""},
                 {200, MakeBundle("3", nullptr, 1), "\"e3\""},
                 {304, "", "\"e3\""}});
  Poll(server.url());
  Eventually([&] { return revisions().size() == 3; });
  EXPECT_EQ(revisions(), (std::vector<std::string>{"1", "2", "3"}));
  EXPECT_EQ(server.requests()[2].headers.Get("If-None-Match"), "\"e2\"");
  EXPECT_EQ(server.requests()[3].headers.Get("If-None-Match"), "") << "a whole one, please";
}

TEST_F(BundlePollerTest, HostileServers) {
  source_.limits.max_archive_bytes = 1 << 20;
  source_.limits.max_file_bytes = 4 << 20;
  source_.limits.max_total_bytes = 8 << 20;
  Server first({{200, MakeBundle("5", nullptr, 1), "\"good\""}});
  Poll(first.url());
  Eventually([&] { return revisions().size() == 1; });

  const std::string bundle = MakeBundle("6", nullptr, 1);
  const std::string bomb = *rego::WriteBundle(
      std::vector<rego::BundleFile>{{"data.json", std::string(20u << 20, ' ')}}, nullptr);
  ASSERT_LT(bomb.size(), 1u << 20);
  const struct {
    std::string head, body;
    const char* error;
  } rows[] = {
      // Dies in the middle of a download, or before.
      {"HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(bundle.size()) + "\r\n\r\n",
       bundle.substr(0, bundle.size() / 2), "bad_response"},
      {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "ffff\r\nabc", "bad_response"},
      {"HTTP/1.1 200 OK\r\n\r\n", bundle.substr(0, bundle.size() / 2), "bundle_malformed"},
      {"", "", "bad_response"},
      {"SSH-2.0-OpenSSH_9.2\r\n\r\n", "", "bad_response"},
      {"HTTP/1.1 302 Found\r\nLocation: http://elsewhere/\r\nContent-Length: 0\r\n\r\n", "",
       "HTTP 302"},
      {"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n", "", "HTTP 401"},
      // More than is allowed, announced or not, packed or unpacked.
      {"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n", "x", "response_too_large"},
      {"HTTP/1.1 200 OK\r\n\r\n", std::string((1u << 20) + 1, 'x'), "response_too_large"},
      {"HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(bomb.size()) + "\r\n\r\n", bomb,
       "bundle_too_large"},
  };
  for (const auto& row : rows) {
    testing::ScriptedTool server([&](testing::Socket& socket, int) {
      socket.ReceiveUntil("\r\n\r\n");
      socket.Send(row.head);
      socket.Send(row.body);
    });
    Poll(server.url());
    EventuallyError(row.error);
    EXPECT_EQ(poller_->status().revision, "5") << "the last good one, from disk";
    EXPECT_TRUE(poller_->status().from_cache);
    poller_.reset();
  }
  for (const auto& revision : revisions()) EXPECT_EQ(revision, "5");
}

TEST_F(BundlePollerTest, SecretsThatCannotBeReadAreAnError) {
  Server server({{200, MakeBundle("1", nullptr, 1), ""}});
  source_.bearer_token = []() -> Result<std::string> {
    return Fail(Code::kNotFound, "not_found", "no token file");
  };
  Poll(server.url());
  EventuallyError("no token file");
  poller_.reset();
  EXPECT_TRUE(server.requests().empty());
}

}  // namespace
}  // namespace aegis::gateway
