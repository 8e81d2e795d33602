#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "aegis/crypto/base64.h"
#include "aegis/crypto/pem.h"
#include "aegis/rego/builtins/testing.h"

namespace aegis::rego {
namespace {

// Made with openssl for these tests; what OPA answers to others is in
// tests/conformance/test_crypto.py.
constexpr std::string_view kCertificate =
    "-----BEGIN CERTIFICATE-----\n"
    "MIICTjCCAfOgAwIBAgIUOGogBvgCl4Lfrt1VxluxQ4ucJMgwCgYIKoZIzj0EAwIw\n"
    "HDELMAkGA1UEBhMCREUxDTALBgNVBAMMBHRlc3QwIBcNMjYxMTI0MTk1MDUxWhgP\n"
    "MjEyNjEwMzExOTUwNTFaMBwxCzAJBgNVBAYTAkRFMQ0wCwYDVQQDDAR0ZXN0MFkw\n"
    "EwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEzl9bFhSnL9OUePb+EK8T12ttU4AcjUq+\n"
    "VVRlvXHtAezob1ynXAiBrjkhE6FhmmuGtovDIBDPfGZrlKzM5plerqOCAQ8wggEL\n"
    "MB0GA1UdDgQWBBQAnWLwY3dnquvJDVSXWjrKP/1uejAfBgNVHSMEGDAWgBQAnWLw\n"
    "Y3dnquvJDVSXWjrKP/1uejAPBgNVHRMBAf8EBTADAQH/MC8GA1UdEQQoMCaCCWEu\n"
    "ZXhhbXBsZYcECgAAAYYTaHR0cHM6Ly9hLmV4YW1wbGUveDAXBgNVHR4EEDAOoAww\n"
    "CoIILmV4YW1wbGUwEAYDVR0gBAkwBzAFBgMqAwQwHQYDVR0fBBYwFDASoBCgDoYM\n"
    "aHR0cDovL2NybC94MCgGCCsGAQUFBwEBBBwwGjAYBggrBgEFBQcwAYYMaHR0cDov\n"
    "L29jc3AvMBMGA1UdJQQMMAoGCCsGAQUFBwMBMAoGCCqGSM49BAMCA0kAMEYCIQCt\n"
    "trpgdwgGiSBDi7DzgLVMCH3RWjv5WkmbkjkGgbTjxwIhANQ2K4Hs8Yp3+9Kwj8li\n"
    "QYcD13vfQccEA3qWHR0SsMRF\n"
    "-----END CERTIFICATE-----\n";
constexpr std::string_view kCertificateRequest =
    "-----BEGIN CERTIFICATE REQUEST-----\n"
    "MIHxMIGYAgEAMA8xDTALBgNVBAMMBHRlc3QwWTATBgcqhkjOPQIBBggqhkjOPQMB\n"
    "BwNCAATOX1sWFKcv05R49v4QrxPXa21TgByNSr5VVGW9ce0B7OhvXKdcCIGuOSET\n"
    "oWGaa4a2i8MgEM98ZmuUrMzmmV6uoCcwJQYJKoZIhvcNAQkOMRgwFjAUBgNVHREE\n"
    "DTALgglhLmV4YW1wbGUwCgYIKoZIzj0EAwIDSAAwRQIhAOys8o6+LHv6D8CTYzON\n"
    "JMXpj5azAspXP64SJib58al7AiAMr/IIl/bTIWyDasCqIZ1n2vOT+EFzJOUoXpPg\n"
    "nObEqw==\n"
    "-----END CERTIFICATE REQUEST-----\n";
constexpr std::string_view kPrivateKey =
    "-----BEGIN PRIVATE KEY-----\n"
    "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgyLnmTRTz4izIgLon\n"
    "TFHQiDcaJl4fyAetk6xbSqqkk9yhRANCAATOX1sWFKcv05R49v4QrxPXa21TgByN\n"
    "Sr5VVGW9ce0B7OhvXKdcCIGuOSEToWGaa4a2i8MgEM98ZmuUrMzmmV6u\n"
    "-----END PRIVATE KEY-----\n";

std::string DerOf(std::string_view pem) { return crypto::NextPemBlock(pem)->bytes; }

std::string Call(std::string_view name, std::initializer_list<std::string_view> texts,
                 const CallLimits& limits = {}) {
  std::string arguments;
  for (const std::string_view text : texts)
    arguments += (arguments.empty() ? "[" : ",") + Quoted(text);
  return CallBuiltin(name, arguments + "]", limits);
}

constexpr std::string_view kParse = "crypto.x509.parse_certificates";
constexpr std::string_view kRequest = "crypto.x509.parse_certificate_request";
constexpr std::string_view kKeys = "crypto.parse_private_keys";
constexpr std::string_view kPair = "crypto.x509.parse_keypair";

TEST(X509, CertificatesShowTheirParts) {
  const std::string shown = Call(kParse, {kCertificate});
  for (const std::string_view part :
       {R"("DNSNames": ["a.example"])", R"("IPAddresses": ["10.0.0.1"])",
        R"("CommonName": "test", "Country": ["DE"])", R"("PermittedDNSDomains": [".example"])",
        R"("Policies": ["1.2.3.4"])", R"("CRLDistributionPoints": ["http://crl/x"])",
        R"("OCSPServer": ["http://ocsp/"])", R"("ExtKeyUsage": [1])", R"("MaxPathLen": -1)",
        R"("URIStrings": ["https://a.example/x"])", R"("PublicKeyAlgorithm": 3)"}) {
    EXPECT_NE(shown.find(part), std::string::npos) << part << shown;
  }
  EXPECT_EQ(Call(kParse, {crypto::Base64Encode(DerOf(kCertificate))}), shown);
  EXPECT_NE(Call(kRequest, {kCertificateRequest}).find(R"("DNSNames": ["a.example"])"),
            std::string::npos);
}

// Bytes that are changed are refused or make another value, and never more than that.
TEST(X509, ChangedBytesDoNoHarm) {
  std::mt19937 random(3);
  const std::pair<std::string_view, std::string_view> kCases[] = {{kParse, kCertificate},
                                                                  {kRequest, kCertificateRequest}};
  for (const auto& [name, pem] : kCases) {
    const std::string der = DerOf(pem);
    for (int i = 0; i < 2000; ++i) {
      std::string changed = der;
      for (int n = 1 + i % 3; n > 0; --n) {
        changed[random() % changed.size()] = static_cast<char>(random());
      }
      if (i % 10 == 0) changed.resize(random() % changed.size());
      const std::string answer = Call(name, {crypto::Base64Encode(changed)});
      EXPECT_TRUE(answer == "error" || answer == "[]" || answer[0] == '[' || answer[0] == '{');
    }
  }
  const std::string key = DerOf(kPrivateKey);
  for (int i = 0; i < 1000; ++i) {
    std::string changed = key;
    changed[random() % changed.size()] = static_cast<char>(random());
    const std::string answer =
        Call(kKeys, {"-----BEGIN PRIVATE KEY-----\n" + crypto::Base64Encode(changed) +
                     "\n-----END PRIVATE KEY-----\n"});
    EXPECT_TRUE(answer == "error" || answer[0] == '[') << answer;
  }
}

TEST(X509, HostileSizesEnd) {
  EXPECT_EQ(Call(kParse, {std::string((1 << 20) + 1, 'A')}, {.steps = 100'000'000}), "error");
  EXPECT_EQ(Call(kParse, {std::string(500'000, 'A')}, {.steps = 1000}), "steps");
  // Many certificates: memory is what bounds them.
  std::string many;
  for (int i = 0; i < 400; ++i) many += kCertificate;
  EXPECT_EQ(Call(kParse, {many}, {.steps = 100'000'000, .bytes = size_t{1} << 20}), "memory");
  EXPECT_EQ(Call("crypto.x509.parse_and_verify_certificates", {many}, {.steps = 1'000'000}),
            "steps");
  // A serial number of many digits.
  std::string number(100'000, '\x7f');
  const auto element = [](char tag, const std::string& contents) {
    std::string out(1, tag);
    out += "\x83";
    for (int shift = 16; shift >= 0; shift -= 8) out += static_cast<char>(contents.size() >> shift);
    return out + contents;
  };
  const std::string huge = element('\x30', element('\x30', element('\x02', number)));
  EXPECT_EQ(Call(kParse, {crypto::Base64Encode(huge)}), "error");
}

TEST(X509, ChainsOfOneAreNone) {
  EXPECT_EQ(Call("crypto.x509.parse_and_verify_certificates", {kCertificate}), "[false, []]");
  EXPECT_EQ(Call("crypto.x509.parse_and_verify_certificates", {"nonsense"}), "[false, []]");
  // Twice the same one, which is trusted, at the time of the call.
  const std::string twice = std::string(kCertificate) + std::string(kCertificate);
  constexpr int64_t kYear2030 = 1'900'000'000'000'000'000;
  EXPECT_TRUE(Call("crypto.x509.parse_and_verify_certificates", {twice},
                   {.steps = 10'000'000, .time_unix_ns = kYear2030})
                  .starts_with("[true, [{"));
  EXPECT_EQ(Call("crypto.x509.parse_and_verify_certificates", {twice},
                 {.steps = 10'000'000, .time_unix_ns = 0}),
            "[false, []]");
}

TEST(X509, PairsMustMatch) {
  EXPECT_NE(Call(kPair, {kCertificate, kPrivateKey}).find(R"("OCSPStaple": null)"),
            std::string::npos);
  EXPECT_EQ(Call(kPair, {kCertificate, kCertificate}), "error");
  EXPECT_EQ(Call(kPair, {"", ""}), "error");
  EXPECT_EQ(Call(kKeys, {""}), "null");
  EXPECT_EQ(Call(kKeys, {"nope"}), "[]");
  EXPECT_EQ(Call("crypto.x509.parse_rsa_private_key", {""}), "error");
}

}  // namespace
}  // namespace aegis::rego
