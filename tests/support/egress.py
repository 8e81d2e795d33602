"""Servers that agents reach through the egress door, and raw requests to it."""

import base64
import contextlib
import http.server
import pathlib
import socket
import ssl
import threading

from support import certificates


class Host:
    """An HTTPS or HTTP server on 127.0.0.1; `seen` has each request as (method, path, headers,
    body), `received` the bytes of each connection that came."""

    def __init__(self, folder: pathlib.Path | None = None):
        seen = self.seen = []
        self.connections = 0

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                seen.append((self.command, self.path, dict(self.headers.items()), body))
                answer = f"{self.command} {self.path} {len(body)}".encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            do_GET = do_POST = do_PUT = do_DELETE = handle_any

            def log_message(self, *_):
                pass

        host = self

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def process_request(self, request, client_address):
                host.connections += 1
                super().process_request(request, client_address)

            def finish_request(self, request, client_address):
                if host.tls:
                    try:
                        request = host.tls.wrap_socket(request, server_side=True)
                    except OSError:
                        return
                self.RequestHandlerClass(request, client_address, self)

            def handle_error(self, request, client_address):
                pass

        self.tls = None
        if folder is not None:
            certificates.authority(folder, "ca")
            certificates.signed(folder, "ca", "host", "DNS:localhost,IP:127.0.0.1")
            self.ca = str(folder / "ca.pem")
            self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.tls.load_cert_chain(folder / "host.pem", folder / "host.key")
        self.server = Server(("127.0.0.1", 0), Handler)
        self.port = self.server.server_port
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def __enter__(self) -> "Host":
        return self

    def __exit__(self, *_) -> None:
        self.server.shutdown()
        self.server.server_close()


def basic(token: str) -> str:
    return "Basic " + base64.b64encode(f"agent:{token}".encode()).decode()


@contextlib.contextmanager
def sent(address: str, request: bytes, timeout: float = 30):
    """A connection to the door on which the bytes were sent."""
    host, port = address.rsplit(":", 1)
    with socket.create_connection((host, int(port)), timeout=timeout) as connection:
        connection.sendall(request)
        yield connection


def read_head(connection: socket.socket) -> tuple[int, dict[str, str], bytes]:
    """Status (0: the connection ended without an answer), headers in lower case, what followed."""
    data = b""
    try:
        while b"\r\n\r\n" not in data:
            more = connection.recv(65536)
            if not more:
                return 0, {}, data
            data += more
    except ConnectionError:
        return 0, {}, data
    head, _, rest = data.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    return int(first.split()[1]), {k.lower(): v for k, v in headers.items()}, rest


def connect_request(target: str | bytes, token: str, *lines: str) -> bytes:
    if isinstance(target, str):
        target = target.encode()
    fields = [f"Proxy-Authorization: Bearer {token}", "Host: x", *lines]
    return b"CONNECT " + target + b" HTTP/1.1\r\n" + "\r\n".join(fields).encode() + b"\r\n\r\n"


def client_hello(name: str | None) -> bytes:
    """The first flight of a TLS client that asks for `name`."""
    out = ssl.MemoryBIO()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with contextlib.suppress(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), out, server_hostname=name).do_handshake()
    return out.read()
