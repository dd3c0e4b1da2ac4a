"""Whatever a stranger sends as any argument of any mutation, the answer is a typed refusal or a plain request error.

Driven by introspection: a new mutation or input field is tried without a change here. Never a 5xx, never an internal
error, and what was refused left the log as it was.
"""

import json
import os
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from graphql import (
    GraphQLInputObjectType,
    GraphQLSchema,
    build_client_schema,
    get_introspection_query,
    get_named_type,
    is_enum_type,
    is_list_type,
    is_non_null_type,
    is_required_input_field,
)

from app.platform.settings import Settings
from tests.acceptance.horde import NOBODY, Horde, User, unique, upload
from tests.acceptance.test_interrogation_job import picture, uploaded
from tests.acceptance.wires import Answer, Api
from tests.stranger import OUTSIDE

MUTATIONS = (
    "registerUser",
    "transferKudos",
    "createUpload",
    "submitImageJob",
    "submitTextJob",
    "cancelJob",
    "popJob",
    "submitResult",
    "extendLease",
    "releaseLease",
    "setWorkerMaintenance",
    "setWaitingLimit",
    "setTrusted",
    "withdrawConsent",
    "withdrawAllConsent",
    "decideCase",
    "updateWorker",
    "setWorkerPaused",
    "deleteWorker",
    "sendWorkerMessage",
    "deleteWorkerMessage",
    "createTeam",
    "editTeam",
    "deleteTeam",
    "setWorkerLimit",
    "setPublicWorkers",
    "adjustKudos",
    "setAllowance",
    "createWebhook",
    "updateWebhook",
    "deleteWebhook",
    "rotateWebhookSecret",
    "pingWebhook",
    "redeliverWebhook",
    "setMode",
    "setPublicProfile",
    "submitInterrogationJob",
    "requestImageToRate",
    "rateImage",
    "rateComparison",
    "skipImage",
    "reportImage",
    "decidePictureCase",
    "liftTakedown",
    "orderTakedown",
    "rateJob",
    "judgeRater",
    "appealStanding",
)

HOSTILE: tuple[Any, ...] = (
    None,
    "",
    " ",
    "x" * 5_000,
    "x" * 60_000,
    "a\0b",
    "\u0000",
    "\ud800",
    "\udfff\ud800",
    "😀👩‍👩‍👧 \u202e\ufeff",
    "é" * 300,
    "'; DROP TABLE log.event; --",
    "%s %(realm)s {0} $1 \\",
    NOBODY,
    NOBODY.upper(),
    f"{{{NOBODY}}}",
    "0" * 32,
    "\u0660" * 32,
    True,
    False,
    0,
    1,
    -1,
    2**31 - 1,
    2**31,
    -(2**31) - 1,
    2**63,
    10**40,
    0.5,
    -0.0,
    1e308,
    "1e5",
    "NaN",
    "Infinity",
    "-0",
    "0.001",
    "99999999999999999999",
    [],
    [None],
    [[]],
    ["x"] * 2_000,
    {},
    {"a": "\0"},
    {"unknown": 1},
)
#: HOARD_EVERY_VALUE tries every value everywhere. Else at each place every so-manieth, at its neighbours the others; and
#: in inputs with fewer places than FEW all, in those with more than MANY half as many.
EVERY = bool(os.environ.get("HOARD_EVERY_VALUE"))
APART, FEW, MANY = 4, 5, 24
#: beyond JSON: what a broken client may put on the wire in place of a value
RAW = (
    b"NaN",
    b"Infinity",
    b"-Infinity",
    b'"\xff\xfe"',
    b'"\xed\xa0\x80"',
    b"1e999",
    b'"\\ud800"',
    b"[" * 2_000 + b"]" * 2_000,
)


@pytest.fixture(scope="module")
def served(horde: Horde) -> GraphQLSchema:
    return build_client_schema(horde.anonymous.ask(get_introspection_query(descriptions=False)))


class LogEnd:
    """Where the log ends, read from the database: it is asked after each of thousands of attempts."""

    #: what an accepted attempt set in motion is over after so long without an event
    STILL = timedelta(seconds=0.4)
    _END = (
        "SELECT position, clock_timestamp() - occurred_at FROM log.event WHERE realm = %s "
        "ORDER BY position DESC LIMIT 1"
    )

    def __init__(self, connection: psycopg.Connection[Any], realm: int) -> None:
        self._connection, self._realm = connection, realm

    def position(self) -> int:
        return self._last()[0]

    def quiet(self) -> int:
        """The position once nothing has been written for a moment."""
        while (last := self._last())[1] < self.STILL:
            time.sleep(0.05)
        return last[0]

    def _last(self) -> tuple[int, timedelta]:
        row = self._connection.execute(self._END, (self._realm,)).fetchone()
        assert row is not None
        return row[0], row[1]


class Stage:
    """A user with a worker, a lease and a job, and inputs made of them that would be accepted."""

    def __init__(self, horde: Horde, log: LogEnd) -> None:
        self.horde, self.log = horde, log
        self.user: User = horde.register("fuzzer", "1000")
        self.friend = horde.register("friend")
        self.model = unique("model")
        self.worker = self.user.worker(self.model)
        job = self.friend.submit(models=[self.model], params={"n": 3})
        self.lease = self.worker.take(amount=3)
        upload(self.lease["generations"][0])
        self.job = job.id
        horde.promote(self.user, "trusted")
        self.team = self.user.api.call(
            "createTeam",
            "... on CreateTeamSuccess { team { id } }",
            {"name": unique("team"), "info": "a team"},
        )["team"]["id"]
        self.message = self.user.api.call(
            "sendWorkerMessage",
            "... on SendWorkerMessageSuccess { sent { id } }",
            {"worker": self.worker.name, "message": "hello"},
        )["sent"]["id"]
        self.source = uploaded(self.user.api, picture(64, 64))
        self.own = self.user.submit(models=[unique("model")]).id
        self.hook = {"url": f"https://{OUTSIDE}:9/", "events": ["JOB_EXPIRED"]}
        made = self.user.api.call(
            "createWebhook", "... on CreateWebhookSuccess { webhook { id } }", self.hook
        )
        self.webhook = made["webhook"]["id"]

    def valid(self, mutation: str) -> dict[str, Any]:
        generation = self.lease["generations"][0]["id"]
        made: dict[str, dict[str, Any]] = {
            "registerUser": {"username": "somebody"},
            "transferKudos": {"to": self.friend.alias, "amount": "0.01"},
            "createUpload": {"contentLength": 1_000},
            "submitImageJob": {"prompt": "a cat", "models": [self.model]},
            "submitTextJob": {"prompt": "once", "models": [self.model]},
            "cancelJob": {"id": self.own},
            "popJob": {"workerName": self.worker.name, "image": {"models": [unique("nothing")]}},
            "submitResult": {
                "leaseId": self.lease["leaseId"],
                "results": [{"generationId": generation, "state": "OK"}],
            },
            "extendLease": {"leaseId": self.lease["leaseId"]},
            "releaseLease": {"leaseId": self.lease["leaseId"]},
            "setWorkerMaintenance": {"worker": self.worker.name, "maintenance": False},
            "setWaitingLimit": {"user": self.friend.alias, "limit": 30},
            "setTrusted": {"user": self.friend.alias, "trusted": True},
            "withdrawConsent": {"id": self.own},
            "withdrawAllConsent": {"confirm": True},
            "decideCase": {"case": str(uuid4()), "verdict": "DISMISSED"},
            "submitInterrogationJob": {"forms": ["CAPTION"], "source": self.source},
            "updateWorker": {"worker": self.worker.name, "description": "a worker"},
            "setWorkerPaused": {"worker": self.worker.name, "paused": True},
            "deleteWorker": {"worker": self.worker.name},
            "sendWorkerMessage": {"worker": self.worker.name, "message": "hello"},
            "deleteWorkerMessage": {"message": str(uuid4())},
            "createTeam": {"name": unique("team"), "info": "a team"},
            "editTeam": {"team": self.team, "info": "another team"},
            "deleteTeam": {"team": str(uuid4())},
            "setWorkerLimit": {"user": self.friend.alias, "limit": 3},
            "setPublicWorkers": {"public": False},
            "adjustKudos": {"user": self.friend.alias, "amount": "1", "reason": "a correction"},
            "setAllowance": {"user": self.friend.alias, "amount": "1"},
            "createWebhook": self.hook,
            "updateWebhook": {"id": self.webhook, "events": ["JOB_EXPIRED"]},
            "deleteWebhook": {"id": str(uuid4())},
            "rotateWebhookSecret": {"id": self.webhook},
            "pingWebhook": {"id": str(uuid4())},
            "redeliverWebhook": {"deliveryId": str(uuid4())},
            "setPublicProfile": {"public": False},
            "requestImageToRate": {"model": unique("nothing"), "amount": 2},
            "rateImage": {"assignment": str(uuid4()), "rating": 5, "artifacts": 1},
            "rateComparison": {"assignment": str(uuid4()), "preference": "TIE"},
            "skipImage": {"assignment": str(uuid4())},
            "reportImage": {"picture": str(uuid4()), "reason": "BROKEN"},
            "decidePictureCase": {"case": str(uuid4()), "verdict": "DISMISSED"},
            "orderTakedown": {"sha256": "0" * 64},
            "liftTakedown": {"takedown": str(uuid4())},
            "rateJob": {"job": self.own, "ratings": [{"generation": generation, "rating": 5}]},
            "judgeRater": {"rater": str(uuid4()), "verdict": "CLEARED"},
            "appealStanding": {"note": "I look closely"},
            "setMode": {"mode": "INVITE_ONLY", "on": False},
        }
        return made[mutation]


@pytest.fixture(scope="module")
def stage(horde: Horde) -> Iterator[Stage]:
    settings = Settings.from_env(horde.variables)
    with psycopg.connect(settings.database_url, autocommit=True) as connection:
        yield Stage(horde, LogEnd(connection, settings.realm))


def paths(kind: Any, at: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Every place in an input, from the whole to each field and list item."""
    yield at
    if is_non_null_type(kind):
        kind = kind.of_type
    if is_list_type(kind):
        yield from list(paths(kind.of_type, (*at, 0)))
    elif isinstance(kind, GraphQLInputObjectType):
        for name, field in kind.fields.items():
            yield from list(paths(field.type, (*at, name)))


def spacing(places: int) -> int:
    """Every how-manieth value is tried at each of so many places."""
    if EVERY or places < FEW:
        return 1
    return APART if places <= MANY else 2 * APART


def placed(base: Any, path: tuple[str | int, ...], value: Any) -> Any:
    """A copy of an input with another value at a place; what leads there is made where it is missing."""
    if not path:
        return value
    head, *rest = path
    if isinstance(head, int):
        items = list(base) if isinstance(base, list) and base else [{}]
        return [placed(items[0], tuple(rest), value), *items[1:]]
    made = dict(base) if isinstance(base, dict) else {}
    made[head] = placed(made.get(head), tuple(rest), value)
    if head in ("text", "interrogation"):
        made.pop("image", None)
    return made


def document(mutation: str) -> str:
    name = mutation[0].upper() + mutation[1:]
    return (
        f"mutation($input: {name}Input!) {{ {mutation}(input: $input) {{ __typename "
        "... on UserError { code message path } } }"
    )


def refused(answer: Answer, mutation: str, sent: object) -> bool:
    """Whether it was refused; fails if the answer is not one a client can work with."""
    told = f"{mutation} {str(sent)[:300]}: {answer.status} {answer.body}"
    assert answer.status < 500, told
    assert "INTERNAL" not in answer.codes, told
    if "errors" in answer.body:
        assert all(code != "None" for code in answer.codes), told
        return True
    result = answer.body["data"][mutation]
    if "code" in result:
        assert result["message"], told
        assert result["code"] == "FORBIDDEN" or result["path"][:1] in ([], ["input"]), told
        return True
    return False


def test_all_mutations_are_tried(served: GraphQLSchema) -> None:
    assert served.mutation_type is not None
    assert set(served.mutation_type.fields) == set(MUTATIONS)


@pytest.mark.parametrize("mutation", MUTATIONS)
def test_no_argument_of_a_mutation_can_hurt(stage: Stage, served: GraphQLSchema, mutation: str) -> None:
    assert served.mutation_type is not None
    kind = served.mutation_type.fields[mutation].args["input"].type
    horde, text, base = stage.horde, document(mutation), stage.valid(mutation)
    callers = (stage.user.api, horde.anonymous)
    position = stage.log.quiet()
    tried = accepted = 0
    places = list(paths(kind))
    apart = spacing(len(places))
    for number, path in enumerate(places):
        for value in HOSTILE[number % apart :: apart]:
            if path and path[-1] == "waitSeconds" and value == 1:
                continue  # accepted, and only slow
            for api in callers[: 2 if len(path) < 2 else 1]:
                sent = placed(base, path, value)
                try:
                    body = json.dumps({"query": text, "variables": {"input": sent}}).encode()
                except RecursionError:
                    continue
                answer = api.raw(body)
                tried += 1
                if refused(answer, mutation, sent):
                    now = stage.log.position()
                    assert now == position, f"{mutation} {str(sent)[:300]} was refused and changed the log"
                else:
                    accepted += 1
                    position = stage.log.position()
    assert tried > len(HOSTILE)
    assert accepted < tried / 2


@pytest.mark.parametrize("mutation", MUTATIONS)
def test_bytes_that_are_no_json_value_are_refused(stage: Stage, served: GraphQLSchema, mutation: str) -> None:
    assert served.mutation_type is not None
    kind = served.mutation_type.fields[mutation].args["input"].type
    before, places = stage.log.quiet(), list(paths(kind))
    apart = spacing(len(places))
    for number, path in enumerate(places):
        for raw in RAW[number % apart :: apart]:
            sent = placed(stage.valid(mutation), path, "@here@")
            body = json.dumps({"query": document(mutation), "variables": {"input": sent}}).encode()
            assert refused(stage.user.api.raw(body.replace(b'"@here@"', raw)), mutation, (path, raw))
    assert stage.log.position() == before


@pytest.mark.parametrize("mutation", MUTATIONS)
def test_hostile_literals_in_the_document_are_refused_too(
    stage: Stage, served: GraphQLSchema, mutation: str
) -> None:
    assert served.mutation_type is not None
    fields = get_named_type(served.mutation_type.fields[mutation].args["input"].type).fields.values()
    empty = "{}" if any(map(is_required_input_field, fields)) else "{ unknown: 1 }"
    api, before = stage.horde.anonymous, stage.log.quiet()
    for literal in (
        "null",
        empty,
        "[]",
        "1",
        '"x"',
        "X",
        "$unknown",
        "{ a: 1 }",
        '{ username: "\\uD800" }',
        '{ prompt: "\\u0000" }',
        '{ to: "\\uDFFF", amount: 1e400 }',
        "{ leaseId: 99999999999999999999999999999999, results: [] }",
        '{ worker: """\n""", maintenance: TRUE }',
    ):
        answer = api.post(
            f"mutation {{ {mutation}(input: {literal}) {{ __typename ... on UserError {{ code message path }} }} }}"
        )
        assert refused(answer, mutation, literal), literal
    assert stage.log.position() == before


@pytest.mark.parametrize("mutation", MUTATIONS)
def test_another_users_things_are_as_if_they_were_not(stage: Stage, mutation: str) -> None:
    """Ids that exist and are another's get the same answer as ids that do not exist."""
    stranger = stage.horde.register("stranger")
    foreign = {
        "cancelJob": [("id", stage.job), ("id", stage.own)],
        "withdrawConsent": [("id", stage.job), ("id", stage.own)],
        "submitResult": [("leaseId", stage.lease["leaseId"])],
        "extendLease": [("leaseId", stage.lease["leaseId"])],
        "releaseLease": [("leaseId", stage.lease["leaseId"])],
        "setWorkerMaintenance": [("worker", stage.worker.name)],
        "updateWorker": [("worker", stage.worker.name)],
        "deleteWorker": [("worker", stage.worker.name)],
        "sendWorkerMessage": [("worker", stage.worker.name)],
        "deleteWorkerMessage": [("message", stage.message)],
        "updateWebhook": [("id", stage.webhook)],
        "deleteWebhook": [("id", stage.webhook)],
        "rotateWebhookSecret": [("id", stage.webhook)],
        "pingWebhook": [("id", stage.webhook)],
    }
    before = stage.log.quiet()
    for field, value in foreign.get(mutation, []):
        answers = []
        for id_ in (value, str(uuid4())):
            given = {**stage.valid(mutation), field: id_}
            answers.append(stranger.api.post(document(mutation), {"input": given}).body)
        assert answers[0] == answers[1]
        assert answers[0]["data"][mutation]["code"] == "NOT_FOUND"
    assert stage.log.position() == before


QUERIES = (
    "query($v: ID!) { node(id: $v) { id } }",
    "query($v: ID!) { job(id: $v) { id } }",
    'query($v: String) { job(id: "00000000-0000-0000-0000-000000000001", accessKey: $v) { id } }',
    "query($v: Position) { events(after: $v, first: 1) { edges { cursor } } }",
    "query($v: Int) { events(first: $v) { edges { cursor } } }",
    "query($v: [String!]) { events(first: 1, types: $v) { edges { cursor } } }",
    "query($v: String) { viewer { statement(first: 1, after: $v) { edges { cursor } } } }",
    "query($v: Int) { viewer { statement(first: $v) { edges { cursor } } } }",
    "query($v: String) { viewer { jobs(first: 1, after: $v) { edges { cursor } } } }",
    "query($v: JobState) { viewer { jobs(first: 1, state: $v) { edges { cursor } } } }",
    "query($v: String!) { worker(worker: $v) { id } }",
    "query($v: String) { workers(first: 1, after: $v) { edges { cursor } } }",
    "query($v: String) { workers(first: 1, name: $v) { edges { cursor } } }",
    "query($v: String) { workerMessages(first: 1, after: $v) { edges { cursor } } }",
    "query($v: String) { workerMessages(first: 1, worker: $v) { edges { cursor } } }",
    "query($v: String!) { team(team: $v) { id } }",
    "query($v: String) { teams(first: 1, after: $v) { edges { cursor } } }",
    "query($v: Int) { demand(first: $v) { jobs } }",
    "query($v: ID!) { jobWebhook(job: $v) { id } }",
    "query($v: String) { viewer { webhooks { deliveries(first: 1, after: $v) { edges { cursor } } } } }",
    "query($v: Int) { viewer { webhooks { deliveries(first: $v) { edges { cursor } } } } }",
    "query($v: Int) { workers(first: $v) { edges { cursor } } }",
    "query($v: String!) { profile(username: $v) { __typename } }",
    "query($v: String) { leaderboard(by: EARNED, kind: IMAGE, first: 1, after: $v) { edges { cursor } } }",
    "query($v: ID!) { jobWebhook(job: $v) { __typename } }",
    "query($v: String) { news(first: 1, after: $v) { edges { cursor } } }",
    "query($v: String) { modelTotals(kind: TEXT, knowledge: ALL, first: 1, after: $v) { edges { cursor } } }",
    "query($v: String!) { model(name: $v) { name } }",
    "query($v: String!) { model(name: $v, kind: TEXT) { name } }",
    "query($v: Int!) { models(minWorkers: $v, maxWorkers: $v) { name } }",
)
CURSORS = (
    "Wzk5OTk5OTk5OTk5OTk5OTk5OTk5LDBd",
    "Wzk5OTk5OTk5OTk5OTk5OTk5OTk5XQ",
    "WyJcdTAwMDAiXQ",
    "WyJhIl0",
    "WzFd",
    "W10",
    "bnVsbA",
)


@pytest.mark.parametrize("text", QUERIES)
def test_no_argument_of_a_query_can_hurt(stage: Stage, text: str) -> None:
    for value in (*HOSTILE, *CURSORS):
        for api in (stage.user.api, stage.horde.anonymous):
            answer = api.raw(json.dumps({"query": text, "variables": {"v": value}}).encode())
            assert answer.status < 500, (text, value, answer)
            assert "INTERNAL" not in answer.codes, (text, value, answer)


def test_hostile_keys_are_only_unknown_keys(horde: Horde) -> None:
    for key in ("\xff", "x" * 5_000, "a b", "'; --", "{}", "%00"):
        answer = Api(horde.url, headers={"apikey": key}).post("{ viewer { id } }")
        assert (answer.status, answer.codes) == (401, ["UNAUTHENTICATED"]), key


SOURCE = {"url": "https://example.org/a.webp"}
#: What has to be said, too, with a field, and with a value.
WITH: dict[str, dict[str, Any]] = {
    "controlType": {"source": SOURCE},
    "workflow": {"params": {"extraTexts": [{"text": "https://example.org", "reference": "qr_code"}]}},
    "injectTi": {"params": {"tis": [{"name": "4629"}]}},
    "sourceProcessing": {"source": SOURCE},
    "INPAINTING": {"sourceMask": SOURCE},
    "OUTPAINTING": {"sourceMask": SOURCE},
    "REMIX": {"models": ["Stable Cascade 1.0"]},
    "events": {"webhook": {"url": "https://example.org/told"}},
}


def enums(kind: Any, at: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], list[str]]]:
    """Every place in an input where one of a few words is said, with the words."""
    named = get_named_type(kind)
    if is_enum_type(named):
        yield at, list(named.values)
    elif isinstance(named, GraphQLInputObjectType):
        for name, field in named.fields.items():
            plain = field.type.of_type if is_non_null_type(field.type) else field.type
            item = (0,) if is_list_type(plain) else ()
            yield from list(enums(field.type, (*at, name, *item)))


def test_every_enum_value_may_be_sent(served: GraphQLSchema, stage: Stage) -> None:
    """What the schema offers is understood: every sampler, post-processor, control type and the like is quoted."""
    text = (
        "query($input: SubmitImageJobInput!) { quoteImageJob(input: $input) "
        "{ __typename ... on UserError { message } } }"
    )
    tried = set()
    for path, values in enums(served.type_map["SubmitImageJobInput"]):
        name = next(str(step) for step in reversed(path) if isinstance(step, str))
        for value in values:
            base = {"prompt": "a cat", **WITH.get(name, {}), **WITH.get(value, {})}
            answer = stage.user.api.ask(text, input=placed(base, path, value))
            assert answer["quoteImageJob"]["__typename"] == "QuoteSuccess", (path, value, answer)
        tried.add(name)
    assert {"sampler", "postProcessing", *WITH} - {"INPAINTING", "OUTPAINTING", "REMIX"} <= tried
