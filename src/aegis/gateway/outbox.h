// What is on its way to a socket: a gather list with progress. The bytes belong to the caller and
// must stay until they are sent.
#pragma once

#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <span>
#include <string_view>

#include "aegis/net/tls_server.h"

namespace aegis::gateway {

class Outbox {
 public:
  static constexpr size_t kSlots = 32;
  enum class Result : uint8_t { kSent, kBlocked, kFailed };

  bool empty() const { return first_ == last_; }
  size_t free_slots() const { return kSlots - last_; }
  // Whether any byte was sent since Clear.
  bool sent_any() const { return sent_ > 0; }

  void Clear() {
    first_ = last_ = 0;
    sent_ = 0;
  }
  void Add(std::string_view bytes) {
    if (bytes.empty()) return;
    slots_[last_++] = {const_cast<char*>(bytes.data()), bytes.size()};
  }

  // Sends as much as the socket takes. `more`: further bytes follow at once.
  Result Flush(int fd, bool more = false) {
    while (first_ < last_) {
      msghdr message{};
      message.msg_iov = &slots_[first_];
      message.msg_iovlen = last_ - first_;
      const ssize_t result = ::sendmsg(fd, &message, MSG_NOSIGNAL | (more ? MSG_MORE : 0));
      if (result < 0) {
        if (errno == EINTR) continue;
        return errno == EAGAIN || errno == EWOULDBLOCK ? Result::kBlocked : Result::kFailed;
      }
      Advance(static_cast<size_t>(result));
    }
    return Result::kSent;
  }

  // The same on a connection that may have TLS.
  Result Flush(net::ServerStream& stream) {
    if (!stream.is_tls()) return Flush(stream.fd());
    std::array<char, 16 * 1024> record;
    while (!empty()) {
      // What TLS did not take must be shown to it again, and is: it begins with the same bytes.
      const net::IoStep step = stream.Write(Gather(record));
      // After the handshake no write waits for something to read.
      if (step.bytes < 0) {
        return step.want == net::IoWant::kWrite ? Result::kBlocked : Result::kFailed;
      }
      Advance(static_cast<size_t>(step.bytes));
    }
    return Result::kSent;
  }

  // What goes next, in one piece, for streams that take no gather list: the first slot where it
  // stands when it is large or alone, else as many as fit into `room`.
  std::string_view Gather(std::span<char> room) const {
    const iovec& first = slots_[first_];
    if (last_ - first_ == 1 || first.iov_len >= room.size()) {
      return {static_cast<const char*>(first.iov_base), first.iov_len};
    }
    size_t size = 0;
    for (size_t i = first_; i < last_ && size < room.size(); ++i) {
      const size_t part = std::min(slots_[i].iov_len, room.size() - size);
      std::memcpy(&room[size], slots_[i].iov_base, part);
      size += part;
    }
    return {room.data(), size};
  }
  // That many bytes were sent.
  void Advance(size_t bytes) {
    sent_ += bytes;
    while (first_ < last_ && bytes >= slots_[first_].iov_len) bytes -= slots_[first_++].iov_len;
    if (first_ < last_) {
      slots_[first_].iov_base = static_cast<char*>(slots_[first_].iov_base) + bytes;
      slots_[first_].iov_len -= bytes;
    } else {
      first_ = last_ = 0;
    }
  }

 private:
  std::array<iovec, kSlots> slots_;
  size_t first_ = 0;
  size_t last_ = 0;
  size_t sent_ = 0;
};

}  // namespace aegis::gateway
