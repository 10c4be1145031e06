"""What is kept: runs as lists of events in SQLite, artifacts by digest, and who ran what where.

``folder`` the place, ``database`` its SQLite file, ``runs`` and ``artifacts`` the two stores, ``fold`` a run from its
events, ``names`` of runs, ``identity`` of code, environment and processes, ``values`` of past runs, ``prune`` to free
space. A store is opened with ``Runs(Folder.of(project))``; nothing is imported here.
"""
