#include "aegis/control/policy_compiler.h"

#include "aegis/policy/compile.h"
#include "aegis/policy/custom_rego.h"
#include "aegis/policy/parse.h"
#include "aegis/rego/bundle.h"

namespace aegis::control {
namespace {

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
    return compiled;
  }

  bool Accepts(const std::string& bundle) const override {
    return rego::ReadBundle(bundle, &verifier_).has_value();
  }

 private:
  rego::BundleSigner signer_;
  rego::BundleVerifier verifier_;
};

}  // namespace

std::unique_ptr<PolicyCompiler> MakePolicyCompiler(crypto::SigningKey key,
                                                   const store::TenantKey& tenant) {
  return std::make_unique<DialectCompiler>(std::move(key), tenant.tenant);
}

}  // namespace aegis::control
