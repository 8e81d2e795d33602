"""deploy/envoy/http-variant.yaml: Envoy asks at the gateway's own address, by HTTP/1.1."""

import json
import os
import signal
import socket

import pytest
from support.calls import FORGED, Agent, ours_at
from support.envoy_process import Envoy, deployed, ext_authz

PAY = "/tools/stripe-payments/create_payment"


@pytest.fixture(scope="module")
def envoy(tmp_path_factory, ports):
    folder = tmp_path_factory.mktemp("http-variant")
    with Envoy(folder, deployed("http-variant", ports)) as running:
        yield running


@pytest.fixture(params=[False, True], ids=["http1", "http2"])
def agent(request, envoy, token):
    with Agent(envoy.url, token, http2=request.param) as agent:
        yield agent


def test_an_allowed_call(aegis, envoy, agent, tools):
    got = agent.call(PAY, {"amount": 42})
    assert got.status == 200, got
    method, path, headers, body = tools.payments.seen[-1]
    assert (method, path, json.loads(body)) == ("POST", "/create_payment", {"amount": 42})
    decision_id = ours_at(headers)["x-aegis-decision-id"]
    assert got.headers["x-aegis-decision-id"] == decision_id
    assert aegis.json("audit", "show", decision_id)["decision"]["door"] == "ext_authz"
    line = envoy.next_line(decision_id=decision_id)
    assert (line["outcome"], line["status"]) == ("allow", 200)


def test_forged_headers_do_not_reach_the_tool(agent, tools):
    got = agent.call(PAY, {"amount": 42}, headers=FORGED)
    assert got.status == 200, got
    ours_at(tools.payments.seen[-1][2])


DENIED = {
    "condition": (PAY, {"amount": 9000}, {}, 403, "condition_failed"),
    "action": ("/tools/stripe-payments/close", {}, {}, 403, "action_not_allowed"),
    "tool that nobody knows": ("/tools/unheard-of/x", {}, {}, 403, "no_grant"),
    "no tool's path": ("/healthz", {}, {}, 404, "no_such_path"),
    "the gateway's own": ("/v1/decisions", {}, {}, 404, "no_such_path"),
    "bad json": (PAY, b"{", {}, 400, "bad_json"),
    "content type": (PAY, b"<a/>", {"content-type": "application/xml"}, 415, "content_type"),
    "coding": (PAY, b"\x1f\x8b", {"content-encoding": "gzip"}, 415, "content_encoding"),
    "not UTF-8": (PAY, b'{"amount":1,"x":"\xff"}', {}, 400, "bad_json"),
}


@pytest.mark.parametrize("name", DENIED)
def test_denials(envoy, agent, tools, name):
    path, params, headers, status, reason = DENIED[name]
    before = tools.seen()
    got = agent.call(path, params, headers=headers)
    assert (got.status, got.reason) == (status, reason), got
    assert tools.seen() == before
    line = envoy.next_line(path=path, status=status)
    assert line["decision_id"] == got.headers.get("x-aegis-decision-id")


def test_callers(envoy, aegis, tools):
    before = tools.seen()
    for token, status, reason in (
        (None, 401, "token_invalid"),
        ("x.y.z", 401, "token_invalid"),
        (aegis.token("finance-agent", "user:mallory"), 403, "caller_not_permitted"),
        (aegis.idle_token, 403, "agent_suspended"),
    ):
        with Agent(envoy.url, token) as agent:
            got = agent.call(PAY, {"amount": 1})
            assert (got.status, got.reason) == (status, reason), got
    assert tools.seen() == before


def test_bodies(agent, tools):
    small = b'{"amount": 1}'
    assert agent.call(PAY, iter([small[:5], small[5:]])).status == 200
    assert tools.payments.seen[-1][3] == small
    body = small + b" " * ((1 << 20) - len(small))
    assert agent.call(PAY, body[:-1]).status == 200
    before = tools.seen()
    # Envoy does not tell whether a body that fills its buffer ends there.
    assert agent.call(PAY, body).reason == "partial_body"
    assert agent.call(PAY, body + b" ").status == 413
    assert agent.call("/tools/stripe-payments/list_all", method="GET").status == 200
    assert tools.seen() == before + 1
    got = agent.call(PAY, iter([b'{"amount":9000}']), method="GET")
    assert (got.status, got.reason) == (403, "condition_failed")


def test_envoy_does_not_say_that_there_is_no_body(envoy, token, tools):
    before = tools.seen()
    with Agent(envoy.url, token) as agent:
        for method in ("POST", "DELETE"):
            got = agent.call("/tools/stripe-payments/list_all", method=method)
            assert (got.status, got.reason) == (403, "body_missing")
    assert tools.seen() == before


def test_no_path_leads_out_of_the_prefix(envoy, token, tools):
    before = tools.seen()
    for target in ("_for/search/find", "/../ext_authz_for/search/find", "/%2e%2e/decisions", "*"):
        with socket.create_connection(("127.0.0.1", envoy.port), timeout=10) as connection:
            head = f"GET {target} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n"
            connection.sendall(head.encode())
            assert connection.recv(65536).split(b" ")[1] in (b"400", b"404"), target
    assert tools.seen() == before


def test_a_client_does_not_say_that_its_body_is_whole(tmp_path, ports, token, tools):
    """Without a body in the question; Envoy lets no client's word of it pass."""
    config = deployed("http-variant", ports)
    del ext_authz(config)["with_request_body"]
    before = tools.seen()
    forged = {"x-envoy-auth-partial-body": "false"}
    with Envoy(tmp_path, config) as envoy, Agent(envoy.url, token) as agent:
        got = agent.call("/tools/stripe-payments/list_all", {"amount": 9000}, headers=forged)
        assert (got.status, got.reason) == (403, "body_missing"), got
    assert tools.seen() == before


def test_an_aegis_that_does_not_answer_is_no_leave_to_go_on(aegis, envoy, token, tools):
    before = tools.seen()
    with Agent(envoy.url, token) as agent:
        os.kill(aegis.process.pid, signal.SIGSTOP)
        try:
            assert agent.call(PAY, {"amount": 1}).status == 503
        finally:
            os.kill(aegis.process.pid, signal.SIGCONT)
        assert tools.seen() == before
        agent.until(200, PAY, {"amount": 1})
