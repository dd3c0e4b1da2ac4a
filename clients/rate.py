"""`hoard rate`: look at pictures and rate them, on the command line. Speaks only the public API.

Shows a link and asks; `--rating` answers for all. Exit codes: 0 done, or nothing left to rate; 1 refused or unreachable.
Look next: `documents.py`, docs/rating.md.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable
from typing import Any, Final

import click
import msgspec

from clients.api import Api, Backoff, RefusedError, UnexpectedAnswerError, UnreachableError, endpoint
from clients.documents import RATE_IMAGE, REQUEST_IMAGE_TO_RATE, SKIP_IMAGE
from clients.ordering_options import addressed
from clients.shapes import Assigned, Rated

#: how long a server that does not answer is asked again, in seconds
PATIENCE_SECONDS: Final = 60.0
SKIP: Final = "s"


class Opinion(msgspec.Struct, frozen=True, kw_only=True):
    """What is said of a picture; a rating of None skips it."""

    rating: int | None
    artifacts: int | None = None


#: what somebody says of a picture
Judge = Callable[[Assigned], Opinion]


@click.command("rate")
@click.option(
    "--count", type=click.IntRange(1, 1_000), default=1, show_default=True, help="How many pictures."
)
@click.option("--rating", type=click.IntRange(1, 10), help="Give each this rating, and do not ask.")
@click.option("--artifacts", type=click.IntRange(0, 5), help="With --rating: 0, flawless, to 5, garbage.")
@click.option("--image-set", help="Only pictures of this set, by its id.")
@click.option("--model", help="Only shared pictures that this model drew.")
@click.option("--nsfw", is_flag=True, help="Also pictures that may be not safe for work.")
@addressed
def rate_command(
    *,
    url: str,
    api_key: str,
    as_json: bool,
    count: int,
    rating: int | None,
    artifacts: int | None,
    **wish: Any,
) -> None:
    """Be handed pictures, rate them, earn kudos."""
    if artifacts is not None and rating is None:
        raise click.UsageError("--artifacts goes with --rating")
    judge: Judge = ask if rating is None else lambda _: Opinion(rating=rating, artifacts=artifacts)
    asked = {
        "imageSet": wish["image_set"],
        "model": wish["model"],
        "nsfw": wish["nsfw"],
    }
    asked = {name: value for name, value in asked.items() if value}
    try:
        server = endpoint(url)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    sys.exit(asyncio.run(rate_some(server, api_key, asked, count, judge, as_json=as_json)))


def ask(assigned: Assigned) -> Opinion:
    """Show the link and ask at the terminal."""
    criteria = assigned.criteria
    click.echo(assigned.picture.url)
    scale = f"{criteria.lowest} to {criteria.highest}, {SKIP} to skip"
    while True:
        answer = click.prompt(f"{criteria.question} ({scale})").strip().lower()
        if answer == SKIP:
            return Opinion(rating=None)
        if answer.isdigit() and criteria.lowest <= int(answer) <= criteria.highest:
            break
    for degree in criteria.artifacts:
        click.echo(f"  {degree.artifacts}  {degree.description}")
    highest = max((degree.artifacts for degree in criteria.artifacts), default=0)
    said = click.prompt("How flawed is it? (empty: do not say)", default="", show_default=False).strip()
    artifacts = int(said) if said.isdigit() and int(said) <= highest else None
    return Opinion(rating=int(answer), artifacts=artifacts)


async def rate_some(
    server: str, key: str, wish: dict[str, Any], count: int, judge: Judge, *, as_json: bool
) -> int:
    """Rate so many pictures; the exit code."""
    given: list[dict[str, Any]] = []
    why = ""
    backoff = Backoff(give_up_after=PATIENCE_SECONDS)
    try:
        async with Api(server, key, agent="hoard-rate", backoff=backoff, on_wait=_note) as api:
            for _ in range(count):
                handed = await api.mutate(REQUEST_IMAGE_TO_RATE, wish, "requestImageToRate")
                if handed["__typename"] == "NoImageToRate":
                    why = str(handed["reason"])
                    break
                for assigned in msgspec.convert(handed["assignments"], list[Assigned]):
                    given.append(await _judge(api, assigned, judge))
                    if not as_json:
                        _tell(given[-1])
    except (RefusedError, UnreachableError, UnexpectedAnswerError, msgspec.ValidationError) as error:
        _note(str(error))
        return 1
    if as_json:
        click.echo(json.dumps({"ratings": given, "reason": why or None}))
    elif why:
        _note(f"no picture to rate: {why}")
    return 0


async def _judge(api: Api, assigned: Assigned, judge: Judge) -> dict[str, Any]:
    # the terminal waits for a person: not on the loop, which keeps the connection alive
    opinion = await asyncio.to_thread(judge, assigned)
    about: dict[str, Any] = {"assignment": assigned.id, "picture": assigned.picture.id}
    if opinion.rating is None:
        await api.mutate(SKIP_IMAGE, {"assignment": assigned.id}, "skipImage", keyed=False)
        return {**about, "rating": None}
    said = {"assignment": assigned.id, "rating": opinion.rating, "artifacts": opinion.artifacts}
    answer = await api.mutate(RATE_IMAGE, said, "rateImage")
    reward = msgspec.convert(answer, Rated).reward
    return {**about, "rating": opinion.rating, "reward": reward.amount, "unpaid": reward.unpaid}


def _tell(given: dict[str, Any]) -> None:
    if given["rating"] is None:
        click.echo(f"skipped {given['picture']}")
        return
    unpaid = f" ({given['unpaid']})" if given["unpaid"] else ""
    click.echo(f"rated {given['picture']} {given['rating']}: {given['reward']} kudos{unpaid}")


def _note(text: str) -> None:
    click.echo(text, err=True)
