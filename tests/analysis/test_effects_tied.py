"""Calls that must stay at home, and the reason that is given: every way in which code reaches out of itself."""

from __future__ import annotations

import pytest
from effects_of import Facts, function, last_line, ties_of

# what the function does, how it is called, and what a reason must say
TIED: dict[str, tuple[str, str, str]] = {
    "appends to an argument": ("def f(xs):\n    xs.append(1)", "xs = []\nr = f(xs)", "xs.append"),
    "sets an item of an argument": ("def f(d):\n    d['k'] = 1", "d = {}\nr = f(d)", "sets an item of 'd'"),
    "deletes an item of an argument": ("def f(d):\n    del d['k']", "d = {'k': 1}\nr = f(d)", "deletes an item of 'd'"),
    "sets an attribute of an argument": (
        "class A: pass\ndef f(a):\n    a.x = 1",
        "a = A()\nr = f(a)",
        "sets 'a.x'",
    ),
    "adds to an array in place": ("def f(x):\n    x += 1", "x = np.ones(3)\nr = f(x)", "changes 'x' in place"),
    "adds to a list in place": ("def f(x):\n    x += [1]", "x = [1]\nr = f(x)", "changes 'x' in place"),
    "writes through a slice": (
        "def f(x):\n    v = x[1:]\n    v[0] = 9",
        "x = np.ones(3)\nr = f(x)",
        "sets an item of 'v'",
    ),
    "writes through a chain of views": (
        "def f(x):\n    x.T.reshape(-1)[0] = 9",
        "x = np.ones((3, 3))\nr = f(x)",
        "sets an item",
    ),
    "writes with out=": ("def f(x):\n    np.add(x, 1, out=x)", "x = np.ones(3)\nr = f(x)", "np.add() changes"),
    "sorts in place": ("def f(x):\n    x.sort()", "x = np.ones(3)\nr = f(x)", "x.sort() changes 'x'"),
    "drops rows in place": (
        "def f(df):\n    df.dropna(inplace=True)",
        "df = pd.DataFrame({'a': [1]})\nr = f(df)",
        "df.dropna() changes 'df'",
    ),
    "adds a column": (
        "def f(df):\n    df['z'] = 1\n    return len(df)",
        "df = pd.DataFrame({'a': [1]})\nr = f(df)",
        "sets an item of 'df'",
    ),
    "fits a model it is given": (
        "def f(m, X):\n    m.fit(X, X[:, 0])",
        "from sklearn.linear_model import LinearRegression\nX = np.ones((3, 2))\nm = LinearRegression()\nr = f(m, X)",
        "m.fit() changes 'm'",
    ),
    "changes something inside an argument": (
        "def f(box):\n    box['k'].append(1)",
        "box = {'k': []}\nr = f(box)",
        "append() changes",
    ),
    "changes an element in a loop": (
        "def f(rows):\n    for row in rows:\n        row['n'] = 1",
        "rows = [{'n': 0}]\nr = f(rows)",
        "sets an item of 'row'",
    ),
    "passes it on to one that changes it": (
        "def g(x):\n    x.append(1)\ndef f(x):\n    g(x)",
        "x = []\nr = f(x)",
        "x.append() changes 'x'",
    ),
    "changes it by a method of a class": (
        "class A:\n    def __init__(self):\n        self.n = 0\n    def step(self):\n        self.n += 1",
        "a = A()\na.step()",
        "sets 'self.n'",
    ),
    "changes it in a property": (
        "class A:\n    def __init__(self):\n        self.n = 0\n    @property\n    def m(self):\n"
        "        self.n += 1\n        return self.n",
        "a = A()\nx = a.m",
        "sets 'self.n'",
    ),
    "changes it in an operator": (
        "class A:\n    def __init__(self):\n        self.n = []\n    def __add__(self, o):\n"
        "        self.n.append(o)\n        return 1",
        "a = A()\nx = a + 1",
        "append() changes",
    ),
    "changes it in __len__": (
        "class A:\n    def __init__(self):\n        self.n = 0\n    def __len__(self):\n"
        "        self.n += 1\n        return 1\ndef f(a):\n    return len(a)",
        "a = A()\nr = f(a)",
        "sets 'self.n'",
    ),
    "changes it in __eq__, when a list is searched": (
        "class A:\n    def __init__(self):\n        self.n = 0\n    def __eq__(self, o):\n"
        "        self.n += 1\n        return True\ndef f(xs):\n    return 3 in xs",
        "xs = [A()]\nr = f(xs)",
        "sets 'self.n'",
    ),
    "changes it in __str__, when printed": (
        "class A:\n    def __init__(self):\n        self.n = 0\n    def __str__(self):\n"
        "        self.n += 1\n        return ''\ndef f(a):\n    print(a)",
        "a = A()\nr = f(a)",
        "sets 'self.n'",
    ),
    "uses up an iterator": ("def f(it):\n    return next(it)", "it = iter([1, 2])\nr = f(it)", "uses up 'it'"),
    "uses up a generator": (
        "def g():\n    yield 1\ndef f(it):\n    return sum(it)",
        "it = g()\nr = f(it)",
        "uses up",
    ),
    "reads from an open file": (
        "def f(file):\n    return file.read()",
        "file = open('x.txt')\nr = f(file)",
        "file.read() changes 'file'",
    ),
    "uses up what zip was given": (
        "def f(z):\n    return list(z)",
        "it = iter([1])\nz = zip(it, 'ab')\nr = f(z)",
        "uses up",
    ),
    "sets a global": ("N = 0\ndef f():\n    global N\n    N = 1", "r = f()", "sets the global 'N'"),
    "appends to a global": ("LOG = []\ndef f():\n    LOG.append(1)", "r = f()", "LOG.append() changes 'LOG'"),
    "appends to a global through an alias": (
        "LOG = []\ndef f():\n    mine = LOG\n    mine.append(1)",
        "r = f()",
        "mine.append() changes 'mine'",
    ),
    "changes a mutable default": (
        "def f(x, acc=[]):\n    acc.append(x)\n    return list(acc)",
        "r = f(1)",
        "acc.append() changes 'acc'",
    ),
    "changes a class attribute": ("class A:\n    n = 0\ndef f():\n    A.n += 1", "r = f()", "sets 'A.n'"),
    "changes a class attribute through self": (
        "class A:\n    items = {}\n    def put(self, k):\n        self.items[k] = 1",
        "r = A().put(1)",
        "sets an item of 'self.items'",
    ),
    "changes a captured variable": (
        "def make():\n    n = 0\n    def step():\n        nonlocal n\n        n += 1\n        return n\n    return step",
        "step = make()\nr = step()",
        "sets 'n'",
    ),
    "changes a captured list": (
        "def make():\n    seen = []\n    def note(x):\n        seen.append(x)\n    return note",
        "note = make()\nr = note(1)",
        "seen.append() changes 'seen'",
    ),
    "sets an attribute of a function": ("def f():\n    f.count = 1", "r = f()", "sets 'f.count'"),
    "draws from random": ("def f():\n    return random.random()", "r = f()", "Python's global random generator"),
    "draws from numpy.random": ("def f():\n    return np.random.rand(3)", "r = f()", "numpy's global random generator"),
    "seeds": ("def f():\n    np.random.seed(0)", "r = f()", "numpy's global random generator"),
    "draws through a library": (
        "from sklearn.model_selection import train_test_split\ndef f():\n    return train_test_split([1, 2, 3])",
        "r = f()",
        "numpy's global random generator",
    ),
    "changes the environment": ("def f():\n    os.environ['A'] = '1'", "r = f()", "environment variables"),
    "changes the working folder": ("def f():\n    os.chdir('..')", "r = f()", "working directory"),
    "changes the module search path": ("def f():\n    sys.path.append('x')", "r = f()", "module search path"),
    "changes an option": ("def f():\n    pd.set_option('display.width', 3)", "r = f()", "pandas options"),
    "plots": (
        "import matplotlib.pyplot as plt\ndef f():\n    plt.plot([1])",
        "r = f()",
        "current figure",
    ),
    "writes a file": ("def f():\n    with open('x', 'w') as h:\n        h.write('1')", "r = f()", "writes 'x'"),
    "appends to a file": ("def f():\n    open('x', mode='a').write('1')", "r = f()", "appends to 'x'"),
    "writes a file by a mode that is not known": (
        "def f(mode):\n    open('x', mode)",
        "r = f(input)",
        "'x'",
    ),
    "writes by pathlib": ("def f():\n    Path('x').write_text('1')", "r = f()", "writes 'x'"),
    "writes a table": (
        "def f(df):\n    df.to_csv('x.csv')",
        "df = pd.DataFrame({'a': [1]})\nr = f(df)",
        "writes 'x.csv'",
    ),
    "removes a file": ("def f():\n    os.remove('x')", "r = f()", "removes 'x'"),
    "runs a command": ("import subprocess\ndef f():\n    subprocess.run(['ls'])", "r = f()", "outside world"),
    "reads stdin": ("def f():\n    return input()", "r = f()", "stdin"),
    "starts a thread": (
        "import threading\ndef f():\n    threading.Thread(target=print).start()",
        "r = f()",
        "",
    ),
    "calls what is not known": (
        "import nothing_known\ndef f():\n    return nothing_known.g()",
        "r = f()",
        "nothing is known",
    ),
    "calls a method of what is not known": (
        "def f(x):\n    return x.frobnicate()",
        "import nothing_known\nx = nothing_known.X\nr = f(x)",
        "nothing is known",
    ),
    "runs text": ("def f():\n    exec('x = 1')", "r = f()", "runs code from a string"),
    "keeps results in a cache": ("@functools.lru_cache\ndef f(x):\n    return [x]", "r = f(1)", "cache"),
    "gives back its argument": ("def f(x):\n    return x", "x = [1]\nr = f(x)", "shares parts with 'x'"),
    "gives back a part of its argument": ("def f(x):\n    return x['k']", "x = {'k': [1]}\nr = f(x)", "shares parts"),
    "gives back a view": ("def f(x):\n    return x[1:]", "x = np.ones(3)\nr = f(x)", "shares parts with 'x'"),
    "wraps its argument": ("def f(x):\n    return [x]", "x = [1]\nr = f(x)", "shares parts with 'x'"),
    "sorts elements into a new list": (
        "def f(rows):\n    return sorted(rows, key=len)",
        "rows = [[1], [2, 3]]\nr = f(rows)",
        "shares parts",
    ),
    "gives back a global": ("TABLE = {}\ndef f():\n    return TABLE", "r = f()", "shares parts with 'TABLE'"),
    "keeps its argument in a global": (
        "SEEN = []\ndef f(x):\n    SEEN.append(x)",
        "x = [1]\nr = f(x)",
        "SEEN.append() changes 'SEEN'",
    ),
    "keeps one argument in another": (
        "def f(a, b):\n    a['b'] = b",
        "a = {}\nb = []\nr = f(a, b)",
        "sets an item of 'a'",
    ),
    "gives back a generator": ("def f():\n    yield 1", "r = f()", "generator"),
    "calls back a function that changes a global": (
        "SEEN = []\ndef note(x):\n    SEEN.append(x)\n    return x\ndef f(xs):\n    return sorted(xs, key=note)",
        "r = f([3, 1])",
        "SEEN.append() changes",
    ),
    "calls back later, through map": (
        "SEEN = []\ndef note(x):\n    SEEN.append(x)\ndef f(m):\n    return list(m)",
        "m = map(note, [1])\nr = f(m)",
        "SEEN.append() changes",
    ),
    "applies a function to a table's rows": (
        "SEEN = []\ndef note(row):\n    SEEN.append(row)\n    return 1\ndef f(df):\n    return df.apply(note, axis=1)",
        "df = pd.DataFrame({'a': [1]})\nr = f(df)",
        "SEEN.append() changes",
    ),
    "sets an attribute by a name that is not known": (
        "class A: pass\ndef f(a, name):\n    setattr(a, name, 1)",
        "a = A()\nr = f(a, input())",
        "sets an attribute by name",
    ),
    "monkey-patches a library": ("def f():\n    math.sin = len", "r = f()", "monkey-patches math.sin"),
    "gets a function by name": (
        "LOG = []\nclass A:\n    def go(self):\n        LOG.append(1)\ndef f(a, name):\n    getattr(a, name)()",
        "a = A()\nr = f(a, input())",
        "LOG.append() changes",
    ),
    "changes the other name of an argument": (
        "def f(a, b):\n    a.append([])\n    b[0].append(1)",
        "a = []\nr = f(a, a)",
        "changes",
    ),
}


@pytest.mark.parametrize("name", TIED, ids=lambda n: n.replace(" ", "-"))
def test_stays_at_home(name: str) -> None:
    body, call, reason = TIED[name]
    ties = ties_of(body, call)
    assert any(reason in text for text in ties), ties


def test_what_is_patched_anywhere_ties_everything() -> None:
    text = function("def g(): return 1\ndef f():\n    math.sin = len", "a = g()\nr = f()\nb = g()")
    facts = Facts(text)
    for line in (last_line(text) - 2, last_line(text)):
        assert any("monkey-patches math.sin" in reason for reason in facts.ties(line))
    assert [d.code for d in facts.effects.diagnostics] == ["IF310"]


def test_a_nested_change_of_what_an_argument_shares_with_another_is_seen() -> None:
    facts = Facts("def f(a, b):\n    a.append(b)\n    a[0].append(1)\na = []\nb = []\nr = f(a, b)\n")
    assert {"object a", "object b"} <= facts.writes(6)


def test_a_change_by_an_alias_is_one_of_the_object() -> None:
    facts = Facts("a = []\nb = a\nbox = [b]\nbox[0].append(1)\nn = len(a)\n")
    assert "object a" in facts.writes(4)
    assert facts.depends(5, 4)


def test_two_calls_that_make_lists_make_different_ones() -> None:
    facts = Facts("def f(): return []\na = f()\nb = f()\na.append(1)\nn = len(b)\n")
    assert not facts.depends(5, 4)


def test_the_items_of_a_returned_tuple_are_told_apart() -> None:
    facts = Facts("def f(): return [1], [2]\na, b = f()\na.append(1)\nn = len(b)\n")
    assert not facts.depends(4, 3)
