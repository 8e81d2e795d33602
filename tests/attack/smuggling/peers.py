"""What a proxy made of a row, in a form that can be compared between proxies."""

import dataclasses
import re

from attack.smuggling.row import FOLLOW_SEEN
from support import strict_http
from support.recording_upstream import Cut
from support.strict_http import Message

# What proxies add or write anew, each in its own way.
OF_THE_PROXY = {
    "connection", "content-length", "transfer-encoding", "date", "host", "via", "x-request-id",
}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Verdict:
    statuses: tuple[int, ...]
    seen: tuple  # what the server behind saw of the row, without what proxies write anew
    doubts: tuple[str, ...]  # why what it saw may be read in two ways

    def tell(self) -> str:
        said = "/".join(map(str, self.statuses)) or "no answer"
        parts = [one[0] if len(one) == 1 else _tell_view(*one) for one in self.seen]
        return " ".join([said, *parts, *([f"({self.doubts[0]})"] if self.doubts else [])])


def _tell_view(method: str, target: str, body: bytes, host: str, fields: tuple) -> str:
    names = [name for name, _ in fields if name not in ("authorization", "content-type")]
    size = f"+{len(body)}" if body else ""
    what = target.removeprefix("/tools/payments")
    return f"{method} {what if len(what) < 32 else what[:29] + '...'}{size}" + (
        f" [{' '.join(names)[:24]}]" if names else ""
    )


def verdict(statuses: tuple[int, ...], received: list) -> Verdict:
    seen, doubts = [], []
    for message in received:
        if isinstance(message, Cut):
            seen.append(("cut",))
        elif not isinstance(message, Message):
            seen.append(("unreadable",))
            doubts.append(message.why)
        elif not message.target.endswith(FOLLOW_SEEN.target):
            seen.append(_view(message))
            doubts += message.doubts
            try:
                strict_http.read_params(message)
            except strict_http.Unreadable as error:
                doubts.append(str(error))
    return Verdict(statuses, tuple(seen), tuple(doubts))


def _view(message: Message) -> tuple:
    fields = [
        (name, value)
        for name, value in message.fields
        if name not in OF_THE_PROXY and not name.startswith(("x-forwarded-", "x-envoy-"))
    ]
    # nginx's $host is the name alone, in lower case.
    host = re.sub(r":\d*$", "", message.get("host").lower())
    return (message.method, message.target, message.body, host, tuple(sorted(fields)))
