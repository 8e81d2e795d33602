#include "aegis/net/chunked.h"

#include <algorithm>

#include "aegis/net/http1_grammar.h"

namespace aegis::net {
namespace {

constexpr size_t kMaxTrailerBytes = 8 * 1024;

}  // namespace

ParseStatus ChunkDecoder::Refuse(std::string_view reason, std::string_view detail) {
  error_ = {400, reason, detail};
  return ParseStatus::kError;
}

ParseStatus ChunkDecoder::Decode(const char* data, size_t size, size_t* consumed,
                                 std::string_view* piece) {
  *piece = {};
  size_t i = 0;
  while (i < size) {
    const char c = data[i];
    switch (state_) {
      case State::kSizeStart:
      case State::kSize: {
        if (HasClass(c, internal::kHexDigit)) {
          if (++digits_ > 16 || left_ >> 59 != 0) {
            return Refuse("bad_chunk", "a chunk size is out of range");
          }
          const int digit = c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10;
          left_ = left_ * 16 + static_cast<uint64_t>(digit);
          state_ = State::kSize;
        } else if (state_ == State::kSize && c == '\r') {
          state_ = State::kSizeLf;
        } else if (c == ';') {
          return Refuse("bad_chunk", "chunk extensions are not accepted");
        } else {
          return Refuse("bad_chunk", "a chunk size is not a hexadecimal number followed by CRLF");
        }
        ++i;
        break;
      }
      case State::kSizeLf:
        if (c != '\n') return Refuse("bad_chunk", "a chunk size is not followed by CRLF");
        ++i;
        state_ = left_ == 0 ? State::kTrailerStart : State::kData;
        break;
      case State::kData: {
        const size_t take = static_cast<size_t>(std::min<uint64_t>(left_, size - i));
        *piece = {data + i, take};
        left_ -= take;
        i += take;
        if (left_ == 0) state_ = State::kDataCr;
        *consumed = i;
        return ParseStatus::kNeedMore;
      }
      case State::kDataCr:
        if (c != '\r') return Refuse("bad_chunk", "a chunk is longer than its size");
        ++i;
        state_ = State::kDataLf;
        break;
      case State::kDataLf:
        if (c != '\n') return Refuse("bad_chunk", "a chunk is longer than its size");
        ++i;
        digits_ = 0;
        state_ = State::kSizeStart;
        break;
      case State::kTrailerStart:
        if (c == '\r') {
          ++i;
          state_ = State::kLastLf;
          break;
        }
        if (trailers_ == Trailers::kRefuse) {
          return Refuse("trailers", "trailer fields are not accepted");
        }
        if (!HasClass(c, internal::kTokenChar)) {
          return Refuse("bad_trailer", "a trailer field is malformed");
        }
        trailer_has_colon_ = false;
        state_ = State::kTrailer;
        break;
      case State::kTrailer:
        if (++trailer_bytes_ > kMaxTrailerBytes) {
          return Refuse("bad_trailer", "the trailer fields are too large");
        }
        if (c == '\r') {
          if (!trailer_has_colon_) return Refuse("bad_trailer", "a trailer field is malformed");
          state_ = State::kTrailerLf;
        } else if (c == ':') {
          trailer_has_colon_ = true;
        } else if (!HasClass(c, trailer_has_colon_ ? internal::kFieldChar : internal::kTokenChar)) {
          return Refuse("bad_trailer", "a trailer field is malformed");
        }
        ++i;
        break;
      case State::kTrailerLf:
        if (c != '\n') return Refuse("bad_trailer", "a trailer field is malformed");
        ++i;
        state_ = State::kTrailerStart;
        break;
      case State::kLastLf:
        if (c != '\n') return Refuse("bad_chunk", "the last chunk is not followed by CRLF");
        ++i;
        state_ = State::kDone;
        *consumed = i;
        return ParseStatus::kDone;
      case State::kDone:
        *consumed = i;
        return ParseStatus::kDone;
    }
  }
  *consumed = i;
  return state_ == State::kDone ? ParseStatus::kDone : ParseStatus::kNeedMore;
}

}  // namespace aegis::net
