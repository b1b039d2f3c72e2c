# Everyday Python that the sandbox runs. Each section has a name and the value that CPython gives.

#: match
def f():
    match {'k': [1, 2], 'z': 0}:
        case {'k': [first, *rest], **others} if first:
            return [first, rest, others]
        case _:
            return None
#= [1, [2], {"z": 0}]

#: sum over comparisons
def f():
    return sum(x > 1 for x in [1, 2, 3])
#= 2

#: decimal
from decimal import ROUND_HALF_UP, Decimal

def f():
    return str(Decimal('2.675').quantize(Decimal('0.01'), rounding=ROUND_HALF_UP))
#= "2.68"

#: copy
import copy

def f():
    a = {'x': [1]}
    b = copy.deepcopy(a)
    b['x'].append(2)
    return [a, b]
#= [{"x": [1]}, {"x": [1, 2]}]

#: hashlib
import hashlib

def f():
    return hashlib.sha256(b'x').hexdigest()[:8]
#= "2d711642"

#: itertools
from itertools import combinations, groupby

def f():
    return [list(map(list, combinations([1, 2, 3], 2))), [[k, len(list(g))] for k, g in groupby([1, 1, 2])]]
#= [[[1, 2], [1, 3], [2, 3]], [[1, 2], [2, 1]]]

#: functools
from functools import lru_cache, reduce
@lru_cache
def _double(x):
    return 2 * x

def f():
    return reduce(lambda a, b: a + b, [_double(1), 2, 3])
#= 7

#: collections
from collections import Counter, defaultdict, deque, namedtuple
Pair = namedtuple('Pair', 'a b')

def f():
    groups = defaultdict(list)
    groups['x'].append(1)
    last = deque([1, 2, 3], maxlen=2)
    return [Counter('aab').most_common(1)[0][0], dict(groups), list(last), Pair(1, b=2)._asdict()]
#= ["a", {"x": [1]}, [2, 3], {"a": 1, "b": 2}]

#: bisect
import bisect

def f():
    xs = [1, 3]
    bisect.insort(xs, 2)
    return xs
#= [1, 2, 3]

#: csv
import csv

def f():
    return list(csv.DictReader(['a,b', '1,2']))
#= [{"a": "1", "b": "2"}]

#: a dataclass
from dataclasses import dataclass, field
@dataclass
class Order:
    id: str
    items: list[str] = field(default_factory=list)
    def total(self) -> int:
        return len(self.items)

def f():
    order = Order('7', ['a'])
    return [order.total(), order == Order('7', ['a']), repr(order)]
#= [1, true, "Order(id='7', items=['a'])"]

#: a frozen dataclass as a key
from dataclasses import dataclass
@dataclass(frozen=True)
class Key:
    a: int

def f():
    return {Key(1): 'x'}[Key(1)]
#= "x"

#: a class of constants
class Status:
    OPEN = 'open'
    ALL = (OPEN, 'shut')

def f():
    return [Status.OPEN, len(Status.ALL)]
#= ["open", 2]

#: special methods
class Bag:
    def __init__(self, xs):
        self.xs = xs
    def __iter__(self):
        return iter(self.xs)
    def __contains__(self, x):
        return x in self.xs
    def __getitem__(self, k):
        return self.xs[k]
    def __eq__(self, other):
        return self.xs == other.xs
    def __repr__(self):
        return 'Bag'
    def __call__(self):
        return 9

def f():
    bag = Bag([1, 2])
    return [list(bag), 2 in bag, bag[0], bag == Bag([1, 2]), repr(bag), bag()]
#= [[1, 2], true, 1, true, "Bag", 9]

#: a base that says nothing
from typing import Protocol
class Priced(Protocol):
    def price(self) -> int: ...
class Plain(object):
    x = 1

def f():
    return Plain().x
#= 1

#: datetime
from datetime import date, datetime, timedelta

def f():
    at = datetime.fromisoformat('2025-01-01T10:00:00') + timedelta(days=40)
    return [at.strftime('%A %d %B %Y'), (date(2024, 5, 1) - date(2024, 4, 1)).days, datetime.strptime('May 1, 2024 3:05 PM', '%B %d, %Y %I:%M %p').isoformat()]
#= ["Monday 10 February 2025", 30, "2024-05-01T15:05:00"]

#: a time zone
from datetime import datetime, timedelta, timezone

def f():
    at = datetime(2024, 1, 1, tzinfo=timezone.utc)
    return at.astimezone(timezone(timedelta(hours=2))).isoformat()
#= "2024-01-01T02:00:00+02:00"

#: re
import re

def f():
    found = re.search(r'(?P<n>\d+)-(\w+)', 'no 12-ab')
    return [found.group('n'), found[2], re.sub(r'(\w+) (\w+)', r'\2 \1', 'a b')]
#= ["12", "ab", "b a"]

#: json
import json

def f():
    return [json.dumps({'b': 1, 'a': [1.5, None]}, sort_keys=True), json.loads('[1]')]
#= ["{\"a\": [1.5, null], \"b\": 1}", [1]]

#: a seeded draw
import random

def f():
    return random.Random(7).randint(1, 100)
#= 42

#: f-strings and formats
def f():
    x = {'a': 1.5}
    return [f"{x['a']:>6.2f}|{7:03d}|{1234567:,}|{x!r}", '{:>3}|{n}'.format('x', n=1), '%s %05.1f' % ('a', 1.25)]
#= ["  1.50|007|1,234,567|{'a': 1.5}", "  x|1", "a 001.2"]

#: closures and decorators
from functools import wraps
def _twice(fn):
    @wraps(fn)
    def inner(*rest, **names):
        return fn(*rest, **names) * 2
    return inner
@_twice
def _g(x, *, y=1):
    return x + y

def f():
    n = 0
    def add():
        nonlocal n
        n += 1
    add()
    return [_g(1, y=2), n]
#= [6, 1]

#: with
class Door:
    def __enter__(self):
        return 1
    def __exit__(self, *error):
        return True

def f():
    with Door() as x, Door():
        raise ValueError('no')
    return x
#= 1

#: try
def f():
    seen = []
    try:
        int('x')
    except (ValueError, KeyError) as error:
        seen.append(type(error).__name__)
    else:
        seen.append('else')
    finally:
        seen.append('end')
    return seen
#= ["ValueError", "end"]

#: unpacking
def f():
    (a, (b, *c)), d = (1, (2, 3, 4)), {'x': 1}
    return [a, b, c, {**d, 'y': 2}, [*c, 5], (m := 3) + m]
#= [1, 2, [3, 4], {"x": 1, "y": 2}, [3, 4, 5], 6]

#: slices
def f():
    xs = [1, 2, 3, 4]
    xs[1:3] = [9]
    return [xs, xs[::-1], xs[-2:]]
#= [[1, 9, 4], [4, 9, 1], [9, 4]]

#: del of items
def f():
    d = {'a': {'b': 1, 'c': 2}, (1, 2): 3}
    xs = [1, 2, 3, 4]
    del d['a']['b'], d[1, 2]
    del xs[0], xs[1:]
    return [d, xs]
#= [{"a": {"c": 2}}, [2]]

#: next of an expression
def f():
    rows = [{'id': 1}, {'id': 2}]
    return [next((r for r in rows if r['id'] == 2), None), next(zip('ab', 'cd'))[1]]
#= [{"id": 2}, "c"]

#: a method as a key
def f():
    d = {'a': 1, 'b': 2}
    return [max(d, key=d.get), sorted(['B', 'a'], key=str.lower), list(map(str.strip, [' x ']))]
#= ["b", ["a", "B"], ["x"]]

#: a value of its own
_NONE = object()

def f():
    return {}.get('x', _NONE) is _NONE
#= true

#: hints
from collections.abc import Iterable
from typing import NewType, TypeVar, cast
T = TypeVar('T')
Uid = NewType('Uid', str)
def _g(xs: Iterable[T]) -> T:
    return cast(str, Uid(xs[0]))

def f():
    return _g(['a'])
#= "a"

#: asyncio
import asyncio
async def _g(x):
    return x + 1
async def _both():
    return await asyncio.gather(_g(1), _g(2))

def f():
    return asyncio.run(_both())
#= [2, 3]
