// Reads and writes bundles from a shell, for test_bundles.py.
//
//   bundle_tool read BUNDLE [PUBLIC_KEY.pem KID SCOPE]       prints revision, key id, data
//   bundle_tool pack FOLDER BUNDLE [PRIVATE_KEY.pem KID SCOPE]
#include <cstdio>
#include <filesystem>
#include <string>
#include <vector>

#include "aegis/base/file.h"
#include "aegis/rego/bundle.h"

namespace aegis::rego {
namespace {

int Report(const Error& error) {
  std::fprintf(stderr, "%s\n", error.ToString().c_str());
  return 1;
}

int Read(const std::vector<std::string>& args) {
  const Result<std::string> bytes = ReadFile(args[0]);
  if (!bytes) return Report(bytes.error());
  BundleVerifier verifier;
  const bool verify = args.size() > 1;
  if (verify) {
    const Result<std::string> pem = ReadFile(args[1]);
    if (!pem) return Report(pem.error());
    Result<crypto::VerificationKey> key = crypto::VerificationKey::FromPem(*pem, args[2]);
    if (!key) return Report(key.error());
    if (const Status added = verifier.keys.Add(*std::move(key)); !added)
      return Report(added.error());
    verifier.scope = args[3];
  }
  const Result<Bundle> bundle = ReadBundle(*bytes, verify ? &verifier : nullptr);
  if (!bundle) return Report(bundle.error());
  std::printf("%s\n%s\n%s\n", bundle->manifest.revision.c_str(), bundle->key_id.c_str(),
              bundle->data_json.c_str());
  return 0;
}

int Pack(const std::vector<std::string>& args) {
  std::vector<BundleFile> files;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(args[0])) {
    if (!entry.is_regular_file()) continue;
    const Result<std::string> content = ReadFile(entry.path().string());
    if (!content) return Report(content.error());
    files.push_back({std::filesystem::relative(entry.path(), args[0]).string(), *content});
  }
  Result<std::string> bytes;
  if (args.size() > 2) {
    const Result<std::string> pem = ReadFile(args[2]);
    if (!pem) return Report(pem.error());
    Result<crypto::SigningKey> key = crypto::SigningKey::FromPem(*pem, args[3]);
    if (!key) return Report(key.error());
    const BundleSigner signer{*std::move(key), args[4]};
    bytes = WriteBundle(files, &signer);
  } else {
    bytes = WriteBundle(files, nullptr);
  }
  if (!bytes) return Report(bytes.error());
  const Status written = WriteFileAtomic(args[1], *bytes);
  return written ? 0 : Report(written.error());
}

}  // namespace
}  // namespace aegis::rego

int main(int argc, char** argv) {
  const std::vector<std::string> args(argv + 1, argv + argc);
  if ((args.size() == 2 || args.size() == 5) && args[0] == "read") {
    return aegis::rego::Read({args.begin() + 1, args.end()});
  }
  if ((args.size() == 3 || args.size() == 6) && args[0] == "pack") {
    return aegis::rego::Pack({args.begin() + 1, args.end()});
  }
  std::fprintf(stderr, "usage: bundle_tool read|pack ... (see bundle_tool.cc)\n");
  return 2;
}
