"""SIGHUP: certificates are taken up anew under load; what cannot change changes nothing."""

import json
import shutil
import signal
import ssl
import threading
import time

import grpc
import httpx
import pytest
from support import certificates
from support.ext_authz import auth_grpc, check
from test_listeners import Listening, handshake

FRESH = "taken up anew"


def served(port, pki):
    with handshake(port, pki) as stream:
        return stream.getpeercert()["serialNumber"]


def serial_of(path):
    return ssl._ssl._test_decode_cert(str(path))["serialNumber"]


@pytest.fixture
def pki(tmp_path):
    folder = tmp_path / "pki"
    folder.mkdir()
    certificates.authority(folder, "ca")
    for name in ("first", "second"):
        certificates.signed(folder, "ca", name, "IP:127.0.0.1")
    put(folder, "first")
    return folder


def put(pki, name):
    """Makes NAME's certificate the server's."""
    for kind in ("pem", "key"):
        shutil.copy(pki / f"{name}.{kind}", pki / f"server.{kind}")


def config_for(pki):
    tls = {"certificate": str(pki / "server.pem"), "private_key": str(pki / "server.key")}
    return {
        "http": {"listeners": [{"address": "127.0.0.1:0", "tls": tls}]},
        "envoy": {"address": "127.0.0.1:0", "tls": tls},
    }


def reload(running, says):
    """SIGHUP, and the line of the log that follows it."""
    before = len(running.logged())
    running.process.send_signal(signal.SIGHUP)
    deadline = time.monotonic() + 20
    while says not in (new := running.logged()[before:]):
        assert time.monotonic() < deadline, new
        time.sleep(0.01)
    return new


def test_new_certificates_under_load(tmp_path, pki, tool):
    with Listening(tmp_path, config_for(pki)) as running:
        running.prepare(tmp_path, tool)
        (port,) = running.ports()
        headers = {"Authorization": "Bearer " + running.token("finance-agent")}
        url = f"https://127.0.0.1:{port}/tools/payments/create_payment"
        trust = ssl.create_default_context(cafile=str(pki / "ca.pem"))
        done, failures, calls = threading.Event(), [], []

        def kept(http2):
            with httpx.Client(http1=not http2, http2=http2, verify=trust, timeout=20) as client:
                while not done.is_set():
                    one(client)

        def fresh():
            while not done.is_set():
                with httpx.Client(verify=trust, timeout=20) as client:
                    one(client)

        def one(client):
            try:
                answer = client.post(url, json={"amount": 1}, headers=headers)
                calls.append(answer.status_code)
                if answer.status_code != 200:
                    failures.append(answer.text)
            except httpx.HTTPError as error:
                failures.append(repr(error))

        threads = [threading.Thread(target=kept, args=(http2,)) for http2 in (False, True)]
        threads.append(threading.Thread(target=fresh))
        for thread in threads:
            thread.start()
        try:
            for turn in range(6):
                name = "second" if turn % 2 == 0 else "first"
                put(pki, name)
                reload(running, FRESH)
                deadline = time.monotonic() + 10
                while served(port, pki) != serial_of(pki / f"{name}.pem"):
                    assert time.monotonic() < deadline
                seen = len(calls)
                while len(calls) < seen + 5:
                    assert time.monotonic() < deadline
                    time.sleep(0.01)
        finally:
            done.set()
            for thread in threads:
                thread.join()
        assert failures == [] and len(calls) > 30


def test_envoys_get_the_new_one_too(tmp_path, pki):
    with Listening(tmp_path, config_for(pki)) as running:
        where = running.run["envoy"]
        trust = grpc.ssl_channel_credentials((pki / "ca.pem").read_bytes())
        with grpc.secure_channel(where, trust) as kept:
            stub = auth_grpc.AuthorizationStub(kept)
            stub.Check(check(None), timeout=10)
            put(pki, "second")
            reload(running, FRESH)
            stub.Check(check(None), timeout=10)
        context = ssl.create_default_context(cafile=str(pki / "ca.pem"))
        context.set_alpn_protocols(["h2"])
        deadline = time.monotonic() + 10
        port = int(where.rpartition(":")[2])
        while True:
            with handshake(port, pki, alpn=["h2"]) as stream:
                if stream.getpeercert()["serialNumber"] == serial_of(pki / "second.pem"):
                    break
            assert time.monotonic() < deadline


def test_what_cannot_be_taken_up_changes_nothing(tmp_path, pki):
    config = config_for(pki)
    path = tmp_path / "aegis.yaml"
    with Listening(tmp_path, config) as running:
        (port,) = running.ports()
        first = served(port, pki)
        put(pki, "second")

        # The key of another certificate, no certificate at all, no file.
        shutil.copy(pki / "first.key", pki / "server.key")
        assert "tls_setup" in reload(running, "nothing has changed")
        (pki / "server.pem").write_text("-----BEGIN CERTIFICATE-----\nno\n")
        reload(running, "nothing has changed")
        (pki / "server.pem").unlink()
        reload(running, "nothing has changed")
        put(pki, "second")

        changed = json.loads(json.dumps(config))
        changed["http"]["limits"] = {"max_requests": 5}
        changed["http"]["listeners"][0]["address"] = "127.0.0.1:1"
        path.write_text(json.dumps(changed))
        line = reload(running, "needs a restart")
        assert "http.limits.max_requests" in line and "http.listeners[0].address" in line
        del changed["http"]["limits"]
        changed["http"]["listeners"][0] = {"address": "127.0.0.1:0"}
        path.write_text(json.dumps(changed))
        assert "http.listeners[0].tls.certificate" in reload(running, "needs a restart")
        path.write_text("http: {listners: []}\n")
        reload(running, "nothing has changed")
        path.write_text("http: [")
        reload(running, "nothing has changed")
        assert served(port, pki) == first and running.process.poll() is None

        path.write_text(json.dumps(config))
        reload(running, FRESH)
        deadline = time.monotonic() + 10
        while served(port, pki) == first:
            assert time.monotonic() < deadline
