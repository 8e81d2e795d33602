// Kills a process that writes the audit journal, again and again, at random moments, and checks
// after each time that every record it had been told is durable is there, in order and without a
// gap.
//
//   journal_crash_test [--rounds N] [--seconds S] [--seed N] [--folder DIR]
//   journal_crash_test --append DIR SEED      (the writer: a stream of Acknowledgement to standard
//   output)
#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <filesystem>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "aegis/audit/journal.h"
#include "aegis/audit/reader.h"
#include "aegis/base/file.h"

namespace aegis::audit {
namespace {

using SteadyClock = std::chrono::steady_clock;

constexpr char kTag[] = "\"tag\":";

// What the writer tells of each record that is durable.
struct Acknowledgement {
  uint64_t sequence = 0;
  uint64_t tag = 0;  // random; stands in the record
};

Journal::Options Options(const std::string& folder) {
  // Small enough for every round to rotate a few times.
  return {.folder = folder, .producer = "crash-test", .segment_bytes = 1 << 20};
}

[[noreturn]] void Die(const std::string& message) {
  std::fprintf(stderr, "journal_crash_test: %s\n", message.c_str());
  std::exit(1);
}

// ------------------------------------------------------------------------------------ the writer

// A worker with some calls in flight: each record that becomes durable is told and appended anew.
class Worker final : public DurableSink {
 public:
  Worker(Journal& journal, uint64_t seed, size_t in_flight)
      : journal_(journal), random_(seed), large_(seed % 4 == 0), records_(in_flight) {}

  void Start() {
    for (PendingRecord& record : records_) Submit(record);
  }

  void OnDurable(std::span<PendingRecord* const> records) override {
    // One write per 4096 bytes is atomic, so a kill leaves no half of an acknowledgement.
    std::vector<Acknowledgement> told;
    for (const PendingRecord* record : records) {
      if (record->failed) Die("the journal failed: " + journal_.last_error());
      told.push_back({record->sequence, reinterpret_cast<uint64_t>(record->context)});
    }
    constexpr size_t kAtOnce = 4096 / sizeof(Acknowledgement);
    for (size_t at = 0; at < told.size(); at += kAtOnce) {
      const size_t bytes = std::min(kAtOnce, told.size() - at) * sizeof(Acknowledgement);
      if (::write(STDOUT_FILENO, told.data() + at, bytes) != static_cast<ssize_t>(bytes))
        std::exit(0);  // the parent is gone
    }
    for (PendingRecord* record : records) Submit(*record);
  }

 private:
  void Submit(PendingRecord& record) {
    const std::lock_guard lock(mutex_);    // the first records come from a thread of their own
    const uint64_t tag = random_() >> 12;  // exact in JSON
    // Mostly like real records, sometimes large, so that kills fall into writes.
    const size_t size = large_ || random_() % 50 == 0 ? random_() % 500'000 : random_() % 800;
    record.context = reinterpret_cast<void*>(tag);
    record.head = "{\"seq\":";
    record.tail =
        "," + (kTag + std::to_string(tag)) + ",\"text\":\"" + std::string(size, 'x') + "\"}";
    if (!journal_.Append(&record, this)) Die("the journal refused a record");
  }

  Journal& journal_;
  std::mutex mutex_;
  std::mt19937_64 random_;
  const bool large_;
  std::deque<PendingRecord> records_;
};

int Append(const std::string& folder, uint64_t seed) {
  Journal::Recovery recovery;
  auto journal = Journal::Open(Options(folder), &recovery);
  if (!journal) Die("the writer cannot open the journal: " + journal.error().message);
  std::deque<Worker> workers;
  std::vector<std::thread> threads;
  for (uint64_t i = 0; i < 4; ++i) workers.emplace_back(**journal, seed + i, 1 + seed % 40);
  for (Worker& worker : workers) threads.emplace_back([&worker] { worker.Start(); });
  for (;;) ::pause();  // until killed
}

// ------------------------------------------------------------------------------------ the killer

struct Totals {
  uint64_t rounds = 0, acknowledged = 0, torn = 0, torn_bytes = 0, before_first = 0;
};

class Killer {
 public:
  Killer(std::string folder, uint64_t seed) : folder_(std::move(folder)), random_(seed) {}

  void Round() {
    const std::vector<Acknowledgement> told = RunAndKill();
    ++totals_.rounds;
    totals_.acknowledged += told.size();
    totals_.before_first += told.empty();
    for (const Acknowledgement& one : told) {
      if (one.sequence >= tags_.size()) tags_.resize(one.sequence + 1);
      if (tags_[one.sequence] != 0) Die("a sequence number was given twice");
      tags_[one.sequence] = one.tag;
    }
    // Opening repairs; the next writer finds a sealed segment, or, now and then, repairs itself.
    if (random_() % 4 != 0) {
      Journal::Recovery recovery;
      const auto journal = Journal::Open(Options(folder_), &recovery);
      if (!journal) Die("recovery failed: " + journal.error().message);
      if (recovery.next_sequence < tags_.size()) Die("acknowledged records are missing at the end");
      if (recovery.records + 1 != recovery.next_sequence) Die("the sequence does not begin with 1");
      totals_.torn += recovery.truncated_bytes != 0;
      totals_.torn_bytes += recovery.truncated_bytes;
    }
    if (!told.empty()) CheckFrom(told.front().sequence);
  }

  // Every record, from the first.
  void CheckAll() { CheckFrom(1); }
  const Totals& totals() const { return totals_; }

 private:
  std::vector<Acknowledgement> RunAndKill() {
    int pipe[2];
    if (::pipe2(pipe, O_CLOEXEC) != 0) Die("no pipe");
    const FileDescriptor read_end(pipe[0]);
    FileDescriptor write_end(pipe[1]);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, write_end.get(), STDOUT_FILENO);
    std::string seed = std::to_string(random_() % 1'000'000);
    char self[] = "/proc/self/exe", append[] = "--append";
    char* arguments[] = {self, append, folder_.data(), seed.data(), nullptr};
    pid_t child = 0;
    if (::posix_spawn(&child, self, &actions, nullptr, arguments, environ) != 0) Die("no child");
    posix_spawn_file_actions_destroy(&actions);
    write_end.Close();

    // Mostly some time after the first acknowledgement, sometimes while it is still opening.
    const bool early = random_() % 5 == 0;
    const auto delay = std::chrono::microseconds(random_() % (early ? 20'000 : 60'000));
    auto deadline = SteadyClock::now() + (early ? delay : std::chrono::seconds(20));
    std::vector<Acknowledgement> told;
    bool killed = false;
    std::string bytes;
    for (;;) {
      if (!killed && SteadyClock::now() >= deadline) {
        ::kill(child, SIGKILL);
        killed = true;
      }
      pollfd waiting{read_end.get(), POLLIN, 0};
      const auto left =
          std::chrono::duration_cast<std::chrono::milliseconds>(deadline - SteadyClock::now())
              .count();
      if (::poll(&waiting, 1, killed ? -1 : static_cast<int>(std::max<int64_t>(left, 0))) < 0)
        continue;
      if (waiting.revents == 0) continue;
      char buffer[65536];
      const ssize_t got = ::read(read_end.get(), buffer, sizeof buffer);
      if (got < 0) continue;
      if (got == 0) break;
      if (bytes.empty() && !early) deadline = SteadyClock::now() + delay;
      bytes.append(buffer, static_cast<size_t>(got));
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL) Die("the writer ended by itself");
    if (bytes.size() % sizeof(Acknowledgement) != 0) Die("half an acknowledgement");
    told.resize(bytes.size() / sizeof(Acknowledgement));
    if (!told.empty()) std::memcpy(told.data(), bytes.data(), bytes.size());
    std::sort(told.begin(), told.end(),
              [](const auto& a, const auto& b) { return a.sequence < b.sequence; });
    return told;
  }

  // Reads all records from `first` on and compares them with what was told.
  void CheckFrom(uint64_t first) {
    auto reader = Reader::Open(folder_);
    if (!reader) Die("cannot read: " + reader.error().message);
    Entry entry;
    if (first != 1) {
      if (Status status = (*reader)->SeekToEnd(); !status) Die(status.error().message);
      do {
        const auto more = (*reader)->Previous(entry);
        if (!more) Die("reading backward: " + more.error().message);
        if (!*more) Die("record " + std::to_string(first) + " is missing");
      } while (entry.sequence > first);
    }
    uint64_t expected = first;
    for (;; ++expected) {
      const auto more = (*reader)->Next(entry);
      if (!more) Die("reading: " + more.error().message);
      if (!*more) break;
      if (entry.sequence != expected) Die("a gap at " + std::to_string(expected));
      const size_t at = entry.json.find(kTag);
      if (at == std::string::npos) Die("not our record: " + entry.json.substr(0, 100));
      const uint64_t tag = std::strtoull(entry.json.c_str() + at + std::strlen(kTag), nullptr, 10);
      if (expected < tags_.size() && tags_[expected] != 0 && tags_[expected] != tag)
        Die("record " + std::to_string(expected) + " is not the one that was acknowledged");
    }
    if (expected < tags_.size())
      Die("records " + std::to_string(expected) + " to " + std::to_string(tags_.size() - 1) +
          " were acknowledged and are lost");
  }

  std::string folder_;
  std::mt19937_64 random_;
  std::vector<uint64_t> tags_ = {0};  // by sequence number; 0: not acknowledged
  Totals totals_;
};

int Main(int argc, char** argv) {
  uint64_t rounds = 120, seconds = 45;
  uint64_t seed = std::random_device{}();
  std::string folder;
  for (int i = 1; i < argc; ++i) {
    const std::string_view option = argv[i];
    if (option == "--append" && i + 2 < argc)
      return Append(argv[i + 1], std::strtoull(argv[i + 2], nullptr, 10));
    if (i + 1 >= argc) Die("wrong usage; see the head of the source");
    if (option == "--rounds")
      rounds = std::strtoull(argv[++i], nullptr, 10);
    else if (option == "--seconds")
      seconds = std::strtoull(argv[++i], nullptr, 10);
    else if (option == "--seed")
      seed = std::strtoull(argv[++i], nullptr, 10);
    else if (option == "--folder")
      folder = argv[++i];
    else
      Die("wrong usage; see the head of the source");
  }
  const bool temporary = folder.empty();
  if (temporary) {
    std::string name = (std::filesystem::temp_directory_path() / "aegis-crash-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) Die("cannot make a temporary folder");
    folder = name;
  }
  std::printf("seed %llu, folder %s\n", static_cast<unsigned long long>(seed), folder.c_str());
  std::fflush(stdout);
  Killer killer(folder, seed);
  const auto end = SteadyClock::now() + std::chrono::seconds(seconds);
  for (uint64_t round = 0; round < rounds && SteadyClock::now() < end; ++round) killer.Round();
  killer.CheckAll();
  const Totals& totals = killer.totals();
  std::printf(
      "%llu kills (%llu before the first record), %llu records acknowledged, none lost; %llu torn "
      "tails cut off (%llu bytes)\n",
      static_cast<unsigned long long>(totals.rounds),
      static_cast<unsigned long long>(totals.before_first),
      static_cast<unsigned long long>(totals.acknowledged),
      static_cast<unsigned long long>(totals.torn),
      static_cast<unsigned long long>(totals.torn_bytes));
  if (temporary) std::filesystem::remove_all(folder);  // kept after a failure
  if (totals.rounds < 100 && rounds >= 100)
    Die("the machine is too slow for 100 kills in the time");
  return 0;
}

}  // namespace
}  // namespace aegis::audit

int main(int argc, char** argv) { return aegis::audit::Main(argc, argv); }
