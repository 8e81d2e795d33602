"""ns per decision in process: Aegis and OPA's Go library, same bundle and inputs, in turn."""

import json
import subprocess

import corpus
import harness
from harness import BenchError, median

SIZE = corpus.Size(100, 10)


def compile_bundle(work, size):
    """The signed bundle of the corpus, made by the compiler that publishing uses."""
    corpus.write_policies(work / "policies", size)
    bundle = work / f"{size.name}.tar.gz"
    command = [
        harness.find_program("aegis"),
        "policy",
        "compile",
        work / "policies",
        "--out",
        bundle,
    ]
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    if done.returncode != 0:
        raise BenchError(f"aegis policy compile: {done.stdout}{done.stderr}")
    return bundle


def run_bench(program, *arguments):
    """One engine on the target's core; its JSON."""
    command = ["taskset", "-c", str(harness.TARGET_CPU), harness.find_program(program)]
    done = subprocess.run(
        [*command, *map(str, arguments)], capture_output=True, text=True, timeout=600
    )
    if done.returncode != 0:
        raise BenchError(f"{program}: {done.stdout}{done.stderr}")
    return json.loads(done.stdout)


def aegis_decisions(bundle, inputs, made, seconds):
    result = run_bench(
        "decision_bench", "--bundle", bundle, "--inputs", inputs, "--seconds", seconds, "--runs", 1
    )
    expected = sum(case.allowed for case in made)
    if result["allowed"] != expected:
        raise BenchError(f"{result['allowed']} of {result['inputs']} allowed, not {expected}")
    return result


def run(work, quick):
    runs, seconds = (1, 0.5) if quick else (5, 2.0)
    made = corpus.cases(SIZE)
    bundle = compile_bundle(work, SIZE)
    inputs = corpus.write_inputs(work / "inputs.jsonl", made)
    rounds = []
    for number in range(runs):
        opa = [
            run_bench(
                "regoc", "bench", "--bundle", bundle, "--inputs", inputs, "--seconds", seconds,
                "--runs", 1, *flags,
            )
            for flags in ([], ["--read-ast"])
        ]  # fmt: skip
        rounds.append({
            "aegis": aegis_decisions(bundle, inputs, made, seconds),
            "opa": min(opa, key=lambda one: one["ns_per_decision"]),
            "opa_default": opa[0],
        })  # fmt: skip
        one = rounds[-1]
        print(f"  round {number + 1}/{runs}: aegis {one['aegis']['ns_per_decision']:,.0f} ns, "
              f"OPA {one['opa']['ns_per_decision']:,.0f} ns", flush=True)  # fmt: skip

    def of(engine, key):
        return median([one[engine][key] for one in rounds])

    ratio = median([o["opa"]["ns_per_decision"] / o["aegis"]["ns_per_decision"] for o in rounds])
    harness.print_table(
        f"In process, {SIZE.agents} agents × {SIZE.tools} tools, 1,000 inputs; medians",
        ["engine", "ns/decision", "with JSON parsing", "p50 ns", "p99 ns", "allocations"],
        [
            ["Aegis", of("aegis", "ns_per_decision"), of("aegis", "with_parsing_cpu_ns"),
             of("aegis", "p50_ns"), of("aegis", "p99_ns"), None],
            ["OPA (Go library, faster store)", of("opa", "ns_per_decision"), None, None, None,
             of("opa", "allocations_per_decision")],
            ["OPA (Go library, default store)", of("opa_default", "ns_per_decision"), None, None,
             None, of("opa_default", "allocations_per_decision")],
        ],
    )  # fmt: skip
    print(f"  OPA / Aegis: {ratio:.1f}×  (bar: 50×)")
    return {"size": SIZE.name, "ratio_opa_over_aegis": ratio, "bar": 50, "rounds": rounds}
