"""The engine evaluates generated Rego as OPA and as the reference evaluator do."""

import pytest
from conformance import programs


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
