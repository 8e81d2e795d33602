"""A partial set of 1,000 rules; few of them speak about any one input."""

import random


def policy():
    rules = ["package bench", ""]
    for number in range(1000):
        field = ["region", "zone", "owner", "class"][number % 4]
        rules.append(
            f'deny contains "finding {number}" if {{\n'
            f'\tinput.resource.type == "type-{number % 100}"\n'
            f'\tinput.resource.{field} == "{field}-{number % 7}"\n'
            f"\tinput.resource.size > {number % 13}\n"
            f"}}\n"
        )
    rules.append("main := deny\n")
    return "\n".join(rules)


def data():
    return {}


def inputs():
    chooser = random.Random(9)
    return [
        {
            "resource": {
                "type": f"type-{chooser.randrange(110)}",
                "size": chooser.randrange(20),
                **{
                    field: f"{field}-{chooser.randrange(9)}"
                    for field in ["region", "zone", "owner", "class"]
                },
            }
        }
        for _ in range(500)
    ]
