#include "aegis/gateway/envoy/envoy_testing.h"

#include "aegis/base/protobuf_wire.h"

namespace aegis::gateway::testing {
namespace {

void PutText(WireWriter& writer, uint32_t field, std::string_view text) {
  if (!text.empty()) writer.Bytes(field, text);
}

void PutEntry(WireWriter& writer, uint32_t field, std::string_view key, std::string_view value) {
  const size_t entry = writer.Begin(field);
  writer.Bytes(1, key);
  writer.Bytes(2, value);
  writer.End(entry);
}

// Metadata{filter_metadata: {"aegis": Struct of texts}}
void PutMetadata(WireWriter& writer, uint32_t field, const Pairs& members) {
  if (members.empty()) return;
  const size_t metadata = writer.Begin(field);
  const size_t entry = writer.Begin(1);
  writer.Bytes(1, "aegis");
  const size_t fields = writer.Begin(2);
  for (const auto& [name, text] : members) {
    const size_t member = writer.Begin(1);
    writer.Bytes(1, name);
    const size_t value = writer.Begin(2);
    writer.Bytes(3, text);
    writer.End(value);
    writer.End(member);
  }
  writer.End(fields);
  writer.End(entry);
  writer.End(metadata);
}

// The fields of a message by number.
bool Fields(std::string_view bytes, std::vector<WireField>* out) {
  out->clear();
  WireReader reader(bytes);
  while (!reader.done()) {
    out->emplace_back();
    if (!reader.Next(out->back())) return false;
  }
  return true;
}

// HeaderValueOption
bool ReadHeader(std::string_view bytes, std::map<std::string, std::string>* out, bool* overwrite) {
  std::vector<WireField> option, header;
  if (!Fields(bytes, &option)) return false;
  uint64_t action = 0;
  std::string name, value;
  for (const WireField& field : option) {
    if (field.number == 3) action = field.value;
    if (field.number != 1) continue;
    if (!Fields(field.bytes, &header)) return false;
    for (const WireField& part : header) (part.number == 1 ? name : value) = part.bytes;
  }
  *overwrite = *overwrite && action == 2;
  return out->emplace(name, value).second;
}

bool ReadMetadata(std::string_view bytes, std::map<std::string, std::string>* out) {
  std::vector<WireField> members, entry, value;
  if (!Fields(bytes, &members)) return false;
  for (const WireField& member : members) {
    if (!Fields(member.bytes, &entry) || entry.size() != 2) return false;
    if (!Fields(entry[1].bytes, &value) || value.size() != 1 || value[0].number != 3) return false;
    if (!out->emplace(entry[0].bytes, value[0].bytes).second) return false;
  }
  return true;
}

}  // namespace

CheckSpec& CheckSpec::WithBody(std::string text, const std::string& type) {
  headers.emplace_back("content-type", type);
  headers.emplace_back("content-length", std::to_string(text.size()));
  size = static_cast<int64_t>(text.size());
  partial = "false";
  raw_body = std::move(text);
  return *this;
}

CheckSpec& CheckSpec::WithToken(const std::string& token) {
  headers.emplace_back("authorization", "Bearer " + token);
  return *this;
}

std::string CheckSpec::Encode() const {
  Pairs all = headers;
  if (pseudo) {
    all.insert(all.begin(), {{":authority", host}, {":path", path}, {":method", method}});
    all.insert(all.begin(), {":scheme", scheme});
  }
  if (!partial.empty()) all.emplace_back("x-envoy-auth-partial-body", partial);
  std::string out;
  WireWriter writer(out);
  const size_t attributes = writer.Begin(1);
  const size_t source = writer.Begin(1);
  const size_t address = writer.Begin(1);
  const size_t socket = writer.Begin(1);
  writer.Bytes(2, "10.1.2.3");
  writer.Number(3, 4567);
  writer.End(socket);
  writer.End(address);
  PutText(writer, 4, principal);
  writer.End(source);
  const size_t request = writer.Begin(4);
  const size_t http = writer.Begin(2);
  writer.Bytes(1, "17");
  PutText(writer, 2, method);
  for (const auto& [name, value] : all) {
    if (!raw_headers) PutEntry(writer, 3, name, value);
  }
  PutText(writer, 4, path);
  PutText(writer, 5, host);
  PutText(writer, 6, scheme);
  PutText(writer, 7, query);
  PutText(writer, 8, fragment);
  if (size != 0) writer.Number(9, static_cast<uint64_t>(size));
  writer.Bytes(10, "HTTP/2");
  PutText(writer, 11, body);
  PutText(writer, 12, raw_body);
  if (raw_headers) {
    const size_t map = writer.Begin(13);
    for (const auto& [name, value] : all) {
      const size_t header = writer.Begin(1);
      writer.Bytes(1, name);
      writer.Bytes(3, value);
      writer.End(header);
    }
    writer.End(map);
  }
  writer.End(http);
  writer.End(request);
  for (const auto& [name, value] : extensions) PutEntry(writer, 10, name, value);
  PutMetadata(writer, 11, metadata);
  PutMetadata(writer, 13, route_metadata);
  writer.End(attributes);
  return out;
}

CheckAnswer CheckAnswer::Read(std::string_view message) {
  CheckAnswer out;
  std::vector<WireField> top, parts, inner;
  if (!Fields(message, &top)) return out;
  for (const WireField& field : top) {
    if (field.number == 1) {
      out.code = 0;
      if (!Fields(field.bytes, &parts)) return out;
      for (const WireField& part : parts) {
        if (part.number == 1) out.code = static_cast<int64_t>(part.value);
      }
    } else if (field.number == 2 || field.number == 3) {
      const bool ok = field.number == 3;
      (ok ? out.ok : out.denied) = true;
      if (!Fields(field.bytes, &parts)) return out;
      for (const WireField& part : parts) {
        bool good = true;
        if (part.number == 2) {
          good = ReadHeader(part.bytes, ok ? &out.request_headers : &out.denied_headers,
                            &out.all_overwrite);
        } else if (ok && part.number == 5) {
          out.removed.emplace_back(part.bytes);
        } else if (ok && part.number == 6) {
          good = ReadHeader(part.bytes, &out.response_headers, &out.all_overwrite);
        } else if (!ok && part.number == 1) {
          good = Fields(part.bytes, &inner) && inner.size() == 1;
          if (good) out.status = static_cast<int>(inner[0].value);
        } else if (!ok && part.number == 3) {
          out.body = part.bytes;
        } else {
          good = false;
        }
        if (!good) return out;
      }
    } else if (field.number == 4) {
      if (!ReadMetadata(field.bytes, &out.metadata)) return out;
    } else {
      return out;  // error_response among them
    }
  }
  out.valid = out.ok != out.denied && out.ok == (out.code == 0);
  return out;
}

}  // namespace aegis::gateway::testing
