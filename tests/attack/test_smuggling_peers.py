"""The table of tests/attack/smuggling through nginx, HAProxy and Envoy: where they differ in what
the server behind them sees, or hand on what can be read in two ways, Aegis refuses.

`pytest -s` prints the rows in which they do.
"""

import concurrent.futures

import pytest
from attack.smuggling import check, check2, http2
from attack.smuggling.peers import Verdict, verdict
from attack.smuggling.row import FOLLOW_SEEN
from attack.smuggling.table import ROWS
from support.peer_proxies import Peer, find_program
from support.recording_upstream import RecordingUpstream

WIDTH = 56


def through_all(folder, rows, ask) -> dict[str, list[Verdict]]:
    """What each proxy made of each row; `ask` sends one and gives the statuses of the answers."""
    for name in Peer.NAMES:
        if not find_program(name):
            pytest.skip(f"{name} is not installed: run scripts/setup test")

    def run(name: str) -> list[Verdict]:
        with RecordingUpstream() as upstream, Peer(name, folder, upstream.port) as peer:
            return [verdict(ask(row, peer), upstream.take()) for row in rows]

    with concurrent.futures.ThreadPoolExecutor() as pool:
        return dict(zip(Peer.NAMES, pool.map(run, Peer.NAMES), strict=True))


def aegis_passes(row) -> bool:
    return any(seen != FOLLOW_SEEN for seen in row.seen)


def compare(rows, verdicts) -> int:
    """Prints the rows in which the proxies differ; in how many they do."""
    unexplained, needless, table = [], [], []
    doubtful = different = 0
    for number, row in enumerate(rows):
        views = [verdicts[name][number] for name in Peer.NAMES]
        differ = len({view.seen for view in views}) > 1
        doubt = any(view.doubts for view in views)
        different += differ
        doubtful += doubt
        if differ or doubt:
            cells = " ".join(f"{view.tell():{WIDTH}.{WIDTH}}" for view in views)
            table.append(
                f"{row.name:40.40} {'passes' if aegis_passes(row) else 'refused':8}{cells}"
            )
            if aegis_passes(row) and not row.differ:
                unexplained.append(table[-1])
        elif row.differ and aegis_passes(row):
            needless.append(row.name)
    head = f"{'':40} {'Aegis':8}" + " ".join(f"{name:{WIDTH}}" for name in Peer.NAMES)
    print("\n".join(["", head, *table]))
    print(
        f"{len(rows)} rows: the proxies differ in {different}, in {doubtful} they hand on a doubt"
    )
    assert not unexplained, "\n" + "\n".join(unexplained)
    assert not needless, f"explained, though nobody differs: {needless}"
    return different


def test_where_other_proxies_differ_aegis_refuses(tmp_path):
    def ask(row, peer) -> tuple[int, ...]:
        got = check.send_elsewhere(row, peer.port, "t")
        return tuple(reply.status for reply in got.replies)

    assert compare(ROWS, through_all(tmp_path, ROWS, ask)) > 50, "they cannot have been asked"


def test_where_other_proxies_differ_in_http2_aegis_refuses(tmp_path):
    def ask(row, peer) -> tuple[int, ...]:
        got = check2.send_elsewhere(row, peer.port2, "t")
        return (got.streams[1].status,) if 1 in got.streams and got.streams[1].status else ()

    assert compare(http2.ROWS, through_all(tmp_path, http2.ROWS, ask)) > 20
