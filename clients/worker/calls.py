"""What a worker asks of the server, one function per operation."""

from typing import Any

import msgspec

from clients import VERSION, documents
from clients.api import Api, UnexpectedAnswerError
from clients.shapes import Assignment, Delivered, Extended, shaped


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    """What this worker is called and what it is willing and able to do."""

    name: str
    models: tuple[str, ...]
    max_pixels: int
    nsfw: bool = True
    blacklist: tuple[str, ...] = ()
    post_processing: bool = True
    #: Leases served at a time, and generations asked for in each.
    threads: int = 1
    amount: int = 1

    def as_input(self) -> dict[str, Any]:
        """The `PopJobInput`, without its key."""
        return {
            "workerName": self.name,
            "bridgeAgent": f"hoard-worker:{VERSION}:unknown",
            "amount": self.amount,
            "waitSeconds": 0,
            "image": {
                "models": list(self.models),
                "maxPixels": self.max_pixels,
                "nsfw": self.nsfw,
                "blacklist": list(self.blacklist),
                "allowPostProcessing": self.post_processing,
                "threads": self.threads,
            },
        }


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """How one picture ended: OK, CENSORED (both uploaded) or FAULTED."""

    generation_id: str
    state: str
    seed: str


async def pop(api: Api, offer: Offer) -> Assignment | None:
    """A job for this worker, or None. Raises as `Api.mutate` does."""
    answer = await api.mutate(documents.POP_JOB, offer.as_input(), "popJob")
    kind = answer.get("__typename")
    if kind == "NoJob":
        return None
    if kind == "ImageAssignment":
        return shaped(answer, Assignment)
    raise UnexpectedAnswerError(f"popJob answered {kind}")


async def held(api: Api, offer: Offer) -> tuple[Assignment, ...]:
    """What this worker holds already, from before it was cut off. Raises as `Api.query` does."""
    answer = await api.query(documents.LIVE_ASSIGNMENTS, {"workerName": offer.name}, "liveAssignments")
    return tuple(shaped(each, Assignment) for each in answer)


async def submit(api: Api, lease_id: str, result: Result) -> Delivered:
    """Report one picture of the lease."""
    wish = {
        "leaseId": lease_id,
        "results": [{"generationId": result.generation_id, "state": result.state, "seed": result.seed}],
    }
    return shaped(await api.mutate(documents.SUBMIT_RESULT, wish, "submitResult"), Delivered)


async def extend(api: Api, lease_id: str) -> Extended:
    """More time for the lease, and fresh upload links."""
    wish = {"leaseId": lease_id}
    return shaped(await api.mutate(documents.EXTEND_LEASE, wish, "extendLease", keyed=False), Extended)


async def release(api: Api, lease_id: str) -> None:
    """Give back what is not delivered."""
    await api.mutate(documents.RELEASE_LEASE, {"leaseId": lease_id}, "releaseLease", keyed=False)
