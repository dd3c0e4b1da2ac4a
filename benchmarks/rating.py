"""Ratings over HTTP, and what handing out a picture costs among how many.

Pictures are put into the projection and the vault in one statement each, as if a set of that size had been imported: a
hand-out reads nothing else. Raters ask for ten ahead and rate them; hand-outs alone are asked for by one rater, one
after another. Look next: `app.ratings.queries` for the search, docs/rating.md.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

import psycopg
import uvloop

from app.operations.migrate import owner_url
from app.platform.settings import Settings
from benchmarks import children, commands
from benchmarks.children import Ready
from benchmarks.figures import Table, ms, spread
from benchmarks.lab import Lab
from benchmarks.load import AnswerError, Client, session_for
from benchmarks.scale import Scale
from benchmarks.workload import Person, Workload
from clients.documents import RATE_IMAGE, REQUEST_IMAGE_TO_RATE

#: clients that rate at a time, and how many pictures each has ahead
CLIENTS = 32
AHEAD = 10
#: hand-outs that are timed for each number of pictures
HAND_OUTS = 300
_SET = "00000000-0000-4000-8000-000000000007"
_FILL_VAULT = f"""INSERT INTO vault.imported_picture (realm, picture, image_set, url, key)
    SELECT %(realm)s, md5(i::text)::uuid, '{_SET}', 'https://pictures.invalid/' || i, ''
    FROM generate_series(1, %(count)s) AS i"""  # noqa: S608
_FILL = f"""INSERT INTO projections.pictures (realm, id, image_set, state, nsfw, model, target, ratings, comparisons,
    wanted, shuffle, best) SELECT %(realm)s, md5(i::text)::uuid, '{_SET}', 'OPEN', i %% 10 = 0, '', 5, i %% 3, 0, 5 - i %% 3,
    ('x' || substr(md5(i::text), 1, 16))::bit(64)::bigint, false FROM generate_series(1, %(count)s) AS i"""  # noqa: S608
_TIDY = ("VACUUM (ANALYZE) projections.pictures, vault.imported_picture", "CHECKPOINT")


@dataclass(frozen=True)
class Raters:
    """Clients that are handed pictures and rate them, in a closed loop."""

    url: str
    people: tuple[Person, ...]
    seconds: float


def measure(lab: Lab, scale: Scale) -> list[Table]:
    """The table of ratings, and that of hand-outs."""
    workload = Workload(7, CLIENTS * (scale.runs + 1) + 1)
    alone, *raters = workload.people
    rates: list[float] = []
    latencies: list[float] = []
    flat: list[tuple[str, ...]] = []
    for depth in scale.pictures:
        settings = lab.database()
        with commands.writer_of(settings) as writer:
            commands.populate(writer, settings.pepper, workload.people)
        fill(settings, depth)
        with lab.api(settings) as api:
            found = children.run(hand_outs, Raters(api.graphql, (alone,), 0.0)).value
            flat.append((f"{depth:,}", f"{len(found):,}", ms(found, 0.5), ms(found, 0.99)))
            if depth == scale.pictures[0]:
                for run in range(scale.runs + 1):
                    crowd = tuple(raters[run * CLIENTS : (run + 1) * CLIENTS])
                    seconds = scale.cycle_seconds if run else scale.warm_up_seconds
                    taken, lasted = children.run(ratings, Raters(api.graphql, crowd, seconds)).value
                    if run:
                        rates.append(len(taken) / lasted)
                        latencies += taken
        lab.drop(settings)
    return [
        Table(
            title=f"Ratings over HTTP, {CLIENTS} raters in a closed loop, one API process",
            header=("ratings/s", "p50 ms", "p99 ms"),
            rows=[(spread(rates), ms(latencies, 0.5), ms(latencies, 0.99))],
            notes=(
                f"Each rater is handed {AHEAD} pictures at once and rates them: that counts in the rate only.",
                "Rate limits are off; every mutation has an idempotency key.",
            ),
        ),
        Table(
            title="Handing out one picture, one rater after the last answer",
            header=("pictures", "hand-outs", "p50 ms", "p99 ms"),
            rows=flat,
            notes=("Three kinds of pictures that want 5, 4 and 3 raters more; what is handed out is rated.",),
        ),
    ]


def fill(settings: Settings, count: int) -> None:
    """Put so many pictures there, as if they had been imported."""
    with psycopg.connect(owner_url(settings), autocommit=True) as connection:
        for statement in (_FILL_VAULT, _FILL):
            connection.execute(statement, {"realm": settings.realm, "count": count})
        for statement in _TIDY:
            connection.execute(statement)


def ratings(ready: Ready, plan: Raters) -> tuple[list[float], float]:
    """The seconds of each rating, and those that all of them took together."""
    return uvloop.run(_ratings(ready, plan))


async def _ratings(ready: Ready, plan: Raters) -> tuple[list[float], float]:
    latencies: list[float] = []

    async def call(person: Person) -> None:
        while time.perf_counter() < until:
            for assignment in await _handed(client, person, AHEAD):
                began = time.perf_counter()
                await _rate(client, person, assignment)
                latencies.append(time.perf_counter() - began)

    async with session_for(2 * CLIENTS) as session:
        client = Client(session, plan.url)
        ready()
        started = time.perf_counter()
        until = started + plan.seconds
        await asyncio.gather(*(call(person) for person in plan.people))
        return latencies, time.perf_counter() - started


def hand_outs(ready: Ready, plan: Raters) -> list[float]:
    """The seconds of each hand-out."""
    return uvloop.run(_hand_outs(ready, plan))


async def _hand_outs(ready: Ready, plan: Raters) -> list[float]:
    latencies: list[float] = []
    (person,) = plan.people
    async with session_for(2) as session:
        client = Client(session, plan.url)
        ready()
        for _ in range(HAND_OUTS):
            began = time.perf_counter()
            (assignment,) = await _handed(client, person, 1)
            latencies.append(time.perf_counter() - began)
            await _rate(client, person, assignment)
    return latencies


async def _handed(client: Client, person: Person, amount: int) -> list[str]:
    """The assignments of a hand-out. Raises `AnswerError` where there are none."""
    wish = {"amount": amount, "nsfw": True}
    expected = {"RequestImageToRateSuccess"}
    answer = await client.mutate(REQUEST_IMAGE_TO_RATE, wish, person.api_key, expected)
    found = [assignment["id"] for assignment in answer["assignments"]]
    if not found:
        message = "nothing was handed out, though pictures want raters"
        raise AnswerError(message)
    return found


async def _rate(client: Client, person: Person, assignment: str) -> None:
    said = {"assignment": assignment, "rating": 1 + hash(assignment) % 10, "artifacts": 0}
    await client.mutate(RATE_IMAGE, said, person.api_key, {"RateImageSuccess"})
