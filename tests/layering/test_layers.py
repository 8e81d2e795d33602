"""The table of allowed arrows (cmake/layers.cmake) holds in the sources and in the link graph."""

import pathlib
import re
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src" / "aegis"
INCLUDE = re.compile(r'^\s*#\s*include\s*[<"]aegis/([a-z0-9_]+)/', re.MULTILINE)


def read_layers() -> dict[str, set[str]]:
    """Library -> the libraries that its row names."""
    text = re.sub(r"#.*", "", (ROOT / "cmake" / "layers.cmake").read_text())
    rows = re.findall(r"set\(\s*AEGIS_MAY_USE_([a-z0-9_]+)\s*([^)]*)\)", text)
    return {name: set(used.split()) for name, used in rows}


LAYERS = read_layers()
LIBRARIES = sorted(path.parent.name for path in SOURCE.glob("*/CMakeLists.txt"))


def closure(table: dict[str, set[str]], name: str) -> set[str]:
    seen: set[str] = set()
    todo = list(table.get(name, ()))
    while todo:
        used = todo.pop()
        if used not in seen:
            seen.add(used)
            todo.extend(table.get(used, ()))
    return seen


def test_every_folder_is_a_library_with_a_row():
    assert LIBRARIES, "no library under src/aegis"
    assert [name for name in LIBRARIES if name not in LAYERS] == []


def test_rows_name_known_libraries_and_have_no_cycle():
    for name, used in LAYERS.items():
        assert used <= set(LAYERS), f"{name} names unknown {used - set(LAYERS)}"
        assert name not in closure(LAYERS, name), f"{name} depends on itself"


def test_gateway_and_control_never_meet():
    assert not {"store", "control", "policy", "cli"} & closure(LAYERS, "gateway")
    assert "gateway" not in closure(LAYERS, "control")
    assert "gateway" not in closure(LAYERS, "cli")


@pytest.mark.parametrize("library", LIBRARIES)
def test_includes_stay_within_the_row(library):
    """What is shipped; test code (*_test.cc, *_testing.*) may use any library to set its scene."""
    allowed = LAYERS[library] | {library}
    wrong = []
    for path in sorted((SOURCE / library).rglob("*")):
        if path.suffix in (".h", ".cc") and not path.stem.endswith(("_test", "_testing")):
            for used in INCLUDE.findall(path.read_text()):
                if used not in allowed:
                    wrong.append(f"{path.relative_to(ROOT)} includes aegis/{used}/")
    assert wrong == []


def test_link_graph_stays_within_the_rows(tmp_path):
    """Reads what CMake would link, so that a target that avoids aegis_library is seen too."""
    build = tmp_path / "build"
    dot = tmp_path / "graph.dot"
    process = subprocess.run(
        [
            "cmake", "-S", ROOT, "-B", build, "-G", "Ninja", f"--graphviz={dot}",
            "-DCMAKE_BUILD_TYPE=Release", "-DAEGIS_TESTS=OFF", "-DAEGIS_BENCH=OFF",
        ],
        capture_output=True,
        text=True,
    )  # fmt: skip
    assert process.returncode == 0, process.stderr[-3000:]
    graph = dot.read_text()
    # `"node3" [ label = "aegis_json\n(aegis::json)", ...`: the first line of a label is the target.
    labels = {
        node: label.split("\\n")[0]
        for node, label in re.findall(r'"(node\d+)" \[ label = "([^"]+)"', graph)
    }
    edges = [
        (labels.get(source, ""), labels.get(target, ""))
        for source, target in re.findall(r'"(node\d+)" -> "(node\d+)"', graph)
    ]
    library_of = {f"aegis_{name}": name for name in LIBRARIES} | {"aegis": "app"}
    arrows = {
        (library_of[source], library_of[target])
        for source, target in edges
        if source in library_of and target in library_of
    }
    assert len(arrows) >= len(LIBRARIES) - 2, f"the graph looks empty: {sorted(arrows)}"
    wrong = [f"{a} -> {b}" for a, b in sorted(arrows) if a != b and b not in LAYERS[a]]
    assert wrong == []
