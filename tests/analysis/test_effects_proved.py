"""Functions that are proved independent: nothing in what they do could be seen from outside while they run ahead."""

from __future__ import annotations

import pytest
from effects_of import ties_of

FREE = {
    "arithmetic in a loop": """
def f(n=10):
    total = 0
    for i in range(n):
        total += i * i
    return total
""",
    "a module constant": """
SCALE = 3
def f():
    return SCALE * 2
""",
    "a table of the module, read": """
TABLE = {"a": [1, 2]}
def f():
    return TABLE["a"][0] + len(TABLE)
""",
    "printing and sleeping": """
def f(x=1):
    print("x is", x)
    time.sleep(0.1)
    return x
""",
    "hashing": """
def f(text="x"):
    h = hashlib.sha256()
    h.update(text.encode())
    return h.hexdigest()
""",
    "counting words": """
def f(text="a b a"):
    counts = {}
    for word in text.lower().split():
        counts[word] = counts.get(word, 0) + 1
    return sorted(counts.items(), key=lambda pair: -pair[1])
""",
    "a Counter": """
def f(text="a b a"):
    counts = collections.Counter(text.split())
    return counts.most_common(3)
""",
    "a defaultdict": """
def f(words=("a", "b")):
    groups = collections.defaultdict(list)
    for word in words:
        groups[word[0]].append(word)
    return dict(groups)
""",
    "regular expressions": """
def f(text="a1 b2"):
    return [m.group(1) for m in re.finditer(r"(\\d)", text)]
""",
    "reading JSON by a constant path": """
def f():
    with open("data.json") as file:
        return json.load(file)
""",
    "reading CSV by a parameter's path": """
def f(path="data.csv"):
    rows = []
    with open(path, newline="") as file:
        for row in csv.DictReader(file):
            rows.append({"name": row["name"], "n": float(row["n"])})
    return rows
""",
    "reading text through pathlib": """
def f():
    return Path("data.txt").read_text().splitlines()
""",
    "a seeded generator of numpy": """
def f(seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=3).sum()
""",
    "a seeded generator of random": """
def f():
    r = random.Random(0)
    return [r.random() for _ in range(3)]
""",
    "arrays": """
def f(n=100):
    x = np.linspace(0, 1, n)
    y = np.sin(x) * 2 + 1
    y[0] = 0
    y += 1
    return x, y.reshape(10, 10).mean(axis=0)
""",
    "matrix algebra": """
def f():
    a = np.eye(3)
    b = a @ a.T
    return np.linalg.inv(b).sum()
""",
    "a table made, changed, grouped": """
def f():
    df = pd.DataFrame({"a": [1, 2], "b": [3, 4]})
    df["c"] = df["a"] + df["b"]
    df = df[df["c"] > 4]
    return df.groupby("a").sum().reset_index()
""",
    "reading a table": """
def f(path="data.csv"):
    df = pd.read_csv(path)
    df = df.dropna().rename(columns={"x": "y"})
    return df.describe()
""",
    "a model fitted": """
from sklearn.linear_model import LogisticRegression
from sklearn.datasets import load_iris
def f(C=1.0):
    X, y = load_iris(return_X_y=True)
    model = LogisticRegression(C=C)
    model.fit(X, y)
    return model
""",
    "a dictionary of models compared": """
from sklearn.linear_model import LogisticRegression
from sklearn.tree import DecisionTreeClassifier
from sklearn.model_selection import train_test_split
from sklearn.datasets import load_iris
def f():
    X, y = load_iris(return_X_y=True)
    X1, X2, y1, y2 = train_test_split(X, y, random_state=0)
    scores = {}
    for name, model in {"a": LogisticRegression(), "b": DecisionTreeClassifier(random_state=0)}.items():
        model.fit(X1, y1)
        scores[name] = model.score(X2, y2)
    return scores
""",
    "recursion": """
def fib(n):
    return n if n < 2 else fib(n - 1) + fib(n - 2)
def f():
    return fib(10)
""",
    "recursion that builds a tree": """
def tree(depth):
    if depth == 0:
        return None
    return {"left": tree(depth - 1), "right": tree(depth - 1)}
def f():
    return tree(4)
""",
    "mutual recursion": """
def even(n):
    return True if n == 0 else odd(n - 1)
def odd(n):
    return False if n == 0 else even(n - 1)
def f():
    return even(10)
""",
    "a class with state of its own": """
class Account:
    def __init__(self, owner):
        self.owner = owner
        self.entries = []
    def add(self, amount):
        self.entries.append(amount)
        return self
    @property
    def balance(self):
        return sum(self.entries)
def f():
    account = Account("x")
    account.add(1).add(2)
    return account.balance
""",
    "a dataclass": """
@dataclass
class Point:
    x: float
    y: float = 0.0
    tags: list = field(default_factory=list)
def f():
    p = Point(1.0)
    p.tags.append("a")
    return p
""",
    "an enumeration": """
from enum import Enum
class Color(Enum):
    RED = 1
    BLUE = 2
def f():
    return [c.name for c in Color if c is not Color.RED]
""",
    "a named tuple": """
Point = collections.namedtuple("Point", "x y")
def f():
    p = Point(1, [2])
    p.y.append(3)
    return p.x + len(p.y)
""",
    "inheritance and super": """
class Base:
    def __init__(self):
        self.seen = []
    def note(self, x):
        self.seen.append(x)
class Derived(Base):
    def __init__(self):
        super().__init__()
        self.more = {}
    def note(self, x):
        super().note(x)
        self.more[x] = 1
def f():
    d = Derived()
    d.note(1)
    return d.seen, d.more
""",
    "operators of a class": """
class Vector:
    def __init__(self, x):
        self.x = x
    def __add__(self, other):
        return Vector(self.x + other.x)
    def __eq__(self, other):
        return self.x == other.x
def f():
    return (Vector(1) + Vector(2)).x
""",
    "a closure": """
def f():
    seen = []
    def note(x):
        seen.append(x)
        return len(seen)
    return [note(x) for x in (1, 2)]
""",
    "a counter made of a closure": """
def counter():
    n = 0
    def step():
        nonlocal n
        n += 1
        return n
    return step
def f():
    step = counter()
    step()
    return step()
""",
    "a generator used up inside": """
def numbers(n):
    for i in range(n):
        yield i * i
def f():
    return sum(numbers(4))
""",
    "generator expressions and itertools": """
def f(xs=(1, 2, 3)):
    pairs = itertools.product(xs, xs)
    return sum(a * b for a, b in pairs) + sum(1 for _ in itertools.count() if False)
""",
    "map, filter and zip": """
def f(xs=(1, 2, 3)):
    return list(map(str, filter(lambda x: x > 1, xs))), dict(zip(xs, "abc"))
""",
    "reduce and partial": """
def add(a, b):
    return a + b
def f():
    return functools.reduce(add, [1, 2]) + functools.partial(add, 1)(2)
""",
    "a decorated function": """
def logged(function):
    @functools.wraps(function)
    def inner(*args, **kwargs):
        print("calling")
        return function(*args, **kwargs)
    return inner
@logged
def work(x, y=1):
    return x + y
def f():
    return work(1, y=2)
""",
    "a context manager of its own": """
from contextlib import contextmanager
@contextmanager
def timed(name):
    start = time.perf_counter()
    yield
    print(name, time.perf_counter() - start)
def f():
    with timed("x"):
        return 1
""",
    "a class as a context manager": """
class Timer:
    def __enter__(self):
        self.start = time.time()
        return self
    def __exit__(self, *exc):
        self.seconds = time.time() - self.start
def f():
    with Timer() as t:
        x = 1
    return x
""",
    "try, raise and else": """
def f(x="1"):
    try:
        n = int(x)
    except ValueError as error:
        raise SystemExit(f"not a number: {error}")
    else:
        return n
    finally:
        print("done")
""",
    "match": """
def f(shape=("circle", 2)):
    match shape:
        case ("circle", r):
            return math.pi * r ** 2
        case ("square", a):
            return a * a
        case _:
            return None
""",
    "a copy of a global, changed": """
DEFAULTS = {"a": 1}
def f():
    options = dict(DEFAULTS)
    options["b"] = 2
    return options
""",
    "reads an environment variable": """
def f():
    return os.environ.get("HOME", "") + os.getenv("USER", "")
""",
    "string formatting": """
def f(x=1.5):
    return f"{x:.2f} {x!r}" + "%s %d" % ("a", 2) + "{}".format(x) + ",".join(["a", "b"])
""",
    "unpacking and star arguments": """
def g(a, *rest, k=1, **more):
    return a, rest, k, more
def f():
    first, *others = [1, 2, 3]
    return g(first, *others, k=2, **{"z": 1})
""",
    "a while loop with break": """
def f(n=27):
    steps = 0
    while True:
        if n == 1:
            break
        n = n // 2 if n % 2 == 0 else 3 * n + 1
        steps += 1
    return steps
""",
    "sets and comprehension": """
def f(xs=(1, 2)):
    seen = set()
    for x in xs:
        seen.add(x)
    seen |= {3}
    return {x: [y for y in seen if y > x] for x in seen}
""",
    "deep copies": """
STATE = {"a": [1]}
def f():
    mine = copy.deepcopy(STATE)
    mine["a"].append(2)
    return mine
""",
}


@pytest.mark.parametrize("name", FREE, ids=lambda n: n.replace(" ", "-"))
def test_is_proved_independent(name: str) -> None:
    assert ties_of(FREE[name]) == []


GIVEN = {
    "reads a list": ("def f(xs):\n    return sum(xs)", "xs = [1, 2]\nr = f(xs)"),
    "copies a list": ("def f(xs):\n    ys = list(xs)\n    ys.append(1)\n    return ys", "xs = [1, 2]\nr = f(xs)"),
    "new rows of old scalars": (
        "def f(rows):\n    return [{'n': r['n'] + 1} for r in rows]",
        "rows = [{'n': 1}, {'n': 2}]\nr = f(rows)",
    ),
    "arithmetic on an array": ("def f(x):\n    return (x - x.mean()) / x.std()", "x = np.ones(3)\nr = f(x)"),
    "a table, changed in a copy": (
        "def f(df):\n    df = df.copy()\n    df['z'] = 1\n    return df",
        "df = pd.DataFrame({'a': [1]})\nr = f(df)",
    ),
    "a table, with assign": (
        "def f(df):\n    return df.assign(z=1).sort_values('z').head()",
        "df = pd.DataFrame({'a': [1]})\nr = f(df)",
    ),
    "predicts with a model": (
        "def f(m, X):\n    return m.predict(X)",
        "from sklearn.linear_model import LinearRegression\nX = np.ones((3, 2))\n"
        "m = LinearRegression()\nm.fit(X, X[:, 0])\nr = f(m, X)",
    ),
    "an instance, read": (
        "class A:\n    def __init__(self):\n        self.xs = [1]\ndef f(a):\n    return len(a.xs)",
        "a = A()\nr = f(a)",
    ),
    "a function passed, called": (
        "def f(g, x):\n    return g(x)",
        "r = f(lambda x: x + 1, 2)",
    ),
}


@pytest.mark.parametrize("name", GIVEN, ids=lambda n: n.replace(" ", "-"))
def test_leaves_its_arguments_alone(name: str) -> None:
    assert ties_of(*GIVEN[name]) == []
