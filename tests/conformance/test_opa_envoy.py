"""Aegis in the place of opa-envoy-plugin: the same questions get the same answers.

What opa-envoy-plugin 1.19.1 answers is recorded in opa_envoy_recorded.json. With OPA_ENVOY naming
its program, it is asked again and must answer what is recorded;
    OPA_ENVOY=… OPA_ENVOY_RECORD=1 pytest tests/conformance/test_opa_envoy.py
writes the record anew.
"""

import contextlib
import json
import os
import pathlib
import socket
import subprocess

import grpc
import pytest
from conformance import opa_envoy_cases as cases
from google.protobuf import json_format
from support.aegis_process import Aegis
from support.bundle_server import OPA, BundleServer, opa_build
from support.envoy_protos import load

pytestmark = pytest.mark.skipif(not OPA.exists(), reason="needs build/bin/opa")

auth = load("envoy.service.auth.v3.external_auth_pb2")
auth_grpc = load("envoy.service.auth.v3.external_auth_pb2_grpc")

RECORD = pathlib.Path(__file__).with_name("opa_envoy_recorded.json")
PLUGIN = os.environ.get("OPA_ENVOY")
OPTIONS = [("grpc.enable_http_proxy", 0)]
RESOURCE = "/bundle.tar.gz"


def plain(answer) -> dict:
    """A CheckResponse without what may differ: order of headers, decision's id, words of errors."""
    out = json_format.MessageToDict(answer)
    decision_id = out.get("dynamicMetadata", {}).pop("decision_id", None)
    message = out.get("status", {}).get("message", "")
    if message == "policy_error":
        assert decision_id is not None
    elif message:
        assert out["deniedResponse"]["body"] == message
        out["status"]["message"] = out["deniedResponse"]["body"] = message.split(":")[0]
    else:
        assert decision_id is not None and len(decision_id) == 36
    for response in ("okResponse", "deniedResponse"):
        for name in ("headers", "responseHeadersToAdd", "queryParametersToSet"):
            if name in out.get(response, {}):
                out[response][name].sort(key=json.dumps)
    body = out.get("deniedResponse", {}).get("body", "")
    if body.startswith("{"):
        out["deniedResponse"]["body"] = json.loads(body, parse_int=str, parse_float=str)
    return out


def ask(address: str) -> dict:
    out = {}
    with grpc.insecure_channel(address, options=OPTIONS) as channel:
        stub = auth_grpc.AuthorizationStub(channel)
        for name, question in cases.questions(auth).items():
            try:
                out[name] = plain(stub.Check(question, timeout=20, wait_for_ready=True))
            except grpc.RpcError as error:
                assert error.code() == grpc.StatusCode.UNKNOWN, (name, error)
                out[name] = {"error": True}
    return out


@contextlib.contextmanager
def aegis(tmp_path, **plugin):
    files = {"envoy/policy.rego": cases.POLICY, "results/data.json": json.dumps(cases.RESULTS)}
    files[".manifest"] = json.dumps({"roots": ["envoy", "results"]})
    with BundleServer() as server:
        bundle = opa_build(tmp_path, files, "r1", "-t", "plan", "-e", "envoy/authz/allow")
        server.set(RESOURCE, bundle)
        config = tmp_path / "aegis.yaml"
        config.write_text(
            json.dumps(
                {
                    "services": {"files": {"url": server.url}},
                    "bundles": {"default": {"service": "files", "resource": RESOURCE}},
                    "plugins": {"envoy_ext_authz_grpc": {"addr": "127.0.0.1:0"} | plugin},
                }
            )
        )
        with Aegis(tmp_path / "data", "--config", str(config)) as running:
            running.wait_ready_to_decide()
            yield running


@contextlib.contextmanager
def opa_envoy(tmp_path):
    def free():
        with socket.socket() as found:
            found.bind(("127.0.0.1", 0))
            return found.getsockname()[1]

    port = free()
    (tmp_path / "policy.rego").write_text(cases.POLICY)
    (tmp_path / "data.json").write_text(cases.data())
    command = [PLUGIN, "run", "--server", "--addr", f"127.0.0.1:{free()}", "--disable-telemetry"]
    command += ["--diagnostic-addr", f"127.0.0.1:{free()}", "--log-level", "error"]
    command += ["--set", f"plugins.envoy_ext_authz_grpc.addr=127.0.0.1:{port}"]
    command += [str(tmp_path / "policy.rego"), str(tmp_path / "data.json")]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(timeout=20)


@pytest.mark.skipif(not PLUGIN, reason="needs OPA_ENVOY, the program opa-envoy-plugin")
def test_the_record_is_what_the_plugin_answers(tmp_path):
    with opa_envoy(tmp_path) as address:
        answers = ask(address)
    if os.environ.get("OPA_ENVOY_RECORD"):
        RECORD.write_text(json.dumps(answers, indent=1, sort_keys=True) + "\n")
    assert answers == json.loads(RECORD.read_text())


def test_aegis_answers_as_the_plugin(tmp_path):
    recorded = json.loads(RECORD.read_text())
    with aegis(tmp_path) as running:
        answers = ask(running.run["opa_envoy"])
    assert set(answers) == set(recorded)
    wrong = {}
    for name, answer in answers.items():
        expected = recorded[name]
        if expected == {"error": True}:
            # Where the plugin leaves it to Envoy what an error means, Aegis denies.
            denied = answer.get("deniedResponse", {})
            got = (answer["status"]["code"], denied.get("status"), denied["body"]["reason"])
            if got != (7, {"code": "Forbidden"}, "policy_error"):
                wrong[name] = answer
        elif name.removeprefix("input: ") in cases.STRICTER:
            if answer["deniedResponse"]["status"] != {"code": "BadRequest"}:
                wrong[name] = answer
            assert answer != expected, f"{name} is not stricter"
        elif answer != expected:
            wrong[name] = {"aegis": answer, "plugin": expected}
    assert not wrong, json.dumps(wrong, indent=1)
