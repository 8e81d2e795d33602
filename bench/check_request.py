"""Calls as Envoy asks about them: serialized envoy.service.auth.v3.CheckRequest messages."""

import json
import pathlib
import uuid

import corpus

PERMISSION_DENIED = 7


def varint(value):
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def field(number, value):
    """One field: an int as a varint, text or bytes with their length, a list as a submessage."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    if isinstance(value, list):
        value = b"".join(value)
    elif isinstance(value, str):
        value = value.encode()
    return varint(number << 3 | 2) + varint(len(value)) + value


def socket_address(address, port):
    return field(1, [field(1, [field(2, address), field(3, port)])])


def body_of(case: corpus.Case):
    """The call's params among others that no condition asks for."""
    return json.dumps(
        case.params
        | {
            "statement_descriptor": "ACME SERVICES",
            "receipt_email": "billing@customer.example.com",
            "capture_method": "automatic",
            "payment_method_types": ["card", "sepa_debit"],
        }
    ).encode()


def headers_of(case: corpus.Case, token, body, request_id):
    return {
        ":authority": "tools.example.com",
        ":method": "POST",
        ":path": f"/tools/{case.tool}/{case.action}",
        ":scheme": "https",
        "accept": "application/json",
        "accept-encoding": "gzip, deflate, br",
        "authorization": f"Bearer {token}",
        "content-length": str(len(body)),
        "content-type": "application/json",
        "traceparent": f"00-{request_id.hex}-{request_id.hex[:16]}-01",
        "user-agent": "aegis-bench/1",
        "x-envoy-auth-partial-body": "false",
        "x-forwarded-for": "10.20.30.40",
        "x-forwarded-proto": "https",
        "x-request-id": str(request_id),
    }


def check_request(case: corpus.Case, token, number):
    request_id = uuid.UUID(int=number * 0x9E3779B97F4A7C15F39CC0605CEDC835 % 2**128)
    body = body_of(case)
    headers = headers_of(case, token, body, request_id)
    http = [
        field(1, str(number * 7919)),
        field(2, headers[":method"]),
        *(field(3, [field(1, name), field(2, value)]) for name, value in headers.items()),
        field(4, headers[":path"]),
        field(5, headers[":authority"]),
        field(6, headers[":scheme"]),
        field(9, len(body)),
        field(10, "HTTP/2"),
        field(12, body),
    ]
    attributes = [
        field(1, [socket_address("10.20.30.40", 40000 + number % 20000)]),
        field(2, [socket_address("10.0.0.7", 8443)]),
        field(4, [field(1, [field(1, 1_790_000_000 + number), field(2, 1000)]), field(2, http)]),
        field(11, []),
        field(13, []),
    ]
    return field(1, attributes)


def write_check_requests(file: pathlib.Path, made, tokens, all_allowed=False):
    """The load generator's request file (bench/loadgen/request_set.h). `all_allowed`: for a server
    that does not look."""
    with file.open("wb") as out:
        for number, case in enumerate(made):
            code, marker = (0, "") if case.allowed else (PERMISSION_DENIED, "condition_failed")
            if all_allowed:
                code, marker = 0, ""
            raw = check_request(case, tokens[case.agent], number)
            out.write(b"@%d %d %s\n" % (code, len(raw), marker.encode()) + raw + b"\n")
    return file
