// Takes the framing off a message body, of either direction: by length, chunked, until close.
//
// Threading: one thread at a time. Pieces are views into the input; nothing is copied.
#pragma once

#include <cstdint>
#include <string_view>

#include "aegis/net/chunked.h"
#include "aegis/net/http1_parser.h"

namespace aegis::gateway {

class BodyReader {
 public:
  void Start(net::BodyKind kind, uint64_t length, net::ChunkDecoder::Trailers trailers) {
    kind_ = kind;
    left_ = length;
    decoder_ = net::ChunkDecoder(trailers);
    done_ = kind == net::BodyKind::kNone || (kind == net::BodyKind::kLength && length == 0);
  }

  bool done() const { return done_; }
  net::BodyKind kind() const { return kind_; }
  // Bytes that are still to come; only for kLength.
  uint64_t left() const { return left_; }

  // Consumes from the input and gives the next piece of the body (empty: none in this input). Call
  // again while the input lasts and done() is false. False: the framing is broken, see error().
  bool Next(std::string_view input, size_t* consumed, std::string_view* piece) {
    *piece = {};
    *consumed = 0;
    if (done_) return true;
    if (kind_ == net::BodyKind::kChunked) {
      const net::ParseStatus status = decoder_.Decode(input.data(), input.size(), consumed, piece);
      if (status == net::ParseStatus::kError) return false;
      done_ = status == net::ParseStatus::kDone;
      return true;
    }
    size_t take = input.size();
    if (kind_ == net::BodyKind::kLength) {
      if (take > left_) take = static_cast<size_t>(left_);
      left_ -= take;
      done_ = left_ == 0;
    }
    *piece = input.substr(0, take);
    *consumed = take;
    return true;
  }

  // The peer closed. True when that ends the body properly.
  bool OnClose() {
    if (kind_ == net::BodyKind::kUntilClose) done_ = true;
    return done_;
  }

  const net::Http1Error& error() const { return decoder_.error(); }

 private:
  net::BodyKind kind_ = net::BodyKind::kNone;
  bool done_ = true;
  uint64_t left_ = 0;
  net::ChunkDecoder decoder_;
};

}  // namespace aegis::gateway
