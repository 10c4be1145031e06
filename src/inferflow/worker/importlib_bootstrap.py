"""The script that begins a worker, and the one frame that stands below the driver's own.

Natively nothing stands below the driver's module. A script cannot begin another without staying on the stack, so there
is this one frame; ours are gone while the user's code runs (``worker`` is a generator). Its file's name is not chosen
freely: ``warnings`` does not count frames of files with "importlib" and "_bootstrap" in their name, so that a warning
whose ``stacklevel`` reaches below the driver is shown as natively (``sys:1``).
"""

import sys

if __name__ == "__main__":
    base = frozenset(sys.modules)
    root = __file__.replace("\\", "/").rsplit("/", 3)[0]
    if getattr(sys.flags, "safe_path", False):
        sys.path.insert(0, root)
    else:
        sys.path[0] = root

    from inferflow.worker.main import worker

    jobs = worker(sys.argv[1], base, *map(int, sys.argv[2:]))
    outcome = None
    while True:
        try:
            job = jobs.send(outcome)
        except StopIteration as end:
            outcome = None
            if end.value:
                sys.exit(end.value)
            break
        outcome = None
        try:
            if job.code is not None:
                exec(job.code, job.space)
            else:
                job.call()
        except BaseException as error:
            outcome = error
        del job
