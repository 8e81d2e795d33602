"""The runnable examples, run as their READMEs say."""

import os
import subprocess
import sys

from support.aegis_process import ROOT

FINANCE_POLICY = """\
agent: finance-agent
allowed_tools:
  - name: stripe-payments
    actions: [create_payment]
    conditions: {max_amount: 5000}
"""


def test_a_langgraph_agent_reads_the_reason_of_a_refusal(aegis, tmp_path, tool):
    aegis.cli("tool", "add", "stripe-payments", "--url", tool.url)
    aegis.publish(tmp_path / "policies", finance=FINANCE_POLICY)
    token = aegis.token("finance-agent", "user:alice")
    while aegis.call(token, "stripe-payments", "create_payment", {"amount": 1}).status != 200:
        pass
    before = len(tool.seen)
    done = subprocess.run(
        [sys.executable, ROOT / "examples/langgraph/payments_agent.py"],
        env=os.environ | {"AEGIS_URL": aegis.gateway, "AEGIS_TOKEN": token},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert "amount 9000 exceeds max_amount 5000" in done.stdout
    assert "refused (action_not_allowed)" in done.stdout
    assert done.stdout.rstrip().endswith("1 of 3 steps done.")
    assert len(tool.seen) == before + 1
