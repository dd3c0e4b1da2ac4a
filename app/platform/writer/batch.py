"""One batch: gather, decide the commands in order in memory, apply. One transaction, all of it or nothing.

A rejected command appends nothing. A command that raises is answered as an internal error and harms no neighbour.
Look next: `app.platform.writer.thread`, which forms batches and resolves unknown outcomes.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import msgspec
import psycopg
from psycopg import Connection

from app.platform import vault
from app.platform.commands import Decision, Done, Needs, Outcome, Rejection, Request, Rule, Rules
from app.platform.ids import uuid7
from app.platform.rows import Rows
from app.platform.writer.apply import Writes, apply
from app.platform.writer.gather import VERSIONS_SQL, Gathered, check_versions, gather
from app.platform.writer.recent import Recent
from events.base import Event, Fact, Metadata, Recorded, postings_of
from events.codec import encode, encode_metadata
from events.store import log
from projections.accounts import USER

_log = logging.getLogger(__name__)

_KEY_TAKEN = Rejection(
    code="IDEMPOTENCY_CONFLICT",
    message="this idempotency key was used before with other parameters",
    path=("input", "idempotencyKey"),
)


class Batch:
    """The decisions of one batch in the making."""

    def __init__(self, realm: int, rules: Rules, gathered: Gathered) -> None:
        self.realm = realm
        self.rules = rules
        self.rows: Rows = gathered.rows
        self.known = gathered.known
        self.position = gathered.head.position
        self.hash = gathered.head.hash
        #: how long the lock was waited for, in seconds
        self.waited = gathered.waited
        self.writes = Writes([], [], [], [])

    def decide(self, request: Request) -> Outcome | Exception:
        """Decide one command on top of those before it; an exception is a bug, and changes nothing."""
        rule = self.rules[type(request.command)]
        try:
            if (repeated := self._repeat(request, rule)) is not None:
                return repeated
            decision = rule.decide(request.command, self.rows)
            if isinstance(decision, Rejection):
                return decision
            return self._append(request, decision)
        except Exception as error:  # noqa: BLE001 - one bad command must not fail its neighbours
            self.rows.discard()
            _log.exception(
                "command_raised", extra={"command": type(request.command).__name__, "id": str(request.id)}
            )
            return error

    def _repeat(self, request: Request, rule: Rule[Any]) -> Outcome | None:
        key = request.idempotency
        if key is None or (kept := self.known.get((key.scope, key.key))) is None:
            return None
        if key.contradicts(kept.request_hash):
            return _KEY_TAKEN
        return Done(msgspec.json.decode(kept.outcome, type=rule.result), kept.position, repeated=True)

    def _append(self, request: Request, decision: Decision) -> Done:
        metadata = encode_metadata(
            Metadata(
                command=request.id,
                actor=request.actor,
                causation=request.causation,
                correlation=request.correlation,
            )
        )
        position, digest = self.position, self.hash
        recorded: list[Recorded] = []
        postings: list[log.PostingRow] = []
        for event in decision.events:
            position += 1
            envelope = self._envelope(digest, position, event, metadata)
            digest = envelope.hash
            recorded.append(envelope)
            self.rows.fold(Fact(position, self.rows.now, event))
            postings.extend(self._postings(position, event))
        done = Done(decision.result, position)
        self.rows.accept()
        self.position, self.hash = position, digest
        self.writes.events.extend(recorded)
        self.writes.postings.extend(postings)
        self.writes.words.extend(decision.vault)
        self._remember(request, done, decision)
        return done

    def _envelope(self, previous: bytes, position: int, event: Event, metadata: bytes) -> Recorded:
        return log.record(
            previous,
            position,
            uuid7(self.rows.now),
            event.stream(),
            event.TYPE,
            event.SCHEMA_VERSION,
            event.subject(),
            self.rows.now,
            encode(event),
            metadata,
        )

    def _postings(self, position: int, event: Event) -> list[log.PostingRow]:
        moved = postings_of(event)
        if not log.balanced(moved):
            message = f"postings of {event.TYPE} do not sum to zero"
            raise ValueError(message)
        made = []
        for ordinal, (account, amount) in enumerate(moved):
            owner = self.rows.account(UUID(account[len(USER) :])) if account.startswith(USER) else None
            made.append(log.PostingRow(position, ordinal, account, amount, owner.balance if owner else None))
        return made

    def _remember(self, request: Request, done: Done, decision: Decision) -> None:
        self.rows.prompts.update(
            {row.job: row.prompt for row in decision.vault if isinstance(row, vault.JobWords)}
        )
        key = request.idempotency
        if key is None or not decision.events:
            return  # what changed nothing may be asked again
        outcome = vault.CommandOutcome(
            key.scope,
            key.key,
            self.rows.now.date(),
            key.fingerprint,
            msgspec.json.encode(done.result).decode(),
            done.position,
        )
        self.known[key.scope, key.key] = outcome
        self.writes.outcomes.append(outcome)


class BatchResult(msgspec.Struct):
    """The answers of a batch, and the event by which its commit can be recognised."""

    outcomes: list[Any]
    first: Recorded | None


def decide_batch(
    connection: Connection[Any], realm: int, rules: Rules, requests: Sequence[Request], recent: Recent
) -> tuple[Batch, dict[str, dict[Any, Any]], BatchResult]:
    """Gather under the lock and decide: the transaction stays open. Raises `VersionMismatchError`, `psycopg.Error`."""
    needs: list[Needs] = [rules[type(r.command)].needs(r.command) for r in requests]
    keys = [r.idempotency for r in requests if r.idempotency is not None]
    try:
        gathered = gather(connection, realm, needs, keys, recent)
    except (psycopg.ProgrammingError, psycopg.NotSupportedError):
        # a table or a column is not there, or not what it was: another program's versions may be live
        connection.rollback()
        check_versions(connection.execute(VERSIONS_SQL, (realm,)).fetchall())
        raise
    before = gathered.rows.snapshot()
    batch = Batch(realm, rules, gathered)
    outcomes = [batch.decide(request) for request in requests]
    first = batch.writes.events[0] if batch.writes.events else None
    return batch, before, BatchResult(outcomes, first)


def commit_batch(connection: Connection[Any], batch: Batch, before: dict[str, dict[Any, Any]]) -> None:
    """Write and commit a decided batch; one that wrote nothing is rolled back. Raises `psycopg.Error`."""
    if batch.writes.events or batch.writes.outcomes or batch.writes.words:
        apply(connection, batch.realm, batch.writes, before, batch.rows)
    else:
        connection.rollback()
