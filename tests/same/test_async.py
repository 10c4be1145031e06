"""Coroutines that are opened: what stands between two awaits runs beside each other, what others may do at an await is
seen. Natively, and with helpers that run whatever they can (``_INFERFLOW_TURNS``)."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from batch import assert_turns_are_same
from compare import assert_same

HEAD = """
import asyncio, contextlib, time
LOG = []
N = 1
def f(*a):
    n = 0
    for x in a: n += x if isinstance(x, int) else 1
    return n
def say(x):
    for i in range(3): pass
    print('say', x)
    return x
def scaled(x):
    for i in range(3): pass
    return x * N + len(LOG)
def bad(x):
    for i in range(3): pass
    raise ValueError(x)
"""

DRIVERS: dict[str, str] = {
    "calls between awaits": """
async def main():
    a = f(1)
    b = say(2)
    await asyncio.sleep(0)
    c = say(a)
    d = f(b, c)
    return a, b, c, d
print(asyncio.run(main()))
""",
    "gather of coroutines": """
async def part(x):
    a = say(x)
    b = say(x + 1)
    await asyncio.sleep(0)
    c = say(a + 10)
    d = say(b + 10)
    return a, b, c, d
async def main():
    p = say(0)
    q = say(100)
    found = await asyncio.gather(part(1), part(20), part(30))
    print(found, p, q)
    return await part(7)
if __name__ == "__main__":
    print(asyncio.run(main()))
""",
    "a global that changes at an await": """
async def grow():
    global N
    N += 5
    LOG.append(N)
async def part(x):
    a = scaled(x)
    b = scaled(x + 1)
    await asyncio.sleep(0)
    c = scaled(x)
    d = scaled(x + 1)
    return a, b, c, d
async def main():
    task = asyncio.create_task(grow())
    a = scaled(1)
    b = scaled(2)
    await task
    c = scaled(1)
    d = scaled(2)
    print(a, b, c, d)
    print(await asyncio.gather(part(1), grow(), part(2), grow()))
asyncio.run(main())
""",
    "an object that changes at an await": """
async def fill(xs):
    for i in range(3):
        xs.append(i)
        await asyncio.sleep(0)
async def main():
    xs = [1]
    task = asyncio.create_task(fill(xs))
    a = f(*xs)
    b = f(len(xs), *xs)
    await asyncio.sleep(0)
    c = f(*xs)
    d = f(len(xs), *xs)
    for x in xs:
        y = f(x)
        print(y)
    await task
    e = [f(x) for x in xs]
    g = list(map(f, xs))
    print(a, b, c, d, e, g)
asyncio.run(main())
""",
    "loops with awaits": """
async def main():
    total = 0
    for i in range(4):
        a = say(i)
        b = say(10 + i)
        await asyncio.sleep(0)
        total += f(a, b)
    while total > 20:
        total -= f(20)
        await asyncio.sleep(0)
    for i in range(3):
        for k in range(2):
            c = f(i, k)
            print(c)
    print(total, [await asyncio.sleep(0, f(i)) for i in range(2)])
asyncio.run(main())
""",
    "async for and async with": """
async def count(n):
    for i in range(n):
        await asyncio.sleep(0)
        yield i
@contextlib.asynccontextmanager
async def entered(x):
    print('enter', x)
    yield x
    print('leave', x)
async def main():
    lock = asyncio.Lock()
    async for i in count(3):
        a = say(i)
        b = say(i + 5)
        print(a, b)
    async with entered(2) as e:
        a = say(e)
        b = say(e + 1)
    async with lock:
        c = f(a)
        d = f(b)
    print([x async for x in count(2)], c, d)
asyncio.run(main())
""",
    "exceptions": """
async def part(x):
    a = say(x)
    try:
        b = bad(x)
    except ValueError as e:
        b = say(99)
    c = say(x + 1)
    if x > 1:
        raise KeyError(x)
    return a, b, c
async def main():
    print(await asyncio.gather(part(1), part(2), return_exceptions=True))
    a = say(1)
    b = bad(2)
    c = say(3)
try:
    asyncio.run(main())
except ValueError as e:
    print(repr(e))
asyncio.run(part(3))
""",
    "cancelled": """
async def part(x):
    try:
        a = say(x)
        b = say(x + 1)
        await asyncio.sleep(30)
        c = say(x + 2)
        d = say(x + 3)
    finally:
        print('end', say(-x))
        print('of', say(-x - 1))
async def main():
    task = asyncio.create_task(part(1))
    await asyncio.sleep(0)
    task.cancel()
    a = say(50)
    b = say(60)
    try:
        await task
    except asyncio.CancelledError:
        print('cancelled', a, b)
    try:
        await asyncio.wait_for(part(5), 0.01)
    except asyncio.TimeoutError:
        print('late')
asyncio.run(main())
""",
    "called twice, and handed on": """
async def part(x):
    a = say(x)
    b = say(x + 1)
    return a + b
async def other(x):
    a = say(x)
    b = say(x + 1)
    return a + b
async def main():
    first = part(1)
    second = part(10)
    print(await second, await first)
    makers = [other, other]
    print([await make(5) for make in makers])
asyncio.run(main())
print(asyncio.run(part(3)))
loop = asyncio.new_event_loop()
print(loop.run_until_complete(part(4)))
loop.close()
""",
    "threads": """
async def main():
    a, b = await asyncio.gather(asyncio.to_thread(f, 1), asyncio.to_thread(say, 2))
    c = say(a)
    d = say(b)
    print(a, b, c, d)
asyncio.run(main())
""",
    "returns and branches": """
async def part(x):
    if x > 2:
        a = say(x)
        b = say(x + 1)
        return f(a, b)
    with contextlib.suppress(ValueError):
        a = say(x)
        b = say(x + 2)
        await asyncio.sleep(0)
        c = bad(a)
        d = say(b)
    match x:
        case 1:
            p = f(x)
            q = f(x, p)
            await asyncio.sleep(0)
            return p, q
    return say(x)
async def main():
    print(await part(0), await part(1), await part(2), await part(3))
    a, b = f(1), f(2)
    assert a < b, (a, b)
asyncio.run(main())
""",
    "siblings from arguments": """
class Odd:
    def __init__(self, x): self.x = x
    def __del__(self): print('gone', self.x)
async def part(x, *more, k=2, **named):
    '''A coroutine.'''
    scale = 3
    a = f(x, scale)
    await asyncio.sleep(0)
    b = say(a + k)
    c = f(b, *more) + len(named)
    if x > 5:
        return say(b)
    return a, b, c
async def other(xs):
    n = f(*xs)
    for i in range(2):
        await asyncio.sleep(0)
    return say(n)
async def odd(o):
    a = f(o.x)
    await asyncio.sleep(0)
    del o
    print('after', a)
async def main():
    print(await asyncio.gather(part(1), part(2, 5, 6), part(x=3, k=1, z=1), other([1, 2]), part(9)))
    print(await asyncio.gather(*[part(i, k=i) for i in range(4)]))
    print(await asyncio.gather(*(other([i]) for i in range(3))))
    tasks = [asyncio.create_task(part(i)) for i in range(3)]
    tasks[1].cancel()
    for task in tasks:
        try:
            print(await task)
        except asyncio.CancelledError:
            print('cancelled')
    async with asyncio.TaskGroup() as group:
        first = group.create_task(part(10))
        second = group.create_task(other([4, 5]))
    print(first.result(), second.result())
    await asyncio.gather(*[odd(Odd(i)) for i in range(3)])
    async with asyncio.Semaphore(2) as nothing:
        print(await asyncio.wait_for(part(3), 10), nothing)
asyncio.run(main())
asyncio.run(main())
""",
    "siblings that change what others read": """
BOX = [1]
async def part(x, xs):
    a = scaled(x)
    b = f(*xs)
    c = f(*BOX)
    own = [x]
    await asyncio.sleep(0)
    own.append(f(x))
    d = f(*own)
    xs.append(d)
    return a, b, c, d
async def changes(x):
    global N
    N += 1
    BOX.append(x)
    await asyncio.sleep(0)
    LOG.append(x)
async def main():
    shared = [1]
    print(await asyncio.gather(part(1, shared), changes(3), part(2, shared), changes(5), part(3, [2])))
    print(await asyncio.gather(*[part(i, shared) for i in range(3)]))
asyncio.run(main())
""",
    "siblings that fail": """
async def part(x):
    a = say(x)
    await asyncio.sleep(0)
    b = bad(a) if x == 2 else f(a)
    c = say(b)
    return c
async def worse(x):
    a = bad(x)
    return a
async def main():
    print(await asyncio.gather(*[part(i) for i in range(4)], return_exceptions=True))
    print(await asyncio.gather(*[worse(i) for i in range(3)], return_exceptions=True))
    try:
        async with asyncio.timeout(0.01):
            await asyncio.gather(part(1), asyncio.sleep(30))
    except TimeoutError:
        print('late')
    try:
        await asyncio.gather(*[part(i) for i in range(4)])
    except ValueError as e:
        print(repr(e))
asyncio.run(main())
asyncio.run(worse(7))
""",
    "siblings in several loops": """
async def inner(x):
    a = say(x)
    await asyncio.sleep(0)
    return f(a)
async def part(x):
    a = f(x)
    found = await asyncio.gather(inner(x), inner(x + 1))
    return a, found
async def main():
    return await asyncio.gather(part(1), part(10))
print(asyncio.run(main()))
loop = asyncio.new_event_loop()
tasks = [loop.create_task(inner(i)) for i in range(3)]
print(loop.run_until_complete(tasks[2]))
N = 50
print(loop.run_until_complete(asyncio.gather(*tasks)))
loop.close()
with asyncio.Runner() as runner:
    print(runner.run(main()))
for done in asyncio.as_completed([inner(3)]):
    pass
""",
}
HOME = {"threads", "async for and async with", "siblings in several loops"}
"""No process is forked beside threads; what came out of a context could be shared; of loops that are made by hand
nothing is known."""
PARTS = 3


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="processes are forked, and counted by their session")
@pytest.mark.parametrize("part", range(PARTS))
def test_the_same(tmp_path: Path, part: int) -> None:
    """With two and with three processes."""
    drivers = {name: {"driver.py": HEAD + DRIVERS[name]} for name in list(DRIVERS)[part::PARTS]}
    assert_turns_are_same(tmp_path, drivers, HOME)


@pytest.mark.parametrize("name", ["gather of coroutines", "exceptions"])
def test_the_same_by_the_command(tmp_path: Path, name: str) -> None:
    assert_same(tmp_path, HEAD + DRIVERS[name], options=("-j", "2"), _INFERFLOW_TURNS="always")
