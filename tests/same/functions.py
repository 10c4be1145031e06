"""Functions that the drivers of several tests call. Each has a loop, so that a call of it is worth running elsewhere."""

WORK = """
def work(x, k=1):
    n = 0
    for i in range(50):
        n += i
    return x * k
"""

HALF = """
def half(x):
    for i in range(2): pass
    return x / 2
"""

CHECK = """
def check(x):
    for i in range(2): pass
    if x % 3 == 0: raise ValueError(x)
    return x
"""

SAY = """
def say(x):
    for i in range(2): pass
    print('say', x)
    return x
"""

MODEL = """
class M:
    def __init__(self, s=0): self.s, self.log = s, []
    def __repr__(self): return f'M({self.s}, {self.log})'
def make(s):
    for i in range(2): pass
    return M(s)
def fit(m, k=1):
    for i in range(2): pass
    m.log.append(k)
    m.s += k
    return m.s
"""
