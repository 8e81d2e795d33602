"""Documents of some 150 values, six levels deep."""

import random

KINDS = ["step", "task", "group", "exec", "shell"]


def data():
    return {"forbidden": ["exec", "shell"]}


def node(chooser, depth):
    made = {"name": f"node-{chooser.randrange(1000)}", "kind": chooser.choice(KINDS[:3])}
    if chooser.random() < 0.03:
        made["kind"] = chooser.choice(KINDS[3:])
    if chooser.random() < 0.05:
        made["value"] = f"secret:{chooser.randrange(10**6)}"
    if depth > 0:
        made["children"] = [node(chooser, depth - 1) for _ in range(2)]
    return made


def inputs():
    chooser = random.Random(15)
    return [{"document": node(chooser, 4)} for _ in range(20)]
