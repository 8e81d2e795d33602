"""Documents of tools: `aegis tool apply|show`, and what they make of calls."""

import json

DOCUMENTS = """\
name: payments
base_url: {url}
hosts: [payments.internal]
actions:
  - {{name: create_charge, method: POST, path: "/v1/customers/{{customer}}/charges"}}
  - name: list_charges
    method: GET
    path: /v1/charges
    params:
      limit: {{in: query, type: integer}}
---
name: mail
base_url: {url}
"""


def test_documents_are_applied_shown_and_applied_again(aegis, tool, tmp_path):
    file = tmp_path / "tools.yaml"
    file.write_text(DOCUMENTS.format(url=tool.url))
    first = aegis.cli("tool", "apply", "-f", file).stdout
    assert "tool payments -> " in first and "2 actions, revision 2" in first
    assert "tool mail -> " in first and "0 actions, revision 1" in first
    shown = aegis.cli("tool", "show", "payments").stdout
    assert "payments.internal" in shown and "limit:integer (query)" in shown
    document = json.loads(aegis.cli("-o", "json", "tool", "show", "payments").stdout)
    assert document["actions"][1]["params"] == {"limit": {"in": "query", "type": "integer"}}
    again = aegis.cli("tool", "apply", "-f", "-", stdin=json.dumps(document)).stdout
    assert "revision 2" in again, "nothing changed"
    listed = aegis.cli("tool", "list").stdout
    assert "payments.internal" in listed


def test_mistakes_have_their_places_and_change_nothing(aegis, tool, tmp_path):
    file = tmp_path / "tools.yaml"
    file.write_text(
        "name: good\nbase_url: http://h\n---\n"
        "name: bad\nbase_url: http://h\nhots: []\nactions:\n"
        "  - {name: a, method: GET, path: '/x/{id}'}\n"
        "  - {name: b, method: GET, path: '/X'}\n"
        "  - {name: c, method: GET, path: '/x/{other}/'}\n"
    )
    refused = aegis.cli("tool", "apply", "-f", file, check=False)
    assert refused.returncode == 1
    lines = refused.stderr.splitlines()
    assert f"{file}:6:1: /hots is not a known member; did you mean 'hosts'?" in lines
    assert any(line.startswith(f"{file}:9:28: /actions/1/path differs from") for line in lines)
    assert any(line.startswith(f"{file}:10:28: /actions/2/path matches the same") for line in lines)
    assert "good" not in aegis.cli("tool", "list").stdout


def test_two_tools_cannot_claim_a_host(aegis, tool, tmp_path):
    file = tmp_path / "tools.yaml"
    file.write_text(
        "name: a\nbase_url: http://h\nhosts: [x.internal]\n---\n"
        "name: b\nbase_url: http://h\nhosts: [x.internal]\n"
    )
    refused = aegis.cli("tool", "apply", "-f", file, check=False)
    assert refused.returncode == 1
    assert "the host 'x.internal' is that of the tool 'a' already" in refused.stderr
