"""Which actor a fact wakes, and which fact says that its work is done. Declared by slices, followed by the relay.

May not know any particular fact. Look next: `app.sharing.actors` for a declaration, `app.relay.reactions` for the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from psycopg import Connection

from events.base import Event


@dataclass(frozen=True, kw_only=True)
class Reaction:
    """An actor that takes the position of a fact and is called until another fact completes it."""

    to: type[Event]
    #: which of those facts call for the actor by themselves, whatever they are about
    calls: Callable[[Event], bool] = lambda _: True
    #: name of the actor
    actor: str
    completed_by: tuple[type[Event], ...]
    #: what both the fact and the one that completes it are about; an actor is called once for each
    subject: Callable[[Event], UUID]
    #: the subjects, of these facts of a page, that the actor is wanted for
    wanted: Callable[[Connection[Any], int, Sequence[Event]], set[UUID]]
