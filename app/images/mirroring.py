"""Fetching copies of imported pictures: a page of those that wait at a time, gently, from strangers' servers.

What waits is rows of the vault (`hoard dataset mirror` writes them); a row goes only after a fact settled its picture, so
a process that dies anywhere loses nothing. One process of the house fetches at a time: a lock of the database. A copy is
cleaned like a shared picture, held against the takedowns, and lies in the bucket before any event names it. What may
pass is tried again later, ever less often; everything else settles it at once. It logs nothing of an address. Look next:
`app.platform.picture_fetch`, `app.images.decider`, docs/image-sets.md.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import ssl
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import UUID

import msgspec
import psycopg
from psycopg import Connection
from yarl import URL

from app.images.copies import TRIES, mirrored
from app.images.decider import FailMirror, MirrorSettled
from app.platform import alone as locks
from app.platform import metrics, vault
from app.platform.alone import alone
from app.platform.commands import Command, Rejection, Request
from app.platform.guarded import Lookup, Names
from app.platform.ids import new_id
from app.platform.objects import ObjectStore, imported_key, imported_prefix
from app.platform.outside import Outside
from app.platform.picture_fetch import DeclinedError, FetchError, fetch
from app.platform.picture_words import ImportedPictureWords, MirrorWait
from app.platform.pictures.clean import Withheld, inspect
from app.platform.takedowns import against
from app.platform.writer import Writer
from events.images import MirrorFault
from events.jobs import SourceFault
from events.sharing import WithheldReason
from projections.store.tables import LIVE

_log = logging.getLogger(__name__)

#: pictures that are read and settled together
PAGE: Final = 128
#: seconds after which no further picture of a page is begun: a slow host must not hold up the others
PAGE_SECONDS: Final = 30.0
#: seconds before each further attempt at what may be had later; then it is given up, after half a day or so
PAUSES: Final = (60.0, 300.0, 1_800.0, 7_200.0, 36_000.0)
#: seconds after a fault of this house's own, such as storage that is away
_OWN_PAUSE: Final = 60.0
#: pictures that are decoded at a time, each up to 64 MB
_DECODED_AT_ONCE: Final = 2

_SETTINGS: Final = "-c timezone=UTC -c jit=off -c application_name=hoard-mirror"
_WORDS = vault.TABLES[ImportedPictureWords]
_WAITS = vault.TABLES[MirrorWait]
_DUE: Final = f"SELECT EXISTS (SELECT FROM {vault.SCHEMA}.mirror_wait WHERE realm = %s AND due <= now())"  # noqa: S608
_PAGE: Final = f"""
SELECT {", ".join(f"w.{column.name}" for column in _WAITS.columns)},
  coalesce(p.sha256 IS NULL AND p.state <> 'REMOVED' AND v.url <> '', false),
  {", ".join(f"v.{column.name}" for column in _WORDS.columns)}
FROM {vault.SCHEMA}.mirror_wait w LEFT JOIN {LIVE}.pictures p ON p.realm = w.realm AND p.id = w.picture
  LEFT JOIN {vault.SCHEMA}.imported_picture v ON v.realm = w.realm AND v.picture = w.picture
WHERE w.realm = %s AND w.due <= now() ORDER BY w.due, w.picture LIMIT %s"""  # noqa: S608
_POSTPONE: Final = (
    f"UPDATE {vault.SCHEMA}.mirror_wait SET due = now() + make_interval(secs => %s), attempts = attempts + %s "  # noqa: S608
    "WHERE realm = %s AND picture = %s"
)
_FORGET: Final = f"DELETE FROM {vault.SCHEMA}.mirror_wait WHERE realm = %s AND picture = %s"  # noqa: S608
#: what an operator's command leaves to be mirrored: all of a set of which there is only an address, or some of them
_ENQUEUE: Final = f"""
INSERT INTO {vault.SCHEMA}.mirror_wait (realm, picture, image_set, attempts, due)
SELECT p.realm, p.id, p.image_set, 0, now() FROM {LIVE}.pictures p
  JOIN {vault.SCHEMA}.imported_picture v ON v.realm = p.realm AND v.picture = p.id
WHERE p.realm = %(realm)s AND v.image_set = %(set)s AND v.url <> '' AND p.sha256 IS NULL AND p.state <> 'REMOVED'
  AND NOT EXISTS (SELECT FROM {vault.SCHEMA}.mirror_wait w WHERE w.realm = p.realm AND w.picture = p.id)
ORDER BY v.picture LIMIT %(limit)s ON CONFLICT DO NOTHING"""  # noqa: S608

_FAULTS: Final[Mapping[SourceFault, MirrorFault]] = {
    SourceFault.UNREACHABLE: MirrorFault.UNREACHABLE,
    SourceFault.FORBIDDEN_ADDRESS: MirrorFault.FORBIDDEN_ADDRESS,
    SourceFault.TOO_SLOW: MirrorFault.TOO_SLOW,
    SourceFault.TOO_LARGE: MirrorFault.TOO_LARGE,
    SourceFault.NO_IMAGE: MirrorFault.NO_PICTURE,
}


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """How much of others' servers is asked for."""

    #: pictures that are fetched at a time, and those of one host
    at_once: int
    of_one_host: int
    #: a picture has at most so many bytes, and takes at most so many seconds with all redirects
    most_bytes: int
    seconds: float


class Waiting(msgspec.Struct, frozen=True):
    """A picture of which a copy is to be made."""

    wait: MirrorWait
    words: ImportedPictureWords


def enqueue(connection: Connection[Any], realm: int, image_set: UUID, limit: int | None) -> int:
    """Let actors mirror what of a set is only an address and does not wait yet, `limit` of it at most; how many."""
    asked = {"realm": realm, "set": image_set, "limit": limit}
    return connection.execute(_ENQUEUE, asked).rowcount


def changed(words: ImportedPictureWords, file: bytes) -> bool:
    """Whether a file is another one than its import says, where that says what the file hashes to."""
    kind, _, told = (words.hash or "").partition(":")
    match kind:
        case "sha256":
            return hashlib.sha256(file).hexdigest() != told
        case "md5":
            return hashlib.md5(file, usedforsecurity=False).hexdigest() != told
        case _:
            return False


class Mirrorer:
    """Fetches copies, step by step. One thread calls it; it uses a loop and threads of its own."""

    def __init__(
        self,
        *,
        realm: int,
        database_url: str,
        writer: Writer,
        objects: ObjectStore,
        bucket: str,
        outside: Outside,
        limits: Limits,
        lookup: Lookup | None = None,
        tls: ssl.SSLContext | None = None,
        pauses: Sequence[float] = PAUSES,
    ) -> None:
        """Name what to work with; nothing is contacted.

        Args:
            realm: whose log.
            database_url: one connection is kept while there is something to do.
            writer: knows `app.images.decider.RULES`.
            objects: the storage of the bucket.
            bucket: that of data sets.
            outside: what may be asked for.
            limits: how much of it.
            lookup: who resolves names; by default the system.
            tls: whose certificates are believed; by default those that the system believes.
            pauses: seconds before each further attempt at what may be had later.
        """
        self._realm = realm
        self._database_url = database_url
        self._writer = writer
        self._objects = objects
        self._bucket = bucket
        self._outside = outside
        self._limits = limits
        self._lookup = lookup or Names(limits.at_once)
        self._tls = tls
        self._pauses = tuple(pauses)
        self._connection: Connection[Any] | None = None

    def step(self) -> int:
        """Settle a page of what waits: how many pictures there were; 0 also if another process is at it.

        Raises:
            psycopg.Error: not now.
        """
        connection = self._connected()
        row = connection.execute(_DUE, (self._realm,)).fetchone()
        if row is None or not row[0]:
            return 0
        with alone(connection, locks.mirrors(self._realm), wait=False) as held:
            page = self._page(connection) if held else []
            if page:
                asyncio.run(self._mirror_all(page))
        return len(page)

    def close(self) -> None:
        """Close what is open; the next step opens it again."""
        if self._connection is not None:
            with contextlib.suppress(psycopg.Error):
                self._connection.close()
            self._connection = None

    def _connected(self) -> Connection[Any]:
        if self._connection is None or self._connection.closed:
            self._connection = psycopg.connect(
                self._database_url, autocommit=True, connect_timeout=5, options=_SETTINGS
            )
        return self._connection

    def _page(self, connection: Connection[Any]) -> list[Waiting]:
        """What is due; what nobody needs any more is let go."""
        rows = connection.execute(_PAGE, (self._realm, PAGE), binary=True).fetchall()
        width = len(_WAITS.columns)
        page = []
        for row in rows:
            wait = _WAITS.load(row[:width])
            if row[width]:
                page.append(Waiting(wait, _WORDS.load(row[width + 1 :])))
            else:
                self._tidy(wait.picture)
        return page

    async def _mirror_all(self, page: Sequence[Waiting]) -> None:
        turns = _Turns(self._limits)
        await asyncio.gather(*(self._mirror(each, turns) for each in page))

    async def _mirror(self, each: Waiting, turns: _Turns) -> None:
        """Settle one picture, or put it off. Nothing that one server does ends it for the others."""
        try:
            async with turns.of(each.words.url) as in_time:
                if not in_time:
                    # behind those that are due by now
                    await asyncio.to_thread(self._postpone, each, 0.0, 0)
                    return
                data = await self._fetched(each)
            if data is not None:
                async with turns.decoding:
                    await asyncio.to_thread(self._keep, each, data)
        except Exception as error:  # storage or the writer is away, or a bug  # noqa: BLE001
            _log.warning(
                "mirror_unsettled",
                extra={"picture": str(each.wait.picture), "reason": type(error).__name__},
            )
            await asyncio.to_thread(self._postpone, each, _OWN_PAUSE, 0)

    async def _fetched(self, each: Waiting) -> bytes | None:
        """The file at the address; None if it was put off or given up."""
        try:
            return await fetch(
                each.words.url,
                self._outside,
                lookup=self._lookup,
                tls=self._tls,
                seconds=self._limits.seconds,
                most=self._limits.most_bytes,
                collecting=True,
            )
        except DeclinedError:
            await asyncio.to_thread(self._give_up, each, MirrorFault.DECLINED)
            return None
        except FetchError as failed:
            passing = failed.passing or failed.cause is SourceFault.TOO_SLOW
            if passing and each.wait.attempts < len(self._pauses):
                metrics.child(metrics.MIRRORS, "put_off").inc()
                await asyncio.to_thread(self._postpone, each, self._pauses[each.wait.attempts], 1)
            else:
                await asyncio.to_thread(self._give_up, each, _FAULTS[failed.cause])
            return None

    def _keep(self, each: Waiting, data: bytes) -> None:
        """Put the copy, and say that it is there. Both may be done again."""
        if changed(each.words, data):
            self._give_up(each, MirrorFault.CHANGED)
            return
        clean = inspect(data, None)
        if isinstance(clean, Withheld):
            large = clean.reason is WithheldReason.TOO_LARGE
            self._give_up(each, MirrorFault.TOO_LARGE if large else MirrorFault.NO_PICTURE)
            return
        original = hashlib.sha256(data).hexdigest()
        key = imported_key(each.wait.picture, clean.sha256)
        words = msgspec.structs.replace(each.words, key=key)
        for _ in range(TRIES):
            held = against(
                self._connected(), self._realm, clean.sha256, clean.perceptual_hash, original=original
            )
            if held.takedown is not None:
                self._give_up(each, MirrorFault.BLOCKLISTED)
                return
            self._objects.put(self._bucket, key, clean.webp, "image/webp")
            outcome = self._execute(mirrored(words, clean, held.known, original))
            if isinstance(outcome, MirrorSettled):
                self._settled(each, "mirrored" if outcome.kept else "not_wanted")
                return
        self._postpone(each, _OWN_PAUSE, 0)

    def _give_up(self, each: Waiting, reason: MirrorFault) -> None:
        self._execute(FailMirror(picture=each.wait.picture, reason=reason))
        self._settled(each, reason)

    def _settled(self, each: Waiting, outcome: str) -> None:
        metrics.child(metrics.MIRRORS, outcome).inc()
        self._tidy(each.wait.picture)

    def _tidy(self, picture: UUID) -> None:
        """Let go of a picture; of its copies only that one stays which the log names, whatever attempts have left."""
        named = self._named(picture)
        copies = [copy.key for copy in self._objects.entries(self._bucket, imported_prefix(picture))]
        self._objects.remove_many(self._bucket, [copy for copy in copies if copy != named])
        self._connected().execute(_FORGET, (self._realm, picture))

    def _named(self, picture: UUID) -> str | None:
        """Where the copy lies that the log names; None if the picture is gone, or has none."""
        row = (
            self._connected()
            .execute(
                f"SELECT sha256 FROM {LIVE}.pictures WHERE realm = %s AND id = %s AND state <> 'REMOVED'",  # noqa: S608
                (self._realm, picture),
            )
            .fetchone()
        )
        return None if row is None or row[0] is None else imported_key(picture, row[0])

    def _execute(self, command: Command) -> MirrorSettled | None:
        """What came of a command; None if a takedown was ordered meanwhile. Raises `WriterBusyError`."""
        outcome = self._writer.execute_sync(Request(command, new_id()))
        if isinstance(outcome, Rejection):
            return None
        assert isinstance(outcome.result, MirrorSettled)
        return outcome.result

    def _postpone(self, each: Waiting, seconds: float, attempts: int) -> None:
        self._connected().execute(_POSTPONE, (seconds, attempts, self._realm, each.wait.picture))


class _Turns:
    """Who of a page may fetch: a few at a time, fewer of one host, and nobody once the page has taken its time."""

    def __init__(self, limits: Limits) -> None:
        self._all = asyncio.Semaphore(limits.at_once)
        self._hosts: defaultdict[str, asyncio.Semaphore] = defaultdict(
            lambda: asyncio.Semaphore(limits.of_one_host)
        )
        self._end = asyncio.get_running_loop().time() + PAGE_SECONDS
        self.decoding = asyncio.Semaphore(_DECODED_AT_ONCE)

    @contextlib.asynccontextmanager
    async def of(self, url: str) -> Any:
        """A turn at the host of a URL; false if there is no time left."""
        async with self._hosts[_host(url)], self._all:
            yield asyncio.get_running_loop().time() < self._end


def _host(url: str) -> str:
    try:
        return URL(url).host or ""
    except ValueError:
        return ""
