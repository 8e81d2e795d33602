"""Spans of calls, as a collector gets them: read by OpenTelemetry's own classes."""

import contextlib
import re
import socket
import time

import pytest
from support.aegis_process import PAYMENTS_POLICY, Aegis, request
from support.certificates import authority, signed
from support.collector import Collector, attributes

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = "00f067aa0ba902b7"
SECRET = "sesame-7c1d"
SERVER, CLIENT = 2, 3  # Span.SpanKind


@contextlib.contextmanager
def traced(tmp_path, tool, endpoint, *flags, more=""):
    config = tmp_path / "aegis.yaml"
    config.write_text(
        f"telemetry:\n  otlp:\n    endpoint: {endpoint}\n    batch_delay_ms: 20\n{more}"
    )
    with Aegis(tmp_path / "data", "--config", config, *flags) as running:
        running.cli("agent", "register", "finance-agent")
        running.cli("tool", "add", "payments", "--url", tool.url)
        running.publish(tmp_path / "policies", finance=PAYMENTS_POLICY)
        running.wait_ready_to_decide()
        yield running


@pytest.fixture
def collector():
    with Collector() as running:
        yield running


def metric(aegis, name: str) -> int:
    text = request(aegis.admin + "/metrics").body.decode()
    return sum(int(line.split()[-1]) for line in text.splitlines() if line.startswith(name))


def test_a_call_is_one_server_span_and_the_tools_parent_is_its_child(tmp_path, tool, collector):
    with traced(tmp_path, tool, collector.url) as aegis:
        answer = aegis.call(
            aegis.token("finance-agent"), "payments", "create_payment", {"amount": 42},
            {"traceparent": f"00-{TRACE}-{PARENT}-01"},
        )  # fmt: skip
        assert answer.status == 200
        spans = {span.kind: span for span in collector.wait(2)}
    server, client = spans[SERVER], spans[CLIENT]
    assert server.trace_id.hex() == client.trace_id.hex() == TRACE
    assert server.parent_span_id.hex() == PARENT
    assert client.parent_span_id == server.span_id
    # What the tool was told is the span that was exported.
    headers = {name.lower(): value for name, value in tool.seen[-1][2].items()}
    assert headers["traceparent"] == f"00-{TRACE}-{client.span_id.hex()}-01"
    assert server.start_time_unix_nano <= client.start_time_unix_nano
    assert client.end_time_unix_nano <= server.end_time_unix_nano
    assert abs(server.end_time_unix_nano / 1e9 - time.time()) < 60
    assert (server.flags, client.flags) == (0x301, 0x101)

    found = attributes(server)
    assert re.fullmatch("[0-9a-f-]{36}", found["aegis.decision_id"])
    assert found["aegis.decision_id"] == answer.headers["X-Aegis-Decision-Id"]
    assert found["aegis.policy_version"] == answer.headers["X-Aegis-Policy-Version"]
    assert {
        name: found[name] for name in found if not re.search("_id$|version|org|rule", name)
    } == {
        "aegis.outcome": "allow",
        "aegis.reason": "allowed",
        "aegis.mode": "enforce",
        "aegis.door": "http",
        "aegis.tenant": "default",
        "aegis.agent": "finance-agent",
        "aegis.tool": "payments",
        "aegis.action": "create_payment",
        "http.request.method": "POST",
        "http.route": "/tools/{tool}/{action}",
        "http.response.status_code": 200,
    }
    assert server.name == "POST /tools/payments/create_payment"
    found = attributes(client)
    assert found["server.address"] == "127.0.0.1"
    assert found["server.port"] == int(tool.url.rsplit(":", 1)[1])
    assert client.status.code == 0

    resource = attributes(collector.messages[0].resource_spans[0].resource)
    assert resource["service.name"] == "aegis"
    assert resource["service.instance.id"] and resource["service.version"]


def test_a_refusal_is_a_span_and_no_error(tmp_path, tool, collector):
    with traced(tmp_path, tool, collector.url) as aegis:
        token = aegis.token("finance-agent")
        aegis.call(token, "payments", "create_payment", {"amount": 9999})
        aegis.call(None, "payments", "create_payment", {"amount": 1})
        denied, unknown = sorted(collector.wait(2), key=lambda span: len(span.attributes))[::-1]
    found = attributes(denied)
    assert (found["aegis.outcome"], found["aegis.reason"]) == ("deny", "condition_failed")
    assert found["http.response.status_code"] == 403
    assert denied.name == "POST /tools/{tool}/{action}"
    assert not denied.parent_span_id
    assert attributes(unknown) == {
        "http.request.method": "POST",
        "http.route": "/tools/{tool}/{action}",
        "http.response.status_code": 401,
        "error.type": "token_missing",
    }
    assert denied.status.code == unknown.status.code == 0


def test_a_tool_that_is_away_is_an_error(tmp_path, tool, collector):
    with traced(tmp_path, tool, collector.url) as aegis:
        with socket.socket() as gone:
            gone.bind(("127.0.0.1", 0))
            aegis.cli("tool", "add", "away", "--url", f"http://127.0.0.1:{gone.getsockname()[1]}")
            aegis.publish(
                tmp_path / "policies",
                finance="agent: finance-agent\nallowed_tools: [{name: away, actions: [list]}]\n",
            )
            deadline = time.monotonic() + 10
            token = aegis.token("finance-agent")
            while aegis.call(token, "away", "list").status != 502:
                assert time.monotonic() < deadline
                time.sleep(0.05)
        deadline = time.monotonic() + 10
        while not any(span.kind == CLIENT for span in collector.spans()):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        client = next(span for span in collector.spans() if span.kind == CLIENT)
        server = next(s for s in collector.wait(2) if s.span_id == client.parent_span_id)
    assert client.status.code == server.status.code == 2
    assert attributes(client)["error.type"] == attributes(server)["error.type"]
    assert attributes(server)["http.response.status_code"] == 502


def test_every_door_has_its_span(tmp_path, tool, collector):
    with traced(tmp_path, tool, collector.url) as aegis:
        headers = {"Authorization": "Bearer " + aegis.token("finance-agent")}
        asked = {"tool": "payments", "action": "list_all", "params": {}}
        answer = request(aegis.gateway + "/v1/decisions", "POST", asked, headers)
        result = f"{aegis.gateway}/v1/decisions/{answer.json()['decision_id']}/result"
        assert request(result, "POST", {"status": "ok"}, headers).status == 200
        asked = {"input": {"tool": "payments", "action": "list_all", "params": {}}}
        request(aegis.gateway + "/v1/data/aegis/decision", "POST", asked, headers)
        assert request(aegis.gateway + "/nothing", "GET").status == 404
        names = {span.name: attributes(span) for span in collector.wait(4)}
    assert set(names) == {
        "POST /v1/decisions",
        "POST /v1/decisions/{id}/result",
        "POST /v1/data/{path}",
        "GET",
    }
    assert names["POST /v1/decisions"]["aegis.door"] == "sdk"


def test_nothing_secret_or_personal_is_in_a_span(tmp_path, tool, collector):
    with traced(tmp_path, tool, collector.url) as aegis:
        token = aegis.token("finance-agent")
        for parameters in ({"amount": 42, "note": SECRET}, {"amount": 9999, "note": SECRET}):
            request(
                f"{aegis.gateway}/tools/payments/create_payment?q={SECRET}", "POST", parameters,
                {"Authorization": "Bearer " + token, "X-Secret": SECRET, "Cookie": SECRET},
            )  # fmt: skip
        request(f"{aegis.gateway}/tools/payments/create_payment/{SECRET}", "POST", {},
                {"Authorization": "Bearer " + token})  # fmt: skip
        request(f"{aegis.gateway}/{SECRET}", SECRET[:6].upper())
        collector.wait(4)
    sent = b"".join(message.SerializeToString() for message in collector.messages)
    assert SECRET.encode() not in sent
    assert SECRET[:6].upper().encode() not in sent
    assert token.encode() not in sent


@pytest.mark.parametrize(
    ("sampling", "header", "kept"),
    [
        ("parentbased_always_on", None, True),
        ("parentbased_always_on", "00", False),
        ("parentbased_always_off", None, False),
        ("parentbased_always_off", "01", True),
        ("always_on", "00", True),
        ("always_off", "01", False),
        ("traceidratio\n    ratio: 1.0", "00", True),
        ("parentbased_traceidratio\n    ratio: 0", None, False),
    ],
)
def test_samplers(tmp_path, tool, collector, sampling, header, kept):
    more = f"  sampling:\n    sampler: {sampling}\n"
    with traced(tmp_path, tool, collector.url, more=more) as aegis:
        headers = {"traceparent": f"00-{TRACE}-{PARENT}-{header}"} if header else {}
        token = aegis.token("finance-agent")
        assert aegis.call(token, "payments", "list_all", {}, headers).status == 200
        told = {name.lower(): value for name, value in tool.seen[-1][2].items()}["traceparent"]
        assert told.endswith("-01" if kept else "-00")
        aegis.stop()  # sends what is left
    assert len(collector.spans()) == (2 if kept else 0)


def test_https_with_headers_by_reference_and_gzip(tmp_path, tool):
    authority(tmp_path, "ca")
    signed(tmp_path, "ca", "collector", "IP:127.0.0.1")
    (tmp_path / "key").write_text(SECRET + "\n")
    tls = (str(tmp_path / "collector.pem"), str(tmp_path / "collector.key"))
    more = (
        f"    headers: {{x-api-key: 'file:{tmp_path}/key'}}\n"
        f"    tls: {{ca_cert: {tmp_path}/ca.pem}}\n    compression: gzip\n"
        "  service_name: edge\n  resource: {deployment.environment.name: test}\n"
    )
    with Collector(tls) as collector, traced(tmp_path, tool, collector.url, more=more) as aegis:
        aegis.call(aegis.token("finance-agent"), "payments", "list_all")
        collector.wait(2)
        assert collector.requests[0]["x-api-key"] == SECRET
        resource = attributes(collector.messages[0].resource_spans[0].resource)
        assert resource["service.name"] == "edge"
        assert resource["deployment.environment.name"] == "test"
        assert SECRET not in aegis.logged()


def test_a_collector_with_another_certificate_gets_nothing(tmp_path, tool):
    authority(tmp_path, "ca")
    authority(tmp_path, "other")
    signed(tmp_path, "other", "collector", "IP:127.0.0.1")
    tls = (str(tmp_path / "collector.pem"), str(tmp_path / "collector.key"))
    more = f"    tls: {{ca_cert: {tmp_path}/ca.pem}}\n"
    with Collector(tls) as collector, traced(tmp_path, tool, collector.url, more=more) as aegis:
        aegis.call(aegis.token("finance-agent"), "payments", "list_all")
        deadline = time.monotonic() + 10
        while metric(aegis, "aegis_span_export_failures_total") == 0:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert collector.requests == []


def test_a_collector_that_is_down_costs_calls_nothing(tmp_path, tool):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    more = "    queue_spans: 64\n"
    with traced(tmp_path, tool, f"http://127.0.0.1:{port}", "--workers", "1", more=more) as aegis:
        token = aegis.token("finance-agent")
        for _ in range(100):
            assert aegis.call(token, "payments", "list_all").status == 200
        assert metric(aegis, 'aegis_spans_dropped_total{cause="queue_full"}') > 0
        dropped = metric(aegis, "aegis_spans_dropped_total")
        # It comes back, and gets what was kept: no more than a queue and a batch.
        with Collector(port=port) as collector:
            collector.wait(200 - dropped, seconds=60)
            assert aegis.call(token, "payments", "list_all").status == 200
            deadline = time.monotonic() + 30
            while metric(aegis, "aegis_spans_exported_total") < 202 - dropped:
                assert time.monotonic() < deadline
                time.sleep(0.05)
            ids = [span.span_id for span in collector.spans()]
            assert len(ids) == len(set(ids))
        assert "spans cannot be exported" in aegis.logged()


def test_retry_after_is_kept_and_the_batch_sent_once_more(tmp_path, tool, collector):
    collector.answers = [(503, {"Retry-After": "2"})]
    with traced(tmp_path, tool, collector.url) as aegis:
        aegis.call(aegis.token("finance-agent"), "payments", "list_all")
        collector.wait(2)
    assert collector.arrived[1] - collector.arrived[0] >= 1.9
    assert len(collector.spans()) == 2


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("telemetry: {otlp: {endpoint: 'grpc://x:4317'}}", "must begin with http"),
        ("telemetry: {otlp: {endpoint: 'http://u:p@x:1'}}", "must not hold credentials"),
        ("telemetry: {otlp: {}}", "endpoint"),
        ("telemetry: {service_name: x}", "needs 'otlp'"),
        ("telemetry: {otlp: {endpoint: 'http://x:1', headers: {k: sesame-7c1d}}}", "a reference"),
        ("telemetry: {otlp: {endpoint: 'http://x:1', headers: {'a b': 'env:K'}}}", "of a header"),
        ("telemetry: {otlp: {endpoint: 'http://x:1', queue_spans: 1}}", "from 64 to 65536"),
        ("telemetry: {otlp: {endpoint: 'http://x:1', compression: zstd}}", "gzip"),
        ("telemetry: {otlp: {endpoint: 'http://x:1'}, sampling: {sampler: always}}", "always_on"),
        ("telemetry: {otlp: {endpoint: 'http://x:1'}, sampling: {sampler: traceidratio}}", "ratio"),
        ("telemetry: {otlp: {endpoint: 'http://x:1'}, sampling: {sampler: always_on, ratio: 1}}",
         "'ratio' is for"),
        ("telemetry: {otlp: {endpoint: 'http://x:1'}, sampling: {sampler: traceidratio, ratio: 2}}",
         "from 0 to 1"),
        ("telemetry: {otlp: {endpoint: 'http://x:1', protocol: grpc}}", "protocol"),
    ],
)  # fmt: skip
def test_mistakes_in_the_configuration(tmp_path, text, said):
    from support.aegis_process import cli

    config = tmp_path / "aegis.yaml"
    config.write_text(text + "\n")
    done = cli("config", "check", config, check=False)
    assert done.returncode == 1, done.stdout
    assert said in done.stderr + done.stdout
    assert SECRET not in done.stderr + done.stdout


def test_a_call_that_an_envoy_asks_about_has_its_span(tmp_path, tool, collector):
    import grpc
    from support.ext_authz import OPTIONS, SERVICE, auth_grpc, check

    with (
        traced(tmp_path, tool, collector.url, "--ext-authz", "127.0.0.1:0") as aegis,
        grpc.insecure_channel(aegis.run["envoy"], options=OPTIONS) as channel,
    ):
        stub = auth_grpc.AuthorizationStub(channel)
        token = aegis.token("finance-agent")
        parent = {"traceparent": f"00-{TRACE}-{PARENT}-01"}
        assert stub.Check(check(token, {"amount": 42}, headers=parent)).status.code == 0
        assert stub.Check(check(token, {"amount": 9000})).status.code != 0
        assert stub.Check(check(None, {"amount": 42})).status.code != 0
        spans = collector.wait(3)
    assert {span.name for span in spans} == {SERVICE + "/Check"}
    allowed, denied, unknown = (attributes(span) for span in spans)
    assert (spans[0].trace_id.hex(), spans[0].parent_span_id.hex()) == (TRACE, PARENT)
    assert (allowed["rpc.system"], allowed["rpc.method"]) == ("grpc", "Check")
    assert (allowed["aegis.door"], allowed["aegis.outcome"]) == ("ext_authz", "allow")
    assert denied["aegis.reason"] == "condition_failed"
    assert "aegis.outcome" not in unknown


def test_egress_connections_have_spans(tmp_path, tool, collector):
    from support import egress

    with traced(tmp_path, tool, collector.url, "--egress", "127.0.0.1:0") as aegis:
        policy = PAYMENTS_POLICY + "egress: {allow: ['127.0.0.1:*']}\n"
        aegis.publish(tmp_path / "policies", finance=policy)
        token = aegis.token("finance-agent")

        def get(port: int) -> int:
            message = (
                f"GET http://127.0.0.1:{port}/x HTTP/1.1\r\nHost: x\r\n"
                f"Proxy-Authorization: Bearer {token}\r\n"
                f"traceparent: 00-{TRACE}-{PARENT}-01\r\n\r\n"
            )
            with egress.sent(aegis.run["egress"], message.encode()) as connection:
                return egress.read_head(connection)[0]

        # The gateway's own port is refused; the other one is a host like any.
        own = int(aegis.gateway.rsplit(":", 1)[1])
        with egress.Host() as host:
            while get(host.port) != 200:
                time.sleep(0.02)
            assert get(own) == 403
            ended = time.monotonic() + 10
            found = {}
            while len(found) < 2 and time.monotonic() < ended:
                spans = [attributes(span) for span in collector.wait(1)]
                found = {
                    span["http.response.status_code"]: span
                    for span in spans
                    if span.get("aegis.door") == "egress"
                    and span["aegis.outcome"] in ("allow", "deny")
                }
                time.sleep(0.02)
    assert found[200]["aegis.tool"] == "127.0.0.1"
    assert found[200]["aegis.action"] == "http_get"
    assert found[403]["aegis.reason"] == "egress_not_allowed"
