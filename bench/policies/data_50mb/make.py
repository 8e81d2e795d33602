"""About 50 MB of accounts; one question in ten is about an account that is not there."""

import random

ACCOUNTS = 75_000
SYSTEMS = ["linux", "macos", "windows", "ios", "android", "other"]


def account(chooser, number):
    return {
        "name": f"Account number {number}",
        "email": f"owner-{number}@customer-{number % 977}.example.com",
        "status": "active" if chooser.random() < 0.9 else "suspended",
        "plan": chooser.choice(["free", "team", "business"]),
        "balance": chooser.randrange(10**7) / 100,
        "entitlements": [
            {"product": f"product-{chooser.randrange(20)}", "seats": chooser.randrange(4)}
            for _ in range(4)
        ],
        "devices": {
            f"device-{i}": {
                "os": chooser.choice(SYSTEMS),
                "trusted": chooser.random() < 0.8,
                "serial": f"{chooser.randrange(16**12):012x}",
            }
            for i in range(4)
        },
    }


def data():
    chooser = random.Random(10)
    return {
        "accounts": {f"account-{i:06d}": account(chooser, i) for i in range(ACCOUNTS)},
        "supported": SYSTEMS[:5],
    }


def inputs():
    chooser = random.Random(11)
    return [
        {
            "account": f"account-{chooser.randrange(ACCOUNTS * 11 // 10):06d}",
            "product": f"product-{chooser.randrange(20)}",
            "device": f"device-{chooser.randrange(5)}",
        }
        for _ in range(1000)
    ]
