// Delta bundles: reading them, and what a patch makes of data.
#include "aegis/rego/bundle_delta.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "aegis/rego/bundle.h"
#include "aegis/rego/bundle_archive.h"

namespace aegis::rego {
namespace {

Bundle Base(std::string data, std::vector<std::string> roots = {""}) {
  Bundle base;
  base.manifest.revision = "base";
  base.manifest.roots = std::move(roots);
  base.data_json = std::move(data);
  base.sha256 = base.content_sha256 = std::string(64, '0');
  base.verified = true;
  return base;
}

Bundle Delta(const std::string& operations, std::vector<std::string> roots = {""}) {
  Bundle delta;
  delta.manifest.revision = "next";
  delta.manifest.roots = std::move(roots);
  delta.patch_json = R"({"data":[)" + operations + "]}";
  delta.sha256 = delta.content_sha256 = std::string(64, '1');
  return delta;
}

// The data after the patch, or the reason of its refusal.
std::string Patched(const std::string& data, const std::string& operations) {
  Bundle base = Base(data);
  const Status applied = ApplyDelta(Delta(operations), base);
  if (applied) return base.data_json;
  EXPECT_EQ(base.data_json, data) << "an error changes nothing";
  EXPECT_EQ(base.manifest.revision, "base");
  return std::string(applied.error().reason);
}

TEST(Delta, Operations) {
  const struct {
    const char* data;
    const char* operations;
    const char* result;
  } rows[] = {
      {R"({"a":1})", R"({"op":"upsert","path":"/b","value":2})", R"({"a":1,"b":2})"},
      {R"({"a":1})", R"({"op":"upsert","path":"a","value":[true]})", R"({"a":[true]})"},
      {R"({"a":1})", R"({"op":"upsert","path":"/x/y/z","value":2})",
       R"({"a":1,"x":{"y":{"z":2}}})"},
      {R"({"a":1})", R"({"op":"upsert","path":"/a/b","value":2})", "bundle_delta"},
      {R"({"a":1})", R"({"op":"remove","path":"/a"})", "{}"},
      {R"({"a":1})", R"({"op":"remove","path":"/b"})", "bundle_delta"},
      {R"({"a":1})", R"({"op":"remove","path":"/b/c"})", "bundle_delta"},
      {R"({"a":1})", R"({"op":"replace","path":"/a","value":{"b":2}})", R"({"a":{"b":2}})"},
      {R"({"a":1})", R"({"op":"replace","path":"/a"})", R"({"a":null})"},
      {R"({"a":1})", R"({"op":"replace","path":"/b","value":1})", "bundle_delta"},
      {R"({"l":[1,2]})", R"({"op":"upsert","path":"/l/-","value":3})", R"({"l":[1,2,3]})"},
      {R"({"l":[1,2]})", R"({"op":"upsert","path":"/l/2","value":3})", R"({"l":[1,2,3]})"},
      {R"({"l":[1,2]})", R"({"op":"upsert","path":"/l/0","value":3})", R"({"l":[3,1,2]})"},
      {R"({"l":[1,2]})", R"({"op":"upsert","path":"/l/3","value":3})", "bundle_delta"},
      {R"({"l":[1,2]})", R"({"op":"upsert","path":"/l/00","value":3})", "bundle_delta"},
      {R"({"l":[1,2]})", R"({"op":"upsert","path":"/l/x","value":3})", "bundle_delta"},
      {R"({"l":[1,2]})", R"({"op":"remove","path":"/l/0"})", R"({"l":[2]})"},
      {R"({"l":[1,2]})", R"({"op":"remove","path":"/l/-"})", "bundle_delta"},
      {R"({"l":[1,2]})", R"({"op":"replace","path":"/l/1","value":9})", R"({"l":[1,9]})"},
      {R"({"l":[{"a":1}]})", R"({"op":"upsert","path":"/l/0/b","value":9})",
       R"({"l":[{"a":1,"b":9}]})"},
      // One after the other, each on what the one before made.
      {R"({"n":1.50})",
       R"({"op":"upsert","path":"/a/b","value":{"c":1}},{"op":"upsert","path":"/a/b/d","value":2},
          {"op":"remove","path":"/a/b/c"})",
       R"({"a":{"b":{"d":2}},"n":1.50})"},
      // Escapes: percent first, then JSON pointer.
      {"{}", R"({"op":"upsert","path":"/a~1b/c%2fd/~01/%7E0","value":1})",
       R"({"a/b":{"c/d":{"~1":{"~":1}}}})"},
      {"{}", R"({"op":"upsert","path":"/a%2","value":1})", "bundle_malformed"},
      {"{}", R"({"op":"upsert","path":"/a%ff","value":1})", "bundle_malformed"},
      // The whole document, unknown operations, and forms that are none.
      {R"({"a":1})", R"({"op":"replace","path":"/","value":{}})", "bundle_malformed"},
      {R"({"a":1})", R"({"op":"remove","path":""})", "bundle_malformed"},
      {R"({"a":1})", R"({"op":"add","path":"/b","value":1})", "bundle_malformed"},
      {R"({"a":1})", R"({"path":"/b","value":1})", "bundle_malformed"},
      {R"({"a":1})", R"({"op":"remove","path":["b"]})", "bundle_malformed"},
      {R"({"a":1})", R"("x")", "bundle_malformed"},
      {R"({"a":1})", "", "bundle_malformed"},
  };
  for (const auto& row : rows)
    EXPECT_EQ(Patched(row.data, row.operations), row.result) << row.operations;
}

TEST(Delta, NamesWhatIsInForceAfterIt) {
  Bundle base = Base("{}");
  ASSERT_TRUE(ApplyDelta(Delta(R"({"op":"upsert","path":"/a","value":1})"), base).has_value());
  EXPECT_EQ(base.manifest.revision, "next");
  EXPECT_NE(base.sha256, std::string(64, '0'));
  EXPECT_NE(base.content_sha256, std::string(64, '0'));
  EXPECT_FALSE(base.verified);
}

TEST(Delta, StaysWithinTheRoots) {
  const auto outcome = [](const std::string& path, std::vector<std::string> delta_roots) {
    Bundle base = Base(R"({"aegis":{"x":{"k":1}}})", {"aegis/x", "b"});
    const Status applied =
        ApplyDelta(Delta(R"({"op":"upsert","path":")" + path + R"(","value":{"v":1}})",
                         std::move(delta_roots)),
                   base);
    return applied ? "" : applied.error().reason;
  };
  const std::vector<std::string> same = {"b", "aegis/x"};
  EXPECT_EQ(outcome("/aegis/x", same), "");
  EXPECT_EQ(outcome("/aegis/x/y", same), "");
  EXPECT_EQ(outcome("/aegis/%78/y", same), "") << "the path counts, not its spelling";
  EXPECT_EQ(outcome("/aegis", same), "bundle_delta");
  EXPECT_EQ(outcome("/aegis/xy", same), "bundle_delta");
  EXPECT_EQ(outcome("/aegis~1x/y", same), "bundle_delta");
  EXPECT_EQ(outcome("/c", same), "bundle_delta");
  EXPECT_EQ(outcome("/b", {""}), "bundle_delta");
  EXPECT_EQ(outcome("/b", {"b"}), "bundle_delta");
}

TEST(Delta, WorkIsBounded) {
  std::string list = R"({"l":[0)";
  for (int i = 0; i < 100'000; ++i) list += ",0";
  std::string operations;
  for (int i = 0; i < 20'000; ++i) {
    operations += (i == 0 ? "" : ",") + std::string(R"({"op":"upsert","path":"/l/0","value":1})");
  }
  EXPECT_EQ(Patched(list + "]}", operations), "bundle_too_large");
  std::string deep = R"({"op":"upsert","path":"/)";
  for (int i = 0; i < 1000; ++i) deep += "a/";
  EXPECT_EQ(Patched("{}", deep + R"(","value":1})"), "bundle_malformed");

  Bundle base = Base("{}");
  const Status applied =
      ApplyDelta(Delta(R"({"op":"upsert","path":"/a","value":"0123456789"})"), base, 10);
  EXPECT_EQ(applied.error().reason, "bundle_too_large");
}

TEST(Delta, Reading) {
  const auto read = [](std::vector<BundleFile> files, const BundleVerifier* verifier = nullptr) {
    const Result<Bundle> bundle = ReadBundle(*WriteArchive(files), verifier);
    if (!bundle) return std::string(bundle.error().reason);
    return bundle->patch_json.empty() ? std::string("snapshot") : bundle->patch_json;
  };
  const std::string patch = R"({"data":[{"op":"remove","path":"/a"}]})";
  EXPECT_EQ(read({{"patch.json", patch}}), patch);
  EXPECT_EQ(read({{"patch.json", patch}, {".manifest", R"({"revision":"2"})"}}), patch);
  // The trap: what OPA takes for a whole, empty bundle.
  EXPECT_EQ(read({{"patch.json", R"({"data":[]})"}}), "bundle_malformed");
  EXPECT_EQ(read({{"patch.json", "{}"}}), "bundle_malformed");
  EXPECT_EQ(read({{"patch.json", ""}}), "bundle_malformed");
  EXPECT_EQ(read({{"patch.json", patch}, {"data.json", "{}"}}), "bundle_malformed");
  EXPECT_EQ(read({{"patch.json", patch}, {"p.rego", "package p"}}), "bundle_malformed");
  EXPECT_EQ(read({{"patch.json", patch}, {"plan.json", "{}"}}), "bundle_malformed");
  EXPECT_EQ(read({{"sub/patch.json", patch}}), "bundle_name");

  BundleVerifier verifier;
  ASSERT_TRUE(verifier.keys.Add(*crypto::VerificationKey::FromSecret(std::string(32, 's'), "k"))
                  .has_value());
  EXPECT_EQ(read({{"patch.json", patch}}, &verifier), "bundle_unsigned");
  verifier.allow_unsigned_deltas = true;
  EXPECT_EQ(read({{"patch.json", patch}}, &verifier), patch);
  EXPECT_EQ(read({{"data.json", "{}"}}, &verifier), "bundle_unsigned");
}

TEST(Bundle, ContentDigestIgnoresPackingAndSignature) {
  const std::vector<BundleFile> files = {{".manifest", R"({"revision":"1"})"}, {"data.json", "{}"}};
  const BundleSigner signer{*crypto::SigningKey::FromSecret(std::string(32, 's'), "k"), ""};
  const auto digest = [](const std::string& bytes) {
    return ReadBundle(bytes, nullptr)->content_sha256;
  };
  const std::string plain = digest(*WriteBundle(files, nullptr));
  EXPECT_EQ(digest(*WriteBundle(files, &signer)), plain);
  EXPECT_EQ(digest(*WriteArchive(std::vector<BundleFile>(files.rbegin(), files.rend()))), plain);
  EXPECT_NE(digest(*WriteArchive(std::vector<BundleFile>{files[0], {"data.json", "{ }"}})), plain);
}

}  // namespace
}  // namespace aegis::rego
