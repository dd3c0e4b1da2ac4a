"""Faults to plant in the programs, or in what their SQL promises: each must be found within some seeds.

A fault is a list of (place, name, wrong thing); what is wrong is written as somebody might really write it. Look next:
`test_teeth.py`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from datetime import timedelta
from types import SimpleNamespace
from typing import Any
from unittest import mock

import psycopg

from app.platform import vault
from app.platform.commands import Decision, Done, Request
from app.platform.rows import Rows
from app.platform.writer import thread
from app.platform.writer.batch import Batch
from app.platform.writer.gather import Gathered
from app.platform.writer.recent import Recent
from app.ratings import decider as ratings
from app.relay.leader import Term
from app.relay.reactions import _ADVANCE, _CHECKPOINT, FOLLOWER, PAGE, Reactions
from app.sharing import decider as sharing
from app.sharing.decider import PublishPicture, Verdict
from app.sharing.publish import Publisher
from app.sources import actors as sources_actors
from app.sources.fetching import Fetcher
from events.chain import genesis
from events.codec import fact_of
from events.jobs import ImageJobSubmitted
from events.sharing import WithheldReason
from events.store import log
from events.store.log import Head
from projections.ratings import RatingState
from tests.simulation import statements
from tests.simulation.database import View

Patch = tuple[Any, str, Any]

_applied = statements.applied
_gathered = statements.gathered
_eligible = sharing._eligible
_commit = thread.commit_batch
_settle = Publisher._settle
_reactions = Reactions.__init__
_record = Fetcher._record


def _unlocked(view: View, needs: Any, keys: Any) -> Gathered:
    """The lock is not taken at all."""
    return statements.read_for_batch(view, needs, keys)


def _read_before_lock(view: View, needs: Any, keys: Any) -> Gathered:
    """Lock and read in one statement: what is read is from before the lock."""
    gathered = statements.read_for_batch(view, needs, keys)
    view.lock(statements.LOCK)
    return gathered


class _Stale:
    """Rows of a batch whose commit was lost are used again, on top of a head that is read anew."""

    def __init__(self) -> None:
        self._rows: dict[str, Rows] = {}

    def __call__(self, view: View, needs: Any, keys: Any) -> Gathered:
        gathered = _gathered(view, needs, keys)
        kept = self._rows.setdefault(repr(needs), gathered.rows)
        kept.now = gathered.rows.now
        gathered.rows = kept
        return gathered


def _no_outcome(batch: Batch, request: Request, _: Done, decision: Decision) -> None:
    words = [row for row in decision.vault if isinstance(row, vault.JobWords)]
    batch.rows.prompts.update({row.job: row.prompt for row in words})
    assert request is not None


def _running_clock(realm: int, row: Sequence[Any]) -> Head:
    """The database's clock as it is, though it was ahead before."""
    clock, position, _, digest = row
    return Head(clock, 0, genesis(realm)) if position is None else Head(clock, position, bytes(digest))


def _answer_first(connection: Any, batch: Batch, before: Any) -> None:
    """Callers are answered whether or not the commit came through."""
    with contextlib.suppress(psycopg.OperationalError):
        _commit(connection, batch, before)


def _checkpoint_first(reactions: Reactions) -> bool:
    """Where the relay stands is committed, and only then the rows of what is to be done."""
    realm = reactions._term.realm
    with reactions._term.transaction() as connection:
        row = connection.execute(_CHECKPOINT, (realm, FOLLOWER)).fetchone()
        after = row[0] if row else 0
        asked = {"realm": realm, "after": after, "names": reactions._names, "limit": PAGE}
        (last,) = connection.execute(log.LAST_POSITION, (realm,)).fetchone() or (0,)
        facts = [fact_of(log.recorded(row)) for row in connection.execute(log.READ_TYPES, asked)]
        reached = max([last, after, *(fact.position for fact in facts)])
        if reached == after:
            return False
        connection.execute(_ADVANCE, (realm, FOLLOWER, reached))
    with reactions._term.transaction() as connection:
        reactions._open(connection, facts)
        reactions._complete(connection, facts)
    reactions._look_at = 0.0
    return False


@contextlib.contextmanager
def _any_epoch(term: Term) -> Iterator[Any]:
    """A transaction that does not ask who leads."""
    with term.connection.transaction():
        yield term.connection


def _any_verdict(job_id: Any, generation_id: Any, rows: Rows) -> Any:
    """A verdict that stands does not keep another one away."""
    job = rows.job(job_id)
    found = _eligible(job_id, generation_id, rows)
    return job if isinstance(found, Decision) else found


def _event_first(publisher: Publisher, connection: Any, story: Any) -> None:
    """The verdict is recorded before its files are there."""
    judged = publisher._judge(connection, story)
    if isinstance(judged, WithheldReason):
        _settle(publisher, connection, story)
        return
    verdict = PublishPicture(
        job=story.delivered.job,
        generation=story.generation.id,
        sha256=judged.picture.sha256,
        perceptual_hash=judged.picture.perceptual_hash,
        width=judged.picture.width,
        height=judged.picture.height,
        size=len(judged.picture.webp),
    )
    publisher._record(story, verdict, Verdict(sha256=judged.picture.sha256))
    publisher._put(story.generation.id, judged)


def _overdue_never(
    self: Reactions, term: Any, table: Any, send: Any, *, overdue: timedelta = timedelta(0)
) -> None:
    """A call is sent once."""
    _reactions(self, term, table, send, overdue=max(overdue, timedelta(days=9_000)))


def _as_if_new(publisher: Publisher, connection: Any, story: Any, _: str) -> None:
    """A picture that has its verdict is judged again."""
    _settle(publisher, connection, story)


async def _unkept(fetcher: Fetcher, wanted: Any, command: Any) -> bool:
    """Whoever recorded that a source is there takes itself for the second."""
    await _record(fetcher, wanted, command)
    return False


def _half(view: View, writes: Any, before: Any, rows: Any) -> None:
    """Events are committed, the rows of accounts are forgotten."""
    kept = dict(view.server.log.state["accounts"])
    _applied(view, writes, before, rows)
    if len(writes.events) > 3:
        view.server.log.state["accounts"] = {**view.server.log.state["accounts"], **kept}


FAULTS: dict[str, list[Patch]] = {
    "an unknown outcome is tried again": [(thread.Writer, "_committed", lambda *_: False)],
    "an unknown outcome is taken for done": [(thread.Writer, "_committed", lambda *_: True)],
    "callers are answered before the commit": [(thread, "commit_batch", _answer_first)],
    "the lock is not held": [(statements, "gathered", _unlocked)],
    "reads are from before the lock": [(statements, "gathered", _read_before_lock)],
    "rows of a lost batch are used again": [(statements, "gathered", _Stale)],
    "rows at hand are not moved on": [(Recent, "catch_up", lambda *_: None)],
    "outcomes of keys are not kept": [(Batch, "_remember", _no_outcome)],
    "the clock runs backwards": [(log, "head_of", _running_clock)],
    "rows are committed by halves": [(statements, "applied", _half)],
    "the checkpoint comes before the reactions": [(Reactions, "_follow", _checkpoint_first)],
    "the epoch is ignored": [(Term, "transaction", _any_epoch)],
    "a call is sent only once": [(Reactions, "__init__", _overdue_never)],
    "the actor gives a second verdict": [
        (sharing, "_eligible", _any_verdict),
        (Publisher, "_repair", _as_if_new),
    ],
    "the verdict comes before its files": [
        (Publisher, "_settle", _event_first),
        (Publisher, "_repair", lambda *_: None),
    ],
    "what is not shared any more stays in the bucket": [(Publisher, "_remove", lambda *_: None)],
    "a source that is kept is removed": [(Fetcher, "_record", _unkept)],
    "later commands do not see earlier ones": [(Rows, "accept", Rows.discard)],
    "a session that stood still is no lost connection": [(thread, "LOST", (psycopg.OperationalError,))],
    "what interrogations ask about is not fetched": [(sources_actors, "SUBMISSIONS", (ImageJobSubmitted,))],
    "a rating that is given again is paid again": [
        (ratings, "RatingState", SimpleNamespace(ASSIGNED=RatingState.ASSIGNED, DONE=None)),
        (ratings, "_over", lambda *_: None),
    ],
}


#: the weather in which a fault shows that needs some coincidence
WEATHER: dict[str, frozenset[str]] = {
    "an unknown outcome is tried again": frozenset({"long", "unanswered"}),
    "the checkpoint comes before the reactions": frozenset({"long", "kill", "relays"}),
    "a call is sent only once": frozenset({"long", "vanish", "wipe"}),
    "the actor gives a second verdict": frozenset({"long", "twice"}),
    "the verdict comes before its files": frozenset({"long", "failing", "kill", "actors"}),
    "what is not shared any more stays in the bucket": frozenset({"long"}),
    "a session that stood still is no lost connection": frozenset({"long", "stall", "apis"}),
    "what interrogations ask about is not fetched": frozenset({"long"}),
}


@contextlib.contextmanager
def planted(name: str) -> Iterator[None]:
    """The programs with a fault, until the end of the block."""
    with contextlib.ExitStack() as stack:
        for place, attribute, wrong in FAULTS[name]:
            made = wrong() if isinstance(wrong, type) else wrong
            stack.enter_context(mock.patch.object(place, attribute, made))
        yield
