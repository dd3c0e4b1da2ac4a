"""What a worker asks of the server, one function per operation."""

from typing import Any

import msgspec

from clients import documents
from clients.api import Api, UnexpectedAnswerError
from clients.shapes import Assignment, Delivered, Extended, Message, Nothing, shaped
from clients.worker.offer import Offer

#: The types of work that a poll may bring.
ASSIGNMENTS = frozenset({"ImageAssignment", "TextAssignment", "InterrogationAssignment"})


class Note(msgspec.Struct, frozen=True, kw_only=True):
    """Something to know about a result, such as a source that could not be had."""

    type: str
    value: str


class Popped(msgspec.Struct, frozen=True, kw_only=True):
    """What a poll brought: perhaps a lease, perhaps words from the server's people."""

    assignment: Assignment | None
    messages: tuple[Message, ...] = ()


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """How one piece of work ended: OK, CENSORED (a blanked picture) or FAULTED.

    Pictures are uploaded beforehand; a text is told in `text`, an interrogation in `form`.
    """

    generation_id: str
    state: str
    seed: str | None = None
    text: str | None = None
    form: Any = None
    notes: tuple[Note, ...] = ()

    def as_input(self) -> dict[str, Any]:
        """The `GenerationResultInput`."""
        told: dict[str, Any] = {"generationId": self.generation_id, "state": self.state}
        if self.notes:
            told["notes"] = msgspec.to_builtins(self.notes)
        optional = {"seed": self.seed, "text": self.text, "form": self.form}
        return told | {name: value for name, value in optional.items() if value is not None}


async def pop(api: Api, offer: Offer) -> Popped:
    """A job for this worker, if there is one. Raises as `Api.mutate` does."""
    answer = await api.mutate(documents.POP_JOB, offer.as_input(), "popJob")
    kind = answer.get("__typename")
    if kind == "NoJob":
        return Popped(assignment=None, messages=shaped(answer, Nothing).messages)
    if kind in ASSIGNMENTS:
        assignment = shaped(answer, Assignment)
        return Popped(assignment=assignment, messages=assignment.messages)
    raise UnexpectedAnswerError(f"popJob answered {kind}")


async def held(api: Api, offer: Offer) -> tuple[Assignment, ...]:
    """What this worker holds already, from before it was cut off. Raises as `Api.query` does."""
    answer = await api.query(documents.LIVE_ASSIGNMENTS, {"workerName": offer.name}, "liveAssignments")
    return tuple(shaped(each, Assignment) for each in answer)


async def submit(api: Api, lease_id: str, result: Result) -> Delivered:
    """Report one piece of the lease's work."""
    wish = {"leaseId": lease_id, "results": [result.as_input()]}
    return shaped(await api.mutate(documents.SUBMIT_RESULT, wish, "submitResult"), Delivered)


async def extend(api: Api, lease_id: str) -> Extended:
    """More time for the lease, and fresh upload links."""
    wish = {"leaseId": lease_id}
    return shaped(await api.mutate(documents.EXTEND_LEASE, wish, "extendLease", keyed=False), Extended)


async def release(api: Api, lease_id: str) -> None:
    """Give back what is not delivered."""
    await api.mutate(documents.RELEASE_LEASE, {"leaseId": lease_id}, "releaseLease", keyed=False)
