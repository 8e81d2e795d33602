"""Ten departments, 24 rules of two or three conditions each."""

import random

ACTIONS = ["read", "write", "share", "print"]
TAGS = [f"tag-{i}" for i in range(30)]
LEVELS = {"public": 0, "internal": 1, "secret": 2, "top": 3}
PLACES = ["office", "home", "abroad"]


def data():
    chooser = random.Random(5)
    rules = []
    for i in range(24):
        conditions = [
            {"operator": "equals", "of": "context", "name": "network", "value": "corporate"},
            {
                "operator": "in",
                "of": "context",
                "name": "place",
                "values": chooser.sample(PLACES, chooser.randrange(1, 3)),
            },
            {
                "operator": "between",
                "of": "context",
                "name": "hour",
                "low": chooser.randrange(6, 12),
                "high": chooser.randrange(14, 22),
            },
        ]
        rules.append(
            {
                "action": ACTIONS[i % len(ACTIONS)],
                "conditions": chooser.sample(conditions, chooser.randrange(2, 4)),
            }
        )
    return {
        "departments": {f"dept-{i}": {"tags": chooser.sample(TAGS, 20)} for i in range(10)},
        "levels": LEVELS,
        "rules": rules,
        "suspended": [f"subject-{i}" for i in range(0, 400, 40)],
    }


def inputs():
    chooser = random.Random(6)
    return [
        {
            "subject": {
                "id": f"subject-{chooser.randrange(400)}",
                "department": f"dept-{chooser.randrange(10)}",
                "clearance": chooser.choice(["secret", "top"]),
                "active": chooser.random() < 0.95,
            },
            "object": {
                "classification": chooser.choice(sorted(LEVELS)),
                "tags": chooser.sample(TAGS, chooser.randrange(0, 4)),
            },
            "action": chooser.choice(ACTIONS),
            "context": {
                "network": chooser.choice(["corporate", "corporate", "guest"]),
                "place": chooser.choice(PLACES),
                "hour": chooser.randrange(24),
            },
        }
        for _ in range(200)
    ]
