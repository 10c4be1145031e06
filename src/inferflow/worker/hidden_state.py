"""Hidden states of the process: what code may depend on without naming it, and a task in a helper must leave as it was.

np.random.seed(0)               changes numpy.random
pd.set_option(...)              changes the options of pandas
os.environ["KEY"] = "value"     changes os.environ
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable
from typing import Any

__all__ = ["HiddenState"]


def _torch(torch: Any) -> Any:
    return [
        str(torch.get_default_dtype()), torch.is_grad_enabled(),
        torch.are_deterministic_algorithms_enabled(), torch.get_num_threads(),
    ]  # fmt: skip


def _flat(options: Any) -> Any:
    """pandas keeps its options in nested dictionaries."""
    return {key: _flat(value) if isinstance(value, dict) else value for key, value in options.items()}


_OPTIONS: dict[str, Callable[[Any], Any]] = {
    "numpy": lambda numpy: numpy.get_printoptions(),
    "pandas._config.config": lambda config: _flat(config._global_config),
    "matplotlib": lambda matplotlib: list(dict.items(matplotlib.rcParams)),
    "locale": lambda locale: locale.setlocale(locale.LC_ALL),
    "sklearn._config": lambda config: config.get_config(),
    "torch": _torch,
    "logging": lambda logging: [
        logging.root.level, list(logging.root.handlers), list(logging.root.filters), logging.root.manager.disable,
        logging.raiseExceptions,
    ],
    "tempfile": lambda tempfile: tempfile.tempdir,
    "socket": lambda socket: socket.getdefaulttimeout(),
    "time": lambda time: list(time.tzname),
    "calendar": lambda calendar: calendar.firstweekday(),
    "_csv": lambda csv: [csv.field_size_limit(), csv.list_dialects()],
    "builtins": lambda builtins: list(builtins.__dict__.values()),
    "copyreg": lambda copyreg: list(copyreg.dispatch_table),
}  # fmt: skip
"""Settings that any code may depend on."""


_REDUCERS = "options of copyreg"
_VARIABLES = frozenset({"KMP_DUPLICATE_LIB_OK", "KMP_INIT_AT_FORK"})
"""Variables that these packages set when they are imported; only the runtime of OpenMP asks for them."""
_IMPORTED = frozenset({"joblib", "sklearn"})
_MESSAGES = {
    "numpy": ("numpy.ndarray size changed", "numpy.ufunc size changed", "numpy.dtype size changed"),
    "scipy": ("the matrix subclass is not the recommended way",),
}
"""Messages that these ignore from then on."""


def _finalizers(modules: dict[str, Any]) -> list[int]:
    """What is to be called when an object dies, by number."""
    registry = getattr(getattr(modules.get("weakref"), "finalize", None), "_registry", None) or {}
    return [info.index for info in list(registry.values())]


class HiddenState:
    """Cheap fingerprints of the hidden states a task may disturb without being seen otherwise."""

    def __init__(self) -> None:
        self._before = self._take()
        self._modules = frozenset(sys.modules)
        self.variables: dict[str, str] = {}
        """What joblib and sklearn have set, which were imported since."""

    def _take(self) -> dict[str, Any]:
        modules = sys.modules
        variables = getattr(os.environ, "_data", None)  # (to decode them all takes as long as all the rest)
        environ = dict(variables if type(variables) is dict else os.environ)
        out: dict[str, Any] = {"os.environ": environ, "cwd": os.getcwd(), "sys.path": list(sys.path)}
        random = modules.get("random")
        if random is not None and hasattr(random, "getstate"):
            out["random"] = random.getstate()
        numpy = modules.get("numpy.random")
        if numpy is not None and hasattr(numpy, "get_state"):
            state = numpy.get_state()
            out["numpy.random"] = (state[0], bytes(state[1]), *state[2:])
        torch = modules.get("torch")
        if torch is not None and hasattr(torch, "get_rng_state"):
            out["torch.random"] = torch.get_rng_state().numpy().tobytes()
        core = modules.get("numpy")
        if core is not None and hasattr(core, "geterr"):
            out["numpy.errstate"] = core.geterr()
        warnings = modules.get("warnings")
        if warnings is not None:
            out["warnings"] = list(getattr(warnings, "filters", ()))
        helpers = modules.get("matplotlib._pylab_helpers")
        if helpers is not None:
            out["matplotlib.pyplot"] = list(helpers.Gcf.figs)
        threading = modules.get("threading")
        if threading is not None:
            out["threads"] = threading.active_count()
        decimal = modules.get("decimal")
        if decimal is not None:
            context = decimal.getcontext()
            out["decimal.context"] = (context.prec, context.rounding)
        signal = modules.get("signal")
        if signal is not None:
            out["signal"] = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
        out["recursion limit"] = sys.getrecursionlimit()
        out["finalizers"] = _finalizers(modules)
        out["umask"] = os.umask(0)
        os.umask(out["umask"])
        out["priority"] = os.getpriority(os.PRIO_PROCESS, 0) if hasattr(os, "getpriority") else 0
        out["interpreter"] = [sys.getswitchinterval(), getattr(sys, "get_int_max_str_digits", int)(), gc.isenabled()]
        out["sys"] = [sys.stdout, sys.stderr, sys.stdin, sys.excepthook, sys.displayhook, sys.gettrace()]
        for name, option in _OPTIONS.items():
            module = modules.get(name)
            if module is not None:
                try:
                    out[f"options of {name}"] = option(module)
                except Exception:  # a library that is half imported, or older than we know
                    continue
        return out

    def facts(self) -> dict[str, Any]:
        """The states as they are now."""
        return self._take()

    def changed(self) -> str:
        """The name of a state that is not as it was when this was made; empty if all are. A state whose module was
        first imported since counts as unchanged (and is watched from now on), and so does what libraries do to others
        when they are imported; but see ``variables``."""
        now = self._take()
        for name, value in self._before.items():
            if now.get(name) == value:
                continue
            if name not in ("warnings", "os.environ", _REDUCERS) or not self.only_imported(name, now):
                return name
            if name == "os.environ":
                new = {os.fsdecode(key): os.fsdecode(text) for key, text in now[name].items() if key not in value}
                self.variables.update(new)
        self._before = now
        self._modules = frozenset(sys.modules)
        return ""

    def only_imported(self, name: str, now: dict[str, Any]) -> bool:
        """Whether a state is as it was but for what libraries do to it that were imported since. Home gets that when it
        imports the library itself; until then nothing comes up that it is about."""
        new = [module for module in sys.modules if module not in self._modules]
        if name == "os.environ" and _IMPORTED.isdisjoint(new):
            return False
        return _by_imports(name, self._before[name], now[name], new, self._modules)


class Moment:
    """What libraries change when they are imported, as it was when this was made: at home, when a process is forked."""

    def __init__(self) -> None:
        self.count = len(sys.modules)
        variables = getattr(os.environ, "_data", None)
        warnings, copyreg = sys.modules.get("warnings"), sys.modules.get("copyreg")
        self.facts: dict[str, Any] = {
            "os.environ": dict(variables if type(variables) is dict else os.environ),
            "warnings": list(getattr(warnings, "filters", ())),
            _REDUCERS: list(getattr(copyreg, "dispatch_table", ())),
        }

    def only_imported(self, name: str, now: dict[str, Any]) -> bool:
        """Whether a state that is not what it was differs in nothing but that libraries were imported since."""
        if name not in self.facts or name not in now:
            return False
        modules = list(sys.modules)  # in the order in which they came; if some are gone, too many count as old
        old = frozenset(modules[: self.count])
        return _by_imports(name, self.facts[name], now[name], modules[self.count :], old)


def _by_imports(name: str, before: Any, now: Any, new: list[str], old: frozenset[str]) -> bool:
    if name == "os.environ":
        names = {os.fsdecode(key) for key in now if key not in before}
        kept = {key: value for key, value in now.items() if key in before}
        return kept == before and names <= _VARIABLES
    added = [item for item in now if item not in before]
    if [item for item in now if item not in added] != before:
        return False
    if name == _REDUCERS:
        return all(kind.__module__ not in old for kind in added)
    return all(_is_theirs(message, category, module, new, old) for _, message, category, module, _ in added)


def _is_theirs(message: Any, category: Any, module: Any, new: list[str], old: frozenset[str]) -> bool:
    """Whether a filter for warnings is one that a library, which is new, puts in front: for its own warnings, those of
    its own modules, or messages that are known to be about it (sklearn, numpy, scipy)."""
    if category.__module__ in new:
        return True
    if module is not None:
        return any(map(module.match, new)) and not any(map(module.match, old))
    pattern = getattr(message, "pattern", message)
    return any(library in new and pattern in patterns for library, patterns in _MESSAGES.items())
