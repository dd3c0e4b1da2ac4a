"""`hoard rate`: what it asks for, what it says of what it is handed, and when it stops."""

import json

import pytest

from clients import rate
from clients.rate import Opinion, ask, rate_some
from clients.shapes import Assigned, Criteria, Degree, ToRate
from tests.unit.clients.stand_in import standing_in

pytestmark = pytest.mark.anyio
CRITERIA = {
    "question": "How good?", "lowest": 1, "highest": 10, "artifacts": [{"artifacts": 0, "description": "None."}],
}  # fmt: skip
REWARD = {"__typename": "RateImageSuccess", "ratingId": "a", "reward": {"amount": "5.00", "unpaid": None}}


@pytest.fixture
def anyio_backend():
    return "asyncio"


def handed(key: str) -> dict:
    made = {"id": key, "task": "RATE", "picture": {"id": f"p{key}", "url": "https://x/y"}, "other": None}
    return {"__typename": "RequestImageToRateSuccess", "assignments": [{**made, "criteria": CRITERIA}]}


async def test_pictures_are_rated_until_there_are_no_more(capsys):
    async with standing_in() as server:
        none = {"__typename": "NoImageToRate", "reason": "NOTHING_LEFT"}
        server.on("requestImageToRate", handed("a"), handed("b"), none)
        server.on("rateImage", REWARD)
        server.on("skipImage", {"__typename": "SkipImageSuccess", "assignmentId": "b"})
        opinions = iter([Opinion(rating=7, artifacts=1), Opinion(rating=None)])
        code = await rate_some(server.url, "key", {"nsfw": True}, 5, lambda _: next(opinions), as_json=True)
        said = server.inputs("rateImage")[0]
        asked = server.inputs("requestImageToRate")
        skipped = server.inputs("skipImage")[0]
    assert code == 0
    assert {name: said[name] for name in ("assignment", "rating", "artifacts")} == {
        "assignment": "a", "rating": 7, "artifacts": 1,
    }  # fmt: skip
    assert skipped == {"assignment": "b"}
    assert len(asked) == 3
    assert asked[0]["nsfw"] is True
    told = json.loads(capsys.readouterr().out)
    assert told["reason"] == "NOTHING_LEFT"
    assert [each["rating"] for each in told["ratings"]] == [7, None]


async def test_a_refusal_ends_it_with_1(capsys):
    async with standing_in() as server:
        refusal = {
            "__typename": "InvalidInput",
            "code": "INVALID_INPUT",
            "message": "no such set",
            "path": [],
        }
        server.on("requestImageToRate", refusal)
        assert await rate_some(server.url, "", {}, 1, ask, as_json=False) == 1
    assert "no such set" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("typed", "opinion"),
    [
        (["8", "0"], Opinion(rating=8, artifacts=0)), (["0", "x", "10", ""], Opinion(rating=10)),
        (["3", "9"], Opinion(rating=3)), (["S"], Opinion(rating=None)),
    ],
)  # fmt: skip
def test_a_person_is_asked_until_the_answer_is_one(monkeypatch, typed, opinion):
    answers = iter(typed)
    monkeypatch.setattr(rate.click, "prompt", lambda *_, **__: next(answers))
    criteria = Criteria(
        question="How good?", lowest=1, highest=10, artifacts=(Degree(artifacts=0, description="None."),)
    )
    assert ask(Assigned(id="a", picture=ToRate(id="p", url="https://x"), criteria=criteria)) == opinion
