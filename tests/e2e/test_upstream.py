"""The tool's side of the proxy: TLS to tools, with real servers and certificates."""

import contextlib
import http.client
import http.server
import json
import pathlib
import signal
import socket
import ssl
import subprocess
import threading
import time

import pytest
import websockets
import websockets.sync.client
import websockets.sync.server
import yaml
from support.aegis_process import PAYMENTS_POLICY, ROOT, Aegis, Tool, cli, request
from support.certificates import authority, signed

POLICY = PAYMENTS_POLICY + "  - name: echo\n"


class TlsTool(Tool):
    """A Tool behind TLS; `reused` has for each connection whether its session was resumed."""

    def __init__(self, context: ssl.SSLContext, host: str = "localhost"):
        super().__init__()
        reused = self.reused = []
        handler = self.server.RequestHandlerClass
        plain_setup = handler.setup

        def setup(connection):
            connection.request = context.wrap_socket(connection.request, server_side=True)
            reused.append(connection.request.session_reused)
            plain_setup(connection)

        def echo(connection):
            body = connection.rfile.read(int(connection.headers["Content-Length"]))
            self.seen.append(("PUT", connection.path, dict(connection.headers.items()), body))
            connection.send_response(200)
            connection.send_header("Content-Length", str(len(body)))
            connection.end_headers()
            connection.wfile.write(body)

        handler.setup = setup
        handler.do_PUT = echo
        # A client that does not like the certificate is no error of the test's.
        self.server.handle_error = lambda *_: None
        self.url = f"https://{host}:{self.server.server_port}"


def server_context(folder: pathlib.Path, name: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / f"{name}.pem", folder / f"{name}.key")
    return context


@pytest.fixture
def certificates(tmp_path, monkeypatch):
    """A folder with the authority that Aegis takes for the system's, and another one."""
    authority(tmp_path, "ca")
    authority(tmp_path, "other")
    signed(tmp_path, "ca", "localhost", "DNS:localhost")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path / "none"))
    return tmp_path


@pytest.fixture
def tls_aegis(tmp_path, certificates):
    with Aegis(tmp_path / "data", "--workers", "1") as running:
        running.cli("agent", "register", "finance-agent")
        running.publish(tmp_path / "policies", finance=POLICY)
        running.wait_ready_to_decide()
        yield running


def add_tool(aegis: Aegis, name: str, url: str) -> None:
    """Registers the tool and waits until the gateway has it."""
    aegis.cli("tool", "add", name, "--url", url)
    while name not in json.loads(request(aegis.admin + "/config").body).get("tools", {}):
        pass


def call(aegis: Aegis, token: str, method: str = "GET", body: bytes | None = None, tool="payments"):
    headers = {"Authorization": f"Bearer {token}"}
    if body is not None:
        headers["Content-Type"] = "application/octet-stream"
    return request(f"{aegis.gateway}/tools/{tool}/list_all", method, body, headers)


def test_tools_by_https(tls_aegis, certificates):
    with TlsTool(server_context(certificates, "localhost")) as tool:
        add_tool(tls_aegis, "payments", tool.url)
        token = tls_aegis.token("finance-agent")
        for _ in range(3):
            assert call(tls_aegis, token).status == 200
        assert len(tool.reused) == 1, "the connection is kept"
        # Larger than any buffer, so that both directions wait for each other.
        body = bytes(range(256)) * 40_000
        answer = call(tls_aegis, token, "PUT", body)
        assert answer.status == 200
        assert answer.body == body
        assert tool.seen[-1][3] == body


def test_sessions_are_resumed(tls_aegis, certificates):
    with TlsTool(server_context(certificates, "localhost")) as tool:
        tool.server.RequestHandlerClass.protocol_version = "HTTP/1.0"  # closes after each answer
        add_tool(tls_aegis, "payments", tool.url)
        token = tls_aegis.token("finance-agent")
        for _ in range(3):
            assert call(tls_aegis, token).status == 200
        assert tool.reused == [False, True, True]


def expired(folder: pathlib.Path) -> ssl.SSLContext:
    (folder / "localhost.ext").write_text("subjectAltName=DNS:localhost\n")
    subprocess.run(
        ["openssl", "x509", "-req", "-in", "localhost.csr", "-CA", "ca.pem", "-CAkey", "ca.key",
         "-days", "-1", "-extfile", "localhost.ext", "-out", "expired.pem"],
        cwd=folder, check=True, capture_output=True,
    )  # fmt: skip
    (folder / "expired.key").write_bytes((folder / "localhost.key").read_bytes())
    return server_context(folder, "expired")


def of_another_host(folder: pathlib.Path) -> ssl.SSLContext:
    signed(folder, "ca", "elsewhere", "DNS:elsewhere.example")
    return server_context(folder, "elsewhere")


def of_another_authority(folder: pathlib.Path) -> ssl.SSLContext:
    signed(folder, "other", "stranger", "DNS:localhost")
    return server_context(folder, "stranger")


def self_signed(folder: pathlib.Path) -> ssl.SSLContext:
    authority(folder, "localhost-self")
    return server_context(folder, "localhost-self")


def with_a_name_but_asked_by_address(folder: pathlib.Path) -> ssl.SSLContext:
    return server_context(folder, "localhost")


def of_an_old_version(folder: pathlib.Path) -> ssl.SSLContext:
    context = server_context(folder, "localhost")
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    return context


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize(
    "make",
    [
        expired,
        of_another_host,
        of_another_authority,
        self_signed,
        with_a_name_but_asked_by_address,
        of_an_old_version,
    ],
)
def test_a_server_that_is_not_the_tool_gets_no_call(tls_aegis, certificates, make):
    host = "127.0.0.1" if make is with_a_name_but_asked_by_address else "localhost"
    with TlsTool(make(certificates), host) as tool:
        add_tool(tls_aegis, "payments", tool.url)
        answer = call(tls_aegis, tls_aegis.token("finance-agent"))
        assert answer.status == 502, answer.body
        assert answer.json()["reason"] == "upstream_tls"
        assert tool.seen == []


def test_an_address_has_its_certificate_too(tls_aegis, certificates):
    signed(certificates, "ca", "address", "IP:127.0.0.1")
    with TlsTool(server_context(certificates, "address"), "127.0.0.1") as tool:
        add_tool(tls_aegis, "payments", tool.url)
        assert call(tls_aegis, tls_aegis.token("finance-agent")).status == 200


def test_plain_http_where_tls_is_asked_for(tls_aegis, tool):
    add_tool(tls_aegis, "payments", tool.url.replace("http://127.0.0.1", "https://localhost"))
    answer = call(tls_aegis, tls_aegis.token("finance-agent"))
    assert answer.json()["reason"] == "upstream_tls"
    assert tool.seen == []


@pytest.mark.parametrize("announced", [True, False])
def test_a_cut_is_told_from_an_end(tls_aegis, certificates, announced):
    """An answer that ends with its connection is whole only when TLS says so."""
    listening = socket.create_server(("127.0.0.1", 0))
    context = server_context(certificates, "localhost")

    def serve():
        connection, _ = listening.accept()
        with context.wrap_socket(connection, server_side=True) as tls:
            tls.recv(65536)
            tls.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\nthe whole or a half")
            if announced:
                tls.unwrap().close()
            else:
                socket.socket(fileno=tls.detach()).close()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    add_tool(tls_aegis, "payments", f"https://localhost:{listening.getsockname()[1]}")
    token = tls_aegis.token("finance-agent")
    if announced:
        assert call(tls_aegis, token).body == b"the whole or a half"
    else:
        with pytest.raises((http.client.HTTPException, OSError)):
            call(tls_aegis, token)
    thread.join(10)
    listening.close()


@contextlib.contextmanager
def echo_server(context: ssl.SSLContext | None = None):
    """A real WebSocket server that sends every message back."""

    def echo(connection):
        for message in connection:
            connection.send(message)

    with websockets.sync.server.serve(
        echo, "127.0.0.1", 0, ssl=context, subprotocols=["chat"], max_size=None
    ) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server.socket.getsockname()[1]
        server.shutdown()
        thread.join(10)


def connect(aegis: Aegis, token: str, action: str = "list_all", **options):
    return websockets.sync.client.connect(
        f"{aegis.gateway.replace('http', 'ws', 1)}/tools/payments/{action}",
        additional_headers={"Authorization": f"Bearer {token}"},
        subprotocols=["chat"],
        max_size=None,
        **options,
    )


@pytest.mark.parametrize("tls", [False, True])
def test_websockets(tls_aegis, certificates, tls):
    context = server_context(certificates, "localhost") if tls else None
    with echo_server(context) as port:
        add_tool(tls_aegis, "payments", f"{'https' if tls else 'http'}://localhost:{port}")
        token = tls_aegis.token("finance-agent")
        with connect(tls_aegis, token) as agent:
            assert agent.subprotocol == "chat"
            assert agent.response.headers["X-Aegis-Decision"] == "allow"
            for message in ["hello", "", b"\x00\xff" * 1_000_000, "ä" * 70_000]:
                agent.send(message)
                assert agent.recv(timeout=20) == message
            assert agent.ping().wait(10)
        assert agent.close_code == 1000
        # Eight at a time, each with answers of its own.
        with contextlib.ExitStack() as stack:
            agents = [stack.enter_context(connect(tls_aegis, token)) for _ in range(8)]
            for number, agent in enumerate(agents):
                agent.send(str(number))
            for number, agent in enumerate(agents):
                assert agent.recv(timeout=10) == str(number)


def test_a_websocket_ends_with_its_token(tls_aegis):
    with echo_server() as port:
        add_tool(tls_aegis, "payments", f"http://127.0.0.1:{port}")
        token = tls_aegis.token("finance-agent")
        with connect(tls_aegis, token) as agent:
            agent.send("x")
            agent.recv(timeout=10)
            jti = tls_aegis.json("token", "inspect", token)["claims"]["jti"]
            admin = (tls_aegis.data / "admin.key").read_text().strip()
            revoked = request(
                tls_aegis.control + "/api/v1/tokens/revoke", "POST", {"jti": jti},
                {"Authorization": "Bearer " + admin},
            )  # fmt: skip
            assert revoked.status == 200
            with pytest.raises(websockets.exceptions.ConnectionClosedError):
                agent.recv(timeout=10)


def test_a_websocket_is_decided_and_accounted(tls_aegis):
    with echo_server() as port:
        add_tool(tls_aegis, "payments", f"http://127.0.0.1:{port}")
        token = tls_aegis.token("finance-agent")
        with (
            pytest.raises(websockets.exceptions.InvalidStatus) as refused,
            connect(tls_aegis, token, "create_payment?amount=9000"),
        ):
            pass
        assert refused.value.response.status_code == 403
        assert b"condition_failed" in refused.value.response.body
        with connect(tls_aegis, token, "list_all?since=2026", compression=None) as agent:
            agent.send("x" * 1000)
            agent.recv(timeout=10)
            # The agent loses its permission: what it has open ends.
            tls_aegis.cli("agent", "suspend", "finance-agent")
            with pytest.raises(websockets.exceptions.ConnectionClosedError):
                agent.recv(timeout=10)
    decision = agent.response.headers["X-Aegis-Decision-Id"]
    deadline = time.monotonic() + 10
    while not (outcome := tls_aegis.json("audit", "show", decision).get("outcome")):
        assert time.monotonic() < deadline
    assert outcome["status"] == 101
    assert outcome["error"] == "agent_suspended"
    assert 1000 < outcome["request_bytes"] < 1100
    assert 1000 < outcome["response_bytes"] < 1100


SECRET = "sk-live-0123456789abcdef"
CONFIGURATION = """\
certificate_authorities: {{corp: {folder}/other.pem, lost: {folder}/no-such.pem}}
client_certificates:
  me: {{certificate: {folder}/agent.pem, private_key: {folder}/agent.key}}
secrets:
  key: file:{folder}/secret
  lost: env:AEGIS_TEST_NO_SUCH_VARIABLE
  elsewhere: {{from: "file:{folder}/secret", hosts: [api.example.com]}}
  here: {{from: "file:{folder}/secret", hosts: [localhost]}}
"""


@pytest.fixture
def configured(tmp_path, certificates):
    """Aegis with names for files and secrets, and the certificate of a gateway."""
    signed(certificates, "other", "agent", "DNS:gateway.example")
    (certificates / "secret").write_text(SECRET + "\n")
    (tmp_path / "aegis.yaml").write_text(CONFIGURATION.format(folder=certificates))
    flags = ("--workers", "1", "--config", tmp_path / "aegis.yaml")
    with Aegis(tmp_path / "data", *flags) as running:
        running.cli("agent", "register", "finance-agent")
        running.publish(tmp_path / "policies", finance=POLICY)
        running.wait_ready_to_decide()
        yield running


put_count = iter(range(1, 1000))


def put_tool(aegis: Aegis, url: str, **members) -> None:
    """Sets the document of `payments` and waits until the gateway has it."""
    url += f"/v{next(put_count)}"
    answer = request(
        f"{aegis.control}/api/v1/tools/payments",
        "PUT",
        {"name": "payments", "base_url": url, **members},
        {"Authorization": "Bearer " + (aegis.data / "admin.key").read_text().strip()},
    )
    assert answer.status in (200, 201), answer.body
    deadline = time.monotonic() + 10
    while url not in request(aegis.admin + "/config").body.decode():
        assert time.monotonic() < deadline


def test_an_authority_of_the_operators_own(configured, certificates):
    signed(certificates, "other", "inner", "DNS:localhost")
    token = configured.token("finance-agent")
    with TlsTool(server_context(certificates, "inner")) as tool:
        put_tool(configured, tool.url)
        assert call(configured, token).json()["reason"] == "upstream_tls"
        put_tool(configured, tool.url, tls={"certificate_authority": "corp"})
        assert call(configured, token).status == 200
        # What the system trusts is not trusted besides.
        with TlsTool(server_context(certificates, "localhost")) as public:
            put_tool(configured, public.url, tls={"certificate_authority": "corp"})
            assert call(configured, token).json()["reason"] == "upstream_tls"
    for names in ({"certificate_authority": "lost"}, {"certificate_authority": "unknown"}):
        put_tool(configured, "https://localhost:9", tls=names)
        answer = call(configured, token)
        assert answer.json()["reason"] == "upstream_tls"
        assert str(certificates) not in answer.body.decode()


def test_a_certificate_of_the_gateway(configured, certificates):
    context = server_context(certificates, "localhost")
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(certificates / "other.pem")
    token = configured.token("finance-agent")
    with TlsTool(context) as tool:
        put_tool(configured, tool.url, tls={"client_certificate": "me"})
        assert call(configured, token).status == 200
        put_tool(configured, tool.url)
        assert call(configured, token).status == 502


def test_credentials_are_the_gateways_secret(configured, tool, tmp_path):
    token = configured.token("finance-agent")
    bearer = {"header": "Authorization", "prefix": "Bearer ", "secret": "key"}
    put_tool(configured, tool.url, credentials=[bearer, {"header": "x-api-key", "secret": "key"}])
    answer = request(
        f"{configured.gateway}/tools/payments/list_all",
        headers={
            "X-Aegis-Token": token,
            "Authorization": "Basic mine",
            "X-Api-Key": "mine",
            "x-api-KEY": "mine",
        },
    )
    assert answer.status == 200
    headers = tool.seen[-1][2]
    assert headers["authorization"] == f"Bearer {SECRET}"
    assert headers["x-api-key"] == SECRET
    assert "mine" not in str(headers)

    # A secret that changed is used without a restart.
    (tmp_path / "secret").write_text(SECRET + "-2\n")
    put_tool(configured, tool.url, credentials=[bearer])
    call(configured, token)
    assert tool.seen[-1][2]["authorization"] == f"Bearer {SECRET}-2"

    # By SIGHUP without a change of the tool, too.
    (tmp_path / "secret").write_text(SECRET + "-3\n")
    configured.process.send_signal(signal.SIGHUP)
    deadline = time.monotonic() + 10
    while tool.seen[-1][2]["authorization"] != f"Bearer {SECRET}-3":
        assert time.monotonic() < deadline
        call(configured, token)

    calls = len(tool.seen)
    for name in ("lost", "unknown", "elsewhere", "here"):
        put_tool(configured, tool.url, credentials=[{"header": "x-key", "secret": name}])
        answer = call(configured, token)
        assert answer.status == 503, name
        assert answer.json()["reason"] == "tool_secret_missing"
        assert answer.headers["Retry-After"]
    assert len(tool.seen) == calls

    # Nobody but the tool has seen it.
    shown = configured.logged()
    shown += request(configured.admin + "/config").body.decode()
    shown += request(configured.admin + "/metrics").body.decode()
    shown += configured.cli("tool", "list", "-o", "json").stdout
    assert SECRET not in shown
    assert "a tool cannot be called" in shown
    configured.stop()
    for file in configured.data.rglob("*"):
        if file.is_file():
            assert SECRET.encode() not in file.read_bytes(), file


def test_retries_and_limits_of_a_document(configured):
    failures = 1

    class Failing(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            nonlocal failures
            failures -= 1
            self.send_response(503 if failures >= 0 else 200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Failing)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    token = configured.token("finance-agent")
    put_tool(configured, url, retries={"attempts": 2})
    answer = call(configured, token)
    assert answer.status == 200
    decision = answer.headers["X-Aegis-Decision-Id"]
    deadline = time.monotonic() + 10
    while not (outcome := configured.json("audit", "show", decision).get("outcome")):
        assert time.monotonic() < deadline
    assert outcome["attempts"] == 2

    failures = 100
    breaker = {"consecutive_failures": 2, "count_answers": True, "base_ejection_time": "1h"}
    breaker["max_ejection_time"] = "1h"
    put_tool(configured, url, circuit_breaker=breaker)
    assert [call(configured, token).status for _ in range(2)] == [503, 503]
    left_alone = failures
    answer = call(configured, token)
    assert answer.json()["reason"] == "tool_unavailable"
    assert 3500 < int(answer.headers["Retry-After"]) <= 3600
    assert failures == left_alone, "the tool was not called"
    server.shutdown()
    server.server_close()


def test_a_name_that_comes_to_be_known(configured):
    put_tool(configured, "http://no-such-host.invalid:80")
    token = configured.token("finance-agent")
    answer = call(configured, token)
    assert answer.json()["reason"] == "upstream_unreachable"
    # Who is suspended is so at once, whatever the name service does.
    began = time.monotonic()
    configured.cli("agent", "suspend", "finance-agent")
    while call(configured, token).status != 403:
        assert time.monotonic() < began + 3


def example(document: str, heading: str) -> dict:
    """The first YAML block below the heading of docs/DOCUMENT."""
    text = (ROOT / "docs" / document).read_text().split(f"\n## {heading}\n")[1]
    return yaml.safe_load(text.split("```yaml\n")[1].split("```")[0])


def test_the_documents_examples(configured, tmp_path):
    tool = example("proxy.md", "The tool's side")
    answer = request(
        f"{configured.control}/api/v1/tools/{tool['name']}",
        "PUT",
        tool,
        {"Authorization": "Bearer " + (configured.data / "admin.key").read_text().strip()},
    )
    assert answer.status == 201, answer.body
    kept = answer.json()
    # Defaults are left out of what is kept.
    assert kept["timeouts"] == {"connect": "5s", "first_byte": "1m", "idle": "1m", "call": "2m"}
    assert kept["tls"] == tool["tls"]
    assert kept["credentials"] == tool["credentials"]
    assert kept["circuit_breaker"] == {"max_connections": 256, "max_pending": 64}
    settings = example("configuration.md", "What tools may name")
    assert set(settings) == {"certificate_authorities", "client_certificates", "secrets"}
    (tmp_path / "example.yaml").write_text(yaml.safe_dump(settings))
    assert "is valid" in cli("config", "check", tmp_path / "example.yaml").stdout
    # A secret itself in the place of a reference is not quoted.
    (tmp_path / "bad.yaml").write_text(f"secrets: {{a: {SECRET}, b: {{from: {SECRET}}}}}\n")
    done = cli("config", "check", tmp_path / "bad.yaml", check=False)
    assert done.returncode != 0
    assert "is not a reference" in done.stdout + done.stderr
    assert SECRET not in done.stdout + done.stderr


@pytest.mark.parametrize(
    "says, reason",
    [
        (None, "upstream_timeout"),  # nothing, and keeps the connection
        (b"", "upstream_tls"),  # nothing, and closes it
        (b"\x16\x03\x03\x40\x00", "upstream_timeout"),  # the beginning of a record
        (b"\x16\x03\x03\xff\xff" + b"x" * 70_000, "upstream_tls"),  # a record that is too large
        (b"\x15\x03\x03\x00\x02\x02\x28", "upstream_tls"),  # an alert
    ],
)
def test_handshakes_that_come_to_nothing(configured, says, reason):
    listening = socket.create_server(("127.0.0.1", 0))
    taken = []

    def serve():
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listening.accept()
                connection.recv(65536)
                if says is not None:
                    connection.sendall(says)
                if says == b"":
                    connection.close()
                taken.append(connection)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    url = f"https://localhost:{listening.getsockname()[1]}"
    put_tool(configured, url, timeouts={"connect": "500ms"})
    began = time.monotonic()
    answer = call(configured, configured.token("finance-agent"))
    assert answer.json()["reason"] == reason
    assert time.monotonic() - began < 5
    listening.shutdown(socket.SHUT_RDWR)
    listening.close()
    thread.join(10)
    for connection in taken:
        connection.close()
