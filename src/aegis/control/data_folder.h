// The data folder of `aegis up`: everything one embedded Aegis keeps.
//
//   <folder>/                   0700
//     lock                      held (flock) by the process that uses the folder; its pid
//     aegis.db                  the store (SQLite, with -wal and -shm beside it)
//     admin.key                 0600, the admin API key, one line
//     gateway.key               0600, the key gateways fetch bundles and settings with, one line
//     keys/token-signing.pem    0600, PKCS#8, Ed25519: signs agent tokens
//     keys/bundle-signing.pem   0600, PKCS#8, ECDSA P-256 (ES256): signs policy bundles
//     keys/bundle-signing.pub.pem  what checks bundles; for gateways and for stock OPA
//     audit/                    0700, journal segments of the gateway
//     bundles/                  0700, last good bundles of the gateway
//     run.json                  addresses and pid of the running `aegis up`; absent when none runs
//
// Threading: a DataFolder is immutable; WriteRunInfo and RemoveRunInfo from one thread.
// Errors: data_folder_permissions (someone else owns or can read what must be private),
// data_folder_in_use, data_folder_incomplete, data_folder_damaged (a key file does not parse), and
// those of base/file.h.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "aegis/base/file.h"
#include "aegis/base/result.h"
#include "aegis/crypto/key.h"

namespace aegis::control {

// An API key: a fixed prefix that says what it is for, and 256 random bits in hexadecimal.
inline constexpr std::string_view kAdminKeyPrefix = "aegis_admin_";
inline constexpr std::string_view kGatewayKeyPrefix = "aegis_gateway_";

// What `aegis up` tells the commands that look for it. URLs ("http://127.0.0.1:8090"); empty: not
// open.
struct RunInfo {
  std::string control;
  std::string gateway;
  std::string admin;
  int64_t pid = 0;
  std::string envoy = {};      // host:port or unix:PATH; empty: not served
  std::string opa_envoy = {};  // likewise
  std::string egress = {};     // likewise
};

class DataFolder {
 public:
  // Makes the folder and what is missing in it, and says what was made (paths relative to the
  // folder; empty: all was there). What exists is checked and never changed.
  static Result<std::vector<std::string>> Init(const std::string& path);

  // Takes the folder for this process until the DataFolder is destroyed, and reads its keys.
  static Result<DataFolder> Open(const std::string& path);

  DataFolder(DataFolder&&) noexcept = default;
  DataFolder& operator=(DataFolder&&) noexcept = default;

  const std::string& path() const { return path_; }
  std::string database_path() const { return path_ + "/aegis.db"; }
  std::string audit_path() const { return path_ + "/audit"; }
  std::string bundles_path() const { return path_ + "/bundles"; }

  const crypto::SigningKey& token_key() const { return token_key_; }
  const crypto::SigningKey& bundle_key() const { return bundle_key_; }
  const std::string& admin_key() const { return admin_key_; }
  const std::string& gateway_key() const { return gateway_key_; }

  Status WriteRunInfo(const RunInfo& info) const;
  void RemoveRunInfo() const;

 private:
  DataFolder(std::string path, FileDescriptor lock, crypto::SigningKey token_key,
             crypto::SigningKey bundle_key, std::string admin_key, std::string gateway_key)
      : path_(std::move(path)),
        lock_(std::move(lock)),
        token_key_(std::move(token_key)),
        bundle_key_(std::move(bundle_key)),
        admin_key_(std::move(admin_key)),
        gateway_key_(std::move(gateway_key)) {}

  std::string path_;
  FileDescriptor lock_;
  crypto::SigningKey token_key_;
  crypto::SigningKey bundle_key_;
  std::string admin_key_;
  std::string gateway_key_;
};

}  // namespace aegis::control
