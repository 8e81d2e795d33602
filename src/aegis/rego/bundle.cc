#include "aegis/rego/bundle.h"

#include <algorithm>

#include "aegis/crypto/digest.h"
#include "aegis/rego/bundle_archive.h"
#include "aegis/rego/bundle_data.h"
#include "aegis/rego/bundle_delta.h"
#include "aegis/rego/bundle_proto.h"

namespace aegis::rego {
namespace {

constexpr std::string_view kManifestFile = ".manifest";
constexpr std::string_view kManifestProtoFile = ".manifest.pb";
constexpr std::string_view kPlanFile = "plan.json";
constexpr std::string_view kPlanProtoFile = "plan.pb";
constexpr std::string_view kDataFile = "data.json";
constexpr std::string_view kPatchFile = "patch.json";

std::string_view BaseName(std::string_view name) { return name.substr(name.rfind('/') + 1); }

tl::unexpected<Error> Unsupported(std::string message) {
  return Fail(Code::kUnimplemented, "bundle_unsupported", std::move(message));
}

// What OPA would read in a way that we do not, and so must not be passed over.
Status CheckKind(std::string_view name) {
  const std::string_view base = BaseName(name);
  if (base == "data.yaml" || base == "data.yml") {
    return Unsupported(std::string(name) + ": YAML data is not supported; make it data.json");
  }
  if ((name.ends_with(kManifestFile) && name != kManifestFile) ||
      (name.ends_with(kManifestProtoFile) && name != kManifestProtoFile) ||
      (base == kSignaturesFile && name != kSignaturesFile) ||
      (base == kPatchFile && name != kPatchFile)) {
    return Fail(
        Code::kInvalidArgument, "bundle_name",
        std::string(name) + ": OPA takes this for the bundle's own file, which belongs at the top");
  }
  return Ok();
}

const BundleFile* Find(std::span<const BundleFile> sorted, std::string_view name) {
  const auto found = std::lower_bound(
      sorted.begin(), sorted.end(), name,
      [](const BundleFile& file, std::string_view wanted) { return file.name < wanted; });
  return found != sorted.end() && found->name == name ? &*found : nullptr;
}

void SortByName(std::vector<BundleFile>& files) {
  std::sort(files.begin(), files.end(),
            [](const BundleFile& a, const BundleFile& b) { return a.name < b.name; });
}

// Names and contents, each with its length, in the order of the names.
std::string ContentSha256(std::span<const BundleFile> sorted) {
  std::string list;
  for (const BundleFile& file : sorted) {
    if (file.name == kSignaturesFile) continue;
    list += std::to_string(file.name.size()) + ' ' + file.name + ' ' +
            crypto::Sha256Hex(file.content) + '\n';
  }
  return crypto::Sha256Hex(list);
}

// OPA refuses bundles that hold a thing in both forms.
Status RefuseBoth(std::span<const BundleFile> files, std::string_view json,
                  std::string_view proto) {
  if (Find(files, json) == nullptr || Find(files, proto) == nullptr) return Ok();
  return Fail(Code::kInvalidArgument, "bundle_malformed",
              "the bundle holds both " + std::string(json) + " and " + std::string(proto));
}

// A delta bundle is a patch and a manifest.
Status CheckDelta(std::span<const BundleFile> files) {
  for (const BundleFile& file : files) {
    if (file.name == kPatchFile || file.name == kManifestFile || file.name == kManifestProtoFile ||
        file.name == kSignaturesFile) {
      continue;
    }
    return Fail(Code::kInvalidArgument, "bundle_malformed",
                "a delta bundle holds patch.json and .manifest only, this one also " + file.name);
  }
  Arena arena;
  return ParsePatch(Find(files, kPatchFile)->content, arena).map([](const auto&) {});
}

}  // namespace

Result<Bundle> ReadBundle(std::string_view bytes, const BundleVerifier* verifier,
                          const BundleLimits& limits) {
  AEGIS_TRY(std::vector<BundleFile> files, ReadArchive(bytes, limits));
  SortByName(files);
  for (const BundleFile& file : files) AEGIS_RETURN_IF_ERROR(CheckKind(file.name));

  Bundle bundle;
  bundle.content_sha256 = ContentSha256(files);
  const bool is_delta = Find(files, kPatchFile) != nullptr;
  if (is_delta) AEGIS_RETURN_IF_ERROR(CheckDelta(files));
  if (is_delta && verifier != nullptr && !verifier->allow_unsigned_deltas) {
    return Fail(Code::kPermissionDenied, "bundle_unsigned",
                "a delta bundle cannot be signed, but signed bundles are required here; "
                "allow_unsigned_delta_bundles would accept it");
  }
  if (verifier != nullptr && !is_delta) {
    const BundleFile* signatures = Find(files, kSignaturesFile);
    if (signatures == nullptr) {
      return Fail(Code::kPermissionDenied, "bundle_unsigned",
                  "the bundle has no .signatures.json, but signed bundles are required here");
    }
    AEGIS_TRY(bundle.key_id, VerifyBundleFiles(signatures->content, files, *verifier));
    bundle.verified = true;
  }
  AEGIS_RETURN_IF_ERROR(RefuseBoth(files, kManifestFile, kManifestProtoFile));
  AEGIS_RETURN_IF_ERROR(RefuseBoth(files, kPlanFile, kPlanProtoFile));
  if (const BundleFile* manifest = Find(files, kManifestFile)) {
    AEGIS_TRY(bundle.manifest, ParseManifest(manifest->content));
  } else if (const BundleFile* proto = Find(files, kManifestProtoFile)) {
    AEGIS_TRY(const std::string json, ManifestJsonFromProto(proto->content, limits.max_file_bytes));
    AEGIS_TRY(bundle.manifest, ParseManifest(json));
  }
  if (const BundleFile* proto = Find(files, kPlanProtoFile)) {
    AEGIS_TRY(bundle.plan_json, PlanJsonFromProto(proto->content, limits.max_file_bytes));
  }
  std::vector<BundleFile*> data_files;
  for (BundleFile& file : files) {
    if (BaseName(file.name) == kDataFile) data_files.push_back(&file);
  }
  AEGIS_TRY(bundle.data_json, MergeDataFiles(data_files, bundle.manifest.roots));
  for (BundleFile& file : files) {
    if (file.name.ends_with(".rego")) {
      bundle.modules.push_back(std::move(file));
    } else if (file.name == kPlanFile) {
      bundle.plan_json = std::move(file.content);
    } else if (file.name == kPatchFile) {
      bundle.patch_json = std::move(file.content);
    } else if (file.name == kPlanProtoFile || file.name == kManifestProtoFile) {
      continue;  // read above; whoever writes the bundle again writes them as JSON
    } else if (BaseName(file.name) != kDataFile) {
      bundle.files.push_back(std::move(file));
    }
  }
  bundle.sha256 = crypto::Sha256Hex(bytes);
  return bundle;
}

Result<std::string> WriteBundle(std::span<const BundleFile> files, const BundleSigner* signer) {
  std::vector<BundleFile> sorted(files.begin(), files.end());
  if (signer != nullptr) {
    AEGIS_TRY(std::string signatures, SignBundleFiles(files, *signer));
    sorted.push_back(BundleFile{std::string(kSignaturesFile), std::move(signatures)});
  }
  SortByName(sorted);
  for (size_t i = 0; i < sorted.size(); ++i) {
    AEGIS_RETURN_IF_ERROR(CheckBundleName(sorted[i].name, BundleLimits().max_name_bytes));
    AEGIS_RETURN_IF_ERROR(CheckKind(sorted[i].name));
    if (i > 0 && sorted[i].name == sorted[i - 1].name) {
      return Fail(Code::kInvalidArgument, "bundle_name", "two files are named " + sorted[i].name);
    }
  }
  return WriteArchive(sorted);
}

}  // namespace aegis::rego
