"""Interrogations from end to end: what is asked of a picture, told form by form, paid form by form, and told again free.

Features 84 to 93 and 99 of docs/checklist.md. "Outside" is a stranger's server at 127.0.0.2. Look next:
`tests/unit/jobs/test_interrogations.py`, docs/interrogation.md.
"""

import base64
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import psycopg
import pytest

from tests.acceptance.horde import RESULT, Horde, User, picture, refused, transfer, unique
from tests.acceptance.horde import upload as put
from tests.acceptance.processes import eventually
from tests.acceptance.wires import Api
from tests.stranger import Stranger, answer

RESULTS = (
    "result { __typename ... on CaptionResult { caption: text } ... on DescribeResult { description: text } "
    "... on NsfwResult { nsfw } ... on InterrogationResult { keywords { keyword confidence } } "
    "... on VectorizeResult { svg } ... on PaletteResult { colours { hex share } } "
    "... on AestheticResult { score } ... on PostProcessedResult { imageUrl imageBase64 etag } }"
)
JOB = (
    "id kind state shared queuePosition charged quote { total items { label amount } } ... on InterrogationJob { "
    f"tiles sourceFault generations {{ id state form workerName reused absence {RESULTS} notes {{ type ref }} }} }}"
)
SUBMITTED = (
    f"... on SubmitInterrogationJobSuccess {{ job {{ {JOB} }} accessKey webhookSecret warnings {{ code message }} }} "
    "... on TooManyJobs { limit wouldWait }"
)
QUOTED = (
    "query($input: SubmitInterrogationJobInput!) { quoteInterrogationJob(input: $input) { ... on QuoteSuccess { "
    "quote { total items { label amount } } warnings { code } } ... on UserError { code path } } }"
)
POPPED = (
    "... on InterrogationAssignment { leaseId jobId kind expiresAt sourceImageUrl sourceImageBase64 "
    "forms { id form uploadUrl } } ... on NoJob { skipped { reason count } }"
)
WATCH = f"subscription($id: ID!) {{ jobUpdated(id: $id) {{ {JOB} }} }}"
UPLOAD = "... on CreateUploadSuccess { upload { id url } }"
DRAWING = '<?xml version="1.0"?>\n<!-- drawn -->\n<svg xmlns="http://www.w3.org/2000/svg"></svg>'
#: what a worker tells by each form
TELLS: dict[str, Any] = {
    "CAPTION": "a lighthouse at night",
    "DESCRIBE": "A lighthouse stands on a rock. It is night.",
    "NSFW": False,
    "INTERROGATION": {"lighthouse": 0.93, "rock": 1, "sheep": 0.02},
    "VECTORIZE": DRAWING,
    "PALETTE": [{"hex": "#00AAff", "share": 0.25}, {"hex": "#101010", "share": 0.75}],
    "AESTHETIC": 7.25,
}


@dataclass
class Asked:
    """An accepted interrogation, seen by who asked."""

    api: Api
    answer: dict[str, Any]

    @property
    def id(self) -> str:
        return str(self.answer["job"]["id"])

    @property
    def job(self) -> dict[str, Any]:
        found: dict[str, Any] = self.answer["job"]
        return found

    def now(self) -> dict[str, Any]:
        document = f"query($id: ID!, $key: String) {{ job(id: $id, accessKey: $key) {{ {JOB} }} }}"
        found: dict[str, Any] = self.api.ask(document, id=self.id, key=self.answer["accessKey"])["job"]
        return found

    def forms(self) -> dict[str, dict[str, Any]]:
        return {each["form"]: each for each in self.now()["generations"]}

    def cancel(self) -> dict[str, Any]:
        given = {"id": self.id, "accessKey": self.answer["accessKey"]}
        found = self.api.call("cancelJob", f"... on CancelJobSuccess {{ job {{ {JOB} }} }}", given)
        return dict(found["job"])


def ask(api: Api, source: Mapping[str, Any], *forms: str, **given: Any) -> Asked:
    """Ask of a picture."""
    asked = {"source": source, "forms": forms, **given}
    return Asked(api, api.call("submitInterrogationJob", SUBMITTED, asked))


def quote(api: Api, source: Mapping[str, Any], *forms: str, **given: Any) -> dict[str, Any]:
    """What it would cost."""
    found = api.ask(QUOTED, input={"source": source, "forms": forms, **given})
    return dict(found["quoteInterrogationJob"])


@dataclass
class Teller:
    """An interrogation worker driven by hand."""

    owner: User
    name: str
    forms: list[str]
    given: dict[str, Any]

    def pop(self, **given: Any) -> dict[str, Any]:
        asked = {
            "workerName": self.name,
            "amount": 20,
            "interrogation": {"forms": self.forms, **self.given},
            **given,
        }
        return self.owner.api.call("popJob", POPPED, asked)

    def take(self, **given: Any) -> dict[str, Any]:
        found = self.pop(**given)
        assert found["__typename"] == "InterrogationAssignment", found
        return found

    def skipped(self) -> dict[str, int]:
        return {skip["reason"]: skip["count"] for skip in self.pop()["skipped"]}

    def report(self, lease: str, *results: Mapping[str, Any]) -> dict[str, Any]:
        return self.owner.api.call("submitResult", RESULT, {"leaseId": lease, "results": results})

    def tell(self, taken: Mapping[str, Any], *forms: str) -> dict[str, Any]:
        """Tell these of what was taken, all at once."""
        tasks = [task for task in taken["forms"] if not forms or task["form"] in forms]
        results = []
        for task in tasks:
            if task["uploadUrl"] is not None:
                put(task)
            results.append({"generationId": task["id"], "state": "OK", "form": TELLS.get(task["form"])})
        return self.report(taken["leaseId"], *results)


def teller(owner: User, *forms: str, **given: Any) -> Teller:
    return Teller(owner, unique("teller"), list(forms) or list(TELLS), given)


def uploaded(api: Api, data: bytes) -> dict[str, str]:
    made = api.call("createUpload", UPLOAD, {"contentLength": len(data)})["upload"]
    assert transfer("PUT", made["url"], data) == (200, b"")
    return {"uploadId": str(made["id"])}


@pytest.fixture
def stranger() -> Iterator[Stranger]:
    with Stranger() as made:
        yield made


@pytest.fixture
def source(alice: User) -> dict[str, str]:
    return uploaded(alice.api, picture(1024, 600))


def test_several_forms_each_delivered_as_soon_as_it_is_told(
    horde: Horde, alice: User, bob: User, source: dict[str, str]
) -> None:
    """Features 84, 85, 86, 87, 88, 90 and 99: one lease, forms told singly and together, a typed result each."""
    quoted = quote(alice.api, source, *TELLS)
    job = ask(alice.api, source, *TELLS)
    assert (job.job["kind"], job.job["shared"], job.job["tiles"]) == ("INTERROGATION", False, 4)
    assert job.job["quote"] == quoted["quote"]
    assert job.job["quote"]["total"] == "16.00"  # 6 forms at 1, one at 3, a tax of 1 on each
    assert sum(Decimal(item["amount"]) for item in job.job["quote"]["items"]) == 16
    assert [warning["code"] for warning in job.answer["warnings"]] == ["NO_AVAILABLE_WORKER"]
    worker = teller(bob)
    taken = worker.take()
    assert [task["form"] for task in taken["forms"]] == list(TELLS)
    assert {task["uploadUrl"] for task in taken["forms"]} == {None}
    status, data = transfer("GET", taken["sourceImageUrl"])
    assert (status, data) == (200, base64.b64decode(taken["sourceImageBase64"]))
    with alice.api.websocket(WATCH, {"id": job.id}) as live:
        assert next(live)["data"]["jobUpdated"]["charged"] == "0.00"
        assert worker.tell(taken, "CAPTION")["reward"] == "1.00"
        seen = next(live)["data"]["jobUpdated"]
        assert (seen["state"], seen["charged"]) == ("PROCESSING", "2.00")
        states = {each["form"]: each["state"] for each in seen["generations"]}
        assert states == dict.fromkeys(TELLS, "PROCESSING") | {"CAPTION": "DONE"}
        told = {each["form"]: each for each in seen["generations"]}
        assert told["CAPTION"]["result"] == {"__typename": "CaptionResult", "caption": TELLS["CAPTION"]}
        assert (told["NSFW"]["result"], told["NSFW"]["absence"]) == (None, "NOT_DELIVERED")
        assert worker.tell(taken, *(form for form in TELLS if form != "CAPTION"))["reward"] == "8.00"
        *_, last = [message["data"]["jobUpdated"] for message in live]
    assert (last["state"], last["charged"]) == ("DONE", "16.00")
    results = {form: each["result"] for form, each in job.forms().items()}
    assert results["DESCRIBE"]["description"] == TELLS["DESCRIBE"]
    assert results["NSFW"]["nsfw"] is False
    assert [tuple(each.values()) for each in results["INTERROGATION"]["keywords"]] == [
        ("rock", 1.0),
        ("lighthouse", 0.93),
        ("sheep", 0.02),
    ]
    assert results["VECTORIZE"]["svg"] == DRAWING
    assert results["PALETTE"]["colours"] == [
        {"hex": "#101010", "share": 0.75},
        {"hex": "#00aaff", "share": 0.25},
    ]
    assert results["AESTHETIC"]["score"] == 7.25
    assert {each["workerName"] for each in job.forms().values()} == {worker.name}
    assert (alice.kudos, float(alice.me()["held"])) == (984, 0)
    assert bob.earned == 9
    words = [str(told) for told in (TELLS["CAPTION"], DRAWING)]
    assert not [event for event in horde.events() if any(word in str(event["data"]) for word in words)]


def test_post_processors_deliver_pictures_by_link_and_cost_by_tiles(
    alice: User, bob: User, source: dict[str, str]
) -> None:
    """Feature 89: 3 for each tile; the result is a link, or the picture itself."""
    job = ask(alice.api, source, "GFPGAN", "REALESRGAN_X4PLUS", "CAPTION", slowWorkers=False)
    amounts = {item["label"]: item["amount"] for item in job.job["quote"]["items"]}
    assert amounts == {
        "GFPGAN, 4 tiles of 512x512": "12.00",
        "RealESRGAN_x4plus, 4 tiles of 512x512": "12.00",
        "caption": "1.00",
        "slow workers refused x1.2": "5.00",
        "Horde tax, 3 x 1.00": "3.00",
    }
    worker = teller(bob, "GFPGAN", "REALESRGAN_X4PLUS")
    taken = worker.take()
    assert [task["form"] for task in taken["forms"]] == ["GFPGAN", "REALESRGAN_X4PLUS"]
    (first, second) = taken["forms"]
    with refused("OBJECT_MISSING", "input", "results", "0"):
        worker.report(taken["leaseId"], {"generationId": first["id"], "state": "OK"})
    data = put(first)
    assert worker.report(taken["leaseId"], {"generationId": first["id"], "state": "OK"})["reward"] == "12.00"
    result = job.forms()["GFPGAN"]["result"]
    assert result["__typename"] == "PostProcessedResult"
    assert transfer("GET", result["imageUrl"]) == (200, data)
    assert base64.b64decode(result["imageBase64"]) == data
    assert worker.report(taken["leaseId"], {"generationId": second["id"], "state": "FAULTED"})
    assert job.forms()["REALESRGAN_X4PLUS"]["state"] == "WAITING"
    assert job.now()["charged"] == "15.40"


def test_forms_that_waited_are_free_after_cancelling_and_running_ones_are_paid(
    alice: User, bob: User, source: dict[str, str]
) -> None:
    """Feature 91: the hold of what waited is released at once, that of what runs stays and is spent."""
    job = ask(alice.api, source, "CAPTION", "INTERROGATION")
    assert alice.me()["held"] == "6.00"
    worker = teller(bob, "INTERROGATION")
    taken = worker.take()
    cancelled = job.cancel()
    assert cancelled["state"] == "CANCELLED"
    assert {each["form"]: each["state"] for each in cancelled["generations"]} == {
        "CAPTION": "CANCELLED",
        "INTERROGATION": "PROCESSING",
    }
    assert alice.me()["held"] == "4.00"
    assert worker.tell(taken)["reward"] == "3.00"
    assert job.forms()["INTERROGATION"]["result"]["keywords"]
    assert (alice.kudos, alice.me()["held"], job.now()["state"]) == (996, "0.00", "CANCELLED")


def test_three_failures_by_two_owners_fault_a_form_and_the_others_go_on(
    horde: Horde, alice: User, bob: User, source: dict[str, str]
) -> None:
    """Feature 84: what nobody can tell is given up alone; it is never offered again to who failed it."""
    job = ask(alice.api, source, "PALETTE", "CAPTION")
    carol = horde.register("carol")
    for owner in (bob, bob, carol):
        worker = teller(owner, "PALETTE")
        taken = worker.take()
        (task,) = taken["forms"]
        worker.report(taken["leaseId"], {"generationId": task["id"], "state": "FAULTED"})
        assert worker.pop()["__typename"] == "NoJob"
    assert {form: each["state"] for form, each in job.forms().items()} == {
        "PALETTE": "FAULTED",
        "CAPTION": "WAITING",
    }
    worker = teller(bob)
    worker.tell(worker.take())
    assert job.now()["state"] == "DONE"
    assert (alice.kudos, alice.me()["held"]) == (998, "0.00")


def test_what_is_told_is_checked_by_its_form(alice: User, bob: User, source: dict[str, str]) -> None:
    """Features 85 to 88: a result of another shape is refused, by the path of the field."""
    ask(alice.api, source, "CAPTION", "NSFW", "INTERROGATION", "PALETTE", "AESTHETIC", "VECTORIZE")
    worker = teller(bob)
    taken = worker.take()
    wrong: list[tuple[str, Any, tuple[str, ...]]] = [
        ("CAPTION", "", ()),
        ("CAPTION", "x" * 2_001, ()),
        ("CAPTION", None, ()),
        ("CAPTION", {"caption": "keyed"}, ()),
        ("NSFW", 1, ()),
        ("INTERROGATION", {"sheep": 1.5}, ()),
        ("INTERROGATION", [{"keyword": "sheep", "confidence": True}], ("0",)),
        ("INTERROGATION", {str(number): 0.5 for number in range(501)}, ()),
        ("PALETTE", [{"hex": "#000000", "share": 1}, {"hex": "red", "share": 0}], ("1",)),
        ("AESTHETIC", 10.5, ()),
        ("VECTORIZE", "<html></html>", ()),
    ]
    ids = {task["form"]: task["id"] for task in taken["forms"]}
    for form, told, place in wrong:
        with refused("INVALID_INPUT", "input", "results", "0", "form", *place):
            worker.report(taken["leaseId"], {"generationId": ids[form], "state": "OK", "form": told})
    worker.tell(taken)


def test_by_url_the_picture_is_fetched_first_and_what_was_told_is_told_again_free(
    horde: Horde, alice: User, bob: User, stranger: Stranger
) -> None:
    """Features 92 and 93: the second who asks the same of the same URL is told at once, and pays nothing."""
    stranger.pages["/lighthouse"] = answer(picture(600, 400))
    source = {"url": stranger.url("lighthouse?marker-in-a-told-url")}
    first = ask(alice.api, source, "CAPTION", "NSFW")
    assert first.job["tiles"] is None
    worker = teller(bob)
    worker.tell(worker.take(waitSeconds=20))
    assert (first.now()["state"], first.now()["tiles"]) == ("DONE", 2)
    assert not any(each["reused"] for each in first.now()["generations"])
    fetched = len(stranger.visits)

    carol = horde.register("carol", "100")
    again = ask(carol.api, source, "NSFW", "CAPTION")
    assert (again.job["state"], again.job["charged"], again.job["quote"]["total"]) == ("DONE", "0.00", "0.00")
    assert [item["label"] for item in again.job["quote"]["items"][:2]] == [
        "nsfw, told before",
        "caption, told before",
    ]
    forms = again.forms()
    assert forms["CAPTION"]["reused"] is True
    assert forms["CAPTION"]["result"]["caption"] == TELLS["CAPTION"]
    assert (carol.kudos, len(stranger.visits)) == (100, fetched)

    mixed = ask(carol.api, source, "CAPTION", "PALETTE")
    assert mixed.job["quote"]["total"] == "2.00"
    assert mixed.forms()["CAPTION"]["state"] == "DONE"
    taken = worker.take(waitSeconds=20)
    assert [task["form"] for task in taken["forms"]] == ["PALETTE"]
    worker.tell(taken)
    assert (mixed.now()["state"], mixed.now()["charged"], carol.kudos) == ("DONE", "2.00", 98)

    for other in (
        {"reuse": False},
        {"nsfw": True},
        {"trustedWorkers": True},
        {"workers": [worker.name]},
    ):
        asked = ask(carol.api, source, "CAPTION", **other)
        assert asked.job["state"] == "WAITING", other
        asked.cancel()
    with psycopg.connect(horde.variables["HOARD_DATABASE_URL"]) as connection:
        found = connection.execute(
            "SELECT count(*) FROM vault.told AS t WHERE t::text LIKE '%%marker-in-a-told%%'"
        )
        assert found.fetchone() == (0,)
        kept = "SELECT count(*), min(expires_at - now()) > interval '4 days 23 hours' FROM vault.told WHERE job = %s"
        assert connection.execute(kept, (first.id,)).fetchone() == (2, True)


def test_what_a_worker_reported_is_not_told_again(alice: User, bob: User, stranger: Stranger) -> None:
    """Feature 93: a report about one form takes back what the others told of the same picture."""
    stranger.pages["/reported"] = answer(picture())
    source = {"url": stranger.url("reported")}
    ask(alice.api, source, "CAPTION", "NSFW")
    worker = teller(bob)
    taken = worker.take(waitSeconds=20)
    worker.tell(taken, "CAPTION")
    assert ask(alice.api, source, "CAPTION").job["state"] == "DONE"
    (nsfw,) = (task for task in taken["forms"] if task["form"] == "NSFW")
    worker.report(taken["leaseId"], {"generationId": nsfw["id"], "state": "CSAM"})
    again = ask(alice.api, source, "CAPTION")
    assert again.job["state"] == "WAITING"


def test_a_url_must_be_had_and_what_costs_by_size_must_be_uploaded(
    alice: User, bob: User, stranger: Stranger
) -> None:
    """Feature 92: a picture that cannot be had ends the job free; its size is not known before it is fetched."""
    with refused("INVALID_INPUT", "input", "source", "url"):
        ask(alice.api, {"url": stranger.url("any")}, "GFPGAN")
    with refused("INVALID_INPUT", "input", "source", "url"):
        ask(alice.api, {"url": "http://127.0.0.1/a.png"}, "CAPTION")
    with refused("OBJECT_MISSING", "input", "source", "uploadId"):
        ask(alice.api, {"uploadId": "9b2c4c4e-0000-4000-8000-000000000000"}, "CAPTION")
    missing = quote(alice.api, {"uploadId": "nothing"}, "CAPTION")
    assert (missing["code"], missing["path"]) == ("OBJECT_MISSING", ["input", "source", "uploadId"])
    job = ask(alice.api, {"url": stranger.url("nothing-here")}, "CAPTION")
    eventually(lambda: job.now()["state"] == "FAULTED", 20, "it is given up")
    assert job.now()["sourceFault"] == "UNREACHABLE"
    assert (alice.kudos, alice.me()["held"]) == (1000, "0.00")
    stranger.pages["/wide"] = answer(picture(2048, 512))
    wide = ask(alice.api, {"url": stranger.url("wide")}, "CAPTION")
    eventually(lambda: wide.now()["tiles"] == 4, 20, "it is fetched")
    small = teller(bob, maxTiles=3)
    eventually(lambda: small.skipped().get("max_tiles") == 1, 20, "it is told so")
    large = teller(bob, maxTiles=4)
    large.tell(large.take())


def test_requests_are_checked_and_limited(horde: Horde, alice: User, source: dict[str, str]) -> None:
    """Feature 84: forms are asked once each; ten times as many may wait as of other generations; services may name whom."""
    with refused("INVALID_INPUT", "input", "forms", "1"):
        ask(alice.api, source, "CAPTION", "CAPTION")
    with refused("INVALID_INPUT", "input", "forms"):
        ask(alice.api, source)
    with refused("INVALID_INPUT", "input", "source"):
        ask(alice.api, {}, "CAPTION")
    with refused("INVALID_INPUT", "input", "maxKudos"):
        ask(alice.api, source, "INTERROGATION", maxKudos="3.99")
    with refused("FORBIDDEN", "input", "proxiedAccount"):
        ask(alice.api, source, "CAPTION", proxiedAccount="somebody")
    with refused("NOT_FOUND", "input", "workers", "0"):
        ask(alice.api, source, "CAPTION", workers=["nobody's"])
    newcomer = horde.register()
    mine = uploaded(newcomer.api, picture())
    forms = [*TELLS, "GFPGAN", "CODEFORMERS", "RESTOREFORMER", "STRIP_BACKGROUND", "NMKD_SIAX"]
    jobs = [ask(newcomer.api, mine, *forms) for _ in range(25)]
    with refused("TOO_MANY_JOBS", "input", "forms") as beyond:
        ask(newcomer.api, mine, "CAPTION")
    assert (beyond.result["limit"], beyond.result["wouldWait"]) == (300, 301)
    for job in jobs:
        job.cancel()
    ask(horde.anonymous, uploaded(horde.anonymous, picture()), "CAPTION").cancel()


def test_workers_that_wait_are_woken_each_for_its_forms(
    alice: User, bob: User, source: dict[str, str]
) -> None:
    """Feature 99: one job is served by several workers at once."""
    workers = [teller(bob, "CAPTION"), teller(bob, "NSFW")]
    with ThreadPoolExecutor() as threads:
        waiting = [threads.submit(worker.take, waitSeconds=30) for worker in workers]
        job = ask(alice.api, source, "CAPTION", "NSFW")
        taken = [each.result(20) for each in waiting]
    assert [[task["form"] for task in each["forms"]] for each in taken] == [["CAPTION"], ["NSFW"]]
    for worker, each in zip(workers, taken, strict=True):
        worker.tell(each)
    assert job.now()["state"] == "DONE"


def test_a_worker_is_told_why_it_gets_nothing(alice: User, bob: User, source: dict[str, str]) -> None:
    """Feature 99: forms that it does not tell, and not-safe-for-work pictures that it does not take."""
    job = ask(alice.api, source, "CAPTION", nsfw=True)
    worker = teller(bob, "NMKD_SIAX")
    eventually(lambda: worker.skipped().get("forms") == 1, 20, "it is told so")
    worker = teller(bob, "CAPTION", nsfw=False)
    eventually(lambda: worker.skipped().get("nsfw") == 1, 20, "it is told so")
    job.cancel()


def test_a_webhook_comes_with_the_job(horde: Horde, alice: User, source: dict[str, str]) -> None:
    """Feature 94: its secret is shown; anonymous users have none."""
    webhook = {"url": "https://example.com/told"}
    job = ask(alice.api, source, "CAPTION", webhook=webhook)
    assert job.answer["webhookSecret"].startswith("whsec_")
    with psycopg.connect(horde.variables["HOARD_DATABASE_URL"]) as connection:
        found = connection.execute("SELECT url FROM vault.job_webhook WHERE job = %s", (job.id,))
        assert found.fetchone() == (webhook["url"],)
    job.cancel()
    plain = ask(alice.api, source, "CAPTION")
    assert plain.answer["webhookSecret"] is None
    plain.cancel()
    with refused("FORBIDDEN", "input", "webhook"):
        ask(horde.anonymous, uploaded(horde.anonymous, picture()), "CAPTION", webhook=webhook)


def test_the_same_request_again_is_the_same_job(alice: User, source: dict[str, str]) -> None:
    jobs = [ask(alice.api, source, "CAPTION", idempotencyKey="told twice") for _ in range(2)]
    assert jobs[0].id == jobs[1].id
    with refused("IDEMPOTENCY_CONFLICT"):
        ask(alice.api, source, "NSFW", idempotencyKey="told twice")
    found = alice.api.ask(
        f"query($id: ID!) {{ node(id: $id) {{ ... on InterrogationJob {{ {JOB} }} }} }}", id=jobs[0].id
    )
    (generation,) = found["node"]["generations"]
    node = alice.api.ask(
        "query($id: ID!) { node(id: $id) { ... on FormGeneration { form } } }", id=generation["id"]
    )
    assert node["node"] == {"form": "CAPTION"}
    jobs[0].cancel()
