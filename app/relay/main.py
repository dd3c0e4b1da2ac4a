"""Composition root of the relay: stands by, leads, follows the log until it is stopped.

A lost database session ends the term, and everything starts again from the checkpoints. A follower that raises for
another reason pauses alone; the others go on. Look next: `app.relay.leader`, then one follower (`app.relay.reactions`).
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from datetime import timedelta
from typing import Final, Protocol

import psycopg

from app.accounts import treasury
from app.images import actors as images
from app.jobs import decider as jobs
from app.platform import metrics
from app.platform.broker import make_sender, send
from app.platform.commands import rules
from app.platform.logging import configure_logging
from app.platform.objects import ObjectStore
from app.platform.reactions import Reaction
from app.platform.settings import Settings
from app.platform.stopping import stop_on_signals
from app.platform.versions import LOOK_SECONDS, look
from app.platform.writer import Writer
from app.platform.writer.apply import channel
from app.platform.writer.gather import VersionMismatchError
from app.relay.leader import LeadershipLostError, NotMigratedError, Term, lead
from app.relay.reactions import OVERDUE, Reactions
from app.relay.retention import Retention
from app.relay.segments import Segments
from app.relay.statistics import Statistics
from app.relay.sweeper import Sweeper
from app.relay.tailing import Tailing
from app.relay.webhooks import Webhooks
from app.sharing import actors as sharing
from app.sources import actors as sources
from app.workers import lease_decider as leases
from projections.registry import TAILING

_log = logging.getLogger(__name__)

POLL_SECONDS: Final = 0.25
#: seconds before the database is tried again: at first, and at most
PAUSE: Final = (0.2, 5.0)
#: seconds that a follower rests after it raised
REST_SECONDS: Final = 10.0

REACTIONS: tuple[Reaction, ...] = (*sharing.REACTIONS, *sources.REACTIONS, *images.REACTIONS)


class Follower(Protocol):
    """Something that follows the log from a checkpoint."""

    name: str

    def advance(self) -> bool:
        """Do the next piece of work; True if there is more at once."""


class Relay:
    """One relay process. `run` it until `stop` is set."""

    def __init__(self, settings: Settings, stop: threading.Event, *, overdue: timedelta = OVERDUE) -> None:
        """Name the settings; nothing is contacted. `overdue` says when an open call is first sent again."""
        self._settings = settings
        self._stop = stop
        self._overdue = overdue
        #: set while this relay leads
        self.leading = threading.Event()
        self._failure: BaseException | None = None
        self._broker = make_sender(settings)
        table = rules(jobs.RULES, leases.RULES, treasury.RULES)
        self._writer = Writer(
            settings.database_url, settings.realm, table, on_fatal=self._give_up, rows=settings.writer_rows
        )
        self._sweeper = Sweeper(
            settings.database_url, settings.realm, self._writer, leading=self.leading, stop=stop
        )
        objects = ObjectStore(
            settings.s3_url, settings.s3_access_key, settings.s3_secret_key, settings.s3_region
        )
        self._retention = Retention(settings, objects, leading=self.leading, stop=stop)
        self._segments = Segments(settings, objects, leading=self.leading, stop=stop)
        metrics.WRITER_QUEUE.set_function(lambda: self._writer.waiting)
        metrics.WRITER_ROWS.set_function(lambda: self._writer.rows_kept)
        metrics.RELAY_LEADING.set_function(self.leading.is_set)

    def run(self) -> int:
        """Stand by and lead until stopped; 1 if this program does not fit the database, else 0."""
        self._writer.start()
        self._sweeper.start()
        self._retention.start()
        self._segments.start()
        try:
            self._serve()
        except (VersionMismatchError, NotMigratedError) as error:
            self._give_up(error)
        finally:
            self._stop.set()
            self._sweeper.join(2.0)
            self._retention.join(2.0)
            self._segments.join(2.0)
            self._writer.stop()
            self._broker.client.close()
        return 1 if self._failure else 0

    def _serve(self) -> None:
        """Term after term, with growing pauses while the database is away."""
        pause = PAUSE[0]
        while not self._stop.is_set():
            try:
                with lead(self._settings.database_url, self._settings.realm, self._stop) as term:
                    if term is None:
                        return
                    pause = PAUSE[0]
                    self._lead(term)
            except (psycopg.OperationalError, LeadershipLostError) as error:
                _log.warning("relay_interrupted", extra={"reason": type(error).__name__})
            self._stop.wait(pause)
            pause = min(pause * 2, PAUSE[1])

    def _lead(self, term: Term) -> None:
        _log.info("relay_leads", extra={"epoch": term.epoch})
        metrics.RELAY_TERMS.inc()
        term.connection.execute(f"LISTEN {channel(term.realm)}")
        followers = self._followers(term)
        resting: dict[str, float] = {}
        self.leading.set()
        try:
            while not self._stop.is_set():
                busy = False
                for follower in followers:
                    if time.monotonic() >= resting.get(follower.name, 0.0):
                        busy = _step(follower, resting) or busy
                if not busy:
                    # A notification only shortens the wait; what was missed is found by looking.
                    for _ in term.connection.notifies(timeout=POLL_SECONDS, stop_after=1):
                        pass
        finally:
            self.leading.clear()

    def _followers(self, term: Term) -> Sequence[Follower]:
        def leave(actor: str, position: int) -> None:
            send(self._broker, term.realm, actor, position)

        reactions = Reactions(term, REACTIONS, leave, overdue=self._overdue)
        webhooks = Webhooks(
            term,
            leave,
            kept=timedelta(seconds=self._settings.webhook_retention_seconds),
            words_kept=timedelta(seconds=self._settings.retention_seconds),
            ask_again=self._overdue,
        )
        return (_Versions(term), reactions, webhooks, *(Tailing(term, projection) for projection in TAILING))

    def _give_up(self, error: BaseException) -> None:
        _log.error("relay_stops", extra={"reason": str(error)})
        self._failure = error
        self._stop.set()


def run(settings: Settings, stop: threading.Event | None = None) -> int:
    """Run a relay until `stop` is set, or without one until SIGINT or SIGTERM; the exit status of the command."""
    if stop is not None:
        return Relay(settings, stop).run()
    configure_logging(settings.log_level)
    stop = stop_on_signals()
    relay = Relay(settings, stop)
    metrics.expose(*settings.metrics_at("relay"))
    statistics = Statistics(settings, leading=relay.leading, stop=stop)
    statistics.start()
    try:
        return relay.run()
    finally:
        stop.set()
        statistics.join(2.0)


class _Versions:
    """Follows nothing: looks every second whether the live projections are still this program's."""

    name = "versions"

    def __init__(self, term: Term) -> None:
        self._term = term
        self._look_at = 0.0

    def advance(self) -> bool:
        """Raises `VersionMismatchError`."""
        if time.monotonic() >= self._look_at:
            look(self._term.connection, self._term.realm)
            self._look_at = time.monotonic() + LOOK_SECONDS
        return False


def _step(follower: Follower, resting: dict[str, float]) -> bool:
    try:
        return follower.advance()
    except (psycopg.OperationalError, LeadershipLostError, VersionMismatchError):
        raise
    except Exception:  # a bug in one follower must not stop the others  # noqa: BLE001
        _log.exception("follower_failed", extra={"follower": follower.name})
        metrics.child(metrics.FOLLOWER_FAILURES, follower.name).inc()
        resting[follower.name] = time.monotonic() + REST_SECONDS
        return False
