"""Fields of a workload's description: what each may be, and the way from and to JSON.

A description is a tree of frozen dataclasses.  Each field carries its help text and what is legal as metadata, as
``HeapParams`` does: an object that answers to ``in`` and whose ``str`` completes the sentence "expected ...".  A class
of which there are several kinds in one place (a distribution of sizes, say) has a ``KIND``, which is its ``"kind"`` in
JSON.

From arguments a wrong value is a ``ValueError`` naming class, field, value and legal range; from a file it is a
``FormatError`` that names the file and the path to the field as well.
"""

import dataclasses
import math

from ..errors import FormatError


def number_shown(value):
    """Return a number as a reader likes it: powers of two from 2**16 on as such."""
    if isinstance(value, int) and value >= 1 << 16 and value & (value - 1) == 0:
        return f"2**{value.bit_length() - 1}"
    return f"{value:,}"


class Whole:
    """Whole numbers from ``least`` to ``most``."""

    def __init__(self, least, most):
        self.least, self.most = least, most

    def __contains__(self, value):
        return isinstance(value, int) and not isinstance(value, bool) and self.least <= value <= self.most

    def __str__(self):
        return f"a whole number from {number_shown(self.least)} to {number_shown(self.most)}"


class Number:
    """Numbers from ``least`` to ``most``."""

    def __init__(self, least, most):
        self.least, self.most = least, most

    def __contains__(self, value):
        if not isinstance(value, int | float) or isinstance(value, bool):
            return False
        return math.isfinite(value) and self.least <= value <= self.most

    def __str__(self):
        return f"a number from {number_shown(self.least)} to {number_shown(self.most)}"


class Choice:
    """One of a few words."""

    def __init__(self, *words):
        self.words = words

    def __contains__(self, value):
        return isinstance(value, str) and value in self.words

    def __str__(self):
        return f"one of {', '.join(map(repr, self.words))}"


class Text:
    """Text of at most ``most`` characters."""

    def __init__(self, most=4000):
        self.most = most

    def __contains__(self, value):
        return isinstance(value, str) and len(value) <= self.most

    def __str__(self):
        return f"text of at most {self.most} characters"


class Flag:
    """True or false."""

    def __contains__(self, value):
        return isinstance(value, bool)

    def __str__(self):
        return "true or false"


class Statements:
    """A list of dicts."""

    def __contains__(self, value):
        return isinstance(value, tuple) and all(isinstance(v, dict) for v in value)

    def __str__(self):
        return "a list of objects"


class Steps:
    """A share from 0 to 1, or a list of [size, share]: the share of objects up to each size."""

    def __contains__(self, value):
        share = Number(0, 1)
        if not isinstance(value, tuple):
            return value in share
        pairs = all(isinstance(s, tuple) and len(s) == 2 and s[0] in Whole(1, 1 << 47) and s[1] in share for s in value)
        return bool(value) and pairs and all(a[0] < b[0] for a, b in zip(value, value[1:], strict=False))

    def __str__(self):
        return "a share from 0 to 1, or a list of [size in bytes, share] with rising sizes"


class ByName:
    """A dict from names to values that ``legal`` allows."""

    def __init__(self, legal, what):
        self.legal, self.what = legal, what

    def __contains__(self, value):
        return isinstance(value, dict) and all(isinstance(k, str) and v in self.legal for k, v in value.items())

    def __str__(self):
        return f"an object of {self.what}: {self.legal}"


class Rows:
    """A list of at least one row of two or three numbers, each legal in its column."""

    def __init__(self, *columns):
        self.columns = columns

    def __contains__(self, value):
        if not isinstance(value, tuple) or not value:
            return False
        return all(isinstance(row, tuple) and self._row(row) for row in value)

    def _row(self, row):
        return len(self.columns) - 1 <= len(row) <= len(self.columns) and all(
            v in legal for v, legal in zip(row, self.columns, strict=False)
        )

    def __str__(self):
        return "a list of rows of " + ", ".join(map(str, self.columns)) + " (the last may be left out)"


class One:
    """An object of one of ``classes``."""

    def __init__(self, *classes):
        self.classes = classes

    def __contains__(self, value):
        return isinstance(value, self.classes)

    def __str__(self):
        kinds = [c.KIND for c in self.classes if hasattr(c, "KIND")]
        return "an object of kind " + ", ".join(kinds) if kinds else f"a {self.classes[0].__name__.lower()}"


class Many(One):
    """A list of at least one object of ``classes``."""

    def __contains__(self, value):
        return isinstance(value, tuple) and bool(value) and all(isinstance(v, self.classes) for v in value)

    def __str__(self):
        return f"a list of at least one, each {super().__str__()}"


def described(text, legal, default=dataclasses.MISSING):
    """Return a dataclass field with its help text and what is legal."""
    if isinstance(default, dict):
        return dataclasses.field(default_factory=dict, metadata={"help": text, "legal": legal})
    return dataclasses.field(default=default, metadata={"help": text, "legal": legal})


def _frozen(value):
    """Return ``value`` with its lists made tuples."""
    if isinstance(value, list | tuple):
        return tuple(_frozen(v) for v in value)
    return value


@dataclasses.dataclass(frozen=True)
class Described:
    """Base of all parts of a description: checks its fields, and those rules that concern several of them."""

    def __post_init__(self):
        for field in dataclasses.fields(self):
            value = _frozen(getattr(self, field.name))
            object.__setattr__(self, field.name, value)
            if value not in field.metadata["legal"]:
                raise ValueError(
                    f"{type(self).__name__}.{field.name} = {value!r}: expected {field.metadata['legal']}"
                )
        self.check()

    def check(self):
        """Raise ``ValueError`` where fields contradict each other."""

    def to_json(self):
        """Return the description as lists, dicts, numbers and text; fields that have their default are left out."""
        found = {"kind": self.KIND} if hasattr(self, "KIND") else {}
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            default = {} if field.default_factory is not dataclasses.MISSING else field.default
            if value != default:
                found[field.name] = _plain(value)
        return found


def _plain(value):
    """Return ``value`` as JSON has it."""
    if isinstance(value, Described):
        return value.to_json()
    if isinstance(value, tuple):
        return [_plain(v) for v in value]
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    return value


def from_json(found, classes, path):
    """Return the description that ``found`` holds, an object of one of ``classes``.

    Raises
    ------
    FormatError
        Naming ``path`` with the place in it, and what was expected.
    """
    if not isinstance(found, dict):
        raise FormatError(f"{path}: found {_short(found)}, expected an object of {One(*classes)}")
    values = dict(found)
    chosen = classes[0]
    if hasattr(chosen, "KIND"):
        kind = values.pop("kind", None)
        named = {c.KIND: c for c in classes}
        if not isinstance(kind, str) or kind not in named:
            raise FormatError(f"{path}.kind = {_short(kind)}: expected one of {', '.join(named)}")
        chosen = named[kind]
    fields = {f.name: f for f in dataclasses.fields(chosen)}
    unknown = sorted(set(values) - set(fields))
    if unknown:
        raise FormatError(f"{path}: unknown field {unknown[0]!r}, expected {', '.join(fields)}")
    for name, field in fields.items():
        if name in values:
            values[name] = _value(values[name], field.metadata["legal"], f"{path}.{name}")
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise FormatError(f"{path}: field {name!r} is missing, expected {field.metadata['legal']}")
    try:
        return chosen(**values)
    except FormatError:
        raise
    except ValueError as err:
        raise FormatError(f"{path}: {err}") from err


def _value(found, legal, path):
    """Return the value of one field, with the descriptions in it made."""
    if isinstance(legal, Many):
        if not isinstance(found, list):
            raise FormatError(f"{path} = {_short(found)}: expected {legal}")
        return tuple(from_json(item, legal.classes, f"{path}[{i}]") for i, item in enumerate(found))
    if isinstance(legal, One):
        return from_json(found, legal.classes, path)
    return found


def _short(value):
    """Return the text of ``value``, cut to what a message can carry."""
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
