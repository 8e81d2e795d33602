"""deploy/envoy/with-body.yaml: head and body of each call are judged; every outcome."""

import json
import socket

import grpc
import pytest
from support.calls import FORGED, Agent, ours_at
from support.envoy_process import Envoy, deployed, ext_authz

PAY = "/tools/stripe-payments/create_payment"
FIND = "/tools/search/find"


@pytest.fixture(scope="module")
def envoy(tmp_path_factory, ports):
    with Envoy(tmp_path_factory.mktemp("with-body"), deployed("with-body", ports)) as running:
        yield running


@pytest.fixture(params=[False, True], ids=["http1", "http2"])
def agent(request, envoy, token):
    with Agent(envoy.url, token, http2=request.param) as agent:
        yield agent


def recorded(aegis, decision_id: str) -> dict:
    return aegis.json("audit", "show", decision_id)["decision"]


def test_an_allowed_call_reaches_the_tool_and_the_access_log(aegis, envoy, agent, tools):
    got = agent.call(PAY, {"amount": 42}, headers=FORGED)
    assert got.status == 200, got
    assert got.http_version == ("HTTP/2" if agent.client._transport._pool._http2 else "HTTP/1.1")
    method, path, headers, body = tools.payments.seen[-1]
    assert (method, path, json.loads(body)) == ("POST", "/create_payment", {"amount": 42})
    decision_id = got.headers["x-aegis-decision-id"]
    ours = ours_at(headers)
    assert ours == {
        "x-aegis-decision": "allow",
        "x-aegis-decision-id": decision_id,
        "x-aegis-policy-version": got.headers["x-aegis-policy-version"],
    }
    line = envoy.next_line(decision_id=decision_id)
    assert line["policy_version"] == ours["x-aegis-policy-version"]
    del line["time"], line["duration_ms"], line["policy_version"], line["host"]
    assert line == {
        "method": "POST", "path": PAY, "protocol": got.http_version, "status": 200,
        "details": "via_upstream", "cluster": "stripe-payments", "decision_id": decision_id,
        "outcome": "allow", "shadow": None, "reason": "allowed", "agent": "finance-agent",
        "tool": "stripe-payments", "action": "create_payment",
    }  # fmt: skip
    record = recorded(aegis, decision_id)
    assert (record["door"], record["outcome"]) == ("ext_authz", "allow")


# Name: (path, params, more, status, reason). The agent is finance-agent, for alice.
DENIED = {
    "condition": (PAY, {"amount": 9000}, {}, 403, "condition_failed"),
    "no params": (PAY, {}, {}, 403, "condition_failed"),
    "action": ("/tools/stripe-payments/close", {}, {}, 403, "action_not_allowed"),
    "tool that nobody knows": ("/tools/unheard-of/x", {}, {}, 403, "no_grant"),
    "tool that is denied": ("/tools/crm/x", {}, {}, 403, "denied_tool"),
    "no tool's path": ("/healthz", {}, {}, 404, "no_such_path"),
    "bad json": (PAY, b"{", {}, 400, "bad_json"),
    "a name twice": (PAY, b'{"amount":1,"amount":9000}', {}, 400, "ambiguous_params"),
    "query and body": (PAY + "?amount=1", {"amount": 9000}, {}, 400, "ambiguous_params"),
    "content type": (PAY, b"<a/>", {"content-type": "application/xml"}, 415, "content_type"),
    "coding": (PAY, b"\x1f\x8b", {"content-encoding": "gzip"}, 415, "content_encoding"),
    "semicolon": (PAY + ";x/y", {"amount": 1}, {}, 400, "bad_path"),
    "no action": ("/tools/search/", {}, {}, 400, "bad_path"),
    "session": (FIND, {}, {"x-aegis-session": "s" * 300}, 400, "bad_session"),
}


@pytest.mark.parametrize("name", DENIED)
def test_denials(envoy, agent, tools, name):
    path, params, headers, status, reason = DENIED[name]
    before = tools.seen()
    got = agent.call(path, params, headers=headers)
    assert (got.status, got.reason) == (status, reason), got
    line = envoy.next_line(reason=reason, path=path.split("?")[0])
    assert (line["status"], line["details"]) == (status, "ext_authz_denied")
    assert line["decision_id"] == got.headers.get("x-aegis-decision-id")
    assert tools.seen() == before


def test_unknown_callers(envoy, aegis, tools):
    """Refused before there is a decision; the access log says why."""
    before = tools.seen()
    for bad, error in (
        (None, "token_missing"),
        ("x.y.z", "token_malformed"),
        (aegis.token("finance-agent")[:-8] + "AAAAAAAA", "token_signature"),
    ):
        with Agent(envoy.url, bad) as stranger:
            got = stranger.call(PAY, {"amount": 1})
            assert (got.status, got.reason) == (401, "token_invalid")
            assert got.headers["www-authenticate"].startswith('Bearer realm="aegis"')
            line = envoy.next_line(reason="token_invalid")
            assert (line["status"], line["outcome"], line["decision_id"]) == (401, "deny", None)
            assert got.json()["token_error"] == error
    assert tools.seen() == before


def test_callers_who_may_not(envoy, aegis, tools):
    before = tools.seen()
    for token, reason in (
        (aegis.token("finance-agent", "user:mallory"), "caller_not_permitted"),
        (aegis.idle_token, "agent_suspended"),
    ):
        with Agent(envoy.url, token) as refused:
            got = refused.call(PAY, {"amount": 1})
            assert (got.status, got.reason) == (403, reason), got
            line = envoy.next_line(reason=reason)
            assert line["decision_id"] == got.headers["x-aegis-decision-id"]
    assert tools.seen() == before


def test_shadow_lets_pass_and_says_so(envoy, aegis, tools):
    with Agent(envoy.url, aegis.token("watched-agent")) as agent:
        got = agent.call("/tools/stripe-payments/create_payment", {"amount": 1})
    assert (got.status, got.headers["x-aegis-shadow"]) == (200, "deny")
    line = envoy.next_line(agent="watched-agent")
    assert (line["outcome"], line["shadow"]) == ("allow", "deny")


def test_paths_are_read_in_one_way(envoy, agent, tools):
    before = tools.seen()
    for path, status in (
        ("/tools/search/%2e%2e/stripe-payments/create_payment", 403),
        ("/tools/stripe-payments%2Fcreate_payment", 400),
        ("/tools/search%5cfind", 400),
    ):
        assert agent.call(path, {"amount": 9000}).status == status, path
    assert tools.seen() == before
    # Dots and double slashes are gone before anyone reads the path.
    assert agent.call("/tools/feed/..//search/find", {}).status == 200
    assert tools.search.seen[-1][1] == "/find"


def test_bodies_of_every_size(envoy, agent, tools):
    most = 1 << 20
    small = json.dumps({"amount": 1}).encode()
    for size, status in ((len(small), 200), (most - 1, 200), (most, 200), (most + 1, 413)):
        body = small + b" " * (size - len(small))
        before = tools.seen()
        got = agent.call(PAY, body)
        assert got.status == status, (size, got)
        assert tools.seen() == before + (status == 200)
        if status == 200:
            assert tools.payments.seen[-1][3] == body
    # Without a Content-Length too, which is what chunks (and HTTP/2) are like.
    halves = iter([small[:5], small[5:]])
    assert agent.call(PAY, halves).status == 200
    assert tools.payments.seen[-1][3] == small
    large = (b" " * 65536 for _ in range(17))
    before = tools.seen()
    assert agent.call(PAY, large).status == 413
    assert tools.seen() == before


def test_calls_without_a_body(envoy, agent, tools):
    assert agent.call("/tools/stripe-payments/list_all?limit=3", method="GET").status == 200
    assert tools.payments.seen[-1][:2] == ("GET", "/list_all?limit=3")
    got = agent.call(PAY + "?amount=9000", method="GET")
    assert (got.status, got.reason) == (403, "condition_failed")
    assert agent.call("/tools/stripe-payments/list_all", method="DELETE").status == 200


@pytest.mark.parametrize("method", ["GET", "DELETE", "OPTIONS"])
def test_bodies_are_judged_whatever_the_method(agent, tools, method):
    before = tools.seen()
    for body in ({"amount": 9000}, iter([b'{"amount":', b"9000}"])):
        got = agent.call(PAY, body, method=method)
        assert (got.status, got.reason) == (403, "condition_failed")
    assert tools.seen() == before


def test_methods_and_upgrades(envoy, token, tools):
    before = tools.seen()
    with Agent(envoy.url, token) as agent:
        got = agent.call(FIND, method="TRACE")
        assert got.status in (403, 405), got
        upgrade = {"connection": "upgrade", "upgrade": "websocket"}
        got = agent.call(FIND, method="GET", headers=upgrade)
        assert got.status == 403, got
    assert tools.seen() == before


def test_bytes_that_are_not_utf8_are_judged_as_they_are(envoy, agent, tools):
    """A deny; Envoy would write '!' for them if it were not told to send bytes."""
    before = tools.seen()
    got = agent.call(PAY, b'{"amount":1,"x":"\xff"}')
    assert (got.status, got.reason) == (400, "bad_json"), got
    assert tools.seen() == before
    got = agent.call(PAY, b'{"amount":1,"x":"!"}')
    assert got.status == 200


def test_smuggled_requests_reach_nothing(envoy, token, tools):
    before = tools.seen()
    head = f"POST {FIND} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n"
    for rest in (
        "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
        "Transfer-Encoding: chunked, identity\r\n\r\n{}",
        "X_Aegis_Decision: allow\r\nContent-Length: 2\r\n\r\n{}",
    ):
        with socket.create_connection(("127.0.0.1", envoy.port), timeout=10) as connection:
            connection.sendall((head + rest).encode())
            assert connection.recv(65536).split(b" ")[1] in (b"400", b"501"), rest
    assert tools.seen() == before


def test_a_tool_of_http2(envoy, agent, tools):
    got = agent.call(FIND, {"q": "x"}, headers=FORGED)
    assert got.status == 200
    method, path, headers, body = tools.search.seen[-1]
    assert (method, path, json.loads(body)) == ("POST", "/find", {"q": "x"})
    assert ours_at(headers)["x-aegis-decision-id"] == got.headers["x-aegis-decision-id"]


def test_server_sent_events_come_as_they_are_made(envoy, agent, tools):
    tools.feed.go_on.clear()
    with agent.client.stream(
        "POST", "/tools/feed/subscribe", json={"topic": "x"}, headers=agent.headers
    ) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "text/event-stream"
        assert answer.headers["x-aegis-decision"] == "allow"
        chunks = answer.iter_bytes()
        assert next(chunks) == b"data: 1\n\n"
        tools.feed.go_on.set()
        assert b"".join(chunks) == b"data: 2\n\n"
    assert json.loads(tools.feed.seen[-1][3]) == {"topic": "x"}
    got = agent.call("/tools/feed/publish", {})
    assert (got.status, got.reason) == (403, "action_not_allowed")


def test_grpc_tools(envoy, token, tools):
    me = [("authorization", f"Bearer {token}"), ("x-aegis-agent", "root")]
    with grpc.insecure_channel(envoy.address, [("grpc.enable_http_proxy", 0)]) as channel:
        balance = channel.unary_unary("/ledger.Ledger/Balance")
        assert balance(b"acct", metadata=me, timeout=10) == b"balance of acct"
        _, metadata = tools.ledger.seen[-1]
        assert metadata["x-aegis-decision"] == "allow"
        assert not {"authorization", "x-aegis-agent"} & set(metadata)
        line = envoy.next_line(tool="ledger")
        assert (line["action"], line["decision_id"]) == ("Balance", metadata["x-aegis-decision-id"])

        watch = channel.unary_stream("/ledger.Ledger/Watch")
        assert list(watch(b"x", metadata=me, timeout=10)) == [b"x 0", b"x 1", b"x 2"]
        # Each answer comes before the next message goes: nothing is held back.
        answers = channel.stream_stream("/ledger.Ledger/Sum")
        turns, got = iter([b"1", b"2", b"3"]), []
        for answer in answers(turns, metadata=me, timeout=10):
            got.append(answer)
        assert got == [b"1", b"3", b"6"]

        before = tools.seen()
        close = channel.unary_unary("/ledger.Ledger/Close")
        with pytest.raises(grpc.RpcError) as refused:
            close(b"", metadata=me, timeout=10)
        assert refused.value.code() == grpc.StatusCode.PERMISSION_DENIED
        assert json.loads(refused.value.details())["reason"] == "action_not_allowed"
        with pytest.raises(grpc.RpcError) as refused:
            balance(b"", timeout=10)
        assert refused.value.code() == grpc.StatusCode.UNAUTHENTICATED
        assert tools.seen() == before


def test_envoys_own_figures(envoy, aegis, tools):
    stats = envoy.stats("ext_authz.aegis.")
    counted = {name.rpartition(".")[2]: value for name, value in stats.items()}
    assert counted["ok"] > 0 and counted["denied"] > 0, stats
    assert counted["error"] == 0 and counted["failure_mode_allowed"] == 0
    assert counted.get("invalid", 0) == 0, "Envoy refused something that Aegis asked it to change"


def test_the_beginning_of_a_body_is_not_a_body(tmp_path, ports, token, tools):
    """An operator allowed partial messages: what Aegis cannot see whole does not pass."""
    config = deployed("with-body", ports)
    settings = ext_authz(config)["with_request_body"]
    settings.update({"max_request_bytes": 64, "allow_partial_message": True})
    before = tools.seen()
    with Envoy(tmp_path, config) as envoy, Agent(envoy.url, token) as agent:
        forged = {"x-envoy-auth-partial-body": "false"}
        body = b'{"amount":1}' + b" " * 100
        got = agent.call(PAY, body, headers=forged)
        assert (got.status, got.reason) == (413, "partial_body"), got
        got = agent.call(PAY, (body for _ in range(1)), headers=forged)
        assert (got.status, got.reason) == (413, "partial_body"), got
        assert tools.seen() == before
        assert agent.call(PAY, {"amount": 1}).status == 200
