#include "aegis/rego/builtins/x509_verify.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/x509.h>
#include <openssl/x509_vfy.h>

#include <algorithm>
#include <memory>

#include "aegis/base/text.h"
#include "aegis/crypto/openssl.h"

namespace aegis::rego {
namespace {

using crypto::OpensslDeleter;
using X509Ptr = std::unique_ptr<X509, OpensslDeleter<X509_free>>;
using StorePtr = std::unique_ptr<X509_STORE, OpensslDeleter<X509_STORE_free>>;
using StoreContextPtr = std::unique_ptr<X509_STORE_CTX, OpensslDeleter<X509_STORE_CTX_free>>;
struct StackDeleter {
  void operator()(STACK_OF(X509) * stack) const { sk_X509_free(stack); }
};
using StackPtr = std::unique_ptr<STACK_OF(X509), StackDeleter>;

constexpr int64_t kAnyUsage = 0;
// 80 bits: no MD5, no SHA-1, RSA from 1024 bits.
constexpr int kSecurityLevel = 1;
constexpr int kMaxChain = 20;

X509Ptr ToOpenssl(std::string_view der) {
  const unsigned char* at = crypto::Bytes(der);
  return X509Ptr(d2i_X509(nullptr, &at, static_cast<long>(der.size())));
}

// Whether the name has the form of a host's; patterns may start with "*.".
bool IsHostName(std::string_view host, bool pattern) {
  if (!pattern && host.ends_with('.')) host.remove_suffix(1);
  if (host.empty() || host == "*") return false;
  bool first = true;
  for (const std::string_view label : Split(host, '.')) {
    const bool wild = pattern && first && label == "*";
    first = false;
    if (label.empty() || label[0] == '-') return false;
    if (wild) continue;
    for (const char c : label) {
      const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                         (c >= '0' && c <= '9') || c == '-' || c == '_';
      if (!plain) return false;
    }
  }
  return true;
}

bool MatchesPattern(std::string_view pattern, std::string_view host) {
  if (host.ends_with('.')) host.remove_suffix(1);
  const std::vector<std::string_view> wanted = Split(pattern, '.'), got = Split(host, '.');
  if (wanted.size() != got.size()) return false;
  for (size_t i = 0; i < wanted.size(); ++i) {
    if (i == 0 && wanted[0] == "*") continue;
    if (!EqualsIgnoreCase(wanted[i], got[i])) return false;
  }
  return true;
}

// Only subject alternative names count, never the common name.
bool IsFor(const Certificate& certificate, std::string_view host) {
  std::string address(host);
  if (address.size() >= 3 && address.front() == '[' && address.back() == ']') {
    address = address.substr(1, address.size() - 2);
  }
  uint8_t bytes[16];
  for (const int family : {AF_INET, AF_INET6}) {
    if (address.find('\0') != address.npos || inet_pton(family, address.c_str(), bytes) != 1) {
      continue;
    }
    const std::string_view wanted(reinterpret_cast<const char*>(bytes), family == AF_INET ? 4 : 16);
    const auto& all = certificate.addresses;
    return std::find(all.begin(), all.end(), wanted) != all.end();
  }
  const bool valid = IsHostName(host, false);
  return std::any_of(certificate.dns_names.begin(), certificate.dns_names.end(),
                     [&](std::string_view name) {
                       if (valid && IsHostName(name, true)) return MatchesPattern(name, host);
                       return !name.empty() && name != "." && EqualsIgnoreCase(name, host);
                     });
}

// Usages narrow from the top of the chain to its end.
bool UsagesHold(std::span<const Certificate> all, const std::vector<size_t>& chain,
                std::vector<int64_t> usages) {
  if (std::find(usages.begin(), usages.end(), kAnyUsage) != usages.end()) return true;
  for (auto i = chain.rbegin(); i != chain.rend(); ++i) {
    const Certificate& certificate = all[*i];
    const std::vector<int64_t>& own = certificate.usages;
    if (own.empty() && !certificate.has_unknown_usage) continue;
    if (std::find(own.begin(), own.end(), kAnyUsage) != own.end()) continue;
    std::erase_if(usages, [&](int64_t usage) {
      return std::find(own.begin(), own.end(), usage) == own.end();
    });
    if (usages.empty()) return false;
  }
  return true;
}

// What Go asks of authorities beyond OpenSSL.
bool AuthoritiesHold(std::span<const Certificate> all, const std::vector<size_t>& chain) {
  for (size_t i = 0; i < chain.size(); ++i) {
    const Certificate& certificate = all[chain[i]];
    if (certificate.has_unhandled_critical_extension) return false;
    if (i == 0) continue;
    const bool basic = certificate.value.Get("BasicConstraintsValid").is_true();
    const bool authority = certificate.value.Get("IsCA").is_true();
    const bool root = i + 1 == chain.size();
    if (!root && !(basic && authority)) return false;
    if (root && basic && !authority) return false;
    if (root && !basic && certificate.value.Get("Version").int_value() == 3) return false;
  }
  return true;
}

}  // namespace

std::optional<std::vector<size_t>> VerifyChain(std::span<const Certificate> certificates,
                                               const VerifyOptions& options) {
  if (certificates.size() < 2) return std::nullopt;
  const Certificate& leaf = certificates.back();
  if (!options.dns_name.empty() && !IsFor(leaf, options.dns_name)) return std::nullopt;
  std::vector<X509Ptr> parsed;
  for (const Certificate& certificate : certificates) {
    parsed.push_back(ToOpenssl(certificate.der));
    if (!parsed.back()) {
      ERR_clear_error();
      return std::nullopt;
    }
  }
  const StorePtr store(X509_STORE_new());
  const StoreContextPtr context(X509_STORE_CTX_new());
  const StackPtr between(sk_X509_new_null());
  if (!store || !context || !between || X509_STORE_add_cert(store.get(), parsed[0].get()) != 1) {
    return std::nullopt;
  }
  for (size_t i = 1; i + 1 < parsed.size(); ++i) sk_X509_push(between.get(), parsed[i].get());
  if (X509_STORE_CTX_init(context.get(), store.get(), parsed.back().get(), between.get()) != 1) {
    return std::nullopt;
  }
  X509_VERIFY_PARAM* param = X509_STORE_CTX_get0_param(context.get());
  X509_VERIFY_PARAM_set_time(param, options.time_unix_s);
  X509_VERIFY_PARAM_set_flags(
      param, X509_V_FLAG_PARTIAL_CHAIN | X509_V_FLAG_POLICY_CHECK | X509_V_FLAG_TRUSTED_FIRST);
  X509_VERIFY_PARAM_set_auth_level(param, kSecurityLevel);
  X509_VERIFY_PARAM_set_depth(param, kMaxChain);
  if (X509_verify_cert(context.get()) != 1) {
    ERR_clear_error();
    return std::nullopt;
  }
  std::vector<size_t> chain;
  const STACK_OF(X509)* found = X509_STORE_CTX_get0_chain(context.get());
  for (int i = 0; i < sk_X509_num(found); ++i) {
    const X509* one = sk_X509_value(found, i);
    const auto same = [&](const X509Ptr& other) { return X509_cmp(one, other.get()) == 0; };
    chain.push_back(
        static_cast<size_t>(std::find_if(parsed.begin(), parsed.end(), same) - parsed.begin()));
    if (chain.back() == parsed.size()) return std::nullopt;
  }
  if (!AuthoritiesHold(certificates, chain) || !UsagesHold(certificates, chain, options.usages)) {
    return std::nullopt;
  }
  return chain;
}

}  // namespace aegis::rego
