"""`aegis policy lint`, with and without a control plane to ask."""

import json

from support.aegis_process import cli

POLICY = """\
agent: finance-agent
allowed_tools:
  - {name: payments, actions: [create_payment], conditions: {max_amount: 5000}}
  - {name: "pay*"}
denied_tools: [{name: mail}]
"""


def test_findings_of_files(tmp_path):
    (tmp_path / "finance.yaml").write_text(POLICY)
    done = cli("policy", "lint", tmp_path / "finance.yaml", check=False)
    assert done.returncode == 1
    assert "finance.yaml:3:5: loosened-grant: the grant of payments holds nobody" in done.stdout
    done = cli("-o", "json", "policy", "lint", tmp_path / "finance.yaml", check=False)
    finding = json.loads(done.stdout)["findings"][0]
    assert (finding["rule"], finding["line"], finding["column"]) == ("loosened-grant", 3, 5)


def test_nothing_to_find(tmp_path):
    (tmp_path / "ok.yaml").write_text("agent: a\nallowed_tools: [{name: x}]\n")
    assert cli("policy", "lint", tmp_path).stdout == "nothing found in 1 document\n"


def test_names_are_held_against_the_registry(aegis, tmp_path):
    aegis.cli("agent", "register", "idle-agent")
    policy = tmp_path / "planner.yaml"
    policy.write_text("agent: planner-agent\nallowed_tools: [{name: payments}, {name: crm}]\n")
    done = aegis.cli("policy", "lint", "--registered", policy, check=False)
    assert done.returncode == 1
    assert "planner.yaml:1:1: unknown-agent: agent planner-agent is not registered" in done.stdout
    assert "planner.yaml:2:35: unknown-tool: no registered tool is named crm" in done.stdout
    assert "agent-without-policy: agent idle-agent is under no document" in done.stdout
    assert "agent-without-policy: agent finance-agent is under no document" in done.stdout
    assert done.stdout.count("\n") == 4


def test_actions_are_held_against_the_maps_of_tools(aegis, tool, tmp_path):
    (tmp_path / "tool.yaml").write_text(
        f"name: ledger\nbase_url: {tool.url}\n"
        "actions: [{name: list_entries, method: GET, path: /entries}]\n"
    )
    aegis.cli("tool", "apply", "-f", tmp_path / "tool.yaml")
    policy = tmp_path / "finance.yaml"
    policy.write_text(
        "agent: finance-agent\n"
        "allowed_tools: [{name: ledger, actions: [list_entries, delete_entries]}]\n"
    )
    done = aegis.cli("policy", "lint", "--registered", policy, check=False)
    assert "unknown-action: the map of ledger has no action delete_entries" in done.stdout
    assert "no action list_entries" not in done.stdout
