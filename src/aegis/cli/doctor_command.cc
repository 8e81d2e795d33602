// aegis doctor: is enforcement really on? Looks at keys, clock, disk and ports, then makes real
// calls that must be refused, through the real data path, and looks for their record.
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/timex.h>

#include <CLI/CLI.hpp>

#include "aegis/base/file.h"
#include "aegis/cli/commands.h"
#include "aegis/cli/context.h"
#include "aegis/cli/doctor_report.h"
#include "aegis/cli/sandbox_checks.h"

namespace aegis::cli {

using nlohmann::json;

namespace {

constexpr const char* kCanaryAgent = "aegis-canary";
constexpr uint64_t kLowDiskBytes = uint64_t{1} << 30;

void CheckKeys(const std::string& folder, DoctorReport& report) {
  for (const char* name :
       {"admin.key", "gateway.key", "keys/token-signing.pem", "keys/bundle-signing.pem"}) {
    const std::string path = folder + "/" + name;
    struct stat info{};
    if (::stat(path.c_str(), &info) != 0) {
      report.Add(Verdict::kFail, "keys",
                 path + " is missing; `aegis init --data " + folder + "` makes it");
    } else if ((info.st_mode & 0077) != 0) {
      report.Add(Verdict::kFail, "keys", path + " can be read by others; run: chmod 600 " + path);
    } else {
      report.Add(Verdict::kOk, "keys", std::string(name) + " is there and private");
    }
  }
}

void CheckDisk(const std::string& folder, DoctorReport& report) {
  struct statvfs info{};
  if (::statvfs(folder.c_str(), &info) != 0) {
    report.Add(Verdict::kFail, "disk", "cannot look at " + folder);
    return;
  }
  const uint64_t free_bytes = uint64_t{info.f_bavail} * info.f_frsize;
  const std::string text = std::to_string(free_bytes >> 20) + " MiB free for records";
  report.Add(
      free_bytes < kLowDiskBytes ? Verdict::kWarn : Verdict::kOk, "disk",
      free_bytes < kLowDiskBytes ? text + "; when the disk is full every call is refused" : text);
}

void CheckClock(DoctorReport& report) {
  struct timex state{};
  const int result = ::adjtimex(&state);
  if (result < 0 || result == TIME_ERROR) {
    report.Add(Verdict::kWarn, "clock",
               "the kernel does not know the clock to be synchronised; tokens live by the clock: "
               "run an NTP client");
  } else {
    report.Add(Verdict::kOk, "clock",
               "synchronised, error at most " + std::to_string(state.maxerror / 1000) + " ms");
  }
}

Result<net::HttpResponse> Get(const std::string& url, const std::string& path) {
  net::HttpClient client;
  net::HttpRequest request;
  request.path = path;
  return client.Send(url, request, 5'000);
}

void CheckHttp(const std::string& what, const std::string& url, const std::string& path,
               DoctorReport& report) {
  if (url.empty()) {
    report.Add(Verdict::kFail, what, "run.json names no address for it");
    return;
  }
  const Result<net::HttpResponse> response = Get(url, path);
  if (!response) {
    report.Add(Verdict::kFail, what, url + ": " + response.error().message);
  } else if (response->status != 200) {
    report.Add(Verdict::kFail, what,
               url + path + " answers " + std::to_string(response->status) + " " +
                   response->body.substr(0, 200));
  } else {
    report.Add(Verdict::kOk, what, url + path);
  }
}

// One call that must not pass; `token` empty sends none.
void MustRefuse(const std::string& name, const std::string& gateway, const std::string& tool,
                const std::string& token, int want_status, DoctorReport& report) {
  net::HttpClient client;
  net::HttpRequest request;
  request.method = "POST";
  request.path = "/tools/" + tool + "/aegis-canary";
  request.headers.Set("Content-Type", "application/json");
  if (!token.empty()) request.headers.Set("Authorization", "Bearer " + token);
  request.body = "{}";
  const Result<net::HttpResponse> response = client.Send(gateway, request, 10'000);
  if (!response) {
    report.Add(Verdict::kFail, name, response.error().message);
    return;
  }
  const std::string id(response->headers.Get("X-Aegis-Decision-Id"));
  if (response->status == want_status) {
    report.Add(
        Verdict::kOk, name,
        "refused with " + std::to_string(want_status) + (id.empty() ? "" : ", decision " + id));
  } else if (!response->headers.Get("X-Aegis-Shadow").empty()) {
    report.Add(Verdict::kFail, name,
               "the call PASSED: the gateway runs in shadow mode, which records and stops nothing; "
               "restart it without --shadow");
  } else {
    report.Add(Verdict::kFail, name,
               "the call was answered with " + std::to_string(response->status) + " instead of " +
                   std::to_string(want_status) + ": enforcement is not working");
  }
}

void CheckEnforcement(const Context& context, const RunInfo& run, DoctorReport& report) {
  Result<ControlClient> control = ControlClient::Connect(context);
  if (!control) {
    report.Add(Verdict::kFail, "must-deny", control.error().message);
    return;
  }
  const json agent = {{"name", kCanaryAgent}, {"labels", json::object()}};
  const Result<json> registered = control->Call("POST", "/api/v1/agents", &agent);
  if (!registered && registered.error().code != Code::kAlreadyExists) {
    report.Add(Verdict::kFail, "must-deny", registered.error().message);
    return;
  }
  const json tools = control->List("/api/v1/tools").value_or(json::array());
  const std::string tool = tools.empty() ? "aegis-canary" : tools[0].value("name", "aegis-canary");
  MustRefuse("must-deny: no token", run.gateway, tool, "", 401, report);
  MustRefuse("must-deny: bad token", run.gateway, tool, "eyJhbGciOiJub25lIn0.e30.", 401, report);
  const json body = {{"ttl_seconds", 60}};
  const Result<json> token =
      control->Call("POST", "/api/v1/agents/" + std::string(kCanaryAgent) + "/tokens", &body);
  if (!token) {
    report.Add(Verdict::kFail, "must-deny: no grant", token.error().message);
    return;
  }
  MustRefuse("must-deny: no grant", run.gateway, tool, token->value("token", ""), 403, report);
}

void CheckInstallation(const Context& context, DoctorReport& report) {
  CheckKeys(context.data_folder, report);
  CheckDisk(context.data_folder, report);
  CheckClock(report);
  const Result<RunInfo> run = ReadRunInfo(context.data_folder);
  if (!run) {
    report.Add(Verdict::kFail, "running", run.error().message);
    return;
  }
  CheckHttp("control API", run->control, "/.well-known/jwks.json", report);
  CheckHttp("gateway alive", run->admin, "/healthz", report);
  CheckHttp("gateway ready", run->admin, "/readyz", report);
  CheckEnforcement(context, *run, report);
}

}  // namespace

void AddDoctorCommand(CLI::App& root, Context& context) {
  struct Flags {
    bool sandbox = false, alive = false, ready = false;
    std::vector<std::string> doors, others;
    int timeout_ms = 2'000;
  };
  auto flags = std::make_shared<Flags>();
  CLI::App* doctor = root.add_subcommand(
      "doctor",
      "Check a running Aegis: keys, clock, disk, ports, and real calls that must be refused; or, "
      "with --sandbox, the sandbox of an agent from inside");
  CLI::Option* sandbox = doctor->add_flag(
      "--sandbox", flags->sandbox,
      "Look for ways around Aegis instead; to be run where the agent runs, as the agent's user");
  doctor->add_option("--door", flags->doors, "A door of Aegis, IP:port; may be given again")
      ->needs(sandbox);
  doctor
      ->add_option("--unreachable", flags->others,
                   "What must not be reachable either, IP:port; may be given again")
      ->needs(sandbox);
  doctor->add_option("--timeout-ms", flags->timeout_ms, "How long answers are waited for")
      ->needs(sandbox)
      ->check(CLI::Range(100, 60'000))
      ->capture_default_str();
  // For the health checks of containers, which have no other client.
  doctor->add_flag("--alive", flags->alive, "Ask only whether the gateway serves at all")
      ->excludes(sandbox);
  doctor->add_flag("--ready", flags->ready, "Ask only whether calls are decided, as /readyz does")
      ->excludes(sandbox);
  context.SetAction(doctor, [&context, flags]() -> Result<int> {
    DoctorReport report;
    if (flags->sandbox) {
      AEGIS_RETURN_IF_ERROR(CheckSandbox({.doors = flags->doors,
                                          .others = flags->others,
                                          .timeout = std::chrono::milliseconds(flags->timeout_ms)},
                                         report));
    } else if (flags->alive || flags->ready) {
      AEGIS_TRY(const RunInfo run, ReadRunInfo(context.data_folder));
      if (flags->alive) CheckHttp("gateway alive", run.admin, "/healthz", report);
      if (flags->ready) CheckHttp("gateway ready", run.admin, "/readyz", report);
    } else {
      CheckInstallation(context, report);
    }
    report.Print(context.format());
    return report.failed() ? kExitFailed : kExitOk;
  });
}

}  // namespace aegis::cli
