"""A bundle that stock OPA built is a tenant's policy."""

import subprocess
import time

import pytest
from support.aegis_process import PAYMENTS_POLICY, ROOT

OPA = ROOT / "build/bin/opa"
POLICY = """\
package aegis

default decision := {"outcome": "deny", "reason": "no_grant", "message": "not in the list"}

decision := {"outcome": "allow", "reason": "allowed", "rule": "list"} if {
	input.params.amount < data.limits[input.agent.id]
} else := {"outcome": "deny", "reason": "custom_denied", "rule": "list", "message": message} if {
	message := sprintf("more than %v", [data.limits[input.agent.id]])
}
"""


@pytest.fixture
def build(tmp_path):
    def make(text, *arguments):
        (tmp_path / "policy.rego").write_text(text)
        (tmp_path / "data.json").write_text('{"limits": {"finance-agent": 100}}')
        command = [OPA, "build", "-o", "bundle.tar.gz", *arguments, "policy.rego", "data.json"]
        subprocess.run([str(c) for c in command], cwd=tmp_path, check=True, capture_output=True)
        return tmp_path / "bundle.tar.gz"

    return make


def until(aegis, token, amount, status):
    since = time.monotonic()
    while True:
        answer = aegis.call(token, "payments", "create_payment", {"amount": amount})
        if answer.status == status:
            return answer
        assert time.monotonic() - since < 1.0, answer.body


@pytest.mark.parametrize("arguments", [("-t", "plan", "-e", "aegis/decision"), ()])
def test_a_bundle_is_published_and_enforced(aegis, build, tmp_path, arguments):
    bundle = build(POLICY, *arguments)
    refused = aegis.cli("policy", "publish", "--bundle", bundle, check=False)
    assert refused.returncode == 1 and "finance.yaml; a bundle replaces all" in refused.stderr
    told = aegis.cli("policy", "publish", "--prune", "--bundle", bundle)
    assert told.stdout == "published version 2 (a bundle)\n"
    token = aegis.token("finance-agent")
    refusal = until(aegis, token, 100, 403).json()
    assert refusal["reason"] == "custom_denied" and "more than 100" in refusal["detail"]
    assert until(aegis, token, 99, 200).headers["X-Aegis-Policy-Version"] == "2"
    assert "whole bundle" in aegis.cli("policy", "show").stdout
    assert "bundle" in aegis.cli("policy", "list").stdout
    # Files cannot be put beside it.
    (tmp_path / "finance.yaml").write_text(PAYMENTS_POLICY)
    refused = aegis.cli("policy", "publish", "--keep", tmp_path / "finance.yaml", check=False)
    assert refused.returncode == 1 and "--prune" in refused.stderr
    aegis.cli("policy", "publish", "--prune", tmp_path / "finance.yaml")
    until(aegis, token, 100, 200)


def test_a_bundle_that_gives_no_decisions_is_refused(aegis, build):
    token = aegis.token("finance-agent")
    for text, said in (
        ("package aegis\n\ndecision := true\n", "the policy's decision is not an object"),
        ('package aegis\n\ndecision := "x" if input.y\n', "the policy gave no decision"),
        ("package other\n\ndecision := 1\n", 'entrypoint "aegis/decision" does not refer'),
    ):
        refused = aegis.cli("policy", "publish", "--prune", "--bundle", build(text), check=False)
        assert refused.returncode == 1
        assert said in refused.stderr, refused.stderr
        assert "the running version stays" in refused.stderr
    until(aegis, token, 4000, 200)
