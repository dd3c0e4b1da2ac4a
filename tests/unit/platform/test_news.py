"""The operator's news: read, checked, read again when the file changes."""

import json
import os
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from app.platform.news import MAX_TEXT, Importance, News
from app.platform.settings import SettingsError

ITEM = {"date": "2026-03-01", "title": "Texts", "text": "Workers may **write** now."}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "news.json"


def write(file: Path, *items: Any, later: int = 0) -> str:
    file.write_text(json.dumps(items), encoding="utf-8")
    os.utime(file, ns=(later, later))
    return str(file)


def test_without_a_file_there_is_no_news():
    assert News(None).refresh() == ()


def test_the_newest_come_first(file: Path):
    older = {
        **ITEM, "date": "2025-12-31", "importance": "CRISIS", "tags": ["queue"], "links": ["https://example.org/x"],
    }  # fmt: skip
    first, second = News(write(file, older, ITEM)).items
    assert (first.date, first.importance, first.links) == (date(2026, 3, 1), Importance.INFORMATION, ())
    assert (second.importance, second.tags, second.links) == (
        Importance.CRISIS, ("queue",), ("https://example.org/x",),
    )  # fmt: skip


def test_a_changed_file_is_read_again_and_a_faulty_one_is_not_believed(
    file: Path, caplog: pytest.LogCaptureFixture
):
    news = News(write(file, ITEM))
    write(file, ITEM, {**ITEM, "title": "More"}, later=1)
    assert [item.title for item in news.refresh()] == ["More", "Texts"]
    write(file, {**ITEM, "title": ""}, later=2)
    assert [item.title for item in news.refresh()] == ["More", "Texts"]
    assert [record.message for record in caplog.records] == ["news_not_read"]
    news.refresh()
    assert len(caplog.records) == 1, "a fault is told once"
    write(file, later=3)
    assert news.refresh() == ()
    file.unlink()
    assert news.refresh() == ()


@pytest.mark.parametrize(
    ("items", "fault"),
    [
        ([{**ITEM, "title": "x" * 201}], "item 1: a title has 1 to 200"),
        ([{**ITEM, "title": "two\nlines"}], "item 1: a title has"),
        ([ITEM, {**ITEM, "text": "x" * (MAX_TEXT + 1)}], "item 2: a text has 1 to 10000"),
        ([{**ITEM, "links": ["javascript:alert(1)"]}], "item 1: there are at most 10 links, to http"),
        ([{**ITEM, "tags": [""]}], "item 1: there are at most 10 tags"),
        ([{**ITEM, "importance": "HUGE"}], "item 1: Invalid enum value 'HUGE'"),
        ([{**ITEM, "date": "yesterday"}], "item 1: Invalid RFC3339"),
        ([{**ITEM, "surprise": 1}], "item 1: Object contains unknown field"),
        ([{"title": "x"}], "item 1: Object missing required field"),
        ([ITEM, ITEM], "has 'Texts' of 2026-03-01 twice"),
        ([ITEM] * 1_001, "must have at most 1000 items"),
        ({"news": []}, "must be a JSON list of news"),
    ],
)
def test_every_fault_is_named(file: Path, items: Any, fault: str):
    file.write_text(json.dumps(items), encoding="utf-8")
    with pytest.raises(SettingsError) as raised:
        News(str(file))
    assert any(text.startswith(f"HOARD_NEWS_FILE {fault}") for text in raised.value.faults)


def test_a_file_that_is_not_there_or_too_large_is_a_fault(file: Path):
    with pytest.raises(SettingsError, match="cannot be read: FileNotFoundError"):
        News(str(file))
    file.write_bytes(b" " * (1024 * 1024 + 1))
    with pytest.raises(SettingsError, match="at most 1048576 bytes"):
        News(str(file))
