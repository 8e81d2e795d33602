#include "aegis/audit/env.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "aegis/base/file.h"

namespace aegis::audit {
namespace {

class PosixFile final : public File {
 public:
  PosixFile(FileDescriptor fd, std::string path) : fd_(std::move(fd)), path_(std::move(path)) {}

  Result<size_t> Read(uint64_t offset, char* out, size_t size) override {
    size_t done = 0;
    while (done < size) {
      const ssize_t got =
          ::pread(fd_.get(), out + done, size - done, static_cast<off_t>(offset + done));
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) return Fail(SystemError("cannot read", path_, errno));
      if (got == 0) break;
      done += static_cast<size_t>(got);
    }
    return done;
  }

  Status Write(uint64_t offset, std::string_view data) override {
    size_t done = 0;
    while (done < data.size()) {
      const ssize_t put = ::pwrite(fd_.get(), data.data() + done, data.size() - done,
                                   static_cast<off_t>(offset + done));
      if (put < 0 && errno == EINTR) continue;
      if (put <= 0) return Fail(SystemError("cannot write", path_, put == 0 ? ENOSPC : errno));
      done += static_cast<size_t>(put);
    }
    return Ok();
  }

  Status Sync() override { return Check(::fdatasync(fd_.get()), "cannot sync"); }
  Status SyncAll() override { return Check(::fsync(fd_.get()), "cannot sync"); }
  Status Truncate(uint64_t size) override {
    return Check(::ftruncate(fd_.get(), static_cast<off_t>(size)), "cannot truncate");
  }
  Status Reserve(uint64_t size) override {
    if (::fallocate(fd_.get(), 0, 0, static_cast<off_t>(size)) == 0) return Ok();
    if (errno == EOPNOTSUPP || errno == ENOSYS || errno == EINTR) return Ok();
    return Fail(SystemError("cannot reserve space for", path_, errno));
  }
  Result<uint64_t> Size() override {
    struct stat info{};
    if (::fstat(fd_.get(), &info) != 0) return Fail(SystemError("cannot stat", path_, errno));
    return static_cast<uint64_t>(info.st_size);
  }

 private:
  Status Check(int result, std::string_view what) {
    if (result != 0) return Fail(SystemError(what, path_, errno));
    return Ok();
  }

  FileDescriptor fd_;
  std::string path_;
};

class PosixLock final : public FileLock {
 public:
  explicit PosixLock(FileDescriptor fd) : fd_(std::move(fd)) {}

 private:
  FileDescriptor fd_;
};

class PosixEnv final : public Env {
 public:
  Status MakeFolder(const std::string& path) override { return MakeDirectories(path, 0750); }

  Result<std::vector<std::string>> List(const std::string& folder) override {
    DIR* directory = ::opendir(folder.c_str());
    if (directory == nullptr) return Fail(SystemError("cannot list", folder, errno));
    std::vector<std::string> names;
    errno = 0;
    while (const dirent* entry = ::readdir(directory)) {
      const std::string_view name = entry->d_name;
      if (name != "." && name != "..") names.emplace_back(name);
    }
    const int error = errno;
    ::closedir(directory);
    if (error != 0) return Fail(SystemError("cannot list", folder, error));
    std::sort(names.begin(), names.end());
    return names;
  }

  Result<std::unique_ptr<File>> Create(const std::string& path) override {
    return OpenFile(path, O_RDWR | O_CREAT | O_TRUNC, "cannot create");
  }
  Result<std::unique_ptr<File>> OpenToRead(const std::string& path) override {
    return OpenFile(path, O_RDONLY, "cannot open");
  }
  Result<std::unique_ptr<File>> OpenToWrite(const std::string& path) override {
    return OpenFile(path, O_RDWR, "cannot open");
  }

  Status Rename(const std::string& from, const std::string& to) override {
    if (::rename(from.c_str(), to.c_str()) != 0)
      return Fail(SystemError("cannot rename to", to, errno));
    return Ok();
  }
  Status Remove(const std::string& path) override {
    if (::unlink(path.c_str()) != 0) return Fail(SystemError("cannot remove", path, errno));
    return Ok();
  }
  Status SyncFolder(const std::string& path) override {
    const FileDescriptor fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!fd || ::fsync(fd.get()) != 0) return Fail(SystemError("cannot sync folder", path, errno));
    return Ok();
  }

  Result<std::unique_ptr<FileLock>> Lock(const std::string& path) override {
    FileDescriptor fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0640));
    if (!fd) return Fail(SystemError("cannot open", path, errno));
    if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
      if (errno == EWOULDBLOCK)
        return Fail(Code::kFailedPrecondition, "journal_locked",
                    path +
                        ": another process is writing this journal; stop it, or use another "
                        "data folder");
      return Fail(SystemError("cannot lock", path, errno));
    }
    return std::make_unique<PosixLock>(std::move(fd));
  }

 private:
  static Result<std::unique_ptr<File>> OpenFile(const std::string& path, int flags,
                                                std::string_view what) {
    FileDescriptor fd(::open(path.c_str(), flags | O_CLOEXEC, 0640));
    if (!fd) return Fail(SystemError(what, path, errno));
    return std::make_unique<PosixFile>(std::move(fd), path);
  }
};

}  // namespace

Env& Env::Posix() {
  static PosixEnv env;
  return env;
}

}  // namespace aegis::audit
