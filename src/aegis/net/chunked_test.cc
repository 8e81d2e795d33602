#include "aegis/net/chunked.h"

#include <gtest/gtest.h>

#include <string>

namespace aegis::net {
namespace {

// "data|rest" when the body ended, "data..." when it goes on, or the reason of the refusal. Decoded
// whole and byte by byte, which must not differ.
std::string Decode(const std::string& bytes, size_t step, ChunkDecoder::Trailers trailers) {
  ChunkDecoder decoder(trailers);
  std::string data;
  size_t used = 0;
  while (used < bytes.size()) {
    const size_t size = std::min(step, bytes.size() - used);
    size_t consumed = 0;
    std::string_view piece;
    const ParseStatus status = decoder.Decode(bytes.data() + used, size, &consumed, &piece);
    if (status == ParseStatus::kError) return std::string(decoder.error().reason);
    data.append(piece);
    used += consumed;
    if (status == ParseStatus::kDone) return data + "|" + bytes.substr(used);
  }
  return data + "...";
}

TEST(ChunkDecoderTest, Table) {
  const struct {
    std::string bytes;
    const char* strict;   // trailers refused
    const char* lenient;  // trailers dropped
  } rows[] = {
      {"0\r\n\r\n", "|", "|"},
      {"3\r\nabc\r\n0\r\n\r\nnext", "abc|next", "abc|next"},
      {"a\r\n0123456789\r\nA\r\n0123456789\r\n0\r\n\r\n", "01234567890123456789|",
       "01234567890123456789|"},
      {"3\r\nab", "ab...", "ab..."},
      {"3\r\nabc\r\n", "abc...", "abc..."},
      {"00003\r\nabc\r\n000\r\n\r\n", "abc|", "abc|"},
      {"\r\n", "bad_chunk", "bad_chunk"},
      {"3;x=y\r\nabc\r\n", "bad_chunk", "bad_chunk"},
      {"3 \r\nabc\r\n", "bad_chunk", "bad_chunk"},
      {" 3\r\nabc\r\n", "bad_chunk", "bad_chunk"},
      {"+3\r\nabc\r\n", "bad_chunk", "bad_chunk"},
      {"-1\r\nabc\r\n", "bad_chunk", "bad_chunk"},
      {"0x3\r\nabc\r\n", "bad_chunk", "bad_chunk"},
      {"3\nabc\r\n", "bad_chunk", "bad_chunk"},
      {"3\r\nabc\n", "bad_chunk", "bad_chunk"},
      {"3\r\nabcd\r\n", "bad_chunk", "bad_chunk"},
      {"3\r\nabc\r\n0\r\n\n", "trailers", "bad_trailer"},
      {"3\rabc", "bad_chunk", "bad_chunk"},
      {"g\r\n", "bad_chunk", "bad_chunk"},
      {"ffffffffffffffff\r\n", "bad_chunk", "bad_chunk"},
      {"10000000000000000\r\n", "bad_chunk", "bad_chunk"},
      {"00000000000000001\r\n", "bad_chunk", "bad_chunk"},
      {"0\r\nX: y\r\n\r\nz", "trailers", "|z"},
      {"0\r\nX: y\r\nA: b\r\n\r\n", "trailers", "|"},
      {"0\r\nX y\r\n\r\n", "trailers", "bad_trailer"},
      {"0\r\n X: y\r\n\r\n", "trailers", "bad_trailer"},
      {"0\r\nX: y\n\r\n", "trailers", "bad_trailer"},
      {"0\r\nX: " + std::string(9000, 'y') + "\r\n\r\n", "trailers", "bad_trailer"},
  };
  for (const auto& row : rows) {
    for (size_t step : {size_t{1}, size_t{2}, size_t{7}, row.bytes.size()}) {
      EXPECT_EQ(Decode(row.bytes, step, ChunkDecoder::Trailers::kRefuse), row.strict) << row.bytes;
      EXPECT_EQ(Decode(row.bytes, step, ChunkDecoder::Trailers::kDrop), row.lenient) << row.bytes;
    }
  }
}

}  // namespace
}  // namespace aegis::net
