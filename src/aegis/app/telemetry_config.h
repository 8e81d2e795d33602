// The part of aegis.yaml that says what is traced and where spans go. docs/telemetry.md describes
// it for users.
#pragma once

#include <optional>
#include <string>

#include "aegis/policy/check.h"
#include "aegis/policy/dialect.h"
#include "aegis/policy/node.h"
#include "aegis/telemetry/sampler.h"
#include "aegis/telemetry/span_exporter.h"

namespace aegis::app {

// Of the key "telemetry".
extern const policy::Type kTelemetryType;

struct TelemetryConfig {
  std::optional<telemetry::OtlpOptions> otlp;  // nothing: no spans are made
  telemetry::Sampler sampler;
};

// Reads a node that is as kTelemetryType says; what is wrong beyond that is reported.
TelemetryConfig ReadTelemetry(const policy::Node& node, const policy::Reporter& reporter);

}  // namespace aegis::app
