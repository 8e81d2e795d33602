"""Network namespaces that stand for a machine and the internet; no packet leaves the real machine.

It has the addresses of public resolvers and of metadata services itself, and something answers on
each: whatever gets there would get to the real ones.
"""

import pathlib
import subprocess
import sys
import textwrap
import uuid

ROOT = pathlib.Path(__file__).resolve().parents[2]
SANDBOX = ROOT / "deploy/sandbox/aegis-sandbox"
WORLD_V4 = ["1.1.1.1", "8.8.8.8", "9.9.9.9", "169.254.169.254", "198.51.100.7"]
WORLD_V6 = ["2606:4700:4700::1111", "2001:4860:4860::8888", "fd00:ec2::254"]

# Answers TCP on the ports, and questions by UDP on 53.
SERVER = textwrap.dedent("""
    import selectors, socket, sys
    selector = selectors.DefaultSelector()
    for family, any in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
        for port in map(int, sys.argv[1:]):
            tcp = socket.socket(family)
            tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                tcp.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            tcp.bind((any, port))
            tcp.listen(64)
            selector.register(tcp, selectors.EVENT_READ, "tcp")
        udp = socket.socket(family, socket.SOCK_DGRAM)
        if family == socket.AF_INET6:
            udp.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        udp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        udp.bind((any, 53))
        selector.register(udp, selectors.EVENT_READ, "udp")
    print("ready", flush=True)
    kept = []
    while True:
        for key, _ in selector.select():
            if key.data == "tcp":
                kept = kept[-50:] + [key.fileobj.accept()[0]]
                kept[-1].send(b"leak")
            else:
                data, peer = key.fileobj.recvfrom(2048)
                key.fileobj.sendto(data[:2] + b"leak", peer)
""")


def run(*command, check: bool = True, **options) -> subprocess.CompletedProcess:
    done = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, timeout=60, **options
    )
    assert not check or done.returncode == 0, f"{done.args}\n{done.stdout}{done.stderr}"
    return done


class Machine:
    """A namespace with the world on its loopback; `ports` are served on every address of it."""

    def __init__(self, ports: list[int]):
        self.name = "w" + uuid.uuid4().hex[:8]
        self.inside: list[str] = []
        self.sandboxes: list[str] = []
        self.server = None
        try:
            self._make(ports)
        except BaseException:
            self.close()
            raise

    def _make(self, ports: list[int]) -> None:
        run("ip", "netns", "add", self.name)
        self.run("ip", "link", "set", "lo", "up")
        for address in WORLD_V4:
            self.run("ip", "addr", "add", f"{address}/32", "dev", "lo")
        for address in WORLD_V6:
            self.run("ip", "addr", "add", f"{address}/128", "dev", "lo", "nodad")
        # What would make an agent's packets go further.
        self.run("sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")
        self.server = self.popen(
            sys.executable, "-c", SERVER, *ports, stdout=subprocess.PIPE, text=True
        )
        assert self.server.stdout.readline() == "ready\n"

    def command(self, *command) -> list[str]:
        return ["nsenter", f"--net=/run/netns/{self.name}", "--", *map(str, command)]

    def run(self, *command, **options) -> subprocess.CompletedProcess:
        return run(*self.command(*command), **options)

    def popen(self, *command, **options) -> subprocess.Popen:
        return subprocess.Popen(self.command(*command), **options)

    def leaky(self) -> str:
        """A namespace that is routed as containers usually are; its name."""
        name = self.name + "l"
        self.inside.append(name)
        run("ip", "netns", "add", name)
        self.run("ip", "link", "add", "lk0", "type", "veth", "peer", "name", "e0", "netns", name)
        self.run("ip", "addr", "add", "10.230.0.1/30", "dev", "lk0")
        self.run("ip", "addr", "add", "fd12::1/64", "dev", "lk0", "nodad")
        self.run("ip", "link", "set", "lk0", "up")
        ip = ["ip", "-n", name]
        run(*ip, "link", "set", "lo", "up")
        run(*ip, "addr", "add", "10.230.0.2/30", "dev", "e0")
        run(*ip, "addr", "add", "fd12::2/64", "dev", "e0", "nodad")
        run(*ip, "link", "set", "e0", "up")
        run(*ip, "route", "add", "default", "via", "10.230.0.1")
        run(*ip, "-6", "route", "add", "default", "via", "fd12::1")
        run(
            "nsenter",
            f"--net=/run/netns/{name}",
            "sysctl",
            "-qw",
            "net.ipv4.ping_group_range=0 65535",
        )
        return name

    def sandbox(self, name: str, *options) -> str:
        """A sandbox by the script; its name."""
        self.sandboxes.append(name)
        self.run(SANDBOX, "up", name, *options)
        return name

    def close(self) -> None:
        for name in self.sandboxes:
            self.run(SANDBOX, "down", name, check=False)
        if self.server:
            self.server.kill()
            self.server.wait()
        for name in [*self.inside, self.name]:
            run("ip", "netns", "del", name, check=False)

    def __enter__(self) -> "Machine":
        return self

    def __exit__(self, *_) -> None:
        self.close()
