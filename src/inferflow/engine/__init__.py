"""Out-of-order execution with in-order retirement.

``plan`` derives from a task graph what may run ahead and what that takes; ``schedule`` decides, purely, on frozen
state; ``streams`` tells whose output was whose. ``loop`` acts, with ``turns``, ``away``, ``watching`` and
``ending``, on one ``progress``: nothing else does.
"""
