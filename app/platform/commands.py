"""What passes between handlers, deciders and the writer: commands, needs, decisions, rejections. Pure.

A command is plain data with every id made beforehand; deciding it needs no clock, chance or I/O. Look next:
`app.platform.rows` (what a decider sees), `app.platform.writer` (who runs it), any slice's `decider.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar
from uuid import UUID

import msgspec

from events.base import Event
from projections.queue import Search

if TYPE_CHECKING:
    from app.platform.rows import Rows


class Command(msgspec.Struct, frozen=True, kw_only=True):
    """Something that somebody asks for, named by an imperative."""


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What a command came to. It is kept for repeats, so it never holds a secret."""


class Rejection(msgspec.Struct, frozen=True, kw_only=True):
    """Why a command was refused: an expected failure, so data and no exception."""

    #: a member of the API's error catalogue
    code: str
    message: str
    #: the input field at fault, from the argument's name on
    path: tuple[str, ...] = ()
    #: further facts for clients, by the names of the error type's fields
    detail: dict[str, Any] = {}


class Needs(msgspec.Struct, frozen=True, kw_only=True):
    """The rows that deciding a command takes, by id.

    A lease brings its job, its worker and its owner's account; a job brings its generations and its requester's
    account.
    """

    accounts: tuple[UUID, ...] = ()
    jobs: tuple[UUID, ...] = ()
    leases: tuple[UUID, ...] = ()
    workers: tuple[UUID, ...] = ()
    teams: tuple[UUID, ...] = ()
    #: owners of webhooks
    webhooks: tuple[UUID, ...] = ()
    image_sets: tuple[UUID, ...] = ()
    #: pictures that are rated
    pictures: tuple[UUID, ...] = ()
    #: jobs, named above too, all of whose shared pictures are needed
    galleries: tuple[UUID, ...] = ()
    ratings: tuple[UUID, ...] = ()
    raters: tuple[UUID, ...] = ()
    takedowns: tuple[UUID, ...] = ()
    #: random ids that were made for this command: nothing has them yet, so nothing is read
    made: tuple[UUID, ...] = ()
    #: what it finds is brought like named jobs; naming what it is likely to find saves a round trip
    search: Search | None = None


class Decision(msgspec.Struct, frozen=True):
    """What becomes of an accepted command: facts, the caller's result, and rows of the vault."""

    events: Sequence[Event]
    result: Result
    vault: Sequence[msgspec.Struct] = ()


C = TypeVar("C", bound=Command)


@dataclass(frozen=True)
class Rule(Generic[C]):
    """How one kind of command is decided."""

    command: type[C]
    result: type[Result]
    needs: Callable[[C], Needs]
    decide: Callable[[C, Rows], Decision | Rejection]


Rules = Mapping[type[Command], Rule[Any]]


def rules(*groups: Sequence[Rule[Any]]) -> dict[type[Command], Rule[Any]]:
    """The rules of several slices as one table."""
    return {rule.command: rule for group in groups for rule in group}


#: bytes of a hash in a fingerprint
_HASH_BYTES = 32


class Idempotency(msgspec.Struct, frozen=True):
    """A client's promise that commands with the same key are one and the same."""

    #: the subject and the mutation that the key is valid for
    scope: str
    key: str
    #: stands for the client's parameters (`app.platform.handling.fingerprint`): the same key with others is an error
    fingerprint: bytes

    def contradicts(self, kept: bytes) -> bool:
        """Whether the key was used with other parameters, whose fingerprint was kept.

        What a program kept by another rule cannot be compared and counts as the same: who repeats a command after an
        upgrade must hear what came of it, rather than that it may be something else.
        """
        return self.fingerprint != kept and _scheme(self.fingerprint) == _scheme(kept)


def _scheme(fingerprint: bytes) -> bytes:
    """The rule that made a fingerprint; the first one put no number before the hash."""
    return fingerprint[:-_HASH_BYTES]


@dataclass(slots=True)
class Request:
    """A command on its way through the writer, with who asks and why."""

    command: Command
    #: the internal id by which an unknown outcome is resolved; it is in the metadata of the command's events
    id: UUID
    actor: UUID | None = None
    causation: int | None = None
    correlation: UUID | None = None
    idempotency: Idempotency | None = None


@dataclass(slots=True)
class Done:
    """An accepted command after its commit."""

    result: Any
    #: position of its last event, or of the log's end where it appended nothing
    position: int
    #: whether this is the outcome of an earlier command with the same key
    repeated: bool = field(default=False)


Outcome = Done | Rejection
