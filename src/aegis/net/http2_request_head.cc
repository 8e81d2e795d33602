#include "aegis/net/http2_request_head.h"

#include <algorithm>

namespace aegis::net {
namespace {

constexpr size_t kKeptFields = 64;
constexpr size_t kKeptCookie = 4 * 1024;

}  // namespace

void Http2RequestHead::Clear() {
  head_ = RequestHead();
  fields_.clear();
  cookie_.clear();
  if (fields_.capacity() > kKeptFields) std::vector<HeaderField>().swap(fields_);
  if (cookie_.capacity() > kKeptCookie) std::string().swap(cookie_);
}

bool Http2RequestHead::Read(const Http2Head& source, bool ended, const Http1Limits& limits) {
  Clear();
  if (source.method() == "CONNECT") {
    error_ = {405, "method_not_allowed", "CONNECT is not served here"};
    return false;
  }
  // Of the way here, which may have ended TLS before; it is neither judged nor passed on.
  if (source.scheme() != "https" && source.scheme() != "http") {
    error_ = {400, "bad_scheme", ":scheme is neither https nor http"};
    return false;
  }
  for (size_t i = 0; i < source.size(); ++i) {
    const Http2Field field = source[i];
    HeaderField& made = fields_.emplace_back();
    made.name = field.name;
    made.value = field.value;
  }
  JoinCookies();
  std::string_view host = source.authority();
  if (host.empty()) host = source.Find("host");
  if (!MakeRequestHead(source.method(), source.path(), host, fields_, limits, &head_, &error_)) {
    return false;
  }
  if (head_.body == BodyKind::kChunked) {
    error_ = {400, "bad_field_name", "transfer-encoding does not belong to HTTP/2"};
    return false;
  }
  if (ended && head_.content_length > 0) {
    error_ = {400, "bad_content_length", "Content-Length is not the length of what came"};
    return false;
  }
  if (!ended && head_.body == BodyKind::kNone) head_.body = BodyKind::kChunked;
  return true;
}

void Http2RequestHead::JoinCookies() {
  const auto is_cookie = [](const HeaderField& field) { return field.name == "cookie"; };
  const auto first = std::find_if(fields_.begin(), fields_.end(), is_cookie);
  if (first == fields_.end()) return;
  if (std::find_if(first + 1, fields_.end(), is_cookie) == fields_.end()) return;
  for (const HeaderField& field : fields_) {
    if (!is_cookie(field)) continue;
    cookie_.append(cookie_.empty() ? "" : "; ").append(field.value);
  }
  first->value = cookie_;
  fields_.erase(std::remove_if(first + 1, fields_.end(), is_cookie), fields_.end());
}

}  // namespace aegis::net
