// Who is at the other end of a connection.
#pragma once

#include <memory>
#include <string>

namespace aegis::net {

struct Peer {
  std::string address;    // "127.0.0.1:5123", "unix"
  std::string principal;  // of a verified client certificate: its first URI name (a SPIFFE id), or
                          // else its subject as RFC 2253 writes it; empty: none was shown
  std::shared_ptr<const void> held;  // let go when the connection ends; may be null
};

}  // namespace aegis::net
