"""crypto.* and io.jwt.* against stock OPA, on keys and certificates that openssl makes anew, and on
the same with bytes changed: both must give the same value, or both none.

Which bytes mean what differs from run to run, and OPA's parser takes a few malformed encodings that
ours does not: of changed ones a few may be read by one of the two only. What both read is the same.
"""

import base64
import itertools
import json
import random
import re
import subprocess

import pytest
from support.aegis_process import BINARY, ROOT

OPA = ROOT / "build/bin/opa"
FUNCTIONS = {
    "crypto.x509.parse_certificates": 1,
    "crypto.x509.parse_and_verify_certificates": 1,
    "crypto.x509.parse_and_verify_certificates_with_options": 2,
    "crypto.x509.parse_certificate_request": 1,
    "crypto.x509.parse_rsa_private_key": 1,
    "crypto.x509.parse_keypair": 2,
    "crypto.parse_private_keys": 1,
    "crypto.hmac.sha512": 2,
    "io.jwt.decode": 1,
    "io.jwt.decode_verify": 2,
    "io.jwt.encode_sign_raw": 3,
    **{
        f"io.jwt.verify_{name}": 2
        for name in ["eddsa"] + [a + n for a in ("es", "ps", "rs", "hs") for n in ("256", "384")]
    },
}
KEYS = {
    "rsa": ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"],
    "short": ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:512"],
    "p224": ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-224"],
    "p256": ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
    "p384": ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"],
    "p521": ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-521"],
    "ed25519": ["-algorithm", "ED25519"],
    "x25519": ["-algorithm", "X25519"],
    "secp256k1": ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:secp256k1"],
}
# One certificate with everything that Go's structure shows.
EXTENSIONS = """\
subjectAltName=DNS:a.example,DNS:*.b.example,IP:10.0.0.1,IP:2001:db8::1,IP:::ffff:1.2.3.4,email:x@y.z,\
URI:https://u:p%40@host.example:8443/p%20a/b!?q=1,URI:urn:a:b,URI:file:/x,dirName:dir,RID:1.2.3.4
nameConstraints=permitted;DNS:.example,permitted;email:y.z,permitted;IP:10.0.0.0/255.0.0.0,\
excluded;URI:.bad,excluded;IP:2001:db8::/FFFF:FFFF:0:0:0:0:0:0
certificatePolicies=1.2.3.4,2.5.29.32.0
extendedKeyUsage=serverAuth,clientAuth,emailProtection,OCSPSigning,1.2.3.4.5,msSGC
keyUsage=critical,digitalSignature,keyCertSign,decipherOnly
crlDistributionPoints=URI:http://crl/x,URI:http://crl/y
authorityInfoAccess=OCSP;URI:http://ocsp/,caIssuers;URI:http://ca/
basicConstraints=critical,CA:true,pathlen:0
policyConstraints=requireExplicitPolicy:3,inhibitPolicyMapping:0
inhibitAnyPolicy=2
policyMappings=1.2.3.4:1.2.3.5
1.2.3.9=critical,DER:0500
"""
SUBJECT = (
    "/C=DE/O=Org A+OU=Unit/CN=Tést/serialNumber=12/postalCode=99/street=S1/L=Loc/ST=State"
    "/emailAddress=a@b.c/CN=second/OU=other"
)


def run(*command, stdin=""):
    done = subprocess.run(
        [str(part) for part in command], input=stdin, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, f"{command}: {done.stdout}\n{done.stderr}"
    return done.stdout


def opa_value(query, input_):
    text = run(OPA, "eval", "-I", "-f", "json", query, stdin=json.dumps(input_))
    return json.loads(text)["result"][0]["expressions"][0]["value"]


@pytest.fixture(scope="module")
def ask(tmp_path_factory):
    """Checks that both engines agree on calls, each a function's name and its arguments."""
    folder = tmp_path_factory.mktemp("ask")
    rules = []
    for name, arity in FUNCTIONS.items():
        arguments = ", ".join(f"call.args[{i}]" for i in range(arity))
        rules.append(
            f'answers[call.id] := {name}({arguments}) if {{\n'
            f'\tsome call in input.calls\n\tcall.name == "{name}"\n}}\n'
        )  # fmt: skip
    (folder / "p.rego").write_text("package p\n\n" + "\n".join(rules))
    bundle = folder / "p.tar.gz"
    run(OPA, "build", "-t", "plan", "-e", "p/answers", "-o", bundle, folder / "p.rego")

    def answers(calls):
        text = json.dumps({"calls": calls})
        theirs = json.loads(
            run(OPA, "eval", "-I", "-f", "json", "-d", folder / "p.rego", "data.p.answers",
                stdin=text)
        )  # fmt: skip
        ours = json.loads(
            run(BINARY, "rego", "eval", "--bundle", bundle, "--input", "-", stdin=text)
        )
        return ours[0]["result"], theirs["result"][0]["expressions"][0]["value"]

    def check(calls, least=0, odd=0):
        """`odd`: in how many calls only one of the two may have an answer."""
        calls = [{"id": str(i), "name": n, "args": a} for i, (n, *a) in enumerate(calls)]
        defined, ones = 0, []
        for first in range(0, len(calls), 25):
            batch = calls[first : first + 25]
            ours, theirs = answers(batch)
            defined += len(theirs)
            for call in batch:
                pair = (ours.get(call["id"]), theirs.get(call["id"]))
                if odd and None in pair and pair != (None, None):
                    ones.append((call, *pair))
                else:
                    assert pair[0] == pair[1], (call, *pair)
        assert len(ones) <= odd, ones
        # The cases must not all be without an answer, or they would say nothing.
        assert defined >= least

    return check


@pytest.fixture(scope="module")
def pki(tmp_path_factory):
    """Keys and certificates as texts, by name."""
    folder = tmp_path_factory.mktemp("pki")
    texts = {}

    def keep(name, *command):
        path = folder / name
        run("openssl", *command, "-out", path)
        texts[name] = path.read_text()
        return path

    for kind, options in KEYS.items():
        key = keep(f"{kind}.key", "genpkey", *options)
        keep(f"{kind}.pub", "pkey", "-in", key, "-pubout")
        if kind not in ("x25519", "short"):
            keep(f"{kind}.crt", "req", "-x509", "-new", "-key", key, "-subj", f"/CN={kind}")
            keep(f"{kind}.csr", "req", "-new", "-key", key, "-subj", f"/CN={kind}")
    keep("rsa1.key", "rsa", "-in", folder / "rsa.key", "-traditional")
    keep("p256sec1.key", "ec", "-in", folder / "p256.key")

    config = folder / "openssl.cnf"
    config.write_text(
        "[req]\ndistinguished_name=dn\nreq_extensions=e\n[dn]\n[dir]\nCN=d\n[e]\n"
        + re.sub("nameConstraints.*\n|policyM.*\n", "", EXTENSIONS)
        + "[full]\n"
        + EXTENSIONS
    )
    make = (
        "req",
        "-new",
        "-utf8",
        "-key",
        folder / "p256.key",
        "-subj",
        SUBJECT,
        "-config",
        config,
    )
    keep("full.crt", *make, "-x509", "-extensions", "full", "-days", "30000")
    keep("full.csr", *make)
    pss = ["-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:32"]
    keep("pss.crt", "req", "-x509", "-new", "-key", folder / "rsa.key", "-subj", "/CN=pss", *pss)

    # ca signs inter, inter signs the leaves.
    def issue(name, signer, extensions, *more):
        request = folder / "one.csr"
        run("openssl", "req", "-new", "-key", folder / "p384.key", "-subj", f"/CN={name}",
            "-out", request)  # fmt: skip
        (folder / "extensions").write_text(extensions)
        own = ["-signkey", folder / "p384.key"] if signer is None else [
            "-CA", folder / f"{signer}.crt", "-CAkey", folder / "p384.key", "-CAcreateserial",
        ]  # fmt: skip
        keep(f"{name}.crt", "x509", "-req", "-in", request, *own, "-extfile",
             folder / "extensions", "-days", "1000", *more)  # fmt: skip

    authority = "basicConstraints=critical,CA:true"
    issue("ca", None, authority)
    issue("old", None, "basicConstraints=CA:false")
    issue("inter", "ca", authority + ",pathlen:0\nnameConstraints=permitted;DNS:ok.example")
    issue("low", "inter", authority)
    issue("client", "ca", authority + "\nextendedKeyUsage=clientAuth")
    issue("sloppy", "ca", "keyUsage=keyCertSign")
    names = "subjectAltName=DNS:a.ok.example,DNS:*.w.ok.example,IP:10.1.2.3"
    issue("leaf", "inter", names)
    issue("outside", "inter", "subjectAltName=DNS:a.other.example")
    issue("deep", "low", names)
    issue("below", "client", names)
    issue("loose", "sloppy", names)
    issue("critical", "ca", names + "\n1.2.3.4=critical,DER:0500")
    issue("wants", "ca", names + "\nextendedKeyUsage=codeSigning,1.2.3.4")
    issue("weak", "ca", names, "-sha1")
    return texts


def der_of(pem):
    return base64.b64decode("".join(pem.strip().split("\n")[1:-1]))


def changed(pem, count, seed):
    """Base64 of the DER with one or two bytes changed, or an end cut off."""
    chooser = random.Random(seed)
    der = der_of(pem)
    for i in range(count):
        bytes_ = bytearray(der)
        for _ in range(1 + i % 2):
            at = chooser.randrange(len(bytes_))
            bytes_[at] = chooser.choice([bytes_[at] ^ 1 << chooser.randrange(8), 0, 0x80, 0xFF])
        if i % 20 == 19:
            bytes_ = bytes_[: chooser.randrange(len(bytes_))]
        yield base64.b64encode(bytes(bytes_)).decode()


def certificates(pki):
    return {name: text for name, text in pki.items() if name.endswith(".crt")}


def test_certificates(ask, pki):
    name = "crypto.x509.parse_certificates"
    texts = list(certificates(pki).values())
    texts += [base64.b64encode(der_of(text)).decode() for text in texts]
    texts += [base64.b64encode(texts[0].encode()).decode(), texts[0] + "\n\njunk\n" + texts[1],
              "junk\n" + texts[0], texts[0].replace("\n", "\r\n"), texts[0][:-2], "", "a",
              pki["rsa.key"], pki["full.csr"]]  # fmt: skip
    ask([(name, text) for text in texts], 40)


def test_changed_certificates(ask, pki):
    calls = [
        ("crypto.x509.parse_certificates", text)
        for kind, count in (("full", 500), ("rsa", 150), ("pss", 150), ("ed25519", 150))
        for text in changed(pki[f"{kind}.crt"], count, kind)
    ]
    ask(calls, 200, odd=3)


def test_requests(ask, pki):
    name = "crypto.x509.parse_certificate_request"
    calls = [(name, text) for kind, text in pki.items() if kind.endswith((".csr", "rsa.crt"))]
    calls += [(name, base64.b64encode(der_of(pki["full.csr"])).decode()), (name, ""), (name, "AA")]
    ask(calls, 8)
    ask([(name, text) for text in changed(pki["full.csr"], 300, "csr")], 40, odd=3)


def test_chains(ask, pki):
    first, verify = (f"crypto.x509.parse_and_verify_certificates{x}" for x in ("", "_with_options"))
    chains = [
        ["ca"], ["ca", "ca"], ["old", "old"], ["ca", "inter"], ["ca", "leaf"],
        ["ca", "inter", "leaf"], ["inter", "leaf"], ["ca", "rsa", "inter", "full", "leaf"],
        ["leaf", "inter", "ca"], ["ca", "inter", "outside"], ["ca", "inter", "low", "deep"],
        ["ca", "client", "below"], ["ca", "sloppy", "loose"], ["ca", "critical"],
        ["ca", "wants"], ["ca", "weak"], ["rsa", "leaf"], ["old", "inter", "leaf"], [],
    ]  # fmt: skip
    options = [
        {}, {"KeyUsages": ["KeyUsageAny"]}, {"KeyUsages": ["KeyUsageClientAuth"]},
        {"KeyUsages": ["KeyUsageCodeSigning", "KeyUsageClientAuth"]}, {"KeyUsages": []},
        {"KeyUsages": ["Any"]}, {"KeyUsages": "KeyUsageAny"}, {"KeyUsages": [1]},
        {"DNSName": "a.ok.example"}, {"DNSName": "A.OK.example."}, {"DNSName": "x.w.ok.example"},
        {"DNSName": "x.y.w.ok.example"}, {"DNSName": "w.ok.example"}, {"DNSName": "10.1.2.3"},
        {"DNSName": "[10.1.2.3]"}, {"DNSName": "10.1.2.4"}, {"DNSName": "leaf"}, {"DNSName": 1},
        {"DNSName": "*.w.ok.example"}, {"CurrentTime": 0}, {"CurrentTime": 4000000000000000000},
        {"CurrentTime": 1.5}, {"MaxConstraintComparisons": 5}, {"unknown": 1},
    ]  # fmt: skip
    texts = ["".join(pki[f"{name}.crt"] for name in chain) for chain in chains]
    calls = [(first, text) for text in texts]
    calls += [(verify, text, option) for text, option in itertools.product(texts, options[:3])]
    calls += [(verify, texts[5], option) for option in options]
    ask(calls, 90)


def test_private_keys(ask, pki):
    keys = [text for name, text in pki.items() if name.endswith(".key")]
    texts = [*keys, "".join(keys[:2] + keys[3:4]), "nope", "", "-----BEGIN", pki["rsa.pub"]]
    texts += [base64.b64encode(key.encode()).decode() for key in keys[:2]]
    altered = []
    for key, label in (("rsa1.key", "RSA "), ("p256.key", ""), ("p256sec1.key", "EC ")):
        # A changed key whose parts disagree is refused by both, whatever the reason.
        for text in changed(pki[key], 60, key):
            altered.append(
                f"-----BEGIN {label}PRIVATE KEY-----\n{text}\n-----END {label}PRIVATE KEY-----\n"
            )
    names = ("crypto.parse_private_keys", "crypto.x509.parse_rsa_private_key")
    ask([(name, text) for name in names for text in texts], 25)
    ask([(name, text) for name in names for text in altered], 5, odd=4)


def test_key_pairs(ask, pki):
    calls = []
    for certificate in ("rsa", "p256", "ed25519", "p521", "full"):
        for key in ("rsa", "rsa1", "p256", "p256sec1", "ed25519", "p521", "x25519"):
            calls.append((pki[f"{certificate}.crt"], pki[f"{key}.key"]))
    certificate, key = pki["rsa.crt"], pki["rsa.key"]
    calls += [
        (certificate + pki["ca.crt"], pki["rsa.pub"] + key),
        (base64.b64encode(certificate.encode()).decode(), base64.b64encode(key.encode()).decode()),
        (base64.b64encode(der_of(certificate)).decode(), base64.b64encode(der_of(key)).decode()),
        (key, certificate), ("", ""), (certificate, "AAAA"),
    ]  # fmt: skip
    ask([("crypto.x509.parse_keypair", *pair) for pair in calls], 8)


# --- Tokens ---


def encode(part):
    if isinstance(part, dict):
        part = json.dumps(part).encode()
    return base64.urlsafe_b64encode(part).rstrip(b"=").decode()


SECRET = {"kty": "oct", "k": encode(b"a secret of some length, not less"), "kid": "s"}
# RFC 8037 appendix A.
ED25519 = {
    "kty": "OKP", "crv": "Ed25519", "d": "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A",
    "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
}  # fmt: skip


@pytest.fixture(scope="module")
def jwks(pki):
    """Private JWKs, made by OPA out of the keys."""
    kinds = {name: pki[f"{name}.key"] for name in ("rsa", "p256", "p384", "p521")}
    value = opa_value("{n: crypto.x509.parse_rsa_private_key(p) | some n, p in input}", kinds)
    return value | {"ed25519": ED25519, "secret": SECRET}


def public(jwk):
    return {k: v for k, v in jwk.items() if k not in ("d", "p", "q", "dp", "dq", "qi")}


@pytest.fixture(scope="module")
def tokens(jwks):
    """Tokens by algorithm, signed by OPA."""
    claims = {"iss": "me", "aud": ["you", "they"], "sub": "x", "exp": 4100000000, "nbf": 1600000000}
    signers = {
        "rsa": ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"], "p256": ["ES256"],
        "p384": ["ES384", "ES256"], "p521": ["ES512"], "ed25519": ["EdDSA"],
        "secret": ["HS256", "HS384", "HS512"],
    }  # fmt: skip
    calls = [
        {"name": f"{kind} {alg}", "header": {"alg": alg, "typ": "JWT"}, "key": jwks[kind]}
        for kind, algorithms in signers.items()
        for alg in algorithms
    ]
    sign = "{c.name: io.jwt.encode_sign(c.header, input.claims, c.key) | some c in input.calls}"
    return opa_value(sign, {"calls": calls, "claims": claims})


def test_tokens_of_every_algorithm(ask, pki, jwks, tokens):
    keys = [json.dumps(public(jwk)) for jwk in jwks.values()]
    keys += [json.dumps(jwk) for jwk in jwks.values()]
    keys += [pki[f"{kind}.{form}"] for kind in ("rsa", "p256", "p384", "p521", "ed25519")
             for form in ("pub", "crt")]  # fmt: skip
    keys += [json.dumps({"keys": [public(jwk) for jwk in jwks.values()]}), "nope",
             pki["short.pub"], pki["x25519.pub"], pki["secp256k1.pub"]]  # fmt: skip
    functions = [name for name in FUNCTIONS if name.startswith("io.jwt.verify_")]
    calls = [(name, token, key) for name in functions for token in tokens.values()
             for key in keys[::3]]  # fmt: skip
    calls += [("io.jwt.decode_verify", token, {"cert": key})
              for token in tokens.values() for key in keys]  # fmt: skip
    calls += [("io.jwt.decode_verify", token, {"secret": "a secret of some length, not less"})
              for token in tokens.values()]  # fmt: skip
    ask(calls, 500)


def test_constraints(ask, pki, jwks, tokens):
    token = tokens["rsa RS256"]
    key = {"cert": pki["rsa.pub"], "aud": "you"}
    constraints = [
        key, key | {"alg": "RS256"}, key | {"alg": "RS384"}, key | {"iss": "me"},
        key | {"iss": "x"},
        key | {"aud": "they"}, key | {"aud": ""}, {"cert": pki["rsa.pub"]}, key | {"secret": "s"},
        {"aud": "you"}, key | {"time": 1600000000000000000}, key | {"time": 1599999999999999999},
        key | {"time": 4099999999999999999}, key | {"time": 4099999999000000000},
        key | {"time": 4100000000000000000}, key | {"time": -1}, key | {"time": "x"},
        key | {"time": 1e30}, key | {"unknown": 1}, key | {"alg": 1}, key | {"iss": ""},
        {"secret": ""}, {"secret": "s"}, {"cert": ""}, {"cert": "{\"keys\":[]}"}, {},
    ]  # fmt: skip
    ask([("io.jwt.decode_verify", token, one) for one in constraints], 12)


def test_odd_tokens(ask, jwks, tokens):
    key = json.dumps(public(jwks["ed25519"]))
    headers = [
        {}, {"alg": "none"}, {"alg": 1}, {"alg": "EdDSA", "crit": []},
        {"alg": "EdDSA", "crit": ["x"], "x": 1}, {"alg": "EdDSA", "crit": ["exp"]},
        {"alg": "EdDSA", "crit": 1}, {"alg": "EdDSA", "enc": "x"}, {"alg": "EdDSA", "kid": 1},
        {"alg": "Ed25519"}, {"alg": "EdDSA", "typ": None}, {"alg": "EdDSA", "cty": "JWT"},
    ]  # fmt: skip
    odd = [f"{encode(header)}.{encode({'a': 1})}.AAAA" for header in headers]
    good = tokens["ed25519 EdDSA"]
    head, payload, signature = good.split(".")
    odd += [
        "", "a", "a.b", "a.b.c", "a.b.c.d", f"{head}.{payload}.", f"{head}..{signature}",
        f"{head}.{payload}.{signature}=", f"{head}=.{payload}.{signature}", f" {good}", f"{good}\n",
        f"{encode(b'[]')}.{payload}.{signature}", f"{encode(b'{')}.{payload}.{signature}",
        f"{head}.{encode(b'[]')}.{signature}", good.replace("e", "E", 1), good[:-1],
    ]  # fmt: skip
    ask([("io.jwt.decode", token) for token in odd])
    ask([("io.jwt.verify_eddsa", token, key) for token in odd])
    ask([("io.jwt.decode_verify", token, {"cert": key}) for token in odd], 5)


def test_odd_keys(ask, jwks, tokens):
    calls = []
    for kind, name in (("rsa", "rsa RS256"), ("p256", "p256 ES256"), ("ed25519", "ed25519 EdDSA")):
        jwk = public(jwks[kind])
        changes = [{}, {"use": "sig"}, {"use": "enc"}, {"use": 1}, {"key_ops": ["verify"]},
                   {"key_ops": "verify"}, {"x5c": []}, {"x5c": ["AAAA"]}, {"kid": "x"}, {"kid": 1},
                   {"kid": None}, {"alg": name.split()[1]}, {"alg": "RS512"}, {"alg": "RSA-OAEP"},
                   {"alg": "nonsense"}, {"alg": ""}, {"alg": "none"}, {"alg": "Ed25519"},
                   {"kty": "RSA"}, {"kty": "rsa"}, {"kty": "oct"}, {"crv": "P-384"}, {"crv": None},
                   {"e": "Aw"}, {"e": "Ag"}, {"e": "AA"}, {"n": "AQAB"}, {"x": "AAAA"}, {"y": ""},
                   {"x": None}, {"d": "AQAB"}, {"d": None}, {"more": {"a": [1]}}]  # fmt: skip
        for change in changes:
            calls.append((name, json.dumps(jwk | change)))
            calls.append((name, json.dumps({"keys": [jwk | change]})))
        for member in jwk:
            calls.append((name, json.dumps({k: v for k, v in jwk.items() if k != member})))
        padded = {k: v + "=" * (-len(v) % 4) if k in ("n", "x", "y") else v for k, v in jwk.items()}
        calls.append((name, json.dumps(padded)))
        calls.append((name, json.dumps({"keys": [jwk, {"kty": "EC"}]})))
        calls.append((name, json.dumps({"keys": {}})))
    ask([("io.jwt.decode_verify", tokens[n], {"cert": k, "aud": "you"}) for n, k in calls], 60)


def test_signing(ask, jwks):
    """Those that always give the same; the others are checked by test_jwt's round trips."""
    calls = []
    for kind, algorithms in {
        "rsa": ["RS256", "RS384", "RS512", "ES256", "HS256"], "secret": ["HS256", "HS512", "RS256"],
        "ed25519": ["EdDSA", "Ed25519", "ES256"], "p256": ["RS256", "none", ""],
    }.items():  # fmt: skip
        for alg, key in itertools.product(algorithms, (jwks[kind], public(jwks[kind]))):
            calls.append((json.dumps({"alg": alg}), "{}", json.dumps(key)))
    secret = json.dumps(jwks["secret"])
    calls += [
        ('{"alg":"HS256","typ":"JWT"}', "text", secret), ('{"alg":"HS256","typ":"x"}', "t", secret),
        ('{"alg":"HS256"}', '{"b":1 , "a":2}', secret), ("{}", "{}", secret), ("", "{}", secret),
        ('{"alg":"HS256"}', "{}", "{}"), ('{"alg":"HS256"}', "{}", '{"keys":[]}'),
    ]  # fmt: skip
    broken = dict(jwks["rsa"], p=jwks["rsa"]["q"])
    calls.append(('{"alg":"RS256"}', "{}", json.dumps(broken)))
    ask([("io.jwt.encode_sign_raw", *call) for call in calls], 8)
