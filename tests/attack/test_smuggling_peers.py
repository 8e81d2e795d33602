"""The table of tests/attack/smuggling through nginx, HAProxy and Envoy: where they differ in what
the server behind them sees, or hand on what can be read in two ways, Aegis refuses.

`pytest -s` prints the rows in which they do.
"""

import concurrent.futures

import pytest
from attack.smuggling import bodies, framing, heads, targets
from attack.smuggling.check import send
from attack.smuggling.peers import Verdict, verdict
from attack.smuggling.row import FOLLOW_SEEN, Row
from support.peer_proxies import Peer, find_program
from support.recording_upstream import RecordingUpstream

ROWS = [*framing.ROWS, *heads.ROWS, *targets.ROWS, *bodies.ROWS]
SILENCE = 0.5  # seconds after which a proxy that has not answered waits for more
WIDTH = 56


@pytest.fixture(scope="module")
def verdicts(tmp_path_factory) -> dict[str, list[Verdict]]:
    """Of each proxy, in the order of ROWS."""
    for name in Peer.NAMES:
        if not find_program(name):
            pytest.skip(f"{name} is not installed: run scripts/setup test")
    folder = tmp_path_factory.mktemp("peers")

    def run(name: str) -> list[Verdict]:
        with RecordingUpstream() as upstream, Peer(name, folder, upstream.port) as peer:
            found = []
            for row in ROWS:
                got = send(row, peer.port, "t", SILENCE, believe=True)
                found.append(verdict(got, upstream.take()))
            return found

    with concurrent.futures.ThreadPoolExecutor() as pool:
        return dict(zip(Peer.NAMES, pool.map(run, Peer.NAMES), strict=True))


def aegis_passes(row: Row) -> bool:
    return any(seen != FOLLOW_SEEN for seen in row.seen)


def test_where_other_proxies_differ_aegis_refuses(verdicts):
    unexplained, needless, table = [], [], []
    doubtful = different = 0
    for number, row in enumerate(ROWS):
        views = {name: verdicts[name][number] for name in Peer.NAMES}
        differ = len({view.seen for view in views.values()}) > 1
        doubt = any(view.doubts for view in views.values())
        different += differ
        doubtful += doubt
        if differ or doubt:
            cells = [f"{views[name].tell():{WIDTH}.{WIDTH}}" for name in Peer.NAMES]
            table.append(f"{row.name:40.40} {'passes' if aegis_passes(row) else 'refused':8} "
                         + " ".join(cells))  # fmt: skip
            if aegis_passes(row) and not row.differ:
                unexplained.append(table[-1])
        elif row.differ and aegis_passes(row):
            needless.append(row.name)
    head = f"{'':40} {'Aegis':8} " + " ".join(f"{name:{WIDTH}}" for name in Peer.NAMES)
    print("\n".join(["", head, *table]))
    print(
        f"{len(ROWS)} rows: the three differ in {different}, hand on what is in doubt in {doubtful}"
    )
    assert not unexplained, "\n" + "\n".join(unexplained)
    assert not needless, f"explained, though nobody differs: {needless}"
    assert different > 50, "the proxies cannot have been asked"
