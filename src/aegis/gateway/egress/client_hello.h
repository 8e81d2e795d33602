// Looks at the first bytes of a connection: which host does its TLS ClientHello name?
//
// Read strictly, as nothing of it may be read in another way by the server: a record layer of
// handshake records only, one ClientHello, each extension once, one name. What is malformed counts
// as not being TLS at all.
//
// Sources: RFC 8446 §4.1.2, §5.1 (TLS 1.3), RFC 5246 §7.4.1.2 (TLS 1.2), RFC 6066 §3 (server_name),
// RFC 9849 §5 (encrypted_client_hello).
//
// Threading: pure function. No allocation but the gathered handshake message when it spans records.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace aegis::gateway {

struct ClientHello {
  enum class State : uint8_t {
    kNeedMore,
    kPlain,  // not TLS, or not well formed
    kTls,
  };
  State state = State::kNeedMore;
  bool has_sni = false;
  std::string sni;  // lower case; empty with has_sni: a name that no host can have
  bool has_ech = false;
};

inline constexpr size_t kMaxClientHelloBytes = 16 * 1024;  // with the heads of its records

// `bytes`: all that has come so far. kNeedMore is not given once kMaxClientHelloBytes are there.
ClientHello ReadClientHello(std::string_view bytes);

}  // namespace aegis::gateway
