"""OPA's REST server deciding what Aegis decides: its bundle, after checking the same tokens."""

import json
import pathlib
import subprocess
import urllib.request

import corpus
import harness

# The claims are those that Aegis holds against a call; the signature is in OPA's token cache.
POLICY = """\
package bench.authz

main := data.aegis.decision if {
	[valid, _, claims] := io.jwt.decode_verify(input.token, {
		"cert": data.bench.jwks,
		"iss": data.bench.issuer,
		"aud": data.bench.audience,
	})
	valid
	claims.agent == input.agent.id
}
"""
CONFIG = {"caching": {"inter_query_builtin_value_cache": {"named": {"io_jwt": {
    "max_num_entries": 4096}}}}}  # fmt: skip


class OpaServer:
    """`opa run --server` on the target's core, with the bundle that `aegis` published from."""

    def __init__(self, work: pathlib.Path, bundle: pathlib.Path, aegis, token):
        self.folder, self.bundle = work / "opa", bundle
        claims = corpus.claims_of(token)
        with urllib.request.urlopen(aegis.aegis.control + "/.well-known/jwks.json") as answer:
            jwks = answer.read().decode()
        self.data = {"jwks": jwks, "issuer": claims["iss"], "audience": claims["aud"]}

    def __enter__(self):
        self.folder.mkdir()
        (self.folder / ".manifest").write_text(json.dumps({"roots": ["bench"]}))
        (self.folder / "policy.rego").write_text(POLICY)
        (self.folder / "data.json").write_text(json.dumps({"bench": self.data}))
        config = self.folder.with_suffix(".json")
        config.write_text(json.dumps(CONFIG))
        self.port = harness.free_port()
        command = [harness.find_program("opa"), "run", "--server", "--skip-version-check",
                   "--addr", f"127.0.0.1:{self.port}", "--log-level", "error", "-c", config, "-b",
                   self.bundle, self.folder]  # fmt: skip
        with harness.pinned(harness.TARGET_CPU):
            self.process = subprocess.Popen([str(part) for part in command])
        self.pid = self.process.pid
        harness.wait_for_port(self.port, 30)
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(10)


def write_requests(file: pathlib.Path, made, tokens, body_of):
    """The load generator's request file; OPA is handed the call as its policy wants it."""
    with file.open("wb") as out:
        for case in made:
            document = corpus.decision_input(case) | {
                "token": tokens[case.agent],
                "params": json.loads(body_of(case)),
            }
            body = json.dumps({"input": document}, separators=(",", ":")).encode()
            raw = (
                "POST /v1/data/bench/authz/main HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
            ).encode() + body
            marker = '"outcome":"allow"' if case.allowed else "condition_failed"
            out.write(b"@200 %d %s\n" % (len(raw), marker.encode()) + raw + b"\n")
    return file
