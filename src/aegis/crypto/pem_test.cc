#include "aegis/crypto/pem.h"

#include <gtest/gtest.h>

#include "aegis/crypto/der.h"

namespace aegis::crypto {
namespace {

// All blocks as "TYPE=bytes;", then what is left.
std::string Blocks(std::string_view text) {
  std::string out;
  while (const std::optional<PemBlock> block = NextPemBlock(text)) {
    out += block->type + "=" + block->bytes + ";";
  }
  return out + std::string(text);
}

TEST(Pem, BlocksAsGoReadsThem) {
  const std::pair<std::string_view, std::string_view> kCases[] = {
      {"", ""},
      {"junk", "junk"},
      {"-----BEGIN A-----\nYQ==\n-----END A-----\n", "A=a;"},
      {"-----BEGIN A-----\nYQ==\n-----END A-----", "A=a;"},
      {"-----BEGIN A-----\r\nYQ==\r\n-----END A-----\r\n\n", "A=a;\n"},
      {"x\n-----BEGIN A-----\nY Q\t=\n=\n-----END A----- \ny", "A=a;y"},
      {"-----BEGIN A-----\n-----END A-----\n", "A=;"},
      {"-----BEGIN A-----\nK: v\n\nYQ==\n-----END A-----\n", "A=a;"},
      {"-----BEGIN A-----\n-----BEGIN B-----\nYg==\n-----END B-----\n", "B=b;"},
      {"-----BEGIN A-----\nYQ==\n-----END B-----\n-----BEGIN C-----\nYw==\n-----END C-----\n",
       "C=c;"},
      {"-----BEGIN A-----\n!\n-----END A-----\n-----BEGIN C-----\nYw==\n-----END C-----\n", "C=c;"},
      {"x-----BEGIN A-----\nYQ==\n-----END A-----\n",
       "x-----BEGIN A-----\nYQ==\n-----END A-----\n"},
      {"-----BEGIN A-----\nYQ==\n-----END A-----x\n",
       "-----BEGIN A-----\nYQ==\n-----END A-----x\n"},
      {"-----BEGIN A\nYQ==\n-----END A-----\n", "-----BEGIN A\nYQ==\n-----END A-----\n"},
      {"-----BEGIN \nYQ==\n-----END A-----\n", "-----BEGIN \nYQ==\n-----END A-----\n"},
  };
  for (const auto& [text, blocks] : kCases) EXPECT_EQ(Blocks(text), blocks) << text;
}

TEST(Pem, ManyEndsTakeLinearTime) {
  std::string text = "-----BEGIN A-----";
  for (int i = 0; i < 100'000; ++i) text += "\n-----END ";
  EXPECT_EQ(Blocks(text), text);
}

TEST(Der, OnlyTheShortestFormIsRead) {
  const auto read = [](std::string_view der) {
    DerReader reader(der);
    uint8_t tag = 0;
    std::string_view contents;
    return reader.ReadAny(tag, contents);
  };
  using namespace std::string_view_literals;
  EXPECT_TRUE(read("\x04\x01x"sv));
  for (const std::string_view bad :
       {""sv, "\x04"sv, "\x04\x02x"sv, "\x04\x81\x01x"sv, "\x04\x80x\0\0"sv, "\x1f\x01x"sv,
        "\x04\x82\0\x80"sv, "\x04\x85\0\0\0\0\1x"sv, "\x04\x84\xff\xff\xff\xff"sv}) {
    EXPECT_FALSE(read(bad));
  }
  const std::pair<std::string_view, int64_t> kIntegers[] = {
      {"\x02\x01\x00"sv, 0}, {"\x02\x01\xff"sv, -1}, {"\x02\x02\x00\x80"sv, 128}};
  for (const auto& [der, value] : kIntegers) {
    int64_t out = 5;
    EXPECT_TRUE(DerReader(der).ReadInt(out));
    EXPECT_EQ(out, value);
  }
  int64_t out = 0;
  for (const std::string_view bad : {"\x02\x00"sv, "\x02\x02\x00\x01"sv, "\x02\x02\xff\xff"sv,
                                     "\x02\x09\x01\0\0\0\0\0\0\0\0"sv}) {
    EXPECT_FALSE(DerReader(bad).ReadInt(out));
  }
  std::string bits;
  EXPECT_TRUE(DerReader("\x03\x02\x04\xf0"sv).ReadBitString(bits));
  EXPECT_EQ(bits, "\x0f");
  EXPECT_FALSE(DerReader("\x03\x02\x04\xff"sv).ReadBitString(bits));
  EXPECT_FALSE(DerReader("\x03\x01\x01"sv).ReadBitString(bits));
}

TEST(Der, ObjectIdentifiers) {
  using namespace std::string_view_literals;
  EXPECT_EQ(OidText("\x2a\x86\x48\x86\xf7\x0d"sv), "1.2.840.113549");
  EXPECT_EQ(OidText("\x88\x37"sv), "2.999");
  EXPECT_EQ(OidText("\x2a\xff\xff\xff\xff\xff\xff\xff\xff\x7f"sv), "1.2.9223372036854775807");
  for (const std::string_view bad : {""sv, "\x80\x01"sv, "\x2a\x86"sv}) {
    EXPECT_EQ(OidText(bad), std::nullopt);
  }
  EXPECT_EQ(OidText("\x2a" + std::string(30, '\xff') + "\x7f"), std::nullopt);
  std::vector<int64_t> arcs;
  EXPECT_TRUE(DerReader("\x06\x03\x55\x1d\x11"sv).ReadOid(arcs));
  EXPECT_EQ(arcs, (std::vector<int64_t>{2, 5, 29, 17}));
  EXPECT_FALSE(DerReader("\x06\x06\x2a\xff\xff\xff\xff\x7f"sv).ReadOid(arcs));
}

}  // namespace
}  // namespace aegis::crypto
