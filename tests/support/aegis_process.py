"""Starts the real binary as a user would, on ports of its own; talks to it by HTTP and CLI."""

import http.client
import http.server
import json
import os
import pathlib
import signal
import subprocess
import threading
import time
import urllib.parse

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = pathlib.Path(os.environ.get("AEGIS_BIN", ROOT / "build/release/bin/aegis"))

# What most tests publish.
PAYMENTS_POLICY = """\
agent: finance-agent
allowed_tools:
  - name: payments
    actions: [create_payment]
    conditions:
      max_amount: 5000
  - name: payments
    actions: ["list_*"]
"""


class Answer:
    """Status, headers (case-insensitive) and body of one HTTP answer."""

    def __init__(self, response: http.client.HTTPResponse):
        self.status = response.status
        self.headers = response.headers
        self.body = response.read()

    def json(self):
        return json.loads(self.body)


def request(url: str, method: str = "GET", body=None, headers=None, timeout: float = 15) -> Answer:
    """One request on a connection of its own; `body` that is not bytes is sent as JSON."""
    parts = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=timeout)
    headers = dict(headers or {})
    if body is not None and not isinstance(body, bytes):
        body = json.dumps(body).encode()
        headers.setdefault("Content-Type", "application/json")
    target = parts.path + ("?" + parts.query if parts.query else "")
    try:
        connection.request(method, target, body=body, headers=headers)
        return Answer(connection.getresponse())
    finally:
        connection.close()


class Aegis:
    """`aegis up` on a data folder; `flags` are added to its command line."""

    def __init__(self, data: pathlib.Path, *flags: str):
        self.data = pathlib.Path(data)
        self.flags = flags
        self.own_gateway = True  # a free port in clear, unless the flags or a file say where
        self.process: subprocess.Popen | None = None
        self.output = ""

    def start(self, wait: bool = True) -> "Aegis":
        command = [
            BINARY,
            "up",
            "--data",
            self.data,
            "--control",
            "127.0.0.1:0",
        ]
        if self.own_gateway and "--gateway" not in self.flags:
            command += ["--gateway", "127.0.0.1:0"]
        command += ["--admin", "127.0.0.1:0", *self.flags]
        self.log = self.data.with_suffix(".log").open("ab")
        self.process = subprocess.Popen(
            [str(part) for part in command], stdout=subprocess.PIPE, stderr=self.log, text=True
        )
        threading.Thread(target=self._collect, args=(self.process.stdout,), daemon=True).start()
        if wait:
            self.wait_ready()
        return self

    def _collect(self, stream) -> None:
        for line in stream:
            self.output += line

    def wait_ready(self, seconds: float = 20) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            assert self.process.poll() is None, f"aegis up ended: {self.logged()}"
            try:
                run = json.loads((self.data / "run.json").read_text())
                if (
                    run["pid"] == self.process.pid
                    and request(run["admin"] + "/healthz").status == 200
                ):
                    self.run = run
                    return
            except (OSError, ValueError):
                pass
            time.sleep(0.02)
        raise AssertionError(f"aegis up was not ready in {seconds} s: {self.logged()}")

    def wait_ready_to_decide(self, seconds: float = 10) -> None:
        deadline = time.monotonic() + seconds
        while request(self.admin + "/readyz").status != 200:
            assert time.monotonic() < deadline, request(self.admin + "/readyz").body
            time.sleep(0.01)

    def logged(self) -> str:
        return self.output + self.data.with_suffix(".log").read_text(errors="replace")

    def stop(self) -> int:
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(timeout=20)
        return self.process.returncode if self.process else 0

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def __enter__(self) -> "Aegis":
        return self.start()

    def __exit__(self, *_) -> None:
        self.stop()

    @property
    def gateway(self) -> str:
        return self.run["gateway"]

    @property
    def admin(self) -> str:
        return self.run["admin"]

    @property
    def control(self) -> str:
        return self.run["control"]

    def cli(
        self, *arguments, check: bool = True, stdin: str | None = None
    ) -> subprocess.CompletedProcess:
        """`aegis ARGUMENTS` against this data folder."""
        return cli("--data", self.data, *arguments, check=check, stdin=stdin)

    def json(self, *arguments):
        return json.loads(self.cli("-o", "json", *arguments).stdout)

    def token(self, agent: str, *chain: str, ttl: str = "15m") -> str:
        flags = [flag for link in chain for flag in ("--behalf-of", link)]
        return self.cli("token", "issue", agent, "--ttl", ttl, *flags).stdout.strip()

    def publish(self, folder: pathlib.Path, **files: str) -> None:
        """Publishes the files (name without .yaml -> content) as the whole policy."""
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            (folder / f"{name}.yaml").write_text(content)
        self.cli("policy", "publish", "--prune", *[folder / f"{name}.yaml" for name in files])

    def call(self, token: str | None, tool: str, action: str, params=None, headers=None) -> Answer:
        headers = dict(headers or {})
        if token is not None:
            headers["Authorization"] = "Bearer " + token
        return request(
            f"{self.gateway}/tools/{tool}/{action}",
            "POST",
            params if params is not None else {},
            headers,
        )


def cli(*arguments, check: bool = True, stdin: str | None = None) -> subprocess.CompletedProcess:
    done = subprocess.run(
        [str(BINARY), *map(str, arguments)],
        capture_output=True,
        text=True,
        input=stdin,
        timeout=60,
        cwd=ROOT,
    )
    assert not check or done.returncode == 0, (
        f"{done.args}: exit {done.returncode}\n{done.stdout}{done.stderr}"
    )
    return done


def read_body(request: http.server.BaseHTTPRequestHandler) -> bytes:
    """The body of the request at hand, in chunks or not."""
    if "chunked" not in request.headers.get("Transfer-Encoding", ""):
        return request.rfile.read(int(request.headers.get("Content-Length", 0)))
    body = b""
    while size := int(request.rfile.readline(), 16):
        body += request.rfile.read(size)
        request.rfile.readline()
    request.rfile.readline()
    return body


class Tool:
    """A real HTTP server; `seen` has each request as (method, path, headers, body)."""

    def __init__(self):
        seen = self.seen = []

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self):
                body = read_body(self)
                seen.append((self.command, self.path, dict(self.headers.items()), body))
                answer = json.dumps({"received": len(body)}).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            do_GET = do_POST = do_PUT = do_DELETE = handle_any

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def __enter__(self) -> "Tool":
        return self

    def __exit__(self, *_) -> None:
        self.server.shutdown()
        self.server.server_close()
