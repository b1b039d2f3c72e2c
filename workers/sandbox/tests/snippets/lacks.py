# Everyday Python that the sandbox does not run. Each section has a name, the value that CPython gives, and the words in which the
# lint reports it. A section whose value the sandbox gives is a gain of a newer interpreter: move it to runs.py, and shorten the tables.

#: inheritance
class A:
    x = 1
class B(A):
    pass

def f():
    return B().x
#= 1
#! no class inheritance

#: an exception of one's own
class Refused(ValueError):
    pass

def f():
    try:
        raise Refused('no')
    except ValueError as error:
        return str(error)
#= "no"
#! no class inheritance

#: an enum
from enum import Enum
class Color(Enum):
    RED = 'red'

def f():
    return Color.RED.value
#= "red"
#! no module `enum`

#: a property
class A:
    @property
    def x(self):
        return 1

def f():
    return A().x
#= 1
#! decorators of methods

#: a static method
class A:
    @staticmethod
    def x():
        return 1

def f():
    return A.x()
#= 1
#! decorators of methods

#: del of a name
def f():
    x = 1
    del x
    return 1
#= 1
#! `del` for items alone

#: yield
def _g():
    yield 1

def f():
    return list(_g())
#= [1]
#! no `yield`

#: except*
def f():
    try:
        raise ValueError('no')
    except* ValueError:
        pass
    return 1
#= 1
#! no `except*`

#: asdict
from dataclasses import asdict, dataclass
@dataclass
class A:
    x: int

def f():
    return asdict(A(1))
#= {"x": 1}
#! no `asdict`

#: an ordered dataclass
from dataclasses import dataclass
@dataclass(order=True)
class A:
    x: int

def f():
    return A(1) < A(2)
#= true
#! no option `order`

#: OrderedDict
from collections import OrderedDict

def f():
    return list(OrderedDict(a=1))
#= ["a"]
#! no `OrderedDict`

#: uuid
import uuid

def f():
    return len(str(uuid.uuid4()))
#= 36
#! no module `uuid`

#: operator
from operator import itemgetter

def f():
    return sorted([[2], [1]], key=itemgetter(0))
#= [[1], [2]]
#! no module `operator`

#: sub with a function
import re

def f():
    return re.sub('a', lambda m: 'b', 'a')
#= "b"
#! takes a text, not a function

#: a default of json
import json
from datetime import date

def f():
    return json.dumps([date(2024, 1, 1)], default=str)
#= "[\"2024-01-01\"]"
#! no `default`

#: a time without a date
from datetime import datetime

def f():
    return datetime.strptime('10:30', '%H:%M').hour
#= 10
#! needs a year

#: an hour without minutes
from datetime import datetime

def f():
    return datetime.strptime('2024-05-01 10', '%Y-%m-%d %H').hour
#= 10
#! drops a time

#: an exception with two values
def f():
    try:
        raise ValueError('a', 2)
    except ValueError as error:
        return error.args[1]
#= 2
#! takes one text

#: comparison of objects
class A:
    def __init__(self, x):
        self.x = x
    def __lt__(self, other):
        return self.x < other.x

def f():
    return A(1) < A(2)
#= true
#! does not call `__lt__`

#: the length of an object
class A:
    def __len__(self):
        return 0

def f():
    return bool(A())
#= false
#! does not call `__len__`

#: callable
def f():
    return callable(len)
#= true
#! no `callable`

#: translate
def f():
    return 'abc'.translate({97: 'x'})
#= "xbc"
#! no `.translate`

#: a method as a value
def f():
    xs = []
    put = xs.append
    put(1)
    return xs
#= [1]
#! as a value

#: isinstance of a hint
from typing import Mapping

def f():
    return isinstance({}, Mapping)
#= true
#! cannot test for a type
