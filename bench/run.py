"""Runs the benchmarks and writes bench/results/<date>-<name>.json. See bench/README.md.

bench/run.py [--quick] [inproc] [engine] [scaling] [proxy] [ext_authz] [memory] [idle] [growth]
[crowd] [reload] (default: all)
"""

import argparse
import pathlib
import shutil
import sys
import tempfile

import harness
from scenarios import crowd, engine, ext_authz, growth, idle, inproc, memory, proxy, reload, scaling

SCENARIOS = {
    "inproc": inproc.run,
    "engine": engine.run,
    "scaling": scaling.run,
    "proxy": proxy.run,
    "ext_authz": ext_authz.run,
    "memory": memory.run,
    "idle": idle.run,
    "growth": growth.run,
    "crowd": crowd.run,
    "reload": reload.run,
}


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="short, rough runs")
    parser.add_argument("--no-save", action="store_true", help="write no results file")
    parser.add_argument("scenarios", nargs="*", help=" ".join(SCENARIOS))
    options = parser.parse_args()
    names = options.scenarios or list(SCENARIOS)
    for name in names:
        if name not in SCENARIOS:
            parser.error(f"no scenario {name}; there are: {' '.join(SCENARIOS)}")

    harness.raise_priority()
    harness.MACHINE = harness.machine_facts()
    facts = harness.MACHINE
    print(f"machine: {facts['cpu']}, {facts['cores']} cores, {facts['memory_gib']} GiB, "
          f"{facts['system']}, commit {facts['commit']}")  # fmt: skip
    if len(harness.CORES) < 2:
        print("note: one core only; generator and target share it")
    results, failed = {}, []
    for name in names:
        print(f"\n=== {name} ===", flush=True)
        work = pathlib.Path(tempfile.mkdtemp(prefix=f"aegis-bench-{name}-"))
        try:
            results[name] = SCENARIOS[name](work, options.quick)
        except harness.BenchError as error:
            print(f"FAILED: {error}", flush=True)
            results[name] = {"failed": str(error)}
            failed.append(name)
        finally:
            shutil.rmtree(work, ignore_errors=True)
    if not options.no_save:
        label = "all" if not options.scenarios else "-".join(names)
        file = harness.save(label, results, options.quick)
        print(f"\nwritten: {file.relative_to(harness.ROOT)}")
    if failed:
        print(f"failed: {' '.join(failed)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
