"""Hostile questions at the door for agentgateways: none is allowed."""

import pytest
from support.ext_mcp import Client, error, messages

INVALID, DENIED = 3, 1
CASES = {
    "two names": b'{"name":"list_x","name":"close","arguments":{}}',
    "two arguments": b'{"name":"create_payment","arguments":{"amount":1},"arguments":{}}',
    "a name twice": b'{"name":"create_payment","arguments":{"amount":1,"amount":2}}',
    "a name in two cases": b'{"name":"create_payment","arguments":{"amount":1,"Amount":9000}}',
    "more behind": b'{"name":"create_payment","arguments":{"amount":1}}{}',
    "no object": b"[]",
    "nothing": b"",
    "arguments are a list": b'{"name":"create_payment","arguments":[1]}',
    "arguments are a text": b'{"name":"create_payment","arguments":"{}"}',
    "no name": b'{"arguments":{"amount":1}}',
    "name is a list": b'{"name":["create_payment"],"arguments":{"amount":1}}',
    "long name": b'{"name":"' + b"x" * 300 + b'","arguments":{}}',
    "deep": b'{"name":"create_payment","arguments":{"amount":' + b"[" * 5000,
    "not utf-8": b'{"name":"create_payment","arguments":{"amount":1,"a":"\xff"}}',
    "large": b'{"name":"create_payment","arguments":{"amount":1,"a":"' + b"x" * (1 << 20) + b'"}}',
}


def test_params_that_are_read_in_two_ways(envoy_aegis):
    token = envoy_aegis.token("finance-agent")
    with Client(envoy_aegis.run["envoy"]) as client:
        good = {"name": "create_payment", "arguments": {"amount": 1}}
        assert client.request("tools/call", good, token).WhichOneof("result") == "pass"
        for name, params in CASES.items():
            assert error(client.request("tools/call", params, token))[0] == INVALID, name


def test_services_headers_and_methods(envoy_aegis):
    token = envoy_aegis.token("finance-agent")
    good = {"name": "create_payment", "arguments": {"amount": 1}}
    with Client(envoy_aegis.run["envoy"]) as client:

        def refused(**changes):
            return error(client.request(**({"method": "tools/call", "params": good} | changes)))

        assert refused(token=token, services=[]) == (INVALID, "bad_target")
        assert refused(token=token, services=["payments", "x"]) == (INVALID, "bad_target")
        assert refused(token=token, services=[""]) == (INVALID, "bad_target")
        assert refused(token=token, services=["x" * 300]) == (INVALID, "bad_target")
        assert refused(token=token, method="") == (INVALID, "check_malformed")
        # Not tools/call, whatever a lenient server may think.
        for method in ("tools/call ", "Tools/Call", "tools/call\0", "tools//call", "x/list/y"):
            assert refused(token=token, method=method)[0] == DENIED, method
        assert refused(token=token, headers=[("a", "1\n2")])[0] == INVALID
        assert refused(token=token, headers=[("Authorization", "x")])[0] == INVALID
        assert refused(token=token, headers=[(f"x-{i}", "1") for i in range(200)])[0] == INVALID
        for method in ("tools/list", "initialize", "notifications/x", "ping"):
            assert refused(method=method)[0] == DENIED


@pytest.mark.parametrize("name", ["CheckRequest", "CheckResponse"])
def test_bytes_that_are_no_message(envoy_aegis, name):
    request = messages.McpRequest(method="ping").SerializeToString()
    with Client(envoy_aegis.run["envoy"]) as client:
        for data in (b"\x00", b"\x0a\x05x", b"\x10\x01", b"\xff" * 9, request * 2, b"GET / HTTP"):
            assert error(client.raw(name, data)) == (INVALID, "check_malformed"), data
