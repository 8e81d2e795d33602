"""Shadow: the call passes, the record says what would have happened."""

from support.aegis_process import PAYMENTS_POLICY, Aegis, request


def test_shadow_document_lets_the_call_pass_and_records_the_deny(aegis, tmp_path, tool):
    aegis.publish(tmp_path / "policies", finance="mode: shadow\n" + PAYMENTS_POLICY)
    token = aegis.token("finance-agent")
    answer = aegis.call(token, "payments", "create_payment", {"amount": 9000})
    while answer.status == 403:  # the version before is still in force
        answer = aegis.call(token, "payments", "create_payment", {"amount": 9000})
    assert answer.status == 200
    assert answer.headers["X-Aegis-Shadow"] == "deny"
    record = aegis.json("audit", "show", answer.headers["X-Aegis-Decision-Id"])["decision"]
    assert (record["outcome"], record["enforced"], record["mode"]) == ("deny", False, "shadow")
    assert record["reason"] == "condition_failed"


def test_up_shadow_stops_nothing_but_bad_tokens(tmp_path, tool):
    with Aegis(tmp_path / "data", "--shadow") as aegis:
        aegis.cli("agent", "register", "finance-agent")
        aegis.cli("tool", "add", "payments", "--url", tool.url)
        aegis.publish(tmp_path / "policies", finance=PAYMENTS_POLICY)
        aegis.wait_ready_to_decide()
        token = aegis.token("finance-agent")
        answer = aegis.call(token, "payments", "anything", {"amount": 1})
        assert (answer.status, answer.headers["X-Aegis-Shadow"]) == (200, "deny")
        assert aegis.call(None, "payments", "anything").status == 401
        assert len(tool.seen) == 1
        # The doctor does not call this enforcement.
        assert aegis.cli("doctor", check=False).returncode == 1
        assert "shadow" in request(aegis.admin + "/config").body.decode()
