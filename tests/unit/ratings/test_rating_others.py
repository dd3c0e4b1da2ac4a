"""Handing out, rating, comparing and skipping: never own, never twice, paid once, within the day's number."""

from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from app.accounts.decider import GrantRole, OpenRealm
from app.ledger.rating_rewards import DAILY, DAILY_TRUSTED, Unpaid
from app.platform.picture_words import RatingNote, RatingOrigin
from app.ratings.decider import (
    LASTS,
    MAX_AHEAD,
    Candidate,
    RateComparison,
    RateImage,
    RequestRatings,
    SkipImage,
)
from app.ratings.identity import comparison_id, rating_id, repeat_id
from app.ratings.judging import Source
from events.accounts import Role
from events.base import ANONYMOUS
from events.images import ImagesImported, ImportedPicture, MirrorFailed, MirrorFault, PictureReported
from events.images import PictureReportReason as Reason
from events.ratings import (
    AccountKind,
    Assigned,
    ImageRated,
    Preference,
    RaterAssessed,
    RaterScores,
    RatingTag,
    Standing,
)
from projections.pictures import counts
from tests.factories import at, register, uid
from tests.given import Scene, given, later

ALICE, BOB, SET = uid(1), uid(2), uid(9)
PICTURES = tuple(uid(100 + n) for n in range(30))
NOTHING_KNOWN = RaterScores(
    ratings=0, known=0, known_missed=0, repeats=0, repeat_error=None, hasty=None, pace=None, entropy=None,
    bias=None, spread=None, reliability=None, copying=None,
)  # fmt: skip


def scene(target: int = 5) -> Scene:
    """A set of pictures and two people."""
    imported = tuple(ImportedPicture(key, 512, 512, False) for key in PICTURES)
    return given(
        OpenRealm(), register(ALICE), register(BOB),
        ImagesImported(image_set=SET, target=target, pictures=imported),
    )  # fmt: skip


def may(rater: UUID, picture: UUID = PICTURES[0], *, again: bool = False, wanted: bool = True) -> Candidate:
    key = repeat_id(rater, picture) if again else rating_id(rater, picture)
    key = uuid4() if rater == ANONYMOUS else key
    return Candidate(
        assigned=Assigned(id=key, picture=picture, image_set=SET, again=again), wanted=wanted and not again
    )


def hand(rater: UUID = ALICE, *pictures: UUID, amount: int = 1, **given: bool) -> RequestRatings:
    proposed = tuple(may(rater, picture, **given) for picture in pictures or PICTURES[:1])
    return RequestRatings(rater=rater, amount=amount, candidates=proposed)


def rate(
    rater: UUID = ALICE, picture: UUID = PICTURES[0], value: int = 7, artifacts: int | None = None, **more
) -> RateImage:
    more = {"rating": rating_id(rater, picture), "rater": rater, "picture": picture} | more
    return RateImage(value=value, artifacts=artifacts, **more)


def pair(rater: UUID = ALICE) -> RequestRatings:
    first, second = PICTURES[:2]
    assigned = Assigned(id=comparison_id(rater, first, second), picture=first, other=second, image_set=SET)
    return RequestRatings(rater=rater, amount=1, candidates=(Candidate(assigned=assigned, wanted=False),))


def compare(preference: Preference = Preference.FIRST) -> RateComparison:
    key = comparison_id(ALICE, *PICTURES[:2])
    return RateComparison(rating=key, rater=ALICE, pictures=PICTURES[:2], preference=preference)


def assessed(standing: Standing) -> RaterAssessed:
    return RaterAssessed(rater=ALICE, up_to=1, scores=NOTHING_KNOWN, standing=standing, causes=())


def test_as_many_are_handed_out_as_are_asked_for():
    then = scene().when(hand(ALICE, *PICTURES[:5], amount=2))
    (event,) = then.events
    assert [each.picture for each in event.assignments] == list(PICTURES[:2])
    assert event.expires_at == at(0) + LASTS
    assert then.result.assignments == event.assignments


def test_no_more_than_ten_are_open_and_those_that_ended_do_not_count():
    made = scene().and_given(hand(ALICE, *PICTURES[:9], amount=9))
    assert len(made.when(hand(ALICE, *PICTURES[9:14], amount=5)).result.assignments) == MAX_AHEAD - 9
    made.and_given(hand(ALICE, PICTURES[9]))
    then = made.when(hand(ALICE, PICTURES[10])).then_nothing()
    assert then.result.enough
    made.and_given(rate())
    assert made.when(hand(ALICE, PICTURES[10])).names == ["RatingsAssigned"]
    assert made.and_given(later(LASTS.total_seconds())).when(hand(ALICE, *PICTURES[10:20], amount=10)).names
    assert not made.when(hand(BOB, PICTURES[0])).result.enough, "others have hands of their own"


def test_what_was_judged_skipped_or_is_in_hand_is_not_handed_out():
    made = scene().and_given(hand())
    assert not made.when(hand()).events, "in hand"
    again = Scene(made.log)
    made.and_given(later(LASTS.total_seconds()))
    assert made.when(hand()).names == ["RatingsAssigned"], "it was not answered"
    made.and_given(hand(), rate())
    assert not again.when(hand()).events, "judged"
    made.and_given(hand(ALICE, PICTURES[1]), SkipImage(rating=rating_id(ALICE, PICTURES[1]), rater=ALICE))
    made.and_given(later(LASTS.total_seconds()))
    assert not made.when(hand(ALICE, PICTURES[1])).events, "skipped"


def test_what_is_hidden_removed_or_wanted_no_more_is_not_handed_out():
    hidden, removed, enough, kept = PICTURES[:4]
    made = scene(target=1).and_given(
        PictureReported(picture=hidden, image_set=SET, case=uid(70), rater=BOB, reason=Reason.BROKEN),
        MirrorFailed(picture=removed, image_set=SET, reason=MirrorFault.UNREACHABLE),
        hand(BOB, enough), rate(BOB, enough),
    )  # fmt: skip
    then = made.when(hand(ALICE, hidden, removed, enough, kept, amount=4))
    assert [each.picture for each in then.result.assignments] == [kept]
    assert made.when(hand(ALICE, enough, wanted=False)).names == ["RatingsAssigned"], "a known answer may be"


def test_a_repeat_is_of_a_picture_that_was_rated_and_comes_once():
    made = scene()
    repeat = hand(ALICE, again=True)
    assert not made.when(repeat).events
    made.and_given(hand(), rate(value=7))
    assert made.when(repeat).result.assignments[0].again
    made.and_given(repeat, rate(value=6, rating=repeat_id(ALICE, PICTURES[0])))
    event = made.log.facts[-1].event
    assert isinstance(event, ImageRated)
    assert event.again
    assert not counts(event)
    assert not made.when(repeat).events
    assert made.log.state["pictures"][PICTURES[0]].ratings == 1


@pytest.mark.parametrize(("standing", "pause"), [(Standing.WATCHED, 10), (Standing.SUSPECT, 60)])
def test_raters_who_are_not_believed_get_one_after_another_slowly(standing, pause):
    made = scene().and_given(assessed(standing))
    assert len(made.when(hand(ALICE, *PICTURES[:3], amount=3)).result.assignments) == 1
    made.and_given(hand(), later(pause - 1))
    told = made.when(hand(ALICE, PICTURES[1])).then_rejected("TRY_AGAIN")
    assert told.detail == {"retry_after_seconds": 1.0}
    assert made.and_given(later(1)).when(hand(ALICE, PICTURES[1])).events


def test_a_rating_holds_what_is_known_of_its_rater_and_its_words_are_in_the_vault():
    source = Source(client="a client", client_version="1", network=uid(60))
    made = scene().and_given(hand(), later(4.5))
    tags = (RatingTag.PHOTO, RatingTag.BLURRY)
    then = made.when(rate(value=8, artifacts=0, tags=tags, note="a note", source=source))
    (event,) = then.events
    assert (event.value, event.artifacts, event.tags) == (8, 0, (RatingTag.BLURRY, RatingTag.PHOTO))
    assert event.context.took == 4500
    assert event.context.kind is AccountKind.REGISTERED
    assert (event.context.given, event.context.client, event.context.client_version) == (0, "a client", "1")
    assert (event.reward, event.escrowed) == (1000, 1000)
    assert set(then.vault) == {
        RatingNote(event.rating, ALICE, "a note"),
        RatingOrigin(event.rating, ALICE, uid(60), made.log.now),
    }
    made.and_given(rate(value=8, artifacts=0))
    account = made.log.accounts()[ALICE]
    assert (account.balance, account.escrow, account.rating_escrow, account.rated) == (0, 1000, 1000, 1000)


def test_the_same_again_changes_nothing_and_another_rating_is_refused():
    made = scene().and_given(hand(), rate(value=7))
    again = made.when(rate(value=7)).then_nothing()
    assert (again.result.earned.reward, again.result.earned.escrowed) == (500, None)
    made.when(rate(value=8)).then_rejected("ASSIGNMENT_ENDED", "input", "assignment")
    made.when(rate(value=7, artifacts=0)).then_rejected("ASSIGNMENT_ENDED")
    made.when(SkipImage(rating=rating_id(ALICE, PICTURES[0]), rater=ALICE)).then_rejected("ASSIGNMENT_ENDED")


def test_an_assignment_is_good_until_its_end_and_only_for_its_rater():
    made = scene().and_given(hand())
    key = rating_id(ALICE, PICTURES[0])
    made.when(rate(BOB, rating=key)).then_rejected("NOT_FOUND", "input", "assignment")
    made.when(SkipImage(rating=key, rater=BOB)).then_rejected("NOT_FOUND")
    made.when(rate(ALICE, PICTURES[1])).then_rejected("NOT_FOUND")
    made.and_given(later(LASTS.total_seconds() - 1))
    assert made.when(rate()).names == ["ImageRated"]
    made.and_given(later(1))
    made.when(rate()).then_rejected("ASSIGNMENT_ENDED", match="time is over")


def test_what_became_of_the_picture_meanwhile_takes_nothing_from_the_rater():
    gone = MirrorFailed(picture=PICTURES[0], image_set=SET, reason=MirrorFault.UNREACHABLE)
    then = scene().and_given(hand(), gone).when(rate())
    assert then.result.earned.reward == 500


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"value": 0}, "rating"), ({"value": 11}, "rating"), ({"artifacts": -1}, "artifacts"),
        ({"artifacts": 6}, "artifacts"), ({"note": "x" * 501}, "note"), ({"note": "a\0b"}, "note"),
        ({"tags": (RatingTag.PHOTO, RatingTag.PHOTO)}, "tags"), ({"tags": tuple(RatingTag)[:9]}, "tags"),
    ],
)  # fmt: skip
def test_what_is_said_wrongly_is_refused_by_its_name(changes, path):
    scene().and_given(hand()).when(rate(**changes)).then_rejected("INVALID_INPUT", "input", path)


def test_pictures_are_compared_once_and_never_count_as_rated():
    made = scene().and_given(pair())
    then = made.when(compare())
    (event,) = then.events
    assert (event.preference, event.reward, event.escrowed) == (Preference.FIRST, 500, 500)
    made.and_given(compare())
    made.when(compare()).then_nothing()
    made.when(compare(Preference.TIE)).then_rejected("ASSIGNMENT_ENDED")
    assert not made.when(pair()).events
    picture = made.log.state["pictures"][PICTURES[0]]
    assert (picture.ratings, picture.comparisons) == (0, 1)


def test_each_task_has_its_own_answer():
    made = scene().and_given(hand(), pair(BOB))
    key = comparison_id(BOB, *PICTURES[:2])
    made.when(rate(BOB, rating=key)).then_rejected("INVALID_INPUT", "input", "assignment")
    one = RateComparison(
        rating=rating_id(ALICE, PICTURES[0]), rater=ALICE, pictures=PICTURES[:1], preference=Preference.TIE
    )
    made.when(one).then_rejected("INVALID_INPUT", "input", "assignment")


def test_anonymous_raters_are_not_paid_and_do_not_count_and_are_many():
    made = scene()
    keys = []
    for _ in range(12):
        asked = hand(ANONYMOUS)
        keys.append(asked.candidates[0].assigned.id)
        assert made.when(asked).events, "they have no hands to be full"
        made.and_given(asked)
    for key in keys:
        made.and_given(rate(ANONYMOUS, rating=key))
    event = made.log.facts[-1].event
    assert (event.reward, event.postings, event.context.kind) == (0, (), AccountKind.ANONYMOUS)
    assert made.log.state["pictures"][PICTURES[0]].ratings == 0
    made.and_given(hand(ANONYMOUS))
    key = next(k for k, row in made.log.state["ratings"].items() if row.settled is None and row.value is None)
    assert made.when(rate(ANONYMOUS, rating=key)).result.earned.unpaid is Unpaid.ANONYMOUS


def test_trusted_raters_are_paid_at_once_unless_something_is_odd():
    made = scene().and_given(GrantRole(user=ALICE, role=Role.TRUSTED), hand())
    assert made.when(rate()).result.earned.escrowed == 0
    made.and_given(assessed(Standing.WATCHED))
    assert made.when(rate()).result.earned.escrowed == 500
    made.and_given(assessed(Standing.GOOD))
    made.and_given(rate())
    assert made.log.accounts()[ALICE].balance == 500


@pytest.mark.parametrize(("roles", "limit"), [((), DAILY), ((Role.TRUSTED,), DAILY_TRUSTED)])
def test_a_days_number_is_paid_and_what_is_beyond_is_taken_unpaid(roles, limit):
    made = scene().and_given(*(GrantRole(user=ALICE, role=role) for role in roles), hand(), rate())
    rater = made.log.state["raters"][ALICE]
    made.log.state["raters"][ALICE] = type(rater)(
        **{name: getattr(rater, name) for name in rater.__struct_fields__} | {"paid_today": limit - 1}
    )
    made.and_given(hand(ALICE, *PICTURES[1:4], amount=3), rate(ALICE, PICTURES[1]))
    told = made.when(rate(ALICE, PICTURES[2])).result.earned
    assert (told.reward, told.unpaid) == (0, Unpaid.DAILY_LIMIT)
    made.and_given(later(timedelta(days=1).total_seconds()), hand(ALICE, PICTURES[5]))
    assert made.when(rate(ALICE, PICTURES[5])).result.earned.reward == 500
