"""The engine alone against OPA's Go library: one policy after the other, same bundle, same inputs.

A policy is a folder of bench/policies: `policy.rego`, or `policy()` in `make.py`, of package bench
with the rule `main`; `make.py` has `data()` and `inputs()`. `APART = "why"` in it keeps a policy
out of the mean. Before anything is timed both engines answer every input and must agree.
POLICIES='roles text' in the environment: these only.
"""

import decimal
import importlib.util
import json
import math
import os
import subprocess

import corpus
import harness
from harness import BenchError, median

from scenarios import inproc

POLICIES = harness.ROOT / "bench" / "policies"
BARS = {"geometric_mean": 50, "least": 10, "p50_ns": 1000, "p99_ns": 3000, "two_threads": 1.8,
        "memory": 3, "activation": 2}  # fmt: skip


class Policy:
    """A bundle, its inputs, and how each engine names what is asked."""

    def __init__(self, name, bundle, inputs, entrypoint, apart=None):
        self.name, self.bundle, self.inputs, self.entrypoint = name, bundle, inputs, entrypoint
        self.query = "data." + entrypoint.replace("/", ".")
        self.apart = apart


def build(work, folder):
    specification = importlib.util.spec_from_file_location(
        f"make_{folder.name}", folder / "make.py"
    )
    make = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(make)
    source = work / folder.name
    source.mkdir()
    rego = make.policy() if hasattr(make, "policy") else (folder / "policy.rego").read_text()
    (source / "policy.rego").write_text(rego)
    (source / "data.json").write_text(json.dumps(make.data(), separators=(",", ":")))
    bundle, inputs = work / f"{folder.name}.tar.gz", work / f"{folder.name}.jsonl"
    inputs.write_text("".join(json.dumps(one) + "\n" for one in make.inputs()))
    command = [harness.find_program("opa"), "build", "-t", "plan", "-e", "bench/main", "-o",
               bundle, "-b", source]  # fmt: skip
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    if done.returncode != 0:
        raise BenchError(f"opa build of {folder.name}: {done.stdout}{done.stderr}")
    return Policy(folder.name, bundle, inputs, "bench/main", getattr(make, "APART", None))


def dialect(work):
    """The dialect's library with 100 agents × 10 tools, once allowing and once denying."""
    bundle = inproc.compile_bundle(work, inproc.SIZE)
    for name, share in (("dialect_allow", 0.0), ("dialect_deny", 1.0)):
        inputs = work / f"{name}.jsonl"
        corpus.write_inputs(inputs, corpus.cases(inproc.SIZE, denied_share=share))
        yield Policy(name, bundle, inputs, "aegis/decision")


def read_answers(text):
    return [json.loads(line, parse_float=decimal.Decimal) for line in text.splitlines()]


def check(work, policy):
    """Both engines give the same answer to every input."""
    questions = "".join(
        f'{{"bundle":{json.dumps(str(policy.bundle))},"input":{line}}}\n'
        for line in policy.inputs.read_text().splitlines()
    )
    oracle = subprocess.run(
        [harness.find_program("regoc"), "oracle", "--query", policy.query],
        input=questions, capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    if oracle.returncode != 0:
        raise BenchError(f"regoc oracle: {oracle.stderr}")
    file = work / f"{policy.name}.answers"
    time_aegis(policy, 0.01, "--answers", file)
    ours, theirs = read_answers(file.read_text()), read_answers(oracle.stdout)
    for number, (our, their) in enumerate(zip(ours, theirs, strict=True)):
        if our != their:
            raise BenchError(f"{policy.name}, input {number + 1}: Aegis {our}, OPA {their}")


def time_engine(program, policy, seconds, *flags):
    name, *subcommand = program
    return inproc.run_bench(
        name,
        *subcommand,
        "--bundle",
        policy.bundle,
        "--inputs",
        policy.inputs,
        "--seconds",
        seconds,
        *flags,
    )


def time_aegis(policy, seconds, *flags):
    return time_engine(
        ("engine_bench",), policy, seconds, "--entrypoint", policy.entrypoint, *flags
    )


def time_opa(policy, seconds, *flags):
    return time_engine(
        ("regoc", "bench"), policy, seconds, "--query", policy.query, "--runs", 1, *flags
    )


def compare(policy, rounds, seconds):
    """In turn, so that what the machine does meanwhile falls on both. OPA: the faster store."""
    flags = min(([], ["--read-ast"]), key=lambda one: time_opa(policy, seconds, *one)["cpu_ns"])
    pairs = []
    for _ in range(rounds):
        pairs.append({
            "aegis": time_aegis(policy, seconds),
            "opa": time_opa(policy, seconds, *flags),
        })  # fmt: skip
    return {
        "policy": policy.name,
        "apart": policy.apart,
        "opa_flags": flags,
        "aegis_ns": median([pair["aegis"]["cpu_ns"] for pair in pairs]),
        "opa_ns": median([pair["opa"]["cpu_ns"] for pair in pairs]),
        "ratio": median([pair["opa"]["cpu_ns"] / pair["aegis"]["cpu_ns"] for pair in pairs]),
        "rounds": pairs,
    }


def policies(work, wanted):
    """Those that are wanted; all when none is named."""
    for policy in dialect(work):
        if not wanted or policy.name in wanted:
            yield policy
    for folder in sorted(POLICIES.iterdir()):
        if (folder / "make.py").exists() and (not wanted or folder.name in wanted):
            yield build(work, folder)


def run(work, quick):
    rounds, seconds = (1, 0.3) if quick else (3, 1.0)
    wanted = os.environ.get("POLICIES", "").split()
    results, memory, activation, failed = [], None, None, []
    for policy in policies(work, wanted):
        try:
            check(work, policy)
            result = compare(policy, rounds, seconds)
        except BenchError as error:
            print(f"  {policy.name}: FAILED: {error}", flush=True)
            failed.append(policy.name)
            continue
        print(f"  {policy.name}: {result['aegis_ns']:,.0f} ns, OPA {result['opa_ns']:,.0f} ns: "
              f"{result['ratio']:.1f}×", flush=True)  # fmt: skip
        results.append(result)
        if policy.name == "data_50mb":
            one = result["rounds"][-1]["aegis"]
            memory = one["program_kib"] / one["data_kib"]
            activation = unpinned(policy, 1 if quick else 3, 1, "--reload", 1)
    harness.print_table(
        "The engine and OPA's Go library, CPU time on one thread; medians",
        ["policy", "Aegis ns", "OPA ns", "ratio"],
        [
            [one["policy"] + (" *" if one["apart"] else ""), one["aegis_ns"], one["opa_ns"],
             one["ratio"]]
            for one in results
        ],
    )  # fmt: skip
    for one in results:
        if one["apart"]:
            print(f"  * {one['policy']}: {one['apart']}")
    ratios = [one["ratio"] for one in results if not one["apart"]]
    mean = math.exp(sum(map(math.log, ratios)) / len(ratios))
    summary = {"policies": results, "geometric_mean": mean, "least": min(ratios), "bars": BARS}
    print(f"  geometric mean {mean:.1f}× (bar: {BARS['geometric_mean']}×), "
          f"least {min(ratios):.1f}× (bar: {BARS['least']}×)")  # fmt: skip
    if memory is not None:
        summary["memory_over_json"] = memory
        print(f"  50 MB of data take {memory:.2f} times their size (bar: {BARS['memory']})")
    if activation is not None:
        quiet, loading = activation["p99_ns"], activation["p99_while_loading_ns"]
        summary |= {"p99_ns_large": quiet, "p99_ns_large_while_loading": loading}
        print(f"  while another thread loads them, p99 is {loading / quiet:.2f} times what it is "
              f"otherwise (bar: {BARS['activation']})")  # fmt: skip
    if not wanted:
        summary |= percentiles(work, quick) | threads(work, quick)
    if failed:
        raise BenchError(f"these policies failed: {' '.join(failed)}")
    return summary


def percentiles(work, quick):
    """The dialect's decision with the building of its input, one call in ten refused."""
    made = corpus.cases(inproc.SIZE)
    inputs = corpus.write_inputs(work / "mixed.jsonl", made)
    bundle = work / f"{inproc.SIZE.name}.tar.gz"
    runs = [
        inproc.aegis_decisions(bundle, inputs, made, 0.5 if quick else 2)
        for _ in range(1 if quick else 3)
    ]
    # Each sample holds the cost of reading the clock.
    found = {key: min(run[key] - run["clock_ns"] for run in runs) for key in ("p50_ns", "p99_ns")}
    found["decision_cpu_ns"] = median([run["cpu_ns"] for run in runs])
    print(f"  a decision with its input: mean {found['decision_cpu_ns']:,.0f} ns, p50 "
          f"{found['p50_ns']:,.0f} ns (bar: {BARS['p50_ns']:,}), p99 {found['p99_ns']:,.0f} ns "
          f"(bar: {BARS['p99_ns']:,})")  # fmt: skip
    return found


def threads(work, quick):
    """Decisions per second on two threads over those on one."""
    if len(harness.CORES) < 2:
        return {}
    policy = next(dialect(work))
    seconds, ratios = 0.5 if quick else 2.0, []
    for _ in range(1 if quick else 3):
        one = unpinned(policy, seconds, 1)
        ratios.append(unpinned(policy, seconds, 2)["per_second"] / one["per_second"])
    print(f"  two threads decide {max(ratios):.2f} times as much as one "
          f"(bar: {BARS['two_threads']})")  # fmt: skip
    return {"two_threads": max(ratios), "two_threads_rounds": ratios}


def unpinned(policy, seconds, count, *flags):
    command = [harness.find_program("engine_bench"), "--bundle", policy.bundle, "--inputs",
               policy.inputs, "--entrypoint", policy.entrypoint, "--seconds", seconds,
               "--threads", count, *flags]  # fmt: skip
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    if done.returncode != 0:
        raise BenchError(f"engine_bench: {done.stderr}")
    return json.loads(done.stdout)
