// Base64 and base64url (RFC 4648 §§4, 5). Decoding is strict: one text for each value, no white
// space.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace aegis::crypto {

// With padding.
std::string Base64Encode(std::string_view bytes);
// Padding required; nothing when `text` is not exactly what Base64Encode would write.
std::optional<std::string> Base64Decode(std::string_view text);

// Without padding, as JOSE has it (RFC 7515 §2).
std::string Base64UrlEncode(std::string_view bytes);
// Padding refused; nothing when `text` is not exactly what Base64UrlEncode would write.
std::optional<std::string> Base64UrlDecode(std::string_view text);

// What Go's encoding/base64 reads, for texts that OPA reads too: line ends are skipped, left-over
// bits ignored.
enum class Base64Form : uint8_t { kStandard, kUrl, kStandardUnpadded, kUrlUnpadded };
std::optional<std::string> Base64DecodeAsGo(std::string_view text, Base64Form form);

}  // namespace aegis::crypto
