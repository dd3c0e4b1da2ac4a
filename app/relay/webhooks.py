"""From facts to deliveries: a row for each webhook that is to hear of one, with the checkpoint; then messages when due.

A row is pending until an actor settles it. Its message is left when it is due, and again after a while if nobody took
it, so that neither the loss of the broker nor that of an actor loses a delivery. Of one webhook only a few are asked
for at a time, so that a slow one does not fill the queue. Once in a while what is old is forgotten. Look next:
`app.webhooks.told`, `app.webhooks.delivering`.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

import redis
from psycopg import Connection

from app.platform import metrics, vault
from app.platform.vault import DeliveryState, JobWebhook, WebhookDelivery
from app.relay.leader import Term
from app.webhooks.actors import TELL_WEBHOOKS
from app.webhooks.told import FACTS, deliveries_of
from events.base import Fact
from events.codec import fact_of
from events.jobs import JobEvent
from events.store import log
from events.webhooks import RedeliveryAsked, WebhookDeleted, WebhookPinged
from projections.store.tables import LIVE, TABLES
from projections.webhooks import Webhooks as OwnedWebhooks

_log = logging.getLogger(__name__)

FOLLOWER: Final = "webhooks"
PAGE: Final = 500
#: what is older is not told any more: a relay that begins anew must not tell what was told and forgotten
TOLD_WITHIN: Final = timedelta(days=1)
#: a due delivery that nobody took is asked for again after so long
ASK_AGAIN: Final = timedelta(seconds=30)
#: deliveries of one webhook that are asked for at a time, and messages of one round
OF_ONE_WEBHOOK: Final = 20
SENT_AT_ONCE: Final = 500
#: seconds that one round of sending takes at most: the leader must not fall silent
ROUND_SECONDS: Final = 1.0
#: seconds between two looks for what is due, after a broker failed, and between two rounds of forgetting
LOOK_SECONDS: Final = 0.5
REST_SECONDS: Final = 1.0
FORGET_SECONDS: Final = 60.0

_TYPES: Final = [cls.TYPE for cls in (*FACTS, WebhookPinged, RedeliveryAsked, WebhookDeleted)]
_DELIVERIES = vault.TABLES[WebhookDelivery]
_CHECKPOINT = "SELECT position FROM relay.checkpoint WHERE realm = %s AND follower = %s FOR UPDATE"
_ADVANCE = (
    "INSERT INTO relay.checkpoint (realm, follower, position) VALUES (%s, %s, %s) "
    "ON CONFLICT (realm, follower) DO UPDATE SET position = excluded.position"
)
_OWNED = TABLES["webhooks"].select(LIVE, "id = ANY(%(owners)s)")
_OF_JOBS = vault.TABLES[JobWebhook].select(vault.SCHEMA, "job = ANY(%(jobs)s)")
_RECENT = "SELECT now() - %s::interval"
_OPEN = f"""
INSERT INTO vault.webhook_delivery (realm, webhook, position, id, owner, job, generation, event, happened_at, state, tries,
  attempts, next_at)
SELECT %s, t.*, '{DeliveryState.PENDING}', 0, '[]'::jsonb, now()
FROM unnest(%s::uuid[], %s::bigint[], %s::uuid[], %s::uuid[], %s::uuid[], %s::uuid[], %s::text[], %s::timestamptz[]) AS t
ON CONFLICT DO NOTHING
"""  # noqa: S608
_AGAIN = f"""
UPDATE vault.webhook_delivery SET state = '{DeliveryState.PENDING}', tries = 0, next_at = now(), asked_at = NULL
WHERE realm = %s AND webhook = %s AND position = %s AND state <> '{DeliveryState.PENDING}'
"""  # noqa: S608
_NO_MORE = "DELETE FROM vault.webhook_delivery WHERE realm = %s AND webhook = %s"
#: webhooks that have pending deliveries, one look into the index each; of each the first that are due
_DUE = f"""
WITH RECURSIVE w(webhook) AS (
  (SELECT webhook FROM vault.webhook_delivery WHERE realm = %(realm)s AND state = '{DeliveryState.PENDING}'
   ORDER BY webhook LIMIT 1)
  UNION ALL
  SELECT (SELECT d.webhook FROM vault.webhook_delivery d WHERE d.realm = %(realm)s AND d.state = '{DeliveryState.PENDING}'
    AND d.webhook > w.webhook ORDER BY d.webhook LIMIT 1) FROM w WHERE w.webhook IS NOT NULL)
SELECT d.webhook, d.position FROM w CROSS JOIN LATERAL (
  SELECT webhook, position, asked_at, claimed_until FROM vault.webhook_delivery
  WHERE realm = %(realm)s AND webhook = w.webhook AND state = '{DeliveryState.PENDING}' AND next_at <= now()
  ORDER BY next_at, position LIMIT %(each)s) AS d
WHERE (d.asked_at IS NULL OR d.asked_at <= now() - %(again)s::interval OR d.asked_at > now())
  AND (d.claimed_until IS NULL OR d.claimed_until <= now())
LIMIT %(limit)s
"""  # noqa: S608
_ASKED = (
    "UPDATE vault.webhook_delivery AS d SET asked_at = now() FROM unnest(%s::uuid[], %s::bigint[]) AS t(webhook, position) "
    "WHERE d.realm = %s AND d.webhook = t.webhook AND d.position = t.position"
)
_FORGET = f"""
DELETE FROM vault.webhook_delivery WHERE realm = %(realm)s AND happened_at < now() - %(kept)s::interval
AND state <> '{DeliveryState.PENDING}'
"""  # noqa: S608
_FORGET_PLACES = f"""
DELETE FROM vault.job_webhook AS w USING {LIVE}.jobs AS j WHERE w.realm = %(realm)s AND j.realm = w.realm AND j.id = w.job
AND j.ended_at < now() - %(ended)s::interval AND NOT EXISTS (
  SELECT FROM vault.webhook_delivery d WHERE d.realm = w.realm AND d.webhook = w.job AND d.state = '{DeliveryState.PENDING}')
"""  # noqa: S608


class Webhooks:
    """Follows the log for webhooks; `send` leaves a message for an actor about a position."""

    name = FOLLOWER

    def __init__(
        self,
        term: Term,
        send: Callable[[str, int], None],
        *,
        kept: timedelta,
        words_kept: timedelta,
        ask_again: timedelta = ASK_AGAIN,
    ) -> None:
        """Deliveries are kept for `kept`, where jobs' webhooks lead for `words_kept` after a job's end."""
        self._term = term
        self._send = send
        self._kept = kept
        self._words_kept = words_kept
        self._ask_again = ask_again
        self._position = -1
        self._look_at = 0.0
        self._forget_at = 0.0

    def advance(self) -> bool:
        """Turn a page of the log into deliveries and send what is due. True if there is more to do at once."""
        if self._follow():
            return True
        if time.monotonic() >= self._look_at:
            return self._ask()
        if time.monotonic() >= self._forget_at:
            self._forget()
        return False

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
            asked = {"realm": realm, "after": after, "names": _TYPES, "limit": PAGE}
            rows = connection.execute(log.READ_TYPES, asked, binary=True)
            facts = [fact_of(log.recorded(row)) for row in rows]
            full = len(facts) == PAGE
            reached = facts[-1].position if full else max([last, after, *(f.position for f in facts)])
            if facts:
                self._open(connection, facts)
            connection.execute(_ADVANCE, (realm, FOLLOWER, reached))
        self._position = reached
        if facts:
            self._look_at = 0.0
        return full

    def _open(self, connection: Connection[Any], facts: Sequence[Fact]) -> None:
        realm = self._term.realm
        recent = connection.execute(_RECENT, (TOLD_WITHIN,)).fetchone()
        assert recent is not None
        fresh = [fact for fact in facts if fact.occurred_at > recent[0]]
        about = {"realm": realm, "owners": list(_owners(fresh)), "jobs": list(_jobs(fresh))}
        found: list[OwnedWebhooks] = TABLES["webhooks"].load_all(
            connection.execute(_OWNED, about, binary=True)
        )
        owned = {each.id: each for each in found}
        named = vault.TABLES[JobWebhook].load_all(connection.execute(_OF_JOBS, about, binary=True))
        of_jobs: dict[UUID, JobWebhook] = {each.job: each for each in named}
        opened: list[WebhookDelivery] = []
        for fact in fresh:
            job = fact.event.job if isinstance(fact.event, JobEvent) else None
            owner = fact.event.subject()
            opened += deliveries_of(
                realm,
                fact,
                None if owner is None else owned.get(owner),
                None if job is None else of_jobs.get(job),
            )
        if opened:
            connection.execute(_OPEN, (realm, *_columns(opened)))
        for event in (fact.event for fact in facts):
            if isinstance(event, RedeliveryAsked):
                connection.execute(_AGAIN, (realm, event.webhook, event.told))
            elif isinstance(event, WebhookDeleted):
                connection.execute(_NO_MORE, (realm, event.webhook))

    def _ask(self) -> bool:
        """Ask for what is due; True if others are left."""
        self._look_at = time.monotonic() + LOOK_SECONDS
        parameters = {
            "realm": self._term.realm,
            "each": OF_ONE_WEBHOOK,
            "again": self._ask_again,
            "limit": SENT_AT_ONCE,
        }
        due: list[tuple[UUID, int]] = self._term.connection.execute(_DUE, parameters).fetchall()
        if not due:
            return False
        sent, failed = self._send_round(list(dict.fromkeys(position for _, position in due)))
        asked = [(webhook, position) for webhook, position in due if position in sent]
        with self._term.transaction() as connection:
            connection.execute(_ASKED, ([w for w, _ in asked], [p for _, p in asked], self._term.realm))
        if failed:
            self._look_at = time.monotonic() + REST_SECONDS
            return False
        more = len(asked) < len(due) or len(due) == SENT_AT_ONCE
        if more:
            self._look_at = 0.0
        return more

    def _send_round(self, positions: Sequence[int]) -> tuple[set[int], bool]:
        """The positions that messages were left about in time, and whether the broker failed."""
        end = time.monotonic() + ROUND_SECONDS
        sent: set[int] = set()
        for position in positions:
            if time.monotonic() > end:
                break
            try:
                self._send(TELL_WEBHOOKS, position)
            except redis.RedisError as error:
                metrics.BROKER_AWAY.inc()
                _log.warning("broker_away", extra={"reason": type(error).__name__})
                return sent, True
            sent.add(position)
        return sent, False

    def _forget(self) -> None:
        self._forget_at = time.monotonic() + FORGET_SECONDS
        asked = {"realm": self._term.realm, "kept": self._kept, "ended": self._words_kept}
        with self._term.transaction() as connection:
            connection.execute(_FORGET, asked)
            connection.execute(_FORGET_PLACES, asked)


def _owners(facts: Sequence[Fact]) -> set[UUID]:
    return {owner for fact in facts if (owner := fact.event.subject()) is not None}


def _jobs(facts: Sequence[Fact]) -> set[UUID]:
    return {fact.event.job for fact in facts if isinstance(fact.event, JobEvent)}


def _columns(rows: Sequence[WebhookDelivery]) -> list[list[Any]]:
    return [
        [getattr(row, name) for row in rows]
        for name in ("webhook", "position", "id", "owner", "job", "generation", "event", "happened_at")
    ]


def _last(connection: Connection[Any], realm: int) -> int:
    row = connection.execute(log.LAST_POSITION, (realm,)).fetchone()
    return row[0] if row else 0
