"""Envoy's authorization service, asked as Envoy does: by gRPC, with code made from its .proto."""

import json
import socket
import subprocess
import threading
import time

import grpc
import pytest
from google.protobuf import json_format
from grpc_health.v1 import health_pb2, health_pb2_grpc
from support.aegis_process import PAYMENTS_POLICY, Aegis, request
from support.envoy_protos import load

auth = load("envoy.service.auth.v3.external_auth_pb2")
auth_grpc = load("envoy.service.auth.v3.external_auth_pb2_grpc")

SERVICE = "envoy.service.auth.v3.Authorization"
OVERWRITE = 2  # HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD
PAY = "/tools/payments/create_payment"
OPTIONS = [("grpc.enable_http_proxy", 0)]


@pytest.fixture
def served(tmp_path):
    """Aegis with the door for Envoys; no tool is registered, since Envoy reaches them itself."""
    with Aegis(tmp_path / "data", "--ext-authz", "127.0.0.1:0") as running:
        running.cli("agent", "register", "finance-agent", "--label", "team=finance")
        running.publish(tmp_path / "policies", finance=PAYMENTS_POLICY)
        running.wait_ready_to_decide()
        yield running


@pytest.fixture
def stub(served):
    with grpc.insecure_channel(served.run["envoy"], options=OPTIONS) as channel:
        yield auth_grpc.AuthorizationStub(channel)


@pytest.fixture
def token(served):
    return served.token("finance-agent")


def check(token, params=None, path=PAY, method="POST", raw_headers=False, **changes):
    """What Envoy sends with with_request_body and pack_as_bytes."""
    message = auth.CheckRequest()
    http = message.attributes.request.http
    http.id, http.method, http.path, http.host = "7", method, path, "tools.example"
    http.scheme, http.protocol, http.size = "https", "HTTP/2", 0
    headers = {":method": method, ":path": path, ":authority": "tools.example", ":scheme": "https"}
    if token:
        headers["authorization"] = "Bearer " + token
    if params is not None:
        body = params if isinstance(params, bytes) else json.dumps(params).encode()
        http.raw_body, http.size = body, len(body)
        headers |= {
            "content-type": "application/json",
            "content-length": str(len(body)),
            "x-envoy-auth-partial-body": "false",
        }
    headers |= changes.pop("headers", {})
    for name, value in headers.items():
        if raw_headers:
            http.header_map.headers.add(key=name, raw_value=value.encode())
        else:
            http.headers[name] = value
    message.attributes.source.principal = changes.pop("principal", "")
    for name, value in changes.pop("extensions", {}).items():
        message.attributes.context_extensions[name] = value
    for name, value in changes.pop("http", {}).items():
        setattr(http, name, value)
    assert not changes, changes
    return message


def headers_of(options) -> dict:
    for option in options:
        assert option.append_action == OVERWRITE and not option.HasField("append"), option
    return {option.header.key.lower(): option.header.value for option in options}


def denial(answer):
    """Status, headers and problem of a denied response."""
    assert answer.WhichOneof("http_response") == "denied_response", answer
    assert answer.status.code != 0
    denied = answer.denied_response
    headers = headers_of(denied.headers)
    assert headers["content-type"] == "application/problem+json"
    problem = json.loads(denied.body)
    assert problem["status"] == denied.status.code
    return denied.status.code, headers, problem


@pytest.mark.parametrize("raw_headers", [False, True])
def test_an_allowed_call_goes_on_and_is_recorded(served, stub, token, raw_headers):
    forged = {"x-aegis-decision": "deny", "x-aegis-agent": "root", "x-original-url": "/other"}
    answer = stub.Check(
        check(
            token,
            {"amount": 42},
            raw_headers=raw_headers,
            headers=forged | {"x-aegis-session": "s-1"},
            principal="spiffe://example/agents",
        )
    )
    assert answer.status.code == 0
    assert answer.WhichOneof("http_response") == "ok_response"
    to_tool = headers_of(answer.ok_response.headers)
    assert to_tool == headers_of(answer.ok_response.response_headers_to_add)
    assert to_tool["x-aegis-decision"] == "allow"
    assert set(answer.ok_response.headers_to_remove) == {
        "authorization", "x-aegis-agent", "x-aegis-session", "x-original-url",
    }  # fmt: skip
    metadata = json_format.MessageToDict(answer.dynamic_metadata)
    assert metadata == {
        "decision_id": to_tool["x-aegis-decision-id"],
        "outcome": "allow",
        "reason": "allowed",
        "policy_version": to_tool["x-aegis-policy-version"],
        "agent": "finance-agent",
        "tool": "payments",
        "action": "create_payment",
    }
    record = served.json("audit", "show", metadata["decision_id"])
    decision = record.get("decision", record)
    assert decision["door"] == "ext_authz"
    assert decision["source"] == "spiffe://example/agents"
    assert decision["session"] == "s-1"


def test_what_is_denied_and_why(served, stub, token):
    status, headers, problem = denial(stub.Check(check(token, {"amount": 9000})))
    assert (status, problem["reason"]) == (403, "condition_failed")
    assert problem["decision_id"] == headers["x-aegis-decision-id"]
    assert served.json("audit", "show", problem["decision_id"])

    status, headers, problem = denial(stub.Check(check(None, {"amount": 1})))
    assert (status, problem["token_error"]) == (401, "token_missing")
    assert headers["www-authenticate"] == 'Bearer realm="aegis"'
    status, _, problem = denial(stub.Check(check("x.y.z", {"amount": 1})))
    assert (status, problem["reason"]) == (401, "token_invalid")

    served.cli("agent", "suspend", "finance-agent")
    deadline = time.monotonic() + 10
    while True:
        answer = stub.Check(check(token, {"amount": 1}))
        if answer.status.code != 0:
            break
        assert time.monotonic() < deadline
    assert denial(answer)[2]["reason"] == "agent_suspended"


CASES = {
    "condition": ({"params": {"amount": 9000}}, 403, "condition_failed"),
    "action": ({"path": "/tools/payments/close"}, 403, "action_not_allowed"),
    "tool": ({"path": "/tools/other/close"}, 403, "no_grant"),
    "no such path": ({"path": "/other"}, 404, "no_such_path"),
    "path": ({"path": "/tools/payments/../x"}, 400, "bad_path"),
    "method": ({"method": "TRACE"}, 405, "method_not_allowed"),
    "json": ({"params": b"{"}, 400, "bad_json"),
    "name twice": ({"params": b'{"amount":1,"amount":2}'}, 400, "ambiguous_params"),
    "name in two cases": ({"params": b'{"amount":1,"Amount":2}'}, 400, "ambiguous_params"),
    "query and body": ({"path": PAY + "?amount=1"}, 400, "ambiguous_params"),
    "cut": ({"headers": {"x-envoy-auth-partial-body": "true"}}, 413, "partial_body"),
    "longer": ({"http": {"size": 99}}, 400, "body_mismatch"),
    "not there": ({"http": {"raw_body": b""}}, 403, "body_missing"),
    "two bodies": ({"http": {"body": "{}"}}, 400, "check_contradictory"),
    "another path": ({"headers": {":path": "/tools/x/y"}}, 400, "check_contradictory"),
    "another method": ({"headers": {":method": "GET"}}, 400, "check_contradictory"),
    "another host": ({"headers": {":authority": "x"}}, 400, "check_contradictory"),
    "a fragment": ({"http": {"fragment": "x"}}, 400, "check_contradictory"),
    "type": ({"headers": {"content-type": "application/xml"}}, 415, "content_type"),
    "coding": ({"headers": {"content-encoding": "gzip"}}, 415, "content_encoding"),
    "control byte": ({"headers": {"x-a": "1\n2"}}, 400, "control_byte"),
    "upper case": ({"headers": {"X-A": "1"}}, 400, "bad_field_name"),
    "too many": ({"headers": {f"x-{i}": "1" for i in range(101)}}, 431, "too_many_fields"),
    "too large": ({"headers": {"x-a": "1" * 40000}}, 431, "head_too_large"),
    "large body": ({"params": b'{"a":"' + b"x" * (1 << 20) + b'"}'}, 413, "body_too_large"),
    "web socket": ({"headers": {"upgrade": "websocket"}}, 403, "upgrade_not_judged"),
    "tenant": ({"extensions": {"aegis.tenant": "other"}}, 403, "wrong_tenant"),
    "misspelt": ({"extensions": {"aegis.tol": "x"}}, 403, "route_misconfigured"),
}


def test_hostile_and_contradictory_requests(stub, token):
    wrong = {}
    for name, (changes, status, reason) in CASES.items():
        message = check(token, **({"params": {"amount": 1}} | changes))
        got = denial(stub.Check(message))
        if (got[0], got[2]["reason"]) != (status, reason):
            wrong[name] = got
    assert not wrong, wrong


def test_tools_named_by_the_route(stub, token):
    def outcome(path, **extensions):
        names = {f"aegis.{name}": value for name, value in extensions.items()}
        answer = stub.Check(check(token, {"amount": 1}, path=path, extensions=names))
        return "ok" if answer.status.code == 0 else denial(answer)[2]["reason"]

    assert outcome("/create_payment", tool="payments", tenant="default") == "ok"
    assert outcome("/api/create_payment", tool="payments", prefix="/api") == "ok"
    assert outcome("/anything", tool="payments", action="list_all") == "ok"
    assert outcome("/create_payment", tool="other") == "no_grant"
    message = check(token, {"amount": 1}, path="/create_payment")
    route = message.attributes.route_metadata_context.filter_metadata["aegis"]
    route.update({"tool": "payments"})
    assert stub.Check(message).status.code == 0
    message.attributes.context_extensions["aegis.tool"] = "other"
    assert denial(stub.Check(message))[2]["reason"] == "route_misconfigured"


def test_bytes_that_are_no_check_request(served):
    with grpc.insecure_channel(served.run["envoy"], options=OPTIONS) as channel:
        raw = channel.unary_unary(
            f"/{SERVICE}/Check",
            request_serializer=lambda data: data,
            response_deserializer=auth.CheckResponse.FromString,
        )
        for data in (
            b"",
            b"\x00",
            b"\x0a\x05x",
            b"\x08\x01",
            b"GET / HTTP/1.1\r\n\r\n",
            b"\xff" * 9,
        ):
            status, _, problem = denial(raw(data))
            assert (status, problem["reason"][:4]) in ((400, "chec"), (400, "not_")), data
        with pytest.raises(grpc.RpcError) as refused:
            raw(b"\x0a" + b"x" * (5 << 20))
        assert refused.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        other = channel.unary_unary(f"/{SERVICE}/Other")
        with pytest.raises(grpc.RpcError) as unknown:
            other(b"")
        assert unknown.value.code() == grpc.StatusCode.UNIMPLEMENTED


def test_shadow_mode_lets_pass_and_says_so(tmp_path):
    with Aegis(tmp_path / "data", "--ext-authz", "127.0.0.1:0", "--shadow") as running:
        running.cli("agent", "register", "finance-agent")
        running.publish(tmp_path / "policies", finance=PAYMENTS_POLICY)
        running.wait_ready_to_decide()
        with grpc.insecure_channel(running.run["envoy"], options=OPTIONS) as channel:
            stub = auth_grpc.AuthorizationStub(channel)
            answer = stub.Check(check(running.token("finance-agent"), {"amount": 9000}))
            assert answer.status.code == 0
            assert headers_of(answer.ok_response.headers)["x-aegis-shadow"] == "deny"
            assert answer.dynamic_metadata["shadow"] == "deny"
            assert stub.Check(check("bad", {"amount": 1})).status.code == 16


def test_health_metrics_and_drain(served, token):
    with grpc.insecure_channel(served.run["envoy"], options=OPTIONS) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        for name in ("", SERVICE):
            answer = health.Check(health_pb2.HealthCheckRequest(service=name))
            assert answer.status == health_pb2.HealthCheckResponse.SERVING
        stub = auth_grpc.AuthorizationStub(channel)
        stub.Check(check(token, {"amount": 1}))
        stub.Check(check(token, {"amount": 9000}))
        stub.Check(check(None, {"amount": 1}))
        stub.Check(check(token, path="/other"))
        text = request(served.admin + "/metrics").body.decode()
        for answer in ("allowed", "denied", "unauthenticated", "refused"):
            assert f'aegis_envoy_checks_total{{answer="{answer}"}} 1' in text, text
        assert json.loads(request(served.admin + "/config").body)["envoy"] == served.run["envoy"]
        # A connection that is kept open does not hold up the end.
        began = time.monotonic()
        assert served.stop() == 0
        assert time.monotonic() - began < 8
    assert "are cut" not in served.logged()


def test_no_policy_is_not_healthy_and_denies(tmp_path):
    with Aegis(tmp_path / "data", "--ext-authz", "127.0.0.1:0") as running:
        running.cli("agent", "register", "finance-agent")
        with grpc.insecure_channel(running.run["envoy"], options=OPTIONS) as channel:
            answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())
            assert answer.status == health_pb2.HealthCheckResponse.NOT_SERVING
            stub = auth_grpc.AuthorizationStub(channel)
            token = running.token("finance-agent")
            deadline = time.monotonic() + 10
            while True:  # until the agent is known
                reason = denial(stub.Check(check(token, {"amount": 1})))[2]["reason"]
                if reason == "no_policy":
                    break
                assert time.monotonic() < deadline, reason


def test_unix_socket_and_tls(tmp_path):
    def openssl(*arguments):
        subprocess.run(["openssl", *arguments], cwd=tmp_path, check=True, capture_output=True)

    ec = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    openssl("req", "-x509", *ec, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=ca")
    for name, san in (("server", "DNS:localhost"), ("client", "URI:spiffe://example/envoy")):
        openssl("req", *ec[:-2], "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", "/CN=x")
        (tmp_path / "san").write_text(f"subjectAltName={san}\n")
        openssl(
            "x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-days", "2",
            "-CAcreateserial", "-extfile", "san", "-out", f"{name}.pem",
        )  # fmt: skip

    def read(name):
        return (tmp_path / name).read_bytes()

    config = tmp_path / "aegis.yaml"
    tls = {
        "certificate": f"{tmp_path}/server.pem",
        "private_key": f"{tmp_path}/server.key",
        "client_ca": f"{tmp_path}/ca.pem",
    }
    config.write_text(json.dumps({"envoy": {"address": "localhost:0", "tls": tls}}))
    with Aegis(tmp_path / "data", "--config", str(config)) as running:
        port = running.run["envoy"].rpartition(":")[2]
        mine = grpc.ssl_channel_credentials(read("ca.pem"), read("client.key"), read("client.pem"))
        with grpc.secure_channel(f"localhost:{port}", mine, options=OPTIONS) as channel:
            answer = auth_grpc.AuthorizationStub(channel).Check(check(None), timeout=10)
            assert denial(answer)[0] == 401
        nobody = grpc.ssl_channel_credentials(read("ca.pem"))
        with (
            grpc.secure_channel(f"localhost:{port}", nobody, options=OPTIONS) as channel,
            pytest.raises(grpc.RpcError),
        ):
            auth_grpc.AuthorizationStub(channel).Check(check(None), timeout=5)

    path = tmp_path / "envoy.sock"
    with Aegis(tmp_path / "data", "--ext-authz", f"unix:{path}") as running:
        assert running.run["envoy"] == f"unix:{path}"
        with grpc.insecure_channel(f"unix:{path}", options=OPTIONS) as channel:
            answer = auth_grpc.AuthorizationStub(channel).Check(check(None), timeout=10)
            assert denial(answer)[0] == 401


def test_kill_under_load_loses_no_record_of_an_allowed_call(tmp_path, served, token):
    """Each call that was let through before kill -9 has its record afterwards."""
    allowed, stop = [], threading.Event()

    def ask(channel):
        stub = auth_grpc.AuthorizationStub(channel)
        while not stop.is_set():
            try:
                answer = stub.Check(check(token, {"amount": 1}), timeout=5)
            except grpc.RpcError:
                return
            if answer.status.code == 0:
                allowed.append(answer.dynamic_metadata["decision_id"])

    channels = [grpc.insecure_channel(served.run["envoy"], options=OPTIONS) for _ in range(4)]
    threads = [threading.Thread(target=ask, args=(channel,)) for channel in channels]
    for thread in threads:
        thread.start()
    while len(allowed) < 200:
        time.sleep(0.01)
    served.kill()
    stop.set()
    for thread in threads:
        thread.join(timeout=20)
    for channel in channels:
        channel.close()
    served.start()
    served.wait_ready_to_decide()
    recorded = set()
    for segment in (served.data / "audit").rglob("*"):
        if segment.is_file():
            recorded |= {i for i in allowed if i.encode() in segment.read_bytes()}
    assert set(allowed) <= recorded


def test_slow_and_broken_connections_do_not_hold_others_up(served, stub, token):
    host, _, port = served.run["envoy"].rpartition(":")
    idle = [socket.create_connection((host, int(port)), timeout=5) for _ in range(50)]
    idle[0].sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    idle[1].sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00" * 9)
    assert stub.Check(check(token, {"amount": 1})).status.code == 0
    for connection in idle:
        connection.close()
