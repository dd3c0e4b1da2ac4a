"""Registering, transferring, setting: checks of words, ids and keys made, then the writer.

Look next: `app.accounts.decider`, `app.accounts.treasury`.
"""

from __future__ import annotations

import secrets
from uuid import UUID

import psycopg

from app.accounts.decider import (
    RegisterUser,
    SetPublicProfile,
    SetPublicWorkers,
    SetTrust,
    SetWaitingLimit,
    SetWorkerLimit,
    TransferKudos,
)
from app.accounts.people import ANONYMOUS_ALIAS, NUMBERS
from app.accounts.queries import BY_NUMBER
from app.accounts.treasury import AdjustKudos, SetAllowance
from app.platform.commands import Done, Rejection
from app.platform.handling import idempotency, run
from app.platform.ids import new_id
from app.platform.keys import key_hash, new_api_key
from app.platform.services import Services
from events.accounts import AllowanceSource
from events.base import ANONYMOUS

MAX_USERNAME = 30
#: names that would be taken for somebody else's, without regard to case
RESERVED = frozenset({"anonymous", "hoard", "system", "treasury"})


def fault_of_username(username: str) -> str | None:
    """What is wrong with a name that somebody wants, or None."""
    if not 1 <= len(username) <= MAX_USERNAME:
        return f"a username has 1 to {MAX_USERNAME} characters"
    if username.casefold() in RESERVED:
        return "this username is reserved"
    if username != username.strip() or not username.isprintable() or "#" in username:
        return "a username has no '#', no control characters and no spaces at its ends"
    return None


async def register_user(
    services: Services, actor: UUID, username: str, key: str | None
) -> tuple[Done, str | None] | Rejection:
    """A new account and its API key, which is shown this once: a repeat has none."""
    if (fault := fault_of_username(username)) is not None:
        return Rejection(code="INVALID_INPUT", message=fault, path=("input", "username"))
    promise = idempotency(actor, "registerUser", key, {"username": username})
    while True:
        api_key = new_api_key()
        command = RegisterUser(
            user=new_id(),
            key=new_id(),
            key_hash=key_hash(services.settings.pepper, api_key),
            username=username,
            number=secrets.randbelow(NUMBERS[1] - NUMBERS[0] + 1) + NUMBERS[0],
        )
        try:
            outcome = await run(services, command, actor=actor, promise=promise)
        except psycopg.errors.UniqueViolation:
            continue  # the number is somebody's: chance will give another
        if isinstance(outcome, Rejection):
            return outcome
        return outcome, None if outcome.repeated else api_key


async def transfer_kudos(
    services: Services, actor: UUID, to: str, amount: int, key: str | None
) -> Done | Rejection:
    """Kudos (hundredths) to the user with an alias."""
    target = await find_user(services, to)
    if target is None:
        return Rejection(
            code="NOT_FOUND", message="no such user: give the alias name#number", path=("input", "to")
        )
    promise = idempotency(actor, "transferKudos", key, {"to": to, "amount": amount})
    return await run(
        services, TransferKudos(source=actor, target=target, amount=amount), actor=actor, promise=promise
    )


async def set_waiting_limit(services: Services, actor: UUID, to: str, limit: int | None) -> Done | Rejection:
    """How many generations of the user with an alias may wait; None for the default again."""
    # An id that is nobody's for an alias that is: the decider says so, but only to whom may set limits.
    target = await find_user(services, to) or new_id()
    return await run(services, SetWaitingLimit(user=target, limit=limit, by=actor), actor=actor)


async def set_worker_limit(services: Services, actor: UUID, to: str, limit: int | None) -> Done | Rejection:
    """How many workers the user with an alias may have; None for the default again."""
    target = await find_user(services, to) or new_id()  # as above
    return await run(services, SetWorkerLimit(user=target, limit=limit, by=actor), actor=actor)


async def set_public_workers(services: Services, actor: UUID, *, public: bool) -> Done | Rejection:
    """Whether everybody may know whose the caller's workers are."""
    return await run(services, SetPublicWorkers(user=actor, public=public), actor=actor)


async def set_public_profile(services: Services, actor: UUID, *, public: bool) -> Done | Rejection:
    """Whether everybody may see the caller's profile."""
    return await run(services, SetPublicProfile(user=actor, public=public), actor=actor)


async def set_trusted(services: Services, actor: UUID, to: str, *, trusted: bool) -> Done | Rejection:
    """Whether the user with an alias is trusted."""
    target = await find_user(services, to) or new_id()  # as in `set_waiting_limit`
    return await run(services, SetTrust(user=target, trusted=trusted, by=actor), actor=actor)


async def adjust_kudos(
    services: Services, actor: UUID, to: str, amount: int, reason: str, key: str | None
) -> Done | Rejection:
    """Correct the balance of the user with an alias by so many hundredths."""
    target = await find_user(services, to) or new_id()  # as in `set_waiting_limit`
    note = new_id()
    command = AdjustKudos(user=target, amount=amount, note=note, reason=reason, by=actor)
    promise = idempotency(actor, "adjustKudos", key, {"user": to, "amount": amount, "reason": reason})
    return await run(services, command, actor=actor, promise=promise, id_=note)


async def set_allowance(
    services: Services, actor: UUID, to: str, amount: int, source: AllowanceSource
) -> Done | Rejection:
    """What the user with an alias gets each month, in hundredths; 0 for nothing."""
    target = await find_user(services, to) or new_id()  # as in `set_waiting_limit`
    command = SetAllowance(user=target, amount=amount, source=source, by=actor)
    return await run(services, command, actor=actor)


async def find_user(services: Services, alias: str) -> UUID | None:
    """The subject behind an alias `name#number`."""
    if alias == ANONYMOUS_ALIAS:
        return ANONYMOUS
    name, _, digits = alias.rpartition("#")
    if not digits.isascii() or not digits.isdigit() or len(digits) > len(str(NUMBERS[1])):
        return None
    person = await BY_NUMBER.one(services.pool, realm=services.realm, number=int(digits))
    return person.subject if person is not None and person.username == name else None
