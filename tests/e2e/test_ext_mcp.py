"""agentgateway's ExtMcp service, by gRPC's own client with messages of another implementation."""

import json
import time

import pytest
from support.aegis_process import Aegis
from support.ext_mcp import Client, error

DENIED, EXHAUSTED, INVALID = 1, 2, 3

POLICY = """\
agent: finance-agent
allowed_tools:
  - name: payments
    actions: [create_payment]
    conditions: {max_amount: 5000}
  - name: payments
    actions: [resources/read]
"""


@pytest.fixture
def served(tmp_path):
    config = tmp_path / "aegis.yaml"
    redact = {"request": ["card", "name"], "response": ["pan"]}
    config.write_text(
        json.dumps({"envoy": {"address": "127.0.0.1:0"}, "ext_proc": {"redact": redact}})
    )
    with Aegis(tmp_path / "data", "--config", str(config)) as running:
        running.cli("agent", "register", "finance-agent")
        running.publish(tmp_path / "policies", finance=POLICY)
        running.wait_ready_to_decide()
        yield running


@pytest.fixture
def client(served):
    with Client(served.run["envoy"]) as running:
        yield running


def call(amount, **more):
    return {"name": "create_payment", "arguments": {"amount": amount} | more}


def metadata(answer) -> dict:
    return dict(answer.metadata.items())


def test_calls_of_tools(served, client):
    token = served.token("finance-agent")
    headers = [("x-aegis-decision", "forged"), ("x-aegis-session", "s-1"), ("accept", "*/*")]
    answer = client.request("tools/call", call(42), token, headers=headers)
    assert answer.WhichOneof("result") == "pass"
    sent = {header.key: header.value for header in answer.header_mutation.set}
    said = metadata(answer)
    assert sent["X-Aegis-Decision"] == b"allow"
    assert sent["X-Aegis-Decision-Id"].decode() == said["decision_id"]
    assert set(answer.header_mutation.remove) == {"authorization", "x-aegis-session"}
    assert said["agent"] == "finance-agent"
    record = served.json("audit", "show", said["decision_id"])
    record = record.get("decision", record)
    for member, value in {"door": "ext_mcp", "tool": "payments", "action": "create_payment",
                          "session": "s-1", "agent": "finance-agent"}.items():  # fmt: skip
        assert record[member] == value

    denied = client.request("tools/call", call(9000), token)
    assert error(denied) == (DENIED, "condition_failed")
    assert served.json("audit", "show", json.loads(denied.error.mcp_error)["decision_id"])
    other = client.request("tools/call", {"name": "close"}, token)
    assert error(other) == (DENIED, "action_not_allowed")
    assert error(client.request("tools/call", call(1), token, services=["x"]))[1] == "no_grant"


def test_who_calls(served, client):
    assert error(client.request("tools/call", call(1))) == (DENIED, "token_invalid")
    assert error(client.request("initialize", {})) == (DENIED, "token_invalid")
    assert error(client.request("ping", None, "x.y.z")) == (DENIED, "token_invalid")
    token = served.token("finance-agent")
    mine = [("x-aegis-token", token)]
    assert client.request("tools/call", call(1), headers=mine).WhichOneof("result") == "pass"
    twice = client.request("tools/call", call(1), token, headers=[("authorization", "Bearer x")])
    assert error(twice)[0] == DENIED
    served.cli("agent", "suspend", "finance-agent")
    deadline = time.monotonic() + 10
    while (answer := client.request("ping", None, token)).WhichOneof("result") == "pass":
        assert time.monotonic() < deadline
    assert error(answer) == (DENIED, "agent_suspended")
    assert error(client.request("tools/call", call(1), token)) == (DENIED, "agent_suspended")


def test_other_methods(served, client):
    token = served.token("finance-agent")
    for method in ("initialize", "ping", "notifications/initialized", "tools/list", "prompts/list"):
        answer = client.request(method, {}, token, services=["payments", "other"])
        assert answer.WhichOneof("result") == "pass", method
        assert not metadata(answer)
    read = client.request("resources/read", {"uri": "file:///x"}, token)
    assert read.WhichOneof("result") == "pass"
    assert metadata(read)["decision_id"]
    for method in ("prompts/get", "completion/complete", "sampling/createMessage", "tools/list2"):
        assert error(client.request(method, {}, token)) == (DENIED, "action_not_allowed"), method


def test_redaction_and_outcomes(served, client):
    token = served.token("finance-agent")
    answer = client.request("tools/call", call(1, card="4111", name="Bob"), token)
    assert json.loads(answer.mutated) == call(1, card="[redacted]", name="[redacted]")
    said = metadata(answer)
    shown = {"content": [], "structuredContent": {"pan": "4111", "ok": True}}
    context = {"decision_id": said["decision_id"], "agent": said["agent"]}
    back = client.response(shown, context)
    assert json.loads(back.mutated)["structuredContent"] == {"pan": "[redacted]", "ok": True}
    deadline = time.monotonic() + 10
    while not (outcome := served.json("audit", "show", said["decision_id"]).get("outcome")):
        assert time.monotonic() < deadline
    assert (outcome["status"], outcome["agent"]) == (200, "finance-agent")
    # What was not asked for, or is another's, passes and leaves no outcome.
    assert client.response({"ok": True}, context).WhichOneof("result") == "pass"
    other = client.request("tools/call", call(1), token)
    mine = metadata(other)["decision_id"]
    client.response({"ok": True}, {"decision_id": mine, "agent": "other"})
    assert not served.json("audit", "show", mine).get("outcome")
    assert error(client.response(b"{")) == (DENIED, "not_redacted")


def test_without_policy_or_settings(tmp_path):
    with Aegis(tmp_path / "data", "--ext-authz", "127.0.0.1:0") as running:
        running.cli("agent", "register", "finance-agent")
        token = running.token("finance-agent")
        with Client(running.run["envoy"]) as client:
            deadline = time.monotonic() + 10
            while True:
                code, reason = error(client.request("tools/call", call(1), token))
                if reason == "no_policy":
                    break
                assert time.monotonic() < deadline, reason
            assert code == DENIED
