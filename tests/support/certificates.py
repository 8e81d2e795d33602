"""Certificates of a test, made by openssl: authorities, and what they sign."""

import pathlib
import subprocess

EC = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]


def _openssl(folder: pathlib.Path, *arguments: str) -> None:
    done = subprocess.run(["openssl", *arguments], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def authority(folder: pathlib.Path, name: str) -> None:
    """NAME.pem and NAME.key."""
    request = ["req", "-x509", *EC, "-days", "2", "-subj", f"/CN={name}"]
    _openssl(folder, *request, "-keyout", f"{name}.key", "-out", f"{name}.pem")


def signed(folder: pathlib.Path, by: str, name: str, san: str) -> None:
    """NAME.pem and NAME.key for `san` ("URI:spiffe://example.org/x"), signed by authority BY."""
    _openssl(
        folder, "req", *EC, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}"
    )
    (folder / f"{name}.ext").write_text(f"subjectAltName={san}\n")
    _openssl(
        folder, "x509", "-req", "-in", f"{name}.csr", "-CA", f"{by}.pem", "-CAkey", f"{by}.key",
        "-days", "2", "-CAcreateserial", "-extfile", f"{name}.ext", "-out", f"{name}.pem",
    )  # fmt: skip
