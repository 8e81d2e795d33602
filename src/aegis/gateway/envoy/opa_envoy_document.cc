#include "aegis/gateway/envoy/opa_envoy_document.h"

#include <array>
#include <bit>
#include <charconv>
#include <cmath>
#include <span>
#include <string>

#include "aegis/base/protobuf_wire.h"
#include "aegis/base/text.h"
#include "aegis/crypto/base64.h"

namespace aegis::gateway {
namespace {

using rego::MakeStringView;
using rego::Value;

// Structs nest, and each level of theirs is two or three messages deep.
constexpr int kMaxDepth = 64;
constexpr size_t kMaxFields = 13;  // that a type has

enum class Kind : uint8_t {
  kText,
  kBytes,
  kRawBody,  // bytes that are handed out, too
  kInt64,
  kInt32,  // enums as well
  kUint32,
  kBool,
  kMessage,
  kList,      // of messages
  kTexts,     // map of texts by text
  kMessages,  // map of messages by text
  kStruct,    // google.protobuf.Struct, as a map's value
};

struct MessageType;

struct Field {
  uint32_t number;  // below 32
  std::string_view name;
  Kind kind;
  const MessageType* type = nullptr;
  uint32_t oneof = 0;  // not 0: at most one of those with this number; and zeros are kept
};

struct MessageType {
  std::span<const Field> fields;
  bool is_struct = false;
};

// envoy/config/core/v3/address.proto
constexpr Field kSocketAddressFields[] = {
    {1, "protocol", Kind::kInt32},
    {2, "address", Kind::kText},
    {3, "portValue", Kind::kUint32, nullptr, 1},
    {4, "namedPort", Kind::kText, nullptr, 1},
    {5, "resolverName", Kind::kText},
    {6, "ipv4Compat", Kind::kBool},
    {7, "networkNamespaceFilepath", Kind::kText},
};
constexpr MessageType kSocketAddress{kSocketAddressFields};
constexpr Field kPipeFields[] = {{1, "path", Kind::kText}, {2, "mode", Kind::kUint32}};
constexpr MessageType kPipe{kPipeFields};
constexpr Field kInternalAddressFields[] = {
    {1, "serverListenerName", Kind::kText, nullptr, 1},
    {2, "endpointId", Kind::kText},
};
constexpr MessageType kInternalAddress{kInternalAddressFields};
constexpr Field kAddressFields[] = {
    {1, "socketAddress", Kind::kMessage, &kSocketAddress, 1},
    {2, "pipe", Kind::kMessage, &kPipe, 1},
    {3, "envoyInternalAddress", Kind::kMessage, &kInternalAddress, 1},
};
constexpr MessageType kAddress{kAddressFields};

// envoy/config/core/v3/base.proto
constexpr MessageType kStructType{{}, true};
constexpr Field kAnyFields[] = {{1, "typeUrl", Kind::kText}, {2, "value", Kind::kBytes}};
constexpr MessageType kAny{kAnyFields};
constexpr Field kMetadataFields[] = {
    {1, "filterMetadata", Kind::kMessages, &kStructType},
    {2, "typedFilterMetadata", Kind::kMessages, &kAny},
};
constexpr MessageType kMetadata{kMetadataFields};
constexpr Field kHeaderValueFields[] = {
    {1, "key", Kind::kText},
    {2, "value", Kind::kText},
    {3, "rawValue", Kind::kBytes},
};
constexpr MessageType kHeaderValue{kHeaderValueFields};
constexpr Field kHeaderMapFields[] = {{1, "headers", Kind::kList, &kHeaderValue}};
constexpr MessageType kHeaderMap{kHeaderMapFields};

// envoy/service/auth/v3/attribute_context.proto
constexpr Field kPeerFields[] = {
    {1, "address", Kind::kMessage, &kAddress},
    {2, "service", Kind::kText},
    {3, "labels", Kind::kTexts},
    {4, "principal", Kind::kText},
    {5, "certificate", Kind::kText},
};
constexpr MessageType kPeer{kPeerFields};
constexpr Field kHttpFields[] = {
    {1, "id", Kind::kText},
    {2, "method", Kind::kText},
    {3, "headers", Kind::kTexts},
    {4, "path", Kind::kText},
    {5, "host", Kind::kText},
    {6, "scheme", Kind::kText},
    {7, "query", Kind::kText},
    {8, "fragment", Kind::kText},
    {9, "size", Kind::kInt64},
    {10, "protocol", Kind::kText},
    {11, "body", Kind::kText},
    {12, "rawBody", Kind::kRawBody},
    {13, "headerMap", Kind::kMessage, &kHeaderMap},
};
constexpr MessageType kHttp{kHttpFields};
constexpr Field kTimestampFields[] = {{1, "seconds", Kind::kInt64}, {2, "nanos", Kind::kInt32}};
constexpr MessageType kTimestamp{kTimestampFields};
constexpr Field kRequestFields[] = {
    {1, "time", Kind::kMessage, &kTimestamp},
    {2, "http", Kind::kMessage, &kHttp},
};
constexpr MessageType kRequest{kRequestFields};
constexpr Field kTlsSessionFields[] = {{1, "sni", Kind::kText}};
constexpr MessageType kTlsSession{kTlsSessionFields};
constexpr Field kAttributesFields[] = {
    {1, "source", Kind::kMessage, &kPeer},
    {2, "destination", Kind::kMessage, &kPeer},
    {4, "request", Kind::kMessage, &kRequest},
    {10, "contextExtensions", Kind::kTexts},
    {11, "metadataContext", Kind::kMessage, &kMetadata},
    {12, "tlsSession", Kind::kMessage, &kTlsSession},
    {13, "routeMetadataContext", Kind::kMessage, &kMetadata},
};
constexpr MessageType kAttributes{kAttributesFields};
constexpr Field kCheckRequestFields[] = {{1, "attributes", Kind::kMessage, &kAttributes}};
constexpr MessageType kCheckRequest{kCheckRequestFields};

Wire WireOf(Kind kind) {
  switch (kind) {
    case Kind::kInt64:
    case Kind::kInt32:
    case Kind::kUint32:
    case Kind::kBool:
      return Wire::kVarint;
    default:
      return Wire::kBytes;
  }
}

// As Go's strconv.FormatFloat(value, 'g', -1, 64), which is how OPA takes a double. `value` is
// finite.
std::string_view DoubleText(double value, std::array<char, 40>& buffer) {
  char* const begin = buffer.data();
  char* const end = begin + buffer.size();
  const double size = std::fabs(value);
  const bool plain = size == 0 || (size >= 1e-4 && size < 1e6);
  // A double just below 1e6 may be written 999999.9999999999 but never rounds up to seven digits.
  const auto done = std::to_chars(begin, end, value,
                                  plain ? std::chars_format::fixed : std::chars_format::scientific);
  return {begin, static_cast<size_t>(done.ptr - begin)};
}

class Reader {
 public:
  explicit Reader(Arena& arena) : arena_(arena) {}

  Value Message(std::string_view bytes, const MessageType& type, int depth) {
    if (type.is_struct) return Struct(bytes, depth);
    Value out = rego::NewObject(arena_, type.fields.size());
    std::array<Value, kMaxFields> repeated;  // what is being made of these fields, in their order
    uint32_t seen = 0, oneofs = 0;
    WireReader reader(bytes);
    WireField wire;
    while (!reader.done()) {
      if (!reader.Next(wire)) return Malformed();
      const Field* const field = Find(type, wire.number);
      if (field == nullptr) continue;
      if (wire.wire != WireOf(field->kind)) return Malformed();
      if (IsRepeated(field->kind)) {
        Value& all = repeated[static_cast<size_t>(field - type.fields.data())];
        if (!Append(*field, wire.bytes, depth, &all)) return Value();
        continue;
      }
      if (!First(&seen, field->number)) return Malformed();
      if (field->oneof != 0 && !First(&oneofs, field->oneof)) return Malformed();
      Value value;
      if (!Single(*field, wire, depth, &value)) return Value();
      if (!value.is_undefined() && !Put(out, MakeStringView(field->name), value)) return Value();
    }
    for (size_t i = 0; i < type.fields.size(); ++i) {
      if (repeated[i].is_undefined()) continue;
      rego::Freeze(repeated[i]);
      if (!Put(out, MakeStringView(type.fields[i].name), repeated[i])) return Value();
    }
    return Whole(out);
  }

  std::string_view raw_body() const { return raw_body_; }
  bool malformed() const { return malformed_; }

 private:
  static const Field* Find(const MessageType& type, uint32_t number) {
    for (const Field& field : type.fields) {
      if (field.number == number) return &field;
    }
    return nullptr;
  }
  static bool IsRepeated(Kind kind) {
    return kind == Kind::kList || kind == Kind::kTexts || kind == Kind::kMessages;
  }
  static bool First(uint32_t* seen, uint32_t number) {
    const uint32_t bit = uint32_t{1} << number;
    const bool first = (*seen & bit) == 0;
    *seen |= bit;
    return first;
  }
  Value Malformed() {
    malformed_ = true;
    return Value();
  }
  bool Refuse() {
    malformed_ = true;
    return false;
  }
  // What is done; undefined when the arena is exhausted.
  Value Whole(Value value) const {
    rego::Freeze(value);
    return arena_.exhausted() ? Value() : value;
  }

  bool Put(Value& object, Value key, Value value) {
    if (value.is_undefined()) return false;
    const rego::Edit edit = rego::ObjectInsert(arena_, object, key, value);
    if (edit == rego::Edit::kTooDeep) Malformed();
    return edit == rego::Edit::kOk;
  }

  // False: refused. `*out` stays undefined when the field has its default value.
  bool Single(const Field& field, const WireField& wire, int depth, Value* out) {
    const bool keep = field.oneof != 0;
    switch (field.kind) {
      case Kind::kText:
        if (!IsValidUtf8(wire.bytes)) return Refuse();
        if (keep || !wire.bytes.empty()) *out = MakeStringView(wire.bytes);
        return true;
      case Kind::kRawBody:
        raw_body_ = wire.bytes;
        [[fallthrough]];
      case Kind::kBytes:
        if (wire.bytes.empty()) return true;
        *out = rego::MakeString(arena_, crypto::Base64Encode(wire.bytes));
        return !out->is_undefined();
      case Kind::kInt64:
        if (keep || wire.value != 0) *out = Value::Int(static_cast<int64_t>(wire.value));
        return true;
      case Kind::kInt32:
        if (const auto number = static_cast<int32_t>(wire.value); keep || number != 0)
          *out = Value::Int(number);
        return true;
      case Kind::kUint32:
        if (const auto number = static_cast<uint32_t>(wire.value); keep || number != 0)
          *out = Value::Int(number);
        return true;
      case Kind::kBool:
        if (keep || wire.value != 0) *out = Value::Bool(wire.value != 0);
        return true;
      default:
        *out = Nested(wire.bytes, *field.type, depth);
        return !out->is_undefined();
    }
  }

  Value Nested(std::string_view bytes, const MessageType& type, int depth) {
    return depth == kMaxDepth ? Malformed() : Message(bytes, type, depth + 1);
  }

  // One more element of a list, or entry of a map.
  bool Append(const Field& field, std::string_view bytes, int depth, Value* all) {
    if (field.kind == Kind::kList) {
      if (all->is_undefined()) *all = rego::NewArray(arena_, 8);
      const Value element = Nested(bytes, *field.type, depth);
      if (element.is_undefined()) return false;
      return rego::ArrayAppend(arena_, *all, element) == rego::Edit::kOk;
    }
    if (all->is_undefined()) *all = rego::NewObject(arena_, 8);
    std::string_view name, content;
    if (!Entry(bytes, &name, &content)) return false;
    Value value;
    if (field.kind == Kind::kTexts) {
      value = IsValidUtf8(content) ? MakeStringView(content) : Malformed();
    } else {
      value = Nested(content, *field.type, depth);
    }
    return AddEntry(*all, name, value);
  }

  bool Entry(std::string_view bytes, std::string_view* name, std::string_view* content) {
    WireReader reader(bytes);
    WireField wire;
    uint32_t seen = 0;
    while (!reader.done()) {
      if (!reader.Next(wire)) return Refuse();
      if (wire.number > 2) continue;
      if (wire.wire != Wire::kBytes || !First(&seen, wire.number)) return Refuse();
      *(wire.number == 1 ? name : content) = wire.bytes;
    }
    return true;
  }

  bool AddEntry(Value& map, std::string_view name, Value value) {
    if (value.is_undefined()) return false;
    const Value key = MakeStringView(name);
    if (!IsValidUtf8(name) || !map.Get(name).is_undefined()) return Refuse();
    return Put(map, key, value);
  }

  // Struct{fields=1: map of Value}
  Value Struct(std::string_view bytes, int depth) {
    Value out = rego::NewObject(arena_, 8);
    WireReader reader(bytes);
    WireField wire;
    while (!reader.done()) {
      if (!reader.Next(wire)) return Malformed();
      if (wire.number != 1) continue;
      if (wire.wire != Wire::kBytes) return Malformed();
      std::string_view name, content;
      if (!Entry(wire.bytes, &name, &content)) return Value();
      if (!AddEntry(out, name, StructValue(content, depth + 1))) return Value();
    }
    return Whole(out);
  }

  // Value{null_value=1, number_value=2, string_value=3, bool_value=4, struct_value=5, list_value=6}
  Value StructValue(std::string_view bytes, int depth) {
    if (depth >= kMaxDepth) return Malformed();
    WireReader reader(bytes);
    WireField wire;
    Value out;
    while (!reader.done()) {
      if (!reader.Next(wire)) return Malformed();
      if (wire.number > 6) continue;
      constexpr Wire kWires[] = {Wire::kVarint, Wire::kVarint, Wire::kFixed64, Wire::kBytes,
                                 Wire::kVarint, Wire::kBytes,  Wire::kBytes};
      if (!out.is_undefined() || wire.wire != kWires[wire.number]) return Malformed();
      switch (wire.number) {
        case 1:
          out = Value::Null();
          break;
        case 2:
          out = Number(std::bit_cast<double>(wire.value));
          break;
        case 3:
          out = IsValidUtf8(wire.bytes) ? MakeStringView(wire.bytes) : Malformed();
          break;
        case 4:
          out = Value::Bool(wire.value != 0);
          break;
        case 5:
          out = Struct(wire.bytes, depth);
          break;
        default:
          out = List(wire.bytes, depth);
      }
      if (out.is_undefined()) return out;
    }
    return out.is_undefined() ? Value::Null() : out;
  }

  // ListValue{values=1}
  Value List(std::string_view bytes, int depth) {
    Value out = rego::NewArray(arena_, 8);
    WireReader reader(bytes);
    WireField wire;
    while (!reader.done()) {
      if (!reader.Next(wire)) return Malformed();
      if (wire.number != 1) continue;
      if (wire.wire != Wire::kBytes) return Malformed();
      const Value element = StructValue(wire.bytes, depth + 1);
      if (element.is_undefined()) return element;
      if (rego::ArrayAppend(arena_, out, element) != rego::Edit::kOk) return Value();
    }
    return Whole(out);
  }

  Value Number(double value) {
    if (std::isnan(value)) return MakeStringView("NaN");
    if (std::isinf(value)) return MakeStringView(value > 0 ? "Infinity" : "-Infinity");
    std::array<char, 40> buffer;
    return rego::MakeNumber(arena_, DoubleText(value, buffer));
  }

  Arena& arena_;
  std::string_view raw_body_;
  bool malformed_ = false;
};

}  // namespace

OpaEnvoyDocument ReadOpaEnvoyDocument(std::string_view message, Arena& arena, Refusal* refusal) {
  Reader reader(arena);
  OpaEnvoyDocument out;
  out.value = reader.Message(message, kCheckRequest, 0);
  out.raw_body = reader.raw_body();
  if (!out.value.is_undefined()) return out;
  if (reader.malformed()) {
    *refusal = {400, "check_malformed",
                "the authorization request is not what Envoy's interface describes, or says "
                "something twice"};
  } else {
    *refusal = {413, "check_too_large", "the authorization request is too large to be judged"};
  }
  return out;
}

}  // namespace aegis::gateway
