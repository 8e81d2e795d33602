"""Decisions under load while the policy changes every 100 ms: none may be wrong, lost or failed.

Every version lets the same calls pass and refuses the same ones (only bounds between differ), so
each answer can be checked whatever version was in force. Afterwards three independent counts must
agree: the generator's answers, the tool's served requests, and the records on disk.
"""

import contextlib
import threading
import time

import corpus
import harness
from gateway import RunningAegis
from harness import BenchError, ToolServer

SIZE = corpus.Size(10, 10)
CONNECTIONS = 32
INTERVAL = 0.1
# A load is sustainable when nothing is left over and the slowest percent waits less than this.
SUSTAINABLE_P99_US = 50_000


class Publisher(threading.Thread):
    """Publishes a new version every INTERVAL seconds until stopped."""

    def __init__(self, aegis):
        super().__init__()
        self.aegis, self.done, self.versions, self.error = aegis, threading.Event(), 0, None

    def run(self):
        next_at = time.monotonic()
        try:
            while not self.done.is_set():
                self.aegis.publish(raised_by=self.versions % 50)
                self.versions += 1
                next_at = max(next_at + INTERVAL, time.monotonic())
                self.done.wait(max(0, next_at - time.monotonic()))
        except Exception as error:
            self.error = error

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.done.set()
        self.join()
        if self.error:
            raise BenchError(f"publishing failed: {self.error}")


def find_load(aegis, requests, quick):
    """The highest rate, of some tried, that is sustainable while the policy changes; with how many
    calls the generator gave up on meanwhile."""
    seconds = 1.0 if quick else 4.0
    given_up = 0
    with Publisher(aegis):
        saturated = harness.run_load(
            aegis.port, requests, connections=CONNECTIONS, seconds=seconds
        )["rate"]
        for share in (0.95, 0.9, 0.85, 0.8, 0.7, 0.6, 0.5):
            rate = saturated * share
            probe = harness.run_load(
                aegis.port, requests, connections=CONNECTIONS, seconds=seconds, rate=rate,
                may_fail=True,
            )  # fmt: skip
            given_up += probe["unfinished"]
            if not probe["unfinished"] and probe["latency_us"]["p99"] < SUSTAINABLE_P99_US:
                return saturated, rate, given_up
    raise BenchError(f"no rate is sustainable: saturated at {saturated:,.0f}/s")


def run(work, quick):
    seconds = 5.0 if quick else 30.0
    made = corpus.cases(SIZE)
    with contextlib.ExitStack() as stack:
        # The publisher shares the generator's core, so that the target has its own.
        stack.enter_context(harness.pinned(harness.GENERATOR_CPU))
        tool = stack.enter_context(ToolServer(harness.GENERATOR_CPU))
        aegis = stack.enter_context(RunningAegis(work, SIZE, tool.port))
        requests = corpus.write_requests(work / "requests", made, aegis.tokens(made))
        saturated, rate, given_up = find_load(aegis, requests, quick)
        before = aegis.records()
        reloads = aegis.metrics().get('aegis_policy_reloads_total{result="ok"}', 0)
        with Publisher(aegis) as publisher:
            load = harness.run_load(
                aegis.port, requests, connections=CONNECTIONS, seconds=seconds, rate=rate,
                may_fail=True,
            )  # fmt: skip
        reloads = aegis.metrics().get('aegis_policy_reloads_total{result="ok"}', 0) - reloads
        after = aegis.records()
        served = tool.stop()

    def new(outcome):
        key = ("decision", outcome)
        return after.get(key, 0) - before.get(key, 0)

    allowed = load["statuses"].get("200", 0)
    refused = load["statuses"].get("403", 0)
    total_allowed = after.get(("decision", "allow"), 0)
    result = {
        "saturated_rate": saturated,
        "rate": rate,
        "seconds": seconds,
        "latency_us": load["latency_us"],
        "decisions": load["sent"],
        "wrong": load["wrong"],
        "failed": load["failed"],
        "unfinished": load["unfinished"],
        "versions_published": publisher.versions,
        "reloads": reloads,
        "records_missing": load["sent"] - new("allow") - new("deny"),
        "allowed_not_served": total_allowed - served,
    }
    harness.print_table(
        f"{seconds:.0f} s at {rate:,.0f} requests/s, a new policy every {INTERVAL * 1000:.0f} ms",
        ["decisions", "wrong", "failed", "unfinished", "records missing", "versions", "reloads",
         "p50 µs", "p99 µs"],
        [[result["decisions"], result["wrong"], result["failed"], result["unfinished"],
          result["records_missing"], result["versions_published"], int(result["reloads"]),
          load["latency_us"]["p50"], load["latency_us"]["p99"]]],
    )  # fmt: skip
    problems = [key for key in ("wrong", "failed", "unfinished", "records_missing") if result[key]]
    if new("allow") != allowed or new("deny") != refused:
        problems.append("records differ from answers")
    # Whom the generator gave up on while it sought the rate was allowed and not always served.
    if not 0 <= total_allowed - served <= given_up:
        problems.append("the tool served other calls than were allowed")
    if result["reloads"] < result["versions_published"] / 2:
        problems.append("versions were not taken up")
    if problems:
        raise BenchError(f"{', '.join(problems)}: {result} {load['first_wrong']}")
    return result
