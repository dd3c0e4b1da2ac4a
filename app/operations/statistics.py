"""What was delivered in the past minute, hour, day, month (30 days) and ever: by kind, model and form.

Windows are made of whole buckets of the projection and end now. That of a minute is exact but for the even spread of
what fell into its first part; those of an hour, a day and a month begin up to one minute, hour or day late. Nothing is
decided by them. Look next: `projections.throughput`, `docs/status.md`.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from app.platform.caching import fresh
from app.platform.services import Services
from app.platform.sql import Query
from events.jobs import JobKind
from projections.throughput import ALL, KEPT, SECONDS, Span

#: how old totals may be, in seconds, and the counts of models, of which there may be many
AGE_SECONDS: Final = 1.0
MODELS_AGE_SECONDS: Final = 10.0
#: models that are counted at most: those of which most was ever delivered
MAX_MODELS: Final = 10_000

_MEGA: Final = 1_000_000

#: each window with the buckets that are in it
_IN: Final = {
    "minute": "span = 'MINUTE' AND number >= %(minute)s - 1",
    "hour": "span = 'MINUTE' AND number > %(minute)s - %(minutes)s",
    "day": "span = 'HOUR' AND number > %(hour)s - %(hours)s",
    "month": "span = 'DAY' AND number > %(day)s - %(days)s",
    "ever": "span = 'EVER'",
}
#: of the minute before the present one only a part is in the past minute
_SHARE: Final = " * CASE WHEN number = %(minute)s - 1 THEN %(share)s ELSE 1.0 END"


def _sum(column: str, window: str) -> str:
    weight = _SHARE if window == "minute" else ""
    return f"coalesce(sum({column}{weight}) FILTER (WHERE {_IN[window]}), 0)::float8"


def _sums(windows: Sequence[str]) -> str:
    return ", ".join(f"{_sum('count', window)}, {_sum('amount', window)}" for window in windows)


class Delivered(msgspec.Struct, frozen=True):
    """Generations delivered in a window, and megapixelsteps, tokens or forms in them."""

    count: int
    amount: float


class Totals(msgspec.Struct, frozen=True, kw_only=True):
    """What was delivered of one kind, or of one form."""

    name: str
    minute: Delivered
    hour: Delivered
    day: Delivered
    month: Delivered
    ever: Delivered


class ModelTotals(msgspec.Struct, frozen=True, kw_only=True):
    """What was delivered with one model."""

    name: str
    day: Delivered
    month: Delivered
    ever: Delivered


def _delivered(kind: JobKind, sums: Sequence[float]) -> list[Delivered]:
    unit = _MEGA if kind is JobKind.IMAGE else 1
    return [
        Delivered(round(count), amount / unit) for count, amount in zip(sums[::2], sums[1::2], strict=True)
    ]


def _totals(row: Sequence[Any]) -> tuple[JobKind, Totals]:
    kind = JobKind(row[0])
    return kind, Totals(name=row[1], **dict(zip(_IN, _delivered(kind, row[2:]), strict=True)))


_TOTALS: Query[tuple[JobKind, Totals]] = Query(
    f"SELECT kind, name, {_sums(tuple(_IN))} FROM projections.throughput "  # noqa: S608
    "WHERE realm = %(realm)s AND (name = '' OR kind = 'INTERROGATION') GROUP BY kind, name ORDER BY name",
    _totals,
)
_LONG: Final = ("day", "month", "ever")


def _model(row: Sequence[Any]) -> ModelTotals:
    parts = dict(zip(_LONG, _delivered(JobKind(row[0]), row[2:]), strict=True))
    return ModelTotals(name=row[1], **parts)


_MODELS: Query[ModelTotals] = Query(
    f"SELECT kind, name, {_sums(_LONG)} FROM projections.throughput "  # noqa: S608
    "WHERE realm = %(realm)s AND kind = %(kind)s AND name <> '' GROUP BY kind, name "
    f'ORDER BY {_sum("count", "ever")} DESC, name COLLATE "C" LIMIT %(limit)s',
    _model,
)


def _now() -> dict[str, float]:
    """The present buckets, how many of them make a window, and what of the last minute is within the past one."""
    now = time.time()
    return {
        "minute": int(now) // SECONDS[Span.MINUTE],
        "hour": int(now) // SECONDS[Span.HOUR],
        "day": int(now) // SECONDS[Span.DAY],
        "minutes": KEPT[Span.MINUTE],
        "hours": KEPT[Span.HOUR],
        "days": KEPT[Span.DAY],
        "share": 1 - (now % SECONDS[Span.MINUTE]) / SECONDS[Span.MINUTE],
    }


async def _all_totals(services: Services) -> list[tuple[JobKind, Totals]]:
    async def load() -> list[tuple[JobKind, Totals]]:
        return await _TOTALS.all(services.pool, realm=services.realm, **_now())

    return await fresh(services.caches, "totals", AGE_SECONDS, load)


async def totals_of_kinds(services: Services) -> dict[JobKind, Totals]:
    """What was delivered of each kind."""
    none = Delivered(0, 0.0)
    found = {kind: totals for kind, totals in await _all_totals(services) if totals.name == ALL}
    return {
        kind: found.get(kind, Totals(name=ALL, minute=none, hour=none, day=none, month=none, ever=none))
        for kind in JobKind
    }


async def totals_of_forms(services: Services) -> list[Totals]:
    """What was delivered of each form, by name."""
    return [totals for _, totals in await _all_totals(services) if totals.name != ALL]


async def totals_of_models(services: Services, kind: JobKind) -> list[ModelTotals]:
    """What was delivered with each model or form of a kind, most ever first, then by name."""

    async def load() -> list[ModelTotals]:
        return await _MODELS.all(
            services.pool, realm=services.realm, kind=kind.value, limit=MAX_MODELS, **_now()
        )

    return await fresh(services.caches, f"model totals:{kind}", MODELS_AGE_SECONDS, load)
