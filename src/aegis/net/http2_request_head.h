// The head of an HTTP/2 request as the request head that everything in Aegis judges (RFC 9113
// section 8.3), by the rules of HTTP/1.1 text and some of its own: what is forwarded by HTTP/1.1
// must be what was judged.
//
// Threading: one thread at a time.
#pragma once

#include <string>
#include <vector>

#include "aegis/net/http1_parser.h"
#include "aegis/net/http2_head.h"

namespace aegis::net {

class Http2RequestHead {
 public:
  // `source` must stay while head() is used. `ended`: no body follows. libnghttp2 has checked that
  // pseudo-header fields are complete and come first, that names are lower case, and that no field
  // belongs to a connection. False: refused, error() says why.
  //
  // Cookies in several fields become one (section 8.2.3). A body of a length that is not stated
  // counts as chunked.
  bool Read(const Http2Head& source, bool ended, const Http1Limits& limits);
  const RequestHead& head() const { return head_; }
  const Http1Error& error() const { return error_; }
  // Keeps memory for a head of usual size.
  void Clear();

 private:
  void JoinCookies();

  RequestHead head_;
  Http1Error error_;
  std::vector<HeaderField> fields_;
  std::string cookie_;
};

}  // namespace aegis::net
