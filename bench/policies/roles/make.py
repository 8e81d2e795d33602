"""200 users with up to four of 20 roles; most questions are answered by a role, some by none."""

import random

KINDS = ["invoice", "order", "report", "ticket", "account"]
ACTIONS = ["read", "create", "update", "delete", "approve"]


def data():
    chooser = random.Random(1)
    roles = {
        f"role-{i}": {
            "permissions": [
                {"action": chooser.choice(ACTIONS), "kind": chooser.choice(KINDS)} for _ in range(6)
            ]
        }
        for i in range(20)
    }
    users = {
        f"user-{i}": {"roles": chooser.sample(sorted(roles), chooser.randrange(1, 5))}
        for i in range(200)
    }
    users["user-7"]["roles"] = ["admin"]
    return {"roles": roles, "users": users}


def inputs():
    chooser = random.Random(2)
    return [
        {
            "user": f"user-{chooser.randrange(220)}",
            "action": chooser.choice(ACTIONS),
            "object": {"kind": chooser.choice(KINDS), "id": chooser.randrange(10**6)},
        }
        for _ in range(200)
    ]
