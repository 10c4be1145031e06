"""What runs inside home and helpers.

Standard library and cloudpickle only, Python 3.9 or later, so that this folder can be mounted into any
image with a Python in it. ``transform`` puts the hooks into the driver's own syntax tree, ``home`` is
what the hooks call, ``helper`` runs tasks ahead, ``transport`` moves values, ``observe``, ``gate``
and ``hidden_state`` watch what a task does, ``streams`` keeps what it prints, ``channel`` talks to the controller.
"""
