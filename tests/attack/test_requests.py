"""Hostile bytes at the proxy door: the tool gets what policy judged, or it gets nothing."""

import json
import socket
import urllib.parse

import pytest


def raw(aegis, data: bytes, seconds: float = 5) -> bytes:
    """Everything the gateway answers to `data` until it closes or falls silent."""
    parts = urllib.parse.urlsplit(aegis.gateway)
    with socket.create_connection((parts.hostname, parts.port), timeout=seconds) as connection:
        connection.sendall(data)
        connection.settimeout(0.5)
        answer = b""
        try:
            while chunk := connection.recv(65536):
                answer += chunk
        except (TimeoutError, ConnectionResetError):
            pass
        return answer


def post(
    token: str, head: str = "", body: bytes = b"", path="/tools/payments/create_payment", line=None
) -> bytes:
    line = line or f"POST {path} HTTP/1.1"
    return (f"{line}\r\nHost: a\r\nAuthorization: Bearer {token}\r\n" + head + "\r\n").encode(
        "latin-1"
    ) + body


GOOD = b'{"amount":1}'
JSON = "Content-Type: application/json\r\n"
LENGTH = f"Content-Length: {len(GOOD)}\r\n"
SMUGGLED = b"POST /tools/payments/close_account HTTP/1.1\r\nHost: a\r\n\r\n"

CASES = {
    "length and chunked": (JSON + LENGTH + "Transfer-Encoding: chunked\r\n", GOOD),
    "two lengths": (JSON + LENGTH + "Content-Length: 3\r\n", GOOD),
    "two equal lengths": (JSON + LENGTH + LENGTH, GOOD),
    "a list of lengths": (JSON + f"Content-Length: {len(GOOD)}, {len(GOOD)}\r\n", GOOD),
    "negative length": (JSON + "Content-Length: -1\r\n", GOOD),
    "signed length": (JSON + f"Content-Length: +{len(GOOD)}\r\n", GOOD),
    "hexadecimal length": (JSON + "Content-Length: 0xc\r\n", GOOD),
    "length overflow": (JSON + "Content-Length: 18446744073709551617\r\n", GOOD),
    "space before the colon": (JSON + f"Content-Length : {len(GOOD)}\r\n", GOOD),
    "folded header": (JSON + LENGTH + "X-A: 1\r\n  2\r\n", GOOD),
    "bare line feed": (JSON.replace("\r\n", "\n") + LENGTH, GOOD),
    "bare carriage return": (JSON + LENGTH + "X-A: 1\rX-B: 2\r\n", GOOD),
    "nul in a value": (JSON + LENGTH + "X-A: 1\x002\r\n", GOOD),
    "nul in a name": (JSON + LENGTH + "X\x00A: 1\r\n", GOOD),
    "empty name": (JSON + LENGTH + ": 1\r\n", GOOD),
    "two hosts": (JSON + LENGTH + "Host: b\r\n", GOOD),
    "chunked twice": (
        JSON + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        b"c\r\n" + GOOD + b"\r\n0\r\n\r\n",
    ),
    "chunked not last": (
        JSON + "Transfer-Encoding: chunked, identity\r\n",
        b"c\r\n" + GOOD + b"\r\n0\r\n\r\n",
    ),
    "chunked misspelt": (
        JSON + "Transfer-Encoding: xchunked\r\n",
        b"c\r\n" + GOOD + b"\r\n0\r\n\r\n",
    ),
    "chunk size too large": (JSON + "Transfer-Encoding: chunked\r\n", b"fffffffffffffffff\r\n"),
    "chunk size with sign": (
        JSON + "Transfer-Encoding: chunked\r\n",
        b"+c\r\n" + GOOD + b"\r\n0\r\n\r\n",
    ),
    "chunk without its end": (
        JSON + "Transfer-Encoding: chunked\r\n",
        b"c\r\n" + GOOD + b"XX0\r\n\r\n",
    ),
    "chunk with bare line feeds": (
        JSON + "Transfer-Encoding: chunked\r\n",
        b"c\n" + GOOD + b"\n0\n\n",
    ),
    "body is no JSON": (JSON + "Content-Length: 3\r\n", b"abc"),
    "body with a key twice": (JSON + "Content-Length: 25\r\n", b'{"amount":1,"amount":9e9}'),
    "body with a key twice, escaped": (
        JSON + "Content-Length: 30\r\n",
        b'{"amount":1,"amoun\\u0074":9e9}',
    ),
    "body with two documents": (JSON + "Content-Length: 14\r\n", b'{"amount":1}{}'),
    "body is an array": (JSON + "Content-Length: 2\r\n", b"[]"),
    "body is not UTF-8": (JSON + "Content-Length: 11\r\n", b'{"a":"\xff\xfe"}'),
    "body too deep": (JSON + "Content-Length: 20000\r\n", b"[" * 20000),
    "body with NaN": (JSON + "Content-Length: 14\r\n", b'{"amount":NaN}'),
}


@pytest.fixture
def token(aegis):
    return aegis.token("finance-agent")


def test_ambiguous_messages_never_reach_the_tool(aegis, tool, token):
    wrong = {}
    for name, (head, body) in CASES.items():
        answer = raw(aegis, post(token, head, body + SMUGGLED))
        status = answer.split(b" ", 2)[1] if answer.startswith(b"HTTP/1.1 ") else answer[:80]
        if status not in (b"400", b"413", b"431", b"501") or answer.count(b"HTTP/1.1 ") != 1:
            wrong[name] = answer[:200]
    assert not wrong, wrong
    assert not tool.seen


@pytest.mark.parametrize(
    "path",
    [
        "/tools/payments/../payments/close_account",
        "/tools/payments/./create_payment",
        "/tools/payments/create_payment/..%2fclose_account",
        "/tools/payments/create_payment/%2e%2e/close_account",
        "/tools/payments/create_payment/%2E./close_account",
        "/tools/payments/create_payment%2f..%2fclose_account",
        "/tools/payments/create_payment%00",
        "/tools/payments/create_payment/..\\close_account",
        "/tools/payments/create_payment/%5c..%5cclose_account",
        "/tools//create_payment",
        "/tools/payments//close_account",
        "/tools/payments/create%5fpayment/%ZZ",
        "/tools/pay%6dents/close_account",
        "//tools/payments/create_payment",
        "/tools/payments/create_payment#close_account",
        "/tools/payments/create_payment\tx",
        "http://127.0.0.1:1/tools/payments/create_payment/%2e%2e/x",
    ],
)
def test_paths_that_could_mean_another_action(aegis, tool, token, path):
    answer = raw(aegis, post(token, JSON + LENGTH, GOOD, path=path))
    assert answer[9:12] in (b"400", b"403", b"404"), answer[:200]
    assert not tool.seen


@pytest.mark.parametrize(
    "line",
    [
        "POST  /tools/payments/create_payment HTTP/1.1",
        "POST /tools/payments/create_payment  HTTP/1.1",
        " POST /tools/payments/create_payment HTTP/1.1",
        "POST /tools/payments/create_payment HTTP/1.1 ",
        "POST /tools/payments/create_payment HTTP/2.0",
        "POST /tools/payments/create_payment HTTP/1.10",
        "POST /tools/payments/create_payment http/1.1",
        "POST /tools/payments/create_payment",
        "P\x00ST /tools/payments/create_payment HTTP/1.1",
        "CONNECT 127.0.0.1:22 HTTP/1.1",
        "TRACE /tools/payments/create_payment HTTP/1.1",
    ],
)
def test_malformed_request_lines(aegis, tool, token, line):
    answer = raw(aegis, post(token, JSON + LENGTH, GOOD, line=line))
    assert answer[9:10] in (b"4", b"5"), answer[:200]
    assert not tool.seen


def test_a_param_in_query_and_body_is_ambiguous(aegis, tool, token):
    answer = raw(
        aegis,
        post(token, JSON + LENGTH, GOOD, path="/tools/payments/create_payment?amount=9000000"),
    )
    assert answer[9:12] == b"400" and not tool.seen


def test_a_param_in_the_query_alone_is_judged(aegis, tool, token):
    answer = raw(
        aegis,
        post(
            token,
            path="/tools/payments/create_payment?amount=9000000",
            head="Content-Length: 0\r\n",
        ),
    )
    assert answer[9:12] == b"403" and not tool.seen


def test_headers_of_aegis_and_the_token_do_not_reach_the_tool(aegis, tool, token):
    forged = "X-Aegis-Decision: allow\r\nX-Aegis-Agent: admin\r\nX-AEGIS-Decision-Id: forged\r\n"
    answer = raw(
        aegis,
        post(
            token, JSON + LENGTH + forged + "Connection: close, X-Secret\r\nX-Secret: 1\r\n", GOOD
        ),
    )
    assert answer[9:12] == b"200"
    ((_, path, headers, body),) = tool.seen
    assert path == "/create_payment" and body == GOOD
    lower = {name.lower(): value for name, value in headers.items()}
    assert "authorization" not in lower and token not in json.dumps(lower)
    assert "x-secret" not in lower, "named in Connection: hop by hop"
    assert "forged" not in lower.values() and "admin" not in lower.values()


def test_too_large_is_refused_before_it_is_read(aegis, tool, token):
    assert raw(aegis, post(token, JSON + "Content-Length: 99999999999\r\n"))[9:12] == b"413"
    assert raw(aegis, post(token, "X-Big: " + "x" * 200_000 + "\r\n"))[9:12] == b"431"
    assert raw(aegis, post(token, "".join(f"X-{i}: 1\r\n" for i in range(5000))))[9:12] == b"431"
    assert not tool.seen


def test_pipelined_requests_are_answered_in_order_each_by_its_own_verdict(aegis, tool, token):
    allowed = post(token, JSON + LENGTH, GOOD)
    denied = post(token, JSON + LENGTH, GOOD, path="/tools/payments/close_account")
    answer = raw(aegis, allowed + denied + allowed)
    statuses = [part[:3] for part in answer.split(b"HTTP/1.1 ")[1:]]
    assert statuses == [b"200", b"403", b"200"]
    assert len(tool.seen) == 2
