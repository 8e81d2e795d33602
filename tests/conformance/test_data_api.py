"""The data door answers as OPA's Data API does; who asks is never taken from the input."""

import json
import socket
import subprocess
import time
import urllib.parse

import pytest
from support.aegis_process import Aegis, request
from support.bundle_server import OPA, BundleServer, opa_build

pytestmark = pytest.mark.skipif(not OPA.exists(), reason="needs build/bin/opa")

FILES = {
    "aegis/policy.rego": """\
package aegis

default decision := {"outcome": "deny", "reason": "no_grant"}

decision := {"outcome": "allow", "reason": "allowed"} if input.agent.id == "finance-agent"
""",
    "shop/policy.rego": """\
package shop

allow if input.user in data.shop.admins

groups contains g if some g in input.groups

clash := 1 if input.clash

clash := 2 if input.clash

echo := input

whoami := [input.agent.id, input.tenant, input.chain]
""",
    "data.json": json.dumps({"shop": {"admins": ["alice", "bob"]}}),
    ".manifest": json.dumps({"roots": ["aegis", "shop"]}),
}
ENTRYPOINTS = [
    flag
    for path in ("aegis/decision", "shop/allow", "shop/groups", "shop/clash", "shop/echo")
    for flag in ("-e", path)
] + ["-e", "shop/whoami"]


@pytest.fixture(scope="module", params=["json", "proto"])
def both(request, tmp_path_factory):
    """A gateway and a stock OPA with the same bundle; the plan in either form."""
    folder = tmp_path_factory.mktemp("data-api")
    bundle = opa_build(folder, FILES, "r1", "-t", "plan", f"--format={request.param}", *ENTRYPOINTS)
    with BundleServer() as server:
        server.set("/b.tar.gz", bundle)
        config = folder / "aegis.yaml"
        config.write_text(
            json.dumps(
                {
                    "services": {"s": {"url": server.url}},
                    "bundles": {"default": {"service": "s", "resource": "b.tar.gz"}},
                }
            )
        )
        with Aegis(folder / "data", "--config", config) as aegis:
            for agent in ("finance-agent", "other-agent"):
                aegis.cli("agent", "register", agent)
            aegis.wait_ready_to_decide()
            yield aegis, stock_opa(folder / "r1.tar.gz")
    for process in running:
        process.terminate()
        process.wait()
    running.clear()


running = []


def stock_opa(bundle) -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = "http://{}:{}".format(*probe.getsockname())
    running.append(
        subprocess.Popen(
            [OPA, "run", "--server", "--addr", url[7:], "--skip-version-check", "-b", bundle],
            stderr=subprocess.DEVNULL,
        )
    )
    deadline = time.monotonic() + 20
    while True:
        try:
            if request(url + "/health").status == 200:
                return url
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.02)


def ask(both, method: str, target: str, body=None, agent="finance-agent"):
    """(status, body without ids) of the gateway and of OPA."""
    aegis, opa = both
    token = {"Authorization": "Bearer " + aegis.token(agent)}
    ours = request(aegis.gateway + target, method, body, token)
    theirs = request(opa + target, method, body)
    return [(answer.status, without_ids(answer.json())) for answer in (ours, theirs)]


def without_ids(body):
    return {key: value for key, value in body.items() if key != "decision_id"}


INPUTS = [
    ("/v1/data/shop/allow", {"user": "alice"}),
    ("/v1/data/shop/allow", {"user": "eve"}),
    ("/v1/data/shop/allow", {}),
    ("/v1/data/shop/allow", "text"),
    ("/v1/data/shop/groups", {"groups": ["b", "a", "b", 1, [None]]}),
    ("/v1/data/shop/groups", {}),
    ("/v1/data/shop/clash", {}),
    ("/v1/data/shop/echo", [1, 2.50, True, None, "é\u2028<", {"k": {}}]),
    ("/v1/data/shop/echo", 12345678901234567890),
    ("/v1/data/no/such/rule", {"user": "alice"}),
]


def test_the_same_answers(both):
    for target, document in INPUTS:
        ours, theirs = ask(both, "POST", target, {"input": document})
        assert ours == theirs, (target, document)
        query = "?input=" + urllib.parse.quote(json.dumps(document))
        ours, theirs = ask(both, "GET", target + query)
        assert ours == theirs, (target, document)
    for target, body in [
        ("/v1/data/shop/groups", {}),
        ("/v1/data/shop/groups", b""),
        ("/v1/data/shop/allow", {"inputs": 1}),
    ]:
        ours, theirs = ask(both, "POST", target, body)
        assert ours == theirs, target


def test_errors_have_the_form_of_opa(both):
    for target, body, status in [
        ("/v1/data/shop/allow", b"{", 400),
        ("/v1/data/shop/allow", b"[]", 400),
        ("/v1/data/shop/clash", b'{"input": {"clash": true}}', 500),
    ]:
        ours, theirs = ask(both, "POST", target, body)
        assert (ours[0], theirs[0]) == (status, status), (target, ours)
        assert ours[1]["code"] == theirs[1]["code"]
    assert ours[1]["message"] == theirs[1]["message"]
    assert ours[1]["errors"][0]["code"] == theirs[1]["errors"][0]["code"] == "eval_conflict_error"


def test_pretty_is_the_same_text(both):
    aegis, opa = both
    token = {"Authorization": "Bearer " + aegis.token("finance-agent")}
    document = {"input": [{"a": [], "b": {}, "c": [1, 'x,{\\"y']}]}
    ours = request(aegis.gateway + "/v1/data/shop/echo?pretty", "POST", document, token).body
    theirs = request(opa + "/v1/data/shop/echo?pretty", "POST", document).body
    lines = [line for line in ours.decode().split("\n") if "decision_id" not in line]
    assert lines == [line for line in theirs.decode().split("\n") if "decision_id" not in line]


def test_who_asks_is_never_taken_from_the_input(both):
    aegis, _ = both
    spoofed = {
        "agent": {"id": "finance-agent"},
        "tenant": "other",
        "org": "other",
        "chain": [{"type": "user", "id": "root"}],
        "time": {"unix_ns": 0},
    }
    token = {"Authorization": "Bearer " + aegis.token("other-agent", "user:alice")}
    answer = request(aegis.gateway + "/v1/data/shop/whoami", "POST", {"input": spoofed}, token)
    chain = [{"type": "user", "id": "alice"}]
    assert answer.json()["result"] == ["other-agent", "default", chain]
    call = {"input": spoofed | {"tool": "payments", "action": "pay", "params": {}}}
    answer = request(aegis.gateway + "/v1/data/aegis/decision", "POST", call, token)
    assert answer.json()["result"]["outcome"] == "deny"
    token = {"Authorization": "Bearer " + aegis.token("finance-agent")}
    answer = request(aegis.gateway + "/v1/data/aegis/decision", "POST", call, token)
    assert answer.json()["result"]["outcome"] == "allow"
    # Each answer has its durable record, with who really asked.
    records = [
        json.loads(line)
        for line in aegis.cli("audit", "search", "--jsonl", "--limit", "0").stdout.splitlines()
    ]
    by_id = {record["id"]: record for record in records}
    record = by_id[answer.json()["decision_id"]]
    assert (record["agent"], record["tool"], record["action"]) == (
        "finance-agent",
        "payments",
        "pay",
    )
    queries = [record for record in records if record.get("tool") == "opa:data"]
    assert {record["action"] for record in queries} >= {"shop/whoami", "shop/allow"}
