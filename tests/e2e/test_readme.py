"""Every command of the README's tour, in order, in one shell, beside a running demo."""

import os
import re
import subprocess
import time

from support.aegis_process import BINARY, ROOT, Aegis


def tour() -> list[str]:
    text = (ROOT / "README.md").read_text()
    text = text[text.index("## A five-minute tour") :]
    return re.findall(r"```sh\n(.*?)```", text, flags=re.S)


def test_the_tour(tmp_path):
    blocks = tour()
    assert len(blocks) >= 8
    with Aegis(tmp_path / "aegis-data", "--demo", "--demo-payments", "127.0.0.1:0") as aegis:
        deadline = time.monotonic() + 30
        while "Ctrl-C" not in aegis.output:
            assert time.monotonic() < deadline, aegis.logged()
            time.sleep(0.05)
        # The tour's own ports are the defaults; here they are whatever was free.
        script = "\n".join(blocks).replace("http://127.0.0.1:8080", aegis.gateway)
        script = script.replace(
            'export PATH="$PWD/build/release/bin:$PATH"', f'export PATH="{BINARY.parent}:$PATH"'
        )
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=tmp_path,
            env=os.environ | {"AEGIS_DATA": str(aegis.data)},
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        for expected in (
            "finance-agent",
            '"status":"succeeded"',
            "amount 9000 exceeds max_amount 5000",
            "condition_failed",
            "max_amount",
            "must-deny: no grant",
        ):
            assert expected in done.stdout, f"{expected!r} is missing in\n{done.stdout}"
        # What step 4 published is in force.
        token = aegis.token("support-agent")
        refund = {"payment_id": "pay_1", "amount": 50}
        since = time.monotonic()
        while aegis.call(token, "stripe-payments", "refund_payment", refund).status != 201:
            assert time.monotonic() - since < 1
