#include "request_set.h"

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>

namespace aegis::bench {

std::vector<Request> ReadRequests(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  std::vector<Request> requests;
  size_t at = 0;
  while (at < text.size()) {
    const size_t line_end = text.find('\n', at);
    Request request;
    size_t bytes = 0;
    int marker_at = 0;
    if (line_end == std::string::npos ||
        std::sscanf(text.c_str() + at, "@%d %zu %n", &request.status, &bytes, &marker_at) < 2 ||
        line_end + 1 + bytes + 1 > text.size()) {
      std::fprintf(stderr, "loadgen: %s: no request at byte %zu\n", path.c_str(), at);
      std::exit(2);
    }
    const size_t marker_begin = at + static_cast<size_t>(marker_at);
    if (marker_begin < line_end)
      request.marker = text.substr(marker_begin, line_end - marker_begin);
    request.bytes = text.substr(line_end + 1, bytes);
    requests.push_back(std::move(request));
    at = line_end + 1 + bytes + 1;
  }
  if (requests.empty()) {
    std::fprintf(stderr, "loadgen: %s: no requests\n", path.c_str());
    std::exit(2);
  }
  return requests;
}

}  // namespace aegis::bench
