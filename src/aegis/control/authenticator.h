// API keys: who presents which, and what they may do.
//
// Threading: immutable after construction.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "aegis/control/api.h"
#include "aegis/control/routes.h"
#include "aegis/store/repository.h"

namespace aegis::control {

class Authenticator {
 public:
  Authenticator(const store::TenantKey& tenant, const std::vector<store::Credential>& credentials);

  // `authorization`: the header's value. Nothing: no such key. The time taken does not depend on
  // how much of a key is right: hashes are compared, all of them, in constant time.
  std::optional<Caller> Authenticate(std::string_view authorization) const;

 private:
  struct Entry {
    std::string secret_sha256;
    Caller caller;
  };
  std::vector<Entry> entries_;
};

bool MayCall(const Caller& caller, Access access);

}  // namespace aegis::control
