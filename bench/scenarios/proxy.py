"""Requests/s and added latency of Aegis as a proxy beside a direct call and nginx, in turn.

The target (Aegis, nginx, or for "direct" the tool itself) has one core, generator and tool the
other.
Aegis checks the token, decides by policy and makes the record durable; nginx only forwards.
"""

import contextlib

import corpus
import harness
from gateway import RunningAegis
from harness import BenchError, Nginx, ToolServer, median

SIZE = corpus.Size(100, 10)


def measure(target, requests, connections, seconds):
    before = harness.cpu_seconds(target.pid)
    result = harness.run_load(
        target.port, requests, connections=connections, seconds=seconds, warmup=seconds / 5
    )
    used = harness.cpu_seconds(target.pid) - before
    return {
        "rate": result["rate"],
        **{key: result["latency_us"][key] for key in ("p50", "p99", "p999")},
        "cpu_us_per_request": used / result["sent"] * 1e6,
        "sent": result["sent"],
        "generator_cpu": result["generator_cpu"],
    }


def run(work, quick):
    runs, seconds = (1, 1.0) if quick else (5, 5.0)
    made = corpus.cases(SIZE, denied_share=0)
    with contextlib.ExitStack() as stack:
        tool = stack.enter_context(ToolServer(harness.GENERATOR_CPU))
        targets = {
            "direct": stack.enter_context(ToolServer(harness.TARGET_CPU)),
            "nginx": stack.enter_context(Nginx(tool.port, harness.TARGET_CPU)),
        }
        aegis = stack.enter_context(RunningAegis(work, SIZE, tool.port))
        targets["aegis"] = aegis
        requests = corpus.write_requests(work / "requests", made, aegis.tokens(made))
        rows = {}
        for connections in (1, 32):
            rounds = []
            for number in range(runs):
                rounds.append({
                    name: measure(target, requests, connections, seconds)
                    for name, target in targets.items()
                })  # fmt: skip
                rates = ", ".join(f"{k} {v['rate']:,.0f}/s" for k, v in rounds[-1].items())
                print(
                    f"  {connections} connections, round {number + 1}/{runs}: {rates}", flush=True
                )
            rows[str(connections)] = summarise(rounds)
        sent = sum(one["aegis"]["sent"] for row in rows.values() for one in row["rounds"])
        recorded = aegis.records().get(("decision", "allow"), 0)
        if recorded != sent:
            raise BenchError(f"{sent} calls were answered, {recorded} are on record")
    show(rows)
    return {"size": SIZE.name, "seconds": seconds, "rounds": runs, "connections": rows}


def summarise(rounds):
    """Medians; what compares two targets is computed within a round first."""
    names = list(rounds[0])
    targets = {
        name: {key: median([one[name][key] for one in rounds]) for key in rounds[0][name]}
        for name in names
    }
    for name in names:
        if name != "direct":
            for key in ("p50", "p99"):
                targets[name][f"added_{key}"] = median(
                    [one[name][key] - one["direct"][key] for one in rounds]
                )
    ratios = {
        "rate_aegis_over_nginx": median(
            [one["aegis"]["rate"] / one["nginx"]["rate"] for one in rounds]
        ),
        "p50_aegis_minus_nginx_us": median(
            [one["aegis"]["p50"] - one["nginx"]["p50"] for one in rounds]
        ),
        "p99_aegis_minus_nginx_us": median(
            [one["aegis"]["p99"] - one["nginx"]["p99"] for one in rounds]
        ),
    }
    return {"targets": targets, "ratios": ratios, "rounds": rounds}


def show(rows):
    for connections, row in rows.items():
        harness.print_table(
            f"{connections} connection(s), closed loop; medians; latencies in µs",
            [
                "target",
                "requests/s",
                "p50",
                "p99",
                "p99.9",
                "added p50",
                "added p99",
                "CPU µs/request",
            ],
            [
                [
                    name,
                    one["rate"],
                    one["p50"],
                    one["p99"],
                    one["p999"],
                    one.get("added_p50"),
                    one.get("added_p99"),
                    one["cpu_us_per_request"],
                ]
                for name, one in row["targets"].items()
            ],
        )
        ratios = row["ratios"]
        print(f"  Aegis / nginx: {ratios['rate_aegis_over_nginx']:.2f}× requests/s; "
              f"{ratios['p50_aegis_minus_nginx_us']:+.0f} µs p50, "
              f"{ratios['p99_aegis_minus_nginx_us']:+.0f} µs p99")  # fmt: skip
