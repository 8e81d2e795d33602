"""Callers that nobody knows: listed, adopted, blocked, with the real binary over HTTP."""

import time

import pytest
from attack.test_tokens import b64, change
from support.aegis_process import Aegis, request
from support.documents import blocks, run


def rows(aegis) -> set[tuple]:
    found = aegis.json("agent", "unknown")
    return {(r["source"], r["name"], r["target"], r["reason"], r["count"]) for r in found}


def wait_for(condition, what) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, what()
        time.sleep(0.05)


def expect_rows(aegis, expected: set[tuple]) -> None:
    wait_for(lambda: rows(aegis) == expected, lambda: rows(aegis))


def call(aegis, token=None, agent="test/1.0 (x)", path="/tools/payments/list_all", body=None):
    headers = {"User-Agent": agent}
    if token:
        headers["Authorization"] = "Bearer " + token
    return request(aegis.gateway + path, "POST", {} if body is None else body, headers)


def test_every_door_lists_whom_it_refuses(aegis, tool):
    reached = len(tool.seen)
    good = aegis.token("finance-agent")
    foreign = change(tenant="other", sub="agent:other/finance-agent")(aegis, good)
    ghost = change(agent="ghost", sub="agent:default/ghost")(aegis, good)
    unsigned = b64(b'{"alg":"none"}') + "." + b64(b'{"sub":"agent:default/rogue"}') + "."
    expected = set()
    for path, target in (
        ("/tools/payments/list_all", "payments"),
        ("/v1/decisions", "/v1/decisions"),
        ("/v1/data/aegis/decision", "/v1/data/aegis/decision"),
    ):
        for token, name, reason in (
            (None, "test/1.0", "token_missing"),
            ("sk-secret-key", "test/1.0", "token_malformed"),
            (unsigned, "rogue", "token_algorithm"),
            (foreign, "finance-agent", "token_tenant"),
            (ghost, "ghost", "agent_unknown"),
        ):
            body = {"tool": "payments", "action": "list_all"}
            body = {"input": body} if path.startswith("/v1/data") else body
            for _ in range(2):
                assert call(aegis, token, path=path, body=body).status == 401
            expected.add(("127.0.0.1", name, target, reason, 2))
    revoked = aegis.token("finance-agent")
    jti = aegis.json("token", "inspect", revoked)["claims"]["jti"]
    admin = {"Authorization": "Bearer " + (aegis.data / "admin.key").read_text().strip()}
    revoke = request(aegis.control + "/api/v1/tokens/revoke", "POST", {"jti": jti}, admin)
    assert revoke.status == 200
    calls = 0
    while call(aegis, revoked).status == 200:
        calls += 1
        assert calls < 1000
    expected.add(("127.0.0.1", "finance-agent", "payments", "token_revoked", 1))
    expect_rows(aegis, expected)
    assert len(tool.seen) == reached + calls
    metrics = request(aegis.admin + "/metrics").body.decode()
    assert 'aegis_unknown_callers_total{reason="token_missing"} 6\n' in metrics
    assert 'aegis_unknown_callers_total{reason="token_revoked"} 1\n' in metrics
    # No part of a token is anywhere.
    store = b"".join(path.read_bytes() for path in aegis.data.glob("aegis.db*"))
    assert b"test/1.0" in store
    for secret in ("sk-secret-key", foreign[:30], foreign[-30:], unsigned[:20]):
        assert secret.encode() not in store and secret not in aegis.logged()


def test_adopting_makes_an_agent_of_a_stranger(aegis):
    ghost = change(agent="ghost", sub="agent:default/ghost")(aegis, aegis.token("finance-agent"))
    assert call(aegis, ghost).status == 401
    assert call(aegis, None).status == 401
    expect_rows(
        aegis,
        {
            ("127.0.0.1", "ghost", "payments", "agent_unknown", 1),
            ("127.0.0.1", "test/1.0", "payments", "token_missing", 1),
        },
    )
    assert "was seen" in aegis.cli("agent", "adopt", "nobody", check=False).stderr
    assert aegis.cli("agent", "adopt", "test/1.0", check=False).returncode == 1, "not a name"
    aegis.cli("agent", "adopt", "ghost", "--label", "team=night")
    aegis.cli("agent", "adopt", "test/1.0", "--as", "tester")
    assert rows(aegis) == set()
    agents = {row["name"]: row["labels"] for row in aegis.json("agent", "list")}
    assert agents.keys() == {"finance-agent", "ghost", "tester"}
    assert agents["ghost"] == {"team": "night"}
    # Known from now on: policy refuses it, and it is not listed again.
    wait_for(lambda: call(aegis, ghost).status == 403, lambda: call(aegis, ghost).body)
    assert call(aegis, ghost).json()["reason"] == "no_grant"
    assert aegis.json("agent", "list")[1]["name"] == "ghost"


def test_a_block_acts_at_every_gateway_within_a_second(aegis):
    good = aegis.token("finance-agent")
    assert call(aegis, None).status == 401
    expect_rows(aegis, {("127.0.0.1", "test/1.0", "payments", "token_missing", 1)})

    def within_a_second(token, status):
        since = time.monotonic()
        while call(aegis, token).status != status:
            assert time.monotonic() - since < 1
        return call(aegis, token)

    aegis.cli("agent", "block", "test/1.0")
    refused = within_a_second(None, 403)
    assert refused.json()["reason"] == "caller_blocked" and "blocked" in refused.json()["detail"]
    assert call(aegis, good).status == 200
    assert rows(aegis) == set()
    aegis.cli("agent", "block", "127.0.0.1")
    assert within_a_second(good, 403).json()["reason"] == "caller_blocked"
    assert call(aegis, None, agent="other/1").status == 403
    assert [list(row)[1] for row in aegis.json("agent", "blocked")] == ["name", "source"]
    # What is blocked stays so, and what was refused as blocked was not listed.
    assert aegis.stop() == 0
    aegis.start()
    aegis.wait_ready_to_decide()
    assert call(aegis, good).status == 403
    assert rows(aegis) == set()
    aegis.cli("agent", "unblock", "127.0.0.1")
    assert within_a_second(good, 200)
    aegis.cli("agent", "unblock", "test/1.0")
    assert within_a_second(None, 401)
    assert aegis.cli("agent", "unblock", "test/1.0", check=False).returncode == 1
    assert aegis.cli("agent", "block", "finance-agent", check=False).returncode == 1
    aegis.cli("agent", "block", "evil")
    assert "blocked" in aegis.cli("agent", "register", "evil", check=False).stderr


def test_what_a_stopped_gateway_had_seen_is_kept(aegis):
    for _ in range(3):
        assert call(aegis, None).status == 401
    assert aegis.stop() == 0
    aegis.start()
    expect_rows(aegis, {("127.0.0.1", "test/1.0", "payments", "token_missing", 3)})


@pytest.fixture
def demo(tmp_path):
    with Aegis(tmp_path / "aegis-data", "--demo", "--demo-payments", "127.0.0.1:0") as running:
        wait_for(lambda: "Ctrl-C" in running.output, running.logged)
        yield running


def test_the_page(demo, tmp_path):
    """docs/unknown-agents.md, block by block."""
    page = blocks("docs/unknown-agents.md")
    run(page[0], demo, tmp_path)
    wait_for(
        lambda: any(row["name"] == "invoice-script/2.1" for row in demo.json("agent", "unknown")),
        demo.logged,
    )
    listed = run(page[1], demo, tmp_path)
    assert "invoice-script/2.1" in listed and "stripe-payments" in listed
    assert "rogue-agent" in listed, "whom the demo shows to be refused"
    output = run("\n".join(page[2:]), demo, tmp_path)
    assert "agent invoice-agent registered" in output
    assert "192.0.2.7" in output and "source 192.0.2.7 is no longer blocked" in output
    assert "invoice-script" not in run(page[1], demo, tmp_path)
