"""Ways in which a driver gets at one object by two names: a table for the tests that ask whether a change of it by one of
them is known to be one by the other.

Each line is a name and statements. ``l`` is a list, ``o`` an instance with nothing in it, ``d`` an empty dictionary; in
the end something is changed, or told, that was reached in a way of its own. ``MENDED`` are those that the analysis
missed once.
"""

from __future__ import annotations

PRELUDE = """
import collections, contextlib, contextvars, copy, dataclasses, enum, functools, heapq, itertools, operator, types
import typing, weakref
from types import MappingProxyType, SimpleNamespace
from collections import ChainMap, UserDict, UserList, OrderedDict, deque, defaultdict, namedtuple, Counter
from dataclasses import dataclass, replace, asdict, astuple, field
from operator import attrgetter, itemgetter, methodcaller
from functools import partial
from itertools import chain, tee, cycle, zip_longest
class O:
    pass
class Held:
    kept = [0]
    def __init__(self, y): self.y = y
    def get(self): return self.y
    def add(self, v): self.y.append(v)
    @property
    def p(self): return self.y
    @classmethod
    def ck(cls): return cls.kept
class Deleg:
    def __init__(self, inner): self.inner = inner
    def __getattr__(self, name): return getattr(self.inner, name)
class Slots:
    __slots__ = ("y", "__weakref__")
    def __init__(self, y): self.y = y
class Desc:
    def __get__(self, obj, owner=None):
        return obj.__dict__["_y"]
    def __set__(self, obj, value):
        obj.__dict__["_y"] = value
class WithDesc:
    y = Desc()
class Sub(Held):
    def __init__(self, y): super().__init__(y)
class Getat:
    def __init__(self, y): object.__setattr__(self, "y", y)
    def __getattribute__(self, name): return object.__getattribute__(self, name)
class Item:
    def __init__(self, y): self.d = {"k": y}
    def __getitem__(self, k): return self.d[k]
    def __iter__(self): return iter(self.d.values())
    def __contains__(self, k): return k in self.d
    def keys(self): return self.d.keys()
class MyList(list): pass
class MyDict(dict): pass
class E(enum.Enum):
    A = [0]
    B = [1]
@dataclass
class Data:
    y: list
    z: int = 0
@dataclass(frozen=True)
class Frozen:
    y: list
class NT(typing.NamedTuple):
    y: list
    n: int = 0
P = namedtuple("P", "y z")
CV = contextvars.ContextVar("CV")
def ident(x): return x
def add(x, v): x.append(v)
def default(v, acc=[]):
    acc.append(v); return acc
class Meta(type):
    def __call__(cls, *a): return super().__call__(*a)
def gen(x):
    yield x
class Mapp(collections.abc.MutableMapping):
    def __init__(self): self.d = {}
    def __getitem__(self, k): return self.d[k]
    def __setitem__(self, k, v): self.d[k] = v
    def __delitem__(self, k): del self.d[k]
    def __iter__(self): return iter(self.d)
    def __len__(self): return len(self.d)
@dataclass
class DCI:
    y: dataclasses.InitVar[list]
    def __post_init__(self, y): self.kept = y
class Copyable:
    def __init__(self, y): self.y = y
    def __copy__(self): return Copyable(self.y)
    def __deepcopy__(self, memo): return Copyable(self.y)
class Noisy:
    def __init__(self, y): self.__dict__["y"] = y
    def tell(self): self.y.append(1); return 1
    def __str__(self): self.tell(); return "x"
    def __hash__(self): return self.tell()
    def __delattr__(self, name): self.tell()
G = [0]
def set_g(x):
    global G
    G = x
def get_g(): return G
"""

SETUP = ("l = [0]", "o = O()", "d = {}")


def table(text: str) -> dict[str, list[str]]:
    """The statements by name; ``<NL>`` stands for a new line in one of them."""
    rows = (line.split(" | ", 1) for line in text.strip().splitlines())
    return {name.strip(): [part.strip().replace("<NL>", "\n") for part in rest.split(" ; ")] for name, rest in rows}


MENDED = table(
    r"""
dict-attr-update | p = o.__dict__ ; p.update(y=l) ; o.y.append(1)
dict-attr-setitem | p = o.__dict__ ; p["y"] = l ; o.y.append(1)
dict-attr-direct | o.__dict__["y"] = l ; o.y.append(1)
vars-set | vars(o)["y"] = l ; o.y.append(1)
vars-var | k = "y" ; vars(o)[k] = l ; o.y.append(1)
vars-update | p = vars(o) ; p.update(y=l) ; o.y.append(1)
vars-updatedict | p = vars(o) ; p.update({"y": l}) ; o.y.append(1)
vars-ior | p = vars(o) ; p |= {"y": l} ; o.y.append(1)
vars-setdefault | vars(o).setdefault("y", l) ; o.y.append(1)
vars-setdefault2 | q = vars(o).setdefault("y", l) ; q.append(1)
dict-read-get | o.y = l ; o.__dict__.get("y").append(1)
dict-pop | o.y = l ; q = o.__dict__.pop("y") ; q.append(1)
dict-popitem | o.y = l ; k, q = o.__dict__.popitem() ; q.append(1)
dict-values | o.y = l ; list(o.__dict__.values())[0].append(1)
dict-items | o.y = l ; list(o.__dict__.items())[0][1].append(1)
dict-list | o.y = l ; q = list(vars(o).values()) ; q[0].append(1)
dict-assign | o.__dict__ = {"y": l} ; o.y.append(1)
dict-assign2 | d["y"] = l ; o.__dict__ = d ; o.y.append(1)
dict-assign3 | o.__dict__ = d ; d["y"] = l ; o.y.append(1)
dict-assign4 | o.__dict__ = d ; o.y = l ; d["y"].append(1)
dict-assign5 | o.__dict__ = d ; o.y = l
dict-other | q = O() ; o.y = l ; q.__dict__ = o.__dict__ ; q.y.append(1)
dict-other2 | q = O() ; q.__dict__ = o.__dict__ ; q.y = l ; o.y.append(1)
dict-other-update | q = O() ; o.y = l ; q.__dict__.update(o.__dict__) ; q.y.append(1)
dict-clear | o.y = l ; p = o.__dict__ ; p.clear()
dict-later-values | g = o.__dict__.values() ; o.y = l ; list(g)[0].append(1)
dict-later-values-next | g = vars(o).values() ; o.y = l ; next(iter(g)).append(1)
dict-later-items | g = vars(o).items() ; o.y = l ; for k, v in g: v.append(1)
dict-getattr-dunder | p = getattr(o, "__dict__") ; p["y"] = l ; o.y.append(1)
setattr-dyn | k = "".join(["y"]) ; setattr(o, k, l) ; o.y.append(1)
obj-setattr | object.__setattr__(o, "y", l) ; o.y.append(1)
inst-setattr | o.__setattr__("y", l) ; o.y.append(1)
inst-getattribute | o.y = l ; o.__getattribute__("y").append(1)
class-setattr | O.__setattr__(o, "y", l) ; o.y.append(1)
type-setattr | type(o).__setattr__(o, "y", l) ; o.y.append(1)
class-dict | O.z3 = l ; O.__dict__["z3"].append(1)
mpt-direct | MappingProxyType({"k": l})["k"].append(2)
mpt-d | d["k"] = l ; MappingProxyType(d)["k"].append(2)
mpt-later | m = MappingProxyType(d) ; d["k"] = l ; m["k"].append(2)
mpt-get | d["k"] = l ; m = MappingProxyType(d) ; m.get("k").append(1)
mpt-copy | d["k"] = l ; m = MappingProxyType(d).copy() ; m["k"].append(1)
mpt-dict | d["k"] = l ; m = dict(MappingProxyType(d)) ; m["k"].append(1)
mpt-star | d["k"] = l ; m = {**MappingProxyType(d)} ; m["k"].append(1)
mpt-of-dict | o.y = l ; m = MappingProxyType(o.__dict__) ; m["y"].append(1)
mpt-or | d["k"] = l ; m = MappingProxyType(d) | {} ; m["k"].append(1)
cm-set | m = ChainMap(d) ; m["k"] = l ; d["k"].append(1)
cm-get | d["k"] = l ; m = ChainMap(d) ; m["k"].append(1)
cm-get2 | d["k"] = l ; m = ChainMap({}, d) ; m["k"].append(1)
cm-maps | e = {} ; m = ChainMap(d, e) ; m.maps[1]["w"] = l ; e["w"].append(1)
cm-maps2 | e = {} ; m = ChainMap(d, e) ; m.maps[1]["w"] = l ; m["w"].append(1)
cm-maps3 | m = ChainMap(d) ; e = {} ; m.maps.append(e) ; e["w"] = l ; m["w"].append(1)
cm-parents | m = ChainMap({}, d) ; m.parents["k"] = l ; d["k"].append(1)
cm-dict | d["k"] = l ; m = dict(ChainMap(d)) ; m["k"].append(1)
cm-setdefault2 | m = ChainMap(d) ; m.setdefault("k", l) ; d["k"].append(1)
cm-update | m = ChainMap(d) ; m.update(k=l) ; d["k"].append(1)
cm-pop | d["k"] = l ; m = ChainMap(d) ; m.pop("k").append(1)
values-later | g = d.values() ; d["k"] = l ; list(g)[0].append(1)
values-later-next | g = d.values() ; d["k"] = l ; next(iter(g)).append(1)
values-later-q | g = d.values() ; d["k"] = l ; q = list(g)
values-later-comp | g = d.values() ; d["k"] = l ; q = [v for v in g] ; q[0].append(1)
values-later-update | g = d.values() ; d.update(k=l) ; list(g)[0].append(1)
values-mapping | g = d.values().mapping ; d["k"] = l ; g["k"].append(1)
values-nested | g = d.values() ; d["k"] = [l] ; list(g)[0][0].append(1)
values-kept-in | g = {"v": d.values()} ; d["k"] = l ; list(g["v"])[0].append(1)
values-fn2 | g = ident(d.values()) ; d["k"] = l ; list(g)[0].append(1)
items-later-dict | g = d.items() ; d["k"] = l ; q = dict(g) ; q["k"].append(1)
keys-obj4 | k = Held(l) ; g = d.keys() ; d[k] = 1 ; for q in g: q.y.append(1)
od-values-later | d = OrderedDict() ; g = d.values() ; d["k"] = l ; list(g)[0].append(1)
dd-values-later | d = defaultdict(list) ; g = d.values() ; d["k"] = l ; list(g)[0].append(1)
ud-data | m = UserDict(d) ; m.data["k"] = l ; m["k"].append(1)
ud-data2 | m = UserDict() ; q = m.data ; m["k"] = l ; q["k"].append(1)
ud-share | d["k"] = l ; m = UserDict(d) ; m["k"].append(1)
ud-share2 | d["k"] = l ; m = UserDict(d) ; m.data["k"].append(1)
ul-data | m = UserList([l]) ; m.data[0].append(1)
ul-data2 | m = UserList() ; m.data.append(l) ; m[0].append(1)
ul-data3 | m = UserList() ; m.append(l) ; m.data[0].append(1)
ul-data4 | m = UserList() ; q = m.data ; m.append(l) ; q[0].append(1)
counter | q = Counter({"a": l}) ; q["a"].append(1)
itemgetter-map | q = list(map(itemgetter(0), [[l]])) ; q[0].append(1)
op-add | q = operator.add([l], []) ; q[0].append(1)
op-mul | q = operator.mul([l], 2) ; q[0].append(1)
partial-args | f = partial(add, l) ; f.args[0].append(1)
partial-keywords | f = partial(add, x=l) ; f.keywords["x"].append(1)
wref | w = weakref.ref(o) ; w().y = l ; o.y.append(1)
wproxy | w = weakref.proxy(o) ; w.y = l ; o.y.append(1)
ns-dict3 | q = SimpleNamespace() ; p = vars(q) ; q.y = l ; p["y"].append(1)
dc-replace2 | h = Data([3]) ; q = replace(h, y=l) ; q.y.append(1)
nt-add | h = P(l, 1) ; q = h + (2,) ; q[0].append(1)
bound-self2 | f = l.append ; f.__self__.append(1)
it-chain-fi | q = [[l]] ; c = chain.from_iterable(q) ; next(c).append(1)
it-chain-fi-later | q = [[]] ; c = chain.from_iterable(q) ; q[0].append(l) ; next(c).append(1)
it-chain-fi-later2 | q = [] ; c = chain.from_iterable(q) ; q.append([l]) ; next(c).append(1)
it-chain-fi-later3 | q = [] ; c = chain.from_iterable(q) ; q.append([l]) ; for v in c: v.append(1)
it-zipl-later | q = [[2]] ; z = zip_longest(q, [1]) ; q[0] = l ; next(z)[0].append(1)
it-zipl-later2 | q = [[2]] ; z = zip_longest(q, [1]) ; q[0] = l ; for a, b in z: a.append(1)
it-zipl-fill | z = zip_longest([], [1], fillvalue=l) ; next(z)[0].append(1)
it-groupby | q = [[2]] ; z = itertools.groupby(q, key=len) ; q[0] = l ; k, g = next(z) ; next(g).append(1)
it-groupby2 | q = [l] ; for k, g in itertools.groupby(q, key=len): list(g)[0].append(1)
it-groupby3 | q = [[2]] ; z = itertools.groupby(q, key=len) ; q[0] = l ; for k, g in z: list(g)[0].append(1)
it-pairwise-later | q = [[1], [2]] ; z = itertools.pairwise(q) ; q[0] = l ; next(z)[0].append(1)
it-compress-later | q = [[2]] ; z = itertools.compress(q, [1]) ; q[0] = l ; next(z).append(1)
it-accumulate-later | q = [[2]] ; z = itertools.accumulate(q, lambda a, b: b) ; q[0] = l ; next(z).append(1)
it-repeat | z = itertools.repeat(l) ; next(z).append(1)
it-genexp-later | q = [[2]] ; z = (v for v in q) ; q[0] = l ; next(z).append(1)
it-genexp-later2 | q = [[2]] ; z = (v for v in q) ; q[0] = l ; for v in z: v.append(1)
it-item-later | h = Item([1]) ; z = iter(h) ; h.d["k"] = l ; next(z).append(1)
enum-value-q | q = E.A.value ; q.append(1)
enum-value-q2 | q = E.A.value ; E.A.value.append(2)
enum-name | q = E["A"].value ; E.A.value.append(2)
enum-loop2 | q = E.A.value ; for m in E: m.value.append(1)
enum-attr | E.A.tag = l ; E.A.tag.append(1)
getat | h = Getat(l) ; h.y.append(1)
default-dunder | f = lambda x=l: x ; f.__defaults__[0].append(1)
default-kw | f = lambda *, x=l: x ; f.__kwdefaults__["x"].append(1)
func-attr2 | ident.__dict__["y"] = l ; ident.y.append(1)
func-vars | vars(ident)["y2"] = l ; ident.y2.append(1)
globals-loop | q = globals().get("l") ; q.append(1)
slice-set | q = [1, 2] ; q[0:1] = [l] ; q[0].append(1)
slice-set-it | q = [1, 2] ; q[0:1] = iter([l]) ; q[0].append(1)
setstate | o.__dict__.update({"y": l}) ; q = o.y ; q.append(1)
nested-vars2 | o.o = O() ; vars(o.o)["y"] = l ; o.o.y.append(1)
contextlib-closing | import contextlib; <NL>with contextlib.closing(types.SimpleNamespace(close=lambda: l.append(1))) as q: pass
upd-dict | d.update({"k": l}) ; d["k"].append(1)
upd-pairs | d.update([("k", l)]) ; d["k"].append(1)
upd-pairs2 | d.update([["k", l]]) ; d["k"].append(1)
upd-zip | d.update(zip("k", [l])) ; d["k"].append(1)
upd-item | d.update(Item(l)) ; d["k"].append(1)
upd-ud | d.update(UserDict(k=l)) ; d["k"].append(1)
upd-cm | d.update(ChainMap({"k": l})) ; d["k"].append(1)
upd-od | d.update(OrderedDict(k=l)) ; d["k"].append(1)
upd-vars | d.update(vars(Held(l))) ; d["y"].append(1)
upd-ior | d |= {"k": l} ; d["k"].append(1)
upd-ior2 | d |= [("k", l)] ; d["k"].append(1)
upd-ior3 | d |= UserDict(k=l) ; d["k"].append(1)
upd-dictpairs | q = dict([("k", l)]) ; q["k"].append(1)
upd-dictgen | q = dict((k, l) for k in "k") ; q["k"].append(1)
upd-dictitem | q = dict(Item(l)) ; q["k"].append(1)
upd-ud1 | q = UserDict() ; q.update({"k": l}) ; q["k"].append(1)
upd-ud2 | q = UserDict([("k", l)]) ; q["k"].append(1)
upd-cm2 | q = ChainMap() ; q.update({"k": l}) ; q["k"].append(1)
upd-cm3 | q = ChainMap() ; q.update([("k", l)]) ; q["k"].append(1)
upd-od2 | q = OrderedDict() ; q.update({"k": l}) ; q["k"].append(1)
upd-od3 | q = OrderedDict([("k", l)]) ; q["k"].append(1)
upd-dd | q = defaultdict(list, {"k": l}) ; q["k"].append(1)
upd-dd2 | q = defaultdict(list, [("k", l)]) ; q["k"].append(1)
upd-dd3 | q = defaultdict(list) ; q.update({"k": l}) ; q["k"].append(1)
upd-dd4 | q = defaultdict(list) ; q.update([("k", l)]) ; q["k"].append(1)
upd-keys | k = Held(l) ; d.update({k: 1}) ; list(d)[0].y.append(1)
upd-mydict | q = MyDict({"k": l}) ; q["k"].append(1)
upd-mydict2 | q = MyDict() ; q.update({"k": l}) ; q["k"].append(1)
upd-mydict3 | q = dict(MyDict(k=l)) ; q["k"].append(1)
upd-star | q = {**UserDict(k=l)} ; q["k"].append(1)
upd-starcall | q = dict(**UserDict(k=l)) ; q["k"].append(1)
upd-starcall2 | q = dict(**Item(l)) ; q["k"].append(1)
upd-wvd | h = Held(l) ; w = weakref.WeakValueDictionary() ; w.update({"a": h}) ; w["a"].add(1)
upd-counter | q = Counter() ; q.update({"a": l}) ; q["a"].append(1)
mm-dict | h = Mapp() ; h["k"] = l ; q = dict(h) ; q["k"].append(1)
mm-star | h = Mapp() ; h["k"] = l ; q = {**h} ; q["k"].append(1)
initvar | q = DCI(l) ; q.kept.append(1)
text-of | q = Noisy(l) ; "%s" % q
hash-of | q = Noisy(l) ; {q}
hash-of-key | q = Noisy(l) ; d[q] = 1
delattr | q = Noisy(l) ; del q.z
deepcopy-own | q = Copyable(l) ; r = copy.deepcopy(q) ; r.y.append(1)
deepcopy-memo | q = copy.deepcopy([l], {id(l): l}) ; q[0].append(1)
global-of-callee | set_g(l) ; get_g().append(1)
"""
)

OTHERS = table(
    r"""
dict-read | o.y = l ; o.__dict__["y"].append(1)
dict-items-loop | o.y = l ; for k, v in vars(o).items(): v.append(1)
dict-copy | o.y = l ; q = o.__dict__.copy() ; q["y"].append(1)
dict-star | o.y = l ; q = {**vars(o)} ; q["y"].append(1)
dict-assign6 | o.__dict__ = d ; d["y"] = l ; q = o.y
dict-change-seen2 | p = vars(o) ; o.y = 3
dict-change-seen4 | p = vars(o) ; q = [p] ; o.y = 3
dict-later | p = o.__dict__ ; o.y = l ; p["y"].append(1)
setattr | setattr(o, "y", l) ; o.y.append(1)
getattr-dyn | k = "".join(["y"]) ; o.y = l ; getattr(o, k).append(1)
obj-getattribute-q | o.y = l ; q = object.__getattribute__(o, "y") ; q.append(1)
inst-getattribute-q | o.y = l ; q = o.__getattribute__("y") ; q.append(1)
type-y2 | type(o).z2 = l ; o.z2.append(1)
class-getattr | O.z5 = l ; getattr(O, "z5").append(1)
class-inst | q = Held([1]) ; q.kept.append(1)
class-inst3 | r = Held.kept ; q = Held([1]) ; q.kept.append(2)
class-ck2 | r = Held.ck() ; Held.kept.append(3)
mpt-later-q | m = MappingProxyType(d) ; d["k"] = l ; q = m["k"]
mpt-values | d["k"] = l ; m = MappingProxyType(d) ; list(m.values())[0].append(1)
mpt-items-later | m = MappingProxyType(d).items() ; d["k"] = l ; for k, v in m: v.append(1)
cm-later2 | m = ChainMap({}, d) ; d["k"] = l ; m.get("k").append(1)
cm-child2 | m = ChainMap(d).new_child() ; d["k"] = l ; m["k"].append(1)
cm-copy | m = ChainMap(d) ; n = m.copy() ; n["k"] = l ; n["k"].append(1)
cm-items | d["k"] = l ; m = ChainMap(d) ; for k, v in m.items(): v.append(1)
cm-change | m = ChainMap(d) ; m["k"] = 1
values-later-loop | g = d.values() ; d["k"] = l ; for v in g: v.append(1)
values-later-sorted | g = d.values() ; d["k"] = l ; q = sorted(g)[0] ; q.append(1)
values-fn | d["k"] = l ; g = ident(d.values()) ; list(g)[0].append(1)
values-rev | d["a"] = l ; g = reversed(d.values()) ; next(g).append(1)
items-change | g = d.items() ; d["k"] = 1
keys-change-fn | g = ident(d.keys()) ; d["k"] = 1
items-later2 | g = d.items() ; d["k"] = l ; list(g)[0][1].append(1)
keys-later | k = (1,) ; g = d.keys() ; d[k] = l ; list(g)[0]
keys-obj2 | k = Held(l) ; d[k] = 1 ; list(d)[0].y.append(1)
dd-values-later2 | d = defaultdict(list) ; g = d.values() ; d["k"] ; list(g)[0].append(1)
mydict | d = MyDict() ; d["k"] = l ; d["k"].append(1)
mydict-get | d = MyDict(k=l) ; d.get("k").append(1)
mylist2 | q = MyList() ; q.append(l) ; q.pop().append(1)
mv2 | b = bytearray(4) ; m = memoryview(b)[1:3] ; m[0] = 1
mv4 | b = bytearray(4) ; m = memoryview(b).cast("B") ; m[0] = 1
mv6 | b = bytearray(4) ; m = memoryview(memoryview(b)) ; m[0] = 1
mv-slice | b = bytearray(4) ; m = memoryview(b) ; m[1:3] = b"ab"
mv-array | import array; a = array.array("i", [1, 2]) ; m = memoryview(a) ; m[0] = 4
struct-pack | import struct; b = bytearray(8) ; struct.pack_into("i", b, 0, 5)
ud-get | m = UserDict(k=l) ; m.get("k").append(1)
ul-slice | m = UserList([l]) ; m[:][0].append(1)
ul-iter | m = UserList([l]) ; for v in m: v.append(1)
dictof | d["k"] = l ; q = dict(d) ; q["k"].append(1)
copycopy-l | q = copy.copy([l]) ; q[0].append(1)
copycopy-od | q = OrderedDict(k=l) ; r = copy.copy(q) ; r["k"].append(1)
copycopy-slots | h = Slots(l) ; q = copy.copy(h) ; q.y.append(1)
copycopy-deque | h = deque([l]) ; q = copy.copy(h) ; q[0].append(1)
copycopy-nt | h = P(l, 1) ; q = copy.copy(h) ; q.y.append(1)
dict-ior | d["k"] = l ; q = {} ; q |= d ; q["k"].append(1)
dict-zip | q = dict(zip("a", [l])) ; q["a"].append(1)
counter-upd | q = Counter() ; q["a"] = l ; q["a"].append(1)
attrgetter-var | o.y = l ; g = attrgetter("y") ; q = g(o) ; q.append(1)
attrgetter-two | o.y = l ; o.z = 1 ; q, r = attrgetter("y", "z")(o) ; q.append(1)
itemgetter-var | g = itemgetter(0) ; q = g([l]) ; q.append(1)
itemgetter-max | q = max([[l]], key=itemgetter(0)) ; q[0].append(1)
methodcaller-var | m = methodcaller("append", 1) ; m(l)
methodcaller-map | list(map(methodcaller("append", 1), [l]))
op-getitem | d["k"] = l ; operator.getitem(d, "k").append(1)
op-concat | q = operator.concat([l], []) ; q[0].append(1)
op-iadd2 | q = [] ; operator.iadd(q, [l]) ; q[0].append(1)
op-call | operator.call(l.append, 1)
sum-start | q = sum([[l]], []) ; q[0].append(1)
reduce2 | q = functools.reduce(lambda a, b: a, [l, [2]]) ; q.append(1)
partial-append1 | f = partial(l.append, 1) ; f()
partial-kw | f = partial(add, x=l) ; f(v=1)
partial-in | f = [partial(l.append)] ; f[0](1)
partial-of-partial | f = partial(partial(add, l), 1) ; f()
partial-star | a = (l,) ; f = partial(add, *a) ; f(1)
partial-lambda | f = partial(lambda x, y: x, l) ; q = f(1) ; q.append(1)
wref3 | h = Held(l) ; w = weakref.ref(h) ; w().add(1)
wref5 | h = Held(l) ; w = weakref.ref(h) ; h.y = [9] ; q = w().y ; q.append(1)
wref7 | h = MyList([l]) ; w = weakref.ref(h) ; w()[0].append(1)
wproxy3 | h = Held(l) ; w = weakref.proxy(h) ; w.y.append(1)
wproxy5 | h = MyList([l]) ; w = weakref.proxy(h) ; w.append(1)
wvd2 | h = Held(l) ; w = weakref.WeakValueDictionary({"a": h}) ; w["a"].y.append(1)
wset | h = Held(l) ; w = weakref.WeakSet([h]) ; for q in w: q.add(1)
wmethod | h = Held(l) ; w = weakref.WeakMethod(h.add) ; w()(1)
ns-star | q = SimpleNamespace(**{"y": l}) ; q.y.append(1)
ns-vars | q = SimpleNamespace() ; vars(q)["y"] = l ; q.y.append(1)
ns-dict2 | q = SimpleNamespace(y=l) ; vars(q).get("y").append(1)
ns-update2 | d["y"] = l ; q = SimpleNamespace() ; q.__dict__.update(d) ; q.y.append(1)
ns-getattr-dyn | q = SimpleNamespace(y=l) ; k = "".join(["y"]) ; getattr(q, k).append(1)
dc-asdict | h = Data([l]) ; q = asdict(h) ; q["y"].append(1)
dc-astuple | h = Data(l) ; q = astuple(h) ; q[0].append(1)
dc-fields2 | h = Data(l) ; q = [getattr(h, f.name) for f in dataclasses.fields(h)] ; q[0].append(1)
dc-frozen | h = Frozen(l) ; h.y.append(1)
nt-replace | h = P([1], 2) ; q = h._replace(y=l) ; q.y.append(1)
nt-asdict | h = P(l, 2) ; q = h._asdict() ; q["y"].append(1)
nt-item | h = P(l, 1) ; h[0].append(1)
nt-star | h = P(*[l, 1]) ; h.y.append(1)
nt2-replace | h = NT([1], 2) ; q = h._replace(y=l) ; q.y.append(1)
nt2-asdict | h = NT(l, 2) ; q = h._asdict() ; q["y"].append(1)
nt2-item | h = NT(l, 1) ; h[0].append(1)
bound-kept2 | h = Held(l) ; f = h.add ; f(1)
bound-self | h = Held(l) ; f = h.add ; f.__self__.y.append(1)
bound-func2 | h = Held(l) ; f = h.add.__func__ ; f(h, 1)
bound-methodtype | h = Held(l) ; f = types.MethodType(add, l) ; f(1)
bound-in-dict | d["f"] = l.append ; d["f"](1)
bound-getattr | getattr(l, "append")(1)
bound-dunder | l.__setitem__(0, 5)
bound-dunder3 | l.__iadd__([1])
bound-dunder5 | q = [l] ; list.__getitem__(q, 0).append(1)
bound-dunder7 | q = [l] ; next(q.__iter__()).append(1)
bound-dunder9 | q = [l] ; r = q.__mul__(2) ; r[0].append(1)
it-chain | q = [l, [2]] ; list(chain(q))[0].append(1)
it-chain-later2 | q = [[2]] ; c = chain(q, q) ; q.append(l) ; for v in c: v.append(1)
it-tee-later | q = [[2]] ; a, b = tee(q) ; q[0] = l ; next(a).append(1)
it-tee3 | q = iter([l]) ; a, b = tee(q) ; q2 = next(a) ; q3 = next(b) ; q3.append(1)
it-tee-i | q = [[2]] ; t = tee(q) ; q[0] = l ; next(t[1]).append(1)
it-cycle-later | q = [[2]] ; c = cycle(q) ; q[0] = l ; next(c).append(1)
it-zip-later | q = [[2]] ; z = zip(q, [1]) ; q[0] = l ; next(z)[0].append(1)
it-enum-later | q = [[2]] ; z = enumerate(q) ; q[0] = l ; next(z)[1].append(1)
it-map-later | q = [[2]] ; z = map(ident, q) ; q[0] = l ; next(z).append(1)
it-rev-later | q = [[2]] ; z = reversed(q) ; q[0] = l ; next(z).append(1)
it-takewhile-later | q = [[2]] ; z = itertools.takewhile(lambda v: True, q) ; q[0] = l ; next(z).append(1)
it-filterfalse-later | q = [[2]] ; z = itertools.filterfalse(lambda v: False, q) ; q[0] = l ; next(z).append(1)
it-starmap-later | q = [([2],)] ; z = itertools.starmap(ident, q) ; q[0] = (l,) ; next(z).append(1)
it-combos | z = itertools.combinations([l, [2]], 2) ; next(z)[0].append(1)
it-iter-later | q = [[2]] ; z = iter(q) ; q[0] = l ; next(z).append(1)
it-iter-later3 | q = [[2]] ; z = iter(q) ; q[0] = l ; r = list(z) ; r[0].append(1)
it-next-dunder | q = [[2]] ; z = iter(q) ; q[0] = l ; z.__next__().append(1)
it-iter-sentinel | q = [l] ; z = iter(q.pop, 5) ; next(z).append(1)
it-item-iter | h = Item(l) ; for v in h: v.append(1)
heapq2 | q = [l] ; heapq.nlargest(1, q)[0].append(1)
cv-set | t = CV.set(l) ; CV.get().append(1)
cv-default | q = CV.get(l) ; q.append(1)
cv-run2 | c = contextvars.copy_context() ; q = c.run(ident, l) ; q.append(1)
enum-value | E.A.value.append(1)
desc | h = WithDesc() ; h.y = l ; h.y.append(1)
desc-dict | h = WithDesc() ; h.y = l ; h.__dict__["_y"].append(1)
prop-q | h = Held(l) ; q = h.p ; q.append(1)
prop-class | h = Held(l) ; q = Held.p.__get__(h) ; q.append(1)
deleg2 | q = Deleg(l) ; q.append(1)
deleg4 | q = Deleg(Held(l)) ; r = q.get() ; r.append(1)
deleg6 | h = Held([1]) ; q = Deleg(h) ; h.y = l ; q.get().append(3)
slots-desc | h = Slots(l) ; q = Slots.y.__get__(h) ; q.append(1)
getat2 | h = Getat(l) ; q = h.y ; q.append(1)
item-star | h = Item(l) ; q = {**h} ; q["k"].append(1)
closure | f = lambda: l ; f().append(1)
closure-cell | f = (lambda x: (lambda: x))(l) ; f.__closure__[0].cell_contents.append(1)
default-arg | f = lambda v, x=l: x.append(v) ; f(1)
default-acc | q = default(1) ; default(2)
func-globals | add.__globals__["d"]["k"] = l ; d["k"].append(1)
globals-get | globals()["l"].append(1)
locals-mod | locals()["l"].append(1)
exc-note | e = ValueError() ; e.y = l ; e.y.append(1)
exc-cause | e = ValueError() ; e.__cause__ = ValueError(l) ; e.__cause__.args[0].append(1)
match-class | h = Held(l) ; match h:<NL>    case Held(y=q): q.append(1)
match-rest | d["k"] = l ; match d:<NL>    case {**q}: q["k"].append(1)
match-dc | h = Data(l) ; match h:<NL>    case Data(q): q.append(1)
star-unpack2 | q = [1, l] ; a, *b = q ; b[0].append(1)
slice-del | q = [l] ; r = q ; del r[:]
setops2 | h = Held(l) ; q = {h} & {h} ; q.pop().add(1)
deque-rot | q = deque([l]) ; q.rotate() ; q.popleft().append(1)
deque-ins | q = deque() ; q.insert(0, l) ; q[0].append(1)
deque-add | q = deque([l]) + deque() ; q[0].append(1)
list-mul | q = [l] * 2 ; q[0].append(1)
list-extself | q = [l] ; q.extend(q) ; q[1].append(1)
sortedkey | q = sorted([l], key=lambda v: v.append(1) or 0)
dd | d = defaultdict(lambda: l) ; d["k"].append(1)
dd3 | d = defaultdict(list, k=l) ; d["k"].append(1)
od-move | d = OrderedDict(k=l) ; d.move_to_end("k") ; d.popitem()[1].append(1)
od-iter | d = OrderedDict(k=l) ; for k, v in d.items(): v.append(1)
cond | q = l if d else l ; q.append(1)
lambda-default | fs = [lambda v, x=x: x.append(v) for x in [l]] ; fs[0](1)
comp-walrus | [(q := x) for x in [l]] ; q.append(1)
copy-replace | h = Data(l) ; q = copy.copy(h) ; q.z = 5
cprop | h = Held(l) ; q = functools.cached_property(lambda s: s.y)
wraps | f = functools.wraps(ident)(lambda v: l.append(v)) ; f(1)
cmpkey | k = functools.cmp_to_key(lambda a, b: 0)(l) ; k.obj.append(1)
superget | h = Sub(l) ; super(Sub, h).add(1)
typenew | h = Held.__new__(Held) ; h.y = l ; h.y.append(1)
typenew3 | h = object.__new__(Held) ; h.__dict__.update(y=l) ; h.add(1)
type3b | K = type("K", (), {"y": l}) ; K().y.append(1)
mkdc | K = dataclasses.make_dataclass("K", ["y"]) ; h = K(l) ; h.y.append(1)
nested-vars | o.o = Held(l) ; vars(vars(o)["o"])["y"].append(1)
contextlib-nullcontext | import contextlib; <NL>with contextlib.nullcontext(l) as q: q.append(1)
contextlib-exitstack2 | import contextlib; <NL>with contextlib.ExitStack() as st: st.callback(l.append, 1)
queue | import queue; q = queue.Queue() ; q.put(l) ; q.get().append(1)
tlocal2 | import threading; t = threading.local() ; t.__dict__["y"] = l ; t.y.append(1)
"""
)
