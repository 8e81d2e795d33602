#include "aegis/control/data_folder.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <optional>

#include "aegis/base/ids.h"
#include "aegis/base/text.h"

namespace aegis::control {
namespace {

constexpr const char* kTokenKeyFile = "keys/token-signing.pem";
constexpr const char* kBundleKeyFile = "keys/bundle-signing.pem";
constexpr const char* kBundlePublicFile = "keys/bundle-signing.pub.pem";
constexpr const char* kAdminKeyFile = "admin.key";
constexpr const char* kGatewayKeyFile = "gateway.key";
constexpr const char* kFolders[] = {"keys", "audit", "bundles"};
constexpr size_t kMaxKeyFileBytes = 16 * 1024;
constexpr size_t kKeyHexDigits = 64;

std::string Octal(unsigned mode) {
  std::array<char, 8> text{};
  std::snprintf(text.data(), text.size(), "%04o", mode & 07777u);
  return text.data();
}

// Whether the entry exists; an error when it is not of the kind it must be, or not private.
// The data folder itself may be reached through a link; nothing in it may be one.
enum class Kind { kRoot, kFolder, kSecret };
Result<bool> CheckEntry(const std::string& path, Kind kind) {
  struct stat status{};
  const int found =
      kind == Kind::kRoot ? ::stat(path.c_str(), &status) : ::lstat(path.c_str(), &status);
  if (found != 0) {
    if (errno == ENOENT) return false;
    return Fail(SystemError("cannot look at", path, errno));
  }
  const bool folder = kind != Kind::kSecret;
  if (folder ? !S_ISDIR(status.st_mode) : !S_ISREG(status.st_mode)) {
    return Fail(Code::kFailedPrecondition, "data_folder_permissions",
                path + " must be a " + (folder ? "folder" : "regular file") +
                    " (not a link); move it away or choose another data folder");
  }
  if (status.st_uid != ::geteuid()) {
    return Fail(Code::kPermissionDenied, "data_folder_permissions",
                path + " belongs to user " + std::to_string(status.st_uid) +
                    ", but Aegis runs as user " + std::to_string(::geteuid()) +
                    "; run it as the owner, or chown the whole data folder");
  }
  if ((status.st_mode & 077) != 0) {
    return Fail(Code::kPermissionDenied, "data_folder_permissions",
                path + " is open to other users (mode " + Octal(status.st_mode) +
                    "); if they cannot have read it, run: chmod " + (folder ? "700 " : "600 ") +
                    path);
  }
  return true;
}

Status RequireEntry(const std::string& path, Kind kind) {
  AEGIS_TRY(const bool exists, CheckEntry(path, kind));
  if (!exists) {
    return Fail(
        Code::kFailedPrecondition, "data_folder_incomplete",
        path +
            " is missing; run `aegis init` to make what is missing (a new key makes what the "
            "old one signed worthless), or restore it from a backup");
  }
  return Ok();
}

Result<FileDescriptor> TakeLock(const std::string& folder) {
  const std::string path = folder + "/lock";
  FileDescriptor lock(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!lock) return Fail(SystemError("cannot open", path, errno));
  if (::flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return Fail(SystemError("cannot lock", path, errno));
    std::array<char, 24> pid{};
    const ssize_t got = ::pread(lock.get(), pid.data(), pid.size() - 1, 0);
    std::string holder(pid.data(), got > 0 ? static_cast<size_t>(got) : 0);
    while (!holder.empty() && holder.back() == '\n') holder.pop_back();
    return Fail(Code::kFailedPrecondition, "data_folder_in_use",
                "data folder " + folder + " is in use by process " +
                    (holder.empty() ? "(unknown)" : holder) +
                    "; stop it, or choose another folder with --data");
  }
  const std::string pid = std::to_string(::getpid()) + "\n";
  if (::ftruncate(lock.get(), 0) != 0 ||
      ::pwrite(lock.get(), pid.data(), pid.size(), 0) != static_cast<ssize_t>(pid.size())) {
    return Fail(SystemError("cannot write", path, errno));
  }
  return lock;
}

std::string RandomKey(std::string_view prefix) {
  std::array<uint8_t, 32> bytes;
  RandomBytes(bytes);
  return std::string(prefix) +
         HexEncode({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
}

Result<crypto::SigningKey> ReadSigningKey(const std::string& path, crypto::Algorithm algorithm) {
  AEGIS_RETURN_IF_ERROR(RequireEntry(path, Kind::kSecret));
  AEGIS_TRY(const std::string pem, ReadFile(path, kMaxKeyFileBytes));
  auto key = crypto::SigningKey::FromPem(pem);
  if (!key || key->algorithm() != algorithm) {
    return Fail(Code::kDataLoss, "data_folder_damaged",
                path + " is not a private key for " + std::string(crypto::JoseName(algorithm)) +
                    " in PEM; restore it from a backup, or move it away and run `aegis init`");
  }
  return key;
}

Result<std::string> ReadApiKey(const std::string& path, std::string_view prefix) {
  AEGIS_RETURN_IF_ERROR(RequireEntry(path, Kind::kSecret));
  AEGIS_TRY(std::string key, ReadFile(path, kMaxKeyFileBytes));
  while (!key.empty() && (key.back() == '\n' || key.back() == '\r')) key.pop_back();
  const bool good = key.starts_with(prefix) && key.size() == prefix.size() + kKeyHexDigits &&
                    HexDecode(std::string_view(key).substr(prefix.size())).has_value();
  if (!good) {
    return Fail(Code::kDataLoss, "data_folder_damaged",
                path + " does not hold an API key (" + std::string(prefix) + " and " +
                    std::to_string(kKeyHexDigits) +
                    " hexadecimal digits); restore it, or move it away and run `aegis init`");
  }
  return key;
}

// What is missing of the folder's content; errors for what is there and wrong.
Result<std::vector<std::string>> Missing(const std::string& folder) {
  std::vector<std::string> missing;
  for (const char* name : kFolders) {
    AEGIS_TRY(const bool exists, CheckEntry(folder + "/" + name, Kind::kFolder));
    if (!exists) missing.emplace_back(name);
  }
  for (const char* name : {kTokenKeyFile, kBundleKeyFile, kAdminKeyFile, kGatewayKeyFile}) {
    AEGIS_TRY(const bool exists, CheckEntry(folder + "/" + name, Kind::kSecret));
    if (!exists) missing.emplace_back(name);
  }
  return missing;
}

Status Make(const std::string& folder, const std::string& name) {
  const std::string path = folder + "/" + name;
  if (name == kTokenKeyFile || name == kBundleKeyFile) {
    AEGIS_TRY(const crypto::SigningKey key,
              crypto::SigningKey::Generate(name == kTokenKeyFile ? crypto::Algorithm::kEd25519
                                                                 : crypto::Algorithm::kEs256));
    AEGIS_TRY(const std::string pem, key.ToPem());
    return WriteFileAtomic(path, pem, 0600);
  }
  if (name == kAdminKeyFile) return WriteFileAtomic(path, RandomKey(kAdminKeyPrefix) + "\n", 0600);
  if (name == kGatewayKeyFile) {
    return WriteFileAtomic(path, RandomKey(kGatewayKeyPrefix) + "\n", 0600);
  }
  return MakeDirectories(path, 0700);
}

}  // namespace

Result<std::vector<std::string>> DataFolder::Init(const std::string& path) {
  if (path.empty()) {
    return Fail(Code::kInvalidArgument, "data_folder_permissions", "the data folder has no name");
  }
  AEGIS_TRY(const bool exists, CheckEntry(path, Kind::kRoot));
  if (!exists) AEGIS_RETURN_IF_ERROR(MakeDirectories(path, 0700));
  AEGIS_TRY(std::vector<std::string> missing, Missing(path));
  if (missing.empty()) return missing;
  AEGIS_TRY(const FileDescriptor lock, TakeLock(path));
  // Again under the lock: another `aegis init` may have been faster.
  AEGIS_TRY(missing, Missing(path));
  for (const std::string& name : missing) AEGIS_RETURN_IF_ERROR(Make(path, name));
  return missing;
}

Result<DataFolder> DataFolder::Open(const std::string& path) {
  AEGIS_RETURN_IF_ERROR(RequireEntry(path, Kind::kRoot));
  AEGIS_TRY(FileDescriptor lock, TakeLock(path));
  for (const char* name : kFolders) {
    AEGIS_RETURN_IF_ERROR(RequireEntry(path + "/" + name, Kind::kFolder));
  }
  AEGIS_TRY(crypto::SigningKey token_key,
            ReadSigningKey(path + "/" + kTokenKeyFile, crypto::Algorithm::kEd25519));
  AEGIS_TRY(crypto::SigningKey bundle_key,
            ReadSigningKey(path + "/" + kBundleKeyFile, crypto::Algorithm::kEs256));
  AEGIS_TRY(std::string admin_key, ReadApiKey(path + "/" + kAdminKeyFile, kAdminKeyPrefix));
  AEGIS_TRY(std::string gateway_key, ReadApiKey(path + "/" + kGatewayKeyFile, kGatewayKeyPrefix));
  // Derived from the private key each time, so that the two can never disagree.
  AEGIS_TRY(const std::string public_pem, bundle_key.verification_key().ToPem());
  const auto written = ReadFile(path + "/" + kBundlePublicFile, kMaxKeyFileBytes);
  if (!written || *written != public_pem) {
    AEGIS_RETURN_IF_ERROR(WriteFileAtomic(path + "/" + kBundlePublicFile, public_pem, 0644));
  }
  return DataFolder(path, std::move(lock), std::move(token_key), std::move(bundle_key),
                    std::move(admin_key), std::move(gateway_key));
}

Status DataFolder::WriteRunInfo(const RunInfo& info) const {
  nlohmann::json body = {{"control", info.control},
                         {"gateway", info.gateway},
                         {"admin", info.admin},
                         {"pid", info.pid}};
  if (!info.envoy.empty()) body["envoy"] = info.envoy;
  if (!info.opa_envoy.empty()) body["opa_envoy"] = info.opa_envoy;
  if (!info.egress.empty()) body["egress"] = info.egress;
  return WriteFileAtomic(path_ + "/run.json",
                         body.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n",
                         0600);
}

void DataFolder::RemoveRunInfo() const { ::unlink((path_ + "/run.json").c_str()); }

}  // namespace aegis::control
