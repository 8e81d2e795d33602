"""Fixtures: a running Aegis with one tool and one agent."""

import pytest
from support.aegis_process import PAYMENTS_POLICY, Aegis, Tool


@pytest.fixture
def tool():
    with Tool() as running:
        yield running


@pytest.fixture
def aegis(tmp_path, tool):
    """Aegis with finance-agent, the tool `payments`, and PAYMENTS_POLICY in force."""
    with Aegis(tmp_path / "data") as running:
        running.cli("agent", "register", "finance-agent", "--label", "team=finance")
        running.cli("tool", "add", "payments", "--url", tool.url)
        running.publish(tmp_path / "policies", finance=PAYMENTS_POLICY)
        running.wait_ready_to_decide()
        yield running
