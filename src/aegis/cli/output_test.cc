#include "aegis/cli/output.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <string>

#include "aegis/base/file.h"
#include "aegis/cli/context.h"

namespace aegis::cli {
namespace {

std::string Printed(const Table& table) {
  char* text = nullptr;
  size_t size = 0;
  std::FILE* stream = ::open_memstream(&text, &size);
  table.Print(stream);
  std::fclose(stream);
  std::string out(text, size);
  std::free(text);
  return out;
}

TEST(Output, NothingFromOutsideDrivesTheTerminal) {
  EXPECT_EQ(Printable("plain é 😀"), "plain é 😀");
  EXPECT_EQ(Printable("\x1b[2J\r\n\x7f"), "\\x1b[2J\\x0d\\x0a\\x7f");
  EXPECT_EQ(Printable("\xc2\x9b"
                      "2J"),
            "\\xc2\\x9b2J")
      << "the C1 form of escape-[";
}

TEST(Output, ColumnsAreAlignedByCodePoints) {
  Table table({"A", "B"});
  table.Add({"é", "1"});
  table.Add({"long", "2"});
  EXPECT_EQ(Printed(table), "A     B\né     1\nlong  2\n");
}

TEST(Output, ColoursAreForTerminalsOnly) {
  Table table({"A"});
  table.Add({"x"});
  table.PaintLast(0, Color::kRed);
  EXPECT_EQ(Printed(table), "A\nx\n");
}

TEST(Context, ARunFileOfADeadProcessIsNotARunningAegis) {
  const std::string folder = testing::TempDir() + "aegis-cli-test";
  ASSERT_TRUE(MakeDirectories(folder));
  const auto write = [&](const std::string& text) {
    ASSERT_TRUE(WriteFileAtomic(folder + "/run.json", text));
  };
  write(R"({"control":"http://127.0.0.1:1","pid":)" + std::to_string(::getpid()) + "}");
  EXPECT_EQ(ReadRunInfo(folder)->control, "http://127.0.0.1:1");
  write(R"({"control":"http://127.0.0.1:1","pid":2147483647})");
  EXPECT_EQ(ReadRunInfo(folder).error().reason, "not_running");
  write("not JSON");
  EXPECT_EQ(ReadRunInfo(folder).error().reason, "not_running");
  write(R"({"control":7,"pid":"x"})");
  EXPECT_EQ(ReadRunInfo(folder).error().reason, "not_running");
}

TEST(Context, SegmentsArePercentEncoded) {
  EXPECT_EQ(EncodeSegment("a-b.c_d~e"), "a-b.c_d~e");
  EXPECT_EQ(EncodeSegment("a/b?c%\xc3\xa9"), "a%2Fb%3Fc%25%C3%A9");
}

}  // namespace
}  // namespace aegis::cli
