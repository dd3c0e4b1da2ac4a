"""Rating through the public API: pictures handed out, judged and paid; requesters rate their own; reports and cases."""

from decimal import Decimal
from typing import Any

from tests.acceptance.horde import Horde, Submitted, User, transfer
from tests.acceptance.processes import eventually
from tests.acceptance.wires import Api

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
    """Feature 79: rating others' pictures earns kudos."""
    job = published(alice, bob, model)
    carol = horde.register("carol")
    handed = hand(carol.api, model=model, amount=5)["assignments"]
    assert {each["picture"]["id"] for each in handed} == set(pictures(job))
    assert [each["task"] for each in handed] == ["RATE", "RATE"]
    status, picture = transfer("GET", handed[0]["picture"]["url"])
    assert (status, picture[:4]) == (200, b"RIFF")
    told = rate(carol.api, handed[0]["id"], 8, artifacts=1, tags=["PHOTO"], note="a note")
    assert told["reward"] == {"amount": "10.00", "escrowed": "10.00", "unpaid": None}
    assert rate(carol.api, handed[1]["id"], 3)["reward"]["amount"] == "5.00"
    assert carol.earned == Decimal("15.00")
    assert hand(carol.api, model=model)["reason"] == "NOTHING_LEFT"
