"""Hostile tokens at the door: each is a 401 with its reason, and none reaches the tool."""

import base64
import hashlib
import hmac
import json
import subprocess
import tempfile
import time

import pytest


def b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def unb64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def parts(token: str) -> tuple[dict, dict, str]:
    header, claims, signature = token.split(".")
    return json.loads(unb64(header)), json.loads(unb64(claims)), signature


def sign(aegis, header: dict, claims: dict) -> str:
    """Signed with Aegis's own key: what is wrong is only what the case makes wrong."""
    message = b64(json.dumps(header).encode()) + "." + b64(json.dumps(claims).encode())
    with tempfile.NamedTemporaryFile() as file:
        file.write(message.encode())
        file.flush()
        key = aegis.data / "keys/token-signing.pem"
        signature = subprocess.run(
            ["openssl", "pkeyutl", "-sign", "-rawin", "-inkey", key, "-in", file.name],
            check=True,
            capture_output=True,
        ).stdout
    return message + "." + b64(signature)


def change(**claims):
    def make(aegis, token):
        header, old, _ = parts(token)
        new = {**old, **{k: v(old) if callable(v) else v for k, v in claims.items()}}
        return sign(aegis, header, {k: v for k, v in new.items() if v is not None})

    return make


def with_header(**fields):
    def make(aegis, token):
        header, claims, _ = parts(token)
        new = {**header, **fields}
        return sign(aegis, {k: v for k, v in new.items() if v is not None}, claims)

    return make


def unsigned(alg: str):
    def make(_, token):
        header, claims, _ = parts(token)
        return (
            b64(json.dumps({**header, "alg": alg}).encode())
            + "."
            + b64(json.dumps(claims).encode())
            + "."
        )

    return make


def signed_with_the_public_key(aegis, token):
    """The classic confusion: HS256 keyed with what the JWKS publishes."""
    header, claims, _ = parts(token)
    message = (
        b64(json.dumps({**header, "alg": "HS256"}).encode())
        + "."
        + b64(json.dumps(claims).encode())
    )
    key = (aegis.data / "keys/token-signing.pem").read_bytes()
    public = subprocess.run(
        ["openssl", "pkey", "-pubout"], input=key, check=True, capture_output=True
    ).stdout
    return message + "." + b64(hmac.new(public, message.encode(), hashlib.sha256).digest())


def tampered(_, token):
    header, claims, signature = token.split(".")
    altered = json.loads(unb64(claims)) | {
        "agent": "admin-agent",
        "sub": "agent:default/admin-agent",
    }
    return f"{header}.{b64(json.dumps(altered).encode())}.{signature}"


def flipped_signature(_, token):
    raw = bytearray(unb64(token.split(".")[2]))
    raw[10] ^= 1
    return token.rsplit(".", 1)[0] + "." + b64(bytes(raw))


def nested_act(depth: int) -> dict:
    act = {"sub": "user:alice"}
    for i in range(depth):
        act = {"sub": f"agent:default/a{i}", "act": act}
    return act


now = time.time
CASES = {
    "no algorithm": unsigned("none"),
    "no algorithm, capitals": unsigned("NONE"),
    "algorithm confusion": signed_with_the_public_key,
    "algorithm of another family": with_header(alg="ES256"),
    "algorithm missing": with_header(alg=None),
    "unknown key": with_header(kid="no-such-key"),
    "critical extension": with_header(crit=["exp"]),
    "key in the header": with_header(jwk={"kty": "OKP", "crv": "Ed25519", "x": "AA"}),
    "key address in the header": with_header(jku="http://127.0.0.1:1/keys"),
    "key path in the kid": with_header(kid="../../etc/passwd"),
    "tampered claims": tampered,
    "flipped signature": flipped_signature,
    "expired": change(
        exp=lambda c: int(now()) - 3600,
        iat=lambda c: int(now()) - 7200,
        nbf=lambda c: int(now()) - 7200,
    ),
    "not yet valid": change(nbf=lambda c: int(now()) + 3600),
    "issued in the future": change(
        iat=lambda c: int(now()) + 3600, exp=lambda c: int(now()) + 7200
    ),
    "lives for ever": change(exp=lambda c: int(now()) + 10**9),
    "no expiry": change(exp=None),
    "expiry is a string": change(exp="4102444800"),
    "expiry is huge": change(exp=10**300),
    "wrong audience": change(aud="someone-else"),
    "no audience": change(aud=None),
    "wrong issuer": change(iss="https://evil.example"),
    "another tenant": change(tenant="other", sub="agent:other/finance-agent"),
    "another org": change(org="other"),
    "subject of another agent": change(sub="agent:default/other-agent"),
    "unregistered agent": change(agent="ghost", sub="agent:default/ghost"),
    "agent with a path in it": change(agent="../x", sub="agent:default/../x"),
    "agent of another type": change(agent=["finance-agent"]),
    "chain too deep": change(act=nested_act(40)),
    "chain of a wrong type": change(act="user:alice"),
    "oversized": change(padding="x" * 20000),
    "empty": lambda *_: "",
    "one part": lambda *_: "abc",
    "two parts": lambda *_: "a.b",
    "five parts": lambda _, token: token + ".a.b",
    "padding in the parts": lambda _, token: token + "==",
    "not base64url": lambda *_: "!!.!!.!!",
    "not JSON": lambda *_: b64(b"x") + "." + b64(b"y") + "." + b64(b"z" * 64),
    "JSON of a wrong type": lambda *_: b64(b"[]") + "." + b64(b"[]") + "." + b64(b"z" * 64),
    "nul bytes": lambda *_: b64(b"\0" * 40) + "." + b64(b"\0") + "." + b64(b"\0" * 64),
}


def test_each_hostile_token_is_refused_with_a_reason(aegis, tool):
    good = aegis.token("finance-agent")
    assert aegis.call(good, "payments", "create_payment", {"amount": 1}).status == 200
    reached = len(tool.seen)
    wrong = {}
    for name, make in CASES.items():
        answer = aegis.call(make(aegis, good), "payments", "create_payment", {"amount": 1})
        ok = answer.status in ((401, 431) if name == "oversized" else (401,))
        if not ok or (
            answer.status == 401
            and not (answer.json()["reason"] and "WWW-Authenticate" in answer.headers)
        ):
            wrong[name] = (answer.status, answer.body[:200])
    assert not wrong, wrong
    assert len(tool.seen) == reached
    # The good one still works, so that the refusals were not for another reason.
    assert aegis.call(good, "payments", "create_payment", {"amount": 1}).status == 200


def test_signed_by_us_and_right_passes(aegis):
    """The cases above are refused for what they say and not for how this test signs."""
    header, claims, _ = parts(aegis.token("finance-agent"))
    assert (
        aegis.call(sign(aegis, header, claims), "payments", "create_payment", {"amount": 1}).status
        == 200
    )


def test_a_token_dies_at_its_expiry_even_when_cached(aegis):
    token = aegis.token("finance-agent", ttl="2s")
    assert aegis.call(token, "payments", "create_payment", {"amount": 1}).status == 200
    expires = parts(token)[1]["exp"]
    deadline = time.monotonic() + 40
    while aegis.call(token, "payments", "create_payment", {"amount": 1}).status == 200:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    # The leeway for clocks that differ is small.
    assert now() - expires < 35


@pytest.mark.parametrize(
    "header", ["Basic Zm9vOmJhcg==", "Bearer", "Bearer  ", "bearer x y", "Bearer a, Bearer b"]
)
def test_other_authorization_headers(aegis, tool, header):
    answer = aegis.call(
        None, "payments", "create_payment", {"amount": 1}, {"Authorization": header}
    )
    assert answer.status == 401 and not tool.seen
