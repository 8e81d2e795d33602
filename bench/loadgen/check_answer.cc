#include "check_answer.h"

#include <cstdint>

namespace aegis::bench {
namespace {

constexpr uint64_t kStatus = 1, kDeniedResponse = 2, kOkResponse = 3;  // of CheckResponse
constexpr uint64_t kCode = 1;                                          // of google.rpc.Status

bool TakeVarint(std::string_view& bytes, uint64_t* value) {
  *value = 0;
  for (int shift = 0; shift < 64 && !bytes.empty(); shift += 7) {
    const auto byte = static_cast<uint8_t>(bytes.front());
    bytes.remove_prefix(1);
    *value |= static_cast<uint64_t>(byte & 0x7f) << shift;
    if (byte < 0x80) return true;
  }
  return false;
}

struct Field {
  uint64_t number = 0;
  uint64_t value = 0;        // of a varint
  std::string_view content;  // of what has a length
};

bool TakeField(std::string_view& bytes, Field* field) {
  uint64_t tag = 0;
  if (!TakeVarint(bytes, &tag)) return false;
  *field = Field{};
  field->number = tag >> 3;
  if ((tag & 7) == 0) return TakeVarint(bytes, &field->value);
  uint64_t length = 0;
  if ((tag & 7) != 2 || !TakeVarint(bytes, &length) || length > bytes.size()) return false;
  field->content = bytes.substr(0, length);
  bytes.remove_prefix(length);
  return true;
}

}  // namespace

int CheckAnswerCode(std::string_view message) {
  uint64_t code = 0;
  bool ok = false, denied = false;
  Field field;
  while (!message.empty()) {
    if (!TakeField(message, &field)) return kBadAnswer;
    ok = ok || field.number == kOkResponse;
    denied = denied || field.number == kDeniedResponse;
    if (field.number != kStatus) continue;
    std::string_view status = field.content;
    Field part;
    while (!status.empty()) {
      if (!TakeField(status, &part)) return kBadAnswer;
      if (part.number == kCode) code = part.value;
    }
  }
  if (code > 16 || (code == 0 ? denied : ok || !denied)) return kBadAnswer;
  return static_cast<int>(code);
}

}  // namespace aegis::bench
