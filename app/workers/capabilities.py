"""Checks what a worker says of itself, naming the field and the bound of the first fault. Pure.

Look next: `app.workers.handlers`, `app.workers.decider` for what of it enters the log.
"""

from __future__ import annotations

import re

import msgspec

from app.platform.commands import Rejection
from app.platform.waiting import unreasonable
from app.workers.decider import ImageCapabilities

MAX_NAME = 100
MAX_MODELS = 300
MAX_MODEL = 100
MAX_PIXELS = (4_096, 16_777_216)
MAX_THREADS = 50
MAX_AMOUNT = 20
MAX_WORDS = 200
MAX_WORD = 30
MAX_AGENT = 1_000
MAX_FRIENDS = 20
MAX_ALIAS = 60

_MODEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._+:#()\[\]/-]*")
_ALIAS = re.compile(r"[^\x00]*#[0-9]{1,18}")
_AGENT_NAME = re.compile(r"[A-Za-z][A-Za-z0-9 ._+-]{0,49}")
_AGENT_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,19}")
#: a version has fewer dots than an address; what holds one is not kept
_ADDRESS = re.compile(r"[0-9]+[.][0-9]+[.][0-9]+[.][0-9]+")


class Polling(msgspec.Struct, frozen=True, kw_only=True):
    """A poll as its input says, unchecked."""

    name: str
    agent: str
    amount: int
    wait_seconds: int
    models: list[str]
    max_pixels: int
    #: requirements that the worker allows, by their names
    allows: frozenset[str]
    extra_slow: bool
    blacklist: list[str]
    threads: int
    priority_users: list[str]
    test_mode: bool


class Polled(msgspec.Struct, frozen=True, kw_only=True):
    """A checked poll."""

    name: str
    amount: int
    wait_seconds: int
    blacklist: tuple[str, ...]
    capabilities: ImageCapabilities
    #: numbers of the users who come first after the owner, as their names end
    friends: tuple[tuple[str, int], ...] = ()
    #: it tries itself out: only its owner's jobs
    test_mode: bool = False


def check(poll: Polling) -> Polled | Rejection:
    """A poll whose every value is within its bounds, or the first that is not."""
    for fault in (_of_itself(poll), _of_images(poll), _of_lists(poll), _of_friends(poll)):
        if fault is not None:
            return fault
    return Polled(
        name=poll.name,
        amount=poll.amount,
        wait_seconds=poll.wait_seconds,
        blacklist=tuple(sorted({word.strip().lower() for word in poll.blacklist})),
        capabilities=ImageCapabilities(
            models=tuple(sorted(set(poll.models))),
            max_pixels=poll.max_pixels,
            allows=tuple(sorted(poll.allows)),
            threads=poll.threads,
            agent=agent_of(poll.agent),
            extra_slow=poll.extra_slow,
        ),
        friends=tuple(_alias(name) for name in poll.priority_users),
        test_mode=poll.test_mode,
    )


def agent_of(text: str) -> str:
    """Name and version of an agent string `name:version:contact`: the contact is never kept."""
    name, _, rest = text.partition(":")
    version = rest.partition(":")[0]
    if (
        not _AGENT_NAME.fullmatch(name)
        or not _AGENT_VERSION.fullmatch(version)
        or _ADDRESS.search(text[:100])
    ):
        return "unknown:0"
    return f"{name}:{version}"


def fault_of_name(name: str) -> str | None:
    """What is wrong with a worker's name, or None."""
    if 1 <= len(name) <= MAX_NAME and name == name.strip() and name.isprintable():
        return None
    return f"a worker's name has 1 to {MAX_NAME} printable characters, none blank at its ends"


def _of_itself(poll: Polling) -> Rejection | None:
    if (fault := fault_of_name(poll.name)) is not None:
        return _fault(fault, "workerName")
    if len(poll.agent) > MAX_AGENT or "\0" in poll.agent:
        return _fault(f"an agent string has at most {MAX_AGENT} characters", "bridgeAgent")
    if not 1 <= poll.amount <= MAX_AMOUNT:
        return _fault(f"amount is from 1 to {MAX_AMOUNT}", "amount")
    return unreasonable(poll.wait_seconds)


def _of_images(poll: Polling) -> Rejection | None:
    if not MAX_PIXELS[0] <= poll.max_pixels <= MAX_PIXELS[1]:
        return _fault(f"maxPixels is from {MAX_PIXELS[0]} to {MAX_PIXELS[1]}", "image", "maxPixels")
    if not 1 <= poll.threads <= MAX_THREADS:
        return _fault(f"threads is from 1 to {MAX_THREADS}", "image", "threads")
    return None


def _of_lists(poll: Polling) -> Rejection | None:
    if not 1 <= len(poll.models) <= MAX_MODELS:
        return _fault(f"a worker serves 1 to {MAX_MODELS} models", "image", "models")
    for index, model in enumerate(poll.models):
        if len(model) > MAX_MODEL or _MODEL.fullmatch(model) is None:
            message = f"a model's name has 1 to {MAX_MODEL} letters, digits, spaces and any of ._+:#()[]/-"
            return _fault(message, "image", "models", str(index))
    if len(poll.blacklist) > MAX_WORDS:
        return _fault(f"a blacklist has at most {MAX_WORDS} words", "image", "blacklist")
    for index, word in enumerate(poll.blacklist):
        if not 1 <= len(word.strip()) <= MAX_WORD or "\0" in word:
            return _fault(f"a word has 1 to {MAX_WORD} characters", "image", "blacklist", str(index))
    return None


def _of_friends(poll: Polling) -> Rejection | None:
    if len(poll.priority_users) > MAX_FRIENDS:
        return _fault(f"at most {MAX_FRIENDS} priority users", "image", "priorityUsers")
    for index, name in enumerate(poll.priority_users):
        if len(name) > MAX_ALIAS or not _ALIAS.fullmatch(name):
            return _fault("a user is named like name#7", "image", "priorityUsers", str(index))
    return None


def _alias(name: str) -> tuple[str, int]:
    username, _, number = name.rpartition("#")
    return username, int(number)


def _fault(message: str, *field: str) -> Rejection:
    return Rejection(code="INVALID_INPUT", message=message, path=("input", *field))
