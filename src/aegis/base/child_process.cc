#include "aegis/base/child_process.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "aegis/base/file.h"

namespace aegis {
namespace {

using std::chrono::steady_clock;

// Descriptors 0 to 3 are those of the child's program; ours must not be among them when they are
// put there.
constexpr int kFirstFree = 10;

Error NotStarted(const std::string& path, std::string_view what, int error_number) {
  Error error = SystemError(what, path, error_number);
  error.reason = "child_not_started";
  return error;
}

struct Pipe {
  FileDescriptor read, write;
};

Result<FileDescriptor> MovedUp(int fd, const std::string& path) {
  const FileDescriptor low(fd);
  const int moved = ::fcntl(fd, F_DUPFD_CLOEXEC, kFirstFree);
  if (moved < 0) return Fail(NotStarted(path, "cannot run", errno));
  return FileDescriptor(moved);
}

Result<Pipe> MakePipe(const std::string& path) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return Fail(NotStarted(path, "cannot run", errno));
  Result<FileDescriptor> read = MovedUp(ends[0], path);
  Result<FileDescriptor> write = MovedUp(ends[1], path);
  if (!read) return Fail(std::move(read).error());
  if (!write) return Fail(std::move(write).error());
  return Pipe{*std::move(read), *std::move(write)};
}

// The input as a file in memory: the child reads it at its own pace and nobody has to feed it.
Result<FileDescriptor> MakeInput(const std::string& path, std::string_view input) {
  const int made = ::memfd_create("input", MFD_CLOEXEC);
  if (made < 0) return Fail(NotStarted(path, "cannot run", errno));
  AEGIS_TRY(FileDescriptor file, MovedUp(made, path));
  while (!input.empty()) {
    const ssize_t written = ::write(file.get(), input.data(), input.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return Fail(NotStarted(path, "cannot hand the input to", errno));
    input.remove_prefix(static_cast<size_t>(written));
  }
  if (::lseek(file.get(), 0, SEEK_SET) != 0) return Fail(NotStarted(path, "cannot run", errno));
  return file;
}

void Limit(__rlimit_resource what, rlim_t value) {
  const rlimit limit{value, value};
  ::setrlimit(what, &limit);
}

// Between vfork and exec: only system calls, since the memory is the parent's, whose other threads
// run on and may hold any lock.
[[noreturn]] void BecomeChild(const char* path, char* const* argv, const int (&fds)[4],
                              const ChildLimits& limits) {
  for (int i = 0; i < 4; ++i) ::dup2(fds[i], i);
  ::fcntl(3, F_SETFD, FD_CLOEXEC);  // says why exec failed
  ::syscall(SYS_close_range, 4U, ~0U, 0U);
  struct sigaction ended{};
  ended.sa_handler = SIG_DFL;
  ::sigaction(SIGPIPE, &ended, nullptr);
  ::setpgid(0, 0);
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  Limit(RLIMIT_AS, limits.max_address_space);
  Limit(RLIMIT_CPU, static_cast<rlim_t>(limits.time.count() / 1000 * 4 + 1));
  Limit(RLIMIT_FSIZE, 0);
  Limit(RLIMIT_CORE, 0);
  Limit(RLIMIT_NOFILE, 64);
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  char* const environment[] = {nullptr};
  if (::chdir("/") == 0) ::execve(path, argv, environment);
  const int error_number = errno;
  [[maybe_unused]] const ssize_t told = ::write(3, &error_number, sizeof error_number);
  ::_exit(127);
}

// A child that was started; killed, with what it started itself, unless it was waited for.
class Child {
 public:
  explicit Child(pid_t pid) : pid_(pid) {}
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child() {
    if (pid_ <= 0) return;
    ::kill(-pid_, SIGKILL);
    ::kill(pid_, SIGKILL);
    Wait();
  }
  // Whether it has ended by then: it may have closed its outputs and live on.
  bool EndsBy(steady_clock::time_point deadline) const {
    const FileDescriptor self(static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0)));
    if (!self) return true;  // a kernel older than 5.3: Wait waits
    while (true) {
      const auto left =
          std::chrono::duration_cast<std::chrono::milliseconds>(deadline - steady_clock::now());
      pollfd polled{self.get(), POLLIN, 0};
      const int ready = ::poll(&polled, 1, static_cast<int>(std::max<int64_t>(0, left.count())));
      if (ready >= 0 || errno != EINTR) return ready != 0;
    }
  }
  int Wait() {
    int status = 0;
    while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
    }
    pid_ = 0;
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
  }

 private:
  pid_t pid_;
};

// Appends what can be read now; false at the end of the stream.
bool ReadSome(int fd, std::string& into, size_t max_bytes) {
  std::array<char, 65536> buffer;
  const ssize_t got = ::read(fd, buffer.data(), buffer.size());
  if (got < 0) return errno == EINTR || errno == EAGAIN;
  const size_t room = max_bytes - std::min(into.size(), max_bytes);
  into.append(buffer.data(), std::min(static_cast<size_t>(got), room));
  return got > 0;
}

tl::unexpected<Error> TimedOut(const std::string& path, const ChildLimits& limits) {
  return Fail(Code::kDeadlineExceeded, "child_timeout",
              path + " did not end within " + std::to_string(limits.time.count()) + " ms");
}

Status Collect(const std::string& path, FileDescriptor& out, FileDescriptor& err,
               const ChildLimits& limits, steady_clock::time_point deadline, ChildOutput& output) {
  while (out || err) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - steady_clock::now());
    if (left.count() <= 0) return TimedOut(path, limits);
    pollfd polled[] = {{out ? out.get() : -1, POLLIN, 0}, {err ? err.get() : -1, POLLIN, 0}};
    if (::poll(polled, 2, static_cast<int>(left.count())) < 0 && errno != EINTR) {
      return Fail(SystemError("cannot read from", path, errno));
    }
    // One byte more than allowed tells too much from just enough.
    if (polled[0].revents != 0 && !ReadSome(out.get(), output.out, limits.max_output_bytes + 1)) {
      out.Close();
    }
    if (polled[1].revents != 0 && !ReadSome(err.get(), output.err, ChildLimits::kMaxErrorBytes)) {
      err.Close();
    }
    if (output.out.size() > limits.max_output_bytes) {
      return Fail(Code::kResourceExhausted, "child_output_too_large",
                  path + " wrote more than " + std::to_string(limits.max_output_bytes) + " bytes");
    }
  }
  return Ok();
}

}  // namespace

Result<ChildOutput> RunChild(const std::string& path, const std::vector<std::string>& arguments,
                             std::string_view input, const ChildLimits& limits) {
  AEGIS_TRY(FileDescriptor in, MakeInput(path, input));
  AEGIS_TRY(Pipe out, MakePipe(path));
  AEGIS_TRY(Pipe err, MakePipe(path));
  AEGIS_TRY(Pipe started, MakePipe(path));
  std::vector<std::string> words{path};
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  const int fds[4] = {in.get(), out.write.get(), err.write.get(), started.write.get()};

  // No handler of ours may run in the child.
  sigset_t all, before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  // fork would copy the page tables of a process that may be large, and slow down its threads.
  const pid_t pid = ::vfork();
  if (pid == 0) BecomeChild(path.c_str(), argv.data(), fds, limits);
  const int fork_error = errno;
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (pid < 0) return Fail(NotStarted(path, "cannot run", fork_error));
  Child child(pid);
  in.Close();
  out.write.Close();
  err.write.Close();
  started.write.Close();
  int error_number = 0;
  ssize_t told = 0;
  while ((told = ::read(started.read.get(), &error_number, sizeof error_number)) < 0 &&
         errno == EINTR) {
  }
  if (told == sizeof error_number) return Fail(NotStarted(path, "cannot run", error_number));

  const auto deadline = steady_clock::now() + limits.time;
  ChildOutput output;
  AEGIS_RETURN_IF_ERROR(Collect(path, out.read, err.read, limits, deadline, output));
  if (!child.EndsBy(deadline)) return TimedOut(path, limits);
  output.exit_code = child.Wait();
  return output;
}

}  // namespace aegis
