//! The gaps of the interpreter, Monty 1.4.0, in one place: shorten these tables when it learns more.

mod names;

pub(super) use names::{is_builtin, modules, names_of};

/// The remedy where the sandbox cannot run something by its nature.
pub(super) const SERVE: &str = "or serve these tools over MCP (docs/servers.md)";

/// Modules that people reach for, with a replacement.
pub(super) const INSTEAD_OF_MODULES: [(&str, &str); 16] = [
    ("abc", "use plain functions"),
    ("calendar", "compute it with `datetime`"),
    ("contextlib", "use `try` and `except`"),
    (
        "enum",
        "use a plain class of constants, and `Literal[..]` in hints",
    ),
    ("fractions", "count in whole units, or use `decimal`"),
    ("heapq", "sort a list, or use `bisect.insort`"),
    ("io", "build the text with `+=` or `join`"),
    ("operator", "write a lambda, as `key=lambda r: r[\"name\"]`"),
    ("pydantic", "use a TypedDict or a @dataclass"),
    (
        "secrets",
        "results must be the same at every replay: take a value from the data",
    ),
    ("statistics", "compute it with `sum` and `len`"),
    ("string", "write the characters as a text"),
    ("types", "use a dict or a @dataclass"),
    ("typing_extensions", "import from `typing`"),
    (
        "uuid",
        "make ids from the data, such as f\"task_{len(db_ids('tasks')) + 1}\"",
    ),
    ("zoneinfo", "use `datetime.timezone(timedelta(hours=..))`"),
];

/// Names of modules that are missing, with a replacement.
pub(super) const INSTEAD_OF_NAMES: [(&str, &str); 15] = [
    ("collections.ChainMap", "merge the dicts, `{**a, **b}`"),
    ("collections.OrderedDict", "use a dict: it keeps its order"),
    (
        "dataclasses.asdict",
        "write a method that returns the dict, or use a TypedDict",
    ),
    (
        "dataclasses.astuple",
        "write a method that returns the list",
    ),
    ("dataclasses.fields", "name the fields"),
    (
        "dataclasses.replace",
        "call the class with the changed fields",
    ),
    ("datetime.UTC", "use `timezone.utc`"),
    (
        "functools.cached_property",
        "write a plain method, and keep its value in an attribute",
    ),
    (
        "functools.cmp_to_key",
        "sort with a `key` that returns a tuple",
    ),
    ("functools.total_ordering", "sort with a `key`"),
    (
        "functools.wraps",
        "leave it out, or write `from functools import wraps`",
    ),
    ("re.VERBOSE", "put `(?x)` before the pattern"),
    ("re.X", "put `(?x)` before the pattern"),
    (
        "re.subn",
        "use `re.sub`, and count with `len(re.findall(..))`",
    ),
    (
        "typing.NamedTuple",
        "use `collections.namedtuple` or a @dataclass",
    ),
];

/// Python's other built-in names, with a replacement; an empty text where there is nothing.
pub(super) const NO_BUILTINS: [(&str, &str); 32] = [
    ("__import__", ""),
    ("ascii", "use `repr`"),
    ("breakpoint", "leave it out"),
    ("bytearray", "use `bytes` or a list"),
    ("callable", "test what you call by its name"),
    ("classmethod", "write a plain function"),
    ("compile", ""),
    ("delattr", "set the attribute to None"),
    ("dir", "name the attributes"),
    ("exit", "raise an exception"),
    ("globals", "use a dict of functions"),
    ("help", "write the text out"),
    ("input", "take it as a parameter of the tool"),
    ("issubclass", "test with `isinstance`"),
    ("memoryview", "use `bytes`"),
    ("property", "write a plain method"),
    ("quit", "raise an exception"),
    ("staticmethod", "write a plain function"),
    ("super", "use a plain function; there is no inheritance"),
    ("vars", "use a dict"),
    ("BlockingIOError", "use OSError"),
    ("BufferError", "use ValueError"),
    ("ConnectionError", "use OSError"),
    ("EOFError", "use ValueError"),
    ("EnvironmentError", "use OSError"),
    ("ExceptionGroup", "raise the first of them"),
    ("FloatingPointError", "use ArithmeticError"),
    ("IOError", "use OSError"),
    ("StopAsyncIteration", "use StopIteration"),
    ("UnicodeError", "use ValueError"),
    ("UserWarning", "use Exception"),
    ("Warning", "use Exception"),
];

/// Methods and attributes of Python's own types that are missing, with a replacement.
pub(super) const NO_METHODS: [(&str, &str); 33] = [
    ("__cause__", "put the text of the cause into the message"),
    ("__closure__", "pass the values as arguments"),
    ("__code__", "leave it out"),
    ("__context__", "put the text of the cause into the message"),
    ("__dict__", "name the attributes"),
    ("__traceback__", "leave it out"),
    ("add_note", "put the note into the message"),
    ("bit_count", "use `bin(x).count(\"1\")`"),
    ("bit_length", "use `len(bin(x)) - 2`"),
    ("ctime", "use `strftime`"),
    ("difference_update", "use `-=`"),
    ("format_map", "use `format(**values)`"),
    ("from_bytes", "add the bytes up in a loop"),
    ("fromisocalendar", "add days to the first day of the year"),
    ("fromordinal", "add a `timedelta` to a date"),
    ("fromtimestamp", "add a `timedelta` to a datetime"),
    ("groupindex", "use `groupdict()` of a match"),
    ("intersection_update", "use `&=`"),
    ("is_integer", "compare with `int(x)`"),
    ("isocalendar", "use `strftime(\"%V\")` and `weekday()`"),
    ("lastgroup", "test each group"),
    ("lastindex", "test each group"),
    ("maketrans", "use `replace`"),
    ("regs", "use `span`"),
    ("subn", "use `sub`"),
    ("symmetric_difference_update", "use `^=`"),
    ("timetuple", "use the attributes of the date"),
    ("to_bytes", "divide in a loop"),
    ("toordinal", "subtract two dates and take `.days`"),
    ("translate", "use `replace`"),
    ("utcfromtimestamp", "add a `timedelta` to a datetime"),
    ("utctimetuple", "use the attributes of the date"),
    ("with_traceback", "leave it out"),
];

/// Methods of Python's own types that people keep as a value, which the interpreter cannot: `append = rows.append`.
pub(super) const BOUND_METHODS: [&str; 20] = [
    "add",
    "append",
    "endswith",
    "extend",
    "get",
    "index",
    "items",
    "join",
    "keys",
    "lower",
    "pop",
    "popleft",
    "remove",
    "setdefault",
    "sort",
    "startswith",
    "strip",
    "update",
    "upper",
    "values",
];

/// Special methods that the interpreter does not call, with a replacement.
pub(super) const NO_SPECIALS: [(&str, &str); 22] = [
    ("__lt__", SORT),
    ("__le__", SORT),
    ("__gt__", SORT),
    ("__ge__", SORT),
    ("__bool__", PLAIN),
    ("__len__", PLAIN),
    ("__format__", PLAIN),
    ("__bytes__", PLAIN),
    ("__reversed__", PLAIN),
    ("__getattr__", PLAIN),
    ("__getattribute__", PLAIN),
    ("__setattr__", PLAIN),
    ("__delattr__", PLAIN),
    ("__delitem__", PLAIN),
    ("__new__", "write a function that makes the object"),
    ("__del__", "call a plain method"),
    ("__init_subclass__", "there is no inheritance"),
    ("__get__", PLAIN),
    ("__set__", PLAIN),
    ("__iadd__", IN_PLACE),
    ("__isub__", IN_PLACE),
    ("__imul__", IN_PLACE),
];

const SORT: &str = "sort and compare with a `key` or by an attribute";
const PLAIN: &str = "write a plain method and call it by its name";
const IN_PLACE: &str = "write `x = x + y` and `__add__`";

/// Names of modules that are there and refuse to run, with a replacement.
pub(super) const REFUSED: [(&str, &str, &str); 4] = [
    (
        "os",
        "chdir environ getenv listdir makedirs mkdir remove rename replace rmdir scandir stat unlink urandom walk",
        "keep the data in state.json",
    ),
    (
        "os.path",
        "exists expanduser expandvars getatime getctime getmtime getsize isdir isfile islink ismount lexists realpath samefile",
        "keep the data in state.json",
    ),
    ("asyncio", "sleep", "leave it out"),
    (
        "time",
        "monotonic monotonic_ns perf_counter perf_counter_ns sleep time time_ns",
        CLOCK,
    ),
];

/// The remedy for what reads the clock.
pub(super) const CLOCK: &str =
    "use `now()`, the episode's clock, as `datetime.fromisoformat(now())`";

/// Methods of `pathlib.Path` that reach for files.
pub(super) const PATH_METHODS: &str = "absolute exists is_dir is_file iterdir mkdir open read_bytes read_text rename resolve rmdir stat touch \
     unlink write_bytes write_text";

/// The host functions of tools with the fewest and the most arguments that they take.
pub(super) const TOOL_HOST: [(&str, usize, usize); 6] = [
    ("db_get", 1, 3),
    ("db_put", 2, 3),
    ("db_delete", 2, 2),
    ("db_ids", 1, 1),
    ("db_find", 3, 3),
    ("now", 0, 0),
];

/// The host functions of checkers.
pub(super) const CHECKER_HOST: [(&str, usize, usize); 8] = [
    ("initial_get", 1, 3),
    ("initial_ids", 1, 1),
    ("initial_find", 3, 3),
    ("final_get", 1, 3),
    ("final_ids", 1, 1),
    ("final_find", 3, 3),
    ("diff", 0, 0),
    ("now", 0, 0),
];

/// Looks a name up in a table of remedies.
pub(super) fn remedy(table: &[(&str, &'static str)], name: &str) -> Option<&'static str> {
    let found = table.iter().find(|(known, _)| *known == name);
    found.map(|(_, remedy)| *remedy)
}

/// The remedy for a name of a module that refuses to run.
pub(super) fn refused(module: &str, name: &str) -> Option<&'static str> {
    let found = (REFUSED.iter())
        .find(|(known, names, _)| *known == module && names.split_whitespace().any(|n| n == name));
    found.map(|(_, _, remedy)| *remedy)
}

/// The message and the remedy for a name that a module lacks.
pub(super) fn lacking(module: &str, name: &str) -> (String, String) {
    let message = format!("the sandbox's `{module}` has no `{name}`");
    let path = format!("{module}.{name}");
    let remedy = match remedy(&INSTEAD_OF_NAMES, &path) {
        Some(remedy) => format!("{remedy}, {SERVE}"),
        None => {
            let names = names_of(module).unwrap_or_default();
            format!("it has {}, {SERVE}", names.join(", "))
        }
    };
    (message, remedy)
}
