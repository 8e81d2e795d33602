// aegis up: control plane and gateway in one process on one data folder. They meet over HTTP only.
#include <signal.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <thread>

#include "aegis/app/commands.h"
#include "aegis/app/config.h"
#include "aegis/app/config_command.h"
#include "aegis/app/demo_report.h"
#include "aegis/app/service_manager.h"
#include "aegis/audit/journal.h"
#include "aegis/base/clock.h"
#include "aegis/base/heap.h"
#include "aegis/base/ids.h"
#include "aegis/base/result.h"
#include "aegis/cli/context.h"
#include "aegis/control/control_plane.h"
#include "aegis/control/data_folder.h"
#include "aegis/control/token_service.h"
#include "aegis/demo/payments_api.h"
#include "aegis/demo/scenario.h"
#include "aegis/gateway/admin.h"
#include "aegis/gateway/gateway.h"
#include "aegis/gateway/sync.h"
#include "aegis/identity/agent_token.h"
#include "aegis/net/tcp.h"
#include "aegis/telemetry/log.h"
#include "aegis/telemetry/metrics.h"
#include "aegis/telemetry/span_exporter.h"

namespace aegis::app {

namespace {

constexpr const char* kProducer = "gateway";
constexpr int kDrainMs = 10'000;
constexpr const char* kDefaultGateway = "127.0.0.1:8080";

struct Flags {
  std::string gateway;  // empty: as the configuration says, else kDefaultGateway
  std::string control = "127.0.0.1:8090";
  std::string admin = "127.0.0.1:9901";
  std::string payments = "127.0.0.1:9400";
  std::string demo_through;  // base URL; empty: the gateway
  std::string tenant = kTenant;
  std::string ext_authz;  // empty: as the configuration says, else nowhere
  std::string egress;     // likewise
  std::string config;
  std::string log_file;
  std::string log_level = "info";
  size_t workers = 0;  // 0: one for each processor
  bool gateway_plaintext = false;
  bool ext_authz_plaintext = false;
  bool shadow = false;
  bool demo = false;
};

// The parts of a running Aegis, in the order of their start; they end in the reverse order, and
// each outlives those that it serves.
struct Running {
  Config config;  // in force
  std::unique_ptr<telemetry::Logger> logger;
  std::unique_ptr<control::DataFolder> folder;
  std::unique_ptr<telemetry::Metrics> metrics;
  std::unique_ptr<audit::Journal> journal;
  std::unique_ptr<control::ControlPlane> control;
  std::unique_ptr<telemetry::SpanExporter> spans;
  std::unique_ptr<gateway::Gateway> gateway;
  std::unique_ptr<gateway::Sync> sync;
  std::unique_ptr<gateway::AdminServer> admin;
};

// The demo is for reading its table, so its log goes to a file.
std::string LogFile(const cli::Context& context, const Flags& flags) {
  if (!flags.log_file.empty() || !flags.demo) return flags.log_file;
  return context.data_folder + "/aegis.log";
}

Status OpenJournal(Running& running) {
  telemetry::Logger& logger = *running.logger;
  telemetry::Metrics& metrics = *running.metrics;
  audit::Journal::Recovery recovery;
  AEGIS_TRY(running.journal,
            audit::Journal::Open(
                {.folder = running.folder->audit_path(),
                 .producer = kProducer,
                 .on_commit =
                     [&metrics](const audit::Journal::Commit& commit) {
                       metrics.audit_commits.Add();
                       metrics.audit_commit_duration.Observe(commit.nanos);
                     },
                 .on_health =
                     [&logger](const Error* error) {
                       if (error != nullptr) {
                         logger.Error(
                             "the audit journal failed; every call is refused until it works again",
                             *error);
                       } else {
                         logger.Info("the audit journal works again");
                       }
                     }},
                &recovery));
  metrics.audit_figures = [journal = running.journal.get()] {
    const audit::Journal::Stats stats = journal->stats();
    return telemetry::AuditFigures{.queued_records = stats.queued,
                                   .records = stats.records,
                                   .bytes = stats.bytes,
                                   .failures = stats.failures,
                                   .failed = journal->failed()};
  };
  logger.Info("audit journal open",
              {{"records", recovery.records}, {"next_sequence", recovery.next_sequence}});
  if (recovery.truncated_bytes > 0)
    logger.Warn("the last stop tore a record that nobody was told of; it was cut off",
                {{"bytes", recovery.truncated_bytes}, {"file", recovery.truncated_file}});
  return Ok();
}

void StartSpans(TelemetryConfig& config, size_t workers, Running& running) {
  if (!config.otlp) return;
  telemetry::OtlpOptions& otlp = *config.otlp;
  UuidGenerator ids;
  otlp.resource.emplace_back("service.version", AEGIS_VERSION);
  otlp.resource.emplace_back("service.instance.id", ids.Next(Clock::System().UnixMillis()).str());
  running.logger->Info("spans are exported", {{"endpoint", otlp.endpoint}});
  running.spans = std::make_unique<telemetry::SpanExporter>(std::move(otlp), workers, AEGIS_VERSION,
                                                            *running.metrics, *running.logger);
}

// What the file says, and the flags that go before it.
Result<Config> ReadSettings(const Flags& flags) {
  Config config;
  if (!flags.config.empty()) {
    AEGIS_TRY(config, LoadConfig(flags.config, flags.tenant));
  }
  if (!flags.gateway.empty()) config.listeners = {{.address = flags.gateway}};
  if (config.listeners.empty()) config.listeners = {{.address = kDefaultGateway}};
  if (flags.gateway_plaintext) {
    for (gateway::Listener& listener : config.listeners) listener.allow_plaintext = true;
  }
  if (!flags.ext_authz.empty()) config.envoy.address = flags.ext_authz;
  if (!flags.egress.empty()) config.egress.address = flags.egress;
  if (flags.ext_authz_plaintext) config.envoy.allow_plaintext = true;
  return config;
}

Status Start(const cli::Context& context, const Flags& flags, Running& running) {
  AEGIS_TRY(Config config, ReadSettings(flags));
  running.config = config;
  AEGIS_TRY(const telemetry::LogLevel level, telemetry::ParseLogLevel(flags.log_level));
  AEGIS_TRY(const std::vector<std::string> made, control::DataFolder::Init(context.data_folder));
  AEGIS_TRY(running.logger,
            telemetry::MakeJsonLogger({.level = level, .path = LogFile(context, flags)}));
  telemetry::Logger& logger = *running.logger;
  if (!made.empty()) logger.Info("data folder made", {{"folder", context.data_folder}});
  AEGIS_TRY(control::DataFolder folder, control::DataFolder::Open(context.data_folder));
  running.folder = std::make_unique<control::DataFolder>(std::move(folder));

  const size_t workers =
      flags.workers != 0 ? flags.workers : std::max<size_t>(1, std::thread::hardware_concurrency());
  running.metrics = std::make_unique<telemetry::Metrics>(
      gateway::MetricsOptions(workers, AEGIS_VERSION, AEGIS_REVISION));
  running.metrics->bug_count = BugCount;
  AEGIS_RETURN_IF_ERROR(OpenJournal(running));

  AEGIS_TRY(running.control, control::ControlPlane::Start({.folder = running.folder.get(),
                                                           .address = flags.control,
                                                           .tenant = flags.tenant,
                                                           .version = AEGIS_VERSION,
                                                           .logger = &logger,
                                                           .make_compiler = {}}));
  StartSpans(config.telemetry, workers, running);
  AEGIS_TRY(running.gateway, gateway::Gateway::Start({.listeners = std::move(config.listeners),
                                                      .workers = workers,
                                                      .envoy = std::move(config.envoy),
                                                      .redaction = std::move(config.redaction),
                                                      .opa_envoy = std::move(config.opa_envoy),
                                                      .egress = std::move(config.egress),
                                                      .limits = config.limits,
                                                      .shadow = flags.shadow,
                                                      .producer = kProducer,
                                                      .journal = running.journal.get(),
                                                      .metrics = running.metrics.get(),
                                                      .logger = &logger,
                                                      .spans = running.spans.get(),
                                                      .sampler = config.telemetry.sampler}));
  std::string control = running.control->url();
  control.erase(0, control.find("//") + 2);
  AEGIS_RETURN_IF_ERROR(running.gateway->Guard(control));
  if (config.bundle_source) {
    logger.Warn("the policy comes from a bundle server; what is published here is not in force",
                {{"service", config.bundle_source->url}});
  }
  crypto::KeySet bundle_keys;
  AEGIS_RETURN_IF_ERROR(bundle_keys.Add(running.folder->bundle_key().verification_key()));
  AEGIS_TRY(running.sync,
            gateway::Sync::Start({.control_url = running.control->url(),
                                  .gateway_key = running.folder->gateway_key(),
                                  .tenant = flags.tenant,
                                  .token_issuer = std::string(control::kTokenIssuer),
                                  .token_audience = std::string(control::kTokenAudience),
                                  .bundle_keys = std::move(bundle_keys),
                                  .bundle_source = std::move(config.bundle_source),
                                  .tool_resources = std::move(config.tool_resources),
                                  .cache_folder = running.folder->bundles_path(),
                                  .logger = &logger,
                                  .metrics = running.metrics.get()},
                                 *running.gateway));
  AEGIS_TRY(running.admin,
            gateway::AdminServer::Start(
                {.address = flags.admin, .version = AEGIS_VERSION, .sync = running.sync.get()},
                *running.gateway));
  AEGIS_RETURN_IF_ERROR(running.gateway->Guard(running.admin->address()));
  if (!running.gateway->opa_envoy_address().empty()) {
    logger.Warn("Envoys may ask without any token where opa-envoy-plugin would be",
                {{"address", running.gateway->opa_envoy_address()}});
  }
  if (const std::string& egress = running.gateway->egress_address(); !egress.empty()) {
    AEGIS_TRY(const net::SocketAddress address, net::ResolveAddress(egress));
    if (!address.is_loopback()) {
      logger.Warn("agents' tokens go to the egress proxy in clear, over other than loopback",
                  {{"address", egress}});
    }
  }
  if (flags.shadow)
    logger.Warn(
        "shadow mode: every verdict is recorded and none is enforced; only bad tokens are refused");
  return running.folder->WriteRunInfo({.control = running.control->url(),
                                       .gateway = running.gateway->url(),
                                       .admin = "http://" + running.admin->address(),
                                       .pid = ::getpid(),
                                       .envoy = running.gateway->envoy_address(),
                                       .opa_envoy = running.gateway->opa_envoy_address(),
                                       .egress = running.gateway->egress_address()});
}

// Takes up what of the configuration can change while Aegis runs, or, whatever is wrong, nothing.
void Reload(const Flags& flags, Running& running) {
  telemetry::Logger& logger = *running.logger;
  Result<Config> config = ReadSettings(flags);
  if (!config) {
    return logger.Error("the configuration cannot be read; nothing has changed", config.error());
  }
  const std::vector<std::string> fixed = NeedsRestart(running.config, *config);
  if (!fixed.empty()) {
    std::string keys;
    for (const std::string& key : fixed) keys.append(keys.empty() ? "" : ", ").append(key);
    return logger.Error("what has changed needs a restart; nothing was taken up", {{"keys", keys}});
  }
  if (Status done = running.gateway->ReloadCertificates(config->listeners, config->envoy); !done) {
    return logger.Error("certificates cannot be taken up; nothing has changed", done.error());
  }
  running.config = *std::move(config);
  // Certificates, secrets and addresses of tools are looked at every now and then anyway.
  running.sync->ReloadTools();
  logger.Info("configuration and certificates taken up anew");
}

// Lets calls end, then takes the parts down.
void Stop(Running& running) {
  NotifyServiceManager("STOPPING=1");
  if (running.folder) running.folder->RemoveRunInfo();
  if (running.gateway && !running.gateway->Drain(kDrainMs))
    running.logger->Warn("some calls were still running and are cut");
  running.admin.reset();
  running.sync.reset();
  if (running.gateway) running.gateway->Stop();
  running.gateway.reset();
  running.spans.reset();
  running.control.reset();
  running.journal.reset();
  if (running.logger) {
    running.logger->Info("stopped");
    running.logger->Flush();
  }
}

Status RunDemo(const cli::Context& context, const Flags& flags, const Running& running,
               std::unique_ptr<demo::PaymentsApi>& payments) {
  AEGIS_TRY(payments, demo::PaymentsApi::Start(flags.payments));
  const demo::Endpoints endpoints{
      .control = running.control->url(),
      .gateway = flags.demo_through.empty() ? running.gateway->url() : flags.demo_through,
      .admin_key = running.folder->admin_key(),
      .payments = payments->url()};
  AEGIS_RETURN_IF_ERROR(demo::SetUp(endpoints));
  AEGIS_TRY(const std::vector<demo::Step> steps,
            demo::Run(endpoints, [&payments] { return payments->received(); }));
  PrintDemo(steps, context.format());
  return Ok();
}

void PrintBanner(const cli::Context& context, const Flags& flags, const Running& running) {
  if (context.format() == cli::Format::kJson) return;
  const std::string& envoy = running.gateway->envoy_address();
  std::string envoys =
      envoy.empty() ? std::string() : "  Envoys    " + envoy + "   (external authorization)\n";
  if (const std::string& opa = running.gateway->opa_envoy_address(); !opa.empty()) {
    envoys += "  Envoys    " + opa + "   (as opa-envoy-plugin: no tokens are asked for)\n";
  }
  if (const std::string& egress = running.gateway->egress_address(); !egress.empty()) {
    envoys += "  egress    http://" + egress +
              "   (forward proxy: HTTPS_PROXY=http://agent:TOKEN@" + egress + ")\n";
  }
  std::printf(
      "\nAegis %s is up%s.\n"
      "  agents    %s/tools/<tool>/<action>   (decisions: /v1/decisions)\n"
      "  operators %s/api/v1   (the aegis command finds it through %s)\n"
      "%s"
      "  health    http://%s/healthz /readyz /metrics\n"
      "Ctrl-C stops it.\n",
      AEGIS_VERSION, flags.shadow ? " in SHADOW mode: nothing is enforced" : "",
      running.gateway->url().c_str(), running.control->url().c_str(), context.data_folder.c_str(),
      envoys.c_str(), running.admin->address().c_str());
  std::fflush(stdout);
}

// One of the signals; until it comes, memory that is free goes back to the system.
int AwaitSignal(const sigset_t& signals) {
  HeapTrimmer trimmer;
  while (true) {
    const timespec second{.tv_sec = 1, .tv_nsec = 0};
    const int signal = ::sigtimedwait(&signals, nullptr, &second);
    if (signal > 0) return signal;
    trimmer.Check(Clock::System().MonotonicNanos() / 1'000'000);
  }
}

Result<int> Up(const cli::Context& context, const Flags& flags) {
  UseFewHeapArenas();
  // Blocked here, before any thread is made, so that sigwait below is the only one to get them.
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGHUP);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);

  Running running;
  std::unique_ptr<demo::PaymentsApi> payments;
  Status status = Start(context, flags, running);
  if (status && flags.demo) status = RunDemo(context, flags, running, payments);
  if (status) {
    PrintBanner(context, flags, running);
    // Not only when there is a policy: somebody must be able to publish the first one. Whether
    // calls are decided is what /readyz says.
    NotifyServiceManager("READY=1");
    int signal = AwaitSignal(signals);
    for (; signal == SIGHUP; signal = AwaitSignal(signals)) Reload(flags, running);
    running.logger->Info("stopping", {{"signal", signal}});
    // A second signal does not wait for calls that take long; there is nothing to reload any more.
    sigdelset(&signals, SIGHUP);
    pthread_sigmask(SIG_UNBLOCK, &signals, nullptr);
  }
  Stop(running);
  if (!status) return Fail(std::move(status).error());
  return cli::kExitOk;
}

}  // namespace

void AddUpCommand(CLI::App& root, cli::Context& context) {
  auto flags = std::make_shared<Flags>();
  CLI::App* up = root.add_subcommand("up", "Run control plane and gateway on one data folder");
  up->add_option("--gateway", flags->gateway,
                 "Where agents call in clear, host:port; port 0 takes a free one; default: what "
                 "aegis.yaml says, else 127.0.0.1:8080");
  up->add_flag("--gateway-plaintext", flags->gateway_plaintext,
               "Let agents of other machines call without TLS: only over a network that is "
               "protected otherwise");
  up->add_option("--control", flags->control, "Where operators call, host:port")
      ->capture_default_str();
  up->add_option("--admin", flags->admin, "Health and metrics, host:port; keep it private")
      ->capture_default_str();
  up->add_option("--tenant", flags->tenant,
                 "Whose agents, policies, tools and tokens these are; a folder keeps those of each "
                 "tenant apart")
      ->check([](const std::string& name) {
        return identity::IsValidName(name) ? std::string()
                                           : "'" + name + "' is not a tenant's name";
      })
      ->capture_default_str();
  up->add_option("--ext-authz", flags->ext_authz,
                 "Where Envoys ask (external authorization by gRPC), host:port, usually "
                 "127.0.0.1:9191, or unix:PATH; default: what aegis.yaml says, else nowhere");
  up->add_flag("--ext-authz-plaintext", flags->ext_authz_plaintext,
               "Let Envoys of other machines ask without TLS: only over a network that is "
               "protected otherwise");
  up->add_option(
      "--egress", flags->egress,
      "Where agents reach the forward proxy, host:port, usually 127.0.0.1:3128; default: "
      "what aegis.yaml says, else nowhere");
  up->add_option("--config", flags->config,
                 "aegis.yaml: where the policy comes from, where Envoys ask")
      ->envname("AEGIS_CONFIG");
  up->add_option("--workers", flags->workers,
                 "Worker threads of the gateway; 0: one for each processor")
      ->check(CLI::Range(0, 1024));
  up->add_option("--log-file", flags->log_file,
                 "JSON log; default: standard error, with --demo aegis.log in the data folder");
  up->add_option("--log-level", flags->log_level, "debug, info, warn or error")
      ->check(CLI::IsMember({"debug", "info", "warn", "error"}))
      ->capture_default_str();
  up->add_flag("--shadow", flags->shadow,
               "Record every verdict, enforce none (bad tokens are refused still)");
  up->add_flag("--demo", flags->demo, "Start a payments API, set up two agents and show six calls");
  up->add_option("--demo-payments", flags->payments, "Where the demo's payments API listens")
      ->capture_default_str();
  up->add_option(
      "--demo-through", flags->demo_through,
      "Where the demo's agents call, http://host:port: an Envoy that asks this Aegis and "
      "reaches the payments API; default: the gateway");
  context.SetAction(up, [&context, flags] { return Up(context, *flags); });
}

}  // namespace aegis::app
