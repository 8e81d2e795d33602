"""Requests as HTTP/2, which Aegis forwards as HTTP/1.1 (RFC 9113 §8, §10.3).

What HTTP/2 frames by lengths, HTTP/1.1 frames by text: a line's end or a length inside a field
would become another request behind the gateway. Behind every row the same plain call follows as a
stream of its own on the connection.
"""

import dataclasses
import struct

from attack.smuggling.row import FOLLOW_SEEN, GOOD, LARGE, PATH, SMUGGLED, Seen
from support import http2_wire as wire
from support.http2_wire import Data, Head, Raw, frame

FOLLOW_STREAM = 101
REAL = "RFC 9113 §8.3: pseudo-header fields once each, first, and only the defined ones"
MALFORMED = "RFC 9113 §8.2.1: names and values hold no such byte; in HTTP/1.1 it would end a line"
CONNECTION = "RFC 9113 §8.2.2: fields of HTTP/1.1's connection make a request malformed"
LENGTHS = "RFC 9113 §8.1.1: the length that is announced is that of the data"
DOWNGRADE = "RFC 9113 §10.3: it would become text of HTTP/1.1"
FRAMES = "RFC 9113 §6"
RESET = "reset"  # the stream is
GOAWAY = "goaway"  # the connection is ended
IGNORED = "no answer"


@dataclasses.dataclass(frozen=True)
class Row2:
    name: str
    steps: list
    answer: tuple[int, str] | str  # status and reason, RESET, GOAWAY or IGNORED
    seen: list[Seen]
    why: str
    differ: str = ""
    waits: bool = False  # some proxies wait for what never comes


def head(
    *fields: tuple, method="POST", path=PATH, scheme="http", authority="a", **options
) -> Head:  # fmt: skip
    """A call; a pseudo-header field of None is left out."""
    pseudo = {":method": method, ":scheme": scheme, ":path": path, ":authority": authority}
    first = [(name, value) for name, value in pseudo.items() if value is not None]
    token = ("authorization", "Bearer {token}")
    return Head([*first, token, *fields], **options)


JSON = ("content-type", "application/json")


def pay(*fields: tuple, body: bytes = GOOD, **pseudo) -> list:
    return [head(JSON, *fields, **pseudo), Data(body)]


def get(*fields: tuple, path: str = "/tools/payments/list_all", **options) -> list:
    return [head(*fields, method="GET", path=path, end=True, **options)]


FOLLOW = [head(method="GET", path="/tools/payments/list_follow", end=True, stream=FOLLOW_STREAM)]


def malformed(
    name: str, steps: list, why: str, answer: tuple[int, str] | str = RESET, waits: bool = False
) -> Row2:  # fmt: skip
    """The stream or the request is refused; the tool sees nothing of it."""
    return Row2(name, steps, answer, [FOLLOW_SEEN], why, waits=waits)


def broken(name: str, steps: list, why: str, waits: bool = False) -> Row2:
    """The connection is given up."""
    return Row2(name, steps, GOAWAY, [], why, waits=waits)


def passes(
    name: str, steps: list, why: str, target: str = "/create_payment", body: bytes = GOOD,
    method: str = "POST", fields: dict | None = None, differ: str = "",
) -> Row2:  # fmt: skip
    seen = Seen(method, target, body, fields or {})
    return Row2(name, steps, (200, ""), [seen, FOLLOW_SEEN], why, differ)


def u32(*numbers: int) -> bytes:
    return struct.pack(f">{len(numbers)}I", *numbers)


def fields(*given: tuple) -> list:
    """A call of exactly these fields, and the token."""
    return [Head([*given, ("authorization", "Bearer {token}")], end=True)]


GET, HTTP, ALL, A = (
    (":method", "GET"), (":scheme", "http"), (":path", "/tools/payments/list_all"),
    (":authority", "a"),
)  # fmt: skip
SMUGGLED_TEXT = SMUGGLED.decode()
# fmt: off
PSEUDO = [
    malformed(":path twice", pay((":path", "/tools/payments/close_account")), REAL),
    malformed(":path twice, together", fields(GET, HTTP, ALL, (":path", "/tools/payments/x"), A),
            REAL),
    malformed(":method twice", fields(GET, (":method", "DELETE"), HTTP, ALL, A), REAL),
    malformed(":authority twice", fields(GET, HTTP, ALL, A, (":authority", "b")), REAL),
    malformed(":scheme twice", fields(GET, HTTP, (":scheme", "https"), ALL, A), REAL),
    malformed("no :method", [head(method=None, end=True)], REAL),
    malformed("no :path", pay(path=None), REAL),
    malformed("no :scheme", pay(scheme=None), REAL),
    malformed("no :authority and no host", pay(authority=None),
            "RFC 9113 §8.3.1: HTTP/1.1 needs one"),
    malformed(":path behind a field", fields(GET, HTTP, A, ("x-a", "1"), ALL), REAL),
    malformed(":status in a request", pay((":status", "200")), REAL),
    malformed("a pseudo-header field nobody knows", fields(GET, HTTP, ALL, A, (":x", "y")), REAL),
    malformed(":Path in capitals", fields(GET, HTTP, (":Path", "/tools/payments/list_all"), A),
            REAL),
    malformed("a colon for a name", pay((":", "x")), REAL),
    malformed(":protocol without CONNECT", fields(GET, HTTP, ALL, A, (":protocol", "websocket")),
            "RFC 8441 §4: only with CONNECT, and where it was offered"),
    malformed("CONNECT with :protocol, which was not offered",
            fields((":method", "CONNECT"), HTTP, ALL, A, (":protocol", "websocket")),
            "RFC 8441 §3"),
    malformed("CONNECT", fields((":method", "CONNECT"), (":authority", "127.0.0.1:22")),
            "RFC 9113 §8.5: no tunnel here", (405, "method_not_allowed"), waits=True),
    malformed("CONNECT with a path", pay(method="CONNECT"), "RFC 9113 §8.5"),
]
TARGETS = [
    malformed("empty :path", pay(path=""), "RFC 9113 §8.3.1: not empty"),
    malformed(":path without a slash", pay(path=PATH[1:]), "RFC 9113 §8.3.1: begins with '/'"),
    malformed(":path of absolute-form", pay(path=f"http://b{PATH}"), "RFC 9113 §8.3.1"),
    malformed(":path of a star", pay(path="*"), "RFC 9113 §8.3.1: with OPTIONS only"),
    malformed(":path of a star with OPTIONS", [head(method="OPTIONS", path="*", end=True)],
            "no tool's", (400, "bad_target")),
    malformed(":path with a space", pay(path=f"{PATH} x"), DOWNGRADE),
    malformed(":path with a version", pay(path=f"{PATH} HTTP/1.1"), DOWNGRADE),
    malformed(":path with a head", pay(path=f"{PATH} HTTP/1.1\r\nX-A: 1"), DOWNGRADE),
    malformed(":path with a request", pay(path=f"{PATH} HTTP/1.1\r\n\r\n{SMUGGLED_TEXT}"),
            DOWNGRADE),
    malformed(":path with a line feed", pay(path=f"{PATH}\nx"), DOWNGRADE),
    malformed(":path with NUL", pay(path=f"{PATH}\0"), DOWNGRADE),
    malformed(":path with a tab", pay(path=f"{PATH}\tx"), DOWNGRADE),
    malformed(":path with a high byte", pay(path=f"{PATH}\xe4"), DOWNGRADE, (400, "bad_target")),
    malformed(":path with a fragment", pay(path=f"{PATH}#x"), "RFC 9113 §8.3.1: no fragment",
            (400, "bad_target")),
    malformed(":path with dot segments", pay(path="/tools/payments/../payments/close_account"),
            "RFC 3986 §5.2.4", (400, "bad_path")),
    malformed(":path with encoded dots", pay(path=f"{PATH}/%2e%2e/close_account"),
            "RFC 3986 §5.2.4", (400, "bad_path")),
    malformed(":path with an encoded slash", pay(path=f"{PATH}%2fclose_account"), "RFC 3986 §2.2",
            (400, "bad_path")),
    malformed(":path with a backslash", pay(path=f"{PATH}\\x"), "RFC 3986 §2", (400, "bad_target")),
    malformed(":path with two slashes", pay(path=f"/{PATH}"), "RFC 3986 §3.3", (400, "bad_path")),
    malformed(":path with ';'", pay(path=f"{PATH};x"), "RFC 3986 §3.3", (400, "bad_path")),
    malformed(":path of 9,000 bytes", pay(path=f"{PATH}?a={'x' * 9000}"), "RFC 9110 §15.5.15",
            (414, "target_too_long")),
    malformed(":method with a space",
            pay(method="GET /tools/payments/list_smuggled HTTP/1.1\r\nX: "), DOWNGRADE),
    malformed(":method with a target", pay(method="GET /tools/payments/list_smuggled?"), DOWNGRADE),
    malformed(":method in lower case", pay(method="post"), "RFC 9110 §9.1", (400, "bad_method")),
    malformed("empty :method", pay(method=""), "RFC 9110 §9.1"),
    malformed("TRACE", pay(method="TRACE"), "RFC 9110 §9.3.8", (405, "method_not_allowed")),
    malformed("a made-up :method", pay(method="PAY"), "RFC 9110 §9.1", (405, "method_not_allowed")),
    malformed("empty :scheme", pay(scheme=""), "RFC 9113 §8.3.1"),
    malformed(":scheme of a URL", pay(scheme="http://b/?"),
            "RFC 9113 §10.3: part of a target where one is made of it"),
    malformed(":scheme with a line's end", pay(scheme="http\r\nX: 1"), DOWNGRADE),
    malformed(":scheme nobody speaks", pay(scheme="ftp"), "RFC 9113 §8.3.1", (400, "bad_scheme")),
    malformed(":authority with credentials", pay(authority="a@b"), "RFC 9113 §8.3.1: no user",
            (400, "bad_host")),
    malformed(":authority with a path", pay(authority="a/b"), "RFC 9113 §8.3.1"),
    malformed(":authority with a space", pay(authority="a b"), DOWNGRADE),
    malformed(":authority with a line's end", pay(authority="a\r\nX: 1"), DOWNGRADE),
    malformed(":authority with two ports", pay(authority="a:1:2"), "RFC 9110 §7.2",
            (400, "bad_host")),
    malformed("empty :authority", pay(authority=""), "RFC 9113 §8.3.1"),
    malformed("host unlike :authority", pay(("host", "b")), "RFC 9113 §8.3.1: they name one thing",
            (400, "duplicate_host")),
    malformed("host twice", pay(("host", "a"), ("host", "b"), authority=None), "RFC 9110 §7.2"),
    passes("host like :authority", pay(("host", "a")), "RFC 9113 §8.3.1",
            differ="nginx refuses Host beside :authority"),
    passes("host for :authority", pay(("host", "a"), authority=None),
            "RFC 9113 §8.3.1: a request that came as HTTP/1.1"),
    passes(":authority with a port", pay(authority="a:80"), "RFC 9113 §8.3.1"),
    passes("a query", get(path="/tools/payments/transfer?to=acct_a"), "as it was sent",
            "/transfer?to=acct_a", b"", "GET"),
]
FIELDS = [
    malformed("name in capitals", pay(("X-A", "1")), MALFORMED),
    malformed("name with a capital inside", pay(("x-A", "1")), MALFORMED),
    malformed("empty name", pay(("", "1")), MALFORMED),
    malformed("name with a space", pay(("x a", "1")), MALFORMED),
    malformed("name with a colon", pay(("x-a: 1\r\nx-b", "2")), MALFORMED),
    malformed("name with a colon inside", pay(("x:a", "1")), MALFORMED),
    malformed("name with a line feed", pay(("x\na", "1")), MALFORMED),
    malformed("name with NUL", pay(("x\0a", "1")), MALFORMED),
    malformed("name with a high byte", pay(("x\xe4", "1")), MALFORMED),
    malformed("name with a parenthesis", pay(("x(a", "1")), MALFORMED),
    malformed("name that is a request", pay((f"{SMUGGLED_TEXT}x", "1")), MALFORMED),
    malformed("value with a line's end", pay(("x-a", "1\r\nx-b: 2")), MALFORMED),
    malformed("value with a line feed", pay(("x-a", "1\nx-b: 2")), MALFORMED),
    malformed("value with a carriage return", pay(("x-a", "1\rx-b: 2")), MALFORMED),
    malformed("value with NUL", pay(("x-a", "1\x002")), MALFORMED),
    malformed("value with a request", pay(("x-a", f"1\r\n\r\n{SMUGGLED_TEXT}")), MALFORMED),
    malformed("value with a coding", pay(("x-a", "1\r\ntransfer-encoding: chunked")), MALFORMED),
    malformed("value with SOH", pay(("x-a", "\x01")), "RFC 9110 §5.5"),
    malformed("value with DEL", pay(("x-a", "\x7f")), "RFC 9110 §5.5"),
    malformed("value that begins with a space", pay(("x-a", " 1")), "RFC 9113 §8.2.1"),
    malformed("value that ends with a tab", pay(("x-a", "1\t")), "RFC 9113 §8.2.1"),
    malformed("value of Latin-1", pay(("x-a", "\xe4")), "RFC 9110 §5.5: obs-text has no charset",
            (400, "bad_field_value")),
    malformed("101 fields", pay(*((f"x-{i}", "1") for i in range(101))), "RFC 6585 §5",
            (431, "too_many_fields")),
    malformed("40 KiB of fields", [head(JSON, *((f"x-{i}", "x" * 1600) for i in range(25)),
            cuts=(16_000, 32_000)), Data(GOOD)],
            "RFC 6585 §5"),
    passes("value of UTF-8", pay(("x-a", "\xc3\xa4")), "RFC 9110 §5.5", fields={"x-a": "\xc3\xa4"}),
    passes("empty value", pay(("x-a", "")), "RFC 9110 §5.5", fields={"x-a": ""}),
    passes("cookies in crumbs", pay(("cookie", "a=1"), ("cookie", "b=2")),
            "RFC 9113 §8.2.3: one field in HTTP/1.1",
            fields={"cookie": "a=1; b=2"}),
    passes("name with '_'", pay(("content_length", "3")), "CGI-like tools read '_' as '-'",
            fields={"content_length": None},
            differ="nginx leaves such fields out too"),
    passes("Aegis's own fields", pay(("x-aegis-decision", "allow"), ("x_aegis_agent", "root")),
            "only Aegis says who called",
            fields={"x-aegis-decision": None, "x_aegis_agent": None},
            differ="nginx leaves out the one with '_'"),
    passes("another path for IIS", pay(("x-original-url", "/close_account")),
            "some servers take it for the path",
            fields={"x-original-url": None}),
]
HOPS = [
    malformed("connection: close", pay(("connection", "close")), CONNECTION),
    malformed("connection: keep-alive", pay(("connection", "keep-alive")), CONNECTION),
    malformed("connection names a field", pay(("connection", "x-a"), ("x-a", "1")), CONNECTION),
    malformed("keep-alive", pay(("keep-alive", "timeout=9")), CONNECTION),
    malformed("proxy-connection", pay(("proxy-connection", "keep-alive")), CONNECTION),
    malformed("upgrade", pay(("upgrade", "h2c")), CONNECTION),
    malformed("transfer-encoding", pay(("transfer-encoding", "chunked")), CONNECTION),
    malformed("transfer-encoding of a chunked body", pay(("transfer-encoding", "chunked"),
            body=b"0\r\n\r\n" + SMUGGLED), CONNECTION),
    malformed("transfer-encoding: identity", pay(("transfer-encoding", "identity")), CONNECTION),
    malformed("te: gzip", pay(("te", "gzip")), "RFC 9113 §8.2.2: trailers or nothing"),
    malformed("te: trailers, gzip", pay(("te", "trailers, gzip")), "RFC 9113 §8.2.2"),
    passes("te: trailers", pay(("te", "trailers")), "RFC 9113 §8.2.2: of this hop",
            fields={"te": None},
            differ="HAProxy and Envoy forward it"),
    passes("expect", pay(("expect", "100-continue")), "RFC 9110 §10.1.1: answered here",
            fields={"expect": None},
            differ="HAProxy and Envoy hand it on"),
    malformed("expect of something else", pay(("expect", "x")), "RFC 9110 §10.1.1",
            (417, "bad_expectation")),
]
BODIES = [
    malformed("length too small", pay(("content-length", "3")), LENGTHS),
    malformed("length 0 and a smuggled call", pay(("content-length", "0"), body=SMUGGLED), LENGTHS),
    malformed("length too large", pay(("content-length", "13")), LENGTHS),
    malformed("length too large, without data", [head(JSON, ("content-length", "12"), end=True)],
            LENGTHS),
    malformed("length twice", pay(("content-length", "12"), ("content-length", "12")), LENGTHS),
    malformed("a list of lengths", pay(("content-length", "12, 12")), LENGTHS),
    malformed("length with plus", pay(("content-length", "+12")), LENGTHS),
    malformed("length with a leading zero", pay(("content-length", "012")), "RFC 9110 §8.6",
            (400, "bad_content_length")),
    malformed("length of 64 bits and 12", pay(("content-length", "18446744073709551628")), LENGTHS),
    malformed("empty length", pay(("content-length", "")), LENGTHS),
    malformed("length and transfer-encoding", pay(("content-length", "12"), ("transfer-encoding",
            "chunked")), CONNECTION),
    malformed("trailers", [head(JSON), Data(GOOD, end=False), Head([("x-a", "1")], end=True)],
            "what a trailer says is not judged, so there is none", (400, "trailers")),
    malformed("trailers with a pseudo-header field",
            [head(JSON), Data(GOOD, end=False), Head([(":path", "/close_account")], end=True)],
            "RFC 9113 §8.1: none in trailers"),
    malformed("trailers with a length", [head(JSON), Data(GOOD, end=False), Head([("content-length",
            "3")], end=True)],
            "RFC 9110 §6.5.1"),
    malformed("trailers that do not end the stream",
            [head(JSON), Data(GOOD, end=False), Head([("x-a", "1")])],
            "RFC 9113 §8.1: the last frame"),
    malformed("JSON name twice", pay(body=b'{"amount":1,"amount":9000}'), "RFC 8259 §4",
            (400, "ambiguous_params")),
    malformed("too much", pay(body=LARGE), "judged", (403, "condition_failed")),
    malformed("query and body", pay(path=f"{PATH}?amount=9000"),
            "one tool takes the first, another the last", (400, "ambiguous_params")),
    malformed("gzip", pay(("content-encoding", "gzip")), "not judged", (415, "content_encoding")),
    malformed("length larger than is judged", pay(("content-length", "2097152")), "a limit"),
    passes("true length", pay(("content-length", "12")), LENGTHS),
    passes("no length", pay(), LENGTHS),
    passes("body in several frames", [head(JSON), Data(GOOD[:5], end=False), Data(b"", end=False),
            Data(GOOD[5:], end=False),
            Data(b"")], "RFC 9113 §8.1"),
    passes("body that looks like chunks", [head(("content-type", "application/octet-stream"),
            path="/tools/payments/upload"),
            Data(b"0\r\n\r\n" + SMUGGLED)], "a body's bytes frame nothing", "/upload",
            b"0\r\n\r\n" + SMUGGLED),
]
FRAMING = [
    passes("padding", [head(JSON, flags=wire.PADDED, before=b"\x05", after=bytes(5)), Data(GOOD)],
            "RFC 9113 §6.2"),
    passes("priority", [head(JSON, flags=wire.PRIORITY, before=u32(0) + b"\x10"), Data(GOOD)],
            "RFC 9113 §5.3.2"),
    passes("head in three frames", [head(JSON, cuts=(5, 20)), Data(GOOD)], "RFC 9113 §6.10"),
    broken("padding longer than the frame", [head(JSON, flags=wire.PADDED, before=b"\xff"),
            Data(GOOD)], FRAMES),
    broken("another frame inside a head", [head(JSON, cuts=(5,), between=frame(wire.PING, 0, 0,
            bytes(8)))], "RFC 9113 §6.10"),
    broken("another stream's head inside a head",
            [head(JSON, cuts=(5,), between=frame(wire.HEADERS, 5, 3, b"\x82"))],
            "RFC 9113 §6.10"),
    broken("CONTINUATION without a head", [Raw(frame(wire.CONTINUATION, 4, 1, b"\x82"))],
            "RFC 9113 §6.10"),
    broken("head on stream 0", [head(JSON, stream=0)], FRAMES),
    broken("head on an even stream", [head(JSON, stream=2, end=True)], "RFC 9113 §5.1.1"),
    malformed("head on a stream before",
            [head(method="GET", path="/tools/payments/close/list_follow", end=True, stream=5),
            head(method="GET", path="/tools/payments/list_all", end=True, stream=3)],
            "RFC 9113 §5.1.1 ends the connection; to skip the head is as good", IGNORED),
    broken("DATA before a head", [Data(GOOD, stream=1)], "RFC 9113 §5.1"),
    broken("DATA on stream 0", [Data(GOOD, stream=0)], FRAMES),
    broken("PUSH_PROMISE of a client", [Raw(frame(wire.PUSH_PROMISE, 4, 1, u32(2) + b"\x82"))],
            "RFC 9113 §8.4"),
    broken("SETTINGS of a wrong size", [Raw(frame(wire.SETTINGS, 0, 0, bytes(5)))], FRAMES),
    broken("SETTINGS on a stream", [Raw(frame(wire.SETTINGS, 0, 1, b""))], FRAMES),
    broken("window of 2^31", [Raw(frame(wire.SETTINGS, 0, 0, b"\x00\x04" + u32(1 << 31)))],
            "RFC 9113 §6.5.2"),
    broken("frame size of 1", [Raw(frame(wire.SETTINGS, 0, 0, b"\x00\x05" + u32(1)))],
            "RFC 9113 §6.5.2"),
    broken("WINDOW_UPDATE of 0", [Raw(frame(wire.WINDOW_UPDATE, 0, 0, u32(0)))], "RFC 9113 §6.9"),
    broken("WINDOW_UPDATE too large", [Raw(frame(wire.WINDOW_UPDATE, 0, 0, u32(0x7FFFFFFF)))],
            "RFC 9113 §6.9.1"),
    broken("RST_STREAM of an idle stream", [Raw(frame(wire.RST_STREAM, 0, 1, u32(8)))],
            "RFC 9113 §6.4"),
    broken("PING of a wrong size", [Raw(frame(wire.PING, 0, 0, bytes(7)))], FRAMES),
    broken("frame larger than is allowed", [Raw(frame(wire.DATA, 0, 1, bytes(20_000)))],
            "RFC 9113 §4.2", waits=True),
    broken("HPACK with index 0", [Raw(frame(wire.HEADERS, 5, 1, b"\x80"))], "RFC 7541 §6.1"),
    broken("HPACK with an index beyond the table",
            [Raw(frame(wire.HEADERS, 5, 1, b"\xff\xff\xff\x7f"))], "RFC 7541 §2.3.3"),
    broken("HPACK cut short", [Raw(frame(wire.HEADERS, 5, 1, b"\x40\x0a"))], "RFC 7541 §5.2"),
    broken("HPACK with an endless number", [Raw(frame(wire.HEADERS, 5, 1, b"\xff" * 20))],
            "RFC 7541 §5.1"),
    broken("HPACK with a table too large", [Raw(frame(wire.HEADERS, 5, 1,
            b"\x3f\xe1\xff\x03\x82"))], "RFC 7541 §6.3"),
    broken("HPACK with broken Huffman", [Raw(frame(wire.HEADERS, 5, 1,
            b"\x00\x84\xff\xff\xff\xff\x00"))], "RFC 7541 §5.2"),
    broken("text of HTTP/1.1 behind the preface", [Raw(SMUGGLED)], "no frame", waits=True),
]
# fmt: on
ROWS = [*PSEUDO, *TARGETS, *FIELDS, *HOPS, *BODIES, *FRAMING]
