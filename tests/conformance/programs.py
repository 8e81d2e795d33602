"""Does the engine evaluate Rego as stock OPA does, and as its plan says?

    PYTHONPATH=tests python3 -m conformance.programs --answers 100000 --seed 1

Random programs (program_generator.py) are planned and answered by OPA (`regoc programs`); the plan
is then run by the engine and by a slow, obvious interpreter (program_tool). Five million answers,
the size of a nightly run, take about half an hour of one core's time:

    PYTHONPATH=tests python3 -m conformance.programs --answers 5000000 --inputs 100 --jobs 2
"""

import argparse
import json
import os
import pathlib
import re
import subprocess
import sys
import threading

from conformance.program_generator import ProgramGenerator

ROOT = pathlib.Path(__file__).resolve().parents[2]
REGOC = ROOT / "build/bin/regoc"
TOOL = pathlib.Path(os.environ.get("AEGIS_PROGRAM_TOOL", ROOT / "build/release/bin/program_tool"))
# OPA's compiler refuses about one program in eight; more would mean that the generator got worse.
REFUSED_AT_MOST = 0.25
ASIDE_AT_MOST = 0.001
SUMMARY = re.compile(
    r"(?P<programs>\d+) programs, (?P<answers>\d+) answers, (?P<different>\d+) different; "
    r"(?P<conflicts>\d+) conflicts aside, (?P<broken>\d+) errors inside OPA, "
    r"(?P<refused>\d+) refused by OPA's compiler, (?P<long>\d+) too long for the reference\n$"
)


def program_line(seed, inputs):
    program = ProgramGenerator(seed).program(inputs)
    module = json.dumps(program["module"])
    return (
        f'{{"module":{module},"data":{program["data"]},"inputs":[{",".join(program["inputs"])}]}}\n'
    )


class Pipeline(threading.Thread):
    """One generator → OPA → engine and reference."""

    def __init__(self, seeds, inputs):
        super().__init__()
        self.seeds, self.inputs = seeds, inputs
        self.out, self.code = "", 1

    def run(self):
        opa = subprocess.Popen([REGOC, "programs"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        tool = subprocess.Popen([TOOL], stdin=opa.stdout, stdout=subprocess.PIPE, text=True)
        opa.stdout.close()
        writer = threading.Thread(target=self.write, args=(opa.stdin,))
        writer.start()
        self.out = tool.communicate()[0]
        writer.join()
        self.code = opa.wait() or tool.returncode

    def write(self, pipe):
        with pipe:
            for seed in self.seeds:
                pipe.write(program_line(seed, self.inputs).encode())


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--answers", type=int, default=100_000, help="about so many in all")
    parser.add_argument("--inputs", type=int, default=30, help="inputs to each program")
    parser.add_argument("--jobs", type=int, default=1, help="pipelines side by side")
    parser.add_argument("--seed", default="1")
    options = parser.parse_args(arguments)
    # Some are refused by OPA's compiler.
    count = round(options.answers / options.inputs * 1.16)
    seeds = [f"{options.seed}/{i}" for i in range(count)]
    pipelines = [Pipeline(seeds[i :: options.jobs], options.inputs) for i in range(options.jobs)]
    for pipeline in pipelines:
        pipeline.start()
    total = {}
    for pipeline in pipelines:
        pipeline.join()
        summary = SUMMARY.search(pipeline.out)
        if summary is None or pipeline.code not in (0, 1):
            print(pipeline.out, f"a pipeline broke: exit code {pipeline.code}")
            return 1
        print(pipeline.out[: summary.start()], end="")
        for name, value in summary.groupdict().items():
            total[name] = total.get(name, 0) + int(value)
    print(", ".join(f"{value:,} {name}" for name, value in total.items()))
    aside = total["conflicts"] + total["broken"] + total["long"]
    fine = (
        total["different"] == 0
        and total["answers"] >= 0.9 * options.answers
        and total["refused"] <= REFUSED_AT_MOST * count
        and aside <= ASIDE_AT_MOST * total["answers"] + 5
    )
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
