"""Writes sentences from prompt and seed by a small grammar. No language model: it exists to try a server out.

The same task gives the same text, always. Nouns are the prompt's own longer words, so that one sees what was asked.
"""

import asyncio
import hashlib
import random
import re

import msgspec

from clients.worker.writers import LONGEST, TOKEN, WIDEST, TextTask, TextWish

_WORD = re.compile(r"[^\W\d_]{4,}")
#: Words too plain to write about, though they have four letters.
_PLAIN = frozenset(
    ["about", "above", "after", "again", "also", "been", "before", "being", "between", "both", "could", "does", "from", "have", "here", "into", "just", "like", "made", "many", "more", "most", "much", "must", "once", "only", "other", "over", "some", "such", "than", "that", "their", "them", "then", "there", "these", "they", "this", "those", "through", "under", "upon", "very", "were", "what", "when", "where", "which", "while", "will", "with", "would", "your"]
)  # fmt: skip
_NOUNS = ("lantern", "harbour", "garden", "letter", "mountain", "river", "clock", "orchard")
_QUALITIES = ("quiet", "bright", "distant", "patient", "curious", "weathered", "gentle", "restless")
_VERBS = ("waits for", "remembers", "follows", "answers", "circles", "outlasts", "resembles", "calls to")
_PLACES = ("by the window", "after the rain", "at the edge of town", "before dawn", "without a word")
_SHAPES = (
    "The {quality} {first} {verb} the {second} {place}.",
    "{place_first}, the {first} {verb} the {quality} {second}.",
    "Nobody knows why the {first} {verb} the {second}.",
    "And the {second}? It {verb} the {quality} {first}.",
)


class ProceduralWriter:
    """The writer that needs nothing but this machine."""

    confession = "the procedural writer puts sentences together from prompt and seed; it is no language model"
    models: tuple[str, ...] = ("procedural",)
    longest = LONGEST
    widest = WIDEST

    async def prepare(self) -> None:
        """Nothing to load."""

    async def write(self, task: TextTask) -> str:
        """Write it on a thread: a long text takes a moment."""
        return await asyncio.to_thread(sentences, task.wish, task.seed)

    async def close(self) -> None:
        """Nothing to give up."""


def sentences(wish: TextWish, seed: str) -> str:
    """As many whole sentences as `max_length` tokens hold, reckoned by characters; at least a part of one."""
    room = wish.max_length * TOKEN
    everything = hashlib.sha256(msgspec.json.encode((seed, wish))).digest()
    chance = random.Random(int.from_bytes(everything))
    nouns = _nouns(wish.prompt)
    text = ""
    while True:
        sentence = _sentence(chance, nouns)
        if len(text) + 1 + len(sentence) > room:
            return text or sentence[:room]
        text += f" {sentence}"


def _nouns(prompt: str) -> list[str]:
    """What to write about: the latest longer words of the prompt, and some of our own if there are few."""
    words = [word for word in _WORD.findall(prompt.lower()) if word not in _PLAIN]
    latest = list(dict.fromkeys(reversed(words)))[:12]
    return latest if len(latest) > 1 else [*latest, *_NOUNS]


def _sentence(chance: random.Random, nouns: list[str]) -> str:
    first, second = chance.sample(nouns, 2)
    place = chance.choice(_PLACES)
    return chance.choice(_SHAPES).format(
        first=first,
        second=second,
        quality=chance.choice(_QUALITIES),
        verb=chance.choice(_VERBS),
        place=place,
        place_first=place.capitalize(),
    )
