// Shared by the gateway's tests: a gateway with keys, agents and a policy, tools made of raw
// sockets, and a client that sees bytes.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "aegis/audit/journal.h"
#include "aegis/gateway/gateway.h"
#include "aegis/identity/agent_token.h"
#include "aegis/rego/signature.h"

namespace aegis::gateway::testing {

// The policy of the tests: finance-agent may create_payment up to `max_amount` and call list_*
// freely, and pick with currency usd or eur; watched-agent's document is in shadow and grants read.
std::string MakeBundle(std::string_view revision, const rego::BundleSigner* signer, int max_amount);
// Of revision 1, with 5000.
std::shared_ptr<const decision::Snapshot> MakeSnapshot();

// A TCP connection that blocks, with time-outs that fail the test.
class Socket {
 public:
  explicit Socket(int fd = -1) : fd_(fd) {}
  explicit Socket(const std::string& address);
  int fd() const { return fd_.get(); }
  bool Send(std::string_view bytes);
  // What arrived next, at most `max` bytes; empty: closed, reset or nothing for 10 s.
  std::string Receive(size_t max = 65536);
  // Reads until `end` has come or the connection closed; what is behind it stays for the next call.
  std::string ReceiveUntil(std::string_view end);
  std::string ReceiveAll();
  // A whole answer with Content-Length or chunks; head and body.
  std::string ReceiveAnswer();
  void Close() { fd_.Close(); }
  void CloseWriting();

 private:
  FileDescriptor fd_;
  std::string pending_;
};

// A tool: each connection is served by `serve` on a thread of its own.
class ScriptedTool {
 public:
  using Serve = std::function<void(Socket& socket, int connection)>;
  explicit ScriptedTool(Serve serve);
  ~ScriptedTool();
  std::string url() const;
  int connections() const { return connections_; }

 private:
  FileDescriptor listening_;
  Serve serve_;
  std::atomic<int> connections_{0};
  std::atomic<bool> stopping_{false};
  std::mutex mutex_;
  std::vector<std::thread> threads_;
  std::vector<int> open_;  // descriptors, shut down at the end
  std::thread acceptor_;
};

// A journal in memory that the test can hold up or break.
class FakeJournal final : public audit::Journal {
 public:
  ~FakeJournal() override;
  FakeJournal();
  bool Append(audit::PendingRecord* record, audit::DurableSink* sink) override;
  bool failed() const override { return refuse; }
  std::string last_error() const override { return "broken by the test"; }
  Stats stats() const override { return {}; }
  // The JSON of all durable records, one a line.
  std::vector<std::string> records() const;
  // Waits until that many are durable.
  void WaitFor(size_t count) const;
  size_t waiting() const;  // held ones

  std::atomic<bool> refuse{false};  // Append returns false
  std::atomic<bool> fail{false};    // records are reported as failed
  void Hold(bool hold);             // nothing becomes durable

 private:
  void Run();
  struct Item {
    audit::PendingRecord* record;
    audit::DurableSink* sink;
  };
  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  std::vector<Item> queue_;
  std::vector<std::string> records_;
  bool hold_ = false;
  bool stop_ = false;
  uint64_t sequence_ = 0;
  std::thread thread_;
};

// A running gateway with finance-agent, watched-agent and (suspended) bad-agent.
class TestGateway {
 public:
  explicit TestGateway(std::function<void(Gateway::Options&)> change = {});
  ~TestGateway();

  void SetTool(const std::string& name, const std::string& url);
  // Puts `state` in force as changed by `change`, and waits until the worker has it.
  void Change(const std::function<void(State&)>& change);
  std::string Token(const std::string& agent = "finance-agent", int64_t lifetime = 600) const;
  std::string address() const { return gateway->addresses()[0]; }
  // "POST path" with the token; `head`: more lines with CRLF.
  std::string Post(const std::string& path, const std::string& body, const std::string& head = {},
                   const std::string& agent = "finance-agent") const;

  FakeJournal journal;
  telemetry::Metrics metrics;
  State state;
  std::unique_ptr<Gateway> gateway;

 private:
  std::unique_ptr<identity::TokenIssuer> issuer_;
};

int StatusOf(std::string_view answer);
std::string_view BodyOf(std::string_view answer);
// Value of a header field of an answer; empty when absent.
std::string HeaderOf(std::string_view answer, std::string_view name);

}  // namespace aegis::gateway::testing
