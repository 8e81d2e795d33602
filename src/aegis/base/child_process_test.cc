#include "aegis/base/child_process.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

namespace aegis {
namespace {

Result<ChildOutput> Shell(const std::string& script, std::string_view input = {},
                          const ChildLimits& limits = {}) {
  return RunChild("/bin/sh", {"-c", script}, input, limits);
}

TEST(ChildProcessTest, BytesInBytesOut) {
  std::string input(1'000'000, 'x');
  input += std::string("\0end\n", 5);
  const Result<ChildOutput> echoed = RunChild("/bin/cat", {}, input);
  ASSERT_TRUE(echoed) << echoed.error().ToString();
  EXPECT_EQ(echoed->exit_code, 0);
  EXPECT_EQ(echoed->out, input);
  // It need not read what it is given.
  const Result<ChildOutput> said = Shell("echo out; echo err >&2; exit 3", input);
  ASSERT_TRUE(said);
  EXPECT_EQ(said->exit_code, 3);
  EXPECT_EQ(said->out, "out\n");
  EXPECT_EQ(said->err, "err\n");
}

TEST(ChildProcessTest, NothingIsInherited) {
  ::setenv("AEGIS_CHILD_TEST", "secret", 1);
  const int leaked = ::dup(0);  // without close-on-exec
  const Result<ChildOutput> seen =
      Shell("echo \"$AEGIS_CHILD_TEST\"; /bin/pwd; /bin/ls /proc/self/fd | /bin/grep -c .");
  ASSERT_TRUE(seen);
  // 0, 1, 2, and the folder that ls reads.
  EXPECT_EQ(seen->out, "\n/\n4\n");
  ::close(leaked);
}

TEST(ChildProcessTest, SignalsAreAsAProgramExpectsThem) {
  sigset_t blocked, before;
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &blocked, &before);
  const Result<ChildOutput> ended = Shell("kill -TERM $$; echo still here");
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  ASSERT_TRUE(ended);
  EXPECT_EQ(ended->exit_code, 128 + SIGTERM);
  EXPECT_EQ(ended->out, "");
}

TEST(ChildProcessTest, Limits) {
  EXPECT_EQ(Shell("/bin/sleep 60", {}, {.time = std::chrono::milliseconds(50)}).error().reason,
            "child_timeout");
  // Its outputs may end long before it does.
  EXPECT_EQ(Shell("exec >&- 2>&-; /bin/sleep 60", {}, {.time = std::chrono::milliseconds(50)})
                .error()
                .reason,
            "child_timeout");
  // What it started itself keeps the output open, and goes with it.
  EXPECT_EQ(
      Shell("/bin/sleep 60 & exit", {}, {.time = std::chrono::milliseconds(50)}).error().reason,
      "child_timeout");
  EXPECT_EQ(RunChild("/usr/bin/yes", {}, {}, {.max_output_bytes = 1000}).error().reason,
            "child_output_too_large");
  const Result<ChildOutput> exact = Shell("printf 12345", {}, {.max_output_bytes = 5});
  ASSERT_TRUE(exact);
  EXPECT_EQ(exact->out, "12345");
  const Result<ChildOutput> noisy = Shell("/usr/bin/yes | /usr/bin/head -c 200000 >&2");
  ASSERT_TRUE(noisy);
  EXPECT_EQ(noisy->err.size(), ChildLimits::kMaxErrorBytes);
  const std::string file = testing::TempDir() + "aegis-child-test";
  const Result<ChildOutput> files = Shell("echo x > " + file);
  ::unlink(file.c_str());
  ASSERT_TRUE(files);
  EXPECT_NE(files->exit_code, 0);
  const Result<ChildOutput> memory =
      Shell("/bin/dd if=/dev/zero of=/dev/null bs=200M count=1", {},
            {.time = std::chrono::seconds(20), .max_address_space = size_t{64} << 20});
  ASSERT_TRUE(memory) << memory.error().ToString();
  EXPECT_NE(memory->exit_code, 0);
}

TEST(ChildProcessTest, SaysWhatCannotBeRun) {
  const Error missing = RunChild("/no/such/program", {}, {}).error();
  EXPECT_EQ(missing.reason, "child_not_started");
  EXPECT_NE(missing.message.find("/no/such/program"), std::string::npos);
  EXPECT_EQ(RunChild("/etc/passwd", {}, {}).error().reason, "child_not_started");
}

}  // namespace
}  // namespace aegis
