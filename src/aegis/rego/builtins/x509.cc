// crypto.x509.parse_certificates, parse_and_verify_certificates(_with_options),
// parse_certificate_request.
//
// Without a time of its own a verification takes the recorded time of the call.
#include <algorithm>

#include "aegis/crypto/base64.h"
#include "aegis/crypto/pem.h"
#include "aegis/rego/builtins/operands.h"
#include "aegis/rego/builtins/x509_certificate.h"
#include "aegis/rego/builtins/x509_verify.h"

namespace aegis::rego {
namespace {

constexpr size_t kMaxInputBytes = size_t{1} << 20;
constexpr size_t kMaxCertificates = 1000;
// A signature check each, in both directions of a search.
constexpr uint64_t kVerifyCost = 100'000;
constexpr std::string_view kBegin = "-----BEGIN";

bool DerOfPem(std::string_view pem, std::string& der, std::string& problem) {
  while (const std::optional<crypto::PemBlock> block = crypto::NextPemBlock(pem)) {
    if (block->type != "CERTIFICATE") {
      problem = "PEM block type is '" + block->type + "', expected CERTIFICATE";
      return false;
    }
    der += block->bytes;
  }
  return true;
}

// PEM, or base64 of PEM or of DER.
bool DerOf(std::string_view text, std::string& der, std::string& problem) {
  if (text.starts_with(kBegin)) return DerOfPem(text, der, problem);
  std::optional<std::string> bytes = crypto::Base64DecodeAsGo(text, crypto::Base64Form::kStandard);
  if (!bytes) {
    problem = "illegal base64 data";
    return false;
  }
  if (bytes->starts_with(kBegin)) return DerOfPem(*bytes, der, problem);
  der = *std::move(bytes);
  return true;
}

// Nothing, with `problem` set unless the steps are used up. `der` is what the certificates refer
// to.
std::optional<std::vector<Certificate>> Read(BuiltinContext& context, std::string_view text,
                                             std::string& der, std::string& problem) {
  if (!context.Charge(text.size())) return std::nullopt;
  if (text.size() > kMaxInputBytes) {
    problem = "longer than 1 MiB";
    return std::nullopt;
  }
  if (!DerOf(text, der, problem)) return std::nullopt;
  return ParseCertificates(der, context.arena(), problem);
}

Value WithUriStrings(Arena& arena, const Certificate& certificate) {
  Value out = certificate.value;
  return ObjectInsert(arena, out, MakeStringView("URIStrings"), certificate.uri_strings) ==
                 Edit::kOk
             ? out
             : Value();
}

Value Parse(BuiltinContext& context, const Value* args) {
  AEGIS_STRING_ARG(text, 0);
  std::string der, problem;
  const auto certificates = Read(context, text, der, problem);
  if (!certificates) return context.Error(problem);
  ArrayBuilder out(context.arena(), certificates->size());
  for (const Certificate& one : *certificates) out.Add(WithUriStrings(context.arena(), one));
  return out.Build();
}

Value Outcome(BuiltinContext& context, bool valid, Value chain) {
  ArrayBuilder out(context.arena(), 2);
  out.Add(Value::Bool(valid));
  out.Add(chain);
  return out.Build();
}

// `certificates` is nothing when they could not be read, which is as good as not verified.
Value Verify(BuiltinContext& context, const std::optional<std::vector<Certificate>>& certificates,
             const VerifyOptions& options, bool uri_strings) {
  if (certificates) {
    if (!context.Charge(kVerifyCost * std::min(certificates->size(), size_t{20}))) return Value();
    if (certificates->size() <= kMaxCertificates) {
      if (const auto chain = VerifyChain(*certificates, options)) {
        ArrayBuilder out(context.arena(), chain->size());
        for (const size_t i : *chain) {
          const Certificate& one = (*certificates)[i];
          out.Add(uri_strings ? WithUriStrings(context.arena(), one) : one.value);
        }
        return Outcome(context, true, out.Build());
      }
    }
  }
  return Outcome(context, false, Value::EmptyArray());
}

Value ParseAndVerify(BuiltinContext& context, const Value* args) {
  AEGIS_STRING_ARG(text, 0);
  std::string der, problem;
  const auto certificates = Read(context, text, der, problem);
  return Verify(context, certificates, {.time_unix_s = context.time_unix_ns() / 1'000'000'000},
                true);
}

bool ReadUsages(BuiltinContext& context, Value list, std::vector<int64_t>& out) {
  constexpr std::string_view kNames[] = {"Any",
                                         "ServerAuth",
                                         "ClientAuth",
                                         "CodeSigning",
                                         "EmailProtection",
                                         "IPSECEndSystem",
                                         "IPSECTunnel",
                                         "IPSECUser",
                                         "TimeStamping",
                                         "OCSPSigning",
                                         "MicrosoftServerGatedCrypto",
                                         "NetscapeServerGatedCrypto",
                                         "MicrosoftCommercialCodeSigning",
                                         "MicrosoftKernelCodeSigning"};
  if (!list.is_array() && !list.is_set()) {
    context.Error("'KeyUsages' should be an Array or Set");
    return false;
  }
  std::vector<int64_t> usages;
  for (const Value element : list.elements()) {
    if (!element.is_string()) continue;
    std::string_view name = element.string_value();
    while (name.starts_with('"')) name.remove_prefix(1);
    while (name.ends_with('"')) name.remove_suffix(1);
    const auto found = name.starts_with("KeyUsage")
                           ? std::find(std::begin(kNames), std::end(kNames), name.substr(8))
                           : std::end(kNames);
    if (found == std::end(kNames)) {
      context.Error("invalid entries for 'KeyUsages' found: " + std::string(name));
      return false;
    }
    usages.push_back(found - std::begin(kNames));
  }
  if (!usages.empty()) out = std::move(usages);
  return true;
}

bool ReadOptions(BuiltinContext& context, Value object, VerifyOptions& out) {
  const auto wrong = [&](std::string_view what) {
    context.Error(what);
    return false;
  };
  for (const Member& member : object.members()) {
    if (!member.key.is_string()) continue;
    const std::string_view name = member.key.string_value();
    const std::optional<int64_t> number = member.value.AsInt64();
    if (name == "DNSName") {
      if (!member.value.is_string()) return wrong("'DNSName' should be a string");
      out.dns_name = member.value.string_value();
      while (out.dns_name.starts_with('"')) out.dns_name.remove_prefix(1);
      while (out.dns_name.ends_with('"')) out.dns_name.remove_suffix(1);
    } else if (name == "CurrentTime") {
      if (!number) return wrong("'CurrentTime' should be a valid int64 number");
      // Downwards, so that a fraction before a second's start is not counted to it.
      out.time_unix_s = *number / 1'000'000'000 - (*number % 1'000'000'000 < 0 ? 1 : 0);
    } else if (name == "MaxConstraintComparisons") {
      if (!number) return wrong("'MaxConstraintComparisons' should be a valid number");
    } else if (name == "KeyUsages") {
      if (!ReadUsages(context, member.value, out.usages)) return false;
    } else {
      return wrong("invalid key option");
    }
  }
  return true;
}

Value ParseAndVerifyWithOptions(BuiltinContext& context, const Value* args) {
  AEGIS_STRING_ARG(text, 0);
  AEGIS_TYPED_ARG(1, is_object, "object");
  std::string der, problem;
  const auto certificates = Read(context, text, der, problem);
  if (!certificates) return Outcome(context, false, Value::EmptyArray());
  VerifyOptions options{.time_unix_s = context.time_unix_ns() / 1'000'000'000};
  if (!ReadOptions(context, args[1], options)) return Value();
  return Verify(context, certificates, options, false);
}

Value ParseRequest(BuiltinContext& context, const Value* args) {
  AEGIS_STRING_ARG(text, 0);
  if (!context.Charge(text.size())) return Value();
  if (text.size() > kMaxInputBytes) return context.Error("longer than 1 MiB");
  std::string der(text), problem;
  if (!text.starts_with("-----BEGIN CERTIFICATE REQUEST-----")) {
    std::optional<std::string> bytes =
        crypto::Base64DecodeAsGo(text, crypto::Base64Form::kStandard);
    if (!bytes) return context.Error("illegal base64 data");
    der = *std::move(bytes);
  }
  std::string_view rest = der;
  if (std::optional<crypto::PemBlock> block = crypto::NextPemBlock(rest)) {
    if (block->type != "CERTIFICATE REQUEST") {
      return context.Error("invalid PEM-encoded certificate signing request");
    }
    der = std::move(block->bytes);
  }
  const Value out = ParseCertificateRequest(der, context.arena(), problem);
  return out.is_undefined() ? context.Error(problem) : out;
}

constexpr Builtin kBuiltins[] = {
    {"crypto.x509.parse_certificates", 1, Parse},
    {"crypto.x509.parse_and_verify_certificates", 1, ParseAndVerify},
    {"crypto.x509.parse_and_verify_certificates_with_options", 2, ParseAndVerifyWithOptions},
    {"crypto.x509.parse_certificate_request", 1, ParseRequest},
};

}  // namespace

std::span<const Builtin> X509Builtins() { return kBuiltins; }

}  // namespace aegis::rego
