"""Tables of docs/formats/policy-data.md from policies as Python values.

With this the Rego library is tested without the policy compiler, and the compiler against a second
reading of the format.
"""

import ipaddress
import json
import re

from conformance.reference import (
    WEEKDAYS,
    days_of,
    egress_target,
    egress_tls,
    like,
    minutes,
    mode_of,
    rows_of,
)

ENGLISH = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
MAX_WORDS = 80


def write_json(value):
    """Compact JSON; numbers with all their digits."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{write_json(k)}:{write_json(v)}" for k, v in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ",".join(write_json(v) for v in value) + "]"
    if isinstance(value, (str, bool, int)) or value is None:
        return json.dumps(value, ensure_ascii=False)
    return str(value)  # Decimal


def words(value):
    text = write_json(value)
    return text if len(text) <= MAX_WORDS else text[:MAX_WORDS] + "…"


def pattern_row(pattern):
    parts = pattern.split("*")
    if len(parts) == 1:
        return {"is": pattern}
    if not any(parts):
        return {"any": True}
    if not any(parts[1:]):
        return {"prefix": parts[0]}
    if not any(parts[:-1]):
        return {"suffix": parts[-1]}
    escaped = re.sub(r"\*+", "*", pattern).split("*")
    quoted = [re.sub(r"([^A-Za-z0-9_\x80-\U0010ffff])", r"\\\1", part) for part in escaped]
    return {"re": r"\A(?s:" + ".*".join(quoted) + r")\z"}


def place_of(path):
    if "[*]" not in path:
        names = path.split(".")
        return {"key": names[0]} if len(names) == 1 else {"path": names}
    parts = path.split("[*]")
    return {"each": [[n for n in part.split(".") if n] for part in parts]}


def question_of(op, bound):
    if op in ("lt", "lte", "gt", "gte"):
        return {"number": {op: bound}}
    if op in ("eq", "ne", "in", "not_in"):
        return {"equal": {op: bound}}
    if op == "matches":
        return {"text": {op: rf"\A(?:{bound})\z"}}
    if op in ("starts_with", "ends_with"):
        return {"text": {op: bound}}
    if op == "exists":
        return {"exists": {"is": bound}}
    if op == "cidr":
        blocks = bound if isinstance(bound, list) else [bound]
        return {"other": {op: [str(ipaddress.ip_network(b, strict=False)) for b in blocks]}}
    if op == "domain":
        hosts = [
            h.lower().removesuffix(".") for h in (bound if isinstance(bound, list) else [bound])
        ]
        return {
            "other": {
                op: {
                    "is": [h for h in hosts if not h.startswith("*.")],
                    "below": [h[1:] for h in hosts if h.startswith("*.")],
                }
            }
        }
    return {"other": {op: bound}}


FAILS = {
    "lt": "is not below", "lte": "exceeds", "gt": "is not above", "gte": "is below", "eq": "is not",
    "ne": "is", "in": "is not one of", "not_in": "is one of", "matches": "does not match",
    "starts_with": "does not start with", "ends_with": "does not end with",
    "contains": "does not contain", "length_lte": "is longer than", "length_gte": "is shorter than",
    "type": "is not of type", "cidr": "is not an address in", "domain": "is not a host in",
}  # fmt: skip


def row(path, op, bound):
    fail = (
        ("is missing" if bound else "is present")
        if op == "exists"
        else f"{FAILS[op]} {words(bound)}"
    )
    return {
        **place_of(path),
        **question_of(op, bound),
        "violation": {"path": path, "op": op, "bound": bound},
        "name": path,
        "fail": fail,
        "need": f"{op} {words(bound)}",
    }


def condition_rows(conditions):
    return [row(*r) for r in rows_of(conditions)]


def caller(item):
    if isinstance(item, str):
        kind, _, pattern = item.partition(":")
        conditions = {}
    else:
        kind, pattern, conditions = "agent", item["agent"], item.get("conditions", {})
    return {
        "type": kind,
        "id": pattern_row(pattern),
        "who": f"{kind}:{pattern}",
        "conditions": condition_rows(conditions),
    }


def schedule(item):
    windows = {}
    start, end = 0, 1440
    if "hours" in item:
        start, end = (minutes(t) for t in item["hours"].split("-"))
    for day in sorted(days_of(item.get("days"))):
        if start < end:
            windows.setdefault(ENGLISH[day], []).append([start, end])
        else:
            windows.setdefault(ENGLISH[day], []).append([start, 1440])
            windows.setdefault(ENGLISH[(day + 1) % 7], []).append([0, end])
    zone = item.get("timezone", "UTC")
    text = f"{item.get('days', WEEKDAYS[0] + '-' + WEEKDAYS[-1])} {item.get('hours', '')} {zone}"
    return {"zone": zone, "windows": windows, "text": text}


def body(entry):
    made = {"conditions": condition_rows(entry.get("conditions"))}
    if "callers" in entry:
        made["callers"] = [caller(c) for c in entry["callers"]]
    if "schedule" in entry:
        made["schedule"] = schedule(entry["schedule"])
    return made


class Builder:
    def __init__(self, policies):
        self.policies = sorted(policies, key=lambda p: p[0].encode())
        self.grants, self.denials, self.bodies, self.body_ids = [], [], [], {}
        self.calls = []  # as profiles
        self.of = [([], [])]  # per document: its entries with grants, its denied items
        self.of = [self.number(name, document) for name, document in self.policies]

    def number(self, name, document):
        label = document.get("agent", name)
        entries, items = [], []
        for entry in document["allowed_tools"]:
            text = write_json(body(entry))
            if text not in self.body_ids:
                self.body_ids[text] = len(self.bodies)
                self.bodies.append(body(entry))
            ids = []
            for action in entry.get("actions", ["*"]):
                ids.append((action, len(self.grants)))
                rule = f"{label}/{entry['name']}/{action}"
                mode = mode_of(document, entry)
                self.grants.append({"rule": rule, "mode": mode, "body": self.body_ids[text]})
            entries.append((entry["name"], mode_of(document, entry), ids))
        targets = []
        for allowed in document.get("egress", {}).get("allow", []):
            text = write_json(body({}))
            if text not in self.body_ids:
                self.body_ids[text] = len(self.bodies)
                self.bodies.append(body({}))
            targets.append((egress_target(allowed), len(self.grants)))
            self.grants.append(
                {
                    "rule": f"{label}/egress/{allowed}",
                    "mode": mode_of(document),
                    "body": self.body_ids[text],
                    "tls": egress_tls(document),
                }
            )
        for item in document.get("denied_tools", []):
            ids = []
            for action in item.get("actions", ["*"]):
                ids.append((action, len(self.denials)))
                rule = f"{label}/denied_tools/{item['name']}/{action}"
                self.denials.append({"rule": rule, "mode": mode_of(document)})
            items.append((item["name"], ids))
        return entries, items, targets

    def egress(self, indexes):
        made = {}
        for i in indexes:
            for (kind, what, first, last), grant in self.of[i][2]:
                row = {"from": first, "to": last, "grant": grant}
                if kind == "network":
                    made.setdefault("networks", []).append({"cidr": what, **row})
                else:
                    key = "hosts" if kind == "host" else "below"
                    made.setdefault(key, {}).setdefault(what, []).append(row)
        return {"egress": made} if made else {}

    def profile(self, indexes):
        entries = [e for i in indexes for e in self.of[i][0]]
        items = [d for i in indexes for d in self.of[i][1]]
        modes = [mode_of(self.policies[i][1]) for i in indexes]
        names = {e[0] for e in entries if "*" not in e[0]} | {
            d[0] for d in items if "*" not in d[0]
        }
        made = {"mode": "shadow" if all(m == "shadow" for m in modes) else "enforce"}
        made["tools"], calls = {}, {}
        for tool in sorted(names):
            made["tools"][tool], free = self.tool(tool, entries, items)
            if free:
                calls[tool] = free
        self.calls.append(calls)
        grants = [
            {"tool": pattern_row(tool), "action": pattern_row(action), "grant": grant}
            for tool, _, ids in entries if "*" in tool for action, grant in ids
        ]  # fmt: skip
        deny = [
            {"tool": pattern_row(tool), "action": pattern_row(action), "denial": denial}
            for tool, ids in items if "*" in tool for action, denial in ids
        ]  # fmt: skip
        made |= self.egress(indexes)
        return made | ({"grants": grants} if grants else {}) | ({"deny": deny} if deny else {})

    def tool(self, tool, entries, items):
        """The tool's row, and its actions on which no denial fires."""
        entries = [e for e in entries if like(e[0], tool)]
        items = [d for d in items if like(d[0], tool)]
        made = {}
        if entries:
            made["mode"] = "shadow" if all(e[1] == "shadow" for e in entries) else "enforce"
            if len({e[1] for e in entries}) > 1:
                made["mixed"] = True
        allowed = [pair for e in entries for pair in e[2]]
        unwanted = [pair for d in items for pair in d[1]]
        free, refused, more, denied = {}, {}, {}, {}
        for action in sorted({a for a, _ in allowed + unwanted if "*" not in a}):
            covering = []
            for _, mode, ids in entries:
                fitting = [g for pattern, g in ids if like(pattern, action)]
                covering += [(mode, g) for g in fitting[:1]]
            firm = [g for mode, g in covering if mode == "enforce"]
            fired = [d for pattern, d in unwanted if like(pattern, action)]
            if covering:
                first, *others = firm or [g for _, g in covering]
                (refused if fired else free)[action] = first
                if others:
                    more[action] = others
            firm = [d for d in fired if self.denials[d]["mode"] == "enforce"]
            if fired:
                denied[action] = (firm or fired)[0]
        patterns = [{"action": pattern_row(a), "grant": g} for a, g in allowed if "*" in a]
        deny = [{"action": pattern_row(a), "denial": d} for a, d in unwanted if "*" in a]
        parts = {
            "actions": refused,
            "more": more,
            "patterns": patterns,
            "denied": denied,
            "deny": deny,
        }
        made |= {key: value for key, value in parts.items() if value}
        return made, free

    def build(self):
        profiles, agents, labelled, known = [], {}, {}, {}
        of_agent = {}
        for i, (_, document) in enumerate(self.policies):
            named = [document["agent"]] if "agent" in document else document.get("agents", [])
            for agent in named:
                if i not in of_agent.setdefault(agent, []):
                    of_agent[agent].append(i)
            if "match" in document:
                (key, value), *rest = sorted(document["match"]["labels"].items())
                row = {"profile": len(profiles), "match": dict(rest)}
                labelled.setdefault(key, {}).setdefault(value, []).append(row)
                profiles.append(self.profile([i]))
        for agent, indexes in of_agent.items():
            if tuple(indexes) not in known:
                known[tuple(indexes)] = len(profiles)
                profiles.append(self.profile(indexes))
            agents[agent] = known[tuple(indexes)]
        made = {
            "format": 1, "documents": len(self.policies), "agents": agents, "profiles": profiles,
            "calls": self.calls,
            "grants": self.grants, "denials": self.denials, "bodies": self.bodies,
        }  # fmt: skip
        return {"aegis": made | ({"labelled": labelled} if labelled else {})}


def build(policies):
    return Builder(policies).build()
