// Requests to a proxy: who sends them, and what goes on to the host.
//
// Threading: free functions; a RequestEnd belongs to one worker.
#pragma once

#include <string>
#include <string_view>

#include "aegis/gateway/body_reader.h"
#include "aegis/gateway/egress/target.h"
#include "aegis/gateway/pipeline.h"
#include "aegis/gateway/tunnel.h"
#include "aegis/net/http1_parser.h"

namespace aegis::gateway {

// Of Proxy-Authorization: "Bearer <token>", or "Basic" whose password is the token (the user name
// says nothing), which is what clients make of http://agent:<token>@host:port. `storage` holds the
// decoded token.
Pipeline::Credential FindProxyCredential(const net::RequestHead& head, std::string* storage);

// The head of an absolute-form request, as it goes to the host (RFC 9112 §3.2.2, RFC 9110 §7.6.1):
// origin-form, Host from the target, without fields of this hop and Aegis's own. One request goes
// over a connection.
void AppendRequestHead(const net::RequestHead& head, const EgressTarget& target,
                       std::string_view traceparent, bool forward_tracestate, std::string& out);

// The agent's end of one such request: its body, with its framing as sent, and nothing behind it.
class RequestEnd final : public TunnelEnd {
 public:
  explicit RequestEnd(TunnelEnd& agent) : agent_(agent) {}

  // `received`: what came of the body with the head, and maybe more; must stay until it is read.
  void Start(const net::RequestHead& head, std::string_view received);
  net::IoStep Read(char* data, size_t size) override;
  net::IoStep Write(std::string_view data) override { return agent_.Write(data); }
  void CloseWriting() override { agent_.CloseWriting(); }
  void AwaitReadable() override { agent_.AwaitReadable(); }
  void AwaitWritable() override { agent_.AwaitWritable(); }

 private:
  TunnelEnd& agent_;
  BodyReader body_;
  std::string_view received_;
};

// The host's end of one: remembers the status of the answer.
class AnswerEnd final : public TunnelEnd {
 public:
  explicit AnswerEnd(TunnelEnd& upstream) : upstream_(upstream) {}

  void Start() { start_.clear(); }
  int status() const;  // 0: none came
  net::IoStep Read(char* data, size_t size) override;
  net::IoStep Write(std::string_view data) override { return upstream_.Write(data); }
  void CloseWriting() override { upstream_.CloseWriting(); }
  void AwaitReadable() override { upstream_.AwaitReadable(); }
  void AwaitWritable() override { upstream_.AwaitWritable(); }

 private:
  TunnelEnd& upstream_;
  std::string start_;  // "HTTP/1.1 200"
};

}  // namespace aegis::gateway
