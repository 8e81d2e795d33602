"""What the documents name is there: files in code spans, targets of links, the libraries."""

import pathlib
import re
import subprocess

import pytest

from layering.test_layers import LAYERS, closure

ROOT = pathlib.Path(__file__).resolve().parents[2]
TOP = {path.name for path in ROOT.iterdir() if path.is_dir() and not path.name.startswith(".")}
TOP -= {"build"}
PATH_SPAN = re.compile(r"^[A-Za-z0-9_.\-]+(/[A-Za-z0-9_.\-*{},]+)+/?$")


def documents() -> list[pathlib.Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "*.md"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return [ROOT / name for name in listed.stdout.split() if (ROOT / name).is_file()]


def without_code_blocks(text: str) -> str:
    return re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)


def spread(pattern: str) -> list[str]:
    """`a.{h,cc}` -> a.h, a.cc."""
    found = re.search(r"\{([^{}]*)\}", pattern)
    if not found:
        return [pattern]
    before, after = pattern[: found.start()], pattern[found.end() :]
    return [name for part in found.group(1).split(",") for name in spread(before + part + after)]


def exists(name: str) -> bool:
    return any(ROOT.glob(name.rstrip("/")))


DOCUMENTS = documents()
IDS = [str(path.relative_to(ROOT)) for path in DOCUMENTS]


@pytest.mark.parametrize("document", DOCUMENTS, ids=IDS)
def test_files_named_in_code_spans_exist(document):
    spans = re.findall(r"`([^`\n]+)`", without_code_blocks(document.read_text()))
    missing = []
    for span in spans:
        if PATH_SPAN.match(span) and span.split("/")[0] in TOP and not span.startswith("build/"):
            missing += [name for name in spread(span) if not exists(name)]
    assert missing == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=IDS)
def test_links_lead_somewhere(document):
    links = re.findall(r"\]\(([^)\s]+)\)", without_code_blocks(document.read_text()))
    missing = []
    for link in links:
        if "://" in link or link.startswith(("#", "mailto:")):
            continue
        target = document.parent / link.split("#")[0]
        if not target.exists():
            missing.append(link)
    assert missing == []


def test_architecture_table_is_the_table_of_cmake():
    """Rows in prose ("everything") are not compared; the others must mean the same arrows."""
    text = (ROOT / "ARCHITECTURE.md").read_text()
    table = {}
    for name, used in re.findall(r"^\| ([a-z0-9]+) \|[^|]*\| ([^|]*) \|$", text, re.MULTILINE):
        if name in LAYERS:
            words = used.strip().strip("\u2013").replace(",", " ").split()
            table[name] = set(words)
    assert set(table) == set(LAYERS), "a library is missing in ARCHITECTURE.md or has no row"
    for name, used in table.items():
        if used <= set(LAYERS):
            assert closure(table, name) == closure(LAYERS, name), name
