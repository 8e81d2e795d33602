"""Does a decision cost the same with 10,000 agents × 20 tools as with 10 agents?"""

import corpus
import harness
from harness import median

from scenarios.inproc import aegis_decisions, compile_bundle

SMALL = corpus.Size(10, 20)
LARGE = corpus.Size(10_000, 20)
BAR = 1.3


def run(work, quick):
    runs, seconds = (1, 0.5) if quick else (5, 2.0)
    large = corpus.Size(1_000, 20) if quick else LARGE
    prepared = {}
    for size in (SMALL, large):
        folder = work / size.name
        folder.mkdir()
        made = corpus.cases(size)
        inputs = corpus.write_inputs(folder / "inputs.jsonl", made)
        print(f"  compiling {size.agents} agents × {size.tools} tools", flush=True)
        prepared[size] = (compile_bundle(folder, size), inputs, made)
    rounds = [
        {size.name: aegis_decisions(*prepared[size], seconds) for size in prepared}
        for _ in range(runs)
    ]

    def of(size, key):
        return median([one[size.name][key] for one in rounds])

    ratio = median([
        one[large.name]["cpu_ns"] / one[SMALL.name]["cpu_ns"] for one in rounds
    ])  # fmt: skip
    harness.print_table(
        "In process, medians",
        ["agents × tools", "CPU ns/decision", "p99 ns", "ms to load", "bundle MiB"],
        [
            [f"{size.agents} × {size.tools}", of(size, "cpu_ns"), of(size, "p99_ns"),
             of(size, "load_ms"), prepared[size][0].stat().st_size / 2**20]
            for size in prepared
        ],
    )  # fmt: skip
    print(f"  {large.agents} agents / {SMALL.agents} agents: {ratio:.2f}×  (bar: ≤ {BAR}×)")
    return {"ratio": ratio, "bar": BAR, "rounds": rounds}
