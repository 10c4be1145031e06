"""What ``make(number, "used")`` of ``generator_flow`` draws besides: generator expressions and who uses them up (or keeps
them), what statements make on their way, and names that a literal is bound to before a statement that may bind them anew.

    a = sum(pure(q) for q in range(3)) + Acc(l).add(2).sum()
    v1 = [1, 2]
    w1 = v1
    for x in [3, 4]:
        if pure(x) > 3:
            v1 = box(x)
    grow(v1, a)
    print(v1 is w1)
"""

from __future__ import annotations

import random

import generator_flow
from generator_flow import Scope

__all__ = ["Maker"]


class Maker(generator_flow.Maker):
    kinds = (*generator_flow.Maker.kinds, "maybe", "maybe", "maybe", "maybe", "lazy")

    def __init__(self, draw: random.Random, awaits: bool) -> None:
        super().__init__(draw, awaits)
        self.within = 0

    # -- expressions -----------------------------------------------------------------------------------

    def number(self, scope: Scope, depth: int = 0) -> str:
        chance = self.draw.random()
        if depth < 2 and not self.within and chance < 0.35:
            return self.used(scope) if chance < 0.22 else self.made(scope, depth)
        return super().number(scope, depth)

    def listing(self, scope: Scope, depth: int = 0) -> str:
        if depth < 2 and self.draw.random() < 0.15:
            x = self.number(scope, depth + 1)
            return self.draw.choice(
                [f"Acc({super().listing(scope, depth + 1)}).add({x}).l", f"[*{super().listing(scope, 2)}, {x}]"]
            )
        return super().listing(scope, depth)

    def generator(self, scope: Scope, element: str = "{}", source: str = "") -> str:
        """Without its brackets."""
        draw, inner = self.draw, scope.inner()
        inner.ints.add("q")
        self.within += 1
        source = source or draw.choice([self.items(scope), self.items(scope), f"Steps({self.number(scope, 2)})"])
        made = f"{draw.choice(self.ints)}(q)" if draw.random() < 0.5 else self.number(inner, 1)
        made = element.format(made)
        condition = f" if {self.test(inner)}" if draw.random() < 0.25 else ""
        self.within -= 1
        return f"{made} for q in {source}{condition}"

    def used(self, scope: Scope) -> str:
        """A number, by using up a generator expression."""
        draw = self.draw
        one, other = self.generator(scope), self.generator(scope)
        name = draw.choice(self.ints)
        return draw.choice(
            [
                f"sum({one})",
                f"sum({one})",
                f"sum(({one}), {self.number(scope, 2)})",
                f"max(({one}), default=0)",
                f"min(({one}), default=1, key={name})",
                f"int(any({self.generator(scope, '{} > 4')}))",
                f"int(all({self.generator(scope, '{} > 1')}))",
                f"len(set({one}))",
                f"total([*({one}), {self.number(scope, 2)}])",
                f"total(sorted(({one}), key={name}))",
                f"len('-'.join({self.generator(scope, 'str({})')}))",
                f"len(dict({self.generator(scope, '(q, {})')}))",
                f"sum(({self.generator(scope, 'Val({})')}), Val(1)).v",
                f"len(set({self.generator(scope, 'Val({})')}))",
                f"max(({self.generator(scope, 'Val({})')}), default=Val(2)).v",
                f"int(any({self.generator(scope, 'Val({})')}))",
                f"next(({one}), 3)",
                f"sum(v + w for v, w in zip(({one}), ({other})))",
                f"sum(v * {name}(w) for v, w in enumerate({one}))",
                f"sum(sum({name}(v + w) for w in range(2)) for v in ({one}))",
                f"len([*{self.listing(scope, 2)}, ({one})])",
                f"sum([*range(2), ({one})][-1])",
                f"len(list(zip(range(2), ({one}))))",
                f"len(list(zip(({one}), range(2), map({name}, range(3)))))",
            ]
        )

    def made(self, scope: Scope, depth: int) -> str:
        """A number, by something that is made on the way."""
        draw = self.draw
        x, y = self.number(scope, depth + 1), self.number(scope, depth + 1)
        many = super().listing(scope, depth + 1)
        return draw.choice(
            [
                f"Acc({x}).add({y}).sum()",
                f"Acc({many}).add({x}).sum()",
                f"Acc({many}).sum()",
                f"total(Acc({x}).add({y}).l)",
                f"Acc({x}).add({y}).hold().sum()",
                f"Acc({many}).hold().sum()",
                f"(Acc.held or [Acc({x})])[-1].add({y}).sum()",
                "total([a.sum() for a in Acc.held])",
                f"len(list(zip({many}, Steps({x}))))",
                f"total(list(reversed({many})))",
                f"total(next(iter([{many}])))",
                f"grow([{many}][0], {x})",
                f"sum(Steps({x}))",
                f"next(Steps({x}), {y})",
            ]
        )

    # -- statements ------------------------------------------------------------------------------------

    def others(self, scope: Scope) -> list[str]:
        made = super().others(scope)
        one, four = self.generator(scope), self.generator(scope, source="range(4)")
        made += [f"print(*({one}))", f"print(list({one}), tuple({four}))", f"print({{q: 1 for q in ({one})}})"]
        made += [f"LOG.extend({one})", f"LOG[1:2] = ({one})"]
        if scope.lists:
            name = self.draw.choice(sorted(scope.lists))
            made += [f"{name}.extend({one})", f"{name} += ({one})", f"{name}[:1] = ({one})"]
            made += [f"_, *{name} = (0, *({one}))"]
        return made

    def maybe_(self, scope: Scope, indent: int, depth: int) -> list[str]:
        """A literal, and perhaps something else."""
        draw = self.draw
        self.counter += 1
        pad, own, alias = "    " * indent, f"v{self.counter}", f"w{self.counter}"
        whole = draw.random() < 0.5
        literal = draw.choice(["0", "7", "-3"] if whole else ["[]", "[1, 2]", "[[1], 3]", "[*[4]]"])

        def other() -> str:
            return self.number(scope, 1) if whole else self.listing(scope, 1)

        lines = [f"{pad}{own} = {literal}"]
        if draw.random() < 0.5:
            lines += [f"{pad}{alias} = {own}"]
        use = f"{draw.choice(self.ints)}({own})" if whole else f"total({own})"
        reader = draw.random() < 0.3 and not (scope.loop and not scope.function)
        if reader:
            lines += [f"{pad}def r{self.counter}(x):", f"{pad}    return {use} + x"]
        if draw.random() < 0.3:
            lines += [f"{pad}b = {use}"]
            scope.ints.add("b")
        inner = scope.inner(True)
        inner.ints.add("x")
        (inner.ints if whole else inner.lists).add(own)
        kind = draw.choice(["if", "for", "for", "try", "try", "suppress", "target", "break"])
        if kind == "if":
            lines += [f"{pad}if {self.test(scope)}:", f"{pad}    {own} = {other()}"]
        elif kind in ("for", "break"):
            lines += [f"{pad}for x in {self.items(scope)}:"]
            if draw.random() < 0.3:
                lines += self.block(inner, indent + 1, depth + 2)
            lines += [f"{pad}    if {self.test(inner)}:", f"{pad}        {own} = {other()}"]
            lines += [f"{pad}        break"] if kind == "break" else []
        elif kind == "try":
            lines += [f"{pad}try:", f"{pad}    b = fails({self.number(scope, 1)})", f"{pad}    {own} = {other()}"]
            lines += [f"{pad}except ValueError:", f"{pad}    b = {self.number(scope, 2)}"]
            scope.ints.add("b")
        elif kind == "suppress":
            lines += [f"{pad}with contextlib.suppress(ValueError):"]
            lines += [f"{pad}    log(fails({self.number(scope, 1)}))", f"{pad}    {own} = {other()}"]
        else:
            source = self.items(scope) if whole else f"[{other()}, {other()}][{draw.choice(['0:0', '1:', ':'])}]"
            lines += [f"{pad}for {own} in {source}:", f"{pad}    log({self.number(scope, 2)})"]
        (scope.ints if whole else scope.lists).add(own)
        if f"{pad}{alias} = {own}" in lines:
            (scope.ints if whole else scope.lists).add(alias)
            if not whole:
                lines += [f"{pad}print({own} is {alias})"]
        lines += [f"{pad}c = {use}"]
        if not whole:
            lines += [f"{pad}{draw.choice([f'grow({own}, 5)', f'{own}.append(6)', f'd = total({own})'])}"]
        if reader:
            lines += [f"{pad}c = r{self.counter}({self.number(scope, 2)})"]
        scope.ints.add("c")
        return lines

    def lazy_(self, scope: Scope, indent: int, depth: int) -> list[str]:
        """A generator that is kept while other things happen."""
        draw = self.draw
        self.counter += 1
        pad, own = "    " * indent, f"g{self.counter}"
        made = [
            f"({self.generator(scope)})",
            f"iter({self.listing(scope)})",
            f"map({draw.choice(self.ints)}, range(3))",
        ]
        made += [f"zip(({self.generator(scope)}), range(3))", f"Steps({self.number(scope, 2)})"]
        lines = [f"{pad}{own} = {draw.choice(made)}"]
        lines += self.block(scope.inner(), indent, depth + 1, draw.randint(1, 2))
        ends = [f"print(list({own}))", f"print(next({own}, 4))", f"print(list(zip({own}, range(2))), list({own}))"]
        ends += [f"print(sum(1 for q in {own}))", f"print(any(q == 2 for q in {own}), list({own}))", f"print(*{own})"]
        return [*lines, pad + draw.choice(ends)]
