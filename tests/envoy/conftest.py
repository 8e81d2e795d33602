"""One Aegis and one tool of each kind, shared by all tests; each file starts its own Envoy."""

import socket

import pytest
from support.aegis_process import Aegis, Tool
from support.envoy_process import port_of
from support.tools import EventsTool, GrpcTool, Http2Tool

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


@pytest.fixture(scope="session")
def aegis(tmp_path_factory):
    folder = tmp_path_factory.mktemp("aegis")
    # A port of its own, so that Envoy finds it again after a restart.
    with Aegis(folder / "data", "--ext-authz", f"127.0.0.1:{free_port()}") as running:
        running.idle_token = set_up(running, folder / "policies")
        yield running


@pytest.fixture(scope="session")
def token(aegis):
    return aegis.token("finance-agent", "user:alice", ttl="1h")


class Tools:
    def __init__(self):
        self.payments, self.search = Tool(), Http2Tool()
        self.feed, self.ledger = EventsTool(), GrpcTool()

    def seen(self) -> int:
        """Calls that reached any tool."""
        return sum(len(t.seen) for t in (self.payments, self.search, self.feed, self.ledger))

    def close(self) -> None:
        for tool in (self.search, self.feed, self.ledger):
            tool.close()
        self.payments.__exit__()


@pytest.fixture(scope="session")
def tools():
    running = Tools()
    yield running
    running.close()


@pytest.fixture(scope="session")
def ports(aegis, tools):
    """Where the ports in the files of deploy/envoy are in these tests."""
    return {
        9191: port_of(aegis.run["envoy"]),
        8080: port_of(aegis.gateway),
        9400: port_of(tools.payments.url),
        9401: tools.search.port,
        9402: tools.feed.port,
        9403: tools.ledger.port,
    }
