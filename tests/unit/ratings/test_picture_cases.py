"""Reports of raters: a picture is hidden at once, and judged once, by moderators."""

from uuid import UUID

import pytest

from app.accounts.decider import GrantRole, OpenRealm
from app.ratings.case_decider import DecidePictureCase, ReportPicture
from app.ratings.decider import Candidate, RequestRatings
from app.ratings.identity import rating_id
from events.accounts import Role
from events.images import ImagesImported, ImportedPicture, PictureReportReason
from events.moderation import Verdict
from events.ratings import Assigned
from projections.pictures import PictureState
from tests.factories import register, uid
from tests.given import Scene, given

ALICE, BOB, MODERATOR, SET, PICTURE, CASE, SECOND = (uid(n) for n in range(1, 8))
UPHELD, DISMISSED = Verdict.UPHELD, Verdict.DISMISSED


def scene() -> Scene:
    """A picture that Alice was handed."""
    assigned = Assigned(id=rating_id(ALICE, PICTURE), picture=PICTURE, image_set=SET)
    return given(
        OpenRealm(), register(ALICE), register(BOB), register(MODERATOR),
        GrantRole(user=MODERATOR, role=Role.MODERATOR),
        ImagesImported(image_set=SET, target=5, pictures=(ImportedPicture(PICTURE, 0, 0, False),)),
        RequestRatings(rater=ALICE, amount=1, candidates=(Candidate(assigned=assigned, wanted=True),)),
    )  # fmt: skip


def report(
    rater: UUID = ALICE, case: UUID = CASE, rating: UUID | None = None, picture: UUID = PICTURE
) -> ReportPicture:
    reason = PictureReportReason.PERSONAL
    return ReportPicture(picture=picture, rater=rater, reason=reason, case=case, rating=rating)


def decide(verdict: Verdict, by: UUID = MODERATOR, case: UUID = CASE) -> DecidePictureCase:
    return DecidePictureCase(case=case, picture=PICTURE, verdict=verdict, by=by)


def state_of(made: Scene) -> PictureState:
    return made.log.state["pictures"][PICTURE].state


def test_a_report_hides_at_once_and_gives_the_assignment_back():
    made = scene()
    then = made.when(report(rating=rating_id(ALICE, PICTURE)))
    assert then.names == ["PictureSkipped", "PictureReported"]
    made.and_given(report(rating=rating_id(ALICE, PICTURE)))
    picture = made.log.state["pictures"][PICTURE]
    assert (picture.state, picture.wanted, picture.report, picture.reporter) == (
        PictureState.HIDDEN, 0, CASE, ALICE,
    )  # fmt: skip
    assert (picture.reason, picture.reported_at) == (PictureReportReason.PERSONAL, made.log.now)
    assert not made.log.state["raters"][ALICE].ahead


def test_who_reports_what_is_hidden_joins_the_case():
    made = scene().and_given(report())
    assert made.when(report(BOB, SECOND)).then_nothing().result.case == CASE


def test_a_case_upheld_takes_the_picture_away_for_good():
    made = scene().and_given(report(), decide(UPHELD))
    assert state_of(made) is PictureState.REMOVED
    made.when(decide(UPHELD)).then_nothing()
    made.when(decide(DISMISSED)).then_rejected("INVALID_INPUT", "input", "verdict")
    made.when(report(BOB, SECOND)).then_rejected("NOT_FOUND")


def test_a_case_dismissed_brings_it_back_and_its_reporter_is_heard_once():
    made = scene().and_given(report(), decide(DISMISSED))
    assert state_of(made) is PictureState.OPEN
    made.when(decide(DISMISSED)).then_nothing()
    made.when(decide(UPHELD)).then_rejected("INVALID_INPUT", "input", "verdict")
    made.when(report(case=SECOND)).then_rejected("FORBIDDEN")
    assert made.when(report(BOB, SECOND)).names == ["PictureReported"]
    made.and_given(report(BOB, SECOND))
    made.when(decide(UPHELD)).then_rejected("NOT_FOUND", "input", "case")


@pytest.mark.parametrize("by", [ALICE, BOB])
def test_only_moderators_decide(by):
    scene().and_given(report()).when(decide(UPHELD, by)).then_rejected("FORBIDDEN")


def test_there_must_be_a_picture_and_a_case():
    scene().when(report(picture=uid(99))).then_rejected("NOT_FOUND", "input", "picture")
    scene().when(decide(UPHELD)).then_rejected("NOT_FOUND", "input", "case")
