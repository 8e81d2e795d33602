#include "aegis/gateway/egress/client_hello.h"

#include <optional>
#include <unordered_set>

#include "aegis/base/host_name.h"

namespace aegis::gateway {
namespace {

using State = ClientHello::State;

constexpr uint8_t kHandshakeRecord = 22;
constexpr uint8_t kClientHello = 1;
constexpr size_t kMaxRecordBytes = 1 << 14;
constexpr size_t kRecordHead = 5;
constexpr size_t kMessageHead = 4;
constexpr uint16_t kServerName = 0;
constexpr uint16_t kEncryptedClientHello = 0xfe0d;
constexpr uint16_t kPreSharedKey = 41;  // must be the last
constexpr size_t kMaxExtensions = 128;

// A cursor over bytes; every read fails once one has failed.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : bytes_(bytes) {}
  uint32_t Number(size_t size) {
    const std::string_view raw = Bytes(size);
    uint32_t number = 0;
    for (const char c : raw) number = number << 8 | static_cast<uint8_t>(c);
    return number;
  }
  std::string_view Bytes(size_t size) {
    if (!good_ || bytes_.size() < size) {
      good_ = false;
      return {};
    }
    const std::string_view out = bytes_.substr(0, size);
    bytes_.remove_prefix(size);
    return out;
  }
  // A vector with its length before it, in `size` bytes.
  std::string_view Vector(size_t size) { return Bytes(Number(size)); }
  bool good() const { return good_; }
  bool at_end() const { return good_ && bytes_.empty(); }

 private:
  std::string_view bytes_;
  bool good_ = true;
};

// server_name: a list of one name, of type host_name.
bool ReadServerName(std::string_view body, ClientHello* hello) {
  Reader reader(body);
  Reader list(reader.Vector(2));
  if (!reader.at_end()) return false;
  if (list.Number(1) != 0) return false;
  const std::string_view name = list.Vector(2);
  if (!list.at_end() || name.empty()) return false;
  hello->has_sni = true;
  // RFC 6066: without a trailing dot; one with it is another name to some servers.
  hello->sni = name.ends_with('.') ? std::string() : CanonicalHostName(name);
  return true;
}

bool ReadExtensions(std::string_view bytes, ClientHello* hello) {
  std::unordered_set<uint32_t> seen;
  Reader reader(bytes);
  while (!reader.at_end()) {
    const uint32_t type = reader.Number(2);
    const std::string_view body = reader.Vector(2);
    if (!reader.good() || seen.size() == kMaxExtensions || !seen.insert(type).second) return false;
    if (type == kServerName && !ReadServerName(body, hello)) return false;
    if (type == kEncryptedClientHello) hello->has_ech = true;
    if (type == kPreSharedKey && !reader.at_end()) return false;
  }
  return true;
}

bool ReadMessage(std::string_view message, ClientHello* hello) {
  Reader reader(message);
  const uint32_t version = reader.Number(2);
  reader.Bytes(32);  // random
  const std::string_view session = reader.Vector(1);
  const std::string_view suites = reader.Vector(2);
  const std::string_view compression = reader.Vector(1);
  if (!reader.good() || version < 0x0300 || version > 0x0303 || session.size() > 32 ||
      suites.empty() || suites.size() % 2 != 0 || compression.empty()) {
    return false;
  }
  if (reader.at_end()) return true;  // TLS 1.2 without extensions
  const std::string_view extensions = reader.Vector(2);
  return reader.at_end() && ReadExtensions(extensions, hello);
}

// The content of the records, as far as it has come; nothing: something else than a handshake.
struct Records {
  std::string content;
  bool whole = false;  // the message is there, and so is the record that it ends in
  bool plain = false;
};

Records Gather(std::string_view bytes) {
  Records out;
  while (!bytes.empty()) {
    const auto at = [&](size_t i) { return static_cast<uint8_t>(bytes[i]); };
    if (at(0) != kHandshakeRecord || (bytes.size() > 1 && at(1) != 3) ||
        (bytes.size() > 2 && at(2) > 3)) {
      out.plain = true;
      return out;
    }
    if (bytes.size() < kRecordHead) return out;
    const size_t size = static_cast<size_t>(at(3)) << 8 | at(4);
    if (size == 0 || size > kMaxRecordBytes) {
      out.plain = true;
      return out;
    }
    bytes.remove_prefix(kRecordHead);
    if (bytes.size() < size) return out;
    out.content.append(bytes.substr(0, size));
    bytes.remove_prefix(size);
    if (out.content.size() < kMessageHead) continue;
    Reader head(out.content);
    head.Number(1);
    // What comes in further records is not ours to read.
    out.whole = out.content.size() >= kMessageHead + head.Number(3);
    if (out.whole) return out;
  }
  return out;
}

}  // namespace

ClientHello ReadClientHello(std::string_view bytes) {
  ClientHello hello;
  const bool all = bytes.size() >= kMaxClientHelloBytes;
  const Records records = Gather(bytes);
  Reader reader(records.content);
  if (records.plain || (!records.content.empty() && reader.Number(1) != kClientHello)) {
    hello.state = State::kPlain;
    return hello;
  }
  const State unfinished = all ? State::kPlain : State::kNeedMore;
  hello.state = unfinished;
  if (records.content.size() < kMessageHead) return hello;
  const uint32_t size = reader.Number(3);
  if (size > kMaxClientHelloBytes) {
    hello.state = State::kPlain;
    return hello;
  }
  if (!records.whole) return hello;
  // A ClientHello ends its record: nothing may follow before the server has answered (RFC 8446
  // §5.1).
  const bool good = records.content.size() == kMessageHead + size &&
                    ReadMessage(std::string_view(records.content).substr(kMessageHead), &hello);
  hello.state = good ? State::kTls : State::kPlain;
  return hello;
}

}  // namespace aegis::gateway
