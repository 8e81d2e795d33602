"""Envoy's authorization service, asked as Envoy does: by gRPC, with code made from its .proto."""

import json
import subprocess
import threading
import time

import grpc
import pytest
from google.protobuf import json_format
from grpc_health.v1 import health_pb2, health_pb2_grpc
from support.aegis_process import PAYMENTS_POLICY, Aegis, request
from support.ext_authz import OPTIONS, SERVICE, auth_grpc, check, denial, headers_of


@pytest.fixture
def token(envoy_aegis):
    return envoy_aegis.token("finance-agent")


@pytest.mark.parametrize("raw_headers", [False, True])
def test_an_allowed_call_goes_on_and_is_recorded(envoy_aegis, stub, token, raw_headers):
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
    record = envoy_aegis.json("audit", "show", metadata["decision_id"])
    decision = record.get("decision", record)
    assert decision["door"] == "ext_authz"
    assert decision["source"] == "spiffe://example/agents"
    assert decision["session"] == "s-1"


def test_what_is_denied_and_why(envoy_aegis, stub, token):
    status, headers, problem = denial(stub.Check(check(token, {"amount": 9000})))
    assert (status, problem["reason"]) == (403, "condition_failed")
    assert problem["decision_id"] == headers["x-aegis-decision-id"]
    assert envoy_aegis.json("audit", "show", problem["decision_id"])

    status, headers, problem = denial(stub.Check(check(None, {"amount": 1})))
    assert (status, problem["token_error"]) == (401, "token_missing")
    assert headers["www-authenticate"] == 'Bearer realm="aegis"'
    status, _, problem = denial(stub.Check(check("x.y.z", {"amount": 1})))
    assert (status, problem["reason"]) == (401, "token_invalid")

    envoy_aegis.cli("agent", "suspend", "finance-agent")
    deadline = time.monotonic() + 10
    while True:
        answer = stub.Check(check(token, {"amount": 1}))
        if answer.status.code != 0:
            break
        assert time.monotonic() < deadline
    assert denial(answer)[2]["reason"] == "agent_suspended"


MAP = """\
name: payments
base_url: http://h
actions:
  - name: create_payment
    method: POST
    path: /v1/payments/{account}
    params: {amount: {type: number}, region: {in: header, name: X-Region}}
"""


def test_the_map_of_the_tool_says_which_action_a_call_is(envoy_aegis, stub, token, tmp_path):
    (tmp_path / "tool.yaml").write_text(MAP)
    envoy_aegis.cli("tool", "apply", "-f", tmp_path / "tool.yaml")
    path = "/tools/payments/v1/payments/7"
    deadline = time.monotonic() + 10
    while (answer := stub.Check(check(token, {"amount": 42}, path))).status.code != 0:
        assert time.monotonic() < deadline, answer
    metadata = json_format.MessageToDict(answer.dynamic_metadata)
    assert metadata["action"] == "create_payment"
    for row, expected in {
        (path, "POST", 9000): (403, "condition_failed"),
        (path, "POST", "42"): (400, "bad_params"),
        (path, "PUT", 42): (404, "unknown_action"),
        (path + "/", "POST", 42): (400, "ambiguous_path"),
        (path.replace("payments/7", "Payments/7"), "POST", 42): (400, "ambiguous_path"),
        (path + "?amount=1", "POST", 42): (400, "ambiguous_params"),
        ("/tools/payments/create_payment", "POST", 42): (404, "unknown_action"),
    }.items():
        path_, method, amount = row
        status, _, problem = denial(stub.Check(check(token, {"amount": amount}, path_, method)))
        assert (status, problem["reason"]) == expected, row
    # Envoy joins the values of fields of one name, unless it encodes raw headers.
    for value, raw, goes_on in (("eu", False, True), ("eu,us", True, True), ("e!", True, True),
                                ("eu,us", False, False), ("e!", False, False)):  # fmt: skip
        asked = check(token, {"amount": 42}, path, raw_headers=raw, headers={"x-region": value})
        answer = stub.Check(asked)
        assert (answer.status.code == 0) == goes_on, (value, raw, answer)
        if not goes_on:
            status, _, problem = denial(answer)
            assert (status, problem["reason"]) == (400, "ambiguous_params")


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


def test_health_metrics_and_drain(envoy_aegis, token):
    with grpc.insecure_channel(envoy_aegis.run["envoy"], options=OPTIONS) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        for name in ("", SERVICE):
            answer = health.Check(health_pb2.HealthCheckRequest(service=name))
            assert answer.status == health_pb2.HealthCheckResponse.SERVING
        stub = auth_grpc.AuthorizationStub(channel)
        stub.Check(check(token, {"amount": 1}))
        stub.Check(check(token, {"amount": 9000}))
        stub.Check(check(None, {"amount": 1}))
        stub.Check(check(token, path="/other"))
        text = request(envoy_aegis.admin + "/metrics").body.decode()
        for answer in ("allowed", "denied", "unauthenticated", "refused"):
            assert f'aegis_envoy_checks_total{{answer="{answer}"}} 1' in text, text
        assert (
            json.loads(request(envoy_aegis.admin + "/config").body)["envoy"]
            == envoy_aegis.run["envoy"]
        )
        # A connection that is kept open does not hold up the end.
        began = time.monotonic()
        assert envoy_aegis.stop() == 0
        assert time.monotonic() - began < 8
    assert "are cut" not in envoy_aegis.logged()


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


def test_kill_under_load_loses_no_record_of_an_allowed_call(tmp_path, envoy_aegis, token):
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

    channels = [grpc.insecure_channel(envoy_aegis.run["envoy"], options=OPTIONS) for _ in range(4)]
    threads = [threading.Thread(target=ask, args=(channel,)) for channel in channels]
    for thread in threads:
        thread.start()
    while len(allowed) < 200:
        time.sleep(0.01)
    envoy_aegis.kill()
    stop.set()
    for thread in threads:
        thread.join(timeout=20)
    for channel in channels:
        channel.close()
    envoy_aegis.start()
    envoy_aegis.wait_ready_to_decide()
    recorded = set()
    for segment in (envoy_aegis.data / "audit").rglob("*"):
        if segment.is_file():
            recorded |= {i for i in allowed if i.encode() in segment.read_bytes()}
    assert set(allowed) <= recorded


def test_other_machines_ask_in_clear_only_when_the_operator_says_so(tmp_path):
    running = Aegis(tmp_path / "data", "--ext-authz", "0.0.0.0:0").start(wait=False)
    assert running.process.wait(timeout=20) != 0
    assert "--ext-authz-plaintext" in running.logged() and "envoy.tls" in running.logged()
    config = tmp_path / "aegis.yaml"
    config.write_text("envoy: {address: '0.0.0.0:0', allow_plaintext: true}\n")
    for flags in (
        ("--ext-authz", "0.0.0.0:0", "--ext-authz-plaintext"),
        ("--config", str(config)),
    ):
        with Aegis(tmp_path / "data", *flags) as running:
            address = "127.0.0.1:" + running.run["envoy"].rpartition(":")[2]
            with grpc.insecure_channel(address, options=OPTIONS) as channel:
                answer = auth_grpc.AuthorizationStub(channel).Check(check(None), timeout=10)
                assert denial(answer)[0] == 401


def test_bodies_are_as_large_as_the_operator_says(tmp_path):
    config = tmp_path / "aegis.yaml"
    config.write_text("envoy: {address: '127.0.0.1:0', max_request_bytes: 12}\n")
    with Aegis(tmp_path / "data", "--config", str(config)) as running:
        running.cli("agent", "register", "finance-agent")
        running.publish(tmp_path / "policies", finance=PAYMENTS_POLICY)
        running.wait_ready_to_decide()
        token = running.token("finance-agent")
        with grpc.insecure_channel(running.run["envoy"], options=OPTIONS) as channel:
            stub = auth_grpc.AuthorizationStub(channel)
            for body, drop, reason in (
                (b'{"amount":1}', (), None),
                (b'{"amount":1}', ("content-length",), "partial_body"),
                (b'{"amount":1} ', (), "body_too_large"),
            ):
                answer = stub.Check(check(token, body, drop=drop), timeout=10)
                assert (
                    answer.status.code == 0
                    if reason is None
                    else denial(answer)[2]["reason"] == reason
                )
