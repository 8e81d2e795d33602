// What every command shares: the global flags, how a running Aegis is found, and the exit code.
//
// Exit codes (contracts, "CLI"): 0 yes/ok, 1 no/failed, 2 wrong usage.
#pragma once

#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "aegis/base/result.h"
#include "aegis/cli/output.h"
#include "aegis/net/http_client.h"

namespace CLI {
class App;
}

namespace aegis::cli {

inline constexpr int kExitOk = 0;
inline constexpr int kExitFailed = 1;
inline constexpr int kExitUsage = 2;

struct Context {
  std::string data_folder = "aegis-data";  // --data, AEGIS_DATA
  std::string control_url;  // --control, AEGIS_CONTROL; empty: run.json of the data folder
  std::string format_name = "table";  // -o
  int exit_code = kExitOk;

  Format format() const { return format_name == "json" ? Format::kJson : Format::kTable; }

  // Makes `run` the action of `command`: its value is the exit code; an error is printed and
  // gives 1.
  void SetAction(CLI::App* command, std::function<Result<int>()> run);
};

// Addresses that `aegis up` wrote to run.json in its data folder.
struct RunInfo {
  std::string control, gateway, admin;  // "http://127.0.0.1:8090"
  int64_t pid = 0;
};
// Errors: not_running (no run.json, or its process is gone).
Result<RunInfo> ReadRunInfo(const std::string& data_folder);

// Calls the control API with the admin credential.
class ControlClient {
 public:
  // Errors: not_running, no_credential, io_error.
  static Result<ControlClient> Connect(const Context& context);

  // `path` with query, e.g. "/api/v1/agents?limit=100". `body` null: none. The answer's JSON.
  // A problem document becomes an Error with its reason and detail; `problem` gets it whole.
  Result<nlohmann::json> Call(const std::string& method, const std::string& path,
                              const nlohmann::json* body = nullptr,
                              nlohmann::json* problem = nullptr);
  // All pages of a list ({"items": [...], "next_cursor": ...}) as one array.
  Result<nlohmann::json> List(const std::string& path);

  const std::string& url() const { return url_; }

 private:
  std::string url_;
  std::string credential_;
  std::unique_ptr<net::HttpClient> client_;
};

// Of `--label key=value` flags: an object. Errors: bad_label.
Result<nlohmann::json> ParseLabels(const std::vector<std::string>& labels);

// One path segment, percent-encoded (RFC 3986 §2.3 unreserved stay).
std::string EncodeSegment(std::string_view text);

}  // namespace aegis::cli
