"""Custom Rego travels with the published policy and refuses calls on a running gateway."""

import json
import time

import pytest
from support.aegis_process import PAYMENTS_POLICY, Aegis

LISTED = PAYMENTS_POLICY + "rego: [rules/extra.rego]\n"
EXTRA = """\
package aegis.custom.extra

deny contains message if {
	input.params.amount % 1000 == 0
	message := sprintf("amount %v is suspiciously round", [input.params.amount])
}

deny contains {"message": "not for this user"} if {
	some link in input.chain
	link.id == "mallory"
}
"""


@pytest.fixture
def folder(tmp_path):
    """The policy with its Rego file."""
    (tmp_path / "policy/rules").mkdir(parents=True)
    (tmp_path / "policy/finance.yaml").write_text(LISTED)
    (tmp_path / "policy/rules/extra.rego").write_text(EXTRA)
    return tmp_path / "policy"


def until(aegis, token, amount, status):
    """The answer once it has that status. How soon that is, test_reload.py asks."""
    since = time.monotonic()
    while True:
        answer = aegis.call(token, "payments", "create_payment", {"amount": amount})
        if answer.status == status:
            return answer
        assert time.monotonic() - since < 10, answer.body


def test_a_call_is_refused_with_the_message(aegis, folder):
    token = aegis.token("finance-agent", "user:alice")
    assert aegis.call(token, "payments", "create_payment", {"amount": 3000}).status == 200
    aegis.cli("policy", "publish", "--prune", folder)
    refusal = until(aegis, token, 3000, 403).json()
    assert refusal["reason"] == "custom_denied"
    assert "amount 3000 is suspiciously round" in refusal["detail"]
    assert aegis.call(token, "payments", "create_payment", {"amount": 2999}).status == 200
    mallory = aegis.token("finance-agent", "user:mallory")
    refusal = aegis.call(mallory, "payments", "create_payment", {"amount": 7}).json()
    assert "not for this user" in refusal["detail"]
    # What the document itself refuses has its own reason.
    refusal = aegis.call(token, "payments", "create_payment", {"amount": 6000}).json()
    assert refusal["reason"] == "condition_failed"
    # The record says who refused.
    assert "aegis.custom.extra" in json.dumps(aegis.json("audit", "search", "--outcome", "deny"))


def test_it_sees_what_the_documentation_lists(aegis, folder):
    """Every name that the compiler lets through is there on a real call."""
    (folder / "rules/extra.rego").write_text("""\
package aegis.custom.extra

deny contains message if {
	some link in input.chain
	seen := [
		input.action, input.agent.id, input.agent.labels.team, link.id, link.type, input.door,
		input.org, input.params.amount, input.request.headers["content-type"], input.request.host,
		input.request.method, input.request.path, input.session.id, input.tenant, input.time.local,
		input.time.unix_ns, input.time.weekday, input.tool,
	]
	message := sprintf("all %d", [count(seen)])
}
""")
    aegis.cli("policy", "publish", "--prune", folder)
    token = aegis.token("finance-agent", "user:alice")
    # The policy before it allows the call too.
    deadline = time.monotonic() + 10
    while True:
        answer = aegis.call(
            token, "payments", "create_payment", {"amount": 1}, {"X-Aegis-Session": "s1"}
        )
        if answer.status == 403 or time.monotonic() > deadline:
            break
        time.sleep(0.05)
    assert answer.status == 403 and "all 18" in answer.json()["detail"], answer.body


def test_the_module_is_part_of_the_version(aegis, folder):
    aegis.cli("policy", "publish", "--prune", folder)
    shown = aegis.json("policy", "show")
    assert {file["name"]: file["content"] for file in shown["files"]} == {
        "finance.yaml": LISTED,
        "extra.rego": EXTRA,
    }
    # Another file is published beside it, and the Rego stays in force.
    (folder / "other.yaml").write_text("agent: other-agent\nallowed_tools: []\n")
    aegis.cli("policy", "publish", "--keep", folder / "other.yaml")
    token = aegis.token("finance-agent")
    assert until(aegis, token, 3000, 403).json()["reason"] == "custom_denied"
    # Without the listing it is not.
    (folder / "finance.yaml").write_text(PAYMENTS_POLICY)
    told = aegis.cli("policy", "publish", "--keep", folder / "finance.yaml")
    assert "extra.rego: warning: no policy lists this file" in told.stderr
    until(aegis, token, 3000, 200)


def test_mistakes_are_told_at_their_place_and_the_running_version_stays(aegis, folder):
    aegis.cli("policy", "publish", "--prune", folder)
    token = aegis.token("finance-agent")
    until(aegis, token, 3000, 403)
    module = folder / "rules/extra.rego"
    for text, said in (
        ("deny contains 1 if {", "extra.rego:4:1: "),
        ('deny contains http.send({"url": "http://x", "method": "get"})', "3:15: http.send is"),
        ("deny contains data.aegis.grants", "extra.rego:3:15: data.aegis.grants is not for"),
        ("allow contains 1", "extra.rego:1:1: package aegis.custom.extra has no rule 'deny'"),
    ):
        module.write_text(f"package aegis.custom.extra\n\n{text}\n")
        refused = aegis.cli("policy", "publish", "--prune", folder, check=False)
        assert refused.returncode == 1 and said in refused.stderr, refused.stderr
        assert refused.stderr.startswith(f"{module}:"), "the path, as the user knows it"
        validated = aegis.cli("policy", "validate", folder, check=False)
        assert validated.returncode == 1 and said in validated.stderr
    module.unlink()
    refused = aegis.cli("policy", "publish", "--prune", folder, check=False)
    assert "finance.yaml:9:8: the file 'rules/extra.rego' is missing" in refused.stderr
    assert until(aegis, token, 3000, 403).json()["reason"] == "custom_denied"


def test_a_control_plane_without_the_compiler_says_so(tmp_path, folder, monkeypatch):
    monkeypatch.setenv("AEGIS_REGOC", str(tmp_path / "none"))
    with Aegis(tmp_path / "data") as aegis:
        refused = aegis.cli("policy", "publish", folder, check=False)
        assert refused.returncode == 1
        assert "finance.yaml:9:8: custom Rego cannot be compiled" in refused.stderr
        assert "AEGIS_REGOC" in refused.stderr
        # The dialect alone needs none.
        (folder / "finance.yaml").write_text(PAYMENTS_POLICY)
        aegis.cli("policy", "publish", folder)
