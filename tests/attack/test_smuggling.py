"""The table of tests/attack/smuggling on Aegis: what policy judged is what the tool receives."""

import pytest
from attack.smuggling import check2, http2
from attack.smuggling.check import cut_off, decisions, faults, send, unlike
from attack.smuggling.site import governed
from attack.smuggling.table import ROWS
from support.envoy_process import port_of
from support.recording_upstream import RecordingUpstream


@pytest.fixture(scope="module")
def tool():
    with RecordingUpstream() as running:
        yield running


@pytest.fixture(scope="module")
def aegis(tmp_path_factory, tool):
    with governed(tmp_path_factory.mktemp("smuggling"), tool) as running:
        yield running


def test_every_row_sends_something_else():
    assert len({row.data for row in ROWS}) == len(ROWS)


@pytest.mark.parametrize("byte_by_byte", [False, True])
def test_every_row_on_aegis(aegis, tool, byte_by_byte):
    """Answers, what the tool received, and that it is what the records say was judged."""
    port, token = port_of(aegis.gateway), aegis.token("finance-agent", ttl="1h")
    wrong, judged = {}, {}
    for row in ROWS:
        got = send(row, port, token, byte_by_byte)
        received = tool.take()
        found = faults(row, got, received)
        if found and byte_by_byte and row.early:
            found = faults(cut_off(row), got, received)
        if found:
            wrong[row.name] = found
        passed = [reply for reply in got.replies if reply.status == 200]
        for reply, message in zip(passed, received, strict=False):
            judged[reply.fields["x-aegis-decision-id"]] = (row.name, message)
    assert not tool.take(settle=0.2), "something reached the tool later"

    records = decisions(aegis)
    for decision, (name, message) in judged.items():
        if mistake := unlike(records[decision], message):
            wrong.setdefault(name, []).append(mistake)
    for name, found in wrong.items():
        print(f"{name}: {'; '.join(found)}")
    assert not wrong, f"{len(wrong)} of {len(ROWS)} rows"
    assert len(judged) > 100


def test_every_row_of_http2_on_aegis(aegis, tool):
    """The same of requests as frames, which the tool gets as text."""
    port, token = port_of(aegis.gateway), aegis.token("finance-agent", ttl="1h")
    wrong, reached = {}, []
    for row in http2.ROWS:
        got = check2.send(row, port, token)
        received = tool.take()
        if found := check2.faults(row, got, received):
            wrong[row.name] = found
        for stream in got.streams.values():
            if stream.status == 200:
                reached.append((row.name, stream.fields["x-aegis-decision-id"]))
    assert not tool.take(settle=0.2), "something reached the tool later"
    records = decisions(aegis)
    for name, decision in reached:
        if records[decision]["outcome"] != "allow":
            wrong.setdefault(name, []).append(f"{decision} was not allowed")
    for name, found in wrong.items():
        print(f"{name}: {'; '.join(found)}")
    assert not wrong, f"{len(wrong)} of {len(http2.ROWS)} rows"
    assert len(reached) > 100
