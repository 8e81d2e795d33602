"""nginx, HAProxy and Envoy as plain reverse proxies, each in front of one upstream.

The configurations are those that each project's own guide begins with: everything is passed on,
with the forwarding fields that are usual. What they differ in is how they read requests. Envoy does
not wait a second with closing a connection that it has refused.
"""

import os
import pathlib
import shutil
import socket
import subprocess

from support.aegis_process import ROOT
from support.recording_upstream import wait_for_port

NGINX = """\
daemon off; master_process off; pid {folder}/nginx.pid; error_log {folder}/error.log crit;
events {{ worker_connections 256; }}
http {{
  access_log off; {temporary}
  upstream tool {{ server 127.0.0.1:{upstream}; keepalive 4; }}
  server {{
    listen 127.0.0.1:{port};
    listen 127.0.0.1:{port2} http2;
    location / {{
      proxy_pass http://tool;
      proxy_http_version 1.1;
      proxy_set_header Host $host;
      proxy_set_header Connection "";
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
    }}
  }}
}}
"""
HAPROXY = """\
global
  maxconn 256
defaults
  mode http
  timeout connect 2s
  timeout client 10s
  timeout server 10s
  option forwardfor
frontend agents
  bind 127.0.0.1:{port}
  bind 127.0.0.1:{port2} proto h2
  default_backend tools
backend tools
  server tool 127.0.0.1:{upstream}
"""


ENVOY_LISTENER = """\
  - name: {codec}
    address: {{socket_address: {{address: 127.0.0.1, port_value: {port}}}}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": "type.googleapis.com/envoy.extensions.filters.network\\
            .http_connection_manager.v3.HttpConnectionManager"
          stat_prefix: agents
          codec_type: {codec}
          use_remote_address: true
          delayed_close_timeout: 0.02s
          route_config:
            virtual_hosts:
            - name: all
              domains: ["*"]
              routes: [{{match: {{prefix: /}}, route: {{cluster: tool}}}}]
          http_filters:
          - name: envoy.filters.http.router
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router
"""
ENVOY = """\
static_resources:
  listeners:
{listeners}
  clusters:
  - name: tool
    type: STATIC
    connect_timeout: 2s
    load_assignment:
      cluster_name: tool
      endpoints:
      - lb_endpoints:
        - endpoint: {{address: {{socket_address: {{address: 127.0.0.1, port_value: {upstream}}}}}}}
"""


def find_program(name: str) -> str | None:
    """As scripts/setup leaves it, or as it is installed."""
    for folder in (
        ROOT / "build/deps/bin",
        ROOT / "build/deps/venv/bin",
        pathlib.Path("/usr/sbin"),
    ):
        if os.access(folder / name, os.X_OK):
            return str(folder / name)
    return shutil.which(name)


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


class Peer:
    """A running proxy of that name: `port` speaks HTTP/1.1, `port2` HTTP/2 from the first byte."""

    NAMES = ("nginx", "haproxy", "envoy")

    def __init__(self, name: str, folder: pathlib.Path, upstream: int):
        self.name, self.folder, self.upstream = name, folder / name, upstream
        self.folder.mkdir(parents=True)

    def __enter__(self) -> "Peer":
        for _ in range(5):  # none of them takes a free port and tells which
            self.port, self.port2 = free_ports(2)
            with (self.folder / "log").open("wb") as log:
                self.process = subprocess.Popen(self._command(), stdout=log, stderr=log)
            if wait_for_port(self.port2, lambda: self.process.poll() is None):
                return self
            self.__exit__()
        raise AssertionError(f"{self.name}: " + (self.folder / "log").read_text(errors="replace"))

    def __exit__(self, *_) -> None:
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def _command(self) -> list[str]:
        program = find_program(self.name)
        assert program, f"there is no {self.name}: run scripts/setup test"
        ports = {"port": self.port, "port2": self.port2, "upstream": self.upstream}
        file = self.folder / "config"
        if self.name == "envoy":
            file = file.with_suffix(".yaml")
            listeners = [
                ENVOY_LISTENER.format(codec=codec, port=port)
                for codec, port in (("HTTP1", self.port), ("HTTP2", self.port2))
            ]
            file.write_text(ENVOY.format(listeners="".join(listeners), upstream=self.upstream))
            return [program, "-c", str(file), "--concurrency", "1", "--disable-hot-restart",
                    "-l", "warning"]  # fmt: skip
        if self.name == "haproxy":
            file.write_text(HAPROXY.format(**ports))
            return [program, "-db", "-f", str(file)]
        temporary = " ".join(
            f"{kind}_temp_path {self.folder}/{kind};"
            for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        user = "user root; " if os.getuid() == 0 else ""
        file.write_text(user + NGINX.format(folder=self.folder, temporary=temporary, **ports))
        return [program, "-p", str(self.folder), "-e", str(self.folder / "error"), "-c", str(file)]
