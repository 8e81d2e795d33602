#include "aegis/crypto/digest.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <cstring>

#include "aegis/base/text.h"
#include "aegis/crypto/openssl.h"

namespace aegis::crypto {
namespace {

// Fetching an algorithm takes locks and name look-ups, so each is fetched once and kept for the
// life of the process.
const EVP_MD* Fetch(const char* name) {
  const EVP_MD* md = EVP_MD_fetch(nullptr, name, nullptr);
  AEGIS_CHECK(md != nullptr);
  return md;
}

const EVP_MD* Sha256Md() {
  static const EVP_MD* const md = Fetch("SHA256");
  return md;
}

const EVP_MD* Sha512Md() {
  static const EVP_MD* const md = Fetch("SHA512");
  return md;
}

struct ContextDeleter {
  void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
};
using ContextPtr = std::unique_ptr<EVP_MD_CTX, ContextDeleter>;

EVP_MD_CTX* NewContext() {
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  AEGIS_CHECK(context != nullptr);
  return context;
}

// `context` has been used with `md` only, so that OpenSSL keeps its state block.
void Digest(EVP_MD_CTX* context, const EVP_MD* md, std::string_view data, uint8_t* out) {
  AEGIS_CHECK(EVP_DigestInit_ex2(context, md, nullptr) == 1 &&
              EVP_DigestUpdate(context, data.data(), data.size()) == 1 &&
              EVP_DigestFinal_ex(context, out, nullptr) == 1);
}

}  // namespace

Sha256Digest Sha256(std::string_view data) {
  thread_local const ContextPtr context(NewContext());
  Sha256Digest out;
  Digest(context.get(), Sha256Md(), data, out.data());
  return out;
}

Sha512Digest Sha512(std::string_view data) {
  thread_local const ContextPtr context(NewContext());
  Sha512Digest out;
  Digest(context.get(), Sha512Md(), data, out.data());
  return out;
}

Sha256Digest HmacSha256(std::string_view key, std::string_view data) {
  const std::string mac = Hmac(HashFunction::kSha256, key, data);
  Sha256Digest out;
  std::memcpy(out.data(), mac.data(), out.size());
  return out;
}

std::string Sha256Hex(std::string_view data) {
  const Sha256Digest digest = Sha256(data);
  return HexEncode(AsText(digest));
}

const EVP_MD* MdOf(HashFunction function) {
  static const EVP_MD* const all[] = {Fetch("MD5"), Fetch("SHA1"), Fetch("SHA256"), Fetch("SHA384"),
                                      Fetch("SHA512")};
  return all[static_cast<size_t>(function)];
}

std::string Hash(HashFunction function, std::string_view data) {
  const EVP_MD* md = MdOf(function);
  const ContextPtr context(NewContext());
  std::string out(static_cast<size_t>(EVP_MD_get_size(md)), '\0');
  Digest(context.get(), md, data, reinterpret_cast<uint8_t*>(out.data()));
  return out;
}

std::string Hmac(HashFunction function, std::string_view key, std::string_view data) {
  const EVP_MD* md = MdOf(function);
  // HMAC takes an int; keys longer than a block are hashed first by its definition anyway.
  std::string hashed_key;
  if (key.size() > static_cast<size_t>(EVP_MD_get_block_size(md))) {
    hashed_key = Hash(function, key);
    key = hashed_key;
  }
  std::string out(static_cast<size_t>(EVP_MD_get_size(md)), '\0');
  unsigned int size = 0;
  AEGIS_CHECK(HMAC(md, key.data() ? key.data() : "", static_cast<int>(key.size()),
                   reinterpret_cast<const unsigned char*>(data.data()), data.size(),
                   reinterpret_cast<unsigned char*>(out.data()), &size) != nullptr &&
              size == out.size());
  return out;
}

Result<std::string> HashByName(std::string_view name, std::string_view data) {
  struct Known {
    std::string_view name;
    const char* openssl_name;
  };
  static constexpr Known kKnown[] = {
      {"SHA-256", "SHA256"}, {"SHA-224", "SHA224"},         {"SHA-384", "SHA384"},
      {"SHA-512", "SHA512"}, {"SHA-512-224", "SHA512-224"}, {"SHA-512-256", "SHA512-256"},
  };
  for (const Known& known : kKnown) {
    if (known.name != name) continue;
    EVP_MD* md = EVP_MD_fetch(nullptr, known.openssl_name, nullptr);
    if (md == nullptr) break;
    const ContextPtr context(NewContext());
    std::string out(static_cast<size_t>(EVP_MD_get_size(md)), '\0');
    Digest(context.get(), md, data, reinterpret_cast<uint8_t*>(out.data()));
    EVP_MD_free(md);
    return out;
  }
  return Fail(Code::kInvalidArgument, "hash_unsupported",
              "the hash algorithm is not supported; use SHA-256");
}

Sha256Hasher::Sha256Hasher() : context_(NewContext()) {
  AEGIS_CHECK(EVP_DigestInit_ex2(static_cast<EVP_MD_CTX*>(context_), Sha256Md(), nullptr) == 1);
}

Sha256Hasher::~Sha256Hasher() { EVP_MD_CTX_free(static_cast<EVP_MD_CTX*>(context_)); }

void Sha256Hasher::Update(std::string_view data) {
  AEGIS_CHECK(EVP_DigestUpdate(static_cast<EVP_MD_CTX*>(context_), data.data(), data.size()) == 1);
}

Sha256Digest Sha256Hasher::Finish() {
  auto* context = static_cast<EVP_MD_CTX*>(context_);
  Sha256Digest out;
  AEGIS_CHECK(EVP_DigestFinal_ex(context, out.data(), nullptr) == 1 &&
              EVP_DigestInit_ex2(context, Sha256Md(), nullptr) == 1);
  return out;
}

bool ConstantTimeEquals(std::string_view a, std::string_view b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

}  // namespace aegis::crypto
