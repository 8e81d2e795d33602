"""docs/tools.md as readers are told to type it."""

import time

from support.aegis_process import request
from support.documents import blocks, run

PETS = """\
openapi: 3.1.0
info: {title: Pets, version: "1"}
paths:
  /pets/{petId}:
    parameters:
      - {name: petId, in: path, required: true, schema: {type: integer}}
    get:
      operationId: getPet
      responses:
        200: {description: A pet}
  /pets/{petId}.json:
    get: {operationId: getPetJson, responses: {200: {description: A pet}}}
  /pets:
    post:
      requestBody:
        content:
          application/json:
            schema: {type: object, properties: {name: {type: string}}}
      responses: {201: {description: Made}}
"""


def policy_version(aegis) -> str:
    return (
        request(aegis.admin + "/config").body.decode().split('"policy_version":"')[1].split('"')[0]
    )


def test_the_guide(aegis, tool, tmp_path):
    document, policy, calls, importing = blocks("docs/tools.md")

    def here(script: str) -> str:
        return run(script.replace("http://127.0.0.1:9400", tool.url), aegis, tmp_path)

    shown = here(document)
    assert "payments.internal" in shown and "create_charge" in shown
    before = policy_version(aegis)
    here(policy)
    deadline = time.monotonic() + 10
    while policy_version(aegis) == before:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    tool.seen.clear()
    answers = here(calls)
    assert "amount 9000 exceeds max_amount 5000" in answers
    assert [(method, path) for method, path, _, _ in tool.seen] == [
        ("POST", "/v1/customers/7/charges")
    ]

    (tmp_path / "pets.yaml").write_text(PETS)
    assert "tool pets -> " in here(importing)
    shown = aegis.cli("tool", "show", "pets").stdout
    assert "post_pets" in shown and "getPet" not in shown


def test_import_says_what_it_left_out(aegis, tmp_path):
    (tmp_path / "pets.yaml").write_text(PETS)
    imported = aegis.cli(
        "tool", "import", "pets", "-f", tmp_path / "pets.yaml", "--url", "http://h"
    )
    assert "left out GET /pets/{petId}.json: its path has a segment" in imported.stderr
    assert "left out GET /pets/{petId}: it would be taken for calls of" in imported.stderr
    assert "1 action made, 2 operations left out" in imported.stderr
    assert "next: aegis tool show pets" in imported.stdout

    broken = tmp_path / "broken.yaml"
    broken.write_text("openapi: 3.1.0\npaths: {}\n")
    refused = aegis.cli("tool", "import", "x", "-f", broken, check=False)
    assert refused.returncode == 1 and "--url" in refused.stderr
