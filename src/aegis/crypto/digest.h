// Hashes and comparisons over OpenSSL 3, with the algorithms fetched once.
//
// Threading: free functions are thread-safe; a Sha256Hasher belongs to one thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "aegis/base/result.h"

namespace aegis::crypto {

using Sha256Digest = std::array<uint8_t, 32>;
using Sha512Digest = std::array<uint8_t, 64>;

// FIPS 180-4. No allocation once the thread has hashed before.
Sha256Digest Sha256(std::string_view data);
Sha512Digest Sha512(std::string_view data);
// RFC 2104. Any key length.
Sha256Digest HmacSha256(std::string_view key, std::string_view data);

// Lower-case hexadecimal of Sha256.
std::string Sha256Hex(std::string_view data);

// Hash functions that are chosen at run time. MD5 and SHA-1 are for policies that must reproduce a
// digest made elsewhere; nothing in Aegis relies on them.
enum class HashFunction : uint8_t { kMd5, kSha1, kSha256, kSha384, kSha512 };
// The raw digest.
std::string Hash(HashFunction function, std::string_view data);
// RFC 2104. Any key length.
std::string Hmac(HashFunction function, std::string_view key, std::string_view data);

// The hash algorithms that OPA's bundle signatures name: MD5, SHA-1, SHA-224, SHA-256, SHA-384,
// SHA-512, SHA-512-224, SHA-512-256. Gives the raw digest. Errors: hash_unsupported for any other
// name, and for MD5 and SHA-1, which no longer prove anything.
Result<std::string> HashByName(std::string_view name, std::string_view data);

// SHA-256 of data that comes in pieces.
class Sha256Hasher {
 public:
  Sha256Hasher();
  ~Sha256Hasher();
  Sha256Hasher(const Sha256Hasher&) = delete;
  Sha256Hasher& operator=(const Sha256Hasher&) = delete;

  void Update(std::string_view data);
  // The digest of all updates; the hasher then starts anew.
  Sha256Digest Finish();

 private:
  void* context_;  // EVP_MD_CTX
};

// Compares in a time that depends on the sizes only.
bool ConstantTimeEquals(std::string_view a, std::string_view b);

inline std::string_view AsText(const Sha256Digest& digest) {
  return {reinterpret_cast<const char*>(digest.data()), digest.size()};
}

}  // namespace aegis::crypto
