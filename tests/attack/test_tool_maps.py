"""Maps of tools: what an agent writes in another way than the map has it reaches no tool, or is
judged as the tool will take it."""

import http.client
import urllib.parse

import pytest
from support.aegis_process import Aegis, Tool

DOCUMENT = """\
name: payments
base_url: {url}
hosts: [payments.internal]
actions:
  - name: get_customer
    method: GET
    path: /v1/customers/{{id}}
    params: {{id: {{type: integer}}}}
  - {{name: my_account, method: GET, path: /v1/customers/me}}
  - name: charge
    method: POST
    path: /v1/customers/{{id}}/charges
    params:
      customer: {{in: path, name: id}}
      max: {{in: query, type: integer}}
      amount: {{in: body, type: number}}
      key: {{in: header, name: Idempotency-Key}}
      region: {{in: cookie}}
      labels: {{in: query, type: array, items: string}}
  - {{name: close, method: DELETE, path: "/v1/customers/{{id}}"}}
  - {{name: upload, method: PUT, path: "/v1/files/{{path...}}", body: [multipart]}}
"""

POLICY = """\
agent: finance-agent
allowed_tools:
  - name: payments
    actions: [charge]
    conditions:
      max_amount: 5000
      max: {lte: 10}
      key: {starts_with: "k-"}
      region: {eq: eu}
  - name: payments
    actions: [get_customer]
    conditions: {id: {lt: 100}}
  - name: payments
    actions: [upload]
    conditions:
      path: {starts_with: "public/"}
      "file.filename": {ends_with: ".pdf"}
"""


@pytest.fixture(scope="module")
def tool():
    with Tool() as running:
        yield running


@pytest.fixture(scope="module")
def aegis(tmp_path_factory, tool):
    folder = tmp_path_factory.mktemp("maps")
    with Aegis(folder / "data") as running:
        running.cli("agent", "register", "finance-agent")
        (folder / "tool.yaml").write_text(DOCUMENT.format(url=tool.url))
        running.cli("tool", "apply", "-f", folder / "tool.yaml")
        running.publish(folder / "policies", finance=POLICY)
        running.wait_ready_to_decide()
        running.bearer = running.token("finance-agent", ttl="1h")
        yield running


def send(aegis, method, target, body=b"", fields=(), host=None) -> tuple[int, str]:
    """Status and reason ("" where the tool answers)."""
    parts = urllib.parse.urlsplit(aegis.gateway)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=15)
    try:
        connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
        connection.putheader("Host", host or parts.netloc)
        connection.putheader("Authorization", "Bearer " + aegis.bearer)
        for name, value in fields:
            connection.putheader(name, value)
        if body:
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
        response = connection.getresponse()
        answer = response.read()
    finally:
        connection.close()
    reason = ""
    if answer and response.headers.get_content_type() == "application/problem+json":
        reason = answer.decode().split('"reason":"')[1].split('"')[0]
    return response.status, reason


KEY = ("Idempotency-Key", "k-1")
COOKIE = ("Cookie", "a=b; region=eu")
JSON = ("Content-Type", "application/json")
FORM = ("Content-Type", "application/x-www-form-urlencoded")
PARTS = ("Content-Type", "multipart/form-data; boundary=x")
CHARGES = "/tools/payments/v1/customers/7/charges"
GOOD = b'{"amount":1}'


def charge(query="?max=1", body=GOOD, fields=(KEY, COOKIE), kind=JSON, path=CHARGES):
    return "POST", path + query, body, (*fields, kind)


def upload(disposition, content=b"x", path="/tools/payments/v1/files/public/a", around=b"%s"):
    part = b"--x\r\nContent-Disposition: %s\r\n\r\n%s\r\n--x--\r\n"
    return "PUT", path, around % (part % (disposition, content)), (PARTS,)


FILE = b'form-data; name="file"; filename="a.pdf"'

PASSES = {
    "a charge": charge(),
    "a charge as a form": charge(body=b"amount=1.50", kind=FORM),
    "labels": charge("?max=1&labels=a&labels=b"),
    "an id of the body's own": charge(body=b'{"amount":1,"id":"x"}'),
    "a customer": ("GET", "/tools/payments/v1/customers/7"),
    "a customer, encoded": ("GET", "/tools/payments/v1/cust%6fmers/%37"),
    "a file": upload(FILE),
}

# Judged, and not allowed.
DENIED = {
    "the amount": charge(body=b'{"amount":9000}'),
    "the amount of a form": charge(body=b"amount=9000", kind=FORM),
    "no amount": charge(body=b"{}"),
    "the limit": charge("?max=11"),
    "no limit": charge(""),
    "the key": charge(fields=(("Idempotency-Key", "x"), COOKIE)),
    "no key": charge(fields=(COOKIE,)),
    "the key for this hop only": charge(fields=(KEY, COOKIE, ("Connection", "idempotency-key"))),
    "the key with '_'": charge(fields=(("Idempotency_Key", "k-1"), COOKIE)),
    "the region": charge(fields=(KEY, ("Cookie", "region=us"))),
    "another's account": ("GET", "/tools/payments/v1/customers/me"),
    "another customer": ("GET", "/tools/payments/v1/customers/100"),
    "another method": ("DELETE", "/tools/payments/v1/customers/7"),
    "a private file": upload(FILE, path="/tools/payments/v1/files/private/a"),
    "a file of another kind": upload(b'form-data; name="file"; filename="a.exe"'),
    # Then it is the param, as frameworks that go by the type have it: it has no name.
    "a file that is JSON": upload(FILE + b"\r\nContent-Type: application/json", b'{"size":1}'),
}

REFUSED = {
    # Paths that a tool may take for those of another action.
    "capitals": charge(path=CHARGES.replace("customers", "Customers")),
    "capitals, encoded": charge(path=CHARGES.replace("customers", "%43ustomers")),
    "a literal's capitals": ("GET", "/tools/payments/v1/customers/ME"),
    "a long s": charge(path=CHARGES.replace("customers", "customer%C5%BF")),
    "a slash at the end": charge(path=CHARGES + "/"),
    "an empty segment": charge(path=CHARGES.replace("/v1/", "/v1//")),
    "a dot segment": ("GET", "/tools/payments/v1/customers/7/../100"),
    "a dot segment, encoded": ("GET", "/tools/payments/v1/customers/7/%2e%2e/100"),
    "a slash, encoded": ("GET", "/tools/payments/v1/customers%2f100"),
    "a backslash": ("GET", "/tools/payments/v1/customers/7%5c..%5c100"),
    "encoded twice": ("GET", "/tools/payments/v1/customers/%2531"),
    "path parameters": ("GET", "/tools/payments/v1/customers/7;id=100"),
    "a suffix": ("GET", "/tools/payments/v1/customers/7.json"),
    "NUL": ("GET", "/tools/payments/v1/customers/7%00"),
    "no action": ("GET", "/tools/payments/v2/customers/7"),
    "HEAD": ("HEAD", "/tools/payments/v1/customers/7"),
    "a file above": upload(FILE, path="/tools/payments/v1/files/public/../private"),
    # Methods that a tool may take it for.
    "_method in the query": charge("?max=1&_method=DELETE"),
    "_method in a form": charge(body=b"amount=1&_method=DELETE", kind=FORM),
    "_METHOD in JSON": charge(body=b'{"amount":1,"_METHOD":"DELETE"}'),
    # Params in two places, or in another than the map says.
    "max twice": charge("?max=1&max=11"),
    "max in capitals": charge("?max=1&MAX=11"),
    "max with a space": charge("?max=1&+max=11"),
    "max as a list": charge("?max[]=11"),
    "max encoded": charge("?max=1&%6dax=11"),
    "max in the body": charge("", body=b'{"amount":1,"max":1}'),
    "max in both": charge(body=b'{"amount":1,"max":11}'),
    "amount in the query": charge("?max=1&amount=1"),
    "amount in capitals": charge(body=b'{"amount":1,"Amount":9000}'),
    "amount twice in a form": charge(body=b"amount=1&amount=9000", kind=FORM),
    "amount in a form, ';'": charge(body=b"amount=1;amount=9000", kind=FORM),
    "the customer in the query": charge("?max=1&customer=8"),
    "the customer in the body": charge(body=b'{"amount":1,"customer":8}'),
    "the key in the body": charge(body=b'{"amount":1,"key":"k-1"}', fields=(COOKIE,)),
    "the key in the query": charge("?max=1&key=k-1", fields=(COOKIE,)),
    "the key twice": charge(fields=(KEY, COOKIE, ("idempotency-key", "other"))),
    "the region twice": charge(fields=(KEY, ("Cookie", "region=eu; region=us"))),
    "cookies in two fields": charge(fields=(KEY, COOKIE, ("Cookie", "region=us"))),
    "the region in quotes": charge(fields=(KEY, ("Cookie", 'region="eu"'))),
    "the region in capitals": charge(fields=(KEY, ("Cookie", "Region=us; region=eu"))),
    "the region encoded": charge(fields=(KEY, ("Cookie", "region=%65u"))),
    "cookies without a space": charge(fields=(KEY, ("Cookie", "a=b;region=us"))),
    # Texts that tools read as several numbers.
    "max with an exponent": charge("?max=1e1"),
    "max in hexadecimal": charge("?max=0x1"),
    "max in octal": charge("?max=010"),
    "max with a sign": charge("?max=%2B1"),
    "max with a space before": charge("?max=+1"),
    "max of nothing": charge("?max="),
    "max beyond 64 bits": charge("?max=-99999999999999999999"),
    "amount as a text": charge(body=b'{"amount":"1"}'),
    "amount in a list": charge(body=b'{"amount":[1]}'),
    "amount with '_'": charge(body=b"amount=1_000", kind=FORM),
    "amount with ','": charge(body=b"amount=1,5", kind=FORM),
    "amount without a number": charge(body=b"amount=Infinity", kind=FORM),
    # Forms with files.
    "two files of one name": upload(FILE, around=b"--x\r\nContent-Disposition: " + FILE
                                    + b"\r\n\r\ny\r\n%s"),
    "two names": upload(b'form-data; name="file"; name="other"; filename="a.pdf"'),
    "a name without quotes": upload(b"form-data; name=file; filename=a.pdf"),
    "two names of the file": upload(FILE + b'; filename="a.exe"'),
    "a name of the file, encoded": upload(FILE + b"; filename*=utf-8''a.exe"),
    "an escaped name": upload(b'form-data; name="fi\\le"; filename="a.pdf"'),
    "the delimiter within": upload(FILE, b"1\n--x\r\n2"),
    "a preamble": upload(FILE, around=b"hello\r\n%s"),
    "something behind": upload(FILE, around=b"%shello"),
    "bare line feeds": ("PUT", "/tools/payments/v1/files/public/a",
                        b"--x\nContent-Disposition: " + FILE + b"\n\nx\n--x--\n", (PARTS,)),
    "a folded field": upload(b'form-data; name="file";\r\n filename="a.pdf"'),
    "another encoding": upload(FILE + b"\r\nContent-Transfer-Encoding: base64", b"eA=="),
    "a form within": upload(FILE + b"\r\nContent-Type: Multipart/mixed; boundary=y"),
    "a message within": upload(FILE + b"\r\nContent-Type: message/rfc822"),
    "a file that is JSON, and is not": upload(FILE + b"\r\nContent-Type: application/json", b"{"),
    "a key that is not UTF-8": charge(fields=(("Idempotency-Key", b"k-\xe9"), COOKIE)),
    "a charset for the others": upload(b'form-data; name="_charset_"', b"utf-16"),
    "no boundary": ("PUT", "/tools/payments/v1/files/public/a", b"--x--\r\n",
                    (("Content-Type", "multipart/form-data"),)),
    "another kind of body": ("PUT", "/tools/payments/v1/files/public/a", GOOD, (JSON,)),
    "no kind of body": ("PUT", "/tools/payments/v1/files/public/a", GOOD),
}  # fmt: skip


def test_what_passes_reaches_the_tool(aegis, tool):
    tool.seen.clear()
    wrong = {name: got for name, row in PASSES.items() if (got := send(aegis, *row)) != (200, "")}
    assert not wrong
    assert len(tool.seen) == len(PASSES)


def test_what_is_judged_and_denied_does_not(aegis, tool):
    tool.seen.clear()
    wrong = {name: got for name, row in DENIED.items() if (got := send(aegis, *row))[0] != 403}
    assert not wrong
    assert not tool.seen


def test_what_could_be_read_otherwise_does_not(aegis, tool):
    tool.seen.clear()
    wrong = {
        name: got
        for name, row in REFUSED.items()
        if (got := send(aegis, *row))[0] not in (400, 404, 415)
    }
    assert not wrong
    assert not tool.seen


def test_an_envoy_that_asks_about_a_call_to_a_tools_host_gets_a_decision(aegis, tool):
    tool.seen.clear()
    for path in ("/v1/ext_authz", "/v1/ext_authz_for/payments"):
        target = path + ("" if path.endswith("payments") else "/tools/payments")
        status, _ = send(aegis, "DELETE", target + "/v1/customers/7", b"{}",
                         (JSON, ("X-Envoy-Auth-Partial-Body", "false")),
                         host="payments.internal")  # fmt: skip
        assert status == 403, path
        status, _ = send(aegis, "GET", target + "/v1/customers/7", host="payments.internal")
        assert status == 200, path
        # Fields that it may have joined.
        charges = target + "/v1/customers/7/charges?max=1"
        for key, expected in ((KEY, 200), (("Idempotency-Key", "k-1,x"), 400),
                              (("Idempotency-Key", "k-!"), 400)):  # fmt: skip
            fields = (key, COOKIE, JSON, ("X-Envoy-Auth-Partial-Body", "false"))
            got = send(aegis, "POST", charges, GOOD, fields, host="payments.internal")
            assert got[0] == expected, (path, key, got)
    assert not tool.seen


def test_a_tools_host_is_the_tools_alone(aegis, tool):
    tool.seen.clear()
    assert send(aegis, "GET", "/v1/customers/7", host="payments.internal") == (200, "")
    assert send(aegis, "GET", "/v1/customers/7", host="PAYMENTS.internal:8080") == (200, "")
    assert [path for _, path, _, _ in tool.seen] == ["/v1/customers/7"] * 2
    tool.seen.clear()
    for path in ("/v1/decisions", "/v1/data/aegis/decision", "/tools/payments/v1/customers/7"):
        status, reason = send(aegis, "POST", path, GOOD, (JSON,), host="payments.internal")
        assert (status, reason) == (404, "unknown_action"), path
    for host, path in {
        "payments.internal.": "/v1/customers/7",
        "xn--payments.internal": "/v1/customers/7",
        "payments.internal@127.0.0.1": "/v1/customers/7",
        "127.0.0.1": "/v1/customers/7",
        "payments.internal": "/v1/customers/100",
    }.items():
        assert send(aegis, "GET", path, host=host)[0] in (400, 403, 404), host
    assert not tool.seen
