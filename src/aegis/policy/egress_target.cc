#include "aegis/policy/egress_target.h"

#include <arpa/inet.h>
#include <idn2.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdlib>
#include <memory>

#include "aegis/base/host_name.h"
#include "aegis/policy/dialect.h"

namespace aegis::policy {
namespace {

constexpr std::string_view kForm =
    "is not a host; write 'api.example.com', 'api.example.com:443', '*.example.com' or "
    "'10.0.0.0/8:443'";

bool ReadPort(std::string_view text, uint16_t* port) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *port);
  return error == std::errc() && end == text.data() + text.size() && *port > 0 &&
         text.front() != '0';
}

// "443", "8000-8100" or "*".
bool ReadPorts(std::string_view text, EgressTarget* target) {
  if (text == "*") {
    target->first_port = 1;
    target->last_port = 65535;
    return true;
  }
  const size_t dash = text.find('-');
  if (!ReadPort(text.substr(0, dash), &target->first_port)) return false;
  target->last_port = target->first_port;
  return dash == std::string_view::npos || (ReadPort(text.substr(dash + 1), &target->last_port) &&
                                            target->first_port <= target->last_port);
}

// The name as DNS has it: letters other than ASCII's become A-labels (IDNA2008, RFC 5891 §5).
std::string ToAscii(std::string_view name) {
  const bool ascii =
      std::all_of(name.begin(), name.end(), [](char c) { return static_cast<uint8_t>(c) < 0x80; });
  if (ascii) return CanonicalHostName(name);
  uint8_t* made = nullptr;
  const std::string text(name);
  const int result = ::idn2_lookup_u8(reinterpret_cast<const uint8_t*>(text.c_str()), &made,
                                      IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL);
  const std::unique_ptr<uint8_t, decltype(&::idn2_free)> owner(made, &::idn2_free);
  if (result != IDN2_OK || text.size() != name.size()) return {};
  return CanonicalHostName(reinterpret_cast<const char*>(made));
}

// With its length, as the compiler writes blocks.
std::string Block(std::string_view text) {
  std::array<uint8_t, 16> bytes{};
  const size_t slash = text.find('/');
  const std::string address(text.substr(0, slash));
  const int family = ::inet_pton(AF_INET, address.c_str(), bytes.data()) == 1 ? AF_INET : AF_INET6;
  if (family == AF_INET6) ::inet_pton(AF_INET6, address.c_str(), bytes.data());
  char canonical[INET6_ADDRSTRLEN] = "";
  ::inet_ntop(family, bytes.data(), canonical, sizeof canonical);
  if (slash != std::string_view::npos) return canonical + std::string(text.substr(slash));
  return std::string(canonical) + (family == AF_INET ? "/32" : "/128");
}

// Where the ports begin, behind their ':'; npos: there are none.
size_t PortsAt(std::string_view text) {
  if (text.starts_with('[')) {
    const size_t close = text.find(']');
    return close != std::string_view::npos && close + 1 < text.size() ? close + 2
                                                                      : std::string_view::npos;
  }
  const size_t colon = text.find(':');
  // More colons than one: an IPv6 address without brackets.
  return colon == std::string_view::npos || colon != text.rfind(':') ? std::string_view::npos
                                                                     : colon + 1;
}

struct Network {
  std::array<uint8_t, 16> bytes{};
  unsigned length = 0;
  int family = 0;
};

Network ParseBlock(const std::string& block) {
  Network network;
  const size_t slash = block.find('/');
  const std::string address = block.substr(0, slash);
  network.family = address.find(':') == std::string::npos ? AF_INET : AF_INET6;
  ::inet_pton(network.family, address.c_str(), network.bytes.data());
  network.length = static_cast<unsigned>(std::atoi(block.c_str() + slash + 1));
  return network;
}

bool BlockCovers(const std::string& outer_text, const std::string& inner_text) {
  const Network outer = ParseBlock(outer_text);
  const Network inner = ParseBlock(inner_text);
  if (outer.family != inner.family || outer.length > inner.length) return false;
  for (unsigned bit = 0; bit < outer.length; ++bit) {
    const unsigned mask = 0x80u >> (bit % 8);
    if ((outer.bytes[bit / 8] & mask) != (inner.bytes[bit / 8] & mask)) return false;
  }
  return true;
}

}  // namespace

std::string EgressTarget::Canonical() const {
  std::string out = kind == Kind::kBelow ? "*." + text : text;
  if (kind == Kind::kNetwork && text.find(':') != std::string::npos) out = "[" + text + "]";
  out += ":" + std::to_string(first_port);
  if (last_port != first_port) out += "-" + std::to_string(last_port);
  return out;
}

bool EgressTarget::Covers(const EgressTarget& other) const {
  if (first_port > other.first_port || last_port < other.last_port) return false;
  switch (kind) {
    case Kind::kHost:
      return other.kind == Kind::kHost && other.text == text;
    case Kind::kBelow:
      return (other.kind == Kind::kBelow && other.text == text) ||
             (other.kind != Kind::kNetwork && other.text.ends_with("." + text));
    case Kind::kNetwork:
      return other.kind == Kind::kNetwork && BlockCovers(text, other.text);
  }
  return false;
}

std::string ReadEgressTarget(std::string_view text, EgressTarget* target) {
  EgressTarget read;
  if (text.find("//") != std::string_view::npos) {
    return "is a URL; write the host alone, with a port if it is not 443";
  }
  const size_t ports = PortsAt(text);
  if (ports != std::string_view::npos) {
    if (text[ports - 1] != ':' || !ReadPorts(text.substr(ports), &read)) {
      return "has no good port; write '443', '8000-8100' or '*' for all, behind one ':'";
    }
    text = text.substr(0, ports - 1);
  }
  const bool brackets = text.size() > 2 && text.front() == '[' && text.back() == ']';
  if (brackets) text = text.substr(1, text.size() - 2);
  if (text.find_first_of(":/") != std::string_view::npos || CheckCidr(text).empty()) {
    if (std::string wrong = CheckCidr(text); !wrong.empty()) return wrong;
    if (brackets && text.find(':') == std::string_view::npos) return std::string(kForm);
    read.kind = EgressTarget::Kind::kNetwork;
    read.text = Block(text);
  } else {
    if (brackets) return std::string(kForm);
    if (text.starts_with("*.")) {
      read.kind = EgressTarget::Kind::kBelow;
      text.remove_prefix(2);
    }
    read.text = ToAscii(text);
    if (read.text.empty()) return std::string(kForm);
  }
  if (target != nullptr) *target = std::move(read);
  return {};
}

}  // namespace aegis::policy
