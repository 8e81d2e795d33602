#include "aegis/base/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "aegis/base/ids.h"
#include "aegis/base/text.h"

namespace aegis {

FileDescriptor& FileDescriptor::operator=(FileDescriptor&& other) noexcept {
  if (this != &other) {
    Close();
    fd_ = std::exchange(other.fd_, -1);
  }
  return *this;
}

void FileDescriptor::Close() {
  if (fd_ >= 0) ::close(std::exchange(fd_, -1));
}

Error SystemError(std::string_view what, std::string_view path, int error_number) {
  Code code = Code::kInternal;
  std::string_view reason = "io_error";
  if (error_number == ENOENT) {
    code = Code::kNotFound;
    reason = "not_found";
  } else if (error_number == EACCES || error_number == EPERM) {
    code = Code::kPermissionDenied;
    reason = "permission_denied";
  } else if (error_number == ENOSPC || error_number == EDQUOT) {
    code = Code::kResourceExhausted;
    reason = "disk_full";
  }
  std::string message(what);
  message.append(" ").append(path).append(": ").append(
      std::generic_category().message(error_number));
  return {code, reason, std::move(message)};
}

Result<std::string> ReadFile(const std::string& path, size_t max_bytes) {
  FileDescriptor fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return Fail(SystemError("cannot open", path, errno));
  struct stat info{};
  if (::fstat(fd.get(), &info) != 0) return Fail(SystemError("cannot stat", path, errno));
  if (S_ISDIR(info.st_mode)) return Fail(SystemError("cannot read", path, EISDIR));
  std::string content;
  // The size is a hint only: /proc files say 0 and a file can grow while it is read.
  content.reserve(std::min<size_t>(static_cast<size_t>(info.st_size) + 1, max_bytes + 1));
  char buffer[64 * 1024];
  for (;;) {
    const ssize_t got = ::read(fd.get(), buffer, sizeof buffer);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return Fail(SystemError("cannot read", path, errno));
    if (got == 0) return content;
    if (content.size() + static_cast<size_t>(got) > max_bytes)
      return Fail(Code::kResourceExhausted, "file_too_large",
                  path + ": larger than " + std::to_string(max_bytes) + " bytes");
    content.append(buffer, static_cast<size_t>(got));
  }
}

Status WriteFileAtomic(const std::string& path, std::string_view content, unsigned mode) {
  uint8_t random[6];
  RandomBytes(random);
  const std::string temporary =
      path + ".tmp-" + HexEncode({reinterpret_cast<const char*>(random), sizeof random});
  FileDescriptor fd(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC,
                           static_cast<mode_t>(mode)));
  if (!fd) return Fail(SystemError("cannot create", temporary, errno));
  auto fail = [&](std::string_view what, int error_number) {
    ::unlink(temporary.c_str());
    return Fail(SystemError(what, temporary, error_number));
  };
  size_t done = 0;
  while (done < content.size()) {
    const ssize_t put = ::write(fd.get(), content.data() + done, content.size() - done);
    if (put < 0 && errno == EINTR) continue;
    if (put <= 0) return fail("cannot write", errno);
    done += static_cast<size_t>(put);
  }
  if (::fsync(fd.get()) != 0) return fail("cannot fsync", errno);
  if (::rename(temporary.c_str(), path.c_str()) != 0) return fail("cannot rename", errno);
  const size_t slash = path.rfind('/');
  const std::string folder = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  FileDescriptor directory(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!directory || ::fsync(directory.get()) != 0)
    return Fail(SystemError("cannot fsync", folder, errno));
  return Ok();
}

Status MakeDirectories(const std::string& path, unsigned mode) {
  std::error_code error;
  if (std::filesystem::is_directory(path, error)) return Ok();
  const std::filesystem::path parent = std::filesystem::path(path).parent_path();
  if (!parent.empty() && parent != path) AEGIS_RETURN_IF_ERROR(MakeDirectories(parent, mode));
  if (::mkdir(path.c_str(), static_cast<mode_t>(mode)) != 0 && errno != EEXIST)
    return Fail(SystemError("cannot make folder", path, errno));
  return Ok();
}

bool FileExists(const std::string& path) { return ::access(path.c_str(), F_OK) == 0; }

}  // namespace aegis
