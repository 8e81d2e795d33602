// JSON text, appended piece by piece.
#pragma once

#include <string>
#include <string_view>

namespace aegis::json {

// `text` (UTF-8) in quotes, escaped as RFC 8785 §3.2.2.2 says: '"', '\' and control characters,
// with the short forms where there are any.
void AppendString(std::string& out, std::string_view text);

// The same as Go's encoding/json writes it, which Rego's json.marshal shows: '<', '>', '&', U+2028
// and U+2029 are escaped too.
void AppendGoString(std::string& out, std::string_view text);

}  // namespace aegis::json
