// The strict HTTP/1.1 head parser (RFC 9112, RFC 9110 §5) of every server and client in Aegis.
//
// There is one parser so that no two parts of Aegis can read the same bytes differently, and it
// refuses whatever another program might read differently: where the RFC lets a recipient repair a
// message, this one answers with an error. docs/adr/0001-own-http1-parser.md tells why it is ours.
//
// Usage: keep the bytes received so far in one buffer; call Parse after each read; on kDone the
// head is the first head().bytes bytes and the rest belongs to the body.
//
// Threading: one thread at a time. Lifetime: the views in a head point into the buffer given to the
// last Parse. No allocation once warm.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace aegis::net {

struct Http1Limits {
  size_t max_head_bytes = 32 * 1024;  // the first line, all fields and the empty line
  size_t max_fields = 100;
  size_t max_target_bytes = 8 * 1024;
};

// Fields that some part of Aegis acts on, recognised while parsing so that nobody compares names
// again. kAegis: any name that begins with "x-aegis", '_' counted as '-'.
enum class FieldId : uint8_t {
  kOther,
  kAcceptEncoding,
  kAegis,
  kAuthorization,
  kConnection,
  kContentEncoding,
  kContentLength,
  kContentType,
  kExpect,
  kHost,
  kKeepAlive,
  kProxyAuthenticate,
  kProxyAuthorization,
  kProxyConnection,
  kTe,
  kTraceparent,
  kTracestate,
  kTrailer,
  kTransferEncoding,
  kUpgrade,
  kUserAgent,
};

struct HeaderField {
  std::string_view name;   // lower case
  std::string_view value;  // without surrounding spaces and tabs
  FieldId id = FieldId::kOther;
  bool nominated = false;  // named by Connection: belongs to this hop only
};

enum class BodyKind : uint8_t { kNone, kLength, kChunked, kUntilClose };

// What was wrong: the status that a server answers with, a stable reason and a text for a person;
// all with static storage, so that an error never quotes what the peer sent.
struct Http1Error {
  int status = 400;
  std::string_view reason;
  std::string_view detail;
};

struct RequestHead {
  size_t bytes = 0;            // size of the head in the buffer
  std::string_view method;     // upper-case token
  std::string_view target;     // as sent; origin-form but of a proxy's requests
  std::string_view authority;  // of a proxy's requests: the target's "host:port", not checked
  std::string_view path;       // target up to '?'
  std::string_view query;      // after '?'; empty when absent
  bool has_query = false;
  std::string_view host;
  int minor_version = 1;            // HTTP/1.x
  BodyKind body = BodyKind::kNone;  // kNone, kLength (also 0) or kChunked
  uint64_t content_length = 0;
  bool keep_alive = true;
  bool expect_continue = false;
  std::span<HeaderField> fields;

  // First field with that id; nullptr when absent.
  const HeaderField* Find(FieldId id) const;
  const HeaderField* Find(std::string_view lower_case_name) const;
};

struct ResponseHead {
  size_t bytes = 0;
  int status = 0;
  std::string_view reason;  // reason phrase as sent
  int minor_version = 1;
  BodyKind body = BodyKind::kNone;
  uint64_t content_length = 0;
  bool has_content_length = false;  // also true for answers to HEAD and 304 that state one
  bool keep_alive = true;
  std::span<HeaderField> fields;

  const HeaderField* Find(FieldId id) const;
  const HeaderField* Find(std::string_view lower_case_name) const;
};

enum class ParseStatus : uint8_t { kNeedMore, kDone, kError };

namespace internal {
// Finds the end of a head, line by line, and refuses what no head may hold (a bare LF or CR, NUL
// and other control bytes), as early as it arrives.
class HeadScanner {
 public:
  void Reset() { *this = HeadScanner(); }
  // Returns kDone with `end()` behind the empty line. Looks at each byte once over all calls.
  ParseStatus Scan(const char* data, size_t size, const Http1Limits& limits, Http1Error* error);
  size_t end() const { return end_; }
  size_t lines() const { return lines_; }

 private:
  size_t line_start_ = 0;
  size_t scanned_ = 0;
  size_t lines_ = 0;
  size_t end_ = 0;
};
}  // namespace internal

// Which targets a server takes (RFC 9112 §3.2). kProxy: "host:port" of a CONNECT, else
// absolute-form with the scheme http; path and query are then those of the target.
enum class TargetForm : uint8_t { kOrigin, kProxy };

class RequestParser {
 public:
  explicit RequestParser(const Http1Limits& limits = {}, TargetForm form = TargetForm::kOrigin)
      : limits_(limits), form_(form) {}

  // Forgets the message, keeps memory.
  void Reset();
  // `data` holds all `size` bytes received of the message so far (bytes of the body may follow the
  // head); it may have moved since the last call. Field names are put to lower case in place.
  // The outcome depends only on the bytes, not on how they were cut into calls.
  ParseStatus Parse(char* data, size_t size);
  // Valid after kDone, until the buffer changes.
  const RequestHead& head() const { return head_; }
  RequestHead& head() { return head_; }
  // Valid after kError.
  const Http1Error& error() const { return error_; }

 private:
  bool ParseHead(char* data);
  bool ParseRequestLine(std::string_view line);

  Http1Limits limits_;
  TargetForm form_;
  internal::HeadScanner scanner_;
  RequestHead head_;
  Http1Error error_;
  std::vector<HeaderField> fields_;
};

// The head of a request that did not arrive as text of HTTP/1.1 (but as HTTP/2, or as what Envoy
// tells of it), held to the same rules as one that did. `fields` have name and value, the name in
// lower case; their values are trimmed, and they are identified, in place. The views go into
// `head`; its body is what the fields say of it. False: refused, `*error` says why.
bool MakeRequestHead(std::string_view method, std::string_view target, std::string_view host,
                     std::span<HeaderField> fields, const Http1Limits& limits, RequestHead* head,
                     Http1Error* error);

class ResponseParser {
 public:
  explicit ResponseParser(const Http1Limits& limits = {}) : limits_(limits) {}

  // `request_method`: of the request that is answered; decides whether a body follows.
  // `may_switch`: it asked to switch protocols, so that 101 may come; else that is refused.
  void Reset(std::string_view request_method, bool may_switch = false);
  // As RequestParser::Parse. 1xx answers come out as heads of their own with BodyKind::kNone; the
  // caller drops them, but for 101, and parses on.
  ParseStatus Parse(char* data, size_t size);
  const ResponseHead& head() const { return head_; }
  const Http1Error& error() const { return error_; }

 private:
  bool ParseHead(char* data);
  bool ParseStatusLine(std::string_view line);

  Http1Limits limits_;
  internal::HeadScanner scanner_;
  bool head_request_ = false;
  bool may_switch_ = false;
  ResponseHead head_;
  Http1Error error_;
  std::vector<HeaderField> fields_;
};

}  // namespace aegis::net
