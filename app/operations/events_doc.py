"""`docs/events.md`, generated from the facts themselves: what each event says, its fields, an example, the hash chain.

Texts come from docstrings and `#:` comments, examples from the real encoder. A field that nobody explained is an
error, so that the page is complete. Look next: `events.codec` (the list of facts), `events.chain`.
"""

from __future__ import annotations

import ast
import enum
import inspect
import types
import typing
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import click
import msgspec

from app.operations.migrate import ROOT
from events.base import Event, Postings
from events.codec import MODULES, encode

PAGE: Final = ROOT / "docs" / "events.md"

#: What fields mean that have the same name and meaning everywhere.
RECURRING: Final[Mapping[str, str]] = {
    "amount": "in hundredths of kudos",
    "accurate_steps": "the steps that the sampler really takes, by which work is measured",
    "agent": "name and version of the worker's program",
    "case": "the case",
    "cause": "why",
    "cfg_scale": "how closely to follow the prompt",
    "charged": "what the requester was charged, in hundredths",
    "clip_skip": "layers of the text encoder to skip",
    "creator": "who founded the team",
    "covered": "how much of the charge the floor covered, in hundredths",
    "expires_at": "when the lease ends unless it is extended",
    "generation": "the generation",
    "generations": "the generations, in their order",
    "height": "in pixels",
    "id": "its id",
    "image_set": "the set of pictures",
    "hires_fix": "compose small, then enlarge",
    "job": "the job",
    "karras": "use the Karras noise schedule",
    "key": "the id of the API key",
    "kind": "what it works on",
    "lease": "the lease",
    "limit": "how many there may be; null for the default again",
    "message": "the message",
    "model": "the model that is used",
    "models": "names of models",
    "nsfw": "may show what is not safe for work",
    "other": "the other picture",
    "owner": "the worker's owner",
    "picture": "the picture, by the generation's id where it is a shared one",
    "post_processing": "what is done to the finished picture",
    "postings": "what moves: [account, hundredths of kudos], in sum zero",
    "price": "the worker's reward, in hundredths",
    "preference": "which of the two is better",
    "rater": "who rates",
    "rating": "the assignment and the rating",
    "reason": "why",
    "requester": "who submitted the job",
    "role": "the role",
    "sampler": "name of the sampler",
    "sender": "who wrote it",
    "shared": "the requester lets the pictures be shared",
    "scores": "what was computed",
    "source": "who gives",
    "standing": "how far it is believed",
    "state": "how it ended",
    "appeal": "the appeal",
    "best": "the best picture",
    "suspect": "they are marked, or not any more",
    "tags": "what it shows",
    "takedown": "the takedown",
    "trusted": "it is trusted",
    "steps": "sampling steps asked for",
    "target": "who receives",
    "tax": "the flat tax, in hundredths",
    "team": "the team",
    "text_version": "version of the consent text that was in force",
    "threads": "how many jobs it does at a time",
    "tiling": "the picture can be tiled",
    "user": "the account's owner",
    "verdict": "what was decided",
    "width": "in pixels",
    "worker": "the worker",
}

#: Values of examples by the name of the field; others are made from the type.
_WORDS: Final[Mapping[str, Any]] = {
    "account_age": 8_640_000,
    "accurate_steps": 30,
    "agent": "hoard-worker:1",
    "amount": 1_000,
    "artifacts": 1,
    "balance": 123_400,
    "cfg_scale": 7.5,
    "charged": 1_145,
    "clip_skip": 1,
    "client": "lucid",
    "client_version": "2.1",
    "covered": 0,
    "distance": 6,
    "escrowed": 325,
    "etag": "9a0364b9e99bb480dd25e1f0284c8555",
    "generated": 210,
    "given": 97,
    "height": 512,
    "lease_seconds": 150,
    "licence": "CC-BY-4.0",
    "max_pixels": 1_048_576,
    "model": "stable_diffusion",
    "models": ("stable_diffusion",),
    "name": "laion-sample",
    "perceptual_hash": "c3d4e1f00f1e2b3c",
    "pixelsteps": 7_864_320,
    "post_processing": ("GFPGAN",),
    "price": 650,
    "price_book": 1,
    "priority": 99_050,
    "quote": (("picture", 650), ("tax", 300)),
    "rank": 1_767_225_600,
    "reward": 1_000,
    "sampler": "k_euler",
    "seconds": 612,
    "sha256": "b5bb9d8014a0f9b1d61e21e796d78dccdf1352f23cd32812f4850b878ae4944c",
    "size": 41_210,
    "steps": 30,
    "surcharge": 195,
    "target": 5,
    "tax": 300,
    "text_version": 1,
    "threads": 1,
    "tier": 0,
    "took": 5_200,
    "took_milliseconds": 41_250,
    "value": 7,
    "width": 512,
}
#: Postings of examples by the type of the event: an account, or the field whose user's account (or escrow) it is.
_POSTINGS: Final[Mapping[str, tuple[tuple[str, int], ...]]] = {
    "accounts.AnonymousOpened": (("user", -5_000), ("system:treasury", 5_000)),
    "kudos.KudosGranted": (("system:treasury", -1_000), ("user", 1_000)),
    "kudos.KudosAdjusted": (("system:treasury", -1_000), ("user", 1_000)),
    "kudos.AllowancePaid": (("system:treasury", -1_000), ("user", 1_000)),
    "kudos.KudosTransferred": (("source", -1_000), ("target", 1_000)),
    "kudos.EscrowReleased": (("escrow:user", -1_000), ("user", 1_000)),
    "workers.UptimeRewarded": (("system:treasury", -1_000), ("owner", 0), ("escrow:owner", 1_000)),
    "jobs.GenerationDelivered": (
        ("requester", -1_145),
        ("owner", 325),
        ("escrow:owner", 325),
        ("sink:surcharges", 195),
        ("sink:tax", 300),
    ),
    "ratings.ImageRated": (("system:treasury", -1_000), ("rater", 0), ("escrow:rater", 1_000)),
    "ratings.PicturesCompared": (("system:treasury", -1_000), ("rater", 0), ("escrow:rater", 1_000)),
    "ratings.BestNamed": (("system:treasury", -1_000), ("rater", 1_000)),
    "ratings.RatingRewardsReversed": (("escrow:rater", -600), ("rater", -400), ("system:treasury", 1_000)),
    "ratings.RatingRewardsRestored": (("system:treasury", -1_000), ("rater", 0), ("escrow:rater", 1_000)),
    "ratings.RatingEscrowReleased": (("escrow:rater", -1_000), ("rater", 1_000)),
    "jobs.RedundantDeliveryPaid": (("subsidy:late", -650), ("owner", 325), ("escrow:owner", 325)),
    "jobs.GenerationCensored": (
        ("requester", -300),
        ("owner", 325),
        ("escrow:owner", 325),
        ("subsidy:censored", -650),
        ("sink:tax", 300),
    ),
}
_INSTANT: Final = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)

#: Proves the chain of a whole copy; it stands in the page, and a test runs it.
SNIPPET: Final = """\
import hashlib, json, pyarrow.parquet as parquet

def canonical(event):
    ids = [event["event_id"], event["subject"]]
    event_id, subject = (None if value is None else str(value) for value in ids)
    return json.dumps([event["position"], event_id, event["stream"], event["type"], event["schema_version"], subject,
        event["occurred_at"].isoformat(timespec="microseconds"), event["data"], event["metadata"]],
        separators=(",", ":"), ensure_ascii=False).encode()

manifest = json.load(open("manifest.json"))
digest = hashlib.sha256(f"hoard log 1 realm {manifest['realm']}".encode()).digest()
for segment in manifest["segments"]:
    for event in parquet.read_table(segment["file"]).to_pylist():
        digest = hashlib.sha256(digest + canonical(event)).digest()
        assert digest == event["hash"], f"position {event['position']} was altered"
"""

_HEAD: Final = """\
# Events

<!-- Generated by `hoard docs events --write` from events/*.py: edit those. -->

Every fact is one immutable event in one totally ordered log per realm. Positions are dense: 1, 2, 3, … in commit
order. The log is public: it names people only by a random subject id, and holds no prompt, address, contact, free
text or key. Amounts are hundredths of kudos, sizes pixels, instants UTC.

## Envelope

| column | type | meaning |
|---|---|---|
| `realm` | integer | whose log it is |
| `position` | integer | place in the log, from 1 |
| `event_id` | uuid | UUID version 7 |
| `stream` | text | `category-id`: the history of one entity is (stream, position) |
| `type` | text | the name below; it never changes |
| `schema_version` | integer | the shape of `data`; older shapes are read for ever |
| `subject` | uuid or null | the person it is about |
| `occurred_at` | timestamp | when it was appended; never runs backwards |
| `data` | text | JSON, as below |
| `metadata` | text | JSON: `command`, and where known `actor`, `causation` (a position), `correlation` |
| `hash` | 32 bytes | the chain, see below |

## The chain

hash(n) = SHA-256(hash(n-1) followed by canonical(n)). Before the first event stands the SHA-256 of the text
`hoard log 1 realm <realm>`. canonical(n) is the JSON array `[position, event_id, stream, type, schema_version,
subject, occurred_at, data, metadata]` in UTF-8 without spaces: `data` and `metadata` are the stored texts as JSON
strings, `occurred_at` is written `2026-01-01T12:00:00.000000+00:00`.

`hoard log export --out DIR` writes Parquet segments with these columns and a `manifest.json`: for each segment its
file, first and last position, count, SHA-256, and the chain's hash before its first event and at its last.
`hoard log verify --from DIR` proves a copy; `hoard log replay --from DIR` folds it. Neither needs a server, and this
proves the chain without Hoard:

```python
{snippet}```
"""


class DocumentationError(Exception):
    """An event or field that nobody explained."""


def page() -> str:
    """The whole page as Markdown. Raises `DocumentationError`."""
    parts = [_HEAD.replace("{snippet}", SNIPPET)]
    for module in MODULES:
        parts.append(f"\n## {module.__name__.rpartition('.')[2]}\n\n{_first_line(module)}\n")
        parts += [_event(cls) for cls in module.EVENTS]
        parts += [_shape(cls) for cls in _shapes(module.EVENTS)]
    return "".join(parts)


def _first_line(documented: Any) -> str:
    text = inspect.getdoc(documented)
    if not text:
        raise DocumentationError(f"{documented.__name__} has no docstring")
    return text.split("\n\n", maxsplit=1)[0].replace("\n", " ")


def _event(cls: type[Event]) -> str:
    example, ids = sample(cls)
    subject = example.subject()
    return (
        f"\n### {cls.TYPE}\n\n{_first_line(cls)}\n\n"
        f"Version {cls.SCHEMA_VERSION}, stream `{_named(example.stream(), ids)}`, "
        f"subject {'none' if subject is None else f'`{_named(str(subject), ids)}`'}.\n\n"
        f"{_fields(cls)}\n"
        f"```json\n{msgspec.json.format(encode(example)).decode()}\n```\n"
    )


def _shapes(events: Sequence[type[Event]]) -> list[type[msgspec.Struct]]:
    """The structs in fields of events, in the order in which they come."""
    parts = [annotation for cls in events for annotation in typing.get_type_hints(cls).values()]
    found: dict[type[msgspec.Struct], None] = {}
    while parts:
        part = parts.pop(0)
        if isinstance(part, type) and issubclass(part, msgspec.Struct):
            found[part] = None
        parts[:0] = typing.get_args(part)
    return list(found)


def _shape(cls: type[msgspec.Struct]) -> str:
    kind = "A list of these" if cls.__struct_config__.array_like else "An object of these"
    return f"\n### {cls.__name__}\n\n{_first_line(cls)}\n\n{kind}:\n\n{_fields(cls)}"


def _fields(cls: type[msgspec.Struct]) -> str:
    """The fields of an event or of a struct in one, as a table. Raises `DocumentationError`."""
    comments = field_comments(cls)
    hints = typing.get_type_hints(cls)
    rows = []
    for name in cls.__struct_fields__:
        meaning = comments.get(name) or RECURRING.get(name)
        if meaning is None:
            raise DocumentationError(f"{cls.__name__}.{name} has no `#:` comment")
        rows.append(f"| `{name}` | {type_name(hints[name])} | {meaning} |\n")
    return f"| field | type | meaning |\n|---|---|---|\n{''.join(rows)}"


def _named(text: str, ids: Mapping[str, UUID]) -> str:
    """A text with the ids in it as the names of the fields they come from."""
    for name, value in ids.items():
        text = text.replace(str(value), f"<{name}>")
    return text


def field_comments(cls: type[msgspec.Struct]) -> dict[str, str]:
    """The `#:` comments above the fields of a class and of those it inherits from, by field."""
    found: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        if issubclass(base, msgspec.Struct) and base not in (Event, msgspec.Struct):
            found |= _comments_in(inspect.getsource(base))
    return found


def _comments_in(source: str) -> dict[str, str]:
    lines = source.splitlines()
    (definition,) = ast.parse(source).body
    assert isinstance(definition, ast.ClassDef)
    found = {}
    for node in definition.body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            above = node.lineno - 2
            words: list[str] = []
            while lines[above].strip().startswith("#:"):
                words.insert(0, lines[above].strip().removeprefix("#:").strip())
                above -= 1
            if words:
                found[node.target.id] = " ".join(words)
    return found


def type_name(annotation: Any) -> str:
    """A field's type in words."""
    simple = {
        UUID: "uuid",
        int: "integer",
        str: "text",
        bool: "boolean",
        float: "number",
        datetime: "instant",
    }
    if annotation in simple:
        return simple[annotation]
    if annotation == Postings:
        return "list of [text, integer]"
    arguments = typing.get_args(annotation)
    if isinstance(annotation, types.UnionType):
        return " or ".join("null" if part is type(None) else type_name(part) for part in arguments)
    if typing.get_origin(annotation) is tuple:
        if arguments[-1] is Ellipsis:
            return f"list of {type_name(arguments[0])}"
        return f"[{', '.join(type_name(part) for part in arguments)}]"
    if isinstance(annotation, type) and issubclass(annotation, msgspec.Struct):
        return f"`{annotation.__name__}`"
    if isinstance(annotation, type) and issubclass(annotation, enum.Enum):
        return "one of " + ", ".join(f"`{member.value}`" for member in annotation)
    raise DocumentationError(f"no words for the type {annotation}")


def sample(cls: type[Event]) -> tuple[Event, dict[str, UUID]]:
    """An example of an event, and the ids in its fields by name."""
    hints = typing.get_type_hints(cls)
    ids = {
        name: UUID(f"00000000-0000-4000-8000-{number:012}")
        for number, name in enumerate(cls.__struct_fields__, 1)
        if hints[name] is UUID
    }
    values: dict[str, Any] = {
        name: ids.get(name) or _value(name, hints[name])
        for name in cls.__struct_fields__
        if name != "postings"
    }
    if "postings" in cls.__struct_fields__:
        values["postings"] = _postings(cls.TYPE, ids)
    if cls.TYPE == "jobs.GenerationCensored":
        values["charged"] = values["tax"]
    if cls.TYPE == "workers.UptimeRewarded":
        values["escrowed"] = values["amount"]
    return cls(**values), ids


def _postings(name: str, ids: Mapping[str, UUID]) -> Postings:
    if name not in _POSTINGS:
        raise DocumentationError(f"no example of the postings of {name}: add one here")
    accounts = {field: f"user:{key}" for field, key in ids.items()}
    accounts |= {f"escrow:{field}": f"escrow:{key}" for field, key in ids.items()}
    return tuple((accounts.get(place, place), amount) for place, amount in _POSTINGS[name])


def _value(name: str, annotation: Any) -> Any:
    if name in _WORDS and annotation is not bool:
        return _WORDS[name]
    arguments = typing.get_args(annotation)
    if isinstance(annotation, types.UnionType):
        return _value(name, next(part for part in arguments if part is not type(None)))
    if typing.get_origin(annotation) is tuple:
        return tuple(_value(name, part) for part in arguments if part is not Ellipsis)
    if isinstance(annotation, type) and issubclass(annotation, msgspec.Struct):
        hints = typing.get_type_hints(annotation)
        return annotation(**{field: _value(field, hints[field]) for field in annotation.__struct_fields__})
    if isinstance(annotation, type) and issubclass(annotation, enum.Enum):
        return next(iter(annotation))
    simple = {UUID: UUID("00000000-0000-4000-8000-000000000100"), datetime: _INSTANT, str: "text"}
    # bool, int and float have a zero.
    return simple[annotation] if annotation in simple else annotation(1)


@click.group("docs")
def docs_group() -> None:
    """Pages that are generated from the code."""


@docs_group.command("events")
@click.option("--write", is_flag=True, help="Write docs/events.md.")
@click.option("--check", is_flag=True, help="Exit status 1 unless docs/events.md is up to date.")
@click.option("--file", type=click.Path(path_type=Path, dir_okay=False), default=PAGE, hidden=True)
def events_command(file: Path, *, write: bool, check: bool) -> None:
    """Print the page about events, write it, or check that it is up to date."""
    if write and check:
        raise click.UsageError("give either --write or --check")
    try:
        text = page()
    except DocumentationError as error:
        raise click.ClickException(str(error)) from None
    if write:
        file.write_text(text, encoding="utf-8")
    elif check:
        if not file.is_file() or file.read_text(encoding="utf-8") != text:
            raise click.ClickException(f"{file.name} is out of date: run hoard docs events --write")
    else:
        click.echo(text, nl=False)
