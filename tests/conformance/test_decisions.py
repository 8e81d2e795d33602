"""Aegis decides as stock OPA does, and as the dialect means it."""

import json
import random
import subprocess
from decimal import Decimal

import pytest
from conformance import compare, reference, tables
from conformance.generate import Generator
from support.aegis_process import BINARY

OPA = compare.ROOT / "build/bin/opa"


@pytest.fixture(scope="module", autouse=True)
def _built():
    for program in (compare.REGOC, compare.TOOL, OPA, BINARY):
        assert program.exists(), f"{program} is missing; scripts/build makes it"


def test_rego_library_means_what_the_reference_says(capsys):
    code = compare.main(["--tables", "--pairs", "3000", "--bundles", "100", "--seed", "library"])
    assert code == 0, capsys.readouterr().out


@pytest.mark.slow
def test_ten_thousand_decisions(capsys):
    code = compare.main(["--pairs", "10000", "--bundles", "300"])
    out = capsys.readouterr().out
    assert code == 0, out
    assert out.endswith("10000 passed, 0 failed\n")


def test_stock_opa_verifies_and_loads_the_bundle(tmp_path):
    """The opa program itself, not its library, on one bundle with a verification key."""
    case = compare.make_cases(tmp_path, "stock", 1, 8)[0]
    aegis = compare.Aegis(tmp_path)
    assert aegis.compile([case], random.Random(1)) == []
    queries = "".join(f"data.aegis.decision with input as {text}\n" for text in case.inputs)
    done = subprocess.run(
        [
            OPA, "run", "--skip-version-check", "--bundle", case.bundle,
            "--verification-key", aegis.public, "--verification-key-id", compare.KEY_ID,
            "--signing-alg", "ES256", "--scope", compare.SCOPE,
        ],
        input=queries, capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    decoder, decisions, rest = json.JSONDecoder(parse_float=Decimal), [], done.stdout
    while (start := rest.find("{\n")) >= 0:
        decision, end = decoder.raw_decode(rest[start:])
        decisions.append(decision)
        rest = rest[start + end :]
    assert len(decisions) == len(case.calls), done.stdout + done.stderr
    for decision, call in zip(decisions, case.calls, strict=True):
        decision.pop("message")
        assert reference.same(decision, reference.decide(case.policies, call))


def test_the_command_line_gives_the_same(tmp_path):
    """`aegis decide --inputs` on a bundle of `aegis policy compile`, against OPA on that bundle."""
    case = compare.make_cases(tmp_path, "command line", 1, 60)[0]
    inputs = tmp_path / "inputs.jsonl"
    inputs.write_text("".join(text + "\n" for text in case.inputs))
    policies = case.write_policies(random.Random(1))
    command = [BINARY, "policy", "compile", *policies, "--out", case.bundle]
    subprocess.run(command, check=True, capture_output=True)
    command = [BINARY, "decide", "--bundle", case.bundle, "--inputs", inputs]
    decided = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert decided.split("\n")[:-1] == compare.ask_opa([case])


@pytest.mark.parametrize("seed", range(20))
def test_every_policy_is_accepted_in_every_writing(tmp_path, seed):
    """The generator's policies compile however they are written."""
    generator = Generator(f"writing/{seed}")
    cases = []
    for i in range(5):
        place = tmp_path / str(i)
        place.mkdir()
        cases.append(compare.Case(place, generator.policies(), []))
    assert compare.Aegis(tmp_path).compile(cases, random.Random(seed)) == []
    assert all(tables.build(case.policies)["aegis"]["documents"] for case in cases)
