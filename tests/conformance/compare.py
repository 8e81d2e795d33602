"""Does Aegis decide as stock OPA does, byte for byte, and as the reference says the dialect means?

    PYTHONPATH=tests python3 -m conformance.compare --pairs 10000 --seed 7

Random policies are written as YAML and JSON, compiled and signed by Aegis, and random calls are
put to Aegis and to OPA's library on the same bundle. With `--tables` no Aegis is needed: the
bundles come from tables.py and OPA is compared with the reference alone.
"""

import argparse
import collections
import json
import os
import pathlib
import random
import subprocess
import sys
import tempfile
from decimal import Decimal

from conformance import reference, tables
from conformance.generate import Generator
from conformance.policy_text import policy_text

ROOT = pathlib.Path(__file__).resolve().parents[2]
REGOC = ROOT / "build/bin/regoc"
TOOL = pathlib.Path(os.environ.get("AEGIS_POLICY_TOOL", ROOT / "build/release/bin/policy_tool"))
KEY_ID, SCOPE = "conformance", "payments"
SHOWN = 5  # differences printed in full


class Case:
    """One bundle's policies with the calls that are put to it."""

    def __init__(self, folder, policies, calls):
        self.folder, self.policies, self.calls = folder, policies, calls
        self.inputs = [tables.write_json(call) for call in calls]
        self.bundle = folder / "bundle.tar.gz"

    def write_policies(self, rng):
        names = []
        for name, document in self.policies:
            text, extension = policy_text(document, rng)
            path = self.folder / "policies" / f"{name}.{extension}"
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
            names.append(str(path))
        return names

    def write_tables(self):
        self.bundle = self.folder / "bundle"
        self.bundle.mkdir()
        (self.bundle / ".manifest").write_text('{"roots":["aegis"]}')
        (self.bundle / "data.json").write_text(tables.write_json(tables.build(self.policies)))
        for source in (ROOT / "rego").glob("*.rego"):
            if not source.name.endswith("_test.rego"):
                (self.bundle / source.name).write_text(source.read_text())


def make_cases(folder, seed, bundles, pairs):
    cases = []
    for i in range(bundles):
        generator = Generator(f"{seed}/{i}")
        policies = generator.policies()
        count = pairs // bundles + (i < pairs % bundles)
        place = folder / f"{i:04d}"
        place.mkdir()
        cases.append(Case(place, policies, [generator.call(policies) for _ in range(count)]))
    return cases


def run(command, **options):
    return subprocess.run([str(c) for c in command], stdout=subprocess.PIPE, check=False, **options)


def ask_opa(cases, key=None, scope=""):
    questions = "".join(
        f'{{"bundle":{json.dumps(str(case.bundle))},"input":{text}}}\n'
        for case in cases
        for text in case.inputs
    )
    command = [REGOC, "oracle"] + (["--key", key, "--scope", scope] if key else [])
    return run(command, input=questions.encode()).stdout.decode().split("\n")[:-1]


def without_message(text):
    document = json.loads(text, parse_float=Decimal)
    document.pop("message", None)
    return document


class Aegis:
    """Aegis's compiler and decision engine, on bundles signed with a key of this run."""

    def __init__(self, folder):
        self.private, self.public = folder / "key.pem", folder / "key.pub.pem"
        options = ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"]
        for command in (
            ["openssl", "genpkey", *options, "-out", self.private],
            ["openssl", "pkey", "-in", self.private, "-pubout", "-out", self.public],
        ):
            subprocess.run(command, check=True, stderr=subprocess.DEVNULL)

    def compile(self, cases, rng):
        """Diagnostics of policies that were refused."""
        lines = ["\t".join([str(case.bundle), *case.write_policies(rng)]) for case in cases]
        command = [TOOL, "compile", self.private, KEY_ID, SCOPE]
        answers = run(command, input="\n".join(lines).encode()).stdout.decode().split("\n")[:-1]
        if len(answers) != len(cases):
            return [f"the compiler gave {len(answers)} answers to {len(cases)} bundles"]
        return [answer for answer in answers if answer != "ok"]

    def decide(self, cases):
        lines = "".join(f"{case.bundle}\t{text}\n" for case in cases for text in case.inputs)
        command = [TOOL, "decide", self.public, KEY_ID, SCOPE]
        return run(command, input=lines.encode()).stdout.decode().split("\n")[:-1]


class Report:
    def __init__(self):
        self.failed = 0
        self.outcomes = collections.Counter()

    def check(self, case, i, answers, expected):
        """`answers`: name -> canonical text; all equal, and as `expected` less the message."""
        texts = set(answers.values())
        meant = without_message(next(iter(answers.values())))
        self.outcomes[(expected["outcome"], expected["reason"], expected["mode"])] += 1
        if len(texts) == 1 and reference.same(meant, expected):
            return
        self.failed += 1
        if self.failed <= SHOWN:
            print(f"--- difference {self.failed}: {case.folder}, call {i + 1}")
            print("  call      ", case.inputs[i])
            for name, text in answers.items():
                print(f"  {name:10}", text)
            print("  reference ", tables.write_json(expected))
            print("  policies  ", tables.write_json(case.policies)[:4000])


def compare(cases, sources):
    """`sources`: name -> all answers, in the order of the cases' calls."""
    total = sum(len(case.inputs) for case in cases)
    for name, answers in sources.items():
        if len(answers) != total:
            print(f"{name} gave {len(answers)} answers to {total} calls")
            return 1
    report, at = Report(), 0
    for case in cases:
        for i, call in enumerate(case.calls):
            expected = reference.decide(case.policies, call)
            report.check(case, i, {name: a[at] for name, a in sources.items()}, expected)
            at += 1
    for (outcome, reason, mode), count in sorted(report.outcomes.items()):
        print(f"{count:7} {outcome:6} {reason:22} {mode}")
    print(f"{total - report.failed} passed, {report.failed} failed")
    return 1 if report.failed else 0


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=10_000, help="calls in all (default 10,000)")
    parser.add_argument("--bundles", type=int, default=300, help="bundles (default 300)")
    parser.add_argument("--seed", default="1")
    parser.add_argument("--tables", action="store_true", help="OPA and the reference only")
    parser.add_argument("--work", type=pathlib.Path, help="keep the files in this new folder")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="aegis-conformance-") as scratch:
        folder = options.work or pathlib.Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        cases = make_cases(folder, options.seed, options.bundles, options.pairs)
        if options.tables:
            for case in cases:
                case.write_tables()
            return compare(cases, {"opa": ask_opa(cases)})
        aegis = Aegis(folder)
        refused = aegis.compile(cases, random.Random(options.seed))
        if refused:
            print("policies were refused:", *refused[:SHOWN], sep="\n  ")
            return 1
        opa = ask_opa(cases, aegis.public, SCOPE)
        return compare(cases, {"opa": opa, "aegis": aegis.decide(cases)})


if __name__ == "__main__":
    sys.exit(main())
