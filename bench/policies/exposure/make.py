"""Ten servers with two ports each on four networks."""

import random

PROTOCOLS = ["https", "ssh", "http", "telnet", "memcache"]


def data():
    return {}


def inputs():
    chooser = random.Random(20)
    made = []
    for _ in range(50):
        networks = [{"id": f"net{i}", "public": chooser.random() < 0.3} for i in range(4)]
        ports = [{"id": f"p{i}", "network": f"net{chooser.randrange(4)}"} for i in range(20)]
        servers = [
            {
                "id": f"server-{i}",
                "protocols": chooser.sample(PROTOCOLS[: chooser.choice([2, 3, 5])], 2),
                "ports": [f"p{2 * i}", f"p{2 * i + 1}"],
            }
            for i in range(10)
        ]
        made.append({"servers": servers, "networks": networks, "ports": ports})
    return made
