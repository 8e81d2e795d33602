"""The doctor passes on a healthy Aegis and finds what is made wrong on purpose."""


def test_healthy_then_a_readable_key(aegis):
    healthy = aegis.json("doctor")
    assert healthy["ok"], healthy
    assert sum(check["check"].startswith("must-deny") for check in healthy["checks"]) == 3
    (aegis.data / "admin.key").chmod(0o644)
    done = aegis.cli("doctor", check=False)
    assert done.returncode == 1 and "chmod 600" in done.stdout


def test_nothing_running(tmp_path):
    from support.aegis_process import cli

    done = cli("--data", tmp_path, "doctor", check=False)
    assert done.returncode == 1 and "aegis up" in done.stdout
