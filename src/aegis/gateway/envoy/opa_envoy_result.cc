#include "aegis/gateway/envoy/opa_envoy_result.h"

#include <charconv>
#include <cmath>

#include "aegis/base/protobuf_wire.h"
#include "aegis/base/result.h"
#include "aegis/decision/query.h"

namespace aegis::gateway {
namespace {

using rego::Value;

constexpr size_t kMaxResultBytes = size_t{1} << 20;
// A protobuf reader stops at 100 nested messages, and each level of a Struct is three.
constexpr int kMaxMetadataDepth = 24;

// CheckResponse, OkHttpResponse and DeniedHttpResponse (external_auth.proto).
constexpr uint32_t kStatus = 1, kDenied = 2, kOk = 3, kMetadata = 4;
constexpr uint32_t kOkHeaders = 2, kOkRemove = 5, kOkResponseHeaders = 6, kOkSetQuery = 7,
                   kOkRemoveQuery = 8;
constexpr uint32_t kDeniedStatus = 1, kDeniedHeaders = 2, kDeniedBody = 3;

// The statuses that Envoy knows (type/v3/http_status.proto) and that have a name in Go.
bool IsStatus(int64_t status) {
  struct Range {
    int first, last;
  };
  constexpr Range kKnown[] = {{100, 100}, {200, 208}, {226, 226}, {300, 305},
                              {307, 308}, {400, 417}, {421, 424}, {426, 426},
                              {428, 429}, {431, 431}, {500, 508}, {510, 511}};
  for (const Range& range : kKnown) {
    if (status >= range.first && status <= range.last) return true;
  }
  return false;
}

bool IsList(Value value) { return value.is_array() || value.is_set(); }

// Keys that are no texts are written as their JSON, as OPA turns its values into JSON.
std::string KeyText(Value key) {
  return key.is_string() ? std::string(key.string_value()) : rego::ToJson(key);
}

// HeaderValueOption{header=1{key=1, value=2}}; QueryParameter is {key=1, value=2}.
class PairWriter {
 public:
  PairWriter(WireWriter& writer, uint32_t field, bool is_header)
      : writer_(writer), field_(field), is_header_(is_header) {}

  // Of a map of texts and lists of texts. False: it is another.
  bool All(Value map) {
    for (const rego::Member& member : map.members()) {
      const std::string key = KeyText(member.key);
      if (member.value.is_string()) {
        One(key, member.value.string_value());
        continue;
      }
      if (!IsList(member.value)) return false;
      for (const Value element : member.value.elements()) {
        if (!element.is_string()) return false;
        One(key, element.string_value());
      }
    }
    return map.is_object();
  }

 private:
  void One(std::string_view key, std::string_view value) {
    const size_t outer = writer_.Begin(field_);
    const size_t inner = is_header_ ? writer_.Begin(1) : 0;
    if (!key.empty()) writer_.Bytes(1, key);
    if (!value.empty()) writer_.Bytes(2, value);
    if (is_header_) writer_.End(inner);
    writer_.End(outer);
  }

  WireWriter& writer_;
  uint32_t field_;
  bool is_header_;
};

bool WriteHeaders(WireWriter& writer, uint32_t field, Value headers) {
  PairWriter pairs(writer, field, true);
  if (headers.is_undefined()) return true;
  if (!IsList(headers)) return pairs.All(headers);
  for (const Value element : headers.elements()) {
    if (!pairs.All(element)) return false;
  }
  return true;
}

bool WriteTexts(WireWriter& writer, uint32_t field, Value texts) {
  if (texts.is_undefined()) return true;
  for (const Value element : texts.elements()) {
    if (!element.is_string()) return false;
    writer.Bytes(field, element.string_value());
  }
  return IsList(texts);
}

bool WriteStruct(WireWriter& writer, Value object, int depth, std::string_view left_out);

// Value{null_value=1, number_value=2, string_value=3, bool_value=4, struct_value=5, list_value=6}
bool WriteValue(WireWriter& writer, Value value, int depth) {
  if (depth == kMaxMetadataDepth) return false;
  switch (value.type()) {
    case rego::Type::kNull:
      writer.Number(1, 0);
      return true;
    case rego::Type::kNumber: {
      const std::string text = rego::ToJson(value);
      double number = 0;
      const auto end = std::from_chars(text.data(), text.data() + text.size(), number);
      // One too small for a double is 0 to Go, one too large is an error.
      if (end.ec == std::errc::result_out_of_range) {
        if (text.find("e-") == std::string::npos && text.find("E-") == std::string::npos)
          return false;
        number = 0;
      }
      writer.Double(2, number);
      return true;
    }
    case rego::Type::kString:
      writer.Bytes(3, value.string_value());
      return true;
    case rego::Type::kBool:
      writer.Number(4, value.bool_value() ? 1 : 0);
      return true;
    case rego::Type::kObject: {
      const size_t mark = writer.Begin(5);
      const bool good = WriteStruct(writer, value, depth + 1, {});
      writer.End(mark);
      return good;
    }
    case rego::Type::kArray:
    case rego::Type::kSet: {
      const size_t mark = writer.Begin(6);
      for (const Value element : value.elements()) {
        const size_t inner = writer.Begin(1);
        if (!WriteValue(writer, element, depth + 1)) return false;
        writer.End(inner);
      }
      writer.End(mark);
      return true;
    }
    default:
      return false;
  }
}

bool WriteStruct(WireWriter& writer, Value object, int depth, std::string_view left_out) {
  for (const rego::Member& member : object.members()) {
    const std::string key = KeyText(member.key);
    if (!left_out.empty() && key == left_out) continue;
    const size_t entry = writer.Begin(1);
    writer.Bytes(1, key);
    const size_t value = writer.Begin(2);
    if (!WriteValue(writer, member.value, depth)) return false;
    writer.End(value);
    writer.End(entry);
  }
  return true;
}

bool WriteMetadata(WireWriter& writer, Value given, std::string_view decision_id) {
  constexpr std::string_view kOurs = "decision_id";
  if (!given.is_undefined() && !given.is_object()) return false;
  const size_t metadata = writer.Begin(kMetadata);
  if (!WriteStruct(writer, given, 0, kOurs)) return false;
  const size_t entry = writer.Begin(1);
  writer.Bytes(1, kOurs);
  const size_t value = writer.Begin(2);
  writer.Bytes(3, decision_id);
  writer.End(value);
  writer.End(entry);
  writer.End(metadata);
  return true;
}

void WriteStatus(WireWriter& writer, bool allowed, std::string_view message = {}) {
  const size_t status = writer.Begin(kStatus);
  if (!allowed) writer.Number(1, static_cast<uint64_t>(Code::kPermissionDenied));
  if (!message.empty()) writer.Bytes(2, message);
  writer.End(status);
}

void WriteHttpStatus(WireWriter& writer, int64_t status) {
  const size_t mark = writer.Begin(kDeniedStatus);
  writer.Number(1, static_cast<uint64_t>(status));
  writer.End(mark);
}

bool WriteOk(WireWriter& writer, Value result) {
  const size_t ok = writer.Begin(kOk);
  bool good = WriteHeaders(writer, kOkHeaders, result.Get("headers")) &&
              WriteTexts(writer, kOkRemove, result.Get("request_headers_to_remove")) &&
              WriteHeaders(writer, kOkResponseHeaders, result.Get("response_headers_to_add")) &&
              WriteTexts(writer, kOkRemoveQuery, result.Get("query_parameters_to_remove"));
  if (const Value set = result.Get("query_parameters_to_set"); good && !set.is_undefined()) {
    good = PairWriter(writer, kOkSetQuery, false).All(set);
  }
  writer.End(ok);
  return good;
}

bool WriteDenied(WireWriter& writer, Value result) {
  const Value body = result.Get("body"), status = result.Get("http_status");
  if (!body.is_undefined() && !body.is_string()) return false;
  if (!status.is_undefined() && !(status.is_int() && IsStatus(status.int_value()))) return false;
  const size_t denied = writer.Begin(kDenied);
  WriteHttpStatus(writer, status.is_undefined() ? 403 : status.int_value());
  const bool good = WriteHeaders(writer, kDeniedHeaders, result.Get("headers"));
  if (!body.string_value().empty()) writer.Bytes(kDeniedBody, body.string_value());
  writer.End(denied);
  return good;
}

}  // namespace

std::optional<bool> AppendOpaEnvoyResponse(Value result, std::string_view decision_id,
                                           std::string* out) {
  const Value allowed = result.is_object() ? result.Get("allowed") : result;
  if (!allowed.is_bool() || !decision::JsonFits(result, kMaxResultBytes)) return std::nullopt;
  WireWriter writer(*out);
  WriteStatus(writer, allowed.bool_value());
  bool good = true;
  if (result.is_object()) {
    good = allowed.bool_value() ? WriteOk(writer, result) : WriteDenied(writer, result);
  }
  if (!good || !WriteMetadata(writer, result.Get("dynamic_metadata"), decision_id))
    return std::nullopt;
  return allowed.bool_value();
}

bool AppendOpaEnvoyDryRun(Value result, std::string_view decision_id, std::string* out) {
  WireWriter writer(*out);
  WriteStatus(writer, true);
  writer.End(writer.Begin(kOk));
  return WriteMetadata(writer, result.Get("dynamic_metadata"), decision_id);
}

void AppendOpaEnvoyBadRequest(std::string_view part, std::string_view problem, std::string* out) {
  const std::string text =
      "request_parse_error: " + std::string(part) + ": " + std::string(problem);
  WireWriter writer(*out);
  WriteStatus(writer, false, text);
  const size_t denied = writer.Begin(kDenied);
  WriteHttpStatus(writer, 400);
  writer.Bytes(kDeniedBody, text);
  writer.End(denied);
}

}  // namespace aegis::gateway
