"""Reads the audit journal by docs/formats/audit-segment.md alone, to count what is on disk."""

import json
import pathlib
import struct

HEADER = struct.Struct("<8sIIQ")
FRAME = struct.Struct("<IIB7xQQ")
MAGIC = b"\x89AEGSEG\n"


def records(folder: pathlib.Path):
    """Every record below the folder, one journal after the other, as (journal, sequence, record).

    Raises ValueError at a gap in the sequence numbers.
    """
    for journal in sorted({segment.parent for segment in folder.rglob("*.seg")}):
        expected = None
        for segment in sorted(journal.glob("*.seg")):
            content = segment.read_bytes()
            magic, _, header_bytes, first = HEADER.unpack_from(content)
            if magic != MAGIC:
                raise ValueError(f"{segment} is not a segment")
            if expected is not None and first != expected:
                raise ValueError(f"{segment} begins with {first}, not {expected}")
            expected, at = first, header_bytes
            while at + FRAME.size <= len(content):
                _, size, kind, sequence, _ = FRAME.unpack_from(content, at)
                if kind != 1:
                    break  # the end, or space that is reserved
                if sequence != expected:
                    raise ValueError(f"{segment}: {sequence} follows {expected - 1}")
                payload = content[at + FRAME.size : at + FRAME.size + size]
                yield journal.name, sequence, json.loads(payload)
                expected += 1
                at += FRAME.size + (size + 7) // 8 * 8


def count(folder: pathlib.Path):
    """{(kind, outcome or None): number}."""
    totals = {}
    for _, _, record in records(folder):
        key = (record.get("kind"), record.get("outcome"))
        totals[key] = totals.get(key, 0) + 1
    return totals
