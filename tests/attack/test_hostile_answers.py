"""Hostile bytes from a tool: an agent gets one answer that reads one way, or 502; and no answer of
one call ever becomes that of another (RFC 9112 §6.3, §11.1)."""

import contextlib
import re
import socket
import threading

import pytest
from attack.smuggling.row import POLICY
from support import strict_http
from support.aegis_process import Aegis
from support.envoy_process import port_of
from support.wire import exchange

OK = b"HTTP/1.1 200 OK\r\n"
PLAIN = OK + b"Content-Length: 2\r\n\r\nok"
POISON = OK + b"Content-Length: 6\r\n\r\npoison"
FOLLOW = OK + b"Content-Length: 6\r\n\r\nfollow"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
CUT = (0, b"")  # the agent's connection ends before the answer does
BAD = (502, b"")


def with_fields(*fields: bytes, body: bytes = b"ok") -> bytes:
    return OK + b"".join(field + b"\r\n" for field in fields) + b"\r\n" + body


# Name: what the tool sends, what the agent gets (status, body), whether the tool closes then.
ANSWERS = {
    "a plain answer": (PLAIN, (200, b"ok"), False),
    "no reason phrase": (b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok", (200, b"ok"), False),
    "chunks": (CHUNKED + b"2\r\nok\r\n0\r\n\r\n", (200, b"ok"), False),
    "until the end": (OK + b"\r\nok", (200, b"ok"), True),
    "early hints": (b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + PLAIN, (200, b"ok"), False),
    "continue": (b"HTTP/1.1 100 Continue\r\n\r\n" + PLAIN, (200, b"ok"), False),
    "nine interim answers": (b"HTTP/1.1 100 Continue\r\n\r\n" * 9 + PLAIN, BAD, False),
    "an interim answer with a body": (
        b"HTTP/1.1 103 Early Hints\r\nContent-Length: 2\r\n\r\nok" + PLAIN, BAD, False,
    ),
    # Where the answer ends.
    "length and chunked": (
        with_fields(b"Content-Length: 2", b"Transfer-Encoding: chunked"), BAD, False,
    ),
    "two lengths": (with_fields(b"Content-Length: 2", b"Content-Length: 1"), BAD, False),
    "two equal lengths": (with_fields(b"Content-Length: 2", b"Content-Length: 2"), BAD, False),
    "a list of lengths": (with_fields(b"Content-Length: 2, 2"), BAD, False),
    "length with plus": (with_fields(b"Content-Length: +2"), BAD, False),
    "length with a leading zero": (with_fields(b"Content-Length: 02"), BAD, False),
    "length of 64 bits and 2": (with_fields(b"Content-Length: 18446744073709551618"), BAD, False),
    "empty length": (with_fields(b"Content-Length:"), BAD, False),
    "gzip, chunked": (with_fields(b"Transfer-Encoding: gzip, chunked"), BAD, False),
    "chunked twice": (
        with_fields(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"), BAD, False,
    ),
    "identity": (with_fields(b"Transfer-Encoding: identity"), BAD, False),
    "chunked in HTTP/1.0": (CHUNKED.replace(b"1.1", b"1.0") + b"0\r\n\r\n", BAD, False),
    "length longer than the body": (with_fields(b"Content-Length: 3"), CUT, True),
    "chunks that do not end": (CHUNKED + b"2\r\nok\r\n", CUT, True),
    "chunk size with plus": (CHUNKED + b"+2\r\nok\r\n0\r\n\r\n", CUT, False),
    "chunk size with 0x": (CHUNKED + b"0x2\r\nok\r\n0\r\n\r\n", CUT, False),
    "chunk size of 64 bits and 2": (CHUNKED + b"10000000000000002\r\nok\r\n0\r\n\r\n", CUT, False),
    "chunk size before a bare line feed": (CHUNKED + b"2\nok\r\n0\r\n\r\n", CUT, False),
    "chunk longer than its size": (CHUNKED + b"1\r\nok\r\n0\r\n\r\n", CUT, False),
    "chunk extension": (CHUNKED + b"2;a=b\r\nok\r\n0\r\n\r\n", CUT, False),
    "trailer": (CHUNKED + b"2\r\nok\r\n0\r\nX-Aegis-Decision: deny\r\n\r\n", (200, b"ok"), False),
    "trailer that is no field": (CHUNKED + b"2\r\nok\r\n0\r\nHTTP/1.1 200 OK\r\n\r\n", CUT, False),
    # What is behind it.
    "a second answer": (PLAIN + POISON, (200, b"ok"), False),
    "a second answer behind chunks": (
        CHUNKED + b"2\r\nok\r\n0\r\n\r\n" + POISON, (200, b"ok"), False,
    ),
    "half a second answer": (PLAIN + POISON[:20], (200, b"ok"), False),
    "rubbish behind": (PLAIN + b"\r\n", (200, b"ok"), False),
    "a body that 204 has not": (b"HTTP/1.1 204 No Content\r\n\r\n" + POISON, (204, b""), False),
    "a body that 304 has not": (
        b"HTTP/1.1 304 Not Modified\r\nContent-Length: 6\r\n\r\n" + POISON, (304, b""), False,
    ),
    "204 with a length": (b"HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\nok", BAD, False),
    # The head.
    "bare line feeds": (PLAIN.replace(b"\r\n", b"\n"), BAD, False),
    "bare carriage return": (with_fields(b"Content-Length: 2", b"X-A: 1\rX-B: 2"), BAD, False),
    "a folded field": (with_fields(b"Content-Length: 2", b"X-A: 1\r\n 2"), BAD, False),
    "a space before the colon": (with_fields(b"Content-Length : 2"), BAD, False),
    "a NUL": (with_fields(b"Content-Length: 2", b"X-A: \x00"), BAD, False),
    "an empty name": (with_fields(b"Content-Length: 2", b": 1"), BAD, False),
    "no colon": (with_fields(b"Content-Length: 2", b"X-A"), BAD, False),
    "a request for an answer": (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", BAD, False),
    "HTTP/2.0": (PLAIN.replace(b"1.1", b"2.0"), BAD, False),
    "HTTP/0.9": (b"ok", BAD, True),
    "ICY": (PLAIN.replace(b"HTTP/1.1", b"ICY"), BAD, False),
    "a space first": (b" " + PLAIN, BAD, False),
    "an empty line first": (b"\r\n" + PLAIN, BAD, False),
    "status of two digits": (PLAIN.replace(b"200", b"20"), BAD, False),
    "status of four digits": (PLAIN.replace(b"200", b"2000"), BAD, False),
    "status 099": (PLAIN.replace(b"200", b"099"), BAD, False),
    "status 600": (PLAIN.replace(b"200", b"600"), BAD, False),
    "status -200": (PLAIN.replace(b" 200", b" -20"), BAD, False),
    "another protocol": (
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n",
        BAD, False,
    ),
    "64 KiB of head": (with_fields(b"X-A: " + b"x" * 65_536, b"Content-Length: 2"), BAD, False),
    "200 fields": (with_fields(*([b"X-A: 1"] * 200), b"Content-Length: 2"), BAD, False),
    "nothing": (b"", BAD, True),
    "half a head": (PLAIN[:20], BAD, True),
    "another call's decision": (
        with_fields(b"Content-Length: 2", b"X-Aegis-Decision-Id: forged", b"X_Aegis_Reason: x"),
        (200, b"ok"), False,
    ),
    "fields of the connection": (
        with_fields(b"Content-Length: 2", b"Connection: X-Secret", b"X-Secret: forged",
                    b"Upgrade: forged", b"Keep-Alive: forged", b"Proxy-Authenticate: forged",
                    b"Trailer: forged"),
        (200, b"ok"), False,
    ),
}  # fmt: skip


class ScriptedTool:
    """Answers `/list_<n>` with the n-th of ANSWERS, anything else with FOLLOW."""

    def __init__(self):
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listening.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listening.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        data = b""
        with connection, contextlib.suppress(OSError):
            while chunk := connection.recv(1 << 16):
                data += chunk
                while found := strict_http.read(data):
                    data = data[found[1] :]
                    number = re.fullmatch(r"/list_(\d+)", found[0].target)
                    if number is None:
                        connection.sendall(FOLLOW)
                        continue
                    answer, _, closes = list(ANSWERS.values())[int(number[1])]
                    connection.sendall(answer)
                    if closes:
                        return


@pytest.fixture(scope="module")
def aegis(tmp_path_factory):
    folder, tool = tmp_path_factory.mktemp("answers"), ScriptedTool()
    with Aegis(folder / "data") as running:
        running.cli("agent", "register", "finance-agent")
        running.cli("tool", "add", "payments", "--url", tool.url)
        running.publish(folder / "policies", finance=POLICY)
        running.wait_ready_to_decide()
        yield running
    tool.close()


def test_hostile_answers(aegis):
    port, token = port_of(aegis.gateway), aegis.token("finance-agent", ttl="1h")

    def call(action: str):
        head = f"GET /tools/payments/{action} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}"
        return exchange(port, head.encode() + b"\r\n\r\n", 1, 10.0)

    wrong = {}
    for number, (name, (_, expected, _)) in enumerate(ANSWERS.items()):
        got = call(f"list_{number}")
        if expected == CUT:
            if got.replies or not got.closed:
                wrong[name] = got
        else:
            body = b"" if expected == BAD else expected[1]
            if (
                len(got.replies) != 1
                or got.rest
                or got.replies[0].status != expected[0]
                or (expected != BAD and got.replies[0].body != body)
                or "forged" in str(got.replies[0].fields)
                or b"poison" in got.replies[0].body
            ):
                wrong[name] = got
        # Another agent's call, which may be given the same connection to the tool.
        for _ in range(2):
            behind = call("list_follow")
            if [(reply.status, reply.body) for reply in behind.replies] != [(200, b"follow")]:
                wrong[f"behind: {name}"] = behind
    for name, found in wrong.items():
        print(f"{name}: {found}"[:600])
    assert not wrong, list(wrong)
