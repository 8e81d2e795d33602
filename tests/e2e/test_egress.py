"""The forward proxy, as agents' programs use it: with the proxy's URL and a token alone."""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import time

import pytest
from support import egress
from support.aegis_process import ROOT, Aegis, cli
from support.documents import blocks, run

POLICY = """\
agent: fetcher
allowed_tools: []
egress:
  allow: ["localhost:{tls}", "localhost:{plain}", "127.0.0.1/32:{tls}", "127.0.0.1:{plain}"]
"""


class Site:
    """Aegis with the egress door, two servers, and the agent that may reach both."""

    def __init__(self, aegis: Aegis, tls: egress.Host, plain: egress.Host):
        self.aegis, self.tls, self.plain = aegis, tls, plain
        self.token = aegis.token("fetcher")
        self.address = aegis.run["egress"]
        self.proxy = f"http://agent:{self.token}@{self.address}"
        self.url = f"https://localhost:{tls.port}/x?q=1"
        self.environment = {
            "HTTPS_PROXY": self.proxy, "HTTP_PROXY": self.proxy, "https_proxy": self.proxy,
            "http_proxy": self.proxy, "NO_PROXY": "", "no_proxy": "", "PATH": os.environ["PATH"],
            "HOME": str(aegis.data), "SSL_CERT_FILE": tls.ca, "NODE_EXTRA_CA_CERTS": tls.ca,
            "REQUESTS_CA_BUNDLE": tls.ca, "CURL_CA_BUNDLE": tls.ca,
        }  # fmt: skip

    def run(self, *command, **extra) -> str:
        done = subprocess.run(
            [str(part) for part in command], env=self.environment | extra, capture_output=True,
            text=True, timeout=120,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.fixture
def site(tmp_path):
    with (
        egress.Host(tmp_path) as tls,
        egress.Host() as plain,
        Aegis(tmp_path / "data", "--egress", "127.0.0.1:0") as aegis,
    ):
        aegis.cli("agent", "register", "fetcher")
        policy = POLICY.format(tls=tls.port, plain=plain.port)
        aegis.publish(tmp_path / "policies", fetcher=policy)
        aegis.wait_ready_to_decide()
        yield Site(aegis, tls, plain)


def test_curl(site):
    assert site.run("curl", "-sS", "--fail", site.url) == "GET /x?q=1 0"
    assert site.run("curl", "-sS", "--fail", "-d", "body", site.url) == "POST /x?q=1 4"
    by_address = f"https://127.0.0.1:{site.tls.port}/"
    assert site.run("curl", "-sS", "--fail", by_address) == "GET / 0"


def test_curl_without_tls(site):
    url = f"http://localhost:{site.plain.port}/p?q"
    assert (
        site.run("curl", "-sS", "--fail", "-H", "Authorization: of-the-host", url) == "GET /p?q 0"
    )
    headers = {k.lower(): v for k, v in site.plain.seen[-1][2].items()}
    assert headers["host"] == f"localhost:{site.plain.port}"
    assert headers["authorization"] == "of-the-host"
    assert not [name for name in headers if name.startswith(("proxy-", "x-aegis"))]
    chunked = ["-H", "Transfer-Encoding: chunked", "-d", "body"]
    site.run("curl", "-sS", *chunked, url)  # the server does not read chunks; Aegis passes them on
    headers = {k.lower(): v for k, v in site.plain.seen[-1][2].items()}
    assert headers["transfer-encoding"] == "chunked"


def test_python_requests_and_httpx(site):
    for client in ("requests", "httpx"):
        code = f"import {client}; print({client}.get({site.url!r}).text)"
        assert site.run(sys.executable, "-c", code) == "GET /x?q=1 0\n"
        url = f"http://localhost:{site.plain.port}/p"
        code = f"import {client}; print({client}.post({url!r}, data=b'abc').text)"
        assert site.run(sys.executable, "-c", code) == "POST /p 3\n"


NODE = """
const https = require('https'), tls = require('tls');
const proxy = new URL(process.env.HTTPS_PROXY), url = new URL(process.argv[1]);
const auth = Buffer.from(proxy.username + ':' + proxy.password).toString('base64');
require('http').request({host: proxy.hostname, port: proxy.port, method: 'CONNECT', path: url.host,
  headers: {'Proxy-Authorization': 'Basic ' + auth}}).on('connect', (answer, socket) => {
  if (answer.statusCode !== 200) throw new Error(answer.statusCode);
  const agent = new https.Agent({keepAlive: false});
  agent.createConnection = () => tls.connect({socket, servername: url.hostname});
  https.get(url, {agent}, (response) => response.pipe(process.stdout));
}).end();
"""


@pytest.mark.skipif(not shutil.which("node"), reason="no Node.js here")
def test_node(site):
    assert site.run("node", "-e", NODE, site.url) == "GET /x?q=1 0"


GO = """
package main

import ("fmt"; "io"; "net/http"; "os")

func main() {
	// Go leaves out proxies for localhost, so that the proxy is given as it is in code.
	transport := &http.Transport{Proxy: http.ProxyURL(mustParse())}
	response, err := (&http.Client{Transport: transport}).Get(os.Args[1])
	if err != nil { fmt.Println(err); os.Exit(1) }
	io.Copy(os.Stdout, response.Body)
}
"""
GO_PARSE = """
package main

import ("net/url"; "os")

func mustParse() *url.URL {
	proxy, err := url.Parse(os.Getenv("HTTPS_PROXY"))
	if err != nil { panic(err) }
	return proxy
}
"""


@pytest.mark.skipif(not shutil.which("go"), reason="no Go here")
def test_go(site, tmp_path):
    folder = tmp_path / "go"
    folder.mkdir()
    (folder / "main.go").write_text(GO)
    (folder / "parse.go").write_text(GO_PARSE)
    (folder / "go.mod").write_text("module fetch\n\ngo 1.21\n")
    program = folder / "fetch"
    subprocess.run(["go", "build", "-C", folder, "-o", program, "."], check=True, timeout=300)
    assert site.run(program, site.url) == "GET /x?q=1 0"


JAVA = """
import java.net.*;

class Fetch {
  public static void main(String[] arguments) throws Exception {
    URI proxy = URI.create(System.getenv("HTTPS_PROXY"));
    String[] who = proxy.getUserInfo().split(":", 2);
    Authenticator.setDefault(new Authenticator() {
      protected PasswordAuthentication getPasswordAuthentication() {
        return new PasswordAuthentication(who[0], who[1].toCharArray());
      }
    });
    Proxy through =
        new Proxy(Proxy.Type.HTTP, new InetSocketAddress(proxy.getHost(), proxy.getPort()));
    URLConnection connection = URI.create(arguments[0]).toURL().openConnection(through);
    System.out.print(new String(connection.getInputStream().readAllBytes()));
  }
}
"""


@pytest.mark.skipif(not shutil.which("javac"), reason="no JDK here")
def test_java(site, tmp_path):
    # Java names no host without a dot, such as the only name that this machine has.
    policy = POLICY.format(tls=site.tls.port, plain=site.plain.port)
    policy += "  tls: {missing_sni: allow}\n"
    site.aegis.publish(tmp_path / "policies", fetcher=policy)
    wait_until(lambda: passes_nameless(site))
    (tmp_path / "Fetch.java").write_text(JAVA)
    trust = tmp_path / "trust.p12"
    site.run(
        "keytool", "-importcert", "-noprompt", "-alias", "ca", "-file", site.tls.ca, "-keystore",
        trust, "-storepass", "secret",
    )  # fmt: skip
    flags = [f"-Djavax.net.ssl.trustStore={trust}", "-Djavax.net.ssl.trustStorePassword=secret"]
    flags.append("-Djdk.http.auth.tunneling.disabledSchemes=")
    assert site.run("java", *flags, tmp_path / "Fetch.java", site.url) == "GET /x?q=1 0"


def test_without_a_token_the_proxy_asks_for_one(site):
    with egress.sent(
        site.address, b"CONNECT localhost:443 HTTP/1.1\r\nHost: x\r\n\r\n"
    ) as connection:
        status, headers, _ = egress.read_head(connection)
    assert status == 407
    assert "proxy-authenticate" in headers
    for value in ("Bearer wrong", "Basic !", egress.basic("wrong"), "Digest x"):
        request = (
            f"CONNECT localhost:443 HTTP/1.1\r\nHost: x\r\nProxy-Authorization: {value}\r\n\r\n"
        )
        with egress.sent(site.address, request.encode()) as connection:
            assert egress.read_head(connection)[0] == 407, value


def test_hosts_and_ports_that_are_not_listed_are_refused_and_recorded(site):
    for target in ("localhost:1", "example.com:443", "127.0.0.2:443"):
        with egress.sent(site.address, egress.connect_request(target, site.token)) as connection:
            status, headers, rest = egress.read_head(connection)
        assert status == 403, target
        assert headers["x-aegis-decision"] == "deny"
        assert b"egress_not_allowed" in rest
        shown = site.aegis.cli("audit", "show", headers["x-aegis-decision-id"]).stdout
        assert target.rsplit(":", 1)[0] in shown
        assert "egress_not_allowed" in shown


def test_a_connection_has_a_decision_and_an_outcome_with_its_bytes(site):
    target = f"localhost:{site.tls.port}"
    with egress.sent(site.address, egress.connect_request(target, site.token)) as connection:
        status, headers, _ = egress.read_head(connection)
        assert status == 200
        decision = headers["x-aegis-decision-id"]
        connection.sendall(egress.client_hello("localhost"))
        assert connection.recv(10)
    wait_until(
        lambda: '"request_bytes"' in site.aegis.cli("-o", "json", "audit", "show", decision).stdout
    )
    shown = site.aegis.cli("-o", "json", "audit", "show", decision).stdout
    assert '"connect"' in shown
    assert '"egress"' in shown


def passes_nameless(site) -> bool:
    request = egress.connect_request(f"localhost:{site.tls.port}", site.token)
    with egress.sent(site.address, request + egress.client_hello(None)) as connection:
        try:
            status, _, rest = egress.read_head(connection)
            return status == 200 and (rest or connection.recv(1)) != b""
        except ConnectionError:
            return False


def wait_until(holds, seconds: float = 10) -> float:
    began = time.monotonic()
    while not holds():
        assert time.monotonic() < began + seconds
        time.sleep(0.02)
    return time.monotonic() - began


@pytest.mark.parametrize("how", ["suspended", "policy"])
def test_tunnels_are_cut_when_the_agent_may_no_longer_connect(site, tmp_path, how):
    target = f"localhost:{site.tls.port}"
    with egress.sent(site.address, egress.connect_request(target, site.token)) as connection:
        assert egress.read_head(connection)[0] == 200
        connection.sendall(egress.client_hello("localhost"))
        assert connection.recv(65536)
        if how == "suspended":
            site.aegis.cli("agent", "suspend", "fetcher")
        else:
            site.aegis.publish(tmp_path / "policies", fetcher="agent: fetcher\nallowed_tools: []\n")
        began = time.monotonic()
        try:
            while connection.recv(65536):
                pass
        except ConnectionError:
            pass
        assert time.monotonic() - began < 1.0


def test_custom_rego_sees_the_addresses(site, tmp_path):
    folder = tmp_path / "custom"
    folder.mkdir()
    (folder / "places.rego").write_text(
        "package aegis.custom.places\n\n"
        'deny contains "not there" if {\n'
        '\tinput.door == "egress"\n'
        "\tsome address in input.params.addresses\n"
        '\tstartswith(address, "127.")\n}\n'
    )
    policy = POLICY.format(tls=site.tls.port, plain=site.plain.port) + "rego: [places.rego]\n"
    (folder / "fetcher.yaml").write_text(policy)
    site.aegis.cli("policy", "publish", "--prune", folder)

    def refused():
        request = egress.connect_request(f"localhost:{site.tls.port}", site.token)
        with egress.sent(site.address, request) as connection:
            status, _, rest = egress.read_head(connection)
        return status == 403 and b"custom_denied" in rest

    wait_until(refused)


def test_shadow_lets_hosts_pass_but_leads_nowhere_inside(site, tmp_path):
    policy = "agent: fetcher\nmode: shadow\nallowed_tools: []\negress:\n"
    policy += f"  allow: ['127.0.0.1:{site.plain.port}']\n"
    site.aegis.publish(tmp_path / "policies", fetcher=policy)

    def answer(target):
        with egress.sent(site.address, egress.connect_request(target, site.token)) as connection:
            return egress.read_head(connection)

    # Another port than the one that is listed, and so no leave for its block.
    wait_until(lambda: b"public internet" in answer(f"localhost:{site.tls.port}")[2])
    status, headers, _ = answer("no-such-host.invalid:443")
    assert status == 502
    assert headers["x-aegis-shadow"] == "deny"
    assert answer(f"127.0.0.1:{site.plain.port}")[0] == 200


def test_the_host_of_a_registered_tool_is_called_at_the_gateway(site):
    site.aegis.cli("tool", "add", "site", "--url", f"http://localhost:{site.plain.port}/api")

    def refused(host):
        request = egress.connect_request(f"{host}:{site.plain.port}", site.token)
        with egress.sent(site.address, request) as connection:
            status, _, rest = egress.read_head(connection)
        return status == 403 and b"registered tool" in rest

    wait_until(lambda: refused("localhost"))
    assert refused("127.0.0.1")  # by another name


def test_limits_of_one_agent(tmp_path):
    config = tmp_path / "aegis.yaml"
    config.write_text(
        "egress: {address: '127.0.0.1:0', max_connections_per_agent: 2, idle_timeout_seconds: 1}\n"
    )
    with egress.Host(tmp_path) as tls, Aegis(tmp_path / "data", "--config", str(config)) as aegis:
        aegis.cli("agent", "register", "fetcher")
        aegis.publish(tmp_path / "policies", fetcher=POLICY.format(tls=tls.port, plain=1))
        aegis.wait_ready_to_decide()
        request = egress.connect_request(f"localhost:{tls.port}", aegis.token("fetcher"))
        address = aegis.run["egress"]
        with egress.sent(address, request) as first, egress.sent(address, request) as second:
            assert egress.read_head(first)[0] == 200
            assert egress.read_head(second)[0] == 200
            with egress.sent(address, request) as third:
                assert egress.read_head(third)[0] == 429
            # Idle ones end, and others may come.
            first.sendall(egress.client_hello("localhost"))
            assert first.recv(65536)
            first.settimeout(5)
            try:
                while first.recv(65536):
                    pass
            except ConnectionError:
                pass
            with egress.sent(address, request) as third:
                assert egress.read_head(third)[0] == 200


def test_what_one_entry_allows(tmp_path):
    """`aegis policy test` and `aegis decide` judge egress calls too."""
    folder = pathlib.Path(tmp_path)
    (folder / "fetcher.yaml").write_text(
        "agent: fetcher\nallowed_tools: []\negress: {allow: ['*.example.com']}\n"
    )
    (folder / "fetcher_test.yaml").write_text(
        "tests:\n"
        "- name: a host below\n"
        "  call: {agent: fetcher, door: egress, tool: api.example.com, action: connect,"
        " params: {port: 443}}\n"
        "  expect: {outcome: allow, rule: 'fetcher/egress/*.example.com'}\n"
        "- name: another port\n"
        "  call: {agent: fetcher, door: egress, tool: api.example.com, action: connect,"
        " params: {port: 80}}\n"
        "  expect: {outcome: deny, reason: egress_not_allowed}\n"
    )
    assert "2 passed, 0 failed" in cli("policy", "test", folder).stdout


def test_the_guide(tmp_path):
    """What docs/egress.md shows is taken; its commands work, with names that this machine has."""
    text = (ROOT / "docs/egress.md").read_text()
    shown = re.findall(r"```yaml\n# (policy|aegis.yaml)\n(.*?)```", text, flags=re.DOTALL)
    assert [kind for kind, _ in shown] == ["policy", "policy", "aegis.yaml"]
    for i, (kind, content) in enumerate(shown):
        file = tmp_path / f"{i}.yaml"
        file.write_text(content)
        cli(*(["policy", "validate"] if kind == "policy" else ["config", "check"]), file)
    with egress.Host(tmp_path) as tls, Aegis(tmp_path / "data", "--egress", "127.0.0.1:0") as aegis:
        aegis.cli("agent", "register", "research-agent")
        here = f"localhost:{tls.port}"
        listed = shown[0][1].replace("api.example.com", here).replace("10.20.0.0/16", "127.0.0.1")
        aegis.publish(tmp_path / "policies", policy=listed.replace("8000-8100", str(tls.port)))
        aegis.wait_ready_to_decide()
        (script,) = blocks("docs/egress.md")
        script = script.replace("127.0.0.1:3128", aegis.run["egress"])
        script = script.replace("api.example.com", here).replace(
            "curl", f"curl -sS --cacert {tls.ca}"
        )
        assert run(script, aegis, tmp_path) == "GET / 0"
