"""Exit codes, output forms and messages of the commands that need no server."""

import json
import subprocess

import pytest
from support.aegis_process import BINARY, PAYMENTS_POLICY, cli

FIVE_LINES = """\
agent: finance-agent
allowed_tools:
  - name: stripe-payments
    actions:
      - create_payment
    conditions:
      max_amount: 5000
"""


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--help"], 0),
        (["version"], 0),
        (["policy", "--help"], 0),
        ([], 2),
        (["no-such-command"], 2),
        (["policy", "validate"], 2),
        (["-o", "xml", "version"], 2),
        (["policy", "validate", "no-such-file.yaml"], 1),
        (["agent", "list", "--data", "no-such-folder"], 1),
    ],
)
def test_exit_codes(arguments, code):
    assert cli(*arguments, check=False).returncode == code


def test_the_five_line_policy_decides(tmp_path):
    policy = tmp_path / "policy.yaml"
    policy.write_text(FIVE_LINES)
    cli("policy", "validate", policy)
    call = {"agent": {"id": "finance-agent"}, "tool": "stripe-payments", "action": "create_payment"}
    for amount, outcome, code in ((4200, "allow", 0), (9000, "deny", 1)):
        source = tmp_path / "call.json"
        source.write_text(json.dumps(call | {"params": {"amount": amount}}))
        done = cli("decide", "--policy", policy, "--input", source, check=False)
        assert (json.loads(done.stdout)["outcome"], done.returncode) == (outcome, code)
    explained = cli(
        "decide", "--policy", policy, "--input", source, "--explain", check=False
    ).stdout
    assert "max_amount" in explained and "9000" in explained


def test_all_mistakes_of_a_file_come_at_once_with_their_places(tmp_path):
    policy = tmp_path / "bad.yaml"
    policy.write_text(
        "agent: finance-agent\n"
        "alowed_tools: []\n"
        "allowed_tools:\n"
        "  - name: payments\n"
        "    actions: [pay]\n"
        "    conditions: {amount: {lest: 5}}\n"
        "    approval: []\n"
    )
    done = cli("policy", "validate", policy, check=False)
    assert done.returncode == 1
    for place in ("bad.yaml:2:1", "bad.yaml:6:", "bad.yaml:7:5"):
        assert place in done.stderr
    assert "did you mean" in done.stderr and "not supported yet" in done.stderr


def test_compile_and_decide_from_the_bundle(tmp_path):
    policy = tmp_path / "policy.yaml"
    policy.write_text(PAYMENTS_POLICY)
    bundle = tmp_path / "bundle.tar.gz"
    cli("policy", "compile", policy, "--out", bundle)
    calls = tmp_path / "calls.jsonl"
    call = {
        "agent": {"id": "finance-agent"},
        "tool": "payments",
        "action": "create_payment",
        "chain": [],
    }
    calls.write_text("\n".join(json.dumps(call | {"params": {"amount": n}}) for n in (1, 9000)))
    lines = cli("decide", "--bundle", bundle, "--inputs", calls).stdout.splitlines()
    assert [json.loads(line)["outcome"] for line in lines] == ["allow", "deny"]


def test_schema_is_json_and_tests_run(tmp_path):
    assert "$schema" in json.loads(cli("policy", "schema").stdout)
    (tmp_path / "policy.yaml").write_text(PAYMENTS_POLICY)
    (tmp_path / "policy_test.yaml").write_text(
        "tests:\n"
        "  - name: over the limit\n"
        "    call:\n"
        "      {agent: finance-agent, tool: payments, action: create_payment,\n"
        "       params: {amount: 9000}}\n"
        "    expect: {outcome: deny, reason: condition_failed}\n"
    )
    assert cli("policy", "test", tmp_path).returncode == 0
    test = tmp_path / "policy_test.yaml"
    test.write_text(
        test.read_text().replace("outcome: deny, reason: condition_failed", "outcome: allow")
    )
    failed = cli("policy", "test", tmp_path, check=False)
    assert failed.returncode == 1 and "over the limit" in failed.stdout + failed.stderr


def test_diff_says_in_words_what_changes(tmp_path):
    old, new = tmp_path / "old.yaml", tmp_path / "new.yaml"
    old.write_text(PAYMENTS_POLICY)
    new.write_text(
        PAYMENTS_POLICY.replace("5000", "9000").replace(
            "[create_payment]", "[create_payment, close_account]"
        )
    )
    text = cli("policy", "diff", old, new, check=False).stdout
    assert "close_account" in text and "5000" in text and "9000" in text


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_names_the_commands(shell):
    script = cli("completion", shell).stdout
    assert "validate" in script and "register" in script
    if shell == "bash":
        done = subprocess.run(
            [
                "bash",
                "-c",
                f"source <({BINARY} completion bash); COMP_WORDS=(aegis policy val); COMP_CWORD=2;"
                ' _aegis; echo "${COMPREPLY[@]}"',
            ],
            capture_output=True,
            text=True,
        )
        assert done.stdout.strip() == "validate"
