// The policies of the gateway's tests, compiled as publishing does.
#include <gtest/gtest.h>

#include "aegis/gateway/gateway_testing.h"
#include "aegis/policy/compile.h"
#include "aegis/policy/parse.h"

namespace aegis::gateway::testing {

std::string MakeBundle(std::string_view revision, const rego::BundleSigner* signer,
                       int max_amount) {
  const std::string finance = R"(
agent: finance-agent
allowed_tools:
  - name: payments
    actions: [create_payment]
    conditions: {max_amount: )" +
                              std::to_string(max_amount) + R"(}
  - name: payments
    actions: ["list_*"]
  - name: payments
    actions: [pick]
    conditions: {currency: {in: [usd, eur]}}
)";
  const std::string watched = R"(
agent: watched-agent
mode: shadow
allowed_tools:
  - name: payments
    actions: [read]
)";
  const policy::SourceFile sources[] = {{"finance.yaml", finance}, {"watched.yaml", watched}};
  const policy::ParseResult parsed = policy::ParseSources(sources);
  EXPECT_TRUE(parsed.policies.has_value());
  auto bundle = policy::CompileToBundle(*parsed.policies, revision, signer);
  EXPECT_TRUE(bundle.has_value());
  return *bundle;
}

std::shared_ptr<const decision::Snapshot> MakeSnapshot() {
  decision::Snapshot::Options options;
  options.tenant = "default";
  auto snapshot = decision::Snapshot::Load(MakeBundle("1", nullptr, 5000), options);
  EXPECT_TRUE(snapshot.has_value()) << snapshot.error().message;
  return *snapshot;
}

}  // namespace aegis::gateway::testing
