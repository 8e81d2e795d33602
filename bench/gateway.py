"""A running Aegis for benchmarks: one core, agents registered, tools added, policies published."""

import json
import pathlib
import urllib.request

import corpus
import harness
import journal
from support.aegis_process import Aegis, request


class RunningAegis:
    """`aegis up` with the corpus of `size` published and every tool at `tool_port`."""

    def __init__(self, work: pathlib.Path, size: corpus.Size, tool_port: int, *flags: str):
        self.work, self.size, self.tool_port, self.flags = work, size, tool_port, flags

    def __enter__(self):
        self.aegis = Aegis(self.work / "data", "--workers", "1", *self.flags)
        with harness.pinned(harness.TARGET_CPU):
            self.aegis.start()
        try:
            self._prepare()
        except BaseException:
            self.aegis.stop()
            raise
        return self

    def _prepare(self):
        self.pid = self.aegis.process.pid
        self.port = int(self.aegis.gateway.rsplit(":", 1)[1])
        self.admin_key = (self.aegis.data / "admin.key").read_text().strip()
        for agent in range(self.size.agents):
            self.api("POST", "/api/v1/agents", {"name": corpus.agent_name(agent)})
        for tool in range(self.size.tools):
            url = f"http://127.0.0.1:{self.tool_port}"
            self.api("POST", "/api/v1/tools", {"name": corpus.tool_name(tool), "base_url": url})
        self.publish()
        self.aegis.wait_ready_to_decide()

    def __exit__(self, *_):
        self.aegis.stop()

    def api(self, method, path, body=None):
        answer = request(
            self.aegis.control + path, method, body, {"Authorization": "Bearer " + self.admin_key}
        )
        if answer.status // 100 != 2:
            raise harness.BenchError(f"{method} {path}: {answer.status} {answer.body[:300]!r}")
        return json.loads(answer.body) if answer.body else None

    def publish(self, raised_by=0):
        """Publishes the whole corpus as a new version; `raised_by` lifts every bound."""
        files = [
            {
                "name": f"{corpus.agent_name(agent)}.json",
                "content": json.dumps(corpus.policy(agent, self.size, raised_by)),
            }
            for agent in range(self.size.agents)
        ]
        return self.api("POST", "/api/v1/policies", {"files": files})["version"]

    def tokens(self, cases):
        """A token for each agent of the cases, on behalf of the user alice."""
        return {
            agent: self.aegis.token(agent, "user:alice", ttl="1h")
            for agent in sorted({case.agent for case in cases})
        }

    def metrics(self):
        with urllib.request.urlopen(self.aegis.admin + "/metrics", timeout=10) as answer:
            lines = answer.read().decode().splitlines()
        rows = (line.rsplit(" ", 1) for line in lines if line and not line.startswith("#"))
        return {name: float(value) for name, value in rows}

    def records(self):
        """What the journals on disk hold: {(kind, outcome): number}. Raises when there is a gap."""
        try:
            return journal.count(self.aegis.data)
        except ValueError as error:
            raise harness.BenchError(f"the journal is broken: {error}") from error
