"""Envoy's authorization door beside a grpc-go server that allows everything, and OPA's REST server.

The target has one core, the generator the other. Aegis verifies the token, decides by policy on the
body, and its record is on disk before it answers; the yardstick reads the message and no more; OPA
verifies the same tokens (its cache for that switched on) and evaluates the same policy.
"""

import contextlib
import os
import pathlib
import subprocess
import time

import check_request
import corpus
import harness
import opa_server
from gateway import RunningAegis
from harness import BenchError, median

from scenarios import inproc

SIZE = corpus.Size(100, 10)
CONNECTIONS, STREAMS = 4, 32
RATE, RATE_STREAMS = 10_000, 256
BARS = {
    "throughput_over_yardstick": 0.8,
    "throughput_over_opa": 20,
    "serial_p50_over_yardstick": 1.2,
    "open_p99_us": 2000,
    "open_p999_us": 10_000,
    "idle_mib": 20,
}


class Yardstick:
    """bench/yardstick, on the target's core."""

    def __enter__(self):
        with harness.pinned(harness.TARGET_CPU):
            self.process = subprocess.Popen(
                [harness.find_program("yardstick")], stdout=subprocess.PIPE, text=True
            )
        self.port, self.pid = int(self.process.stdout.readline()), self.process.pid
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(10)


class Target:
    """A server, what it is sent, and by which protocol."""

    def __init__(self, server, port, requests, mode="check"):
        self.server, self.port, self.requests, self.mode = server, port, requests, mode
        self.sent = 0

    def measure(self, seconds, *, connections=1, streams=1, rate=0.0, poll=False):
        flags = ["--streams", streams] if self.mode == "check" else []
        before = harness.cpu_seconds(self.server.pid)
        result = harness.run_load(
            self.port, self.requests, mode=self.mode, connections=connections, seconds=seconds,
            warmup=seconds / 5, rate=rate, flags=[*flags, *(["--poll"] if poll else [])],
        )  # fmt: skip
        used = harness.cpu_seconds(self.server.pid) - before
        self.sent += result["sent"]
        return {
            "rate": result["rate"],
            **{key: result["latency_us"][key] for key in ("p50", "p99", "p999", "max")},
            "cpu_us_per_request": used / result["sent"] * 1e6,
            "sent": result["sent"],
            "generator_cpu": result["generator_cpu"],
        }


def saturated(targets, runs, seconds):
    """Closed loops in turn. OPA speaks HTTP/1.1: as many connections as the others have streams."""
    loads = {
        "yardstick": {"connections": CONNECTIONS, "streams": STREAMS},
        "aegis": {"connections": CONNECTIONS, "streams": STREAMS},
        "opa": {"connections": STREAMS},
    }
    return in_turn(targets, loads, runs, seconds, f"{CONNECTIONS}x{STREAMS}")


def serial(targets, runs, seconds, folder):
    """One call after the other; with the disk's part of Aegis's time, found in the same round."""
    loads = {name: {"poll": True} for name in ("yardstick", "aegis")}
    rounds = []
    for _ in range(runs):
        rounds += in_turn(targets, loads, 1, seconds, "serial")
        rounds[-1]["aegis"]["flush"] = flush_us(folder)
    return rounds


def in_turn(targets, loads, runs, seconds, title):
    rounds = []
    for number in range(runs):
        rounds.append({
            name: targets[name].measure(seconds, **load) for name, load in loads.items()
        })  # fmt: skip
        told = ", ".join(
            f"{name} {one['rate']:,.0f}/s p50 {one['p50']:.0f} µs"
            for name, one in rounds[-1].items()
        )
        print(f"  {title}, round {number + 1}/{runs}: {told}", flush=True)
    return rounds


def flush_us(folder: pathlib.Path, count=500):
    """Median time in which the disk makes one small record durable, written as the journal does:
    into space that is there already. Aegis cannot answer a lone call sooner."""
    times = []
    with harness.pinned(harness.TARGET_CPU), (folder / "flushed").open("w+b", buffering=0) as file:
        file.write(bytes(count * 1024))
        os.fsync(file.fileno())
        for number in range(count):
            begun = time.perf_counter_ns()
            os.pwrite(file.fileno(), b"x" * 700, number * 1024)
            os.fdatasync(file.fileno())
            times.append(time.perf_counter_ns() - begun)
    return median(times) / 1000


def ratio(rounds, key, over):
    return median([one["aegis"][key] / one[over][key] for one in rounds])


def medians(rounds):
    return {
        name: {key: median([one[name][key] for one in rounds]) for key in rounds[0][name]}
        for name in rounds[0]
    }


def check_records(aegis, target, made):
    """Every answer that the generator got is on disk."""
    recorded = aegis.records()
    total = sum(recorded.get(("decision", outcome), 0) for outcome in ("allow", "deny"))
    if total != target.sent:
        raise BenchError(f"{target.sent} calls were answered, {total} are on record")
    denied = sum(not case.allowed for case in made) / len(made)
    if abs(recorded.get(("decision", "deny"), 0) / total - denied) > 0.01:
        raise BenchError(f"of {total} records {recorded} are denials, not {denied:.0%}")


def run(work, quick):
    runs, seconds, open_seconds = (1, 1.0, 3.0) if quick else (5, 5.0, 60.0)
    made = corpus.cases(SIZE)
    bundle = inproc.compile_bundle(work, SIZE)
    with contextlib.ExitStack() as stack:
        door = harness.free_port()
        aegis = stack.enter_context(
            RunningAegis(work, SIZE, harness.free_port(), "--ext-authz", f"127.0.0.1:{door}")
        )
        tokens = aegis.tokens(made)
        memory = {"idle": harness.memory_mib(aegis.pid)}
        yardstick = stack.enter_context(Yardstick())
        opa = stack.enter_context(
            opa_server.OpaServer(work, bundle, aegis, next(iter(tokens.values())))
        )
        ask = check_request.write_check_requests
        targets = {
            "yardstick": Target(yardstick, yardstick.port,
                                ask(work / "unseen", made, tokens, all_allowed=True)),
            "aegis": Target(aegis, door, ask(work / "checks", made, tokens)),
            "opa": Target(opa, opa.port, opa_server.write_requests(
                work / "rest", made, tokens, check_request.body_of), "run"),
        }  # fmt: skip
        closed = saturated(targets, runs, seconds)
        alone = serial(targets, runs, seconds, work)
        memory["before_open"] = harness.memory_mib(aegis.pid)
        opened = {
            name: targets[name].measure(
                open_seconds, connections=CONNECTIONS, streams=RATE_STREAMS, rate=RATE, poll=True
            )
            for name in ("yardstick", "aegis")
        }
        memory["after_open"] = harness.memory_mib(aegis.pid)
        check_records(aegis, targets["aegis"], made)
    result = {
        "size": SIZE.name,
        "message_bytes": len(check_request.check_request(made[0], tokens[made[0].agent], 0)),
        "throughput_over_yardstick": ratio(closed, "rate", "yardstick"),
        "throughput_over_opa": ratio(closed, "rate", "opa"),
        "serial_p50_over_yardstick": ratio(alone, "p50", "yardstick"),
        "serial_p50_without_flush_over_yardstick": median(
            [
                (one["aegis"]["p50"] - one["aegis"]["flush"]) / one["yardstick"]["p50"]
                for one in alone
            ]
        ),
        "open_p99_us": opened["aegis"]["p99"],
        "open_p999_us": opened["aegis"]["p999"],
        "idle_mib": memory["idle"],
        "memory_mib": memory,
        "bars": BARS,
        "open_seconds": open_seconds,
        "saturated": {"targets": medians(closed), "rounds": closed},
        "serial": {"targets": medians(alone), "rounds": alone},
        "open": opened,
    }
    show(result)
    return result


def show(result):
    tables = {
        f"{CONNECTIONS} connections × {STREAMS} streams (OPA: {STREAMS} connections), closed loop":
            result["saturated"]["targets"],
        "1 call in flight, the generator polls": result["serial"]["targets"],
        f"{RATE:,} calls/s due, open loop, {result['open_seconds']:.0f} s": result["open"],
    }  # fmt: skip
    for title, rows in tables.items():
        harness.print_table(
            f"{title}; medians; latencies in µs",
            ["target", "calls/s", "p50", "p99", "p99.9", "max", "CPU µs/call", "generator's CPU"],
            [
                [name, *(one[key] for key in ("rate", "p50", "p99", "p999", "max",
                                              "cpu_us_per_request", "generator_cpu"))]
                for name, one in rows.items()
            ],
        )  # fmt: skip
    for key, sign in (
        ("throughput_over_yardstick", "≥"), ("throughput_over_opa", "≥"),
        ("serial_p50_over_yardstick", "≤"), ("open_p99_us", "<"), ("open_p999_us", "<"),
        ("idle_mib", "≤"),
    ):  # fmt: skip
        got, bar = result[key], BARS[key]
        met = got >= bar if sign == "≥" else got <= bar
        print(f"  {key}: {got:,.2f} (bar: {sign} {bar:,}){'' if met else '  MISSED'}")
    flush = result["serial"]["targets"]["aegis"]["flush"]
    print(f"  of Aegis's serial p50 the disk takes {flush:.0f} µs for the record; without it: "
          f"{result['serial_p50_without_flush_over_yardstick']:.2f}")  # fmt: skip
    memory = result["memory_mib"]
    print(f"  memory before and after the open loop: {memory['before_open']:.1f} and "
          f"{memory['after_open']:.1f} MiB")  # fmt: skip
