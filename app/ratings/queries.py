"""Reads of pictures, ratings and sets; where pictures for hand-outs are found, however many there are.

A search of hand-outs takes the pictures that want most raters first, and among those goes round from any place: each
level of wants is one piece of an index, so that what it reads depends on how many it asks for, and not on how many
pictures there are. Look next: `app.ratings.handout`, `projections.pictures` for the indexes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import UUID

import msgspec
import sqlalchemy as sa

from app.platform.picture_words import ImportedPictureWords
from app.platform.sql import (
    Query,
    accounts,
    any_of,
    bind,
    constant,
    generations,
    image_set_totals,
    image_set_words,
    image_sets,
    imported_pictures,
    jobs,
    known_answers,
    picture_scores,
    pictures,
    raters,
    ratings,
    rows_of,
)
from app.platform.vault import TABLES as VAULT
from projections.accounts import Account
from projections.image_set_totals import ImageSetTotals
from projections.image_sets import ImageSet
from projections.jobs import Job
from projections.picture_scores import PictureScore
from projections.pictures import Picture
from projections.raters import Rater
from projections.ratings import Rating
from projections.store.tables import LIVE, TABLES

#: pictures that one search finds at most
FOUND: Final = 48
#: pictures with known answers among which one is chosen
KNOWN_FOUND: Final = 8
_WORDS = VAULT[ImportedPictureWords]
_TOTALS = TABLES["image_set_totals"]
_OPEN = "realm = %(realm)s AND wanted > 0 AND nsfw = %(nsfw)s"
#: what narrows a search: each has an index of its own
_NARROWED: Final = {
    "any": _OPEN,
    "image_set": f"{_OPEN} AND image_set = %(image_set)s",
    "model": f"{_OPEN} AND model = %(model)s AND model <> ''",
}
_COLUMNS = TABLES["pictures"].columns
_NAMES = ", ".join(f"p.{column.name}" for column in _COLUMNS)


#: what a rater judged, skipped or has in hand; asked of one picture after another, never joined: whoever rated much
#: must not make it read more than that
_JUDGED: Final = f"""(SELECT r.id FROM {LIVE}.ratings AS r WHERE r.realm = p.realm AND r.picture = p.id
  AND r.rater = %(judge)s AND r.other IS NULL AND (r.state <> 'ASSIGNED' OR r.expires_at > now()) LIMIT 1)"""  # noqa: S608


def _search(where: str) -> str:
    found = (
        f"SELECT {_NAMES} FROM {LIVE}.pictures AS p WHERE {where} AND wanted = level.wanted "  # noqa: S608
        f"AND owner IS DISTINCT FROM %(rater)s AND {_JUDGED} IS NULL"
    )
    return f"""
WITH RECURSIVE level(wanted) AS (
  (SELECT wanted FROM {LIVE}.pictures WHERE {where} ORDER BY wanted DESC LIMIT 1)
  UNION ALL
  SELECT (SELECT wanted FROM {LIVE}.pictures WHERE {where} AND wanted < level.wanted ORDER BY wanted DESC LIMIT 1)
  FROM level WHERE level.wanted IS NOT NULL)
SELECT around.* FROM level, LATERAL (
  ({found} AND shuffle >= %(pivot)s ORDER BY shuffle LIMIT {FOUND})
  UNION ALL
  ({found} AND shuffle < %(pivot)s ORDER BY shuffle LIMIT {FOUND})) AS around
WHERE level.wanted IS NOT NULL LIMIT {FOUND}"""  # noqa: S608


SEARCHES: Final[Mapping[str, Query[Picture]]] = {
    name: Query(_search(where), TABLES["pictures"].load) for name, where in _NARROWED.items()
}

PICTURES: Query[Picture] = rows_of("pictures", any_of(pictures.c.id, "ids"))
#: pictures of jobs that may be shown
SIBLINGS: Query[Picture] = rows_of(
    "pictures", any_of(pictures.c.job, "jobs"), pictures.c.state == constant("OPEN")
)
#: ratings that a user gave, newest first; of those with an id
GIVEN: Query[Rating] = rows_of(
    "ratings",
    ratings.c.rater == bind("rater", sa.Uuid),
    sa.and_(ratings.c.settled < bind("before", sa.BigInteger), ratings.c.state == constant("DONE")),
    ratings.c.settled.desc(),
    limit="limit",
)
RATINGS: Query[Rating] = rows_of("ratings", any_of(ratings.c.id, "ids"))
RATERS: Query[Rater] = rows_of("raters", raters.c.id == bind("id", sa.Uuid))
ACCOUNTS: Query[Account] = rows_of("accounts", accounts.c.id == bind("id", sa.Uuid))
JOBS: Query[Job] = rows_of("jobs", jobs.c.id == bind("id", sa.Uuid))
GENERATIONS: Query[UUID] = Query(
    sa.select(generations.c.id).where(
        generations.c.realm == bind("realm"), generations.c.job == bind("job", sa.Uuid)
    ),
    lambda row: row[0],
)
#: pictures with known answers, from some id on
KNOWN: Query[UUID] = Query(
    sa.select(known_answers.c.picture)
    .where(
        known_answers.c.realm == bind("realm"),
        known_answers.c.picture >= bind("pivot", sa.Uuid),
        sa.or_(bind("image_set", sa.Uuid).is_(None), known_answers.c.image_set == bind("image_set", sa.Uuid)),
    )
    .order_by(known_answers.c.picture)
    .limit(sa.literal_column(str(KNOWN_FOUND))),
    lambda row: row[0],
)
#: where imported pictures are
IMPORTED: Query[ImportedPictureWords] = Query(
    sa.select(*(imported_pictures.c[column.name] for column in _WORDS.columns)).where(
        imported_pictures.c.realm == bind("realm"), any_of(imported_pictures.c.picture, "ids")
    ),
    _WORDS.load,
)
#: reported pictures, and the one of a case
HIDDEN: Query[Picture] = rows_of(
    "pictures",
    sa.and_(pictures.c.state == constant("HIDDEN"), pictures.c.id > bind("after", sa.Uuid)),
    pictures.c.id,
    limit="limit",
)
BY_CASE: Query[Picture] = rows_of("pictures", pictures.c.report == bind("case", sa.Uuid))
#: what was said of pictures
SCORES: Query[PictureScore] = rows_of("picture_scores", any_of(picture_scores.c.id, "ids"))


class SetView(msgspec.Struct, frozen=True):
    """A named set, what is said of it, and what is in it."""

    row: ImageSet
    description: str
    totals: ImageSetTotals


def _sets() -> sa.Select[tuple[object, ...]]:
    columns = (
        *(image_sets.c[column.name] for column in TABLES["image_sets"].columns),
        image_set_words.c.description,
        *(image_set_totals.c[column.name] for column in _TOTALS.columns),
    )
    words = sa.and_(
        image_set_words.c.realm == image_sets.c.realm, image_set_words.c.image_set == image_sets.c.id
    )
    totals = sa.and_(image_set_totals.c.realm == image_sets.c.realm, image_set_totals.c.id == image_sets.c.id)
    return (
        sa.select(*columns)
        .select_from(image_sets.outerjoin(image_set_words, words).outerjoin(image_set_totals, totals))
        .where(
            image_sets.c.realm == bind("realm"),
            sa.or_(bind("id", sa.Uuid).is_(None), image_sets.c.id == bind("id", sa.Uuid)),
            image_sets.c.id > bind("after", sa.Uuid),
        )
        .order_by(image_sets.c.id)
        .limit(bind("limit", sa.BigInteger))
    )


def _view(row: Sequence[Any]) -> SetView:
    width = len(TABLES["image_sets"].columns)
    totals = row[width + 1 :]
    found = ImageSetTotals(row[0]) if totals[0] is None else _TOTALS.load(totals)
    return SetView(TABLES["image_sets"].load(row[:width]), row[width] or "", found)


SETS: Query[SetView] = Query(_sets(), _view)
TOTALS: Query[ImageSetTotals] = rows_of("image_set_totals", image_set_totals.c.id == bind("id", sa.Uuid))
