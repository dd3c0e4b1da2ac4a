"""The log that every simulated history begins with: an open realm, users with kudos, workers of each kind, pictures to rate.

Look next: `people.py`, which goes on from there.
"""

from __future__ import annotations

import functools
from uuid import UUID

from app.accounts.decider import GrantKudos, OpenRealm, RegisterUser
from app.images.decider import Import, ImportPictures, OpenImageSet, picture_id, set_id
from app.platform.commands import Command, Request
from app.platform.picture_words import ImportedPictureWords
from events.images import ImportedPicture
from tests.factories import capabilities, check_in, form_capabilities, many_workers, text_capabilities, uid
from tests.property.words import FORMS
from tests.simulation.database import SimulatedLog

MODELS = ("a", "b")
TEXT_MODELS = ("writer", "poet")
USERS = tuple(uid(number) for number in (1, 2, 3))
WORKERS = tuple(uid(0x100 + number) for number in range(3))
#: those that write texts, and those that tell forms: one kind each
WRITERS = tuple(uid(0x110 + number) for number in range(2))
TELLERS = tuple(uid(0x120 + number) for number in range(2))
#: pictures that anybody may rate
SET = set_id("sample")
PICTURES = tuple(picture_id(SET, str(number)) for number in range(6))


def owner_of(worker: UUID) -> UUID:
    """Whose worker it is."""
    return USERS[worker.int % len(USERS)]


def foundation() -> tuple[SimulatedLog, dict[UUID, Request]]:
    """A log in which the realm is open and users and workers are there, and the commands that made it so."""
    log, requests = _foundation()
    return log.copy(), requests


@functools.cache
def _foundation() -> tuple[SimulatedLog, dict[UUID, Request]]:
    commands: list[Command] = [OpenRealm()]
    commands += [
        RegisterUser(user=user, key=user, key_hash=user.bytes, username="", number=user.int) for user in USERS
    ]
    commands += [many_workers(user) for user in USERS]
    commands += [check_in(worker, owner_of(worker), capabilities(MODELS)) for worker in WORKERS]
    commands += [check_in(worker, owner_of(worker), text_capabilities(TEXT_MODELS)) for worker in WRITERS]
    commands += [check_in(worker, owner_of(worker), form_capabilities(FORMS)) for worker in TELLERS]
    commands.append(OpenImageSet(name="sample", licence="CC0-1.0", target=5, description=""))
    words = [ImportedPictureWords(key, SET, "https://there.example/1.png", "") for key in PICTURES]
    imports = (Import(ImportedPicture(w.picture, 64, 64, nsfw=False), w) for w in words)
    commands.append(ImportPictures(image_set=SET, imports=tuple(imports)))
    commands += [GrantKudos(user=user, amount=4_000, note=user, reason="") for user in USERS[:2]]
    requests = [Request(command, uid(0x1000 + number)) for number, command in enumerate(commands)]
    log = SimulatedLog()
    for request in requests:
        log.commit([request])
    return log, {request.id: request for request in requests}
