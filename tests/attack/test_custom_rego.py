"""Hostile Rego is refused when it is published, or ends in a deny; it never widens anything."""

import json
import time

import pytest
from support.aegis_process import PAYMENTS_POLICY, request

LISTED = PAYMENTS_POLICY + "rego: [extra.rego]\n"
HEAD = "package aegis.custom.extra\n\n"
ENDLESS = """\
deny contains 1 if {
	some a in numbers.range(1, 2000)
	some b in numbers.range(1, 2000)
	some c in numbers.range(1, 2000)
	a * b * c == input.params.amount + 0.5
}
"""
ALLOW = '{"outcome": "allow", "reason": "allowed", "rule": "", "message": "", "mode": "enforce"}'


def publish(aegis, module, document=LISTED, name="extra.rego"):
    """Straight to the control API, as a client that is not ours would."""
    key = (aegis.data / "admin.key").read_text().strip()
    files = [{"name": "finance.yaml", "content": document}, {"name": name, "content": module}]
    return request(
        aegis.control + "/api/v1/policies",
        "POST",
        {"files": files},
        {"Authorization": f"Bearer {key}"},
        timeout=60,
    )


def pay(aegis, token, amount):
    return aegis.call(token, "payments", "create_payment", {"amount": amount})


def in_force(aegis, token, version):
    """Waits with calls that the document refuses, which no custom Rego is asked about."""
    since = time.monotonic()
    while pay(aegis, token, 9000).headers["X-Aegis-Policy-Version"] != str(version):
        assert time.monotonic() - since < 5


ESCAPES = {
    "the decision itself": f"package aegis\n\ndecision := {ALLOW}\n",
    "the dialect": f"package aegis.dialect\n\ndecision := {ALLOW}\n",
    "the tables": 'package aegis.grants\n\nx := [{"body": 0}]\n',
    "the root": f"package data\n\naegis.decision := {ALLOW}\n",
    "all custom packages": "package aegis.custom\n\nextra.deny := set()\n",
    "a package of the name in brackets": f'package aegis["decision"]\n\nx := {ALLOW}\n',
    "with on the tables": HEAD + "deny contains 1 if input.x with data.aegis.grants as []\n",
    "with on the decision": HEAD
    + f"deny contains 1 if input.x with data.aegis.decision as {ALLOW}\n",
    "with on data": HEAD + "deny contains 1 if input.x with data as {}\n",
    "reading the tables": HEAD + "deny contains data.aegis.agents\n",
    "reading by an alias": HEAD + "import data.aegis as a\n\ndeny contains a.agents\n",
    "reading by a computed name": HEAD + 'deny contains data[concat("", ["ae", "gis"])]\n',
    "reading by walk": HEAD + "deny contains p if walk(data.aegis, [p, 1])\n",
    "the decision of the dialect": HEAD + "deny contains data.aegis.dialect.decision\n",
    "the network": HEAD + 'deny contains http.send({"method": "get", "url": "http://127.0.0.1"})\n',
    "the environment": HEAD + "deny contains opa.runtime().env\n",
    "a remote schema": HEAD + "# METADATA\n# schemas:\n# - input: {$ref: http://127.0.0.1:1/}\n"
    "deny contains 1 if input.x\n",
    "another file's package": "package aegis.custom.other\n\ndeny contains 1 if false\n",
    "two packages": HEAD + f"deny contains 1\n\npackage aegis\n\ndecision := {ALLOW}\n",
    "no rule of that name": HEAD + "denny contains 1\n",
    "deny as a value": HEAD + "deny := set()\n",
    "deny by default": HEAD + "default deny := set()\n",
    "nothing": "",
    "not text": "\x00\x01\x02",
    "deep": HEAD + "deny contains " + "[" * 500_000,
    "recursion": HEAD + "deny contains 1 if f(1)\n\nf(x) if f(x + 1)\n",
    "too large": HEAD + "# " + "x" * (1 << 20),
}


def test_what_reaches_out_of_its_package_is_refused(aegis):
    token = aegis.token("finance-agent")
    for name, module in ESCAPES.items():
        answer = publish(aegis, module)
        assert answer.status == 422, f"{name}: {answer.status} {answer.body[:300]}"
        diagnostics = answer.json()["diagnostics"]
        assert {each["file"] for each in diagnostics} <= {"extra.rego", "finance.yaml"}, name
        assert len(answer.body) < 200_000, name
    # Nothing was published, and what the document refuses is refused still.
    assert pay(aegis, token, 1).headers["X-Aegis-Policy-Version"] == "1"
    assert pay(aegis, token, 9000).json()["reason"] == "condition_failed"


@pytest.mark.parametrize(
    "file", ["../extra.rego", "/etc/passwd", "a/../../extra.rego", "extra.rego\n", "~/extra.rego"]
)
def test_paths_stay_in_the_folder(aegis, file):
    document = PAYMENTS_POLICY + f"rego: [{json.dumps(file)}]\n"
    answer = publish(aegis, HEAD + "deny contains 1\n", document)
    assert answer.status == 422 and "plain path" in answer.body.decode(), answer.body
    if "\n" not in file:
        answer = publish(aegis, HEAD + "deny contains 1\n", name=file.replace("~", ".."))
        assert answer.status == 422, answer.body


def test_what_does_not_end_is_a_deny_in_bounded_time(aegis):
    token = aegis.token("finance-agent")
    assert publish(aegis, HEAD + ENDLESS).status == 201
    in_force(aegis, token, 2)
    since = time.monotonic()
    refusal = pay(aegis, token, 10)
    assert (refusal.status, refusal.json()["reason"]) == (403, "policy_error")
    assert time.monotonic() - since < 10
    # Calls that the document refuses never get there.
    assert pay(aegis, token, 9000).json()["reason"] == "condition_failed"


def test_what_fills_memory_is_a_deny(aegis):
    token = aegis.token("finance-agent")
    module = HEAD + (
        "deny contains 1 if count(all) == 0\n\n"
        "all contains x if {\n\tsome n in numbers.range(1, 1000000)\n"
        '\tx := concat("", [input.tool, sprintf("%0500d", [n])])\n}\n'
    )
    answer = publish(aegis, module)
    assert answer.status == 201, answer.body
    in_force(aegis, token, 2)
    refusal = pay(aegis, token, 10)
    assert (refusal.status, refusal.json()["reason"]) == (403, "policy_error")


def test_an_error_is_a_deny_and_no_allow(aegis):
    token = aegis.token("finance-agent")
    conflict = HEAD + "deny contains 1 if v == 0\n\nv := input.params.amount\n\nv := 2\n"
    assert publish(aegis, conflict).status == 201
    in_force(aegis, token, 2)
    assert pay(aegis, token, 2).status == 200
    refusal = pay(aegis, token, 3)
    assert (refusal.status, refusal.json()["reason"]) == (403, "policy_error")


def test_texts_of_a_call_in_a_message_stay_text(aegis):
    """A message may quote the call: bounded, and never control characters on a terminal."""
    token = aegis.token("finance-agent")
    assert publish(aegis, HEAD + "deny contains input.params.note\n").status == 201
    in_force(aegis, token, 2)
    hostile = '\x1b[2J\r\n"}<script>' + "x" * 100_000
    refusal = aegis.call(token, "payments", "create_payment", {"amount": 1, "note": hostile})
    assert refusal.status == 403
    assert "\r" not in refusal.headers.as_string() and "script" not in refusal.headers.as_string()
    assert len(refusal.json()["detail"]) < 1000 and b"\x1b" not in refusal.body
    shown = aegis.cli("audit", "search", "--outcome", "deny").stdout
    assert "\x1b" not in shown and "custom_denied" in shown


@pytest.mark.slow
def test_what_keeps_the_compiler_busy_is_stopped(aegis):
    token = aegis.token("finance-agent")
    depth = 300
    nested = "count({x | x := " * depth + "1" + "})" * depth
    since = time.monotonic()
    answer = publish(aegis, HEAD + f"deny contains 1 if {nested} > 1\n")
    assert answer.status == 422 and "did not end within" in answer.body.decode()
    assert time.monotonic() - since < 40
    assert pay(aegis, token, 1).headers["X-Aegis-Policy-Version"] == "1"
    assert publish(aegis, HEAD + "deny contains 1 if false\n").status == 201
