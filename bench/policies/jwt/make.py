"""Tokens of 60 callers, signed with RS256 and ES256 by one provider; some by a stranger.

The tokens come again and again, so that both engines find them among those that they have checked;
`jwt_uncached` is the same with tokens that are always new.
"""

import base64
import functools
import json
import pathlib
import random
import subprocess
import tempfile

ISSUER = "https://login.example.com/"
SCOPES = {
    "orders.read": ["list", "read"],
    "orders.write": ["create", "change", "cancel"],
    "orders.admin": ["purge"],
}
GROUPS = {"support": ["read", "cancel"], "sales": ["create"], "finance": ["read", "export"]}
ACTIONS = ["list", "read", "create", "change", "cancel", "purge", "export"]


def encode(part):
    if isinstance(part, dict):
        part = json.dumps(part, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(part).rstrip(b"=").decode()


def openssl(*command, stdin=b""):
    return subprocess.run(
        ["openssl", *command], input=stdin, capture_output=True, check=True
    ).stdout


class Key:
    def __init__(self, folder, kid, algorithm):
        self.kid, self.algorithm, self.path = kid, algorithm, folder / f"{kid}.pem"
        options = ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"]
        if algorithm == "ES256":
            options = ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"]
        openssl("genpkey", *options, "-out", str(self.path))

    def jwk(self):
        common = {"use": "sig", "kid": self.kid, "alg": self.algorithm}
        if self.algorithm == "ES256":
            der = openssl("pkey", "-in", str(self.path), "-pubout", "-outform", "DER")
            return common | {
                "kty": "EC", "crv": "P-256", "x": encode(der[-64:-32]), "y": encode(der[-32:]),
            }  # fmt: skip
        text = openssl("rsa", "-in", str(self.path), "-noout", "-modulus").decode()
        modulus = bytes.fromhex(text.strip().removeprefix("Modulus="))
        return common | {"kty": "RSA", "n": encode(modulus), "e": "AQAB"}

    def token(self, claims):
        header = {"alg": self.algorithm, "typ": "JWT", "kid": self.kid}
        body = f"{encode(header)}.{encode(claims)}"
        signature = openssl("dgst", "-sha256", "-sign", str(self.path), stdin=body.encode())
        if self.algorithm == "ES256":
            signature = raw_signature(signature)
        return f"{body}.{encode(signature)}"


def raw_signature(der):
    """R||S of a DER sequence of two integers."""
    at, numbers = 2, []
    for _ in range(2):
        length = der[at + 1]
        numbers.append(int.from_bytes(der[at + 2 : at + 2 + length], "big"))
        at += 2 + length
    return b"".join(number.to_bytes(32, "big") for number in numbers)


@functools.cache
def made():
    """The provider's keys as a JWKS, and the tokens."""
    chooser = random.Random(11)
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        keys = [Key(folder, "2026-a", "RS256"), Key(folder, "2026-b", "RS256"),
                Key(folder, "2026-c", "ES256")]  # fmt: skip
        stranger = Key(folder, "2026-d", "RS256")
        jwks = json.dumps({"keys": [key.jwk() for key in keys]})
        tokens = []
        for i in range(60):
            claims = {
                "iss": ISSUER,
                "sub": f"person-{i:02d}",
                "aud": ["orders-api", "profile"],
                "iat": 1700000000,
                "nbf": 1700000000,
                "exp": 4100000000,
                "scope": " ".join(chooser.sample(sorted(SCOPES), chooser.randrange(3))),
                "groups": chooser.sample(sorted(GROUPS), chooser.randrange(3)),
                "name": "A person of some name",
                "email": f"person-{i:02d}@example.com",
            }
            key = stranger if i % 15 == 7 else chooser.choice(keys)
            tokens.append(key.token(claims))
    return jwks, tokens


def data():
    return {
        "provider": {"issuer": ISSUER, "jwks": made()[0]},
        "scopes": SCOPES,
        "groups": GROUPS,
        "suspended": ["person-03", "person-31"],
    }


def inputs_of(tokens):
    chooser = random.Random(12)
    return [
        {
            "headers": {"authorization": f"Bearer {token}", "accept": "application/json"},
            "action": chooser.choice(ACTIONS),
        }
        for token in tokens
    ]


def inputs():
    return inputs_of(made()[1] * 4)
