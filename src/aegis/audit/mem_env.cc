#include "aegis/audit/mem_env.h"

#include <algorithm>
#include <cstring>

namespace aegis::audit {
namespace {

constexpr size_t kSector = 512;

tl::unexpected<Error> Broken() {
  return Fail(Code::kInternal, "io_error", "the disk in memory was told to fail");
}

class MemLock final : public FileLock {};

// Keeps the lock's owner alive for as long as it is held.
class HeldLock final : public FileLock {
 public:
  explicit HeldLock(std::shared_ptr<FileLock> lock) : lock_(std::move(lock)) {}

 private:
  std::shared_ptr<FileLock> lock_;
};

}  // namespace

class MemFile final : public File {
 public:
  MemFile(MemEnv& env, std::shared_ptr<MemEnv::Inode> inode)
      : env_(env), inode_(std::move(inode)) {}

  Result<size_t> Read(uint64_t offset, char* out, size_t size) override {
    const std::lock_guard lock(env_.mutex_);
    if (offset >= inode_->now.size()) return size_t{0};
    const size_t count = std::min<size_t>(size, inode_->now.size() - offset);
    std::memcpy(out, inode_->now.data() + offset, count);
    return count;
  }
  Status Write(uint64_t offset, std::string_view data) override {
    const std::lock_guard lock(env_.mutex_);
    const bool allowed = env_.Allowed();
    // A write that fails has done any part of its work.
    if (!allowed) data = data.substr(0, env_.random_() % (data.size() + 1));
    Change({.offset = offset, .data = std::string(data)});
    if (!allowed) return Broken();
    return Ok();
  }
  Status Sync() override {
    const std::lock_guard lock(env_.mutex_);
    if (!env_.Allowed()) return Broken();
    inode_->durable = inode_->now;
    inode_->changes.clear();
    return Ok();
  }
  Status SyncAll() override { return Sync(); }
  Status Truncate(uint64_t size) override {
    const std::lock_guard lock(env_.mutex_);
    if (!env_.Allowed()) return Broken();
    Change({.truncate = true, .offset = size});
    return Ok();
  }
  Status Reserve(uint64_t size) override {
    const std::lock_guard lock(env_.mutex_);
    if (!env_.Allowed()) return Broken();
    if (size > inode_->now.size()) Change({.truncate = true, .offset = size});
    return Ok();
  }
  Result<uint64_t> Size() override {
    const std::lock_guard lock(env_.mutex_);
    return inode_->now.size();
  }

 private:
  void Change(MemEnv::Change change) {
    MemEnv::Apply(inode_->now, change);
    inode_->changes.push_back(std::move(change));
  }

  MemEnv& env_;
  std::shared_ptr<MemEnv::Inode> inode_;
};

void MemEnv::FailAt(uint64_t call, Fault fault) {
  const std::lock_guard lock(mutex_);
  fail_at_ = calls_ + call;
  fault_ = fault;
  struck_ = false;
}

void MemEnv::Heal() {
  const std::lock_guard lock(mutex_);
  fail_at_ = UINT64_MAX;
  down_ = false;
}

bool MemEnv::struck() const {
  const std::lock_guard lock(mutex_);
  return struck_;
}

uint64_t MemEnv::calls() const {
  const std::lock_guard lock(mutex_);
  return calls_;
}

bool MemEnv::Allowed() {
  if (calls_++ >= fail_at_) {
    struck_ = true;
    fail_at_ = UINT64_MAX;
    if (fault_ != Fault::kOnce) down_ = true;
    return false;
  }
  return !down_;
}

void MemEnv::Apply(std::string& content, const Change& change) {
  if (change.truncate) {
    content.resize(change.offset, '\0');
    return;
  }
  if (content.size() < change.offset + change.data.size())
    content.resize(change.offset + change.data.size(), '\0');
  std::copy(change.data.begin(), change.data.end(),
            content.begin() + static_cast<std::ptrdiff_t>(change.offset));
}

void MemEnv::Reboot() {
  const std::lock_guard lock(mutex_);
  // Names are journaled by real file systems: a prefix of the changes is kept.
  if (!history_.empty()) {
    history_.push_back(names_);
    names_ = history_[random_() % history_.size()];
    history_.clear();
  }
  for (auto& [name, inode] : names_) {
    std::string content = inode->durable;
    const size_t cut = inode->changes.empty() ? 0 : random_() % 4;
    for (const Change& change : inode->changes) {
      // Often all or nothing survives, else each sector by chance.
      if (cut == 0) continue;
      if (cut == 1 || change.truncate) {
        if (cut == 1 || random_() % 2 == 0) Apply(content, change);
        continue;
      }
      for (size_t at = 0; at < change.data.size();) {
        const size_t end =
            std::min(change.data.size(), at + kSector - (change.offset + at) % kSector);
        if (random_() % 2 == 0)
          Apply(content, {.offset = change.offset + at, .data = change.data.substr(at, end - at)});
        at = end;
      }
    }
    auto fresh = std::make_shared<Inode>();
    fresh->now = fresh->durable = std::move(content);
    inode = std::move(fresh);
  }
  fail_at_ = UINT64_MAX;
  down_ = false;
}

std::string MemEnv::Content(const std::string& path) const {
  const std::lock_guard lock(mutex_);
  const auto found = names_.find(path);
  return found == names_.end() ? std::string() : found->second->now;
}

void MemEnv::SetContent(const std::string& path, std::string content) {
  const std::lock_guard lock(mutex_);
  auto inode = std::make_shared<Inode>();
  inode->now = inode->durable = std::move(content);
  names_[path] = std::move(inode);
}

Status MemEnv::MakeFolder(const std::string&) { return Ok(); }

Result<std::vector<std::string>> MemEnv::List(const std::string& folder) {
  const std::lock_guard lock(mutex_);
  std::vector<std::string> names;
  for (const auto& [path, inode] : names_)
    if (path.starts_with(folder + "/")) names.push_back(path.substr(folder.size() + 1));
  return names;
}

Result<std::unique_ptr<File>> MemEnv::Create(const std::string& path) {
  const std::lock_guard lock(mutex_);
  if (!Allowed()) return Broken();
  history_.push_back(names_);
  auto inode = std::make_shared<Inode>();
  names_[path] = inode;
  return std::make_unique<MemFile>(*this, std::move(inode));
}

Result<std::unique_ptr<File>> MemEnv::OpenToRead(const std::string& path) {
  const std::lock_guard lock(mutex_);
  const auto found = names_.find(path);
  if (found == names_.end()) return Fail(Code::kNotFound, "not_found", path + ": no such file");
  return std::make_unique<MemFile>(*this, found->second);
}

Result<std::unique_ptr<File>> MemEnv::OpenToWrite(const std::string& path) {
  return OpenToRead(path);
}

Status MemEnv::Rename(const std::string& from, const std::string& to) {
  const std::lock_guard lock(mutex_);
  if (!Allowed()) return Broken();
  const auto found = names_.find(from);
  if (found == names_.end()) return Fail(Code::kNotFound, "not_found", from + ": no such file");
  history_.push_back(names_);
  names_[to] = found->second;
  names_.erase(from);
  return Ok();
}

Status MemEnv::Remove(const std::string& path) {
  const std::lock_guard lock(mutex_);
  if (!Allowed()) return Broken();
  history_.push_back(names_);
  names_.erase(path);
  return Ok();
}

Status MemEnv::SyncFolder(const std::string&) {
  const std::lock_guard lock(mutex_);
  if (!Allowed()) return Broken();
  history_.clear();
  return Ok();
}

Result<std::unique_ptr<FileLock>> MemEnv::Lock(const std::string& path) {
  const std::lock_guard lock(mutex_);
  if (locks_[path].lock())
    return Fail(Code::kFailedPrecondition, "journal_locked", path + ": locked");
  auto held = std::make_shared<MemLock>();
  locks_[path] = held;
  return std::make_unique<HeldLock>(std::move(held));
}

}  // namespace aegis::audit
