// A Snapshot: all that is needed to decide one tenant's calls, immutable once loaded.
//
// Threading: a Snapshot is shared by all workers as shared_ptr<const Snapshot>; each worker has its
// own Evaluator.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "aegis/base/arena.h"
#include "aegis/base/result.h"
#include "aegis/decision/call.h"
#include "aegis/decision/decision.h"

namespace aegis::rego {
struct Bundle;
struct BundleVerifier;
}  // namespace aegis::rego

namespace aegis::decision {

class Snapshot {
 public:
  struct Options {
    std::string tenant;
    // Whose bundles are accepted; its scope is the tenant. nullptr: the signature is not checked (a
    // bundle that this process has just compiled, or `aegis decide` on a local file).
    const rego::BundleVerifier* verifier = nullptr;
    // The rule whose value is the decision document.
    std::string entrypoint = "aegis/decision";
    // Makes the plan.json of a bundle that was built without one, for `entrypoint`. Empty: such
    // bundles are refused.
    std::function<Result<std::string>(const rego::Bundle& bundle, std::string_view entrypoint)>
        planner = {};
  };
  // Reads a bundle (.tar.gz bytes), checks its signature over all of its files, loads its plan and
  // finds the entrypoint.
  // Errors: those of rego::ReadBundle and FromBundle; bundle_scope (the verifier is another
  // tenant's).
  static Result<std::shared_ptr<const Snapshot>> Load(std::string_view bundle,
                                                      const Options& options);
  // Of a bundle that was read, checked and put together before. Errors: those of
  // rego::Program::Load and of the planner; bundle_no_plan, bundle_no_entrypoint, bundle_delta.
  static Result<std::shared_ptr<const Snapshot>> FromBundle(const rego::Bundle& bundle,
                                                            const Options& options);
  ~Snapshot();

  const std::string& tenant() const;
  const std::string& policy_version() const;  // the manifest's revision
  const std::string& bundle_sha256() const;   // lower-case hex of the bundle file
  const std::string& entrypoint() const;      // the rule that decides: "aegis/decision"
  bool HasEntrypoint(std::string_view name) const;

 private:
  friend class Evaluator;
  struct Impl;
  explicit Snapshot(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// Decides calls on one thread. Pure: same snapshot and call, same decision; no I/O, no clock, no
// lock; once warm no allocation outside its arena.
class Evaluator {
 public:
  Evaluator();
  ~Evaluator();
  // The returned views live until the next Evaluate or Reset. Never fails: what goes wrong is a
  // deny with Reason::kPolicyError.
  Decision Evaluate(const Snapshot& snapshot, const Call& call);
  // The value of another entrypoint (Snapshot::HasEntrypoint) for `input`, made by BuildQueryInput;
  // undefined when the rule is. Errors: those of rego::Vm::Eval; entrypoint_unknown.
  Result<rego::Value> Query(const Snapshot& snapshot, std::string_view entrypoint,
                            rego::Value input, int64_t time_unix_ns);
  // Arena for what belongs to the call being decided (params, labels); Evaluate does not reset it.
  // At most 64 MiB; what does not fit is a deny with Reason::kPolicyError.
  Arena& arena();
  void Reset();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace aegis::decision
