"""The six outcomes of `aegis up --demo`, as its table and as its records."""

import json
import time

from support.aegis_process import Aegis


def test_the_six_outcomes(tmp_path):
    with Aegis(
        tmp_path / "data", "--demo", "--demo-payments", "127.0.0.1:0", "-o", "json"
    ) as aegis:
        deadline = time.monotonic() + 30
        while '"steps"' not in aegis.output or not aegis.output.rstrip().endswith("}"):
            assert time.monotonic() < deadline, aegis.logged()
            time.sleep(0.05)
        steps = json.loads(aegis.output[aegis.output.index("{") :])["steps"]
        rows = [
            (s["status"], s["outcome"], s["reason"], s["shadow"], s["reached_tool"]) for s in steps
        ]
        assert rows == [
            (201, "allow", "", "", True),
            (403, "deny", "condition_failed", "", False),
            (403, "deny", "action_not_allowed", "", False),
            (401, "", "token_invalid", "", False),
            (403, "deny", "caller_not_permitted", "", False),
            (201, "allow", "", "deny", True),
        ]
        assert steps[1]["detail"] == "amount 9000 exceeds max_amount 5000"

        # Each decision left a record that says the same.
        for step in steps:
            if not step["decision_id"]:
                continue
            record = aegis.json("audit", "show", step["decision_id"])["decision"]
            assert record["tool"] == "stripe-payments"
            assert record["outcome"] == (step["shadow"] or step["outcome"])
            assert record["enforced"] is (step["shadow"] == "")
        planner = aegis.json("audit", "show", steps[4]["decision_id"])["decision"]
        assert planner["chain"] == [
            {"type": "user", "id": "alice"},
            {"type": "agent", "id": "planner-agent"},
        ]
