"""Where a command reads the log from: the database, a folder of an exported copy, or the datasets bucket.

Each gives all events, those of some streams, those that moved one account, and the position at an instant. May not decide
or write. Look next: `app.operations.segments`, `app.operations.live_log`, `app.operations.log_commands`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol, TypeVar

import click
import msgspec

from app.operations.export import BucketTarget
from app.operations.live_log import LiveLog
from app.operations.segments import Copy, CopyError, Manifest, find, position_at, read_copy, read_manifest
from app.platform.objects import ObjectStore
from app.platform.settings import Settings
from app.platform.terminal import WrongError, database, settings_from_environment
from events.base import Recorded
from events.codec import UnknownEventError
from projections.base import FoldError

F = TypeVar("F", bound=Callable[..., Any])

#: a position, or an instant: the position of the last event at it
Until = int | datetime


class LogSource(Protocol):
    """A log to read, as far as it went when it was opened."""

    @property
    def realm(self) -> int:
        """Whose log it is."""

    @property
    def last(self) -> int:
        """Position of the last event."""

    def events(self, upto: int | None = None) -> Iterator[Recorded]:
        """All events, or those up to a position."""

    def of_streams(self, streams: Sequence[str]) -> Iterator[Recorded]:
        """The events of some streams, in the order of the log."""

    def of_account(self, account: str) -> Iterator[Recorded]:
        """The events that moved kudos of an account, in the order of the log."""

    def position_at(self, instant: datetime) -> int:
        """Position of the last event at an instant; 0 before the first."""


class CopiedLog:
    """A copy of the log as a source. Raises `CopyError` wherever it turns out not to be what its manifest says."""

    def __init__(self, copy: Copy) -> None:
        self.copy = copy
        self.manifest: Manifest = read_manifest(copy)

    @property
    def realm(self) -> int:
        """See `LogSource`."""
        return self.manifest.realm

    @property
    def last(self) -> int:
        """See `LogSource`."""
        return self.manifest.exported_at

    def events(self, upto: int | None = None) -> Iterator[Recorded]:
        """See `LogSource`."""
        return read_copy(self.copy, self.manifest, upto)

    def of_streams(self, streams: Sequence[str]) -> Iterator[Recorded]:
        """See `LogSource`. Reads all segments, but makes objects of what it looks for only."""
        return find(self.copy, self.manifest, streams=streams)

    def of_account(self, account: str) -> Iterator[Recorded]:
        """See `LogSource`."""
        return find(self.copy, self.manifest, text=f'"{account}"')

    def position_at(self, instant: datetime) -> int:
        """See `LogSource`."""
        return position_at(self.copy, self.manifest, instant)


class UntilType(click.ParamType[Until]):
    """A position, or an instant in ISO 8601; UTC where it names no zone."""

    name = "position|time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Until:
        """What was typed, as a number or an instant."""
        if isinstance(value, int | datetime):
            return value
        if str(value).isdecimal():
            return min(int(value), 2**63 - 1)
        try:
            instant = datetime.fromisoformat(value)
        except ValueError:
            self.fail(f"{value!r} is neither a position nor an instant like 2026-01-31T12:00:00Z", param, ctx)
        return instant if instant.tzinfo is not None else instant.replace(tzinfo=UTC)


until_option = click.option(
    "--until", type=UntilType(), help="Stop after this position, or at this instant (ISO 8601)."
)


def source_options(command: F) -> F:
    """The options that say which log is read: `folder` and `bucket`."""
    folder = click.option(
        "--from",
        "folder",
        type=click.Path(path_type=Path, exists=True, file_okay=False),
        help="Folder of an exported copy, instead of the live log.",
    )
    return folder(
        click.option("--bucket", is_flag=True, help="The copy at log/ in the datasets bucket.")(command)
    )


def bucket_copy(settings: Settings) -> BucketTarget:
    """The copy in the datasets bucket."""
    store = ObjectStore(settings.s3_url, settings.s3_access_key, settings.s3_secret_key, settings.s3_region)
    return BucketTarget(store, settings.bucket_datasets)


def copy_of(folder: Path | None, *, bucket: bool) -> Copy | None:
    """The copy that the options name; None for the live log."""
    if folder is not None and bucket:
        raise click.UsageError("give either --from DIR or --bucket")
    return bucket_copy(settings_from_environment()) if bucket else folder


@contextlib.contextmanager
def opened(folder: Path | None, *, bucket: bool) -> Iterator[LogSource]:
    """The log that the options name. A copy that cannot be read is a `WrongError`, whenever that is found."""
    copy = copy_of(folder, bucket=bucket)
    if copy is None:
        settings = settings_from_environment()
        with database(settings.database_url) as connection:
            yield LiveLog(connection, settings.realm)
        return
    try:
        yield CopiedLog(copy)
    except CopyError as error:
        place = f"position {error.position} in {error.file}: " if error.position is not None else ""
        raise WrongError(f"{place}{error.problem}") from None


def end_of(source: LogSource, until: Until | None) -> int:
    """The position at which a reading ends."""
    if until is None:
        return source.last
    return min(source.last, source.position_at(until) if isinstance(until, datetime) else until)


@contextlib.contextmanager
def broken_log() -> Iterator[None]:
    """A log that cannot be folded is a `WrongError`."""
    try:
        yield
    except (FoldError, UnknownEventError, msgspec.MsgspecError) as error:
        raise WrongError(f"the log is broken: {error}") from None
