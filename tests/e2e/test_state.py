"""What must survive a restart and a kill."""

import hashlib
import http.client
import json
import threading
import time
import uuid

from support.aegis_process import PAYMENTS_POLICY, Aegis


def test_a_restart_comes_back_to_the_same_state(aegis):
    token = aegis.token("finance-agent")
    version = aegis.call(token, "payments", "create_payment", {"amount": 1}).headers[
        "X-Aegis-Policy-Version"
    ]
    assert aegis.stop() == 0
    aegis.start()
    aegis.wait_ready_to_decide()
    answer = aegis.call(token, "payments", "create_payment", {"amount": 1})
    assert (answer.status, answer.headers["X-Aegis-Policy-Version"]) == (200, version)
    assert [row["name"] for row in aegis.json("agent", "list")] == ["finance-agent"]


def test_two_on_one_data_folder_are_refused(aegis):
    second = Aegis(aegis.data).start(wait=False)
    assert second.process.wait(timeout=20) == 1
    assert "data folder" in second.logged()
    assert aegis.call(aegis.token("finance-agent"), "payments", "list_all").status == 200


def params_hash(body: bytes) -> str:
    """As the record has it: of the canonical JSON (RFC 8785) of these plain params."""
    canonical = json.dumps(json.loads(body), sort_keys=True, separators=(",", ":"))
    return "sha256:" + hashlib.sha256(canonical.encode()).hexdigest()


def test_kill_under_load_loses_no_record_of_a_forwarded_call(tmp_path, tool):
    """Each request that the tool saw has unique params; after kill -9 each has its record."""
    aegis = Aegis(tmp_path / "data").start()
    aegis.cli("agent", "register", "finance-agent")
    aegis.cli("tool", "add", "payments", "--url", tool.url)
    aegis.publish(tmp_path / "policies", finance=PAYMENTS_POLICY)
    aegis.wait_ready_to_decide()
    seen_before = set()
    for _ in range(4):
        token = aegis.token("finance-agent")

        def load(token: str) -> None:
            for i in range(100_000):
                params = {"amount": i % 5000, "invoice": uuid.uuid4().hex}
                try:
                    aegis.call(token, "payments", "create_payment", params)
                except (OSError, http.client.HTTPException):
                    return

        threads = [threading.Thread(target=load, args=(token,)) for _ in range(8)]
        for thread in threads:
            thread.start()
        goal = len(tool.seen) + 200
        while len(tool.seen) < goal:
            time.sleep(0.001)
        aegis.kill()
        for thread in threads:
            thread.join()
        aegis.start()
        aegis.wait_ready_to_decide()

        lines = aegis.cli("audit", "search", "--jsonl", "--limit", "0").stdout.splitlines()
        records = [json.loads(line) for line in lines]
        decisions = {r["params_hash"]: r for r in records if r["kind"] == "decision"}
        forwarded = {params_hash(body) for _, _, _, body in tool.seen}
        assert forwarded and forwarded <= decisions.keys()
        assert all(decisions[i]["outcome"] == "allow" for i in forwarded)
        # Gap-free, and nothing that was there before is gone.
        assert [r["seq"] for r in records] == list(range(1, len(records) + 1))
        assert seen_before <= decisions.keys()
        seen_before = set(decisions)
    aegis.stop()
