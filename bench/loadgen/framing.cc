#include "framing.h"

#include <charconv>

namespace aegis::bench {
namespace {

bool EqualsIgnoringCase(std::string_view text, std::string_view lower) {
  if (text.size() != lower.size()) return false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if ((c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c) != lower[i]) return false;
  }
  return true;
}

std::string_view Trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

bool ParseSize(std::string_view text, int base, size_t* value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *value, base);
  return error == std::errc() && end == text.data() + text.size();
}

// Walks the chunks that begin at `at`; trailers are allowed and ignored.
void MeasureChunks(std::string_view bytes, size_t at, Frame* frame) {
  while (true) {
    const size_t line_end = bytes.find("\r\n", at);
    if (line_end == std::string_view::npos) return;
    std::string_view line = bytes.substr(at, line_end - at);
    line = Trim(line.substr(0, line.find(';')));
    size_t size = 0;
    if (!ParseSize(line, 16, &size)) {
      frame->state = Frame::State::kBad;
      return;
    }
    at = line_end + 2;
    if (size == 0) {
      while (true) {
        const size_t end = bytes.find("\r\n", at);
        if (end == std::string_view::npos) return;
        const bool last = end == at;
        at = end + 2;
        if (last) break;
      }
      frame->total_bytes = at;
      frame->state = Frame::State::kComplete;
      return;
    }
    at += size + 2;
    if (at > bytes.size()) return;
  }
}

}  // namespace

Frame MeasureMessage(std::string_view bytes) {
  Frame frame;
  const size_t end = bytes.find("\r\n\r\n");
  if (end == std::string_view::npos) return frame;
  frame.header_bytes = end + 4;
  size_t length = 0;
  bool chunked = false;
  size_t at = bytes.find("\r\n") + 2;
  while (at < end + 2) {
    const size_t line_end = bytes.find("\r\n", at);
    const std::string_view line = bytes.substr(at, line_end - at);
    at = line_end + 2;
    const size_t colon = line.find(':');
    if (colon == std::string_view::npos) continue;
    const std::string_view name = line.substr(0, colon);
    const std::string_view value = Trim(line.substr(colon + 1));
    if (EqualsIgnoringCase(name, "content-length")) {
      if (!ParseSize(value, 10, &length)) {
        frame.state = Frame::State::kBad;
        return frame;
      }
    } else if (EqualsIgnoringCase(name, "transfer-encoding")) {
      chunked = EqualsIgnoringCase(value, "chunked");
    } else if (EqualsIgnoringCase(name, "connection")) {
      frame.close = EqualsIgnoringCase(value, "close");
    }
  }
  if (chunked) {
    MeasureChunks(bytes, frame.header_bytes, &frame);
  } else if (bytes.size() >= frame.header_bytes + length) {
    frame.total_bytes = frame.header_bytes + length;
    frame.state = Frame::State::kComplete;
  }
  return frame;
}

}  // namespace aegis::bench
