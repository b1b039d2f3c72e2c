use super::*;

#[test]
fn each_known_gap_is_reported_with_its_line_and_a_suggested_fix() {
    let source = "import uuid\n\nclass A(dict):\n    pass\n\ndef f(a, b: int) -> int:\n    \"\"\"Doc.\"\"\"\n    del b\n    yield 1\n";
    let found = lint(source, Source::Tools);
    let lines: Vec<u32> = found.iter().map(|l| l.line).collect();
    assert_eq!(lines, [1, 3, 6, 8, 9], "{found:#?}");
    assert!(found.iter().all(|l| !l.remedy.is_empty()));
    assert!(found[0].remedy.ends_with(SERVE), "{}", found[0]);
    assert_eq!(lint("def f(:\n", Source::Checker)[0].line, 1);
}

#[test]
fn what_keeps_a_source_from_running_is_told_wherever_it_stands() {
    for (source, words) in [
        (
            "class A:\n    @property\n    def x(self):\n        return 1\n",
            "decorators of methods",
        ),
        (
            "class A:\n    if True:\n        x = 1\n",
            "methods and simple variables",
        ),
        ("class Refused(ValueError): pass\n", "no class inheritance"),
        (
            "from dataclasses import asdict\n",
            "`dataclasses` has no `asdict`",
        ),
        (
            "from dataclasses import dataclass\n@dataclass(order=True)\nclass A:\n    x: int\n",
            "no option `order`",
        ),
        (
            "from dataclasses import dataclass, field\n@dataclass\nclass A:\n    x: int = field(repr=False)\n",
            "`field` has no option `repr`",
        ),
        (
            "from collections import Counter, OrderedDict\n",
            "no `OrderedDict`",
        ),
        ("import collections.abc\n", "no module `collections.abc`"),
        ("import enum\n", "no module `enum`"),
        ("from . import a\n", "no imports of other files"),
        ("from math import *\n", "no `import *`"),
        (
            "try:\n    pass\nexcept* ValueError:\n    pass\n",
            "no `except*`",
        ),
        (
            "async def f(x):\n    return [y async for y in x]\n",
            "no `async for`",
        ),
        ("def f(x):\n    del x\n", "`del` for items alone"),
        ("del x[::2]\n", "`del` for items alone"),
    ] {
        let found = lint(source, Source::Checker);
        assert!(
            found.iter().any(|l| l.message.contains(words)),
            "{source}: {found:?}"
        );
        assert!(found.iter().all(|l| !l.remedy.is_empty()), "{found:?}");
    }
    let fine = "from typing import Literal, NotRequired, Protocol, TypedDict, cast\nfrom collections.abc import Iterable\n\
                from functools import lru_cache, wraps\nfrom dataclasses import dataclass, field\nimport decimal, random, copy\n\n\
                Cabin = Literal['a']\n\nclass Leg(TypedDict, total=False):\n    n: NotRequired[str]\n\n\
                class Priced(Protocol):\n    def price(self) -> int: ...\n\n\
                @dataclass(frozen=True)\nclass P:\n    \"\"\"A point.\"\"\"\n    x: int = 0\n    y: list = field(default_factory=list)\n\n\
                async def later(d):\n    type A = int\n    match d:\n        case {'k': [v, *_]}:\n            del d['k'], d[v:]\n    return await later(1j)\n";
    assert_eq!(lint(fine, Source::Checker), []);
    let tool = "async def f() -> str:\n    \"\"\"Doc.\"\"\"\n    return ''\n";
    let found = lint(tool, Source::Tools);
    assert!(found[0].message.contains("`f` is async"), "{found:?}");
}

#[test]
fn what_fails_only_where_it_is_reached_is_found_on_every_path() {
    for (line, words) in [
        ("callable(a)", "no `callable`"),
        ("open('x')", "no files"),
        ("reserve(1)", "`reserve` is not defined"),
        ("re.subn('a', 'b', 'c')", "`re` has no `subn`"),
        (
            "re.sub('a', lambda m: 'b', 'c')",
            "takes a text, not a function",
        ),
        ("'a'.translate({})", "no `.translate`"),
        ("str.lower('A')", "no `str.lower`"),
        ("leg.get", "cannot keep the method `.get`"),
        ("f.__name__", "no `__name__`"),
        ("datetime.now()", "the clock is out of reach"),
        ("time.time()", "refuses `time.time`"),
        ("time.strftime('%Y')", "the clock is out of reach"),
        ("os.environ['A']", "refuses `os.environ`"),
        ("os.path.exists('a')", "refuses `os.path.exists`"),
        ("datetime.strptime('10:30', '%H:%M')", "needs a year"),
        (
            "datetime.strptime('2024-05-01 10', '%Y-%m-%d %H')",
            "drops a time",
        ),
        ("json.dumps(leg, default=str)", "no `default`"),
        (
            "isinstance(a, Mapping)",
            "cannot test for a type of `typing`",
        ),
        ("KeyError(1)", "takes one text"),
        ("ValueError('a', a)", "takes one text"),
        ("next(rows)", "makes a list of `rows`"),
        ("db_get('x', id='1')", "by position"),
        ("db_find('x', 'y')", "takes 3 arguments, not 2"),
        ("leg.number", "receives `leg` as a dict"),
        ("initial_get('x', '1')", "`initial_get` is not defined"),
        ("super().x", "no `super`"),
    ] {
        let source = format!(
            "import json, os, re, time\nfrom datetime import datetime\nfrom typing import Mapping, TypedDict\n\n\
             class Leg(TypedDict):\n    number: str\n\ndef f(a: int, leg: Leg) -> str:\n    rows = (x for x in a)\n    if a > 9:\n        \
             def inner():\n            return [{line} for b in range(a)]\n        return inner()\n    return ''\n"
        );
        let found = pitfalls(&source, Source::Tools);
        assert_eq!(found.len(), 1, "{line}: {found:?}");
        assert_eq!(found[0].line, 12, "{line}");
        assert!(found[0].message.contains(words), "{line}: {}", found[0]);
        assert!(!found[0].remedy.is_empty());
    }
}

#[test]
fn what_a_class_or_a_draw_does_not_do_is_told_at_its_declaration() {
    let class = "class Box:\n    def __init__(self):\n        self.items = []\n    def __len__(self):\n        return 1\n";
    let found = pitfalls(class, Source::Tools);
    assert_eq!((found.len(), found[0].line), (1, 4), "{found:?}");
    assert!(found[0].message.contains("does not call `__len__`"));
    let drawn = "from random import choice\n\ndef _f(xs):\n    return choice(xs)\n";
    let found = pitfalls(drawn, Source::Tools);
    assert_eq!((found.len(), found[0].line), (1, 1), "{found:?}");
    assert!(found[0].message.contains("the same random numbers"));
}

#[test]
fn what_the_sandbox_runs_is_no_pitfall() {
    let source = "import math, os, random, re, time\nfrom datetime import datetime\n\n\
        class Box:\n    def __init__(self, items):\n        self.items = items\n    def first(self, get):\n        return self.items, get\n\n\
        def _f(d, xs):\n    xs[1:2] = []\n    n = sum(x > 3 for x in xs) + (d == {}) + 1j.imag\n    \
        best = max(d, key=d.get), sorted(xs, key=str.lower), list(map(str.strip, xs))\n    \
        draw = random.Random(7).choice(xs)\n    rows = iter(x for x in xs)\n    \
        first = next(rows), next((x for x in xs if x), None), math.fsum(xs), eval('n')\n    \
        at = datetime.strptime('%s' % n, '%Y-%m-%dT%H:%M'), datetime.strptime('1 May 2024', '%d %B %Y')\n    \
        match d:\n        case {'k': [v, *others], **rest} if v:\n            return v, others, rest, os.path.join('a', 'b')\n        \
        case Box(items=items) | items:\n            return items, best, draw, first, at, time.gmtime(0), re.sub('a', 'b', n)\n";
    assert_eq!(pitfalls(source, Source::Checker), []);
}

#[test]
fn names_of_every_scope_are_known() {
    let source = "import json as j\nfrom typing import TypedDict\n\nLIMIT = 3\nPlace = str | None\n\n\
        class Leg(TypedDict):\n    number: str\n\nclass Box:\n    SIZE = 1\n    def __init__(self, n=SIZE):\n        self.n = n\n\n\
        def f(a: Unknown, *rest, **more) -> Nowhere:\n    global seen\n    seen = a\n    try:\n        [first, *others] = rest\n    except ValueError as error:\n        raise KeyError(str(error))\n    \
        with Box() as box, Box():\n        pass\n    pairs = {k: v for k, v in more.items() if (w := v)}\n    key = lambda x, y=LIMIT: (x, y, w)\n    leg = Leg(number='1')\n    \
        for first in sorted(pairs, key=key):\n        helper(first, others, box, j.dumps(leg), seen, __name__, now())\n    return later()\n\ndef later():\n    return seen\n\n\
        def helper(*a):\n    pass\n";
    assert_eq!(pitfalls(source, Source::Tools), []);
}
