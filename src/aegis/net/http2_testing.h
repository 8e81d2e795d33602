// For tests: the client's side of an HTTP/2 connection that says exactly what it is told to,
// however wrong, and reads what the server answers. From bytes to bytes; no socket.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "aegis/net/http2_head.h"

struct nghttp2_hd_inflater;

namespace aegis::net {

class Http2TestClient {
 public:
  enum Type : uint8_t {
    kData = 0,
    kHeaders = 1,
    kPriority = 2,
    kReset = 3,
    kSettings = 4,
    kPushPromise = 5,
    kPing = 6,
    kGoAway = 7,
    kWindowUpdate = 8,
    kContinuation = 9,
  };
  static constexpr uint8_t kEndStream = 1;
  static constexpr uint8_t kAck = 1;
  static constexpr uint8_t kEndHeaders = 4;

  struct Answer {
    std::vector<std::pair<std::string, std::string>> head;
    std::vector<std::pair<std::string, std::string>> trailers;
    std::string data;
    bool ended = false;
    std::optional<uint32_t> reset;
    uint64_t credit = 0;  // sum of WINDOW_UPDATE

    std::string Head(std::string_view name) const { return Find(head, name); }
    std::string Trailer(std::string_view name) const { return Find(trailers, name); }
    bool over() const { return ended || reset.has_value(); }

   private:
    static std::string Find(const std::vector<std::pair<std::string, std::string>>& fields,
                            std::string_view name);
  };

  Http2TestClient();
  ~Http2TestClient();

  // --- What is said: appended to `out` ---
  std::string out;
  void Preface(std::string_view settings_payload = {});
  void Frame(Type type, uint8_t flags, uint32_t stream, std::string_view payload);
  void Headers(uint32_t stream, const std::vector<Http2Field>& fields, bool end);
  void Data(uint32_t stream, std::string_view bytes, bool end);
  void Reset(uint32_t stream, uint32_t code) { Frame(kReset, 0, stream, Number(code)); }
  void Credit(uint32_t stream, uint32_t bytes) { Frame(kWindowUpdate, 0, stream, Number(bytes)); }
  // An entry of a SETTINGS payload.
  static std::string Setting(uint16_t id, uint32_t value);
  static std::string Number(uint32_t value);  // four bytes
  // The block of a HEADERS frame: literal fields, nothing indexed.
  static std::string Block(const std::vector<Http2Field>& fields);

  // --- What was heard ---
  void Feed(std::string_view bytes);
  std::map<uint32_t, Answer> answers;
  std::vector<uint32_t> go_away_codes;
  std::vector<uint32_t> go_away_streams;  // the last one that the server will answer
  int settings = 0;
  int settings_acked = 0;
  int pings = 0;
  int pings_acked = 0;
  uint64_t credit = 0;  // of the connection

 private:
  void Take(uint8_t type, uint8_t flags, uint32_t stream, std::string_view payload);

  std::string in_;
  nghttp2_hd_inflater* inflater_ = nullptr;
};

}  // namespace aegis::net
