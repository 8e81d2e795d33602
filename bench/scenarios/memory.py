"""Memory of Aegis and nginx: idle, and with 512 connections under load."""

import contextlib
import threading

import corpus
import harness
from gateway import RunningAegis
from harness import ToolServer
from proxies import Nginx

SIZE = corpus.Size(100, 10)
CONNECTIONS = 512


def under_load(target, requests, seconds):
    """Peak of the samples taken while 512 connections send."""
    samples = []
    done = threading.Event()

    def sample():
        while not done.wait(0.1):
            samples.append(harness.memory_mib(target.pid))

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        result = harness.run_load(
            target.port, requests, connections=CONNECTIONS, seconds=seconds, warmup=0.5
        )
    finally:
        done.set()
        thread.join()
    return max(samples), result["rate"]


def run(work, quick):
    seconds = 1.0 if quick else 4.0
    made = corpus.cases(SIZE, denied_share=0)
    rows = {}
    with contextlib.ExitStack() as stack:
        tool = stack.enter_context(ToolServer(harness.GENERATOR_CPU))
        nginx = stack.enter_context(Nginx(tool.port, harness.TARGET_CPU))
        aegis = stack.enter_context(RunningAegis(work, SIZE, tool.port))
        requests = corpus.write_requests(work / "requests", made, aegis.tokens(made))
        for name, target in (("nginx", nginx), ("aegis", aegis)):
            idle = harness.memory_mib(target.pid)
            loaded, rate = under_load(target, requests, seconds)
            after = harness.memory_mib(target.pid)
            rows[name] = {"idle": idle, "loaded": loaded, "after": after, "rate": rate}
    harness.print_table(
        f"Memory in MiB (Pss of all processes), {CONNECTIONS} connections in a closed loop",
        ["target", "idle", f"at {CONNECTIONS}", "afterwards", "requests/s"],
        [
            [name, one["idle"], one["loaded"], one["after"], one["rate"]]
            for name, one in rows.items()
        ],
    )
    return {"size": SIZE.name, "connections": CONNECTIONS, "mib": rows}
