"""Calls of 60 people with a tree of managers and 20 shops."""

import random

PEOPLE = [f"person-{i:02d}" for i in range(60)]


def above(number):
    """Managers of a person, the nearest first: person n reports to (n - 1) // 3."""
    chain = []
    while number > 0:
        number = (number - 1) // 3
        chain.append(PEOPLE[number])
    return chain


def data():
    chooser = random.Random(3)
    return {
        "admins": PEOPLE[:3],
        "managers": {PEOPLE[i]: above(i) for i in range(len(PEOPLE))},
        "shops": {f"shop-{i}": {"staff": chooser.sample(PEOPLE, 6)} for i in range(20)},
    }


def inputs():
    chooser = random.Random(4)
    made = []
    for _ in range(200):
        user, other = chooser.choice(PEOPLE), chooser.choice(PEOPLE)
        path = chooser.choice(
            [
                ["public", "news"],
                ["users", chooser.choice([user, other]), "profile"],
                ["finance", "salary", chooser.choice([user, other])],
                ["shops", f"shop-{chooser.randrange(20)}", "orders", "17"],
                ["admin", "settings"],
            ]
        )
        made.append(
            {
                "method": chooser.choice(["GET", "GET", "GET", "PUT", "POST", "DELETE"]),
                "path": path,
                "user": user,
                "hour": chooser.randrange(24),
            }
        )
    return made
