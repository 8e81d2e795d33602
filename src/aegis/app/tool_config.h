// What of aegis.yaml tools' documents may name: certificate_authorities, client_certificates and
// secrets.
#pragma once

#include "aegis/gateway/tool_directory.h"
#include "aegis/policy/check.h"
#include "aegis/policy/dialect.h"

namespace aegis::app {

extern const policy::Type kCertificateAuthorities;
extern const policy::Type kClientCertificates;
extern const policy::Type kSecrets;

// Of a document that has the right form; what is wrong with it otherwise is reported. Files and
// secrets are read when a tool needs them.
gateway::ToolResources ReadToolResources(const policy::Node& root,
                                         const policy::Reporter& reporter);

}  // namespace aegis::app
