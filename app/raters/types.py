"""What the API shows of a rater: standing, findings in numbers and words, marks, rewards, an appeal.

Mapping only. Look next: `app.raters.graphql`, `app.raters.explaining`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import Enum
from typing import Final
from uuid import UUID

import strawberry

from app.platform.graphql.connections import PageInfo
from app.platform.graphql.enums import described_enum
from app.platform.graphql.scalars import Kudos, Position
from app.raters.explaining import explained, what_follows
from app.raters.findings import Finding, findings_of
from events import ratings
from projections import raters as rows

_STANDINGS: Final = {
    "NEW": "Too little is known.",
    "GOOD": "Nothing speaks against it, by 50 ratings and more.",
    "WATCHED": "One thing looks odd.",
    "SUSPECT": "Something is clear, two things look odd, or moderators say so.",
}
_CAUSES: Final = {
    "KNOWN_ANSWERS": "Pictures whose answer is known were rated otherwise.",
    "INCONSISTENT": "The same picture was rated otherwise when it came again.",
    "HASTY": "Faster than one can look.",
    "PACE": "More in an hour than people do.",
    "MONOTONOUS": "Always the same few values.",
    "UNRELIABLE": "Says nothing of what the others see.",
    "COPYING": "Says what others said before, errors and all.",
    "COLLUDING": "Errs where some others err.",
}
RaterStanding = described_enum(
    ratings.Standing,
    "RaterStanding",
    "How far a rater is believed.",
    lambda each: _STANDINGS[each.value],
)
RaterCause = described_enum(
    ratings.RaterCause, "RaterCause", "What speaks against a rater.", lambda each: _CAUSES[each.value]
)
RaterVerdict = described_enum(
    ratings.RaterVerdict,
    "RaterVerdict",
    "What moderators decide of a rater.",
    lambda each: {
        "CLEARED": "Nothing is wrong: marks are lifted, rewards paid again; it is watched at most from now on.",
        "CONFIRMED": "It is as it looks, and stays suspect.",
    }[each.value],
)


@strawberry.enum(description="How much a finding says against a rater.")
class FindingWeight(Enum):
    """The members of `app.raters.findings.Weight`."""

    NOTHING = strawberry.enum_value("NOTHING", description="As usual.")
    ODD = strawberry.enum_value("ODD", description="It may be chance, or a habit; two of them make suspect.")
    CLEAR = strawberry.enum_value("CLEAR", description="Enough by itself.")


@strawberry.type(description="One thing that an assessment looked at.")
class RaterFinding:
    """Of a rater's last assessment."""

    cause: RaterCause = strawberry.field(description="What was looked at.")  # type: ignore[valid-type]
    weight: FindingWeight = strawberry.field(description="How much it says.")
    observed: int = strawberry.field(description="The number, in the unit of the explanation.")
    lowest: int | None = strawberry.field(description="The least that is usual; null: no limit.")
    highest: int | None = strawberry.field(description="The most that is usual; null: no limit.")
    evidence: int = strawberry.field(description="How many ratings, repeats or pictures it rests on.")
    explanation: str = strawberry.field(description="All of that in words.")


@strawberry.type(description="What a rater says about its standing.")
class RaterAppeal:
    """An open appeal."""

    id: strawberry.ID = strawberry.field(description="The appeal.")
    note: str | None = strawberry.field(description="In the rater's words; null if they were erased.")


@strawberry.type(
    description="How far somebody's ratings are believed, why, and what follows. For moderators and for themselves."
)
class Rater:
    """A rater."""

    id: strawberry.ID = strawberry.field(description="The user's id.")
    standing: RaterStanding = strawberry.field(description="By the last assessment, or by moderators.")  # type: ignore[valid-type]
    consequences: str = strawberry.field(description="What follows from the standing, in words.")
    causes: list[RaterCause] = strawberry.field(description="What speaks against it.")  # type: ignore[valid-type]
    findings: list[RaterFinding] = strawberry.field(
        description="What the last assessment looked at, good and bad; nothing of what there is too little of."
    )
    assessed_at: datetime | None = strawberry.field(description="When; null: never.")
    assessed_up_to: Position | None = strawberry.field(description="By all ratings up to this position.")
    given: int = strawberry.field(description="Ratings of pictures, without repeats.")
    marked: int = strawberry.field(description="Of those, how many count for no picture.")
    trusted: bool = strawberry.field(description="It earned trust by rating: rewards are paid at once.")
    rewarded: Kudos = strawberry.field(description="What ratings ever earned.")
    reversed: Kudos = strawberry.field(description="What of it went back.")
    restored: Kudos = strawberry.field(description="What was paid again.")
    verdict: RaterVerdict | None = strawberry.field(description="What moderators decided.")  # type: ignore[valid-type]
    judged_at: datetime | None = strawberry.field(description="When they did.")
    appeal: RaterAppeal | None = strawberry.field(description="An appeal that nobody has decided yet.")


@strawberry.type(description="An edge of a page of raters.")
class RaterEdge:
    """A rater and its cursor."""

    cursor: str = strawberry.field(description="Where to go on.")
    node: Rater = strawberry.field(description="The rater.")


@strawberry.type(description="A page of raters.")
class RaterConnection:
    """Raters."""

    edges: list[RaterEdge] = strawberry.field(description="The raters.")
    page_info: PageInfo = strawberry.field(description="Where to go on.")


def rater_of(row: rows.Rater, words: Mapping[UUID, str]) -> Rater:
    """A rater; `words` are those of its open appeal."""
    findings = [] if row.scores is None else findings_of(row.scores)
    return Rater(
        id=strawberry.ID(str(row.id)),
        standing=RaterStanding(row.standing.value),
        consequences=what_follows(row.standing),
        causes=[RaterCause(cause.value) for cause in row.causes],
        findings=[_finding(each) for each in findings],
        assessed_at=row.assessed_at,
        assessed_up_to=Position(row.assessed) if row.assessed_at else None,
        given=row.given,
        marked=row.marked,
        trusted=row.trusted,
        rewarded=Kudos(row.rewarded),
        reversed=Kudos(row.reversed),
        restored=Kudos(row.restored),
        verdict=None if row.verdict is None else RaterVerdict(row.verdict.value),
        judged_at=row.judged_at,
        appeal=None
        if row.appeal is None
        else RaterAppeal(id=strawberry.ID(str(row.appeal)), note=words.get(row.appeal)),
    )


def _finding(found: Finding) -> RaterFinding:
    return RaterFinding(
        cause=RaterCause(found.cause.value),
        weight=FindingWeight[found.weight.name],
        observed=found.observed,
        lowest=found.lowest,
        highest=found.highest,
        evidence=found.evidence,
        explanation=explained(found),
    )
