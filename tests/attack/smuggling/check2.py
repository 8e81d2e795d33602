"""Whether a gateway did with a row of HTTP/2 what the table asks."""

import dataclasses
import json

from attack.smuggling.check import PATIENCE, differences, tell
from attack.smuggling.http2 import FOLLOW, FOLLOW_STREAM, GOAWAY, IGNORED, RESET, Row2
from support import http2_wire
from support.http2_wire import Head


def with_token(step, token: str):
    if not isinstance(step, Head):
        return step
    fields = [
        (name, value.replace("{token}", token) if isinstance(value, str) else value)
        for name, value in step.fields
    ]
    return dataclasses.replace(step, fields=fields)


def send(row: Row2, port: int, token: str, silence: float = PATIENCE) -> http2_wire.Exchange:
    steps = [with_token(step, token) for step in [*row.steps, *FOLLOW]]
    # Of a broken connection no stream needs to end, nor one that is ignored.
    ends = row.answer not in (GOAWAY, IGNORED)
    streams = (1, FOLLOW_STREAM) if ends else (FOLLOW_STREAM,)
    return http2_wire.exchange(port, steps, streams, silence)


def send_elsewhere(row: Row2, port: int, token: str) -> http2_wire.Exchange:
    return send(row, port, token, 0.5 if row.waits else PATIENCE)


def answer(stream: http2_wire.Stream) -> tuple[int, str] | str:
    if not stream.status:
        return RESET if stream.reset is not None else IGNORED
    kind = stream.fields.get("content-type", "")
    reason = json.loads(stream.body)["reason"] if "problem+json" in kind and stream.body else ""
    return stream.status, reason


def faults(row: Row2, got: http2_wire.Exchange, received: list) -> list[str]:
    found = []
    if row.answer == GOAWAY:
        if not got.goaway:
            found.append(f"the connection goes on: {got}")
    else:
        said = answer(got.streams.get(1, http2_wire.Stream()))
        if said != row.answer:
            found.append(f"answers {said} instead of {row.answer}; {got.goaway=}")
        behind = answer(got.streams.get(FOLLOW_STREAM, http2_wire.Stream()))
        if behind != (200, ""):
            found.append(f"the call behind it gets {behind}; {got.goaway=}")
    # Streams are on their way at once.
    order = {seen.target: number for number, seen in enumerate(row.seen)}
    received = sorted(received, key=lambda one: order.get(getattr(one, "target", ""), -1))
    if len(received) != len(row.seen):
        return [*found, f"the tool received {[tell(one) for one in received]}"]
    for message, seen in zip(received, row.seen, strict=True):
        found += differences(message, seen)
    return found
