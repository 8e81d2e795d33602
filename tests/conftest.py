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


@pytest.fixture
def envoy_aegis(tmp_path):
    """Aegis with the door for Envoys; no tool is registered, since Envoy reaches them itself."""
    with Aegis(tmp_path / "data", "--ext-authz", "127.0.0.1:0") as running:
        running.cli("agent", "register", "finance-agent", "--label", "team=finance")
        running.publish(tmp_path / "policies", finance=PAYMENTS_POLICY)
        running.wait_ready_to_decide()
        yield running


@pytest.fixture
def stub(envoy_aegis):
    """A client of its authorization service."""
    import grpc  # only these tests pay for it
    from support.ext_authz import OPTIONS, auth_grpc

    with grpc.insecure_channel(envoy_aegis.run["envoy"], options=OPTIONS) as channel:
        yield auth_grpc.AuthorizationStub(channel)
