"""Questions for opa-envoy-plugin and for Aegis in its place, and a policy that shows what it got.

The policy answers with its input as the body of a denial, or, when the header x-case names one of
RESULTS or SPECIAL, with that.
"""

import json

POLICY = """\
package envoy.authz

name := input.attributes.request.http.headers["x-case"]

allow := {"allowed": false, "body": json.marshal(input)} if not name

allow := data.results[name]

allow := special[name]

allow := [1, 2][_] if name == "conflict"

special := {
	"set of names": {"allowed": true, "request_headers_to_remove": {"b", "a"}},
	"set of header objects": {"allowed": true, "headers": {{"a": "1"}, {"b": {"2", "3"}}}},
	"keys that are no texts": {"allowed": true, "headers": {1: "x"}, "dynamic_metadata": {2: true}},
	"decimal status": {"allowed": false, "http_status": 403.0},
	"exponent status": {"allowed": false, "http_status": 4.03e2},
	"set as result": {1},
	"set in metadata": {"allowed": true, "dynamic_metadata": {"s": {3, 1}}},
}
"""

META = {
    "text": "x", "number": 1.5, "int": 7, "big": 12345678901234567890, "tiny": 1e-300, "no": None,
    "yes": True, "list": [1, "a", {"b": []}], "object": {"c": {"d": {}}}, "decision_id": "forged",
}  # fmt: skip
RESULTS = {
    "true": True,
    "false": False,
    "null": None,
    "text": "yes",
    "number": 1,
    "list": [True],
    "empty object": {},
    "allowed only": {"allowed": True},
    "denied only": {"allowed": False},
    "allowed null": {"allowed": None},
    "allowed text": {"allowed": "true"},
    "allowed number": {"allowed": 1},
    "headers": {"allowed": True, "headers": {"x-b": "2", "x-a": "1", "X-Upper": ""}},
    "headers of lists": {"allowed": True, "headers": {"x": ["1", "2"], "y": []}},
    "list of headers": {"allowed": True, "headers": [{"x": "1"}, {"x": "2", "y": ["3"]}, {}]},
    "headers on denial": {
        "allowed": False,
        "headers": {"x": "1"},
        "body": "no",
        "http_status": 401,
    },
    "headers text": {"allowed": True, "headers": "x"},
    "headers null": {"allowed": True, "headers": None},
    "headers of numbers": {"allowed": True, "headers": {"x": 1}},
    "headers of null": {"allowed": True, "headers": {"x": None}},
    "headers of objects": {"allowed": True, "headers": {"x": {"y": "z"}}},
    "headers of mixed lists": {"allowed": True, "headers": {"x": ["1", 2]}},
    "list of texts as headers": {"allowed": True, "headers": ["x"]},
    "bad headers on denial": {"allowed": False, "headers": 1},
    "remove": {"allowed": True, "request_headers_to_remove": ["x", "y", ""]},
    "remove text": {"allowed": True, "request_headers_to_remove": "x"},
    "remove number": {"allowed": True, "request_headers_to_remove": [1]},
    "remove object": {"allowed": True, "request_headers_to_remove": {"x": "y"}},
    "bad remove on denial": {"allowed": False, "request_headers_to_remove": 1},
    "response headers": {"allowed": True, "response_headers_to_add": {"x": ["1", "2"]}},
    "response headers text": {"allowed": True, "response_headers_to_add": "x"},
    "response headers on denial": {"allowed": False, "response_headers_to_add": {"x": "1"}},
    "set query": {"allowed": True, "query_parameters_to_set": {"a": "1", "b": ["2", "3"], "c": []}},
    "set query list": {"allowed": True, "query_parameters_to_set": [{"a": "1"}]},
    "set query number": {"allowed": True, "query_parameters_to_set": {"a": 1}},
    "set query numbers": {"allowed": True, "query_parameters_to_set": {"a": [1]}},
    "remove query": {"allowed": True, "query_parameters_to_remove": ["a", "b"]},
    "remove query text": {"allowed": True, "query_parameters_to_remove": "a"},
    "body": {"allowed": False, "body": "so not"},
    "body empty": {"allowed": False, "body": ""},
    "body number": {"allowed": False, "body": 1},
    "body null": {"allowed": False, "body": None},
    "bad body on allow": {"allowed": True, "body": 1, "http_status": "x"},
    "status 301": {"allowed": False, "http_status": 301, "headers": {"location": "/login"}},
    "status text": {"allowed": False, "http_status": "401"},
    "metadata": {"allowed": True, "dynamic_metadata": META},
    "metadata on denial": {"allowed": False, "dynamic_metadata": META},
    "metadata list": {"allowed": True, "dynamic_metadata": [1]},
    "metadata null": {"allowed": True, "dynamic_metadata": None},
    "other members": {"allowed": True, "id": "x", "reason": "y"},
}
STATUSES = [-1, 0, 99, 100, 101, 102, 103, 199, 200, 204, 208, 209, 226, 299, 300, 304, 305, 306,
            307, 308, 399, 400, 404, 417, 418, 420, 421, 424, 425, 426, 427, 428, 429, 430, 431,
            451, 499, 500, 508, 509, 510, 511, 512, 600, 99999999999]  # fmt: skip
for _status in STATUSES:
    RESULTS[f"status {_status}"] = {"allowed": False, "http_status": _status}
SPECIAL = [
    "set of names", "set of header objects", "keys that are no texts", "decimal status",
    "exponent status", "set as result", "set in metadata", "conflict", "undefined",
]  # fmt: skip

BOUNDARY = "XyZ"


def multipart(*parts: tuple[str, bytes], end: str = "\r\n") -> bytes:
    """Each part is its header lines and content."""
    out = b""
    for headers, content in parts:
        lines = "".join(line + end for line in headers.split("|"))
        out += f"--{BOUNDARY}{end}{lines}{end}".encode() + content + end.encode()
    return out + f"--{BOUNDARY}--{end}".encode()


def named(name: str, more: str = "") -> str:
    return f'Content-Disposition: form-data; name="{name}"' + (("|" + more) if more else "")


TYPE = f"multipart/form-data; boundary={BOUNDARY}"
JSON, FORM = "application/json", "application/x-www-form-urlencoded"
PLAIN = multipart((named("a"), b"1"), (named("b"), b"x\r\ny"), (named("a"), b"2"))


def _body(kind: str, content: bytes | str, raw: bool = True, **more) -> dict:
    data = content.encode() if isinstance(content, str) else content
    return {"type": kind, ("raw_body" if raw else "body"): data} | more


# name -> what the request has beside the usual.
INPUTS = {
    "plain": {},
    "nothing": {"bare": True},
    "no http": {"bare": True, "source": True},
    "path root": {"path": "/"},
    "path empty": {"path": ""},
    "path slashes": {"path": "//a//b/"},
    "path escapes": {"path": "/a%2Fb/%c3%a9/x+y/%25"},
    "path relative": {"path": "a/../b"},
    "path bad escape": {"path": "/%zz"},
    "path cut escape": {"path": "/%a"},
    "query": {"path": "/a?x=1&y=2&x=3&=v&k&&e=&p=a%26b+c%2b"},
    "query only": {"path": "?a=1"},
    "query twice": {"path": "/a?b?c=?"},
    "query semicolon": {"path": "/a?b=1;c=2"},
    "query bad escape": {"path": "/a?b=%"},
    "query bad key": {"path": "/a?%g1=2"},
    "query fragment": {"path": "/a?b=1#c"},
    "json": _body(JSON, '{"a":[1,2.50,1e3,"\\u00e9",null,true],"b":{}}'),
    "json text": _body(JSON, '{"a":1}', raw=False),
    "json charset": _body("application/json; charset=utf-8", "[1]"),
    "json problem": _body("application/problem+json", "[1]"),
    "json upper": _body("Application/JSON", "[1]"),
    "json scalar": _body(JSON, ' "x" '),
    "json null": _body(JSON, "null"),
    "json empty": _body(JSON, ""),
    "json bad": _body(JSON, "{"),
    "json trailing": _body(JSON, "{} {}"),
    "json spaces": _body(JSON, "  "),
    "json big number": _body(JSON, "[123456789012345678901234567890, -0, 1.0, 1E5]"),
    "json twice": _body(JSON, '{"a":1,"a":2}'),
    "json not utf-8": _body(JSON, b'["\xff"]'),
    "json lone surrogate": _body(JSON, '["\\ud800"]'),
    "json bom": _body(JSON, b"\xef\xbb\xbf{}"),
    "partial": _body(JSON, "{", headers={"x-envoy-auth-partial-body": "true"}),
    "not partial": _body(JSON, "{}", headers={"x-envoy-auth-partial-body": "false"}),
    "partial other": _body(JSON, "{}", headers={"x-envoy-auth-partial-body": "TRUE"}),
    "length more": _body(JSON, "{}", headers={"content-length": "3"}),
    "length less": _body(JSON, "{}", headers={"content-length": "1"}),
    "length exact": _body(JSON, "{}", headers={"content-length": "2"}),
    "length -1": _body(JSON, "{}", headers={"content-length": "-1"}),
    "length -5": _body(JSON, "{}", headers={"content-length": "-5"}),
    "length +9": _body(JSON, "{}", headers={"content-length": "+9"}),
    "length +-9": _body(JSON, "{}", headers={"content-length": "+-9"}),
    "length word": _body(JSON, "{}", headers={"content-length": "two"}),
    "length empty": _body(JSON, "{}", headers={"content-length": ""}),
    "length huge": _body(JSON, "{}", headers={"content-length": "99999999999999999999"}),
    "length without body": _body(JSON, "", headers={"content-length": "5"}),
    "form": _body(FORM, "a=1&b=x+y&a=%C3%A9&c"),
    "form text": _body(FORM, "a=1", raw=False),
    "form empty": _body(FORM, ""),
    "form separators": _body(FORM, "&&"),
    "form semicolon": _body(FORM, "a=1;b=2"),
    "form bad escape": _body(FORM, "a=%"),
    "form not utf-8": _body(FORM, b"a=\xff%ff&%c3%28=x"),
    "form cut": _body(FORM, "a=1", headers={"content-length": "9"}),
    "multipart": _body(TYPE, PLAIN),
    "multipart text": _body(TYPE, PLAIN, raw=False),
    "multipart lf": _body(TYPE, multipart((named("a"), b"1"), (named("b"), b"2"), end="\n")),
    "multipart mixed ends": _body(TYPE, PLAIN.replace(b"\r\n", b"\n", 1)),
    "multipart json": _body(
        TYPE,
        multipart(
            (named("a", "Content-Type: application/json"), b'{"x":1.50}'), (named("a"), b"{}")
        ),
    ),
    "multipart bad json": _body(
        TYPE, multipart((named("a", "Content-Type: application/json"), b"{"))
    ),
    "multipart file": _body(
        TYPE,
        multipart(
            (
                'Content-Disposition: form-data; name="f"; filename="C:\\dir\\x.bin"'
                "|Content-Type: application/octet-stream",
                b"\x00\xff\xfe\r\n--Xy",
            )
        ),
    ),
    "multipart filename*": _body(
        TYPE,
        multipart(
            ("Content-Disposition: form-data; name=f; filename*=utf-8''%e2%82%ac", b"x"),
        ),
    ),
    "multipart no name": _body(
        TYPE,
        multipart(
            ("Content-Disposition: form-data", b"1"),
            ("Content-Type: text/plain", b"2"),
            ("Content-Disposition: attachment; name=x", b"3"),
            (named(""), b"4"),
            (named("ok"), b"5"),
        ),
    ),
    "multipart case": _body(
        TYPE, multipart(("content-disposition:FORM-DATA ;NAME = a ; x=y;", b"1"))
    ),
    "multipart folded": _body(TYPE, multipart(("Content-Disposition: form-data;|  name=a", b"1"))),
    "multipart escapes": _body(TYPE, multipart((named('q\\"\\\\z'), b"1"))),
    "multipart empty parts": _body(TYPE, multipart((named("a"), b""), (named("b"), b"\r\n"))),
    "multipart no parts": _body(TYPE, f"--{BOUNDARY}--\r\n"),
    "multipart final without line end": _body(TYPE, PLAIN[:-2]),
    "multipart final then more": _body(TYPE, PLAIN + b"epilogue\r\n"),
    "multipart final with blanks": _body(TYPE, PLAIN[:-2] + b" \t\r\n"),
    "multipart final with text": _body(TYPE, PLAIN[:-2] + b"x\r\n"),
    "multipart preamble": _body(TYPE, b"preamble\r\n\r\n" + PLAIN),
    "multipart long preamble": _body(TYPE, b"p" * 5000 + b"\r\n" + PLAIN),
    "multipart blanks behind boundary": _body(
        TYPE, PLAIN.replace(b"--XyZ\r\n", b"--XyZ \t\r\n", 1)
    ),
    "multipart boundary as prefix": _body(
        TYPE, multipart((named("a"), b"x\r\n--XyZq\r\n--XyZ-q\r\ny"))
    ),
    "multipart starts with boundary prefix": _body(TYPE, multipart((named("a"), b"--XyZq"))),
    "multipart cut": _body(TYPE, PLAIN[:-9]),
    "multipart cut in content": _body(TYPE, PLAIN[:60]),
    "multipart cut in headers": _body(TYPE, PLAIN[:20]),
    "multipart empty": _body(TYPE, ""),
    "multipart nothing": _body(TYPE, "nothing"),
    "multipart bad header": _body(TYPE, multipart(("No colon", b"1"))),
    "multipart header space": _body(TYPE, multipart((" Content-Type: x", b"1"))),
    "multipart no boundary": _body("multipart/form-data", PLAIN),
    "multipart empty boundary": _body('multipart/form-data; boundary=""', PLAIN),
    "multipart quoted boundary": _body('multipart/form-data; boundary="XyZ"', PLAIN),
    "multipart other boundary": _body("multipart/form-data; boundary=other", PLAIN),
    "multipart bad type": _body("multipart/form-data; boundary", PLAIN),
    "multipart two boundaries": _body("multipart/form-data; boundary=XyZ; boundary=b", PLAIN),
    "multipart same boundaries": _body("multipart/form-data; boundary=XyZ; boundary=XyZ", PLAIN),
    "multipart disposition bad": _body(
        TYPE, multipart(("Content-Disposition: form-data; name", b"1"), (named("ok"), b"2"))
    ),
    "multipart continued name": _body(
        TYPE, multipart(("Content-Disposition: form-data; name*0=a; name*1=b", b"1"))
    ),
    "multipart quoted-printable": _body(
        TYPE, multipart((named("a", "Content-Transfer-Encoding: quoted-printable"), b"=41"))
    ),
    "multipart base64": _body(
        TYPE, multipart((named("a", "Content-Transfer-Encoding: base64"), b"QQ=="))
    ),
    "grpc": _body("application/grpc", b"\x00\x00\x00\x00\x00"),
    "grpc+json": _body("application/grpc+application/json", b"{}"),
    "other type": _body("text/plain", "{}"),
    "no type": {"raw_body": b"{}"},
    "raw headers": {"raw_headers": True, "type": JSON, "raw_body": b"{}"},
    "extensions": {"extensions": {"a": "b", "": "c", "d": ""}},
    "metadata": {"metadata": True},
    "source": {"source": True},
    "pipe": {"pipe": True},
    "internal": {"internal": True},
    "time": {"time": (1700000000, 5)},
    "time whole": {"time": (1700000000, 0)},
    "negative time": {"time": (-5, 0)},
    "unset time": {"time": (0, 0)},
    "all of http": {
        "http": {"query": "a=b", "fragment": "f", "protocol": "HTTP/2", "size": -1, "id": "7"}
    },
}

# What OPA reads in one of several ways, and Aegis refuses (docs/from-opa-envoy.md).
STRICTER = {
    "json twice", "json not utf-8", "json lone surrogate", "multipart disposition bad",
    "multipart continued name", "multipart quoted-printable",
}  # fmt: skip


def build(auth, changes: dict, case: str | None = None):
    """The CheckRequest; `auth` is the generated module."""
    changes = dict(changes)
    message = auth.CheckRequest()
    attributes = message.attributes
    if changes.pop("source", False):
        attributes.source.address.socket_address.address = "10.0.0.7"
        attributes.source.address.socket_address.port_value = 50123
        attributes.source.principal = "spiffe://example/client"
        attributes.source.service = "web"
        attributes.source.labels["app"] = "web"
        attributes.source.certificate = "-----BEGIN"
        attributes.destination.address.socket_address.address = "10.0.0.8"
        attributes.destination.address.socket_address.named_port = ""
        attributes.destination.address.socket_address.protocol = 1
        attributes.destination.address.socket_address.ipv4_compat = True
        attributes.tls_session.sni = "tools.example"
    if changes.pop("pipe", False):
        attributes.source.address.pipe.path = "/run/x"
        attributes.source.address.pipe.mode = 0o644
        attributes.destination.address.pipe.SetInParent()
    if changes.pop("internal", False):
        attributes.source.address.envoy_internal_address.server_listener_name = "x"
        attributes.destination.address.socket_address.port_value = 0
    if changes.pop("metadata", False):
        values = META | {"million": 1e6, "near": 999999.5, "small": 0.0001, "less": 0.00001,
                         "huge": 1e300, "third": 1 / 3, "minus": -0.0}  # fmt: skip
        attributes.metadata_context.filter_metadata["a"].update(values)
        attributes.metadata_context.filter_metadata["empty"].SetInParent()
        inner = attributes.metadata_context.filter_metadata["b"].fields
        inner["nan"].number_value = float("nan")
        inner["inf"].number_value = float("inf")
        inner["minus"].number_value = float("-inf")
        inner["unset"].SetInParent()
        typed = attributes.route_metadata_context.typed_filter_metadata["t"]
        typed.type_url, typed.value = "type.googleapis.com/x.Y", b"\x00\xff"
    if "time" in changes:
        attributes.request.time.seconds, attributes.request.time.nanos = changes.pop("time")
        attributes.request.time.SetInParent()
    for name, value in changes.pop("extensions", {}).items():
        attributes.context_extensions[name] = value
    if changes.pop("bare", False):
        assert not changes, changes
        return message
    http = attributes.request.http
    http.method, http.host, http.scheme = "POST", "tools.example", "https"
    http.path = changes.pop("path", "/people/42?active=true")
    headers = {":authority": "tools.example", ":method": "POST", "accept": "*/*"}
    if case is not None:
        headers["x-case"] = case
    if "type" in changes:
        headers["content-type"] = changes.pop("type")
    headers |= changes.pop("headers", {})
    if "body" in changes:
        http.body = changes.pop("body").decode()
    http.raw_body = changes.pop("raw_body", b"")
    raw = changes.pop("raw_headers", False)
    for name, value in headers.items():
        if raw:
            http.header_map.headers.add(key=name, raw_value=value.encode())
        else:
            http.headers[name] = value
    for name, value in changes.pop("http", {}).items():
        setattr(http, name, value)
    assert not changes, changes
    return message


def questions(auth) -> dict:
    out = {"input: " + name: build(auth, changes) for name, changes in INPUTS.items()}
    for name in [*RESULTS, *SPECIAL]:
        out["result: " + name] = build(auth, {}, case=name)
    return out


def data() -> str:
    return json.dumps({"results": RESULTS})
