"""Reports of 30 items in six categories, and a few port ranges."""

import random

CATEGORIES = ["travel", "hotel", "food", "books", "phone", "other"]


def data():
    return {
        "limits": {category: 400 * (i + 1) for i, category in enumerate(CATEGORIES)},
        "approvers": {f"approver-{i}": CATEGORIES[i % 6 : i % 6 + 2] for i in range(10)},
        "closed": [8005, 8010, 8443],
    }


def inputs():
    chooser = random.Random(16)
    return [
        {
            "items": [
                {
                    "category": chooser.choice(CATEGORIES),
                    "amount": chooser.randrange(1, 300),
                    "day": chooser.randrange(1, 28),
                }
                for _ in range(30)
            ],
            "ranges": [
                {"from": low, "to": low + chooser.randrange(10)} for low in (8000, 8005, 8440)
            ],
        }
        for _ in range(50)
    ]
