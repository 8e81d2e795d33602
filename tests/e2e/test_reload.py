"""Publishing changes decisions on a running gateway; broken policies change nothing."""

import threading
import time

from support.aegis_process import PAYMENTS_POLICY


def test_a_published_policy_is_in_force_within_a_second(aegis, tmp_path):
    token = aegis.token("finance-agent")
    assert aegis.call(token, "payments", "create_payment", {"amount": 4000}).status == 200
    aegis.publish(tmp_path / "policies", finance=PAYMENTS_POLICY.replace("5000", "100"))
    published = time.monotonic()
    while aegis.call(token, "payments", "create_payment", {"amount": 4000}).status != 403:
        assert time.monotonic() - published < 1.0
    assert aegis.call(token, "payments", "create_payment", {"amount": 90}).status == 200


def test_a_broken_policy_is_refused_and_the_running_one_stays(aegis, tmp_path):
    token = aegis.token("finance-agent")
    before = aegis.call(token, "payments", "create_payment", {"amount": 1}).headers[
        "X-Aegis-Policy-Version"
    ]
    broken = tmp_path / "broken.yaml"
    broken.write_text("agent: finance-agent\nalowed_tools: []\n")
    refused = aegis.cli("policy", "publish", "--prune", broken, check=False)
    assert refused.returncode == 1
    assert "broken.yaml:2:1" in refused.stderr and "allowed_tools" in refused.stderr
    answer = aegis.call(token, "payments", "create_payment", {"amount": 1})
    assert (answer.status, answer.headers["X-Aegis-Policy-Version"]) == (200, before)


def test_reloads_under_load_fail_no_call(aegis, tmp_path):
    """Amount 50 passes and 9999 does not, whichever version is in force."""
    token = aegis.token("finance-agent")
    stop = threading.Event()
    wrong, calls = [], [0]

    def load(amount: int, want: int) -> None:
        while not stop.is_set():
            answer = aegis.call(token, "payments", "create_payment", {"amount": amount})
            calls[0] += 1
            if answer.status != want:
                wrong.append((amount, answer.status, answer.body))

    threads = [
        threading.Thread(target=load, args=case) for case in ((50, 200), (9999, 403), (50, 200))
    ]
    for thread in threads:
        thread.start()
    try:
        for i in range(12):
            aegis.publish(
                tmp_path / "policies", finance=PAYMENTS_POLICY.replace("5000", str(100 + i))
            )
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert not wrong, wrong[:3]
    assert calls[0] > 100


def test_suspend_and_resume(aegis):
    token = aegis.token("finance-agent")

    def wait_for(status: int) -> dict:
        since = time.monotonic()
        while True:
            answer = aegis.call(token, "payments", "create_payment", {"amount": 1})
            if answer.status == status:
                return answer.json()
            assert time.monotonic() - since < 1.0

    aegis.cli("agent", "suspend", "finance-agent")
    assert wait_for(403)["reason"] == "agent_suspended"
    aegis.cli("agent", "resume", "finance-agent")
    wait_for(200)
