#include "aegis/net/http2_testing.h"

#include <nghttp2/nghttp2.h>

#include "aegis/base/result.h"

namespace aegis::net {
namespace {

constexpr size_t kFrameHead = 9;

uint32_t ReadNumber(std::string_view bytes) {
  uint32_t value = 0;
  for (const char c : bytes) value = value << 8 | static_cast<unsigned char>(c);
  return value;
}

void AppendText(std::string& out, std::string_view text) {
  // HPACK's integer with a prefix of seven bits, the Huffman bit not set.
  size_t size = text.size();
  if (size < 127) {
    out.push_back(static_cast<char>(size));
  } else {
    out.push_back(127);
    for (size -= 127; size >= 128; size /= 128) out.push_back(static_cast<char>(size % 128 + 128));
    out.push_back(static_cast<char>(size));
  }
  out.append(text);
}

}  // namespace

std::string Http2TestClient::Answer::Find(
    const std::vector<std::pair<std::string, std::string>>& fields, std::string_view name) {
  for (const auto& [known, value] : fields) {
    if (known == name) return value;
  }
  return "(none)";
}

Http2TestClient::Http2TestClient() { AEGIS_CHECK(nghttp2_hd_inflate_new(&inflater_) == 0); }

Http2TestClient::~Http2TestClient() { nghttp2_hd_inflate_del(inflater_); }

void Http2TestClient::Preface(std::string_view settings_payload) {
  out += "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
  Frame(kSettings, 0, 0, settings_payload);
}

void Http2TestClient::Frame(Type type, uint8_t flags, uint32_t stream, std::string_view payload) {
  out += Number(static_cast<uint32_t>(payload.size())).substr(1);
  out.push_back(static_cast<char>(type));
  out.push_back(static_cast<char>(flags));
  out += Number(stream);
  out += payload;
}

void Http2TestClient::Headers(uint32_t stream, const std::vector<Http2Field>& fields, bool end) {
  Frame(kHeaders, static_cast<uint8_t>(kEndHeaders | (end ? kEndStream : 0)), stream,
        Block(fields));
}

void Http2TestClient::Data(uint32_t stream, std::string_view bytes, bool end) {
  Frame(kData, end ? kEndStream : 0, stream, bytes);
}

std::string Http2TestClient::Setting(uint16_t id, uint32_t value) {
  return Number(id).substr(2) + Number(value);
}

std::string Http2TestClient::Number(uint32_t value) {
  return {static_cast<char>(value >> 24), static_cast<char>(value >> 16),
          static_cast<char>(value >> 8), static_cast<char>(value)};
}

std::string Http2TestClient::Block(const std::vector<Http2Field>& fields) {
  std::string block;
  for (const Http2Field& field : fields) {
    block.push_back(0);
    AppendText(block, field.name);
    AppendText(block, field.value);
  }
  return block;
}

void Http2TestClient::Feed(std::string_view bytes) {
  in_ += bytes;
  size_t at = 0;
  while (in_.size() - at >= kFrameHead) {
    const std::string_view head(in_.data() + at, kFrameHead);
    const size_t size = ReadNumber(head.substr(0, 3));
    if (in_.size() - at < kFrameHead + size) break;
    Take(static_cast<uint8_t>(head[3]), static_cast<uint8_t>(head[4]), ReadNumber(head.substr(5)),
         std::string_view(in_).substr(at + kFrameHead, size));
    at += kFrameHead + size;
  }
  in_.erase(0, at);
}

void Http2TestClient::Take(uint8_t type, uint8_t flags, uint32_t stream, std::string_view payload) {
  switch (type) {
    case kData:
      answers[stream].data += payload;
      break;
    case kHeaders: {
      AEGIS_CHECK((flags & kEndHeaders) != 0);
      Answer& answer = answers[stream];
      auto& fields = answer.head.empty() ? answer.head : answer.trailers;
      const auto* in = reinterpret_cast<const uint8_t*>(payload.data());
      size_t left = payload.size();
      int flag = 0;
      while ((flag & NGHTTP2_HD_INFLATE_FINAL) == 0) {
        nghttp2_nv nv{};
        const ssize_t used = nghttp2_hd_inflate_hd2(inflater_, &nv, &flag, in, left, 1);
        AEGIS_CHECK(used >= 0);
        in += used;
        left -= static_cast<size_t>(used);
        if ((flag & NGHTTP2_HD_INFLATE_EMIT) != 0) {
          fields.emplace_back(std::string(reinterpret_cast<char*>(nv.name), nv.namelen),
                              std::string(reinterpret_cast<char*>(nv.value), nv.valuelen));
        }
      }
      nghttp2_hd_inflate_end_headers(inflater_);
      break;
    }
    case kReset:
      answers[stream].reset = ReadNumber(payload);
      break;
    case kSettings:
      ++((flags & kAck) != 0 ? settings_acked : settings);
      break;
    case kPing:
      ++((flags & kAck) != 0 ? pings_acked : pings);
      break;
    case kGoAway:
      go_away_streams.push_back(ReadNumber(payload.substr(0, 4)));
      go_away_codes.push_back(ReadNumber(payload.substr(4, 4)));
      break;
    case kWindowUpdate:
      (stream == 0 ? credit : answers[stream].credit) += ReadNumber(payload);
      break;
    default:
      break;
  }
  if ((type == kData || type == kHeaders) && (flags & kEndStream) != 0) {
    answers[stream].ended = true;
  }
}

}  // namespace aegis::net
