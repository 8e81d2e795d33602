#include "aegis/app/telemetry_config.h"

#include <bit>
#include <charconv>
#include <chrono>

#include "aegis/app/config.h"
#include "aegis/app/config_types.h"
#include "aegis/net/http1_grammar.h"

namespace aegis::app {
namespace {

using config_types::kCount;
using config_types::kReference;
using config_types::kText;
using config_types::kUrl;
using policy::Key;
using policy::Node;
using policy::Shape;
using policy::Type;

constexpr std::string_view kSamplers[] = {"always_on",
                                          "always_off",
                                          "traceidratio",
                                          "parentbased_always_on",
                                          "parentbased_always_off",
                                          "parentbased_traceidratio"};
constexpr std::string_view kCompressions[] = {"none", "gzip"};

std::string CheckHeaderName(std::string_view name) {
  if (!net::IsToken(name)) return "is not the name of a header";
  return {};
}

constexpr Type kRatio = {.shape = Shape::kNumber, .expected = "a number from 0 to 1"};
constexpr Type kHeaders = {.shape = Shape::kMap,
                           .expected = "headers by name",
                           .element = &kReference,
                           .max_size = 32,
                           .check_key = CheckHeaderName,
                           .key_schema_pattern = "^[!#$%&'*+.^_`|~0-9A-Za-z-]+$",
                           .key_word = "header"};
constexpr Type kCompression = {
    .shape = Shape::kText, .expected = "none or gzip", .allowed = kCompressions};
constexpr Type kSamplerName = {
    .shape = Shape::kText, .expected = "a sampler", .allowed = kSamplers};
constexpr Type kResource = {.shape = Shape::kMap,
                            .expected = "attributes by name",
                            .element = &kText,
                            .max_size = 32,
                            .key_word = "attribute"};

constexpr Key kTlsKeys[] = {
    {"ca_cert", &kText, "File with the PEM certificates to trust instead of the system's.", true},
};
constexpr Type kTls = {.shape = Shape::kMap, .expected = "a map with 'ca_cert'", .keys = kTlsKeys};
constexpr Key kSamplingKeys[] = {
    {"sampler", &kSamplerName, "As OTEL_TRACES_SAMPLER; default parentbased_always_on.", true},
    {"ratio", &kRatio, "Of traces that begin here, for the samplers with traceidratio."},
};
constexpr Type kSampling = {
    .shape = Shape::kMap, .expected = "a map with 'sampler'", .keys = kSamplingKeys};
constexpr Key kOtlpKeys[] = {
    {"endpoint", &kUrl, "The collector: http(s)://host:port; spans go to its /v1/traces.", true},
    {"headers", &kHeaders, "Sent with each request; the values by reference, read each time."},
    {"tls", &kTls, "How https is checked."},
    {"compression", &kCompression, "none or gzip; default none."},
    {"timeout_seconds", &kCount, "Of one request; default 10."},
    {"batch_delay_ms", &kCount, "Longest that a span waits for others; default 1000."},
    {"batch_spans", &kCount, "Most in one request; default 512."},
    {"queue_spans", &kCount,
     "Most that wait, of each worker; rounded up to a power of two; default 2048."},
};
constexpr Type kOtlp = {
    .shape = Shape::kMap, .expected = "a map with 'endpoint'", .keys = kOtlpKeys};
constexpr Key kTelemetryKeys[] = {
    {"otlp", &kOtlp, "Where spans are sent, by OTLP/HTTP."},
    {"sampling", &kSampling, "Which traces are kept."},
    {"service_name", &kText, "What spans name this service; default aegis."},
    {"resource", &kResource, "More attributes of the service, for all spans."},
};

class Reader {
 public:
  explicit Reader(const policy::Reporter& reporter) : reporter_(reporter) {}

  TelemetryConfig Read(const Node& node) {
    TelemetryConfig config;
    if (const Node* sampling = node.Find("sampling")) ReadSampling(*sampling, config.sampler);
    const Node* otlp = node.Find("otlp");
    if (otlp == nullptr) {
      // Without a place to go, the rest would do nothing.
      if (!node.members.empty()) reporter_.Error(node.offset, "'telemetry' needs 'otlp'");
      return config;
    }
    config.otlp.emplace();
    ReadOtlp(*otlp, *config.otlp);
    ReadResource(node, config.otlp->resource);
    return config;
  }

 private:
  void ReadSampling(const Node& node, telemetry::Sampler& out) {
    const std::string& name = node.Find("sampler")->text;
    const bool takes_ratio = name.ends_with("traceidratio");
    double ratio = 1;
    if (const Node* text = node.Find("ratio")) {
      const char* const end = text->text.data() + text->text.size();
      if (!takes_ratio) {
        return reporter_.Error(text->offset, "'ratio' is for the samplers with traceidratio");
      }
      if (std::from_chars(text->text.data(), end, ratio).ptr != end) ratio = -1;
      if (!(ratio >= 0 && ratio <= 1)) {
        return reporter_.Error(text->offset, "'ratio' must be from 0 to 1");
      }
    } else if (takes_ratio) {
      return reporter_.Error(node.offset, "the sampler needs a 'ratio' from 0 to 1");
    }
    out = *telemetry::Sampler::FromName(name, ratio);
  }

  size_t Count(const Node& map, std::string_view key, size_t otherwise, size_t least, size_t most) {
    const Node* node = map.Find(key);
    if (node == nullptr) return otherwise;
    const size_t count = std::stoul(node->text);
    if (count < least || count > most) {
      reporter_.Error(node->offset, "'" + std::string(key) + "' must be from " +
                                        std::to_string(least) + " to " + std::to_string(most));
      return otherwise;
    }
    return count;
  }

  void ReadOtlp(const Node& node, telemetry::OtlpOptions& out) {
    out.endpoint = node.Find("endpoint")->text;
    if (const Node* headers = node.Find("headers")) {
      for (const Node::Member& member : headers->members) {
        const std::string& reference = member.value->text;
        if (const std::string problem = CheckSecretReference(reference); !problem.empty()) {
          reporter_.Error(member.value->offset, "the value of a header " + problem);
        }
        out.headers.emplace_back(member.key, [reference] { return ResolveSecret(reference); });
      }
    }
    if (const Node* tls = node.Find("tls")) out.ca_file = tls->Find("ca_cert")->text;
    const Node* compression = node.Find("compression");
    out.gzip = compression != nullptr && compression->text == "gzip";
    out.timeout = std::chrono::seconds(Count(node, "timeout_seconds", 10, 1, 300));
    out.batch_delay = std::chrono::milliseconds(Count(node, "batch_delay_ms", 1'000, 10, 60'000));
    out.batch_spans = Count(node, "batch_spans", out.batch_spans, 1, 8'192);
    out.queue_spans = std::bit_ceil(Count(node, "queue_spans", out.queue_spans, 64, 65'536));
  }

  static void ReadResource(const Node& node,
                           std::vector<std::pair<std::string, std::string>>& out) {
    const Node* name = node.Find("service_name");
    out.emplace_back("service.name", name == nullptr ? "aegis" : name->text);
    if (const Node* resource = node.Find("resource")) {
      for (const Node::Member& member : resource->members) {
        out.emplace_back(member.key, member.value->text);
      }
    }
  }

  const policy::Reporter& reporter_;
};

}  // namespace

const Type kTelemetryType = {
    .shape = Shape::kMap, .expected = "a map with 'otlp'", .keys = kTelemetryKeys};

TelemetryConfig ReadTelemetry(const Node& node, const policy::Reporter& reporter) {
  return Reader(reporter).Read(node);
}

}  // namespace aegis::app
