"""Starts the aegis binary as a user would and talks to it through its command line and HTTP.

Used by the end-to-end tests and by bench/. Addresses are 127.0.0.1 with a port that the system
chooses; the data folder's run.json tells which.
"""

import contextlib
import json
import os
import pathlib
import signal
import subprocess
import time
import urllib.error
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = pathlib.Path(os.environ.get("AEGIS_BIN", ROOT / "build" / "release" / "bin" / "aegis"))


class CommandFailed(AssertionError):
    """The command line answered with another exit code than the test expects."""


def run_cli(*arguments, env=None, stdin=None, ok=(0,), timeout=60, cwd=None):
    """Runs `aegis ARGUMENTS`; returns the finished process, its output as text."""
    process = subprocess.run(
        [str(BINARY), *map(str, arguments)],
        env={**os.environ, "NO_COLOR": "1", **(env or {})},
        input=stdin if stdin is not None else "",
        capture_output=True,
        text=True,
        timeout=timeout,
        cwd=cwd,
    )
    if ok is not None and process.returncode not in ok:
        raise CommandFailed(
            f"aegis {' '.join(map(str, arguments))}: exit code {process.returncode}\n"
            f"{process.stdout}{process.stderr}"
        )
    return process


class Aegis:
    """One running `aegis up` on a data folder. `stop` ends it kindly, `kill` as a crash would."""

    def __init__(self, data, *, arguments=(), env=None, prefix=()):
        self.data = pathlib.Path(data)
        self.arguments = list(arguments)
        self.env = {**os.environ, "NO_COLOR": "1", **(env or {})}
        self.prefix = list(prefix)  # e.g. taskset -c 1
        self.process = None
        self.run = {}
        self.log = self.data.parent / f"{self.data.name}.log"

    def start(self, timeout=30.0):
        run_file = self.data / "run.json"
        with contextlib.suppress(FileNotFoundError):
            run_file.unlink()
        addresses = []
        for flag in ("--gateway", "--control", "--admin"):
            if flag not in self.arguments:
                addresses += [flag, "127.0.0.1:0"]
        self._log_file = self.log.open("ab")
        self.process = subprocess.Popen(
            [
                *self.prefix,
                str(BINARY),
                "up",
                "--data",
                str(self.data),
                *addresses,
                *self.arguments,
            ],
            stdin=subprocess.DEVNULL,
            stdout=self._log_file,
            stderr=subprocess.STDOUT,
            env=self.env,
        )
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise AssertionError(
                    f"aegis up ended with {self.process.returncode}:\n{self.output()}"
                )
            with contextlib.suppress(FileNotFoundError, json.JSONDecodeError):
                self.run = json.loads(run_file.read_text())
                if self.ready():
                    return self
            time.sleep(0.02)
        self.kill()
        raise AssertionError(f"aegis up was not ready in {timeout} s:\n{self.output()}")

    def ready(self):
        """Whether the admin port says that calls are decided; a port that is not open yet says no."""
        url = self.run.get("admin")
        if not url:
            return False
        try:
            with urllib.request.urlopen(f"{url}/readyz", timeout=5) as answer:
                return answer.status == 200
        except urllib.error.HTTPError as error:
            # Up, but without a policy: tests that want one publish it next.
            return error.code == 503
        except OSError:
            return False

    @property
    def gateway(self):
        return self.run["gateway"]

    @property
    def control(self):
        return self.run["control"]

    @property
    def admin(self):
        return self.run["admin"]

    @property
    def pid(self):
        return self.process.pid

    def output(self):
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def cli(self, *arguments, **kwargs):
        """Runs a command against this instance."""
        env = {"AEGIS_DATA": str(self.data), **kwargs.pop("env", {})}
        return run_cli(*arguments, env=env, **kwargs)

    def cli_json(self, *arguments, **kwargs):
        return json.loads(self.cli(*arguments, "-o", "json", **kwargs).stdout)

    def token(self, agent, *arguments):
        return self.cli("token", "issue", agent, *arguments).stdout.strip()

    def publish(self, folder_or_file, *arguments, **kwargs):
        return self.cli("policy", "publish", folder_or_file, *arguments, **kwargs)

    def metrics(self):
        """The admin port's Prometheus text as {name{labels}: value}."""
        with urllib.request.urlopen(f"{self.admin}/metrics", timeout=5) as answer:
            lines = answer.read().decode().splitlines()
        rows = (line.rsplit(" ", 1) for line in lines if line and not line.startswith("#"))
        return {name: float(value) for name, value in rows}

    def stop(self, timeout=15.0):
        """Ends it with SIGTERM; returns the exit code."""
        if self.process is None:
            return None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(timeout)
            except subprocess.TimeoutExpired:
                self.kill()
                raise AssertionError(
                    f"aegis up did not end in {timeout} s after SIGTERM:\n{self.output()[-4000:]}"
                ) from None
        self._log_file.close()
        return self.process.returncode

    def kill(self):
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self._log_file.close()

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        if self.process is not None and self.process.poll() is None:
            self.stop()
