// Tries many ways out at once: each is a socket that waits for an answer, and all wait together.
#pragma once

#include <poll.h>

#include <chrono>
#include <string>
#include <vector>

#include "aegis/base/file.h"
#include "aegis/net/tcp.h"

namespace aegis::cli {

struct Probe {
  enum class Kind : uint8_t { kTcp, kDns, kPing };
  enum class Answer : uint8_t {
    kNone,     // nothing came, or the kernel does not even send
    kRefused,  // TCP: a reset came back
    kReached,
  };
  std::string check;  // whose probe it is
  Kind kind = Kind::kTcp;
  net::SocketAddress address;
  std::string detail = {};  // what is said of it when it is reached

  Answer answer = Answer::kNone;
  FileDescriptor fd = {};
};

// Sets the answer of each. Returns when all have one, or after `timeout`.
void RunProbes(std::vector<Probe>& probes, std::chrono::milliseconds timeout);

}  // namespace aegis::cli
