// What durability costs: a closed loop of records through the audit journal on a real disk.
//
//   journal_bench [FOLDER] [SECONDS]      (default: a temporary folder, 3 s each)
//   journal_bench --raw                   (why segments are filled with zeros: bare writes and
//   syncs)
//
// One worker thread, as a gateway's, keeps 1, 32 or 512 calls in flight: it renders a decision
// record, appends it, and hears through the sink that it is durable. Prints records/s, records and
// µs per commit, and µs from Append until the worker hears.
#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <filesystem>
#include <mutex>
#include <string>
#include <vector>

#include "aegis/audit/journal.h"
#include "aegis/audit/record.h"
#include "aegis/base/clock.h"
#include "aegis/base/ids.h"

namespace aegis::audit {
namespace {

int64_t Now() { return Clock::System().MonotonicNanos(); }

class Inbox final : public DurableSink {
 public:
  void OnDurable(std::span<PendingRecord* const> records) override {
    const std::lock_guard lock(mutex_);
    records_.insert(records_.end(), records.begin(), records.end());
    changed_.notify_one();
  }
  void Take(std::vector<PendingRecord*>& out) {
    out.clear();
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return !records_.empty(); });
    out.swap(records_);
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<PendingRecord*> records_;
};

struct Figures {
  std::vector<int64_t> values;
  double At(double fraction) {
    if (values.empty()) return 0;
    std::sort(values.begin(), values.end());
    return static_cast<double>(
               values[static_cast<size_t>(fraction * static_cast<double>(values.size() - 1))]) /
           1000;
  }
};

void Run(const std::string& folder, size_t appenders, double seconds) {
  Figures commit_nanos, latency_nanos;
  Journal::Options options{.folder = folder, .producer = "bench"};
  options.on_commit = [&](const Journal::Commit& commit) {
    commit_nanos.values.push_back(commit.nanos);
  };
  auto journal = Journal::Open(options);
  if (!journal) {
    std::fprintf(stderr, "%s\n", journal.error().message.c_str());
    std::exit(1);
  }
  Inbox inbox;
  UuidGenerator ids;
  struct Call {
    PendingRecord record;
    int64_t start = 0;
  };
  std::deque<Call> calls(appenders);
  const identity::ChainLink chain[] = {{"user", "alice"}, {"agent", "planner-agent"}};
  const std::string hash(64, 'a');
  const auto submit = [&](Call& call) {
    const int64_t now = Clock::System().UnixNanos();
    const Uuid id = ids.Next(now / 1'000'000);
    Render(DecisionRecord{.header = {.id = id.text(),
                                     .producer = "bench",
                                     .time_unix_ns = now,
                                     .org = "acme",
                                     .tenant = "payments",
                                     .trace_id = "0af7651916cd43dd8448eb211c80319c"},
                          .agent = "finance-agent",
                          .chain = chain,
                          .session = "run-1",
                          .tool = "stripe-payments",
                          .action = "create_payment",
                          .params_hash = hash,
                          .outcome = decision::Outcome::kAllow,
                          .reason = decision::Reason::kAllowed,
                          .rule = "finance-agent/stripe-payments/create_payment",
                          .policy_version = "7",
                          .bundle_sha256 = hash,
                          .latency_us = 41},
           call.record);
    call.record.context = &call;
    call.start = Now();
    if (!(*journal)->Append(&call.record, &inbox)) std::exit(1);
  };

  const int64_t start = Now();
  for (Call& call : calls) submit(call);
  std::vector<PendingRecord*> done;
  size_t records = 0, waiting = appenders;
  const auto end = start + static_cast<int64_t>(seconds * 1e9);
  while (waiting > 0) {
    inbox.Take(done);
    const int64_t now = Now();
    for (PendingRecord* record : done) {
      auto& call = *static_cast<Call*>(record->context);
      latency_nanos.values.push_back(now - call.start);
      ++records;
      if (now < end)
        submit(call);
      else
        --waiting;
    }
  }
  const double took = static_cast<double>(Now() - start) / 1e9;
  const auto stats = (*journal)->stats();
  std::printf("%9zu %12.0f %10.0f %10.1f %9.0f %9.0f %11.0f %11.0f %9.0f\n", appenders,
              static_cast<double>(records) / took, static_cast<double>(stats.commits) / took,
              static_cast<double>(records) / static_cast<double>(stats.commits),
              commit_nanos.At(0.5), commit_nanos.At(0.99), latency_nanos.At(0.5),
              latency_nanos.At(0.99),
              static_cast<double>(stats.bytes) / static_cast<double>(stats.records));
}

// 1,000 writes of 8,000 bytes, each with a sync, at the end of a file, in reserved and in zeroed
// space.
void RunRaw(const std::string& folder) {
  constexpr size_t kBytes = 8000;
  constexpr uint64_t kCount = 1000;
  Env& env = Env::Posix();
  const auto check = [](const auto& result) {
    if (result) return;
    std::fprintf(stderr, "%s\n", result.error().message.c_str());
    std::exit(1);
  };
  check(env.MakeFolder(folder));
  std::printf("space       write+sync50µ write+sync99µ\n");
  for (const char* space : {"appended", "reserved", "zeroed"}) {
    auto file = env.Create(folder + "/raw");
    check(file);
    if (space[0] != 'a') check((*file)->Reserve(kBytes * kCount));
    if (space[0] == 'z') check((*file)->Write(0, std::string(kBytes * kCount, '\0')));
    check((*file)->SyncAll());
    const std::string data(kBytes, 'x');
    Figures nanos;
    for (uint64_t i = 0; i < kCount; ++i) {
      const int64_t start = Now();
      check((*file)->Write(i * kBytes, data));
      check((*file)->Sync());
      nanos.values.push_back(Now() - start);
    }
    std::printf("%-10s %14.0f %13.0f\n", space, nanos.At(0.5), nanos.At(0.99));
  }
}

}  // namespace
}  // namespace aegis::audit

int main(int argc, char** argv) {
  const bool raw = argc > 1 && std::string_view(argv[1]) == "--raw";
  std::string folder = argc > 1 && !raw ? argv[1] : "";
  const double seconds = argc > 2 ? std::atof(argv[2]) : 3;
  const bool temporary = folder.empty();
  if (temporary) folder = (std::filesystem::temp_directory_path() / "aegis-journal-bench").string();
  if (raw) {
    aegis::audit::RunRaw(folder);
    std::filesystem::remove_all(folder);
    return 0;
  }
  std::printf(
      "appenders    records/s  commits/s rec/commit commit50µ commit99µ durable50µ durable99µ  "
      "B/record\n");
  for (const size_t appenders : {1, 32, 512}) aegis::audit::Run(folder, appenders, seconds);
  if (temporary) std::filesystem::remove_all(folder);
}
