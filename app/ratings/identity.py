"""Ids of assignments and ratings: they follow from who judges what, so that nobody is ever asked twice. Pure.

The anonymous user is many people: what it is handed has random ids, made by `app.ratings.handout`. Look next:
`app.ratings.decider`, which looks under the lock whether there is such a rating.
"""

from __future__ import annotations

from uuid import UUID, uuid5


def rating_id(rater: UUID, picture: UUID) -> UUID:
    """The one rating of a picture by a rater, and the assignment before it."""
    return uuid5(rater, f"{picture}")


def repeat_id(rater: UUID, picture: UUID) -> UUID:
    """The one time that a rater is asked again about a picture."""
    return uuid5(rater, f"{picture}/again")


def comparison_id(rater: UUID, picture: UUID, other: UUID) -> UUID:
    """The one comparison of two pictures by a rater, whichever is shown first."""
    lower, higher = sorted((picture, other))
    return uuid5(rater, f"{lower}/{higher}")
