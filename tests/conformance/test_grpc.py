"""Our gRPC server as gRPC's own client (grpcio) sees it: calls, streams, deadlines, TLS, drain."""

import pathlib
import subprocess
import threading
import time

import grpc
import pytest
from google.protobuf import descriptor_pb2, empty_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import proto_reflection_descriptor_database

ROOT = pathlib.Path(__file__).resolve().parents[2]
TOOL = ROOT / "build" / "release" / "bin" / "grpc_tool"
LARGE = [("grpc.max_receive_message_length", 16 << 20), ("grpc.enable_http_proxy", 0)]


class Server:
    def __init__(self, *arguments: str):
        self.process = subprocess.Popen(
            [TOOL, *map(str, arguments)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.address = self.process.stdout.readline().strip()

    def say(self, line: str) -> None:
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        assert self.process.wait(timeout=10) == 0
        self.process.stdout.close()


@pytest.fixture
def server():
    with Server("127.0.0.1:0") as running:
        yield running


@pytest.fixture
def channel(server):
    with grpc.insecure_channel(server.address, options=LARGE) as made:
        yield made


def unary(channel, method: str, service: str = "test.Echo"):
    return channel.unary_unary(f"/{service}/{method}")


def code_of(call, *arguments, **named) -> grpc.StatusCode:
    with pytest.raises(grpc.RpcError) as raised:
        call(*arguments, **named)
    return raised.value.code()


def until_refused(call) -> grpc.StatusCode:
    end = time.monotonic() + 10
    while time.monotonic() < end:
        try:
            call(b"x", timeout=5)
        except grpc.RpcError as error:
            return error.code()
    raise AssertionError("calls go on")


def test_unary_calls_of_all_sizes(channel):
    echo = unary(channel, "Echo")
    for size in (0, 1, 1000, 16_379, 16_384, 65_536, 300_000, 4_000_000):
        message = bytes(i & 255 for i in range(min(size, 1000))) * (size // 1000 + 1)
        assert echo(message[:size], timeout=20) == message[:size]


def test_many_calls_at_once(channel):
    echo = unary(channel, "Echo")
    calls = [echo.future(str(i).encode(), timeout=30) for i in range(3000)]
    assert [call.result() for call in calls] == [str(i).encode() for i in range(3000)]


def test_status_and_message_of_a_failed_call(channel):
    for number, text in ((7, "no"), (5, "50% of ü\n"), (16, "x" * 500)):
        with pytest.raises(grpc.RpcError) as raised:
            unary(channel, "Fail")(f"{number} {text}".encode())
        assert raised.value.code().value[0] == number
        assert raised.value.details() == text


def test_unknown_method_and_service(channel):
    assert code_of(unary(channel, "None"), b"") == grpc.StatusCode.UNIMPLEMENTED
    assert code_of(unary(channel, "Echo", "test.None"), b"") == grpc.StatusCode.UNIMPLEMENTED


def test_too_large_a_message(channel):
    message = b"x" * (4 * 1024 * 1024 + 1)
    assert code_of(unary(channel, "Echo"), message) == grpc.StatusCode.RESOURCE_EXHAUSTED


def test_compressed_message_is_refused(channel):
    call = unary(channel, "Echo")
    code = code_of(call, b"x" * 1000, compression=grpc.Compression.Gzip)
    assert code == grpc.StatusCode.UNIMPLEMENTED
    assert call(b"plain") == b"plain"


def test_stream_both_ways(channel):
    answers = channel.stream_stream("/test.Echo/Echo")(iter([b"a", b"", b"c" * 100_000]))
    assert list(answers) == [b"a", b"", b"c" * 100_000]


def test_stream_that_waits_for_each_answer(channel):
    said = threading.Semaphore(1)

    def requests():
        for i in range(20):
            assert said.acquire(timeout=10)
            yield str(i).encode()

    for i, answer in enumerate(channel.stream_stream("/test.Echo/Echo")(requests())):
        assert answer == str(i).encode()
        said.release()


def test_slow_reader_gets_everything(channel):
    requests = iter([b"300000"] * 40)
    total = 0
    for answer in channel.stream_stream("/test.Echo/Large")(requests):
        assert answer == b"L" * 300_000
        total += 1
        time.sleep(0.005)
    assert total == 40


def test_deadline(channel):
    start = time.monotonic()
    assert code_of(unary(channel, "Silent"), b"x", timeout=0.2) == grpc.StatusCode.DEADLINE_EXCEEDED
    assert time.monotonic() - start < 2


def test_cancelled_calls_leave_the_connection_usable(channel):
    calls = [unary(channel, "Silent").future(b"x") for _ in range(200)]
    assert unary(channel, "Echo")(b"y") == b"y"
    for call in calls:
        call.cancel()
    assert unary(channel, "Echo")(b"z", timeout=10) == b"z"


def test_unix_socket(tmp_path):
    with Server(f"unix:{tmp_path}/s") as server:
        assert server.address == "unix"
        with grpc.insecure_channel(f"unix:{tmp_path}/s") as channel:
            assert unary(channel, "Echo")(b"x") == b"x"
            assert unary(channel, "WhoAmI", "test.Who")(b"") == b"unix|"


def test_health(server, channel):
    health = health_pb2_grpc.HealthStub(channel)
    serving = health_pb2.HealthCheckResponse.SERVING
    not_serving = health_pb2.HealthCheckResponse.NOT_SERVING
    assert health.Check(health_pb2.HealthCheckRequest()).status == serving
    request = health_pb2.HealthCheckRequest(service="no.such")
    assert code_of(health.Check, request) == grpc.StatusCode.NOT_FOUND
    watch = health.Watch(health_pb2.HealthCheckRequest(), timeout=20)
    assert next(watch).status == serving
    server.say("down")
    assert next(watch).status == not_serving
    server.say("up")
    assert next(watch).status == serving


def test_reflection(tmp_path):
    files = descriptor_pb2.FileDescriptorSet()
    empty_pb2.DESCRIPTOR.CopyToProto(files.file.add())
    health_pb2.DESCRIPTOR.CopyToProto(files.file.add())
    (tmp_path / "set").write_bytes(files.SerializeToString())
    with (
        Server("127.0.0.1:0", "--descriptors", tmp_path / "set") as server,
        grpc.insecure_channel(server.address) as channel,
    ):
        database = proto_reflection_descriptor_database.ProtoReflectionDescriptorDatabase(channel)
        assert "test.Echo" in list(database.get_services())
        found = database.FindFileContainingSymbol("grpc.health.v1.HealthCheckRequest")
        assert found == files.file[1]
        assert database.FindFileByName("google/protobuf/empty.proto") == files.file[0]
        with pytest.raises(KeyError):
            database.FindFileContainingSymbol("no.such.Message")


def test_drain_lets_running_calls_end(server, channel):
    go_on = threading.Event()

    def requests():
        yield b"first"
        assert go_on.wait(10)
        yield b"second"

    answers = channel.stream_stream("/test.Echo/Echo")(requests())
    assert next(answers) == b"first"
    server.say("drain")
    # The listener is closed, and this connection takes no new calls, as soon as the line is read.
    assert until_refused(unary(channel, "Echo")) == grpc.StatusCode.UNAVAILABLE
    go_on.set()
    assert list(answers) == [b"second"]


class Certificates:
    """An authority, a server's certificate for localhost, and clients' with and without a URI."""

    def __init__(self, folder: pathlib.Path):
        self.folder = folder
        self.run("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                 "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=test ca",
                 "-days", "2")  # fmt: skip
        self.issue("server", "/CN=server", "DNS:localhost")
        self.issue("uri", "/CN=ignored", "DNS:x,URI:spiffe://test/ns/envoy,URI:spiffe://second")
        self.issue("subject", "/O=Test/CN=client one", "DNS:x")

    def run(self, *arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=self.folder, check=True, capture_output=True)

    def issue(self, name: str, subject: str, names: str) -> None:
        (self.folder / f"{name}.ext").write_text(f"subjectAltName={names}\n")
        self.run("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                 "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", subject)  # fmt: skip
        self.run("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key",
                 "-CAcreateserial", "-out", f"{name}.pem", "-days", "2",
                 "-extfile", f"{name}.ext")  # fmt: skip

    def path(self, name: str) -> pathlib.Path:
        return self.folder / name

    def channel(self, server: Server, client: str | None = None) -> grpc.Channel:
        key = self.path(f"{client}.key").read_bytes() if client else None
        chain = self.path(f"{client}.pem").read_bytes() if client else None
        credentials = grpc.ssl_channel_credentials(self.path("ca.pem").read_bytes(), key, chain)
        port = server.address.rsplit(":", 1)[1]
        return grpc.secure_channel(f"localhost:{port}", credentials, options=LARGE)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    return Certificates(tmp_path_factory.mktemp("certificates"))


def who(channel) -> str:
    return unary(channel, "WhoAmI", "test.Who")(b"", timeout=10).decode().split("|")[1]


def test_tls(certificates):
    files = [certificates.path("server.pem"), certificates.path("server.key")]
    with Server("127.0.0.1:0", "--tls", *files) as server:
        with certificates.channel(server) as channel:
            message = b"t" * 3_000_000
            assert unary(channel, "Echo")(message) == message
            echo = unary(channel, "Echo")
            calls = [echo.future(str(i).encode() * 100) for i in range(500)]
            assert [call.result() for call in calls] == [str(i).encode() * 100 for i in range(500)]
            answers = channel.stream_stream("/test.Echo/Large")(iter([b"300000"] * 30))
            assert [len(answer) for answer in answers] == [300_000] * 30
        # Nobody asked for a certificate: a name that is not verified is none.
        with certificates.channel(server, "uri") as channel:
            assert who(channel) == ""


def test_mutual_tls(certificates):
    files = [certificates.path(name) for name in ("server.pem", "server.key", "ca.pem")]
    with Server("127.0.0.1:0", "--tls", *files) as server:
        with certificates.channel(server, "uri") as channel:
            assert who(channel) == "spiffe://test/ns/envoy"
        with certificates.channel(server, "subject") as channel:
            assert who(channel) == "CN=client one,O=Test"
        with certificates.channel(server) as channel:
            code = code_of(unary(channel, "Echo"), b"x", timeout=2)
            assert code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)


def test_renewed_certificates(certificates, tmp_path):
    for name in ("server.pem", "server.key"):
        (tmp_path / name).write_bytes(certificates.path(name).read_bytes())
    files = [tmp_path / "server.pem", tmp_path / "server.key"]
    with Server("127.0.0.1:0", "--tls", *files) as server, certificates.channel(server) as old:
        assert unary(old, "Echo")(b"x") == b"x"
        renewed = Certificates(tmp_path)
        server.say("renew")
        end = time.monotonic() + 10
        while time.monotonic() < end:
            with renewed.channel(server) as channel:
                try:
                    assert unary(channel, "Echo")(b"y", timeout=1) == b"y"
                    break
                except grpc.RpcError:
                    continue
        else:
            raise AssertionError("the new certificate is not shown")
        assert unary(old, "Echo")(b"z") == b"z"  # what runs goes on


@pytest.mark.parametrize("offered", [None, "http/1.1"])
def test_tls_without_h2_is_refused(certificates, offered):
    files = [certificates.path("server.pem"), certificates.path("server.key")]
    with Server("127.0.0.1:0", "--tls", *files) as server:
        port = server.address.rsplit(":", 1)[1]
        protocols = ["-alpn", offered] if offered else []
        done = subprocess.run(
            ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-quiet", *protocols],
            input=b"GET / HTTP/1.1\r\n\r\n", capture_output=True, timeout=20, check=False,
        )  # fmt: skip
        assert done.stdout == b""


def test_bad_tls_files_are_told(certificates):
    for files, reason in (
        (["none.pem", "server.key"], "the certificate"),
        (["server.pem", "uri.key"], "the key"),
        (["server.pem", "server.key", "none.pem"], "the certificates of"),
    ):
        done = subprocess.run(
            [TOOL, "127.0.0.1:0", "--tls", *(certificates.path(name) for name in files)],
            capture_output=True, text=True, timeout=10, check=False,
        )  # fmt: skip
        assert done.returncode == 1
        assert reason in done.stderr
