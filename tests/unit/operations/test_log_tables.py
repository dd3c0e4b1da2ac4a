"""The log as tables: rows as the folds make them, at any position, the same bytes each time, whole or not there."""

import re
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from app.cli import main
from app.operations.log_tables import DESCRIPTION, SCRIPT, TablesError, write_tables
from app.operations.replay import replay
from events.base import Recorded
from projections.registry import ALL
from tests.research_log import PICTURES, research_log
from tests.unit.operations.test_log_copies import write_copy


@pytest.fixture(scope="module")
def events() -> list[Recorded]:
    """A log with waiting jobs and ratings."""
    return research_log().events


def opened(folder: Path) -> duckdb.DuckDBPyConnection:
    """The tables by the script, from another folder."""
    connection = duckdb.connect()
    connection.execute(f"SET file_search_path = '{folder}'")
    connection.execute((folder / SCRIPT).read_text(encoding="utf-8"))
    return connection


def written(events: list[Recorded], folder: Path, upto: int | None = None) -> Any:
    chosen = [event for event in events if upto is None or event.position <= upto]
    return write_tables(0, chosen, len(chosen), folder)


def test_sql_says_what_the_replay_says(events: list[Recorded], tmp_path: Path):
    described = written(events, tmp_path / "tables")
    replayed, state = replay(events, len(events))
    sql = opened(tmp_path / "tables")
    found = sql.execute('SELECT "user", 100 * balance, 100 * held FROM balances ORDER BY "user"').fetchall()
    assert found == [(each.subject, each.balance, each.held) for each in replayed.balances]
    assert [row[0] for row in sql.execute("SELECT job FROM waiting").fetchall()] == [
        each.job for each in replayed.queue
    ]
    assert len(replayed.queue) > 5
    (unbalanced,) = sql.execute(
        "SELECT count(*) FROM (SELECT position FROM postings GROUP BY position HAVING sum(amount) <> 0)"
    ).fetchall()
    assert unbalanced == (0,)
    money = dict(sql.execute("SELECT account, 100 * kudos FROM money").fetchall())
    assert all(money.get(f"user:{each.subject}", 0) == each.balance for each in replayed.balances)
    assert sum(money.values()) == 0
    for projection in ALL:
        rows = sql.execute(f'SELECT count(*) FROM "{projection.name}"').fetchone()
        assert rows == (described.tables[projection.name],) == (len(state[projection.name]),)
    newest = sql.execute("SELECT epoch_us(occurred_at), stream FROM events ORDER BY position DESC LIMIT 1")
    assert newest.fetchone() == (round(events[-1].occurred_at.timestamp() * 1e6), events[-1].stream)


def test_nested_values_and_ratings_can_be_asked_for(events: list[Recorded], tmp_path: Path):
    written(events, tmp_path / "tables")
    sql = opened(tmp_path / "tables")
    replayed, state = replay(events, len(events))
    found = sql.execute("SELECT * FROM picture_ratings ORDER BY picture").fetchall()
    assert found == [(each.picture, each.ratings, each.mean, each.mean_trusted) for each in replayed.ratings]
    assert len(found) == len(PICTURES)
    histogram = sql.execute('SELECT sum(list_sum("values")) FROM raters').fetchone()
    assert histogram is not None
    assert histogram[0] > 50
    quoted = sql.execute("SELECT sum(item.f1) FROM (SELECT unnest(quote) AS item FROM jobs)").fetchone()
    assert quoted is not None
    assert quoted[0] == sum(amount for job in state["jobs"].values() for _, amount in job.quote)  # type: ignore[attr-defined]


def test_the_queries_of_the_docs_run(events: list[Recorded], tmp_path: Path):
    written(events, tmp_path / "tables")
    page = (Path(__file__).parents[3] / "docs/research.md").read_text(encoding="utf-8")
    (queries,) = re.findall(r"```sql\n(.*?)```", page, flags=re.DOTALL)
    sql = opened(tmp_path / "tables")
    for query in queries.strip().split("\n"):
        counted = f"SELECT count(*) FROM ({query.partition(';')[0]})"
        assert (sql.execute(counted).fetchone() or (0,))[0] > 0, query


def test_a_position_before_the_end_and_the_same_bytes_again(events: list[Recorded], tmp_path: Path):
    middle = len(events) // 2
    first = written(events, tmp_path / "first", middle)
    assert (first.position, first.hash) == (middle, events[middle - 1].hash.hex())
    again = written(events, tmp_path / "again", middle)
    assert first == again
    names = sorted(path.name for path in (tmp_path / "first").iterdir())
    assert names == sorted([*(f"{name}.parquet" for name in first.tables), SCRIPT, DESCRIPTION])
    for name in names:
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "again" / name).read_bytes(), name
    whole = written(events, tmp_path / "whole")
    assert whole.tables["events"] > first.tables["events"]
    assert pq.read_table(tmp_path / "first" / "jobs.parquet").schema.field("submitted_at").type.tz == "UTC"


def test_it_is_whole_or_not_there(events: list[Recorded], tmp_path: Path):
    target = tmp_path / "tables"
    broken = [*events[:5], *events[6:]]
    with pytest.raises(Exception, match=r".+"):
        write_tables(0, [*broken, broken[1]], len(broken), target)
    assert not target.exists()
    target.mkdir()
    written(events, target)
    before = (target / DESCRIPTION).read_bytes()
    with pytest.raises(TablesError, match="not empty"):
        written(events, target)
    assert (target / DESCRIPTION).read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["tables"]


def test_the_folder_one_stands_in_will_do(
    events: list[Recorded], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    written(events, Path())
    assert (tmp_path / "here" / DESCRIPTION).is_file()


def test_a_log_without_events_has_tables_without_rows(tmp_path: Path):
    described = write_tables(0, (), 0, tmp_path / "tables")
    assert (described.position, described.hash, set(described.tables.values())) == (0, None, {0})
    assert opened(tmp_path / "tables").execute("SELECT count(*) FROM balances").fetchone() == (0,)


def test_the_command_needs_nothing_but_a_copy(events: list[Recorded], tmp_path: Path):
    (tmp_path / "copy").mkdir()
    write_copy(tmp_path / "copy", events, 100)
    asked = [
        "log",
        "tables",
        "--from",
        str(tmp_path / "copy"),
        "--until",
        "20",
        "--out",
        str(tmp_path / "out"),
    ]
    done = CliRunner().invoke(main, asked)
    assert done.exit_code == 0, done.output
    assert "position 20" in done.output
    assert opened(tmp_path / "out").execute("SELECT max(position) FROM events").fetchone() == (20,)
    again = CliRunner().invoke(main, asked)
    assert (again.exit_code, "is there and not empty" in again.output) == (1, True)
