"""Hostile requests where opa-envoy-plugin is replaced: what policy cannot read is never allowed."""

import json

import grpc
import pytest
from support.aegis_process import Aegis
from support.bundle_server import OPA, BundleServer, opa_build
from support.envoy_protos import load

auth = load("envoy.service.auth.v3.external_auth_pb2")

pytestmark = pytest.mark.skipif(not OPA.exists(), reason="needs build/bin/opa")

# Allows all but what it sees to be evil, so that whatever escapes it passes.
POLICY = """\
package envoy.authz

default allow := true

allow := false if evil

evil if "evil" in input.parsed_path
evil if "evil" in input.parsed_query.user
evil if input.parsed_body.user == "evil"
evil if "evil" in input.parsed_body.user
"""
CHECK = "/envoy.service.auth.v3.Authorization/Check"
FORM = "application/x-www-form-urlencoded"


@pytest.fixture(scope="module")
def ask(tmp_path_factory):
    folder = tmp_path_factory.mktemp("opa-envoy")
    with BundleServer() as server:
        files = {"envoy/policy.rego": POLICY, ".manifest": '{"roots": ["envoy"]}'}
        plan = ("-t", "plan", "-e", "envoy/authz/allow")
        server.set("/b.tar.gz", opa_build(folder, files, "r1", *plan))
        config = folder / "aegis.yaml"
        config.write_text(
            json.dumps(
                {
                    "services": {"files": {"url": server.url}},
                    "bundles": {"default": {"service": "files", "resource": "/b.tar.gz"}},
                    "plugins": {"envoy_ext_authz_grpc": {"addr": "127.0.0.1:0"}},
                }
            )
        )
        with Aegis(folder / "data", "--config", str(config)) as running:
            running.wait_ready_to_decide()
            options = [("grpc.enable_http_proxy", 0)]
            with grpc.insecure_channel(running.run["opa_envoy"], options=options) as channel:
                yield channel.unary_unary(
                    CHECK,
                    request_serializer=lambda data: data,
                    response_deserializer=auth.CheckResponse.FromString,
                )


def question(path="/a", content_type="", body=b"", **headers) -> bytes:
    message = auth.CheckRequest()
    http = message.attributes.request.http
    http.method, http.path, http.raw_body = "POST", path, body
    if content_type:
        http.headers["content-type"] = content_type
    for name, value in headers.items():
        http.headers[name.replace("_", "-")] = value
    return message.SerializeToString()


def form(*parts: bytes, first: bytes = b"") -> bytes:
    return first + b"".join(b"--b\r\n" + part + b"\r\n" for part in parts) + b"--b--\r\n"


MULTIPART = "multipart/form-data; boundary=b"
NAMED = b'Content-Disposition: form-data; name="user"'
HOSTILE = {
    "escaped path": question("/%65vil"),
    "escaped slash": question("/a%2Fevil"),
    "escaped path, not utf-8": question("/evil%ff/evil"),
    "bad escape": question("/%evil"),
    "escaped query": question("/a?%75ser=%65vil"),
    "second of two": question("/a?user=good&user=evil"),
    "semicolon": question("/a?x=1;user=evil"),
    "too many": question("/a?" + "&".join(["x"] * 20000) + "&user=evil"),
    "json": question(content_type="application/json", body=b'{"user":"\\u0065vil"}'),
    "json, last of two": question(
        content_type="application/json", body=b'{"user":"good","user":"evil"}'
    ),
    "json, first of two": question(
        content_type="application/json", body=b'{"user":"evil","user":"good"}'
    ),
    "json, more behind": question(
        content_type="application/json", body=b'{"user":"good"}{"user":"evil"}'
    ),
    "json, deep": question(content_type="application/json", body=b"[" * 100000),
    "form": question(content_type=FORM, body=b"user=good&user=%65vil"),
    "form, semicolon": question(content_type=FORM, body=b"a=1;user=evil"),
    "length is a word": question(
        content_type="application/json", body=b"{}", content_length="evil"
    ),
    "multipart": question(content_type=MULTIPART, body=form(NAMED + b"\r\n\r\nevil")),
    "multipart, preamble": question(
        content_type=MULTIPART, body=form(NAMED + b"\r\n\r\nevil", first=b"x\r\n--c\r\n")
    ),
    "multipart, second of two": question(
        content_type=MULTIPART, body=form(NAMED + b"\r\n\r\ngood", NAMED + b"\r\n\r\nevil")
    ),
    "multipart, other writing": question(
        content_type=MULTIPART,
        body=form(b"content-disposition:\r\n form-data ; NAME=user\r\n\r\nevil"),
    ),
    "multipart, continued name": question(
        content_type=MULTIPART,
        body=form(b"Content-Disposition: form-data; name*0=us; name*1=er\r\n\r\nevil"),
    ),
    "multipart, encoded name": question(
        content_type=MULTIPART,
        body=form(b"Content-Disposition: form-data; name*=utf-8''%75ser\r\n\r\nevil"),
    ),
    "multipart, two names": question(
        content_type=MULTIPART,
        body=form(b"Content-Disposition: form-data; name=a; name=user\r\n\r\nevil"),
    ),
    "multipart, encoded content": question(
        content_type=MULTIPART,
        body=form(NAMED + b"\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n=65vil"),
    ),
    "multipart, broken head": question(
        content_type=MULTIPART,
        body=form(b'Content-Disposition: form-data; name="user\r\n\r\nevil'),
    ),
    "multipart, no end": question(
        content_type=MULTIPART, body=b"--b\r\n" + NAMED + b"\r\n\r\nevil"
    ),
    "multipart, two boundaries": question(
        content_type=MULTIPART + "; boundary=c", body=form(NAMED + b"\r\n\r\nevil")
    ),
    "two requests": question("/a") + question("/evil"),
    "a field twice": question("/a") + question("/a"),
    "a group": b"\x0b" + question("/a"),
    "cut": question("/a" * 50)[:-3],
    "no protobuf": b"GET / HTTP/1.1\r\n\r\n",
}  # fmt: skip


def test_nothing_evil_passes(ask):
    assert ask(question("/good?user=good")).status.code == 0
    passed = {}
    for name, message in HOSTILE.items():
        answer = ask(message, timeout=20)
        if answer.status.code == 0 or answer.WhichOneof("http_response") == "ok_response":
            passed[name] = answer
    assert not passed, passed
    assert ask(question("/good?user=good")).status.code == 0
