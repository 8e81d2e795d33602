// Request heads and chunked bodies: no input may crash the parser, read out of bounds, or give
// another result when it arrives byte by byte than when it arrives at once.
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>

#include "aegis/net/chunked.h"
#include "aegis/net/http1_grammar.h"
#include "aegis/net/http1_parser.h"

namespace {

using aegis::net::BodyKind;
using aegis::net::ChunkDecoder;
using aegis::net::ParseStatus;
using aegis::net::RequestParser;

// All that an outcome consists of, as text.
struct Outcome {
  std::string text;
  size_t head_bytes = 0;
  bool chunked = false;
};

Outcome Describe(const RequestParser& parser, ParseStatus status) {
  Outcome out;
  if (status == ParseStatus::kNeedMore) {
    out.text = "more";
  } else if (status == ParseStatus::kError) {
    out.text = std::to_string(parser.error().status) + std::string(parser.error().reason);
  } else {
    const auto& head = parser.head();
    out.head_bytes = head.bytes;
    out.chunked = head.body == BodyKind::kChunked;
    out.text = std::to_string(head.bytes) + std::string(head.method) + std::string(head.target) +
               std::string(head.path) + "?" + std::string(head.query) + std::string(head.host) +
               std::to_string(head.content_length) + (head.keep_alive ? "k" : "c");
    for (const auto& field : head.fields) {
      out.text.append(field.name).append(":").append(field.value);
      out.text += field.nominated ? "!" : ";";
      // What is accepted can be sent on without changing its meaning.
      if (!aegis::net::IsToken(field.name) || !aegis::net::IsFieldValue(field.value)) std::abort();
    }
    if (head.path.find_first_of(" \r\n#?") != std::string_view::npos) std::abort();
    aegis::net::CheckGovernedPath(head.path);
  }
  return out;
}

std::string Body(const char* data, size_t size, size_t step, ChunkDecoder::Trailers trailers) {
  ChunkDecoder decoder(trailers);
  std::string text;
  size_t used = 0;
  while (used < size) {
    const size_t offered = std::min(step, size - used);
    // A copy of its own size lets the sanitizer see any byte read beyond it.
    const auto part = std::make_unique<char[]>(offered);
    std::copy(data + used, data + used + offered, part.get());
    size_t consumed = 0;
    std::string_view piece;
    const ParseStatus status = decoder.Decode(part.get(), offered, &consumed, &piece);
    if (status == ParseStatus::kError) return "error" + std::string(decoder.error().reason);
    text.append(piece);
    used += consumed;
    if (status == ParseStatus::kDone) return text + "|" + std::to_string(used);
    if (consumed == 0) std::abort();  // no progress
  }
  return text + "...";
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string bytes(reinterpret_cast<const char*>(data), size);

  const auto whole_buffer = std::make_unique<char[]>(size);
  std::copy(bytes.begin(), bytes.end(), whole_buffer.get());
  RequestParser whole;
  const Outcome at_once = Describe(whole, whole.Parse(whole_buffer.get(), size));

  RequestParser slow;
  Outcome by_byte;
  by_byte.text = "more";
  // Beyond some size the quadratic copying costs more than it finds.
  if (size <= 4096) {
    for (size_t i = 1; i <= size && by_byte.text == "more"; ++i) {
      const auto prefix = std::make_unique<char[]>(i);
      std::copy(bytes.data(), bytes.data() + i, prefix.get());
      by_byte = Describe(slow, slow.Parse(prefix.get(), i));
    }
    if (by_byte.text != at_once.text) std::abort();
  }

  const size_t start = at_once.chunked ? at_once.head_bytes : 0;
  for (const auto trailers : {ChunkDecoder::Trailers::kRefuse, ChunkDecoder::Trailers::kDrop}) {
    const std::string body = Body(bytes.data() + start, size - start, size + 1, trailers);
    if (body != Body(bytes.data() + start, size - start, 1, trailers)) {
      if (!body.starts_with("error")) std::abort();
    }
  }
  return 0;
}
