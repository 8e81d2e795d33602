// A disk in memory, for tests: can fail any call, can lose power at any call, and then has kept an
// arbitrary part of what was not synced, as real disks do.
//
// Threading: any thread.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <vector>

#include "aegis/audit/env.h"

namespace aegis::audit {

class MemEnv final : public Env {
 public:
  enum class Fault : uint8_t {
    kOnce,       // the call fails, with a part of its write done
    kLasting,    // and all later ones that change something, until Heal
    kPowerLoss,  // the call and all later ones fail; then call Reboot
  };

  explicit MemEnv(uint32_t seed = 1) : random_(seed) {}

  // The `call`-th call from now that changes or syncs something (0: the next) fails.
  void FailAt(uint64_t call, Fault fault);
  void Heal();
  // Whether the fault has struck.
  bool struck() const;
  // Calls that change or sync something, so far.
  uint64_t calls() const;
  // Power comes back: what was synced is there; of the rest, any part, in pieces of a sector.
  void Reboot();
  // The whole file as a process would see it. Empty if missing.
  std::string Content(const std::string& path) const;
  void SetContent(const std::string& path, std::string content);

  Status MakeFolder(const std::string& path) override;
  Result<std::vector<std::string>> List(const std::string& folder) override;
  Result<std::unique_ptr<File>> Create(const std::string& path) override;
  Result<std::unique_ptr<File>> OpenToRead(const std::string& path) override;
  Result<std::unique_ptr<File>> OpenToWrite(const std::string& path) override;
  Status Rename(const std::string& from, const std::string& to) override;
  Status Remove(const std::string& path) override;
  Status SyncFolder(const std::string& path) override;
  Result<std::unique_ptr<FileLock>> Lock(const std::string& path) override;

 private:
  friend class MemFile;
  // A change that has not been synced: bytes written, or a new size.
  struct Change {
    bool truncate = false;
    uint64_t offset = 0;  // or the size
    std::string data = {};
  };
  struct Inode {
    std::string now;      // what a reader sees
    std::string durable;  // what is surely on the disk
    std::vector<Change> changes;
  };
  using Names = std::map<std::string, std::shared_ptr<Inode>>;

  // Counts a call; false: it fails.
  bool Allowed();
  static void Apply(std::string& content, const Change& change);

  mutable std::mutex mutex_;
  std::mt19937 random_;
  Names names_;
  std::vector<Names> history_;  // states since the last folder sync, the synced one first
  std::map<std::string, std::weak_ptr<FileLock>> locks_;
  uint64_t calls_ = 0;
  uint64_t fail_at_ = UINT64_MAX;
  Fault fault_ = Fault::kOnce;
  bool struck_ = false;
  bool down_ = false;  // all changes fail
};

}  // namespace aegis::audit
