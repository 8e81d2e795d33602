"""Memory over ten minutes of load at the proxy door and at Envoy's: whether it grows."""

import contextlib
import threading
import time

import check_request
import corpus
import harness
from gateway import RunningAegis
from harness import ToolServer

SIZE = corpus.Size(100, 10)
RATE = 1_000  # calls/s at each door
CONNECTIONS = 32
STREAMS = 8
SAMPLE_SECONDS = 5
# Buffers and caches fill in the first part; growth is what comes after it.
SETTLED = 0.25
MOST_GROWTH_MIB = 1.0


def run(work, quick):
    seconds = 20.0 if quick else 600.0
    made = corpus.cases(SIZE)
    door = harness.free_port()
    with contextlib.ExitStack() as stack:
        tool = stack.enter_context(ToolServer(harness.GENERATOR_CPU))
        aegis = stack.enter_context(
            RunningAegis(work, SIZE, tool.port, "--ext-authz", f"127.0.0.1:{door}")
        )
        tokens = aegis.tokens(made)
        allowed = [case for case in made if case.allowed]
        loads = [
            {"port": aegis.port, "requests": corpus.write_requests(work / "requests", allowed,
                                                                   tokens),
             "connections": CONNECTIONS},
            {"port": door, "requests": check_request.write_check_requests(work / "checks", made,
                                                                          tokens),
             "connections": 4, "mode": "check", "flags": ["--streams", str(STREAMS)]},
        ]  # fmt: skip
        failures = []

        def generate(load):
            try:
                harness.run_load(
                    load["port"], load["requests"], mode=load.get("mode", "run"),
                    connections=load["connections"], seconds=seconds, warmup=1, rate=RATE,
                    flags=load.get("flags", []),
                )  # fmt: skip
            except Exception as error:
                failures.append(error)

        threads = [threading.Thread(target=generate, args=(load,)) for load in loads]
        idle = harness.memory_mib(aegis.pid)
        begun = time.monotonic()
        for thread in threads:
            thread.start()
        samples = []
        while any(thread.is_alive() for thread in threads):
            time.sleep(SAMPLE_SECONDS if not quick else 1)
            samples.append((time.monotonic() - begun, harness.memory_mib(aegis.pid)))
        if failures:
            raise failures[0]
    settled = [mib for at, mib in samples if SETTLED * seconds <= at <= seconds]
    third = max(1, len(settled) // 3)
    growth = sum(settled[-third:]) / third - sum(settled[:third]) / third
    print(f"  idle {idle:.1f} MiB; under load {min(settled):.1f} to {max(settled):.1f} MiB")
    missed = "" if growth <= MOST_GROWTH_MIB else "  MISSED"
    print(f"  growth after the first quarter of {seconds:.0f} s: {growth:+.2f} MiB "
          f"(bar: ≤ {MOST_GROWTH_MIB}){missed}")  # fmt: skip
    return {
        "seconds": seconds,
        "rate_per_door": RATE,
        "idle_mib": idle,
        "samples": samples,
        "growth_mib": growth,
    }
