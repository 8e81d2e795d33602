"""deploy/envoy/mtls.yaml: certificates between agent and Envoy, and between Envoy and Aegis."""

import json
import ssl

import httpx
import pytest
from support.aegis_process import Aegis
from support.calls import FORGED, Agent, ours_at
from support.certificates import authority, signed
from support.envoy_process import Envoy, deployed
from support.envoy_site import free_port, set_up

PAY = "/tools/stripe-payments/create_payment"
SPIFFE = "spiffe://example.org/agents/finance"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Stands for /etc/envoy."""
    folder = tmp_path_factory.mktemp("mtls")
    tls = folder / "tls"
    tls.mkdir()
    for name in ("agents-ca", "aegis-ca", "strangers-ca"):
        authority(tls, name)
    signed(tls, "agents-ca", "envoy", "DNS:tools.example.org")
    signed(tls, "agents-ca", "finance", f"URI:{SPIFFE}")
    signed(tls, "agents-ca", "build", "URI:spiffe://example.org/build/finance")
    signed(tls, "strangers-ca", "stranger", f"URI:{SPIFFE}")
    signed(tls, "aegis-ca", "envoy-client", "URI:spiffe://example.org/envoy")
    signed(tls, "aegis-ca", "aegis", "DNS:aegis.example.org")
    signed(tls, "aegis-ca", "other", "DNS:other.example.org")
    return folder


@pytest.fixture(scope="module")
def guarded(folder):
    """An Aegis that asks Envoys for their certificate."""
    tls = {
        "certificate": f"{folder}/tls/aegis.pem",
        "private_key": f"{folder}/tls/aegis.key",
        "client_ca": f"{folder}/tls/aegis-ca.pem",
    }
    config = folder / "aegis.yaml"
    config.write_text(json.dumps({"envoy": {"address": f"127.0.0.1:{free_port()}", "tls": tls}}))
    with Aegis(folder / "data", "--config", str(config)) as running:
        set_up(running, folder / "policies")
        yield running


@pytest.fixture(scope="module")
def moved(ports, guarded):
    return ports | {9191: int(guarded.run["envoy"].rpartition(":")[2])}


@pytest.fixture(scope="module")
def envoy(folder, moved):
    with Envoy(folder / "envoy", deployed("mtls", moved, folder)) as running:
        yield running


@pytest.fixture(scope="module")
def token(guarded):
    return guarded.token("finance-agent", "user:alice")


def context(folder, name: str | None) -> ssl.SSLContext:
    made = ssl.create_default_context(cafile=str(folder / "tls" / "agents-ca.pem"))
    made.check_hostname = False
    if name:
        made.load_cert_chain(folder / "tls" / f"{name}.pem", folder / "tls" / f"{name}.key")
    return made


@pytest.mark.parametrize("http2", [False, True], ids=["http1", "http2"])
def test_the_workload_is_the_source_of_the_call(envoy, guarded, folder, token, tools, http2):
    url = envoy.url.replace("http", "https")
    forged = FORGED | {"x-forwarded-client-cert": "URI=spiffe://example.org/agents/root"}
    with Agent(url, token, http2=http2, verify=context(folder, "finance")) as agent:
        got = agent.call(PAY, {"amount": 1}, headers=forged)
        assert got.status == 200, got
        headers = tools.payments.seen[-1][2]
        ours_at(headers)
        assert "x-forwarded-client-cert" not in {name.lower() for name in headers}
        record = guarded.json("audit", "show", got.headers["x-aegis-decision-id"])["decision"]
        assert record["source"] == SPIFFE
        got = agent.call(PAY, {"amount": 9000}, headers=forged)
        assert (got.status, got.reason) == (403, "condition_failed")
        record = guarded.json("audit", "show", got.headers["x-aegis-decision-id"])["decision"]
        assert record["source"] == SPIFFE
    # A certificate is no token.
    with Agent(url, None, http2=http2, verify=context(folder, "finance")) as agent:
        assert agent.call(PAY, {"amount": 1}).status == 401


@pytest.mark.parametrize("name", [None, "stranger", "build"])
def test_other_workloads_do_not_get_in(envoy, folder, token, tools, name):
    before = tools.seen()
    url = envoy.url.replace("http", "https")
    with (
        Agent(url, token, verify=context(folder, name)) as agent,
        pytest.raises(httpx.TransportError),
    ):
        agent.call(PAY, {"amount": 1})
    assert tools.seen() == before


def upstream_tls(config) -> dict:
    aegis = next(c for c in config["static_resources"]["clusters"] if c["name"] == "aegis")
    return aegis["transport_socket"]["typed_config"]["common_tls_context"]


def other_name(tls: dict) -> None:
    tls["validation_context"]["match_typed_subject_alt_names"][0]["matcher"]["exact"] = "other"


def no_certificate(tls: dict) -> None:
    del tls["tls_certificates"]


def other_authority(tls: dict) -> None:
    trusted = tls["validation_context"]["trusted_ca"]
    trusted["filename"] = trusted["filename"].replace("aegis-ca", "strangers-ca")


@pytest.mark.parametrize("change", [other_name, no_certificate, other_authority])
def test_envoy_and_aegis_that_do_not_know_each_other_let_nothing_pass(
    tmp_path, folder, moved, token, tools, change
):
    config = deployed("mtls", moved, folder)
    change(upstream_tls(config))
    before = tools.seen()
    with Envoy(tmp_path, config) as envoy:
        url = envoy.url.replace("http", "https")
        with Agent(url, token, verify=context(folder, "finance")) as agent:
            assert agent.call(PAY, {"amount": 1}).status == 503
    assert tools.seen() == before
