"""The guide for those who come from opa-envoy-plugin: its commands, in order, with a real Envoy."""

import json
import os
import re
import socket
import subprocess
import time

import grpc
import pytest
from support.aegis_process import BINARY, ROOT, Aegis, Tool, cli, request
from support.bundle_server import OPA, BundleServer, opa_build
from support.envoy_protos import load

auth = load("envoy.service.auth.v3.external_auth_pb2")
auth_grpc = load("envoy.service.auth.v3.external_auth_pb2_grpc")

ENVOY = ROOT / "build/deps/venv/bin/envoy"
OPTIONS = [("grpc.enable_http_proxy", 0)]

pytestmark = pytest.mark.skipif(not OPA.exists(), reason="needs build/bin/opa")


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def blocks() -> list[str]:
    text = (ROOT / "docs/from-opa-envoy.md").read_text()
    return re.findall(r"```sh\n(.*?)```", text, flags=re.DOTALL)


def test_the_guide(tmp_path):
    *starting, asking = blocks()
    assert len(starting) == 3
    tool = Tool()
    ports = {port: free_port() for port in (8888, 9191, 8000)}
    ports[8081] = int(tool.url.rpartition(":")[2])
    data = tmp_path / "data"
    up = f"up --data {data} --gateway 127.0.0.1:0 --control 127.0.0.1:0 --admin 127.0.0.1:0"

    def here(script: str) -> str:
        for port, mine in ports.items():
            script = re.sub(rf"\b{port}\b", str(mine), script)
        script = script.replace("aegis up", f"{BINARY} {up}")
        return re.sub(
            r"^envoy -c", f"{ENVOY} --use-dynamic-base-id -l error -c", script, flags=re.M
        )

    path = f"{BINARY.parent}:{OPA.parent}:{os.environ['PATH']}"
    environment = os.environ | {"AEGIS_DATA": str(data), "PATH": path}
    log = (tmp_path / "log").open("w")
    script = here("\n".join(starting)) + "\nread || true\nkill $(jobs -p)\nwait || true\n"
    running = subprocess.Popen(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=tmp_path, env=environment, stdin=subprocess.PIPE, stdout=log, stderr=log,
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 60
        while True:
            assert time.monotonic() < deadline, (tmp_path / "log").read_text()
            try:
                answer = request(f"http://127.0.0.1:{ports[8000]}/people", "DELETE", timeout=5)
                if answer.status == 403 and answer.body == b"not for you":
                    break
            except OSError:
                pass
            time.sleep(0.1)
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", here(asking)],
            cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60,
        )  # fmt: skip
    finally:
        running.stdin.close()
        running.wait(timeout=30)
        tool_seen = list(tool.seen)
        tool.__exit__()
    assert done.returncode == 0, done.stdout + done.stderr
    first, second = done.stdout.split("HTTP/1.1 ")[1:3]
    assert first.startswith("200") and "x-checked: yes" in first
    assert second.startswith("403") and "not for you" in second
    for expected in ("GET /people", "POST /people", "DELETE /people"):
        assert expected in done.stdout, done.stdout
    methods = [(method, headers.get("x-user")) for method, _, headers, _ in tool_seen]
    assert methods == [("GET", "alice"), ("POST", None)]


POLICY = """\
package envoy.authz

allow if input.parsed_path[0] == "public"

allow := {"allowed": false, "body": "no"} if input.parsed_path[0] == "private"

other := true
"""


def write_config(tmp_path, server, **plugin) -> str:
    path = tmp_path / "aegis.yaml"
    path.write_text(
        json.dumps(
            {
                "services": {"files": {"url": server.url}},
                "bundles": {"default": {"service": "files", "resource": "/b.tar.gz"}},
                "plugins": {"envoy_ext_authz_grpc": {"addr": "127.0.0.1:0"} | plugin},
            }
        )
    )
    return str(path)


def question(path: str):
    message = auth.CheckRequest()
    http = message.attributes.request.http
    http.method, http.path, http.host = "GET", path, "a"
    message.attributes.source.address.socket_address.address = "10.1.2.3"
    message.attributes.source.address.socket_address.port_value = 4567
    return message


@pytest.fixture
def server(tmp_path):
    with BundleServer() as running:
        files = {"envoy/policy.rego": POLICY, ".manifest": '{"roots": ["envoy"]}'}
        plan = ("-t", "plan", "-e", "envoy/authz/allow")
        running.set("/b.tar.gz", opa_build(tmp_path, files, "r1", *plan))
        yield running


def test_records_and_the_other_doors(tmp_path, server):
    config = write_config(tmp_path, server)
    with Aegis(tmp_path / "data", "--config", config, "--ext-authz", "127.0.0.1:0") as running:
        running.wait_ready_to_decide()
        assert "no tokens are asked for" in running.output
        with grpc.insecure_channel(running.run["opa_envoy"], options=OPTIONS) as channel:
            stub = auth_grpc.AuthorizationStub(channel)
            verdicts = {
                path: stub.Check(question(path)) for path in ("/public/1?key=k", "/private", "/x")
            }
        codes = {path: answer.status.code for path, answer in verdicts.items()}
        assert codes == {"/public/1?key=k": 0, "/private": 7, "/x": 7}
        records = {}
        for path, answer in verdicts.items():
            record = running.json("audit", "show", answer.dynamic_metadata["decision_id"])
            records[path] = record.get("decision", record)
        first = records["/public/1?key=k"]
        assert first["action"] == "GET /public/1"
        assert first["source"] == "10.1.2.3:4567"
        assert (first["door"], first["tool"]) == ("opa_envoy", "opa:envoy")
        assert (first["outcome"], first["rule"]) == ("allow", "envoy/authz/allow")
        assert "agent" not in first
        assert records["/private"]["reason"] == "custom_denied"
        assert records["/x"]["reason"] == "policy_error"
        # Without a token nothing goes on at the doors of agents.
        with grpc.insecure_channel(running.run["envoy"], options=OPTIONS) as channel:
            answer = auth_grpc.AuthorizationStub(channel).Check(question("/tools/a/b"))
            assert answer.status.code == 16
        assert running.call(None, "a", "b").status == 401


def test_dry_run_lets_denials_pass_and_nothing_else(tmp_path, server):
    config = write_config(tmp_path, server, **{"dry-run": True, "path": "/envoy//authz/allow/"})
    with Aegis(tmp_path / "data", "--config", config) as running:
        running.wait_ready_to_decide()
        with grpc.insecure_channel(running.run["opa_envoy"], options=OPTIONS) as channel:
            stub = auth_grpc.AuthorizationStub(channel)
            denied = stub.Check(question("/private"))
            assert denied.status.code == 0
            assert denied.WhichOneof("http_response") == "ok_response"
            record = running.json("audit", "show", denied.dynamic_metadata["decision_id"])
            record = record.get("decision", record)
            assert (record["outcome"], record["enforced"]) == ("deny", False)
            assert stub.Check(question("/x")).status.code == 7


def test_it_is_off_unless_configured_and_settings_are_checked(tmp_path, server):
    with Aegis(tmp_path / "data") as running:
        assert "opa_envoy" not in running.run
    refused = {
        "enable-reflection": 1, "query": "data.x", "proto-descriptor": "x.pb", "adr": ":9191",
        "grpc-max-recv-msg-size": 1, "addr": "http://a:1", "path": "//", "dry-run": "yes",
    }  # fmt: skip
    for name, value in refused.items():
        config = write_config(tmp_path, server, **{name: value})
        done = cli("config", "check", config, check=False)
        assert done.returncode == 1, name
        assert f"'{name}'" in done.stdout + done.stderr, done.stdout + done.stderr
    assert cli("config", "check", write_config(tmp_path, server)).returncode == 0


def test_on_a_unix_socket(tmp_path, server):
    where = tmp_path / "opa.sock"
    config = write_config(tmp_path, server, addr=f"unix://{where}")
    with Aegis(tmp_path / "data", "--config", config) as running:
        running.wait_ready_to_decide()
        with grpc.insecure_channel(f"unix:{where}", options=OPTIONS) as channel:
            answer = auth_grpc.AuthorizationStub(channel).Check(question("/public"))
            assert answer.status.code == 0
