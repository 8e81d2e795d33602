"""One Aegis and one tool of each kind, shared by all tests; each file starts its own Envoy."""

import pytest
from support.aegis_process import Aegis, Tool
from support.envoy_process import port_of
from support.envoy_site import free_port, set_up
from support.tools import EventsTool, GrpcTool, Http2Tool


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
        9901: port_of(aegis.admin),
        9191: port_of(aegis.run["envoy"]),
        8080: port_of(aegis.gateway),
        9400: port_of(tools.payments.url),
        9401: tools.search.port,
        9402: tools.feed.port,
        9403: tools.ledger.port,
    }
