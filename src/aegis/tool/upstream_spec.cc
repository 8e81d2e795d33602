#include "aegis/tool/upstream_spec.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

#include "aegis/base/text.h"
#include "aegis/json/writer.h"
#include "aegis/tool/spec_reader.h"

namespace aegis::tool::internal {
namespace {

enum class Kind : uint8_t { kCount, kDuration, kFlag };

// A member of one of the sections: kDuration is milliseconds, kFlag 0 or 1.
struct Field {
  std::string_view name;
  int Upstream::* value;
  Kind kind;
  int least;
  int most;
};

constexpr int kSecond = 1'000;
constexpr int kDay = 86'400 * kSecond;

constexpr Field kTimeouts[] = {
    {"connect", &Upstream::connect_ms, Kind::kDuration, 10, 600 * kSecond},
    {"first_byte", &Upstream::first_byte_ms, Kind::kDuration, 10, kDay},
    {"idle", &Upstream::idle_ms, Kind::kDuration, 10, kDay},
    {"call", &Upstream::call_ms, Kind::kDuration, 10, kDay},
};
constexpr Field kRetries[] = {
    {"attempts", &Upstream::attempts, Kind::kCount, 1, 5},
};
constexpr Field kCircuitBreaker[] = {
    {"max_connections", &Upstream::max_connections, Kind::kCount, 1, 65'536},
    {"max_pending", &Upstream::max_pending, Kind::kCount, 0, 65'536},
    {"max_requests", &Upstream::max_requests, Kind::kCount, 0, 1'000'000},
    {"consecutive_failures", &Upstream::consecutive_failures, Kind::kCount, 0, 1'000},
    {"base_ejection_time", &Upstream::base_ejection_ms, Kind::kDuration, 10, 3'600 * kSecond},
    {"max_ejection_time", &Upstream::max_ejection_ms, Kind::kDuration, 10, 3'600 * kSecond},
    {"count_answers", &Upstream::count_answers, Kind::kFlag, 0, 1},
};

struct Unit {
  std::string_view name;
  int ms;
};
// The largest first, so that the shortest text is found first.
constexpr Unit kUnits[] = {{"h", 3'600 * kSecond}, {"m", 60 * kSecond}, {"s", kSecond}, {"ms", 1}};

// "1500ms", "30s", "5m", "1h".
std::optional<int> ParseDuration(std::string_view text) {
  int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || text.front() == '-' || number > kDay) return std::nullopt;
  const std::string_view unit = text.substr(static_cast<size_t>(end - text.data()));
  for (const Unit& one : kUnits) {
    if (unit != one.name) continue;
    const int64_t ms = number * one.ms;
    return ms <= kDay ? std::optional(static_cast<int>(ms)) : std::nullopt;
  }
  return std::nullopt;
}

std::string DurationText(int ms) {
  for (const Unit& unit : kUnits) {
    if (ms % unit.ms == 0) return std::to_string(ms / unit.ms).append(unit.name);
  }
  return {};
}

std::optional<int> ReadValue(Reader& reader, const Field& field) {
  const json::Tree& value = reader.value();
  switch (field.kind) {
    case Kind::kFlag:
      if (value.kind() == json::Tree::Kind::kBool) return value.bool_value() ? 1 : 0;
      reader.Report("must be true or false");
      return std::nullopt;
    case Kind::kCount: {
      int number = 0;
      if (value.kind() == json::Tree::Kind::kNumber) {
        const std::string_view text = value.text();
        const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
        if (error == std::errc() && end == text.data() + text.size() && number >= field.least &&
            number <= field.most) {
          return number;
        }
      }
      reader.Report("must be a whole number from " + std::to_string(field.least) + " to " +
                    std::to_string(field.most));
      return std::nullopt;
    }
    case Kind::kDuration: {
      std::optional<int> ms;
      if (value.is_string() && !value.text().empty()) ms = ParseDuration(value.text());
      if (ms && *ms >= field.least && *ms <= field.most) return ms;
      reader.Report("must be a time like 500ms, 30s, 5m or 1h, from " + DurationText(field.least) +
                    " to " + DurationText(field.most));
      return std::nullopt;
    }
  }
  return std::nullopt;
}

void ReadFields(Reader reader, std::span<const Field> fields, Upstream& out) {
  if (!reader.IsObject(fields.size() + 16)) return;
  std::vector<std::string_view> known;
  for (const Field& field : fields) {
    known.push_back(field.name);
    const json::Tree* value = reader.value().Find(field.name);
    if (value == nullptr) continue;
    Reader item = reader.At(field.name, *value);
    if (const auto number = ReadValue(item, field)) out.*field.value = *number;
  }
  reader.RefuseOthers(known);
}

bool IsDefault(std::span<const Field> fields, const Upstream& upstream) {
  const Upstream standard;
  return std::all_of(fields.begin(), fields.end(), [&](const Field& field) {
    return upstream.*field.value == standard.*field.value;
  });
}

void AppendFields(std::span<const Field> fields, const Upstream& upstream, std::string& out) {
  const Upstream standard;
  out += '{';
  bool first = true;
  for (const Field& field : fields) {
    const int value = upstream.*field.value;
    if (value == standard.*field.value) continue;
    if (!std::exchange(first, false)) out += ',';
    json::AppendString(out, field.name);
    out += ':';
    switch (field.kind) {
      case Kind::kCount:
        out += std::to_string(value);
        break;
      case Kind::kDuration:
        json::AppendString(out, DurationText(value));
        break;
      case Kind::kFlag:
        out += value != 0 ? "true" : "false";
        break;
    }
  }
  out += '}';
}

// RFC 9110 §5.6.2.
bool IsHeaderName(std::string_view name) {
  constexpr std::string_view kMarks = "!#$%&'*+-.^`|~";
  return !name.empty() && name.size() <= kMaxNameBytes &&
         std::all_of(name.begin(), name.end(), [&](char c) {
           return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
                  kMarks.find(c) != std::string_view::npos;
         });
}

// Headers that say what the message is, or that Aegis sets itself.
bool IsReserved(std::string_view name) {
  constexpr std::string_view kNames[] = {
      "connection",     "content-encoding",
      "content-length", "content-type",
      "expect",         "host",
      "keep-alive",     "te",
      "traceparent",    "tracestate",
      "trailer",        "upgrade",
      "x-http-method",  "transfer-encoding",
      "forwarded",
  };
  return name.starts_with("x-aegis") || name.starts_with("proxy-") ||
         name.starts_with("sec-websocket-") || name.starts_with("x-forwarded-") ||
         std::find(std::begin(kNames), std::end(kNames), name) != std::end(kNames);
}

void ReadHeader(Reader item, Credential& out) {
  const auto name = item.Text();
  if (!name) return;
  out.header = *name;
  for (char& c : out.header) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  if (!IsHeaderName(out.header)) {
    item.Report("must be a header's name: letters, digits and '-'");
  } else if (IsReserved(out.header)) {
    item.Report("is a header that a credential cannot be in");
  }
}

void ReadPrefix(Reader item, Credential& out) {
  const auto prefix = item.Text();
  if (!prefix) return;
  out.prefix = *prefix;
  const bool plain =
      std::all_of(prefix->begin(), prefix->end(), [](char c) { return c >= 0x20 && c < 0x7f; });
  if (!plain || prefix->size() > kMaxPrefixBytes || prefix->starts_with(' ')) {
    item.Report("must be at most " + std::to_string(kMaxPrefixBytes) +
                " printable ASCII characters, the first no space");
  }
}

void ReadReference(Reader item, std::string& out) {
  const auto name = item.Text();
  if (!name) return;
  out = *name;
  if (std::string problem = CheckName(*name); !problem.empty()) item.Report(std::move(problem));
}

Credential ReadCredential(Reader reader) {
  constexpr std::array<std::string_view, 3> kKnown = {"header", "prefix", "secret"};
  Credential out;
  if (!reader.IsObject(kKnown.size() + 16)) return out;
  for (const std::string_view name : {kKnown[0], kKnown[2]}) {
    if (reader.value().Find(name) == nullptr) reader.At(name, reader.value()).Report("is required");
  }
  if (const json::Tree* value = reader.value().Find("header")) {
    ReadHeader(reader.At("header", *value), out);
  }
  if (const json::Tree* value = reader.value().Find("prefix")) {
    ReadPrefix(reader.At("prefix", *value), out);
  }
  if (const json::Tree* value = reader.value().Find("secret")) {
    ReadReference(reader.At("secret", *value), out.secret);
  }
  reader.RefuseOthers(kKnown);
  return out;
}

}  // namespace

void ReadTimeouts(Reader reader, Upstream& out) { ReadFields(reader, kTimeouts, out); }
void ReadRetries(Reader reader, Upstream& out) { ReadFields(reader, kRetries, out); }
void ReadCircuitBreaker(Reader reader, Upstream& out) {
  ReadFields(reader, kCircuitBreaker, out);
  if (out.max_ejection_ms < out.base_ejection_ms) {
    reader.Report("has a max_ejection_time that is shorter than its base_ejection_time");
  }
}

void ReadTls(Reader reader, Upstream& out) {
  constexpr std::array<std::string_view, 2> kKnown = {"certificate_authority",
                                                      "client_certificate"};
  if (!reader.IsObject(kKnown.size() + 16)) return;
  if (const json::Tree* value = reader.value().Find(kKnown[0])) {
    ReadReference(reader.At(kKnown[0], *value), out.certificate_authority);
  }
  if (const json::Tree* value = reader.value().Find(kKnown[1])) {
    ReadReference(reader.At(kKnown[1], *value), out.client_certificate);
  }
  reader.RefuseOthers(kKnown);
}

void ReadCredentials(Reader reader, Upstream& out) {
  size_t index = 0;
  for (const json::Tree& element : reader.Elements(kMaxCredentials)) {
    Reader item = reader.At(index++, element);
    Credential credential = ReadCredential(item);
    for (const Credential& other : out.credentials) {
      if (other.header == credential.header && !other.header.empty()) {
        item.Report("has a header that another credential has, too");
      }
    }
    out.credentials.push_back(std::move(credential));
  }
}

bool HasTimeouts(const Upstream& upstream) { return !IsDefault(kTimeouts, upstream); }
bool HasRetries(const Upstream& upstream) { return !IsDefault(kRetries, upstream); }
bool HasCircuitBreaker(const Upstream& upstream) { return !IsDefault(kCircuitBreaker, upstream); }
bool HasTls(const Upstream& upstream) {
  return !upstream.certificate_authority.empty() || !upstream.client_certificate.empty();
}

void AppendTimeouts(const Upstream& upstream, std::string& out) {
  AppendFields(kTimeouts, upstream, out);
}
void AppendRetries(const Upstream& upstream, std::string& out) {
  AppendFields(kRetries, upstream, out);
}
void AppendCircuitBreaker(const Upstream& upstream, std::string& out) {
  AppendFields(kCircuitBreaker, upstream, out);
}

void AppendTls(const Upstream& upstream, std::string& out) {
  out += '{';
  if (!upstream.certificate_authority.empty()) {
    out += "\"certificate_authority\":";
    json::AppendString(out, upstream.certificate_authority);
  }
  if (!upstream.client_certificate.empty()) {
    out += out.back() == '{' ? "\"client_certificate\":" : ",\"client_certificate\":";
    json::AppendString(out, upstream.client_certificate);
  }
  out += '}';
}

void AppendCredentials(const Upstream& upstream, std::string& out) {
  out += '[';
  for (const Credential& credential : upstream.credentials) {
    if (out.back() != '[') out += ',';
    out += "{\"header\":";
    json::AppendString(out, credential.header);
    if (!credential.prefix.empty()) {
      out += ",\"prefix\":";
      json::AppendString(out, credential.prefix);
    }
    out += ",\"secret\":";
    json::AppendString(out, credential.secret);
    out += '}';
  }
  out += ']';
}

}  // namespace aegis::tool::internal
