"""Hostile and contradictory authorization requests at the door for Envoys: none is allowed."""

import socket

import grpc
import pytest
from support.ext_authz import OPTIONS, PAY, SERVICE, auth, check, denial


@pytest.fixture
def token(envoy_aegis):
    return envoy_aegis.token("finance-agent")


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
    "no word of the whole": (
        {"drop": ("content-length", "x-envoy-auth-partial-body")},
        413,
        "partial_body",
    ),
    "a client's word of the whole": (
        {"headers": {"x-other-auth-partial-body": "false"}, "drop": ("content-length",)},
        413,
        "partial_body",
    ),
    "as much as Envoy holds": (
        {"params": b'{"amount":1}' + b" " * ((1 << 20) - 12), "drop": ("content-length",)},
        413,
        "partial_body",
    ),
    "a client's word of no body": (
        {"http": {"raw_body": b"", "size": 0}, "drop": ("content-length",)},
        403,
        "body_missing",
    ),
    "no type": (
        {"params": b'{"amount":1}&amount=9000', "drop": ("content-type",)},
        415,
        "content_type",
    ),
    "two types": (
        {"headers": {"content-type": "image/png,application/x-www-form-urlencoded"}},
        415,
        "content_type",
    ),
    "a replaced mark": (
        {
            "params": b"",
            "headers": {"content-type": "text/plain"},
            "http": {"body": '!!{"a":1}', "size": 9},
            "drop": ("content-length",),
        },
        400,
        "ambiguous_text",
    ),
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


def test_bytes_that_are_no_check_request(envoy_aegis):
    with grpc.insecure_channel(envoy_aegis.run["envoy"], options=OPTIONS) as channel:
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


def test_slow_and_broken_connections_do_not_hold_others_up(envoy_aegis, stub, token):
    host, _, port = envoy_aegis.run["envoy"].rpartition(":")
    idle = [socket.create_connection((host, int(port)), timeout=5) for _ in range(50)]
    idle[0].sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    idle[1].sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00" * 9)
    assert stub.Check(check(token, {"amount": 1})).status.code == 0
    for connection in idle:
        connection.close()
