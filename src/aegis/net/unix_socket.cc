#include "aegis/net/unix_socket.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace aegis::net {
namespace {

// Whether the path is a socket on which nobody listens.
bool IsLeftBehind(const std::string& path, const sockaddr_un& address) {
  struct stat info{};
  if (::lstat(path.c_str(), &info) != 0 || !S_ISSOCK(info.st_mode)) return false;
  const FileDescriptor probe(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  return probe &&
         ::connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 &&
         errno == ECONNREFUSED;
}

}  // namespace

Result<FileDescriptor> ListenUnix(const std::string& path, unsigned mode) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof address.sun_path) {
    return Fail(Code::kInvalidArgument, "bad_address",
                "the path of a socket has 1 to " + std::to_string(sizeof address.sun_path - 1) +
                    " bytes: '" + path + "'");
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  FileDescriptor fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd) return Fail(SystemError("cannot make a socket for", path, errno));
  if (IsLeftBehind(path, address)) ::unlink(path.c_str());
  // Nobody may connect before the permissions are the ones wanted.
  ::fchmod(fd.get(), 0);
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    if (errno == EADDRINUSE) {
      return Fail(Code::kAlreadyExists, "address_in_use",
                  "cannot listen on " + path +
                      ": it is there already; stop what uses it or choose another path");
    }
    return Fail(SystemError("cannot listen on", path, errno));
  }
  if (::chmod(path.c_str(), mode) != 0 || ::listen(fd.get(), 1024) != 0) {
    return Fail(SystemError("cannot listen on", path, errno));
  }
  return fd;
}

Result<FileDescriptor> Duplicate(const FileDescriptor& fd) {
  FileDescriptor copy(::fcntl(fd.get(), F_DUPFD_CLOEXEC, 0));
  if (!copy) return Fail(SystemError("cannot duplicate", "a socket", errno));
  return copy;
}

}  // namespace aegis::net
