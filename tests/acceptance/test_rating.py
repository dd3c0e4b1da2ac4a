"""Rating through the public API: pictures handed out, judged and paid; requesters rate their own; reports and cases."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest

from tests.acceptance.horde import NOBODY, Horde, Submitted, User, transfer
from tests.acceptance.processes import eventually
from tests.acceptance.wires import Api, Refusal

PICTURE = "{ id imageSetId url }"
HANDED = (
    "... on RequestImageToRateSuccess { assignments { id task expiresAt "
    f"picture {PICTURE} other {PICTURE} criteria {{ question lowest highest artifacts {{ artifacts name }} }} }} "
    "position } ... on NoImageToRate { reason }"
)
REWARD = "ratingId reward { amount escrowed unpaid } position"


def hand(api: Api, **given: Any) -> dict[str, Any]:
    """What a rater is handed."""
    return api.call("requestImageToRate", HANDED, {"nsfw": True, **given})


def rate(api: Api, assignment: str, rating: int = 7, **given: Any) -> dict[str, Any]:
    """What a rating comes to."""
    said = {"assignment": assignment, "rating": rating, **given}
    return api.call("rateImage", f"... on RateImageSuccess {{ {REWARD} }}", said)


def published(requester: User, worker_owner: User, model: str, n: int = 2, **given: Any) -> Submitted:
    """A shared job whose pictures are all published."""
    job = requester.submit(models=[model], share=True, params={"n": n}, **given)
    worker_owner.worker(model).serve(amount=n)
    eventually(lambda: all(g["sha256"] for g in job.now()["generations"]), 20, "its pictures are published")
    return job


def pictures(job: Submitted) -> list[str]:
    return [generation["id"] for generation in job.now()["generations"]]


def test_i_am_handed_pictures_rate_them_and_earn_kudos(
    horde: Horde, alice: User, bob: User, model: str
) -> None:
    """Features 156, 171 and 172: pictures are handed out; rating them earns kudos, and the log keeps who rated."""
    job = published(alice, bob, model)
    carol = horde.register("carol")
    handed = hand(carol.api, model=model, amount=5)["assignments"]
    assert {each["picture"]["id"] for each in handed} == set(pictures(job))
    assert [each["task"] for each in handed] == ["RATE", "RATE"]
    status, picture = transfer("GET", handed[0]["picture"]["url"])
    assert (status, picture[:4]) == (200, b"RIFF")
    agent = "my client:3:me@example.org"
    told = rate(
        carol.api, handed[0]["id"], 8, artifacts=1, tags=["PHOTO"], note="a marked note", clientAgent=agent
    )
    assert told["reward"] == {"amount": "10.00", "escrowed": "10.00", "unpaid": None}
    assert rate(carol.api, handed[1]["id"], 3)["reward"]["amount"] == "5.00"
    assert carol.earned == Decimal("15.00")
    assert hand(carol.api, model=model)["reason"] == "NOTHING_LEFT"
    rated = [event["data"] for event in horde.events(types=["ratings.ImageRated"])]
    (mine,) = (event for event in rated if event["rating"] == handed[0]["id"])
    known = {"given": 0, "kind": "REGISTERED", "client": "my client", "client_version": "3", "trusted": False}
    assert known.items() <= mine["context"].items()
    assert mine["context"]["took"] > 0
    assert not any(secret in str(rated) for secret in ("a marked note", "example.org"))


def test_the_same_again_changes_nothing_and_a_judgement_stands(
    horde: Horde, alice: User, bob: User, model: str
) -> None:
    """Feature 172: a rating is given once, whatever is sent again."""
    published(alice, bob, model, n=1)
    carol, dave = horde.register("carol"), horde.register("dave")
    key = str(uuid4())
    first = hand(carol.api, model=model, idempotencyKey=key)
    again = hand(carol.api, model=model, idempotencyKey=key)
    assert [each["id"] for each in again["assignments"]] == [each["id"] for each in first["assignments"]]
    assignment = first["assignments"][0]["id"]
    in_hand = "{ viewer { ratingAssignments { id picture { id url } } } }"
    assert [each["id"] for each in carol.api.ask(in_hand)["viewer"]["ratingAssignments"]] == [assignment]
    with pytest.raises(Refusal) as stolen:
        rate(dave.api, assignment)
    assert stolen.value.code == "NOT_FOUND"
    told = rate(carol.api, assignment, 4)
    assert rate(carol.api, assignment, 4)["reward"]["amount"] == told["reward"]["amount"] == "5.00"
    with pytest.raises(Refusal) as other:
        rate(carol.api, assignment, 5)
    assert (other.value.code, other.value.path) == ("ASSIGNMENT_ENDED", ["input", "assignment"])
    assert carol.earned == Decimal(5)
    assert carol.api.ask(in_hand)["viewer"]["ratingAssignments"] == []
    given = carol.api.ask(
        "{ viewer { ratingEscrow totals { rated } ratings(first: 5) { edges { node { id rating reward suspect } } } } }"
    )["viewer"]
    assert (given["ratingEscrow"], given["totals"]["rated"]) == ("5.00", "5.00")
    assert [edge["node"] for edge in given["ratings"]["edges"]] == [
        {"id": assignment, "rating": 4, "reward": "5.00", "suspect": False}
    ]
    (line,) = carol.statement()
    assert (line["reason"], line["amount"]) == ("rating", "0.00")
    assert [item["amount"] for item in line["breakdown"]] == ["5.00", "-5.00"]


def test_two_pictures_of_a_job_are_compared(horde: Horde, alice: User, bob: User, model: str) -> None:
    """Feature 172: pictures are judged in pairs, too."""
    job = published(alice, bob, model)
    carol = horde.register("carol")
    (handed,) = hand(carol.api, model=model, task="COMPARE")["assignments"]
    assert {handed["picture"]["id"], handed["other"]["id"]} == set(pictures(job))
    given = {"assignment": handed["id"], "preference": "FIRST"}
    told = carol.api.call("rateComparison", f"... on RateComparisonSuccess {{ {REWARD} }}", given)
    assert told["reward"]["amount"] == "5.00"
    assert hand(carol.api, model=model, task="COMPARE")["reason"] == "NOTHING_LEFT"
    with pytest.raises(Refusal) as other:
        rate(carol.api, handed["id"])
    assert other.value.code == "INVALID_INPUT"


def test_nobody_is_handed_their_own_or_what_they_skipped_and_strangers_earn_nothing(
    horde: Horde, alice: User, bob: User, model: str
) -> None:
    """Feature 172: pictures go to others, and to anonymous raters unpaid."""
    published(alice, bob, model, n=1)
    assert hand(alice.api, model=model)["reason"] == "NOTHING_LEFT"
    assert hand(bob.api, model=model, imageSet=NOBODY)["reason"] == "NOTHING_LEFT"
    (handed,) = hand(bob.api, model=model)["assignments"]
    bob.api.call("skipImage", "... on SkipImageSuccess { assignmentId }", {"assignment": handed["id"]})
    assert hand(bob.api, model=model)["reason"] == "NOTHING_LEFT"
    for _ in range(2):
        (handed,) = hand(horde.anonymous, model=model)["assignments"]
        told = rate(horde.anonymous, handed["id"], artifacts=5)
        assert told["reward"] == {"amount": "0.00", "escrowed": "0.00", "unpaid": "ANONYMOUS"}


OWN = "... on RateJobSuccess { rated best derived reward { amount escrowed unpaid } position }"


def test_i_rate_my_own_pictures_and_name_the_best(horde: Horde, alice: User, bob: User, model: str) -> None:
    """Features 168 and 170: requesters rate their own pictures, for less than they cost, and name the best."""
    job = published(alice, bob, model)
    one, two = pictures(job)
    given = {"job": job.id, "ratings": [{"generation": one, "rating": 9}, {"generation": two, "rating": 4}]}
    with pytest.raises(Refusal) as strange:
        bob.api.call("rateJob", OWN, given)
    assert strange.value.code == "NOT_FOUND"
    with pytest.raises(Refusal) as lower:
        alice.api.call("rateJob", OWN, {**given, "best": two})
    assert (lower.value.code, lower.value.path) == ("BEST_NOT_HIGHEST", ["input", "best"])
    told = bob.api.call("rateJob", OWN, {**given, "accessKey": job.access_key})
    assert (told["rated"], told["best"], told["derived"]) == (2, one, True)
    assert told["reward"]["amount"] == "10.00"
    assert alice.api.ask("{ viewer { totals { rated } } }")["viewer"]["totals"]["rated"] == "10.00"
    assert alice.api.call("rateJob", OWN, given)["rated"] == 0
    with pytest.raises(Refusal) as stands:
        alice.api.call("rateJob", OWN, {"job": job.id, "best": two})
    assert stands.value.code == "ALREADY_RATED"
    private = alice.submit(models=[model], share=False)
    with pytest.raises(Refusal) as early:
        alice.api.call("rateJob", OWN, {**given, "job": private.id})
    assert early.value.code == "JOB_NOT_ENDED"
    private.cancel()
    with pytest.raises(Refusal) as unshared:
        alice.api.call("rateJob", OWN, {**given, "job": private.id})
    assert unshared.value.code == "NOT_SHARED"


SCORES = "query($id: ID!) { picture(id: $id) { id state ratings target scores { ratings mean values } } }"


def test_what_others_say_is_shown_to_who_has_rated(horde: Horde, alice: User, bob: User, model: str) -> None:
    """Feature 172: scores are open, but move nobody's rating."""
    (picture,) = pictures(published(alice, bob, model, n=1))
    carol, dave = horde.register("carol"), horde.register("dave")
    for user, rating in ((carol, 8), (dave, 4)):
        (handed,) = hand(user.api, model=model)["assignments"]
        assert user.api.ask(SCORES, id=picture)["picture"]["scores"] is None
        rate(user.api, handed["id"], rating)
    assert bob.api.ask(SCORES, id=picture)["picture"]["scores"] is None

    def scored() -> Mapping[str, Any] | None:
        found: dict[str, Any] = carol.api.ask(SCORES, id=picture)["picture"]
        return found if found["scores"]["ratings"] == 2 else None

    shown = eventually(scored, 20, "the relay counts")
    assert shown is not None
    assert (shown["ratings"], shown["scores"]["mean"]) == (2, 6.0)
    assert carol.api.ask("query($id: ID!) { node(id: $id) { __typename } }", id=picture)["node"] == {
        "__typename": "Picture"
    }
    sets = carol.api.ask(
        "{ imageSets { edges { node { id name licence pictures mirrored redistributed } } } }"
    )["imageSets"]
    first = sets["edges"][0]["node"]
    assert (first["name"], first["licence"]) == ("shared", "CC0-1.0")
    assert (first["mirrored"], first["redistributed"]) == (0, True)
    assert hand(dave.api, imageSet=first["id"], model=model)["reason"] == "NOTHING_LEFT"


def test_a_reported_picture_is_hidden_at_once_and_moderators_decide(
    horde: Horde, alice: User, bob: User, model: str
) -> None:
    """Feature 172: raters report bad pictures."""
    kept, gone = pictures(published(alice, bob, model))
    carol = horde.register("carol")
    moderator = horde.promote(horde.register("moderator"), "moderator")
    handed = {
        each["picture"]["id"]: each["id"] for each in hand(carol.api, model=model, amount=2)["assignments"]
    }
    reported = "... on ReportImageSuccess { caseId pictureId }"
    for picture in (kept, gone):
        given = {"assignment": handed[picture], "reason": "PERSONAL"}
        assert carol.api.call("reportImage", reported, given)["pictureId"] == picture
    assert hand(bob.api, model=model)["reason"] == "NOTHING_LEFT"
    assert bob.api.ask(SCORES, id=gone)["picture"] is None
    refused = carol.api.post("{ pictureCases { edges { node { id } } } }")
    assert refused.codes == ["FORBIDDEN"]
    listed = "{ pictureCases(first: 100) { edges { node { id pictureId reason state url } } } }"
    cases = {
        edge["node"]["pictureId"]: edge["node"] for edge in moderator.api.ask(listed)["pictureCases"]["edges"]
    }
    assert cases[gone]["reason"] == "PERSONAL"
    assert transfer("GET", cases[gone]["url"])[0] == 200
    decided = "... on DecidePictureCaseSuccess { case { state } }"
    for picture, verdict, state in ((kept, "DISMISSED", "OPEN"), (gone, "UPHELD", "UPHELD")):
        given = {"case": cases[picture]["id"], "verdict": verdict}
        with pytest.raises(Refusal):
            carol.api.call("decidePictureCase", decided, given)
        assert moderator.api.call("decidePictureCase", decided, given)["case"]["state"] == state
    (left,) = hand(bob.api, model=model, amount=5)["assignments"]
    assert left["picture"]["id"] == kept


def test_what_is_said_wrongly_is_refused_by_its_name(
    horde: Horde, alice: User, bob: User, model: str
) -> None:
    """Feature 169: bad ratings and artifacts are refused by the field at fault."""
    published(alice, bob, model, n=1)
    (handed,) = hand(bob.api, model=model)["assignments"]
    wrong: tuple[dict[str, Any], ...] = (
        {"rating": 0}, {"rating": 11}, {"artifacts": 6}, {"note": "x" * 501}, {"tags": ["PHOTO", "PHOTO"]},
    )  # fmt: skip
    for given in wrong:
        with pytest.raises(Refusal) as refused:
            rate(bob.api, handed["id"], **{"rating": 5, **given})
        assert (refused.value.code, refused.value.path) == ("INVALID_INPUT", ["input", *given])
    with pytest.raises(Refusal) as many:
        hand(bob.api, amount=11)
    assert many.value.path == ["input", "amount"]
