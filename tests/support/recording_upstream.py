"""A tool, or any server behind a proxy, that keeps what it receives byte by byte."""

import contextlib
import dataclasses
import socket
import threading
import time

from support import strict_http

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
ANSWER_TO_HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"


@dataclasses.dataclass
class Cut:
    """What came of a request whose end never came."""

    data: bytes


@dataclasses.dataclass
class Unreadable:
    """What is no request, or could be several."""

    data: bytes
    why: str


class RecordingUpstream:
    """Answers 200 to each request that its own strict reader can tell the end of."""

    def __init__(self):
        self._lock = threading.Condition()
        self._taken: list[strict_http.Message | Cut | Unreadable] = []
        self._busy = 0  # connections with part of a request
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self._listening.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()

    def take(self, settle: float = 1.0) -> list:
        """What came since the last call, once no request is half there (or `settle` s passed)."""
        with self._lock:
            self._lock.wait_for(lambda: self._busy == 0, settle)
            taken, self._taken = self._taken, []
            return taken

    def close(self) -> None:
        # Wakes the thread that accepts: it would hold the socket open, and might take what comes
        # to a later one.
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._accepting.join(10)
        self._listening.close()

    def __enter__(self) -> "RecordingUpstream":
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listening.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        data, busy = b"", False
        with connection, contextlib.suppress(OSError):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while True:
                try:
                    found = strict_http.read(data) if data else None
                except strict_http.Unreadable as error:
                    return self._ended(busy, Unreadable(data, str(error)))
                if found:
                    message, size = found
                    data = data[size:]
                    # Before it is answered, so that who has the answer finds it here.
                    busy = self._mark(busy, bool(data), message)
                    connection.sendall(ANSWER_TO_HEAD if message.method == "HEAD" else ANSWER)
                    continue
                busy = self._mark(busy, bool(data))
                received = b""
                with contextlib.suppress(OSError):
                    received = connection.recv(1 << 20)
                if not received:
                    return self._ended(busy, Cut(data) if data else None)
                data += received

    def _mark(self, was: bool, now: bool, message=None) -> bool:
        with self._lock:
            self._busy += now - was
            if message:
                self._taken.append(message)
            self._lock.notify_all()
        return now

    def _ended(self, busy: bool, last) -> None:
        with self._lock:
            self._busy -= busy
            if last:
                self._taken.append(last)
            self._lock.notify_all()


def wait_for_port(port: int, alive, seconds: float = 10) -> bool:
    """Whether something listens there before `alive()` says no."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and alive():
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return True
        time.sleep(0.01)
    return False
