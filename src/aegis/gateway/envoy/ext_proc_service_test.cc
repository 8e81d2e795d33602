// Envoy's external processing against a pipeline, without connections.
#include "aegis/gateway/envoy/ext_proc_service.h"

#include <gtest/gtest.h>

#include <map>
#include <optional>
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
using testing::Pairs;
using testing::TestGateway;

constexpr const char* kProcess = "/envoy.service.ext_proc.v3.ExternalProcessor/Process";
constexpr int kNone = 0, kStreamed = 1, kBuffered = 2, kPartial = 3, kDuplex = 4, kGrpc = 5;

void PutHeaderMap(WireWriter& writer, const Pairs& headers) {
  const size_t map = writer.Begin(1);
  for (const auto& [name, value] : headers) {
    const size_t header = writer.Begin(1);
    writer.Bytes(1, name);
    writer.Bytes(3, value);
    writer.End(header);
  }
  writer.End(map);
}

// A ProcessingRequest with headers (fields 2 and 3) or trailers (6 and 7).
std::string Headers(uint32_t field, const Pairs& headers, bool last) {
  std::string out;
  WireWriter writer(out);
  const size_t part = writer.Begin(field);
  PutHeaderMap(writer, headers);
  if (last) writer.Number(3, 1);
  writer.End(part);
  return out;
}
std::string Body(uint32_t field, std::string_view body, bool last) {
  std::string out;
  WireWriter writer(out);
  const size_t part = writer.Begin(field);
  if (!body.empty()) writer.Bytes(1, body);
  if (last) writer.Number(2, 1);
  writer.End(part);
  return out;
}
std::string RequestBody(std::string_view body, bool last = true) { return Body(4, body, last); }
std::string AnswerBody(std::string_view body, bool last = true) { return Body(5, body, last); }
std::string AnswerHead(const Pairs& headers, bool last = false, const std::string& status = "200") {
  Pairs all = headers;
  all.insert(all.begin(), {":status", status});
  return Headers(3, all, last);
}
std::string Config(int request_mode, int response_mode) {
  std::string out;
  WireWriter writer(out);
  const size_t config = writer.Begin(11);
  if (request_mode != 0) writer.Number(1, static_cast<uint64_t>(request_mode));
  if (response_mode != 0) writer.Number(2, static_cast<uint64_t>(response_mode));
  writer.End(config);
  return out;
}

// A ProcessingResponse taken apart.
struct Reply {
  uint32_t kind = 0;  // the field's number; 7: immediate
  std::map<std::string, std::string> set;
  std::vector<std::string> removed;
  std::optional<std::string> body;   // in place of a buffered one
  std::optional<std::string> chunk;  // streamed
  bool last = false;                 // of streamed ones
  int status = 0;                    // immediate
  bool has_metadata = false;

  static Reply Read(std::string_view message) {
    Reply out;
    Fields(message, [&](const WireField& field) {
      if (field.number == 8) {
        out.has_metadata = true;
        return;
      }
      EXPECT_EQ(out.kind, 0u);
      out.kind = field.number;
      if (field.number == 7) return out.ReadImmediate(field.bytes);
      if (field.number >= 5) return out.ReadMutations(field.bytes, 1);
      Fields(field.bytes, [&](const WireField& common) {
        EXPECT_EQ(common.number, 1u);
        out.ReadMutations(common.bytes, 2);
        Fields(common.bytes, [&](const WireField& part) {
          if (part.number == 3) out.ReadBodyMutation(part.bytes);
        });
      });
    });
    return out;
  }

 private:
  template <typename Each>
  static void Fields(std::string_view bytes, const Each& each) {
    WireReader reader(bytes);
    WireField field;
    while (!reader.done()) {
      ASSERT_TRUE(reader.Next(field));
      each(field);
    }
  }
  void ReadMutations(std::string_view bytes, uint32_t number) {
    Fields(bytes, [&](const WireField& field) {
      if (field.number != number) return;
      Fields(field.bytes, [&](const WireField& change) {
        if (change.number == 2) removed.emplace_back(change.bytes);
        if (change.number != 1) return;
        uint64_t action = 0;
        std::string name, value;
        Fields(change.bytes, [&](const WireField& option) {
          if (option.number == 3) action = option.value;
          if (option.number != 1) return;
          Fields(option.bytes, [&](const WireField& part) {
            EXPECT_NE(part.number, 2u);
            (part.number == 1 ? name : value) = part.bytes;
          });
        });
        EXPECT_EQ(action, 2u) << name;
        EXPECT_TRUE(set.emplace(name, value).second) << name;
      });
    });
  }
  void ReadBodyMutation(std::string_view bytes) {
    Fields(bytes, [&](const WireField& mutation) {
      if (mutation.number == 1) body = mutation.bytes;
      if (mutation.number != 3) return;
      chunk = "";
      Fields(mutation.bytes, [&](const WireField& part) {
        if (part.number == 1) chunk = part.bytes;
        if (part.number == 2) last = part.value == 1;
      });
    });
  }
  void ReadImmediate(std::string_view bytes) {
    ReadMutations(bytes, 2);
    Fields(bytes, [&](const WireField& field) {
      if (field.number == 1) {
        Fields(field.bytes, [&](const WireField& code) { status = static_cast<int>(code.value); });
      }
      if (field.number == 3) body = field.bytes;
    });
  }
};

class ExtProcTest : public ::testing::Test {
 protected:
  ExtProcTest() {
    pipeline_.SetState(std::make_shared<State>(gateway_.state));
    recorder_.set_on_idle([](void* self) { static_cast<ExtProcTest*>(self)->loop_.Stop(); }, this);
    limits_.max_body_bytes = 1000;
    limits_.max_buffered_bytes = 5000;
    Redact({}, {});
  }
  ~ExtProcTest() override {
    Close();
    Settle();
    EXPECT_EQ(metrics_.worker(0).requests_in_flight.value(), 0);
    EXPECT_EQ(service_->held_bytes(), 0u);
  }

  void Redact(std::vector<std::string> request, std::vector<std::string> response) {
    Close();
    redactor_ = std::make_unique<JsonRedactor>(
        Redaction{.request = std::move(request), .response = std::move(response)}, 1000);
    service_ = std::make_unique<ExtProcService>(loop_, pipeline_, limits_, redactor_.get(),
                                                metrics_.worker(0), telemetry::NullLogger());
  }

  // Until every record is reported.
  void Settle() {
    if (recorder_.outstanding() > 0) loop_.Run();
  }

  // A call of its own: what Envoy says of it, one message at a time.
  void Open() {
    Close();
    call_ = std::make_unique<FakeCall>(kProcess);
    call_->metadata = metadata_;
    cancelled_ = false;
    handler_ = service_->Start(*call_);
  }
  void Close() {
    if (handler_ == nullptr) return;
    if (!call_->code && !cancelled_) handler_->OnCancelled();
    handler_->Release();
    handler_ = nullptr;
  }
  // What is said to a message, once its record is durable.
  std::vector<Reply> Say(std::string_view message) {
    const size_t before = call_->sent.size();
    handler_->OnMessage(message);
    Settle();
    std::vector<Reply> out;
    for (size_t i = before; i < call_->sent.size(); ++i) out.push_back(Reply::Read(call_->sent[i]));
    return out;
  }
  Reply SayOne(std::string_view message) {
    const std::vector<Reply> replies = Say(message);
    EXPECT_EQ(replies.size(), 1u);
    return replies.empty() ? Reply() : replies[0];
  }

  Pairs CallHeaders(const std::string& path = "/tools/payments/create_payment",
                    const std::string& agent = "finance-agent") {
    return {{":method", "POST"},
            {":path", path},
            {":authority", "tools.example"},
            {":scheme", "https"},
            {"authorization", "Bearer " + gateway_.Token(agent)},
            {"content-type", "application/json"}};
  }
  std::string Head(int request_mode, int response_mode, Pairs headers, bool last) {
    return Headers(2, headers, last) + Config(request_mode, response_mode);
  }
  // Of a payment whose body follows.
  std::string PaymentHead(int request_mode, int response_mode, size_t length) {
    Pairs headers = CallHeaders();
    headers.emplace_back("content-length", std::to_string(length));
    return Head(request_mode, response_mode, headers, false);
  }
  // Opens a call that was let go on, in mode BUFFERED.
  Reply Pay(const std::string& body = R"({"amount":42})", int response_mode = kNone) {
    Open();
    EXPECT_EQ(SayOne(PaymentHead(kBuffered, response_mode, body.size())).kind, 1u);
    return SayOne(RequestBody(body));
  }
  std::string Reason(const Reply& reply) {
    EXPECT_EQ(reply.kind, 7u);
    if (reply.kind != 7 || !reply.body) return "no immediate response";
    const size_t at = reply.body->find("\"reason\":\"") + 10;
    return std::to_string(reply.status) + " " +
           reply.body->substr(at, reply.body->find('"', at) - at);
  }
  // The stream is over, by an error.
  void ExpectFailed() { EXPECT_TRUE(call_->code && *call_->code != 0); }
  std::string LastRecord() {
    Settle();
    const std::vector<std::string> records = journal_.records();
    return records.empty() ? std::string() : records.back();
  }
  size_t RecordCount() { return journal_.records().size(); }

  TestGateway gateway_;
  FakeJournal journal_;
  telemetry::Metrics metrics_{MetricsOptions(1, "0.0.0", "")};
  net::EventLoop loop_;
  Recorder recorder_{loop_, journal_};
  Pipeline pipeline_{{.shadow = false, .producer = "ext-proc-test"}, recorder_, metrics_.worker(0)};
  Limits limits_;
  std::unique_ptr<JsonRedactor> redactor_;
  std::unique_ptr<ExtProcService> service_;
  std::map<std::string, std::string> metadata_;
  std::unique_ptr<FakeCall> call_;
  grpc::Handler* handler_ = nullptr;
  bool cancelled_ = false;
};

bool Has(const std::vector<std::string>& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

TEST_F(ExtProcTest, ABufferedCallGoesOnWhenItsRecordIsDurable) {
  Open();
  const Reply head = SayOne(PaymentHead(kBuffered, kNone, 13));
  EXPECT_EQ(head.kind, 1u);
  EXPECT_TRUE(head.set.empty() && head.removed.empty());
  EXPECT_EQ(RecordCount(), 0u);

  journal_.Hold(true);
  handler_->OnMessage(RequestBody(R"({"amount":42})"));
  EXPECT_EQ(call_->sent.size(), 1u);
  journal_.Hold(false);
  Settle();
  ASSERT_EQ(call_->sent.size(), 2u);
  const Reply body = Reply::Read(call_->sent[1]);
  EXPECT_EQ(body.kind, 3u);
  EXPECT_EQ(body.set.at("X-Aegis-Decision"), "allow");
  EXPECT_TRUE(Has(body.removed, "authorization"));
  EXPECT_FALSE(body.body);
  EXPECT_FALSE(body.set.contains("content-length"));
  EXPECT_TRUE(body.has_metadata);
  EXPECT_NE(LastRecord().find(R"("door":"ext_proc")"), std::string::npos);
  EXPECT_EQ(LastRecord().find("rewritten"), std::string::npos);

  const Reply answer = SayOne(AnswerHead({{"x-aegis-decision", "forged"},
                                          {"x-aegis-other", "forged"},
                                          {"x_aegis-odd", "forged"},
                                          {"content-type", "text/html"}}));
  EXPECT_EQ(answer.kind, 2u);
  EXPECT_EQ(answer.set.at("X-Aegis-Decision-Id"), body.set.at("X-Aegis-Decision-Id"));
  EXPECT_EQ(answer.set.at("X-Aegis-Policy-Version"), "1");
  EXPECT_EQ(answer.removed, (std::vector<std::string>{"x-aegis-other", "x_aegis-odd"}));
  EXPECT_EQ(RecordCount(), 1u);
  handler_->OnEnd();
  EXPECT_EQ(call_->code, 0);
  const std::string outcome = LastRecord();
  for (const char* part : {R"("kind":"outcome")", R"("status":200)", R"("request_bytes":13)"}) {
    EXPECT_NE(outcome.find(part), std::string::npos) << part << outcome;
  }
  EXPECT_EQ(outcome.find("error"), std::string::npos) << outcome;
}

TEST_F(ExtProcTest, WhatIsNotAllowedIsAnswered) {
  const Reply denied = Pay(R"({"amount":9000})");
  EXPECT_EQ(Reason(denied), "403 condition_failed");
  EXPECT_EQ(denied.set.at("X-Aegis-Decision"), "deny");
  EXPECT_EQ(denied.set.at("content-type"), "application/problem+json");
  EXPECT_TRUE(denied.has_metadata);
  ExpectFailed();
  EXPECT_EQ(RecordCount(), 1u);

  Open();
  Pairs headers = CallHeaders();
  headers[4] = {"x-a", "1"};
  EXPECT_EQ(Reason(SayOne(Head(kNone, kNone, headers, true))), "401 token_invalid");
  ExpectFailed();
  EXPECT_EQ(RecordCount(), 1u);

  // Refused at once, whatever the body would be.
  Open();
  headers = CallHeaders("/tools/payments/create_payment", "bad-agent");
  headers.emplace_back("content-length", "4");
  EXPECT_EQ(Reason(SayOne(Head(kBuffered, kNone, headers, false))), "403 agent_suspended");
  ExpectFailed();
  Open();
  EXPECT_EQ(
      Reason(SayOne(Head(kDuplex, kNone, CallHeaders("/tools/payments/x", "stranger"), false))),
      "401 token_invalid");

  pipeline_.SetState(nullptr);
  Open();
  EXPECT_EQ(Reason(SayOne(Head(kNone, kNone, CallHeaders(), true))), "503 not_ready");
}

TEST_F(ExtProcTest, NothingGoesOnWithoutARecord) {
  journal_.fail = true;
  EXPECT_EQ(Reason(Pay()), "503 audit_unavailable");
  ExpectFailed();
  journal_.fail = false;
  journal_.refuse = true;
  EXPECT_EQ(Reason(Pay()), "503 audit_unavailable");
  ExpectFailed();
}

TEST_F(ExtProcTest, ShadowGoesOnAndSaysSo) {
  Open();
  const Reply reply = SayOne(
      Head(kNone, kNone, CallHeaders("/tools/payments/create_payment", "watched-agent"), true));
  EXPECT_EQ(reply.kind, 1u);
  EXPECT_EQ(reply.set.at("X-Aegis-Shadow"), "deny");
}

TEST_F(ExtProcTest, ACallWithoutABody) {
  for (const int mode : {kNone, kBuffered, kDuplex}) {
    Open();
    const Reply reply =
        SayOne(Head(mode, kNone, CallHeaders("/tools/payments/list_all?page=2"), true));
    EXPECT_EQ(reply.kind, 1u) << mode;
    EXPECT_EQ(reply.set.at("X-Aegis-Decision"), "allow");
    EXPECT_FALSE(Has(reply.removed, "content-length"));
  }
}

TEST_F(ExtProcTest, RefusedBeforeItIsJudged) {
  const std::string path = "/tools/payments/create_payment";
  const auto with = [&](const std::string& name, const std::string& value) {
    Pairs headers = CallHeaders();
    headers.emplace_back(name, value);
    return headers;
  };
  const struct {
    const char* what;
    std::string message;
    const char* reason;
  } cases[] = {
      {"no body shown", Head(kNone, kNone, with("content-length", "2"), false), "403 body_missing"},
      {"no body shown, no length", Head(kNone, kNone, CallHeaders(), false), "403 body_missing"},
      {"end of a body with a length", Head(kNone, kNone, with("content-length", "2"), true),
       "403 body_missing"},
      {"no length", Head(kBuffered, kNone, CallHeaders(), false), "411 length_required"},
      {"chunked", Head(kBuffered, kNone, with("transfer-encoding", "chunked"), false),
       "411 length_required"},
      {"length 0", Head(kBuffered, kNone, with("content-length", "0"), false),
       "411 length_required"},
      {"too long", Head(kBuffered, kNone, with("content-length", "1001"), false),
       "413 body_too_large"},
      {"too long", Head(kDuplex, kNone, with("content-length", "1001"), false),
       "413 body_too_large"},
      {"streamed", Head(kStreamed, kNone, CallHeaders(), false), "403 route_misconfigured"},
      {"partial", Head(kPartial, kNone, CallHeaders(), false), "403 route_misconfigured"},
      {"grpc", Head(kGrpc, kNone, CallHeaders(), false), "403 route_misconfigured"},
      {"a mode to come", Head(77, kNone, CallHeaders(), true), "403 route_misconfigured"},
      {"answer streamed", Head(kNone, kStreamed, CallHeaders(), true), "403 route_misconfigured"},
      {"no modes", Headers(2, CallHeaders(), true), "403 route_misconfigured"},
      {"upgrade", Head(kNone, kNone, with("upgrade", "websocket"), true), "403 upgrade_not_judged"},
      {"no path", Head(kNone, kNone, {{":method", "POST"}}, true), "400 check_malformed"},
      {"path twice", Head(kNone, kNone, with(":path", "/x"), true), "400 check_malformed"},
      {"forged", Head(kNone, kNone, with("x-envoy-auth-partial-body", "false"), true),
       "400 check_malformed"},
      {"elsewhere", Head(kNone, kNone, CallHeaders("/other"), true), "404 no_such_path"},
      {"dots", Head(kNone, kNone, CallHeaders("/tools/payments/../x"), true), "400 bad_path"},
      {"coded", Head(kNone, kNone, with("content-encoding", "gzip"), true), "415 content_encoding"},
      {"not protobuf", "\xff", "400 check_malformed"},
      {"nothing", "", "400 check_malformed"},
      {"only modes", Config(kNone, kNone), "400 check_malformed"},
      {"two in one", Head(kNone, kNone, CallHeaders(), true) + RequestBody("{}"),
       "400 check_malformed"},
      {"a body first", RequestBody("{}"), "502 out_of_order"},
      {"an answer first", AnswerHead({}), "502 out_of_order"},
  };
  for (const auto& [what, message, reason] : cases) {
    Open();
    EXPECT_EQ(Reason(SayOne(message)), reason) << what;
    ExpectFailed();
  }
  EXPECT_EQ(RecordCount(), 0u);

  Open();
  EXPECT_TRUE(Say(Head(kNone, kNone, CallHeaders(), true) + std::string("\x50\x01", 2)).empty());
  EXPECT_EQ(call_->code, static_cast<int>(Code::kFailedPrecondition)) << "observability_mode";
}

TEST_F(ExtProcTest, BodiesAreThoseOfTheProxyDoor) {
  const struct {
    const char* body;
    const char* reason;
  } cases[] = {
      {"{", "400 bad_json"},
      {R"({"amount":1,"amount":2})", "400 ambiguous_params"},
      {R"({"amount":1,"Amount":2})", "400 ambiguous_params"},
      {"[1]", "400 params_not_object"},
  };
  for (const auto& [body, reason] : cases) EXPECT_EQ(Reason(Pay(body)), reason) << body;
  Open();
  SayOne(PaymentHead(kBuffered, kNone, 20));
  EXPECT_EQ(Reason(SayOne(RequestBody("{}"))), "400 body_mismatch");
}

TEST_F(ExtProcTest, ADuplexBodyIsHeldUntilItIsJudged) {
  for (const bool trailers : {false, true}) {
    Open();
    EXPECT_TRUE(Say(Head(kDuplex, kNone, CallHeaders(), false)).empty());
    EXPECT_TRUE(Say(RequestBody(R"({"amo)", false)).empty());
    EXPECT_TRUE(Say(RequestBody("", false)).empty());
    EXPECT_EQ(service_->held_bytes(), 5u);
    std::vector<Reply> replies;
    if (trailers) {
      EXPECT_TRUE(Say(RequestBody(R"(unt":42})", false)).empty());
      replies = Say(Headers(6, {{"x-aegis-decision", "allow"}, {"x-sum", "1"}}, false));
    } else {
      replies = Say(RequestBody(R"(unt":42})"));
    }
    ASSERT_EQ(replies.size(), trailers ? 3u : 2u);
    EXPECT_EQ(replies[0].kind, 1u);
    EXPECT_TRUE(Has(replies[0].removed, "content-length"));
    EXPECT_EQ(replies[1].kind, 3u);
    EXPECT_EQ(replies[1].chunk, R"({"amount":42})");
    EXPECT_EQ(replies[1].last, !trailers);
    if (trailers) {
      EXPECT_EQ(replies[2].kind, 5u);
      EXPECT_EQ(replies[2].removed, (std::vector<std::string>{"x-aegis-decision", "x-sum"}));
    }
    EXPECT_EQ(service_->held_bytes(), 0u);
  }
  Open();
  Say(Head(kDuplex, kNone, CallHeaders(), false));
  EXPECT_EQ(Reason(SayOne(RequestBody(R"({"amount":9000})"))), "403 condition_failed");
  // An empty body that was only its end.
  Open();
  Say(Head(kDuplex, kNone, CallHeaders("/tools/payments/list_all"), false));
  const std::vector<Reply> replies = Say(RequestBody(""));
  ASSERT_EQ(replies.size(), 2u);
  EXPECT_EQ(replies[1].chunk, "");
  EXPECT_TRUE(replies[1].last);
}

TEST_F(ExtProcTest, MalformedTrailersAreRefusedBeforeAnythingGoesOn) {
  Open();
  Say(Head(kDuplex, kNone, CallHeaders(), false));
  Say(RequestBody(R"({"amount":42})", false));
  EXPECT_EQ(Reason(SayOne(std::string("\x32\x03\x0a\x01\xff", 5))), "400 check_malformed");
  EXPECT_EQ(call_->sent.size(), 1u);
  EXPECT_EQ(RecordCount(), 0u);
}

TEST_F(ExtProcTest, LargeBodiesGoOnInPieces) {
  limits_.max_body_bytes = limits_.max_buffered_bytes = 1 << 20;
  std::string body = R"({"amount":42,"note":")" + std::string(200'000, 'x') + "\"}";
  Open();
  Say(Head(kDuplex, kDuplex, CallHeaders(), false));
  const std::vector<Reply> replies = Say(RequestBody(body));
  std::string got;
  for (size_t i = 1; i < replies.size(); ++i) {
    EXPECT_LE(replies[i].chunk->size(), 65536u);
    EXPECT_EQ(replies[i].last, i + 1 == replies.size());
    got += *replies[i].chunk;
  }
  EXPECT_EQ(got, body);
  EXPECT_GE(replies.size(), 5u);
}

TEST_F(ExtProcTest, Limits) {
  Open();
  Say(Head(kDuplex, kNone, CallHeaders(), false));
  EXPECT_TRUE(Say(RequestBody(std::string(1000, ' '), false)).empty());
  EXPECT_EQ(Reason(SayOne(RequestBody(" ", false))), "413 body_too_large");
  ExpectFailed();
  EXPECT_EQ(service_->held_bytes(), 0u);

  Open();
  Say(Head(kDuplex, kNone, CallHeaders(), false));
  const std::string nothing = RequestBody("", false);
  for (int i = 0; i < 20'000 && !call_->code; ++i) handler_->OnMessage(nothing);
  ASSERT_EQ(call_->sent.size(), 1u);
  EXPECT_EQ(Reason(Reply::Read(call_->sent[0])), "413 body_too_large");

  // What all streams hold together.
  std::vector<std::unique_ptr<FakeCall>> calls;
  std::vector<grpc::Handler*> handlers;
  for (int i = 0; i < 6; ++i) {
    calls.push_back(std::make_unique<FakeCall>(kProcess));
    handlers.push_back(service_->Start(*calls.back()));
    handlers.back()->OnMessage(Head(kDuplex, kNone, CallHeaders(), false));
    handlers.back()->OnMessage(RequestBody(std::string(1000, ' '), false));
  }
  EXPECT_FALSE(calls[4]->code);
  ASSERT_EQ(calls[5]->sent.size(), 1u);
  EXPECT_EQ(Reason(Reply::Read(calls[5]->sent[0])), "503 overloaded");
  for (size_t i = 0; i < handlers.size(); ++i) {
    if (!calls[i]->code) handlers[i]->OnCancelled();
    handlers[i]->Release();
  }
}

TEST_F(ExtProcTest, ABodyThatDoesNotCome) {
  limits_.body_timeout_ms = 1;
  Open();
  Say(Head(kDuplex, kNone, CallHeaders(), false));
  net::Timer stop([](void* loop) { static_cast<net::EventLoop*>(loop)->Stop(); }, &loop_);
  stop.Arm(loop_, 300);
  loop_.Run();
  ASSERT_EQ(call_->sent.size(), 1u);
  EXPECT_EQ(Reason(Reply::Read(call_->sent[0])), "408 body_timeout");
  ExpectFailed();
}

TEST_F(ExtProcTest, ToolsNamedByTheRoute) {
  metadata_ = {{"aegis-tool", "payments"}, {"aegis-prefix", "/api"}};
  Open();
  EXPECT_EQ(SayOne(Head(kNone, kNone, CallHeaders("/api/list_all"), true)).kind, 1u);
  EXPECT_NE(LastRecord().find(R"("tool":"payments")"), std::string::npos);
  metadata_ = {{"aegis-tool", "payments"}, {"aegis-tenant", "other"}};
  Open();
  EXPECT_EQ(Reason(SayOne(Head(kNone, kNone, CallHeaders("/list_all"), true))), "403 wrong_tenant");
  // Not part of what is judged.
  metadata_ = {{"aegis-body", "unread"}};
  Open();
  EXPECT_EQ(SayOne(Head(kNone, kNone, CallHeaders("/tools/payments/list_all"), false)).kind, 1u);
}

TEST_F(ExtProcTest, ParamsAreRewrittenAfterTheyWereJudged) {
  Redact({"card_number", "amount"}, {});
  const Reply buffered = Pay(R"({"amount":42, "card_number":"4111"})");
  const std::string expected = R"({"amount":"[redacted]","card_number":"[redacted]"})";
  EXPECT_EQ(buffered.kind, 3u);
  EXPECT_EQ(buffered.body, expected);
  EXPECT_EQ(buffered.set.at("content-length"), std::to_string(expected.size()));
  EXPECT_NE(LastRecord().find(R"("rewritten":true)"), std::string::npos);
  // Judged as they were sent.
  EXPECT_EQ(Reason(Pay(R"({"amount":9000})")), "403 condition_failed");

  Open();
  Say(Head(kDuplex, kNone, CallHeaders(), false));
  const std::vector<Reply> replies = Say(RequestBody(R"({"amount":42})"));
  ASSERT_EQ(replies.size(), 2u);
  EXPECT_EQ(replies[1].chunk, R"({"amount":"[redacted]"})");

  Redact({"card_number"}, {});
  const Reply plain = Pay(R"({"amount": 42})");
  EXPECT_FALSE(plain.body);
  EXPECT_FALSE(plain.set.contains("content-length"));
  EXPECT_EQ(LastRecord().find("rewritten"), std::string::npos);
}

TEST_F(ExtProcTest, ParamsThatCannotBeInspectedGoNowhere) {
  Redact({"secret"}, {});
  const auto ask = [&](const std::string& path, const std::string& type, const std::string& body) {
    Open();
    Pairs headers = CallHeaders(path);
    headers[5] = {"content-type", type};
    if (body.empty()) {
      const Reply reply = SayOne(Head(kBuffered, kNone, headers, true));
      return reply.kind == 1 ? "ok" : Reason(reply);
    }
    headers.emplace_back("content-length", std::to_string(body.size()));
    SayOne(Head(kBuffered, kNone, headers, false));
    const Reply reply = SayOne(RequestBody(body));
    return reply.kind == 3 ? "ok" : Reason(reply);
  };
  const std::string path = "/tools/payments/list_all", form = "application/x-www-form-urlencoded";
  EXPECT_EQ(ask(path, form, ""), "ok");
  EXPECT_EQ(ask(path, form, "a=1"), "ok");
  EXPECT_EQ(ask(path + "?a=1", "application/json", "{}"), "ok");
  EXPECT_EQ(ask(path, form, "SECRET=1"), "400 params_not_rewritten");
  EXPECT_EQ(ask(path + "?s%65cret=1", form, ""), "400 params_not_rewritten");
  EXPECT_EQ(ask(path + "?secret=1", "application/json", "{}"), "400 params_not_rewritten");
  EXPECT_EQ(ask(path, "text/plain", "secret"), "415 params_not_inspected");
  metadata_ = {{"aegis-body", "unread"}};
  EXPECT_EQ(ask(path, "application/json", "{}"), "415 params_not_inspected");
}

TEST_F(ExtProcTest, ABufferedAnswerIsRedacted) {
  Redact({}, {"pan"});
  const Reply allowed = Pay(R"({"amount":42})", kBuffered);
  EXPECT_EQ(allowed.set.at("accept-encoding"), "identity");
  const Reply head = SayOne(AnswerHead(
      {{"content-type", "application/json"}, {"content-length", "9"}, {"etag", "\"1\""}}));
  EXPECT_EQ(head.removed, std::vector<std::string>{"etag"});
  const Reply body = SayOne(AnswerBody(R"({"pan":1})"));
  EXPECT_EQ(body.kind, 4u);
  EXPECT_EQ(body.body, R"({"pan":"[redacted]"})");
  EXPECT_EQ(body.set.at("content-length"), "20");
  const std::string outcome = LastRecord();
  for (const char* part : {R"("rewritten":true)", R"("response_bytes":20)", R"("status":200)"}) {
    EXPECT_NE(outcome.find(part), std::string::npos) << part << outcome;
  }
  EXPECT_EQ(SayOne(Headers(7, {{"x-aegis-a", "1"}, {"grpc-status", "0"}}, false)).removed,
            std::vector<std::string>{"x-aegis-a"});
  handler_->OnEnd();
  EXPECT_EQ(call_->code, 0);
  EXPECT_EQ(RecordCount(), 2u);
}

TEST_F(ExtProcTest, ADuplexJsonAnswerIsHeldWithItsHead) {
  Redact({}, {"pan"});
  for (const bool trailers : {false, true}) {
    Pay(R"({"amount":42})", kDuplex);
    EXPECT_TRUE(
        Say(AnswerHead({{"content-type", "application/json"}, {"content-length", "9"}})).empty());
    EXPECT_TRUE(Say(AnswerBody(R"({"pan")", false)).empty());
    std::vector<Reply> replies;
    if (trailers) {
      EXPECT_TRUE(Say(AnswerBody(":1}", false)).empty());
      replies = Say(Headers(7, {{"x-sum", "1"}}, false));
    } else {
      replies = Say(AnswerBody(":1}"));
    }
    ASSERT_EQ(replies.size(), trailers ? 3u : 2u);
    EXPECT_EQ(replies[0].kind, 2u);
    EXPECT_TRUE(Has(replies[0].removed, "content-length"));
    EXPECT_EQ(replies[1].chunk, R"({"pan":"[redacted]"})");
    EXPECT_EQ(replies[1].last, !trailers);
    handler_->OnEnd();
    EXPECT_EQ(call_->code, 0);
  }
}

TEST_F(ExtProcTest, EventsGoOnOneByOne) {
  Redact({}, {"pan"});
  Pay(R"({"amount":42})", kDuplex);
  EXPECT_EQ(SayOne(AnswerHead({{"content-type", "text/event-stream"}})).kind, 2u);
  EXPECT_TRUE(Say(AnswerBody("data: {\"pan\"", false)).empty());
  EXPECT_EQ(SayOne(AnswerBody(":1}\n\ndata: 1", false)).chunk,
            "data: {\"pan\":\"[redacted]\"}\n\n");
  const Reply last = SayOne(AnswerBody("\n\n"));
  EXPECT_EQ(last.chunk, "data: 1\n\n");
  EXPECT_TRUE(last.last);
  EXPECT_NE(LastRecord().find(R"("rewritten":true)"), std::string::npos);

  // What comes too late for a status ends the answer all the same.
  Pay(R"({"amount":42})", kDuplex);
  SayOne(AnswerHead({{"content-type", "text/event-stream"}}));
  EXPECT_EQ(Reason(SayOne(AnswerBody("data: text\n\n", false))), "502 answer_not_inspected");
  ExpectFailed();
  EXPECT_NE(LastRecord().find(R"("error":"answer_not_inspected")"), std::string::npos);
}

TEST_F(ExtProcTest, AnAnswerThatCannotBeInspectedDoesNotArrive) {
  Redact({}, {"pan"});
  Open();
  EXPECT_EQ(Reason(SayOne(Head(kNone, kNone, CallHeaders(), true))), "403 route_misconfigured");
  const struct {
    int mode;
    Pairs head;
    const char* body;
  } cases[] = {
      {kBuffered, {{"content-type", "text/html"}}, ""},
      {kDuplex, {{"content-type", "text/html"}}, ""},
      {kDuplex, {}, ""},
      {kDuplex, {{"content-type", "application/json"}, {"content-encoding", "gzip"}}, ""},
      {kDuplex, {{"content-type", "application/json"}, {"content-type", "application/json"}}, ""},
      {kDuplex, {{"content-type", "application/json"}}, "{\"pan\":"},
      {kBuffered, {{"content-type", "application/json"}}, "{\"pan\":"},
  };
  for (const auto& [mode, head, body] : cases) {
    Pay(R"({"amount":42})", mode);
    std::vector<Reply> replies = Say(AnswerHead(head));
    if (*body != '\0') replies = Say(AnswerBody(body));
    ASSERT_EQ(replies.size(), 1u);
    EXPECT_EQ(Reason(replies[0]), "502 answer_not_inspected");
    EXPECT_EQ(replies[0].set.at("X-Aegis-Decision"), "allow");
    ExpectFailed();
    EXPECT_NE(LastRecord().find(R"("error":"answer_not_inspected")"), std::string::npos);
  }
  // Without a body there is nothing to inspect.
  Pay(R"({"amount":42})", kDuplex);
  EXPECT_EQ(SayOne(AnswerHead({{"content-type", "text/html"}}, true, "204")).kind, 2u);
  EXPECT_NE(LastRecord().find(R"("status":204)"), std::string::npos);
}

TEST_F(ExtProcTest, AnswersPassWhenNothingIsRedacted) {
  Pay(R"({"amount":42})", kDuplex);
  EXPECT_EQ(SayOne(AnswerHead({{"content-type", "x/y"}, {"content-length", "3"}})).kind, 2u);
  EXPECT_EQ(SayOne(AnswerBody("a\xff", false)).chunk, "a\xff");
  EXPECT_EQ(SayOne(AnswerBody("c")).chunk, "c");
  EXPECT_NE(LastRecord().find(R"("response_bytes":3)"), std::string::npos);
  Pay(R"({"amount":42})", kBuffered);
  SayOne(AnswerHead({{"content-type", "x/y"}}));
  EXPECT_FALSE(SayOne(AnswerBody("abc")).body);
}

// However Envoy ends, and wherever, the end is not a clean one unless the answer was whole.
TEST_F(ExtProcTest, AStreamThatEndsEarlyLetsNothingGoOn) {
  const std::vector<std::string> messages = {
      PaymentHead(kBuffered, kBuffered, 13), RequestBody(R"({"amount":42})"),
      AnswerHead({{"content-type", "application/json"}}), AnswerBody("{}")};
  const char* const errors[] = {"", "", "client_gone", "client_gone", ""};
  for (size_t count = 0; count <= messages.size(); ++count) {
    for (const bool cancelled : {false, true}) {
      Open();
      for (size_t i = 0; i < count; ++i) SayOne(messages[i]);
      if (cancelled) {
        handler_->OnCancelled();
        cancelled_ = true;
      } else {
        handler_->OnEnd();
        EXPECT_EQ(*call_->code == 0, count == messages.size()) << count;
      }
      const std::string record = LastRecord();
      if (*errors[count] != '\0') {
        EXPECT_NE(record.find(errors[count]), std::string::npos) << count << record;
      } else if (count == messages.size()) {
        EXPECT_EQ(record.find("error"), std::string::npos) << record;
      }
    }
  }
}

TEST_F(ExtProcTest, EnvoyGivesUpWhileTheRecordIsWritten) {
  for (const bool cancelled : {false, true}) {
    Open();
    SayOne(PaymentHead(kBuffered, kNone, 13));
    journal_.Hold(true);
    handler_->OnMessage(RequestBody(R"({"amount":42})"));
    if (cancelled) {
      handler_->OnCancelled();
      cancelled_ = true;
    } else {
      // An answer although the call was not let go on.
      handler_->OnMessage(AnswerHead({}));
      EXPECT_EQ(Reason(Reply::Read(call_->sent.back())), "502 out_of_order");
      ExpectFailed();
    }
    const size_t sent = call_->sent.size();
    journal_.Hold(false);
    Settle();
    EXPECT_EQ(call_->sent.size(), sent);
    EXPECT_NE(LastRecord().find(cancelled ? "client_gone" : "out_of_order"), std::string::npos);
  }
}

// Whatever is said in whatever order: nothing goes on without its record, nothing is said twice,
// and no stream ends cleanly before its answer was whole.
TEST_F(ExtProcTest, HostileSequences) {
  Redact({"card_number"}, {"pan"});
  const std::vector<std::string> pool = {
      PaymentHead(kBuffered, kBuffered, 13),
      PaymentHead(kDuplex, kDuplex, 13),
      Head(kNone, kDuplex, CallHeaders("/tools/payments/list_all"), true),
      Head(kBuffered, kBuffered, CallHeaders("/tools/payments/list_all"), true),
      RequestBody(R"({"amount":42})"),
      RequestBody(R"({"amount":99})", false),
      RequestBody(""),
      Headers(6, {{"x-sum", "1"}}, false),
      AnswerHead({{"content-type", "application/json"}}),
      AnswerHead({{"content-type", "text/event-stream"}}, true),
      AnswerBody(R"({"pan":1})"),
      AnswerBody(R"({"pan":)", false),
      Headers(7, {{"x-sum", "1"}}, false),
      "\xff",
  };
  uint32_t random = 7;
  size_t clean = 0;
  for (int round = 0; round < 1500; ++round) {
    Open();
    const size_t recorded = RecordCount();
    size_t went_on = 0;
    const bool held = round % 2 == 0;
    for (int i = 0; i < 4 + round / 2 % 3 && !call_->code; ++i) {
      random = random * 1664525 + 1013904223;
      // Mostly what may well come next.
      const size_t likely[] = {0, 4, 8, 10, 12, 12};
      const std::string& message =
          (random >> 8) % 4 == 0 ? pool[(random >> 16) % pool.size()] : pool[likely[i]];
      const size_t before = call_->sent.size();
      journal_.Hold(held);
      handler_->OnMessage(message);
      for (size_t j = before; held && j < call_->sent.size(); ++j) {
        const Reply reply = Reply::Read(call_->sent[j]);
        const bool request = reply.kind == 1 || reply.kind == 3;
        EXPECT_FALSE(request && (!reply.set.empty() || reply.chunk)) << "went on unrecorded";
      }
      journal_.Hold(false);
      Settle();
      for (size_t j = before; j < call_->sent.size(); ++j) {
        const Reply reply = Reply::Read(call_->sent[j]);
        if (reply.kind == 1 || reply.kind == 3) went_on += reply.set.contains("X-Aegis-Decision");
        if (reply.kind == 4 && (reply.body || reply.chunk)) {
          const std::string text = reply.body ? *reply.body : *reply.chunk;
          EXPECT_EQ(text.find("\"pan\":1"), std::string::npos);
        }
      }
    }
    EXPECT_LE(went_on, 1u);
    EXPECT_GE(RecordCount(), recorded + went_on);
    if (!call_->code) {
      handler_->OnEnd();
      Settle();
    }
    ASSERT_TRUE(call_->code);
    if (*call_->code == 0) {
      ++clean;
      EXPECT_EQ(went_on, 1u);
      EXPECT_GE(RecordCount(), recorded + 2) << "the decision and the outcome";
    }
    ASSERT_EQ(service_->held_bytes(), 0u);
  }
  EXPECT_GT(clean, 100u);
}

TEST_F(ExtProcTest, NothingIsLeftForTheNextCall) {
  Redact({"card_number"}, {"pan"});
  Pay(R"({"amount":42,"card_number":1})", kDuplex);
  SayOne(AnswerHead({{"content-type", "text/event-stream"}}));
  Say(AnswerBody("data: {\"pan\":1}", false));
  const Reply next = Pay(R"({"amount":41})", kBuffered);
  EXPECT_FALSE(next.body);
  SayOne(AnswerHead({}, true));
  EXPECT_EQ(LastRecord().find("rewritten"), std::string::npos);
  EXPECT_NE(LastRecord().find(R"("response_bytes":0)"), std::string::npos);
}

}  // namespace
}  // namespace aegis::gateway
