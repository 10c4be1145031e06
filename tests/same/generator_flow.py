"""Random drivers of nested control flow: loops in branches in ``try``, turns that carry state and turns that do not,
accumulators, early exits, comprehensions, contexts, functions that are drivers themselves.

    make(7)     # {"driver.py": "import contextlib\\n..."}; the same text for the same number
    make(7, "used")   # the same, and what ``generator_used`` adds

Statements stand over typed variables as in ``generator``, but here nearly all are calls that could be run ahead, inside
of compound statements, so that what is tested is when they may be. What raises, raises natively too.
"""

from __future__ import annotations

import random
import re

__all__ = ["Maker", "Scope", "make"]

HEAD = """import asyncio, contextlib, itertools, random, sys, time, warnings

LOG = []
N = 2
BOXES = {"k": [1]}
"""

FUNCTIONS = """
def pure(x, k=1):
    n = 0
    for i in range(3):
        n += i
    return x * k % 97 + n

def nap(x):
    time.sleep(0.002)
    return x + 1

def slow(x):
    time.sleep(0.03)
    return x + 1

def fails(x):
    for i in range(2): pass
    if x % 5 == 3:
        raise ValueError(x)
    return x + 1

def rare(x):
    for i in range(2): pass
    if x % 13 == 7:
        raise KeyError(x)
    return x + 2

def say(x):
    for i in range(2): pass
    print("say", x)
    return x

def warned(x):
    for i in range(2): pass
    warnings.warn(f"beware {x % 3}")
    return x

def uses(x):
    for i in range(2): pass
    return x + N + len(LOG)

def log(x):
    LOG.append(x)
    return len(LOG)

def bump(x):
    global N
    N = (N + x) % 7
    return N

def draw(x):
    return random.randrange(10) + x

def exits(x):
    for i in range(2): pass
    if x % 41 == 40:
        sys.exit(x)
    return x

def box(x):
    for i in range(2): pass
    return [x, [x]]

def ident(l):
    for i in range(2): pass
    return l

def tail(l):
    for i in range(2): pass
    return l[1:]

def kept(x):
    BOXES["k"].append(x)
    return BOXES["k"]

def joined(l, m):
    for i in range(2): pass
    return [*l, *m][:6]

def grow(l, x):
    l.append(x)
    return len(l)

def total(l):
    t = 0
    for v in l:
        t += v if isinstance(v, int) else len(v) if isinstance(v, list) else 1
    return t

def count(n):
    for i in range(n % 4):
        yield i

@contextlib.contextmanager
def entered(x):
    print("enter", x)
    try:
        yield x + 1
    finally:
        print("leave", x)

async def turns(x):
    p = pure(x)
    q = say(x)
    await asyncio.sleep(0)
    r = uses(p)
    s = log(q)
    return p + q + r + s

async def parsed(x, l, k=1):
    own = box(x)
    p = pure(x, k)
    q = say(p)
    await asyncio.sleep(0)
    r = total(own)
    own.append(q)
    t = total(own) + total(l)
    if x % 4 == 3:
        return say(t)
    l.append(x)
    return fails(t + r) if k == 2 else rare(t)

async def follows(x):
    n = nap(x)
    found = await asyncio.gather(turns(n), parsed(n, [x]), return_exceptions=True)
    return total(found) + uses(n)

class Manager:
    def __init__(self, l): self.l = l
    def __enter__(self):
        self.l.append("in")
        return self.l
    def __exit__(self, kind, error, trace):
        self.l.append("out")
        return kind is ValueError

class Acc:
    held = []
    def __init__(self, x): self.l = x if isinstance(x, list) else [x]
    def add(self, x):
        self.l.append(x)
        return self
    def hold(self):
        Acc.held.append(self)
        return self
    def sum(self):
        return sum(v for v in self.l if isinstance(v, int))

class Steps:
    def __init__(self, n): self.n = n % 5
    def __iter__(self): return self
    def __next__(self):
        if self.n <= 0: raise StopIteration
        LOG.append(self.n)
        self.n -= 1
        return self.n

class Val:
    def __init__(self, v): self.v = v
    def __add__(self, other):
        LOG.append(self.v)
        return Val(self.v + other.v)
    def __hash__(self):
        LOG.append(len(LOG))
        return self.v % 3
    def __eq__(self, other):
        LOG.append(other.v)
        return self.v == other.v
    def __lt__(self, other):
        print("lt", self.v, other.v)
        return self.v < other.v
    def __gt__(self, other): return self.v > other.v
    def __bool__(self): return self.v % 4 == 3
"""

PARTS = {re.findall(r"(?:def|class) (\w+)", part)[0]: part for part in re.split(r"\n\n+", FUNCTIONS.strip())}

INTS = ["pure", "pure", "nap", "fails", "rare", "say", "say", "warned", "uses", "log", "bump", "draw", "exits"]
LISTS = ["box", "box", "kept"]
OF_LISTS = ["ident", "tail"]


def make(number: int, kind: str = "flow") -> dict[str, str]:
    """The files of driver ``number``. ``kind`` ``async``: always with an event loop."""
    maker = generator_used.Maker if kind == "used" else Maker
    return {"driver.py": maker(random.Random(f"{kind} {number}"), kind == "async").text()}


class Scope:
    """The names that are bound where a statement stands: ``ints`` and ``lists``."""

    def __init__(
        self, ints: set[str], lists: set[str], function: bool, loop: bool = False, awaits: bool = False
    ) -> None:
        self.ints = ints
        self.lists = lists
        self.function = function
        self.loop = loop
        self.awaits = awaits

    def inner(self, loop: bool | None = None) -> Scope:
        inside = self.loop if loop is None else loop
        return Scope(set(self.ints), set(self.lists), self.function, inside, self.awaits)


class Maker:
    kinds = ("for", "for", "for", "if", "if", "try", "try", "while", "with", "match", "finally", "retry")
    """Of compound statements."""

    def __init__(self, draw: random.Random, awaits: bool) -> None:
        self.draw = draw
        self.awaits = awaits
        self.counter = 0
        self.functions: list[str] = []
        self.groups: list[str] = []
        wild = draw.random() < 0.25
        calm = {"fails", "rare", "exits"}
        self.ints = [name for name in INTS if wild or name not in calm or draw.random() < 0.3]

    def text(self) -> str:
        draw = self.draw
        for _ in range(draw.choice([0, 0, 1, 2])):
            self.group()
        if draw.random() < 0.6 or self.awaits:
            awaits = draw.random() < 0.3 or self.awaits
            scope = Scope({"a", "n"}, {"l"}, True, awaits=awaits)
            body = self.block(scope, 1, 0, draw.randint(2, 4))
            ends = ", ".join(sorted(scope.ints | scope.lists))
            body += [f"    return [{ends}]"]
            head = "async def main(a=1, n=4):" if awaits else "def main(a=1, n=4):"
            self.functions.append(f"{head}\n    l = [1, 2]\n" + "\n".join(body))
            ending = f"RESULT = {'asyncio.run(main())' if awaits else 'main()'}\nprint(RESULT, LOG, N)\n"
        else:
            scope = Scope({"a", "n"}, {"l"}, False)
            body = self.block(scope, 0, 0, draw.randint(2, 5))
            ending = "a, n, l = 1, 4, [1, 2]\n" + "\n".join(body) + "\nprint(LOG, N)\n"
        own = "\n\n".join(self.functions)
        text = (
            own
            + ending
            + "".join(PARTS[part] for part in ("follows", "turns", "parsed") if f"{part}(" in own or "follows(" in own)
        )
        used = [part for name, part in PARTS.items() if re.search(rf"\b{name}\b", text)]
        return "\n\n".join([HEAD, *used, own, "random.seed(4)", ending])

    def group(self) -> None:
        """A function that is a driver itself."""
        self.counter += 1
        name = f"part{self.counter}"
        scope = Scope({"a"}, {"l"}, True)
        body = self.block(scope, 1, 1, self.draw.randint(2, 3))
        self.functions.append(f"def {name}(a, l):\n" + "\n".join(body) + f"\n    return {self.number(scope)}")
        self.groups.append(name)

    # -- expressions -----------------------------------------------------------------------------------

    def number(self, scope: Scope, depth: int = 0) -> str:
        draw = self.draw
        chance = draw.random()
        if chance < 0.4 or depth > 2:
            return draw.choice(sorted(scope.ints)) if scope.ints and draw.random() < 0.85 else str(draw.randrange(9))
        if chance < 0.75:
            return f"{draw.choice(self.ints)}({self.number(scope, depth + 1)})"
        if chance < 0.8:
            return f"pure({self.number(scope, depth + 1)}, {self.number(scope, depth + 1)} % 5)"
        if chance < 0.9 and scope.lists:
            return f"{draw.choice(['total', 'len'])}({self.listing(scope, depth + 1)})"
        if chance < 0.93 and self.groups:
            return f"{draw.choice(self.groups)}({self.number(scope, depth + 1)}, {self.listing(scope, depth + 1)})"
        if chance < 0.94:
            word = draw.choice(["and", "or"])
            return f"({self.number(scope, depth + 1)} {word} {self.number(scope, depth + 1)})"
        if chance < 0.96:
            return f"({self.number(scope, depth + 1)} if {self.test(scope)} else {self.number(scope, depth + 1)})"
        return f"({self.number(scope, depth + 1)} + {self.number(scope, depth + 1)}) % 31"

    def listing(self, scope: Scope, depth: int = 0) -> str:
        draw = self.draw
        chance = draw.random()
        if scope.lists and (chance < 0.4 or depth > 2):
            return draw.choice(sorted(scope.lists))
        if chance < 0.7 or depth > 2 or not scope.lists:
            return f"{draw.choice(LISTS)}({self.number(scope, depth + 1)})"
        if chance < 0.85:
            return f"{draw.choice(OF_LISTS)}({self.listing(scope, depth + 1)})"
        return f"joined({self.listing(scope, depth + 1)}, {self.listing(scope, depth + 1)})"

    def test(self, scope: Scope) -> str:
        draw = self.draw
        return draw.choice(
            [
                f"{self.number(scope, 2)} % 3",
                f"{self.number(scope, 2)} > {draw.randrange(9)}",
                f"{self.number(scope, 2)} % 2 and {self.number(scope, 1)} > 2",
                f"not {self.listing(scope, 2)}",
            ]
        )

    def items(self, scope: Scope) -> str:
        """An iterable of numbers."""
        draw = self.draw
        return draw.choice(
            [
                f"range({draw.randrange(5)})",
                str([draw.randrange(9) for _ in range(draw.randrange(6))]),
                str(tuple(draw.randrange(9) for _ in range(3))),
                f"[v for v in {self.listing(scope, 2)} if isinstance(v, int)][:4]",
                f"list(map({draw.choice(['pure', 'say', 'nap'])}, range({draw.randrange(4)})))",
                f"count({self.number(scope, 2)})",
                f"sorted({{{self.number(scope, 2)}, {self.number(scope, 2)}}})",
                f"(v + 1 for v in range({draw.randrange(4)}))",
            ]
        )

    def comprehension(self, scope: Scope) -> str:
        draw = self.draw
        inner = scope.inner()
        inner.ints.add("q")
        element, condition = self.number(inner, 1), ""
        if draw.random() < 0.3:
            condition = f" if {self.test(inner)}"
        source = self.items(scope)
        return draw.choice(
            [
                f"[{element} for q in {source}{condition}]",
                f"[{element} for q in {source}{condition}]",
                f"sorted({{{element} for q in {source}{condition}}})",
                f"list({{q: {element} for q in {source}{condition}}}.values())",
                f"[{element} for q in {source} for q in range(q % 3){condition}]",
                f"[[{element} for q in range(2)] for p in {source}]",
                f"list({element} for q in {source}{condition})",
                f"list(map({draw.choice(self.ints)}, {source}))",
                f"{draw.choice(['sorted', 'tuple', 'list'])}(map(lambda q: {element}, {source}))",
                f"[sum(map({draw.choice(self.ints)}, {source})), *map(pure, {source}, range(3))]",
                f"list(dict(zip({source}, map({draw.choice(self.ints)}, {source}))).items())",
                f"[pure(p, q) for p, q in itertools.product({source}, range(2))]",
                f"[({element}, i) for i, q in enumerate({source})]",
                f"[pure(p, q) for p, q in zip({source}, {source})]",
            ]
        )

    # -- statements ------------------------------------------------------------------------------------

    def block(self, scope: Scope, indent: int, depth: int, count: int = 0) -> list[str]:
        lines: list[str] = []
        for _ in range(count or self.draw.randint(1, 3)):
            lines += self.statement(scope, indent, depth)
        return lines or ["    " * indent + "pass"]

    def statement(self, scope: Scope, indent: int, depth: int) -> list[str]:
        draw = self.draw
        pad = "    " * indent
        chance = draw.random()
        if not depth and chance < 0.2:
            return self.beside(scope, indent)
        if depth < 3 and chance < (0.5 if depth < 2 else 0.25):
            return self.compound(scope, indent, depth)
        if chance < 0.66:
            value, name = self.number(scope), draw.choice("abcd")
            scope.ints.add(name)
            return [f"{pad}{name} = {value}"]
        if chance < 0.74:
            value, name = self.listing(scope), draw.choice(["l", "m"])
            scope.lists.add(name)
            return [f"{pad}{name} = {value}"]
        if chance < 0.8:
            value = self.comprehension(scope)
            scope.lists.add("k")
            return [f"{pad}k = {value}"]
        return [pad + draw.choice(self.others(scope))]

    def others(self, scope: Scope) -> list[str]:
        draw = self.draw
        made = [f"print({self.number(scope)})", f"LOG.append({self.number(scope)})", f"print({self.listing(scope)})"]
        if scope.ints:
            made.append(f"{draw.choice(sorted(scope.ints))} += {self.number(scope)}")
        if scope.lists:
            name = draw.choice(sorted(scope.lists))
            made += [
                f"{name}.append({self.number(scope)})",
                f"grow({name}, {self.number(scope)})",
                f"{name} += {self.listing(scope)}",
                f"{name}[:0] = [{self.number(scope)}]",
                f"{name}.extend([{self.number(scope)}, {self.number(scope)}])",
            ]
        made.append(f"assert {self.number(scope)} < 90, {self.number(scope)}")
        if scope.awaits:
            first, second = self.number(scope, 1), self.number(scope, 1)
            made += ["await asyncio.sleep(0)", f"print(await asyncio.gather(turns({first}), turns({second})))"]
            made += [f"LOG.append(await turns({first}))", f"l = [await turns({first}), {second}]"]
            made += [self.siblings(scope), self.siblings(scope), self.siblings(scope)]
        if scope.loop:
            made.append(f"if {self.test(scope)}: {draw.choice(['break', 'continue'])}")
        if scope.function:
            made.append(f"if {self.number(scope)} == 3: return {self.number(scope)}")
        return made

    def siblings(self, scope: Scope) -> str:
        """Coroutines that take turns."""
        draw = self.draw
        name = draw.choice(sorted(scope.lists)) if scope.lists else "[1]"

        def one(x: str) -> str:
            k = draw.choice(["", "", ", 2", f", k={self.number(scope, 2)}"])
            return draw.choice([f"turns({x})", f"parsed({x}, {name}{k})", f"parsed({x}, [{x}]{k})", f"follows({x})"])

        some = ", ".join(one(self.number(scope, 2)) for _ in range(draw.randint(1, 4)))
        many = f"{one('v')} for v in range({draw.randrange(5)})"
        tasks = draw.choice([f"v) for v in [{some}]", f"{one('v')}) for v in range({draw.randrange(5)})"])
        return draw.choice(
            [
                f"print(await asyncio.gather({some}))",
                f"print(await asyncio.gather({some}, return_exceptions=True))",
                f"print(await asyncio.gather(*[{many}], return_exceptions=True))",
                f"print(await asyncio.gather(*({many})))",
                f"print([await v for v in [asyncio.create_task({tasks}]])",
            ]
        )

    def compound(self, scope: Scope, indent: int, depth: int) -> list[str]:
        draw = self.draw
        kind = draw.choice(self.kinds)
        made: list[str] = getattr(self, f"{kind}_")(scope, indent, depth)
        return made

    def beside(self, scope: Scope, indent: int) -> list[str]:
        """Statements that take time, each over names of its own for the most part: they may run beside each other."""
        draw = self.draw
        pad = "    " * indent
        value = self.number(scope)
        scope.ints.add("d")
        lines = [f"{pad}d = slow({value})"]
        for _ in range(draw.randint(1, 3)):
            self.counter += 1
            own, held = f"u{self.counter}", f"h{self.counter}"
            begun, made = (self.number(scope), self.listing(scope)) if draw.random() < 0.3 else ("3", "box(2)")
            lines += [f"{pad}{own} = {begun}", f"{pad}{held} = {made}"]
            inner = Scope({own}, {held}, scope.function, False, scope.awaits and draw.random() < 0.2)
            kind = draw.choice(["carried", "carried", "nears", "nears", "for", "if", "try", "retry", "with", "match"])
            lines += getattr(self, f"{kind}_")(inner, indent, 1)
            scope.ints.add(own)
            scope.lists.add(held)
        name = draw.choice(sorted(scope.ints))
        return [*lines, *draw.choice([[], [f"{pad}print({name})"], [f"{pad}print({', '.join(sorted(scope.lists))})"]])]

    def carried_(self, scope: Scope, indent: int, depth: int) -> list[str]:
        """Turns that hand on a state."""
        draw = self.draw
        pad, own, inner = "    " * indent, min(scope.ints), scope.inner(True)
        inner.ints.add("x")
        lines = [f"{pad}for x in {self.items(scope)}:", f"{pad}    {own} = {draw.choice(self.ints)}({own} + x)"]
        if draw.random() < 0.4:
            lines += [f"{pad}    {min(scope.lists)} = joined({min(scope.lists)}, [x])"]
        if draw.random() < 0.6:
            lines += self.block(inner, indent + 1, depth + 1)
        if draw.random() < 0.2:
            lines += [f"{pad}else:", *self.block(scope.inner(), indent + 1, depth + 1)]
        return lines

    def nears_(self, scope: Scope, indent: int, depth: int) -> list[str]:
        """Until it is near enough."""
        draw = self.draw
        pad, own, inner = "    " * indent, min(scope.ints), scope.inner(True)
        lines = [f"{pad}while pure({own}) > {draw.randrange(8)}:", f"{pad}    {own} = {own} // 2 - 1"]
        if draw.random() < 0.6:
            lines += self.block(inner, indent + 1, depth + 1)
        return [*lines, f"{pad}    if {own} < 0: break"]

    def for_(self, scope: Scope, indent: int, depth: int) -> list[str]:
        draw = self.draw
        pad, inner = "    " * indent, scope.inner(True)
        name = draw.choice("xyz")
        inner.ints.add(name)
        if draw.random() < 0.25:
            inner.ints.add("i")
            head = f"{pad}for i, {name} in enumerate({self.items(scope)}):"
        elif draw.random() < 0.1:
            inner.ints.add("w")
            head = f"{pad}for {name}, w in itertools.product({self.items(scope)}, range(2)):"
        else:
            head = f"{pad}for {name} in {self.items(scope)}:"
        lines = [head, *self.block(inner, indent + 1, depth + 1)]
        if draw.random() < 0.3:
            lines += [f"{pad}    if {self.test(inner)}:", f"{pad}        {draw.choice(['break', 'continue'])}"]
            lines += self.block(inner, indent + 1, depth + 2)
        if draw.random() < 0.2:
            lines += [f"{pad}else:", *self.block(scope.inner(), indent + 1, depth + 1)]
        return lines

    def while_(self, scope: Scope, indent: int, depth: int) -> list[str]:
        draw = self.draw
        self.counter += 1
        pad, name, inner = "    " * indent, f"w{self.counter}", scope.inner(True)
        inner.ints.add(name)
        lines = [f"{pad}{name} = 0", f"{pad}while {name} < {draw.randint(1, 4)}:", f"{pad}    {name} += 1"]
        lines += self.block(inner, indent + 1, depth + 1)
        if draw.random() < 0.3:
            lines += [f"{pad}else:", *self.block(scope.inner(), indent + 1, depth + 1)]
        return lines

    def if_(self, scope: Scope, indent: int, depth: int) -> list[str]:
        draw = self.draw
        pad = "    " * indent
        lines = [f"{pad}if {self.test(scope)}:", *self.block(scope.inner(), indent + 1, depth + 1)]
        if draw.random() < 0.3:
            lines += [f"{pad}elif {self.test(scope)}:", *self.block(scope.inner(), indent + 1, depth + 1)]
        if draw.random() < 0.5:
            lines += [f"{pad}else:", *self.block(scope.inner(), indent + 1, depth + 1)]
        return lines

    def match_(self, scope: Scope, indent: int, depth: int) -> list[str]:
        pad = "    " * indent
        lines = [f"{pad}match {self.number(scope)} % 3:", f"{pad}    case 0:"]
        lines += [*self.block(scope.inner(), indent + 2, depth + 1), f"{pad}    case v if v > 1:"]
        return [*lines, *self.block(scope.inner(), indent + 2, depth + 1)]

    def try_(self, scope: Scope, indent: int, depth: int) -> list[str]:
        draw = self.draw
        pad = "    " * indent
        lines = [f"{pad}try:", *self.block(scope.inner(), indent + 1, depth + 1)]
        error = draw.choice(["ValueError", "Exception", "(KeyError, ValueError)"])
        lines += [f"{pad}except {error} as e:", f"{pad}    print('caught', repr(e))"]
        if draw.random() < 0.3:
            lines += self.block(scope.inner(), indent + 1, depth + 2)
        if draw.random() < 0.1:
            lines += [f"{pad}    raise"]
        if draw.random() < 0.3:
            lines += [f"{pad}else:", *self.block(scope.inner(), indent + 1, depth + 1)]
        if draw.random() < 0.3:
            lines += [f"{pad}finally:", *self.block(scope.inner(False), indent + 1, depth + 2)]
        return lines

    def finally_(self, scope: Scope, indent: int, depth: int) -> list[str]:
        pad = "    " * indent
        lines = [f"{pad}try:", *self.block(scope.inner(), indent + 1, depth + 1), f"{pad}finally:"]
        return [*lines, *self.block(scope.inner(False), indent + 1, depth + 2)]

    def retry_(self, scope: Scope, indent: int, depth: int) -> list[str]:
        """Tried again by hand."""
        self.counter += 1
        pad, name, inner = "    " * indent, f"t{self.counter}", scope.inner(True)
        inner.ints.add(name)
        lines = [f"{pad}for {name} in range(3):", f"{pad}    try:"]
        lines += self.block(inner, indent + 2, depth + 2)
        return [*lines, f"{pad}        break", f"{pad}    except ValueError:", f"{pad}        log({name})"]

    def with_(self, scope: Scope, indent: int, depth: int) -> list[str]:
        draw = self.draw
        pad, inner = "    " * indent, scope.inner()
        heads = [
            f"entered({self.number(scope)}) as c",
            "contextlib.suppress(ValueError)",
            f"entered({self.number(scope)})",
        ]
        if scope.lists:
            heads.append(f"Manager({draw.choice(sorted(scope.lists))}) as m")
        heads.append("warnings.catch_warnings()")
        head = draw.choice(heads)
        if head.endswith("as c"):
            inner.ints.add("c")
        return [f"{pad}with {head}:", *self.block(inner, indent + 1, depth + 1)]


import generator_used  # noqa: E402  (it derives from what stands here)
