"""Bundles and their signatures, both ways with stock OPA (build/bin/opa)."""

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


@pytest.fixture(params=["ES256", "RS256"])
def keys(request, tmp_path):
    private, public = tmp_path / "key.pem", tmp_path / "key.pub.pem"
    if request.param == "ES256":
        options = ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"]
    else:
        options = ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"]
    run("openssl", "genpkey", *options, "-out", private)
    run("openssl", "pkey", "-in", private, "-pubout", "-out", public)
    return request.param, private, public


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
    run(TOOL, "pack", source, bundle, private, "k1", "")
    assert opa_eval(bundle, algorithm, public).strip().endswith("\n1.0")
    run(TOOL, "pack", source, bundle, private, "k1", "payments")
    opa_eval(bundle, algorithm, public, scope="payments")
    opa_eval(bundle, algorithm, public, scope="billing", ok=False)
    opa_eval(bundle, algorithm, public, ok=False)


def test_stock_opa_refuses_what_changed_after_our_signature(tmp_path, source, keys):
    algorithm, private, public = keys
    run(TOOL, "pack", source, tmp_path / "signed.tar.gz", private, "k1", "")
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
    refusal = run(TOOL, "read", tmp_path / "changed.tar.gz", public, "k1", "", ok=False)
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
    revision, kid, data = run(TOOL, "read", bundle, public, "k1", "").strip().split("\n")
    assert (revision, kid) == ("r1", "k1")
    expected = json.loads(FILES["data.json"]) | {"sub": {"x": json.loads(FILES["sub/x/data.json"])}}
    assert json.loads(data) == expected
    refusal = run(TOOL, "read", bundle, public, "k1", "payments", ok=False)
    assert "bundle_signature" in refusal


def test_we_accept_what_opa_builds_and_signs(tmp_path, source, keys):
    algorithm, private, public = keys
    bundle = tmp_path / "built.tar.gz"
    run(
        OPA, "build", "-t", "plan", "-e", "p/answer", "--signing-key", private,
        "--signing-alg", algorithm, "-o", bundle, "-b", ".", cwd=source,
    )  # fmt: skip
    # OPA names the key after its flag --verification-key-id, whose default this is.
    assert run(TOOL, "read", bundle, public, "default", "").split("\n")[:2] == ["r1", "default"]
    assert run(TOOL, "read", bundle).split("\n")[:2] == ["r1", ""]
    run("openssl", "genpkey", "-algorithm", "ED25519", "-out", tmp_path / "other.pem")
    run(
        "openssl",
        "pkey",
        "-in",
        tmp_path / "other.pem",
        "-pubout",
        "-out",
        tmp_path / "other.pub.pem",
    )
    refusal = run(TOOL, "read", bundle, tmp_path / "other.pub.pem", "default", "", ok=False)
    assert "bundle_signature" in refusal
