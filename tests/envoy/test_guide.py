"""docs/envoy.md: its commands run, in one shell; its configuration is that of the files."""

import os
import pathlib
import re
import subprocess

import pytest
import yaml
from support.aegis_process import BINARY, ROOT, Tool
from support.envoy_process import DEPLOY, deployed, envoy_binary, ext_authz, port_of
from support.envoy_site import free_port

GUIDE = (ROOT / "docs/envoy.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", GUIDE, flags=re.S | re.M)


@pytest.fixture
def moved(tmp_path):
    """The guide's own ports -> ports that are free; deploy/envoy/with-body.yaml on them."""
    with Tool() as tool:
        free = {port: free_port() for port in (9191, 9901, 9902, 10000)}
        config = deployed("with-body", {9191: free[9191], 9400: port_of(tool.url)})
        for part, port in (
            (config["static_resources"]["listeners"][0], 10000),
            (config["admin"], 9902),
        ):
            part["address"]["socket_address"]["port_value"] = free[port]
        (tmp_path / "deploy/envoy").mkdir(parents=True)
        (tmp_path / "deploy/envoy/with-body.yaml").write_text(yaml.safe_dump(config))
        yield free


def test_the_commands(tmp_path, moved):
    script = "\n".join(blocks("sh"))
    assert len(blocks("sh")) >= 6
    for port, here in moved.items():
        script = re.sub(rf"127\.0\.0\.1:{port}\b", f"127.0.0.1:{here}", script)
    ports = f"--gateway 127.0.0.1:0 --control 127.0.0.1:0 --admin 127.0.0.1:{moved[9901]}"
    script = script.replace("aegis up ", f"aegis up {ports} ")
    script = "trap 'kill $(jobs -p) 2>/dev/null; wait' EXIT\n" + script
    programs = f"{BINARY.parent}:{pathlib.Path(envoy_binary()).parent}"
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=tmp_path,
        env=os.environ | {"PATH": f"{programs}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.findall(r"^\d{3}$", done.stdout, flags=re.M) == ["200", "403", "503"], done.stdout
    for expected in ("amount 9000 exceeds max_amount 5000", "OK", "ext_authz"):
        assert expected in done.stdout, f"{expected!r} is missing in\n{done.stdout}"


def test_the_filter_is_that_of_the_file():
    filters = [yaml.safe_load(text) for text in blocks("yaml") if "ext_authz.v3.ExtAuthz\n" in text]
    assert len(filters) == 1
    config = yaml.safe_load((DEPLOY / "with-body.yaml").read_text())
    assert filters[0][0]["typed_config"] == ext_authz(config)


def test_the_http_variant_is_that_of_the_file():
    told = next(yaml.safe_load(text) for text in blocks("yaml") if "http_service:" in text)
    config = ext_authz(yaml.safe_load((DEPLOY / "http-variant.yaml").read_text()))
    assert told == {name: config[name] for name in told}


def test_every_file_is_in_the_guide():
    for path in DEPLOY.glob("*.yaml"):
        assert f"`deploy/envoy/{path.name}`" in GUIDE, path.name
