// The journal's view of the operating system: few calls, so that tests can make each of them fail
// and can crash between any two.
//
// Threading: an Env may be used from any thread, a File from one at a time.
// Errors: those of aegis::SystemError (not_found, permission_denied, disk_full, io_error).
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "aegis/base/result.h"

namespace aegis::audit {

class File {
 public:
  virtual ~File() = default;
  // Reads up to `size` bytes; fewer only where the file ends.
  virtual Result<size_t> Read(uint64_t offset, char* out, size_t size) = 0;
  // All of `data`, or an error and an unknown part of it.
  virtual Status Write(uint64_t offset, std::string_view data) = 0;
  // fdatasync: content, and the metadata that is needed to read it.
  virtual Status Sync() = 0;
  // fsync: also all other metadata.
  virtual Status SyncAll() = 0;
  virtual Status Truncate(uint64_t size) = 0;
  // Reserves space, so that writing does not find the disk full. A file system that cannot do this
  // is not an error.
  virtual Status Reserve(uint64_t size) = 0;
  virtual Result<uint64_t> Size() = 0;
};

class FileLock {
 public:
  virtual ~FileLock() = default;
};

class Env {
 public:
  virtual ~Env() = default;
  // The real one; lives for the whole process.
  static Env& Posix();

  virtual Status MakeFolder(const std::string& path) = 0;
  // Names in the folder, sorted.
  virtual Result<std::vector<std::string>> List(const std::string& folder) = 0;
  // An empty file for reading and writing; replaces an existing one. Mode 0640.
  virtual Result<std::unique_ptr<File>> Create(const std::string& path) = 0;
  virtual Result<std::unique_ptr<File>> OpenToRead(const std::string& path) = 0;
  virtual Result<std::unique_ptr<File>> OpenToWrite(const std::string& path) = 0;
  virtual Status Rename(const std::string& from, const std::string& to) = 0;
  virtual Status Remove(const std::string& path) = 0;
  // Makes the folder's entries durable.
  virtual Status SyncFolder(const std::string& path) = 0;
  // Makes the file if missing and takes an exclusive lock on it, which ends with the object or the
  // process. Errors also: journal_locked.
  virtual Result<std::unique_ptr<FileLock>> Lock(const std::string& path) = 0;
};

}  // namespace aegis::audit
