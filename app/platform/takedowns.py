"""Whether a picture was taken down, by its hashes: asked by whatever publishes or imports.

The rows are few, and of the live database. Whoever asked says in its command how many takedowns there were, and its
decider refuses it if there are more by then (`projections.modes`): so no picture slips between the question and the
commit. Look next: `projections.takedowns`, `app.images.takedown`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import msgspec

from app.platform.commands import Rejection
from app.platform.rows import Rows
from projections.store.tables import LIVE

if TYPE_CHECKING:
    from psycopg import Connection

#: pictures whose perceptual hashes differ in more than so many of 64 bits do not look the same
MOST_DISTANCE: Final = 6

#: whether a row of takedowns `t` means a picture with one of the hashes %(sha256)s of its files, or %(perceptual)s
_MEANS = """(t.sha256 = ANY(%(sha256)s) OR
  bit_count(('x' || t.perceptual_hash)::bit(64) # ('x' || %(perceptual)s)::bit(64)) <= t.distance)"""
_AGAINST = f"""
SELECT (SELECT t.id FROM {LIVE}.takedowns t WHERE t.realm = %(realm)s AND NOT t.lifted AND {_MEANS}
  ORDER BY t.ordered LIMIT 1),
  (SELECT count(*) FROM {LIVE}.takedowns t WHERE t.realm = %(realm)s)"""  # noqa: S608


class Against(msgspec.Struct, frozen=True):
    """A picture held against all takedowns."""

    #: the one that it falls under
    takedown: UUID | None
    #: how many there were
    known: int


def against(
    connection: Connection[Any], realm: int, sha256: str, perceptual_hash: str, original: str | None = None
) -> Against:
    """What the list says of a picture with these hashes, all hexadecimal; `original`: of the file that it was made from."""
    files = [sha256] if original is None else [sha256, original]
    asked = {"realm": realm, "sha256": files, "perceptual": perceptual_hash}
    row = connection.execute(_AGAINST, asked).fetchone()
    assert row is not None, "two scalars are one row"
    return Against(*row)


def outdated(known: int, rows: Rows) -> Rejection | None:
    """Why a picture that was held against `known` takedowns must be held against them again; None if it need not."""
    if known == rows.modes().takedowns:
        return None
    return Rejection(code="TRY_AGAIN", message="a takedown was ordered in the meantime")
