"""Aegis before a tool that records, governed by the table's policy."""

import contextlib

from attack.smuggling.row import POLICY
from support.aegis_process import Aegis


@contextlib.contextmanager
def governed(folder, tool):
    with Aegis(folder / "data") as running:
        running.cli("agent", "register", "finance-agent")
        running.cli("tool", "add", "payments", "--url", tool.url)
        running.publish(folder / "policies", finance=POLICY)
        running.wait_ready_to_decide()
        yield running
