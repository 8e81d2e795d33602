"""Commands of documents, as readers are told to type them."""

import os
import pathlib
import re
import subprocess

from support.aegis_process import BINARY, ROOT, Aegis


def blocks(document: str, after: str = "") -> list[str]:
    """The `sh` blocks of a document, from the text `after` on."""
    text = (ROOT / document).read_text()
    return re.findall(r"```sh\n(.*?)```", text[text.index(after) :], flags=re.DOTALL)


def run(script: str, aegis: Aegis, folder: pathlib.Path) -> str:
    """Runs it in `folder`, beside a running Aegis; what it printed."""
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=folder,
        env=os.environ
        | {
            "AEGIS_DATA": str(aegis.data),
            "GATEWAY": aegis.gateway,
            "PATH": f"{BINARY.parent}:{os.environ['PATH']}",
        },
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
