"""The sandbox recipe, for real: agents in network namespaces, and doctor inside them."""

import json
import os
import shutil
import subprocess
import sys
import textwrap
import time
import uuid

import pytest
from support.aegis_process import BINARY, PAYMENTS_POLICY
from support.namespaces import ROOT, SANDBOX, WORLD_V4, WORLD_V6, Machine, run

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("nft") or not shutil.which("ip"),
    reason="needs root, nftables and iproute2",
)

HOST = "10.231.0.1"
PORTS = [22, 53, 80, 443, 5432, 8090, 9901]

# Everything an agent may try by itself, as JSON: what got an answer.
ESCAPE = textwrap.dedent("""
    import ctypes, json, os, socket, sys
    found = []
    def tcp(address, port):
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        try:
            with socket.socket(family) as s:
                s.settimeout(1)
                s.connect((address, port))
                found.append(f"tcp {address} {port}")
        except OSError as error:
            if isinstance(error, ConnectionRefusedError):
                found.append(f"refused {address} {port}")
    def udp(address, port):
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as s:
                s.settimeout(1)
                s.sendto(b"ag" + bytes(10), (address, port))
                s.recv(100)
                found.append(f"udp {address} {port}")
        except OSError:
            pass
    def may(name, call):
        try:
            call()
            found.append(name)
        except OSError:
            pass
    world, host, ports = json.loads(sys.argv[1])
    for address in world:
        for port in (53, 80, 443):
            tcp(address, port)
        udp(address, 53)
    for port in ports:
        tcp(host, port)
    udp(host, 53)
    may("raw socket", lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1))
    may("packet socket", lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 3))
    def ping():
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM, 1) as s:
            s.settimeout(1)
            s.sendto(bytes([8, 0, 0xf7, 0xff, 0, 0, 0, 0]), (host, 0))
            s.recv(100)
    may("ping", ping)
    def other_namespace():
        with open("/proc/1/ns/net") as f:
            if ctypes.CDLL(None, use_errno=True).setns(f.fileno(), 0) != 0:
                raise OSError()
    may("setns", other_namespace)
    def route():
        if os.system("ip route add default via %s 2>/dev/null" % host) != 0:
            raise OSError()
    may("route", route)
    def rules():
        if os.system("/usr/sbin/nft flush ruleset 2>/dev/null") != 0:
            raise OSError()
    may("nft", rules)
    with open("/proc/net/unix") as f:
        found += ["abstract " + line.split()[-1] for line in f if " @" in line]
    found += ["/run/" + name for name in os.listdir("/run")]
    print(json.dumps(found))
""")


@pytest.fixture
def machine():
    with Machine(PORTS) as running:
        yield running


@pytest.fixture
def aegis(machine, tmp_path):
    """Aegis in the machine, at the sandbox's address; a function that gives its command line."""
    name = "s" + uuid.uuid4().hex[:6]
    machine.sandbox(name)
    command = [BINARY, "up", "--data", tmp_path / "data"]
    command += ["--gateway", f"{HOST}:8080", "--gateway-plaintext", "--egress", f"{HOST}:3128"]
    command += ["--control", "127.0.0.1:18090", "--admin", "127.0.0.1:19901"]
    with (tmp_path / "aegis.log").open("wb") as log:
        process = machine.popen(*command, stdout=log, stderr=log)

        def cli(*arguments):
            return machine.run(BINARY, "--data", tmp_path / "data", *arguments).stdout

        deadline = time.monotonic() + 20
        while not (tmp_path / "data/run.json").exists():
            assert process.poll() is None, (tmp_path / "aegis.log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.05)
        cli.sandbox = name
        yield cli
        process.terminate()
        process.wait(timeout=20)


DOORS = ["--door", f"{HOST}:8080", "--door", f"{HOST}:3128"]


def doctor(machine, prefix, *flags):
    done = machine.run(
        *prefix, BINARY, "-o", "json", "doctor", "--sandbox", "--timeout-ms", "1000", *flags,
        check=False,
    )  # fmt: skip
    assert done.stdout, done.stderr
    report = json.loads(done.stdout)
    assert report["ok"] == (done.returncode == 0)
    # Where a check has several rows, the worst.
    order = ["ok", "warn", "FAIL"]
    rows = sorted(report["checks"], key=lambda row: order.index(row["result"]))
    return {row["check"]: row for row in rows}


def test_an_agent_in_the_sandbox_reaches_the_door_and_nothing_else(machine, aegis):
    inside = [SANDBOX, "run", aegis.sandbox, "--"]
    asked = json.dumps([WORLD_V4 + WORLD_V6, HOST, PORTS])
    # First that there is something to reach.
    outside = json.loads(machine.run(sys.executable, "-c", ESCAPE, asked).stdout)
    for address in WORLD_V4 + WORLD_V6:
        assert {f"tcp {address} 443", f"udp {address} 53"} <= set(outside)
    assert {f"tcp {HOST} 22", "raw socket", "packet socket"} <= set(outside)

    python = "/usr/bin/python3"  # an environment below a home folder may not be for everyone
    assert json.loads(machine.run(*inside, python, "-c", ESCAPE, asked).stdout) == []
    answer = machine.run(
        *inside, "curl", "-s", "--noproxy", "*", f"http://{HOST}:8080/tools/x/y"
    ).stdout
    assert json.loads(answer)["status"] == 401


def test_calls_from_the_sandbox_are_decided(machine, aegis, tmp_path):
    aegis("agent", "register", "finance-agent")
    (tmp_path / "finance.yaml").write_text(PAYMENTS_POLICY)
    aegis("policy", "publish", tmp_path / "finance.yaml")
    token = aegis("token", "issue", "finance-agent").strip()
    deadline = time.monotonic() + 10
    while True:
        answer = json.loads(
            machine.run(
                SANDBOX, "run", aegis.sandbox, "--", "sh", "-c",
                'exec curl -s --noproxy "*" -H "Authorization: Bearer $1" -d \'{"amount": 9000}\' '
                '-H "Content-Type: application/json" "$AEGIS_GATEWAY/tools/payments/create_payment"',  # noqa: E501
                "sh", token,
            ).stdout
        )  # fmt: skip
        if answer["reason"] != "no_policy":
            break
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert answer["reason"] == "condition_failed"


def test_the_egress_door_is_the_way_to_hosts_that_policy_lists(machine, aegis, tmp_path):
    site = [sys.executable, "-m", "http.server", "8088", "--bind", "198.51.100.7"]
    server = machine.popen(*site, cwd=tmp_path, stdout=subprocess.DEVNULL,
                           stderr=subprocess.DEVNULL)  # fmt: skip
    try:
        aegis("agent", "register", "fetcher")
        (tmp_path / "fetcher.yaml").write_text(
            "agent: fetcher\nallowed_tools: []\negress: {allow: ['198.51.100.0/24:8088']}\n"
        )
        aegis("policy", "publish", tmp_path / "fetcher.yaml")
        token = aegis("token", "issue", "fetcher").strip()

        def status(url):
            return machine.run(
                SANDBOX, "run", aegis.sandbox, "--", "sh", "-c",
                'exec curl -s -o /dev/null -w "%{http_code}" '
                '-x "http://agent:$1@${HTTP_PROXY#http://}" "$2"',
                "sh", token, url, check=False,
            ).stdout  # fmt: skip

        deadline = time.monotonic() + 15
        while status("http://198.51.100.7:8088/") != "200":
            assert time.monotonic() < deadline
            time.sleep(0.2)
        assert status("http://1.1.1.1:80/") == "403"
        assert status("http://169.254.169.254/") == "403"
    finally:
        server.kill()
        server.wait()


def test_doctor_finds_nothing_in_the_sandbox(machine, aegis):
    rows = doctor(machine, [SANDBOX, "run", aegis.sandbox, "--"], *DOORS,
                  "--unreachable", f"{HOST}:18090",
                  "--unreachable", "198.51.100.7:443")  # fmt: skip
    bad = {name: row["detail"] for name, row in rows.items() if row["result"] != "ok"}
    assert bad == {}
    assert set(rows) >= {
        "door", "tcp", "dns", "ping", "ipv6", "metadata", "other ports of Aegis's machine",
        "forbidden addresses", "default route", "capabilities", "runtime sockets",
        "abstract sockets", "namespace",
    }  # fmt: skip


def test_doctor_finds_every_leak(machine):
    inside = [
        "ip",
        "netns",
        "exec",
        machine.leaky(),
        "env",
        "HTTPS_PROXY=http://user:pw@10.9.9.9:1",
    ]
    rows = doctor(machine, inside, "--door", "10.230.0.1:8080",
                  "--unreachable", "198.51.100.7:443")  # fmt: skip
    assert {name for name, row in rows.items() if row["result"] == "FAIL"} >= {
        "door", "tcp", "dns", "ping", "ipv6", "metadata", "other ports of Aegis's machine",
        "forbidden addresses", "capabilities",
    }  # fmt: skip
    assert rows["default route"]["result"] == "warn"
    assert "IPv4 and IPv6" in rows["default route"]["detail"]
    assert "1.1.1.1:443" in rows["tcp"]["detail"]
    assert "credentials" in rows["metadata"]["detail"]
    assert "10.230.0.1:22" in rows["other ports of Aegis's machine"]["detail"]
    assert "10.9.9.9:1" in rows["proxy variables"]["detail"]
    assert "pw" not in rows["proxy variables"]["detail"]


@pytest.mark.parametrize(
    ("leak", "check"),
    [
        (["ip", "-n", "{ns}", "route", "add", "1.1.1.1", "dev", "aegis0"], "tcp"),
        (["ip", "-n", "{ns}", "route", "add", "169.254.169.254", "dev", "aegis0"], "metadata"),
        ([], "other ports of Aegis's machine"),
    ],
)
def test_doctor_finds_each_hole_that_is_made(machine, aegis, leak, check):
    """The rules of the machine and of the namespace are taken away, and one route is added."""
    namespace = f"aegis-{aegis.sandbox}"
    machine.run("nft", "delete", "table", "inet", f"aegis_{aegis.sandbox}")
    run("nsenter", f"--net=/run/netns/{namespace}", "nft", "flush", "ruleset")
    if leak:
        run(*[part.format(ns=namespace) for part in leak])
    rows = doctor(machine, [SANDBOX, "run", aegis.sandbox, "--"], *DOORS)
    assert rows[check]["result"] == "FAIL", rows


def test_each_wall_stands_alone(machine, aegis):
    """Without the namespace's rules and with a default route, the machine's rules still hold."""
    namespace = f"aegis-{aegis.sandbox}"
    run("nsenter", f"--net=/run/netns/{namespace}", "nft", "flush", "ruleset")
    run("ip", "-n", namespace, "route", "add", "default", "via", HOST)
    rows = doctor(machine, [SANDBOX, "run", aegis.sandbox, "--"], *DOORS)
    assert not [row for row in rows.values() if row["result"] == "FAIL"], rows
    assert rows["default route"]["result"] == "warn"


def test_doctor_ends_in_time_and_wants_addresses(machine, aegis):
    inside = [SANDBOX, "run", aegis.sandbox, "--"]
    begin = time.monotonic()
    doctor(machine, inside, *DOORS)
    assert time.monotonic() - begin < 10
    done = machine.run(*inside, BINARY, "doctor", "--sandbox", "--door", "aegis:8080", check=False)
    assert done.returncode == 1
    assert "names are not taken" in done.stderr
    done = machine.run(*inside, BINARY, "doctor", "--door", f"{HOST}:8080", check=False)
    assert done.returncode == 2


def test_a_sandbox_refuses_root_and_leaves_nothing_behind(machine):
    name = machine.sandbox("t" + uuid.uuid4().hex[:6], "--net", "10.233.7")
    done = machine.run(SANDBOX, "run", name, "--user", "root", "--", "true", check=False)
    assert done.returncode == 2 and "root" in done.stderr
    assert machine.run(SANDBOX, "address", name).stdout == "10.233.7.1\n"
    machine.run(SANDBOX, "down", name)
    assert name not in run("ip", "netns", "list").stdout
    assert name not in machine.run("nft", "list", "ruleset").stdout
    assert name not in machine.run("ip", "link").stdout


def test_sidecar_rules_by_user(machine):
    """One network for Aegis and the agent: only the user of Aegis gets out."""
    namespace = machine.leaky()
    inside = ["nsenter", f"--net=/run/netns/{namespace}", "--"]
    run(*inside, "nft", "-f", ROOT / "deploy/sandbox/sidecar.nft")
    run(*inside, "nft", "-f", ROOT / "deploy/sandbox/sidecar.nft")  # again: no difference
    serve = "import socket; s = socket.create_server(('127.0.0.1', {})); print(1, flush=True)\n" \
            "while True: s.accept()[0].send(b'ok')"  # fmt: skip

    def as_user(uid, *command):
        return [*inside, "setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups",
                "--bounding-set=-all", "--inh-caps=-all", "--", *command]  # fmt: skip

    servers = []
    for port in (8080, 8090):
        server = subprocess.Popen(
            as_user(65532, "/usr/bin/python3", "-c", serve.format(port)),
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        servers.append(server)
        server.stdout.readline()
    try:
        connect = "import socket, sys\n" \
                  "s = socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=2)\n" \
                  "print(s.recv(9).decode())"  # fmt: skip

        def reaches(uid, host, port):
            done = run(
                *as_user(uid, "/usr/bin/python3", "-c", connect, host, str(port)), check=False
            )
            return done.returncode == 0 and done.stdout.strip() in ("ok", "leak")

        assert reaches(1000, "127.0.0.1", 8080)
        assert reaches(65532, "1.1.1.1", 443)
        assert not reaches(1000, "127.0.0.1", 8090)  # the control plane
        for host in ("1.1.1.1", "169.254.169.254", "10.230.0.1", "2606:4700:4700::1111"):
            assert not reaches(1000, host, 443), host
    finally:
        for server in servers:
            server.kill()
            server.wait()


@pytest.mark.parametrize("file", ["kubernetes.yaml", "kubernetes-sidecar.yaml"])
def test_kubernetes_files_are_valid(file):
    import kubernetes_validate
    import yaml

    documents = list(yaml.safe_load_all((ROOT / "deploy/sandbox" / file).read_text()))
    for document in documents:
        kubernetes_validate.validate(document, kubernetes_validate.latest_version(), strict=True)
    for document in documents:
        for container in containers(document):
            security = container["securityContext"]
            assert security["allowPrivilegeEscalation"] is False
            assert security["capabilities"]["drop"] == ["ALL"]
            added = security["capabilities"].get("add", [])
            assert added == (["NET_ADMIN"] if container["name"] == "rules" else [])


def containers(document):
    spec = document.get("spec", {})
    spec = spec.get("template", {}).get("spec", spec)
    return spec.get("containers", []) + spec.get("initContainers", [])


def test_the_sidecars_rules_are_those_of_the_file():
    import yaml

    file = (ROOT / "deploy/sandbox/sidecar.nft").read_text()
    documents = yaml.safe_load_all((ROOT / "deploy/sandbox/kubernetes-sidecar.yaml").read_text())
    rules = next(iter(documents))["data"]["sidecar.nft"]
    assert rules.split() == [
        word for line in file.splitlines() if not line.startswith("#") for word in line.split()
    ]


def test_network_policies_leave_agents_nothing_but_the_doors():
    import yaml

    documents = yaml.safe_load_all((ROOT / "deploy/sandbox/kubernetes.yaml").read_text())
    policies = [d for d in documents if d["kind"] == "NetworkPolicy"]
    assert any(
        p["spec"]["podSelector"] == {} and set(p["spec"]["policyTypes"]) == {"Ingress", "Egress"}
        and "egress" not in p["spec"] and "ingress" not in p["spec"]
        for p in policies
    )  # fmt: skip
    for policy in policies:
        if policy["spec"]["podSelector"].get("matchLabels") != {"role": "agent"}:
            continue
        for rule in policy["spec"]["egress"]:
            assert rule["to"] == [{"podSelector": {"matchLabels": {"app": "aegis"}}}]
            assert {port["port"] for port in rule["ports"]} == {8080, 3128}
