"""An OTLP/HTTP collector: a real HTTP server that reads spans by OpenTelemetry's own classes."""

import gzip
import http.server
import ssl
import threading
import time

from opentelemetry.proto.collector.trace.v1 import trace_service_pb2


class Collector:
    """`answers` is how the next requests are answered, as (status, headers); then 200."""

    def __init__(self, tls: tuple[str, str] | None = None, port: int = 0):
        self.requests = []  # headers of each
        self.arrived = []  # when
        self.messages = []  # those that were taken
        self.answers = []
        collector = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                collector._take(self)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.server.daemon_threads = True
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*tls)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.port = self.server.server_port
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def _take(self, request) -> None:
        body = request.rfile.read(int(request.headers["Content-Length"]))
        assert request.path == "/v1/traces", request.path
        assert request.headers["Content-Type"] == "application/x-protobuf"
        self.requests.append(dict(request.headers.items()))
        self.arrived.append(time.monotonic())
        status, headers = self.answers.pop(0) if self.answers else (200, {})
        if status == 200:
            if request.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            self.messages.append(trace_service_pb2.ExportTraceServiceRequest.FromString(body))
        request.send_response(status)
        for name, value in headers.items():
            request.send_header(name, value)
        request.send_header("Content-Length", "0")
        request.end_headers()

    def spans(self) -> list:
        return [
            span
            for message in self.messages
            for resource in message.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    def wait(self, count: int, seconds: float = 20) -> list:
        """The spans, once there are that many."""
        deadline = time.monotonic() + seconds
        while len(self.spans()) < count:
            assert time.monotonic() < deadline, [span.name for span in self.spans()]
            time.sleep(0.02)
        return self.spans()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    def __enter__(self) -> "Collector":
        return self

    def __exit__(self, *_) -> None:
        self.close()


def attributes(item) -> dict:
    """Of a span or a resource: names with their values."""
    return {
        pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in item.attributes
    }
