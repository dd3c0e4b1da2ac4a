"""Checks what a worker says of itself, naming the field and the bound of the first fault. Pure.

Look next: `app.workers.handlers`, `app.workers.decider` for what of it enters the log.
"""

from __future__ import annotations

import re
from typing import Any, ClassVar

import msgspec

from app.platform.agents import MAX_AGENT, program_of
from app.platform.commands import Rejection
from app.platform.waiting import unreasonable
from app.workers.decider import (
    Capabilities,
    ImageCapabilities,
    InterrogationCapabilities,
    TextCapabilities,
)
from events.jobs import JobKind

MAX_NAME = 100
MAX_MODELS = 300
MAX_MODEL = 100
MAX_PIXELS = (4_096, 16_777_216)
MAX_THREADS = {JobKind.IMAGE: 50, JobKind.TEXT: 50, JobKind.INTERROGATION: 100}
MAX_TEXT_MODELS = 200
MAX_SOFT_PROMPTS = 200
#: tokens
MAX_LENGTH = (1, 65_536)
MAX_CONTEXT_LENGTH = (80, 1_048_576)
#: squares of 512 x 512 pixels
MAX_TILES = (1, 256)
MAX_AMOUNT = 20
MAX_WORDS = 200
MAX_WORD = 30
MAX_FRIENDS = 20
MAX_ALIAS = 60

_MODEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._+:#()\[\]/-]*")
_ALIAS = re.compile(r"[^\x00]*#[0-9]{1,18}")


class Served(msgspec.Struct, frozen=True, kw_only=True):
    """What workers of all kinds say that they serve, unchecked."""

    kind: ClassVar[JobKind]

    #: requirements that the worker allows, by their names
    allows: frozenset[str]
    extra_slow: bool = False
    blacklist: list[str] = []
    threads: int
    priority_users: list[str] = []
    test_mode: bool = False


class ImagesServed(Served, frozen=True, kw_only=True):
    """What an image worker says, unchecked."""

    kind: ClassVar[JobKind] = JobKind.IMAGE

    models: list[str]
    max_pixels: int


class TextsServed(Served, frozen=True, kw_only=True):
    """What a text worker says, unchecked."""

    kind: ClassVar[JobKind] = JobKind.TEXT

    models: list[str]
    max_length: int
    max_context_length: int
    soft_prompts: list[str]


class FormsServed(Served, frozen=True, kw_only=True):
    """What an interrogation worker says, unchecked."""

    kind: ClassVar[JobKind] = JobKind.INTERROGATION

    forms: list[str]
    max_tiles: int


class Polling(msgspec.Struct, frozen=True, kw_only=True):
    """A poll as its input says, unchecked."""

    name: str
    agent: str
    amount: int
    wait_seconds: int
    served: ImagesServed | TextsServed | FormsServed


class Polled(msgspec.Struct, frozen=True, kw_only=True):
    """A checked poll."""

    name: str
    amount: int
    wait_seconds: int
    blacklist: tuple[str, ...]
    capabilities: Capabilities
    #: numbers of the users who come first after the owner, as their names end
    friends: tuple[tuple[str, int], ...] = ()
    #: it tries itself out: only its owner's jobs
    test_mode: bool = False


def check(poll: Polling) -> Polled | Rejection:
    """A poll whose every value is within its bounds, or the first that is not."""
    served = poll.served
    for fault in (_of_itself(poll), _of_kind(served), _of_all_kinds(served), _of_friends(served)):
        if fault is not None:
            return fault
    return Polled(
        name=poll.name,
        amount=poll.amount,
        wait_seconds=poll.wait_seconds,
        blacklist=tuple(sorted({word.strip().lower() for word in served.blacklist})),
        capabilities=_capabilities(served, agent_of(poll.agent)),
        friends=tuple(_alias(name) for name in served.priority_users),
        test_mode=served.test_mode,
    )


def _capabilities(served: ImagesServed | TextsServed | FormsServed, agent: str) -> Capabilities:
    common: dict[str, Any] = {
        "allows": tuple(sorted(served.allows)),
        "threads": served.threads,
        "agent": agent,
        "extra_slow": served.extra_slow,
    }
    match served:
        case ImagesServed():
            return ImageCapabilities(**common, models=_set(served.models), max_pixels=served.max_pixels)
        case TextsServed():
            return TextCapabilities(
                **common,
                models=_set(served.models),
                max_length=served.max_length,
                max_context_length=served.max_context_length,
                soft_prompts=_set(served.soft_prompts),
            )
        case FormsServed():
            return InterrogationCapabilities(**common, forms=_set(served.forms), max_tiles=served.max_tiles)


def _set(names: list[str]) -> tuple[str, ...]:
    return tuple(sorted(set(names)))


def agent_of(text: str) -> str:
    """Name and version of an agent string `name:version:contact`: the contact is never kept."""
    return ":".join(program_of(text) or ("unknown", "0"))


def fault_of_name(name: str) -> str | None:
    """What is wrong with a worker's name, or None."""
    if 1 <= len(name) <= MAX_NAME and name == name.strip() and name.isprintable():
        return None
    return f"a worker's name has 1 to {MAX_NAME} printable characters, none blank at its ends"


def _of_itself(poll: Polling) -> Rejection | None:
    if (fault := fault_of_name(poll.name)) is not None:
        return _fault(fault, None, "workerName")
    if len(poll.agent) > MAX_AGENT or "\0" in poll.agent:
        return _fault(f"an agent string has at most {MAX_AGENT} characters", None, "bridgeAgent")
    if not 1 <= poll.amount <= MAX_AMOUNT:
        return _fault(f"amount is from 1 to {MAX_AMOUNT}", None, "amount")
    return unreasonable(poll.wait_seconds)


def _of_kind(served: ImagesServed | TextsServed | FormsServed) -> Rejection | None:
    """What only workers of one kind say."""
    match served:
        case ImagesServed():
            return _within(served, "maxPixels", served.max_pixels, MAX_PIXELS) or _names(
                served, "models", served.models, MAX_MODELS
            )
        case TextsServed():
            return (
                _within(served, "maxLength", served.max_length, MAX_LENGTH)
                or _within(served, "maxContextLength", served.max_context_length, MAX_CONTEXT_LENGTH)
                or _names(served, "models", served.models, MAX_TEXT_MODELS)
                or _names(served, "softPrompts", served.soft_prompts, MAX_SOFT_PROMPTS, least=0)
            )
        case FormsServed():
            if not served.forms:
                return _fault("an interrogation worker tells at least one form", served, "forms")
            return _within(served, "maxTiles", served.max_tiles, MAX_TILES)


def _of_all_kinds(served: Served) -> Rejection | None:
    threads = MAX_THREADS[served.kind]
    if (fault := _within(served, "threads", served.threads, (1, threads))) is not None:
        return fault
    if len(served.blacklist) > MAX_WORDS:
        return _fault(f"a blacklist has at most {MAX_WORDS} words", served, "blacklist")
    for index, word in enumerate(served.blacklist):
        if not 1 <= len(word.strip()) <= MAX_WORD or "\0" in word:
            return _fault(f"a word has 1 to {MAX_WORD} characters", served, "blacklist", str(index))
    return None


def _of_friends(served: Served) -> Rejection | None:
    if len(served.priority_users) > MAX_FRIENDS:
        return _fault(f"at most {MAX_FRIENDS} priority users", served, "priorityUsers")
    for index, name in enumerate(served.priority_users):
        if len(name) > MAX_ALIAS or not _ALIAS.fullmatch(name):
            return _fault("a user is named like name#7", served, "priorityUsers", str(index))
    return None


def _within(served: Served, field: str, value: int, bounds: tuple[int, int]) -> Rejection | None:
    least, most = bounds
    return None if least <= value <= most else _fault(f"{field} is from {least} to {most}", served, field)


def _names(served: Served, field: str, names: list[str], most: int, *, least: int = 1) -> Rejection | None:
    if not least <= len(names) <= most:
        return _fault(f"{field} has {least} to {most} names", served, field)
    for index, name in enumerate(names):
        if len(name) > MAX_MODEL or _MODEL.fullmatch(name) is None:
            message = f"a name has 1 to {MAX_MODEL} letters, digits, spaces and any of ._+:#()[]/-"
            return _fault(message, served, field, str(index))
    return None


def _alias(name: str) -> tuple[str, int]:
    username, _, number = name.rpartition("#")
    return username, int(number)


def _fault(message: str, served: Served | None, *field: str) -> Rejection:
    """The path leads through the input of the worker's kind."""
    place = () if served is None else (served.kind.lower(),)
    return Rejection(code="INVALID_INPUT", message=message, path=("input", *place, *field))
