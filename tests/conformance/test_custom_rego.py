"""Policies that list custom Rego: Aegis, stock OPA on the same bundle, and the meaning agree."""

import random

import pytest
from conformance import compare, reference
from conformance.generate import Generator
from support.aegis_process import BINARY

# Package -> its rules, and whether `deny` has an element for a call that is well formed.
MODULES = {
    "amounts": (
        """\
deny contains sprintf("amount %v", [input.params.amount]) if {
	is_number(input.params.amount)
	data.aegis.custom.lib.more(input.params.amount)
}
""",
        lambda call: (
            reference.is_number(call["params"].get("amount")) and call["params"]["amount"] > 100
        ),
    ),
    "delegated": (
        """\
import data.aegis.custom.lib

deny contains {"message": concat(" ", ["behind it:", link.id]), "link": link} if {
	some link in input.chain
	lib.is_agent(link)
	is_string(link.id)
}
""",
        lambda call: any(
            isinstance(link, dict)
            and link.get("type") == "agent"
            and isinstance(link.get("id"), str)
            for link in call["chain"]
        ),
    ),
    "crm": (
        """\
default excepted := false

excepted if input.action == "read"

deny contains x if {
	startswith(input.tool, "crm")
	not excepted
	some x in {1, null, [input.tool], {"message": input.tool}, input.action}
}
""",
        lambda call: call["tool"].startswith("crm") and call["action"] != "read",
    ),
    "never": ("deny contains 1 if false\n", lambda call: False),
    "in": ("deny contains 1 if input.params.flag == true\n", lambda call: flag(call) is True),
    "lib": ('is_agent(link) if link.type == "agent"\n\nmore(x) if x > 100\n', lambda call: False),
}


def flag(call):
    return call["params"].get("flag")


def module_text(package):
    name = f'["{package}"]' if package == "in" else f".{package}"
    return f"package aegis.custom{name}\n\n{MODULES[package][0]}"


class Case(compare.Case):
    def write_policies(self, rng):
        names = super().write_policies(rng)
        for package in MODULES:
            (self.folder / "policies" / f"{package}.rego").write_text(module_text(package))
        return names


def make_case(folder, seed):
    generator = Generator(f"custom/{seed}")
    policies = generator.policies()
    # Who lists a package that asks the helper lists the helper.
    for _, document in policies:
        if generator.some(0.6):
            listed = generator.distinct([package for package in MODULES if package != "lib"], 3)
            if {"amounts", "delegated"} & set(listed):
                listed.append("lib")
            document["rego"] = [f"{package}.rego" for package in listed]
            document["mode"] = generator.r.choice(["enforce", "shadow"])
    if not any("rego" in document for _, document in policies):
        policies[0][1]["rego"] = ["amounts.rego", "lib.rego"]
    folder.mkdir()
    return Case(folder, policies, [generator.call(policies) for _ in range(60)])


def expected(policies, call):
    base = reference.decide(policies, call)
    if base["outcome"] == "deny" and base["mode"] == "enforce":
        return base
    denying = {"enforce": set(), "shadow": set()}
    for _, document in policies:
        if not reference.applies(document, call["agent"]):
            continue
        for file in document.get("rego", []):
            package = file.removesuffix(".rego")
            if MODULES[package][1](call):
                denying[reference.mode_of(document)].add(package)
    # A package that is enforced somewhere is enforced.
    denying["shadow"] -= denying["enforce"]
    for mode in ("enforce", "shadow"):
        if denying[mode] and (mode == "enforce" or base["outcome"] == "allow"):
            return reference.verdict(
                "deny", "custom_denied", mode, f"aegis.custom.{min(denying[mode])}"
            )
    return base


@pytest.fixture(scope="module", autouse=True)
def _built():
    for program in (compare.REGOC, compare.TOOL, BINARY):
        assert program.exists(), f"{program} is missing; scripts/build makes it"


def test_aegis_opa_and_the_meaning_agree(tmp_path, capsys):
    cases = [make_case(tmp_path / f"{i:03d}", i) for i in range(24)]
    aegis = compare.Aegis(tmp_path)
    assert aegis.compile(cases, random.Random(7)) == []
    sources = {
        "opa": compare.ask_opa(cases, aegis.public, compare.SCOPE),
        "aegis": aegis.decide(cases),
    }
    total = sum(len(case.calls) for case in cases)
    assert {name: len(answers) for name, answers in sources.items()} == {
        "opa": total,
        "aegis": total,
    }
    report, at = compare.Report(), 0
    for case in cases:
        for i, call in enumerate(case.calls):
            answers = {name: answers[at] for name, answers in sources.items()}
            report.check(case, i, answers, expected(case.policies, call))
            at += 1
    assert report.failed == 0, capsys.readouterr().out
    for mode in ("enforce", "shadow"):
        assert report.outcomes[("deny", "custom_denied", mode)] > 2, report.outcomes
    assert sum(n for (outcome, _, _), n in report.outcomes.items() if outcome == "allow") > 50


def test_a_conflict_is_an_error_for_both(tmp_path):
    """Neither gives a decision; the gateway makes a deny with policy_error of that."""
    case = make_case(tmp_path / "case", 0)
    (name, document) = case.policies[0]
    document.clear()
    document |= {"agent": "a", "allowed_tools": [{"name": "*"}], "rego": ["conflict.rego"]}
    call = {
        "agent": {"id": "a"},
        "tool": "t",
        "action": "x",
        "chain": [],
        "params": {"a": 1, "b": 2},
    }
    case = Case(case.folder, [(name, document)], [call])
    (case.folder / "policies").mkdir()
    (case.folder / "policies/conflict.rego").write_text(
        "package aegis.custom.conflict\n\ndeny contains 1 if v == 3\n\n"
        "v := input.params.a\n\nv := input.params.b\n"
    )
    aegis = compare.Aegis(tmp_path)
    assert aegis.compile([case], random.Random(7)) == []
    answers = compare.ask_opa([case]) + aegis.decide([case])
    assert len(answers) == 2
    for answer in answers:
        assert answer.startswith('{"error":') and "eval_conflict_error" in answer
