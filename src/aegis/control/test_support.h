// A control plane on a data folder of its own, and a client for it. For tests only.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "aegis/control/control_plane.h"
#include "aegis/control/data_folder.h"
#include "aegis/control/routes.h"
#include "aegis/net/http_client.h"

namespace aegis::control {

class TestFolder {
 public:
  TestFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "aegis-test-XXXXXX").string();
    path_ = ::mkdtemp(name.data()) ? name : "";
  }
  TestFolder(const TestFolder&) = delete;
  TestFolder& operator=(const TestFolder&) = delete;
  ~TestFolder() {
    std::error_code ignored;
    if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
  }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// "Compiles" any sources to a text that names the revision; a file with the word "broken" is a
// mistake, one with "odd" a warning. Accepts what it made with the same `signature`.
class FakeCompiler final : public PolicyCompiler {
 public:
  explicit FakeCompiler(std::string signature = "one") : signature_(std::move(signature)) {}

  Result<CompiledPolicy> Compile(const std::vector<store::PolicySource>& sources,
                                 const std::string& revision) override {
    CompiledPolicy compiled;
    bool wrong = false;
    for (const store::PolicySource& source : sources) {
      if (source.content.find("broken") != std::string::npos) {
        compiled.diagnostics.push_back({true, source.name, 3, 5, "unknown key 'broken'"});
        wrong = true;
      }
      if (source.content.find("odd") != std::string::npos) {
        compiled.diagnostics.push_back({false, source.name, 1, 1, "this is odd"});
      }
    }
    if (!wrong) compiled.bundle = signature_ + ":" + revision;
    return compiled;
  }
  Result<CompiledPolicy> Adopt(const std::string& bundle, const std::string& name,
                               const std::string& revision) override {
    CompiledPolicy compiled;
    if (bundle.find("broken") != std::string::npos) {
      compiled.diagnostics.push_back({true, name, 0, 0, "the bundle is broken"});
    } else {
      compiled.bundle = signature_ + ":" + revision;
    }
    return compiled;
  }
  bool Accepts(const std::string& bundle) const override {
    return bundle.starts_with(signature_ + ":");
  }

 private:
  std::string signature_;
};

// The route's path with a name in place of its parameter.
inline std::string ExamplePath(const Route& route) {
  std::string path(route.path);
  const size_t open = path.find('{');
  if (open != std::string::npos) path.replace(open, path.find('}') - open + 1, "no-such-thing");
  return path;
}

class ControlPlaneTest : public testing::Test {
 protected:
  void SetUp() override { Start(); }

  // A fake compiler unless `make_compiler_` is set to nullptr.
  void Start() {
    ASSERT_TRUE(DataFolder::Init(root_.path() + "/data"));
    auto folder = DataFolder::Open(root_.path() + "/data");
    ASSERT_TRUE(folder) << folder.error().ToString();
    folder_ = std::make_unique<DataFolder>(*std::move(folder));
    ControlPlane::Options options;
    options.folder = folder_.get();
    options.address = "127.0.0.1:0";
    options.version = "1.2.3";
    options.make_compiler = make_compiler_;
    auto started = ControlPlane::Start(options);
    ASSERT_TRUE(started) << started.error().ToString();
    control_ = *std::move(started);
  }
  void Stop() {
    control_.reset();
    folder_.reset();
  }
  void Restart() {
    Stop();
    Start();
  }

  using Headers = std::vector<std::pair<std::string, std::string>>;

  net::HttpResponse Send(const std::string& method, const std::string& target, std::string body,
                         const Headers& headers) {
    net::HttpRequest request;
    request.method = method;
    request.path = target.substr(0, target.find('?'));
    if (target.find('?') != std::string::npos) request.query = target.substr(target.find('?') + 1);
    request.body = std::move(body);
    for (const auto& [name, value] : headers) request.headers.Set(name, value);
    net::HttpClient client;
    auto response = client.Send(control_->url(), request, 10'000);
    EXPECT_TRUE(response) << method << " " << target << ": " << response.error().ToString();
    return response ? *response : net::HttpResponse{0, {}, ""};
  }
  std::string AdminAuth() const { return "Bearer " + folder_->admin_key(); }
  std::string GatewayAuth() const { return "Bearer " + folder_->gateway_key(); }

  net::HttpResponse Get(const std::string& target, Headers headers = {}) {
    headers.emplace_back("Authorization", AdminAuth());
    return Send("GET", target, "", headers);
  }
  net::HttpResponse Post(const std::string& target, const nlohmann::json& body,
                         Headers headers = {}) {
    return PostText(target, body.dump(), std::move(headers));
  }
  net::HttpResponse Put(const std::string& target, const nlohmann::json& body,
                        Headers headers = {}) {
    headers.emplace_back("Authorization", AdminAuth());
    headers.emplace_back("Content-Type", "application/json");
    return Send("PUT", target, body.dump(), headers);
  }
  net::HttpResponse PostText(const std::string& target, std::string body, Headers headers = {}) {
    headers.emplace_back("Authorization", AdminAuth());
    headers.emplace_back("Content-Type", "application/json");
    return Send("POST", target, std::move(body), headers);
  }
  net::HttpResponse GatewayGet(const std::string& target, Headers headers = {}) {
    headers.emplace_back("Authorization", GatewayAuth());
    return Send("GET", target, "", headers);
  }
  net::HttpResponse GatewayPost(const std::string& target, const nlohmann::json& body) {
    return Send("POST", target, body.dump(),
                {{"Authorization", GatewayAuth()}, {"Content-Type", "application/json"}});
  }
  // One item of a gateway's report.
  static nlohmann::json Sighting(const std::string& source, const std::string& name,
                                 int64_t count = 1) {
    return {{"source", source},         {"name", name},          {"target", "payments"},
            {"count", count},           {"first_seen_ms", 1000}, {"last_seen_ms", 2000},
            {"reason", "agent_unknown"}};
  }
  static nlohmann::json Json(const net::HttpResponse& response) {
    auto body = nlohmann::json::parse(response.body, nullptr, false);
    EXPECT_TRUE(body.is_object()) << response.body;
    return body.is_object() ? body : nlohmann::json::object();
  }
  nlohmann::json Policy(const std::string& content) {
    return {{"files", {{{"name", "p.yaml"}, {"content", content}}}}, {"message", "m"}};
  }

  std::function<std::unique_ptr<PolicyCompiler>()> make_compiler_ = [] {
    return std::make_unique<FakeCompiler>();
  };
  TestFolder root_;
  std::unique_ptr<DataFolder> folder_;
  std::unique_ptr<ControlPlane> control_;
};

}  // namespace aegis::control
