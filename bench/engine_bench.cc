// Times the engine alone, on any bundle with a plan:
//   engine_bench --bundle B --inputs FILE.jsonl --entrypoint bench/main
//                [--seconds 1] [--threads 1] [--answers FILE] [--reload 0]
//
// The inputs are parsed beforehand and asked in rotation, as `regoc bench` does for OPA. Prints one
// JSON object; with --reload 1 also percentiles of single decisions, alone and while another thread
// loads the bundle again and again. With --answers the answer to every input, one a line, goes to
// that file first.
#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "aegis/base/arena.h"
#include "aegis/rego/bundle.h"
#include "aegis/rego/program.h"
#include "aegis/rego/value.h"
#include "aegis/rego/vm.h"
#include "timing.h"

namespace aegis {
namespace {

constexpr int64_t kNow = 1'790'000'000'000'000'000;
constexpr size_t kArenaLimitBytes = size_t{64} << 20;

[[noreturn]] void Die(const std::string& why) {
  std::fprintf(stderr, "engine_bench: %s\n", why.c_str());
  std::exit(1);
}

// Of this process, in KiB.
long ResidentKib() {
  std::ifstream status("/proc/self/statm");
  long total = 0, resident = 0;
  status >> total >> resident;
  return resident * 4;
}

std::string ReadFileOrDie(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) Die("cannot read " + path);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

struct Options {
  std::string bundle, inputs, entrypoint, answers;
  double seconds = 1;
  int threads = 1;
  bool reload = false;
};

Options ReadOptions(int argc, char** argv) {
  Options options;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string flag = argv[i], value = argv[i + 1];
    if (flag == "--bundle") {
      options.bundle = value;
    } else if (flag == "--inputs") {
      options.inputs = value;
    } else if (flag == "--entrypoint") {
      options.entrypoint = value;
    } else if (flag == "--answers") {
      options.answers = value;
    } else if (flag == "--seconds") {
      options.seconds = std::atof(value.c_str());
    } else if (flag == "--reload") {
      options.reload = value == "1";
    } else if (flag == "--threads") {
      options.threads = std::atoi(value.c_str());
    } else {
      Die("unknown flag " + flag);
    }
  }
  if (options.bundle.empty() || options.inputs.empty() || options.entrypoint.empty() ||
      options.seconds <= 0 || options.threads < 1) {
    Die("usage: engine_bench --bundle B --inputs FILE.jsonl --entrypoint E [--seconds 1] "
        "[--threads 1] [--answers FILE]");
  }
  return options;
}

struct Mean {
  double ns = 0, cpu_ns = 0;
  size_t done = 0;
};

// One thread's engine with inputs of its own.
class Asker {
 public:
  Asker(const rego::Program& program, uint32_t entrypoint, const std::string& lines)
      : program_(program), entrypoint_(entrypoint) {
    for (size_t at = 0; at < lines.size();) {
      const size_t end = std::min(lines.find('\n', at), lines.size());
      if (end > at) {
        auto input = rego::ParseJson(std::string_view(lines).substr(at, end - at), input_arena_);
        if (!input) Die("an input: " + input.error().message);
        inputs_.push_back(*input);
      }
      at = end + 1;
    }
    if (inputs_.empty()) Die("there is no input");
  }

  rego::Value Ask(size_t i) {
    arena_.Reset();
    auto value = vm_.Eval(program_, entrypoint_, inputs_[i % inputs_.size()], kNow, arena_);
    if (!value) {
      Die("input " + std::to_string(i % inputs_.size() + 1) + ": " + value.error().message);
    }
    return *value;
  }

  // The inputs once, which also warms the caches.
  std::string Answers() {
    std::string answers;
    for (size_t i = 0; i < inputs_.size(); ++i) {
      const rego::Value answer = Ask(i);
      if (answer.is_undefined()) {
        answers += R"({"undefined":true})";
      } else {
        rego::AppendJson(answer, answers);
      }
      answers += '\n';
    }
    return answers;
  }

  Mean Time(double seconds) {
    const auto start = Clock::now();
    const double cpu_start = ThreadCpuNanos(), length = seconds * 1e9;
    Mean mean;
    double elapsed = 0;
    while ((elapsed = NanosSince(start)) < length) {
      for (int i = 0; i < 100; ++i) Ask(mean.done++);
    }
    mean.ns = elapsed / static_cast<double>(mean.done);
    mean.cpu_ns = (ThreadCpuNanos() - cpu_start) / static_cast<double>(mean.done);
    return mean;
  }

  // Nanoseconds that one in a hundred decisions takes at least.
  double Percentile99(double seconds) {
    std::vector<double> all;
    const auto start = Clock::now();
    while (NanosSince(start) < seconds * 1e9) {
      for (int i = 0; i < 100; ++i) {
        const auto before = Clock::now();
        Ask(all.size());
        all.push_back(NanosSince(before));
      }
    }
    std::sort(all.begin(), all.end());
    return all[all.size() * 99 / 100];
  }

  size_t size() const { return inputs_.size(); }

 private:
  const rego::Program& program_;
  const uint32_t entrypoint_;
  Arena input_arena_{size_t{1} << 20};
  std::vector<rego::Value> inputs_;
  Arena arena_{64 * 1024, kArenaLimitBytes};
  rego::Vm vm_;
};

int Main(int argc, char** argv) {
  const Options options = ReadOptions(argc, argv);
  const std::string lines = ReadFileOrDie(options.inputs);
  std::unique_ptr<const rego::Program> program;
  std::string plan_json, data_json;  // for --reload
  double load_ms = 0;
  long data_kib = 0, program_kib = 0;
  {
    auto bundle = rego::ReadBundle(ReadFileOrDie(options.bundle), nullptr);
    if (!bundle) Die(options.bundle + ": " + bundle.error().message);
    data_kib = static_cast<long>(bundle->data_json.size() / 1024);
    const long before = ResidentKib();
    const auto start = Clock::now();
    auto loaded = rego::Program::Load(bundle->plan_json, bundle->data_json);
    if (!loaded) Die(options.bundle + ": " + loaded.error().message);
    load_ms = NanosSince(start) / 1e6;
    program_kib = ResidentKib() - before;
    program = *std::move(loaded);
    if (options.reload) {
      plan_json = std::move(bundle->plan_json);
      data_json = std::move(bundle->data_json);
    }
  }
  const auto entrypoint = program->FindEntrypoint(options.entrypoint);
  if (!entrypoint) Die("the plan has no entrypoint " + options.entrypoint);

  std::vector<std::unique_ptr<Asker>> askers;
  for (int i = 0; i < options.threads; ++i) {
    askers.push_back(std::make_unique<Asker>(*program, *entrypoint, lines));
    const std::string answers = askers.back()->Answers();
    if (i == 0 && !options.answers.empty()) {
      std::ofstream out(options.answers, std::ios::binary);
      if (!(out << answers).flush()) Die("cannot write " + options.answers);
    }
  }
  for (auto& asker : askers) asker->Time(options.seconds / 5);

  std::vector<Mean> means(askers.size());
  std::vector<std::thread> threads;
  for (size_t i = 1; i < askers.size(); ++i) {
    threads.emplace_back([&, i] { means[i] = askers[i]->Time(options.seconds); });
  }
  means[0] = askers[0]->Time(options.seconds);
  for (std::thread& thread : threads) thread.join();
  double quiet_p99 = 0, reload_p99 = 0;
  if (options.reload) {
    quiet_p99 = askers[0]->Percentile99(options.seconds);
    std::atomic<bool> done = false;
    std::thread loader([&] {
      while (!done) {
        if (!rego::Program::Load(plan_json, data_json)) Die("the bundle does not load again");
      }
    });
    reload_p99 = askers[0]->Percentile99(options.seconds);
    done = true;
    loader.join();
  }
  double per_second = 0, cpu_ns = 0;
  size_t done = 0;
  for (const Mean& mean : means) {
    per_second += 1e9 / mean.ns;
    cpu_ns += mean.cpu_ns / static_cast<double>(means.size());
    done += mean.done;
  }
  std::printf(
      "{\"engine\":\"aegis\",\"ns_per_decision\":%.1f,\"cpu_ns\":%.1f,\"per_second\":%.0f,"
      "\"decisions\":%zu,\"inputs\":%zu,\"threads\":%d,\"load_ms\":%.1f,\"data_kib\":%ld,"
      "\"program_kib\":%ld,\"p99_ns\":%.0f,\"p99_while_loading_ns\":%.0f}\n",
      means[0].ns, cpu_ns, per_second, done, askers[0]->size(), options.threads, load_ms, data_kib,
      program_kib, quiet_p99, reload_p99);
  return 0;
}

}  // namespace
}  // namespace aegis

int main(int argc, char** argv) { return aegis::Main(argc, argv); }
