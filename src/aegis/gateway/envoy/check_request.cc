#include "aegis/gateway/envoy/check_request.h"

#include <utility>

#include "aegis/base/protobuf_wire.h"
#include "aegis/gateway/envoy/checked_call.h"

namespace aegis::gateway {
namespace {

constexpr Refusal kMalformed{400, "check_malformed",
                             "the authorization request is not what Envoy's interface describes"};
constexpr Refusal kTwice{400, "check_malformed", "the authorization request says something twice"};
constexpr Refusal kContradictory{400, "check_contradictory",
                                 "two parts of the authorization request contradict each other"};
constexpr Refusal kTooManyFields{431, "too_many_fields", "the head has too many fields"};
constexpr Refusal kUnknownName{
    403, "route_misconfigured",
    "Envoy's configuration of the route has an unknown aegis name; known are tool, tenant, action, "
    "prefix and body"};
constexpr Refusal kBadName{
    403, "route_misconfigured",
    "Envoy's configuration of the route gives an aegis name a value that is empty, longer than 256 "
    "bytes or no text"};
constexpr Refusal kNamesDiffer{
    403, "route_misconfigured",
    "context_extensions and metadata of the route give an aegis name different values"};

constexpr std::string_view kNamespace = "aegis";
constexpr std::string_view kNamePrefix = "aegis.";
constexpr size_t kMaxNameBytes = 256;

// Whether field `number` (below 32) comes for the first time.
bool First(uint32_t* seen, uint32_t number) {
  const uint32_t bit = uint32_t{1} << number;
  const bool first = (*seen & bit) == 0;
  *seen |= bit;
  return first;
}

}  // namespace

bool CheckRequest::Refuse(const Refusal& refusal) {
  refusal_ = refusal;
  return false;
}
bool CheckRequest::Malformed() { return Refuse(kMalformed); }

void CheckRequest::Clear() {
  std::vector<net::HeaderField> memory = std::move(headers);
  *this = CheckRequest();
  headers = std::move(memory);
  headers.clear();
}

Refusal CheckRequest::ReadParts(std::string_view header_map, std::string_view metadata,
                                const RouteNames& given, size_t max_headers) {
  Clear();
  max_headers_ = max_headers;
  is_http = true;
  const std::pair<std::string_view, std::string_view> named[] = {{"tool", given.tool},
                                                                 {"tenant", given.tenant},
                                                                 {"action", given.action},
                                                                 {"prefix", given.prefix},
                                                                 {"body", given.body}};
  for (const auto& [name, value] : named) {
    if (!value.empty() && !Name(name, value)) return refusal_;
  }
  if (!RawHeaders(header_map) || !Metadata(metadata)) return refusal_;
  // Envoy sets this field for external authorization only: here a client sent it.
  if (!method_.given || !path_.given || !partial_body.empty()) return kMalformed;
  method = method_.value;
  path = path_.value;
  host = authority_.value;
  scheme = scheme_.value;
  return {};
}

Refusal CheckRequest::Read(std::string_view message, size_t max_headers) {
  Clear();
  max_headers_ = max_headers;
  WireReader reader(message);
  WireField field;
  uint32_t seen = 0;
  while (!reader.done()) {
    if (!reader.Next(field)) return kMalformed;
    if (field.number != 1) continue;
    if (field.wire != Wire::kBytes) return kMalformed;
    if (!First(&seen, field.number)) return kTwice;
    if (!Attributes(field.bytes)) return refusal_;
  }
  return {};
}

template <typename Take>
bool CheckRequest::EachMessage(std::string_view bytes, uint32_t number, Take take) {
  WireReader reader(bytes);
  WireField field;
  while (!reader.done()) {
    if (!reader.Next(field)) return Malformed();
    if (field.number != number) continue;
    if (field.wire != Wire::kBytes) return Malformed();
    if (!take(field.bytes)) return false;
  }
  return true;
}

bool CheckRequest::Attributes(std::string_view bytes) {
  WireReader reader(bytes);
  WireField field;
  uint32_t seen = 0;
  while (!reader.done()) {
    if (!reader.Next(field)) return Malformed();
    const bool known = field.number == 1 || field.number == 2 || field.number == 4 ||
                       (field.number >= 10 && field.number <= 13);
    if (!known) continue;
    if (field.wire != Wire::kBytes) return Malformed();
    // The extensions are a map.
    if (field.number != 10 && !First(&seen, field.number)) return Refuse(kTwice);
    bool good = true;
    switch (field.number) {
      case 1:
        good = Peer(field.bytes, &source);
        break;
      case 2:
        good = Peer(field.bytes, &destination);
        break;
      case 4:
        good = Request(field.bytes);
        break;
      case 10:
        good = Extension(field.bytes);
        break;
      case 12: {
        WireReader session(field.bytes);
        WireField part;
        while (!session.done()) {
          if (!session.Next(part)) return Malformed();
          if (part.number == 1 && part.wire == Wire::kBytes) sni = part.bytes;
        }
        break;
      }
      default:
        good = Metadata(field.bytes);
    }
    if (!good) return false;
  }
  return true;
}

bool CheckRequest::MapEntry(std::string_view bytes, std::string_view* key,
                            std::string_view* value) {
  WireReader reader(bytes);
  WireField field;
  uint32_t seen = 0;
  while (!reader.done()) {
    if (!reader.Next(field)) return Malformed();
    if (field.number > 2) continue;
    if (field.wire != Wire::kBytes) return Malformed();
    if (!First(&seen, field.number)) return Refuse(kTwice);
    *(field.number == 1 ? key : value) = field.bytes;
  }
  return true;
}

bool CheckRequest::Peer(std::string_view bytes, CheckPeer* out) {
  WireReader reader(bytes);
  WireField field;
  uint32_t seen = 0;
  while (!reader.done()) {
    if (!reader.Next(field)) return Malformed();
    if (field.number > 5 || field.number == 3) continue;  // 3 are the labels
    if (field.wire != Wire::kBytes) return Malformed();
    if (!First(&seen, field.number)) return Refuse(kTwice);
    if (field.number == 1 && !Address(field.bytes, out)) return false;
    if (field.number == 2) out->service = field.bytes;
    if (field.number == 4) out->principal = field.bytes;
    if (field.number == 5) out->certificate = field.bytes;
  }
  return true;
}

// config.core.v3.Address{socket_address=1{address=2, port_value=3}}
bool CheckRequest::Address(std::string_view bytes, CheckPeer* out) {
  WireReader reader(bytes);
  WireField field;
  while (!reader.done()) {
    if (!reader.Next(field)) return Malformed();
    if (field.number != 1 || field.wire != Wire::kBytes) continue;
    WireReader socket(field.bytes);
    WireField part;
    while (!socket.done()) {
      if (!socket.Next(part)) return Malformed();
      if (part.number == 2 && part.wire == Wire::kBytes) out->address = part.bytes;
      if (part.number == 3 && part.wire == Wire::kVarint) {
        out->port = static_cast<uint32_t>(part.value);
      }
    }
  }
  return true;
}

bool CheckRequest::Request(std::string_view bytes) {
  return EachMessage(bytes, 2, [this](std::string_view http) {
    if (is_http) return Refuse(kTwice);
    is_http = true;
    return Http(http);
  });
}

bool CheckRequest::Http(std::string_view bytes) {
  std::string_view text_body, raw_body;
  std::string_view* const texts[] = {nullptr,   &id,        &method,  nullptr,   &path,
                                     &host,     &scheme,    &query,   &fragment, nullptr,
                                     &protocol, &text_body, &raw_body};
  WireReader reader(bytes);
  WireField field;
  uint32_t seen = 0;
  while (!reader.done()) {
    if (!reader.Next(field)) return Malformed();
    if (field.number > 13) continue;
    if (field.wire != (field.number == 9 ? Wire::kVarint : Wire::kBytes)) return Malformed();
    if (field.number == 3) {  // a map
      if (!HeaderEntry(field.bytes)) return false;
      continue;
    }
    if (!First(&seen, field.number)) return Refuse(kTwice);
    if (field.number == 9) {
      size = static_cast<int64_t>(field.value);
    } else if (field.number == 13) {
      if (!RawHeaders(field.bytes)) return false;
    } else {
      *texts[field.number] = field.bytes;
    }
  }
  if ((has_map_ && has_raw_) || (!text_body.empty() && !raw_body.empty())) {
    return Refuse(kContradictory);
  }
  body_is_text = !text_body.empty();
  body = body_is_text ? text_body : raw_body;
  return Agree();
}

bool CheckRequest::HeaderEntry(std::string_view bytes) {
  has_map_ = true;
  std::string_view name, value;
  if (!MapEntry(bytes, &name, &value)) return false;
  for (const net::HeaderField& other : headers) {
    if (other.name == name) return Refuse(kTwice);
  }
  return Header(name, value, false);
}

// HeaderMap{headers=1: HeaderValue{key=1, value=2, raw_value=3}}
bool CheckRequest::RawHeaders(std::string_view bytes) {
  return EachMessage(bytes, 1, [this](std::string_view header_value) {
    has_raw_ = true;
    std::string_view parts[4];
    WireReader header(header_value);
    WireField part;
    uint32_t seen = 0;
    while (!header.done()) {
      if (!header.Next(part)) return Malformed();
      if (part.number > 3) continue;
      if (part.wire != Wire::kBytes) return Malformed();
      if (!First(&seen, part.number)) return Refuse(kTwice);
      parts[part.number] = part.bytes;
    }
    if (!parts[2].empty() && !parts[3].empty()) return Refuse(kContradictory);
    const bool raw = parts[2].empty();
    return Header(parts[1], raw ? parts[3] : parts[2], raw);
  });
}

bool CheckRequest::Header(std::string_view name, std::string_view value, bool raw) {
  if (name == kPartialBodyField) {
    if (!partial_body.empty()) return Refuse(kTwice);
    partial_body = value.empty() ? "?" : value;
    return true;
  }
  if (name.ends_with(kPartialBodySuffix)) has_other_partial_body = true;
  if (!name.starts_with(':')) {
    if (headers.size() == max_headers_) return Refuse(kTooManyFields);
    headers.push_back({name, value});
    return true;
  }
  Pseudo* pseudo = nullptr;
  if (name == ":method") pseudo = &method_;
  if (name == ":path") pseudo = &path_;
  if (name == ":authority") pseudo = &authority_;
  if (name == ":scheme") pseudo = &scheme_;
  if (pseudo == nullptr) {
    has_other_pseudo_header = true;
    return true;
  }
  if (pseudo->given) return Refuse(kTwice);
  *pseudo = {value, true};
  if (raw && pseudo == &path_) path_is_text = false;
  return true;
}

bool CheckRequest::Agree() {
  const std::pair<const Pseudo&, std::string_view> pairs[] = {
      {method_, method}, {path_, path}, {authority_, host}, {scheme_, scheme}};
  for (const auto& [pseudo, value] : pairs) {
    if (pseudo.given && pseudo.value != value) return Refuse(kContradictory);
  }
  // Of no known Envoy, but a part that another program may look at.
  const size_t question = path.find('?');
  const std::string_view sent =
      question == std::string_view::npos ? std::string_view() : path.substr(question + 1);
  if (!fragment.empty() || (!query.empty() && query != sent)) return Refuse(kContradictory);
  return true;
}

bool CheckRequest::Extension(std::string_view bytes) {
  std::string_view name, value;
  if (!MapEntry(bytes, &name, &value)) return false;
  if (!name.starts_with(kNamePrefix)) return true;
  return Name(name.substr(kNamePrefix.size()), value);
}

// Metadata{filter_metadata=1: map of Struct}
bool CheckRequest::Metadata(std::string_view bytes) {
  return EachMessage(bytes, 1, [this](std::string_view entry) { return MetadataEntry(entry); });
}

bool CheckRequest::MetadataEntry(std::string_view bytes) {
  std::string_view name, value;
  if (!MapEntry(bytes, &name, &value)) return false;
  if (name != kNamespace) return true;
  // Struct{fields=1: map of Value}
  return EachMessage(value, 1, [this](std::string_view member) { return MetadataMember(member); });
}

bool CheckRequest::MetadataMember(std::string_view bytes) {
  std::string_view name, value;
  if (!MapEntry(bytes, &name, &value)) return false;
  // Value{string_value=3}
  WireReader kind(value);
  WireField field;
  if (kind.done()) return Refuse(kBadName);
  if (!kind.Next(field) || !kind.done()) return Malformed();
  if (field.number != 3 || field.wire != Wire::kBytes) return Refuse(kBadName);
  return Name(name, field.bytes);
}

bool CheckRequest::Name(std::string_view name, std::string_view value) {
  std::string_view* known = nullptr;
  if (name == "tool") known = &names.tool;
  if (name == "tenant") known = &names.tenant;
  if (name == "action") known = &names.action;
  if (name == "prefix") known = &names.prefix;
  if (name == "body") known = &names.body;
  // A misspelt name would leave the call to be judged as another.
  if (known == nullptr) return Refuse(kUnknownName);
  if (value.empty() || value.size() > kMaxNameBytes) return Refuse(kBadName);
  if (!known->empty() && *known != value) return Refuse(kNamesDiffer);
  *known = value;
  return true;
}

}  // namespace aegis::gateway
