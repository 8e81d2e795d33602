"""The dialect's meaning once more, slow and obvious.

Written from the design's description of the dialect, not from the Rego library: it walks over
documents and entries as a person would read them, and knows nothing of tables. The conformance test
holds Aegis, OPA and this against each other.

A policy is (name, document): the document is what its YAML says, as Python values; numbers are int
or Decimal. `decide` gives the decision document without `message`.
"""

import datetime
import ipaddress
import re
import zoneinfo
from decimal import Decimal

WEEKDAYS = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
OPERATORS = {
    "eq", "ne", "lt", "lte", "gt", "gte", "in", "not_in", "matches", "starts_with", "ends_with",
    "contains", "length_lte", "length_gte", "exists", "type", "cidr", "domain",
}  # fmt: skip
NUMBERS = (int, Decimal)


def is_number(value):
    return isinstance(value, NUMBERS) and not isinstance(value, bool)


def same(a, b):
    """Equality of JSON values: 1 is 1.0, true is not 1."""
    if is_number(a) and is_number(b):
        return Decimal(a) == Decimal(b)
    if type(a) is not type(b):
        return False
    if isinstance(a, list):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    return a == b


def like(pattern, name):
    parts = [re.escape(part) for part in pattern.split("*")]
    return re.fullmatch(".*".join(parts), name, re.DOTALL) is not None


def is_integer(value):
    return is_number(value) and (isinstance(value, int) or value == value.to_integral_value())


def type_holds(value, name):
    if name == "integer":
        return is_integer(value)
    if name == "number":
        return is_number(value)
    kinds = {"string": str, "boolean": bool, "array": list, "object": dict, "null": type(None)}
    return isinstance(value, kinds[name])


def address(text):
    """An IP address as OPA reads it: no zone, no leading zeros; a mapped IPv4 address is IPv4."""
    if "%" in text:
        return None
    try:
        parsed = ipaddress.ip_address(text)
    except ValueError:
        return None
    mapped = getattr(parsed, "ipv4_mapped", None)
    return mapped or parsed


def in_block(text, block):
    ip = address(text)
    net = ipaddress.ip_network(block, strict=False)
    return ip is not None and ip.version == net.version and ip in net


def host_holds(text, patterns):
    if re.fullmatch(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*\.?", text, re.ASCII) is None:
        return False
    host = text.removesuffix(".").lower()
    for pattern in patterns:
        wanted = pattern.lower().removesuffix(".")
        if wanted.startswith("*."):
            if host.endswith(wanted[1:]) and len(host) > len(wanted) - 1:
                return True
        elif host == wanted:
            return True
    return False


def operator_holds(op, bound, value):
    if op == "eq":
        return same(value, bound)
    if op == "ne":
        return not same(value, bound)
    if op == "in":
        return any(same(value, b) for b in bound)
    if op == "not_in":
        return not any(same(value, b) for b in bound)
    if op in ("lt", "lte", "gt", "gte"):
        if not is_number(value):
            return False
        a, b = Decimal(value), Decimal(bound)
        return {"lt": a < b, "lte": a <= b, "gt": a > b, "gte": a >= b}[op]
    if op == "matches":
        return isinstance(value, str) and re.fullmatch(bound, value, re.ASCII) is not None
    if op == "starts_with":
        return isinstance(value, str) and value.startswith(bound)
    if op == "ends_with":
        return isinstance(value, str) and value.endswith(bound)
    if op == "contains":
        if isinstance(value, str):
            return isinstance(bound, str) and bound in value
        return isinstance(value, list) and any(same(bound, v) for v in value)
    if op in ("length_lte", "length_gte"):
        if not isinstance(value, (str, list, dict)):
            return False
        return len(value) <= bound if op == "length_lte" else len(value) >= bound
    if op == "exists":
        return bound
    if op == "type":
        return type_holds(value, bound)
    listed = bound if isinstance(bound, list) else [bound]
    if op == "cidr":
        return isinstance(value, str) and any(in_block(value, block) for block in listed)
    if op == "domain":
        return isinstance(value, str) and host_holds(value, listed)
    raise ValueError(op)


def steps_of(path):
    """["items", "*", "price"] for "items[*].price"."""
    steps = []
    for part in path.split("."):
        name, stars = part.partition("[")[0], part.count("[*]")
        steps += ([name] if name else []) + ["*"] * stars
    return steps


def row_holds(steps, op, bound, value, present=True):
    if steps and steps[0] == "*":
        if not present or not isinstance(value, list):
            return False
        return all(row_holds(steps[1:], op, bound, element) for element in value)
    if steps:
        if present and isinstance(value, dict) and steps[0] in value:
            return row_holds(steps[1:], op, bound, value[steps[0]])
        return row_holds(steps[1:], op, bound, None, present=False)
    if not present:
        return op == "exists" and bound is False
    return operator_holds(op, bound, value)


def rows_of(conditions):
    """(path, op, bound) of every condition, in order."""
    rows = []
    for key, ask in (conditions or {}).items():
        if isinstance(ask, dict):
            rows += [(key, op, bound) for op, bound in ask.items()]
        elif key.startswith("max_"):
            rows.append((key[4:], "lte", ask))
        elif key.startswith("min_"):
            rows.append((key[4:], "gte", ask))
        elif key.startswith("allowed_"):
            rows.append((key[8:], "in", ask if isinstance(ask, list) else [ask]))
        else:
            rows.append((key, "eq", ask))
    return rows


def failed_rows(conditions, params):
    rows = rows_of(conditions)
    return [row for row in rows if not row_holds(steps_of(row[0]), row[1], row[2], params)]


def caller_parts(caller):
    if isinstance(caller, str):
        kind, _, pattern = caller.partition(":")
        return kind, pattern, {}
    return "agent", caller["agent"], caller.get("conditions", {})


def caller_fits(caller, link):
    kind, pattern, _ = caller_parts(caller)
    if not isinstance(link, dict) or not isinstance(link.get("id"), str):
        return False
    return link.get("type") == kind and like(pattern, link["id"])


def link_permitted(entry, link, params):
    if "callers" not in entry:
        return isinstance(link, dict) and link.get("type") == "user"
    return any(
        caller_fits(caller, link) and not failed_rows(caller_parts(caller)[2], params)
        for caller in entry["callers"]
    )


def caller_violations(entry, call):
    """What the first link that may not be there failed on; nothing if no caller lists it."""
    for link in call["chain"]:
        if not link_permitted(entry, link, call["params"]):
            break
    for caller in entry.get("callers", []):
        if caller_fits(caller, link):
            return failed_rows(caller_parts(caller)[2], call["params"])
    return []


def days_of(days):
    if days is None:
        return set(range(7))
    found = set()
    for part in days if isinstance(days, list) else days.split(","):
        first, _, last = part.strip().partition("-")
        i = WEEKDAYS.index(first)
        end = WEEKDAYS.index(last or first)
        found.add(i)
        while i != end:
            i = (i + 1) % 7
            found.add(i)
    return found


def minutes(text):
    hour, minute = text.split(":")
    return int(hour) * 60 + int(minute)


def in_schedule(schedule, time):
    ns = time.get("unix_ns") if isinstance(time, dict) else None
    if not is_integer(ns) or not -(2**63) <= ns < 2**63:
        return False
    zone = zoneinfo.ZoneInfo(schedule.get("timezone", "UTC"))
    epoch = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
    local = (epoch + datetime.timedelta(seconds=int(ns) // 10**9)).astimezone(zone)
    minute, day = local.hour * 60 + local.minute, local.weekday()
    days = days_of(schedule.get("days"))
    if "hours" not in schedule:
        return day in days
    start, end = (minutes(t) for t in schedule["hours"].split("-"))
    if start < end:
        return day in days and start <= minute < end
    return (day in days and minute >= start) or ((day - 1) % 7 in days and minute < end)


def applies(document, agent):
    if "agent" in document:
        return document["agent"] == agent["id"]
    if "agents" in document:
        return agent["id"] in document["agents"]
    labels = agent.get("labels")
    labels = labels if isinstance(labels, dict) else {}
    wanted = document["match"]["labels"]
    return all(k in labels and same(labels[k], v) for k, v in wanted.items())


def mode_of(document, entry=None):
    return (entry or {}).get("mode", document.get("mode", "enforce"))


def only_shadow(modes):
    return "shadow" if modes and all(m == "shadow" for m in modes) else "enforce"


def egress_target(text):
    """(kind, what, first port, last port) of an entry of egress.allow; the generator writes none
    whose host is not ASCII."""
    port = "443"
    if text.startswith("["):
        text, _, rest = text[1:].partition("]")
        port = rest[1:] or port
    elif text.count(":") == 1:
        text, _, port = text.partition(":")
    first, _, last = ("1-65535" if port == "*" else port).partition("-")
    ports = int(first), int(last or first)
    if text.startswith("*."):
        return ("below", text[2:].lower().removesuffix("."), *ports)
    try:
        return ("network", str(ipaddress.ip_network(text)), *ports)
    except ValueError:
        return ("host", text.lower().removesuffix("."), *ports)


def egress_fits(target, host, port):
    kind, what, first, last = target
    if not first <= port <= last:
        return False
    if kind == "network":
        return in_block(host, what)
    return host == what if kind == "host" else host.endswith("." + what)


def egress_tls(document):
    tls = document["egress"].get("tls", {})
    return sorted(name for name, what in tls.items() if what == "allow")


def decide_egress(mine, label, call):
    """The verdict of the entries alone; everyone behind the agent must be a user."""
    port = call["params"]["port"]
    listed = [
        (document, f"{label[name]}/egress/{text}", egress_target(text))
        for name, document in mine
        for text in document.get("egress", {}).get("allow", [])
    ]
    covering = [c for c in listed if egress_fits(c[2], call["tool"], port)]
    deciding = [c for c in covering if mode_of(c[0]) == "enforce"] or covering
    if not deciding:
        return verdict("deny", "egress_not_allowed", only_shadow([mode_of(d) for _, d in mine]))
    document, rule, _ = deciding[0]
    mode = mode_of(document)
    if not all(link_permitted({}, link, call["params"]) for link in call["chain"]):
        return verdict("deny", "caller_not_permitted", mode, rule)
    networks = {
        target[1]
        for other, _, target in listed
        if target[0] == "network" and mode_of(other) == mode and target[2] <= port <= target[3]
    }
    allowed = verdict("allow", "allowed", mode, rule)
    allowed["obligations"] = {
        "egress": {"networks": sorted(networks), "tls": egress_tls(document)},
    }
    return allowed


def verdict(outcome, reason, mode, rule="", rows=()):
    return {
        "outcome": outcome,
        "reason": reason,
        "mode": mode,
        "rule": rule,
        "violations": [{"path": p, "op": o, "bound": b} for p, o, b in rows],
        "obligations": {},
    }


def malformed(call):
    agent = call.get("agent")
    return not (
        isinstance(agent, dict)
        and isinstance(agent.get("id"), str)
        and isinstance(call.get("tool"), str)
        and isinstance(call.get("action"), str)
        and isinstance(call.get("params"), dict)
        and isinstance(call.get("chain"), list)
    )


def decide(policies, call):
    if not isinstance(call, dict) or malformed(call):
        return verdict("deny", "policy_error", "enforce")
    egress = call.get("door") == "egress"
    if egress and not is_number(call["params"].get("port")):
        return verdict("deny", "policy_error", "enforce")
    if not policies:
        return verdict("deny", "no_policy", "enforce")
    policies = sorted(policies, key=lambda p: p[0].encode())
    mine = [(name, d) for name, d in policies if applies(d, call["agent"])]
    label = {name: d.get("agent", name) for name, d in mine}

    def action_of(entry):
        return next((a for a in entry.get("actions", ["*"]) if like(a, call["action"])), None)

    granting = [
        (n, d, e) for n, d in mine for e in d["allowed_tools"] if like(e["name"], call["tool"])
    ]
    covering = [(n, d, e) for n, d, e in granting if action_of(e) is not None]
    enforced = [c for c in covering if mode_of(c[1], c[2]) == "enforce"]
    deciding = enforced or covering

    if egress:
        result = decide_egress(mine, label, call)
    else:
        result = decide_grants(mine, granting, deciding, label, action_of, call)

    fired = [
        (mode_of(d), f"{label[n]}/denied_tools/{item['name']}/{action_of(item)}")
        for n, d in mine
        for item in d.get("denied_tools", [])
        if like(item["name"], call["tool"]) and action_of(item) is not None
    ]
    firm = [f for f in fired if f[0] == "enforce"]
    if firm:
        return verdict("deny", "denied_tool", "enforce", firm[0][1])
    if fired and not (result["outcome"] == "deny" and result["mode"] == "enforce"):
        return verdict("deny", "denied_tool", "shadow", fired[0][1])
    return result


def decide_grants(mine, granting, deciding, label, action_of, call):
    if not deciding:
        if granting:
            modes = [mode_of(d, e) for _, d, e in granting]
            return verdict("deny", "action_not_allowed", only_shadow(modes))
        return verdict("deny", "no_grant", only_shadow([mode_of(d) for _, d in mine]))
    first = None
    for name, document, entry in deciding:
        rule = f"{label[name]}/{entry['name']}/{action_of(entry)}"
        mode = mode_of(document, entry)
        if not all(link_permitted(entry, link, call["params"]) for link in call["chain"]):
            rows = caller_violations(entry, call)
            this = verdict("deny", "caller_not_permitted", mode, rule, rows)
        elif "schedule" in entry and not in_schedule(entry["schedule"], call.get("time")):
            this = verdict("deny", "outside_schedule", mode, rule)
        else:
            rows = failed_rows(entry.get("conditions"), call["params"])
            if not rows:
                return verdict("allow", "allowed", mode, rule)
            this = verdict("deny", "condition_failed", mode, rule, rows)
        first = first or this
    return first
