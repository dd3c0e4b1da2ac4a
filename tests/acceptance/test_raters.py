"""How far a rater is believed, in the public API: one's own standing in words, appeals, moderators' list and decision."""

from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import pytest

from app.platform.commands import Command, Request, rules
from app.platform.settings import Settings
from app.platform.writer import Writer
from app.raters import decider as raters
from app.raters.decider import AssessRater
from app.raters.findings import causes_of, findings_of, standing_of
from events.ratings import RaterScores
from tests.acceptance.horde import Horde, User, unique
from tests.acceptance.processes import eventually
from tests.acceptance.test_rating import hand, published, rate
from tests.acceptance.wires import Api, Refusal

FINDING = "{ cause weight observed lowest highest evidence explanation }"
RATER = (
    f"{{ id standing consequences causes findings {FINDING} assessedAt assessedUpTo given marked trusted rewarded reversed "
    "restored verdict judgedAt appeal { id note } }"
)
#: what a rater comes to who clicks at once, always on the same
HASTY = RaterScores(
    ratings=100,
    known=10,
    known_missed=1,
    repeats=0,
    repeat_error=None,
    hasty=900,
    pace=500,
    entropy=0,
    bias=0,
    spread=0,
    reliability=500,
    copying=None,
)


@pytest.fixture
def decide(horde: Horde) -> Callable[[Command], None]:
    """Runs a command as an actor would."""
    settings = Settings.from_env(horde.variables)

    def run(command: Command) -> None:
        writer = Writer(settings.database_url, settings.realm, rules(raters.RULES), on_fatal=print)
        writer.start()
        writer.execute_sync(Request(command, uuid4()))
        writer.stop()

    return run


@pytest.fixture
def suspect(horde: Horde, alice: User, bob: User, model: str, decide: Callable[[Command], None]) -> User:
    """A rater of one picture, of whom an assessment says what it says of hasty ones."""
    published(alice, bob, model, n=1)
    carol = horde.register("carol")
    rate(carol.api, hand(carol.api, model=model)["assignments"][0]["id"])
    findings = findings_of(HASTY)
    found = AssessRater(
        rater=UUID(carol.id),
        up_to=1,
        scores=HASTY,
        standing=standing_of(HASTY, findings),
        causes=causes_of(findings),
    )
    decide(found)
    return carol


def rater(api: Api, key: str | None = None) -> dict[str, Any] | None:
    """What the API says of a rater."""
    found: dict[str, Any] | None = api.ask(f"query($id: ID) {{ rater(id: $id) {RATER} }}", id=key)["rater"]
    return found


def listed(api: Api, chosen: str) -> dict[str, dict[str, Any]]:
    """The raters of all pages, by id."""
    found: dict[str, dict[str, Any]] = {}
    after = None
    while True:
        text = (
            f"query($after: String) {{ raters({chosen}, first: 100, after: $after) {{ edges {{ node {RATER} }} "
            "pageInfo { hasNextPage endCursor } } }"
        )
        page = api.ask(text, after=after)["raters"]
        found |= {edge["node"]["id"]: edge["node"] for edge in page["edges"]}
        if not page["pageInfo"]["hasNextPage"]:
            return found
        after = page["pageInfo"]["endCursor"]


def appeal(user: User, note: str, **given: Any) -> dict[str, Any]:
    chosen = f"... on AppealStandingSuccess {{ rater {RATER} position }}"
    return user.api.call("appealStanding", chosen, {"note": note, **given})


def judge(api: Api, user: str, verdict: str) -> dict[str, Any]:
    chosen = f"... on JudgeRaterSuccess {{ rater {RATER} position }}"
    return api.call("judgeRater", chosen, {"rater": user, "verdict": verdict})


def test_a_rater_reads_why_it_is_not_believed(horde: Horde, suspect: User) -> None:
    """Feature 171: the same numbers and words for the rater as for moderators; nobody else is told anything."""
    own = rater(suspect.api)
    assert own is not None
    assert (own["standing"], own["causes"], own["given"]) == ("SUSPECT", ["HASTY", "MONOTONOUS"], 1)
    assert "goes back" in own["consequences"]
    findings = {each["cause"]: each for each in own["findings"]}
    assert (findings["HASTY"]["observed"], findings["HASTY"]["weight"]) == (900, "CLEAR")
    assert findings["HASTY"]["explanation"].startswith("90 % of 100 ratings came faster than one can look")
    assert findings["KNOWN_ANSWERS"]["weight"] == "NOTHING"
    moderator = horde.promote(horde.register("moderator"), "moderator")
    assert rater(moderator.api, suspect.id) == own
    stranger = horde.register("stranger")
    assert rater(stranger.api, suspect.id) is None
    assert rater(stranger.api) == rater(stranger.api, stranger.id)
    assert rater(horde.anonymous) is None
    nothing = rater(stranger.api)
    assert nothing is not None
    assert (nothing["standing"], nothing["findings"], nothing["assessedAt"]) == ("NEW", [], None)


def test_moderators_list_raters_and_decide_in_one_call(horde: Horde, suspect: User) -> None:
    """Feature 171: cleared, marks are lifted and rewards paid again; others are refused."""
    moderator = horde.promote(horde.register("moderator"), "moderator")
    assert suspect.id in listed(moderator.api, "standing: SUSPECT")
    assert suspect.id not in listed(moderator.api, "standing: GOOD")
    with pytest.raises(Refusal) as refused:
        judge(suspect.api, suspect.id, "CLEARED")
    assert refused.value.code == "FORBIDDEN"
    with pytest.raises(AssertionError, match="only moderators"):
        listed(suspect.api, "standing: SUSPECT")
    with pytest.raises(Refusal) as unknown:
        judge(moderator.api, str(uuid4()), "CLEARED")
    assert (unknown.value.code, unknown.value.path) == ("NOT_FOUND", ["input", "rater"])

    confirmed = judge(moderator.api, suspect.id, "CONFIRMED")["rater"]
    assert (confirmed["standing"], confirmed["verdict"]) == ("SUSPECT", "CONFIRMED")
    marked = eventually(lambda: (now := rater(suspect.api)) and now["marked"] == 1 and now, 30, "marked")
    assert (marked["rewarded"], marked["reversed"]) == ("5.00", "5.00")
    cleared = judge(moderator.api, suspect.id, "CLEARED")["rater"]
    assert (cleared["standing"], cleared["causes"]) == ("GOOD", [])
    lifted = eventually(lambda: (now := rater(suspect.api)) and now["marked"] == 0 and now, 30, "lifted")
    assert lifted["restored"] == "5.00"


def test_a_rater_appeals_once_and_moderators_read_it(horde: Horde, suspect: User) -> None:
    """Feature 171: the words are for moderators, never in the log; a decision closes the appeal."""
    key, note = str(uuid4()), unique("marker-appeal I do look")
    told = appeal(suspect, note, idempotencyKey=key)
    assert told["rater"]["appeal"]["note"] == note
    assert appeal(suspect, note, idempotencyKey=key)["position"] == told["position"]
    for again, where in (("another", ["input"]), (" ", ["input", "note"]), ("x" * 2_001, ["input", "note"])):
        with pytest.raises(Refusal) as refused:
            appeal(suspect, again)
        assert (refused.value.code, refused.value.path) == ("INVALID_INPUT", where)
    with pytest.raises(Refusal) as honest:
        appeal(horde.register("honest"), "I am not even suspect")
    assert (honest.value.code, honest.value.path) == ("INVALID_INPUT", ["input"])

    moderator = horde.promote(horde.register("moderator"), "moderator")
    assert listed(moderator.api, "appealed: true")[suspect.id]["appeal"]["note"] == note
    assert note not in str(horde.events(types=["ratings.AppealMade"]))
    assert judge(moderator.api, suspect.id, "CONFIRMED")["rater"]["appeal"] is None
    assert suspect.id not in listed(moderator.api, "appealed: true")
    with pytest.raises(Refusal, match="again from"):
        appeal(suspect, "once more")
