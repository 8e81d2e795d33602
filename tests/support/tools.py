"""Tools of the kinds that an Envoy has behind it. Each `seen` is what reached the tool."""

import http.server
import json
import socket
import threading
from concurrent import futures

import grpc
import h2.config
import h2.connection
import h2.events
import h2.exceptions

from support.aegis_process import read_body


class Http2Tool:
    """Answers each request in HTTP/2 (in clear); `seen` as support.aegis_process.Tool's."""

    def __init__(self):
        self.seen = []
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.port = self.listening.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self.listening.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, socket_: socket.socket) -> None:
        session = h2.connection.H2Connection(
            h2.config.H2Configuration(client_side=False, header_encoding="utf-8")
        )
        session.initiate_connection()
        requests: dict[int, tuple[dict, bytearray]] = {}
        with socket_:
            socket_.sendall(session.data_to_send())
            while data := self._received(socket_):
                try:
                    for event in session.receive_data(data):
                        self._handle(session, requests, event)
                except h2.exceptions.ProtocolError:
                    return
                socket_.sendall(session.data_to_send())

    def _received(self, socket_: socket.socket) -> bytes:
        try:
            return socket_.recv(65536)
        except OSError:
            return b""

    def _handle(self, session, requests, event) -> None:
        if isinstance(event, h2.events.RequestReceived):
            requests[event.stream_id] = (dict(event.headers), bytearray())
        elif isinstance(event, h2.events.DataReceived):
            requests[event.stream_id][1].extend(event.data)
            session.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.StreamReset):
            requests.pop(event.stream_id, None)
        elif isinstance(event, h2.events.StreamEnded):
            headers, body = requests.pop(event.stream_id)
            self.seen.append((headers[":method"], headers[":path"], headers, bytes(body)))
            answer = json.dumps({"received": len(body)}).encode()
            fields = [(":status", "200"), ("content-type", "application/json")]
            session.send_headers(event.stream_id, fields)
            session.send_data(event.stream_id, answer, end_stream=True)

    def close(self) -> None:
        self.listening.shutdown(socket.SHUT_RDWR)
        self.listening.close()


class EchoTool:
    """Answers with the body that it got, or with `answer` (type, body), by HTTP/1.1."""

    def __init__(self):
        outer = self
        self.seen = []
        self.answer: tuple[str, bytes] | None = None

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self):
                body = read_body(self)
                outer.seen.append((self.command, self.path, dict(self.headers.items()), body))
                kind, content = outer.answer or ("application/json", body)
                self.send_response(200)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(content)))
                self.send_header("X-Aegis-Decision", "from-the-tool")
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = do_PUT = do_DELETE = handle_any

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_port
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


class EventsTool:
    """Server-sent events: one at once, the second when `go_on` is set."""

    def __init__(self):
        outer = self
        self.events = (b"data: 1\n\n", b"data: 2\n\n")
        self.seen = []
        self.go_on = threading.Event()

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self):
                body = read_body(self)
                outer.seen.append((self.command, self.path, dict(self.headers.items()), body))
                self.send_response(200)
                self.send_header("Content-Type", "text/event-stream")
                self.send_header("Transfer-Encoding", "chunked")
                self.end_headers()
                self.event(outer.events[0])
                outer.go_on.wait(10)
                self.event(outer.events[1])
                self.wfile.write(b"0\r\n\r\n")

            def event(self, text: bytes):
                self.wfile.write(b"%x\r\n%s\r\n" % (len(text), text))
                self.wfile.flush()

            do_GET = do_POST = answer

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_port
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.go_on.set()
        self.server.shutdown()
        self.server.server_close()


class GrpcTool:
    """ledger.Ledger with Balance (unary), Watch (three answers) and Sum (both stream)."""

    def __init__(self):
        self.seen = []  # (method, metadata, messages so far)
        served = {
            "Balance": grpc.unary_unary_rpc_method_handler(self._balance),
            "Watch": grpc.unary_stream_rpc_method_handler(self._watch),
            "Sum": grpc.stream_stream_rpc_method_handler(self._sum),
            "Close": grpc.unary_unary_rpc_method_handler(self._balance),
        }
        self.server = grpc.server(futures.ThreadPoolExecutor(4))
        handler = grpc.method_handlers_generic_handler("ledger.Ledger", served)
        self.server.add_generic_rpc_handlers((handler,))
        self.port = self.server.add_insecure_port("127.0.0.1:0")
        self.server.start()

    def _note(self, method: str, context) -> None:
        self.seen.append((method, dict(context.invocation_metadata())))

    def _balance(self, message: bytes, context) -> bytes:
        self._note("Balance", context)
        return b"balance of " + message

    def _watch(self, message: bytes, context):
        self._note("Watch", context)
        for number in range(3):
            yield b"%s %d" % (message, number)

    def _sum(self, messages, context):
        self._note("Sum", context)
        total = 0
        for message in messages:
            total += int(message)
            yield b"%d" % total

    def close(self) -> None:
        self.server.stop(None)
