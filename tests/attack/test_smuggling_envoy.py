"""The table of tests/attack/smuggling at Envoys that ask Aegis (deploy/envoy/*.yaml).

Envoy reads the requests, and may make one meaning of what Aegis's own proxy refuses. Whatever
reaches the tool, then, is one thing to every reader, was judged, and is what was judged.
"""

import pytest
from attack.smuggling import check, check2, http2
from attack.smuggling.row import POLICY
from attack.smuggling.table import ROWS
from support.aegis_process import Aegis
from support.envoy_process import Envoy, deployed, manager, port_of
from support.recording_upstream import RecordingUpstream
from support.strict_http import Message

# Envoy takes the length 012 for 12, tells its HTTP variant nothing of it, and hands it on.
HIDDEN = "length with a leading zero"


@pytest.fixture(scope="module")
def tool():
    with RecordingUpstream() as running:
        yield running


@pytest.fixture(scope="module")
def aegis(tmp_path_factory):
    folder = tmp_path_factory.mktemp("aegis")
    with Aegis(folder / "data", "--ext-authz", "127.0.0.1:0") as running:
        running.cli("agent", "register", "finance-agent")
        running.publish(folder / "policies", finance=POLICY)
        running.wait_ready_to_decide()
        yield running


@pytest.fixture(scope="module", params=["with-body", "ext-proc", "http-variant"])
def envoy(tmp_path_factory, aegis, tool, request):
    ports = {8080: port_of(aegis.gateway), 9901: port_of(aegis.admin), 9400: tool.port}
    config = deployed(request.param, ports | {9191: port_of(aegis.run["envoy"])})
    # Only so that a thousand refused connections are not waited for.
    manager(config)["delayed_close_timeout"] = "0.02s"
    routes = manager(config)["route_config"]["virtual_hosts"][0]["routes"]
    (ours,) = (r for r in routes if r["match"].get("prefix") == "/tools/stripe-payments/")
    ours["match"]["prefix"] = "/tools/payments/"
    with Envoy(tmp_path_factory.mktemp("envoy"), config) as running:
        running.wait_healthy()
        running.asks_by_http = request.param == "http-variant"
        yield running


def test_every_row_through_envoy(aegis, envoy, tool):
    token = aegis.token("finance-agent", ttl="1h")
    reached = []
    for row in ROWS:
        check.send_elsewhere(row, envoy.port, token)
        reached += [(row.name, message) for message in tool.take()]
    for row in http2.ROWS:
        check2.send_elsewhere(row, envoy.port, token)
        reached += [(f"HTTP/2: {row.name}", message) for message in tool.take()]
    reached += [("later", message) for message in tool.take(settle=0.2)]

    records, wrong = check.decisions(aegis), []
    for name, message in reached:
        if (mistake := unjudged(message, records)) and not (HIDDEN in name and envoy.asks_by_http):
            wrong.append(f"{name}: {mistake}")
    assert not wrong, "\n" + "\n".join(wrong)
    assert len(reached) > 300


def unjudged(message, records: dict) -> str:
    """Why the tool should not have received this; empty: it was judged so."""
    if not isinstance(message, Message) or message.doubts:
        return check.tell(message)
    ids = message.all("x-aegis-decision-id")
    record = records.get(ids[0]) if len(ids) == 1 else None
    if not record or record["outcome"] != "allow":
        return f"{check.tell(message)}: no record of it: {ids}"
    if message.all("authorization"):
        return "the tool received the token"
    return check.unlike(record, message)
