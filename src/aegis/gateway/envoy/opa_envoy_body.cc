#include "aegis/gateway/envoy/opa_envoy_body.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "aegis/base/text.h"
#include "aegis/gateway/envoy/multipart.h"
#include "aegis/net/http1_grammar.h"

namespace aegis::gateway {
namespace {

using rego::Value;

constexpr std::string_view kNoMemory = "it is too large to be judged";
constexpr std::string_view kNotUtf8 = "it is not UTF-8";
// Go's limit (GODEBUG urlmaxqueryparams).
constexpr size_t kMaxQueryParams = 10'000;

OpaEnvoyParsed Problem(std::string_view problem) { return {.value = {}, .problem = problem}; }
OpaEnvoyParsed Parsed(Value value) {
  return value.is_undefined() ? Problem(kNoMemory) : OpaEnvoyParsed{.value = value, .problem = {}};
}
OpaEnvoyParsed Null() { return Parsed(Value::Null()); }
OpaEnvoyParsed Truncated() { return {.value = Value::Null(), .truncated = true, .problem = {}}; }

bool Contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

using Entries = std::vector<std::pair<std::string, Value>>;

// Each key with all of its values, in their order.
Value Grouped(Entries& entries, Arena& arena) {
  std::stable_sort(entries.begin(), entries.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  Value out = rego::NewObject(arena, entries.size());
  for (size_t i = 0; i < entries.size();) {
    Value all = rego::NewArray(arena, 1);
    const size_t first = i;
    for (; i < entries.size() && entries[i].first == entries[first].first; ++i) {
      if (rego::ArrayAppend(arena, all, entries[i].second) != rego::Edit::kOk) return Value();
    }
    rego::Freeze(all);
    const Value key = rego::MakeString(arena, entries[first].first);
    if (key.is_undefined() || rego::ObjectInsert(arena, out, key, all) != rego::Edit::kOk)
      return Value();
  }
  rego::Freeze(out);
  return out;
}

OpaEnvoyParsed ParseJson(std::string_view text, Arena& arena) {
  json::Limits limits;
  limits.max_bytes = SIZE_MAX;  // the message's size is limited
  const auto parsed = rego::ParseJson(text, arena, limits);
  if (parsed) return Parsed(*parsed);
  const std::string_view reason = parsed.error().reason;
  if (reason == "json_duplicate_key") return Problem("the body's JSON has a name twice");
  if (reason == "json_malformed") return Problem("the body is not JSON");
  return Problem(kNoMemory);
}

OpaEnvoyParsed ParseMultipart(std::string_view type, std::string_view body, Arena& arena) {
  MediaType media;
  if (!ReadMediaType(type, &media)) return Problem("the content type is malformed");
  const std::string* const boundary = media.Find("boundary");
  if (boundary == nullptr) return Null();
  MultipartReader reader(body, *boundary);
  Entries entries;
  for (;;) {
    MultipartReader::Part part;
    const MultipartReader::Step step = reader.Next(&part);
    if (step == MultipartReader::Step::kMalformed)
      return Problem("the body is not the multipart form that it is declared as");
    if (step == MultipartReader::Step::kEnd) break;
    if (part.form_name.empty()) continue;
    Value value;
    if (Contains(part.content_type, "application/json")) {
      const OpaEnvoyParsed parsed = ParseJson(part.content, arena);
      if (parsed.value.is_undefined()) return parsed;
      value = parsed.value;
    } else {
      value = rego::MakeString(arena, ReplaceBadUtf8(part.content));
      if (value.is_undefined()) return Problem(kNoMemory);
    }
    entries.emplace_back(ReplaceBadUtf8(part.form_name), value);
  }
  return Parsed(Grouped(entries, arena));
}

// Whether less of the body is there than Content-Length says. False in `*good`: it says nothing.
bool IsTruncated(Value headers, size_t size, bool* good) {
  const Value header = headers.Get("content-length");
  *good = true;
  if (header.is_undefined()) return false;
  std::string_view digits = header.string_value();
  if (digits.starts_with('+')) digits.remove_prefix(1);
  int64_t length = 0;
  const auto end = std::from_chars(digits.data(), digits.data() + digits.size(), length);
  *good = end.ec == std::errc() && end.ptr == digits.data() + digits.size() &&
          (header.string_value().size() == digits.size() || digits.front() != '-');
  return *good && length > 0 && static_cast<uint64_t>(length) > size;
}

}  // namespace

OpaEnvoyParsed ParseOpaEnvoyPath(std::string_view path, Arena& arena) {
  const std::optional<std::string> decoded =
      net::PercentDecode(path.substr(0, path.find('?')), false);
  if (!decoded) return Problem("the path has a '%' that begins no escape");
  if (!IsValidUtf8(*decoded)) return Problem(kNotUtf8);
  std::string_view rest = *decoded;
  rest.remove_prefix(std::min(rest.find_first_not_of('/'), rest.size()));
  Value out = rego::NewArray(arena, 8);
  for (const std::string_view segment : Split(rest, '/')) {
    const Value text = rego::MakeString(arena, segment);
    if (text.is_undefined() || rego::ArrayAppend(arena, out, text) != rego::Edit::kOk)
      return Problem(kNoMemory);
  }
  rego::Freeze(out);
  return Parsed(out);
}

OpaEnvoyParsed ParseOpaEnvoyQuery(std::string_view query, bool lossy, Arena& arena) {
  Entries entries;
  if (static_cast<size_t>(std::count(query.begin(), query.end(), '&')) >= kMaxQueryParams)
    return Problem("there are too many parameters");
  const auto clean = [&](std::string& text) {
    if (IsValidUtf8(text)) return true;
    if (lossy) text = ReplaceBadUtf8(text);
    return lossy;
  };
  for (const std::string_view parameter : Split(query, '&')) {
    if (Contains(parameter, ";")) return Problem("a parameter holds a ';'");
    if (parameter.empty()) continue;
    const size_t equals = parameter.find('=');
    std::optional<std::string> name = net::PercentDecode(parameter.substr(0, equals), true);
    std::optional<std::string> text = std::string();
    if (equals != std::string_view::npos) {
      text = net::PercentDecode(parameter.substr(equals + 1), true);
    }
    if (!name || !text) return Problem("a parameter has a '%' that begins no escape");
    if (!clean(*name) || !clean(*text)) return Problem(kNotUtf8);
    const Value value = rego::MakeString(arena, *text);
    if (value.is_undefined()) return Problem(kNoMemory);
    entries.emplace_back(*std::move(name), value);
  }
  return Parsed(Grouped(entries, arena));
}

OpaEnvoyParsed ParseOpaEnvoyBody(Value headers, std::string_view body, std::string_view raw_body,
                                 Arena& arena) {
  if (headers.Get("x-envoy-auth-partial-body").string_value() == "true") return Truncated();
  const std::string_view type = headers.Get("content-type").string_value();
  const bool json = Contains(type, "application/json");
  // Of a gRPC call nothing is known without descriptors.
  if (!json && Contains(type, "application/grpc")) return Null();
  const bool form = !json && Contains(type, "application/x-www-form-urlencoded");
  if (!json && !form && !Contains(type, "multipart/form-data")) return Null();
  const std::string_view text = body.empty() ? raw_body : body;
  if (text.empty()) return Null();
  bool good = true;
  if (IsTruncated(headers, text.size(), &good)) return Truncated();
  if (!good) return Problem("Content-Length is not a number");
  if (json) return ParseJson(text, arena);
  return form ? ParseOpaEnvoyQuery(text, true, arena) : ParseMultipart(type, text, arena);
}

}  // namespace aegis::gateway
