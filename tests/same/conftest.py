from importlib.util import find_spec

collect_ignore = [] if find_spec("torch") else ["test_torch.py"]
"""torch is too large for CI: its tests are there where it happens to be."""
