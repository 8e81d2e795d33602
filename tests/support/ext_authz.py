"""Envoy's authorization service as Envoy asks it: requests, and what answers say."""

import json

from support.envoy_protos import load

auth = load("envoy.service.auth.v3.external_auth_pb2")
auth_grpc = load("envoy.service.auth.v3.external_auth_pb2_grpc")

SERVICE = "envoy.service.auth.v3.Authorization"
OVERWRITE = 2  # HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD
PAY = "/tools/payments/create_payment"
OPTIONS = [("grpc.enable_http_proxy", 0)]


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
    for name in changes.pop("drop", ()):
        del headers[name]
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
