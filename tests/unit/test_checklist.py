"""Every feature that `docs/checklist.md` says is here is named by a test."""

import re
from collections.abc import Iterator
from pathlib import Path

TESTS = Path(__file__).parents[1]
PAGE = TESTS.parent / "docs" / "checklist.md"
#: what the page says of a feature that is not built
NOT_BUILT = ("not yet", "not here", "with text jobs")

_NAMED = re.compile(r"[Ff]eatures? ((?:\d+(?: to |, and |, | and )?)+)")


def named_by_tests() -> set[int]:
    """The numbers in docstrings: "Features 42 to 44, 50"."""
    return {
        number
        for path in TESTS.rglob("*.py")
        for text in _NAMED.findall(path.read_text(encoding="utf-8"))
        for number in _numbers(text)
    }


def _numbers(text: str) -> Iterator[int]:
    for first, last in re.findall(r"(\d+)(?: to (\d+))?", text):
        yield from range(int(first), int(last or first) + 1)


def test_ranges_and_lists_of_numbers_are_read():
    assert set(_numbers("42 to 44, 50 and 52")) == {42, 43, 44, 50, 52}


def test_every_feature_that_is_built_is_named_by_a_test():
    rows = re.findall(r"^\| (\d+) \| .* \| (.*) \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(rows) > 90
    built = {int(number) for number, here in rows if not here.startswith(NOT_BUILT)}
    assert not built - named_by_tests()
