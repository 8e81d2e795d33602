"""`aegis rego eval` and `aegis decide --bundle` on bundles that stock OPA built."""

import json
import os
import subprocess

import pytest
from support.aegis_process import BINARY, ROOT

OPA = ROOT / "build/bin/opa"
REGO = """\
package p

answer := input.x + data.n

all contains x if some x in input.list

number := to_number(input.text)

twice := input.a
twice := input.b
"""
DECISION = """\
package aegis

default decision := {"outcome": "deny", "reason": "no_grant", "rule": "", "message": "no"}

decision := {"outcome": "allow", "reason": "allowed", "rule": "r", "message": "allowed"} if {
	input.params.amount < 10
}
"""


def aegis(*arguments, stdin=b"", **environment):
    return subprocess.run(
        [str(BINARY), *map(str, arguments)],
        input=stdin,
        capture_output=True,
        env=os.environ | environment,
        timeout=60,
    )


@pytest.fixture(scope="module")
def bundles(tmp_path_factory):
    """Folder with plan.tar.gz, noplan.tar.gz, decision.tar.gz (no plan), broken.tar.gz."""
    folder = tmp_path_factory.mktemp("bundles")
    (folder / "p.rego").write_text(REGO)
    (folder / "data.json").write_text('{"n": 1.50}')
    (folder / "decision.rego").write_text(DECISION)

    def build(out, *arguments):
        command = [OPA, "build", "-o", out, *arguments]
        subprocess.run([str(c) for c in command], cwd=folder, check=True, capture_output=True)

    entrypoints = [f for name in ("answer", "all", "number", "twice") for f in ("-e", f"p/{name}")]
    build("plan.tar.gz", "-t", "plan", *entrypoints, "p.rego", "data.json")
    build("noplan.tar.gz", "p.rego", "data.json")
    build("decision.tar.gz", "decision.rego")
    broken = folder / "broken"
    broken.mkdir()
    (broken / "b.rego").write_text("package b\n\nanswer := http.send({}).body\n")
    subprocess.run(["tar", "czf", "broken.tar.gz", "-C", "broken", "."], cwd=folder, check=True)
    return folder


def evaluate(bundle, given=None, *flags, **environment):
    stdin = json.dumps(given).encode()
    read = ["--input", "-"] if given is not None else []
    done = aegis("rego", "eval", "--bundle", bundle, *flags, *read, stdin=stdin, **environment)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def test_the_result_set_is_canonical(bundles):
    plan = bundles / "plan.tar.gz"
    assert evaluate(plan, {"x": 1})[:2] == (0, '[{"result":2.5}]\n')
    assert evaluate(plan, {"list": [3, "é", 3, {"b": 1, "a": 2}]}, "--entrypoint", "p/all")[:2] == (
        0,
        '[{"result":[3,"é",{"a":2,"b":1}]}]\n',
    )
    for name in ("p/all", "/p/all", "data.p.all"):
        assert evaluate(plan, {"list": []}, "--entrypoint", name)[1] == '[{"result":[]}]\n'
    assert evaluate(plan, {})[:2] == (0, "[]\n")
    assert evaluate(plan)[:2] == (0, "[]\n")
    assert evaluate(plan, None, "--list")[:2] == (0, "p/answer\np/all\np/number\np/twice\n")


def test_the_bundle_may_come_from_standard_input(bundles, tmp_path):
    given = tmp_path / "input.json"
    given.write_text('{"x": 41}')
    plan = (bundles / "plan.tar.gz").read_bytes()
    done = aegis("rego", "eval", "--bundle", "-", "--input", given, stdin=plan)
    assert (done.returncode, done.stdout) == (0, b'[{"result":42.5}]\n')
    assert aegis("rego", "eval", "--bundle", "-", "--input", "-", stdin=plan).returncode == 2
    assert aegis("rego", "eval").returncode == 2


def test_errors_say_what_and_where(bundles, tmp_path):
    plan = bundles / "plan.tar.gz"
    missing = evaluate(plan, {}, "--entrypoint", "p/other")
    assert missing[0] == 1 and "no entrypoint p/other; it has p/answer, p/all" in missing[2]
    conflict = evaluate(plan, {"a": 1, "b": 2}, "--entrypoint", "p/twice")
    assert (
        conflict[0] == 1 and f"{plan}: p/twice:" in conflict[2] and "complete rules" in conflict[2]
    )
    bad = aegis("rego", "eval", "--bundle", plan, "--input", "-", stdin=b'{"x":1,"x":2}')
    assert bad.returncode == 1 and b"standard input:" in bad.stderr
    assert evaluate(tmp_path / "none.tar.gz")[0] == 1
    (tmp_path / "text.tar.gz").write_text("not a bundle")
    text = evaluate(tmp_path / "text.tar.gz")
    assert text[0] == 1 and "text.tar.gz: the bundle is damaged" in text[2]


def test_strict_makes_errors_of_functions_errors(bundles):
    plan, number = bundles / "plan.tar.gz", ("--entrypoint", "p/number")
    assert evaluate(plan, {"text": "12"}, *number)[:2] == (0, '[{"result":12}]\n')
    assert evaluate(plan, {"text": "x"}, *number)[:2] == (0, "[]\n")
    strict = evaluate(plan, {"text": "x"}, *number, "--strict")
    assert strict[:2] == (1, "") and "to_number" in strict[2]


def test_a_bundle_without_a_plan_is_planned(bundles):
    bundle, rule = bundles / "noplan.tar.gz", ("--entrypoint", "p/answer")
    assert evaluate(bundle, {"x": 1}, *rule)[:2] == (0, '[{"result":2.5}]\n')
    assert "--entrypoint" in evaluate(bundle, {"x": 1})[2]
    none = evaluate(bundle, {"x": 1}, "--entrypoint", "p/none")
    assert none[0] == 1 and 'entrypoint "p/none" does not refer to a rule' in none[2]
    refused = evaluate(bundles / "broken.tar.gz", {}, "--entrypoint", "b/answer")
    assert refused[0] == 1 and "b.rego:3:11: http.send is refused: it reaches" in refused[2]


def test_without_the_compiler_it_says_how_to_get_it(bundles):
    refused = evaluate(
        bundles / "noplan.tar.gz", {"x": 1}, "--entrypoint", "p/answer", AEGIS_REGOC="/no/regoc"
    )
    assert refused[0] == 1
    for said in ("no plan.json", "/no/regoc", "make build", "opa build -t plan -e p/answer"):
        assert said in refused[2]


def test_decide_takes_bundles_of_others(bundles):
    bundle = bundles / "decision.tar.gz"
    call = {"agent": {"id": "a"}, "tool": "t", "action": "x", "params": {"amount": 5}}
    done = aegis("decide", "--bundle", bundle, "--input", "-", stdin=json.dumps(call).encode())
    assert done.returncode == 0 and json.loads(done.stdout)["outcome"] == "allow"
    call["params"]["amount"] = 50
    done = aegis("decide", "--bundle", bundle, "--input", "-", stdin=json.dumps(call).encode())
    assert done.returncode == 1 and json.loads(done.stdout)["reason"] == "no_grant"


def test_explain_tells_the_first_condition_that_failed(bundles):
    done = aegis(
        "rego", "eval", "--bundle", bundles / "plan.tar.gz", "--entrypoint", "p/number",
        "--input", "-", "--explain", stdin=b'{"text": "x"}',
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.decode() == (
        "data.p.number is undefined\n"
        '  p.rego:7 does not hold: line 7, to_number("x"): invalid syntax\n'
        "      number := to_number(input.text)\n"
    )


def test_explain_of_a_conflict_says_where(bundles):
    done = aegis(
        "rego", "eval", "--bundle", bundles / "plan.tar.gz", "--entrypoint", "p/twice",
        "--input", "-", "--explain", stdin=b'{"a": 1, "b": 2}',
    )  # fmt: skip
    assert done.returncode == 1
    assert "eval_conflict_error at p.rego:10" in done.stdout.decode()


def test_explain_in_decide(bundles):
    done = aegis(
        "decide", "--bundle", bundles / "decision.tar.gz", "--input", "-", "--explain",
        stdin=b'{"params": {"amount": 12}}',
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    out = done.stdout.decode()
    assert "decision.rego:5 does not hold: line 6, 12 < 10 is false" in out
    assert "input.params.amount < 10" in out
