"""What fails behind deploy/envoy/with-body.yaml, and that nothing passes meanwhile."""

import os
import re
import resource
import signal
import socket
import subprocess
import threading
import time

import pytest
from support.aegis_process import ROOT, Aegis
from support.calls import Agent
from support.envoy_process import Envoy, deployed, port_of
from support.envoy_site import free_port, set_up

PAY = "/tools/stripe-payments/create_payment"


@pytest.fixture(scope="module")
def frail(tmp_path_factory):
    """An Aegis that is killed, stopped and starved."""
    folder = tmp_path_factory.mktemp("frail")
    with Aegis(folder / "data", "--ext-authz", f"127.0.0.1:{free_port()}") as running:
        set_up(running, folder / "policies")
        yield running


@pytest.fixture(scope="module")
def envoy(tmp_path_factory, ports, frail):
    config = deployed("with-body", ports | {9191: port_of(frail.run["envoy"])})
    with Envoy(tmp_path_factory.mktemp("failures"), config) as running:
        yield running


@pytest.fixture
def agent(envoy, frail):
    with Agent(envoy.url, frail.token("finance-agent", "user:alice")) as agent:
        yield agent


def test_an_aegis_that_does_not_answer_in_time(envoy, frail, agent, tools):
    assert agent.call(PAY, {"amount": 1}).status == 200
    before = tools.seen()
    os.kill(frail.process.pid, signal.SIGSTOP)
    try:
        began = time.monotonic()
        got = agent.call(PAY, {"amount": 1})
        assert got.status == 503
        assert time.monotonic() - began < 3
        line = envoy.next_line(status=503)
        assert (line["details"], line["decision_id"]) == ("ext_authz_error", None)
    finally:
        os.kill(frail.process.pid, signal.SIGCONT)
    assert tools.seen() == before
    agent.until(200, PAY, {"amount": 1})
    counted = envoy.stats("ext_authz.aegis.")
    assert counted["http.agents.ext_authz.aegis.error"] >= 1
    assert counted["http.agents.ext_authz.aegis.failure_mode_allowed"] == 0


def test_an_aegis_that_is_not_there(envoy, frail, agent, tools):
    before = tools.seen()
    frail.stop()
    got = agent.call(PAY, {"amount": 1})
    assert (got.status, envoy.next_line(status=503)["details"]) == (503, "ext_authz_error")
    assert tools.seen() == before
    frail.start()
    frail.wait_ready_to_decide()
    agent.until(200, PAY, {"amount": 1}, seconds=2)


def test_a_journal_that_cannot_be_written(envoy, frail, agent, tools):
    """No record, no call; and Aegis mends itself when there is room again."""
    before = tools.seen()
    soft, hard = resource.prlimit(frail.process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(frail.process.pid, resource.RLIMIT_FSIZE, (0, hard))
    try:
        for amount in (1, 9000):
            got = agent.call(PAY, {"amount": amount})
            assert (got.status, got.reason) == (503, "audit_unavailable"), got
            line = envoy.next_line(reason="audit_unavailable")
            assert (line["status"], line["details"]) == (503, "ext_authz_denied")
            assert (line["outcome"], line["decision_id"]) == ("deny", None)
    finally:
        resource.prlimit(frail.process.pid, resource.RLIMIT_FSIZE, (soft, hard))
    assert tools.seen() == before
    agent.until(200, PAY, {"amount": 1})


def test_an_impostor_on_aegis_port(tmp_path, ports, agent, tools):
    """Something else answers there: Envoy does not take that for leave to go on."""

    def serve(listening):
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            with connection:
                connection.recv(65536)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    before = tools.seen()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=serve, args=(listening,), daemon=True).start()
        moved = ports | {9191: listening.getsockname()[1]}
        with Envoy(tmp_path, deployed("with-body", moved)) as envoy, Agent(envoy.url) as other:
            assert other.call(PAY, {"amount": 1}, headers=agent.headers).status == 503
    assert tools.seen() == before


def test_kill_9_under_load(envoy, frail, agent, tools):
    """Whatever reached the tool has its decision on record; then Aegis serves again at once."""
    before = len(tools.payments.seen)
    stop, answers = threading.Event(), []

    def call():
        with Agent(envoy.url) as one:
            while not stop.is_set():
                got = one.call(PAY, {"amount": 1}, headers=agent.headers)
                answers.append((got.status, got.reason))
                if got.status != 200:
                    time.sleep(0.01)  # leaves the processor to Aegis, which starts

    threads = [threading.Thread(target=call) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(2):
            passed = len(tools.payments.seen)
            while len(tools.payments.seen) < passed + 50:
                time.sleep(0.005)
            frail.kill()
            while (503, "") not in answers[-20:]:
                time.sleep(0.005)
            frail.start()
            frail.wait_ready_to_decide()
            ready = time.monotonic()
            while (200, "") not in answers[-3:]:
                time.sleep(0.005)
            assert time.monotonic() - ready < 2
    finally:
        stop.set()
        for thread in threads:
            thread.join(timeout=20)
    assert {status for status, _ in answers} == {200, 503}, set(answers)
    reached = {
        headers.get("X-Aegis-Decision-Id") or headers["x-aegis-decision-id"]
        for _, _, headers, _ in tools.payments.seen[before:]
    }
    assert len(reached) == len(tools.payments.seen) - before >= 100
    recorded = set()
    for path in (frail.data / "audit").rglob("*"):
        if path.is_file():  # what is not written yet is zeros
            recorded |= set(re.findall(rb'"id":"([0-9a-f-]+)"', path.read_bytes().rstrip(b"\0")))
    assert {decision.encode() for decision in reached} <= recorded


OUTCOMES_POLICY = """\
package aegis

default decision := {"outcome": "deny", "reason": "no_grant"}

decision := {"outcome": input.params.outcome, "reason": input.params.reason}
"""


def test_outcomes_that_no_policy_document_has_yet(tmp_path, ports, tools):
    """A bundle may ask for more than yes or no; what Envoy cannot do is a no."""
    (tmp_path / "policy.rego").write_text(OUTCOMES_POLICY)
    subprocess.run(
        [ROOT / "build/bin/opa", "build", "-t", "plan", "-e", "aegis/decision", "policy.rego"],
        cwd=tmp_path, check=True, capture_output=True,
    )  # fmt: skip
    with Aegis(tmp_path / "data", "--ext-authz", f"127.0.0.1:{free_port()}") as aegis:
        aegis.cli("agent", "register", "finance-agent")
        aegis.cli("policy", "publish", "--bundle", tmp_path / "bundle.tar.gz")
        aegis.wait_ready_to_decide()
        moved = ports | {9191: port_of(aegis.run["envoy"])}
        token = aegis.token("finance-agent")
        with Envoy(tmp_path, deployed("with-body", moved)) as envoy, Agent(envoy.url, token) as a:
            assert a.call(PAY, {"outcome": "allow", "reason": "allowed"}).status == 200
            before = tools.seen()
            for outcome, reason, told in (
                ("deny", "custom_denied", "custom_denied"),
                ("approval_needed", "custom_denied", "policy_error"),
                ("defer", "custom_denied", "policy_error"),
                ("sanitize", "allowed", "policy_error"),
                ("perhaps", "allowed", "policy_error"),
                (7, "allowed", "policy_error"),
            ):
                got = a.call(PAY, {"outcome": outcome, "reason": reason})
                assert (got.status, got.reason) == (403, told), outcome
                line = envoy.next_line(decision_id=got.headers["x-aegis-decision-id"])
                said = outcome if told == reason else "deny"
                assert (line["outcome"], line["reason"]) == (said, told)
                record = aegis.json("audit", "show", line["decision_id"])["decision"]
                assert record["outcome"] == said
            assert tools.seen() == before
