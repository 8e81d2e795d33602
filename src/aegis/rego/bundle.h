// OPA bundles: a gzip-compressed tar file with policies, data and a plan (OPA docs "Bundles";
// v1/bundle/bundle.go of OPA 1.22).
//
// Names inside a bundle are relative, with '/' and without a leading one: "data.json", "plan.json",
// ".manifest", "aegis/decision.rego". OPA writes a leading '/' in the tar; it is taken off when
// reading.
//
// Threading: free functions on values; no shared state.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "aegis/base/result.h"
#include "aegis/rego/signature.h"

namespace aegis::rego {

struct BundleFile {
  std::string name;
  std::string content;
};

// What a bundle may be at most. Every limit holds before the memory is taken.
struct BundleLimits {
  size_t max_archive_bytes = size_t{64} << 20;  // the .tar.gz itself
  size_t max_file_bytes = size_t{128} << 20;    // one unpacked file
  size_t max_total_bytes = size_t{256} << 20;   // all unpacked files
  size_t max_files = 4096;
  size_t max_name_bytes = 1024;
};

// `.manifest`. What is absent has OPA's defaults.
struct Manifest {
  std::string revision;
  std::vector<std::string> roots{""};  // paths of data that the bundle owns; "" owns all
  int rego_version = 1;
  std::string metadata_json = "{}";  // an object
};

struct Bundle {
  Manifest manifest;
  std::string data_json;            // all data files as one object; "{}" when there is none
  std::string plan_json;            // also of plan.pb; empty: no plan (built without `-t plan`)
  std::vector<BundleFile> modules;  // *.rego
  std::vector<BundleFile> files;  // all others as they came, .manifest among them; sorted by name;
                                  // not the protobuf forms
  std::string patch_json;         // not empty: a delta bundle, which has this and a manifest only
  std::string sha256;             // lower-case hex of the bundle file
  // Of the files without their signature and packing: bundles that say the same have the same.
  std::string content_sha256;
  bool verified = false;  // its signature was checked
  std::string key_id;     // of the key that signed it; empty: not verified
};

// Reads a bundle. With a `verifier` the bundle must be signed, by one of its keys and over exactly
// the files that are there; without one a signature is not looked at. Errors: bundle_malformed (not
// gzip/tar, truncated, trailing bytes, bad JSON), bundle_too_large, bundle_name (absolute, "..",
// duplicate, not UTF-8), bundle_entry_type (links, devices), bundle_unsupported (YAML data),
// bundle_unsigned (a delta bundle among them, which cannot be signed), bundle_signature.
Result<Bundle> ReadBundle(std::string_view bytes, const BundleVerifier* verifier,
                          const BundleLimits& limits = {});

// Applies the patch of a delta bundle (OPA docs "Delta Bundles"; applyPatches of v1/bundle/store.go
// of OPA 1.22) to the data of `base`, which takes the delta's revision and a sha256 made of both:
// "<base> <delta>" in hex, hashed. An error changes nothing. Errors: bundle_malformed (a patch that
// is not as documented), bundle_delta (roots that differ, a path outside of them or that does not
// exist), bundle_too_large (more than `max_data_bytes`, or too much list shifting).
Status ApplyDelta(const Bundle& delta, Bundle& base,
                  size_t max_data_bytes = BundleLimits().max_total_bytes);

// Writes a bundle: files sorted by name, no times, no owners, so that equal input gives equal bytes
// (an ES256 signature differs each time, so signed bundles differ in that one file). With a
// `signer`, .signatures.json is made and added; it must not be among `files`. Errors: bundle_name,
// bundle_malformed (data.json or .manifest is not JSON), bundle_signature.
Result<std::string> WriteBundle(std::span<const BundleFile> files, const BundleSigner* signer);

// `.manifest` as JSON, keys sorted.
std::string ManifestJson(const Manifest& manifest);

}  // namespace aegis::rego
