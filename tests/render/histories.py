"""Runs built by hand, as they fold from events, for pictures to be drawn of."""

from __future__ import annotations

from attrs import evolve

from inferflow.model import (
    Artifact,
    Attempt,
    Certificate,
    CodeIdentity,
    Environment,
    FileUse,
    Run,
    RunFinished,
    RunStarted,
    StoredValue,
    TaskFailed,
    WorkerLost,
    WorkerStarted,
)

START = 1_763_841_600.0
"""A moment in UTC; the tests set TZ."""

STARTED = RunStarted(
    run="20251122-200000-k3f9",
    time=START,
    target="iris/driver.py",
    folder="/home/ada/flowers",
    arguments=("--fast", "-v"),
    parameters=(("C", "1.0"), ("path", "'iris.csv'")),
    graph="aa" * 32,
    backend="process",
    jobs=2,
    version="0.1.0",
    pid=4711,
    boot="x",
    code=CodeIdentity(
        "4f0d29c1ab77", "main", ("iris/driver.py", "notes.txt"), "9e" * 32, (("__main__:load_data", "0a"),)
    ),
    environment=Environment(
        "3.11.4",
        "cpython",
        "Linux-6.1.0-x86_64",
        "box",
        "ada",
        2,
        "/usr/bin/python3",
        (("numpy", "2.1.0"), ("scikit-learn", "1.5.2")),
        (("PYTHONHASHSEED", "0"), ("OMP_NUM_THREADS", "1")),
    ),
)


def value(name: str, kind: str, summary: str, kept: bool = True, why: str = "") -> StoredValue:
    return StoredValue(name, kind, summary, Artifact("4b" * 32, 2400) if kept else None, 0, True, why)


def good() -> Run:
    attempts = (
        Attempt(
            0, 1, "home", "home", "retired", START + 0.5, 0.0384, 0.036, 88_000_000,
            values=(value("X", "numpy.ndarray", "ndarray float64 (150, 2)"), value("Y", "numpy.ndarray", "ndarray int64 (150,)")),
            stdout="loaded 150 flowers\n",
        ),
        Attempt(
            1, 1, "ahead", "helper-1", "dropped", START + 0.6, 0.01, why="its input 'X' was changed by load_data",
        ),
        Attempt(
            1, 2, "home", "home", "retired", START + 0.7, 1.23456, 1.2, 131_000_000,
            values=(value("logreg", "sklearn.linear_model._logistic.LogisticRegression", "LogisticRegression(C=1.0)"),),
            stderr="fit:  10%\rfit:  60%\rfit: 100%\nConvergenceWarning: lbfgs did not converge\n",
        ),
        Attempt(
            2, 1, "home", "home", "retired", START + 2.0, 0.41, 0.4, 140_000_000,
            values=(value("fig", "matplotlib.figure.Figure", "Figure", kept=False, why="it is drawn on at home"),),
            files=(FileUse("iris.csv", "read", "cd" * 32, 4600), FileUse("iris_logistic.png", "write", "ab" * 32, 24_600)),
        ),
    )  # fmt: skip
    finished = RunFinished(
        START + 2.5,
        "ok",
        0,
        Certificate(
            3,
            0,
            1,
            1,
            ("plt.savefig is assumed to write only its file", "fig cannot leave home", "fig cannot leave home"),
        ),
        (value("return", "LogisticRegression", "LogisticRegression(C=1.0)"),),
        stderr="bye\n",
    )
    return Run(
        "20251122-200000-k3f9", STARTED, "ok", attempts, (WorkerStarted(START, "home", "home", 4712),), (), finished
    )


TRACEBACK = """\
Traceback (most recent call last):
  File "/home/ada/flowers/iris/driver.py", line 32, in <module>
    main()
  File "/home/ada/flowers/iris/driver.py", line 26, in main
    logreg = model_fit(X, Y, C=1.0)
             ^^^^^^^^^^^^^^^^^^^^^^
  File "/home/ada/flowers/iris/driver.py", line 15, in model_fit
    return LogisticRegression(C=C).fit(X, Y)
           ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/usr/lib/python3/site-packages/sklearn/linear_model/_logistic.py", line 1193, in fit
    raise ValueError(
ValueError: This solver needs samples of at least 2 classes in the data, but the data contains only one class: 0
"""


def failed() -> Run:
    base = good()
    attempt = evolve(
        base.attempts[2],
        status="failed",
        values=(),
        exception="ValueError",
        message="This solver needs samples of at least 2 classes in the data, but the data contains only one class: 0",
        traceback=TRACEBACK,
        stderr="ConvergenceWarning: lbfgs did not converge\n" + TRACEBACK,
        path="iris/driver.py",
        line=15,
    )
    finished = RunFinished(START + 2.1, "failed", 1, Certificate(2, 0, 1, 0))
    return evolve(base, status="failed", attempts=(*base.attempts[:2], attempt), finished=finished)


def crashed() -> Run:
    base = good()
    attempt = evolve(base.attempts[2], status="dropped", values=(), duration=0.0, why="the run ended", stderr="")
    lost = (WorkerLost(START + 2, "home", -9, "SIGKILL", ""),)
    finished = RunFinished(START + 2.1, "crashed", 137, Certificate(1, 0, 1, 0))
    return evolve(base, status="crashed", attempts=(base.attempts[0], attempt), finished=finished, lost=lost)


def killed() -> Run:
    base = good()
    attempt = evolve(base.attempts[2], status="dropped", values=(), duration=0.0, why="the run was killed", stderr="")
    return evolve(base, id="20251121-090000-aa11", status="killed", attempts=(base.attempts[0], attempt), finished=None)


def import_error() -> Run:
    text = "Traceback (most recent call last):\n  File \"/home/ada/flowers/iris/driver.py\", line 3, in <module>\n    import nunpy\nModuleNotFoundError: No module named 'nunpy'\n"
    failure = TaskFailed(
        START, -1, 1, 0.1, "ModuleNotFoundError", "No module named 'nunpy'", text, "iris/driver.py", 3, stderr=text
    )
    base = good()
    finished = RunFinished(START + 0.3, "failed", 1, Certificate())
    return evolve(base, status="failed", attempts=(), finished=finished, driver_failure=failure)


def running() -> Run:
    base = good()
    attempt = evolve(base.attempts[2], status="running", values=(), duration=0.0, stderr="")
    return evolve(base, status="running", attempts=(base.attempts[0], attempt), finished=None)
