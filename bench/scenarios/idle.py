"""Memory of 10,000 idle connections, each after one call: HTTP/1.1 and HTTP/2, in clear and TLS."""

import contextlib
import json
import resource
import socket
import ssl
import subprocess

import harness
from support.aegis_process import Aegis, request

CONNECTIONS = 10_000
BAR_MIB = 150
REQUEST = b"GET /nowhere HTTP/1.1\r\nHost: gateway\r\n\r\n"
# The preface, SETTINGS, their acknowledgement, and GET /nowhere by literal fields.
BLOCK = b"\x82\x86" + b"\x44\x08/nowhere" + b"\x41\x07gateway"
HTTP2 = (
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0" + b"\0\0\0\4\1\0\0\0\0"
    + len(BLOCK).to_bytes(3, "big") + b"\1\5\0\0\0\1" + BLOCK
)  # fmt: skip


def make_certificate(folder):
    """A self-signed one, as file names."""
    names = folder / "tls.pem", folder / "tls.key"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
         "-nodes", "-days", "2", "-subj", "/CN=localhost", "-out", names[0], "-keyout", names[1]],
        check=True, capture_output=True,
    )  # fmt: skip
    return names


def open_one(port, context, http2):
    stream = socket.create_connection(("127.0.0.1", port), timeout=20)
    if context:
        stream = context.wrap_socket(stream)
    stream.sendall(HTTP2 if http2 else REQUEST)
    answer = b""
    while b"no_such_path" not in answer:
        piece = stream.recv(16384)
        if not piece:
            raise harness.BenchError(f"no answer but {answer!r}")
        answer += piece
    return stream


def measure(work, name, count):
    folder = work / name
    folder.mkdir()
    certificate, key = make_certificate(folder)
    listener = {"address": "127.0.0.1:0"}
    context = None
    if name.endswith("+tls"):
        listener["tls"] = {"certificate": str(certificate), "private_key": str(key)}
        context = ssl.create_default_context(cafile=str(certificate))
        context.check_hostname = False
        context.set_alpn_protocols(["h2" if name.startswith("h2") else "http/1.1"])
    limits = {"max_connections": 2 * count, "keep_alive_seconds": 3600}
    config = folder / "aegis.yaml"
    config.write_text(json.dumps({"http": {"listeners": [listener], "limits": limits}}))
    aegis = Aegis(folder / "data", "--workers", "1", "--config", str(config))
    aegis.own_gateway = False
    with aegis, contextlib.ExitStack() as stack:
        port = int(aegis.gateway.rsplit(":", 1)[1])
        pid = aegis.process.pid
        stack.enter_context(open_one(port, context, name.startswith("h2")))
        before = harness.memory_mib(pid)
        for _ in range(count):
            stack.enter_context(open_one(port, context, name.startswith("h2")))
        idle = harness.memory_mib(pid)
        metrics = request(aegis.admin + "/metrics").body.decode()
        if f"aegis_connections {count + 1}" not in metrics:
            raise harness.BenchError("connections were closed while they were counted")
    return {"before": before, "idle": idle, "kib_each": (idle - before) * 1024 / count}


def run(work, quick):
    count = 1_000 if quick else CONNECTIONS
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    if most < count + 500:
        raise harness.BenchError(f"{count} connections need more descriptors than {most}")
    rows = {name: measure(work, name, count) for name in ("h1", "h1+tls", "h2c", "h2+tls")}
    harness.print_table(
        f"Memory in MiB (Pss), {count:,} idle connections after one call each (bar: {BAR_MIB})",
        ["connections", "one", "all", "KiB each"],
        [[name, one["before"], one["idle"], one["kib_each"]] for name, one in rows.items()],
    )
    return {"connections": count, "bar_mib": BAR_MIB, "mib": rows}
