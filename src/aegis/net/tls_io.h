// What the client's and the server's end of a TLS connection share: non-blocking steps over
// OpenSSL. Internal to the library.
#pragma once

#include <openssl/ssl.h>
#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "aegis/net/tls_stream.h"

namespace aegis::net::tls {

// The oldest error that OpenSSL has kept for this thread, as text; forgets all of them.
std::string LastError();

tl::unexpected<Error> SetupFailed(std::string_view what);

// Puts `ssl` on a socket that stays the caller's; writing never raises SIGPIPE. False: no memory.
bool Attach(SSL* ssl, int fd);

// What `returned` of an SSL_ function means; `error` is set when the connection is broken.
IoStep StepOf(SSL* ssl, int returned, std::string& error);

// recv, recv with MSG_PEEK and send as steps, for connections without TLS.
IoStep ReadSocket(int fd, char* data, size_t size, std::string& error);
IoStep PeekSocket(int fd, char* byte, std::string& error);
IoStep WriteSocket(int fd, std::string_view data, std::string& error);

}  // namespace aegis::net::tls
