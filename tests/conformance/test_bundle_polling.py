"""Stock OPA polls our control plane, and decides as our gateway does."""

import contextlib
import json
import os
import socket
import subprocess
import time

import pytest
from support.aegis_process import PAYMENTS_POLICY, request
from support.bundle_server import OPA

pytestmark = pytest.mark.skipif(not OPA.exists(), reason="needs build/bin/opa")


class StockOpa:
    """`opa run --server` that takes its policy from the control plane by long polling."""

    def __init__(self, aegis, folder, key=None):
        gateway_key = (aegis.data / "gateway.key").read_text().strip()
        public = key or aegis.data / "keys/bundle-signing.pub.pem"
        document = {
            "services": {
                "aegis": {
                    "url": aegis.control,
                    "credentials": {"bearer": {"token": gateway_key}},
                }
            },
            "keys": {"release": {"algorithm": "ES256", "key": public.read_text()}},
            "bundles": {
                "default": {
                    "service": "aegis",
                    "resource": "v1/bundles/default",
                    "polling": {
                        "min_delay_seconds": 1,
                        "max_delay_seconds": 1,
                        "long_polling_timeout_seconds": 30,
                    },
                    "signing": {"keyid": "release", "scope": "default"},
                }
            },
        }
        config = folder / "opa.json"
        config.write_text(json.dumps(document))
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.url = "http://{}:{}".format(*probe.getsockname())
        self.log = (folder / "opa.log").open("wb+")
        self.process = subprocess.Popen(
            [
                *(OPA, "run", "--server", "--addr", self.url[7:], "--skip-version-check"),
                *("--config-file", config, "--log-level", "debug"),
            ],
            stderr=self.log,
            env=os.environ | {"NO_PROXY": "127.0.0.1"},
        )
        self.eventually(lambda: request(self.url + "/health").status == 200)

    def eventually(self, condition, seconds: float = 20):
        deadline = time.monotonic() + seconds
        while True:
            with contextlib.suppress(OSError):
                if condition():
                    return
            assert time.monotonic() < deadline and self.process.poll() is None, self.logged()
            time.sleep(0.01)

    def logged(self) -> str:
        self.log.seek(0)
        return self.log.read().decode(errors="replace")

    def decide(self, document: dict) -> dict:
        answer = request(self.url + "/v1/data/aegis/decision", "POST", {"input": document})
        return answer.json().get("result", {})

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()
        self.log.close()


CALLS = [
    ("finance-agent", "payments", "create_payment", {"amount": 4000}),
    ("finance-agent", "payments", "create_payment", {"amount": 5000.0}),
    ("finance-agent", "payments", "create_payment", {"amount": 5001}),
    ("finance-agent", "payments", "create_payment", {"amount": "1"}),
    ("finance-agent", "payments", "create_payment", {}),
    ("finance-agent", "payments", "list_all", {}),
    ("finance-agent", "payments", "close", {}),
    ("finance-agent", "crm", "read", {}),
    ("other-agent", "payments", "list_all", {}),
]


def opa_input(agent: str, tool: str, action: str, params: dict) -> dict:
    return {
        "org": "default",
        "tenant": "default",
        "agent": {"id": agent, "labels": {}},
        "chain": [],
        "door": "sdk",
        "tool": tool,
        "action": action,
        "params": params,
        "session": {},
        "time": {"unix_ns": time.time_ns(), "weekday": "mon", "local": ""},
    }


def test_stock_opa_follows_our_control_plane(aegis, tmp_path):
    aegis.cli("agent", "register", "other-agent")
    with StockOpa(aegis, tmp_path) as opa:
        opa.eventually(lambda: opa.decide(opa_input(*CALLS[0])).get("outcome") == "allow")
        for agent, tool, action, params in CALLS:
            ours = request(
                aegis.gateway + "/v1/decisions",
                "POST",
                {"tool": tool, "action": action, "params": params},
                {"Authorization": "Bearer " + aegis.token(agent)},
            ).json()
            theirs = opa.decide(opa_input(agent, tool, action, params))
            for member in ("outcome", "reason", "message", "rule"):
                assert ours.get(member, "") == theirs.get(member, ""), (action, params, member)

        # A new version is there within a moment: the poll was held, not repeated.
        asked = opa.logged().count("Download starting")
        begin = time.monotonic()
        aegis.publish(tmp_path / "next", finance=PAYMENTS_POLICY.replace("5000", "9000"))
        opa.eventually(lambda: opa.decide(opa_input(*CALLS[2])).get("outcome") == "allow")
        assert time.monotonic() - begin < 5
        assert opa.logged().count("Download starting") <= asked + 2


def test_stock_opa_refuses_our_bundle_with_another_key(aegis, tmp_path):
    public = tmp_path / "k.pub.pem"
    for command in (
        "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out k.pem",
        "pkey -in k.pem -pubout -out k.pub.pem",
    ):
        subprocess.run(["openssl", *command.split()], cwd=tmp_path, check=True, capture_output=True)
    with StockOpa(aegis, tmp_path, key=public) as opa:
        opa.eventually(lambda: "Bundle load failed" in opa.logged())
        assert opa.decide(opa_input(*CALLS[0])) == {}
