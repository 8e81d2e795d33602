#include "aegis/decision/snapshot.h"

#include <optional>
#include <utility>

#include "aegis/decision/document.h"
#include "aegis/decision/input.h"
#include "aegis/rego/bundle.h"
#include "aegis/rego/program.h"
#include "aegis/rego/vm.h"

namespace aegis::decision {
namespace {

// Memory of one call: its params, its input and all that the policy makes of them.
constexpr size_t kArenaChunkBytes = 64 * 1024;
constexpr size_t kArenaLimitBytes = size_t{64} << 20;

// "the policy failed: eval_step_limit". The engine's own message may quote values of the call.
Decision Failed(std::string_view reason, Arena& arena) {
  constexpr std::string_view kPrefix = "the policy could not be evaluated: ";
  char* const text = static_cast<char*>(arena.Allocate(kPrefix.size() + reason.size(), 1));
  if (text == nullptr) return PolicyError("the policy could not be evaluated");
  kPrefix.copy(text, kPrefix.size());
  reason.copy(text + kPrefix.size(), reason.size());
  return PolicyError({text, kPrefix.size() + reason.size()});
}

}  // namespace

struct Snapshot::Impl {
  std::string tenant;
  std::string policy_version;
  std::string bundle_sha256;
  std::unique_ptr<const rego::Program> program;
  std::string entrypoint_name;
  uint32_t entrypoint = 0;
  InputPlan input_plan;
};

Snapshot::Snapshot(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Snapshot::~Snapshot() = default;

Result<std::shared_ptr<const Snapshot>> Snapshot::Load(std::string_view bytes,
                                                       const Options& options) {
  if (options.verifier != nullptr && options.verifier->scope != options.tenant) {
    return Fail(Code::kFailedPrecondition, "bundle_scope",
                "bundles of the tenant " + options.tenant +
                    " would be checked with another scope; configure the tenant's name as scope");
  }
  AEGIS_TRY(const rego::Bundle bundle, rego::ReadBundle(bytes, options.verifier));
  return FromBundle(bundle, options);
}

Result<std::shared_ptr<const Snapshot>> Snapshot::FromBundle(const rego::Bundle& bundle,
                                                             const Options& options) {
  if (!bundle.patch_json.empty()) {
    return Fail(Code::kFailedPrecondition, "bundle_delta",
                "a delta bundle is no policy of its own; it changes one that is in force");
  }
  std::string planned;
  if (bundle.plan_json.empty()) {
    if (!options.planner) {
      return Fail(Code::kInvalidArgument, "bundle_no_plan",
                  "the bundle has no plan; build it with `opa build -t plan -e " +
                      options.entrypoint + "`");
    }
    AEGIS_TRY(planned, options.planner(bundle, options.entrypoint));
  }
  auto impl = std::make_unique<Impl>();
  AEGIS_TRY(impl->program,
            rego::Program::Load(planned.empty() ? bundle.plan_json : planned, bundle.data_json));
  const std::optional<uint32_t> entrypoint = impl->program->FindEntrypoint(options.entrypoint);
  if (!entrypoint) {
    return Fail(Code::kInvalidArgument, "bundle_no_entrypoint",
                "the bundle's plan has no entrypoint " + options.entrypoint +
                    "; build it with `-e " + options.entrypoint + "`");
  }
  impl->tenant = options.tenant;
  impl->policy_version = bundle.manifest.revision;
  impl->bundle_sha256 = bundle.sha256;
  impl->entrypoint_name = options.entrypoint;
  impl->entrypoint = *entrypoint;
  impl->input_plan = InputPlan::For(*impl->program, *entrypoint);
  return std::shared_ptr<const Snapshot>(new Snapshot(std::move(impl)));
}

const std::string& Snapshot::tenant() const { return impl_->tenant; }
const std::string& Snapshot::policy_version() const { return impl_->policy_version; }
const std::string& Snapshot::bundle_sha256() const { return impl_->bundle_sha256; }
const std::string& Snapshot::entrypoint() const { return impl_->entrypoint_name; }
bool Snapshot::HasEntrypoint(std::string_view name) const {
  return impl_->program->FindEntrypoint(name).has_value();
}

struct Evaluator::Impl {
  Arena arena{kArenaChunkBytes, kArenaLimitBytes};
  rego::Vm vm;
};

Evaluator::Evaluator() : impl_(std::make_unique<Impl>()) {}
Evaluator::~Evaluator() = default;

Decision Evaluator::Evaluate(const Snapshot& snapshot, const Call& call) {
  const Snapshot::Impl& policy = *snapshot.impl_;
  Arena& arena = impl_->arena;
  // One tenant's policy must never judge another tenant's call, whatever mistake led here.
  if (AEGIS_BUG(call.principal != nullptr && call.principal->tenant != policy.tenant)) {
    return PolicyError("the call is of another tenant than the policy");
  }
  const Result<rego::Value> input = BuildInput(call, policy.input_plan, arena);
  if (!input) return Failed(input.error().reason, arena);
  const Result<rego::Value> document =
      impl_->vm.Eval(*policy.program, policy.entrypoint, *input, call.time_unix_ns, arena);
  if (!document) return Failed(document.error().reason, arena);
  return TranslateDocument(*document);
}

Result<rego::Value> Evaluator::Query(const Snapshot& snapshot, std::string_view entrypoint,
                                     rego::Value input, int64_t time_unix_ns) {
  const Snapshot::Impl& policy = *snapshot.impl_;
  const std::optional<uint32_t> found = policy.program->FindEntrypoint(entrypoint);
  if (!found) {
    return Fail(Code::kNotFound, "entrypoint_unknown", "the policy has no such entrypoint");
  }
  return impl_->vm.Eval(*policy.program, *found, input, time_unix_ns, impl_->arena);
}

Arena& Evaluator::arena() { return impl_->arena; }
void Evaluator::Reset() { impl_->arena.Reset(); }

}  // namespace aegis::decision
