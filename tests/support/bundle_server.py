"""A server of OPA bundles: files in memory with ETags, and long polling if asked for."""

import hashlib
import http.server
import io
import json
import pathlib
import subprocess
import tarfile
import threading

ROOT = pathlib.Path(__file__).resolve().parents[2]
OPA = ROOT / "build/bin/opa"
LONG_POLL_TYPE = "application/vnd.openpolicyagent.bundles"


class BundleServer:
    """Serves `set(path, content)`; `seen` has each request as (path, headers).

    With `long_polling` a request that prefers to wait is held until its content changes. `token`:
    the bearer token that is asked for. `tls`: an ssl.SSLContext. `cut`: answers break off after
    that many bytes.
    """

    def __init__(self, long_polling: bool = False, token: str | None = None, tls=None):
        self.contents: dict[str, tuple[bytes, str]] = {}
        self.changed = threading.Condition()
        self.seen = []
        self.cut: int | None = None
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                outer.seen.append((self.path, dict(self.headers.items())))
                if token and self.headers.get("Authorization") != "Bearer " + token:
                    return self.answer(401, b"", "")
                known = self.headers.get("If-None-Match", "")
                with outer.changed:
                    if long_polling and "wait=" in self.headers.get("Prefer", ""):
                        outer.changed.wait_for(lambda: not self.is_known(known), timeout=5)
                    content, etag = outer.contents.get(self.path, (None, ""))
                if content is None:
                    return self.answer(404, b"", "")
                if etag in known:
                    return self.answer(304, b"", etag)
                return self.answer(200, content, etag)

            def is_known(self, known: str) -> bool:
                _, etag = outer.contents.get(self.path, (None, ""))
                return not etag or etag in known

            def answer(self, status: int, body: bytes, etag: str):
                self.send_response(status)
                if etag:
                    self.send_header("ETag", etag)
                self.send_header(
                    "Content-Type", LONG_POLL_TYPE if long_polling else "application/gzip"
                )
                if status != 304:
                    self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if outer.cut is not None and status == 200:
                    body = body[: outer.cut]
                    self.close_connection = True
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        if tls:
            self.server.socket = tls.wrap_socket(self.server.socket, server_side=True)
        self.url = f"http{'s' if tls else ''}://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def set(self, path: str, content: bytes) -> None:
        with self.changed:
            etag = '"' + hashlib.sha256(content).hexdigest()[:16] + '"'
            self.contents[path] = (content, etag)
            self.changed.notify_all()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    def __enter__(self) -> "BundleServer":
        return self

    def __exit__(self, *_) -> None:
        self.close()


def pack(files: dict[str, str | bytes]) -> bytes:
    """A .tar.gz of the files, nothing added."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for name, content in files.items():
            data = content.encode() if isinstance(content, str) else content
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return out.getvalue()


def delta(revision: str, operations: list, roots: list | None = None) -> bytes:
    manifest = {"revision": revision, "roots": roots or [""]}
    return pack(
        {"/.manifest": json.dumps(manifest), "/patch.json": json.dumps({"data": operations})}
    )


def opa_build(folder: pathlib.Path, files: dict[str, str], revision: str, *flags: str) -> bytes:
    """What `opa build` makes of the files; flags such as "-t", "plan", "-e", "aegis/decision"."""
    source = folder / f"source-{revision}"
    for name, content in files.items():
        path = source / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    out = folder / f"{revision}.tar.gz"
    done = subprocess.run(
        [str(part) for part in (OPA, "build", "-b", ".", "-r", revision, "-o", out, *flags)],
        cwd=source,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return out.read_bytes()
