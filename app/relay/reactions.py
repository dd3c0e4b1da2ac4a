"""From facts to actors: a row for each call that is due, written with the checkpoint; then messages, again and again.

A row is open until a fact completes it. It is sent at once, and again at growing intervals while it stays open, so
that neither a crash between commit and sending nor the loss of the broker loses a call. Actors may be called twice;
they are idempotent. Look next: `app.platform.reactions`, `app.sharing.actors`.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any, Final

import redis
from psycopg import Connection

from app.platform import metrics
from app.platform.reactions import Reaction
from app.relay.leader import Term
from events.base import Fact
from events.codec import fact_of
from events.store import log

_log = logging.getLogger(__name__)

FOLLOWER: Final = "reactions"
PAGE: Final = 1_000
#: a call that is still open after so long is sent again, then after twice as long, and so on
OVERDUE: Final = timedelta(seconds=30)
MOST_OVERDUE: Final = timedelta(minutes=10)
#: messages, and seconds, that one round of sending takes at most: the leader must not fall silent
SENT_AT_ONCE: Final = 500
ROUND_SECONDS: Final = 1.0
#: seconds between two looks for overdue calls, and before a broker that failed is tried again
LOOK_SECONDS: Final = 1.0

_CHECKPOINT = "SELECT position FROM relay.checkpoint WHERE realm = %s AND follower = %s FOR UPDATE"
_ADVANCE = (
    "INSERT INTO relay.checkpoint (realm, follower, position) VALUES (%s, %s, %s) "
    "ON CONFLICT (realm, follower) DO UPDATE SET position = excluded.position"
)
_OPEN = (
    "INSERT INTO relay.reaction (realm, position, actor, subject, sent_at, attempts) "
    "SELECT %s, t.position, t.actor, t.subject, now(), 0 "
    "FROM unnest(%s::bigint[], %s::text[], %s::uuid[]) AS t(position, actor, subject) ON CONFLICT DO NOTHING"
)
_COMPLETE = (
    "UPDATE relay.reaction AS r SET completed_by = t.position "
    "FROM unnest(%s::bigint[], %s::text[], %s::uuid[]) AS t(position, actor, subject) WHERE r.realm = %s "
    "AND r.actor = t.actor AND r.subject = t.subject AND r.position < t.position AND r.completed_by IS NULL"
)
_DUE = (
    "SELECT position, actor FROM relay.reaction WHERE realm = %(realm)s AND completed_by IS NULL AND (attempts = 0 "
    "OR sent_at <= now() - least(%(overdue)s * power(2, least(attempts, 16) - 1), %(most)s) "
    # sent by a clock that has been set back since: nobody knows how long ago
    "OR sent_at > now()) "
    "ORDER BY position LIMIT %(limit)s"
)
_SENT = (
    "UPDATE relay.reaction AS r SET attempts = r.attempts + 1, sent_at = now() "
    "FROM unnest(%s::bigint[], %s::text[]) AS t(position, actor) "
    "WHERE r.realm = %s AND r.position = t.position AND r.actor = t.actor"
)

#: (position, actor) of a call
Call = tuple[int, str]


class Reactions:
    """Follows the log for a table of reactions; `send` leaves a message for an actor about a position."""

    name = FOLLOWER

    def __init__(
        self,
        term: Term,
        table: Sequence[Reaction],
        send: Callable[[str, int], None],
        *,
        overdue: timedelta = OVERDUE,
    ) -> None:
        self._term = term
        self._table = table
        self._send = send
        self._overdue = overdue
        self._names = sorted({cls.TYPE for r in table for cls in (r.to, *r.completed_by)})
        self._position = -1
        self._look_at = 0.0
        #: a broker that failed is left alone until then, whatever comes
        self._rest_until = 0.0

    def advance(self) -> bool:
        """Turn a page of the log into rows and send what is due. True if there is more to do at once."""
        more = self._follow()
        if not more and time.monotonic() >= max(self._look_at, self._rest_until):
            more = self._send_due()
        return more

    def _follow(self) -> bool:
        """True if the end of the log was not reached."""
        realm = self._term.realm
        if _last(self._term.connection, realm) == self._position:
            return False
        with self._term.transaction() as connection:
            row = connection.execute(_CHECKPOINT, (realm, FOLLOWER)).fetchone()
            after = row[0] if row else 0
            last = _last(connection, realm)
            # Read after `last`: what stands up to there is all in the page, unless the page is full.
            asked = {"realm": realm, "after": after, "names": self._names, "limit": PAGE}
            rows = connection.execute(log.READ_TYPES, asked, binary=True)
            facts = [fact_of(log.recorded(row)) for row in rows]
            full = len(facts) == PAGE
            reached = facts[-1].position if full else max([last, after, *(f.position for f in facts)])
            opened = self._open(connection, facts)
            self._complete(connection, facts)
            connection.execute(_ADVANCE, (realm, FOLLOWER, reached))
        self._position = reached
        if opened:
            self._look_at = 0.0
        return full

    def _open(self, connection: Connection[Any], facts: Sequence[Fact]) -> bool:
        calls: list[tuple[int, str, Any]] = []
        for reaction in self._table:
            mine = [
                fact for fact in facts if isinstance(fact.event, reaction.to) and reaction.calls(fact.event)
            ]
            if not mine:
                continue
            wanted = reaction.wanted(connection, self._term.realm, [fact.event for fact in mine])
            subjects = [(fact.position, reaction.subject(fact.event)) for fact in mine]
            calls += [
                (position, reaction.actor, subject) for position, subject in subjects if subject in wanted
            ]
        if calls:
            connection.execute(_OPEN, (self._term.realm, *_columns(calls)))
        return bool(calls)

    def _complete(self, connection: Connection[Any], facts: Sequence[Fact]) -> None:
        done = [
            (fact.position, reaction.actor, reaction.subject(fact.event))
            for reaction in self._table
            for fact in facts
            if isinstance(fact.event, reaction.completed_by)
        ]
        if done:
            connection.execute(_COMPLETE, (*_columns(done), self._term.realm))

    def _send_due(self) -> bool:
        """Send calls that were never sent or are overdue; True if others are left."""
        self._look_at = time.monotonic() + LOOK_SECONDS
        parameters = {
            "realm": self._term.realm,
            "overdue": self._overdue,
            "most": max(MOST_OVERDUE, self._overdue),
            "limit": SENT_AT_ONCE,
        }
        due: list[Call] = self._term.connection.execute(_DUE, parameters).fetchall()
        sent, failed = self._send_round(due)
        if sent:
            with self._term.transaction() as connection:
                connection.execute(_SENT, ([p for p, _ in sent], [a for _, a in sent], self._term.realm))
        if failed:
            self._rest_until = time.monotonic() + LOOK_SECONDS
        more = not failed and (len(sent) < len(due) or len(due) == SENT_AT_ONCE)
        if more:
            self._look_at = 0.0
        return more

    def _send_round(self, due: Sequence[Call]) -> tuple[list[Call], bool]:
        """The calls that were sent in time, and whether the broker failed."""
        end = time.monotonic() + ROUND_SECONDS
        sent: list[Call] = []
        for position, actor in due:
            if time.monotonic() > end:
                break
            try:
                self._send(actor, position)
            except redis.RedisError as error:
                metrics.BROKER_AWAY.inc()
                _log.warning("broker_away", extra={"reason": type(error).__name__})
                return sent, True
            metrics.REACTIONS_SENT.inc()
            sent.append((position, actor))
        return sent, False


def _last(connection: Connection[Any], realm: int) -> int:
    row = connection.execute(log.LAST_POSITION, (realm,)).fetchone()
    return row[0] if row else 0


def _columns(rows: Sequence[tuple[Any, ...]]) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)]
