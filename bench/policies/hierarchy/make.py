"""100 groups in groups, 200 folders of up to five levels."""

import random

GROUPS = [f"group-{i}" for i in range(100)]
ACTIONS = ["read", "write", "share"]


def folders(chooser):
    made = ["root"]
    while len(made) < 200:
        parent = chooser.choice(made)
        if parent.count("/") < 4:
            made.append(f"{parent}/f{len(made)}")
    return made


def data():
    chooser = random.Random(17)
    return {
        "groups": {
            group: [GROUPS[(i - 1) // 3]] + ([chooser.choice(GROUPS[:i])] if i > 20 else [])
            if i > 0
            else []
            for i, group in enumerate(GROUPS)
        },
        "members": {f"user-{i}": chooser.sample(GROUPS, 2) for i in range(100)},
        "grants": {
            folder: {
                group: chooser.sample(ACTIONS, chooser.randrange(1, 3))
                for group in chooser.sample(GROUPS, 5)
            }
            for folder in folders(random.Random(18))
        },
    }


def inputs():
    chooser = random.Random(19)
    names = folders(random.Random(18))
    return [
        {
            "user": f"user-{chooser.randrange(110)}",
            "folder": chooser.choice(names),
            "action": chooser.choice(ACTIONS),
        }
        for _ in range(200)
    ]
