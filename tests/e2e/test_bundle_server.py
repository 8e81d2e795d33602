"""A tenant's policy from a bundle server: what `opa build` makes, as the gateway polls it."""

import contextlib
import json
import os
import random
import ssl
import subprocess
import time

import pytest
from support.aegis_process import Aegis, Tool, cli, request
from support.bundle_server import OPA, BundleServer, delta, opa_build, pack

pytestmark = pytest.mark.skipif(not OPA.exists(), reason="needs build/bin/opa")

POLICY = """\
package aegis

default decision := {"outcome": "deny", "reason": "no_grant", "message": "nothing grants this"}

decision := {"outcome": "allow", "reason": "allowed", "rule": "limits"} if {
	input.tool == "payments"
	input.action == "create_payment"
	input.params.amount <= data.aegis.limits.max_amount
}

other := 1
"""
PLAN = ("-t", "plan", "-e", "aegis/decision")
RESOURCE = "/bundles/payments.tar.gz"


def build(folder, revision: str, max_amount: int, *flags: str) -> bytes:
    files = {
        "aegis/policy.rego": POLICY,
        "data.json": json.dumps({"aegis": {"limits": {"max_amount": max_amount}}}),
        ".manifest": json.dumps({"roots": ["aegis"]}),
    }
    return opa_build(folder, files, revision, *(flags or PLAN))


@pytest.fixture
def key(tmp_path):
    private, public = tmp_path / "bundle.pem", tmp_path / "bundle.pub.pem"
    for command in (
        ["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", private],
        ["pkey", "-in", private, "-pubout", "-out", public],
    ):
        subprocess.run(["openssl", *map(str, command)], check=True, capture_output=True)
    return private, public


def write_config(tmp_path, url: str, **bundle) -> str:
    document = {
        "services": {"files": {"url": url}},
        "bundles": {
            "default": {
                "service": "files",
                "resource": RESOURCE,
                "polling": {"min_delay_seconds": 1, "max_delay_seconds": 1},
            }
            | bundle
        },
    }
    document |= bundle.pop("extra", {})
    document["bundles"]["default"].pop("extra", None)
    path = tmp_path / "aegis.yaml"
    path.write_text(json.dumps(document))
    return str(path)


def start(tmp_path, config: str, tool: Tool) -> Aegis:
    aegis = Aegis(tmp_path / "data", "--config", config).start()
    aegis.cli("agent", "register", "finance-agent")
    aegis.cli("tool", "add", "payments", "--url", tool.url)
    return aegis


def pay(aegis: Aegis, token: str, amount: int) -> int:
    return aegis.call(token, "payments", "create_payment", {"amount": amount}).status


def eventually(condition, seconds: float = 15):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def bundle_status(aegis: Aegis) -> dict:
    return request(aegis.admin + "/readyz").json()["sync"]["bundle"]


def test_signed_bundles_by_long_polling(tmp_path, tool, key):
    private, public = key
    signed = (*PLAN, "--signing-key", private, "--signing-alg", "ES256")
    scope = tmp_path / "claims.json"
    scope.write_text('{"scope": "payments"}')
    signed += ("--claims-file", scope)
    token_file = tmp_path / "token"
    token_file.write_text("first\n")
    with BundleServer(long_polling=True, token="first") as server:
        config = write_config(
            tmp_path,
            server.url,
            polling={"min_delay_seconds": 1, "max_delay_seconds": 2}
            | {"long_polling_timeout_seconds": 5},
            signing={"keyid": "release", "scope": "payments"},
            extra={
                "keys": {"release": {"algorithm": "ES256", "key": f"file:{public}"}},
                "services": {
                    "files": {
                        "url": server.url,
                        "credentials": {"bearer": {"token": f"file:{token_file}"}},
                    }
                },
            },
        )
        # The flag that names the key; without it OPA writes "default".
        signed += ("--verification-key-id", "release")
        server.set(RESOURCE, build(tmp_path, "a2", 5000, *signed))
        aegis = start(tmp_path, config, tool)
        try:
            aegis.wait_ready_to_decide()
            token = aegis.token("finance-agent")
            assert (pay(aegis, token, 4000), pay(aegis, token, 6000)) == (200, 403)
            headers = server.seen[-1][1]
            assert headers["Prefer"] == "modes=snapshot;wait=5"
            assert headers["Authorization"] == "Bearer first"

            server.set(RESOURCE, build(tmp_path, "b3", 7000, *signed))
            changed = time.monotonic()
            eventually(lambda: pay(aegis, token, 6000) == 200)
            assert time.monotonic() - changed < 1

            # Unsigned, signed by another, for another scope, changed, cut off: none takes effect.
            good = server.contents[RESOURCE][0]
            scope.write_text('{"scope": "billing"}')
            bad = [
                (build(tmp_path, "c4", 9000), "bundle_unsigned"),
                (build(tmp_path, "c5", 9000, *signed), "bundle_signature"),
                (flip(good), "bundle_malformed"),
                (good[: len(good) // 2], "bundle_malformed"),
                (
                    delta("c6", [{"op": "remove", "path": "/aegis/limits"}], ["aegis"]),
                    "bundle_unsigned",
                ),
            ]
            for count, (content, reason) in enumerate(bad, 1):
                server.set(RESOURCE, content)
                failed = f'aegis_policy_reloads_total{{result="failed"}} {count}\n'
                eventually(
                    lambda failed=failed: failed in request(aegis.admin + "/metrics").body.decode()
                )
                assert reason in bundle_status(aegis)["error"]
                assert (pay(aegis, token, 6500), pay(aegis, token, 8000)) == (200, 403)
                assert bundle_status(aegis)["version"] == "b3"
            server.set(RESOURCE, good)
            eventually(lambda: "error" not in bundle_status(aegis))

            config_page = request(aegis.admin + "/config").json()
            assert config_page["bundle_source"] == server.url + RESOURCE
            assert config_page["bundle_long_polling"] is True
            assert "first" not in json.dumps(config_page)
        finally:
            aegis.stop()
        assert "first" not in aegis.logged()


def flip(content: bytes) -> bytes:
    changed = bytearray(content)
    changed[len(changed) // 2] ^= 1
    return bytes(changed)


def test_the_last_good_bundle_serves_while_the_server_is_away(tmp_path, tool):
    with BundleServer() as server:
        server.set(RESOURCE, build(tmp_path, "one", 5000))
        aegis = start(tmp_path, write_config(tmp_path, server.url), tool)
        aegis.wait_ready_to_decide()
        token = aegis.token("finance-agent")
        assert pay(aegis, token, 4000) == 200
        # A download that breaks off harms nothing.
        server.cut = 100
        server.set(RESOURCE, build(tmp_path, "two", 1))
        eventually(lambda: "bad_response" in bundle_status(aegis).get("error", ""))
        assert pay(aegis, token, 4000) == 200
        server.cut = None
        eventually(lambda: pay(aegis, token, 4000) == 403)
    aegis.stop()
    aegis.start()
    aegis.wait_ready_to_decide()
    assert (pay(aegis, token, 1), pay(aegis, token, 4000)) == (200, 403)
    status = bundle_status(aegis)
    assert status["from_cache"] and status["version"] == "two"
    eventually(lambda: "connect_failed" in bundle_status(aegis).get("error", ""))
    aegis.stop()


def test_revisions_go_forward_only(tmp_path, tool):
    with BundleServer() as server:
        one = build(tmp_path, "one", 5000)
        server.set(RESOURCE, one)
        aegis = start(tmp_path, write_config(tmp_path, server.url), tool)
        aegis.wait_ready_to_decide()
        server.set(RESOURCE, build(tmp_path, "two", 100))
        eventually(lambda: bundle_status(aegis)["version"] == "two")
        server.set(RESOURCE, one)
        eventually(lambda: "bundle_older" in bundle_status(aegis).get("error", ""))
        token = aegis.token("finance-agent")
        assert pay(aegis, token, 4000) == 403
        # Also after a restart.
        aegis.stop()
        aegis.start()
        eventually(lambda: "bundle_older" in bundle_status(aegis).get("error", ""))
        assert pay(aegis, token, 4000) == 403
        files = {
            "aegis/policy.rego": POLICY,
            "data.json": '{"aegis": {"limits": {"max_amount": 5000}}}',
            ".manifest": json.dumps(
                {"roots": ["aegis"], "metadata": {"aegis": {"rollback_from": "two"}}}
            ),
        }
        server.set(RESOURCE, opa_build(tmp_path / "rollback", files, "one", *PLAN))
        eventually(lambda: pay(aegis, token, 4000) == 200)
        aegis.stop()
        assert "a recorded rollback of the policy" in aegis.logged()


def test_deltas_change_data_in_place(tmp_path, tool):
    with BundleServer(long_polling=True) as server:
        server.set(RESOURCE, build(tmp_path, "base", 5000))
        polling = {"min_delay_seconds": 1, "max_delay_seconds": 1}
        polling["long_polling_timeout_seconds"] = 5
        aegis = start(tmp_path, write_config(tmp_path, server.url, polling=polling), tool)
        aegis.wait_ready_to_decide()
        token = aegis.token("finance-agent")
        assert pay(aegis, token, 6000) == 403
        assert "snapshot,delta" in server.seen[-1][1]["Prefer"]
        upsert = {"op": "upsert", "path": "/aegis/limits/max_amount", "value": 7000}
        server.set(RESOURCE, delta("d1", [upsert], ["aegis"]))
        eventually(lambda: pay(aegis, token, 6000) == 200)
        assert bundle_status(aegis)["version"] == "d1"
        # The trap: OPA takes an empty patch for a whole bundle without data.
        server.set(RESOURCE, delta("d2", [], ["aegis"]))
        eventually(lambda: "bundle_malformed" in bundle_status(aegis).get("error", ""))
        assert pay(aegis, token, 6000) == 200
        server.set(RESOURCE, delta("d3", [upsert | {"path": "/other/x"}], ["aegis"]))
        eventually(lambda: "bundle_delta" in bundle_status(aegis).get("error", ""))
        assert pay(aegis, token, 6000) == 200
        aegis.stop()


def test_kill_while_a_bundle_is_kept(tmp_path, tool):
    """Whatever moment it dies in, the next start has a whole policy: the old one or the new one."""
    polling = {"min_delay_seconds": 1, "max_delay_seconds": 1, "long_polling_timeout_seconds": 5}
    with BundleServer(long_polling=True) as server:
        bundles = {str(i): build(tmp_path, str(i), i) for i in range(1, 9)}
        server.set(RESOURCE, bundles["1"])
        config = write_config(tmp_path, server.url, polling=polling)
        aegis = start(tmp_path, config, tool)
        aegis.wait_ready_to_decide()
        token = aegis.token("finance-agent")
        last = 1
        for i in range(2, 9):
            server.set(RESOURCE, bundles[str(i)])
            time.sleep(random.Random(i).uniform(0, 0.03))  # anywhere in taking it up
            aegis.kill()
            away = server.contents.pop(RESOURCE)
            aegis.start()
            aegis.wait_ready_to_decide()
            status = bundle_status(aegis)
            assert status["from_cache"] and int(status["version"]) in (last, i), status
            last = int(status["version"])
            assert (pay(aegis, token, last), pay(aegis, token, last + 1)) == (200, 403)
            with server.changed:
                server.contents[RESOURCE] = away
                server.changed.notify_all()
            eventually(lambda i=i: bundle_status(aegis)["version"] == str(i))
            last = i
        aegis.stop()


def test_a_bundle_without_plan_is_planned_if_the_compiler_is_there(tmp_path, tool, monkeypatch):
    with BundleServer() as server:
        rego = build(tmp_path, "r", 5000, "-t", "rego")
        server.set(RESOURCE, rego)
        config = write_config(tmp_path, server.url)
        monkeypatch.setenv("AEGIS_REGOC", str(tmp_path / "none"))
        aegis = start(tmp_path, config, tool)
        eventually(lambda: "opa build -t plan" in bundle_status(aegis).get("error", ""))
        assert "bundle_no_plan" in bundle_status(aegis)["error"]
        server.set(RESOURCE, build(tmp_path, "e", 1, "-t", "plan", "-e", "aegis/other"))
        eventually(lambda: "bundle_no_entrypoint" in bundle_status(aegis).get("error", ""))
        server.set(RESOURCE, pack({"../../../etc/cron.d/x": "*", "plan.json": "{}"}))
        eventually(lambda: "bundle_name" in bundle_status(aegis).get("error", ""))
        assert request(aegis.admin + "/readyz").status == 503
        aegis.stop()

        monkeypatch.delenv("AEGIS_REGOC")  # the one beside the program
        server.set(RESOURCE, rego)
        aegis.start()
        aegis.wait_ready_to_decide()
        token = aegis.token("finance-agent")
        assert (pay(aegis, token, 4000), pay(aegis, token, 6000)) == (200, 403)
        broken = {"aegis/p.rego": "package aegis\ndecision := x", ".manifest": "{}"}
        server.set(RESOURCE, pack(broken))
        eventually(lambda: "p.rego:2" in bundle_status(aegis).get("error", ""))
        assert pay(aegis, token, 4000) == 200
        aegis.stop()


def certificate(folder, name: str, subject: str) -> tuple:
    certificate, private = folder / f"{name}.pem", folder / f"{name}.key"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-nodes", "-keyout", private, "-out", certificate, "-days", "2"),
            *("-subj", "/CN=test", "-addext", f"subjectAltName={subject}"),
        ],
        check=True,
        capture_output=True,
    )
    return certificate, private


def test_https_checks_the_server(tmp_path, tool):
    good = certificate(tmp_path, "good", "IP:127.0.0.1,DNS:localhost")
    other = certificate(tmp_path, "other", "DNS:example.com")
    content = build(tmp_path, "tls", 5000)

    def served(pair):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*pair)
        server = BundleServer(tls=context)
        server.set(RESOURCE, content)
        return server

    def configured(server, trusted):
        service = {"url": server.url} | ({"tls": {"ca_cert": str(trusted)}} if trusted else {})
        return write_config(tmp_path, server.url, extra={"services": {"files": service}})

    with served(good) as server, served(other) as wrong_name:
        # A certificate that nobody vouches for, one of another, and one for another name.
        for source, trusted in ((server, None), (server, other[0]), (wrong_name, other[0])):
            aegis = Aegis(tmp_path / "data", "--config", configured(source, trusted)).start()
            eventually(lambda a=aegis: "tls_failed" in bundle_status(a).get("error", ""))
            assert not source.seen
            aegis.stop()
        aegis = start(tmp_path, configured(server, good[0]), tool)
        aegis.wait_ready_to_decide()
        token = aegis.token("finance-agent")
        assert (pay(aegis, token, 4000), pay(aegis, token, 6000)) == (200, 403)
        server.cut = 100
        server.set(RESOURCE, build(tmp_path, "tls2", 7000))
        eventually(lambda: "bad_response" in bundle_status(aegis).get("error", ""))
        server.cut = None
        eventually(lambda: pay(aegis, token, 6000) == 200)
        aegis.stop()


def test_nginx_serves_bundles(tmp_path, tool):
    nginx = next(
        (p for p in ("/usr/sbin/nginx", "build/deps/bin/nginx") if os.access(p, os.X_OK)), None
    )
    if nginx is None:
        pytest.skip("nginx is not installed")
    root = tmp_path / "www"
    (root / "bundles").mkdir(parents=True)
    (root / "bundles/payments.tar.gz").write_bytes(build(tmp_path, "n1", 5000))
    port, process = start_nginx(nginx, tmp_path, root)
    try:
        aegis = start(tmp_path, write_config(tmp_path, f"http://127.0.0.1:{port}"), tool)
        aegis.wait_ready_to_decide()
        token = aegis.token("finance-agent")
        assert (pay(aegis, token, 4000), pay(aegis, token, 6000)) == (200, 403)
        (root / "bundles/payments.tar.gz").write_bytes(build(tmp_path, "n2", 7000))
        eventually(lambda: pay(aegis, token, 6000) == 200)
        aegis.stop()
    finally:
        process.terminate()
        process.wait()


def start_nginx(nginx: str, folder, root) -> tuple[int, subprocess.Popen]:
    temporary = " ".join(
        f"{kind}_temp_path {folder}/{kind};"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    while True:  # it cannot take a free port and tell which
        port = random.randint(20_000, 60_000)
        (folder / "nginx.conf").write_text(
            f"daemon off; pid {folder}/nginx.pid; {'user root;' if os.getuid() == 0 else ''}\n"
            f"events {{}}\nhttp {{ access_log off; {temporary}\n"
            f"server {{ listen 127.0.0.1:{port}; root {root}; }} }}\n"
        )
        process = subprocess.Popen(
            [nginx, "-p", folder, "-e", "stderr", "-c", folder / "nginx.conf"],
            stderr=subprocess.DEVNULL,
        )
        while process.poll() is None:
            with contextlib.suppress(OSError):
                assert request(f"http://127.0.0.1:{port}/").status > 0
                return port, process
            time.sleep(0.01)


MISTAKES = {
    "services: {a: {url: 'ftp://x'}}": "must begin with http://",
    "services: {a: {url: 'http://u:p@x'}}": "credentials",
    "services: {a: {urll: 'http://x'}}": "did you mean 'url'",
    "bundles: {default: {service: a, resource: b}}": "there is no service 'a'",
    "services: {a: {url: 'http://x'}}\nbundles: {other: {service: a, resource: b}}": "no tenant",
    "services: {a: {url: 'http://x'}}\n"
    "bundles: {default: {service: a, resource: b, signing: {keyid: k}}}": "there is no key 'k'",
    "services: {a: {url: 'http://x'}}\n"
    "bundles: {default: {service: a, resource: b, signing: {}}}": "needs keys",
    "services: {a: {url: 'http://x', credentials: {bearer: {token: s3cret-in-clear}}}}\n"
    "bundles: {default: {service: a, resource: b}}": "not a reference",
    "services: {a: {url: 'http://x'}}\nkeys: {k: {algorithm: HS256, key: 'env:AEGIS_NOT_SET'}}\n"
    "bundles: {default: {service: a, resource: b, signing: {}}}": "not set",
    "services: {a: {url: 'http://x'}}\nkeys: {k: {algorithm: RS256, key: 'file:PUBLIC'}}\n"
    "bundles: {default: {service: a, resource: b, signing: {}}}": "cannot be used for RS256",
    "services: {a: {url: 'http://x'}}\n"
    "bundles: {default: {service: a, resource: b, size_limit_bytes: 0}}": "must be from 1",
    "services: {a: {url: 'http://x'}}\nbundles: {default: {service: a, resource: b, "
    "polling: {min_delay_seconds: 9, max_delay_seconds: 3}}}": "greater than",
    "a: [": "not valid YAML",
    "decision_logs: {}": "unknown key 'decision_logs'",
}


def test_mistakes_in_the_configuration_are_told(tmp_path, key):
    path = tmp_path / "aegis.yaml"
    for text, message in MISTAKES.items():
        path.write_text(text.replace("PUBLIC", str(key[1])))
        done = cli("config", "check", path, check=False)
        assert done.returncode == 1 and message in done.stderr, (text, done.stderr)
        assert "aegis.yaml:" in done.stderr and "s3cret" not in done.stderr
    refused = Aegis(tmp_path / "data", "--config", path).start(wait=False)
    assert refused.process.wait(timeout=20) == 1
    path.write_text("# nothing\n")
    assert "control plane" in cli("config", "check", path).stdout
    schema = json.loads(cli("config", "schema").stdout)
    keys = {"services", "keys", "bundles", "envoy", "ext_proc", "plugins", "http", "egress",
            "telemetry", "secrets", "certificate_authorities", "client_certificates"}  # fmt: skip
    assert set(schema["properties"]) == keys
