#include "aegis/app/http_config.h"

#include <string>
#include <string_view>

#include "aegis/app/config_types.h"

namespace aegis::app {
namespace {

using config_types::kCount;
using config_types::kFlag;
using config_types::kText;
using policy::Key;
using policy::Node;
using policy::Shape;
using policy::Type;

constexpr Key kTlsKeys[] = {
    {"certificate", &kText, "File with the PEM certificate, and those that lead to its root.",
     true},
    {"private_key", &kText, "File with the PEM key of the certificate.", true},
    {"client_ca", &kText,
     "File with the PEM certificates that a client's must lead to; without it none is asked for."},
};

constexpr Key kListenerKeys[] = {
    {"address", &kText, "Where agents call: host:port.", true},
    {"tls", &kListenerTls, "TLS; without it HTTP in clear, for the same machine only."},
    {"allow_plaintext", &kFlag,
     "Let other machines call in clear, over a network that is protected; default false."},
};
constexpr Type kListener = {
    .shape = Shape::kMap, .expected = "a map with 'address'", .keys = kListenerKeys};
constexpr Type kListeners = {.shape = Shape::kList,
                             .expected = "a list of listeners",
                             .element = &kListener,
                             .min_size = 1,
                             .max_size = 16};
constexpr Key kLimitKeys[] = {
    {"max_connections", &kCount, "Open at once; default 8192."},
    {"max_connections_per_address", &kCount,
     "Of one IPv4 address or IPv6 /64; default 0: no such limit."},
    {"max_requests", &kCount, "Calls at work at once; beyond: 503; default 8192."},
    {"max_body_bytes", &kCount, "Of a body that policy reads; default 1048576."},
    {"max_buffered_bytes", &kCount, "Of all such bodies of a worker; default 67108864."},
    {"head_timeout_seconds", &kCount, "For a request's head, and for TLS; default 10."},
    {"body_timeout_seconds", &kCount, "For a body that policy reads; default 60."},
    {"idle_timeout_seconds", &kCount, "Without progress of a body; default 60."},
    {"keep_alive_seconds", &kCount, "Between requests of a connection; default 75."},
};
constexpr Type kLimits = {.shape = Shape::kMap, .expected = "a map of limits", .keys = kLimitKeys};
constexpr Key kHttpKeys[] = {
    {"listeners", &kListeners, "Where agents call; default: 127.0.0.1:8080, in clear."},
    {"limits", &kLimits, "What connections and calls may take."},
};

constexpr int kMaxSeconds = 86'400;
constexpr size_t kMaxCount = 1'000'000;
constexpr size_t kMaxBodyBytes = size_t{64} << 20;
constexpr size_t kMaxBufferedBytes = 999'999'999;

class LimitReader {
 public:
  LimitReader(const Node& map, const policy::Reporter& reporter) : map_(map), reporter_(reporter) {}

  // Nothing is changed where the key is missing; a number out of range is reported.
  template <typename Number>
  void Read(std::string_view key, size_t least, size_t most, size_t unit, Number& out) const {
    const Node* node = map_.Find(key);
    if (node == nullptr) return;
    const size_t value = std::stoul(node->text);
    if (value < least || value > most) {
      return reporter_.Error(node->offset, "'" + std::string(key) + "' must be from " +
                                               std::to_string(least) + " to " +
                                               std::to_string(most));
    }
    out = static_cast<Number>(value * unit);
  }

 private:
  const Node& map_;
  const policy::Reporter& reporter_;
};

}  // namespace

constinit const Type kListenerTls = {.shape = Shape::kMap,
                                     .expected = "a map with 'certificate' and 'private_key'",
                                     .keys = kTlsKeys};
constinit const Type kHttpConfig = {
    .shape = Shape::kMap, .expected = "a map with 'listeners' and 'limits'", .keys = kHttpKeys};

void ReadListener(const Node& node, gateway::Listener& out) {
  const auto text = [](const Node* map, std::string_view key) {
    const Node* found = map == nullptr ? nullptr : map->Find(key);
    return found == nullptr ? std::string() : found->text;
  };
  const Node* tls = node.Find("tls");
  out.address = text(&node, "address");
  out.certificate_file = text(tls, "certificate");
  out.key_file = text(tls, "private_key");
  out.client_ca_file = text(tls, "client_ca");
  out.allow_plaintext = text(&node, "allow_plaintext") == "true";
}

void ReadHttpConfig(const Node& http, const policy::Reporter& reporter,
                    std::vector<gateway::Listener>& listeners, gateway::Limits& limits) {
  if (const Node* list = http.Find("listeners")) {
    for (const Node* item : list->items) ReadListener(*item, listeners.emplace_back());
  }
  const Node* map = http.Find("limits");
  if (map == nullptr) return;
  const LimitReader reader(*map, reporter);
  reader.Read("max_connections", 1, kMaxCount, 1, limits.max_connections);
  reader.Read("max_connections_per_address", 0, kMaxCount, 1, limits.max_connections_per_address);
  reader.Read("max_requests", 1, kMaxCount, 1, limits.max_requests);
  reader.Read("max_body_bytes", 1, kMaxBodyBytes, 1, limits.max_body_bytes);
  reader.Read("max_buffered_bytes", 1, kMaxBufferedBytes, 1, limits.max_buffered_bytes);
  reader.Read("head_timeout_seconds", 1, kMaxSeconds, 1000, limits.head_timeout_ms);
  reader.Read("body_timeout_seconds", 1, kMaxSeconds, 1000, limits.body_timeout_ms);
  reader.Read("idle_timeout_seconds", 1, kMaxSeconds, 1000, limits.idle_timeout_ms);
  reader.Read("keep_alive_seconds", 1, kMaxSeconds, 1000, limits.keep_alive_timeout_ms);
}

}  // namespace aegis::app
