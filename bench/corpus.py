"""What the benchmarks send: policies for many agents and tools, decision inputs, HTTP requests."""

import base64
import json
import pathlib
import random
from dataclasses import dataclass

CURRENCIES = ["usd", "eur", "gbp"]


@dataclass(frozen=True)
class Size:
    agents: int
    tools: int

    @property
    def name(self):
        return f"{self.agents}x{self.tools}"


def agent_name(number):
    return f"agent-{number:05d}"


def tool_name(number):
    return f"tool-{number:02d}"


def limit_of(agent, tool):
    """Bound of max_amount: differs between agents and tools, and is always far above 100."""
    return 1000 + 10 * ((agent * 7 + tool * 13) % 400)


def policy(agent, size, raised_by=0):
    """One agent's document, as JSON (which the dialect accepts beside YAML)."""
    return {
        "apiVersion": "aegis/v1",
        "agent": agent_name(agent),
        "allowed_tools": [
            {
                "name": tool_name(tool),
                "actions": ["create_payment", "list_payments", "refund_*"],
                "conditions": {
                    "max_amount": limit_of(agent, tool) + raised_by,
                    "currency": {"in": CURRENCIES},
                    "destination": {"matches": "acct_[A-Za-z0-9]+"},
                },
            }
            for tool in range(size.tools)
        ],
    }


def write_policies(folder: pathlib.Path, size: Size, raised_by=0):
    """One file for each agent; returns the files."""
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for agent in range(size.agents):
        file = folder / f"{agent_name(agent)}.json"
        file.write_text(json.dumps(policy(agent, size, raised_by)))
        files.append(file)
    return files


@dataclass(frozen=True)
class Case:
    """One call and whether it must be allowed."""

    agent: str
    tool: str
    action: str
    params: dict
    allowed: bool


def cases(size: Size, count=1000, denied_share=0.1, seed=1, padding=0):
    """Different calls over all agents and tools; the denied ones are over the amount.

    `padding`: bytes of a further param.
    """
    chooser = random.Random(seed)
    made = []
    for number in range(count):
        agent, tool = chooser.randrange(size.agents), chooser.randrange(size.tools)
        allowed = number % 100 >= round(denied_share * 100)
        amount = chooser.randrange(1, 900) if allowed else 100_000 + chooser.randrange(1000)
        params = {
            "amount": amount,
            "currency": chooser.choice(CURRENCIES),
            "destination": f"acct_{chooser.randrange(10**12):012d}",
            "description": f"Invoice {chooser.randrange(10**6)} for services, net 30 days",
            "metadata": {"order": f"ord_{chooser.randrange(10**9)}", "batch": number},
        }
        if padding:
            params["note"] = "".join(chooser.choices("abcdefghij klmnop", k=padding))
        made.append(Case(agent_name(agent), tool_name(tool), "create_payment", params, allowed))
    chooser.shuffle(made)
    return made


def decision_input(case: Case):
    """The document that the policy sees as `input`."""
    return {
        "org": "default",
        "tenant": "default",
        "agent": {"id": case.agent, "labels": {}},
        "chain": [{"type": "user", "id": "alice"}],
        "door": "http",
        "tool": case.tool,
        "action": case.action,
        "params": case.params,
        "request": {
            "method": "POST",
            "host": "127.0.0.1",
            "path": f"/tools/{case.tool}/{case.action}",
            "headers": {"content-type": "application/json", "user-agent": "aegis-bench/1"},
        },
        "time": {"unix_ns": 1_790_000_000_000_000_000},
    }


def write_inputs(file: pathlib.Path, made):
    file.write_text("".join(json.dumps(decision_input(case)) + "\n" for case in made))
    return file


def claims_of(token: str):
    """What a token says, unchecked."""
    part = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


def http_request(case: Case, token: str):
    body = json.dumps(case.params).encode()
    head = (
        f"POST /tools/{case.tool}/{case.action} HTTP/1.1\r\n"
        "Host: 127.0.0.1\r\n"
        f"Authorization: Bearer {token}\r\n"
        "User-Agent: aegis-bench/1\r\n"
        "Accept: application/json\r\n"
        "Content-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def write_requests(file: pathlib.Path, made, tokens, denied_status=403):
    """The load generator's request file (bench/loadgen/request_set.h)."""
    with file.open("wb") as out:
        for case in made:
            raw = http_request(case, tokens[case.agent])
            status, marker = (
                (200, "accepted") if case.allowed else (denied_status, "condition_failed")
            )
            out.write(b"@%d %d %s\n" % (status, len(raw), marker.encode()) + raw + b"\n")
    return file
