"""The policy of `jwt` with so many tokens that none is found among those that were checked.

To make them is quick because their signatures are wrong in one place; to check that takes as long.
"""

import importlib.util
import pathlib

APART = "every signature is checked: the cryptography, not the engine, takes the time"

_folder = pathlib.Path(__file__).parents[1] / "jwt"
_specification = importlib.util.spec_from_file_location("make_jwt", _folder / "make.py")
_jwt = importlib.util.module_from_spec(_specification)
_specification.loader.exec_module(_jwt)

DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def policy():
    return (_folder / "policy.rego").read_text()


def data():
    return _jwt.data()


def inputs():
    tokens = []
    for token in _jwt.made()[1]:
        for first in DIGITS[:32]:
            for second in DIGITS[:4]:
                tokens.append(f"{token[:-6]}{first}{second}{token[-4:]}")
    return _jwt.inputs_of(tokens)
