// agentgateway's service where Aegis itself is at fault. The rest is asked by gRPC's own client
// (tests/e2e/test_ext_mcp.py, tests/attack/test_ext_mcp.py).
#include "aegis/gateway/ext_mcp_service.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "aegis/base/protobuf_wire.h"
#include "aegis/gateway/envoy/envoy_testing.h"
#include "aegis/gateway/envoy/json_redactor.h"
#include "aegis/gateway/gateway_testing.h"
#include "aegis/gateway/recorder.h"

namespace aegis::gateway {
namespace {

using testing::FakeCall;
using testing::FakeJournal;
using testing::TestGateway;

class ExtMcpTest : public ::testing::Test {
 protected:
  ExtMcpTest() {
    pipeline_.SetState(std::make_shared<State>(gateway_.state));
    recorder_.set_on_idle([](void* self) { static_cast<ExtMcpTest*>(self)->loop_.Stop(); }, this);
  }

  std::string Request(std::string_view method) {
    std::string out;
    WireWriter writer(out);
    writer.Bytes(1, "payments");
    writer.Bytes(2, method);
    writer.Bytes(4, R"({"name":"create_payment","arguments":{"amount":1}})");
    const size_t header = writer.Begin(5);
    writer.Bytes(1, "authorization");
    writer.Bytes(2, "Bearer " + gateway_.Token("finance-agent"));
    writer.End(header);
    return out;
  }

  // "pass", "mutated", or code and reason of the error.
  std::string Ask(const std::string& message) {
    FakeCall call("/agentgateway.dev.ext_mcp.ExtMcp/CheckRequest");
    grpc::Handler* handler = service_.Start(call);
    handler->OnMessage(message);
    handler->OnEnd();
    if (recorder_.outstanding() > 0) loop_.Run();
    EXPECT_EQ(call.code, 0);
    handler->Release();
    EXPECT_EQ(call.sent.size(), 1u);
    WireReader reader(call.sent.empty() ? std::string_view() : call.sent[0]);
    WireField field;
    EXPECT_TRUE(reader.Next(field));
    if (field.number == 1) return "pass";
    if (field.number == 2) return "mutated";
    std::string out;
    WireReader error(field.bytes);
    WireField part;
    while (!error.done() && error.Next(part)) {
      if (part.number == 1) out = std::to_string(part.value);
      if (part.number != 3) continue;
      const size_t at = part.bytes.find("\"reason\":\"") + 10;
      out.append(" ").append(part.bytes.substr(at, part.bytes.find('"', at) - at));
    }
    return out;
  }

  TestGateway gateway_;
  FakeJournal journal_;
  telemetry::Metrics metrics_{MetricsOptions(1, "0.0.0", "")};
  net::EventLoop loop_;
  Recorder recorder_{loop_, journal_};
  Pipeline pipeline_{{.shadow = false, .producer = "ext-mcp-test"}, recorder_, metrics_.worker(0)};
  Limits limits_;
  JsonRedactor filter_{{.request = {"amount"}, .response = {}}, limits_.max_body_bytes};
  ExtMcpService service_{
      pipeline_, limits_, filter_, nullptr, metrics_.worker(0), telemetry::NullLogger()};
};

TEST_F(ExtMcpTest, ACallThatCannotBeRecordedDoesNotGoOn) {
  EXPECT_EQ(Ask(Request("tools/call")), "mutated");
  EXPECT_EQ(journal_.records().size(), 1u);
  journal_.refuse = true;
  EXPECT_EQ(Ask(Request("tools/call")), "2 audit_unavailable");
  // Of these nothing is recorded.
  EXPECT_EQ(Ask(Request("tools/list")), "pass");
  pipeline_.SetState(nullptr);
  EXPECT_EQ(Ask(Request("tools/call")), "2 not_ready");
  EXPECT_EQ(Ask(Request("tools/list")), "2 not_ready");
  EXPECT_EQ(metrics_.worker(0).requests_in_flight.value(), 0);
}

TEST_F(ExtMcpTest, NothingIsKeptFromCallToCall) {
  EXPECT_EQ(Ask(Request("tools/call")), "mutated");
  EXPECT_EQ(Ask("\x0a\x01x"), "3 check_malformed");
  std::string nobody;
  WireWriter writer(nobody);
  writer.Bytes(1, "payments");
  writer.Bytes(2, "tools/list");
  EXPECT_EQ(Ask(nobody), "1 token_invalid");
  EXPECT_EQ(Ask(Request("other")), "1 action_not_allowed");
  FakeCall unknown("/agentgateway.dev.ext_mcp.ExtMcp/Other");
  EXPECT_EQ(service_.Start(unknown), nullptr);
}

}  // namespace
}  // namespace aegis::gateway
