#include "aegis/net/http1_parser.h"

#include <algorithm>
#include <cstring>

#include "aegis/base/text.h"
#include "aegis/net/http1_grammar.h"

namespace aegis::net {
namespace internal {

ParseStatus HeadScanner::Scan(const char* data, size_t size, const Http1Limits& limits,
                              Http1Error* error) {
  // Bytes beyond the limit are never looked at, so that the outcome does not depend on how many
  // arrived at once.
  const size_t visible = std::min(size, limits.max_head_bytes);
  while (scanned_ < visible) {
    const void* found = std::memchr(data + scanned_, '\n', visible - scanned_);
    if (!found) {
      scanned_ = visible;
      break;
    }
    const size_t lf = static_cast<size_t>(static_cast<const char*>(found) - data);
    scanned_ = lf + 1;
    if (lf == line_start_ || data[lf - 1] != '\r') {
      *error = {400, "bare_lf", "a line ends in LF without CR"};
      return ParseStatus::kError;
    }
    const std::string_view line(data + line_start_, lf - 1 - line_start_);
    line_start_ = scanned_;
    if (line.empty()) {
      if (lines_ == 0) {
        *error = {400, "empty_line", "the message begins with an empty line"};
        return ParseStatus::kError;
      }
      end_ = scanned_;
      return ParseStatus::kDone;
    }
    if (!AllOfClass(line, kFieldChar)) {
      *error = {400, "control_byte", "the head holds a control byte"};
      return ParseStatus::kError;
    }
    if (++lines_ > limits.max_fields + 1) {
      *error = {431, "too_many_fields", "the head has too many fields"};
      return ParseStatus::kError;
    }
  }
  if (visible == limits.max_head_bytes) {
    *error = lines_ == 0 ? Http1Error{414, "target_too_long", "the request target is too long"}
                         : Http1Error{431, "head_too_large", "the head is too large"};
    return ParseStatus::kError;
  }
  return ParseStatus::kNeedMore;
}

}  // namespace internal

namespace {

using internal::kHexDigit;
using internal::kPathChar;
using internal::kQueryChar;
using internal::kTokenChar;

// "x-aegis" at the start, '_' taken for '-': CGI-like servers make one variable of both.
bool IsAegisName(std::string_view name) {
  return name.size() >= 7 && name[0] == 'x' && (name[1] == '-' || name[1] == '_') &&
         name.substr(2, 5) == "aegis";
}

FieldId Classify(std::string_view name) {
  switch (name.size()) {
    case 2:
      if (name == "te") return FieldId::kTe;
      break;
    case 4:
      if (name == "host") return FieldId::kHost;
      break;
    case 6:
      if (name == "expect") return FieldId::kExpect;
      break;
    case 7:
      if (name == "upgrade") return FieldId::kUpgrade;
      if (name == "trailer") return FieldId::kTrailer;
      break;
    case 10:
      if (name == "connection") return FieldId::kConnection;
      if (name == "keep-alive") return FieldId::kKeepAlive;
      if (name == "tracestate") return FieldId::kTracestate;
      if (name == "user-agent") return FieldId::kUserAgent;
      break;
    case 11:
      if (name == "traceparent") return FieldId::kTraceparent;
      break;
    case 12:
      if (name == "content-type") return FieldId::kContentType;
      break;
    case 13:
      if (name == "authorization") return FieldId::kAuthorization;
      break;
    case 14:
      if (name == "content-length") return FieldId::kContentLength;
      break;
    case 15:
      if (name == "accept-encoding") return FieldId::kAcceptEncoding;
      break;
    case 16:
      if (name == "content-encoding") return FieldId::kContentEncoding;
      if (name == "proxy-connection") return FieldId::kProxyConnection;
      break;
    case 17:
      if (name == "transfer-encoding") return FieldId::kTransferEncoding;
      break;
    case 18:
      if (name == "proxy-authenticate") return FieldId::kProxyAuthenticate;
      break;
    case 19:
      if (name == "proxy-authorization") return FieldId::kProxyAuthorization;
      break;
    default:
      break;
  }
  return IsAegisName(name) ? FieldId::kAegis : FieldId::kOther;
}

// Up to 18 digits without leading zeros, so that every program reads the same number.
bool ParseLength(std::string_view text, uint64_t* out) {
  if (text.empty() || text.size() > 18 || (text[0] == '0' && text.size() > 1)) return false;
  uint64_t value = 0;
  for (char c : text) {
    if (c < '0' || c > '9') return false;
    value = value * 10 + static_cast<uint64_t>(c - '0');
  }
  *out = value;
  return true;
}

// What the framing fields of either kind of message say.
struct Framing {
  int hosts = 0;
  int lengths = 0;
  int codings = 0;
  bool coding_is_chunked = false;
  uint64_t length = 0;
  bool close = false;
  bool keep_alive = false;
  bool nominates = false;
};

bool IsEndToEnd(std::string_view name) {
  return EqualsIgnoreCase(name, "host") || EqualsIgnoreCase(name, "content-length") ||
         EqualsIgnoreCase(name, "content-type") || EqualsIgnoreCase(name, "content-encoding") ||
         EqualsIgnoreCase(name, "authorization") || EqualsIgnoreCase(name, "cookie");
}

bool ParseConnection(std::string_view value, Framing* framing, Http1Error* error) {
  for (std::string_view option : Split(value, ',')) {
    option = Trim(option);
    if (option.empty()) continue;
    if (!IsToken(option) || IsEndToEnd(option)) {
      *error = {400, "bad_connection", "the Connection field names what it may not"};
      return false;
    }
    if (EqualsIgnoreCase(option, "close")) {
      framing->close = true;
    } else if (EqualsIgnoreCase(option, "keep-alive")) {
      framing->keep_alive = true;
    } else {
      framing->nominates = true;
    }
  }
  return true;
}

void MarkNominated(std::span<HeaderField> fields) {
  for (const HeaderField& connection : fields) {
    if (connection.id != FieldId::kConnection) continue;
    for (std::string_view option : Split(connection.value, ',')) {
      option = Trim(option);
      for (HeaderField& field : fields) {
        if (EqualsIgnoreCase(field.name, option)) field.nominated = true;
      }
    }
  }
}

// Says what the field is, and adds what it tells of the framing.
bool TakeField(HeaderField* field, Framing* framing, Http1Error* error) {
  field->id = Classify(field->name);
  switch (field->id) {
    case FieldId::kHost:
      ++framing->hosts;
      break;
    case FieldId::kContentLength:
      if (++framing->lengths > 1) {
        *error = {400, "duplicate_content_length", "Content-Length is given twice"};
        return false;
      }
      if (!ParseLength(field->value, &framing->length)) {
        *error = {400, "bad_content_length", "Content-Length is not a plain decimal number"};
        return false;
      }
      break;
    case FieldId::kTransferEncoding:
      ++framing->codings;
      framing->coding_is_chunked = EqualsIgnoreCase(field->value, "chunked");
      break;
    case FieldId::kConnection:
      return ParseConnection(field->value, framing, error);
    default:
      break;
  }
  return true;
}

bool ParseFields(char* begin, char* end, std::vector<HeaderField>* fields, Framing* framing,
                 Http1Error* error) {
  char* line = begin;
  while (true) {
    char* const lf = static_cast<char*>(std::memchr(line, '\n', static_cast<size_t>(end - line)));
    char* const line_end = lf - 1;  // the scanner made sure of CRLF
    if (line == line_end) break;
    if (*line == ' ' || *line == '\t') {
      *error = {400, "obs_fold", "a field is folded over several lines"};
      return false;
    }
    char* p = line;
    for (; p < line_end && HasClass(*p, kTokenChar); ++p) {
      if (*p >= 'A' && *p <= 'Z') *p = static_cast<char>(*p | 0x20);
    }
    if (p == line || p == line_end || *p != ':') {
      *error = {400, "bad_field_name", "a field name is empty, malformed or not followed by ':'"};
      return false;
    }
    HeaderField field;
    field.name = {line, static_cast<size_t>(p - line)};
    ++p;
    char* value_end = line_end;
    while (p < value_end && (*p == ' ' || *p == '\t')) ++p;
    while (value_end > p && (value_end[-1] == ' ' || value_end[-1] == '\t')) --value_end;
    field.value = {p, static_cast<size_t>(value_end - p)};
    if (!TakeField(&field, framing, error)) return false;
    fields->push_back(field);
    line = lf + 1;
  }
  if (framing->nominates) MarkNominated(*fields);
  return true;
}

// Whether message framing is unambiguous (RFC 9112 §6.1, §6.3).
bool CheckFraming(const Framing& framing, int minor_version, Http1Error* error) {
  if (framing.codings == 0) return true;
  if (framing.lengths > 0) {
    *error = {400, "length_and_coding", "both Content-Length and Transfer-Encoding are given"};
    return false;
  }
  if (minor_version == 0) {
    *error = {400, "coding_in_http10", "Transfer-Encoding is given in an HTTP/1.0 message"};
    return false;
  }
  if (framing.codings > 1) {
    *error = {400, "duplicate_transfer_encoding", "Transfer-Encoding is given twice"};
    return false;
  }
  if (!framing.coding_is_chunked) {
    *error = {501, "unknown_transfer_coding", "the only transfer coding accepted is chunked"};
    return false;
  }
  return true;
}

const HeaderField* FindIn(std::span<HeaderField> fields, FieldId id) {
  for (const HeaderField& field : fields) {
    if (field.id == id) return &field;
  }
  return nullptr;
}

const HeaderField* FindIn(std::span<HeaderField> fields, std::string_view name) {
  for (const HeaderField& field : fields) {
    if (field.name == name) return &field;
  }
  return nullptr;
}

bool HasBadPercent(std::string_view text) {
  for (size_t i = text.find('%'); i != std::string_view::npos; i = text.find('%', i + 1)) {
    if (text.size() - i < 3 || !HasClass(text[i + 1], kHexDigit) ||
        !HasClass(text[i + 2], kHexDigit)) {
      return true;
    }
  }
  return false;
}

bool HasHighByte(std::string_view text) {
  for (char c : text) {
    if (static_cast<uint8_t>(c) >= 0x80) return true;
  }
  return false;
}

// "HTTP/1.0" or "HTTP/1.1". -1: another version; -2: not a version at all.
int ParseMinorVersion(std::string_view text) {
  if (text.size() != 8 || text.substr(0, 5) != "HTTP/" || text[6] != '.' || text[5] < '0' ||
      text[5] > '9' || text[7] < '0' || text[7] > '9') {
    return -2;
  }
  if (text[5] != '1' || text[7] > '1') return -1;
  return text[7] - '0';
}

constexpr Http1Error kBadMethod{400, "bad_method", "the request line has no valid method"};

bool TakeMethod(std::string_view method, RequestHead* head, Http1Error* error) {
  head->method = method;
  if (!IsToken(method) || method.size() > 32) {
    *error = kBadMethod;
    return false;
  }
  for (char c : method) {
    if (c >= 'a' && c <= 'z') {
      *error = {400, "bad_method", "the method is not in upper case"};
      return false;
    }
  }
  return true;
}

bool HasUpperCase(std::string_view text) {
  for (char c : text) {
    if (c >= 'A' && c <= 'Z') return true;
  }
  return false;
}

bool CheckTargetSize(std::string_view target, const Http1Limits& limits, Http1Error* error) {
  if (target.size() <= limits.max_target_bytes) return true;
  *error = {414, "target_too_long", "the request target is too long"};
  return false;
}

bool TakeTarget(std::string_view target, const Http1Limits& limits, RequestHead* head,
                Http1Error* error) {
  head->target = target;
  if (!CheckTargetSize(target, limits, error)) return false;
  if (target.empty() || target[0] != '/') {
    *error = {400, "bad_target", "the request target does not begin with '/'"};
    return false;
  }
  const size_t question = target.find('?');
  head->has_query = question != std::string_view::npos;
  head->path = target.substr(0, question);
  if (head->has_query) head->query = target.substr(question + 1);
  if (!AllOfClass(head->path, kPathChar) || !AllOfClass(head->query, kQueryChar)) {
    *error = {400, "bad_target", "the request target holds a byte that must be percent-encoded"};
    return false;
  }
  if (HasBadPercent(target)) {
    *error = {400, "bad_target", "a '%' in the target is not followed by two hexadecimal digits"};
    return false;
  }
  return true;
}

bool TakeProxyTarget(std::string_view target, const Http1Limits& limits, RequestHead* head,
                     Http1Error* error) {
  if (!CheckTargetSize(target, limits, error)) return false;
  if (head->method == "CONNECT") {
    head->target = head->authority = target;
    return true;
  }
  constexpr std::string_view kScheme = "http://";
  if (!EqualsIgnoreCase(target.substr(0, kScheme.size()), kScheme)) {
    *error = {400, "bad_target",
              "a proxy's request is CONNECT host:port, or METHOD http://host[:port]/path"};
    return false;
  }
  const std::string_view rest = target.substr(kScheme.size());
  const size_t end = std::min(rest.find_first_of("/?#"), rest.size());
  head->authority = rest.substr(0, end);
  // RFC 9112 §3.2.1: an empty path is sent as "/"; one that is only a query is refused.
  const std::string_view path = end == rest.size() ? std::string_view("/") : rest.substr(end);
  if (!TakeTarget(path, limits, head, error)) return false;
  head->target = target;
  return true;
}

bool TakeHost(std::string_view host, RequestHead* head, Http1Error* error) {
  head->host = host;
  if (IsHostAndPort(host)) return true;
  *error = {400, "bad_host", "Host is not host or host:port"};
  return false;
}

// What the head says once its fields are known.
bool TakeFraming(const Framing& framing, RequestHead* head, Http1Error* error) {
  if (!CheckFraming(framing, head->minor_version, error)) return false;
  if (framing.codings > 0) {
    head->body = BodyKind::kChunked;
  } else if (framing.lengths > 0) {
    head->body = BodyKind::kLength;
    head->content_length = framing.length;
  }
  head->keep_alive =
      head->minor_version == 1 ? !framing.close : framing.keep_alive && !framing.close;
  for (const HeaderField& field : head->fields) {
    if (field.id == FieldId::kExpect) {
      if (!EqualsIgnoreCase(field.value, "100-continue") || head->minor_version == 0) {
        *error = {417, "bad_expectation", "the only expectation accepted is 100-continue"};
        return false;
      }
      head->expect_continue = true;
    }
    if (HasHighByte(field.value) && !IsValidUtf8(field.value)) {
      *error = {400, "bad_field_value", "a field value is not UTF-8"};
      return false;
    }
  }
  return true;
}

}  // namespace

const HeaderField* RequestHead::Find(FieldId id) const { return FindIn(fields, id); }
const HeaderField* RequestHead::Find(std::string_view name) const { return FindIn(fields, name); }
const HeaderField* ResponseHead::Find(FieldId id) const { return FindIn(fields, id); }
const HeaderField* ResponseHead::Find(std::string_view name) const { return FindIn(fields, name); }

void RequestParser::Reset() {
  scanner_.Reset();
  head_ = RequestHead();
  fields_.clear();
}

ParseStatus RequestParser::Parse(char* data, size_t size) {
  // Told at once, since a TLS or HTTP/2 client would wait for an answer to its first bytes.
  if (size > 0 && (data[0] < 'A' || data[0] > 'Z')) {
    error_ = {400, "bad_method", "the message does not begin with a method"};
    return ParseStatus::kError;
  }
  const ParseStatus status = scanner_.Scan(data, size, limits_, &error_);
  if (status != ParseStatus::kDone) return status;
  return ParseHead(data) ? ParseStatus::kDone : ParseStatus::kError;
}

bool RequestParser::ParseRequestLine(std::string_view line) {
  const size_t method_end = line.find(' ');
  if (method_end == std::string_view::npos) {
    error_ = kBadMethod;
    return false;
  }
  if (!TakeMethod(line.substr(0, method_end), &head_, &error_)) return false;
  const size_t target_end = line.find(' ', method_end + 1);
  if (target_end == std::string_view::npos) {
    error_ = {400, "bad_request_line", "the request line is not METHOD TARGET VERSION"};
    return false;
  }
  const int minor = ParseMinorVersion(line.substr(target_end + 1));
  if (minor == -2) {
    error_ = {400, "bad_request_line", "the request line is not METHOD TARGET VERSION"};
    return false;
  }
  if (minor == -1) {
    error_ = {505, "bad_version", "only HTTP/1.1 and HTTP/1.0 are spoken here"};
    return false;
  }
  head_.minor_version = minor;
  const std::string_view target = line.substr(method_end + 1, target_end - method_end - 1);
  return form_ == TargetForm::kProxy ? TakeProxyTarget(target, limits_, &head_, &error_)
                                     : TakeTarget(target, limits_, &head_, &error_);
}

bool RequestParser::ParseHead(char* data) {
  head_.bytes = scanner_.end();
  char* const end = data + head_.bytes;
  char* const lf = static_cast<char*>(std::memchr(data, '\n', head_.bytes));
  if (!ParseRequestLine({data, static_cast<size_t>(lf - 1 - data)})) return false;
  Framing framing;
  fields_.clear();
  if (!ParseFields(lf + 1, end, &fields_, &framing, &error_)) return false;
  head_.fields = fields_;

  if (framing.hosts > 1) {
    error_ = {400, "duplicate_host", "Host is given twice"};
    return false;
  }
  if (framing.hosts == 0) {
    if (head_.minor_version == 1) {
      error_ = {400, "no_host", "Host is missing"};
      return false;
    }
  } else {
    if (!TakeHost(head_.Find(FieldId::kHost)->value, &head_, &error_)) return false;
  }
  return TakeFraming(framing, &head_, &error_);
}

bool MakeRequestHead(std::string_view method, std::string_view target, std::string_view host,
                     std::span<HeaderField> fields, const Http1Limits& limits, RequestHead* head,
                     Http1Error* error) {
  *head = RequestHead();
  head->fields = fields;
  if (!TakeMethod(method, head, error) || !TakeTarget(target, limits, head, error) ||
      !TakeHost(host, head, error)) {
    return false;
  }
  if (fields.size() > limits.max_fields) {
    *error = {431, "too_many_fields", "the head has too many fields"};
    return false;
  }
  Framing framing;
  head->bytes = method.size() + target.size() + host.size();
  for (HeaderField& field : fields) {
    head->bytes += field.name.size() + field.value.size();
    if (head->bytes > limits.max_head_bytes) {
      *error = {431, "head_too_large", "the head is too large"};
      return false;
    }
    if (!IsToken(field.name) || HasUpperCase(field.name)) {
      *error = {400, "bad_field_name", "a field name is empty, malformed or not in lower case"};
      return false;
    }
    if (!IsFieldValue(field.value)) {
      *error = {400, "control_byte", "the head holds a control byte"};
      return false;
    }
    field.value = Trim(field.value);
    if (!TakeField(&field, &framing, error)) return false;
    if (field.id == FieldId::kHost && field.value != host) framing.hosts = 2;
  }
  if (framing.hosts > 1) {
    *error = {400, "duplicate_host", "Host is given twice"};
    return false;
  }
  if (framing.nominates) MarkNominated(fields);
  return TakeFraming(framing, head, error);
}

void ResponseParser::Reset(std::string_view request_method, bool may_switch) {
  scanner_.Reset();
  head_ = ResponseHead();
  head_request_ = request_method == "HEAD";
  may_switch_ = may_switch;
  fields_.clear();
}

ParseStatus ResponseParser::Parse(char* data, size_t size) {
  if (size > 0 && data[0] != 'H') {
    error_ = {502, "bad_status_line", "the answer does not begin with HTTP/"};
    return ParseStatus::kError;
  }
  const ParseStatus status = scanner_.Scan(data, size, limits_, &error_);
  if (status == ParseStatus::kNeedMore) return status;
  if (status == ParseStatus::kDone && ParseHead(data)) {
    // A following head (after 1xx) is scanned afresh.
    scanner_.Reset();
    return ParseStatus::kDone;
  }
  error_.status = 502;
  return ParseStatus::kError;
}

bool ResponseParser::ParseStatusLine(std::string_view line) {
  const int minor = ParseMinorVersion(line.substr(0, 8));
  if (minor < 0) {
    error_ = {502, "bad_version", "the answer is not HTTP/1.1 or HTTP/1.0"};
    return false;
  }
  head_.minor_version = minor;
  // "HTTP/1.1 200" without the second space is common enough and reads only one way.
  if (line.size() < 12 || line[8] != ' ' || (line.size() > 12 && line[12] != ' ')) {
    error_ = {502, "bad_status_line", "the status line is malformed"};
    return false;
  }
  int status = 0;
  for (char c : line.substr(9, 3)) {
    if (c < '0' || c > '9') {
      error_ = {502, "bad_status_line", "the status is not a number"};
      return false;
    }
    status = status * 10 + (c - '0');
  }
  if (status < 100 || status > 599 || (status == 101 && !may_switch_)) {
    error_ = {502, "bad_status", "the status is out of range or switches protocols unasked"};
    return false;
  }
  head_.status = status;
  head_.reason = line.size() > 13 ? line.substr(13) : std::string_view();
  return true;
}

bool ResponseParser::ParseHead(char* data) {
  head_ = ResponseHead();
  head_.bytes = scanner_.end();
  char* const end = data + head_.bytes;
  char* const lf = static_cast<char*>(std::memchr(data, '\n', head_.bytes));
  if (!ParseStatusLine({data, static_cast<size_t>(lf - 1 - data)})) return false;
  Framing framing;
  fields_.clear();
  if (!ParseFields(lf + 1, end, &fields_, &framing, &error_)) return false;
  head_.fields = fields_;
  if (!CheckFraming(framing, head_.minor_version, &error_)) return false;
  head_.keep_alive =
      head_.minor_version == 1 ? !framing.close : framing.keep_alive && !framing.close;
  head_.has_content_length = framing.lengths > 0;
  head_.content_length = framing.length;
  // RFC 9112 §6.3, in its order.
  if (head_.status < 200 || head_.status == 204) {
    if (framing.codings > 0 || (framing.lengths > 0 && framing.length > 0)) {
      error_ = {502, "body_not_allowed", "an answer that has no body announces one"};
      return false;
    }
    head_.body = BodyKind::kNone;
  } else if (head_request_ || head_.status == 304) {
    head_.body = BodyKind::kNone;
  } else if (framing.codings > 0) {
    head_.body = BodyKind::kChunked;
  } else if (framing.lengths > 0) {
    head_.body = BodyKind::kLength;
  } else {
    head_.body = BodyKind::kUntilClose;
    head_.keep_alive = false;
  }
  return true;
}

}  // namespace aegis::net
