"""Taking checked values out of what a client sent: bounds of numbers, texts and lists, and every fault by its path.

Pure, and about no subject: which field has which bound stands in `app.jobs.image_request`.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import Final, TypeVar

import msgspec

_SURROGATE: Final = re.compile(r"[\ud800-\udfff]")

_T = TypeVar("_T")
_D = TypeVar("_D")
_E = TypeVar("_E", bound=StrEnum)
Path = tuple[str, ...]


class Fault(msgspec.Struct, frozen=True):
    """One thing wrong with a request. The message gives the bound and never repeats the client's text."""

    #: GraphQL's names, from the argument on; a place in a list is its index
    path: Path
    message: str


class RefusedError(Exception):
    """A value breaks its bound; `faults` are paths below the field, and messages."""

    def __init__(self, *faults: tuple[Path, str]) -> None:
        super().__init__()
        self.faults = faults


class Fields:
    """Takes checked fields out of a mapping and collects the faults instead of stopping at the first."""

    def __init__(self, raw: Mapping[str, object], path: Path) -> None:
        self._raw = raw
        self._path = path
        self.faults: list[Fault] = []

    def take(self, name: str, check: Callable[[object], _T], default: _D) -> _T | _D:
        """The checked field; the default where it is missing, None or faulty."""
        value = self._raw.get(name)
        if value is None:
            return default
        try:
            return check(value)
        except RefusedError as refused:
            path = (*self._path, camel(name))
            self.faults += [Fault((*path, *below), message) for below, message in refused.faults]
            return default

    def require(self, name: str, check: Callable[[object], str]) -> str:
        """The checked text; missing is as bad as empty."""
        value = self._raw.get(name)
        return self.take(name, check, "") if value is not None else self._missing(name)

    def _missing(self, name: str) -> str:
        self.faults.append(Fault((*self._path, camel(name)), "is required"))
        return ""


def camel(name: str) -> str:
    """A field's name as GraphQL has it."""
    first, *others = name.split("_")
    return first + "".join(word.capitalize() for word in others)


def refusal(message: str) -> RefusedError:
    """What a check raises: the bound that was broken."""
    return RefusedError(((), message))


def mapping(value: object) -> Mapping[str, object]:
    """An object of GraphQL."""
    if not isinstance(value, Mapping):
        raise refusal("must be an object")
    return value


def boolean(value: object) -> bool:
    """True or false, and no number."""
    if not isinstance(value, bool):
        raise refusal("must be true or false")
    return value


def integer(low: int, high: int) -> Callable[[object], int]:
    """A check for whole numbers, both bounds inclusive."""

    def check(value: object) -> int:
        # A boolean is an int to Python and to nobody else.
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise refusal(f"must be a whole number from {low} to {high}")
        return value

    return check


def number(low: float, high: float) -> Callable[[object], float]:
    """A check for numbers, both bounds inclusive."""

    def check(value: object) -> float:
        if not isinstance(value, int | float) or isinstance(value, bool) or not low <= value <= high:
            raise refusal(f"must be a number from {low:g} to {high:g}")
        return float(value) + 0.0  # -0.0 becomes 0.0: one way to write each number

    return check


def member(kind: type[_E]) -> Callable[[object], _E]:
    """A check for members of an enumeration, which may be given by name or by value."""
    known: dict[object, _E] = {each_of.name: each_of for each_of in kind}
    known |= {each_of.value: each_of for each_of in kind}
    names = ", ".join(each_of.name for each_of in kind)

    def check(value: object) -> _E:
        found = known.get(value) if isinstance(value, str) else None
        if found is None:
            raise refusal(f"must be one of {names}")
        return found

    return check


def text(value: object, most: int, least: int = 0) -> str:
    """Text of a bounded number of characters that the database takes."""
    if not isinstance(value, str):
        raise refusal("must be text")
    if len(value) < least:
        raise refusal("must not be empty" if least == 1 else f"must have at least {least} characters")
    if len(value) > most:
        raise refusal(f"must have at most {most} characters")
    if "\0" in value:
        raise refusal("must not contain a NUL character")
    if _SURROGATE.search(value):
        raise refusal("must be valid Unicode text")
    return value


def words(most: int, least: int = 0) -> Callable[[object], str]:
    """A check for text."""
    return lambda value: text(value, most, least)


def items(value: object, most: int) -> Sequence[object]:
    """A list, not too long: a longer one is refused before its items are looked at."""
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise refusal("must be a list")
    if len(value) > most:
        raise refusal(f"must have at most {most} items")
    return value


def each(value: object, check: Callable[[object], _T], most: int) -> tuple[_T, ...]:
    """Every item checked; the faults of all items together, or one for each repeated item."""
    found: list[_T] = []
    faults: list[tuple[Path, str]] = []
    for index, item in enumerate(items(value, most)):
        try:
            checked = check(item)
        except RefusedError as refused:
            faults += [((str(index), *below), message) for below, message in refused.faults]
            continue
        if checked in found:
            faults.append(((str(index),), "must not be repeated"))
        found.append(checked)
    if faults:
        raise RefusedError(*faults)
    return tuple(found)


def record(build: Callable[[Fields], _T]) -> Callable[[object], _T]:
    """A check for objects, whose fields `build` takes; their faults come together."""

    def check(value: object) -> _T:
        fields = Fields(mapping(value), ())
        made = build(fields)
        if fields.faults:
            raise RefusedError(*((fault.path, fault.message) for fault in fields.faults))
        return made

    return check
