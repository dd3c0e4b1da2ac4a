"""Raters are assessed from the real tables, and what follows is in the log: marks, money, a moderator's word."""

import random
from collections.abc import Callable
from typing import Any
from uuid import UUID

import psycopg
import pytest

from app.estimation import measures
from app.images import decider as images
from app.images.decider import Import, ImportPictures, OpenImageSet, picture_id, set_id
from app.platform.commands import Done, Request, rules
from app.platform.ids import new_id
from app.platform.picture_words import ImportedPictureWords
from app.platform.writer import Writer
from app.raters import decider as raters
from app.raters.assessing import AssessedAll, Assessor
from app.raters.decider import JudgeRater, MarkRatings
from app.ratings import decider as ratings
from app.ratings.decider import Candidate, RateImage, RequestRatings
from app.ratings.identity import rating_id
from events.images import ImportedPicture
from events.ratings import Assigned, RaterVerdict
from projections.store import audit
from tests.factories import RULES, open_realm, register, run

PICTURES = 60
SET = set_id("sample")
RULES_HERE = RULES | rules(ratings.RULES, raters.RULES, images.RULES)


@pytest.fixture(autouse=True)
def nobody_is_hasty(monkeypatch: pytest.MonkeyPatch):
    """Tests rate faster than one can look."""
    monkeypatch.setattr(measures, "LEAST_TIMED", 10**9)


@pytest.fixture
def crowd(start_writer: Callable[..., Writer]) -> tuple[Writer, list[UUID]]:
    """Five raters of sixty pictures: the last one says 8 of each."""
    writer = start_writer(rules=RULES_HERE)
    open_realm(writer)
    run(writer, OpenImageSet(name="sample", licence="CC0-1.0", target=5, description=""))
    keys = [picture_id(SET, str(number)) for number in range(PICTURES)]
    words = [ImportedPictureWords(key, SET, "https://pictures.example/1.png", "") for key in keys]
    imports = [Import(ImportedPicture(w.picture, 64, 64, nsfw=False), w) for w in words]
    run(writer, ImportPictures(image_set=SET, imports=tuple(imports)))
    dice = random.Random(5)
    worth = {key: dice.uniform(2, 9) for key in keys}
    found = []
    for number in range(5):
        person = register()
        run(writer, person)
        found.append(person.user)
        for start in range(0, PICTURES, 10):
            _rate(writer, person.user, keys[start : start + 10], worth, dice, lazy=number == 4)
    return writer, found


def _rate(
    writer: Writer, user: UUID, keys: list[UUID], worth: dict[UUID, float], dice: random.Random, *, lazy: bool
) -> None:
    handed = [Assigned(id=rating_id(user, key), picture=key, image_set=SET) for key in keys]
    candidates = tuple(Candidate(assigned=each, wanted=False) for each in handed)
    run(writer, RequestRatings(rater=user, amount=10, candidates=candidates))
    for each in handed:
        value = 8 if lazy else min(10, max(1, round(worth[each.picture] + dice.gauss(0, 0.7))))
        run(writer, RateImage(rating=each.id, rater=user, picture=each.picture, value=value, artifacts=None))


def assess(application: psycopg.Connection[Any], writer: Writer) -> AssessedAll:
    return Assessor(application, 0, writer).run()


def row(application: psycopg.Connection[Any], user: UUID) -> tuple[Any, ...]:
    """(standing, marked, rewarded, reversed, restored, escrow of ratings)."""
    found = application.execute(
        "SELECT r.standing, r.marked, r.rewarded, r.reversed, r.restored, a.rating_escrow FROM projections.raters r "
        "JOIN projections.accounts a USING (realm, id) WHERE r.id = %s",
        (user,),
    ).fetchone()
    assert found is not None
    return tuple(found)


def test_a_lazy_rater_is_marked_pays_back_and_may_be_cleared(
    crowd: tuple[Writer, list[UUID]],
    application: psycopg.Connection[Any],
    owner: psycopg.Connection[Any],
):
    writer, users = crowd
    done = assess(application, writer)
    assert (done.ratings, done.standings) == (300, {"GOOD": 4, "SUSPECT": 1})
    assert (done.marked, done.lifted) == (PICTURES, 0)
    earned = PICTURES * 500
    assert row(application, users[4]) == ("SUSPECT", PICTURES, earned, earned, 0, 0)
    assert row(application, users[0]) == ("GOOD", 0, earned, 0, 0, earned), "a new account's rewards wait"
    counted = application.execute("SELECT DISTINCT ratings, wanted FROM projections.pictures").fetchall()
    assert counted == [(4, 1)], "another rater is wanted for each"
    again = assess(application, writer)
    assert (again.marked, again.standings) == (0, done.standings)
    kinds = "SELECT count(*) FROM log.event WHERE type = 'ratings.RaterAssessed'"
    assert application.execute(kinds).fetchone() == (5,), "nothing new, nothing recorded"

    assert isinstance(
        writer.execute_sync(
            Request(JudgeRater(rater=users[4], verdict=RaterVerdict.CLEARED, by=None), new_id())
        ),
        Done,
    )
    assert Assessor(application, 0, writer).mark() == (0, PICTURES)
    assert row(application, users[4]) == ("GOOD", 0, earned, earned, earned, earned)
    assert assess(application, writer).standings == {"GOOD": 4, "WATCHED": 1}, "the moderator's word stands"
    assert row(application, users[4])[1] == 0
    assert audit.verify(owner, 0).clean


def test_what_was_spent_is_recorded_and_not_owed(
    crowd: tuple[Writer, list[UUID]], application: psycopg.Connection[Any]
):
    writer, users = crowd
    refused = writer.execute_sync(
        Request(MarkRatings(rater=users[0], ratings=(), pictures=(), suspect=True), new_id())
    )
    assert not isinstance(refused, Done), "who is not suspect is not marked"
    application.execute("UPDATE projections.accounts SET rating_escrow = 100, escrow = 100")
    fresh = Writer(writer._url, 0, RULES_HERE, on_fatal=lambda _: None)  # has no rows at hand
    fresh.start()
    try:
        Assessor(application, 0, fresh).run()
    finally:
        fresh.stop()
    gone = application.execute(
        "SELECT data::jsonb ->> 'amount', data::jsonb ->> 'uncovered' FROM log.event "
        "WHERE type = 'ratings.RatingRewardsReversed'"
    ).fetchone()
    assert gone == ("100", str(PICTURES * 500 - 100))
