// Strict decoder of the chunked transfer coding (RFC 9112 §7.1).
//
// Refuses chunk extensions, sizes with signs, spaces or more than 16 digits, bare LF. Trailers are
// refused in requests; in responses they are checked for size and form, and dropped.
//
// Threading: one thread at a time. No allocation: pieces are views into the input.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "aegis/net/http1_parser.h"

namespace aegis::net {

class ChunkDecoder {
 public:
  enum class Trailers : uint8_t { kRefuse, kDrop };
  explicit ChunkDecoder(Trailers trailers = Trailers::kRefuse) : trailers_(trailers) {}

  void Reset() { *this = ChunkDecoder(trailers_); }

  // Consumes bytes of [data, data + size) and sets `*consumed`. Returns
  //   kNeedMore  all was consumed; `*piece` may hold data (a view into the input)
  //   kDone      the body ended; what is behind `*consumed` belongs to the next message
  //   kError     see error()
  // With a non-empty `*piece` and `*consumed < size` call again for the rest.
  ParseStatus Decode(const char* data, size_t size, size_t* consumed, std::string_view* piece);

  const Http1Error& error() const { return error_; }

 private:
  enum class State : uint8_t {
    kSizeStart,     // first digit of a size
    kSize,          // further digits, or CR
    kSizeLf,        // LF behind the size line
    kData,          // `left_` bytes of data
    kDataCr,        // CR behind the data
    kDataLf,        // LF behind that
    kTrailerStart,  // first byte of a trailer line, or the CR of the last line
    kTrailer,       // within a trailer line
    kTrailerLf,     // LF behind a trailer line
    kLastLf,        // LF of the last line
    kDone,
  };
  ParseStatus Refuse(std::string_view reason, std::string_view detail);

  Trailers trailers_;
  State state_ = State::kSizeStart;
  uint8_t digits_ = 0;
  bool trailer_has_colon_ = false;
  uint64_t left_ = 0;
  size_t trailer_bytes_ = 0;
  Http1Error error_;
};

}  // namespace aegis::net
