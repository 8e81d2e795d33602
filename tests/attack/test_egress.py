"""Ways round the egress door. The policy lists the whole internet by name and address, so that
nothing but the door itself keeps agents from the inside; every trick must be refused."""

import socket

import pytest
from support import egress
from support.aegis_process import Aegis, request

POLICY = """\
agent: fetcher
allowed_tools: [{name: "*"}]
egress: {allow: ["0.0.0.0/0:*", "[::/0]:*", "*.com:*", "*.example:*", "*.internal:*", "localhost:*",
                 "ip6-localhost:*", "*.localhost:*"]}
---
name: lists-loopback
agent: insider
allowed_tools: []
egress: {allow: ["127.0.0.0/8:*", "localhost:*", "10.0.0.1:*"]}
"""

# Spellings of 127.0.0.1, of other inside addresses, and of nothing at all; "{}" is the port.
SPELLINGS = r"""
127.0.0.1:{} 127.0.0.2:{} 127.255.255.254:{} 127.1:{} 127.0.1:{} 0:{} 0.0.0.0:{} 2130706433:{}
017700000001:{} 0x7f000001:{} 0x7F.0x0.0x0.0x1:{} 0177.0.0.1:{} 127.0.0.01:{} 127.0.0.1.:{}
127.0.0.1..:{} 0127.0.0.1:{} 127.0x0.0.1:{} [::1]:{} [0:0:0:0:0:0:0:1]:{} [::0001]:{} [::]:{}
[::ffff:127.0.0.1]:{} [::ffff:7f00:1]:{} [0:0:0:0:0:ffff:7f00:0001]:{} [::127.0.0.1]:{}
[::7f00:1]:{} [64:ff9b::127.0.0.1]:{} [64:ff9b::7f00:1]:{} [64:ff9b:1::7f00:1]:{}
[2002:7f00:1::1]:{} [2001:0:7f00:1::]:{} [::ffff:0:127.0.0.1]:{} [::1%lo]:{} [::1%25lo]:{}
[fe80::1%lo]:{} [fe80::1]:{} [fc00::1]:{} [fd00:ec2::254]:{} [ff02::1]:{} [127.0.0.1]:{} ::1:{}
[::1:{} ::1]:{} [[::1]]:{} [::1].:{} [localhost]:{} 10.0.0.1:{} 172.16.0.1:{} 192.168.0.1:{}
100.64.0.1:{} 169.254.169.254:{} 169.254.170.2:{} 100.100.100.200:{} 192.0.0.192:{}
168.63.129.16:{} 198.18.0.1:{} 203.0.113.1:{} 224.0.0.1:{} 240.0.0.1:{} 255.255.255.255:{}
2852039166:{} 0xa9fea9fe:{} 0251.0376.0251.0376:{} [::ffff:a9fe:a9fe]:{} [64:ff9b::a9fe:a9fe]:{}
localhost:{} LOCALHOST:{} localhost.:{} LocalHost.:{} localhost..:{} .localhost:{}
ip6-localhost:{} a.localhost:{} loc%61lhost:{} %31%32%37.0.0.1:{} 127%2e0%2e0%2e1:{}
user@localhost:{} a.example@127.0.0.1:{} a.example:80@127.0.0.1:{} 127.0.0.1\@a.example:{}
127.0.0.1#a.example:{} 127.0.0.1?a.example:{} 127.0.0.1/a.example:{} http://127.0.0.1:{}
a.example,127.0.0.1:{} 127.0.0.1;a.example:{} 127.0.0.1%00.a.example:{} 127.0.0.1:0{}
127.0.0.1:+{} 127.0.0.1:{}x 127.0.0.1:{}/ 127.0.0.1:{}:443 127.0.0.1: 127.0.0.1 a_.example..:{}
-.example:{} *.example:{} *:{} :{} metadata.google.internal:{}
""".split()  # noqa: SIM905
RAW = [
    b"\xef\xbc\x91\xef\xbc\x92\xef\xbc\x97.0.0.1:{}",  # full-width digits
    b"127\xe3\x80\x820\xe3\x80\x820\xe3\x80\x821:{}",  # ideographic full stops
    b"\xe2\x91\xa0\xe2\x91\xa1\xe2\x91\xa6.0.0.1:{}",  # circled digits
    b"loc\xc4\x85lhost:{}",
    b"localhost\xc2\xad:{}",  # soft hyphen
    b"localhost\xe2\x80\x8b:{}",  # zero-width space
    b"127.0.0.1\x00.a.example:{}",
    b"127.0.0.1\t:{}",
    b"127.0.0.1\x0b:{}",
    b"127.0.0.1\x7f:{}",
]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("egress")
    with egress.Host() as host, Aegis(folder / "data", "--egress", "127.0.0.1:0") as aegis:
        aegis.cli("agent", "register", "fetcher")
        aegis.cli("agent", "register", "insider")
        aegis.publish(folder / "policies", policies=POLICY)
        aegis.wait_ready_to_decide()
        aegis.host = host
        aegis.fetcher = aegis.token("fetcher")
        aegis.insider = aegis.token("insider")
        yield aegis


def connects(aegis, message: bytes, first: bytes = b"") -> bool:
    """Whether the host was reached."""
    with egress.sent(aegis.run["egress"], message) as connection:
        status, _, rest = egress.read_head(connection)
        if status == 200 and first:
            connection.sendall(first)
            try:
                rest += connection.recv(65536)
            except ConnectionError:
                return False
            return bool(rest)
    return status in (0, 200)  # the host gives no other answer


def test_every_trick_is_refused(site, capsys):
    port = site.host.port
    tricks = {text: connect(text.format(port), site.fetcher) for text in SPELLINGS}
    tricks |= {text: connect(text.replace(b"{}", str(port).encode()), site.fetcher) for text in RAW}
    for text in ("127.0.0.1:{}", "localhost:{}", "0x7f.1:{}", "[::1]:{}", "a@127.0.0.1:{}"):
        tricks["absolute " + text] = absolute(f"http://{text.format(port)}/", site.fetcher)
    tricks["Host of another"] = absolute(f"http://127.0.0.1:{port}/", site.fetcher, "a.example")
    tricks["Host of the host"] = absolute("http://a.example/", site.fetcher, f"127.0.0.1:{port}")
    tricks["origin-form"] = absolute("/", site.fetcher, f"127.0.0.1:{port}")
    tricks["https absolute-form"] = absolute(f"https://127.0.0.1:{port}/", site.fetcher)
    tricks["ftp absolute-form"] = absolute(f"ftp://127.0.0.1:{port}/", site.fetcher)
    tricks["two targets"] = connect(f"a.example:443 127.0.0.1:{port}", site.fetcher)
    before = site.host.connections
    passed = [name for name, message in tricks.items() if connects(site, message)]
    # As told: names of hosts that the resolver does not know are 502, which is no way either.
    with capsys.disabled():
        print(f"\negress bypass table: {len(tricks)} tricks, {len(tricks) - len(passed)} refused")
    assert passed == []
    assert site.host.connections == before
    assert len(tricks) >= 80


def connect(target, token: str) -> bytes:
    return egress.connect_request(target, token)


def absolute(url: str, token: str, host: str = "x") -> bytes:
    return (
        f"GET {url} HTTP/1.1\r\nHost: {host}\r\nProxy-Authorization: Bearer {token}\r\n\r\n"
    ).encode()


def test_who_lists_loopback_reaches_the_host_and_nothing_of_aegis(site):
    """The same host is reached by who may, so that the table above tests something."""
    port = site.host.port
    assert connects(site, absolute(f"http://127.0.0.1:{port}/", site.insider))
    assert connects(site, absolute(f"http://localhost:{port}/", site.insider))
    own = [site.run["egress"]] + [
        site.run[k].removeprefix("http://") for k in ("gateway", "control", "admin")
    ]
    for address in own:
        for host in ("127.0.0.1", "localhost"):
            target = f"{host}:{address.rsplit(':', 1)[1]}"
            with egress.sent(site.run["egress"], connect(target, site.insider)) as connection:
                status, _, rest = egress.read_head(connection)
            assert status == 403, target
            assert b"an address of Aegis itself" in rest, target


@pytest.mark.parametrize(
    ("what", "first"),
    [
        ("another name", egress.client_hello("other.example")),
        ("a name below", egress.client_hello("a.localhost")),
        ("a name above", egress.client_hello("host")),
        ("no name", egress.client_hello(None)),
        ("HTTP", b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"),
        ("SSH", b"SSH-2.0-OpenSSH_9\r\n"),
        ("SSL 2", b"\x80\x2e\x01\x03\x01\x00\x15\x00\x00\x00\x10"),
        ("TLS alert", b"\x15\x03\x01\x00\x02\x02\x28"),
        ("application data", b"\x17\x03\x03\x00\x05hello"),
        (
            "half a hello and HTTP",
            egress.client_hello("localhost")[:5] + b"GET / HTTP/1.1\r\n\r\n" * 60,
        ),
        ("HTTP/2 preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    ],
)
def test_what_is_not_tls_for_the_host_never_reaches_it(site, what, first):
    seen = len(site.host.seen)
    message = connect(f"localhost:{site.host.port}", site.insider)
    assert not connects(site, message, first), what
    # Also when it comes along with the CONNECT.
    with egress.sent(site.run["egress"], message + first) as connection:
        egress.read_head(connection)
        try:
            while connection.recv(65536):
                pass
        except (ConnectionError, TimeoutError):
            pass
    assert len(site.host.seen) == seen


def test_requests_behind_the_first_are_not_passed_on(site):
    url = f"http://127.0.0.1:{site.host.port}"
    seen = len(site.host.seen)
    message = absolute(url + "/first", site.insider) + absolute(url + "/second", site.insider)
    with egress.sent(site.run["egress"], message) as connection:
        try:
            while connection.recv(65536):
                pass
        except ConnectionError:
            pass
    assert all(path != "/second" for _, path, _, _ in site.host.seen[seen:])


def test_malformed_requests(site):
    for message in (
        b"CONNECT localhost:1 HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
        b"CONNECT localhost:1 HTTP/2.0\r\n\r\n",
        b"CONNECT\tlocalhost:1 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x16\x03\x01\x00\x05hello",
        b"CONNECT localhost:1 HTTP/1.1\nHost: x\n\n",
        connect(f"127.0.0.1:{site.host.port}", site.insider).replace(
            b"\r\n\r\n", b"\r\nContent-Length: 5\r\n\r\nhello"
        ),
    ):
        assert not connects(site, message), message


def test_slow_heads_end(site):
    """A client that says nothing costs one descriptor and no buffer; it is let go."""
    host, port = site.run["egress"].rsplit(":", 1)
    waiting = [socket.create_connection((host, int(port))) for _ in range(50)]
    assert request(site.admin + "/healthz").status == 200
    message = absolute(f"http://127.0.0.1:{site.host.port}/", site.insider)
    assert connects(site, message)
    for connection in waiting:
        connection.close()
