"""Aegis as a proxy beside a direct call, nginx, HAProxy and Envoy, in turn.

The target (a proxy, or for "direct" the tool itself) has one core, generator and tool the other.
Aegis checks the token, decides by policy and makes the record durable; the others only forward.
"""

import contextlib

import corpus
import harness
from gateway import RunningAegis
from harness import BenchError, ToolServer, median
from proxies import Envoy, HAProxy, Nginx

SIZE = corpus.Size(100, 10)
BULK = 16 * 1024  # bytes of a large body
# Name: connections, whether the bodies are large.
CLOSED = {
    "1": (1, False),
    "32": (32, False),
    "512": (512, False),
    "32, 16 KiB": (32, True),
}
RATE = 10_000  # calls/s of the open loop
RATE_CONNECTIONS = 32
BARS = {
    "rate_over_nginx": 0.5,
    "rate_over_envoy": 1.0,
    "p99_over_nginx_us": 100,  # at one connection
    "open_p99_us": 5_000,
}


def measure(target, requests, connections, seconds, rate=0):
    before = harness.cpu_seconds(target.pid)
    result = harness.run_load(
        target.port, requests, connections=connections, seconds=seconds, warmup=seconds / 5,
        rate=rate,
    )  # fmt: skip
    used = harness.cpu_seconds(target.pid) - before
    return {
        "rate": result["rate"],
        **{key: result["latency_us"][key] for key in ("p50", "p99", "p999")},
        "cpu_us_per_request": used / result["sent"] * 1e6,
        "sent": result["sent"],
        "generator_cpu": result["generator_cpu"],
    }


def run(work, quick):
    runs, seconds, open_seconds = (1, 1.0, 3.0) if quick else (3, 5.0, 20.0)
    with contextlib.ExitStack() as stack:
        tool = stack.enter_context(ToolServer(harness.GENERATOR_CPU))
        targets = {"direct": stack.enter_context(ToolServer(harness.TARGET_CPU))}
        for name, proxy in (("nginx", Nginx), ("haproxy", HAProxy), ("envoy", Envoy)):
            targets[name] = stack.enter_context(proxy(tool.port, harness.TARGET_CPU))
        targets["aegis"] = aegis = stack.enter_context(RunningAegis(work, SIZE, tool.port))
        small, large = (
            corpus.cases(SIZE, denied_share=0, count=count, padding=padding)
            for count, padding in ((1000, 0), (100, BULK))
        )
        tokens = aegis.tokens([*small, *large])
        files = [
            corpus.write_requests(work / name, made, tokens)
            for name, made in (("small", small), ("large", large))
        ]
        rows = {}
        for title, (connections, bulk) in CLOSED.items():
            rounds = []
            for number in range(runs):
                rounds.append({
                    name: measure(target, files[bulk], connections, seconds)
                    for name, target in targets.items()
                })  # fmt: skip
                rates = ", ".join(f"{k} {v['rate']:,.0f}/s" for k, v in rounds[-1].items())
                print(f"  {title} connections, round {number + 1}/{runs}: {rates}", flush=True)
            rows[title] = summarise(rounds)
        opened = {
            name: measure(targets[name], files[0], RATE_CONNECTIONS, open_seconds, rate=RATE)
            for name in ("nginx", "aegis")
        }
        sent = opened["aegis"]["sent"]
        sent += sum(one["aegis"]["sent"] for row in rows.values() for one in row["rounds"])
        recorded = aegis.records().get(("decision", "allow"), 0)
        if recorded != sent:
            raise BenchError(f"{sent} calls were answered, {recorded} are on record")
    show(rows, opened)
    return {
        "size": SIZE.name,
        "seconds": seconds,
        "rounds": runs,
        "connections": rows,
        "open": {"rate": RATE, "targets": opened},
        "bars": BARS,
    }


def summarise(rounds):
    """Medians; what compares two targets is computed within a round first."""
    targets = {
        name: {key: median([one[name][key] for one in rounds]) for key in rounds[0][name]}
        for name in rounds[0]
    }
    for name in targets:
        if name != "direct":
            for key in ("p50", "p99"):
                targets[name][f"added_{key}"] = median(
                    [one[name][key] - one["direct"][key] for one in rounds]
                )
    compared = {
        f"rate_over_{peer}": median([one["aegis"]["rate"] / one[peer]["rate"] for one in rounds])
        for peer in ("nginx", "haproxy", "envoy")
    }
    for key in ("p50", "p99"):
        compared[f"{key}_over_nginx_us"] = median(
            [one["aegis"][key] - one["nginx"][key] for one in rounds]
        )
    return {"targets": targets, "ratios": compared, "rounds": rounds}


def show(rows, opened):
    columns = ["rate", "p50", "p99", "p999", "added_p50", "added_p99", "cpu_us_per_request"]
    titles = ["requests/s", "p50", "p99", "p99.9", "added p50", "added p99", "CPU µs/request"]
    tables = {f"{title} connection(s), closed loop": row["targets"] for title, row in rows.items()}
    tables[f"{RATE:,} requests/s due, {RATE_CONNECTIONS} connections, open loop"] = opened
    for title, targets in tables.items():
        harness.print_table(
            f"{title}; medians; latencies in µs",
            ["target", *titles],
            [[name, *(one.get(column) for column in columns)] for name, one in targets.items()],
        )
    for title, row in rows.items():
        told = ", ".join(f"{name} {value:,.2f}" for name, value in row["ratios"].items())
        print(f"  {title} connection(s): {told}")
    for title, row in rows.items():
        for name in ("rate_over_nginx", "rate_over_envoy"):
            if row["ratios"][name] < BARS[name]:
                print(f"  MISSED at {title}: {name} {row['ratios'][name]:.2f} (bar ≥ {BARS[name]})")
    for name, got in (
        ("p99_over_nginx_us", rows["1"]["ratios"]["p99_over_nginx_us"]),
        ("open_p99_us", opened["aegis"]["p99"]),
    ):
        print(
            f"  {name}: {got:,.0f} (bar ≤ {BARS[name]:,}){'' if got <= BARS[name] else '  MISSED'}"
        )
