"""One call by HTTP/1.1 and HTTP/2, in clear and by TLS: one decision, one record, one answer."""

import contextlib
import json
import re
import socket
import ssl
import subprocess
import threading
import time

import h2.config
import h2.connection
import h2.events
import httpx
import pytest
import websockets
import websockets.sync.client
import websockets.sync.server
from support import certificates
from support.aegis_process import PAYMENTS_POLICY, ROOT, Aegis, cli

WAYS = ("h1", "h1+tls", "h2c", "h2+tls")


@pytest.fixture(scope="module")
def pki(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pki")
    certificates.authority(folder, "ca")
    certificates.authority(folder, "other")
    certificates.signed(folder, "ca", "server", "IP:127.0.0.1")
    certificates.signed(folder, "ca", "client", "URI:spiffe://example.org/agent")
    certificates.signed(folder, "other", "stranger", "URI:spiffe://example.org/agent")
    return folder


def listeners(pki, *, client_ca=False):
    tls = {"certificate": str(pki / "server.pem"), "private_key": str(pki / "server.key")}
    if client_ca:
        tls["client_ca"] = str(pki / "ca.pem")
    return {
        "http": {"listeners": [{"address": "127.0.0.1:0"}, {"address": "127.0.0.1:0", "tls": tls}]}
    }


class Listening(Aegis):
    """An Aegis whose listeners are those of its configuration."""

    def __init__(self, folder, config, *flags):
        path = folder / "aegis.yaml"
        path.write_text(json.dumps(config))
        super().__init__(folder / "data", "--config", str(path), *flags)
        self.own_gateway = False

    def ports(self):
        config = httpx.get(self.admin + "/config").json()
        return [int(address.rpartition(":")[2]) for address in config["addresses"]]

    def prepare(self, folder, tool):
        self.cli("agent", "register", "finance-agent", "--label", "team=finance")
        self.cli("tool", "add", "payments", "--url", tool.url)
        self.publish(folder / "policies", finance=PAYMENTS_POLICY)
        self.wait_ready_to_decide()


@pytest.fixture
def listening(tmp_path, pki, tool):
    with Listening(tmp_path, listeners(pki)) as running:
        running.prepare(tmp_path, tool)
        running.clear, running.tls = running.ports()
        yield running


def client_for(way, pki):
    context = ssl.create_default_context(cafile=str(pki / "ca.pem"))
    return httpx.Client(
        http1="h1" in way, http2="h2" in way, verify=context if "tls" in way else True, timeout=15
    )


def base(running, way):
    tls = "tls" in way
    return f"http{'s' if tls else ''}://127.0.0.1:{running.tls if tls else running.clear}"


def curl(pki, way, *arguments):
    flags = {
        "h1": "--http1.1",
        "h1+tls": "--http1.1",
        "h2c": "--http2-prior-knowledge",
        "h2+tls": "--http2",
    }
    done = subprocess.run(
        ["curl", "-sS", "-m20", "--cacert", str(pki / "ca.pem"), flags[way], *arguments],
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("way", WAYS)
def test_the_same_call_gets_the_same_answer(listening, pki, tool, way):
    token = listening.token("finance-agent")
    headers = {"Authorization": "Bearer " + token, "X-Mark": "kept", "Cookie": "a=1; b=2"}
    with client_for(way, pki) as client:
        url = base(listening, way) + "/tools/payments/create_payment?note=x"
        allowed = client.post(url, json={"amount": 42}, headers=headers)
        assert allowed.http_version == ("HTTP/2" if "h2" in way else "HTTP/1.1")
        assert (allowed.status_code, allowed.json()) == (
            200,
            {"received": len(allowed.request.content)},
        )
        assert allowed.headers["x-aegis-decision"] == "allow"
        method, path, seen, body = tool.seen[-1]
        assert (method, path, body) == ("POST", "/create_payment?note=x", allowed.request.content)
        assert seen["x-mark"] == "kept" and seen["cookie"] == "a=1; b=2"
        assert seen["content-length"] == str(len(body)) and "authorization" not in seen
        denied = client.post(url, json={"amount": 6000}, headers=headers)
        assert (denied.status_code, denied.json()["reason"]) == (403, "condition_failed")
        unknown = client.post(url, json={"amount": 1})
        assert (
            unknown.status_code == 401 and "bearer" in unknown.headers["www-authenticate"].lower()
        )
        assert client.get(base(listening, way) + "/nowhere").status_code == 404
        assert len(tool.seen) == 1
    for answer in (allowed, denied):
        shown = listening.json("audit", "show", answer.headers["x-aegis-decision-id"])
        assert "create_payment" in json.dumps(shown)


@pytest.mark.parametrize("way", WAYS)
def test_curl(listening, pki, way):
    out = curl(
        pki, way, "-w", "\n%{http_version} %{http_code}", "-H",
        "Authorization: Bearer " + listening.token("finance-agent"),
        "--json", '{"amount": 7}', base(listening, way) + "/tools/payments/create_payment",
    )  # fmt: skip
    assert out.splitlines()[-1] == ("2 200" if "h2" in way else "1.1 200")


@pytest.mark.parametrize("way", WAYS)
def test_large_bodies_both_ways(listening, pki, tool, way):
    """Streamed to the tool (it is no JSON) beyond every window, and counted there."""
    body = bytes(range(256)) * 4096 * 3
    headers = {
        "Authorization": "Bearer " + listening.token("finance-agent"),
        "Content-Type": "application/octet-stream",
    }
    url = base(listening, way) + "/tools/payments/list_all"
    with client_for(way, pki) as client:
        for content in (body, iter([body[i : i + 50_000] for i in range(0, len(body), 50_000)])):
            answer = client.post(url, content=content, headers=headers)
            assert (answer.status_code, answer.json()) == (200, {"received": len(body)})
            assert tool.seen[-1][3] == body


def handshake(port, pki, *, alpn=None, certificate=None, versions=None):
    context = ssl.create_default_context(cafile=str(pki / "ca.pem"))
    if alpn:
        context.set_alpn_protocols(alpn)
    if certificate:
        context.load_cert_chain(str(pki / f"{certificate}.pem"), str(pki / f"{certificate}.key"))
    if versions:
        context.minimum_version, context.maximum_version = versions
    raw = socket.create_connection(("127.0.0.1", port), timeout=10)
    return context.wrap_socket(raw, server_hostname="127.0.0.1")


def test_what_tls_agrees_on(listening, pki):
    with handshake(listening.tls, pki, alpn=["h2", "http/1.1"]) as stream:
        assert (stream.selected_alpn_protocol(), stream.version()) == ("h2", "TLSv1.3")
    with handshake(listening.tls, pki, alpn=["http/1.1"]) as stream:
        assert stream.selected_alpn_protocol() == "http/1.1"
    with handshake(listening.tls, pki) as stream:
        stream.sendall(b"GET /nowhere HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        answer = b""
        while piece := stream.recv(4096):
            answer += piece
        assert answer.startswith(b"HTTP/1.1 404 ")  # ended by close_notify, or recv would fail
    twelve = (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_2)
    with handshake(listening.tls, pki, versions=twelve) as stream:
        assert stream.version() == "TLSv1.2"
    with pytest.raises(ssl.SSLError):
        handshake(listening.tls, pki, alpn=["spdy/3"])
    with pytest.warns(DeprecationWarning), pytest.raises((ssl.SSLError, OSError)):
        handshake(listening.tls, pki, versions=(ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1_1))


def test_client_certificates(tmp_path, pki, tool):
    with Listening(tmp_path, listeners(pki, client_ca=True)) as running:
        running.prepare(tmp_path, tool)
        _, port = running.ports()
        with handshake(port, pki, certificate="client") as stream:
            stream.sendall(b"GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n")
            assert stream.recv(100).startswith(b"HTTP/1.1 404 ")
        for certificate in (None, "stranger"):
            # By TLS 1.3 the client learns of the refusal when it reads.
            with (
                pytest.raises((ssl.SSLError, OSError)),
                handshake(port, pki, certificate=certificate) as stream,
            ):
                stream.sendall(b"GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n")
                if not stream.recv(100):
                    raise OSError("closed")


def test_other_machines_call_in_clear_only_when_the_operator_says_so(tmp_path):
    running = Aegis(tmp_path / "data", "--gateway", "0.0.0.0:0").start(wait=False)
    assert running.process.wait(timeout=20) != 0
    assert "--gateway-plaintext" in running.logged() and "http.listeners" in running.logged()
    config = tmp_path / "aegis.yaml"
    config.write_text("http: {listeners: [{address: '0.0.0.0:0', allow_plaintext: true}]}\n")
    for flags in (("--gateway", "0.0.0.0:0", "--gateway-plaintext"), ("--config", str(config))):
        running = Aegis(tmp_path / "data", *flags)
        running.own_gateway = False
        with running:
            port = int(running.gateway.rpartition(":")[2])
            assert httpx.get(f"http://127.0.0.1:{port}/nowhere").status_code == 404


class H2:
    """One HTTP/2 connection in clear, event by event."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
        self.h2.initiate_connection()
        self.events = []
        self.flush()

    def flush(self):
        self.socket.sendall(self.h2.data_to_send())

    def until(self, wanted):
        """The next event that is one of `wanted`."""
        while True:
            while self.events:
                event = self.events.pop(0)
                if isinstance(event, h2.events.DataReceived):
                    self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                    self.flush()
                if isinstance(event, wanted):
                    return event
            data = self.socket.recv(65536)
            assert data, "the connection ended"
            self.events = self.h2.receive_data(data)
            self.flush()

    def request(self, token, path="/tools/payments/create_payment", body=b'{"amount": 1}'):
        stream = self.h2.get_next_available_stream_id()
        self.h2.send_headers(
            stream,
            [
                (":method", "POST"), (":scheme", "http"), (":authority", "gateway"),
                (":path", path),
                ("authorization", "Bearer " + token), ("content-type", "application/json"),
            ],
        )  # fmt: skip
        self.h2.send_data(stream, body, end_stream=True)
        self.flush()
        return stream


def test_the_documents_examples(tmp_path):
    seen = 0
    for document in ("proxy", "configuration"):
        text = (ROOT / f"docs/{document}.md").read_text()
        for block in re.findall(r"^```yaml\n(http:.*?)^```", text, re.S | re.M):
            (tmp_path / "aegis.yaml").write_text(block)
            cli("config", "check", tmp_path / "aegis.yaml")
            seen += 1
    assert seen >= 3


@pytest.mark.parametrize(
    ("limits", "says"),
    [
        ("{max_requests: 0}", "'max_requests' must be from 1"),
        ("{head_timeout_seconds: 100000}", "'head_timeout_seconds' must be from 1 to 86400"),
        ("{max_request: 5}", "max_requests"),
        ("{max_requests: many}", "a whole number"),
    ],
)
def test_limits_are_checked(tmp_path, limits, says):
    (tmp_path / "aegis.yaml").write_text(f"http: {{limits: {limits}}}\n")
    done = cli("config", "check", tmp_path / "aegis.yaml", check=False)
    assert done.returncode != 0 and says in done.stdout + done.stderr


def test_limits_are_kept(tmp_path, pki, tool):
    config = {"http": {"listeners": [{"address": "127.0.0.1:0"}], "limits": {
        "max_connections_per_address": 2, "max_body_bytes": 50, "head_timeout_seconds": 1,
    }}}  # fmt: skip
    with Listening(tmp_path, config) as running:
        running.prepare(tmp_path, tool)
        (port,) = running.ports()
        with socket.create_connection(("127.0.0.1", port), timeout=20) as slow:
            slow.sendall(b"GET /nowhere HTTP/1.1\r\n")
            assert slow.recv(100).startswith(b"HTTP/1.1 408 ")
        with contextlib.ExitStack() as stack:
            for _ in range(2):
                one = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=20))
                one.sendall(b"GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n")
                assert b" 404 " in one.recv(100)
            with socket.create_connection(("127.0.0.1", port), timeout=20) as more:
                assert more.recv(100) == b""
        deadline = time.monotonic() + 10
        while "aegis_connections 0" not in httpx.get(running.admin + "/metrics").text:
            assert time.monotonic() < deadline
        headers = {"Authorization": "Bearer " + running.token("finance-agent")}
        for http2 in (False, True):
            with httpx.Client(http1=not http2, http2=http2) as client:
                answer = client.post(
                    f"http://127.0.0.1:{port}/tools/payments/create_payment",
                    json={"amount": 1, "note": "x" * 100},
                    headers=headers,
                )
                assert answer.status_code == 413


def test_many_streams_of_one_connection(listening):
    """Each gets its own answer, however many run at once."""
    token = listening.token("finance-agent")
    connection = H2(listening.clear)
    for turn in range(20):
        amounts = {}
        for number in range(50):
            amount = 10 + number if number % 2 else 6000 + turn
            body = json.dumps({"amount": amount}).encode()
            amounts[connection.request(token, body=body)] = amount
        statuses, open_streams = {}, set(amounts)
        while open_streams:
            event = connection.until(
                (h2.events.ResponseReceived, h2.events.StreamEnded, h2.events.StreamReset)
            )
            if isinstance(event, h2.events.ResponseReceived):
                statuses[event.stream_id] = int(dict(event.headers)[b":status"])
            else:
                open_streams.discard(event.stream_id)
        assert statuses == {s: 403 if amount > 5000 else 200 for s, amount in amounts.items()}


def test_a_websocket_by_tls(listening, pki):
    with websockets.sync.server.serve(
        lambda agent: [agent.send(message) for message in agent], "127.0.0.1", 0
    ) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        port = server.socket.getsockname()[1]
        listening.cli("tool", "add", "echo", "--url", f"http://127.0.0.1:{port}")
        policy = PAYMENTS_POLICY + "  - {name: echo, actions: ['*']}\n"
        listening.publish(listening.data.parent / "policies", finance=policy)
        headers = {"Authorization": "Bearer " + listening.token("finance-agent")}
        deadline = time.monotonic() + 10
        while True:
            try:
                agent = websockets.sync.client.connect(
                    f"wss://127.0.0.1:{listening.tls}/tools/echo/say",
                    additional_headers=headers,
                    ssl=ssl.create_default_context(cafile=str(pki / "ca.pem")),
                    proxy=None,
                )
                break
            except websockets.exceptions.InvalidStatus:  # the policy is not there yet
                assert time.monotonic() < deadline
        with agent:
            for message in ("hello", "", "ä" * 100_000, b"\0" * 1_000_000):
                agent.send(message)
                assert agent.recv(timeout=20) == message
        server.shutdown()


def test_byte_by_byte_by_tls(listening, pki):
    """Records that come in pieces, and requests that come together in one record."""
    token = listening.token("finance-agent")
    call = (
        "POST /tools/payments/create_payment HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer "
        f"{token}\r\nContent-Type: application/json\r\nContent-Length: 13\r\n\r\n"
        '{"amount": 1}'
    ).encode()
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = ssl.create_default_context(cafile=str(pki / "ca.pem"))
    tls = context.wrap_bio(incoming, outgoing, server_hostname="127.0.0.1")
    with socket.create_connection(("127.0.0.1", listening.tls), timeout=20) as raw:
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

        def step(action):
            while True:
                try:
                    return action()
                except ssl.SSLWantReadError:
                    for byte in outgoing.read():
                        raw.sendall(bytes([byte]))
                    received = raw.recv(65536)
                    assert received, "the connection ended"
                    incoming.write(received)

        step(tls.do_handshake)
        for calls in (1, 3):
            tls.write(call * calls)
            for byte in outgoing.read():
                raw.sendall(bytes([byte]))
            answers = b""
            while answers.count(b'{"received": 13}') < calls:
                answers += step(lambda: tls.read(65536))
            assert answers.count(b"HTTP/1.1 200 OK") == calls


def test_a_suspended_agents_stream_is_cut(listening):
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        listening.cli("tool", "add", "slow", "--url", url)
        policy = PAYMENTS_POLICY + "  - {name: slow, actions: ['*']}\n"
        listening.publish(listening.data.parent / "policies", finance=policy)
        connection = H2(listening.clear)
        token = listening.token("finance-agent")
        server.settimeout(1)
        deadline = time.monotonic() + 20
        while True:  # until policy and tool are known
            assert time.monotonic() < deadline
            stream = connection.request(token, "/tools/slow/wait")
            try:
                agent, _ = server.accept()
                break
            except TimeoutError:
                continue
        with agent:
            listening.cli("agent", "suspend", "finance-agent")
            while True:
                answer = connection.until(h2.events.ResponseReceived)
                if answer.stream_id == stream:
                    break
            assert dict(answer.headers)[b":status"] == b"403"


def test_drain_lets_streams_end(listening, tmp_path):
    """SIGTERM: GOAWAY, what runs is answered, then the connection ends."""
    token = listening.token("finance-agent")
    connection = H2(listening.clear)
    connection.request(token)
    assert dict(connection.until(h2.events.ResponseReceived).headers)[b":status"] == b"200"
    stopper = threading.Thread(target=listening.stop)
    stopper.start()
    ended = connection.until(h2.events.ConnectionTerminated)
    assert ended.error_code == 0
    stopper.join()
    assert listening.process.returncode == 0
