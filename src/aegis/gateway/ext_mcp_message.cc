#include "aegis/gateway/ext_mcp_message.h"

#include "aegis/base/protobuf_wire.h"
#include "aegis/base/text.h"

namespace aegis::gateway {
namespace {

constexpr size_t kMaxServices = 256;
constexpr size_t kMaxHeaders = 1024;

// Key and value of a map's entry, both of bytes. False: malformed.
bool ReadPair(std::string_view bytes, std::string_view* key, std::string_view* value) {
  WireReader reader(bytes);
  WireField field;
  uint32_t seen = 0;
  while (!reader.done()) {
    if (!reader.Next(field)) return false;
    if (field.number > 2) continue;
    if (field.wire != Wire::kBytes || (seen & 1u << field.number) != 0) return false;
    seen |= 1u << field.number;
    *(field.number == 1 ? key : value) = field.bytes;
  }
  return true;
}

}  // namespace

bool McpMessage::Read(std::string_view bytes) {
  services.clear();
  headers.clear();
  method = content = decision_id = agent = {};
  WireReader reader(bytes);
  WireField field;
  uint32_t seen = 0;
  while (!reader.done()) {
    if (!reader.Next(field)) return false;
    if (field.number > 5) continue;
    if (field.wire != Wire::kBytes) return false;
    const bool repeated = field.number == 1 || field.number == 5;
    if (!repeated && (seen & 1u << field.number) != 0) return false;
    seen |= 1u << field.number;
    switch (field.number) {
      case 1:
        if (services.size() == kMaxServices || !IsValidUtf8(field.bytes)) return false;
        services.push_back(field.bytes);
        break;
      case 2:
        if (!IsValidUtf8(field.bytes)) return false;
        method = field.bytes;
        break;
      case 3:
        if (!Context(field.bytes)) return false;
        break;
      case 4:
        content = field.bytes;
        break;
      default:
        if (!Header(field.bytes)) return false;
    }
  }
  return true;
}

bool McpMessage::Header(std::string_view bytes) {
  std::string_view name, value;
  if (headers.size() == kMaxHeaders || !ReadPair(bytes, &name, &value)) return false;
  headers.push_back({name, value});
  return true;
}

// Struct{fields=1: map of Value{string_value=3}}
bool McpMessage::Context(std::string_view bytes) {
  WireReader reader(bytes);
  WireField field;
  while (!reader.done()) {
    if (!reader.Next(field)) return false;
    if (field.number != 1) continue;
    if (field.wire != Wire::kBytes || !Entry(field.bytes)) return false;
  }
  return true;
}

bool McpMessage::Entry(std::string_view bytes) {
  std::string_view name, value;
  if (!ReadPair(bytes, &name, &value)) return false;
  std::string_view* out = nullptr;
  if (name == "decision_id") out = &decision_id;
  if (name == "agent") out = &agent;
  if (out == nullptr) return true;
  if (!out->empty()) return false;
  WireReader reader(value);
  WireField field;
  while (!reader.done()) {
    if (!reader.Next(field)) return false;
    if (field.number == 3 && field.wire == Wire::kBytes) *out = field.bytes;
  }
  return true;
}

void AppendMcpPass(const std::string* mutated, std::string& out) {
  WireWriter writer(out);
  if (mutated != nullptr) {
    writer.Bytes(2, *mutated);
  } else {
    writer.Bytes(1, {});
  }
}

void AppendMcpError(McpError code, std::string_view reason, std::string_view details,
                    std::string& out) {
  WireWriter writer(out);
  const size_t error = writer.Begin(3);
  writer.Number(1, static_cast<uint64_t>(code));
  writer.Bytes(2, reason);
  writer.Bytes(3, details);
  writer.End(error);
}

void AppendMcpSetHeader(std::string_view name, std::string_view value, std::string& mutation) {
  WireWriter writer(mutation);
  const size_t header = writer.Begin(1);
  writer.Bytes(1, name);
  writer.Bytes(2, value);
  writer.End(header);
}

void AppendMcpRemoveHeader(std::string_view name, std::string& mutation) {
  WireWriter(mutation).Bytes(2, name);
}

void AppendMcpMetadata(std::string_view name, std::string_view value, std::string& metadata) {
  if (value.empty()) return;
  WireWriter writer(metadata);
  const size_t entry = writer.Begin(1);
  writer.Bytes(1, name);
  const size_t text = writer.Begin(2);
  writer.Bytes(3, value);
  writer.End(text);
  writer.End(entry);
}

void AppendMcpMutation(std::string_view mutation, std::string_view metadata, std::string& out) {
  WireWriter writer(out);
  if (!mutation.empty()) writer.Bytes(4, mutation);
  if (!metadata.empty()) writer.Bytes(5, metadata);
}

}  // namespace aegis::gateway
