"""An agent that sends HTTP/2 frames as they are (RFC 9113), and what it gets for them.

HPACK and nothing else is a library's: what a careful client would not send must be sent here.
"""

import dataclasses
import itertools
import socket
import struct

import hpack

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = (
    0, 1, 3, 4, 5, 6, 7, 8, 9,
)  # fmt: skip
END_STREAM, ACK, END_HEADERS, PADDED, PRIORITY = 1, 1, 4, 8, 32


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(
        ">I", stream
    ) + payload  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Head:
    """A field block, in one frame or, at `cuts`, in several."""

    fields: list[tuple[str | bytes, str | bytes]]
    end: bool = False
    stream: int = 1
    cuts: tuple[int, ...] = ()
    between: bytes = b""  # put before the first CONTINUATION
    flags: int = 0
    before: bytes = b""  # of the payload: padding, priority
    after: bytes = b""

    def encode(self, encoder: hpack.Encoder) -> bytes:
        fields = [(_bytes(name), _bytes(value)) for name, value in self.fields]
        block = encoder.encode(fields, huffman=False)
        bounds = [0, *self.cuts, len(block)]
        parts = [block[a:b] for a, b in itertools.pairwise(bounds)]
        end = END_STREAM if self.end else 0
        if len(parts) == 1:
            payload = self.before + block + self.after
            return frame(HEADERS, end | END_HEADERS | self.flags, self.stream, payload)
        out = frame(HEADERS, end, self.stream, parts[0]) + self.between
        for part in parts[1:-1]:
            out += frame(CONTINUATION, 0, self.stream, part)
        return out + frame(CONTINUATION, END_HEADERS, self.stream, parts[-1])


@dataclasses.dataclass(frozen=True)
class Data:
    body: bytes
    end: bool = True
    stream: int = 1

    def encode(self, _) -> bytes:
        return frame(DATA, END_STREAM if self.end else 0, self.stream, self.body)


@dataclasses.dataclass(frozen=True)
class Raw:
    data: bytes

    def encode(self, _) -> bytes:
        return self.data


@dataclasses.dataclass
class Stream:
    status: int = 0
    fields: dict[str, str] = dataclasses.field(default_factory=dict)
    body: bytes = b""
    ended: bool = False
    reset: int | None = None


@dataclasses.dataclass
class Exchange:
    streams: dict[int, Stream]
    goaway: int | None  # its error code
    closed: bool


def exchange(port: int, steps: list, streams: tuple[int, ...], silence: float) -> Exchange:
    """Sends the steps on a new connection and reads until these streams have ended, the other side
    has closed, or nothing came for `silence` seconds."""
    encoder, decoder = hpack.Encoder(), hpack.Decoder()
    found: dict[int, Stream] = {}
    result = Exchange(found, None, False)
    received = b""
    with socket.create_connection(("127.0.0.1", port), timeout=silence) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            sent = b"".join(step.encode(encoder) for step in steps)
            connection.sendall(PREFACE + frame(SETTINGS, 0, 0) + sent)
            while True:
                ended = [one for one in streams if one in found and found[one].ended]
                if len(ended) == len(streams):
                    return result
                chunk = connection.recv(1 << 16)
                if not chunk:
                    result.closed = True
                    return result
                received += chunk
                while len(received) >= 9:
                    size = int.from_bytes(received[:3], "big")
                    if len(received) < 9 + size:
                        break
                    kind, flags = received[3], received[4]
                    stream = int.from_bytes(received[5:9], "big") & 0x7FFFFFFF
                    payload, received = received[9 : 9 + size], received[9 + size :]
                    if kind == SETTINGS and not flags & ACK:
                        connection.sendall(frame(SETTINGS, ACK, 0))
                    elif kind == GOAWAY:
                        result.goaway = struct.unpack(">I", payload[4:8])[0]
                    elif kind in (HEADERS, DATA, RST_STREAM):
                        _take(found.setdefault(stream, Stream()), kind, flags, payload, decoder)
        except TimeoutError:
            return result
        except (ConnectionResetError, BrokenPipeError):
            result.closed = True
            return result


def _take(stream: Stream, kind: int, flags: int, payload: bytes, decoder: hpack.Decoder) -> None:
    if kind == RST_STREAM:
        stream.reset, stream.ended = struct.unpack(">I", payload)[0], True
        return
    if kind == HEADERS:
        fields = dict(decoder.decode(payload))
        stream.status = int(fields.get(":status", stream.status))
        stream.fields |= fields
    else:
        stream.body += payload
    stream.ended = stream.ended or (bool(flags & END_STREAM) and stream.status >= 200)


def _bytes(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode("latin-1")
