"""Several statements in one round trip, on psycopg's libpq wrapper directly.

psycopg's own pipelines look at the socket after every statement: dozens of times in a batch of the writer, and each
time another thread may take the interpreter. Here everything is sent, then everything received. Statements are prepared
once a connection. Rows come as tuples, in binary form, by psycopg's own loaders. May not know any table. Look next:
`app.platform.database` (reads), `app.platform.writer.gather` and `.apply`.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Generator, Mapping, Sequence
from functools import lru_cache, partial
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

from psycopg import AsyncConnection, Connection, errors
from psycopg.adapt import PyFormat, Transformer
from psycopg.pq import ExecStatus, Format
from psycopg.pq.abc import PGconn, PGresult
from psycopg.waiting import READY_R, WAIT_R, WAIT_RW

Row = tuple[Any, ...]
#: waits for the socket, as `Connection.wait` drives it; in the end the rows of each statement
Trip = Generator[Any, Any, list[list[Row]]]

_PLACE = re.compile(r"%%|%\((\w+)\)s|%[sb]")


class Statement(NamedTuple):
    """A statement and what it takes: by name for `%(name)s`, in order for `%s` and `%b`."""

    text: str
    parameters: Mapping[str, Any] | Sequence[Any] = ()


class _Form(NamedTuple):
    """A statement as PostgreSQL takes it; `names` is None where parameters come in order."""

    sql: bytes
    names: tuple[str, ...] | None
    places: int


_Known = dict[tuple[bytes, tuple[int, ...]], bytes]
#: names of the statements that each connection has prepared, by text and types of parameters
_prepared: WeakKeyDictionary[Connection[Any] | AsyncConnection[Any], _Known] = WeakKeyDictionary()
_numbers = itertools.count()


@lru_cache(4096)
def _form(text: str) -> _Form:
    names: list[str] = []
    count = 0

    def place(match: re.Match[str]) -> str:
        nonlocal count
        if match[0] == "%%":
            return "%"
        if match[1] is None:
            count += 1
            return f"${count}"
        if match[1] not in names:
            names.append(match[1])
        return f"${names.index(match[1]) + 1}"

    sql = _PLACE.sub(place, text).encode()
    return _Form(sql, tuple(names) if names else None, count or len(names))


class _Asked(NamedTuple):
    key: tuple[bytes, tuple[int, ...]]
    name: bytes
    new: bool
    #: psycopg's, for the types of its parameters and rows
    transformer: Any


def travel(connection: Connection[Any] | AsyncConnection[Any], statements: Sequence[Statement]) -> Trip:
    """Send all statements, then receive the rows of each. For `connection.wait`.

    They are one implicit transaction, or part of the one that is open. Raises `psycopg.Error`: the first of a statement
    that failed, when those behind it were not run.
    """
    known = _prepared.setdefault(connection, {})
    commands: list[Callable[[], None]] = []
    asked = [_ask(connection, commands, known, statement) for statement in statements]
    commands.append(connection.pgconn.pipeline_sync)
    results = yield from _exchange(connection.pgconn, commands)
    rows: list[list[Row]] = []
    answers = iter(results)
    for each in asked:
        if each.new:
            _checked(next(answers), connection)
            known[each.key] = each.name
        rows.append(_rows(_checked(next(answers), connection), each.transformer))
    return rows


def _ask(
    connection: Connection[Any] | AsyncConnection[Any],
    commands: list[Callable[[], None]],
    known: _Known,
    statement: Statement,
) -> _Asked:
    """Put a statement, prepared if it was not, behind the others."""
    form = _form(statement.text)
    given: Any = statement.parameters
    values = [given[name] for name in form.names] if form.names is not None else list(given)
    transformer = Transformer(connection)
    dumped = transformer.dump_sequence(values, [PyFormat.AUTO] * form.places)
    key = (form.sql, transformer.types or ())
    name = known.get(key)
    new = name is None
    if name is None:
        # never one that was used before: it might have been prepared by a trip that failed later
        name = b"hoard_%d" % next(_numbers)
        commands.append(partial(connection.pgconn.send_prepare, name, form.sql, transformer.types))
    commands.append(
        partial(
            connection.pgconn.send_query_prepared,
            name,
            dumped,
            param_formats=transformer.formats,
            result_format=Format.BINARY,
        )
    )
    return _Asked(key, name, new, transformer)


def _exchange(pgconn: PGconn, commands: Sequence[Callable[[], None]]) -> Generator[Any, Any, list[PGresult]]:
    """All results up to the synchronisation; the connection is left as it was, or closed where that is not possible."""
    pgconn.enter_pipeline_mode()
    try:
        for command in commands:
            command()
        yield from _sent(pgconn)
        results = yield from _received(pgconn)
        pgconn.exit_pipeline_mode()
    except BaseException:
        pgconn.finish()  # half of a trip is under way: nobody may use it again
        raise
    return results


def _sent(pgconn: PGconn) -> Generator[Any, Any, None]:
    while pgconn.flush():
        # whoever only sends may wait for ever for a server that waits to be read
        if (yield WAIT_RW) & READY_R:
            pgconn.consume_input()


def _received(pgconn: PGconn) -> Generator[Any, Any, list[PGresult]]:
    results: list[PGresult] = []
    while True:
        while pgconn.is_busy():
            if (yield WAIT_R):
                pgconn.consume_input()
        result = pgconn.get_result()
        if result is None:
            continue  # the end of one statement's results
        if result.status == ExecStatus.PIPELINE_SYNC:
            return results
        results.append(result)


def _checked(result: PGresult, connection: Connection[Any] | AsyncConnection[Any]) -> PGresult:
    if result.status == ExecStatus.FATAL_ERROR:
        raise errors.error_from_result(result, encoding=connection.info.encoding)
    return result


def _rows(result: PGresult, transformer: Any) -> list[Row]:
    if result.status != ExecStatus.TUPLES_OK:
        return []
    transformer.set_pgresult(result, set_loaders=True, format=Format.BINARY)
    rows: list[Row] = transformer.load_rows(0, result.ntuples, tuple)
    return rows
