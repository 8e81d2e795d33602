// The authorization service in opa-envoy-plugin's place, where things go wrong. What it reads and
// answers when they do not is compared with the plugin in tests/conformance/test_opa_envoy.py.
#include "aegis/gateway/envoy/opa_envoy_service.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "aegis/base/protobuf_wire.h"
#include "aegis/gateway/envoy/envoy_testing.h"
#include "aegis/gateway/envoy/opa_envoy_result.h"
#include "aegis/gateway/gateway_testing.h"
#include "aegis/gateway/recorder.h"

namespace aegis::gateway {
namespace {

using testing::CheckAnswer;
using testing::CheckSpec;
using testing::FakeCall;
using testing::FakeJournal;
using testing::TestGateway;

constexpr const char* kCheck = "/envoy.service.auth.v3.Authorization/Check";

class OpaEnvoyTest : public ::testing::Test {
 protected:
  OpaEnvoyTest() {
    pipeline_.SetState(std::make_shared<State>(gateway_.state));
    recorder_.set_on_idle([](void* self) { static_cast<OpaEnvoyTest*>(self)->loop_.Stop(); }, this);
    spec_.principal = "spiffe://example/web";
    spec_.path = "/people/42?name=secret";
  }

  void Settle() {
    if (recorder_.outstanding() > 0) loop_.Run();
  }

  CheckAnswer Ask(std::string_view message) {
    FakeCall call(kCheck);
    grpc::Handler* handler = service_.Start(call);
    handler->OnMessage(message);
    handler->OnEnd();
    Settle();
    EXPECT_EQ(call.code, 0);
    handler->Release();
    EXPECT_EQ(call.sent.size(), 1u);
    EXPECT_EQ(metrics_.worker(0).requests_in_flight.value(), 0);
    return CheckAnswer::Read(call.sent.empty() ? "" : call.sent[0]);
  }

  // "403 policy_error", of a denial that Aegis itself words.
  static std::string Problem(const CheckAnswer& answer) {
    EXPECT_TRUE(answer.denied);
    EXPECT_NE(answer.code, 0);
    const size_t at = answer.body.find("\"reason\":\"");
    if (at == std::string::npos) return std::to_string(answer.status) + " " + answer.body;
    const size_t start = at + 10;
    return std::to_string(answer.status) + " " +
           answer.body.substr(start, answer.body.find('"', start) - start);
  }

  TestGateway gateway_;
  FakeJournal journal_;
  telemetry::Metrics metrics_{MetricsOptions(1, "0.0.0", "")};
  net::EventLoop loop_;
  Recorder recorder_{loop_, journal_};
  Pipeline pipeline_{{.shadow = true, .producer = "opa-envoy-test"}, recorder_, metrics_.worker(0)};
  OpaEnvoyOptions options_;
  OpaEnvoyService service_{options_, pipeline_, metrics_.worker(0), telemetry::NullLogger()};
  CheckSpec spec_;
};

// Shadow mode and a dry run let pass what a policy denies, not what it does not answer.
TEST_F(OpaEnvoyTest, WithoutAVerdictTheCallIsDenied) {
  options_.dry_run = true;
  // The policy's own decision is an object without "allowed".
  options_.path = "aegis/decision";
  EXPECT_EQ(Problem(Ask(spec_.Encode())), "403 policy_error");
  options_.path = "envoy/authz/allow";
  EXPECT_EQ(Problem(Ask(spec_.Encode())), "403 policy_error");
  State state = gateway_.state;
  state.snapshot = nullptr;
  pipeline_.SetState(std::make_shared<State>(state));
  EXPECT_EQ(Problem(Ask(spec_.Encode())), "403 no_policy");
  const std::vector<std::string> records = journal_.records();
  ASSERT_EQ(records.size(), 3u);
  for (const std::string& record : records) {
    for (const char* part :
         {R"("action":"POST /people/42")", R"("door":"opa_envoy")", R"("enforced":true)",
          R"("outcome":"deny")", R"("source":"spiffe://example/web")", R"("tenant":"default")",
          R"("tool":"opa:envoy")"}) {
      EXPECT_NE(record.find(part), std::string::npos) << part << " in " << record;
    }
    EXPECT_EQ(record.find("\"agent\""), std::string::npos) << record;
    EXPECT_EQ(record.find("secret"), std::string::npos) << record;
  }
  pipeline_.SetState(nullptr);
  EXPECT_EQ(Problem(Ask(spec_.Encode())), "503 not_ready");
  EXPECT_EQ(journal_.records().size(), 3u);
}

TEST_F(OpaEnvoyTest, WhatCannotBeReadIsRefused) {
  EXPECT_EQ(Problem(Ask("\x0a\x05x")), "400 check_malformed");
  EXPECT_EQ(Problem(Ask(std::string_view("\x0a\x00\x0a\x00", 4))), "400 check_malformed");
  EXPECT_EQ(Problem(Ask("\x08\x01")), "400 check_malformed");
  spec_.host = "\xff";
  EXPECT_EQ(Problem(Ask(spec_.Encode())), "400 check_malformed");
  spec_.host = "a";
  spec_.path = "/%zz";
  EXPECT_EQ(Problem(Ask(spec_.Encode())),
            "400 request_parse_error: path: the path has a '%' that begins no escape");
  spec_.path = "/%ff";
  EXPECT_EQ(Problem(Ask(spec_.Encode())), "400 request_parse_error: path: it is not UTF-8");
  spec_.path = "/a?b=%ff";
  EXPECT_EQ(Problem(Ask(spec_.Encode())), "400 request_parse_error: query: it is not UTF-8");
  spec_.path = "/a?" + std::string(10'000, '&');
  EXPECT_EQ(Problem(Ask(spec_.Encode())),
            "400 request_parse_error: query: there are too many parameters");
  EXPECT_TRUE(journal_.records().empty());
  // Structs nest without end.
  std::string nested;
  for (int i = 0; i < 200; ++i) {
    // Value{struct_value=5{fields=1{value=2}}}
    for (const char field : {'\x12', '\x0a', '\x2a'}) {
      std::string size;
      for (size_t left = nested.size();; left >>= 7) {
        size += static_cast<char>((left & 0x7f) | (left >= 0x80 ? 0x80 : 0));
        if (left < 0x80) break;
      }
      nested.insert(0, field + size);
    }
  }
  std::string message;
  WireWriter writer(message);
  const size_t attributes = writer.Begin(1), metadata = writer.Begin(11), entry = writer.Begin(1),
               value = writer.Begin(2), member = writer.Begin(1);
  writer.Bytes(2, nested);
  for (const size_t mark : {member, value, entry, metadata, attributes}) writer.End(mark);
  EXPECT_EQ(Problem(Ask(message)), "400 check_malformed");
}

TEST_F(OpaEnvoyTest, WithoutARecordTheCallIsRefused) {
  journal_.refuse = true;
  EXPECT_EQ(Problem(Ask(spec_.Encode())), "503 audit_unavailable");
}

TEST_F(OpaEnvoyTest, ACallThatEnvoyGivesUpIsForgotten) {
  FakeCall call(kCheck);
  grpc::Handler* handler = service_.Start(call);
  handler->OnMessage(spec_.Encode());
  handler->OnCancelled();
  handler->Release();
  Settle();
  EXPECT_TRUE(call.sent.empty());
  EXPECT_EQ(metrics_.worker(0).requests_in_flight.value(), 0);
  FakeCall twice(kCheck);
  handler = service_.Start(twice);
  handler->OnMessage(spec_.Encode());
  handler->OnMessage(spec_.Encode());
  Settle();
  handler->Release();
  EXPECT_EQ(twice.code, static_cast<int>(Code::kInvalidArgument));
  FakeCall none(kCheck);
  handler = service_.Start(none);
  handler->OnEnd();
  handler->Release();
  EXPECT_EQ(none.code, static_cast<int>(Code::kInvalidArgument));
  FakeCall other("/envoy.service.auth.v3.Authorization/Other");
  EXPECT_EQ(service_.Start(other), nullptr);
}

TEST(OpaEnvoyResult, MetadataThatNoReaderTakesAreRefused) {
  std::string deep = "1";
  for (int i = 0; i < 30; ++i) deep = "[" + deep + "]";
  Arena arena;
  std::string out;
  const auto verdict = [&](const std::string& metadata) {
    out.clear();
    const auto value =
        rego::ParseJson(R"({"allowed":true,"dynamic_metadata":{"x":)" + metadata + "}}", arena,
                        {.max_bytes = size_t{4} << 20});
    EXPECT_TRUE(value.has_value());
    return AppendOpaEnvoyResponse(*value, "id", &out);
  };
  EXPECT_EQ(verdict("[[1]]"), true);
  EXPECT_EQ(verdict(deep), std::nullopt);
  EXPECT_EQ(verdict("1e999"), std::nullopt);
  EXPECT_EQ(verdict("1e-999"), true);
  EXPECT_EQ(verdict("\"" + std::string(size_t{2} << 20, 'x') + "\""), std::nullopt);
}

}  // namespace
}  // namespace aegis::gateway
