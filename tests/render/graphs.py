"""Graphs built by hand, as the analysis would give them, for pictures to be drawn of.

    graph = build("flow.py", '''
    X, Y = load()               # load -> X Y
    m = fit(X, Y, C=1.0)        # fit X Y -> m
    ''')

A line's trailing comment tells its task: name, what it takes, ``->``, what it gives. ``~X`` after the arrow: changed in
place; ``!text`` (to the end): at home, because of that. Lines without such a comment are no tasks.
"""

from __future__ import annotations

import textwrap

from attrs import evolve

from inferflow.analysis import analyze
from inferflow.model import (
    Anchor,
    Block,
    Cell,
    Diagnostic,
    Edge,
    File,
    Hidden,
    Input,
    Object,
    Output,
    Parameter,
    Reason,
    Severity,
    Source,
    Span,
    Task,
    TaskGraph,
    Variable,
    World,
)


def build(target: str, text: str, **more: object) -> TaskGraph:
    path = target.split(":")[0]
    entry = target.split(":")[1] if ":" in target else str(more.pop("entry", ""))
    scope = "<driver>" if entry else "__main__"
    tasks: list[Task] = []
    edges: list[Edge] = []
    maker: dict[str, int] = {}
    seen: dict[str, int] = {}
    for number, raw in enumerate(text.splitlines(), 1):
        source, _, spec = raw.partition("  # ")
        if not spec or "->" not in spec:
            continue
        spec, _, home = spec.partition("!")
        left, _, right = spec.partition("->")
        name, *takes = left.split()
        seen[name] = seen.get(name, 0) + 1
        column = len(source) - len(source.lstrip())
        span = Span(path, number, column, number, len(source.rstrip()))
        index = len(tasks)
        inputs = tuple(Input(Variable(scope, v), maker.get(v, -1), i, span) for i, v in enumerate(takes))
        outputs = tuple(
            Output(Variable(scope, v.lstrip("~")), change="changed" if v.startswith("~") else "bound")
            for v in right.split()
        )
        needs = {i.producer for i in inputs} - {-1}
        for item in inputs:
            if item.producer >= 0:
                why = Reason(f"{name} reads '{item.variable}', which {tasks[item.producer].name} bound", span)
                edges.append(Edge(item.producer, index, "flow", item.variable, (why,)))
        tasks.append(
            Task(
                key=(name, seen[name]),
                kind="call",
                span=span,
                source=source.strip(),
                anchor=Anchor(0, index, index),
                callees=(f"__main__:{name}",),
                inputs=inputs,
                outputs=outputs,
                home=(Reason(home.strip(), span),) if home else (),
                needs=tuple(sorted(needs)),
            )
        )
        for item in outputs:
            maker[item.variable.name] = index
    head = next((n for n, line in enumerate(text.splitlines(), 1) if entry and line.startswith(f"def {entry}(")), 1)
    block = Block("function" if entry else "module", entry, scope, Span(path, head, 0, len(text.splitlines()), 0))
    graph = TaskGraph(target, "__main__", entry, path, (block,), tuple(tasks), tuple(edges))
    return evolve(graph, **more)  # type: ignore[arg-type]


def note(
    code: str, line: int, message: str, hint: str = "", severity: Severity = Severity.NOTE, path: str = ""
) -> Diagnostic:
    return Diagnostic(Span(path, line), code, message, severity, hint)


IRIS_TEXT = textwrap.dedent(
    '''\
    """Which flowers are virginica?"""

    import matplotlib.pyplot as plt
    import numpy as np
    from sklearn import datasets
    from sklearn.linear_model import LogisticRegression


    def load_data():
        iris = datasets.load_iris()
        return iris.data[:, :2], iris.target


    def model_fit(X, Y, C=1e5):
        return LogisticRegression(C=C).fit(X, Y)


    def generate_plots(X, Y, logreg):
        plt.scatter(X[:, 0], X[:, 1], c=Y)
        plt.savefig("iris_logistic.png")


    def main():
        # The data, then the model.
        X, Y = load_data()  # load_data -> X Y
        logreg = model_fit(X, Y, C=1.0)  # model_fit X Y -> logreg
        generate_plots(X, Y, logreg)  # generate_plots X Y logreg -> !generate_plots draws on matplotlib.pyplot
        return logreg


    if __name__ == "__main__":
        main()
    '''
)


def _plain(text: str) -> str:
    return "\n".join(line.partition("  # ")[0] if "->" in line else line for line in text.splitlines()) + "\n"


def iris() -> tuple[TaskGraph, str]:
    graph = build("iris/driver.py", IRIS_TEXT, entry="main", returns=("logreg",))
    fit, plot = graph.tasks[1:]
    span = Span("iris/driver.py", 20, 4, 20, 38)
    reasons = (
        Reason("generate_plots draws on matplotlib.pyplot: plt.scatter", Span("iris/driver.py", 19, 4)),
        Reason("generate_plots writes the file iris_logistic.png", span),
    )
    from inferflow.model import Effect

    effects = (
        Effect("write", Hidden("matplotlib.pyplot"), reasons[0]),
        Effect("write", File("iris_logistic.png"), reasons[1]),
    )
    plot = evolve(plot, home=reasons, effects=effects)
    return evolve(graph, tasks=(graph.tasks[0], fit, plot)), _plain(IRIS_TEXT)


COMPARISON_TEXT = """\
from models import fit_forest, fit_logistic, fit_svm, score
from data import load, split

def main(path: str, seed: int = 0, folds=5):
    df = load(path, na_values=["", "?"])  # load path -> df
    train, test = split(df, test_size=0.25, seed=seed)  # split df seed -> train test
    logistic = fit_logistic(train, C=1.0)  # fit_logistic train -> logistic
    forest = fit_forest(train, n_estimators=300, max_depth=8, min_samples_leaf=4)  # fit_forest train -> forest
    svm = fit_svm(train, kernel="rbf", gamma="scale")  # fit_svm train -> svm
    scores = {}
    scores["logistic"] = score(logistic, test)  # score logistic test -> ~scores
    scores["forest"] = score(forest, test)  # score forest test scores -> ~scores
    scores["svm"] = score(svm, test)  # score svm test scores -> ~scores
    table = report(scores, title="Which model is best?")  # report scores -> table
    print(table)  # print table -> !print writes to stdout
    return table, forest
"""


def comparison() -> tuple[TaskGraph, str]:
    graph = build(
        "compare/driver.py:main",
        COMPARISON_TEXT,
        parameters=(
            Parameter("path", annotation="str"),
            Parameter("seed", annotation="int", default="0"),
            Parameter("folds", default="5"),
        ),
        returns=("table", "forest"),
    )
    return graph, _plain(COMPARISON_TEXT)


OPAQUE_TEXT = """\
import random
random.seed(7)  # seed -> !seeds random
cfg = settings.read("app.toml")  # read -> cfg !unknown call settings.read may do anything
rows = []
for name in cfg.files:  # for cfg rows -> ~rows name !a loop is one task
    rows.append(parse(name))
weights = draw(len(rows))  # draw rows -> weights !draws from random
best = evaluate(train(rows, weights, C=1.0))  # train rows weights -> model
save(best, "out/best.json")  # save best -> !writes a file
exec(cfg.hook)  # exec cfg -> best !exec may bind any name
"""


def opaque() -> tuple[TaskGraph, str]:
    """Opaque regions, an expression task, order edges, assumptions, diagnostics of all kinds."""
    path = "flow.py"
    graph = build(path, OPAQUE_TEXT)
    tasks = list(graph.tasks)
    train = tasks[4]
    value = Variable("<value>", "train")
    inner_span = Span(path, 8, 16, 8, 43)
    tasks[4] = evolve(
        train,
        source="train(rows, weights, C=1.0)",
        span=inner_span,
        anchor=Anchor(0, 5, 5, inner_span),
        value=value,
        outputs=(Output(value),),
    )
    evaluate = Task(
        key=("evaluate", 1),
        kind="call",
        span=Span(path, 8, 0, 8, 44),
        source="best = evaluate(train(rows, weights, C=1.0))",
        anchor=Anchor(0, 5, 5),
        inputs=(Input(value, 4, 0, inner_span),),
        outputs=(Output(Variable("__main__", "best")),),
        inner=(4,),
        needs=(4,),
    )
    save, hook = tasks[5], tasks[6]
    save = evolve(save, inputs=(evolve(save.inputs[0], producer=5),), needs=(5,))
    tasks[5:] = [evaluate, save, hook]
    tasks[2] = evolve(tasks[2], kind="opaque", source="for name in cfg.files:\n    rows.append(parse(name))")
    edges = [edge for edge in graph.edges if edge.source < 4 and edge.target <= 4]
    edges.append(Edge(4, 5, "flow", value, (Reason("evaluate takes the result of train", inner_span),)))
    edges.append(Edge(5, 6, "flow", Variable("__main__", "best"), (Reason("save reads 'best'", save.span),)))
    edges.append(Edge(1, 7, "flow", Variable("__main__", "cfg"), (Reason("exec reads 'cfg'", hook.span),)))
    edges.append(Edge(0, 3, "order", Hidden("random"), (Reason("draw calls random.random", Span("lib.py", 30)),)))
    edges.append(Edge(1, 2, "order", World("anything"), (Reason("settings.read is not known", tasks[1].span),), True))
    edges += [
        Edge(i, 7, "order", World("anything"), (Reason("exec may do anything", hook.span),), True) for i in range(7)
    ]
    edges.append(Edge(2, 3, "flow", Object("rows"), (Reason("draw may change rows", Span("lib.py", 31)),), True))
    diagnostics = (
        note("IF203", 5, "the loop runs as one task: its body appends to 'rows'", path=path),
        note(
            "IF301",
            3,
            "settings.read is not known: it may do anything, so it stays in order",
            "say what it does in [tool.inferflow.effects]",
            path=path,
        ),
        note("IF301", 10, "exec is not known: it may do anything, so it stays in order", path=path),
        note("IF310", 7, "random is drawn from", path=path),
        note("IF310", 30, "random is drawn from", path="lib.py"),
        note("IF190", 10, "exec rebinds names", severity=Severity.WARNING, path=path),
    )
    return evolve(
        graph,
        tasks=tuple(tasks),
        edges=tuple(sorted(edges, key=lambda e: (e.source, e.target, e.kind, str(e.place)))),
        diagnostics=diagnostics,
    ), _plain(OPAQUE_TEXT)


def odd() -> tuple[TaskGraph, str]:
    """Names and texts that are hard on every format: quotes, markup, wide characters, escapes, long words."""
    lines = [
        "größe = messe('Straße <b>&amp;</b>')  # messe -> größe",
        '表 = 読む("データ.csv", sep="|")  # 読む -> 表',
        "x = f('''a\"b`c{d}]#;%''', r'\\n', \"\x1b[31mred\")  # f größe 表 -> x",
        f"y = g({'very_long_argument_name_' * 12}x)  # g x -> y",
        "end = graph(y, subgraph=x, end='end')  # end x y -> end !because of \"quotes\" & <tags>",
    ]
    text = "\n".join(lines) + "\n"
    return build("straße/表.py", text), _plain(text)


def wide(count: int = 200) -> tuple[TaskGraph, str]:
    """A fan-out of ``count - 2`` alike tasks, and one that takes them all."""
    lines = ["data = load('in.csv')  # load -> data"]
    names = [f"s{i}" for i in range(count - 2)]
    lines += [f"{name} = score(data, seed={i})  # score data -> {name}" for i, name in enumerate(names)]
    lines.append(f"total = combine([{', '.join(names)}])  # combine {' '.join(names)} -> total")
    text = "\n".join(lines) + "\n"
    return build("fan.py", text), _plain(text)


def long(count: int = 200) -> tuple[TaskGraph, str]:
    """A mixed driver of ``count`` tasks: stages that clean, fit and report on one of several tables."""
    lines = []
    for i in range(count):
        source = f"t{max(0, i - 1 - i % 7)}"
        match i % 5:
            case 0 if i < 5:
                lines.append(f"t{i} = read_table('part-{i}.csv')  # read_table -> t{i}")
            case 1:
                lines.append(f"t{i} = clean({source}, drop=['id'])  # clean {source} -> t{i}")
            case 2:
                lines.append(f"t{i} = join({source}, t{i - 1}, on='key')  # join {source} t{i - 1} -> t{i}")
            case 3:
                lines.append(f"t{i} = model_fit(t{i - 1}, C={i / 10})  # model_fit t{i - 1} -> t{i}")
            case 4:
                lines.append(
                    f"t{i} = report(t{i - 1}, 'r{i}.html')  # report t{i - 1} -> t{i} !report writes r{i}.html"
                )
            case _:
                lines.append(f"t{i} = aggregate({source}, by='day')  # aggregate {source} -> t{i}")
    text = "\n".join(lines) + "\n"
    return build("long.py", text), _plain(text)


def empty() -> tuple[TaskGraph, str]:
    return build("nothing.py", "x = 1\n"), "x = 1\n"


def celled() -> tuple[TaskGraph, str]:
    """A script with cells."""
    text = textwrap.dedent(
        """\
        # %% [markdown]
        # # Read <it>
        # %%
        import pandas as pd
        from steps import clean, load

        df = load("a.csv")  # load -> df
        tidy = clean(df)  # clean df -> tidy
        # %% Draw
        plot(tidy)  # plot tidy -> !it draws
        # %%
        save(df, tidy)  # save df tidy -> !it writes files
        """
    )
    cells = (Cell(2, 4, 5, 4, title="Read <it>"), Cell(3, 10, 1, 1, title="Draw"), Cell(4, 12, 2, 1))
    return build("cells.py", text, cells=cells), text


def celled_notebook() -> tuple[TaskGraph, str]:
    """A notebook: its places are lines of cells."""
    graph, text = celled()
    lines = [f"# %% [{cell.number}] {cell.title}".rstrip() for cell in graph.cells]
    shown = text.split("\n")
    moved = []
    for cell, line in zip(graph.cells, lines, strict=True):
        shown[cell.line - 2] = line
    for task in graph.tasks:
        cell = next(c for c in reversed(graph.cells) if c.line <= task.span.line)
        line = task.span.line - cell.line + 1
        span = evolve(task.span, path=f"a.ipynb[{cell.number}]", line=line, end_line=line)
        moved.append(evolve(task, span=span))
    block = evolve(graph.blocks[0], span=evolve(graph.blocks[0].span, path="a.ipynb"))
    made = evolve(graph, target="a.ipynb", path="a.ipynb", tasks=tuple(moved), blocks=(block,))
    return made, "\n".join(["", "", *shown[2:]])


NESTED_TEXT = """\
import contextlib
def load(p):
    for i in p: pass
    return [p]
def score(t, k):
    for i in t: pass
    return len(t) * k
def report(x): print(x)
def train(paths, k):
    '''Put it together.'''
    tables = [load(p) for p in paths]
    best = 0
    for t in tables:
        s = score(t, k)
        if s > best:
            best = s
    return best
def check(paths):
    a = load(paths[0])
    b = load(paths[1])
    return score(a, 1) + score(b, 2)
def main(paths=("a", "b"), k=2):
    out = []
    for path in paths:
        table = load(path)
        out.append(score(table, k))
    while k < 4:
        k = score(out, k)
    with contextlib.suppress(ValueError):
        x = load("x")
        y = load("y")
    try:
        z = load("z")
    except ValueError:
        z = None
    finally:
        report(z)
    if k > 3:
        best = train(paths, k)
    else:
        best = check(paths)
    last = check(paths)
    match best:
        case 0:
            report(0)
        case _:
            report(best)
            scores = {p: score(load(p), k) for p in paths}
    return best, scores
main()
"""


def nested() -> tuple[TaskGraph, str]:
    """Loops, branches, ``try``, ``with``, ``match``, comprehensions, and functions that are opened, inside each other."""
    source = Source("__main__", "nested.py", "/project/nested.py", NESTED_TEXT)
    graph, _ = analyze(source, lambda name: None, "nested.py")
    assert graph is not None
    return graph, NESTED_TEXT
