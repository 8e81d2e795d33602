"""OPA's own test cases for version 1 of the language, planned by OPA and run by Aegis's VM.

The cases ship in OPA's Go module; `regoc cases` compiles them and cases_tool runs them. Whatever
does not pass must be in opa_exceptions.yaml with its reason, and what is there must not pass.
"""

import collections
import json
import os
import pathlib
import re
import subprocess

import pytest
import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
REGOC = ROOT / "build/bin/regoc"
TOOL = pathlib.Path(os.environ.get("AEGIS_CASES_TOOL", ROOT / "build/release/bin/cases_tool"))
EXCEPTIONS = pathlib.Path(__file__).with_name("opa_exceptions.yaml")

CASES = 2400  # in OPA 1.22.2

# All kinds of OPA's intermediate representation but Nop, which its planner never writes.
KINDS = {
    "ArrayAppend", "AssignInt", "AssignVarOnce", "AssignVar", "Block", "Break", "CallDynamic",
    "Call", "Dot", "Equal", "IsArray", "IsDefined", "IsObject", "IsSet", "IsUndefined", "Len",
    "MakeArray", "MakeNull", "MakeNumberInt", "MakeNumberRef", "MakeObject", "MakeSet", "NotEqual",
    "Not", "ObjectInsertOnce", "ObjectInsert", "ObjectMerge", "ResetLocal", "ResultSetAdd",
    "ReturnLocal", "Scan", "SetAdd", "With",
}  # fmt: skip


@pytest.fixture(scope="module")
def cases(tmp_path_factory):
    """The cases as lines of JSON, by id."""
    for program in (REGOC, TOOL):
        assert program.exists(), f"{program} is missing; scripts/build makes it"
    path = tmp_path_factory.mktemp("opa") / "cases.jsonl"
    with path.open("w", encoding="utf-8") as out:
        subprocess.run([REGOC, "cases"], stdout=out, check=True, timeout=240)
    with path.open(encoding="utf-8") as lines:
        return {json.loads(line)["id"]: line for line in lines}


@pytest.fixture(scope="module")
def failures(cases):
    """Why each case that does not pass does not, by id."""
    done = subprocess.run(
        [TOOL], input="".join(cases.values()), stdout=subprocess.PIPE, text=True, check=True
    )
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert [answer["id"] for answer in answers] == list(cases)
    return {answer["id"]: answer["why"] for answer in answers if not answer["passed"]}


def missing_function(why):
    """The builtin function for want of which a plan was refused."""
    found = re.search(r"builtin_\w+: .* builtin function ([\w.]+)", why)
    return found and found[1]


def test_all_cases_are_there(cases):
    assert len(cases) == CASES


def test_every_statement_kind_occurs(cases):
    kinds = set()
    for line in cases.values():
        kinds.update(re.findall(r'"type":"(\w+)Stmt"', line))
    assert kinds == KINDS


def test_opa_cases(cases, failures, capsys):
    exceptions = yaml.safe_load(EXCEPTIONS.read_text(encoding="utf-8"))
    functions, listed = exceptions["functions"] or {}, exceptions["cases"] or {}
    unlisted, missing = {}, collections.Counter()
    for case, why in failures.items():
        function = missing_function(why)
        missing[function] += 1
        if function not in functions and case not in listed:
            unlisted[case] = why

    with capsys.disabled():
        print(f"\nOPA's cases: {len(cases) - len(failures)} of {len(cases)} passed")

    folders = collections.Counter(case.split("/")[1] for case in unlisted)
    assert not unlisted, "\n".join(
        [f"{count} in {folder}" for folder, count in sorted(folders.items())]
        + [f"{case}: {why}" for case, why in unlisted.items()]
    )
    stale = [case for case in listed if case not in failures]
    stale += [function for function in functions if not missing[function]]
    assert not stale, f"listed in {EXCEPTIONS.name}, but nothing fails for it: {stale}"
    assert all(len(reason) > 10 for reason in [*functions.values(), *listed.values()])
