// envoy.service.auth.v3.CheckRequest: what Envoy asks about, as views into the message.
//
// External processing says the same in parts (ReadParts).
//
// Source: envoy/service/auth/v3/external_auth.proto and attribute_context.proto. Stricter than
// protobuf: a field or a header that stands twice is refused, where a protobuf reader would take
// the last, and so are two fields that contradict each other. Unknown fields are skipped.
//
// Threading: one thread at a time. Lifetime: views are valid as long as the message is. Once warm,
// reading allocates nothing.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "aegis/gateway/params.h"
#include "aegis/net/http1_parser.h"

namespace aegis::gateway {

// AttributeContext.Peer. The address is that of a TCP socket; empty: another, or none.
struct CheckPeer {
  std::string_view address;
  uint32_t port = 0;
  std::string_view service;
  std::string_view principal;  // of a client certificate that Envoy has verified
  std::string_view certificate;
};

// What the operator's Envoy configuration says of the route: context_extensions "aegis.tool" and so
// on, or members "tool" and so on of the metadata namespace "aegis" of the route or the request.
// Empty: not said.
struct RouteNames {
  std::string_view tool;
  std::string_view tenant;
  std::string_view action;
  std::string_view prefix;  // path below which the action's segment is; "/v1", without a final '/'
  std::string_view body;    // "unread": the body is not part of what is judged
};

class CheckRequest {
 public:
  // The reader of another message than HTTP's (Envoy's network filter) says so in is_http.
  // A refusal of status 0: it could be read.
  Refusal Read(std::string_view message, size_t max_headers);

  // Of the parts of a ProcessingRequest: a config.core.v3.HeaderMap with the request's fields and
  // pseudo-headers, and a config.core.v3.Metadata. `given`: of another source, which Envoy's
  // configuration fills; the metadata must not contradict it. A refusal: as of Read.
  Refusal ReadParts(std::string_view header_map, std::string_view metadata, const RouteNames& given,
                    size_t max_headers);

  // Whether fields of one name became one, as `headers` says.
  bool has_joined_fields() const { return has_map_; }

  bool is_http = false;
  std::string_view id;
  std::string_view method;
  std::string_view path;  // with the query
  std::string_view host;
  std::string_view scheme;
  std::string_view query;     // Envoy leaves these two empty: they are part of path
  std::string_view fragment;  //
  std::string_view protocol;  // "HTTP/2"
  int64_t size = 0;           // of the body as received so far; -1: not known
  std::string_view body;      // either of body and raw_body
  bool body_is_text = false;  // Envoy has put '!' for what is not UTF-8
  bool path_is_text = true;   // likewise
  // What Envoy says of the body at hand by x-envoy-auth-partial-body, which it takes from no
  // client: that it is whole ("false") or cut ("true"). Empty: Envoy had no body.
  std::string_view partial_body;
  bool has_other_partial_body = false;  // the same, with another prefix than Envoy's own
  bool body_is_whole = false;           // external processing has seen its end; not read
  // All but that one and the pseudo-headers, in order, names as sent; the values of one name are
  // joined by ',', unless Envoy encodes raw headers.
  std::vector<net::HeaderField> headers;
  bool has_other_pseudo_header = false;  // e.g. ":protocol" of a WebSocket
  CheckPeer source, destination;
  std::string_view sni;
  RouteNames names;

 private:
  // Of a pseudo-header, which must agree with the field that says the same.
  struct Pseudo {
    std::string_view value;
    bool given = false;
  };

  void Clear();
  // All set refusal_ when they return false.
  bool Attributes(std::string_view bytes);
  // Hands each message of field `number` to `take`, until that returns false.
  template <typename Take>
  bool EachMessage(std::string_view bytes, uint32_t number, Take take);
  // Of a map from texts to texts or messages.
  bool MapEntry(std::string_view bytes, std::string_view* key, std::string_view* value);
  bool Peer(std::string_view bytes, CheckPeer* out);
  bool Address(std::string_view bytes, CheckPeer* out);
  bool Request(std::string_view bytes);
  bool Http(std::string_view bytes);
  bool HeaderEntry(std::string_view bytes);
  bool RawHeaders(std::string_view bytes);
  bool Header(std::string_view name, std::string_view value, bool raw);
  bool Agree();
  bool Extension(std::string_view bytes);
  bool Metadata(std::string_view bytes);
  bool MetadataEntry(std::string_view bytes);
  bool MetadataMember(std::string_view bytes);
  bool Name(std::string_view name, std::string_view value);
  bool Malformed();
  bool Refuse(const Refusal& refusal);

  Refusal refusal_;
  size_t max_headers_ = 0;
  bool has_map_ = false;
  bool has_raw_ = false;
  Pseudo method_, path_, authority_, scheme_;
};

}  // namespace aegis::gateway
