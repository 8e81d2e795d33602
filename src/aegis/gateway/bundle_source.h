// Where a tenant's policy comes from: one resource of a server that speaks OPA's bundle protocol
// (OPA docs "Bundles", "Bundle Service API"), our own control plane being one.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "aegis/base/result.h"
#include "aegis/rego/bundle.h"
#include "aegis/rego/signature.h"

namespace aegis::gateway {

struct BundleSource {
  std::string url;       // of the service: "http://host:8080/base"
  std::string resource;  // below it: "bundles/payments.tar.gz"; a query may follow
  std::string ca_file;   // https: PEM certificates to trust instead of the system's; empty: those
  // The token of `Authorization: Bearer`, asked before each request so that it may change; never
  // logged. Empty: none is sent.
  std::function<Result<std::string>()> bearer_token;

  // Whose bundles are accepted; nothing: signatures are not looked at.
  std::optional<rego::BundleVerifier> verifier;
  std::string entrypoint = "aegis/decision";
  // Makes the plan of a bundle that has none; empty: such bundles are refused.
  std::function<Result<std::string>(const rego::Bundle& bundle, std::string_view entrypoint)>
      planner;
  rego::BundleLimits limits;

  // A poll follows the one before after a time between these, evenly spread; failed ones are
  // repeated sooner, beginning with 100 ms and doubling up to max_delay.
  std::chrono::milliseconds min_delay{60'000};
  std::chrono::milliseconds max_delay{120'000};
  // How long the server is asked to hold a poll, seconds; 0: never. Only a server whose answers
  // have the content type application/vnd.openpolicyagent.bundles is taken to do so; others are
  // polled periodically.
  int long_polling_timeout = 0;
  int request_timeout = 60;  // seconds for a whole answer, beside what a poll is held

  bool persist = true;                // keep the last good bundle in the cache folder
  std::string cache_name = "bundle";  // of its files there: differs from source to source
};

}  // namespace aegis::gateway
