// From policy sources, or a bundle that others built, to a signed bundle: what a publish needs of
// the policy and bundle libraries.
//
// Threading: Compile may be called from any thread, one at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "aegis/base/result.h"
#include "aegis/crypto/key.h"
#include "aegis/store/repository.h"

namespace aegis::control {

// A mistake in the sources. Line and column start at 1; line 0: the file as a whole.
struct PolicyDiagnostic {
  bool error = true;  // false: a warning
  std::string file;
  uint32_t line = 0;
  uint32_t column = 0;
  std::string message;
};

struct CompiledPolicy {
  std::string bundle;                         // .tar.gz; empty when a diagnostic is an error
  std::vector<PolicyDiagnostic> diagnostics;  // errors and warnings
};

class PolicyCompiler {
 public:
  virtual ~PolicyCompiler() = default;
  // `revision` goes into the bundle's manifest. Mistakes in the sources are diagnostics, not
  // errors. Errors: those of rego::WriteBundle.
  virtual Result<CompiledPolicy> Compile(const std::vector<store::PolicySource>& sources,
                                         const std::string& revision) = 0;
  // An OPA bundle as it is, signed and with the manifest's revision replaced. It must have the
  // entrypoint aegis/decision, or Rego that can be planned for it, and give decision documents.
  // What is wrong with it are diagnostics of `name`. Errors: those of rego::WriteBundle.
  virtual Result<CompiledPolicy> Adopt(const std::string& bundle, const std::string& name,
                                       const std::string& revision) = 0;
  // Whether `bundle` is signed by this compiler's key, so that gateways will accept it.
  virtual bool Accepts(const std::string& bundle) const = 0;
};

// The real one: the dialect's compiler, and bundles signed with `key` for `tenant`.
std::unique_ptr<PolicyCompiler> MakePolicyCompiler(crypto::SigningKey key,
                                                   const store::TenantKey& tenant);

}  // namespace aegis::control
