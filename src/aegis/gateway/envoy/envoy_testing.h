// Shared by the tests of Envoy's doors: CheckRequests as Envoy makes them, CheckResponses taken
// apart, and calls of gRPC without a connection.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "aegis/grpc/service.h"

namespace aegis::gateway::testing {

using Pairs = std::vector<std::pair<std::string, std::string>>;

// What a CheckRequest says; Encode leaves out what is empty.
struct CheckSpec {
  std::string method = "POST";
  std::string path = "/tools/payments/create_payment";
  std::string host = "tools.example";
  std::string scheme = "https";
  std::string query = {};
  std::string fragment = {};
  Pairs headers = {};
  bool pseudo = true;  // as Envoy, which lists them among the headers
  bool raw_headers = false;
  std::string raw_body = {};
  std::string body = {};
  int64_t size = 0;
  std::string partial = {};  // x-envoy-auth-partial-body
  Pairs extensions = {};
  Pairs route_metadata = {};  // of the namespace "aegis"
  Pairs metadata = {};        // likewise, of the request
  std::string principal = {};

  // As Envoy does with with_request_body: raw_body, size, content-length and the header about it.
  CheckSpec& WithBody(std::string text, const std::string& type = "application/json");
  CheckSpec& WithToken(const std::string& token);
  std::string Encode() const;
};

struct CheckAnswer {
  bool valid = false;  // could be read as a CheckResponse
  int64_t code = -1;
  bool ok = false;      // ok_response
  bool denied = false;  // denied_response
  int status = 0;       // of denied_response
  std::string body;
  // By name, as given.
  std::map<std::string, std::string> request_headers, response_headers, denied_headers;
  std::vector<std::string> removed;
  std::map<std::string, std::string> metadata;
  bool all_overwrite = true;  // every header has OVERWRITE_IF_EXISTS_OR_ADD

  static CheckAnswer Read(std::string_view message);
};

class FakeCall final : public grpc::Call {
 public:
  explicit FakeCall(std::string name) : method_(std::move(name)) {}

  std::string_view method() const override { return method_; }
  std::string_view Metadata(std::string_view name) const override {
    const auto found = metadata.find(std::string(name));
    return found == metadata.end() ? std::string_view() : found->second;
  }
  const grpc::Peer& peer() const override { return peer_; }
  int64_t deadline_ns() const override { return 0; }
  int64_t started_ns() const override { return 1; }
  void Send(std::string_view message) override { sent.emplace_back(message); }
  size_t unsent() const override { return 0; }
  void Finish(Code status, std::string_view) override { code = static_cast<int>(status); }
  void FinishOk() override { code = 0; }

  std::map<std::string, std::string> metadata;
  std::vector<std::string> sent;
  std::optional<int> code;

 private:
  std::string method_;
  grpc::Peer peer_;
};

}  // namespace aegis::gateway::testing
