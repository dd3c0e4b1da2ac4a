"""A log as researchers meet it, made by the real deciders: kudos granted, spent and earned, jobs that wait, ratings of an import.

Small and always the same. Look next: `tests/model.py`, `docs/notebooks/`.
"""

import random
from uuid import UUID, uuid5

from app.accounts.decider import OpenRealm
from app.images.decider import Import, ImportPictures, OpenImageSet, picture_id, set_id
from app.platform.picture_words import ImportedPictureWords
from app.ratings.decider import Candidate, RateImage, RequestRatings
from app.ratings.identity import rating_id
from events.images import ImportedPicture
from events.ratings import Assigned
from tests.factories import check_in, deliver, grant, pop, register, submit
from tests.model import MemoryLog

SET = set_id("sample")
PICTURES = [picture_id(SET, str(number)) for number in range(12)]
_NAMES = UUID(int=7)


def name(kind: str, number: int) -> UUID:
    """The id of something."""
    return uuid5(_NAMES, f"{kind} {number}")


def research_log(users: int = 6, jobs: int = 30) -> MemoryLog:
    """Users with more and less kudos, jobs served best first by one worker, and everybody's ratings of twelve pictures."""
    chance = random.Random(4)
    log = MemoryLog()
    log.run(OpenRealm())
    people = [name("user", number) for number in range(users)]
    for number, user in enumerate(people):
        log.run(register(user, number + 1))
        log.run(grant(user, 2_000 + 4_000 * number))
    worker, host = name("worker", 0), people[-1]
    log.run(check_in(worker, host))
    for number in range(jobs):
        job = submit(
            people[chance.randrange(users - 1)],
            job=name("job", number),
            generations=[name("generation", number)],
        )
        log.run(job)
        log.wait(chance.uniform(1, 20))
        if number % 3 == 2:
            for turn in range(2):
                serve(log, worker, host, 2 * number + turn)
    _rate(log, people, chance)
    return log


def serve(log: MemoryLog, worker: UUID, host: UUID, number: int) -> None:
    """The worker asks, and delivers what it is given."""
    lease = name("lease", number)
    log.run(pop(worker, host, lease=lease))
    taken = log.state["leases"].get(lease)
    log.wait(5)
    if taken is not None:
        log.run(deliver(lease, host, *taken.generations))  # type: ignore[attr-defined]


def _rate(log: MemoryLog, people: list[UUID], chance: random.Random) -> None:
    log.run(OpenImageSet(name="sample", licence="CC0-1.0", target=5, description=""))
    words = [ImportedPictureWords(key, SET, "https://pictures.example/1.png", "") for key in PICTURES]
    imports = tuple(Import(ImportedPicture(w.picture, 64, 64, nsfw=False), w) for w in words)
    log.run(ImportPictures(image_set=SET, imports=imports))
    for user in people:
        for start in (0, 6):
            keys = PICTURES[start : start + 6]
            handed = [Assigned(id=rating_id(user, key), picture=key, image_set=SET) for key in keys]
            candidates = tuple(Candidate(assigned=each, wanted=False) for each in handed)
            log.run(RequestRatings(rater=user, amount=6, candidates=candidates))
            for each in handed:
                log.wait(4)
                value = 1 + (each.picture.int + chance.randrange(3)) % 10
                log.run(
                    RateImage(rating=each.id, rater=user, picture=each.picture, value=value, artifacts=None)
                )
