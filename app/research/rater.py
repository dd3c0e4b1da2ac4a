"""What a rater's standing and marks rest on. Pure.

Look next: `app.raters.findings`, docs/raters.md.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

from app.ledger.quote import decimal_text as kudos
from app.research.answers import NothingError, Statement, Told, Why, statement, told_of
from events.base import Recorded
from events.ratings import (
    AppealMade,
    BestNamed,
    ImageRated,
    PicturesCompared,
    RaterAssessed,
    RaterJudged,
    RaterScores,
    RatingEscrowReleased,
    RatingRewardsRestored,
    RatingRewardsReversed,
    RatingsMarked,
)

#: what an assessment's numbers say, in sentences
Explain = Callable[[RaterScores], Sequence[str]]


def why_rater(rater: UUID, events: Sequence[Recorded], explain: Explain, position: int) -> Why:
    """A rater's history in sentences; the last assessment with all its findings.

    Args:
        rater: the user.
        events: the rater's stream, in order.
        explain: what scores say.
        position: up to which the log was read.

    Raises:
        NothingError: nobody handed it anything.
    """
    story = told_of(events, position)
    if not story:
        message = f"{rater} was never handed a picture"
        raise NothingError(message)
    rewarded = [
        (r, e.reward)
        for r, e in story
        if isinstance(e, ImageRated | PicturesCompared | BestNamed) and e.reward
    ]
    lines: list[Statement] = []
    if rewarded:
        amount = sum(reward for _, reward in rewarded)
        lines.append(
            statement(f"{len(rewarded)} judgements earned {kudos(amount)}", [r for r, _ in rewarded])
        )
    lines += [statement(text, [r]) for r, e in story if (text := _said(e)) is not None]
    return Why(
        question="rater", id=str(rater), position=position, statements=(*lines, *_findings(story, explain))
    )


def _findings(story: list[Told], explain: Explain) -> list[Statement]:
    """Of the last assessment."""
    last = next(((r, e) for r, e in reversed(story) if isinstance(e, RaterAssessed)), None)
    if last is None:
        return []
    recorded, event = last
    return [statement(f"last assessment: {text}", [recorded]) for text in explain(event.scores)]


def _said(event: Any) -> str | None:
    match event:
        case RaterAssessed():
            causes = (
                f", because of {', '.join(cause.lower() for cause in event.causes)}" if event.causes else ""
            )
            return f"assessed by the ratings up to position {event.up_to}: {event.standing.lower()}{causes}"
        case RatingsMarked():
            return f"{len(event.marks)} ratings {'marked as suspect' if event.suspect else 'marked no more'}"
        case RatingRewardsReversed():
            gone = f"; {kudos(event.uncovered)} were gone: recorded, not owed" if event.uncovered else ""
            return f"rewards of {event.ratings} ratings taken back: {kudos(event.amount)}{gone}"
        case RatingRewardsRestored():
            return f"rewards paid again: {kudos(event.amount)}"
        case RatingEscrowReleased():
            return f"trusted: {kudos(event.amount)} out of escrow"
        case RaterJudged():
            return f"moderators decided: {event.verdict.lower()}"
        case AppealMade():
            return "appealed to moderators"
    return None
