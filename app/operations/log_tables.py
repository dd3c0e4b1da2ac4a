"""The log as tables at a position: a Parquet file a projection, its events and postings, and a script that opens them.

Folds in memory, with the server's own folds: all rows there were at the position, some hundred bytes to a kilobyte each,
must fit. Files are written in batches. The same position gives the same bytes (with the same version of pyarrow). A folder
has its name only once it is whole. Look next: `app.operations.arrow_rows`, docs/research.md.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self
from uuid import UUID

import msgspec
import pyarrow.parquet as pq

from app.operations.arrow_rows import Columns
from app.operations.replay import Progress
from events.base import Recorded, postings_of
from events.codec import fact_of
from projections import memory
from projections.registry import ALL

FORMAT: Final = "hoard-tables-1"
DESCRIPTION: Final = "tables.json"
SCRIPT: Final = "open.sql"
#: rows that are turned into columns at a time
_BATCH: Final = 10_000
_TOLD: Final = 1_000

#: what the script makes besides a view of each file; queries of docs/research.md build on them
_VIEWS: Final = """
-- kudos in hands, by user: hundredths as kudos
CREATE OR REPLACE VIEW balances AS
  SELECT id AS "user", balance * 0.01 AS balance, held * 0.01 AS held, consumed * 0.01 AS consumed FROM accounts;
-- what waited, best first
CREATE OR REPLACE VIEW waiting AS
  SELECT row_number() OVER (ORDER BY rank DESC, position) AS place, id AS job, kind, tier, waiting, requester, submitted_at
  FROM jobs WHERE waiting > 0 AND state IN ('WAITING', 'PROCESSING') AND NOT fetching ORDER BY place;
-- what was said of each picture; once a rater
CREATE OR REPLACE VIEW picture_ratings AS
  SELECT picture, count(*) AS n, avg(value) AS mean, avg(value) FILTER (WHERE NOT suspect) AS mean_trusted
  FROM ratings WHERE value IS NOT NULL AND NOT again GROUP BY picture;
-- where all kudos came from and went to, account by account
CREATE OR REPLACE VIEW money AS
  SELECT account, sum(amount) * 0.01 AS kudos, count(*) AS movements FROM postings GROUP BY account;
"""


class Envelope(msgspec.Struct, frozen=True):
    """What is around an event. Its content is in the log's own segments."""

    position: int
    occurred_at: datetime
    type: str
    stream: str
    subject: UUID | None


class PostingRow(msgspec.Struct, frozen=True):
    """One movement of kudos on one account; those of a position sum to zero."""

    position: int
    occurred_at: datetime
    account: str
    #: hundredths of kudos
    amount: int
    type: str


class Described(msgspec.Struct, frozen=True, kw_only=True):
    """What a folder of tables is."""

    format: str
    realm: int
    #: of the last event that was folded, its hash, and when it was
    position: int
    hash: str | None
    at: datetime | None
    #: rows by table
    tables: dict[str, int]
    #: what the tables of projections mean: their versions
    versions: dict[str, int]


class TablesError(Exception):
    """The folder is not free."""


class _Writer:
    """One Parquet file."""

    def __init__(self, path: Path, row: type[msgspec.Struct]) -> None:
        self._columns = Columns(row)
        self._rows: list[Any] = []
        self._file = pq.ParquetWriter(path, self._columns.schema, compression="zstd")
        self.count = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._flush()
        self._file.close()

    def add(self, row: Any) -> None:
        """One more row."""
        self._rows.append(row)
        self.count += 1
        if len(self._rows) == _BATCH:
            self._flush()

    def _flush(self) -> None:
        self._file.write_batch(self._columns.batch(self._rows))
        self._rows = []


def write_tables(
    realm: int, events: Iterable[Recorded], upto: int, folder: Path, progress: Progress | None = None
) -> Described:
    """Fold events, which must start at position 1 and be dense, and write what they come to.

    Args:
        realm: whose log it is.
        events: the log up to the position.
        upto: the position that progress counts towards.
        folder: is made; it may be there if it is empty.
        progress: told (position, `upto`).

    Raises:
        TablesError: the folder is not empty.
        OSError, UnknownEventError, msgspec.ValidationError, FoldError: as their names say.
    """
    folder = folder.resolve()
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        message = f"{folder} is there and not empty"
        raise TablesError(message)
    work = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    described = _write(realm, events, upto, work, progress)
    (work / SCRIPT).write_text(script(sorted(described.tables)), encoding="utf-8")
    encoded = msgspec.json.format(msgspec.json.encode(described), indent=1)
    (work / DESCRIPTION).write_bytes(encoded + b"\n")
    work.rename(folder)
    return described


def script(tables: Sequence[str]) -> str:
    """The DuckDB script that opens the tables of a folder."""
    views = [f"CREATE OR REPLACE VIEW \"{name}\" AS SELECT * FROM '{name}.parquet';" for name in tables]  # noqa: S608
    head = (
        "-- Run it in this folder: duckdb -init open.sql\n"
        "-- From elsewhere: SET file_search_path = 'the/folder' first. Amounts are hundredths of kudos unless said otherwise.\n"
    )
    return head + "\n".join(views) + "\n" + _VIEWS


def _write(
    realm: int, events: Iterable[Recorded], upto: int, folder: Path, progress: Progress | None
) -> Described:
    state = memory.empty()
    last: Recorded | None = None
    tables: dict[str, int] = {}
    with (
        _Writer(folder / "events.parquet", Envelope) as envelopes,
        _Writer(folder / "postings.parquet", PostingRow) as moved,
    ):
        for last in events:
            fact = fact_of(last)
            memory.apply(state, fact)
            at = last.occurred_at
            envelopes.add(Envelope(last.position, at, last.type, last.stream, last.subject))
            for account, amount in postings_of(fact.event):
                moved.add(PostingRow(last.position, at, account, amount, last.type))
            if progress is not None and (last.position % _TOLD == 0 or last.position == upto):
                progress(last.position, upto)
        tables |= {"events": envelopes.count, "postings": moved.count}
    for projection in ALL:
        rows = state.pop(projection.name)
        with _Writer(folder / f"{projection.name}.parquet", projection.row) as writer:
            for key in sorted(rows, key=str):
                writer.add(rows[key])
            tables[projection.name] = writer.count
    return Described(
        format=FORMAT,
        realm=realm,
        position=last.position if last else 0,
        hash=last.hash.hex() if last else None,
        at=last.occurred_at if last else None,
        tables=dict(sorted(tables.items())),
        versions={projection.name: projection.version for projection in ALL},
    )
