"""deploy/envoy/ext-proc.yaml: calls are judged and redacted as they pass, answers inspected."""

import json
import os
import signal
import threading
import time

import httpx
import pytest
from support.aegis_process import Aegis
from support.calls import FORGED, Agent, ours_at
from support.envoy_process import Envoy, deployed, manager, port_of
from support.envoy_site import free_port, set_up
from support.tools import EchoTool, EventsTool

PAY = "/tools/stripe-payments/create_payment"
LIST = "/tools/stripe-payments/list_all"
GONE = "[redacted]"
CONFIG = "ext_proc: {redact: {request: [card_number], response: [pan, customer.ssn]}}\n"


@pytest.fixture(scope="module")
def redacting(tmp_path_factory):
    folder = tmp_path_factory.mktemp("redacting")
    (folder / "aegis.yaml").write_text(CONFIG)
    flags = ("--config", str(folder / "aegis.yaml"), "--ext-authz", f"127.0.0.1:{free_port()}")
    with Aegis(folder / "data", *flags) as running:
        running.idle_token = set_up(running, folder / "policies")
        yield running


@pytest.fixture(scope="module")
def echo():
    tool = EchoTool()
    yield tool
    tool.close()


@pytest.fixture(scope="module")
def feed():
    tool = EventsTool()
    tool.events = (b'data: {"pan":"4111","n":1}\n\n', b'data: {"customer":{"ssn":"7"}}\n\n')
    yield tool
    tool.close()


@pytest.fixture(scope="module")
def moved(ports, redacting, echo, feed):
    return ports | {9191: port_of(redacting.run["envoy"]), 9400: echo.port, 9402: feed.port}


@pytest.fixture(scope="module")
def envoy(tmp_path_factory, moved):
    with Envoy(tmp_path_factory.mktemp("ext-proc"), deployed("ext-proc", moved)) as running:
        yield running


@pytest.fixture(scope="module")
def token(redacting):
    return redacting.token("finance-agent", "user:alice")


@pytest.fixture(params=[False, True], ids=["http1", "http2"])
def agent(request, envoy, token):
    with Agent(envoy.url, token, http2=request.param) as agent:
        yield agent


def decision(aegis, got) -> dict:
    return aegis.json("audit", "show", got.headers["x-aegis-decision-id"])["decision"]


def test_params_and_answers_are_redacted(redacting, envoy, agent, echo):
    sent = {"amount": 42, "card_number": "4111 1111", "pan": "4111", "customer": {"ssn": "1-2"}}
    forged = {k: v for k, v in FORGED.items() if k != "x-envoy-auth-partial-body"}
    got = agent.call(PAY, sent, headers=forged)
    assert got.status == 200, got
    _, path, headers, body = echo.seen[-1]
    assert path == "/create_payment"
    assert json.loads(body) == sent | {"card_number": GONE}
    ours = ours_at(headers)
    assert ours["x-aegis-decision"] == "allow"
    assert got.json() == sent | {"card_number": GONE, "pan": GONE, "customer": {"ssn": GONE}}
    assert got.headers["x-aegis-decision"] == "allow"
    record = decision(redacting, got)
    assert (record["door"], record["rewritten"]) == ("ext_proc", True)
    line = envoy.next_line(status=200)
    assert line["processed"]["decision_id"] == ours["x-aegis-decision-id"]
    assert line["decision_id"] is None


def test_what_has_nothing_to_hide_passes_as_it_is(redacting, agent, echo):
    body = b'{"amount":  42}'
    got = agent.call(PAY, body)
    assert (got.status, got.body, echo.seen[-1][3]) == (200, body, body)
    assert "rewritten" not in decision(redacting, got)
    got = agent.call(PAY, iter([body[:4], body[4:]]))
    assert (got.status, got.body, echo.seen[-1][3]) == (200, body, body)
    got = agent.call(LIST, method="GET")
    assert (got.status, got.body) == (200, b"")
    echo.answer = ("application/json", b"[]")
    try:
        assert agent.call(LIST + "?limit=1", method="GET").body == b"[]"
        assert echo.seen[-1][1] == "/list_all?limit=1"
    finally:
        echo.answer = None


DENIED = {
    "condition": (PAY, {"amount": 9000}, {}, 403, "condition_failed"),
    "action": ("/tools/stripe-payments/close", {}, {}, 403, "action_not_allowed"),
    "bad json": (PAY, b"{", {}, 400, "bad_json"),
    "a name twice": (PAY, b'{"amount":1,"amount":9000}', {}, 400, "ambiguous_params"),
    "content type": (PAY, b"<a/>", {"content-type": "application/xml"}, 415, ""),
    "coding": (PAY, b"\x1f\x8b", {"content-encoding": "gzip"}, 415, "content_encoding"),
    "not UTF-8": (PAY, b'{"amount":1,"x":"\xff"}', {}, 400, "bad_json"),
}


@pytest.mark.parametrize("name", DENIED)
def test_denials(envoy, agent, echo, name):
    path, params, headers, status, reason = DENIED[name]
    before = len(echo.seen)
    got = agent.call(path, params, headers=headers)
    assert (got.status, got.reason) == (status, reason or got.reason), got
    assert len(echo.seen) == before


def test_bodies_that_are_too_large(agent, echo):
    before = len(echo.seen)
    try:
        got = agent.call(PAY, b'{"amount":1}' + b" " * (1 << 20))
        assert got.status == 413, got
    except httpx.ProtocolError:
        pass  # answered before all was sent, which this client does not like
    assert len(echo.seen) == before


def test_what_only_envoy_may_say(agent, echo):
    before = len(echo.seen)
    got = agent.call(PAY, {"amount": 1}, headers={"x-envoy-auth-partial-body": "false"})
    assert (got.status, got.reason) == (400, "check_malformed")
    assert len(echo.seen) == before


def test_callers(envoy, redacting, echo):
    before = len(echo.seen)
    for token, status, reason in (
        (None, 401, "token_invalid"),
        ("x.y.z", 401, "token_invalid"),
        (redacting.token("finance-agent", "user:mallory"), 403, "caller_not_permitted"),
        (redacting.idle_token, 403, "agent_suspended"),
    ):
        with Agent(envoy.url, token) as agent:
            got = agent.call(PAY, {"amount": 1})
            assert (got.status, got.reason) == (status, reason), got
    assert len(echo.seen) == before


def test_a_body_that_comes_slowly_is_waited_for(agent, echo):
    """Longer than Envoy waits for an answer of Aegis."""

    def slowly():
        yield b'{"amount": 1,'
        time.sleep(0.9)
        yield b' "card_number": "4111"}'

    got = agent.call(PAY, slowly())
    assert got.status == 200, got
    assert json.loads(echo.seen[-1][3]) == {"amount": 1, "card_number": GONE}


@pytest.mark.parametrize(
    "answer",
    [
        ("text/plain", b"pan: 4111"),
        ("application/json", b'{"pan": "4111"'),
        ("application/json", b'{"pan": "4111", "pan'),
        ("application/octet-stream", b'{"pan": "4111"}'),
    ],
)
def test_answers_that_cannot_be_inspected_do_not_arrive(agent, echo, answer):
    echo.answer = answer
    try:
        got = agent.call(PAY, {"amount": 1})
        assert got.status == 502 and b"4111" not in got.body, got
    except httpx.TransportError:
        pass  # a reset is no answer either
    finally:
        echo.answer = None


def test_large_answers(agent, echo):
    rows = [{"pan": str(number), "n": number} for number in range(20000)]
    echo.answer = ("application/json", json.dumps(rows).encode())
    try:
        got = agent.call(PAY, {"amount": 1})
        assert got.status == 200, got
        assert got.json() == [{"pan": GONE, "n": number} for number in range(20000)]
    finally:
        echo.answer = None


def test_events_are_redacted_one_by_one(agent, feed):
    feed.go_on.clear()
    with agent.client.stream(
        "POST", "/tools/feed/subscribe", json={"card_number": "4111"}, headers=agent.headers
    ) as answer:
        assert answer.status_code == 200
        chunks = answer.iter_bytes()
        first = next(chunks)
        assert json.loads(first.removeprefix(b"data:")) == {"pan": GONE, "n": 1}
        feed.go_on.set()
        rest = b"".join(chunks)
    assert json.loads(rest.removeprefix(b"data:")) == {"customer": {"ssn": GONE}}
    assert json.loads(feed.seen[-1][3]) == {"card_number": GONE}


def test_routes_of_ext_authz_beside_it(redacting, envoy, agent, tools, echo):
    got = agent.call("/tools/search/find", {"card_number": "1"})
    assert got.status == 200
    assert json.loads(tools.search.seen[-1][3]) == {"card_number": "1"}
    assert decision(redacting, got)["door"] == "ext_authz"
    got = agent.call("/tools/unheard-of/x", {})
    assert (got.status, got.reason) == (403, "no_grant")


def test_a_buffered_body_has_its_new_length(tmp_path, moved, token, echo):
    config = deployed("ext-proc", moved)
    named = {f["name"]: f for f in manager(config)["http_filters"]}
    mode = named["envoy.filters.http.ext_proc"]["typed_config"]["processing_mode"]
    mode.update({"request_body_mode": "BUFFERED", "response_body_mode": "BUFFERED"})
    sent = {"amount": 1, "card_number": "4111", "pan": "1"}
    with Envoy(tmp_path, config) as envoy:
        for http2 in (False, True):
            with Agent(envoy.url, token, http2=http2) as agent:
                got = agent.call(PAY, sent)
                assert got.status == 200, got
                _, _, headers, body = echo.seen[-1]
                assert headers["content-length"] == str(len(body))
                assert got.headers["content-length"] == str(len(got.body))
                assert got.json() == sent | {"card_number": GONE, "pan": GONE}
                got = agent.call(PAY, {"amount": 9000})
                assert (got.status, got.reason) == (403, "condition_failed")


def test_an_aegis_that_does_not_answer(envoy, redacting, token, echo):
    before = len(echo.seen)
    with Agent(envoy.url, token) as agent:
        os.kill(redacting.process.pid, signal.SIGSTOP)
        try:
            assert agent.call(PAY, {"amount": 1}).status == 503
        finally:
            os.kill(redacting.process.pid, signal.SIGCONT)
        assert len(echo.seen) == before
        agent.until(200, PAY, {"amount": 1})


def test_an_aegis_that_ends_in_the_middle_of_an_answer(envoy, redacting, token, feed, echo):
    """What was not inspected does not come, and the agent does not take the answer for whole."""
    feed.go_on.clear()
    with Agent(envoy.url, token) as agent:
        with (
            pytest.raises(httpx.TransportError),
            agent.client.stream(
                "POST", "/tools/feed/subscribe", json={}, headers=agent.headers
            ) as answer,
        ):
            chunks = answer.iter_bytes()
            assert b"4111" not in next(chunks)
            redacting.kill()
            timer = threading.Timer(0.2, feed.go_on.set)
            timer.start()
            got = b"".join(chunks)
            raise AssertionError(f"a clean end after {got}")
        before = len(echo.seen)
        assert agent.call(PAY, {"amount": 1}).status == 503
        assert len(echo.seen) == before
        redacting.start()
        redacting.wait_ready_to_decide()
        agent.until(200, PAY, {"amount": 1})
