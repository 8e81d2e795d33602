// What the egress door reads: no input may crash the readers of targets and of first bytes; what
// they accept is in its one form; and it does not matter in which pieces bytes come.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "aegis/base/host_name.h"
#include "aegis/gateway/egress/address_class.h"
#include "aegis/gateway/egress/client_hello.h"
#include "aegis/gateway/egress/target.h"

namespace {

using aegis::gateway::ClientHello;
using aegis::gateway::EgressTarget;

void CheckTarget(std::string_view text, uint16_t default_port) {
  EgressTarget target;
  std::string_view why;
  if (!aegis::gateway::ReadEgressTarget(text, default_port, &target, &why)) {
    if (why.empty()) std::abort();
    return;
  }
  if (target.port == 0) std::abort();
  if (target.is_ip) {
    aegis::gateway::IpBlock block;
    if (!aegis::gateway::ReadIpBlock(target.host, &block)) std::abort();
    aegis::gateway::FindSpecial(block);
  } else if (!aegis::IsCanonicalHostName(target.host)) {
    std::abort();
  }
  // What is written of it means the same.
  EgressTarget again;
  if (!aegis::gateway::ReadEgressTarget(target.HostField(), 80, &again, &why) ||
      again.host != target.host || again.port != target.port) {
    std::abort();
  }
}

void CheckHello(std::string_view bytes) {
  const ClientHello whole = aegis::gateway::ReadClientHello(bytes);
  if (!whole.sni.empty() && !aegis::IsCanonicalHostName(whole.sni)) std::abort();
  if (whole.state == ClientHello::State::kNeedMore &&
      bytes.size() >= aegis::gateway::kMaxClientHelloBytes) {
    std::abort();
  }
  // What was told of a beginning stays so.
  const ClientHello half = aegis::gateway::ReadClientHello(bytes.substr(0, bytes.size() / 2));
  if (half.state != ClientHello::State::kNeedMore &&
      (half.state != whole.state || half.sni != whole.sni || half.has_ech != whole.has_ech)) {
    std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  CheckTarget(bytes, 0);
  CheckTarget(bytes, 80);
  CheckHello(bytes);
  return 0;
}
