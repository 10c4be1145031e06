import signal
from importlib.util import find_spec

collect_ignore = [] if find_spec("torch") else ["test_torch.py"]
"""torch is too large for CI: its tests are there where it happens to be."""

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # What is started in the background of a script ignores Ctrl-C, and so would the drivers of the tests.
    signal.signal(signal.SIGINT, signal.default_int_handler)
