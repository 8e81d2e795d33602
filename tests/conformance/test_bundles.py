"""Bundles and their signatures, both ways with stock OPA (build/bin/opa)."""

import base64
import hashlib
import hmac
import json
import os
import pathlib
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
OPA = ROOT / "build/bin/opa"
TOOL = pathlib.Path(os.environ.get("AEGIS_BUNDLE_TOOL", ROOT / "build/release/bin/bundle_tool"))

pytestmark = pytest.mark.skipif(
    not (OPA.exists() and TOOL.exists()),
    reason="needs build/bin/opa and bundle_tool (make test builds both)",
)

# What makes canonical hashing hard: numbers by their text, Go's escapes, names to sort, nesting.
FILES = {
    "p.rego": "package p\n\nanswer := data.n\n",
    "data.json": '{"n": 1.0, "text":"<a\\u2028>&é\\u0001", '
    '"z":{"b":1e3,"a":-0, "big":123456789012345678901234567890}}',
    "sub/x/data.json": '[1, {"k": "v"}]',
    ".manifest": '{"revision":"r1", "roots":["p","n","text","z","sub"], '
    '"metadata":{"z":1,"a":1.50}}',
}


def run(*command, cwd=None, ok=True, stdin=""):
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (done.returncode == 0) == ok, (
        f"{command}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    )
    return done.stdout + ("" if ok else done.stderr)


@pytest.fixture
def source(tmp_path):
    for name, content in FILES.items():
        path = tmp_path / "source" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
    return tmp_path / "source"


# The genpkey options of each kind of key; HMAC algorithms have a secret instead.
KEY_OPTIONS = {
    "RS": ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"],
    "PS": ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"],
    "ES256": ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
    "ES384": ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"],
    "ES512": ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-521"],
}
ALGORITHMS = [
    "ES256", "ES384", "ES512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512",
    "HS256", "HS384", "HS512",
]  # fmt: skip


def make_key(folder, algorithm, name="key"):
    """Paths of what signs and what verifies; the same file for HMAC."""
    if algorithm.startswith("HS"):
        secret = folder / f"{name}.secret"
        secret.write_text("0123456789abcdef" * 4 + name)
        return secret, secret
    private, public = folder / f"{name}.pem", folder / f"{name}.pub.pem"
    options = KEY_OPTIONS.get(algorithm) or KEY_OPTIONS[algorithm[:2]]
    run("openssl", "genpkey", *options, "-out", private)
    run("openssl", "pkey", "-in", private, "-pubout", "-out", public)
    return private, public


@pytest.fixture(params=ALGORITHMS)
def keys(request, tmp_path):
    return request.param, *make_key(tmp_path, request.param)


def opa_eval(bundle, algorithm, public, scope="", ok=True):
    """data.p.answer in OPA's REPL, which is what verifies signatures; `opa eval` does not."""
    return run(
        OPA, "run", "--skip-version-check", "--bundle", bundle, "--verification-key", public,
        "--verification-key-id", "k1", "--signing-alg", algorithm, "--scope", scope,
        ok=ok, stdin="data.p.answer\n",
    )  # fmt: skip


def test_stock_opa_accepts_our_signature(tmp_path, source, keys):
    algorithm, private, public = keys
    bundle = tmp_path / "ours.tar.gz"
    run(TOOL, "pack", source, bundle, private, "k1", "", algorithm)
    assert opa_eval(bundle, algorithm, public).strip().endswith("\n1.0")
    run(TOOL, "pack", source, bundle, private, "k1", "payments", algorithm)
    opa_eval(bundle, algorithm, public, scope="payments")
    opa_eval(bundle, algorithm, public, scope="billing", ok=False)
    opa_eval(bundle, algorithm, public, ok=False)


def test_stock_opa_refuses_what_changed_after_our_signature(tmp_path, source, keys):
    algorithm, private, public = keys
    run(TOOL, "pack", source, tmp_path / "signed.tar.gz", private, "k1", "", algorithm)
    unpacked = tmp_path / "unpacked"
    unpacked.mkdir()
    run("tar", "xzf", tmp_path / "signed.tar.gz", "-C", unpacked)
    (unpacked / "data.json").write_text(FILES["data.json"].replace("1.0", "1.1"), encoding="utf-8")
    run(
        "tar",
        "czf",
        tmp_path / "changed.tar.gz",
        "-C",
        unpacked,
        *(path.name for path in unpacked.iterdir()),
    )
    assert "digest mismatch" in opa_eval(tmp_path / "changed.tar.gz", algorithm, public, ok=False)
    refusal = run(TOOL, "read", tmp_path / "changed.tar.gz", public, "k1", "", algorithm, ok=False)
    assert "bundle_signature" in refusal and "data.json was changed" in refusal


def test_we_accept_what_opa_signs(tmp_path, source, keys):
    algorithm, private, public = keys
    run(
        OPA,
        "sign",
        "--signing-key",
        private,
        "--signing-alg",
        algorithm,
        "--bundle",
        ".",
        cwd=source,
    )
    bundle = tmp_path / "opa.tar.gz"
    run("tar", "czf", bundle, "-C", source, ".")
    revision, kid, data = run(TOOL, "read", bundle, public, "k1", "", algorithm).strip().split("\n")
    assert (revision, kid) == ("r1", "k1")
    expected = json.loads(FILES["data.json"]) | {"sub": {"x": json.loads(FILES["sub/x/data.json"])}}
    assert json.loads(data) == expected
    refusal = run(TOOL, "read", bundle, public, "k1", "payments", algorithm, ok=False)
    assert "bundle_signature" in refusal


def test_we_accept_what_opa_builds_and_signs(tmp_path, source, keys):
    algorithm, private, public = keys
    bundle = tmp_path / "built.tar.gz"
    run(
        OPA, "build", "-t", "plan", "-e", "p/answer", "--signing-key", private,
        "--signing-alg", algorithm, "-o", bundle, "-b", ".", cwd=source,
    )  # fmt: skip
    # OPA names the key after its flag --verification-key-id, whose default this is.
    assert run(TOOL, "read", bundle, public, "default", "", algorithm).split("\n")[:2] == [
        "r1",
        "default",
    ]
    assert run(TOOL, "read", bundle).split("\n")[:2] == ["r1", ""]
    _, other = make_key(tmp_path, algorithm, "other")
    refusal = run(TOOL, "read", bundle, other, "default", "", algorithm, ok=False)
    assert "bundle_signature" in refusal


def test_scopes_of_opa_are_ours(tmp_path, source):
    private, public = make_key(tmp_path, "ES256")
    (tmp_path / "claims.json").write_text('{"scope": "payments"}')
    run(
        OPA, "sign", "--signing-key", private, "--signing-alg", "ES256",
        "--claims-file", tmp_path / "claims.json", "--bundle", ".", cwd=source,
    )  # fmt: skip
    bundle = pack(tmp_path, source)
    run(TOOL, "read", bundle, public, "k1", "payments", "ES256")
    opa_eval(bundle, "ES256", public, scope="payments")
    for scope in ("", "billing"):
        refusal = run(TOOL, "read", bundle, public, "k1", scope, "ES256", ok=False)
        assert "another scope" in refusal
        opa_eval(bundle, "ES256", public, scope=scope, ok=False)


# --- Forgeries: we refuse them and so does OPA, or the rows would say nothing. ---


def encode(part):
    if isinstance(part, dict):
        part = json.dumps(part).encode()
    return base64.urlsafe_b64encode(part).rstrip(b"=").decode()


def hmac_token(header, payload, secret):
    body = f"{encode(header)}.{encode(payload)}"
    return f"{body}.{encode(hmac.new(secret, body.encode(), 'sha256').digest())}"


def signed_folder(tmp_path, source, private, algorithm):
    """An unpacked bundle as `opa sign` leaves it; its token's header and payload."""
    run(
        OPA, "sign", "--signing-key", private, "--signing-alg", algorithm, "--bundle", ".",
        cwd=source,
    )  # fmt: skip
    token = json.loads((source / ".signatures.json").read_text())["signatures"][0]
    decoded = [base64.urlsafe_b64decode(part + "==") for part in token.split(".")[:2]]
    return token, *(json.loads(part) for part in decoded)


def write_tokens(source, *tokens):
    (source / ".signatures.json").write_text(json.dumps({"signatures": tokens}))


def pack(tmp_path, source):
    bundle = tmp_path / "forged.tar.gz"
    run("tar", "czf", bundle, "-C", source, *sorted(path.name for path in source.iterdir()))
    return bundle


def alg_none(source, token, header, payload, public):
    write_tokens(source, f"{encode({'alg': 'none'})}.{encode(payload)}.")


def public_key_as_secret(source, token, header, payload, public):
    write_tokens(source, hmac_token({"alg": "HS256"}, payload, public.read_bytes()))


def other_family(source, token, header, payload, public):
    header["alg"] = "PS256" if header["alg"] == "RS256" else "RS256"
    write_tokens(source, f"{encode(header)}.{encode(payload)}.{token.split('.')[2]}")


def key_in_header(source, token, header, payload, public):
    header["jwk"] = {"kty": "oct", "k": encode(b"s" * 32)}
    header["alg"] = "HS256"
    write_tokens(source, hmac_token(header, payload, b"s" * 32))


def payload_changed(source, token, header, payload, public):
    payload["files"] = payload["files"][1:]
    head, _, signature = token.split(".")
    write_tokens(source, f"{head}.{encode(payload)}.{signature}")


def empty_signature(source, token, header, payload, public):
    write_tokens(source, ".".join(token.split(".")[:2]) + ".")


def no_token(source, token, header, payload, public):
    write_tokens(source)


def two_tokens(source, token, header, payload, public):
    write_tokens(source, token, token)


def file_added(source, token, header, payload, public):
    (source / "extra.rego").write_text("package extra\n")


def file_removed(source, token, header, payload, public):
    (source / "p.rego").unlink()


def file_changed(source, token, header, payload, public):
    (source / "p.rego").write_text("package p\n\nanswer := 2\n")


def manifest_changed(source, token, header, payload, public):
    (source / ".manifest").write_text(FILES[".manifest"].replace("r1", "r2"))


def second_signatures_file(source, token, header, payload, public):
    (source / "sub/.signatures.json").write_text(json.dumps({"signatures": [token]}))


def unsigned(source, token, header, payload, public):
    (source / ".signatures.json").unlink()


FORGERIES = [
    alg_none, public_key_as_secret, other_family, key_in_header, payload_changed, empty_signature,
    no_token, two_tokens, file_added, file_removed, file_changed, manifest_changed,
    second_signatures_file, unsigned,
]  # fmt: skip
REASONS = ["bundle_signature", "bundle_unsigned", "bundle_name"]


@pytest.mark.parametrize("algorithm", ["ES256", "RS256"])
@pytest.mark.parametrize("forge", FORGERIES, ids=lambda forge: forge.__name__)
def test_forgeries_are_refused(tmp_path, source, algorithm, forge):
    private, public = make_key(tmp_path, algorithm)
    signed = signed_folder(tmp_path, source, private, algorithm)
    run(TOOL, "read", pack(tmp_path, source), public, "k1", "", algorithm)
    forge(source, *signed, public)
    bundle = pack(tmp_path, source)
    refusal = run(TOOL, "read", bundle, public, "k1", "", algorithm, ok=False)
    assert any(reason in refusal for reason in REASONS)
    opa_eval(bundle, algorithm, public, ok=False)


@pytest.mark.parametrize("name", ["MD5", "SHA-1"])
def test_weak_file_hashes_are_refused(tmp_path, source, name):
    """OPA takes them; we say in signature.h why we do not."""
    secret, _ = make_key(tmp_path, "HS256")
    _, header, payload = signed_folder(tmp_path, source, secret, "HS256")
    entry = next(entry for entry in payload["files"] if entry["name"] == "p.rego")
    entry["algorithm"] = name
    function = name.replace("-", "").lower()
    entry["hash"] = hashlib.new(function, FILES["p.rego"].encode()).hexdigest()
    write_tokens(source, hmac_token(header, payload, secret.read_bytes()))
    bundle = pack(tmp_path, source)
    opa_eval(bundle, "HS256", secret)
    refusal = run(TOOL, "read", bundle, secret, "k1", "", "HS256", ok=False)
    assert "hash_unsupported" in refusal
