#include "aegis/control/policy_compiler.h"

#include <algorithm>

#include "aegis/decision/snapshot.h"
#include "aegis/policy/compile.h"
#include "aegis/policy/custom_rego.h"
#include "aegis/policy/parse.h"
#include "aegis/rego/bundle.h"
#include "aegis/rego/compiler_tool.h"

namespace aegis::control {
namespace {

void AddError(CompiledPolicy& compiled, const std::string& file, std::string message) {
  compiled.diagnostics.push_back({true, file, 0, 0, std::move(message)});
}

// The plan of a bundle that was built without one, or "" and why not among the diagnostics.
std::string PlanOf(const rego::Bundle& bundle, const std::string& name, CompiledPolicy& compiled) {
  const Result<rego::CompilerTool> tool = rego::CompilerTool::Find();
  if (!tool) {
    AddError(compiled, name,
             "the bundle has no plan.json, and it cannot be made here: " + tool.error().message +
                 "; or build the bundle with `opa build -t plan -e aegis/decision`");
    return {};
  }
  Result<std::string> plan = rego::PlanBundle(bundle, {std::string(policy::kEntrypoint)}, *tool);
  if (!plan) AddError(compiled, name, plan.error().message);
  return plan ? *std::move(plan) : std::string();
}

// The bundle's files with our manifest, without its signature.
std::vector<rego::BundleFile> FilesToSign(rego::Bundle bundle, const std::string& revision) {
  std::vector<rego::BundleFile> files = std::move(bundle.modules);
  for (rego::BundleFile& file : bundle.files) {
    if (file.name != ".manifest" && file.name != rego::kSignaturesFile) {
      files.push_back(std::move(file));
    }
  }
  bundle.manifest.revision = revision;
  files.push_back({".manifest", rego::ManifestJson(bundle.manifest)});
  files.push_back({"data.json", std::move(bundle.data_json)});
  files.push_back({"plan.json", std::move(bundle.plan_json)});
  return files;
}

// How the policy answers a call that nothing can have been written for: "" when with a decision.
std::string ProblemOfDecision(const decision::Snapshot& snapshot) {
  identity::Principal principal;
  principal.tenant = snapshot.tenant();
  principal.agent = "aegis-publish-check";
  decision::Evaluator evaluator;
  decision::Call call;
  call.principal = &principal;
  call.tool = "aegis-publish-check";
  call.action = "check";
  const decision::Decision made = evaluator.Evaluate(snapshot, call);
  return made.reason == decision::Reason::kPolicyError ? std::string(made.message) : std::string();
}

class DialectCompiler final : public PolicyCompiler {
 public:
  DialectCompiler(crypto::SigningKey key, const std::string& scope)
      : signer_{std::move(key), scope} {
    // One key: it cannot be a duplicate.
    (void)verifier_.keys.Add(signer_.key.verification_key());
    verifier_.scope = scope;
  }

  Result<CompiledPolicy> Compile(const std::vector<store::PolicySource>& sources,
                                 const std::string& revision) override {
    std::vector<policy::SourceFile> files;
    files.reserve(sources.size());
    for (const store::PolicySource& source : sources) {
      files.push_back({source.name, source.content});
    }
    policy::ParseResult parsed = policy::ParseSources(files);
    policy::PlanCustomRego(parsed);
    CompiledPolicy compiled;
    for (const policy::Diagnostic& diagnostic : parsed.diagnostics.items()) {
      compiled.diagnostics.push_back({diagnostic.severity == policy::Severity::kError,
                                      diagnostic.file, diagnostic.position.line,
                                      diagnostic.position.column, diagnostic.message});
    }
    if (parsed.diagnostics.dropped() > 0) {
      compiled.diagnostics.push_back({true, "", 0, 0,
                                      "and " + std::to_string(parsed.diagnostics.dropped()) +
                                          " more mistakes that are not listed"});
    }
    if (!parsed.policies || parsed.diagnostics.has_errors()) return compiled;
    AEGIS_TRY(compiled.bundle, policy::CompileToBundle(*parsed.policies, revision, &signer_));
    // Whatever is published is what a gateway will be able to load.
    AEGIS_TRY([[maybe_unused]] rego::Bundle read, rego::ReadBundle(compiled.bundle, &verifier_));
    if (!parsed.policies->modules.empty()) {
      const auto loaded = Load(compiled.bundle);
      if (!loaded) {
        compiled.bundle.clear();
        AddError(compiled, parsed.policies->modules.front().file,
                 "with this custom Rego the policy cannot be loaded: " + loaded.error().message);
      }
    }
    return compiled;
  }

  Result<CompiledPolicy> Adopt(const std::string& bytes, const std::string& name,
                               const std::string& revision) override {
    CompiledPolicy compiled;
    Result<rego::Bundle> bundle = rego::ReadBundle(bytes, nullptr);
    if (!bundle) {
      AddError(compiled, name, bundle.error().message);
      return compiled;
    }
    if (bundle->plan_json.empty()) bundle->plan_json = PlanOf(*bundle, name, compiled);
    if (bundle->plan_json.empty()) return compiled;
    AEGIS_TRY(std::string ours,
              rego::WriteBundle(FilesToSign(*std::move(bundle), revision), &signer_));
    const auto loaded = Load(ours);
    if (!loaded) {
      AddError(compiled, name, loaded.error().message);
      return compiled;
    }
    if (const std::string problem = ProblemOfDecision(**loaded); !problem.empty()) {
      AddError(compiled, name,
               "data.aegis.decision must be a decision document for every call: " + problem +
                   " (asked with an agent and a tool that nobody knows)");
      return compiled;
    }
    compiled.bundle = std::move(ours);
    return compiled;
  }

  bool Accepts(const std::string& bundle) const override {
    return rego::ReadBundle(bundle, &verifier_).has_value();
  }

 private:
  Result<std::shared_ptr<const decision::Snapshot>> Load(const std::string& bundle) const {
    return decision::Snapshot::Load(bundle, {.tenant = verifier_.scope, .verifier = &verifier_});
  }

  rego::BundleSigner signer_;
  rego::BundleVerifier verifier_;
};

}  // namespace

std::unique_ptr<PolicyCompiler> MakePolicyCompiler(crypto::SigningKey key,
                                                   const store::TenantKey& tenant) {
  return std::make_unique<DialectCompiler>(std::move(key), tenant.tenant);
}

}  // namespace aegis::control
