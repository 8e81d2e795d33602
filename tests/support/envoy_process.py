"""A real Envoy on a file of `deploy/envoy/`, on ports of its own."""

import json
import pathlib
import shutil
import subprocess
import sys
import time
import urllib.parse

import yaml

from support.aegis_process import ROOT, request

DEPLOY = ROOT / "deploy" / "envoy"
# Where the files listen: the listeners for agents, and Envoy's administration.
LISTENING = (10000, 9902)


def envoy_binary() -> str:
    beside = pathlib.Path(sys.executable).with_name("envoy")
    found = str(beside) if beside.exists() else shutil.which("envoy")
    assert found, "there is no envoy: run scripts/setup test"
    return found


def deployed(name: str, ports: dict[int, int] | None = None, files: pathlib.Path | None = None):
    """`deploy/envoy/NAME.yaml`, moved: the one thing in which tests differ from operators.

    `ports`: port in the file -> port here; what Envoy itself listens on takes a free one of
    127.0.0.1, and a port that is not named keeps none, so that a test cannot reach a stranger.
    `files`: the folder that stands for /etc/envoy.
    """
    ports = dict(ports or {})

    def moved(node):
        if isinstance(node, list):
            return [moved(item) for item in node]
        if isinstance(node, str):
            return node.replace("/etc/envoy", str(files)) if files else node
        if not isinstance(node, dict):
            return node
        if "port_value" in node:
            port = node["port_value"]
            here = 0 if port in LISTENING else ports.get(port, 1)
            address = {"address": "127.0.0.1"} if "address" in node else {}
            return address | {"port_value": here}
        return {key: moved(value) for key, value in node.items()}

    return moved(yaml.safe_load((DEPLOY / f"{name}.yaml").read_text()))


def manager(config) -> dict:
    """The connection manager of the listener for agents, to be changed in place."""
    chain = config["static_resources"]["listeners"][0]["filter_chains"][0]
    return chain["filters"][0]["typed_config"]


def ext_authz(config) -> dict:
    """The settings of the filter that asks Aegis."""
    named = {f["name"]: f["typed_config"] for f in manager(config)["http_filters"]}
    return named["envoy.filters.http.ext_authz"]


class Envoy:
    """`config` as `deployed` gives it. Its files are in `folder`."""

    def __init__(self, folder: pathlib.Path, config: dict):
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.config = config
        self.access_log = folder / "access.log"
        self.process: subprocess.Popen | None = None
        self._lines_seen = 0

    def start(self, seconds: float = 30) -> "Envoy":
        file = self.folder / "envoy.json"
        file.write_text(json.dumps(self.config))
        told = self.folder / "admin"
        told.unlink(missing_ok=True)
        command = [
            envoy_binary(), "-c", file, "--admin-address-path", told, "--concurrency", "1",
            "--disable-hot-restart", "-l", "warning", "--file-flush-interval-msec", "20",
        ]  # fmt: skip
        with self.access_log.open("wb") as out, (self.folder / "envoy.log").open("wb") as log:
            self.process = subprocess.Popen(
                [str(part) for part in command], stdout=out, stderr=log, stdin=subprocess.DEVNULL
            )
        deadline = time.monotonic() + seconds
        while True:
            assert self.process.poll() is None, f"Envoy ended: {self.logged()}"
            assert time.monotonic() < deadline, f"Envoy is not ready: {self.logged()}"
            try:
                self.admin = "http://" + told.read_text()  # which may be empty still
                if self.admin != "http://" and request(self.admin + "/ready").status == 200:
                    break
            except (OSError, ValueError):
                pass
            time.sleep(0.02)
        listeners = request(self.admin + "/listeners?format=json").json()["listener_statuses"]
        address = listeners[0]["local_address"]["socket_address"]
        self.port = address["port_value"]
        self.address = f"127.0.0.1:{self.port}"
        self.url = f"http://{self.address}"
        return self

    def logged(self) -> str:
        return (self.folder / "envoy.log").read_text(errors="replace")

    def stats(self, prefix: str) -> dict[str, int]:
        """The counters and gauges whose names have `prefix` at their start or after a dot."""
        found = request(self.admin + "/stats?format=json").json()["stats"]
        return {
            stat["name"]: stat["value"]
            for stat in found
            if "name" in stat and (stat["name"].startswith(prefix) or f".{prefix}" in stat["name"])
        }

    def next_line(self, seconds: float = 5, **members) -> dict:
        """The next line of the access log that has `members`; earlier ones are passed over."""
        deadline = time.monotonic() + seconds
        while True:
            # Envoy may be in the middle of the last line.
            lines = self.access_log.read_text().split("\n")[:-1]
            for number in range(self._lines_seen, len(lines)):
                line = json.loads(lines[number])
                if all(line.get(name) == value for name, value in members.items()):
                    self._lines_seen = number + 1
                    return line
            assert time.monotonic() < deadline, f"no line with {members} in {lines[-5:]}"
            time.sleep(0.02)

    def wait_healthy(self, cluster: str = "aegis", seconds: float = 10) -> float:
        """Until Envoy takes the cluster for healthy; how long that took."""
        began = time.monotonic()
        while True:
            answer = request(self.admin + "/clusters").body.decode()
            healthy = f"{cluster}::127.0.0.1:"
            lines = [x for x in answer.splitlines() if x.startswith(healthy)]
            if any(x.endswith("health_flags::healthy") for x in lines):
                return time.monotonic() - began
            assert time.monotonic() - began < seconds, lines
            time.sleep(0.01)

    def stop(self) -> None:
        if self.process and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(timeout=15)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                raise

    def __enter__(self) -> "Envoy":
        try:
            return self.start()
        except BaseException:
            self.stop()
            raise

    def __exit__(self, *_) -> None:
        self.stop()


def port_of(url: str) -> int:
    return urllib.parse.urlsplit(url if "//" in url else "//" + url).port
