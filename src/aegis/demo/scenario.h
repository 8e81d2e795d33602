// The demo: two agents, a payments API and six calls through a running Aegis.
//
// The set-up uses the control API with the admin credential, as an operator would; the agents have
// nothing but a base URL and a token.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "aegis/base/result.h"

namespace aegis::demo {

struct Endpoints {
  std::string control;    // "http://127.0.0.1:8090"
  std::string gateway;    // "http://127.0.0.1:8080", or an Envoy that asks it
  std::string admin_key;  // of the control API
  std::string payments;   // base URL of the payments API, as the gateway reaches it
};

// One call of the scenario and what came of it.
struct Step {
  std::string who;      // "planner-agent -> finance-agent"
  std::string call;     // "stripe-payments.create_payment amount=4200"
  int status = 0;       // of the HTTP answer
  std::string outcome;  // X-Aegis-Decision: "allow", "deny"; empty for a refused token
  std::string reason;   // of the problem document
  std::string detail;   // for a person
  std::string decision_id;
  std::string shadow;  // X-Aegis-Shadow: what enforcement would have answered
  bool reached_tool = false;
};

// Registers agents and the tool and publishes the demo's policies; safe to run again.
// Errors: those of the HTTP client, control_api (with the API's own words), not_effective (the
// gateway, or the Envoy, did not let calls pass by them in 10 s).
Status SetUp(const Endpoints& endpoints);

// Makes the six calls in order. `received` tells how many requests the payments API has seen.
Result<std::vector<Step>> Run(const Endpoints& endpoints,
                              const std::function<uint64_t()>& received);

}  // namespace aegis::demo
