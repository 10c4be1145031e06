"""``python -m inferflow.cli`` is ``inferflow``."""

from __future__ import annotations

import sys

if __name__ == "__main__":
    if not getattr(sys.flags, "safe_path", False):
        del sys.path[0]  # the working folder: a module of the user's there must not take the place of a library of ours
    from inferflow.cli import main

    main()
