// Reads and writes bundles from a shell, for test_bundles.py.
//
//   bundle_tool read BUNDLE [KEY_FILE KID SCOPE ALGORITHM]       prints revision, key id, data
//   bundle_tool pack FOLDER BUNDLE [KEY_FILE KID SCOPE ALGORITHM]
//
// KEY_FILE holds PEM, or the secret itself for HS256, HS384 and HS512.
#include <cstdio>
#include <filesystem>
#include <optional>
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

// A VerificationKey or SigningKey of a file, for the algorithm of that name.
template <typename Key>
Result<Key> KeyFromFile(const std::string& path, const std::string& kid, const std::string& name) {
  const std::optional<crypto::Algorithm> algorithm = crypto::AlgorithmFromJoseName(name);
  if (!algorithm) return Fail(Code::kInvalidArgument, "usage", "no algorithm " + name);
  AEGIS_TRY(const std::string text, ReadFile(path));
  if (name.starts_with("HS")) return Key::FromSecret(text, kid, *algorithm);
  return Key::FromPem(text, kid, algorithm);
}

int Read(const std::vector<std::string>& args) {
  const Result<std::string> bytes = ReadFile(args[0]);
  if (!bytes) return Report(bytes.error());
  BundleVerifier verifier;
  const bool verify = args.size() > 1;
  if (verify) {
    Result<crypto::VerificationKey> key =
        KeyFromFile<crypto::VerificationKey>(args[1], args[2], args[4]);
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
    Result<crypto::SigningKey> key = KeyFromFile<crypto::SigningKey>(args[2], args[3], args[5]);
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
  if ((args.size() == 2 || args.size() == 6) && args[0] == "read") {
    return aegis::rego::Read({args.begin() + 1, args.end()});
  }
  if ((args.size() == 3 || args.size() == 7) && args[0] == "pack") {
    return aegis::rego::Pack({args.begin() + 1, args.end()});
  }
  std::fprintf(stderr, "usage: bundle_tool read|pack ... (see bundle_tool.cc)\n");
  return 2;
}
