"""Calls of agents through an Envoy, and what came of them."""

import json
import time
from dataclasses import dataclass

import httpx

# What a client sends to pass for someone else, or its body for whole.
FORGED = {
    "x-aegis-decision": "allow",
    "x-aegis-decision-id": "forged",
    "x-aegis-agent": "root",
    "x-aegis-tenant": "other",
    "x-aegis-policy-version": "9",
    "x-original-url": "/tools/other/x",
    "x-envoy-auth-partial-body": "false",
    "proxy-authorization": "Basic eDp5",
}


def ours_at(headers: dict[str, str]) -> dict[str, str]:
    """The X-Aegis-* headers that a tool got: only what Aegis sets. No credential is there."""
    got = {name.lower(): value for name, value in headers.items()}
    stayed = {"authorization", "proxy-authorization", "x-original-url"}
    assert not stayed & set(got), got
    ours = {name: value for name, value in got.items() if name.startswith("x-aegis-")}
    named = {f"x-aegis-{name}" for name in ("decision", "decision-id", "policy-version", "shadow")}
    assert set(ours) <= named, ours
    assert ours.get("x-aegis-decision-id") != "forged"
    return ours


@dataclass
class Outcome:
    status: int
    reason: str  # of the problem document; empty: there is none
    headers: httpx.Headers
    body: bytes
    http_version: str

    def json(self):
        return json.loads(self.body)


class Agent:
    """Speaks HTTP/1.1, or HTTP/2 from the first byte, to one address, with one token."""

    def __init__(self, url: str, token: str | None = None, http2: bool = False, verify=False):
        self.headers = {"authorization": f"Bearer {token}"} if token else {}
        self.client = httpx.Client(
            base_url=url, http1=not http2, http2=http2, verify=verify, timeout=15, trust_env=False
        )

    def call(self, path: str, params=None, method="POST", headers=None, **more) -> Outcome:
        """`params`: what becomes JSON; bytes and iterators (sent chunked) go as they are."""
        headers = dict(self.headers | (headers or {}))
        content = params
        if isinstance(params, dict):
            content = json.dumps(params).encode()
        if content is not None:
            headers.setdefault("content-type", "application/json")
        answer = self.client.request(method, path, content=content, headers=headers, **more)
        reason = ""
        if answer.headers.get("content-type") == "application/problem+json":
            reason = answer.json()["reason"]
        return Outcome(
            answer.status_code, reason, answer.headers, answer.content, answer.http_version
        )

    def until(self, status: int, *arguments, seconds: float = 10) -> Outcome:
        """Calls until the answer is of that status."""
        deadline = time.monotonic() + seconds
        while (got := self.call(*arguments)).status != status:
            assert time.monotonic() < deadline, got
            time.sleep(0.02)
        return got

    def __enter__(self) -> "Agent":
        return self

    def __exit__(self, *_) -> None:
        self.client.close()
