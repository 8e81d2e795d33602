#include "aegis/gateway/tool_directory.h"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "aegis/base/file.h"
#include "aegis/base/text.h"
#include "aegis/crypto/digest.h"
#include "aegis/net/http1_grammar.h"

namespace aegis::gateway {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr size_t kMaxPemBytes = size_t{4} << 20;
constexpr size_t kMaxSecretBytes = 8 * 1024;  // of a header

ToolProblem NoTls(std::string message) {
  return {502, "upstream_tls", "the gateway is not set up for TLS to this tool",
          std::move(message)};
}

ToolProblem NoSecret(std::string message) {
  return {503, "tool_secret_missing", "the gateway does not have the tool's credential",
          std::move(message)};
}

UpstreamOptions OptionsOf(const tool::Upstream& from) {
  UpstreamOptions out;
  out.connect_timeout_ms = from.connect_ms;
  out.first_byte_timeout_ms = from.first_byte_ms;
  out.idle_timeout_ms = from.idle_ms;
  out.call_timeout_ms = from.call_ms;
  out.max_connections = static_cast<size_t>(from.max_connections);
  out.max_pending = static_cast<size_t>(from.max_pending);
  out.max_requests = static_cast<size_t>(from.max_requests);
  out.max_attempts = from.attempts;
  out.ejection_failures = from.consecutive_failures;
  out.ejection_ms = from.base_ejection_ms;
  out.max_ejection_ms = from.max_ejection_ms;
  out.answers_are_failures = from.count_answers != 0;
  return out;
}

// Contexts of TLS by what they were made of, so that one is shared by all tools that trust alike,
// and another one is made when a file has changed.
class TlsContexts {
 public:
  explicit TlsContexts(const ToolResources& resources) : resources_(resources) {}

  // Sets the tool's TLS, or its problem.
  void Add(const tool::Upstream& spec, Tool& tool) {
    net::TlsContext::Options options{.protocols = {"http/1.1"}};
    std::string key = "system";
    if (!spec.certificate_authority.empty()) {
      const auto found = resources_.certificate_authorities.find(spec.certificate_authority);
      if (found == resources_.certificate_authorities.end()) {
        tool.problem = NoTls("there is no certificate_authorities." + spec.certificate_authority +
                             " in aegis.yaml");
        return;
      }
      options.ca_file = found->second;
      if (!AddFile(options.ca_file, key, tool)) return;
    }
    if (!spec.client_certificate.empty()) {
      const auto found = resources_.client_certificates.find(spec.client_certificate);
      if (found == resources_.client_certificates.end()) {
        tool.problem =
            NoTls("there is no client_certificates." + spec.client_certificate + " in aegis.yaml");
        return;
      }
      options.certificate_file = found->second.certificate_file;
      options.key_file = found->second.key_file;
      if (!AddFile(options.certificate_file, key, tool)) return;
      if (!AddFile(options.key_file, key, tool)) return;
    }
    key = crypto::Sha256Hex(key);
    auto& context = contexts_[key];
    if (!context) {
      auto made = net::TlsContext::Make(options);
      if (!made) {
        contexts_.erase(key);
        tool.problem = NoTls(std::move(made).error().message);
        return;
      }
      context = *std::move(made);
    }
    tool.target.tls = context;
    // Sessions of one trust must not be resumed under another.
    tool.pool_key.append(" ").append(key);
  }

  void DropUnused() {
    std::erase_if(contexts_, [](const auto& entry) { return entry.second.use_count() == 1; });
  }

 private:
  // What is in the file becomes part of the key.
  static bool AddFile(const std::string& path, std::string& key, Tool& tool) {
    auto content = ReadFile(path, kMaxPemBytes);
    if (!content) {
      tool.problem = NoTls(std::move(content).error().message);
      return false;
    }
    key.append("\n").append(path).append(" ").append(crypto::Sha256Hex(*content));
    return true;
  }

  const ToolResources& resources_;
  StringMap<std::shared_ptr<const net::TlsContext>> contexts_;
};

void AddCredentials(const tool::Upstream& spec, const ToolResources& resources, Tool& tool) {
  for (const tool::Credential& credential : spec.credentials) {
    const auto found = resources.secrets.find(credential.secret);
    if (found == resources.secrets.end()) {
      tool.problem = NoSecret("there is no secrets." + credential.secret + " in aegis.yaml");
      return;
    }
    const ToolResources::Secret& secret = found->second;
    const bool for_it = std::any_of(
        secret.hosts.begin(), secret.hosts.end(),
        [&](const std::string& host) { return EqualsIgnoreCase(host, tool.target.server_name); });
    if (!secret.hosts.empty() && !for_it) {
      tool.problem = NoSecret("secrets." + credential.secret + " is not for the host " +
                              tool.target.server_name);
      return;
    }
    if (!secret.hosts.empty() && !tool.https && tool.target.server_name != "localhost" &&
        tool.target.server_name != "127.0.0.1" && tool.target.server_name != "::1") {
      tool.problem =
          NoSecret("secrets." + credential.secret +
                   " has 'hosts', so that it is sent by https only, save to this machine");
      return;
    }
    auto value = secret.read();
    if (!value) {
      tool.problem = NoSecret("secrets." + credential.secret + ": " + value.error().message);
      return;
    }
    if (value->size() > kMaxSecretBytes || !net::IsFieldValue(*value) || *value != Trim(*value)) {
      // Not quoted: it is a secret.
      tool.problem = NoSecret("secrets." + credential.secret +
                              " cannot be sent in a header: it has control bytes, spaces around "
                              "it, or more than 8 KiB");
      return;
    }
    tool.credentials.push_back({credential.header, credential.prefix + *value, *value});
  }
}

bool Same(const Tool& a, const Tool& b) {
  return a.pool_key == b.pool_key && a.target.addresses == b.target.addresses &&
         a.upstream == b.upstream && a.credentials == b.credentials &&
         a.problem.status == b.problem.status && a.problem.message == b.problem.message;
}

}  // namespace

struct ToolDirectory::Impl {
  Impl(Options given, OnChange on_change_of)
      : options(std::move(given)), on_change(std::move(on_change_of)), contexts(options.resources) {
    if (options.logger == nullptr) options.logger = &telemetry::NullLogger();
    thread = std::thread([this] { Run(); });
  }

  ~Impl() {
    {
      const std::lock_guard lock(mutex);
      stopping = true;
    }
    changed.notify_all();
    thread.join();
  }

  // With mutex held. Addresses are those that are known; `unknown`: names that have none.
  Tool Make(const Settings::ToolEntry& entry, std::vector<std::string>* unknown) {
    Tool tool;
    if (auto read = entry.problem.empty() ? ReadTool(entry.spec.base_url)
                                          : Result<Tool>(Fail(Code::kInvalidArgument, "", ""))) {
      tool = *std::move(read);
    } else {
      tool.problem = {502, "upstream_unreachable", "the tool's registration cannot be used",
                      entry.problem.empty() ? read.error().message : entry.problem};
    }
    tool.actions = entry.actions;
    tool.upstream = OptionsOf(entry.spec.upstream);
    // Limits and health are a tool's own, even if another one is at the same address.
    tool.pool_key = entry.spec.name + " " + tool.base_url;
    if (tool.problem.status != 0) return tool;
    if (tool.https) contexts.Add(entry.spec.upstream, tool);
    if (tool.problem.status == 0) AddCredentials(entry.spec.upstream, options.resources, tool);
    if (tool.problem.status != 0) return tool;
    // An address needs no asking.
    if (auto numeric = net::ResolveAddresses(tool.authority, true)) {
      tool.target.addresses = *std::move(numeric);
      return tool;
    }
    const auto known = addresses.find(tool.authority);
    if (known == addresses.end()) {
      unknown->push_back(tool.authority);
      tool.problem = Unresolved("the name is not resolved yet");
    } else if (!known->second) {
      tool.problem = Unresolved(known->second.error().message);
    } else {
      tool.target.addresses = *known->second;
    }
    return tool;
  }

  // With mutex held.
  StringMap<Tool> MakeAll(std::vector<std::string>* unknown) {
    StringMap<Tool> made;
    for (const Settings::ToolEntry& entry : entries) {
      made[entry.spec.name] = Make(entry, unknown);
    }
    contexts.DropUnused();
    for (const auto& [name, tool] : made) {
      const auto before = tools.find(name);
      if (tool.problem.status == 0 ||
          (before != tools.end() && before->second.problem.message == tool.problem.message)) {
        continue;
      }
      options.logger->Warn("a tool cannot be called",
                           {{"tool", name}, {"problem", tool.problem.message}});
    }
    return made;
  }

  void Set(std::vector<Settings::ToolEntry> next) {
    std::unique_lock lock(mutex);
    entries = std::move(next);
    std::vector<std::string> unknown;
    StringMap<Tool> made = MakeAll(&unknown);
    if (!unknown.empty()) {
      refresh = true;
      changed.notify_all();
      // Once for each name: what else the settings say must not wait for a name service that hangs.
      std::erase_if(unknown,
                    [this](const std::string& name) { return !waited_for.insert(name).second; });
      changed.wait_for(lock, milliseconds(options.patience_ms), [&] {
        return stopping ||
               std::all_of(unknown.begin(), unknown.end(),
                           [this](const std::string& name) { return addresses.contains(name); });
      });
      made = MakeAll(&unknown);
    }
    tools = std::move(made);
  }

  // Asks for the names of all tools, without the lock: that may take long.
  void Resolve(std::unique_lock<std::mutex>& lock) {
    std::vector<std::string> names;
    for (const Settings::ToolEntry& entry : entries) {
      if (!entry.problem.empty()) continue;
      auto tool = ReadTool(entry.spec.base_url);
      if (tool && !net::ResolveAddresses(tool->authority, true)) names.push_back(tool->authority);
    }
    const auto is_gone = [&](const std::string& name) {
      return std::find(names.begin(), names.end(), name) == names.end();
    };
    std::erase_if(addresses, [&](const auto& known) { return is_gone(known.first); });
    std::erase_if(waited_for, is_gone);
    for (const std::string& name : names) {
      lock.unlock();
      auto found = net::ResolveAddresses(name);
      if (found) {
        // The order changes from answer to answer and means nothing.
        std::sort(found->begin(), found->end(),
                  [](const auto& a, const auto& b) { return a.ToString() < b.ToString(); });
      }
      lock.lock();
      if (stopping) return;
      const auto known = addresses.find(name);
      // While the name service is away the last answer is as good as any.
      if (found || known == addresses.end() || !known->second) {
        addresses.insert_or_assign(name, std::move(found));
      } else {
        options.logger->Warn("a tool's name does not resolve any more; its last addresses stay",
                             {{"name", name}});
      }
      changed.notify_all();
    }
  }

  void Run() {
    std::unique_lock lock(mutex);
    while (!stopping) {
      changed.wait_for(lock, milliseconds(options.refresh_ms),
                       [this] { return stopping || refresh; });
      if (stopping) return;
      refresh = false;
      Resolve(lock);
      if (stopping) return;
      std::vector<std::string> unknown;
      StringMap<Tool> made = MakeAll(&unknown);
      const bool same = made.size() == tools.size() &&
                        std::all_of(made.begin(), made.end(), [this](const auto& one) {
                          const auto before = tools.find(one.first);
                          return before != tools.end() && Same(one.second, before->second);
                        });
      if (same) continue;
      tools = std::move(made);
      lock.unlock();
      on_change();
      lock.lock();
    }
  }

  Options options;
  OnChange on_change;
  std::mutex mutex;
  std::condition_variable changed;
  bool stopping = false;
  bool refresh = false;
  TlsContexts contexts;
  std::vector<Settings::ToolEntry> entries;
  StringMap<Result<std::vector<net::SocketAddress>>> addresses;  // by authority
  StringSet waited_for;   // names for which Set has had its patience
  StringMap<Tool> tools;  // as last told of
  std::thread thread;
};

ToolDirectory::ToolDirectory(Options options, OnChange on_change)
    : impl_(std::make_unique<Impl>(std::move(options), std::move(on_change))) {}

ToolDirectory::~ToolDirectory() = default;

void ToolDirectory::Set(std::vector<Settings::ToolEntry> entries) {
  impl_->Set(std::move(entries));
}

StringMap<Tool> ToolDirectory::tools() const {
  const std::lock_guard lock(impl_->mutex);
  return impl_->tools;
}

void ToolDirectory::Reload() {
  {
    const std::lock_guard lock(impl_->mutex);
    impl_->refresh = true;
  }
  impl_->changed.notify_all();
}

}  // namespace aegis::gateway
