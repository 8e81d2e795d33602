"""Strangers who want to fill, falsify or poison the list of unknown callers."""

import concurrent.futures
import json
import pathlib
import socket
import time

from attack.test_tokens import b64
from support.aegis_process import request


def raw(aegis, *heads: bytes) -> None:
    """Requests on one connection, each answered before the next."""
    host, port = aegis.gateway.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        stream = connection.makefile("rb")
        for head in heads:
            connection.sendall(head)
            assert stream.readline().split()[1] in (b"401", b"400", b"431"), head[:200]
            length = 0
            while (line := stream.readline()) not in (b"\r\n", b""):
                if line.lower().startswith(b"content-length:"):
                    length = int(line.split(b":")[1])
            stream.read(length)


def head(tool: str = "payments", user_agent: str = "x", token: str | None = None) -> bytes:
    lines = f"GET /tools/{tool}/a HTTP/1.1\r\nHost: a\r\nUser-Agent: {user_agent}\r\n"
    if token is not None:
        lines += f"Authorization: Bearer {token}\r\n"
    return (lines + "\r\n").encode("latin-1")


def claiming(name: object) -> str:
    return b64(b'{"alg":"none"}') + "." + b64(json.dumps({"agent": name}).encode()) + "."


def settled(aegis, calls: int) -> list[dict]:
    """The list once all of so many calls are in it."""
    deadline = time.monotonic() + 30
    while True:
        listed = aegis.json("agent", "unknown")
        if sum(row["count"] for row in listed) == calls:
            return listed
        assert time.monotonic() < deadline, listed[:5]
        time.sleep(0.1)


def size(folder: pathlib.Path) -> int:
    return sum(path.stat().st_size for path in folder.glob("aegis.db*"))


def test_a_flood_of_names_stays_bounded_and_is_counted(aegis):
    flood = [head(f"tool-{i}", f"agent-{i}", claiming(f"name-{i}")) for i in range(4000)]
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda i: raw(aegis, *flood[i::4]), range(4)))
    listed = settled(aegis, 4000)
    assert len(listed) <= 202, "one source has at most 200 rows, and one for each reason"
    assert {row["source"] for row in listed} == {"127.0.0.1"}
    assert any(row["name"] == row["target"] == "*" for row in listed)
    before = size(aegis.data)
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda i: raw(aegis, *flood[i::4]), range(4)))
    assert len(settled(aegis, 8000)) <= 202
    assert size(aegis.data) < before + (8 << 20), "the disk does not fill"
    # The operator log is for operators.
    admin = {"Authorization": "Bearer " + (aegis.data / "admin.key").read_text().strip()}
    operations = request(aegis.control + "/api/v1/operations?limit=500", headers=admin).json()
    assert len(operations["items"]) < 20


def test_hostile_names_are_shown_harmless(aegis):
    names = ["\x1b[2J\x1b[31m", "a\nb\r\nc", "*", "", "-", "x" * 5000, "\u202eevil", "'; DROP", 7]
    raw(aegis, *[head(token=claiming(name)) for name in names])
    raw(aegis, head(user_agent="A" * 4000), head(token="." * 100), head("y" * 1000))
    raw(aegis, head(token="x" * 9000))
    raw(aegis, head(user_agent="\xff\xfe\x80"))  # no request at all
    listed = settled(aegis, len(names) + 4)
    shown = [row[key] for row in listed for key in ("name", "target", "source")]
    assert all(1 <= len(text) <= 128 and text.isascii() and text.isprintable() for text in shown)
    assert "*" not in shown
    assert {"?[2J?[31m", "a?b??c", "?", "x" * 128, "A" * 128, "'; DROP"} <= set(shown)
    table = aegis.cli("agent", "unknown").stdout
    assert "\x1b" not in table and len(table.splitlines()) == len(listed) + 1


def test_only_a_gateway_reports_and_only_an_operator_blocks(aegis):
    keys = {name: (aegis.data / f"{name}.key").read_text().strip() for name in ("admin", "gateway")}
    token = aegis.token("finance-agent")
    seen = {"source": "10.0.0.1", "name": "n", "target": "t", "reason": "token_missing", "count": 1}
    report = {"seen": [seen | {"first_seen_ms": 1, "last_seen_ms": 1}]}
    for key, path, body, status in (
        (keys["admin"], "/v1/gateway/unknown-agents", report, 403),
        (token, "/v1/gateway/unknown-agents", report, 401),
        (None, "/v1/gateway/unknown-agents", report, 401),
        (keys["gateway"], "/api/v1/blocks", {"name": "x"}, 403),
        (keys["gateway"], "/api/v1/blocks/remove", {"name": "x"}, 403),
        (token, "/api/v1/blocks", {"name": "x"}, 401),
    ):
        headers = {"Authorization": "Bearer " + key} if key else {}
        answer = request(aegis.control + path, "POST", body, headers)
        assert answer.status == status, (path, answer.body)
    gateway = {"Authorization": "Bearer " + keys["gateway"]}
    assert request(aegis.control + "/api/v1/unknown-agents", headers=gateway).status == 403
    assert aegis.json("agent", "unknown") == [] and aegis.json("agent", "blocked") == []
