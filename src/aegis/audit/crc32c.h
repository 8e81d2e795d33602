// CRC-32C (Castagnoli; RFC 3720 §12.1): tells damaged bytes from whole ones in segment files.
#pragma once

#include <cstdint>
#include <string_view>

namespace aegis::audit {

// Of `data`, going on from `crc`, the value for what came before (0: nothing). Uses the processor's
// instruction where there is one.
uint32_t Crc32c(std::string_view data, uint32_t crc = 0);

// The portable way; the reference for the fast one in tests.
uint32_t Crc32cPortable(std::string_view data, uint32_t crc = 0);

}  // namespace aegis::audit
