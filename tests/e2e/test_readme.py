"""Every command of the README's tour, in order, in one shell, beside a running demo."""

import time

from support.aegis_process import Aegis
from support.documents import blocks, run


def test_the_tour(tmp_path):
    tour = blocks("README.md", after="## A five-minute tour")
    assert len(tour) >= 8
    with Aegis(tmp_path / "aegis-data", "--demo", "--demo-payments", "127.0.0.1:0") as aegis:
        deadline = time.monotonic() + 30
        while "Ctrl-C" not in aegis.output or not aegis.json("agent", "unknown"):
            assert time.monotonic() < deadline, aegis.logged()
            time.sleep(0.05)
        # The tour's own ports are the defaults; here they are whatever was free. And the program
        # is the one that is tested.
        script = "\n".join(tour).replace("http://127.0.0.1:8080", aegis.gateway)
        script = script.replace('export PATH="$PWD/build/release/bin:$PATH"\n', "")
        output = run(script, aegis, tmp_path)
        for expected in (
            "finance-agent",
            '"status":"succeeded"',
            "amount 9000 exceeds max_amount 5000",
            "condition_failed",
            "max_amount",
            "rogue-agent",
            "must-deny: no grant",
        ):
            assert expected in output, f"{expected!r} is missing in\n{output}"
        # What step 4 published is in force.
        token = aegis.token("support-agent")
        refund = {"payment_id": "pay_1", "amount": 50}
        since = time.monotonic()
        while aegis.call(token, "stripe-payments", "refund_payment", refund).status != 201:
            assert time.monotonic() - since < 1
