"""An agent that sends bytes as they are, and what it gets for them."""

import dataclasses
import json
import re
import socket


@dataclasses.dataclass
class Reply:
    status: int
    fields: dict[str, str]
    body: bytes

    @property
    def reason(self) -> str:
        """Of a problem document; empty: it is none."""
        if "problem+json" not in self.fields.get("content-type", ""):
            return ""
        return json.loads(self.body)["reason"]


@dataclasses.dataclass
class Exchange:
    replies: list[Reply]
    closed: bool  # the other side ended the connection
    rest: bytes  # what is no whole answer
    raw: bytes  # all that came


def split(data: bytes, heads_only: list[bool]) -> tuple[list[Reply], bytes]:
    """The whole answers in `data`, and what is left. `heads_only`: whether the answer at that place
    is one to HEAD. Interim answers are left out."""
    replies: list[Reply] = []
    while (end := data.find(b"\r\n\r\n")) >= 0:
        lines = data[:end].decode("latin-1").split("\r\n")
        if not (status := re.match(r"HTTP/1\.[01] (\d{3})", lines[0])):
            break
        fields = {
            name.strip().lower(): value.strip()
            for name, _, value in (line.partition(":") for line in lines[1:])
        }
        rest, body = data[end + 4 :], b""
        code = int(status[1])
        has_body = code >= 200 and code not in (204, 304)
        if has_body and not (len(replies) < len(heads_only) and heads_only[len(replies)]):
            if fields.get("transfer-encoding") == "chunked":
                while chunk := re.match(rb"([0-9A-Fa-f]+)\r\n", rest):
                    size = int(chunk[1], 16)
                    at = chunk.end() + size
                    if len(rest) < at + 2:
                        return replies, data
                    body, rest = body + rest[chunk.end() : at], rest[at + 2 :]
                    if size == 0:
                        break
                else:
                    return replies, data
            else:
                size = int(fields.get("content-length", len(rest)))
                if len(rest) < size:
                    return replies, data
                body, rest = rest[:size], rest[size:]
        data = rest
        if code >= 200:
            replies.append(Reply(code, fields, body))
    return replies, data


def exchange(
    port: int, data: bytes, expected: int, silence: float, then_close: bool = False, heads=(),
    believe: bool = False, piece: int = 1 << 30,
) -> Exchange:  # fmt: skip
    """Sends `data` and reads until the other side closes, `expected` answers are there, or nothing
    came for `silence` seconds. `then_close`: nothing more is sent, which the other side is told.
    `heads`: see `split`. `believe`: an answer that says it is the last one is taken for it.
    `piece`: bytes sent at a time."""
    received, closed = b"", False
    with socket.create_connection(("127.0.0.1", port), timeout=silence) as connection:
        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for at in range(0, len(data), piece):
                connection.sendall(data[at : at + piece])
            if then_close:
                connection.shutdown(socket.SHUT_WR)
            while True:
                replies, _ = split(received, list(heads))
                last = believe and replies and replies[-1].fields.get("connection") == "close"
                if last or (len(replies) >= expected and not then_close):
                    # What else there is to come, if anything is, comes with it.
                    connection.settimeout(0.005)
                chunk = connection.recv(1 << 16)
                if not chunk:
                    closed = True
                    break
                received += chunk
        except TimeoutError:
            pass
        except (ConnectionResetError, BrokenPipeError):
            closed = True
    replies, rest = split(received, list(heads))
    return Exchange(replies, closed, rest, received)
