"""Limits, cases and withdrawn consent as clients and moderators see them: typed errors, numbers, who may."""

import threading
from collections.abc import AsyncIterator, Callable
from typing import Any
from uuid import UUID, uuid4

import pytest

from app.accounts.authentication import Viewer
from app.accounts.decider import GrantRole
from app.main import make_services, run_services
from app.platform.graphql.context import RequestContext
from app.platform.services import Services
from app.platform.settings import Settings
from app.platform.writer import Writer
from app.relay.leader import lead
from app.relay.tailing import Tailing
from app.schema import schema
from app.workers.lease_decider import ResultState
from events.accounts import Role
from events.base import ANONYMOUS
from projections.cases import PROJECTION as CASES
from tests.factories import check_in, deliver, grant, open_realm, pop, register, run, submit

pytestmark = pytest.mark.anyio

CLIENT, HOST, MODERATOR, WORKER = uuid4(), uuid4(), uuid4(), uuid4()

SUBMIT = """mutation($input: SubmitImageJobInput!) { submitImageJob(input: $input) { __typename
  ... on UserError { code message path } ... on TooManyJobs { waiting wouldWait limit }
  ... on InsufficientKudos { limitPixels limitSteps }
  ... on SubmitImageJobSuccess { job { id } accessKey } } }"""
QUOTE = """query($input: SubmitImageJobInput!) { quoteImageJob(input: $input) {
  ... on QuoteSuccess { warnings { code message } } } }"""
STANDING = "{ viewer { waitingGenerations waitingLimit } }"
LIMIT = """mutation($input: SetWaitingLimitInput!) { setWaitingLimit(input: $input) { __typename
  ... on UserError { code message path } ... on SetWaitingLimitSuccess { limit } } }"""
LIST = """query($state: CaseState, $first: Int, $after: String) { moderatorCases(state: $state, first: $first, after: $after) {
  pageInfo { hasNextPage endCursor }
  edges { node { id state cause openedAt decidedAt jobId generationId requesterId workerId prompt } } } }"""
DECIDE = """mutation($input: DecideCaseInput!) { decideCase(input: $input) { __typename
  ... on UserError { code message path } ... on DecideCaseSuccess { case { id state } } } }"""
WITHDRAW = """mutation($input: WithdrawConsentInput!) { withdrawConsent(input: $input) { __typename
  ... on UserError { code message path } ... on WithdrawConsentSuccess { job { id shared } } } }"""
WITHDRAW_ALL = """mutation($input: WithdrawAllConsentInput!) { withdrawAllConsent(input: $input) { __typename
  ... on UserError { code message path } ... on WithdrawAllConsentSuccess { jobs complete } } }"""

Ask = Callable[..., Any]


@pytest.fixture
async def services(settings: Settings, writer: Writer) -> AsyncIterator[Services]:
    open_realm(writer)
    for number, user in enumerate((CLIENT, HOST, MODERATOR), 100_001):
        run(writer, register(user, number))
    run(writer, GrantRole(user=MODERATOR, role=Role.MODERATOR))
    run(writer, check_in(WORKER, HOST))
    made = make_services(settings, print)
    async with run_services(made):
        yield made


@pytest.fixture
def ask(services: Services) -> Ask:
    """Execute a document as somebody: the one field it asks for, or the errors' messages."""

    async def asking(who: UUID, document: str, **variables: Any) -> Any:
        context = RequestContext(
            app=services, request_id="", api_key=None, address="", client_agent=None, viewer=Viewer(who)
        )
        answer = await schema.execute(document, variables, context_value=context)
        if answer.errors:
            return [error.message for error in answer.errors]
        assert answer.data is not None
        (value,) = answer.data.values()
        return value

    return asking


def wish(n: int, **params: Any) -> dict[str, Any]:
    return {"prompt": "a cat", "params": {"n": n, **params}}


def tailed(settings: Settings) -> None:
    """What a relay does for the list of cases."""
    with lead(settings.database_url, settings.realm, threading.Event()) as term:
        assert term is not None
        follower = Tailing(term, CASES)
        while follower.advance():
            pass


# --- limits


async def test_too_many_jobs_is_a_typed_error_with_both_numbers_and_a_quote_warns(ask: Ask):
    assert (await ask(CLIENT, SUBMIT, input=wish(20)))["__typename"] == "SubmitImageJobSuccess"
    assert await ask(CLIENT, STANDING) == {"waitingGenerations": 20, "waitingLimit": 30}
    refused = await ask(CLIENT, SUBMIT, input=wish(11))
    assert (refused["__typename"], refused["code"]) == ("TooManyJobs", "TOO_MANY_JOBS")
    assert (refused["waiting"], refused["wouldWait"], refused["limit"]) == (20, 31, 30)
    assert "31" in refused["message"]
    assert "30" in refused["message"]
    assert refused["path"] == ["input", "params", "n"]
    codes = [[w["code"] for w in (await ask(CLIENT, QUOTE, input=wish(n)))["warnings"]] for n in (10, 11)]
    assert codes == [["NO_AVAILABLE_WORKER"], ["TOO_MANY_JOBS", "NO_AVAILABLE_WORKER"]]
    assert await ask(CLIENT, STANDING) == {"waitingGenerations": 20, "waitingLimit": 30}


async def test_all_anonymous_callers_share_one_limit(ask: Ask):
    for _ in range(25):
        assert (await ask(ANONYMOUS, SUBMIT, input=wish(20)))["__typename"] == "SubmitImageJobSuccess"
    refused = await ask(ANONYMOUS, SUBMIT, input=wish(1))
    assert (refused["waiting"], refused["wouldWait"], refused["limit"]) == (500, 501, 500)
    assert (await ask(CLIENT, SUBMIT, input=wish(20)))["__typename"] == "SubmitImageJobSuccess"


async def test_an_account_without_kudos_is_told_field_and_limit(ask: Ask, writer: Writer):
    wanted = wish(1, width=640, height=640)
    refused = await ask(CLIENT, SUBMIT, input=wanted)
    assert (refused["__typename"], refused["path"]) == ("InsufficientKudos", ["input", "params", "width"])
    assert (refused["limitPixels"], refused["limitSteps"]) == (576 * 576, 40)
    warned = (await ask(CLIENT, QUOTE, input=wanted))["warnings"]
    assert [w["code"] for w in warned] == ["INSUFFICIENT_KUDOS", "NO_AVAILABLE_WORKER"]
    run(writer, grant(CLIENT, 1))
    assert (await ask(CLIENT, SUBMIT, input=wanted))["__typename"] == "SubmitImageJobSuccess"


async def test_moderators_set_limits_and_nobody_else(ask: Ask):
    name = "name#100001"
    for who in (CLIENT, HOST, ANONYMOUS):
        for user in (name, "nobody#1"):
            refused = await ask(who, LIMIT, input={"user": user, "limit": 500})
            assert refused["__typename"] == "Forbidden"
    assert await ask(MODERATOR, LIMIT, input={"user": name, "limit": 2}) == {
        "__typename": "SetWaitingLimitSuccess",
        "limit": 2,
    }
    assert await ask(CLIENT, STANDING) == {"waitingGenerations": 0, "waitingLimit": 2}
    assert (await ask(CLIENT, SUBMIT, input=wish(3)))["limit"] == 2
    assert (await ask(MODERATOR, LIMIT, input={"user": name}))["limit"] == 30
    wrong = await ask(MODERATOR, LIMIT, input={"user": name, "limit": -1})
    assert (wrong["__typename"], wrong["path"]) == ("InvalidInput", ["input", "limit"])
    assert (await ask(MODERATOR, LIMIT, input={"user": "nobody#1"}))["__typename"] == "NotFound"
    assert (await ask(MODERATOR, LIMIT, input={"user": "Anonymous#0", "limit": 7}))["limit"] == 7


# --- cases


def report(writer: Writer, prompt: str = "a cat") -> tuple[UUID, UUID]:
    """A job of the client's whose one picture the worker reports: (job, generation)."""
    wanted = submit(CLIENT, prompt=prompt)
    run(writer, wanted)
    lease = uuid4()
    run(writer, pop(WORKER, HOST, lease=lease))
    run(writer, deliver(lease, HOST, wanted.generations[0], state=ResultState.CSAM))
    return wanted.job, wanted.generations[0]


async def test_moderators_list_and_decide_cases(ask: Ask, writer: Writer, settings: Settings):
    reports = [report(writer, f"cat {number}") for number in range(3)]
    tailed(settings)
    first = await ask(MODERATOR, LIST, first=2)
    rest = await ask(MODERATOR, LIST, first=2, after=first["pageInfo"]["endCursor"])
    assert (first["pageInfo"]["hasNextPage"], rest["pageInfo"]["hasNextPage"]) == (True, False)
    cases = [edge["node"] for edge in first["edges"] + rest["edges"]]
    told = [(UUID(case["jobId"]), UUID(case["generationId"]), case["prompt"]) for case in cases]
    assert told == [(*reports[number], f"cat {number}") for number in (2, 1, 0)]
    assert {(case["requesterId"], case["workerId"]) for case in cases} == {(str(CLIENT), str(WORKER))}
    assert {case["decidedAt"] for case in cases} == {None}
    decision = {"case": cases[0]["id"], "verdict": "UPHELD"}
    decided = await ask(MODERATOR, DECIDE, input=decision)
    assert (decided["case"]["id"], decided["case"]["state"]) == (cases[0]["id"], "UPHELD")
    assert (await ask(MODERATOR, DECIDE, input=decision))["__typename"] == "DecideCaseSuccess"
    other = await ask(MODERATOR, DECIDE, input={**decision, "verdict": "DISMISSED"})
    assert (other["__typename"], other["path"]) == ("InvalidInput", ["input", "verdict"])
    tailed(settings)
    upheld, open_ = [await ask(MODERATOR, LIST, state=state) for state in ("UPHELD", "OPEN")]
    assert [edge["node"]["id"] for edge in upheld["edges"]] == [cases[0]["id"]]
    assert upheld["edges"][0]["node"]["decidedAt"] is not None
    assert [edge["node"]["id"] for edge in open_["edges"]] == [case["id"] for case in cases[1:]]
    for nothing in (str(uuid4()), "nonsense"):
        missing = await ask(MODERATOR, DECIDE, input={"case": nothing, "verdict": "UPHELD"})
        assert missing["__typename"] == "NotFound"


async def test_nobody_else_sees_or_decides_cases(ask: Ask, writer: Writer, settings: Settings):
    report(writer)
    tailed(settings)
    (edge,) = (await ask(MODERATOR, LIST))["edges"]
    for who in (CLIENT, HOST, ANONYMOUS):
        assert await ask(who, LIST) == ["only moderators and operators see cases"]
        for case in (edge["node"]["id"], str(uuid4())):
            refused = await ask(who, DECIDE, input={"case": case, "verdict": "DISMISSED"})
            assert (refused["__typename"], refused["code"]) == ("Forbidden", "FORBIDDEN")


# --- consent


async def test_a_client_takes_consent_back_and_nobody_elses(ask: Ask):
    made = await ask(CLIENT, SUBMIT, input={**wish(1), "share": True})
    job = {"id": made["job"]["id"]}
    for who in (HOST, ANONYMOUS):
        assert (await ask(who, WITHDRAW, input=job))["__typename"] == "NotFound"
    for _ in range(2):
        withdrawn = await ask(CLIENT, WITHDRAW, input=job)
        assert withdrawn == {"__typename": "WithdrawConsentSuccess", "job": {**job, "shared": False}}
    made = await ask(ANONYMOUS, SUBMIT, input=wish(1))
    opened = {"id": made["job"]["id"], "accessKey": made["accessKey"]}
    assert (await ask(ANONYMOUS, WITHDRAW, input=opened))["__typename"] == "Forbidden"


async def test_a_client_takes_back_everything_at_once_however_much(
    ask: Ask, writer: Writer, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("app.jobs.handlers.WITHDRAWN_AT_ONCE", 2)
    monkeypatch.setattr("app.jobs.handlers._BATCHES", 2)
    for shared in (True, False, True, True, True, True):
        run(writer, submit(CLIENT, shared=shared))
    theirs = submit(HOST, shared=True)
    run(writer, theirs)
    sure = {"confirm": True}
    said = [await ask(CLIENT, WITHDRAW_ALL, input=sure) for _ in range(3)]
    assert [(each["jobs"], each["complete"]) for each in said] == [(4, False), (1, True), (0, True)]
    kept = await ask(HOST, "query($id: ID!) { job(id: $id) { shared } }", id=str(theirs.job))
    assert kept == {"shared": True}
    refused = await ask(CLIENT, WITHDRAW_ALL, input={"confirm": False})
    assert (refused["__typename"], refused["path"]) == ("InvalidInput", ["input", "confirm"])
    refused = await ask(ANONYMOUS, WITHDRAW_ALL, input=sure)
    assert refused["__typename"] == "Forbidden"
    assert "nobody can show which of them are theirs" in refused["message"]
