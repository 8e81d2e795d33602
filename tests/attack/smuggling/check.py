"""Whether a gateway did with a row what the table asks."""

import dataclasses
import hashlib
import json
import urllib.parse
from decimal import Decimal

from attack.smuggling.row import FOLLOW, TOKEN, Row, Seen
from support import strict_http
from support.strict_http import Message
from support.wire import Exchange, exchange

PATIENCE = 10.0  # seconds, for machines that do much else


def send(row: Row, port: int, token: str, byte_by_byte: bool = False) -> Exchange:
    """To Aegis, which closes what the row says it does."""
    expected = len(row.answers) + (1 if row.closes else 0)
    # Of the largest rows most is one value.
    piece = (1 if len(row.data) < 10_000 else 1_000) if byte_by_byte else 1 << 30
    return _send(row, port, token, expected, PATIENCE, piece=piece)


def send_elsewhere(row: Row, port: int, token: str) -> Exchange:
    """To another proxy, of which nobody knows how many answers it gives."""
    expected = max(2, len(row.answers))
    return _send(row, port, token, expected, 0.5 if row.waits else PATIENCE, believe=True)


def _send(row, port, token, expected, silence, **options) -> Exchange:
    data = (row.data if row.agent_closes else row.data + FOLLOW).replace(TOKEN, token.encode())
    heads = [seen.method == "HEAD" for seen in row.seen]
    return exchange(port, data, expected, silence, row.agent_closes, heads, **options)


def tell(message) -> str:
    if not isinstance(message, Message):
        return repr(message)[:300]
    return f"{message.method} {message.target} {message.body[:80]!r} {message.doubts}"


def faults(row: Row, got: Exchange, received: list) -> list[str]:
    """What of the answers, and of what the tool received, is not as the row asks."""
    found = []
    answers = [(reply.status, reply.reason) for reply in got.replies]
    if answers != row.answers:
        found.append(f"answers {answers} instead of {row.answers}")
    if got.rest:
        found.append(f"half an answer: {got.rest[:80]!r}")
    if got.closed != row.closes:
        found.append("the connection was closed" if got.closed else "the connection is open")
    if len(received) != len(row.seen):
        found.append(f"the tool received {[tell(one) for one in received]}")
        return found
    for message, seen in zip(received, row.seen, strict=True):
        found += differences(message, seen)
    return found


def cut_off(row: Row) -> Row:
    """What the row asks where its answer is the connection's last."""
    return dataclasses.replace(row, answers=row.answers[:1], seen=[], closes=True)


def differences(message, seen: Seen) -> list[str]:
    if not isinstance(message, Message):
        return [tell(message)]
    found = []
    wanted = (seen.method, seen.target, seen.body)
    if (message.method, message.target, message.body) != wanted:
        found.append(f"the tool received {tell(message)} instead of {wanted}")
    if message.doubts:
        found.append(f"the tool received what is in doubt: {tell(message)}")
    for name, value in seen.fields.items():
        if message.all(name) != (
            [] if value is None else [value.encode("latin-1").decode("latin-1")]
        ):
            found.append(f"the tool received {name}: {message.all(name)} instead of {value!r}")
    stayed = ("authorization", "proxy-authorization", "connection", "upgrade", "te", "expect")
    found += [
        f"the tool received {name}"
        for name, _ in message.fields
        if name in stayed or name.replace("_", "-").startswith("x-aegis")
    ]
    return found


def call_of(message: Message) -> tuple[str, dict]:
    """Action and params, as the tool that received the message takes them."""
    path = urllib.parse.unquote(message.target.partition("?")[0])
    return path.split("/")[1], strict_http.read_params(message)


def policy_allows(action: str, params: dict) -> bool:
    """What POLICY of row.py says, written apart."""
    if action == "create_payment":
        amount = params.get("amount")
        return isinstance(amount, strict_http.Number) and Decimal(amount) <= 5000
    if action == "transfer":
        to = params.get("to", "")
        name = to.removeprefix("acct_")
        return name != to and name.isascii() and name.isalpha() and name.islower()
    return action == "upload" or action.startswith("list_")


def decisions(aegis) -> dict[str, dict]:
    """The records of all decisions, by their ids."""
    found = aegis.cli("audit", "search", "--kind", "decision", "--limit", "0", "--jsonl").stdout
    return {record["id"]: record for record in map(json.loads, found.splitlines())}


def unlike(record: dict, message) -> str:
    """How what the tool received differs from what was judged; empty: it does not."""
    try:
        action, params = call_of(message)
    except (strict_http.Unreadable, AttributeError) as error:
        return f"{tell(message)}: {error}"
    digest = hashlib.sha256(strict_http.canonical(params).encode()).hexdigest()
    if (record["action"], record["params_hash"]) != (action, f"sha256:{digest}"):
        return f"the tool received {action} {params}; judged was {record}"
    return "" if policy_allows(action, params) else f"policy forbids {action} {params}"
