#include "aegis/base/protobuf_wire.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <string>

namespace aegis {
namespace {

std::string Text(std::string_view bytes) {
  WireReader reader(bytes);
  std::string out;
  WireField field;
  while (!reader.done()) {
    if (!reader.Next(field)) return out + "broken";
    out += std::to_string(field.number) + "/" + std::to_string(static_cast<int>(field.wire)) + "=";
    out += field.wire == Wire::kBytes ? std::string(field.bytes) : std::to_string(field.value);
    out += ' ';
  }
  return out;
}

std::string_view Bytes(const char* text, size_t size) { return {text, size}; }

TEST(ProtobufWire, Reads) {
  // The examples of protobuf's documentation, and the ends of each range.
  EXPECT_EQ(Text(Bytes("\x08\x96\x01", 3)), "1/0=150 ");
  EXPECT_EQ(Text(Bytes("\x12\x07testing", 9)), "2/2=testing ");
  EXPECT_EQ(Text(Bytes("\x09\x01\0\0\0\0\0\0\x80", 9)), "1/1=9223372036854775809 ");
  EXPECT_EQ(Text(Bytes("\x0d\x02\0\0\x01", 5)), "1/5=16777218 ");
  EXPECT_EQ(Text(Bytes("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11)),
            "1/0=18446744073709551615 ");
  EXPECT_EQ(Text(Bytes("\xf8\xff\xff\xff\x0f\x00", 6)), "536870911/0=0 ");
  EXPECT_EQ(Text(Bytes("\x0a\0\x0a\x01x", 5)), "1/2= 1/2=x ");
  EXPECT_EQ(Text(""), "");
}

TEST(ProtobufWire, RefusesWhatIsNotProtobuf) {
  struct Case {
    const char* what;
    std::string_view bytes;
  };
  const Case cases[] = {
      {"field 0", Bytes("\x00\x01", 2)},
      {"field 2^29", Bytes("\x80\x80\x80\x80\x10\x00", 6)},
      {"begin of a group", Bytes("\x0b", 1)},
      {"end of a group", Bytes("\x0c", 1)},
      {"wire type 6", Bytes("\x0e\x00", 2)},
      {"wire type 7", Bytes("\x0f\x00", 2)},
      {"a tag without a value", Bytes("\x08", 1)},
      {"a number that is cut", Bytes("\x08\x96", 2)},
      {"a number of 65 bits", Bytes("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 11)},
      {"a number of 11 bytes", Bytes("\x08\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", 12)},
      {"bytes that are cut", Bytes("\x12\x03xy", 4)},
      {"a size beyond all memory", Bytes("\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11)},
      {"a fixed64 that is cut", Bytes("\x09\0\0\0\0\0\0\0", 8)},
      {"a fixed32 that is cut", Bytes("\x0d\0\0\0", 4)},
  };
  for (const Case& c : cases) EXPECT_EQ(Text(c.bytes), "broken") << c.what;
}

TEST(ProtobufWire, WritesWhatIsRead) {
  std::string out;
  WireWriter writer(out);
  writer.Number(1, 150);
  writer.Bytes(2, "testing");
  EXPECT_EQ(out, Bytes("\x08\x96\x01\x12\x07testing", 12));

  out.clear();
  writer.Number(536870911, UINT64_MAX);
  writer.Bytes(16, std::string(300, 'x'));
  writer.Double(3, -1.5);
  EXPECT_EQ(Text(out), "536870911/0=18446744073709551615 16/2=" + std::string(300, 'x') +
                           " 3/1=" + std::to_string(std::bit_cast<uint64_t>(-1.5)) + " ");
}

TEST(ProtobufWire, MessagesNestAtEverySize) {
  // Around the sizes whose length takes one byte more.
  for (const size_t size : {0, 1, 124, 125, 126, 127, 128, 16380, 16381, 16384, 2097150, 2097152}) {
    std::string out;
    WireWriter writer(out);
    const size_t outer = writer.Begin(4);
    const size_t inner = writer.Begin(5);
    writer.Bytes(1, std::string(size, 'y'));
    writer.End(inner);
    writer.Number(2, 7);
    writer.End(outer);
    writer.Number(6, 1);

    WireReader reader(out);
    WireField field;
    ASSERT_TRUE(reader.Next(field));
    EXPECT_EQ(field.number, 4u);
    WireReader in_outer(field.bytes);
    ASSERT_TRUE(in_outer.Next(field));
    EXPECT_EQ(field.number, 5u);
    EXPECT_EQ(Text(field.bytes), "1/2=" + std::string(size, 'y') + " ");
    ASSERT_TRUE(in_outer.Next(field));
    EXPECT_EQ(field.value, 7u);
    EXPECT_TRUE(in_outer.done());
    ASSERT_TRUE(reader.Next(field));
    EXPECT_EQ(field.number, 6u);
    EXPECT_TRUE(reader.done());
  }
}

}  // namespace
}  // namespace aegis
