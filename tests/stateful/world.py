"""The real side: one database whose clock a test moves, a realm for each example, two processes' writers, faults.

The clock is a table: functions of the names that PostgreSQL's own have stand before them on the database's search
path, so that the writer and the sweeper run the statements they always run. Nothing else of the server is replaced.
Look next: `machine.py`.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

import psycopg
from psycopg.rows import namedtuple_row

from app.jobs.interrogation_asking import _TOLD
from app.jobs.interrogation_wish import ToldBefore
from app.platform.commands import Command, Decision, Needs, Request, Result, Rule
from app.platform.rows import Rows
from app.platform.settings import Settings
from app.platform.writer import Writer
from app.platform.writer import thread as writer_thread
from app.relay.leader import Term, lead
from app.relay.main import REACTIONS
from app.relay.reactions import Reactions
from app.relay.sweeper import Sweeper
from app.relay.tailing import Tailing
from app.relay.webhooks import Webhooks
from events.base import Recorded
from events.store import log
from projections.registry import TAILING
from projections.store import audit
from projections.store.build import rebuild
from tests.factories import RULES

#: longer than any history
KEPT = timedelta(days=30)

_CLOCK = """
CREATE SCHEMA testing;
CREATE TABLE testing.clock (at timestamptz NOT NULL);
INSERT INTO testing.clock VALUES (pg_catalog.now());
CREATE FUNCTION testing.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE AS 'SELECT at FROM testing.clock';
CREATE FUNCTION testing.now() RETURNS timestamptz LANGUAGE sql STABLE AS 'SELECT at FROM testing.clock';
GRANT USAGE ON SCHEMA testing TO hoard_app;
GRANT SELECT ON testing.clock TO hoard_app;
"""
_OWN_PATH = "SET search_path = testing, pg_catalog, public"
_PATH = "ALTER DATABASE {} SET search_path = testing, pg_catalog, public"
_REALM = """
INSERT INTO log.lock VALUES (%(realm)s);
INSERT INTO relay.leader VALUES (%(realm)s, 0);
INSERT INTO relay.projection SELECT %(realm)s, name, version, build FROM relay.projection WHERE realm = 0;
INSERT INTO relay.checkpoint SELECT %(realm)s, 'projection:' || name, 0 FROM unnest(%(tailing)s::text[]) AS name;
"""
#: an ended realm is no realm: a rebuild leaves it out
_FORGET = """
DELETE FROM log.lock WHERE realm = %(realm)s;
DELETE FROM relay.projection WHERE realm = %(realm)s;
"""

_POSTINGS = (
    "SELECT position, ordinal, account, amount, balance FROM log.posting "
    "WHERE realm = %s AND position > %s ORDER BY position, ordinal"
)
#: what of each table is compared with the model
COLUMNS = {
    "accounts": "id, balance, escrow, held, consumed, earned, uptime, roles, waiting, waiting_forms, waiting_limit, workers, worker_limit, "
    "public_workers, suspicions, distrusted, rated, rating_escrow",
    "jobs": "id, requester, kind, state, waiting, processing, done, censored, faulted, cancelled, held, charged, price, surcharge, "
    "tax, mask, allowed_workers, denied_workers, fetching, source_fault, shared, active_at, ended_at IS NOT NULL AS ended, "
    "unshared, withdrawing",
    "generations": "id, job, ordinal, form, reused, state, lease, failures, barred, reward, redundant, version, sha256, withheld, report",
    "leases": "id, job, worker, owner, state, generations, pending, taken_at, expires_at, price, surcharge",
    "workers": "id, owner, kind, models, max_size, allowed, extra_slow, maintenance, maintenance_until IS NOT NULL AS rests, "
    "paused, deleted, team, fulfilled, failed, earned, uptime, speed, suspicions",
    "teams": "id, creator, workers, deleted",
    "modes": "id, maintenance, invite_only, raid",
    "pictures": "id, owner, job, state, target, ratings, comparisons, wanted, report, reporter",
    "ratings": "id, rater, picture, other, state, expires_at, again, value, artifacts, preference, reward, suspect",
    "raters": "id, given, with_artifacts, repeated, comparisons, skipped, reported, paid_today, rewarded, reversed, restored, "
    "trusted, standing, marked, verdict",
}
_WEBHOOKS = """
SELECT e->>'id' AS id, w.id AS owner, e->'events' AS events, (e->>'active')::boolean AS active, e->>'suspended' AS suspended,
  (e->>'secret')::int AS rotations
FROM projections.webhooks AS w, jsonb_array_elements(w.endpoints) AS e WHERE w.realm = %s
"""
_TELLINGS = "SELECT webhook, job, generation, event, happened_at FROM vault.webhook_delivery WHERE realm = %s"
_PICTURES = "SELECT job, digest FROM vault.source WHERE realm = %s AND digest IS NOT NULL"


class Seen(NamedTuple):
    """What stands in the database: events and postings since the last look, rows by table."""

    events: list[Recorded]
    postings: list[tuple[Any, ...]]
    rows: dict[str, list[Any]]


class Stumble(Command, frozen=True, kw_only=True):
    """A command with a bug: deciding it raises, after it has read and drafted something."""

    job: UUID


class Fallen(Result, frozen=True, kw_only=True):
    """Never given."""


def _stumble(command: Stumble, rows: Rows) -> Decision:
    message = f"a bug, met at {rows.job(command.job)}"
    raise RuntimeError(message)


STUMBLE = Rule(Stumble, Fallen, lambda c: Needs(jobs=(c.job,)), _stumble)


class Clockwork:
    """A database whose clock stands still until it is moved. One for many examples."""

    def __init__(self, settings: Settings) -> None:
        assert settings.migrate_url is not None
        self.settings = settings
        self.owner = psycopg.connect(settings.migrate_url, autocommit=True, options="-c timezone=UTC")
        self.owner.execute(_CLOCK)
        self.owner.execute(_PATH.format(self.owner.info.dbname))
        self.owner.execute(_OWN_PATH)
        # The kept outcomes of commands are partitioned by day, around today; noon, so that days are entered late.
        today = datetime.now(UTC).date()
        self.start = datetime(today.year, today.month, today.day, 12, tzinfo=UTC)
        self.realm = 0

    def set(self, instant: datetime) -> None:
        """Move the clock, in any direction."""
        self.owner.execute("UPDATE testing.clock SET at = %s", (instant,))

    def new_realm(self) -> int:
        """The number of a fresh realm."""
        self.realm += 1
        parameters = {"realm": self.realm, "tailing": [projection.name for projection in TAILING]}
        with psycopg.ClientCursor(self.owner) as cursor:
            cursor.execute(_REALM, parameters)
        return self.realm

    def forget(self, realm: int) -> None:
        """A realm has ended."""
        with psycopg.ClientCursor(self.owner) as cursor:
            cursor.execute(_FORGET, {"realm": realm})

    def close(self) -> None:
        """Close the owner's connection."""
        self.owner.close()


class World:
    """One realm with the writers of two processes, one of which is spoken to at a time."""

    def __init__(self, clockwork: Clockwork) -> None:
        self.clockwork = clockwork
        self.realm = clockwork.new_realm()
        self.owner = clockwork.owner
        self.fatal: list[BaseException] = []
        self._fault: str | None = None
        self._writers: list[Writer] = []
        self.writer = self._started()
        self._position = 0

    @property
    def url(self) -> str:
        return self.clockwork.settings.database_url

    def _started(self) -> Writer:
        rules = {**RULES, STUMBLE.command: STUMBLE}
        writer = Writer(self.url, self.realm, rules, on_fatal=self.fatal.append)
        writer.start()
        self._writers.append(writer)
        return writer

    def other_process(self) -> None:
        """Speak to the other process from now on."""
        if len(self._writers) == 1:
            self._started()
        self.writer = self._writers[1 - self._writers.index(self.writer)]

    def run(self, requests: Sequence[Request]) -> list[Any]:
        """Have commands decided as one batch; what each was answered, exceptions included."""
        answers: list[Future[Any]] = [Future() for _ in requests]
        with self._broken():
            with self.writer._condition:  # while it is held nothing is taken: all of it becomes one batch
                for request, answer in zip(requests, answers, strict=True):
                    self.writer.submit(request, answer.set_result)
            return [answer.result(timeout=60) for answer in answers]

    def break_next(self, fault: str) -> None:
        """Lose the connection at the next commit, before it ("dies") or after it ("answer lost")."""
        self._fault = fault

    @contextlib.contextmanager
    def _broken(self) -> Iterator[None]:
        if self._fault is None:
            yield
            return
        commit, fault, self._fault = writer_thread.commit_batch, self._fault, None

        def broken(connection: Any, batch: Any, before: Any) -> None:
            writer_thread.commit_batch = commit
            if fault == "answer lost":
                commit(connection, batch, before)
            with contextlib.suppress(psycopg.Error):
                connection.close()
            raise psycopg.OperationalError(fault)

        writer_thread.commit_batch = broken
        try:
            yield
        finally:
            writer_thread.commit_batch = commit

    def look(self) -> Seen:
        """Read what is new in the log, and every row of the tables, in one round trip."""
        limits = (self.realm, self._position)
        with self.owner.pipeline():
            events = self.owner.execute(log.READ, (*limits, log.PAGE), binary=True)
            postings = self.owner.execute(_POSTINGS, limits)
            live = {name: self._live(name, columns) for name, columns in COLUMNS.items()}
            live["hooks"] = self.owner.cursor(row_factory=namedtuple_row).execute(_WEBHOOKS, (self.realm,))
        seen = Seen(
            [log.recorded(row) for row in events],
            [tuple(row) for row in postings],
            {name: cursor.fetchall() for name, cursor in live.items()},
        )
        self._position += len(seen.events)
        return seen

    def _live(self, name: str, columns: str) -> psycopg.Cursor[Any]:
        cursor = self.owner.cursor(row_factory=namedtuple_row)
        return cursor.execute(f"SELECT {columns} FROM projections.{name} WHERE realm = %s", (self.realm,))

    def team_totals(self) -> dict[UUID, tuple[int, ...]]:
        """What the relay's tail says of teams: pixelsteps, tokens, forms, generations, hundredths, seconds."""
        statement = (
            "SELECT team, pixelsteps, tokens, forms, fulfilled, earned, uptime FROM projections.team_totals "
            "WHERE realm = %s"
        )
        return {team: totals for team, *totals in self.owner.execute(statement, (self.realm,))}

    def reactions(self) -> list[Any]:
        """The relay's calls: (actor, picture or job, whether it is done)."""
        statement = "SELECT actor, subject, completed_by IS NOT NULL FROM relay.reaction WHERE realm = %s"
        return self.owner.execute(statement, (self.realm,)).fetchall()

    def tellings(self) -> list[tuple[Any, ...]]:
        """What webhooks are told: (webhook, job, generation, event, when)."""
        return self.owner.execute(_TELLINGS, (self.realm,)).fetchall()

    def pictures(self) -> dict[UUID, UUID]:
        """Of which jobs the picture is known again by its URL."""
        return dict(self.owner.execute(_PICTURES, (self.realm,)).fetchall())

    def told_before(self, source: UUID, forms: Sequence[str], *, nsfw: bool) -> list[ToldBefore]:
        """What the handler of a submission finds that was told of a picture."""
        asked = {"realm": self.realm, "source": source, "nsfw": nsfw, "forms": list(forms)}
        return [ToldBefore(*row) for row in self.owner.execute(_TOLD.text, asked)]

    def sweep(self) -> None:
        """What the relay does every second."""
        leading = threading.Event()
        sweeper = Sweeper(self.url, self.realm, self.writer, leading=leading, stop=leading)
        sweeper._upkeep_at = float("inf")
        try:
            sweeper.sweep()
        finally:
            sweeper.close()

    def relay(self) -> list[tuple[str, int]]:
        """A relay leads for one turn: tails are kept, actors called. The calls: (actor, position)."""
        sent: list[tuple[str, int]] = []
        with lead(self.url, self.realm, threading.Event()) as term:
            assert isinstance(term, Term)
            followers = [Tailing(term, projection) for projection in TAILING]
            reactions = Reactions(
                term, REACTIONS, lambda actor, position: sent.append((actor, position)), overdue=timedelta(0)
            )
            webhooks = Webhooks(term, lambda *_: None, kept=KEPT, words_kept=KEPT)
            webhooks._look_at = webhooks._forget_at = float("inf")  # what is told is left to tell
            for follower in (*followers, reactions, webhooks):
                while follower.advance():
                    pass
        return sent

    def rebuild(self) -> None:
        """Make all tables anew from the log."""
        rebuild(self.owner, self.realm)

    def differing(self) -> list[str]:
        """What the tables say otherwise than the log."""
        report = audit.verify(self.owner, self.realm)
        names = [f"{f.name} {f.differing}" for f in report.findings if not f.identical]
        return names + ["the sum of all postings"] * (report.total != 0)

    def close(self) -> None:
        """Stop the writers and forget the realm."""
        for writer in self._writers:
            writer.stop()
        self.clockwork.forget(self.realm)
        assert not self.fatal, self.fatal
