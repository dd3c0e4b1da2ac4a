"""Which tables a backup holds: those of the schemas whose comment says that they belong to the log or the vault.

Nothing is listed by name, so that a new table cannot be forgotten: it is in the backup because of the schema it is in,
and a schema that does not say which store it is makes the backup refuse. Look next: `docs/architecture.md`, "Three
stores"; `app.operations.backup.take`.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Any, Final

import msgspec
from psycopg import Connection, sql

from app.operations.backup.form import BackupError

#: what migrations and the list of realms make again
MADE: Final = frozenset({("log", "lock"), ("public", "alembic_version")})

_STORE = re.compile(r"store: (log|vault|projection)\b")
_TABLES = """
SELECT n.nspname, c.relname, obj_description(n.oid, 'pg_namespace'),
  ARRAY(SELECT attname::text FROM pg_attribute WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped
        AND attgenerated = '' ORDER BY attnum),
  ARRAY(SELECT a.attname::text FROM pg_index i CROSS JOIN LATERAL unnest(i.indkey) WITH ORDINALITY AS k(attnum, place)
        JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.attnum
        WHERE i.indrelid = c.oid AND i.indisprimary ORDER BY k.place)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'S', 'm') AND NOT c.relispartition
  AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
ORDER BY 1, 2
"""


class Fate(StrEnum):
    """What a backup does with a table."""

    #: copied: it cannot be made again
    COPIED = "copied"
    #: rebuilt from the log
    REBUILT = "rebuilt"
    #: made by migrations, and by a restore from the manifest
    MADE = "made"


class Relation(msgspec.Struct, frozen=True):
    """A table (of the whole, where it has partitions) with its columns and the columns of its primary key."""

    schema: str
    table: str
    fate: Fate
    columns: tuple[str, ...]
    key: tuple[str, ...]

    @property
    def name(self) -> str:
        """As people write it."""
        return f"{self.schema}.{self.table}"

    @property
    def identifier(self) -> sql.Identifier:
        """As SQL writes it."""
        return sql.Identifier(self.schema, self.table)


def relations(connection: Connection[Any]) -> list[Relation]:
    """Every table of the database. Raises `BackupError` for one of which nobody knows where it belongs."""
    found = []
    for schema, table, comment, columns, key in connection.execute(_TABLES).fetchall():
        store = _STORE.match(comment or "")
        if (schema, table) in MADE:
            fate = Fate.MADE
        elif store is None:
            raise BackupError(
                f"nobody knows whether {schema}.{table} must be backed up: the comment of its schema does not say "
                "'store: log', 'store: vault' or 'store: projection'"
            )
        else:
            fate = Fate.REBUILT if store[1] == "projection" else Fate.COPIED
        found.append(Relation(schema, table, fate, tuple(columns), tuple(key)))
    return found


def copied(connection: Connection[Any]) -> list[Relation]:
    """The tables that a backup holds. Raises `BackupError`."""
    return [relation for relation in relations(connection) if relation.fate is Fate.COPIED]


def revision_of(connection: Connection[Any]) -> str | None:
    """The revision of the schema; None where there are no tables yet."""
    if connection.execute("SELECT to_regclass('public.alembic_version')").fetchone() == (None,):
        return None
    row = connection.execute("SELECT version_num FROM public.alembic_version").fetchone()
    return row[0] if row else None
