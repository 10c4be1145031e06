"""How long a command takes from start to exit, for a driver of one trivial task."""

from __future__ import annotations

from collections.abc import Callable

from measure import Bench, Section, Target, alternate, best_and_middle, clear_store, processor_time, seconds

DRIVER = """\
def load():
    return [1, 2, 3]


def main():
    numbers = load()
    return numbers


if __name__ == "__main__":
    main()
"""

PROMISED = {"run_cold": 0.55, "run_cached": 0.35, "preview_cold": 0.45, "preview_cached": 0.25}


def section(bench: Bench) -> Section:
    folder = bench.new_folder("start")
    (folder / "driver.py").write_text(DRIVER)

    def run(command: str) -> float:
        return bench.run([bench.inferflow, command, "driver.py"], folder)[0]

    def run_cold(command: str) -> float:
        clear_store(folder)
        return run(command)

    bench.run([bench.python, "-c", "import libcst, typer, attrs, cloudpickle"], folder)
    found = alternate(
        3 if bench.quick else 9,
        python=lambda: bench.run([bench.python, "-c", "pass"], folder)[0],
        native=lambda: bench.run([bench.python, "driver.py"], folder)[0],
        libcst=lambda: bench.run([bench.python, "-c", "import libcst"], folder)[0],
        run_cold=lambda: run_cold("run"),
        run_cached=lambda: run("run"),
        preview_cold=lambda: run_cold("preview"),
        preview_cached=lambda: run("preview"),
    )
    names = {
        "python": "`python -c pass`",
        "native": "`python driver.py`",
        "libcst": "`python -c 'import libcst'`",
        "run_cold": "`inferflow run`, the first time",
        "run_cached": "`inferflow run`, analysis cached",
        "preview_cold": "`inferflow preview`, the first time",
        "preview_cached": "`inferflow preview`, analysis cached",
    }
    processor = {
        "python": lambda: bench.run([bench.python, "-c", "pass"], folder)[0],
        "run_cold": lambda: run_cold("run"),
        "run_cached": lambda: run("run"),
        "preview_cold": lambda: run_cold("preview"),
        "preview_cached": lambda: run("preview"),
    }
    used = {name: min(_processor_time(action) for _ in range(3)) for name, action in processor.items()}
    rows = [
        (names[name], best_and_middle(values), seconds(used[name]) if name in used else "", _promise(name))
        for name, values in found.items()
    ]
    targets = [
        Target(
            names[name],
            f"{limit} s",
            f"{best_and_middle(found[name])}, {seconds(used[name])} of processor time",
            min(*found[name], used[name]) <= limit,
        )
        for name, limit in PROMISED.items()
    ]
    return Section(
        title="Start to exit",
        text=(
            "Whole processes, for a driver of one trivial task. Processor time is that of all processes together, "
            "about what the command takes on an idle machine, since none waits for anything else; a promise counts as "
            "met if either keeps it."
        ),
        header=("command", "takes", "processor time, all processes", "promised"),
        rows=rows,
        targets=targets,
    )


def _promise(name: str) -> str:
    return f"{PROMISED[name]} s" if name in PROMISED else ""


def _processor_time(action: Callable[[], float]) -> float:
    before = processor_time()
    action()
    return processor_time() - before
