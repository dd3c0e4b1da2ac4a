"""Assessing all raters by what is in the database, and letting follow what follows. Run again, it changes nothing new.

Reads ratings, known answers and networks, computes, and gives one command a rater; marks follow the standing that is
recorded, so that a run that died is finished by the next. Look next: `app.raters.assessment`, `app.raters.decider`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

import msgspec
from psycopg import Connection

from app.estimation.table import Given, table_of
from app.platform.commands import Command, Rejection, Request
from app.platform.ids import new_id
from app.platform.writer import Writer
from app.raters.assessment import assess
from app.raters.decider import MARKED_AT_ONCE, AssessRater, MarkRatings, RaterStands
from events.base import ANONYMOUS
from events.ratings import Standing
from projections.store.tables import LIVE

#: the newest so many ratings are looked at, to bound memory
MOST: Final = 500_000

_RATINGS: Final = f"""
SELECT r.rater, r.picture, r.value, r.settled, extract(epoch FROM e.occurred_at)::float8,
  (extract(epoch FROM e.occurred_at - r.assigned_at) * 1000)::bigint, r.again, o.network
FROM {LIVE}.ratings r JOIN log.event e ON e.realm = r.realm AND e.position = r.settled
  LEFT JOIN vault.rating_origin o ON o.realm = r.realm AND o.rating = r.id
WHERE r.realm = %s AND r.state = 'DONE' AND r.value IS NOT NULL AND NOT r.own AND r.rater <> %s
ORDER BY r.settled DESC LIMIT %s"""  # noqa: S608
_KNOWN: Final = "SELECT picture, lowest, highest FROM vault.known_answer WHERE realm = %s"
_STANDING: Final = (
    f"SELECT id, standing FROM {LIVE}.raters WHERE realm = %(realm)s AND (standing = 'SUSPECT' OR marked > 0)"  # noqa: S608
)
_JUDGED: Final = (
    f"SELECT id, standing FROM {LIVE}.raters WHERE realm = %(realm)s AND "  # noqa: S608
    "judged_at >= clock_timestamp() - %(judged)s::interval"
)
_TO_MARK: Final = f"""
SELECT id, picture FROM {LIVE}.ratings WHERE realm = %(realm)s AND rater = %(rater)s AND state = 'DONE' AND value IS NOT NULL
  AND NOT own AND NOT again AND suspect <> %(suspect)s ORDER BY settled LIMIT %(most)s"""  # noqa: S608


class AssessedAll(msgspec.Struct, frozen=True):
    """What a run came to."""

    ratings: int
    #: raters by standing
    standings: dict[str, int]
    #: ratings that were marked, or whose mark was lifted
    marked: int
    lifted: int


class Assessor:
    """Assesses raters. One at a time is enough; two do no harm."""

    def __init__(self, connection: Connection[Any], realm: int, writer: Writer) -> None:
        """Name what to work with: an autocommitting connection, and a writer that knows `app.raters.decider.RULES`."""
        self._connection = connection
        self._realm = realm
        self._writer = writer

    def run(self) -> AssessedAll:
        """Assess everybody. Raises `WriterBusyError`, `psycopg.Error`: it can be run again."""
        given = list(self._given())
        known = {row[0]: (row[1], row[2]) for row in self._connection.execute(_KNOWN, (self._realm,))}
        standings: Counter[str] = Counter()
        up_to = max((each.position for each in given), default=0)
        for rater, found in assess(table_of(given), known).items():
            command = AssessRater(
                rater=rater,
                up_to=up_to,
                scores=found.scores,
                standing=found.standing,
                causes=found.causes,
            )
            standings[self._settled(command).standing.value] += 1
        marked, lifted = self.mark()
        return AssessedAll(len(given), dict(sorted(standings.items())), marked, lifted)

    def mark(self, judged: timedelta | None = None) -> tuple[int, int]:
        """Bring marks to what the standings call for, or only of who was judged lately: (ratings marked, marks lifted)."""
        changed = {True: 0, False: 0}
        statement = _STANDING if judged is None else _JUDGED
        of = {"realm": self._realm, "judged": judged}
        for rater, standing in self._connection.execute(statement, of).fetchall():
            suspect = standing == Standing.SUSPECT.value
            asked = {"realm": self._realm, "rater": rater, "suspect": suspect, "most": MARKED_AT_ONCE}
            while page := self._connection.execute(_TO_MARK, asked).fetchall():
                ratings, pictures = zip(*page, strict=True)
                mark = MarkRatings(rater=rater, ratings=ratings, pictures=pictures, suspect=suspect)
                self._settled(mark)
                changed[suspect] += len(page)
        return changed[True], changed[False]

    def _given(self) -> Iterator[Given]:
        networks: dict[UUID, int] = {}
        for row in self._connection.execute(_RATINGS, (self._realm, ANONYMOUS, MOST)):
            rater, picture, value, position, at, took, again, network = row
            place = None if network is None else networks.setdefault(network, len(networks))
            yield Given(rater, picture, value, position, at, took, again, place)

    def _settled(self, command: Command) -> RaterStands:
        outcome = self._writer.execute_sync(Request(command, new_id()))
        if isinstance(outcome, Rejection):
            message = f"{type(command).__name__} was refused: {outcome.message}"
            raise RefusedError(message)
        result: RaterStands = outcome.result
        return result


class RefusedError(Exception):
    """A standing changed in between: the next run goes by what stands."""
