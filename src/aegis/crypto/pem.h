// PEM (RFC 7468) as Go's encoding/pem reads it, which is what OPA does: text before a block is
// skipped, headers are skipped, blocks that are broken are passed over.
//
// Threading: free functions on values.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace aegis::crypto {

struct PemBlock {
  std::string type;  // "CERTIFICATE"
  std::string bytes;
};

// The next block of `text`, which then begins after the block's last line; nothing, and `text` as
// it was, when there is none. Takes time linear in what it passes.
std::optional<PemBlock> NextPemBlock(std::string_view& text);

}  // namespace aegis::crypto
