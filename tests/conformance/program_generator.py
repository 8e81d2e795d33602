"""Random Rego programs with data and inputs, for differential tests of the engine.

A program is a module `test` of a few rules of every kind. Rules only ask rules before them, so
there is no recursion; every variable is bound before it is used. Values come from small pools so
that equalities, conflicts and look-ups often succeed. About one program in ten does not pass OPA's
type checker; the harness counts and drops those.
"""

import random

KEYS = ["a", "b", "c", "d", "é\u2028"]
NUMBERS = [
    "0", "1", "2", "3", "-1", "1.0", "1.5", "2.50", "1e2", "100", "9007199254740993",
    "9223372036854775808", "-0.25", "123456789012345678901234567890",
]  # fmt: skip
# No small number among them: OPA's store takes data.d.a["1"] for data.d.a[1].
STRINGS = ["", "a", "b", "ab", "a.b", "x/y/z", "é", "日本", "A", " pad ", "10.0.0.1", "77"]
MAX_RULES = 7


def quoted(text):
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


class ProgramGenerator:
    def __init__(self, seed):
        self.rng = random.Random(seed)

    def program(self, inputs):
        """{"module", "data", "inputs"}; data and inputs as JSON texts that keep their digits."""
        return {
            "module": Module(self.rng).text(),
            "data": f'{{"d":{self.json_object(3)}}}',
            "inputs": [self.json_object(3) for _ in range(inputs)],
        }

    def json_value(self, depth):
        rng = self.rng
        kind = rng.randrange(10 if depth else 6)
        if kind < 3:
            return rng.choice(NUMBERS)
        if kind < 5:
            return quoted(rng.choice(STRINGS))
        if kind == 5:
            return rng.choice(["true", "false", "null"])
        if kind < 8:
            return f"[{','.join(self.json_value(depth - 1) for _ in range(rng.randrange(5)))}]"
        return self.json_object(depth)

    def json_object(self, depth):
        keys = self.rng.sample(KEYS, self.rng.randrange(len(KEYS) + 1))
        return "{" + ",".join(f"{quoted(k)}:{self.json_value(depth - 1)}" for k in keys) + "}"


class Module:
    """One module's text. Kinds of terms: num, str, bool, arr, obj, set, any."""

    def __init__(self, rng):
        self.rng = rng
        self.rules = []  # (name, kind of what a reference to it gives, shape)
        self.functions = []  # (name, number of arguments, kind)
        self.fresh = 0

    def text(self):
        lines = ["package test"]
        for _ in range(self.rng.randint(2, MAX_RULES)):
            lines.extend(self.rule())
        if not self.rules:
            lines.extend(self.complete_rule("last"))
        # Of the whole package, functions apart; what is undefined is not in it.
        lines.extend(f'main["{name}"] := {name}' for name, _, _ in self.rules)
        return "\n".join(lines) + "\n"

    # --- Rules ---

    def rule(self):
        name = f"r{len(self.rules) + len(self.functions)}"
        shape = self.rng.choice(
            ["complete", "complete", "complete", "set", "set", "object", "function", "nested"]
        )
        return getattr(self, f"{shape}_rule")(name)

    def complete_rule(self, name):
        kind = self.kind()
        lines = []
        if self.rng.random() < 0.4:
            lines.append(f"default {name} := {self.literal(kind)}")
        # Definitions that give different values conflict at times, which is to be compared too.
        same = self.literal(kind) if self.rng.random() < 0.5 else None
        for _ in range(self.rng.choice([1, 1, 2, 3])):
            env = {}
            body = self.body(env)
            line = f"{name} := {same or self.term(kind, env, 2)} if {{ {body} }}"
            while self.rng.random() < 0.25:
                env = {}
                body = self.body(env)
                line += f" else := {self.term(kind, env, 1)} if {{ {body} }}"
            lines.append(line)
        self.rules.append((name, kind, "complete"))
        return lines

    def set_rule(self, name):
        kind = self.kind()
        lines = []
        for _ in range(self.rng.randint(1, 4)):
            env = {}
            body = self.body(env)
            lines.append(f"{name} contains {self.term(kind, env, 2)} if {{ {body} }}")
        self.rules.append((name, kind, "set"))
        return lines

    def object_rule(self, name):
        kind = self.kind()
        lines = []
        for _ in range(self.rng.randint(1, 3)):
            env = {}
            body = self.body(env)
            key = self.term(self.rng.choice(["str", "str", "num"]), env, 1)
            lines.append(f"{name}[{key}] := {self.term(kind, env, 2)} if {{ {body} }}")
        self.rules.append((name, kind, "object"))
        return lines

    def nested_rule(self, name):
        """A rule whose name is a reference: r.a.b, r.a[x]."""
        lines = []
        for key in self.rng.sample(["a", "b", "c"], self.rng.randint(1, 3)):
            env = {}
            body = self.body(env)
            value = self.term("any", env, 1)
            lines.append(f"{name}.{key} := {value} if {{ {body} }}")
        self.rules.append((name, "any", "object"))
        return lines

    def function_rule(self, name):
        kind, arity = self.kind(), self.rng.choice([1, 1, 2])
        lines = []
        for _ in range(self.rng.choice([1, 1, 2, 3])):
            env = {f"x{i}": "any" for i in range(arity)}
            arguments = [
                self.literal("any") if self.rng.random() < 0.15 else f"x{i}" for i in range(arity)
            ]
            env = {argument: "any" for argument in arguments if argument.startswith("x")}
            body = self.body(env)
            line = f"{name}({', '.join(arguments)}) := {self.term(kind, env, 1)} if {{ {body} }}"
            if self.rng.random() < 0.3:
                env = {argument: "any" for argument in arguments if argument.startswith("x")}
                line += f" else := {self.term(kind, env, 1)}"
            lines.append(line)
        self.functions.append((name, arity, kind))
        return lines

    def kind(self):
        return self.rng.choice(["num", "num", "str", "bool", "arr", "obj", "set", "any"])

    # --- Bodies ---

    def body(self, env, length=None):
        count = length or self.rng.choice([1, 1, 2, 2, 3, 4])
        return "; ".join(self.statement(env) for _ in range(count))

    def variable(self, env, kind):
        self.fresh += 1
        name = f"v{self.fresh}"
        env[name] = kind
        return name

    def declared(self, text, *names):
        """The compiler wants every variable to be used."""
        return "; ".join([text, *(f"{name} == {name}" for name in names)])

    def statement(self, env):
        rng = self.rng
        choice = rng.randrange(21)
        if choice == 20:
            return self.join(env)
        if choice < 3:
            source = self.collection(env)
            name = self.variable(env, "any")
            return self.declared(f"some {name} in {source}", name)
        if choice == 3:
            source = self.collection(env)
            key, name = self.variable(env, "any"), self.variable(env, "any")
            return self.declared(f"some {key}, {name} in {source}", key, name)
        if choice < 6:
            kind = self.kind()
            term = self.term(kind, env, 2)
            name = self.variable(env, kind)
            return self.declared(f"{name} := {term}", name)
        if choice < 9:
            operator = rng.choice(["==", "!=", "<", "<=", ">", ">="])
            kind = rng.choice(["num", "num", "str", "any"])
            left = self.open_reference(env) if kind == "any" else self.term(kind, env, 1)
            return f"{left} {operator} {self.term(kind, env, 1)}"
        if choice < 11:
            return self.reference(env)
        if choice == 11:
            return f"{self.term('any', env, 1)} in {self.collection(env)}"
        if choice == 12:
            return f"not {self.closed_test(env)}"
        if choice == 13:
            inner = dict(env)
            source = self.collection(env)
            name = self.variable(inner, "any")
            return f"every {name} in {source} {{ {name} == {name}; {self.body(inner, 1)} }}"
        if choice == 14:
            # Iteration by a variable that is bound here.
            source = self.iterable(env)
            name = self.variable(env, "any")
            return f"{source}[{name}]"
        if choice == 15:
            source = self.open_reference(env)
            value = self.term("any", env, 1)
            name = self.variable(env, "any")
            return f"{source}[{name}] == {value}"
        if choice == 16:
            value = self.open_reference(env)
            first, second = self.variable(env, "any"), self.variable(env, "any")
            return f"[{first}, {second}] = {value}"
        if choice == 17:
            return f"{self.closed_test(env)} {self.replacement(env)}"
        if choice == 18 and self.functions:
            return self.call(env)
        return self.test(env)

    def join(self, env):
        """Rows, mostly with the same members, of which one is compared."""
        rng = self.rng
        source = self.open_reference(env)
        if rng.random() < 0.7:
            rows = [
                f'{{"a": {self.literal("any")}, "b": {index}}}' for index in range(rng.randrange(8))
            ]
            # Of no kind that the compiler knows.
            source = f'object.get({{}}, "a", [{", ".join(rows)}])'
        value = self.term("any", env, 1)
        row = self.variable(env, "any")
        operator = rng.choice(["==", "==", "==", "!="])
        return f"some {row} in {source}; {row}.{rng.choice('ab')} {operator} {value}"

    def closed_test(self, env):
        """A test that binds nothing."""
        if self.rng.random() < 0.5:
            return self.reference(env)
        return self.test(env)

    def test(self, env):
        rng = self.rng
        name = rng.choice(
            ["startswith", "endswith", "contains", "is_number", "is_string", "is_array", "is_set",
             "is_object", "regex.match", "glob.match", "object.subset", "net"]
        )  # fmt: skip
        if name in ("startswith", "endswith", "contains"):
            return f"{name}({self.term('str', env, 1)}, {self.term('str', env, 1)})"
        if name == "regex.match":
            pattern = rng.choice(["^a", "[0-9]+", "b$", "x.*z", "^$"])
            return f'regex.match("{pattern}", {self.term("str", env, 1)})'
        if name == "glob.match":
            pattern = rng.choice(["*", "a*", "x/**", "{a,b}", "x/*/z"])
            return f'glob.match("{pattern}", ["/"], {self.term("str", env, 1)})'
        if name == "object.subset":
            return f"object.subset({self.term('obj', env, 1)}, {self.term('obj', env, 1)})"
        if name == "net":
            return f'net.cidr_contains("10.0.0.0/8", {self.term("str", env, 1)})'
        return f"{name}({self.term('any', env, 1)})"

    def replacement(self, env):
        rng = self.rng
        target = rng.choice(
            ["input", f"input.{rng.choice('abcd')}", f"data.d.{rng.choice('abcd')}"]
        )
        kind = "obj" if target == "input" else "any"
        return f"with {target} as {self.term(kind, env, 1)}"

    # --- Terms ---

    def literal(self, kind):
        rng = self.rng
        if kind == "any":
            kind = rng.choice(["num", "num", "str", "str", "bool", "arr", "obj", "set"])
        if kind == "num":
            return rng.choice(NUMBERS)
        if kind == "str":
            return quoted(rng.choice(STRINGS))
        if kind == "bool":
            return rng.choice(["true", "false"])
        scalars = [self.literal(rng.choice(["num", "num", "str"])) for _ in range(rng.randrange(4))]
        if kind == "arr":
            return f"[{', '.join(scalars)}]"
        if kind == "set":
            return f"{{{', '.join(scalars)}}}" if scalars else "set()"
        return (
            "{" + ", ".join(f"{quoted(k)}: {v}" for k, v in zip(KEYS, scalars, strict=False)) + "}"
        )

    def reference(self, env):
        """Something that may be undefined, of any kind."""
        complete = [name for name, _, shape in self.rules if shape == "complete"]
        if complete and self.rng.random() < 0.2:
            return self.rng.choice(complete)
        return self.open_reference(env)

    def open_reference(self, env):
        """The same, of no kind that the compiler can know."""
        key = self.rng.choice(KEYS[:4])
        text = f"data.d.{key}" if self.rng.random() < 0.3 else f"input.{key}"
        while self.rng.random() < 0.35:
            text += self.step(env)
        return text

    def step(self, env):
        rng = self.rng
        bound = [name for name, kind in env.items() if kind in ("any", "str", "num")]
        if bound and rng.random() < 0.4:
            return f"[{rng.choice(bound)}]"
        return rng.choice([f'["{rng.choice(KEYS[:4])}"]', f"[{rng.randrange(3)}]"])

    def iterable(self, env):
        names = [name for name, _, shape in self.rules if shape != "complete"]
        if names and self.rng.random() < 0.5:
            return self.rng.choice(names)
        return self.open_reference(env)

    def collection(self, env):
        kind = self.rng.choice(["any", "any", "any", "arr", "obj", "set"])
        return self.iterable(env) if kind == "any" else self.term(kind, env, 1)

    def call(self, env):
        name, arity, _ = self.rng.choice(self.functions)
        return f"{name}({', '.join(self.term('any', env, 1) for _ in range(arity))})"

    def term(self, kind, env, depth):
        rng = self.rng
        bound = [name for name, known in env.items() if known == kind or kind == "any"]
        if bound and rng.random() < 0.45:
            return rng.choice(bound)
        if depth == 0 or rng.random() < 0.25:
            if kind == "any" and rng.random() < 0.6:
                return self.reference(env)
            return self.literal(kind)
        if kind == "any":
            functions = bool(self.functions) and rng.random() < 0.2
            if functions:
                return self.call(env)
            if rng.random() < 0.5:
                return self.reference(env)
            kind = rng.choice(["num", "str", "bool", "arr", "obj", "set"])
        return getattr(self, f"{kind}_term")(env, depth - 1)

    def num_term(self, env, depth):
        rng = self.rng
        choice = rng.randrange(8)
        if choice < 3:
            left, right = self.number(env, depth), self.number(env, depth)
            return f"({left} {rng.choice(['+', '-', '*', '/', '%'])} {right})"
        if choice == 3:
            kind = rng.choice(["arr", "obj", "set", "str"])
            return f"count({self.term(kind, env, depth)})"
        if choice == 4:
            return f"{rng.choice(['sum', 'product', 'max', 'min'])}({self.numbers(env)})"
        if choice == 5:
            return f"{rng.choice(['abs', 'ceil', 'floor', 'round'])}({self.number(env, depth)})"
        if choice == 6:
            return f"to_number({self.open_reference(env)})"
        return self.number(env, depth)

    def number(self, env, depth):
        if self.rng.random() < 0.3:
            return self.open_reference(env)
        return self.term("num", env, depth)

    def numbers(self, env):
        name = f"n{self.fresh}"
        self.fresh += 1
        return f"[{name} | some {name} in {self.open_reference(env)}]"

    def str_term(self, env, depth):
        rng = self.rng
        choice = rng.randrange(7)
        if choice == 0:
            return f'sprintf("%v-%d", [{self.term("any", env, depth)}, {rng.choice(NUMBERS[:5])}])'
        if choice == 1:
            return f"{rng.choice(['upper', 'lower', 'trim_space'])}({self.term('str', env, depth)})"
        if choice == 2:
            return f'concat("-", [{self.term("str", env, depth)}, {self.term("str", env, depth)}])'
        if choice == 3:
            return f"json.marshal({self.term('any', env, depth)})"
        if choice == 4:
            text = self.term("str", env, depth)
            return f"substring({text}, {rng.randrange(3)}, {rng.randrange(-1, 4)})"
        if choice == 5:
            return f"type_name({self.term('any', env, depth)})"
        return f'replace({self.term("str", env, depth)}, "a", {self.term("str", env, depth)})'

    def bool_term(self, env, depth):
        operator = self.rng.choice(["==", "!=", "<", ">="])
        return f"({self.open_reference(env)} {operator} {self.term('any', env, depth)})"

    def comprehension_body(self, env):
        inner = dict(env)
        source = self.collection(env)
        name = self.variable(inner, "any")
        rest = "" if self.rng.random() < 0.5 else f"; {self.body(inner, 1)}"
        return inner, name, f"some {name} in {source}{rest}"

    def arr_term(self, env, depth):
        rng = self.rng
        choice = rng.randrange(6)
        if choice < 2:
            inner, name, body = self.comprehension_body(env)
            head = name if rng.random() < 0.5 else self.term("any", inner, depth)
            return f"[{head} | {body}]"
        if choice == 2:
            return f"array.concat({self.term('arr', env, depth)}, {self.term('arr', env, depth)})"
        if choice == 3:
            text = self.term("arr", env, depth)
            return f"array.slice({text}, {rng.randrange(3)}, {rng.randrange(4)})"
        if choice == 4:
            return f"split({self.term('str', env, depth)}, {quoted(rng.choice(['/', '.', '-']))})"
        if choice == 5:
            return f"sort({self.open_reference(env)})"
        return f"[{self.term('any', env, depth)}, {self.term('any', env, depth)}]"

    def set_term(self, env, depth):
        rng = self.rng
        choice = rng.randrange(4)
        if choice < 2:
            inner, name, body = self.comprehension_body(env)
            head = name if rng.random() < 0.5 else self.term("any", inner, depth)
            return f"{{{head} | {body}}}"
        if choice == 2:
            left, right = self.term("set", env, depth), self.term("set", env, depth)
            return f"({left} {rng.choice(['|', '&', '-'])} {right})"
        # OPA's evaluator does not sort a set that is written with variables in it: {x, "a"}.
        return f"({{{self.term('any', env, depth)}}} | {{{self.term('any', env, depth)}}})"

    def obj_term(self, env, depth):
        rng = self.rng
        choice = rng.randrange(5)
        if choice == 0:
            inner, _, body = self.comprehension_body(env)
            key = self.term("str", inner, depth)
            return f"{{{key}: {self.term('any', inner, depth)} | {body}}}"
        if choice == 1:
            return f"object.union({self.term('obj', env, depth)}, {self.term('obj', env, depth)})"
        if choice == 2:
            keys = rng.choice(['["a"]', '{"b", "c"}'])
            return (
                f"object.{rng.choice(['remove', 'filter'])}({self.term('obj', env, depth)}, {keys})"
            )
        if choice == 3:
            key = quoted(rng.choice(KEYS[:4]))
            return f"{{{key}: {self.term('any', env, depth)}}}"
        first, second = rng.sample(KEYS[:4], 2)
        left, right = self.term("any", env, depth), self.term("any", env, depth)
        return f"{{{quoted(first)}: {left}, {quoted(second)}: {right}}}"
