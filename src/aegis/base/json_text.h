// Text that we did not write, as a JSON string: for logs and audit records, which must be valid
// whatever was sent to us.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace aegis {

// Appends `text` with quotes, escaped as RFC 8785 §3.2.2.2 wants it. Bytes that are not UTF-8
// (RFC 3629) become U+FFFD each. A text of more than `max_bytes` bytes is cut at a character, and
// "…" is put at its end.
void AppendJsonText(std::string& out, std::string_view text, size_t max_bytes = SIZE_MAX);

// A name as part of a JSON Pointer (RFC 6901 §3), without the '/' before it.
std::string EscapeJsonPointer(std::string_view name);

}  // namespace aegis
