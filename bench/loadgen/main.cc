// loadgen: the load generator of bench/, and a tool server to aim through.
//
//   loadgen serve [--port N] [--cpu N] [--body BYTES]
//       prints its port, serves until SIGTERM, then prints {"served":N}
//   loadgen run --port N --requests FILE [--connections C] [--rate R] [--seconds S] [--warmup S]
//               [--cpu N] [--poll]
//       sends the requests of FILE in rotation; prints one JSON object. Exit code 1 when an answer
//       was wrong or missing.
//   loadgen check ... [--streams S]
//       the same with the messages of FILE as calls of Envoy's Authorization/Check.
#include <sched.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>

#include "grpc_load.h"
#include "http_load.h"
#include "request_set.h"
#include "server.h"

namespace aegis::bench {
namespace {

[[noreturn]] void Usage(const std::string& why) {
  std::fprintf(
      stderr,
      "loadgen: %s\nusage: loadgen serve|run|check --flag value ... (see bench/README.md)\n",
      why.c_str());
  std::exit(2);
}

class Flags {
 public:
  Flags(int argc, char** argv) {
    for (int i = 2; i < argc; ++i) {
      const std::string name = argv[i];
      if (name == "--poll") {
        values_[name] = "1";
      } else if (name.starts_with("--") && i + 1 < argc) {
        values_[name] = argv[++i];
      } else {
        Usage("cannot use " + name);
      }
    }
  }
  std::string Text(const std::string& name, const std::string& otherwise) {
    const auto found = values_.find(name);
    if (found == values_.end()) return otherwise;
    std::string value = found->second;
    values_.erase(found);
    return value;
  }
  double Number(const std::string& name, double otherwise) {
    const std::string text = Text(name, "");
    if (text.empty()) return otherwise;
    char* end = nullptr;
    const double value = std::strtod(text.c_str(), &end);
    if (end == text.c_str() || *end != '\0' || value < 0) Usage(name + " is not a number: " + text);
    return value;
  }
  void RefuseOthers() const {
    if (!values_.empty()) Usage("unknown flag " + values_.begin()->first);
  }

 private:
  std::map<std::string, std::string> values_;
};

void Pin(double cpu) {
  if (cpu < 0) return;
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(static_cast<size_t>(cpu), &set);
  if (sched_setaffinity(0, sizeof set, &set) != 0) {
    std::fprintf(stderr, "loadgen: cannot run on cpu %d alone\n", static_cast<int>(cpu));
    std::exit(1);
  }
}

std::string JsonString(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (byte < 0x20 || byte >= 0x7f) {
      char escaped[8];
      std::snprintf(escaped, sizeof escaped, "\\u%04x", byte);
      out += escaped;
    } else {
      out += c;
    }
  }
  return out + "\"";
}

void Print(LoadResult& result) {
  std::vector<uint64_t>& all = result.latencies_ns;
  std::sort(all.begin(), all.end());
  // The smallest sample that at least `share` of all samples do not exceed, in µs.
  const auto percentile = [&](double share) {
    if (all.empty()) return 0.0;
    const auto rank = static_cast<size_t>(share * static_cast<double>(all.size()) + 0.999999);
    return static_cast<double>(all[std::clamp<size_t>(rank, 1, all.size()) - 1]) / 1e3;
  };
  double sum = 0;
  for (const uint64_t latency : all) sum += static_cast<double>(latency) / 1e3;
  std::string statuses;
  for (const auto& [status, count] : result.statuses) {
    statuses += (statuses.empty() ? "" : ",") + ("\"" + std::to_string(status)) +
                "\":" + std::to_string(count);
  }
  std::printf(
      "{\"counted\":%zu,\"seconds\":%.6f,\"rate\":%.1f,"
      "\"latency_us\":{\"mean\":%.2f,\"p50\":%.2f,\"p90\":%.2f,\"p99\":%.2f,\"p999\":%.2f,\"max\":%"
      ".2f},"
      "\"sent\":%lu,\"right\":%lu,\"wrong\":%lu,\"failed\":%lu,\"unfinished\":%lu,\"reconnects\":%"
      "lu,"
      "\"statuses\":{%s},\"generator_cpu\":%.3f,\"first_wrong\":%s}\n",
      all.size(), result.counted_seconds,
      static_cast<double>(all.size()) / std::max(result.counted_seconds, 1e-9),
      all.empty() ? 0.0 : sum / static_cast<double>(all.size()), percentile(0.5), percentile(0.9),
      percentile(0.99), percentile(0.999), percentile(1), result.sent, result.right, result.wrong,
      result.failed, result.unfinished, result.reconnects, statuses.c_str(),
      result.cpu_seconds / std::max(result.counted_seconds, 1e-9),
      JsonString(result.first_wrong).c_str());
}

int Main(int argc, char** argv) {
  if (argc < 2) Usage("what to do?");
  const std::string mode = argv[1];
  Flags flags(argc, argv);
  Pin(flags.Number("--cpu", -1));
  if (mode == "serve") {
    const auto port = static_cast<uint16_t>(flags.Number("--port", 0));
    const auto body = static_cast<size_t>(flags.Number("--body", 128));
    flags.RefuseOthers();
    std::printf("{\"served\":%lu}\n", RunServer(port, body));
    return 0;
  }
  const bool check = mode == "check";
  if (mode != "run" && !check) Usage("unknown mode " + mode);
  LoadOptions options;
  options.port = static_cast<uint16_t>(flags.Number("--port", 0));
  options.connections = static_cast<int>(flags.Number("--connections", 1));
  if (check) options.streams = static_cast<int>(flags.Number("--streams", 1));
  options.rate = flags.Number("--rate", 0);
  options.seconds = flags.Number("--seconds", 5);
  options.warmup = flags.Number("--warmup", 1);
  options.poll = !flags.Text("--poll", "").empty();
  const std::string file = flags.Text("--requests", "");
  flags.RefuseOthers();
  if (options.port == 0 || file.empty()) Usage("--port and --requests are needed");
  if (options.connections < 1 || options.connections > 10000) Usage("--connections: 1 to 10000");
  if (options.streams < 1 || options.streams > 1000) Usage("--streams: 1 to 1000");
  if (options.seconds > 600) Usage("--seconds: at most 600");
  const std::vector<Request> requests = ReadRequests(file);
  LoadResult result = check ? RunGrpcLoad(requests, options) : RunHttpLoad(requests, options);
  Print(result);
  return result.wrong + result.failed + result.unfinished == 0 ? 0 : 1;
}

}  // namespace
}  // namespace aegis::bench

int main(int argc, char** argv) { return aegis::bench::Main(argc, argv); }
