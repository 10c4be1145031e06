"""Random drivers: what a program may do behind an analyzer's back, in random order.

    make(7)     # {"driver.py": "import time\\n...", "steps.py": "..."}; the same files for the same number

Each has project functions drawn from a pool (pure ones, ones that change what they are given, return it, keep it, hide
it in globals, classes, closures, defaults, caches, files, random generators, print, fail, sleep), and a body of
statements over typed variables: calls, nested calls, aliases, loops, branches, ``try``, comprehensions, live iterators,
files under several spellings, code in strings. The types only keep most programs from ending at once: what raises,
raises natively too.
"""

from __future__ import annotations

import random
import textwrap
from collections.abc import Callable

__all__ = ["make"]

# Each function: name, types of its parameters, type of its result, text. Types: i int, l list, d dict of lists, s set,
# o Box, g iterator, c callable, a array, f table, p path of a file, n nothing.
FUNCTIONS: list[tuple[str, str, str, str]] = [
    ("fresh", "i", "l", "def fresh(n):\n    return list(range(n % 7))\n"),
    ("slow", "i", "l", "def slow(n):\n    time.sleep(0.004 * (n % 5))\n    return [n, n + 1]\n"),
    ("grow", "l", "n", "def grow(xs):\n    xs.append(len(xs))\n"),
    ("slow_grow", "l", "n", "def slow_grow(xs):\n    time.sleep(0.006)\n    xs.append(-len(xs))\n"),
    ("grown", "l", "l", "def grown(xs):\n    xs.append(9)\n    return xs\n"),
    ("copied", "l", "l", "def copied(xs):\n    return list(xs)\n"),
    ("total", "l", "i", "def total(xs):\n    time.sleep(0.003)\n    return sum(x for x in xs if isinstance(x, int))\n"),
    ("pair", "li", "t", "def pair(xs, n):\n    return [n], xs\n"),
    ("boxed", "l", "d", "def boxed(xs):\n    return {'k': xs, 'm': [1]}\n"),
    ("keep", "dl", "n", "def keep(d, xs):\n    d['kept'] = xs\n"),
    ("pick", "d", "l", "def pick(d):\n    return d[sorted(d)[0]]\n"),
    ("merge", "dd", "d", "def merge(d, e):\n    return {**d, **e}\n"),
    ("acc", "i", "l", "def acc(x, seen=[]):\n    seen.append(x)\n    return list(seen)\n"),
    ("acc_shared", "i", "l", "def acc_shared(x, seen=[]):\n    seen.append(x)\n    return seen\n"),
    ("bump", "", "i", "COUNT = 0\n\ndef bump():\n    global COUNT\n    COUNT += 1\n    return COUNT\n"),
    ("look", "", "i", "def look():\n    time.sleep(0.002)\n    return COUNT if 'COUNT' in globals() else -1\n"),
    (
        "cached",
        "i",
        "l",
        "CACHE = {}\n\ndef cached(n):\n    if n not in CACHE:\n        CACHE[n] = [n]\n    return CACHE[n]\n",
    ),
    ("memo", "i", "i", "@functools.lru_cache(None)\ndef memo(n):\n    return n * n\n"),
    ("note", "l", "n", "LOG = []\n\ndef note(xs):\n    LOG.append(len(xs))\n"),
    ("log_of", "", "l", "def log_of():\n    return list(LOG) if 'LOG' in globals() else []\n"),
    ("say", "i", "n", "def say(x):\n    print('say', x)\n"),
    ("say_slow", "i", "i", "def say_slow(x):\n    print('slow', x)\n    time.sleep(0.004)\n    return x + 1\n"),
    ("complain", "i", "n", "def complain(x):\n    sys.stderr.write(f'complain {x}\\n')\n"),
    ("fail", "i", "i", "def fail(x):\n    if x % 3 == 0:\n        raise ValueError(f'bad {x}')\n    return x\n"),
    (
        "fail_late",
        "i",
        "i",
        "def fail_late(x):\n    time.sleep(0.005)\n    if x % 4 == 1:\n        raise KeyError(x)\n    return x\n",
    ),
    ("exits", "i", "i", "def exits(x):\n    if x % 9 == 8:\n        sys.exit(x)\n    return x\n"),
    ("warned", "i", "i", "def warned(x):\n    warnings.warn(f'beware {x % 2}')\n    return x\n"),
    ("draw", "i", "l", "def draw(n):\n    return [random.randrange(100) for _ in range(n % 4)]\n"),
    ("seed", "i", "n", "def seed(n):\n    random.seed(n)\n"),
    ("shuffle", "l", "n", "def shuffle(xs):\n    random.shuffle(xs)\n"),
    ("words", "i", "s", "def words(n):\n    return {chr(97 + i * 7 % 26) * (i % 3 + 1) for i in range(n % 9)}\n"),
    ("add_word", "s", "n", "def add_word(s):\n    s.add('w%d' % len(s))\n"),
    ("ordered", "s", "l", "def ordered(s):\n    return list(s)\n"),
    ("count_to", "i", "g", "def count_to(n):\n    for i in range(n % 5 + 2):\n        yield i\n"),
    ("noisy", "i", "g", "def noisy(n):\n    for i in range(n % 3 + 2):\n        print('noisy', i)\n        yield i\n"),
    ("over", "l", "g", "def over(xs):\n    return iter(xs)\n"),
    ("lazy", "l", "g", "def lazy(xs):\n    return map(str, xs)\n"),
    ("step", "g", "i", "def step(it):\n    v = next(it, 0)\n    return v if isinstance(v, int) else 5\n"),
    ("rest", "g", "l", "def rest(it):\n    return list(it)\n"),
    ("adder", "i", "c", "def adder(k):\n    return lambda x: x + k\n"),
    (
        "counter",
        "i",
        "c",
        "def counter(n):\n    def more(x):\n        nonlocal n\n        n += x\n        return n\n    return more\n",
    ),
    ("apply", "ci", "i", "def apply(f, x):\n    return f(x)\n"),
    ("write", "pi", "n", "def write(p, x):\n    with open(p, 'w') as f:\n        f.write(f'{x}\\n')\n"),
    (
        "append",
        "pi",
        "n",
        "def append(p, x):\n    time.sleep(0.002)\n    with open(p, 'a') as f:\n        f.write(f'+{x}\\n')\n",
    ),
    (
        "read",
        "p",
        "i",
        "def read(p):\n    if not os.path.exists(p):\n        return -1\n    with open(p) as f:\n        return len(f.read())\n",
    ),
    (
        "text",
        "p",
        "i",
        "def text(p):\n    try:\n        return sum(map(ord, pathlib.Path(p).read_text()))\n    except FileNotFoundError:\n        return 0\n",
    ),
    ("move", "pp", "n", "def move(p, q):\n    if os.path.exists(p):\n        os.replace(p, q)\n"),
    ("drop", "p", "n", "def drop(p):\n    pathlib.Path(p).unlink(missing_ok=True)\n"),
    ("listing", "", "i", "def listing():\n    return len([n for n in os.listdir('.') if n.endswith('.txt')])\n"),
    ("found", "", "l", "def found():\n    return sorted(str(q) for q in pathlib.Path('.').glob('*.txt'))\n"),
    ("save_json", "pl", "n", "def save_json(p, xs):\n    pathlib.Path(p).write_text(json.dumps(xs, default=str))\n"),
    ("touch_env", "i", "n", "def touch_env(n):\n    os.environ['GEN'] = str(n)\n"),
    ("env", "", "i", "def env():\n    return len(os.environ.get('GEN', ''))\n"),
    ("unknown", "l", "n", "def unknown(xs):\n    getattr(xs, 'app' + 'end')(7)\n"),
    ("hidden", "l", "n", "def hidden(xs):\n    exec('xs.append(8)')\n"),
    ("evaled", "l", "l", "def evaled(xs):\n    return eval('xs')\n"),
    ("set_global", "i", "n", "def set_global(n):\n    globals()['CO' + 'UNT'] = n\n"),
    ("mutual", "i", "i", "def mutual(n):\n    return 0 if n <= 0 else mutual(n % 4 - 1) + 1\n"),
    ("nested", "l", "l", "def nested(xs):\n    return [xs, [xs]]\n"),
    ("deep", "l", "n", "def deep(xs):\n    if xs and isinstance(xs[0], list):\n        xs[0].append('deep')\n"),
    ("swap", "ll", "n", "def swap(xs, ys):\n    xs[:], ys[:] = list(ys), list(xs)\n"),
    ("alias_into", "ll", "n", "def alias_into(xs, ys):\n    xs.append(ys)\n"),
    ("clear", "l", "n", "def clear(xs):\n    del xs[2:]\n"),
    ("nan_in", "", "l", "def nan_in():\n    x = float('nan')\n    return [x, x]\n"),
    ("has", "l", "i", "def has(xs):\n    return int(any(x in xs for x in xs))\n"),
    ("sub", "i", "i", "def sub(n):\n    os.system(f'echo child {n}')\n    return n\n"),
    ("raw", "i", "n", "def raw(n):\n    sys.stdout.flush()\n    os.write(1, b'raw\\n')\n"),
    ("tell", "l", "n", "def tell(xs):\n    print(xs, flush=True)\n"),
    (
        "late_import",
        "i",
        "i",
        "def late_import(n):\n    import fractions\n    return fractions.Fraction(n, 3).numerator\n",
    ),
    ("ctx", "", "i", "def ctx():\n    decimal.getcontext().prec += 1\n    return decimal.getcontext().prec\n"),
    ("prec", "", "i", "def prec():\n    return len(str(decimal.Decimal(1) / 7))\n"),
    ("recorded", "i", "i", "def recorded(n):\n    recorded.last = n\n    return n\n"),
    ("last", "", "i", "def last():\n    return getattr(globals().get('recorded'), 'last', -1)\n"),
]

BOX = """
class Box:
    made = 0
    shared = []

    def __init__(self, items=None):
        self.items = [] if items is None else items
        Box.made += 1

    def put(self, x):
        self.items.append(x)
        return self

    def share(self):
        return self.items

    def publish(self):
        self.shared.append(len(self.items))

    def size(self):
        time.sleep(0.002)
        return len(self.items) + len(self.shared)

    def __repr__(self):
        return f"Box({self.items})"


def box_of(xs):
    return Box(xs)


def fill(b, n):
    b.put(n)


def peek(b):
    return b.items


def made():
    return Box.made
"""

ARRAYS: list[tuple[str, str, str, str]] = [
    ("zeros", "i", "a", "def zeros(n):\n    return np.zeros(n % 5 + 2)\n"),
    ("ramp", "i", "a", "def ramp(n):\n    time.sleep(0.003)\n    return np.arange(n % 6 + 3.0)\n"),
    ("scale", "a", "n", "def scale(x):\n    x *= 2\n"),
    ("tail", "a", "a", "def tail(x):\n    return x[1:]\n"),
    ("plus", "aa", "a", "def plus(x, y):\n    n = min(len(x), len(y))\n    return x[:n] + y[:n]\n"),
    ("asum", "a", "i", "def asum(x):\n    return int(x.sum())\n"),
    ("poke", "ai", "n", "def poke(x, n):\n    x[n % len(x)] = n\n"),
    ("noise", "i", "a", "def noise(n):\n    return np.random.rand(n % 3 + 2)\n"),
    ("np_seed", "i", "n", "def np_seed(n):\n    np.random.seed(n)\n"),
    ("same", "a", "a", "def same(x):\n    return np.asarray(x)\n"),
    ("sorted_in", "a", "n", "def sorted_in(x):\n    x[::-1].sort()\n"),
    ("rng", "i", "r", "def rng(n):\n    return np.random.default_rng(n)\n"),
    ("normals", "r", "a", "def normals(r):\n    return r.normal(size=3)\n"),
    ("filled", "a", "n", "def filled(x):\n    np.add(x, 1, out=x)\n"),
    ("saved", "pa", "n", "def saved(p, x):\n    np.savetxt(p, x)\n"),
]

TABLES: list[tuple[str, str, str, str]] = [
    ("table", "i", "f", "def table(n):\n    return pd.DataFrame({'a': range(n % 4 + 2), 'b': 1.5})\n"),
    ("add_column", "f", "n", "def add_column(df):\n    df['c'] = df['a'] * 2\n"),
    ("kept_rows", "f", "f", "def kept_rows(df):\n    return df[df['a'] > 0]\n"),
    ("same_frame", "f", "f", "def same_frame(df):\n    df['d'] = 1\n    return df\n"),
    ("sort_in", "f", "n", "def sort_in(df):\n    df.sort_values('a', ascending=False, inplace=True)\n"),
    ("column", "f", "i", "def column(df):\n    time.sleep(0.003)\n    return int(df['a'].sum()) + df.shape[1]\n"),
    ("to_file", "pf", "n", "def to_file(p, df):\n    df.to_csv(p)\n"),
    ("from_file", "p", "i", "def from_file(p):\n    return pd.read_csv(p).size if os.path.exists(p) else 0\n"),
    ("set_index", "f", "n", "def set_index(df):\n    df.index = df.index + 1\n"),
]

BOXES = [("box_of", "l", "o"), ("fill", "oi", "n"), ("peek", "o", "l"), ("made", "", "i"), ("Box", "", "o")]
METHODS = [("put", "i", "o"), ("share", "", "l"), ("publish", "", "n"), ("size", "", "i")]
PATHS = [
    "'x.txt'",
    "'./x.txt'",
    "'y.txt'",
    "os.path.join('.', 'y.txt')",
    "os.path.abspath('x.txt')",
    "'sub/z.txt'",
    "'sub/../y.txt'",
    "pathlib.Path('x.txt')",
    "'l' + 'ate.txt'",
]
IMPORTS = "import decimal\nimport functools\nimport json\nimport os\nimport pathlib\nimport random\nimport sys\nimport time\nimport warnings\n"


def make(number: int, kind: str = "plain") -> dict[str, str]:
    """The files of driver ``number``. ``kind``: ``plain``, ``arrays`` (numpy too) or ``tables`` (pandas too)."""
    return _Maker(random.Random(f"{kind} {number}"), kind).files()


class _Maker:
    def __init__(self, draw: random.Random, kind: str) -> None:
        self.draw = draw
        rough = draw.random() < 0.3  # few programs shall end early
        pool = FUNCTIONS + (ARRAYS if kind != "plain" else []) + (TABLES if kind == "tables" else [])
        count = draw.randint(4, 18)
        if kind != "plain":
            chosen = draw.sample(FUNCTIONS, min(count, 8)) + draw.sample(pool[len(FUNCTIONS) :], draw.randint(4, 9))
        else:
            chosen = draw.sample(pool, count)
        if not rough:
            chosen = [one for one in chosen if one[0] not in ("fail", "fail_late", "exits")]
        self.texts = [one[3] for one in chosen]
        self.calls = [one[:3] for one in chosen]
        self.boxes = draw.random() < 0.4
        if self.boxes:
            self.calls += BOXES
        self.kind = kind
        self.variables: dict[str, str] = {}
        self.counter = 0
        self.depth = 0
        self.inside = 0
        self.pending: dict[str, str] = {}

    def files(self) -> dict[str, str]:
        draw = self.draw
        imports = IMPORTS
        if self.kind != "plain":
            imports += "import numpy as np\n"
        if self.kind == "tables":
            imports += "import pandas as pd\n"
        defined = "\n\n".join(self.texts) + ("\n" + BOX if self.boxes else "")
        apart = draw.random() < 0.25
        body = self.body(draw.randint(4, 22))
        start = "random.seed(0)\nos.makedirs('sub', exist_ok=True)\n" + (
            "np.random.seed(0)\n" if self.kind != "plain" else ""
        )
        style = draw.choice(["script", "main", "main", "guard", "mixed"])
        if style == "script":
            text = start + body
        else:
            ends = ", ".join(sorted(self.variables)) or "None"
            text = "def main():\n" + textwrap.indent(body + f"return [{ends}]\n", "    ")
            call = "RESULT = main()\n" if style != "guard" else "if __name__ == '__main__':\n    RESULT = main()\n"
            if style == "mixed":
                self.variables = {}
                call = self.body(3) + call + self.body(4)
            text += start + call
        if apart:
            return {"driver.py": f"{imports}from steps import *\n{text}", "steps.py": f"{imports}\n{defined}"}
        return {"driver.py": f"{imports}\n{defined}\n\n{text}"}

    # -- statements ------------------------------------------------------------------------------------

    def body(self, count: int) -> str:
        return "".join(self.statement() for _ in range(count)) or "pass\n"

    def block(self, count: int) -> str:
        before = dict(self.variables)
        self.depth += 1
        text = self.body(count)
        self.depth -= 1
        self.variables = before
        return textwrap.indent(text, "    ")

    def statement(self) -> str:
        text = self.some_statement()
        self.variables.update(self.pending)
        self.pending = {}
        return text

    def some_statement(self) -> str:
        draw = self.draw
        chance = draw.random()
        if self.depth < 2 and chance < 0.16:
            return self.compound()
        if chance < 0.68:
            return self.call_statement()
        return draw.choice(self.others())()

    def call_statement(self) -> str:
        name, takes, gives = self.draw.choice(self.calls)
        call = f"{name}({', '.join(self.value(kind) for kind in takes)})"
        if gives == "n":
            return call + "\n"
        if gives == "t":
            return f"{self.new('l')}, {self.new('l')} = {call}\n"
        if self.draw.random() < 0.12:
            return call + "\n"
        return f"{self.new(gives)} = {call}\n"

    def others(self) -> list[Callable[[], str]]:
        made: list[Callable[[], str]] = [
            lambda: f"{self.new('i')} = {self.draw.randint(0, 12)}\n",
            lambda: f"print({self.any()})\n",
            lambda: f"{self.new('l')} = [{self.value('i')}, {self.value('i')}]\n",
            lambda: f"{self.new('l')} = {self.value('l')}\n",
            lambda: f"{self.value('l')}.append({self.value('i')})\n",
            lambda: f"{self.new('i')} = len({self.value('l')}) + {self.value('i')}\n",
            lambda: f"{self.new('d')} = {{'p': {self.value('l')}, 'q': {self.value('l')}}}\n",
            lambda: f"{self.value('d')}['z'] = {self.value('l')}\n",
            lambda: f"{self.new('l')} = [total_ for total_ in {self.value('l')}]\n",
            lambda: f"{self.new('l')} = [{self.inline('i')} for _ in range({self.draw.randint(0, 3)})]\n",
            lambda: f"{self.new('g')} = ({self.inline('i')} for _ in range(2))\n",
            lambda: f"{self.new('c')} = lambda x: x + {self.value('i')}\n",
            lambda: f"{self.new('i')} = {self.value('c')}({self.value('i')})\n",
            lambda: f"{self.new('i')} = {self.value('i')} if {self.value('i')} > 3 else {self.inline('i')}\n",
            lambda: f"print(({self.new('i')} := {self.inline('i')}))\n",
            lambda: f"{self.new('i')} = int({self.value('l')} is {self.value('l')})\n",
            lambda: f"{self.new('l')}, *{self.new('l')} = [{self.value('l')}, {self.value('l')}, 3]\n",
            self.augment,
            self.delete,
            self.with_file,
            self.method,
            self.method,
        ]
        if self.kind != "plain":
            made += [
                lambda: f"{self.new('a')} = {self.value('a')}[::2]\n",
                lambda: f"{self.value('a')}[0] = {self.value('i')}\n",
                lambda: f"print({self.value('a')})\n",
                lambda: f"{self.new('a')} = {self.value('a')} + 1\n",
            ]
        if self.kind == "tables":
            made += [
                lambda: f"{self.value('f')}['e'] = {self.value('i')}\n",
                lambda: f"print({self.value('f')})\n",
                lambda: f"{self.new('f')} = {self.value('f')}.assign(k={self.value('i')})\n",
            ]
        return made

    def augment(self) -> str:
        names = [name for name, kind in self.variables.items() if kind in "il"]
        if not names or self.inside:
            return "pass\n"
        name = self.draw.choice(names)
        return f"{name} += {self.value(self.variables[name])}\n"

    def delete(self) -> str:
        if self.depth or self.inside or len(self.variables) < 4:
            return "pass\n"
        name = self.draw.choice(sorted(self.variables))
        del self.variables[name]
        return f"del {name}\n"

    def with_file(self) -> str:
        mode = self.draw.choice("wa")
        return f"with open({self.value('p')}, '{mode}') as file:\n    print({self.any()}, file=file)\n"

    def method(self) -> str:
        boxes = [name for name, kind in self.variables.items() if kind == "o"]
        if not boxes:
            return f"print({self.inline('i')})\n"
        name, takes, gives = self.draw.choice(METHODS)
        call = f"{self.draw.choice(boxes)}.{name}({', '.join(map(self.value, takes))})"
        return call + "\n" if gives == "n" else f"{self.new(gives)} = {call}\n"

    def compound(self) -> str:
        draw = self.draw
        kind = draw.choice(["for", "for", "if", "try", "while", "over", "def", "finally", "match"])
        if kind == "for":
            return f"for i{self.depth} in range({draw.randint(0, 3)}):\n{self.block(draw.randint(1, 3))}"
        if kind == "over":
            items = draw.choice([f"list({self.value('l')})", self.value("g")])
            return f"for item in {items}:\n{self.block(draw.randint(1, 2))}"
        if kind == "if":
            orelse = f"else:\n{self.block(1)}" if draw.random() < 0.5 else ""
            return f"if {self.value('i')} % 2:\n{self.block(draw.randint(1, 3))}{orelse}"
        if kind == "try":
            error = draw.choice(["ValueError", "Exception as e", "(KeyError, ValueError)"])
            told = "    print('caught', repr(e))\n" if error.endswith("e") else "    print('caught')\n"
            return f"try:\n{self.block(draw.randint(1, 3))}except {error}:\n{told}"
        if kind == "finally":
            return f"try:\n{self.block(draw.randint(1, 2))}finally:\n    print('finally')\n"
        if kind == "while":
            self.counter += 1
            name = f"w{self.counter}"
            return (
                f"{name} = 0\nwhile {name} < {draw.randint(1, 3)}:\n    {name} += 1\n{self.block(draw.randint(1, 2))}"
            )
        if kind == "match":
            return f"match {self.value('i')} % 3:\n    case 0:\n{textwrap.indent(self.block(1), '    ')}    case _:\n{textwrap.indent(self.block(1), '    ')}"
        self.counter += 1
        name = f"local{self.counter}"
        self.inside += 1
        text = f"def {name}(x):\n{self.block(draw.randint(1, 2))}    return x\n"
        self.inside -= 1
        return text + f"{self.new('i')} = {name}({self.value('i')})\n"

    # -- expressions -----------------------------------------------------------------------------------

    def new(self, kind: str) -> str:
        draw = self.draw
        reuse = [name for name, known in self.variables.items() if known == kind]
        if reuse and not self.inside and draw.random() < 0.25:
            return draw.choice(reuse)
        self.counter += 1
        name = f"v{self.counter}"
        self.pending[name] = kind
        return name

    def any(self) -> str:
        names = [name for name, kind in self.variables.items() if kind not in "gc"]
        return self.draw.choice(names) if names else "'nothing'"

    def value(self, kind: str) -> str:
        """An expression of a type: mostly a variable, now and then a call or a new object."""
        draw = self.draw
        names = [name for name, known in self.variables.items() if known == kind]
        if kind == "p":
            return draw.choice(PATHS)
        if names and draw.random() < 0.85:
            return draw.choice(names)
        if draw.random() < 0.5:
            call = self.inline(kind)
            if call:
                return call
        return {
            "i": str(draw.randint(0, 12)), "l": "[1, 2]", "d": "{'n': [3]}", "s": "{'a', 'bb'}", "o": "Box()" if self.boxes else "[]",
            "g": "iter([4, 5, 6])", "c": "(lambda x: x - 1)", "a": "np.ones(3)", "f": "pd.DataFrame({'a': [3, 1]})",
            "r": "np.random.default_rng(1)",
        }[kind]  # fmt: skip

    def inline(self, kind: str) -> str:
        """A call that gives this type, if there is one."""
        able = [call for call in self.calls if call[2] == kind]
        if not able or self.depth > 3:
            return "3" if kind == "i" else ""
        name, takes, _ = self.draw.choice(able)
        self.depth += 2
        arguments = ", ".join(self.value(one) for one in takes)
        self.depth -= 2
        return f"{name}({arguments})"
