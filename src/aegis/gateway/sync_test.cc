// Staying in step with a control plane, and what the admin port says of it.
#include "aegis/gateway/sync.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <map>

#include "aegis/gateway/admin.h"
#include "aegis/gateway/gateway_testing.h"
#include "aegis/gateway/settings.h"
#include "aegis/net/http_client.h"
#include "aegis/net/http_server.h"

namespace aegis::gateway {
namespace {

using testing::FakeJournal;
using testing::MakeBundle;
using testing::Socket;
using testing::StatusOf;

// Serves three resources with ETags and holds polls until they change.
class FakeControl {
 public:
  FakeControl() {
    auto server =
        net::HttpServer::Start({}, [this](net::HttpRequest request, net::Responder respond) {
          Serve(std::move(request), std::move(respond));
        });
    server_ = *std::move(server);
  }
  ~FakeControl() { server_.reset(); }

  void Set(const std::string& path, std::string body) {
    std::vector<Waiting> wake;
    {
      std::lock_guard lock(mutex_);
      contents_[path] = {std::move(body), "\"" + std::to_string(++etag_) + "\""};
      std::swap(wake, waiting_);
    }
    for (Waiting& item : wake) Serve(std::move(item.request), std::move(item.respond));
  }
  std::string url() const { return "http://" + server_->address(); }
  int unauthorized() const { return unauthorized_; }

 private:
  struct Content {
    std::string body, etag;
  };
  struct Waiting {
    net::HttpRequest request;
    net::Responder respond;
  };

  void Serve(net::HttpRequest request, net::Responder respond) {
    if (request.headers.Get("Authorization") != "Bearer gateway-key") ++unauthorized_;
    net::HttpResponse response;
    {
      std::lock_guard lock(mutex_);
      const auto found = contents_.find(request.path);
      if (found == contents_.end()) {
        response.status = 404;
      } else {
        response.headers.Set("ETag", found->second.etag);
        response.headers.Set("Content-Type", "application/vnd.openpolicyagent.bundles");
        if (request.headers.Get("If-None-Match").find(found->second.etag) !=
            std::string_view::npos) {
          if (!request.QueryParam("wait").empty() ||
              request.headers.Get("Prefer").find("wait=") != std::string_view::npos) {
            waiting_.push_back({std::move(request), std::move(respond)});
            return;
          }
          response.status = 304;
        } else {
          response.body = found->second.body;
        }
      }
    }
    respond(std::move(response));
  }

  std::mutex mutex_;
  std::map<std::string, Content> contents_;
  std::vector<Waiting> waiting_;
  int etag_ = 0;
  std::atomic<int> unauthorized_{0};
  std::unique_ptr<net::HttpServer> server_;
};

class SyncTest : public ::testing::Test {
 protected:
  SyncTest()
      : token_key_(*crypto::SigningKey::Generate(crypto::Algorithm::kEd25519)),
        signer_{*crypto::SigningKey::Generate(crypto::Algorithm::kEs256), "default"},
        metrics_(MetricsOptions(1, "0", "")),
        folder_(std::filesystem::temp_directory_path() /
                ("aegis-sync-test-" + std::to_string(::getpid()))) {
    std::filesystem::remove_all(folder_);
    StartGateway();
  }
  ~SyncTest() override {
    sync_.reset();
    gateway_->Stop();
    std::filesystem::remove_all(folder_);
  }

  void StartGateway() {
    Gateway::Options options;
    options.listeners = {{.address = "127.0.0.1:0"}};
    options.producer = "sync-test";
    options.journal = &journal_;
    options.metrics = &metrics_;
    gateway_ = *Gateway::Start(options);
  }

  void StartSync(const std::string& url) {
    Sync::Options options;
    options.control_url = url;
    options.gateway_key = "gateway-key";
    options.cache_folder = folder_;
    options.token_issuer = "aegis";
    options.metrics = &metrics_;
    EXPECT_TRUE(options.bundle_keys.Add(signer_.key.verification_key()).has_value());
    sync_ = *Sync::Start(options, *gateway_);
  }

  void PublishAll() {
    crypto::KeySet keys;
    EXPECT_TRUE(keys.Add(token_key_.verification_key()).has_value());
    control_.Set("/.well-known/jwks.json", keys.ToJwks());
    control_.Set("/v1/gateway/settings", Settings("1", "active"));
    control_.Set("/v1/bundles/default", MakeBundle("7", &signer_, 5000));
  }

  static std::string Settings(const std::string& revision, const std::string& status,
                              const std::string& jtis = "", const std::string& blocked = "") {
    return R"({"org":"acme","tenant":"default","revision":)" + revision +
           R"(,"tools":[{"name":"payments","base_url":"http://127.0.0.1:1"}],
           "agents":[{"name":"finance-agent","labels":{"team":"x"},"status":")" +
           status + R"("}],"revoked":{"epoch":1,"jtis":[)" + jtis +
           R"(]},"blocked":{"names":[],"sources":[)" + blocked + "]}}";
  }

  // What the SDK door says of a payment: "allow", "deny condition_failed", or the status.
  std::string Ask(int amount) {
    identity::TokenRequest request;
    request.org = "acme";
    request.tenant = "default";
    request.agent = "finance-agent";
    request.issued_at = Clock::System().UnixSeconds();
    request.lifetime = 600;
    request.token_id = "the-token";
    const identity::TokenIssuer issuer(token_key_, "aegis", "aegis-gateway");
    const std::string body = R"({"tool":"payments","action":"create_payment","params":{"amount":)" +
                             std::to_string(amount) + "}}";
    Socket client(gateway_->addresses()[0]);
    client.Send("POST /v1/decisions HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer " +
                issuer.Issue(request)->token +
                "\r\nContent-Type: application/json\r\nContent-Length: " +
                std::to_string(body.size()) + "\r\n\r\n" + body);
    const std::string answer = client.ReceiveAnswer();
    if (StatusOf(answer) != 200) return std::to_string(StatusOf(answer));
    return answer.find(R"("outcome":"allow")") != std::string::npos ? "allow" : "deny";
  }

  void Eventually(const std::function<bool()>& condition) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (!condition()) {
      ASSERT_LT(std::chrono::steady_clock::now(), deadline)
          << sync_->status().settings.error << "; " << sync_->status().bundle.error;
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
  }

  crypto::SigningKey token_key_;
  rego::BundleSigner signer_;
  telemetry::Metrics metrics_;
  std::string folder_;
  FakeJournal journal_;
  FakeControl control_;
  std::unique_ptr<Gateway> gateway_;
  std::unique_ptr<Sync> sync_;
};

TEST_F(SyncTest, FollowsTheControlPlane) {
  StartSync(control_.url());
  EXPECT_EQ(Ask(10), "503") << "nothing is known yet";
  PublishAll();
  Eventually([&] { return Ask(10) == "allow"; });
  EXPECT_EQ(Ask(9000), "deny");
  EXPECT_EQ(gateway_->NotReadyBecause(), "");
  EXPECT_EQ(control_.unauthorized(), 0);

  const auto begin = std::chrono::steady_clock::now();
  control_.Set("/v1/bundles/default", MakeBundle("8", &signer_, 10'000));
  Eventually([&] { return Ask(9000) == "allow"; });
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(1));

  control_.Set("/v1/gateway/settings", Settings("2", "suspended"));
  Eventually([&] { return Ask(10) == "403"; });
  control_.Set("/v1/gateway/settings", Settings("3", "active"));
  Eventually([&] { return Ask(10) == "allow"; });
  control_.Set("/v1/gateway/settings", Settings("3", "active", "", R"("127.0.0.1")"));
  Eventually([&] { return Ask(10) == "403"; });
  control_.Set("/v1/gateway/settings", Settings("3", "active", "", R"("127.0.0.2")"));
  Eventually([&] { return Ask(10) == "allow"; });
  control_.Set("/v1/gateway/settings", Settings("4", "active", "\"the-token\""));
  Eventually([&] { return Ask(10) == "401"; });
}

TEST_F(SyncTest, BadContentsAreRefusedAndTheGoodOnesStay) {
  PublishAll();
  StartSync(control_.url());
  Eventually([&] { return Ask(10) == "allow"; });

  const auto refused = [&](const std::string& bundle, const std::string& why) {
    const uint64_t before = metrics_.policy_reloads_failed.value();
    control_.Set("/v1/bundles/default", bundle);
    Eventually([&] {
      return metrics_.policy_reloads_failed.value() > before &&
             sync_->status().bundle.error.find(why) != std::string::npos;
    });
    EXPECT_EQ(Ask(10), "allow");
    EXPECT_EQ(Ask(9000), "deny");
    EXPECT_EQ(sync_->status().bundle.version, "7");
  };
  refused("garbage", "bundle");
  refused(MakeBundle("8", nullptr, 10'000), "bundle_unsigned");
  const rego::BundleSigner stranger{*crypto::SigningKey::Generate(crypto::Algorithm::kEs256),
                                    "default"};
  refused(MakeBundle("9", &stranger, 10'000), "bundle_signature");
  rego::BundleSigner other_tenant = signer_;
  other_tenant.scope = "other";
  refused(MakeBundle("9", &other_tenant, 10'000), "bundle_signature");
  refused(MakeBundle("6", &signer_, 10'000), "bundle_older");
  EXPECT_GE(metrics_.policy_reloads_failed.value(), 5u);

  for (const char* settings : {"", "{}", "[]", R"({"org":"acme","tenant":"other","revision":9,
           "tools":[],"agents":[],"revoked":{"epoch":1,"jtis":[]}})"}) {
    control_.Set("/v1/gateway/settings", settings);
    Eventually([&] { return !sync_->status().settings.error.empty(); });
    EXPECT_EQ(Ask(10), "allow");
  }
  control_.Set("/v1/gateway/settings", Settings("9", "active"));
  control_.Set("/v1/bundles/default", MakeBundle("10", &signer_, 10'000));
  Eventually([&] { return Ask(9000) == "allow"; });
  Eventually([&] { return sync_->status().settings.error.empty(); });
}

TEST_F(SyncTest, StartsFromTheLastGoodCopies) {
  PublishAll();
  StartSync(control_.url());
  Eventually([&] { return Ask(10) == "allow"; });
  control_.Set("/v1/bundles/default", "garbage");
  Eventually([&] { return !sync_->status().bundle.error.empty(); });
  sync_.reset();
  gateway_->Stop();
  StartGateway();
  StartSync("http://127.0.0.1:1");  // nobody is there
  Eventually([&] { return Ask(10) == "allow"; });
  EXPECT_EQ(Ask(9000), "deny");
  EXPECT_TRUE(sync_->status().bundle.from_cache);
  EXPECT_EQ(sync_->status().bundle.version, "7");

  // A copy that was changed on disk is not believed.
  sync_.reset();
  gateway_->Stop();
  std::string bundle = *ReadFile(folder_ + "/bundle.tar.gz");
  bundle[bundle.size() / 2] = static_cast<char>(bundle[bundle.size() / 2] ^ 1);
  ASSERT_TRUE(WriteFileAtomic(folder_ + "/bundle.tar.gz", bundle).has_value());
  StartGateway();
  StartSync("http://127.0.0.1:1");
  Eventually([&] { return Ask(10) != "503"; });
  EXPECT_EQ(Ask(10), "deny");
}

TEST_F(SyncTest, AdminPort) {
  AdminServer::Options options;
  options.address = "127.0.0.1:0";
  options.version = "1.2.3";
  {
    auto admin = *AdminServer::Start(options, *gateway_);
    const auto get = [&](const std::string& path, const std::string& method = "GET") {
      net::HttpRequest request;
      request.method = method;
      request.path = path;
      return *net::HttpClient().Send("http://" + admin->address(), request, 5000);
    };
    EXPECT_EQ(get("/healthz").status, 200);
    EXPECT_EQ(get("/readyz").status, 503);
    EXPECT_EQ(get("/nowhere").status, 404);
    EXPECT_EQ(get("/config", "POST").status, 405);
  }
  PublishAll();
  StartSync(control_.url());
  Eventually([&] { return gateway_->NotReadyBecause().empty(); });
  options.sync = sync_.get();
  auto admin = *AdminServer::Start(options, *gateway_);
  const auto get = [&](const std::string& path) {
    net::HttpRequest request;
    request.path = path;
    return *net::HttpClient().Send("http://" + admin->address(), request, 5000);
  };
  EXPECT_EQ(get("/readyz").status, 200);
  const std::string config = get("/config").body;
  EXPECT_NE(config.find(R"("mode":"enforce")"), std::string::npos) << config;
  EXPECT_NE(config.find(R"("policy_version":"7")"), std::string::npos) << config;
  EXPECT_NE(config.find(R"("payments":{"base_url":"http://127.0.0.1:1"})"), std::string::npos)
      << config;
  EXPECT_EQ(config.find("gateway-key"), std::string::npos);
  Ask(9000);
  const std::string metrics = get("/metrics").body;
  EXPECT_NE(metrics.find("condition_failed"), std::string::npos) << metrics;
}

TEST(SettingsTest, UnknownStatusSuspends) {
  auto settings = ParseSettings(R"({"org":"o","tenant":"t","revision":1,"tools":[],"extra":1,
      "agents":[{"name":"a","labels":{},"status":"dreaming"}],"revoked":{"epoch":1,"jtis":[]}})");
  ASSERT_TRUE(settings.has_value()) << settings.error().message;
  EXPECT_TRUE(settings->agents.find("a")->second.suspended);
}

TEST(SettingsTest, Blocks) {
  const auto parse = [](const std::string& blocked) {
    return ParseSettings(R"({"org":"o","tenant":"t","revision":1,"tools":[],"agents":[],)"
                         R"("revoked":{"epoch":1,"jtis":[]})" +
                         blocked + "}");
  };
  auto settings = parse(R"(,"blocked":{"names":["a","b"],"sources":["10.0.0.1"]})");
  ASSERT_TRUE(settings.has_value()) << settings.error().message;
  EXPECT_EQ(settings->blocked_names, (StringSet{"a", "b"}));
  EXPECT_EQ(settings->blocked_sources, (StringSet{"10.0.0.1"}));
  EXPECT_TRUE(parse("").has_value()) << "of an older control plane";
  for (const char* bad :
       {R"(,"blocked":[])", R"(,"blocked":{"names":[]})",
        R"(,"blocked":{"names":[1],"sources":[]})", R"(,"blocked":{"names":[],"sources":"x"})"}) {
    EXPECT_FALSE(parse(bad).has_value()) << bad;
  }
}

TEST(ToolTest, Urls) {
  EXPECT_EQ(MakeTool("http://127.0.0.1:80/a/b/")->path_prefix, "/a/b");
  EXPECT_EQ(MakeTool("http://127.0.0.1")->target.addresses[0].port(), 80);
  EXPECT_EQ(MakeTool("https://127.0.0.1")->target.addresses[0].port(), 443);
  EXPECT_EQ(MakeTool("https://[::1]:8443/x")->target.server_name, "::1");
  for (const char* bad : {"", "ftp://h", "http://", "https://", "http:///x", "http://u:p@h",
                          "http://h/a?b", "http://h/a/../b", "http://h/a b"}) {
    EXPECT_FALSE(MakeTool(bad).has_value()) << bad;
  }
}

}  // namespace
}  // namespace aegis::gateway
