// The key `http` of aegis.yaml: where and how agents call.
#pragma once

#include <vector>

#include "aegis/gateway/options.h"
#include "aegis/policy/check.h"
#include "aegis/policy/dialect.h"

namespace aegis::app {

extern const policy::Type kListenerTls;  // `tls` of a listener, also of that for Envoys
extern const policy::Type kHttpConfig;

// Of a map with `address`, `tls` and `allow_plaintext`.
void ReadListener(const policy::Node& node, gateway::Listener& out);
// Of a document that has the form of kHttpConfig; numbers that are out of range are reported.
void ReadHttpConfig(const policy::Node& http, const policy::Reporter& reporter,
                    std::vector<gateway::Listener>& listeners, gateway::Limits& limits);

}  // namespace aegis::app
