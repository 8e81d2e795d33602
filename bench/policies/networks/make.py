"""Forty rules with three source networks each."""

import random


def network(chooser):
    bits = chooser.choice([12, 16, 20, 24])
    return f"10.{chooser.randrange(256)}.{chooser.randrange(256)}.0/{bits}"


def data():
    chooser = random.Random(13)
    rules = []
    for _ in range(40):
        low = chooser.choice([22, 80, 443, 5432, 8000])
        rules.append(
            {
                "protocol": chooser.choice(["tcp", "udp"]),
                "ports": [low, low + chooser.choice([0, 10, 1000])],
                "sources": [network(chooser) for _ in range(3)],
                "destination": f"10.{chooser.randrange(256)}.0.0/10",
            }
        )
    return {"rules": rules, "blocked": [f"10.{i}.66.0/24" for i in range(8)]}


def inputs():
    chooser = random.Random(14)

    def address():
        return ".".join(["10"] + [str(chooser.randrange(256)) for _ in range(3)])

    return [
        {
            "protocol": chooser.choice(["tcp", "udp"]),
            "source": address(),
            "destination": address(),
            "port": chooser.choice([22, 80, 443, 5433, 8080, 9999]),
        }
        for _ in range(200)
    ]
