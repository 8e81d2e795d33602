"""deploy/envoy/tenants.yaml: two hosts, each a tenant's, with an Aegis of its own."""

import contextlib
import copy

import pytest
from support.aegis_process import Aegis, cli
from support.calls import Agent
from support.envoy_process import Envoy, deployed, manager, port_of
from support.envoy_site import FINANCE_POLICY, free_port

PAYMENTS = {"host": "payments.example"}
RESEARCH = {"host": "research.example:10000"}
PAY = "/tools/stripe-payments/create_payment"
RESEARCH_POLICY = """\
agent: finance-agent
allowed_tools:
  - name: search
    actions: [find]
"""


@pytest.fixture(scope="module")
def serve(tmp_path_factory):
    """Starts the Aegis of a tenant."""
    with contextlib.ExitStack() as stack:

        def start(tenant: str, policy: str) -> Aegis:
            folder = tmp_path_factory.mktemp(tenant)
            flags = ("--tenant", tenant, "--ext-authz", f"127.0.0.1:{free_port()}")
            running = stack.enter_context(Aegis(folder / "data", *flags))
            running.cli("agent", "register", "finance-agent")
            running.publish(folder / "policies", finance=policy)
            running.wait_ready_to_decide()
            return running

        yield start


@pytest.fixture(scope="module")
def payments(serve):
    return serve("payments", FINANCE_POLICY)


@pytest.fixture(scope="module")
def research(serve):
    return serve("research", RESEARCH_POLICY)


@pytest.fixture(scope="module")
def token(payments):
    return payments.token("finance-agent", "user:alice")


@pytest.fixture(scope="module")
def moved(ports, payments, research):
    asked = {9191: port_of(payments.run["envoy"]), 9192: port_of(research.run["envoy"])}
    return ports | asked


@pytest.fixture(scope="module")
def envoy(tmp_path_factory, moved):
    folder = tmp_path_factory.mktemp("tenants")
    with Envoy(folder, deployed("tenants", moved)) as running:
        running.wait_healthy("aegis-research")
        yield running


def test_each_tenant_is_judged_by_its_own_policies_and_recorded_there(
    envoy, payments, research, token, tools
):
    with Agent(envoy.url, token) as agent:
        got = agent.call(PAY, {"amount": 1}, headers=PAYMENTS)
        assert got.status == 200, got
        decision_id = got.headers["x-aegis-decision-id"]
        assert payments.json("audit", "show", decision_id)["decision"]["tool"] == "stripe-payments"
        assert research.cli("audit", "show", decision_id, check=False).returncode != 0
    with Agent(envoy.url, research.token("finance-agent")) as agent:
        got = agent.call("/v2/find", {"q": 1}, headers=RESEARCH)
        assert got.status == 200, got
        assert tools.search.seen[-1][1] == "/v2/find"
        decision_id = got.headers["x-aegis-decision-id"]
        assert research.json("audit", "show", decision_id)["decision"]["tool"] == "search"
        got = agent.call("/v2/drop", {}, headers=RESEARCH)
        assert (got.status, got.reason) == (403, "action_not_allowed")


def test_no_tenants_agent_gets_into_another(envoy, research, token, tools):
    before = tools.seen()
    for own, path, host in (
        (token, "/v2/find", RESEARCH),
        (research.token("finance-agent"), PAY, PAYMENTS),
    ):
        with Agent(envoy.url, own) as agent:
            got = agent.call(path, {"amount": 1}, headers=host)
            assert (got.status, got.reason) == (401, "token_invalid"), got
    # A host that is no tenant's has no routes.
    with Agent(envoy.url, token) as agent:
        for host in ("other.example", "payments.example.evil.example", "research.example."):
            assert agent.call(PAY, {"amount": 1}, headers={"host": host}).status == 404
        # What a client says of its tenant changes nothing.
        got = agent.call("/v2/find", {}, headers=RESEARCH | {"x-aegis-tenant": "default"})
        assert got.status == 401
    assert tools.seen() == before


# Context extensions of the first host's first route -> why its calls are refused.
MISTAKES = {
    "another tenant": ({"aegis.tenant": "research"}, "wrong_tenant"),
    "a name that there is not": ({"aegis.tenat": "payments"}, "route_misconfigured"),
    "an empty name": ({"aegis.tool": ""}, "route_misconfigured"),
    "a prefix without a tool": ({"aegis.prefix": "/tools"}, "route_misconfigured"),
}


def test_a_route_that_says_something_wrong_is_refused(tmp_path, moved, token, tools):
    config = deployed("tenants", moved)
    host = manager(config)["route_config"]["virtual_hosts"][0]
    for number, (extensions, _) in enumerate(MISTAKES.values()):
        route = copy.deepcopy(host["routes"][0])
        route["match"] = {"prefix": f"/tools/{number}/"}
        own = copy.deepcopy(host["typed_per_filter_config"])
        own["envoy.filters.http.ext_authz"]["check_settings"] = {"context_extensions": extensions}
        route["typed_per_filter_config"] = own
        host["routes"].insert(0, route)
    before = tools.seen()
    with Envoy(tmp_path, config) as envoy, Agent(envoy.url, token) as agent:
        got = {}
        for number, name in enumerate(MISTAKES):
            answer = agent.call(f"/tools/{number}/x", {"amount": 1}, headers=PAYMENTS)
            assert answer.status in (403, 404)
            got[name] = answer.reason
    assert got == {name: reason for name, (_, reason) in MISTAKES.items()}
    assert tools.seen() == before


def test_an_aegis_serves_its_tenant_only(tmp_path, moved, payments, research, tools):
    """Envoy asks the wrong Aegis: what the route says of its tenant counts."""
    config = deployed("tenants", moved | {9192: moved[9191]})
    with Envoy(tmp_path, config) as envoy, Agent(envoy.url, payments.token("finance-agent")) as a:
        got = a.call("/v2/find", {}, headers=RESEARCH)
        assert (got.status, got.reason) == (403, "wrong_tenant"), got


def test_a_tenant_must_have_a_name(tmp_path):
    refused = cli("--data", tmp_path, "up", "--tenant", "a/b", check=False)
    assert refused.returncode != 0 and "is not a tenant's name" in refused.stderr
