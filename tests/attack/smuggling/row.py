"""One row of the table: bytes, what must become of them, and why.

Behind every row the same plain call follows on the same connection (FOLLOW). So each row also asks
where the gateway takes its message to end: a refused message must take the connection with it, or
be skipped whole; one that passes must leave the next one whole.

`differ` says why Aegis lets a row pass that other proxies read differently; elsewhere it must not.
"""

import dataclasses

TOKEN = b"{token}"  # stands for the agent's token
PATH = "/tools/payments/create_payment"
LINE = f"POST {PATH} HTTP/1.1"
GOOD = b'{"amount":1}'
LARGE = b'{"amount":9000}'  # more than the policy allows
JSON = "Content-Type: application/json"
FORM = "Content-Type: application/x-www-form-urlencoded"
PLAIN = "Content-Type: text/plain"
CHUNKED = "Transfer-Encoding: chunked"
LENGTH = f"Content-Length: {len(GOOD)}"

# The tool and what the agent may do with it. `list_*` has no conditions, so that a smuggled call of
# it would reach the tool.
POLICY = """\
agent: finance-agent
allowed_tools:
  - name: payments
    actions: [create_payment]
    conditions: {max_amount: 5000}
  - name: payments
    actions: [transfer]
    conditions: {to: {matches: "acct_[a-z]+"}}
  - name: payments
    actions: ["list_*", upload]
"""


def request(line: str, *fields: str, body: bytes = b"", host: str = "Host: a") -> bytes:
    lines = [line, *([host] if host else []), "Authorization: Bearer {token}", *fields]
    return "".join(one + "\r\n" for one in lines).encode("latin-1") + b"\r\n" + body


FOLLOW = request("GET /tools/payments/list_follow HTTP/1.1")
SMUGGLED = request("GET /tools/payments/list_smuggled HTTP/1.1")


@dataclasses.dataclass(frozen=True)
class Seen:
    """A request as the tool must get it. `fields`: name -> value; None: it must not be there."""

    method: str
    target: str
    body: bytes = b""
    fields: dict[str, str | None] = dataclasses.field(default_factory=dict)


FOLLOW_SEEN = Seen("GET", "/list_follow")


@dataclasses.dataclass(frozen=True)
class Row:
    name: str
    data: bytes
    answers: list[tuple[int, str]]  # status and `reason` of each, "" where the tool answers
    seen: list[Seen]  # what the tool gets, in this order and nothing else
    why: str
    closes: bool = False  # the gateway ends the connection
    agent_closes: bool = False  # the agent does, when it has sent the row; nothing follows then
    differ: str = ""
    early: bool = (
        False  # answered by its head: a body that is not there by then costs the connection
    )
    waits: bool = False  # its body never ends: a gateway that judges no bodies waits for more


def refused(
    name: str, status: int, reason: str, data: bytes, why: str, waits: bool = False
) -> Row:  # fmt: skip
    """Nothing of it and nothing behind it is acted on."""
    return Row(name, data, [(status, reason)], [], why, closes=True, waits=waits)


def denied(
    name: str, status: int, reason: str, data: bytes, why: str, differ: str = "",
    early: bool = False,
) -> Row:  # fmt: skip
    """The message is sound, the call is not allowed; the connection goes on."""
    answers = [(status, reason), (200, "")]
    return Row(name, data, answers, [FOLLOW_SEEN], why, differ=differ, early=early)


def passes(
    name: str,
    data: bytes,
    why: str,
    target: str = "/create_payment",
    body: bytes = GOOD,
    method: str = "POST",
    fields: dict[str, str | None] | None = None,
    differ: str = "",
) -> Row:
    seen = Seen(method, target, body, fields or {})
    return Row(name, data, [(200, ""), (200, "")], [seen, FOLLOW_SEEN], why, differ=differ)


def pay(*fields: str, body: bytes = GOOD, line: str = LINE, host: str = "Host: a") -> bytes:
    """A payment of JSON, whose framing is in `fields`."""
    return request(line, JSON, *fields, body=body, host=host)


def sized(*fields: str, body: bytes = GOOD, line: str = LINE, host: str = "Host: a") -> bytes:
    """The same with a true Content-Length."""
    return pay(f"Content-Length: {len(body)}", *fields, body=body, line=line, host=host)


def chunk(body: bytes = GOOD, size: str | None = None, end: str = "\r\n") -> bytes:
    size = f"{len(body):x}" if size is None else size
    return size.encode("latin-1") + end.encode() + body + b"\r\n"


def chunks(body: bytes = GOOD) -> bytes:
    return chunk(body) + b"0\r\n\r\n"
