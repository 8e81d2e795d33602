#include "aegis/cli/context.h"

#include <signal.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <cstdlib>

#include "aegis/base/file.h"
#include "aegis/base/text.h"

namespace aegis::cli {

using nlohmann::json;

void Context::SetAction(CLI::App* command, std::function<Result<int>()> run) {
  command->callback([this, run = std::move(run)] {
    Result<int> code = run();
    if (!code) PrintError(code.error());
    exit_code = code ? *code : kExitFailed;
  });
}

Result<RunInfo> ReadRunInfo(const std::string& data_folder) {
  auto not_running = [&](std::string_view why) {
    return Fail(Code::kUnavailable, "not_running",
                "no Aegis is running on data folder " + data_folder + " (" + std::string(why) +
                    "); start one with `aegis up --data " + data_folder +
                    "`, or name another with --control URL or --data DIR");
  };
  Result<std::string> text = ReadFile(data_folder + "/run.json", 64 * 1024);
  if (!text) return not_running("no run.json there");
  const json run = json::parse(*text, nullptr, /*allow_exceptions=*/false);
  if (!run.is_object()) return not_running("run.json is not JSON");
  const auto text_of = [&](const char* key) {
    const auto member = run.find(key);
    return member != run.end() && member->is_string() ? member->get<std::string>() : std::string();
  };
  RunInfo info{text_of("control"), text_of("gateway"), text_of("admin")};
  if (const auto pid = run.find("pid"); pid != run.end() && pid->is_number_integer())
    info.pid = pid->get<int64_t>();
  if (info.control.empty() || info.pid <= 0) return not_running("run.json names no process");
  if (::kill(static_cast<pid_t>(info.pid), 0) != 0 && errno == ESRCH)
    return not_running("its process " + std::to_string(info.pid) + " is gone");
  return info;
}

Result<ControlClient> ControlClient::Connect(const Context& context) {
  ControlClient client;
  client.url_ = context.control_url;
  if (client.url_.empty()) {
    AEGIS_TRY(const RunInfo info, ReadRunInfo(context.data_folder));
    client.url_ = info.control;
  }
  if (const char* key = std::getenv("AEGIS_ADMIN_KEY"); key != nullptr && *key != '\0') {
    client.credential_ = key;
  } else {
    Result<std::string> file = ReadFile(context.data_folder + "/admin.key", 4096);
    if (!file)
      return Fail(Code::kUnauthenticated, "no_credential",
                  file.error().message +
                      "; the admin credential is admin.key in the data folder, or AEGIS_ADMIN_KEY");
    client.credential_ = *file;
  }
  while (!client.credential_.empty() &&
         std::isspace(static_cast<unsigned char>(client.credential_.back())))
    client.credential_.pop_back();
  client.client_ = std::make_unique<net::HttpClient>();
  return client;
}

Result<json> ControlClient::Call(const std::string& method, const std::string& path,
                                 const json* body, json* problem) {
  net::HttpRequest request;
  request.method = method;
  const size_t question = path.find('?');
  request.path = path.substr(0, question);
  if (question != std::string::npos) request.query = path.substr(question + 1);
  request.headers.Set("Authorization", "Bearer " + credential_);
  request.headers.Set("Accept", "application/json");
  if (body != nullptr) {
    request.headers.Set("Content-Type", "application/json");
    request.body = body->dump();
  }
  Result<net::HttpResponse> response = client_->Send(url_, request, 30'000);
  if (!response)
    return Fail(Annotate(std::move(response).error(), "cannot reach the control API at " + url_));
  json answer =
      response->body.empty() ? json::object() : json::parse(response->body, nullptr, false);
  if (response->status / 100 == 2) {
    if (answer.is_discarded())
      return Fail(Code::kInternal, "bad_answer", url_ + path + ": the answer is not JSON");
    return answer;
  }
  std::string detail = "HTTP " + std::to_string(response->status);
  if (answer.is_object()) {
    if (problem != nullptr) *problem = answer;
    detail = answer.value("detail", answer.value("title", detail));
  }
  Code code = Code::kInternal;
  switch (response->status) {
    case 400:
      code = Code::kInvalidArgument;
      break;
    case 401:
      code = Code::kUnauthenticated;
      break;
    case 403:
      code = Code::kPermissionDenied;
      break;
    case 404:
      code = Code::kNotFound;
      break;
    case 409:
      code = Code::kAlreadyExists;
      break;
    case 503:
      code = Code::kUnavailable;
      break;
    default:
      break;
  }
  return Fail(code, "control_api", std::move(detail));
}

Result<json> ControlClient::List(const std::string& path) {
  json items = json::array();
  std::string cursor;
  do {
    std::string page_path = path + (path.find('?') == std::string::npos ? "?" : "&") + "limit=500";
    if (!cursor.empty()) page_path += "&cursor=" + EncodeSegment(cursor);
    AEGIS_TRY(json page, Call("GET", page_path));
    for (auto& item : page["items"]) items.push_back(std::move(item));
    const json next = page.value("next_cursor", json(nullptr));
    cursor = next.is_string() ? next.get<std::string>() : "";
  } while (!cursor.empty());
  return items;
}

std::string EncodeSegment(std::string_view text) {
  static constexpr char kHex[] = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (std::isalnum(byte) || c == '-' || c == '.' || c == '_' || c == '~') {
      out.push_back(c);
    } else {
      out.push_back('%');
      out.push_back(kHex[byte >> 4]);
      out.push_back(kHex[byte & 15]);
    }
  }
  return out;
}

}  // namespace aegis::cli
