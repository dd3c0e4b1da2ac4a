"""What the commands of `hoard` share: settings, progress bars, JSON output and one-line errors.

Exit statuses: 0 all is well, 1 something was found wrong or was refused, 2 the command could not run (usage,
settings, a database or storage that does not answer). May not know any command. Look next:
`app.operations.commands`, `app.accounts.commands`.
"""

from __future__ import annotations

import contextlib
import functools
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, NoReturn, ParamSpec, TypeVar

import click
import msgspec
import psycopg

from app.platform.commands import Rule, rules
from app.platform.settings import Settings, SettingsError
from app.platform.storage_errors import StorageError
from app.platform.writer import InternalError, Writer, WriterBusyError
from app.platform.writer.gather import VersionMismatchError

P = ParamSpec("P")
T = TypeVar("T")

Progress = Callable[[int, int], None]

WRONG: Final = 1
CANNOT_RUN: Final = 2
_CONNECT_SECONDS: Final = 5

#: The `--json` option of a command, passed as `as_json`.
json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON object and no progress bar."
)


class CannotRunError(click.ClickException):
    """The command could not do its work: nothing was found out."""

    exit_code = CANNOT_RUN


class WrongError(click.ClickException):
    """The command did its work and found something wrong, or was refused."""

    exit_code = WRONG


def settings_from_environment() -> Settings:
    """The settings. Raises `CannotRunError` with every fault on one line."""
    try:
        return Settings.from_env(os.environ)
    except SettingsError as error:
        raise CannotRunError(f"invalid settings: {'; '.join(error.faults)}") from None


@contextlib.contextmanager
def database(url: str) -> Iterator[psycopg.Connection[Any]]:
    """A connection in autocommit. Raises `psycopg.OperationalError` within five seconds if nothing answers."""
    with psycopg.connect(
        url, autocommit=True, connect_timeout=_CONNECT_SECONDS, options="-c timezone=UTC"
    ) as connection:
        yield connection


@contextlib.contextmanager
def writing(settings: Settings, table: Sequence[Rule[Any]]) -> Iterator[Writer]:
    """A writer for a moment, which knows some rules.

    Raises `psycopg.OperationalError` at once where the database does not answer.
    """
    with database(settings.database_url):
        pass
    writer = Writer(settings.database_url, settings.realm, rules(table), on_fatal=lambda _: None)
    writer.start()
    try:
        yield writer
    finally:
        writer.stop()


def one_line_errors(function: Callable[P, T]) -> Callable[P, T]:
    """A command whose expected failures are one line on stderr and exit status 2, never a traceback."""

    @functools.wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return function(*args, **kwargs)
        except psycopg.OperationalError as error:
            _refuse("the database does not answer", error)
        except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName) as error:
            _refuse("the database is not migrated (run: hoard migrate)", error)
        except psycopg.errors.InsufficientPrivilege as error:
            _refuse("the database role may not do this", error)
        except StorageError as error:
            _refuse("object storage failed", error)
        except (WriterBusyError, InternalError) as error:
            _refuse("the command was not carried out", error)
        except VersionMismatchError as error:
            _refuse("this program and the database do not fit", error)
        except OSError as error:
            _refuse("cannot read or write", error)

    return run


def _refuse(what: str, error: Exception) -> NoReturn:
    reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
    raise CannotRunError(f"{what}: {reason}") from None


@contextlib.contextmanager
def progress_bar(label: str, *, shown: bool = True) -> Iterator[Progress]:
    """A progress bar on stderr where that is a terminal; told (done, total) with any total from call to call."""
    if not shown or not sys.stderr.isatty():
        yield lambda _done, _total: None
        return
    with click.progressbar(length=1, label=label, file=sys.stderr) as bar:

        def move(done: int, total: int) -> None:
            bar.length = total
            bar.update(done - bar.pos)

        yield move


def print_json(value: Any) -> None:
    """One JSON object on stdout."""
    click.echo(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


def kudos(hundredths: int) -> str:
    """An amount as people read it: `-50.00`."""
    sign = "-" if hundredths < 0 else ""
    whole, cents = divmod(abs(hundredths), 100)
    return f"{sign}{whole}.{cents:02d}"
