"""Starting, pinning and measuring programs; machine facts; medians and tables."""

import atexit
import contextlib
import datetime
import json
import os
import pathlib
import platform
import shutil
import statistics
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
BIN = pathlib.Path(os.environ.get("AEGIS_BIN", ROOT / "build/release/bin/aegis")).parent
LOADGEN = BIN / "loadgen"
RESULTS = ROOT / "bench" / "results"

# The program under test has one core; the generator, and what is behind a proxy, the other.
CORES = sorted(os.sched_getaffinity(0))
GENERATOR_CPU = CORES[0]
TARGET_CPU = CORES[-1]


class BenchError(Exception):
    """A measurement that must not be reported: a wrong answer, a program that did not start."""


def find_program(name):
    for folder in (ROOT / "build" / "bin", ROOT / "build" / "deps" / "bin", BIN):
        if os.access(folder / name, os.X_OK):
            return str(folder / name)
    found = shutil.which(name)
    if not found:
        raise BenchError(f"{name} is missing: run `make bench`, which installs and builds it")
    return found


def raise_priority():
    """Everything that is measured, and the generator, go before what else the machine does."""
    with contextlib.suppress(PermissionError):
        os.nice(-10 - os.nice(0))
    # Linux may weigh sessions against each other first (autogroup); then nice counts only within.
    session = pathlib.Path("/proc/self/autogroup")
    with contextlib.suppress(OSError):
        before = session.read_text().split()[-1]
        session.write_text("-10")
        atexit.register(session.write_text, before)


@contextlib.contextmanager
def pinned(cpu):
    """Programs started inside run on this core only."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {cpu})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def process_tree(pid):
    found = [pid]
    for task in pathlib.Path(f"/proc/{pid}/task").glob("*/children"):
        for child in task.read_text().split():
            found += process_tree(int(child))
    return found


def cpu_seconds(pid):
    """User and system time of a process and its children."""
    ticks = 0
    for one in process_tree(pid):
        with contextlib.suppress(FileNotFoundError):
            fields = pathlib.Path(f"/proc/{one}/stat").read_text().rsplit(")", 1)[1].split()
            ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def memory_mib(pid):
    """Resident memory (Pss, so that pages shared between workers count once)."""
    kib = 0
    for one in process_tree(pid):
        for line in pathlib.Path(f"/proc/{one}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                kib += int(line.split()[1])
    return kib / 1024


class ToolServer:
    """The tool behind the proxies: `loadgen serve`."""

    def __init__(self, cpu):
        self.cpu = cpu

    def __enter__(self):
        self.process = subprocess.Popen(
            [LOADGEN, "serve", "--cpu", str(self.cpu)], stdout=subprocess.PIPE, text=True
        )
        self.port = int(self.process.stdout.readline())
        self.pid = self.process.pid
        self.served = None
        return self

    def __exit__(self, *_):
        if self.served is None:
            self.stop()

    def stop(self):
        """Ends it; returns how many requests it answered."""
        self.process.terminate()
        text, _ = self.process.communicate(timeout=10)
        self.served = json.loads(text)["served"]
        return self.served


def free_port():
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for_port(port, seconds=10):
    import socket

    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.02)
    raise BenchError(f"nothing listens on 127.0.0.1:{port} after {seconds} s")


def run_load(port, requests, *, mode="run", connections=1, seconds=5.0, warmup=1.0, rate=0.0,
             flags=(), may_fail=False):  # fmt: skip
    """One load run; raises BenchError when an answer was wrong or missing (unless `may_fail`)."""
    command = [
        LOADGEN, mode, "--port", port, "--requests", requests, "--connections", connections,
        "--seconds", seconds, "--warmup", warmup, "--rate", rate, "--cpu", GENERATOR_CPU, *flags,
    ]  # fmt: skip
    process = subprocess.run([str(part) for part in command], stdout=subprocess.PIPE, text=True)
    if not process.stdout:
        raise BenchError(f"the load generator failed with exit code {process.returncode}")
    result = json.loads(process.stdout)
    bad = {key: result[key] for key in ("wrong", "failed", "unfinished") if result[key]}
    if bad and not may_fail:
        raise BenchError(f"answers were {bad}; statuses {result['statuses']}; the first wrong one:"
                         f"\n{result['first_wrong']}")  # fmt: skip
    return result


def machine_facts():
    def first(command):
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=20)
            return (done.stdout or done.stderr).splitlines()[0].strip()
        except (OSError, IndexError):
            return "unknown"

    cpu = next(
        (
            line.split(":", 1)[1].strip()
            for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    memory_kib = int(pathlib.Path("/proc/meminfo").read_text().split()[1])
    git = ["git", "-C", str(ROOT)]
    return {
        "cpu": cpu,
        "cores": len(CORES),
        "memory_gib": round(memory_kib / 2**20, 1),
        "kernel": platform.release(),
        "system": platform.freedesktop_os_release().get("PRETTY_NAME", "unknown"),
        "virtual": first(["systemd-detect-virt"]),
        "load_average_at_start": [round(value, 2) for value in os.getloadavg()],
        "compiler": first(["g++", "--version"]),
        "nginx": first([find_program("nginx"), "-v"]),
        "commit": first([*git, "rev-parse", "--short=12", "HEAD"]),
        "uncommitted_changes": bool(
            subprocess.run([*git, "status", "--porcelain", "src"], capture_output=True).stdout
        ),
        "nice": os.nice(0),
        "pinning": {"generator_and_tool": GENERATOR_CPU, "target": TARGET_CPU},
    }


def save(name, scenarios, quick):
    RESULTS.mkdir(parents=True, exist_ok=True)
    now = datetime.datetime.now(datetime.UTC)
    file = RESULTS / f"{now:%Y-%m-%d}-{name}.json"
    record = {
        "time": now.isoformat(timespec="seconds"),
        "command": "make bench" if name == "all" else f"make bench SCENARIOS='{name}'",
        "quick": quick,
        "machine": MACHINE,
        "scenarios": scenarios,
    }
    file.write_text(json.dumps(record, indent=1) + "\n")
    return file


MACHINE = {}


def median(values):
    return statistics.median(values)


def print_table(title, columns, rows):
    """Rows of strings or numbers; numbers are right-aligned."""
    text = [
        [cell if isinstance(cell, str) else format_number(cell) for cell in row] for row in rows
    ]
    widths = [max(len(line[i]) for line in [columns, *text]) for i in range(len(columns))]
    print(f"\n{title}")
    print("  " + "  ".join(name.ljust(width) for name, width in zip(columns, widths, strict=True)))
    for row, line in zip(rows, text, strict=True):
        cells = [
            cell.ljust(width) if isinstance(value, str) else cell.rjust(width)
            for value, cell, width in zip(row, line, widths, strict=True)
        ]
        print("  " + "  ".join(cells))
    sys.stdout.flush()


def format_number(value):
    if value is None:
        return "-"
    if isinstance(value, int) or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.2f}" if abs(value) < 100 else f"{value:.1f}"
