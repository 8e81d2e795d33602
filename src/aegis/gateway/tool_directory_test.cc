#include "aegis/gateway/tool_directory.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "aegis/base/file.h"

namespace aegis::gateway {
namespace {

Settings::ToolEntry Entry(const std::string& base_url, tool::Upstream upstream = {}) {
  Settings::ToolEntry entry;
  entry.spec.name = "payments";
  entry.spec.base_url = base_url;
  entry.spec.upstream = std::move(upstream);
  return entry;
}

tool::Upstream WithSecret(const std::string& name) {
  tool::Upstream upstream;
  upstream.credentials = {{"authorization", "Bearer ", name}};
  return upstream;
}

class ToolDirectoryTest : public ::testing::Test {
 protected:
  ToolResources Resources() {
    ToolResources out;
    out.secrets["key"].read = [this]() -> Result<std::string> { return *secret_.load(); };
    out.secrets["elsewhere"] = {[]() -> Result<std::string> { return "hunter22"; },
                                {"api.example.com"}};
    out.secrets["here"] = {[]() -> Result<std::string> { return "hunter22"; }, {"127.0.0.1"}};
    out.secrets["lost"].read = []() -> Result<std::string> {
      return Fail(Code::kFailedPrecondition, "secret_missing", "env:KEY is not set");
    };
    out.certificate_authorities["none"] = ::testing::TempDir() + "/no-such-file.pem";
    return out;
  }
  Tool Make(const Settings::ToolEntry& entry) {
    ToolDirectory directory({.resources = Resources()}, [] {});
    directory.Set({entry});
    return directory.tools().at("payments");
  }

  const std::string first_ = "first-secret", second_ = "second-secret", bad_ = "line\nfeed";
  std::atomic<const std::string*> secret_{&first_};
};

TEST_F(ToolDirectoryTest, MakesToolsOfDocuments) {
  tool::Upstream upstream = WithSecret("key");
  upstream.call_ms = 7;
  upstream.attempts = 3;
  upstream.count_answers = 1;
  const Tool tool = Make(Entry("http://127.0.0.1:81/x", upstream));
  EXPECT_EQ(tool.problem.status, 0) << tool.problem.message;
  EXPECT_EQ(tool.target.addresses.at(0).ToString(), "127.0.0.1:81");
  EXPECT_EQ(tool.target.tls, nullptr);
  EXPECT_EQ(tool.upstream.call_timeout_ms, 7);
  EXPECT_EQ(tool.upstream.max_attempts, 3);
  EXPECT_TRUE(tool.upstream.answers_are_failures);
  EXPECT_EQ(tool.upstream.max_connections, UpstreamOptions().max_connections);
  ASSERT_EQ(tool.credentials.size(), 1u);
  EXPECT_EQ(tool.credentials[0].header, "authorization");
  EXPECT_EQ(tool.credentials[0].value, "Bearer first-secret");
  EXPECT_EQ(Make(Entry("http://127.0.0.1", WithSecret("here"))).problem.status, 0);
  EXPECT_NE(Make(Entry("https://127.0.0.1")).target.tls, nullptr);
  EXPECT_EQ(Make(Entry("http://localhost:80")).problem.status, 0);
}

TEST_F(ToolDirectoryTest, ToolsThatCannotBeCalled) {
  tool::Upstream unknown_ca, lost_ca, unknown_certificate;
  unknown_ca.certificate_authority = "nobody";
  lost_ca.certificate_authority = "none";
  unknown_certificate.client_certificate = "nobody";
  Settings::ToolEntry malformed = Entry("http://127.0.0.1");
  malformed.problem = "it has mistakes";
  struct Row {
    Settings::ToolEntry entry;
    int status;
    const char* reason;
  };
  const Row rows[] = {
      {Entry("https://127.0.0.1", unknown_ca), 502, "upstream_tls"},
      {Entry("https://127.0.0.1", lost_ca), 502, "upstream_tls"},
      {Entry("https://127.0.0.1", unknown_certificate), 502, "upstream_tls"},
      {Entry("http://127.0.0.1", WithSecret("nobody")), 503, "tool_secret_missing"},
      {Entry("http://127.0.0.1", WithSecret("lost")), 503, "tool_secret_missing"},
      {Entry("http://127.0.0.1", WithSecret("elsewhere")), 503, "tool_secret_missing"},
      // In clear to another machine.
      {Entry("http://api.example.com", WithSecret("elsewhere")), 503, "tool_secret_missing"},
      {Entry("http://no-such-host.invalid"), 502, "upstream_unreachable"},
      {Entry("ftp://127.0.0.1"), 502, "upstream_unreachable"},
      {malformed, 502, "upstream_unreachable"},
  };
  for (const Row& row : rows) {
    const Tool tool = Make(row.entry);
    EXPECT_EQ(tool.problem.status, row.status) << row.entry.spec.base_url;
    EXPECT_EQ(tool.problem.reason, row.reason) << tool.problem.message;
    EXPECT_NE(tool.problem.message, "");
    EXPECT_EQ(tool.problem.message.find("hunter22"), std::string::npos);
  }
  secret_ = &bad_;
  const Tool tool = Make(Entry("http://127.0.0.1", WithSecret("key")));
  EXPECT_EQ(tool.problem.reason, "tool_secret_missing");
  EXPECT_EQ(tool.problem.message.find("feed"), std::string::npos) << tool.problem.message;
}

TEST_F(ToolDirectoryTest, TellsWhenASecretChanged) {
  std::atomic<int> changes{0};
  ToolDirectory directory({.resources = Resources()}, [&] { ++changes; });
  directory.Set({Entry("http://127.0.0.1", WithSecret("key"))});
  directory.Reload();
  secret_ = &second_;
  directory.Reload();
  while (changes == 0) std::this_thread::yield();
  EXPECT_EQ(directory.tools().at("payments").credentials.at(0).value, "Bearer second-secret");
}

TEST_F(ToolDirectoryTest, ToolsOfTheSameTrustShareItsContextAndNotTheirConnections) {
  ToolDirectory directory({.resources = Resources()}, [] {});
  Settings::ToolEntry other = Entry("https://127.0.0.1");
  other.spec.name = "other";
  directory.Set({Entry("https://127.0.0.1"), other});
  const StringMap<Tool> tools = directory.tools();
  EXPECT_EQ(tools.at("payments").target.tls, tools.at("other").target.tls);
  EXPECT_NE(tools.at("payments").pool_key, tools.at("other").pool_key);
}

}  // namespace
}  // namespace aegis::gateway
