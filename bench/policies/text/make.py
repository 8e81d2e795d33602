"""Requests to eight hosts under twelve routes."""

import random

METHODS = ["GET", "POST", "DELETE"]


def data():
    return {
        "hosts": ["*.api.example.com", "static.example.com", "*.internal.example.org"],
        "routes": [
            {"method": method, "path": rf"^/v{version}/{kind}/[0-9]+(/[a-z-]+)?$"}
            for version in (1, 2)
            for kind in ("orders", "users")
            for method in METHODS
        ],
    }


def inputs():
    chooser = random.Random(12)
    hosts = [
        "eu.api.example.com", "us.api.example.com", "static.example.com", "db.internal.example.org",
        "a.b.api.example.com", "evil.example.net", "Bad_Host", "api.example.com",
    ]  # fmt: skip
    return [
        {
            "method": chooser.choice(METHODS),
            "host": chooser.choice(hosts),
            "path": chooser.choice(
                [
                    f"/v{chooser.randrange(1, 4)}/orders/{chooser.randrange(10**5)}",
                    f"/v1/users/{chooser.randrange(10**5)}/avatar-image",
                    "/static/../etc/passwd",
                    "/",
                ]
            ),
            "agent": f" client/{chooser.randrange(90) / 10} (build 20{chooser.randrange(99)}) ",
            "size": chooser.randrange(10**6),
        }
        for _ in range(200)
    ]
