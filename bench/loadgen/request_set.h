// The requests that are sent in rotation, with the answer that each must get.
//
// File format, one request after the other:
//   "@" STATUS " " BYTES " " MARKER "\n" then BYTES bytes of a raw HTTP/1.1 request, or of a
//   message for gRPC, then "\n".
// STATUS is the status that the answer must have; MARKER (may be empty, no line feed) must occur in
// its body.
#pragma once

#include <string>
#include <vector>

namespace aegis::bench {

struct Request {
  std::string bytes;
  int status = 200;
  std::string marker;
};

// Prints what is wrong and ends the process when the file cannot be used.
std::vector<Request> ReadRequests(const std::string& path);

}  // namespace aegis::bench
