"""The HTTP/2 rows of tests/attack/smuggling on Aegis: what policy judged is what the tool gets."""

import pytest
from attack.smuggling import check2, http2
from attack.smuggling.check import decisions, unlike
from attack.smuggling.site import governed
from support.envoy_process import port_of
from support.http2_wire import Data, exchange
from support.recording_upstream import RecordingUpstream


@pytest.fixture(scope="module")
def tool():
    with RecordingUpstream() as running:
        yield running


@pytest.fixture(scope="module")
def aegis(tmp_path_factory, tool):
    with governed(tmp_path_factory.mktemp("smuggling"), tool) as running:
        yield running


def test_every_row_of_http2_on_aegis(aegis, tool):
    port, token = port_of(aegis.gateway), aegis.token("finance-agent", ttl="1h")
    wrong, judged = {}, {}
    for row in http2.ROWS:
        got = check2.send(row, port, token)
        received = tool.take()
        if found := check2.faults(row, got, received):
            wrong[row.name] = found
        for message in received:
            for stream in got.streams.values():
                action = getattr(message, "target", "").partition("?")[0]
                decision = stream.fields.get("x-aegis-decision-id")
                if decision and stream.status == 200:
                    judged.setdefault(decision, []).append((row.name, action, message))
    assert not tool.take(settle=0.2), "something reached the tool later"

    records = decisions(aegis)
    for decision, candidates in judged.items():
        record = records[decision]
        if all(unlike(record, message) for _, _, message in candidates):
            name = candidates[0][0]
            wrong.setdefault(name, []).append(f"the tool received nothing like {record}")
    for name, found in wrong.items():
        print(f"{name}: {'; '.join(found)}")
    assert not wrong, f"{len(wrong)} of {len(http2.ROWS)} rows"


def test_streams_between_each_other_keep_their_bodies(aegis, tool):
    """Frames of four calls take turns; two of them ask for too much."""
    token = aegis.token("finance-agent")
    bodies = {1: b'{"amount":1}', 3: b'{"amount":9001}', 5: b'{"amount":3}', 7: b'{"amount":9003}'}
    steps = [http2.head(http2.JSON, stream=stream) for stream in bodies]
    for at in range(max(map(len, bodies.values()))):
        steps += [
            Data(body[at : at + 1], end=at + 1 == len(body), stream=stream)
            for stream, body in bodies.items()
            if at < len(body)
        ]
    steps = [check2.with_token(step, token) for step in steps]
    got = exchange(port_of(aegis.gateway), steps, tuple(bodies), check2.PATIENCE)
    statuses = {stream: got.streams[stream].status for stream in bodies}
    assert statuses == {1: 200, 3: 403, 5: 200, 7: 403}
    assert sorted(message.body for message in tool.take()) == [bodies[1], bodies[5]]
