#include "aegis/crypto/digest.h"

#include <gtest/gtest.h>

#include <string>
#include <thread>

#include "aegis/base/text.h"
#include "aegis/crypto/base64.h"

namespace aegis::crypto {
namespace {

template <size_t n>
std::string Hex(const std::array<uint8_t, n>& digest) {
  return HexEncode({reinterpret_cast<const char*>(digest.data()), n});
}

// FIPS 180-4 example messages.
TEST(Digest, Sha2) {
  EXPECT_EQ(Sha256Hex(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(Sha256Hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(Hex(Sha512("abc")),
            "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
            "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f");
}

TEST(Digest, InPiecesAndAgain) {
  Sha256Hasher hasher;
  for (int round = 0; round < 2; ++round) {
    hasher.Update("a");
    hasher.Update("");
    hasher.Update("bc");
    EXPECT_EQ(hasher.Finish(), Sha256("abc"));
  }
}

// RFC 4231 §§4.3 and 4.7 (a key longer than a block).
TEST(Digest, Hmac) {
  EXPECT_EQ(Hex(HmacSha256("Jefe", "what do ya want for nothing?")),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
  EXPECT_EQ(Hex(HmacSha256(std::string(131, '\xaa'),
                           "Test Using Larger Than Block-Size Key - Hash Key First")),
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

TEST(Digest, ByName) {
  EXPECT_EQ(HexEncode(*HashByName("SHA-256", "abc")), Sha256Hex("abc"));
  EXPECT_EQ(HashByName("SHA-512-256", "")->size(), 32u);
  EXPECT_EQ(HashByName("SHA-224", "")->size(), 28u);
  EXPECT_EQ(HashByName("MD5", "").error().reason, "hash_unsupported");
  EXPECT_EQ(HashByName("SHA-1", "").error().reason, "hash_unsupported");
  EXPECT_EQ(HashByName("sha-256", "").error().reason, "hash_unsupported");
}

TEST(Digest, FromManyThreads) {
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([] {
      for (int i = 0; i < 1000; ++i) {
        const std::string text = std::to_string(i);
        ASSERT_EQ(Sha256(text), Sha256(text));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST(Digest, ConstantTimeEquals) {
  EXPECT_TRUE(ConstantTimeEquals("", ""));
  EXPECT_TRUE(ConstantTimeEquals("abc", "abc"));
  EXPECT_FALSE(ConstantTimeEquals("abc", "abd"));
  EXPECT_FALSE(ConstantTimeEquals("abc", "abcd"));
}

// RFC 4648 §10.
TEST(Base64, Vectors) {
  const std::pair<std::string_view, std::string_view> kCases[] = {{"", ""},
                                                                  {"f", "Zg=="},
                                                                  {"fo", "Zm8="},
                                                                  {"foo", "Zm9v"},
                                                                  {"foob", "Zm9vYg=="},
                                                                  {"fooba", "Zm9vYmE="},
                                                                  {"foobar", "Zm9vYmFy"}};
  for (const auto& [plain, encoded] : kCases) {
    EXPECT_EQ(Base64Encode(plain), encoded);
    EXPECT_EQ(Base64Decode(encoded), plain);
    std::string unpadded(encoded);
    while (unpadded.ends_with('=')) unpadded.pop_back();
    EXPECT_EQ(Base64UrlEncode(plain), unpadded);
    EXPECT_EQ(Base64UrlDecode(unpadded), plain);
  }
  EXPECT_EQ(Base64UrlEncode("\xfb\xff"), "-_8");
  EXPECT_EQ(Base64Encode("\xfb\xff"), "+/8=");
}

TEST(Base64, RefusesAllButOneText) {
  for (const std::string_view text : {"Zg", "Zg=", "Zh==", "Zm9=", "Zm9v\n", " Zm9v", "Zm-v",
                                      "====", "A===", "AA=A", "=AAA", "AAA\0"}) {
    EXPECT_EQ(Base64Decode(text), std::nullopt) << text;
  }
  for (const std::string_view text :
       {"Zg==", "Zh", "Zm9", "Z", "Zm+v", "Zm/v", "Zm9v=", "Zm 9v", "Zm9vZ"}) {
    EXPECT_EQ(Base64UrlDecode(text), std::nullopt) << text;
  }
}

}  // namespace
}  // namespace aegis::crypto
