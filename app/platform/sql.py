"""Statements for reading, composed with SQLAlchemy Core once and run by psycopg.

Core builds, psycopg runs: a statement is compiled when its module is imported, so that a read costs no more than its
round trip (a one-row read: 0.2 ms against 0.4 to 0.9 through an engine). Each slice's `queries.py` makes its
statements of the tables here. Look next: `projections.store.tables`, `app.platform.vault`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg

from app.platform import picture_words, vault
from app.platform.database import Pool
from events.store.columns import Table
from projections.store.tables import LIVE, TABLES

R = TypeVar("R")

_TYPES: dict[str, Any] = {
    "uuid": sa.Uuid,
    "bigint": sa.BigInteger,
    "boolean": sa.Boolean,
    "text": sa.Text,
    "double precision": sa.Double,
    "timestamptz": sa.DateTime(timezone=True),
    "bytea": sa.LargeBinary,
    "jsonb": postgresql.JSONB,
}
_dialect = PGDialect_psycopg()  # type: ignore[no-untyped-call]
_metadata = sa.MetaData()


def _core(schema: str, table: Table[Any]) -> sa.Table:
    columns = (sa.Column(column.name, _TYPES[column.pg_type]) for column in table.columns)
    return sa.Table(table.name, _metadata, sa.Column("realm", sa.BigInteger), *columns, schema=schema)


(
    accounts,
    jobs,
    generations,
    leases,
    workers,
    throughput,
    cases,
    teams,
    team_totals,
    modes,
    webhooks,
    user_records,
    image_sets,
    pictures,
    ratings,
    raters,
    takedowns,
    picture_scores,
    image_set_totals,
) = (
    _core(LIVE, TABLES[name])
    for name in (
        "accounts",
        "jobs",
        "generations",
        "leases",
        "workers",
        "throughput",
        "cases",
        "teams",
        "team_totals",
        "modes",
        "webhooks",
        "user_records",
        "image_sets",
        "pictures",
        "ratings",
        "raters",
        "takedowns",
        "picture_scores",
        "image_set_totals",
    )
)
(
    persons,
    api_keys,
    job_words,
    generation_seeds,
    result_words,
    job_sources,
    worker_names,
    maintenance_messages,
    notes,
    worker_descriptions,
    worker_messages,
    team_words,
    webhook_places,
    job_webhooks,
    webhook_deliveries,
    image_set_words,
    imported_pictures,
    rating_notes,
    known_answers,
    appeals,
) = (
    _core(vault.SCHEMA, vault.TABLES[row])
    for row in (
        vault.Person,
        vault.ApiKey,
        vault.JobWords,
        vault.GenerationSeed,
        vault.ResultWords,
        vault.JobSource,
        vault.WorkerName,
        vault.MaintenanceMessage,
        vault.Note,
        vault.WorkerDescription,
        vault.WorkerMessage,
        vault.TeamWords,
        vault.WebhookPlace,
        vault.JobWebhook,
        vault.WebhookDelivery,
        picture_words.ImageSetWords,
        picture_words.ImportedPictureWords,
        picture_words.RatingNote,
        picture_words.KnownAnswer,
        picture_words.AppealWords,
    )
)
event = sa.Table(
    "event",
    _metadata,
    sa.Column("realm", sa.BigInteger),
    sa.Column("position", sa.BigInteger),
    sa.Column("type", sa.Text),
    sa.Column("schema_version", sa.BigInteger),
    sa.Column("occurred_at", sa.DateTime(timezone=True)),
    sa.Column("data", sa.Text),
    sa.Column("metadata", sa.Text),
    schema="log",
)
posting = sa.Table(
    "posting",
    _metadata,
    sa.Column("realm", sa.BigInteger),
    sa.Column("position", sa.BigInteger),
    sa.Column("ordinal", sa.BigInteger),
    sa.Column("account", sa.Text),
    sa.Column("amount", sa.BigInteger),
    sa.Column("balance", sa.BigInteger),
    schema="log",
)


def bind(name: str, kind: Any = None) -> sa.BindParameter[Any]:
    """A named parameter of a statement."""
    return sa.bindparam(name, type_=kind)


def constant(text: str) -> sa.ColumnClause[str]:
    """A text of this program's own that is part of the statement, not a parameter of it."""
    return sa.literal_column(f"'{text}'", sa.Text)


def any_of(column: sa.ColumnElement[Any], name: str) -> sa.ColumnElement[bool]:
    """Whether a column is one of an array parameter."""
    return column == sa.any_(sa.bindparam(name, type_=postgresql.ARRAY(column.type)))


class Query(Generic[R]):
    """A compiled statement and how its rows become `R`."""

    def __init__(self, statement: sa.Select[Any] | str, load: Callable[[Sequence[Any]], R]) -> None:
        if isinstance(statement, str):
            self.text = statement
        else:
            self.text = str(statement.compile(dialect=_dialect))
        self._load = load

    async def all(self, pool: Pool, **parameters: Any) -> list[R]:
        """All rows. Raises `ApiError` TRY_AGAIN when the database does not answer."""
        return [self._load(row) for row in await pool.fetch(self.text, parameters)]

    async def one(self, pool: Pool, **parameters: Any) -> R | None:
        """The first row, or None."""
        rows = await self.all(pool, **parameters)
        return rows[0] if rows else None


def rows_of(
    name: str, condition: sa.ColumnElement[bool], *order: sa.ColumnElement[Any], limit: str | None = None
) -> Query[Any]:
    """A query for whole rows of a projection, as its structs; binds: realm and those of the condition."""
    table = _metadata.tables[f"{LIVE}.{name}"]
    columns = [table.c[column.name] for column in TABLES[name].columns]
    statement = sa.select(*columns).where(table.c.realm == bind("realm"), condition).order_by(*order)
    if limit is not None:
        statement = statement.limit(bind(limit, sa.BigInteger))
    return Query(statement, TABLES[name].load)
