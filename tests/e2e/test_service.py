"""Aegis as a service: what the service manager hears, what ready means, how little it needs."""

import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import time

import pytest
from support.aegis_process import BINARY, PAYMENTS_POLICY, ROOT, Aegis, request

UNIT = ROOT / "deploy/systemd/aegis.service"
CONTAINERFILE = ROOT / "deploy/container/Containerfile"
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


@contextlib.contextmanager
def service_manager(address: str, monkeypatch):
    """A socket that gets what the service says; yields a function that gives the next words."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as own:
        own.bind("\0" + address[1:] if address.startswith("@") else address)
        own.settimeout(20)
        monkeypatch.setenv("NOTIFY_SOCKET", address)
        yield lambda: own.recv(4096).decode()


@pytest.mark.parametrize("abstract", [False, True])
def test_the_service_manager_is_told(tmp_path, monkeypatch, abstract):
    address = f"@aegis-test-{os.getpid()}" if abstract else str(tmp_path / "notify")
    with service_manager(address, monkeypatch) as next_words:
        with Aegis(tmp_path / "data"):
            assert "READY=1" in next_words().splitlines()
        assert "STOPPING=1" in next_words().splitlines()


@pytest.mark.parametrize("address", ["/nowhere/notify", "relative", "@" + "x" * 200, ""])
def test_a_service_manager_that_is_not_there_is_no_reason_to_stop(tmp_path, monkeypatch, address):
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    with Aegis(tmp_path / "data") as running:
        assert request(running.admin + "/healthz").status == 200


def ready(aegis) -> tuple[int, dict]:
    answer = request(aegis.admin + "/readyz")
    return answer.status, answer.json()


def test_ready_means_that_calls_are_decided(tmp_path, tool):
    with Aegis(tmp_path / "data") as aegis:
        deadline = time.monotonic() + 10
        while "settings" in ready(aegis)[1]["reason"]:  # the first moments
            assert time.monotonic() < deadline
            time.sleep(0.02)
        status, document = ready(aegis)
        assert (status, document["ready"]) == (503, False)
        assert document["reason"] == "no policy yet: every call is denied"
        assert request(aegis.admin + "/healthz").status == 200
        assert aegis.cli("doctor", "--alive").returncode == 0
        assert aegis.cli("doctor", "--ready", check=False).returncode == 1

        aegis.cli("agent", "register", "finance-agent")
        aegis.publish(tmp_path / "policies", finance=PAYMENTS_POLICY)
        aegis.wait_ready_to_decide()
        assert ready(aegis) == (200, ready(aegis)[1])
        assert aegis.cli("doctor", "--ready").returncode == 0

        aegis.stop()
        aegis.start()  # from what is on disk
        aegis.wait_ready_to_decide()
    done = aegis.cli("doctor", "--alive", check=False)
    assert done.returncode == 1


def test_not_ready_while_it_drains(aegis):
    token = aegis.token("finance-agent")
    port = int(aegis.gateway.rsplit(":", 1)[1])
    with socket.create_connection(("127.0.0.1", port), timeout=15) as slow:
        slow.sendall(
            b"POST /tools/payments/create_payment HTTP/1.1\r\nHost: a\r\n"
            b"Content-Type: application/json\r\nContent-Length: 13\r\n"
            b"Authorization: Bearer " + token.encode() + b"\r\n\r\n{"
        )
        deadline = time.monotonic() + 10
        while b"aegis_requests_in_flight 1" not in request(aegis.admin + "/metrics").body:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        aegis.process.send_signal(signal.SIGTERM)
        while (state := ready(aegis))[0] == 200:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert state[1]["reason"] == "the gateway is shutting down"
        # The call that was under way is still answered.
        slow.sendall(b'"amount": 1}')
        assert slow.recv(4096).startswith(b"HTTP/1.1 200")
    assert aegis.process.wait(timeout=20) == 0


def test_the_unit_is_one_that_systemd_takes(tmp_path):
    if not shutil.which("systemd-analyze"):
        pytest.skip("no systemd-analyze")
    unit = tmp_path / "aegis.service"
    unit.write_text(UNIT.read_text().replace("/usr/bin/aegis", str(BINARY)))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", unit], capture_output=True, text=True
    )
    assert done.returncode == 0 and not done.stderr, done.stderr


def test_the_unit_exposes_little():
    """0 is nothing, 10 is all; docs/service.md quotes the figure."""
    if not shutil.which("systemd-analyze"):
        pytest.skip("no systemd-analyze")
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--threshold=15", UNIT],
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    level = re.search(r"exposure level for aegis.service: ([0-9.]+)", done.stdout)[1]
    assert level in (ROOT / "docs/service.md").read_text()


@as_root
def test_the_units_command_runs_as_another_user_on_a_read_only_root(tmp_path):
    """As the unit and the container have it: no root, no capability, one folder to write."""
    data = pathlib.Path("/tmp") / f"aegis-service-{os.getpid()}"
    data.mkdir()
    os.chown(data, 65532, 65532)
    try:
        inside = (
            f"mount --bind {data} {data}; mount -o remount,bind,ro /; "
            "! touch /tmp/x 2>/dev/null || exit 9; "
            "exec setpriv --reuid=65532 --regid=65532 --clear-groups --no-new-privs "
            '--bounding-set=-all --inh-caps=-all -- "$@"'
        )
        command = ["unshare", "--mount", "bash", "-euc", inside, "x", BINARY, "up", "--data",
                   data / "data", "--gateway", "127.0.0.1:0", "--control", "127.0.0.1:0",
                   "--admin", "127.0.0.1:0"]  # fmt: skip
        with (tmp_path / "log").open("wb") as log:
            process = subprocess.Popen(list(map(str, command)), stdout=log, stderr=log)
        try:
            deadline = time.monotonic() + 20
            while not (data / "data/run.json").exists():
                assert process.poll() is None, (tmp_path / "log").read_text()
                assert time.monotonic() < deadline
                time.sleep(0.05)
            run = json.loads((data / "data/run.json").read_text())
            assert request(run["admin"] + "/healthz").status == 200
            assert request(run["gateway"] + "/tools/a/b", "POST", {}).status == 401
            status = pathlib.Path(f"/proc/{run['pid']}/status").read_text()
            assert re.search(r"Uid:\s+65532\s+65532\s+65532\s+65532\n", status)
            assert re.search(r"CapBnd:\s+0+\n", status)
        finally:
            process.terminate()
            assert process.wait(timeout=20) == 0
    finally:
        shutil.rmtree(data)


def test_the_container_file_is_small_and_not_root():
    text = CONTAINERFILE.read_text()
    last = text[text.rindex("\nFROM ") :]
    assert re.findall(r"^FROM (\S+)", text, re.M) == ["debian:12-slim", "debian:12-slim"]
    assert re.search(r"^USER 65532:65532$", last, re.M)
    assert re.search(
        r'^HEALTHCHECK [^\n]*\\\n\s+CMD \["/usr/bin/aegis", "doctor", "--alive"\]$', last, re.M
    )
    assert "ADD " not in text and ":latest" not in text and "curl" not in text
    assert last.count("COPY ") == 1 and "COPY --from=build /out/ /" in last


@as_root
def test_what_the_container_file_copies_is_enough(tmp_path):
    """The program and what the file's ldd command finds, alone in a folder with the loader."""
    root = tmp_path / "root"
    command = re.search(r"ldd /out/usr/bin/aegis \| (awk '[^']*')", CONTAINERFILE.read_text())[1]
    (root / "usr/bin").mkdir(parents=True)
    shutil.copy(BINARY, root / "usr/bin/aegis")
    found = subprocess.run(
        ["bash", "-euc", f"ldd {BINARY} | {command}"], capture_output=True, text=True, check=True
    ).stdout.split()
    assert len(found) > 10
    for path in [*found, "/lib64/ld-linux-x86-64.so.2"]:  # the loader is the base image's
        (root / path[1:]).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, root / path[1:])
    done = subprocess.run(
        ["chroot", "--userspec=65532:65532", root, "/usr/bin/aegis", "version"],
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.stdout.startswith("aegis "), done.stderr
