"""What the tests of this folder have in common: agents, policies, ports."""

import socket

from support.aegis_process import Aegis

FINANCE_POLICY = """\
agent: finance-agent
allowed_tools:
  - name: stripe-payments
    actions: [create_payment]
    conditions: {max_amount: 5000}
    callers: ["user:alice"]
  - name: stripe-payments
    actions: ["list_*"]
  - name: search
    actions: [find]
  - name: feed
    actions: [subscribe]
  - name: archive
    actions: [put]
  - name: ledger
    actions: [Balance, Watch, Sum]
denied_tools:
  - name: crm
"""
WATCHED_POLICY = """\
agent: watched-agent
mode: shadow
allowed_tools:
  - name: search
    actions: [find]
"""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return listening.getsockname()[1]


def set_up(running: Aegis, folder) -> str:
    """The agents and policies of these tests. No tool is registered: Envoy reaches them itself.

    Returns the token that idle-agent got before it was suspended.
    """
    for agent in ("finance-agent", "watched-agent", "idle-agent"):
        running.cli("agent", "register", agent)
    running.publish(folder, finance=FINANCE_POLICY, watched=WATCHED_POLICY)
    idle_token = running.token("idle-agent")
    running.cli("agent", "suspend", "idle-agent")
    running.wait_ready_to_decide()
    return idle_token
