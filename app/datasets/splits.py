"""Splits without a leak: no prompt and no requester is in two of them.

Prompts and registered requesters make a graph, an edge for each picture; what hangs together goes together, by a hash of
its least prompt. A piece that would unbalance the splits goes to training as a whole. Anonymous requesters are one
account of many people, who cannot be told apart: only their prompts count. Look next: `app.datasets.build`.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from typing import Any, Final
from uuid import UUID

from app.datasets.people import People
from app.datasets.scratch import Scratch
from events.base import ANONYMOUS

#: pieces with more pictures than this, and with more than this share of all, are for training
GIANT: Final = 1_000
GIANT_SHARE: Final = 0.05
#: of a hundred
TRAIN, VALIDATION = 80, 10

_PICTURES: Final = (
    "SELECT p.id, p.owner, w.hash FROM present AS p JOIN words AS w ON w.picture = p.id ORDER BY p.id"
)


def prompt_hash(prompt: str) -> str:
    """What a prompt is known by, whatever its case and blanks: 128 bits, hexadecimal."""
    return hashlib.sha256(" ".join(prompt.casefold().split()).encode()).hexdigest()[:32]


def split_rows(scratch: Scratch, people: People) -> Iterator[dict[str, Any]]:
    """Each picture's split, in the order of their ids."""
    pieces, giants = _pieces(scratch)
    for picture, owner, prompt in scratch.rows(_PICTURES):
        root = _root(pieces, prompt) if prompt in pieces else prompt
        yield {
            "id": str(UUID(bytes=picture)),
            "prompt_hash": prompt,
            "user_id": None if owner is None else people.hash(owner),
            "split": "train" if root in giants else _drawn(root),
        }


def _pieces(scratch: Scratch) -> tuple[dict[str, str], frozenset[str]]:
    """The prompts of registered requesters with their parents, and the roots of giants."""
    parents: dict[str, str] = {}
    by_owner: dict[bytes, str] = {}
    total = 0
    for _, owner, prompt in scratch.rows(_PICTURES):
        total += 1
        if owner is None or owner == ANONYMOUS.bytes:
            continue
        parents.setdefault(prompt, prompt)
        _join(parents, by_owner.setdefault(owner, prompt), prompt)
    sizes = Counter(_root(parents, prompt) for _, _, prompt in scratch.rows(_PICTURES) if prompt in parents)
    most = max(GIANT, GIANT_SHARE * total)
    return parents, frozenset(root for root, size in sizes.items() if size > most)


def _join(parents: dict[str, str], one: str, other: str) -> None:
    first, second = sorted((_root(parents, one), _root(parents, other)))
    parents[second] = first


def _root(parents: dict[str, str], prompt: str) -> str:
    """The least prompt of a piece, by path halving."""
    while parents[prompt] != prompt:
        parents[prompt] = parents[parents[prompt]]
        prompt = parents[prompt]
    return prompt


def _drawn(root: str) -> str:
    number = int.from_bytes(hashlib.sha256(f"hoard split 1 {root}".encode()).digest()[:8], "big") % 100
    if number < TRAIN:
        return "train"
    return "validation" if number < TRAIN + VALIDATION else "test"
