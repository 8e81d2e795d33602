"""Fixtures for every test that starts real programs. See tests/README.md."""

import os
import pathlib
import shutil

import pytest

from support.aegis_process import BINARY, Aegis
from support.tool_server import ToolServer

ROOT = pathlib.Path(__file__).resolve().parents[1]


def find_program(name: str) -> str:
    """A program that scripts/setup or scripts/build provides, wherever the test was started from."""
    for folder in ("build/bin", "build/deps/bin", "build/deps/go/bin"):
        candidate = ROOT / folder / name
        if os.access(candidate, os.X_OK):
            return str(candidate)
    found = shutil.which(name)
    assert found, f"{name} is missing: run `make setup` and `scripts/build tests`"
    return found


@pytest.fixture(scope="session")
def root() -> pathlib.Path:
    return ROOT


@pytest.fixture(scope="session")
def aegis_bin() -> pathlib.Path:
    assert BINARY.is_file(), f"{BINARY} is missing: run `scripts/build tests`"
    return BINARY


@pytest.fixture(scope="session")
def opa() -> str:
    """Stock OPA, built from its own module."""
    return find_program("opa")


@pytest.fixture(scope="session")
def promtool() -> str:
    return find_program("promtool")


@pytest.fixture
def tool():
    """A running tool server."""
    with ToolServer() as server:
        yield server


@pytest.fixture
def aegis_up(aegis_bin, tmp_path):
    """Factory: aegis_up("--shadow", data=...) starts an instance; all are stopped at the end."""
    started = []

    def start(*arguments, data=None, env=None):
        instance = Aegis(data or tmp_path / f"data{len(started)}", arguments=arguments, env=env)
        started.append(instance)
        return instance.start()

    yield start
    for instance in started:
        if instance.process is not None and instance.process.poll() is None:
            instance.stop()


@pytest.fixture
def aegis(aegis_up):
    """A fresh running instance without agents, tools or policies."""
    return aegis_up()
