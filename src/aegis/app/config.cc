#include "aegis/app/config.h"

#include <cstdlib>
#include <utility>

#include "aegis/app/config_types.h"
#include "aegis/app/http_config.h"
#include "aegis/app/tool_config.h"
#include "aegis/base/file.h"
#include "aegis/base/text.h"
#include "aegis/crypto/digest.h"
#include "aegis/policy/check.h"
#include "aegis/policy/dialect.h"
#include "aegis/policy/json_schema.h"
#include "aegis/rego/compiler_tool.h"

namespace aegis::app {

std::string CheckUrl(std::string_view text) {
  if (!text.starts_with("http://") && !text.starts_with("https://"))
    return "must begin with http:// or https://";
  if (text.find('@') != std::string_view::npos) return "must not hold credentials";
  if (text.find_first_of("?#") != std::string_view::npos) return "must not have a query";
  return {};
}

namespace {

using config_types::kCount;
using config_types::kFlag;
using config_types::kReference;
using config_types::kText;
using config_types::kUrl;
using policy::Key;
using policy::Node;
using policy::Shape;
using policy::Type;

constexpr size_t kMaxConfigBytes = size_t{1} << 20;
constexpr size_t kMaxSecretBytes = size_t{64} << 10;
constexpr size_t kMaxBundleBytes = size_t{1} << 30;
constexpr size_t kMaxRequestBytes = size_t{64} << 20;
constexpr size_t kMaxTunnelMib = 100'000'000;
constexpr int kMaxSeconds = 86'400;

bool IsReference(std::string_view text) {
  return (text.starts_with("env:") && text.size() > 4) ||
         (text.starts_with("file:") && text.size() > 5);
}

std::string CheckKeyText(std::string_view text) {
  if (IsReference(text) || text.starts_with("-----BEGIN PUBLIC KEY-----")) return {};
  return "is neither a PEM public key nor a reference (env:NAME, file:PATH)";
}

std::string CheckRedacted(std::string_view text) {
  if (text.empty() || text.starts_with('.') || text.ends_with('.') ||
      text.find("..") != std::string_view::npos) {
    return "must be names with one dot between them";
  }
  return {};
}

constexpr std::string_view kAlgorithms[] = {"ES256", "ES384", "ES512", "RS256", "RS384", "RS512",
                                            "PS256", "PS384", "PS512", "HS256", "HS384", "HS512"};

constexpr Type kAlgorithm = {
    .shape = Shape::kText, .expected = "an algorithm", .allowed = kAlgorithms};
constexpr Type kKeyText = {
    .shape = Shape::kText,
    .expected = "a PEM public key, env:NAME or file:PATH",
    .schema_pattern = "^((env|file):.+|-----BEGIN PUBLIC KEY-----[\\s\\S]*)$",
    .max_bytes = 16'384};

constexpr Key kBearerKeys[] = {
    {"token", &kReference, "The token; read again for each request.", true},
};
constexpr Type kBearer = {
    .shape = Shape::kMap, .expected = "a map with 'token'", .keys = kBearerKeys};
constexpr Key kCredentialsKeys[] = {
    {"bearer", &kBearer, "Authorization: Bearer.", true},
};
constexpr Type kCredentials = {
    .shape = Shape::kMap, .expected = "a map with 'bearer'", .keys = kCredentialsKeys};
constexpr Key kTlsKeys[] = {
    {"ca_cert", &kText, "File with the PEM certificates to trust instead of the system's.", true},
};
constexpr Type kTls = {.shape = Shape::kMap, .expected = "a map with 'ca_cert'", .keys = kTlsKeys};
constexpr Key kServiceKeys[] = {
    {"url", &kUrl, "Where the service is; resources are below it.", true},
    {"credentials", &kCredentials, "What is sent to be let in."},
    {"tls", &kTls, "How https is checked."},
};
constexpr Type kService = {
    .shape = Shape::kMap, .expected = "a service: a map with 'url'", .keys = kServiceKeys};
constexpr Type kServices = {.shape = Shape::kMap,
                            .expected = "services by name",
                            .element = &kService,
                            .max_size = 100,
                            .key_word = "service"};

constexpr Key kKeyKeys[] = {
    {"algorithm", &kAlgorithm, "What the key is for; the signature must agree.", true},
    {"key", &kKeyText, "A public key in PEM, or a reference to it; for HMAC to a secret.", true},
    {"scope", &kText, "Scope that the signature must have, unless the bundle says another."},
};
constexpr Type kKey = {
    .shape = Shape::kMap, .expected = "a key: a map with 'algorithm' and 'key'", .keys = kKeyKeys};
constexpr Type kKeys = {.shape = Shape::kMap,
                        .expected = "keys by their id (kid)",
                        .element = &kKey,
                        .max_size = 64,
                        .key_word = "key id"};

constexpr Key kPollingKeys[] = {
    {"min_delay_seconds", &kCount, "Shortest time between polls; default 60."},
    {"max_delay_seconds", &kCount, "Longest time between polls; default 120."},
    {"long_polling_timeout_seconds", &kCount,
     "How long the server is asked to hold a poll; default 0: not at all."},
};
constexpr Type kPolling = {
    .shape = Shape::kMap, .expected = "a map of delays", .keys = kPollingKeys};
constexpr Key kSigningKeys[] = {
    {"keyid", &kText, "The only key that may sign; default: any of 'keys'."},
    {"scope", &kText, "Scope that the signature must have; default: the key's, else none."},
    {"allow_unsigned_delta_bundles", &kFlag,
     "Accept delta bundles, which cannot be signed; default false."},
};
constexpr Type kSigning = {.shape = Shape::kMap,
                           .expected = "a map that says how bundles are signed",
                           .keys = kSigningKeys};
constexpr Key kBundleKeys[] = {
    {"service", &kText, "Name of the service.", true},
    {"resource", &kText, "Path below the service's URL.", true},
    {"entrypoint", &kText, "The rule that decides; default aegis/decision."},
    {"persist", &kFlag, "Keep the last good bundle on disk; default true."},
    {"size_limit_bytes", &kCount,
     "Most bytes of the download and of an unpacked file; twice that for all files."},
    {"polling", &kPolling, "When the server is asked."},
    {"signing", &kSigning, "Bundles must be signed; without it signatures are not looked at."},
};
constexpr Type kBundle = {.shape = Shape::kMap,
                          .expected = "a bundle: a map with 'service' and 'resource'",
                          .keys = kBundleKeys};
constexpr Type kBundles = {.shape = Shape::kMap,
                           .expected = "bundles by tenant",
                           .element = &kBundle,
                           .max_size = 1,
                           .key_word = "tenant"};
constexpr Key kEnvoyKeys[] = {
    {"address", &kText, "Where Envoys ask by gRPC: host:port or unix:PATH.", true},
    {"tls", &kListenerTls, "TLS; without it HTTP/2 in clear, for the same machine only."},
    {"allow_plaintext", &kFlag,
     "Let other machines ask in clear, over a network that is protected; default false."},
    {"max_request_bytes", &kCount,
     "What Envoys have as with_request_body.max_request_bytes; default 1048576."},
};
constexpr Type kEnvoy = {
    .shape = Shape::kMap, .expected = "a map with 'address'", .keys = kEnvoyKeys};
constexpr Type kRedacted = {.shape = Shape::kText,
                            .expected = "a name of a JSON member, or several with dots between",
                            .check = CheckRedacted,
                            .schema_pattern = "^[^.]+(\\.[^.]+)*$",
                            .max_bytes = 256};
constexpr Type kRedactedList = {.shape = Shape::kList,
                                .expected = "a list of names of JSON members",
                                .element = &kRedacted,
                                .max_size = 64};
constexpr Key kRedactKeys[] = {
    {"request", &kRedactedList, "In params, before the tool gets them."},
    {"response", &kRedactedList, "In the tool's answers, before the agent gets them."},
};
constexpr Type kRedact = {
    .shape = Shape::kMap, .expected = "a map with 'request' and 'response'", .keys = kRedactKeys};
constexpr Key kExtProcKeys[] = {
    {"redact", &kRedact, "JSON members whose values are replaced by [redacted]."},
};
constexpr Type kExtProc = {
    .shape = Shape::kMap, .expected = "a map with 'redact'", .keys = kExtProcKeys};
constexpr Key kOpaEnvoyKeys[] = {
    {"addr", &kText,
     "Where Envoys ask: host:port, grpc://host:port or unix://PATH; default :9191."},
    {"path", &kText, "The rule that decides; default envoy/authz/allow."},
    {"dry-run", &kFlag, "Record what the policy denies and let it pass; default false."},
    {"skip-request-body-parse", &kFlag, "Leave out parsed_body; default false."},
    {"enable-reflection", &kFlag, "Serve gRPC's server reflection; default false."},
    {"query", nullptr, "Deprecated by OPA; use path."},
    {"proto-descriptor", nullptr, "Descriptors of gRPC bodies."},
    {"grpc-max-recv-msg-size", nullptr, "Most bytes of a request."},
    {"grpc-max-send-msg-size", nullptr, "Most bytes of an answer."},
    {"enable-performance-metrics", nullptr, "Metrics of opa-envoy-plugin."},
    {"grpc-request-duration-seconds-buckets", nullptr, "Buckets of those."},
};
constexpr Type kOpaEnvoy = {.shape = Shape::kMap,
                            .expected = "a map of opa-envoy-plugin's settings",
                            .keys = kOpaEnvoyKeys};
constexpr Key kPluginsKeys[] = {
    {"envoy_ext_authz_grpc", &kOpaEnvoy,
     "A door for Envoys like opa-envoy-plugin's, which asks for no tokens."},
};
constexpr Type kPlugins = {
    .shape = Shape::kMap, .expected = "a map of plugins", .keys = kPluginsKeys};
constexpr Key kEgressKeys[] = {
    {"address", &kText, "Where agents reach the forward proxy: host:port, usually 127.0.0.1:3128.",
     true},
    {"max_connections", &kCount, "Most connections at a time; default 4096."},
    {"max_connections_per_agent", &kCount, "Most connections of one agent; default 256."},
    {"idle_timeout_seconds", &kCount, "How long nothing need move; default 300."},
    {"lifetime_seconds", &kCount, "How long a connection may live; default 3600."},
    {"max_upload_mib", &kCount, "Most MiB of one connection to the host; default 1024."},
    {"max_download_mib", &kCount, "Most MiB of one connection to the agent; default 8192."},
};
constexpr Type kEgress = {
    .shape = Shape::kMap, .expected = "a map with 'address'", .keys = kEgressKeys};
constexpr Key kConfigKeys[] = {
    {"services", &kServices, "Servers that are called."},
    {"keys", &kKeys, "Keys that signatures are checked with."},
    {"bundles", &kBundles, "Where a tenant's policy comes from instead of the control plane."},
    {"http", &kHttpConfig, "Where and how agents call."},
    {"envoy", &kEnvoy, "The door for Envoys: external authorization and processing by gRPC."},
    {"ext_proc", &kExtProc, "What external processing does to calls and answers."},
    {"egress", &kEgress, "The forward proxy through which agents reach hosts that policies list."},
    {"plugins", &kPlugins, "What OPA has as plugins."},
    {"certificate_authorities", &kCertificateAuthorities,
     "Files with PEM certificates that tools may be trusted by, by the name that tools use."},
    {"client_certificates", &kClientCertificates,
     "Certificates that the gateway may show to tools, by the name that tools use."},
    {"secrets", &kSecrets, "Credentials of tools, by the name that tools use."},
    {"telemetry", &kTelemetryType, "Where spans of calls are sent, and which."},
};
constexpr Type kConfig = {.shape = Shape::kMap,
                          .expected = "a map of settings",
                          .doc = "Configuration of Aegis.",
                          .keys = kConfigKeys};

std::string TextOf(const Node* map, std::string_view key) {
  const Node* node = map == nullptr ? nullptr : map->Find(key);
  return node == nullptr ? std::string() : node->text;
}
std::vector<std::string> TextsOf(const Node* map, std::string_view key) {
  const Node* node = map == nullptr ? nullptr : map->Find(key);
  std::vector<std::string> out;
  if (node == nullptr) return out;
  for (const Node* item : node->items) out.push_back(item->text);
  return out;
}
bool FlagOf(const Node* map, std::string_view key, bool otherwise) {
  const Node* node = map == nullptr ? nullptr : map->Find(key);
  return node == nullptr ? otherwise : node->text == "true";
}

// Plans a bundle that was built without a plan, when the Rego compiler is installed. `other`: an
// entrypoint beside the first; empty: none.
Result<std::string> PlanFor(const rego::Bundle& bundle, std::string_view entrypoint,
                            std::string_view other) {
  const std::string advice =
      "; or build it with `opa build -t plan -e " + std::string(entrypoint) + "`";
  if (bundle.modules.empty()) {
    return Fail(Code::kInvalidArgument, "bundle_no_plan",
                "the bundle has no plan, and no Rego to make one from" + advice);
  }
  const Result<rego::CompilerTool> tool = rego::CompilerTool::Find();
  if (!tool) {
    return Fail(
        Code::kInvalidArgument, "bundle_no_plan",
        "the bundle has no plan, and it cannot be made here: " + tool.error().message + advice);
  }
  std::vector<std::string> entrypoints{std::string(entrypoint)};
  if (!other.empty() && other != entrypoint) entrypoints.emplace_back(other);
  return rego::PlanBundle(bundle, entrypoints, *tool);
}
Result<std::string> PlanWithTool(const rego::Bundle& bundle, std::string_view entrypoint) {
  return PlanFor(bundle, entrypoint, {});
}

// Makes the Config of a document that has the right form.
class Reader {
 public:
  Reader(const policy::Reporter& reporter, const std::string& tenant)
      : reporter_(reporter), tenant_(tenant) {}

  Config Read(const Node& root) {
    Config config;
    root_ = &root;
    if (const Node* plugins = root.Find("plugins")) {
      if (const Node* plugin = plugins->Find("envoy_ext_authz_grpc"))
        ReadOpaEnvoy(*plugin, config.opa_envoy);
    }
    if (const Node* bundles = root.Find("bundles"); bundles && !bundles->members.empty()) {
      const Node::Member& bundle = bundles->members.front();
      if (bundle.key != tenant_) {
        reporter_.Error(bundle.key_offset, "there is no tenant '" + policy::Shorten(bundle.key) +
                                               "'; the only one is '" + tenant_ + "'");
      }
      config.bundle_source = ReadBundle(*bundle.value, config.opa_envoy);
    }
    if (const Node* http = root.Find("http")) {
      ReadHttpConfig(*http, reporter_, config.listeners, config.limits);
    }
    if (const Node* envoy = root.Find("envoy")) {
      ReadListener(*envoy, config.envoy);
      if (const Node* bytes = envoy->Find("max_request_bytes")) {
        const size_t limit = ReadBytes(*bytes, "max_request_bytes", kMaxRequestBytes);
        config.limits.max_request_bytes = limit;
      }
    }
    if (const Node* egress = root.Find("egress")) ReadEgress(*egress, config.egress);
    if (const Node* processing = root.Find("ext_proc")) {
      const Node* redact = processing->Find("redact");
      config.redaction = {TextsOf(redact, "request"), TextsOf(redact, "response")};
    }
    config.tool_resources = ReadToolResources(root, reporter_);
    if (const Node* telemetry = root.Find("telemetry")) {
      config.telemetry = ReadTelemetry(*telemetry, reporter_);
    }
    return config;
  }

 private:
  const Node* Find(std::string_view map, std::string_view name) const {
    const Node* found = root_->Find(map);
    return found == nullptr ? nullptr : found->Find(name);
  }

  void ReadEgress(const Node& egress, gateway::EgressOptions& out) {
    out.address = TextOf(&egress, "address");
    const auto count = [&](std::string_view key, auto& value, size_t most) {
      const Node* node = egress.Find(key);
      if (node == nullptr) return;
      value = static_cast<std::decay_t<decltype(value)>>(ReadBytes(*node, std::string(key), most));
    };
    count("max_connections", out.max_connections, 1'000'000);
    count("max_connections_per_agent", out.max_connections_per_agent, 1'000'000);
    uint64_t upload_mib = out.max_upload_bytes >> 20, download_mib = out.max_download_bytes >> 20;
    count("max_upload_mib", upload_mib, kMaxTunnelMib);
    count("max_download_mib", download_mib, kMaxTunnelMib);
    out.max_upload_bytes = upload_mib << 20;
    out.max_download_bytes = download_mib << 20;
    out.idle_timeout_ms =
        1000 * Seconds(egress, "idle_timeout_seconds", out.idle_timeout_ms / 1000, 1);
    out.lifetime_ms = int64_t{1000} * Seconds(egress, "lifetime_seconds",
                                              static_cast<int>(out.lifetime_ms / 1000), 1);
  }

  // Forms as of opa-envoy-plugin v1.19.1, internal/internal.go.
  void ReadOpaEnvoy(const Node& plugin, gateway::OpaEnvoyOptions& out) {
    out.address = ":9191";
    if (const Node* address = plugin.Find("addr")) {
      out.address = address->text;
      if (out.address.starts_with("grpc://")) {
        out.address.erase(0, 7);
      } else if (out.address.starts_with("unix://") && !out.address.starts_with("unix://@")) {
        out.address.erase(5, 2);
      } else if (out.address.find("://") != std::string::npos) {
        reporter_.Error(address->offset,
                        "'addr' must be host:port, grpc://host:port or unix://PATH");
      }
    }
    if (const Node* path = plugin.Find("path")) {
      out.path.clear();
      for (const std::string_view segment : Split(path->text, '/')) {
        if (!segment.empty()) out.path.append(out.path.empty() ? "" : "/").append(segment);
      }
      if (out.path.empty()) reporter_.Error(path->offset, "'path' names no rule");
    }
    out.dry_run = FlagOf(&plugin, "dry-run", false);
    out.skip_request_body_parse = FlagOf(&plugin, "skip-request-body-parse", false);
    out.enable_reflection = FlagOf(&plugin, "enable-reflection", false);
  }

  gateway::BundleSource ReadBundle(const Node& bundle, const gateway::OpaEnvoyOptions& opa_envoy) {
    gateway::BundleSource source;
    const std::string service_name = TextOf(&bundle, "service");
    if (const Node* service = Find("services", service_name)) {
      ReadService(*service, source);
    } else {
      reporter_.Error(bundle.Find("service")->offset,
                      "there is no service '" + policy::Shorten(service_name) + "' in 'services'");
    }
    source.resource = TextOf(&bundle, "resource");
    source.planner = PlanWithTool;
    if (!opa_envoy.address.empty()) {
      // A bundle made for opa-envoy-plugin has no other; beside another, both are planned.
      source.entrypoint = opa_envoy.path;
      source.planner = [asked = opa_envoy.path](const rego::Bundle& content,
                                                std::string_view entrypoint) {
        return PlanFor(content, entrypoint, asked);
      };
    }
    if (bundle.Find("entrypoint") != nullptr) source.entrypoint = TextOf(&bundle, "entrypoint");
    source.persist = FlagOf(&bundle, "persist", true);
    // One source's copy on disk must not be taken for another's.
    source.cache_name =
        "bundle-" + crypto::Sha256Hex(source.url + "\n" + source.resource).substr(0, 16);
    if (const Node* limit = bundle.Find("size_limit_bytes")) ReadLimit(*limit, source.limits);
    if (const Node* polling = bundle.Find("polling")) ReadPolling(*polling, source);
    if (const Node* signing = bundle.Find("signing")) ReadSigning(*signing, source);
    return source;
  }

  void ReadService(const Node& service, gateway::BundleSource& source) {
    source.url = TextOf(&service, "url");
    source.ca_file = TextOf(service.Find("tls"), "ca_cert");
    const Node* credentials = service.Find("credentials");
    const Node* bearer = credentials == nullptr ? nullptr : credentials->Find("bearer");
    if (bearer == nullptr) return;
    const Node& token = *bearer->Find("token");
    if (const std::string problem = CheckSecretReference(token.text); !problem.empty()) {
      return reporter_.Error(token.offset, "'token' " + problem);
    }
    source.bearer_token = [reference = token.text] { return ResolveSecret(reference); };
  }

  // Also when it is out of range, which is reported.
  size_t ReadBytes(const Node& node, const std::string& key, size_t most) {
    const size_t bytes = static_cast<size_t>(std::stoul(node.text));
    if (bytes == 0 || bytes > most) {
      reporter_.Error(node.offset, "'" + key + "' must be from 1 to " + std::to_string(most));
    }
    return bytes;
  }

  void ReadLimit(const Node& node, rego::BundleLimits& limits) {
    const size_t bytes = ReadBytes(node, "size_limit_bytes", kMaxBundleBytes);
    limits.max_archive_bytes = limits.max_file_bytes = bytes;
    limits.max_total_bytes = 2 * bytes;
  }

  int Seconds(const Node& map, std::string_view key, int otherwise, int least) {
    const Node* node = map.Find(key);
    if (node == nullptr) return otherwise;
    const int seconds = std::stoi(node->text);
    if (seconds < least || seconds > kMaxSeconds) {
      reporter_.Error(node->offset, "'" + std::string(key) + "' must be from " +
                                        std::to_string(least) + " to " +
                                        std::to_string(kMaxSeconds));
    }
    return seconds;
  }

  void ReadPolling(const Node& polling, gateway::BundleSource& source) {
    const int low = Seconds(polling, "min_delay_seconds", 60, 1);
    const int high = Seconds(polling, "max_delay_seconds", std::max(low, 120), 1);
    if (low > high) {
      reporter_.Error(polling.offset, "'min_delay_seconds' is greater than 'max_delay_seconds'");
    }
    source.min_delay = std::chrono::seconds(low);
    source.max_delay = std::chrono::seconds(high);
    source.long_polling_timeout = Seconds(polling, "long_polling_timeout_seconds", 0, 0);
  }

  void ReadSigning(const Node& signing, gateway::BundleSource& source) {
    rego::BundleVerifier& verifier = source.verifier.emplace();
    verifier.allow_unsigned_deltas = FlagOf(&signing, "allow_unsigned_delta_bundles", false);
    const std::string only = TextOf(&signing, "keyid");
    std::string scope;
    if (const Node* keys = root_->Find("keys")) {
      for (const Node::Member& member : keys->members) {
        if (!only.empty() && member.key != only) continue;
        AddKey(member, verifier.keys);
        if (!only.empty()) scope = TextOf(member.value, "scope");
      }
    }
    if (verifier.keys.empty() && !reported_key_) {
      reporter_.Error(signing.offset,
                      only.empty() ? "'signing' needs keys; add them to 'keys'"
                                   : "there is no key '" + policy::Shorten(only) + "' in 'keys'");
    }
    verifier.scope = signing.Find("scope") ? TextOf(&signing, "scope") : scope;
  }

  void AddKey(const Node::Member& member, crypto::KeySet& keys) {
    const Node& text = *member.value->Find("key");
    const std::string algorithm = TextOf(member.value, "algorithm");
    const auto refuse = [&](const std::string& why) {
      reported_key_ = true;
      reporter_.Error(text.offset, "the key '" + policy::Shorten(member.key) + "' " + why);
    };
    if (const std::string problem = CheckKeyText(text.text); !problem.empty())
      return refuse(problem);
    Result<std::string> material = text.text;
    if (IsReference(text.text)) material = ResolveSecret(text.text);
    if (!material) return refuse("cannot be read: " + material.error().message);
    const std::string kid(member.key);
    const bool secret = algorithm.starts_with("HS");
    if (secret && !IsReference(text.text)) {
      return refuse("is a secret: write env:NAME or file:PATH");
    }
    const crypto::Algorithm use = *crypto::AlgorithmFromJoseName(algorithm);
    auto key = secret ? crypto::VerificationKey::FromSecret(*material, kid, use)
                      : crypto::VerificationKey::FromPem(*material, kid, use);
    if (!key) return refuse("cannot be used for " + algorithm + ": " + key.error().message);
    if (const Status added = keys.Add(*std::move(key)); !added) refuse(added.error().message);
  }

  const policy::Reporter& reporter_;
  const std::string& tenant_;
  const Node* root_ = nullptr;
  bool reported_key_ = false;
};

// Every value of the document by its path: "http.listeners[0].address".
void AddValues(const Node& node, const std::string& path, std::map<std::string, std::string>& out) {
  if (node.kind == Node::Kind::kMap) {
    for (const Node::Member& member : node.members) {
      const std::string key(member.key);
      AddValues(*member.value, path.empty() ? key : path + "." + key, out);
    }
  } else if (node.kind == Node::Kind::kList) {
    for (size_t i = 0; i < node.items.size(); ++i) {
      AddValues(*node.items[i], path + "[" + std::to_string(i) + "]", out);
    }
  } else {
    out[path] = node.text;
  }
}

class ConfigSink final : public policy::DocumentSink {
 public:
  ConfigSink(const policy::Reporter& reporter, const std::string& tenant)
      : reporter_(reporter), tenant_(tenant) {}

  void OnDocument(const policy::NodeTree& tree) override {
    if (seen_) return reporter_.Error(tree.root->offset, "the file has more than one document");
    seen_ = true;
    if (tree.root->kind == Node::Kind::kNull) return;  // a file of comments
    if (!policy::CheckNode(*tree.root, kConfig, "the configuration", reporter_)) return;
    config = Reader(reporter_, tenant_).Read(*tree.root);
    AddValues(*tree.root, {}, config.values);
  }

  Config config;

 private:
  const policy::Reporter& reporter_;
  const std::string& tenant_;
  bool seen_ = false;
};

}  // namespace

std::string CheckSecretReference(std::string_view text) {
  return IsReference(text) ? "" : "is not a reference: write env:NAME or file:PATH";
}

Result<std::string> ResolveSecret(const std::string& reference) {
  if (!IsReference(reference)) {
    return Fail(Code::kInvalidArgument, "secret_reference",
                "a reference to a secret is env:NAME or file:PATH");
  }
  std::string secret;
  if (reference.starts_with("env:")) {
    const char* value = std::getenv(reference.c_str() + 4);
    if (value != nullptr) secret = value;
  } else {
    AEGIS_TRY(secret, ReadFile(reference.substr(5), kMaxSecretBytes));
    while (secret.ends_with('\n') || secret.ends_with('\r')) secret.pop_back();
  }
  if (secret.empty() || secret.size() > kMaxSecretBytes) {
    return Fail(Code::kFailedPrecondition, "secret_missing",
                reference + " is not set, empty or too long");
  }
  return secret;
}

Result<Config> ReadConfig(const std::string& path, const std::string& tenant,
                          policy::Diagnostics& diagnostics) {
  AEGIS_TRY(const std::string text, ReadFile(path, kMaxConfigBytes));
  const policy::SourceText source(path, text);
  const policy::Reporter reporter(source, diagnostics);
  ConfigSink sink(reporter, tenant);
  policy::ReadSource(source, {.max_documents = 2, .max_nodes_per_document = 10'000}, sink,
                     diagnostics);
  if (diagnostics.has_errors()) {
    return Fail(Code::kInvalidArgument, "config_invalid",
                path + " has " + std::to_string(diagnostics.error_count()) + " mistakes");
  }
  return std::move(sink.config);
}

std::vector<std::string> NeedsRestart(const Config& before, const Config& after) {
  std::vector<std::string> out;
  const auto both_have = [&](const std::string& key) {
    return before.values.contains(key) && after.values.contains(key);
  };
  const auto look = [&](const std::string& key) {
    const size_t tls = key.rfind(".tls.");
    const std::string owner = key.substr(0, tls);
    const bool of_listener =
        tls != std::string::npos && (owner == "envoy" || owner.starts_with("http.listeners["));
    // A listener cannot begin or end to have TLS.
    if (!of_listener || !both_have(owner + ".tls.certificate")) out.push_back(key);
  };
  for (const auto& [key, value] : before.values) {
    const auto now = after.values.find(key);
    if (now == after.values.end() || now->second != value) look(key);
  }
  for (const auto& [key, value] : after.values) {
    if (!before.values.contains(key)) look(key);
  }
  return out;
}

std::string ConfigJsonSchema() {
  return policy::JsonSchemaOf(kConfig, "Aegis configuration (aegis.yaml)");
}

}  // namespace aegis::app
