// Files: whole reads with a limit, atomic durable replacement, an owned descriptor.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

#include "aegis/base/result.h"

namespace aegis {

// Owns a file descriptor; closes it when destroyed. Move-only.
class FileDescriptor {
 public:
  FileDescriptor() = default;
  explicit FileDescriptor(int fd) : fd_(fd) {}
  FileDescriptor(FileDescriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  FileDescriptor& operator=(FileDescriptor&& other) noexcept;
  ~FileDescriptor() { Close(); }

  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }
  int Release() { return std::exchange(fd_, -1); }
  void Close();

 private:
  int fd_ = -1;
};

// The whole file. Errors: not_found, file_too_large (more than `max_bytes`), io_error.
Result<std::string> ReadFile(const std::string& path, size_t max_bytes = size_t{1} << 30);

// Replaces `path` so that after a crash it holds either the old content or the new one: writes a
// temporary file beside it, fsyncs, renames, fsyncs the folder. `mode`: permission bits, e.g. 0600.
// Errors: io_error.
Status WriteFileAtomic(const std::string& path, std::string_view content, unsigned mode = 0644);

// Makes the folder and its parents. Existing ones are fine. Errors: io_error.
Status MakeDirectories(const std::string& path, unsigned mode = 0755);

bool FileExists(const std::string& path);

// "what path: strerror" with code kNotFound for ENOENT, kPermissionDenied for EACCES, else
// kInternal.
Error SystemError(std::string_view what, std::string_view path, int error_number);

}  // namespace aegis
