"""The engine evaluates generated Rego as OPA and as the reference evaluator do."""

import json
import subprocess

import pytest
from conformance import programs

# Modules whose answers once differed; what a long run of generated programs finds comes here, as
# short as it can be. The input is INPUT, the data DATA.
INPUT = """{"x": {"a": 100}, "y": {"a": 1e2}, "z": {"a": 1e2, "b": 1}, "l": [100, 1e2],
    "pair": [1, 2], "f": 9007199254741091.5, "n": 100, "g": 1234567.5, "h": 123456.5, "e": 1e6}"""
DATA = """{"d": {"c": ["a", "b"]}}"""
FOUND = {
    "a union of equal objects is the first": """
main := [object.union(input.x, input.y), object.union(input.x, input.z)]
""",
    "of equal values of a key a comprehension keeps the last": """
main := [{"x": v | some v in input.l}, {k: v | some v in input.l; some k in ["x", "y"]}]
""",
    "of equal values of a key a rule keeps the first": """
p[k] := v if { some v in input.l; k := "x" }
main := p
""",
    "floats are printed with an exponent from a million on": """
main := sprintf("%v %v %v %v %v %d", [(input.n + 9007199254740993) - 1.5, input.f, input.g,
    input.h, input.e, input.f])
""",
    "a conflict counts though nothing can come of the body": """
main := 2 if { v := ({data.d.c[1]} | {{"a": x | some x in input.pair}}); is_object("e") }
""",
    "a conflict counts though nothing can come of the body, registers used again": """
main := (count({"a": "A"}) / input.x) if {
    net.cidr_contains("10.0.0.0/8", concat("-", ["x/y/z", "A"]))
} else := 2 if {
    v := ({data.d.c[1]} | {{"a": x | some o in object.union({"a": 3}, {"b": 2})
        some x in {w | some w in input.pair}}})
    is_object("e")
}
""",
}


@pytest.mark.parametrize("module", FOUND.values(), ids=FOUND.keys())
def test_what_once_differed(module):
    program = f'{{"module":{json.dumps("package test" + module)},"data":{DATA},"inputs":[{INPUT}]}}'
    planned = subprocess.run(
        [programs.REGOC, "programs"],
        input=program.replace("\n", " "),
        capture_output=True,
        text=True,
    )
    assert '"answers"' in planned.stdout, planned
    done = subprocess.run([programs.TOOL], input=planned.stdout, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.slow
def test_a_hundred_thousand_answers(capsys):
    for program in (programs.REGOC, programs.TOOL):
        assert program.exists(), f"{program} is missing; scripts/build makes it"
    code = programs.main(["--answers", "100000"])
    out = capsys.readouterr().out
    with capsys.disabled():
        print("\n" + out.splitlines()[-1])
    assert code == 0, out


def test_a_difference_is_seen(tmp_path, monkeypatch, capsys):
    """Plans and inputs that are not those OPA answered from fail the comparison."""
    liar = tmp_path / "program_tool"
    liar.write_text(f"#!/bin/sh\nsed 's/10.0.0.1/10.0.0.2/g2' | exec {programs.TOOL}\n")
    liar.chmod(0o755)
    monkeypatch.setattr(programs, "TOOL", liar)
    assert programs.main(["--answers", "6000"]) == 1
    assert "--- difference 1 (engine)" in capsys.readouterr().out
