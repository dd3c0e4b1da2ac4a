"""Tables of ratings, aggregates and pairs, row by row from the scratch index.

Only pictures that are in the release appear. Sums leave out repeats and ratings of one's own pictures; trusted ones are
also not marked as suspect and not anonymous, and of them the robust score is estimated. Look next:
`app.datasets.scratch`, `app.datasets.build`.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any, Final
from uuid import UUID

import numpy as np

from app.datasets.manifest import copies_name, tar_name
from app.datasets.people import People
from app.datasets.scratch import Scratch
from app.estimation.model import fit
from app.estimation.table import Floats, Ints, table_of_values
from events.base import ANONYMOUS

_VOUCHED: Final = "GOOD"
_CLEARED: Final = "CLEARED"

_RATINGS: Final = (
    "SELECT r.position, r.id, r.rater, r.picture, r.image_set, r.job, r.value, r.artifacts, r.tags, r.own, r.again, "
    "r.generated, r.given, r.age, r.balance, r.trusted, r.kind, r.client, r.version, r.took, r.at, r.hash, c.n, "
    "m.rating IS NOT NULL, t.reliability, t.bias, t.spread, t.standing, t.verdict "
    "FROM rating AS r CROSS JOIN present AS p ON p.id = r.picture CROSS JOIN counted AS c ON c.picture = r.picture "
    "LEFT JOIN mark AS m ON m.rating = r.id LEFT JOIN rater AS t ON t.id = r.rater "
    "WHERE r.position BETWEEN ? AND ? ORDER BY r.position"
)
_TRUSTED: Final = "m.rating IS NULL AND r.rater <> ?"
_VALUES: Final = (
    f"SELECT r.picture, r.rater, r.value, r.artifacts, {_TRUSTED} FROM rating AS r "  # noqa: S608
    "CROSS JOIN present AS p ON p.id = r.picture LEFT JOIN mark AS m ON m.rating = r.id "
    "WHERE NOT r.own AND NOT r.again ORDER BY r.picture, r.value, r.position"
)
_WON: Final = """
DROP TABLE IF EXISTS won;
CREATE TABLE won (picture BLOB PRIMARY KEY, n INT, wins REAL) WITHOUT ROWID;
INSERT INTO won SELECT picture, count(*), sum(label) FROM (
  SELECT p.first AS picture, p.label FROM pair AS p JOIN present AS a ON a.id = p.first JOIN present AS b ON b.id = p.second
    WHERE p.source = 'COMPARISON'
  UNION ALL
  SELECT p.second, 1 - p.label FROM pair AS p JOIN present AS a ON a.id = p.first JOIN present AS b ON b.id = p.second
    WHERE p.source = 'COMPARISON') GROUP BY picture;
"""
_JUDGED: Final = (
    "SELECT p.id, p.image_set, p.job, coalesce(w.n, 0), coalesce(w.wins, 0.0) FROM present AS p "
    "LEFT JOIN counted AS c ON c.picture = p.id LEFT JOIN won AS w ON w.picture = p.id "
    "WHERE c.n IS NOT NULL OR w.n IS NOT NULL ORDER BY p.id"
)
_PAIRS_OF: Final = """
DROP TABLE IF EXISTS pairs_of;
CREATE TABLE pairs_of (hash TEXT PRIMARY KEY, n INT) WITHOUT ROWID;
INSERT INTO pairs_of SELECT w.hash, count(*) FROM pair AS p JOIN present AS a ON a.id = p.first
  JOIN present AS b ON b.id = p.second JOIN words AS w ON w.picture = p.first GROUP BY w.hash;
"""
_PAIRS: Final = (
    "SELECT p.position, p.first, p.second, p.label, p.rater, p.at, p.source, a.part, b.part, f.sha256, s.sha256, "
    "a.copy_part, b.copy_part, "
    "v.prompt, v.model, w.model, v.url, w.url, n.n FROM pair AS p CROSS JOIN present AS a ON a.id = p.first "
    "CROSS JOIN present AS b ON b.id = p.second JOIN picture AS f ON f.id = p.first JOIN picture AS s ON s.id = p.second "
    "JOIN words AS v ON v.picture = p.first JOIN words AS w ON w.picture = p.second "
    "JOIN pairs_of AS n ON n.hash = v.hash ORDER BY p.position, p.ordinal"
)


def rating_rows(scratch: Scratch, people: People, first: int, last: int) -> Iterator[dict[str, Any]]:
    """The ratings from one position to another."""
    for row in scratch.rows(_RATINGS, (first, last)):
        (position, rating, rater, picture, image_set, job, value, artifacts, tags, own, again) = row[:11]
        (generated, given, age, balance, trusted, kind, client, version, took, at, digest) = row[11:22]
        (count, suspect, reliability, bias, spread, standing, verdict) = row[22:]
        yield {
            "id": _text(picture),
            "ratings_count": count,
            "rating": value,
            "artifacts": artifacts,
            "kudos": balance / 100,
            "account_age": age,
            "usage_requests": generated,
            "created_at": at,
            "client_agent": f"{client}:{version}" if client else "",
            "user_id": people.hash(rater),
            "trusted": bool(trusted),
            "validated": verdict == _CLEARED or standing == _VOUCHED,
            "rating_id": _text(rating),
            "image_set": _text(image_set),
            "set_id": None if job is None else _text(job),
            "own": bool(own),
            "again": bool(again),
            "tags": tags.split(),
            "took_ms": took,
            "ratings_given": given,
            "account_kind": kind,
            "suspect": bool(suspect),
            "standing": standing or "NEW",
            "reliability": _thousandth(reliability),
            "bias": _thousandth(bias),
            "spread": _thousandth(spread),
            "position": position,
            "event_hash": digest,
        }


def aggregate_rows(scratch: Scratch) -> Iterator[dict[str, Any]]:
    """What was said of each picture that was judged, in the order of their ids."""
    scratch.connection.executescript(_WON)
    scores, errors = _estimated(scratch)
    groups = groupby(scratch.rows(_VALUES, (ANONYMOUS.bytes,)), key=lambda row: row[0])
    group = next(groups, None)
    number = 0
    for picture, image_set, job, comparisons, wins in scratch.rows(_JUDGED):
        said: list[Sequence[Any]] = []
        if group is not None and group[0] == picture:
            said = list(group[1])
            group = next(groups, None)
        trusted = sum(1 for row in said if row[4])
        row = {
            "id": _text(picture),
            "image_set": _text(image_set),
            "set_id": None if job is None else _text(job),
            "n_trusted": trusted,
            **_statistics(said),
            "robust_score": _number(scores[number]) if trusted else None,
            "robust_error": _number(errors[number]) if trusted else None,
            "comparisons": comparisons,
            "wins": wins,
        }
        number += 1 if trusted else 0
        yield row


def pair_rows(scratch: Scratch, people: People) -> Iterator[dict[str, Any]]:
    """Pairs of pictures of which somebody said which one is better."""
    scratch.connection.executescript(_PAIRS_OF)
    for row in scratch.rows(_PAIRS):
        position, first, second, label, rater, at, source, part_0, part_1, sha_0, sha_1 = row[:11]
        copy_0, copy_1, prompt, model_0, model_1, url_0, url_1, count = row[11:]
        best = {1.0: _text(first), 0.0: _text(second)}.get(label, "tie")
        yield {
            "image_0_uid": _text(first),
            "image_1_uid": _text(second),
            "image_0_url": _place(first, part_0, copy_0, url_0),
            "image_1_url": _place(second, part_1, copy_1, url_1),
            "label_0": label,
            "label_1": 1.0 - label,
            "are_different": sha_0 is None or sha_0 != sha_1,
            "best_image_uid": best,
            "has_label": True,
            "caption": prompt,
            "model_0": model_0 or "",
            "model_1": model_1 or "",
            "ranking_id": position,
            "user_id": people.hash(rater),
            "created_at": at,
            "num_example_per_prompt": count,
            "position": position,
            "source": source,
        }


def _estimated(scratch: Scratch) -> tuple[Floats, Floats]:
    """Scores and errors of the pictures with trusted ratings, in the order of their ids (`app.estimation.model`)."""
    raters: dict[UUID, int] = {}
    pictures: list[UUID] = []
    of_rater, of_picture, of_value = array("q"), array("q"), array("q")
    before = None
    for picture, rater, value, _artifacts, trusted in scratch.rows(_VALUES, (ANONYMOUS.bytes,)):
        if not trusted:
            continue
        if picture != before:
            pictures.append(UUID(bytes=picture))
            before = picture
        of_rater.append(raters.setdefault(UUID(bytes=rater), len(raters)))
        of_picture.append(len(pictures) - 1)
        of_value.append(value)
    if not pictures:
        return np.zeros(0), np.zeros(0)
    fitted = fit(
        table_of_values(
            tuple(raters), tuple(pictures), _column(of_rater), _column(of_picture), _column(of_value)
        )
    )
    return fitted.score, fitted.error


def _column(numbers: array[int]) -> Ints:
    return np.frombuffer(numbers, dtype=np.int64)


def _statistics(said: Sequence[Sequence[Any]]) -> dict[str, Any]:
    """Of values in order."""
    values = [row[2] for row in said]
    artifacts = [row[3] for row in said if row[3] is not None]
    n = len(values)
    mean = sum(values) / n if n else None
    std = None
    if mean is not None and n > 1:
        std = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (n - 1))
    return {
        "n": n,
        "mean": mean,
        "median": (values[(n - 1) // 2] + values[n // 2]) / 2 if n else None,
        "std": std,
        "artifacts_mean": sum(artifacts) / len(artifacts) if artifacts else None,
    }


def _number(value: Any) -> float | None:
    number = float(value)
    return number if math.isfinite(number) else None


def _thousandth(value: int | None) -> float | None:
    return None if value is None else value / 1000


def _text(key: bytes) -> str:
    return str(UUID(bytes=key))


def _place(picture: bytes, part: int | None, copy_part: int | None, url: str | None) -> str:
    """Where a picture lies in the release; the address of an imported one of which it has no copy."""
    if part is None and copy_part is None:
        return url or ""
    tar = copies_name(copy_part) if part is None and copy_part is not None else tar_name(part or 0)
    return f"{tar}/{_text(picture)}.webp"
