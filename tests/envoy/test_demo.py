"""`make demo-envoy`: the six calls of the demo, through Envoy."""

import json
import os
import signal
import socket
import subprocess
import time

import pytest
import yaml
from support.aegis_process import BINARY, ROOT
from support.envoy_process import deployed
from support.envoy_site import free_port

ROWS = [
    (201, "allow", "", "", True),
    (403, "deny", "condition_failed", "", False),
    (403, "deny", "action_not_allowed", "", False),
    (401, "", "token_invalid", "", False),
    (403, "deny", "caller_not_permitted", "", False),
    (201, "allow", "", "deny", True),
]


@pytest.fixture
def ports():
    return {9191: free_port(), 9400: free_port()}


def test_the_six_outcomes(tmp_path, ports):
    config = deployed("with-body", ports)
    listener = config["static_resources"]["listeners"][0]["address"]["socket_address"]
    listener["port_value"] = free_port()
    url = f"http://127.0.0.1:{listener['port_value']}"
    (tmp_path / "envoy.yaml").write_text(yaml.safe_dump(config))
    command = [ROOT / "scripts/demo_envoy", "--data", tmp_path / "data", "-o", "json"]
    for name in ("--gateway", "--control", "--admin"):
        command += [name, "127.0.0.1:0"]
    command += ["--demo-payments", f"127.0.0.1:{ports[9400]}"]
    settings = {
        "ENVOY_CONFIG": tmp_path / "envoy.yaml",
        "ENVOY_URL": url,
        "ENVOY_ASKS": f"127.0.0.1:{ports[9191]}",
        "ENVOY_LOGS": tmp_path,
        "AEGIS_BIN": BINARY,
    }
    out = tmp_path / "out"
    with out.open("wb") as told:
        demo = subprocess.Popen(
            [str(part) for part in command],
            stdout=told,
            env=os.environ | {name: str(value) for name, value in settings.items()},
        )
    try:
        deadline = time.monotonic() + 60
        while not out.read_text().rstrip().endswith("}"):
            assert demo.poll() is None and time.monotonic() < deadline, out.read_text()
            time.sleep(0.05)
    finally:
        demo.send_signal(signal.SIGTERM)
        demo.wait(timeout=30)
    said = out.read_text()
    steps = json.loads(said[said.index("{") :])["steps"]
    names = ("status", "outcome", "reason", "shadow", "reached_tool")
    assert [tuple(step[name] for name in names) for step in steps] == ROWS
    # Envoy carried each of them, and ended with the demo.
    logged = [json.loads(line) for line in (tmp_path / "envoy-access.log").open()]
    decided = {line["decision_id"] for line in logged}
    assert {step["decision_id"] for step in steps if step["decision_id"]} <= decided
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", listener["port_value"]), timeout=5)


def test_an_envoy_that_does_not_start_ends_the_demo(tmp_path):
    (tmp_path / "envoy.yaml").write_text("static_resources: {listeners: 7}\n")
    aegis = tmp_path / "aegis"
    aegis.write_text("#!/bin/sh\nexec sleep 60\n")
    aegis.chmod(0o700)
    settings = {"ENVOY_CONFIG": tmp_path / "envoy.yaml", "ENVOY_LOGS": tmp_path}
    settings |= {"AEGIS_BIN": aegis}
    done = subprocess.run(
        [ROOT / "scripts/demo_envoy"],
        env=os.environ | {name: str(value) for name, value in settings.items()},
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 1 and "Envoy ended" in done.stderr, done.stderr
