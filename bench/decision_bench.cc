// Times decisions in process, on one thread: `decision_bench --bundle B --inputs FILE.jsonl`.
//
// The inputs are Rego input documents, one a line, asked in rotation. Prints one JSON object:
// ns_per_decision is evaluation of calls that were built beforehand (what `opa bench` and `regoc
// bench` time); with_parsing_cpu_ns also parses each call's params from JSON text.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

#include "aegis/base/arena.h"
#include "aegis/decision/snapshot.h"
#include "aegis/json/tree.h"
#include "aegis/rego/value.h"
#include "timing.h"

namespace aegis {
namespace {

[[noreturn]] void Die(const std::string& why) {
  std::fprintf(stderr, "decision_bench: %s\n", why.c_str());
  std::exit(1);
}

// Mean of one run. On a busy machine the two differ; cpu_ns is then the truer.
struct Mean {
  double ns = 0, cpu_ns = 0;
};

// One call with all that it points to.
struct Input {
  identity::Principal principal;
  std::string tool, action, params_text, method, host, path;
  std::vector<decision::Header> headers;
  decision::Call call;
};

std::string Text(const json::Tree* tree, std::string_view name) {
  const json::Tree* found = tree ? tree->Find(name) : nullptr;
  return found ? std::string(found->text()) : std::string();
}

rego::Value ParseParams(std::string_view text, Arena& arena) {
  auto params = rego::ParseJson(text, arena, {});
  if (!params) Die("params: " + params.error().message);
  return *params;
}

std::unique_ptr<Input> ReadInput(std::string_view line, Arena& arena) {
  auto parsed = json::ParseTree(arena.Copy(line), arena);
  if (!parsed) Die("an input is not JSON: " + parsed.error().message);
  const json::Tree& tree = *parsed;
  auto input = std::make_unique<Input>();
  input->principal.org = Text(&tree, "org");
  input->principal.tenant = Text(&tree, "tenant");
  input->principal.agent = Text(tree.Find("agent"), "id");
  if (const json::Tree* chain = tree.Find("chain")) {
    for (const json::Tree& link : chain->elements()) {
      input->principal.chain.push_back({Text(&link, "type"), Text(&link, "id")});
    }
  }
  input->tool = Text(&tree, "tool");
  input->action = Text(&tree, "action");
  if (const json::Tree* params = tree.Find("params")) json::AppendTree(input->params_text, *params);
  const json::Tree* request = tree.Find("request");
  input->method = Text(request, "method");
  input->host = Text(request, "host");
  input->path = Text(request, "path");
  if (const json::Tree* headers = request ? request->Find("headers") : nullptr) {
    for (const json::Member& header : headers->members()) {
      input->headers.push_back({header.name, header.value.text()});
    }
  }
  decision::Call& call = input->call;
  call.principal = &input->principal;
  call.door = decision::Door::kHttp;
  call.tool = input->tool;
  call.action = input->action;
  call.params = ParseParams(input->params_text, arena);
  call.method = input->method;
  call.host = input->host;
  call.path = input->path;
  call.headers = input->headers;
  const json::Tree* time = tree.Find("time");
  const json::Tree* nanos = time ? time->Find("unix_ns") : nullptr;
  if (nanos) call.time_unix_ns = nanos->AsInt64().value_or(0);
  return input;
}

class Bench {
 public:
  Bench(std::shared_ptr<const decision::Snapshot> snapshot,
        std::vector<std::unique_ptr<Input>> inputs)
      : snapshot_(std::move(snapshot)), inputs_(std::move(inputs)) {}

  decision::Outcome Ask(size_t i) {
    evaluator_.Reset();
    const decision::Decision decision =
        evaluator_.Evaluate(*snapshot_, inputs_[i % inputs_.size()]->call);
    if (decision.reason == decision::Reason::kPolicyError) {
      Die("input " + std::to_string(i % inputs_.size() + 1) + ": " + std::string(decision.message));
    }
    return decision.outcome;
  }

  decision::Outcome AskWithParsing(size_t i) {
    const Input& input = *inputs_[i % inputs_.size()];
    evaluator_.Reset();
    decision::Call call = input.call;
    call.params = ParseParams(input.params_text, evaluator_.arena());
    return evaluator_.Evaluate(*snapshot_, call).outcome;
  }

  template <typename Question>
  Mean Time(double seconds, Question&& ask) {
    const auto start = Clock::now();
    const double cpu_start = ThreadCpuNanos();
    const double length = seconds * 1e9;
    size_t done = 0;
    double elapsed = 0;
    while ((elapsed = NanosSince(start)) < length) {
      for (int i = 0; i < 1000; ++i) ask(done++);
    }
    const auto count = static_cast<double>(done);
    return {elapsed / count, (ThreadCpuNanos() - cpu_start) / count};
  }

  // One by one, for percentiles; each holds the cost of reading the clock, which is returned too.
  std::vector<double> TimeEach(size_t count, double* clock_ns) {
    const auto start = Clock::now();
    for (int i = 0; i < 1'000'000; ++i) static_cast<void>(Clock::now());
    *clock_ns = NanosSince(start) / 1e6;
    std::vector<double> all(count);
    for (size_t i = 0; i < count; ++i) {
      const auto before = Clock::now();
      Ask(i);
      all[i] = NanosSince(before);
    }
    std::sort(all.begin(), all.end());
    return all;
  }

  size_t size() const { return inputs_.size(); }

 private:
  const std::shared_ptr<const decision::Snapshot> snapshot_;
  const std::vector<std::unique_ptr<Input>> inputs_;
  decision::Evaluator evaluator_;
};

std::string ReadFileOrDie(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) Die("cannot read " + path);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

int Main(int argc, char** argv) {
  std::string bundle, inputs_path;
  double seconds = 3;
  int runs = 3;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string flag = argv[i], value = argv[i + 1];
    if (flag == "--bundle") {
      bundle = value;
    } else if (flag == "--inputs") {
      inputs_path = value;
    } else if (flag == "--seconds") {
      seconds = std::atof(value.c_str());
    } else if (flag == "--runs") {
      runs = std::atoi(value.c_str());
    } else {
      Die("unknown flag " + flag);
    }
  }
  if (bundle.empty() || inputs_path.empty() || seconds <= 0 || runs < 1) {
    Die("usage: decision_bench --bundle B --inputs FILE.jsonl [--seconds 3] [--runs 3]");
  }

  const std::string bundle_bytes = ReadFileOrDie(bundle);
  const auto load_start = Clock::now();
  decision::Snapshot::Options options;
  options.tenant = "default";  // as in the inputs
  auto snapshot = decision::Snapshot::Load(bundle_bytes, options);
  const double load_ms = NanosSince(load_start) / 1e6;
  if (!snapshot) Die(bundle + ": " + snapshot.error().message);

  Arena arena(size_t{1} << 20);
  std::vector<std::unique_ptr<Input>> inputs;
  const std::string lines = ReadFileOrDie(inputs_path);
  for (size_t at = 0; at < lines.size();) {
    const size_t end = std::min(lines.find('\n', at), lines.size());
    if (end > at) inputs.push_back(ReadInput(std::string_view(lines).substr(at, end - at), arena));
    at = end + 1;
  }
  if (inputs.empty()) Die("there is no input in " + inputs_path);

  Bench bench(*std::move(snapshot), std::move(inputs));
  size_t allowed = 0;
  for (size_t i = 0; i < bench.size(); ++i) allowed += bench.Ask(i) == decision::Outcome::kAllow;
  for (size_t i = 0; i < 20'000; ++i) bench.Ask(i);

  std::vector<double> plain, cpu, parsing;
  for (int run = 0; run < runs; ++run) {
    const Mean mean = bench.Time(seconds, [&](size_t i) { bench.Ask(i); });
    plain.push_back(mean.ns);
    cpu.push_back(mean.cpu_ns);
    parsing.push_back(bench.Time(seconds / 3, [&](size_t i) { bench.AskWithParsing(i); }).cpu_ns);
  }
  const auto median = [](std::vector<double>& values) {
    std::sort(values.begin(), values.end());
    return values[values.size() / 2];
  };
  double clock_ns = 0;
  const std::vector<double> each = bench.TimeEach(500'000, &clock_ns);
  const auto percentile = [&](double share) {
    return each[static_cast<size_t>(share * static_cast<double>(each.size() - 1))];
  };
  std::printf(
      "{\"engine\":\"aegis\",\"ns_per_decision\":%.1f,\"cpu_ns\":%.1f,\"with_parsing_cpu_ns\":%.1f,"
      "\"p50_ns\":%.0f,"
      "\"p99_ns\":%.0f,\"p999_ns\":%.0f,\"clock_ns\":%.1f,\"load_ms\":%.1f,\"inputs\":%zu,"
      "\"allowed\":%zu,\"runs\":%d}\n",
      median(plain), median(cpu), median(parsing), percentile(0.5), percentile(0.99),
      percentile(0.999), clock_ns, load_ms, bench.size(), allowed, runs);
  return 0;
}

}  // namespace
}  // namespace aegis

int main(int argc, char** argv) { return aegis::Main(argc, argv); }
