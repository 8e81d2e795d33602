"""Policies as text: YAML in several ways of writing, or JSON."""

import re

from conformance.tables import write_json

PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_-]*\Z")
# Words that YAML reads as something else, or that 1.1 and 1.2 read differently.
RESERVED = {"true", "false", "null", "yes", "no", "on", "off", "y", "n"}
ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r", "\0": "\\0"}


def quoted(text):
    out = []
    for c in text:
        if c in ESCAPES:
            out.append(ESCAPES[c])
        elif c.isprintable() or c == " ":
            out.append(c)
        elif ord(c) < 0x100:
            out.append(f"\\x{ord(c):02x}")
        else:
            out.append(f"\\u{ord(c):04x}" if ord(c) < 0x10000 else f"\\U{ord(c):08x}")
    return '"' + "".join(out) + '"'


class YamlWriter:
    def __init__(self, rng):
        self.rng = rng

    def scalar(self, value):
        if isinstance(value, str):
            plain = PLAIN.match(value) and value.lower() not in RESERVED
            return value if plain and self.rng.random() < 0.5 else quoted(value)
        return write_json(value)

    def flow(self, value):
        if isinstance(value, dict):
            return "{" + ", ".join(f"{quoted(k)}: {self.flow(v)}" for k, v in value.items()) + "}"
        if isinstance(value, list):
            return "[" + ", ".join(self.flow(v) for v in value) + "]"
        return self.scalar(value)

    def lines(self, value, indent):
        """Lines of a map or list in block style."""
        pad = " " * indent
        items = value.items() if isinstance(value, dict) else ((None, v) for v in value)
        for key, item in items:
            head = pad + ("- " if key is None else f"{self.scalar(key)}: ")
            if not isinstance(item, (dict, list)) or not item or self.rng.random() < 0.2:
                yield head + self.flow(item)
            elif key is not None:
                yield head.rstrip()
                yield from self.lines(item, indent + 2)
            else:
                first, *rest = self.lines(item, indent + 2)
                yield pad + "- " + first[indent + 2 :]
                yield from rest


def policy_text(document, rng):
    """(text, extension) of a policy file."""
    if rng.random() < 0.25:
        return write_json(document).replace("\x7f", "\\u007f") + "\n", "json"
    return "\n".join(YamlWriter(rng).lines(document, 0)) + "\n", "yaml"
