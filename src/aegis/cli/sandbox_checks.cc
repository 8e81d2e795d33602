#include "aegis/cli/sandbox_checks.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <map>

#include "aegis/base/file.h"
#include "aegis/base/text.h"
#include "aegis/cli/network_probe.h"

namespace aegis::cli {
namespace {

// Resolvers that anyone may use: their addresses do not change, and something listens there.
constexpr std::string_view kPublic[] = {"1.1.1.1", "8.8.8.8", "9.9.9.9"};
constexpr std::string_view kPublicV6[] = {"2606:4700:4700::1111", "2001:4860:4860::8888"};
struct Metadata {
  std::string_view address, whose;
};
constexpr Metadata kMetadata[] = {
    {"169.254.169.254:80", "instance metadata of AWS, Azure, GCP and others"},
    {"169.254.170.2:80", "credentials of AWS ECS tasks"},
    {"169.254.170.23:80", "credentials of AWS EKS pods"},
    {"100.100.100.200:80", "instance metadata of Alibaba Cloud"},
    {"168.63.129.16:80", "host services of Azure"},
    {"[fd00:ec2::254]:80", "instance metadata of AWS"},
    {"[fd20:ce::254]:80", "instance metadata of GCP"},
};
// Where what must be kept from agents often listens: Aegis's own control plane and admin port,
// name servers, shells, container runtimes, Kubernetes, databases.
constexpr int kPorts[] = {22,   25,   53,   80,   111,   443,   445,   2049,  2375,
                          2376, 2379, 3000, 3128, 3306,  5000,  5432,  5672,  6379,
                          6443, 8000, 8080, 8090, 8200,  8443,  8500,  9000,  9090,
                          9191, 9200, 9400, 9901, 10250, 10255, 11211, 15001, 27017};
constexpr const char* kRuntimeSockets[] = {"/var/run/docker.sock",
                                           "/run/containerd/containerd.sock",
                                           "/run/crio/crio.sock",
                                           "/run/podman/podman.sock",
                                           "/run/systemd/private",
                                           "/run/dbus/system_bus_socket",
                                           "/run/containerd/containerd.sock.ttrpc"};
struct Capability {
  int bit;
  const char* name;
  Verdict verdict;
  const char* what;
};
constexpr Capability kCapabilities[] = {
    {12, "CAP_NET_ADMIN", Verdict::kFail, "can change routes and firewall rules of its network"},
    {21, "CAP_SYS_ADMIN", Verdict::kFail, "can enter other namespaces"},
    {19, "CAP_SYS_PTRACE", Verdict::kFail, "can take over other processes, and their network"},
    {13, "CAP_NET_RAW", Verdict::kWarn, "can send packets of any kind"},
};
constexpr size_t kMaxFileBytes = size_t{1} << 20;
constexpr size_t kShown = 3;

// "1.2.3.4" and "::1" with a port.
std::string WithPort(std::string_view ip, int port) {
  const std::string host(ip);
  return (ip.find(':') == std::string_view::npos ? host : "[" + host + "]") + ":" +
         std::to_string(port);
}

Result<net::SocketAddress> ReadAddress(const std::string& text) {
  const size_t colon = text.rfind(':');
  if (colon == std::string::npos || net::IpOfAddress(text).empty()) {
    return Fail(Code::kInvalidArgument, "bad_address",
                "'" + text + "' is not IP:port; names are not taken, for a sandbox has no DNS");
  }
  return net::ResolveAddress(text);
}

class Probes {
 public:
  void Add(std::string_view check, Probe::Kind kind, std::string_view address,
           std::string_view detail = {}) {
    const auto parsed = net::ResolveAddress(std::string(address));
    if (!parsed) return;
    Probe probe;
    probe.check = check;
    probe.kind = kind;
    probe.address = *parsed;
    probe.detail = detail;
    all_.push_back(std::move(probe));
  }
  void Run(std::chrono::milliseconds timeout) { RunProbes(all_, timeout); }
  // Texts of those of a check that have this answer.
  std::vector<std::string> With(std::string_view check, Probe::Answer answer) const {
    std::vector<std::string> out;
    for (const Probe& probe : all_) {
      if (probe.check != check || probe.answer != answer) continue;
      const std::string detail = probe.detail.empty() ? "" : " (" + probe.detail + ")";
      out.push_back(probe.address.ToString() + detail);
    }
    return out;
  }
  size_t Count(std::string_view check) const {
    return static_cast<size_t>(std::count_if(
        all_.begin(), all_.end(), [&](const Probe& probe) { return probe.check == check; }));
  }

 private:
  std::vector<Probe> all_;
};

std::string Join(const std::vector<std::string>& texts, size_t most) {
  std::string out;
  for (size_t i = 0; i < texts.size() && i < most; ++i) out += (i == 0 ? "" : ", ") + texts[i];
  if (texts.size() > most) out += " and " + std::to_string(texts.size() - most) + " more";
  return out;
}

// One row for a check whose probes must all be without an answer.
void MustBeSilent(const Probes& probes, std::string_view check, std::string_view advice,
                  DoctorReport& report) {
  std::vector<std::string> found = probes.With(check, Probe::Answer::kReached);
  const std::vector<std::string> refused = probes.With(check, Probe::Answer::kRefused);
  for (const std::string& text : refused) found.push_back(text + " refuses");
  if (found.empty()) {
    return report.Add(Verdict::kOk, std::string(check),
                      "none of " + std::to_string(probes.Count(check)) + " answers");
  }
  report.Add(Verdict::kFail, std::string(check),
             "answered by " + Join(found, kShown) + "; " + std::string(advice));
}

// Whether a file of /proc/net has a default route.
bool HasDefaultRoute(const char* path, bool v6) {
  const auto text = ReadFile(path, kMaxFileBytes);
  if (!text) return false;
  for (const std::string_view line : Split(*text, '\n')) {
    std::vector<std::string_view> words;
    for (std::string_view rest = line; !rest.empty();) {
      const size_t begin = rest.find_first_not_of(" \t");
      if (begin == std::string_view::npos) break;
      const size_t end = std::min(rest.find_first_of(" \t", begin), rest.size());
      words.push_back(rest.substr(begin, end - begin));
      rest.remove_prefix(end);
    }
    // Interface, destination, gateway, flags, …, mask at 7; of IPv6 destination, its length, …,
    // the interface last.
    if (!v6 && words.size() > 7 && words[1] == "00000000" && words[7] == "00000000") return true;
    if (v6 && words.size() > 9 && words[1] == "00" && words[9] != "lo" &&
        words[0].find_first_not_of('0') == std::string_view::npos) {
      return true;
    }
  }
  return false;
}

void CheckRoutes(DoctorReport& report) {
  const bool v4 = HasDefaultRoute("/proc/net/route", false);
  const bool v6 = HasDefaultRoute("/proc/net/ipv6_route", true);
  if (!v4 && !v6) return report.Add(Verdict::kOk, "default route", "there is none");
  report.Add(Verdict::kWarn, "default route",
             std::string("there is one for ") +
                 (v4 && v6 ? "IPv4 and IPv6"
                  : v4     ? "IPv4"
                           : "IPv6") +
                 ": only a firewall stands in the way; give a route to Aegis alone");
}

void CheckCapabilities(DoctorReport& report) {
  uint64_t bits = 0;
  if (const auto status = ReadFile("/proc/self/status", kMaxFileBytes)) {
    for (const std::string_view line : Split(*status, '\n')) {
      if (!line.starts_with("CapBnd:")) continue;
      const std::string_view hex = Trim(line.substr(7));
      std::from_chars(hex.data(), hex.data() + hex.size(), bits, 16);
    }
  }
  bool any = false;
  for (const Capability& capability : kCapabilities) {
    if ((bits >> capability.bit & 1) == 0) continue;
    // Nobody but root, and programs that are marked so, gets one of the bounding set.
    const bool effective = ::geteuid() == 0;
    any = true;
    report.Add(effective ? capability.verdict : Verdict::kWarn, "capabilities",
               std::string(capability.name) + (effective ? ": it " : " could be had: a process ") +
                   capability.what + "; drop it");
  }
  if (!any) report.Add(Verdict::kOk, "capabilities", "none that matters");
}

void CheckProxyVariables(const SandboxOptions& options, DoctorReport& report) {
  std::vector<std::string> wrong;
  size_t set = 0;
  for (const char* name :
       {"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"}) {
    const char* const value = std::getenv(name);
    if (value == nullptr || *value == '\0') continue;
    ++set;
    // http://[user:password@]host:port; the credential is not for the report.
    std::string_view host = value;
    if (const size_t scheme = host.find("://"); scheme != std::string_view::npos) {
      host.remove_prefix(scheme + 3);
    }
    if (const size_t at = host.rfind('@'); at != std::string_view::npos) host.remove_prefix(at + 1);
    host = host.substr(0, host.find('/'));
    const bool known =
        std::find(options.doors.begin(), options.doors.end(), host) != options.doors.end();
    if (!known) wrong.push_back(std::string(name) + " names " + std::string(host));
  }
  if (!wrong.empty()) {
    return report.Add(Verdict::kWarn, "proxy variables",
                      Join(wrong, kShown) + ", which is no door given with --door");
  }
  if (set == 0) {
    return report.Add(Verdict::kWarn, "proxy variables",
                      "none is set: programs will try to connect directly, and fail");
  }
  report.Add(Verdict::kOk, "proxy variables", std::to_string(set) + " set, all to Aegis");
}

void CheckUnixSockets(DoctorReport& report) {
  std::vector<std::string> open;
  for (const char* path : kRuntimeSockets) {
    const FileDescriptor fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    const std::string_view text = path;
    std::copy(text.begin(), text.end(), address.sun_path);
    if (fd &&
        ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) {
      open.emplace_back(path);
    }
  }
  if (open.empty()) {
    report.Add(Verdict::kOk, "runtime sockets", "none can be opened");
  } else {
    report.Add(
        Verdict::kFail, "runtime sockets",
        Join(open, 8) + ": whoever speaks to it can start processes outside; do not mount it");
  }
  std::vector<std::string> abstract;
  if (const auto sockets = ReadFile("/proc/net/unix", kMaxFileBytes)) {
    for (const std::string_view line : Split(*sockets, '\n')) {
      const size_t at = line.rfind(" @");
      if (at != std::string_view::npos) {
        abstract.push_back(Printable(line.substr(at + 1)));
      }
    }
  }
  std::sort(abstract.begin(), abstract.end());
  abstract.erase(std::unique(abstract.begin(), abstract.end()), abstract.end());
  if (abstract.empty()) {
    return report.Add(Verdict::kOk, "abstract sockets", "none in this network namespace");
  }
  report.Add(
      Verdict::kWarn, "abstract sockets",
      Join(abstract, kShown) +
          ": other processes of this network namespace can be spoken to without the network");
}

void CheckNamespace(DoctorReport& report) {
  char self[64] = {}, init[64] = {};
  const ssize_t own = ::readlink("/proc/self/ns/net", self, sizeof self - 1);
  const ssize_t first = ::readlink("/proc/1/ns/net", init, sizeof init - 1);
  // In a container process 1 is the container's own, or may not be looked at.
  if (own > 0 && first > 0 && std::string_view(self) == init && ::getpid() != 1) {
    return report.Add(Verdict::kWarn, "namespace",
                      "the network is that of process 1: if that is the machine's first process, "
                      "there is no sandbox; see docs/sandbox.md");
  }
  report.Add(Verdict::kOk, "namespace", "the network is not that of process 1");
}

void AddHostPorts(const SandboxOptions& options, Probes& probes) {
  std::vector<std::string> hosts;
  for (const std::string& door : options.doors) {
    const std::string ip = net::IpOfAddress(door);
    if (std::find(hosts.begin(), hosts.end(), ip) != hosts.end()) continue;
    hosts.push_back(ip);
    for (const int port : kPorts) {
      const std::string address = WithPort(ip, port);
      if (std::find(options.doors.begin(), options.doors.end(), address) != options.doors.end())
        continue;
      probes.Add("other ports of Aegis's machine", Probe::Kind::kTcp, address);
    }
    probes.Add("dns", Probe::Kind::kDns, WithPort(ip, 53));
  }
}

void AddNameServers(Probes& probes) {
  const auto text = ReadFile("/etc/resolv.conf", kMaxFileBytes);
  if (!text) return;
  int count = 0;
  for (const std::string_view line : Split(*text, '\n')) {
    constexpr std::string_view kKey = "nameserver";
    if (!line.starts_with(kKey) || ++count > 3) continue;
    const std::string ip = net::CanonicalIp(Trim(line.substr(kKey.size())));
    if (!ip.empty()) probes.Add("dns", Probe::Kind::kDns, WithPort(ip, 53), "of resolv.conf");
  }
}

}  // namespace

Status CheckSandbox(const SandboxOptions& options, DoctorReport& report) {
  Probes probes;
  for (const std::string& door : options.doors) {
    AEGIS_RETURN_IF_ERROR(ReadAddress(door));
    probes.Add("door", Probe::Kind::kTcp, door);
  }
  for (const std::string& other : options.others) {
    AEGIS_RETURN_IF_ERROR(ReadAddress(other));
    probes.Add("forbidden addresses", Probe::Kind::kTcp, other);
  }
  for (const std::string_view ip : kPublic) {
    for (const int port : {80, 443}) probes.Add("tcp", Probe::Kind::kTcp, WithPort(ip, port));
    probes.Add("dns", Probe::Kind::kTcp, WithPort(ip, 53));
    probes.Add("dns", Probe::Kind::kDns, WithPort(ip, 53));
    probes.Add("ping", Probe::Kind::kPing, WithPort(ip, 0));
  }
  for (const std::string_view ip : kPublicV6) {
    for (const int port : {80, 443}) probes.Add("ipv6", Probe::Kind::kTcp, WithPort(ip, port));
    probes.Add("ipv6", Probe::Kind::kDns, WithPort(ip, 53));
    probes.Add("ipv6", Probe::Kind::kPing, WithPort(ip, 0));
  }
  for (const Metadata& metadata : kMetadata) {
    probes.Add("metadata", Probe::Kind::kTcp, metadata.address, metadata.whose);
  }
  AddHostPorts(options, probes);
  AddNameServers(probes);
  probes.Run(options.timeout);

  const auto reached = probes.With("door", Probe::Answer::kReached);
  for (const std::string& door : options.doors) {
    const std::string shown = net::ResolveAddress(door)->ToString();
    const bool there = std::find(reached.begin(), reached.end(), shown) != reached.end();
    report.Add(there ? Verdict::kOk : Verdict::kFail, "door",
               door + (there ? " answers"
                             : " does not answer: agents can do nothing; is Aegis "
                               "running there, and may this sandbox reach it?"));
  }
  const std::string_view drop = "drop everything that does not go to a door of Aegis";
  MustBeSilent(probes, "tcp", drop, report);
  MustBeSilent(probes, "dns", "names are for Aegis to resolve: drop port 53, UDP and TCP", report);
  MustBeSilent(probes, "ping", "packets can carry data: drop ICMP", report);
  MustBeSilent(probes, "ipv6", "drop IPv6 like IPv4, or switch it off", report);
  MustBeSilent(probes, "metadata", "whoever asks there gets the machine's credentials: drop it",
               report);
  if (!options.doors.empty()) {
    MustBeSilent(probes, "other ports of Aegis's machine",
                 "only the doors may be reached there, never the control plane or admin port",
                 report);
  }
  if (!options.others.empty()) MustBeSilent(probes, "forbidden addresses", drop, report);
  CheckNamespace(report);
  CheckRoutes(report);
  CheckCapabilities(report);
  CheckProxyVariables(options, report);
  CheckUnixSockets(report);
  return Ok();
}

}  // namespace aegis::cli
