"""Random policies and calls: every operator, hostile values, few names so that they meet."""

import copy
import random
from decimal import Decimal

from conformance.reference import rows_of, steps_of

# fmt: off
BIG = [
    2**53, 2**53 + 1, 2**63 - 1, 2**63, 2**63 + 1, -(2**63), -(2**63) - 1, 2**64, 10**29 + 1,
    10**30, 123456789012345678901234567890,
]
DECIMALS = [
    Decimal(t)
    for t in [
        "0.1", "0.10", "0.100000000000000000001", "1.0", "-0.0", "5000.0",
        "5000.000000000000000000001", "4999.999999999999999999999999", "1E+400", "1E-400",
        "-1E+400", "9.007199254740993E+15", "9007199254740993.0", "9007199254740992.5",
        "0.30000000000000004", "1.5", "3.14159265358979323846264338", "1E+2", "1E+29",
        "123456789012345678901234567890.5", "5E+3", "50E+2", "1E-7", "2.50",
    ]
]
SMALL = [
    -1, 0, 1, 2, 3, 5, 10, 99, 100, 101, 900, 4999, 5000, 5001, 9000, 10**15 - 1, 10**15,
    -(10**15),
]
TEXTS = [
    "", "a", "b", "eur", "usd", "EUR", "acct_1", "acct_Z9", "acct_", "xacct_1", "acct_1\n", "1",
    "true", "null", "héllo", "he\u0301llo", "\U0001f600", "a\U0001f600b",
    "\U0001f468\u200d\U0001f469", "\u2028", "line\nbreak", "tab\t", "quote\"'", "back\\slash",
    "/path/to", "a.b", "a*b", "*", "ß", "İ", "\u212a", "日本語", "\x7f", "\x00", "x" * 70, "Straße",
    "acct_\u0661", " ", "<b>&amp;",
]
ADDRESSES = [
    "10.0.0.1", "10.255.255.255", "11.0.0.0", "192.168.1.1", "192.168.1.256", "010.0.0.1", "::1",
    "::ffff:10.0.0.1", "fe80::1", "fe80::1%eth0", "2001:db8::1", "2001:DB8::1", "10.0.0.1/32",
    "10.0.0", "0.0.0.0", "1.2.3.4 ", "::", "2001:db8:0:0:0:0:0:1", "10.0.0.1:80", "[::1]",
]
EGRESS = [
    "api.example.com", "API.example.com.:443", "api.example.com:80", "*.example.com",
    "*.example.com:8000-8100", "*.api.example.com:*", "com", "*.com:444", "10.0.0.0/8",
    "10.1.0.0/16:80",
    "10.0.0.1:443", "[2001:db8::/32]:443", "2001:db8::1", "0.0.0.0/0:1-1023", "*.0.0.1.example:443",
    "localhost:8080",
]
EGRESS_HOSTS = [
    "api.example.com", "api.example.com", "x.api.example.com", "example.com", "b.example.com",
    "xexample.com", "com", "10.0.0.1", "10.0.0.1", "10.1.0.1", "11.0.0.1", "2001:db8::1",
    "2001:db8::2", "::ffff:10.0.0.1", "localhost", "", ".", ".com", "a..com", "*.com", "crm",
]
BLOCKS = [
    "10.0.0.0/8", "192.168.1.0/24", "10.0.0.1/32", "2001:db8::/32", "::1/128", "fe80::/10",
    "0.0.0.0/0",
]
HOSTS = [
    "api.example.com", "API.Example.COM", "api.example.com.", "example.com", "a.b.example.com",
    ".example.com", "xexample.com", "example.com.evil.org", "api.example.com..",
    "api.example.com:443", "ap\u0131.example.com", "\u212a.example.com", "k.example.com",
    "10.0.0.1", "*.example.com", "-", "_dmarc.example.com", "a..example.com",
    "https://api.example.com",
]
DOMAINS = ["api.example.com", "*.example.com", "Example.com", "k.example.com", "10.0.0.1"]
REGEXES = [
    "acct_[A-Za-z0-9]+", "a|b", ".*", "", "[^a]+", "(?i)eur", "a.b", r"\d+", "(a|b|eur)*",
    r"acct_\w{1,3}", "^a$", "日本.", "x{70}", "(?s).+", "\U0001f600",
]
TYPES = ["string", "number", "integer", "boolean", "array", "object", "null"]
PARAMS = [
    "amount", "currency", "note", "flag", "items", "customer", "tags", "host", "ip", "n", "deep",
]
PATHS = [
    *PARAMS, "customer.name", "customer.address.zip", "customer.age", "items[*].price",
    "items[*].name", "tags[*]", "deep[*][*]", "deep[*][*].v", "customer.orders[*].lines[*].qty",
    "items[*]", "deep[*][*][*]", "deep[*][*][*][*]", "amount.x", "items.0", "tags.length",
    "deep[*].a[*].b[*].c[*].d",
]
AGENTS = [
    "finance-agent", "planner-agent", "crm_agent", "Finance-Agent", "a/b", "агент", "agent 7",
    "x\U0001f600",
]
TOOLS = [
    "stripe-payments", "crm", "crm-eu", "Stripe-Payments", "mail", "a.b", "tool/with/slash",
    "données",
]
ACTIONS = [
    "create_payment", "refund_all", "refund_one", "delete_all", "read", "READ", "list.items",
    "a+b", "чтение",
]
TOOL_PATTERNS = [*TOOLS, "*", "crm*", "*payments", "str*ments", "a.*", "**", "*r*"]
ACTION_PATTERNS = [
    *ACTIONS, "*", "refund_*", "delete_*", "*all", "re*d", "*_*", "list.*s", "a+*", "r*_*e",
]
LABELS = {"team": ["finance", "ops", "ünï"], "env": ["prod", "dev"], "tier": ["1"]}
ZONES = [
    "UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Pacific/Kiritimati",
    "Australia/Lord_Howe",
]
DAYS = ["mon-fri", "sat", "sat,sun", "fri-mon", "mon,wed,fri", "sun", "mon-sun"]
HOURS = [
    "08:00-18:00", "22:00-06:00", "00:00-24:00", "00:00-00:01", "23:59-24:00", "12:30-12:31",
    "18:00-00:00",
]
OPERATORS = [
    "eq", "ne", "lt", "lte", "gt", "gte", "in", "not_in", "matches", "starts_with", "ends_with",
    "contains", "length_lte", "length_gte", "exists", "type", "cidr", "domain",
]
# fmt: on


class Generator:
    def __init__(self, seed):
        self.r = random.Random(seed)

    def some(self, chance):
        return self.r.random() < chance

    # ---- values

    def number(self):
        return self.r.choice(self.r.choice([SMALL, SMALL, BIG, DECIMALS]))

    def scalar(self):
        lists = [TEXTS, [True, False, None], HOSTS, ADDRESSES]
        return self.number() if self.some(0.33) else self.r.choice(self.r.choice(lists))

    def value(self, depth=2):
        if depth == 0 or self.some(0.7):
            return self.scalar()
        if self.some(0.5):
            return [self.value(depth - 1) for _ in range(self.r.randrange(4))]
        return {
            self.r.choice([*PARAMS, "name", "price", ""]): self.value(depth - 1)
            for _ in range(self.r.randrange(3))
        }

    # ---- policies

    def bound(self, op):
        r = self.r
        if op in ("lt", "lte", "gt", "gte"):
            return self.number()
        if op in ("eq", "ne"):
            return self.value() if self.some(0.3) else self.scalar()
        if op in ("in", "not_in"):
            return [self.value(1) for _ in range(r.randrange(1, 5))]
        if op == "matches":
            return r.choice(REGEXES)
        if op in ("starts_with", "ends_with"):
            return r.choice([t for t in TEXTS if t])[: r.randrange(1, 4)]
        if op == "contains":
            return self.scalar() if self.some(0.5) else r.choice(TEXTS)
        if op in ("length_lte", "length_gte"):
            return r.choice([0, 1, 2, 3, 5, 70])
        if op == "exists":
            return self.some(0.5)
        if op == "type":
            return r.choice(TYPES)
        if op == "cidr":
            return r.sample(BLOCKS, r.randrange(1, 4))
        return r.sample(DOMAINS, r.randrange(1, 4))

    def conditions(self, most):
        made, taken = {}, set()
        for _ in range(self.r.randrange(most + 1)):
            key, ask = self.condition()
            asked = {(path, op) for path, op, _ in rows_of({key: ask})}
            if key not in made and not asked & taken:  # an operator twice on a path is a mistake
                made[key] = ask
                taken |= asked
        return made

    def condition(self):
        kind = self.r.random()
        if kind < 0.15:
            return self.r.choice(["max_", "min_"]) + self.r.choice(["amount", "n"]), self.number()
        if kind < 0.2:
            return "allowed_currency", [self.scalar() for _ in range(self.r.randrange(1, 4))]
        if kind < 0.3:
            return self.r.choice(PATHS), self.bare()
        ops = self.r.sample(OPERATORS, self.r.choice([1, 1, 1, 2]))
        return self.r.choice(PATHS), {op: self.bound(op) for op in ops}

    def bare(self):
        value = self.scalar()
        return 1 if value is None else value

    def caller(self):
        pattern = self.r.choice(
            ["*", "planner-*", "planner-agent", "alice", "a*e", "*7", "crm_agent", "агент"]
        )
        if self.some(0.4):
            return (
                {"agent": pattern, "conditions": self.conditions(2)}
                if self.some(0.8)
                else {"agent": pattern}
            )
        return self.r.choice(["user", "agent"]) + ":" + pattern

    def schedule(self):
        made = {}
        if self.some(0.8):
            made["days"] = self.r.choice(DAYS)
        if self.some(0.8) or not made:
            made["hours"] = self.r.choice(HOURS)
        if self.some(0.7):
            made["timezone"] = self.r.choice(ZONES)
        return made

    def distinct(self, options, most):
        return self.r.sample(options, self.r.randrange(1, most + 1))

    def entry(self):
        made = {"name": self.r.choice(TOOLS if self.some(0.7) else TOOL_PATTERNS)}
        if self.some(0.9):
            made["actions"] = self.distinct(ACTION_PATTERNS, 4)
        if self.some(0.15):
            made["mode"] = self.r.choice(["enforce", "shadow"])
        if self.some(0.7):
            made["conditions"] = self.conditions(3)
        if made.get("conditions") == {}:
            del made["conditions"]
        if self.some(0.25):
            made["callers"] = [self.caller() for _ in range(self.r.randrange(1, 4))]
        for caller in made.get("callers", []):
            if isinstance(caller, dict) and caller.get("conditions") == {}:
                del caller["conditions"]
        if self.some(0.2):
            made["schedule"] = self.schedule()
        return made

    def document(self):
        made = {}
        kind = self.r.random()
        if kind < 0.55:
            made["agent"] = self.r.choice(AGENTS)
        elif kind < 0.75:
            made["agents"] = self.distinct(AGENTS, 4)
        else:
            keys = self.distinct(list(LABELS), 2)
            made["match"] = {"labels": {k: self.r.choice(LABELS[k]) for k in keys}}
        if self.some(0.25):
            made["mode"] = self.r.choice(["enforce", "shadow", "shadow"])
        made["allowed_tools"] = [self.entry() for _ in range(self.r.randrange(1, 5))]
        if self.some(0.3):
            made["denied_tools"] = [self.denied() for _ in range(self.r.randrange(1, 3))]
        if self.some(0.3):
            made["egress"] = {"allow": self.distinct(EGRESS, 5)}
            if self.some(0.4):
                keys = self.distinct(["missing_sni", "ech", "plain"], 3)
                made["egress"]["tls"] = {k: self.r.choice(["allow", "refuse"]) for k in keys}
        return made

    def denied(self):
        made = {"name": self.r.choice(TOOL_PATTERNS)}
        if self.some(0.9):
            made["actions"] = self.distinct(ACTION_PATTERNS, 2)
        return made

    def policies(self):
        """A bundle's documents, as (name, document)."""
        names = self.distinct(
            ["a", "b", "B", "10", "9", "z-last", "é", "payments", "finance-agent"], 5
        )
        return [(name, self.document()) for name in names]

    # ---- calls

    def near(self, bound):
        """A value at, or next to, a bound of the policy."""
        if isinstance(bound, bool) or bound is None:
            return self.r.choice([bound, not bound, int(bool(bound)), str(bound).lower()])
        if isinstance(bound, int):
            return self.r.choice(
                [bound, bound + 1, bound - 1, Decimal(bound), f"{bound}", Decimal(f"{bound}.0")]
            )
        if isinstance(bound, Decimal):
            return self.r.choice(
                [bound, bound.normalize(), bound + 1 if abs(bound) < 10**40 else bound, str(bound)]
            )
        if isinstance(bound, str):
            return self.r.choice([bound, bound + "x", bound.upper(), bound[:-1], [bound]])
        if isinstance(bound, list) and bound:
            return self.r.choice([self.near(self.r.choice(bound)), bound])
        return bound

    def put(self, params, steps, value):
        value = copy.deepcopy(value)
        name, *rest = steps
        if not rest:
            params[name] = value
            return
        stars = 0
        while rest and rest[0] == "*":
            stars, rest = stars + 1, rest[1:]
        if stars:
            elements = []
            for _ in range(self.r.choice([0, 1, 1, 2, 3])):
                if rest:
                    element = {}
                    if self.some(0.9):
                        self.put(element, rest, value if self.some(0.8) else self.value())
                    elements.append(element if self.some(0.95) else self.scalar())
                else:
                    elements.append(value if self.some(0.8) else self.value())
            for _ in range(stars - 1):
                elements = [elements] if self.some(0.9) else elements
            params[name] = elements
            return
        inner = params.get(name)
        if not isinstance(inner, dict):
            inner = params[name] = {}
        self.put(inner, rest, value)

    def params_for(self, entries):
        params = {}
        for _ in range(self.r.randrange(3)):
            params[self.r.choice(PARAMS)] = self.value()
        for entry in entries:
            conditions = dict(entry.get("conditions") or {})
            for caller in entry.get("callers", []):
                if isinstance(caller, dict):
                    conditions |= caller.get("conditions", {})
            for path, ask in conditions.items():
                for prefix in ("max_", "min_", "allowed_"):
                    path = path.removeprefix(prefix)
                bound = self.r.choice(list(ask.values())) if isinstance(ask, dict) and ask else ask
                kinds = {"matches": TEXTS, "cidr": ADDRESSES, "domain": HOSTS}
                value = self.near(bound)
                if isinstance(ask, dict):
                    for op in ask:
                        value = self.r.choice(kinds[op]) if op in kinds else value
                if self.some(0.1):
                    value = self.value()
                if self.some(0.92):
                    self.put(params, steps_of(path), value)
        return params

    def instant(self):
        base = self.r.choice(
            [1_700_000_000, 1_711_846_800, 1_729_990_800, 1_767_225_600, 0, -86_400]
        )
        ns = (base + self.r.randrange(0, 14 * 86_400)) * 10**9 + self.r.randrange(10**9)
        return self.r.choice(
            [ns] * 30 + [str(ns), None, Decimal("1.5"), 2**63, Decimal("1E+30"), True]
        )

    def link(self):
        if self.some(0.03):
            return self.r.choice(
                ["alice", None, {"type": "user"}, {"id": "alice"}, {"type": "agent", "id": 7}, []]
            )
        kind = self.r.choice(["user"] * 6 + ["agent"] * 3 + ["service"])
        ids = ["alice", "bob", "a\ne", "user*"] if kind == "user" else AGENTS
        return {"type": kind, "id": self.r.choice(ids)}

    def call(self, policies):
        documents = [d for _, d in policies]
        document = self.r.choice(documents)
        named = [document["agent"]] if "agent" in document else document.get("agents", AGENTS)
        agent = {"id": self.r.choice(named if self.some(0.9) else [*AGENTS, "nobody"])}
        labels = {k: self.r.choice(v) for k, v in LABELS.items() if self.some(0.5)}
        if "match" in document and self.some(0.8):
            labels |= document["match"]["labels"]
        if labels or self.some(0.3):
            agent["labels"] = labels
        entries = document["allowed_tools"]
        entry = self.r.choice(entries)
        tool = (
            entry["name"] if "*" not in entry["name"] and self.some(0.9) else self.r.choice(TOOLS)
        )
        action = self.r.choice(entry.get("actions", ACTIONS))
        if "*" in action or self.some(0.1):
            action = self.r.choice(
                [
                    *ACTIONS,
                    action.replace("*", "x"),
                    action.replace("*", ""),
                    action.replace("*", "\n"),
                ]
            )
        params = self.params_for([entry] if self.some(0.8) else entries)
        call = {
            "org": "acme", "tenant": "payments", "agent": agent,
            "chain": [self.link() for _ in range(self.r.choice([0, 0, 1, 1, 1, 2]))],
            "door": "sdk", "tool": tool, "action": action, "params": params,
            "time": {"unix_ns": self.instant()},
        }  # fmt: skip
        if self.some(0.15):
            ports = [443] * 4 + [
                1,
                80,
                442,
                444,
                8000,
                8080,
                8100,
                65535,
                Decimal("443.0"),
                "443",
                None,
            ]
            call |= {
                "door": "egress",
                "tool": self.r.choice(EGRESS_HOSTS),
                "action": self.r.choice(["connect", "http_get"]),
                "params": {"port": self.r.choice(ports), "scheme": "tcp"},
            }
        if self.some(0.03):
            self.damage(call)
        return call

    def damage(self, call):
        key = self.r.choice(["agent", "chain", "tool", "action", "params", "time"])
        how = self.r.random()
        if how < 0.4:
            del call[key]
        elif how < 0.9:
            call[key] = self.value()
        elif isinstance(call["agent"], dict):
            call["agent"]["labels"] = self.value()
