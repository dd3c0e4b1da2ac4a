"""Handing out, rating, comparing and skipping: words are checked and ids found here, then the writer decides.

Look next: `app.ratings.decider`, `app.ratings.handout`.
"""

from __future__ import annotations

from typing import Final
from uuid import UUID

from app.platform.agents import program_of
from app.platform.commands import Done, Rejection
from app.platform.graphql.context import RequestContext
from app.platform.handling import idempotency, parse_id, run
from app.platform.keys import network_id
from app.platform.services import Services
from app.ratings.decider import RateComparison, RateImage, RequestRatings, SkipImage
from app.ratings.handout import Wish, candidates
from app.ratings.judging import Source
from app.ratings.queries import RATINGS
from events.ratings import Preference, RatingTag
from projections.ratings import Rating

#: pictures that may be asked for at once
MAX_AMOUNT: Final = 10
#: characters of the name of a model
MAX_MODEL: Final = 100


async def request(services: Services, wish: Wish, key: str | None, parameters: object) -> Done | Rejection:
    """Hand out what there is; `parameters` is the client's input, of which a repeat must have the same."""
    if not 1 <= wish.amount <= MAX_AMOUNT:
        message = f"from 1 to {MAX_AMOUNT} pictures at once"
        return Rejection(code="INVALID_INPUT", message=message, path=("input", "amount"))
    if wish.model is not None and (not 1 <= len(wish.model) <= MAX_MODEL or "\0" in wish.model):
        message = f"the name of a model has 1 to {MAX_MODEL} characters, and no NUL"
        return Rejection(code="INVALID_INPUT", message=message, path=("input", "model"))
    promise = idempotency(wish.rater, "requestImageToRate", key, parameters)
    if isinstance(promise, Rejection):
        return promise
    found = await candidates(services, wish)
    command = RequestRatings(rater=wish.rater, amount=wish.amount, candidates=tuple(found))
    return await run(services, command, actor=wish.rater, promise=promise)


async def rate(
    services: Services,
    actor: UUID,
    text: str,
    value: int,
    artifacts: int | None,
    tags: tuple[RatingTag, ...],
    note: str,
    source: Source,
    key: str | None,
    parameters: object,
) -> Done | Rejection:
    """Rate what was handed out."""
    promise = idempotency(actor, "rateImage", key, parameters)
    if isinstance(promise, Rejection):
        return promise
    row = await _assignment(services, text)
    if isinstance(row, Rejection):
        return row
    command = RateImage(
        rating=row.id,
        rater=actor,
        picture=row.picture,
        value=value,
        artifacts=artifacts,
        tags=tags,
        note=note,
        source=source,
    )
    return await run(services, command, actor=actor, promise=promise)


async def compare(
    services: Services,
    actor: UUID,
    text: str,
    preference: Preference,
    source: Source,
    key: str | None,
    parameters: object,
) -> Done | Rejection:
    """Say which of two pictures is better."""
    promise = idempotency(actor, "rateComparison", key, parameters)
    if isinstance(promise, Rejection):
        return promise
    row = await _assignment(services, text)
    if isinstance(row, Rejection):
        return row
    command = RateComparison(
        rating=row.id,
        rater=actor,
        pictures=(row.picture,) if row.other is None else (row.picture, row.other),
        preference=preference,
        source=source,
    )
    return await run(services, command, actor=actor, promise=promise)


async def skip(services: Services, actor: UUID, text: str) -> Done | Rejection:
    """Give an assignment back for good."""
    row = await _assignment(services, text)
    if isinstance(row, Rejection):
        return row
    return await run(services, SkipImage(rating=row.id, rater=actor), actor=actor)


async def _assignment(services: Services, text: str) -> Rating | Rejection:
    """What an id in a client's text stands for, whosever it is: the decider looks at that."""
    key = parse_id(text)
    row = None if key is None else await RATINGS.one(services.pool, realm=services.realm, ids=[key])
    if row is None:
        message = "you were handed no such assignment"
        return Rejection(code="NOT_FOUND", message=message, path=("input", "assignment"))
    return row


def source_of(context: RequestContext, agent: str | None) -> Source:
    """Where a judgement comes from: what its input says of the client, or else the header."""
    services: Services = context.app
    program = program_of(agent if agent is not None else context.client_agent or "")
    name, version = program or ("", "")
    network = network_id(services.settings.pepper, context.address)
    return Source(client=name, client_version=version, network=network)
