#include "aegis/rego/signature.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "aegis/base/text.h"
#include "aegis/crypto/base64.h"
#include "aegis/crypto/digest.h"
#include "aegis/crypto/jws.h"
#include "aegis/rego/bundle.h"

namespace aegis::rego {
namespace {

using crypto::Algorithm;
using crypto::SigningKey;

const std::vector<BundleFile> kFiles = {
    {".manifest", R"({"revision":"r1","roots":[""]})"},
    {"data.json", R"({"a":1})"},
    {"p.rego", "package p\n"},
};

BundleVerifier VerifierOf(const SigningKey& key, std::string scope) {
  BundleVerifier verifier;
  EXPECT_TRUE(verifier.keys.Add(key.verification_key()));
  verifier.scope = std::move(scope);
  return verifier;
}

// A .signatures.json over any payload, to say what our signer never says.
std::string Signed(const SigningKey& key, std::string_view payload) {
  return R"({"signatures":[")" + *crypto::SignJws(key, payload, "") + "\"]}";
}

std::string Entry(std::string_view name, std::string_view hash,
                  std::string_view algorithm = "SHA-256") {
  return R"({"name":")" + std::string(name) + R"(","hash":")" + std::string(hash) +
         R"(","algorithm":")" + std::string(algorithm) + "\"}";
}

TEST(Signature, SignedBundlesVerify) {
  for (const Algorithm algorithm : {Algorithm::kEs256, Algorithm::kEs384, Algorithm::kEs512,
                                    Algorithm::kRs256, Algorithm::kPs256}) {
    const BundleSigner signer{*SigningKey::Generate(algorithm), "payments"};
    const BundleVerifier verifier = VerifierOf(signer.key, "payments");
    const Result<Bundle> bundle = ReadBundle(*WriteBundle(kFiles, &signer), &verifier);
    ASSERT_TRUE(bundle) << bundle.error().ToString();
    EXPECT_TRUE(bundle->verified);
    EXPECT_EQ(bundle->key_id, signer.key.kid());
  }
  const BundleSigner hmac{*SigningKey::FromSecret(std::string(32, 's'), "k"), ""};
  const BundleVerifier verifier = VerifierOf(hmac.key, "");
  EXPECT_TRUE(ReadBundle(*WriteBundle(kFiles, &hmac), &verifier));
}

TEST(Signature, UnsignedOrForeignBundlesAreRefused) {
  const BundleSigner signer{*SigningKey::Generate(Algorithm::kEs256), "payments"};
  const BundleVerifier verifier = VerifierOf(signer.key, "payments");
  EXPECT_EQ(ReadBundle(*WriteBundle(kFiles, nullptr), &verifier).error().reason, "bundle_unsigned");
  const std::string bytes = *WriteBundle(kFiles, &signer);
  const BundleVerifier other_scope = VerifierOf(signer.key, "billing");
  EXPECT_EQ(ReadBundle(bytes, &other_scope).error().reason, "bundle_signature");
  const BundleVerifier other_key = VerifierOf(*SigningKey::Generate(Algorithm::kEs256), "payments");
  EXPECT_EQ(ReadBundle(bytes, &other_key).error().reason, "bundle_signature");
  const BundleVerifier no_key;
  EXPECT_EQ(ReadBundle(bytes, &no_key).error().reason, "bundle_signature");
}

TEST(Signature, Ed25519IsNotOffered) {
  const BundleSigner signer{*SigningKey::Generate(Algorithm::kEd25519), ""};
  EXPECT_EQ(WriteBundle(kFiles, &signer).error().reason, "bundle_signature");
}

TEST(Signature, EveryChangeOfFilesIsSeen) {
  const BundleSigner signer{*SigningKey::Generate(Algorithm::kEs256), ""};
  const BundleVerifier verifier = VerifierOf(signer.key, "");
  const std::string signatures = *SignBundleFiles(kFiles, signer);
  EXPECT_TRUE(VerifyBundleFiles(signatures, kFiles, verifier));
  const auto refused = [&](const std::vector<BundleFile>& files) {
    const Result<std::string> kid = VerifyBundleFiles(signatures, files, verifier);
    return !kid && kid.error().reason == "bundle_signature";
  };
  std::vector<BundleFile> files = kFiles;
  files[2].content += " ";
  EXPECT_TRUE(refused(files));
  files = kFiles;
  files[1].content = R"({"a":2})";
  EXPECT_TRUE(refused(files));
  files = kFiles;
  files.pop_back();
  EXPECT_TRUE(refused(files));
  files = kFiles;
  files.push_back({"extra", ""});
  EXPECT_TRUE(refused(files));
  files = kFiles;
  files[2].name = "q.rego";
  EXPECT_TRUE(refused(files));
  // White space and the order of keys do not count in structured files, nowhere else.
  files = kFiles;
  files[0].content = R"({ "roots" : [ "" ], "revision" : "r1" })";
  EXPECT_FALSE(refused(files));
}

TEST(Signature, PayloadIsCheckedStrictly) {
  const SigningKey key = *SigningKey::Generate(Algorithm::kEs256);
  const BundleVerifier verifier = VerifierOf(key, "");
  const std::vector<BundleFile> files = {{"p.rego", "package p\n"}};
  const std::string hash = crypto::Sha256Hex("package p\n");
  std::string upper = hash;
  for (char& c : upper) c = static_cast<char>(std::toupper(c));
  const auto with = [&](std::string_view entries, std::string_view more = "") {
    const Result<std::string> kid = VerifyBundleFiles(
        Signed(key, R"({"files":[)" + std::string(entries) + "]" + std::string(more) + "}"), files,
        verifier);
    return kid ? "" : kid.error().reason;
  };
  EXPECT_EQ(with(Entry("p.rego", hash)), "");
  EXPECT_EQ(with(Entry("p.rego", upper)), "");
  EXPECT_EQ(
      with(Entry("p.rego", HexEncode(*crypto::HashByName("SHA-512", "package p\n")), "SHA-512")),
      "");
  EXPECT_EQ(with(""), "bundle_signature");
  EXPECT_EQ(with(Entry("p.rego", hash) + "," + Entry("p.rego", hash)), "bundle_signature");
  EXPECT_EQ(with(Entry("p.rego", hash) + "," + Entry("gone.rego", hash)), "bundle_signature");
  EXPECT_EQ(with(Entry("/p.rego", hash)), "bundle_signature");
  EXPECT_EQ(with(Entry("p.rego", "")), "bundle_signature");
  EXPECT_EQ(with(Entry("p.rego", hash.substr(0, 32))), "bundle_signature");
  EXPECT_EQ(with(Entry("p.rego", hash, "MD5")), "hash_unsupported");
  EXPECT_EQ(with(Entry("p.rego", hash, "")), "hash_unsupported");
  EXPECT_EQ(with(R"({"name":"p.rego"})"), "bundle_signature");
  EXPECT_EQ(with(Entry("p.rego", hash), R"(,"scope":"other")"), "bundle_signature");
  EXPECT_EQ(with(Entry("p.rego", hash), R"(,"scope":null)"), "bundle_signature");
}

TEST(Signature, DocumentIsCheckedStrictly) {
  const SigningKey key = *SigningKey::Generate(Algorithm::kEs256);
  const BundleVerifier verifier = VerifierOf(key, "");
  for (const std::string_view document :
       {"", "{}", "[]", R"({"signatures":[]})", R"({"signatures":["a","b"]})",
        R"({"signatures":[1]})", R"({"signatures":["x"]})", R"({"signatures":["e30.e30."]})"}) {
    EXPECT_EQ(VerifyBundleFiles(document, kFiles, verifier).error().reason, "bundle_signature")
        << document;
  }
  const std::string signatures = *SignBundleFiles(kFiles, {key, ""});
  std::string plugin = signatures;
  plugin.insert(1, R"("plugin":"mine",)");
  EXPECT_EQ(VerifyBundleFiles(plugin, kFiles, verifier).error().reason, "bundle_signature");
}

TEST(Signature, KeyIdMayStandInThePayloadOrNowhere) {
  const SigningKey key = *SigningKey::FromSecret(std::string(40, 's'), "old");
  const std::vector<BundleFile> files = {{"a", ""}};
  const auto document = [&](std::string_view keyid) {
    const std::string payload =
        "{" + std::string(keyid) + R"("files":[)" + Entry("a", crypto::Sha256Hex("")) + "]}";
    const std::string input =
        crypto::Base64UrlEncode(R"({"alg":"HS256"})") + "." + crypto::Base64UrlEncode(payload);
    return R"({"signatures":[")" + input + "." + crypto::Base64UrlEncode(*key.Sign(input)) + "\"]}";
  };
  BundleVerifier verifier = VerifierOf(key, "");
  EXPECT_EQ(*VerifyBundleFiles(document(R"("keyid":"old",)"), files, verifier), "old");
  EXPECT_FALSE(VerifyBundleFiles(document(R"("keyid":"new",)"), files, verifier));
  EXPECT_EQ(*VerifyBundleFiles(document(""), files, verifier), "old");
  ASSERT_TRUE(verifier.keys.Add(SigningKey::Generate(Algorithm::kEs256)->verification_key()));
  EXPECT_EQ(*VerifyBundleFiles(document(R"("keyid":"old",)"), files, verifier), "old");
  EXPECT_FALSE(VerifyBundleFiles(document(""), files, verifier));
}

TEST(Signature, CanonicalTextIsGos) {
  EXPECT_EQ(*CanonicalStructuredFile(
                R"( {"b":[1.0, 1E2, -0.0], "a":"<\u2028\u2029\u00e9\u0001\/\b\f\u007f>"} )"),
            "{\"a\":\"<\\u2028\\u2029\u00e9\\u0001/\\b\\f\x7f>\",\"b\":[1.0,1E2,-0.0]}");
  EXPECT_EQ(*CanonicalStructuredFile("null"), "null");
  EXPECT_EQ(CanonicalStructuredFile("a: yaml").error().reason, "bundle_malformed");
}

TEST(Signature, StructuredFiles) {
  for (const std::string_view name : {"data.json", "a/b/data.json", ".manifest"})
    EXPECT_TRUE(IsStructuredFile(name));
  for (const std::string_view name :
       {"plan.json", "xdata.json", "a.manifest", "data.json/x", "p.rego"}) {
    EXPECT_FALSE(IsStructuredFile(name)) << name;
  }
}

}  // namespace
}  // namespace aegis::rego
