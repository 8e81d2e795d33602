// A client's bytes on an HTTP/2 connection whose requests become request heads: no input may crash
// the session, and a head that is accepted, written as HTTP/1.1 text, must be read from that text
// as the same request and nothing more.
//
// The first byte says whether the connection's preface comes before the rest by itself, and whether
// a valid request does.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "aegis/net/http1_parser.h"
#include "aegis/net/http2_request_head.h"
#include "aegis/net/http2_session.h"
#include "aegis/net/http2_testing.h"

namespace {

using aegis::net::BodyKind;
using aegis::net::FieldId;
using aegis::net::HeaderField;
using aegis::net::RequestHead;

void Check(bool holds) {
  if (!holds) std::abort();
}

// As the gateway writes what it forwards, but with every field.
void CheckSameAsText(const RequestHead& head) {
  std::string text;
  text.append(head.method).append(" ").append(head.target).append(" HTTP/1.1\r\n");
  bool has_host = false;
  for (const HeaderField& field : head.fields) {
    has_host = has_host || field.id == FieldId::kHost;
    text.append(field.name).append(": ").append(field.value).append("\r\n");
  }
  if (!has_host) text.append("host: ").append(head.host).append("\r\n");
  text.append("\r\n");
  const size_t size = text.size();
  text.append("GET /smuggled HTTP/1.1\r\n");
  // The text has the names of the pseudo-header fields too, and what goes between.
  aegis::net::Http1Limits limits;
  limits.max_head_bytes *= 2;
  limits.max_fields += 1;
  aegis::net::RequestParser parser(limits);
  Check(parser.Parse(text.data(), text.size()) == aegis::net::ParseStatus::kDone);
  const RequestHead& read = parser.head();
  Check(read.bytes == size);
  Check(read.method == head.method && read.path == head.path && read.query == head.query &&
        read.has_query == head.has_query && read.host == head.host);
  Check(read.fields.size() == head.fields.size() + (has_host ? 0 : 1));
  for (size_t i = 0; i < head.fields.size(); ++i) {
    Check(read.fields[i].name == head.fields[i].name &&
          read.fields[i].value == head.fields[i].value && read.fields[i].id == head.fields[i].id);
    Check(head.fields[i].id != FieldId::kConnection && !head.fields[i].nominated);
  }
  Check(read.body == head.body || head.body == BodyKind::kChunked);
  Check(read.content_length == head.content_length);
}

class Stream final : public aegis::net::Http2Stream {
 public:
  void OnHead() override {
    if (!request_.Read(head(), received_all(), limits_)) return Reset(kCancel);
    CheckSameAsText(request_.head());
  }
  void OnData(std::string_view bytes) override { Consume(bytes.size()); }
  void OnEnd() override {
    const aegis::net::Http2Field fields[] = {{":status", "204"}};
    SendHead(fields, true);
  }
  void OnWritable() override {}
  void OnGone(uint32_t) override {}

 private:
  aegis::net::Http1Limits limits_;
  aegis::net::Http2RequestHead request_;
};

class Application final : public aegis::net::Http2Session::Application {
 public:
  aegis::net::Http2Stream* NewStream() override {
    return streams_.emplace_back(std::make_unique<Stream>()).get();
  }
  void OnOutput() override {}

 private:
  std::vector<std::unique_ptr<Stream>> streams_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  Application application;
  aegis::net::Http2Limits limits;
  limits.max_streams = 16;
  aegis::net::Http2Session session(limits, application);
  aegis::net::Http2TestClient client;
  if ((data[0] & 1) != 0) client.Preface();
  if ((data[0] & 2) != 0) {
    client.Headers(1,
                   {{":method", "POST"},
                    {":scheme", "http"},
                    {":authority", "a"},
                    {":path", "/tools/t/a?x=1"},
                    {"cookie", "a=1"},
                    {"cookie", "b=2"}},
                   false);
  }
  std::string out;
  const auto exchange = [&](std::string_view bytes) {
    session.Receive(bytes);
    for (;;) {
      out.clear();
      session.Produce(out, 64 * 1024);
      if (out.empty()) return !session.over();
    }
  };
  if (!client.out.empty() && !exchange(client.out)) return 0;
  // A copy of its own size lets the sanitizer see any byte read beyond it.
  const auto rest = std::make_unique<char[]>(size);
  std::copy(data + 1, data + size, rest.get());
  exchange({rest.get(), size - 1});
  session.Abandon();
  return 0;
}
