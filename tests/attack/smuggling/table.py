"""All rows of HTTP/1.1."""

from attack.smuggling import bodies, framing, heads, targets

ROWS = [*framing.ROWS, *heads.ROWS, *targets.ROWS, *bodies.ROWS]
