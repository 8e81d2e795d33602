"""1,000 rules in one package, each guarded by three equalities on the input."""

import random


def policy():
    rules = ["package bench", "", "default allow := false", ""]
    for number in range(1000):
        rules.append(
            f"allow if {{\n"
            f'\tinput.service == "service-{number % 50}"\n'
            f'\tinput.operation == "operation-{number // 50}"\n'
            f'\tinput.user.group == "group-{number * 7 % 40}"\n'
            f"\tinput.amount < {100 + number}\n"
            f"}}\n"
        )
    rules.append("main := allow\n")
    return "\n".join(rules)


def data():
    return {}


def inputs():
    chooser = random.Random(8)
    made = []
    for _ in range(500):
        number = chooser.randrange(1000)
        group = number * 7 % 40 if chooser.random() < 0.8 else chooser.randrange(45)
        made.append(
            {
                "service": f"service-{number % 50}",
                "operation": f"operation-{number // 50}",
                "user": {"name": "someone", "group": f"group-{group}"},
                "amount": chooser.randrange(200),
            }
        )
    return made
