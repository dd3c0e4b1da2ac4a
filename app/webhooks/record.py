"""Deliveries as rows: taking one, reading what it tells and where, writing down what came of it.

These rows are no facts: nobody's kudos depend on them, they are forgotten after days, and an actor writes them without the
writer. A row that was taken and never settled, because its actor died, is free again after half a minute. Look next:
`app.webhooks.delivering`, `app.relay.webhooks`.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final
from uuid import UUID

import msgspec
from psycopg import Connection

from app.platform import vault
from app.platform.keys import webhook_secret
from app.platform.vault import Attempt, DeliveryState, JobWebhook, WebhookDelivery, WebhookFault, WebhookPlace
from app.platform.webhooks import secret_bytes
from app.webhooks.decider import FAILING, OVERLAP
from app.webhooks.payload import JobView
from events.base import Fact
from events.codec import fact_of
from events.jobs import JobKind
from events.store import log
from projections.generations import HIDING, CaseState
from projections.store.tables import LIVE, TABLES
from projections.webhooks import Webhooks

#: an actor that takes a delivery has so long for it
CLAIMED: Final = timedelta(seconds=30)
#: attempts that are kept of a delivery
MOST_ATTEMPTS: Final = 30

_DELIVERIES = vault.TABLES[WebhookDelivery]
_PLACES = vault.TABLES[WebhookPlace]
_JOB_WEBHOOKS = vault.TABLES[JobWebhook]
_ONE = "realm = %(realm)s AND webhook = %(webhook)s AND position = %(position)s"
_DUE = f"""
SELECT webhook, owner, job FROM vault.webhook_delivery WHERE realm = %s AND position = %s AND state = '{DeliveryState.PENDING}'
AND next_at <= now() AND (claimed_until IS NULL OR claimed_until <= now())
"""  # noqa: S608
_CLAIM = f"""
UPDATE vault.webhook_delivery SET claimed_until = now() + %(claimed)s::interval WHERE {_ONE}
AND state = '{DeliveryState.PENDING}' AND next_at <= now() AND (claimed_until IS NULL OR claimed_until <= now())
RETURNING {_DELIVERIES.column_list}
"""  # noqa: S608
#: the attempts that are kept are the last ones
_SETTLE = f"""
UPDATE vault.webhook_delivery SET state = %(state)s, tries = tries + 1, claimed_until = NULL, asked_at = NULL,
  next_at = now() + %(pause)s::interval,
  attempts = (CASE WHEN jsonb_array_length(attempts) < {MOST_ATTEMPTS} THEN attempts ELSE attempts - 0 END) || %(attempt)s::jsonb
WHERE {_ONE} AND state = '{DeliveryState.PENDING}'
"""  # noqa: S608
_OWNED = TABLES["webhooks"].select(LIVE, "id = %(owner)s")
_PLACE = _PLACES.select(vault.SCHEMA, "webhook = %(webhook)s")
_JOB_WEBHOOK = _JOB_WEBHOOKS.select(vault.SCHEMA, "job = %(webhook)s")
_JOB = f"SELECT kind, charged FROM {LIVE}.jobs WHERE realm = %s AND id = %s"  # noqa: S608
_WORDS = f"""
SELECT s.seed, r.seed, r.text, g.form, r.form, g.report, n.name
FROM {LIVE}.generations g
JOIN vault.generation s ON s.realm = g.realm AND s.generation = g.id
LEFT JOIN vault.result r ON r.realm = g.realm AND r.generation = g.id
LEFT JOIN vault.worker n ON n.realm = g.realm AND n.worker = g.worker
WHERE g.realm = %s AND g.id = %s
"""  # noqa: S608
_NOW = "SELECT now()"
_HEARD = "UPDATE vault.webhook SET failing_since = NULL WHERE realm = %s AND webhook = %s AND failing_since IS NOT NULL"
_UNHEARD = (
    "UPDATE vault.webhook SET failing_since = coalesce(failing_since, now()) WHERE realm = %s AND webhook = %s "
    "RETURNING failing_since <= now() - %s::interval"
)


class Due(msgspec.Struct, frozen=True):
    """A delivery that nobody is at."""

    webhook: UUID
    position: int
    owner: UUID

    #: whether the webhook is that of one job
    of_job: bool


class Place(msgspec.Struct, frozen=True):
    """Where a delivery goes, and what it is signed with."""

    url: str
    secrets: tuple[bytes, ...]


class Told(msgspec.Struct, frozen=True):
    """What a worker made, as far as it is not erased."""

    #: as the client asked for it, and as the worker says it was
    seed: int
    result_seed: str | None
    text: str | None
    #: what an interrogation was about, and what was told of it, as a JSON text
    form: str | None
    result: str | None
    report: CaseState | None
    worker_name: str | None

    @property
    def hidden(self) -> bool:
        """Whether a report keeps it from being shown."""
        return self.report in HIDING


def due_at(connection: Connection[Any], realm: int, position: int) -> list[Due]:
    """The deliveries of one fact that are due and that nobody is at."""
    rows = connection.execute(_DUE, (realm, position))
    return [Due(webhook, position, owner, webhook == job) for webhook, owner, job in rows]


def claim(connection: Connection[Any], realm: int, due: Due) -> WebhookDelivery | None:
    """Take a delivery; None if somebody else did, or settled it."""
    asked = _one(realm, due.webhook, due.position) | {"claimed": CLAIMED}
    taken = connection.execute(_CLAIM, asked, binary=True).fetchone()
    return None if taken is None else _DELIVERIES.load(taken)


def place_of(connection: Connection[Any], realm: int, pepper: str, delivery: WebhookDelivery) -> Place | None:
    """Where a delivery goes; None if nothing is told there now."""
    asked = {"realm": realm, "webhook": delivery.webhook, "owner": delivery.owner}
    if delivery.webhook == delivery.job:
        found = _JOB_WEBHOOKS.load_all(connection.execute(_JOB_WEBHOOK, asked, binary=True))
        if not found:
            return None
        given: JobWebhook = found[0]
        return Place(given.url, (secret_bytes(given.secret) or webhook_secret(pepper, given.job),))
    owned: list[Webhooks] = TABLES["webhooks"].load_all(connection.execute(_OWNED, asked, binary=True))
    endpoint = owned[0].endpoint(delivery.webhook) if owned else None
    places: list[WebhookPlace] = _PLACES.load_all(connection.execute(_PLACE, asked, binary=True))
    if endpoint is None or not endpoint.active or not places:
        return None
    secrets = [webhook_secret(pepper, endpoint.id, endpoint.secret)]
    now = connection.execute(_NOW).fetchone()
    if endpoint.rotated_at is not None and now is not None and now[0] - endpoint.rotated_at < OVERLAP:
        secrets.append(webhook_secret(pepper, endpoint.id, endpoint.secret - 1))
    return Place(places[0].url, tuple(secrets))


def fact_at(connection: Connection[Any], realm: int, position: int) -> Fact:
    """The fact at a position. Raises `LookupError`."""
    row = connection.execute(log.READ, (realm, position - 1, 1), binary=True).fetchone()
    fact = None if row is None else fact_of(log.recorded(row))
    if fact is None or fact.position != position:
        message = f"there is no fact at {position}"
        raise LookupError(message)
    return fact


def job_of(connection: Connection[Any], realm: int, job: UUID) -> JobView:
    """What is known of a job. Raises `LookupError`."""
    row = connection.execute(_JOB, (realm, job)).fetchone()
    if row is None:
        message = f"there is no job {job}"
        raise LookupError(message)
    return JobView(JobKind(row[0]), row[1])


def told_of(connection: Connection[Any], realm: int, generation: UUID) -> Told | None:
    """What a worker made; None once its words were erased."""
    row = connection.execute(_WORDS, (realm, generation)).fetchone()
    if row is None:
        return None
    seed, result_seed, text, form, result, report, name = row
    return Told(seed, result_seed, text, form, result, None if report is None else CaseState(report), name)


def settle(
    connection: Connection[Any],
    realm: int,
    delivery: WebhookDelivery,
    attempt: Attempt,
    pause: timedelta | None,
) -> None:
    """Write an attempt down: heard, to be tried again after a pause, or given up."""
    if attempt.fault is None:
        state, pause = DeliveryState.DELIVERED, None
    else:
        state = DeliveryState.GIVEN_UP if pause is None else DeliveryState.PENDING
    kept = msgspec.json.encode([attempt]).decode()
    asked = _one(realm, delivery.webhook, delivery.position)
    connection.execute(_SETTLE, asked | {"state": state.value, "pause": pause, "attempt": kept})


def note_health(connection: Connection[Any], realm: int, webhook: UUID, fault: WebhookFault | None) -> bool:
    """Note whether a user's webhook heard; True if it has not for `FAILING`."""
    if fault is None:
        connection.execute(_HEARD, (realm, webhook))
        return False
    row = connection.execute(_UNHEARD, (realm, webhook, FAILING)).fetchone()
    return row is not None and bool(row[0])


def _one(realm: int, webhook: UUID, position: int) -> dict[str, Any]:
    return {"realm": realm, "webhook": webhook, "position": position}
