"""Text jobs from both sides through the public API: asked for, matched, written, paid by the token, reported, erased."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest

from tests.acceptance.horde import QUOTE, RESULT, Horde, User, refused, unique
from tests.acceptance.processes import eventually
from tests.acceptance.wires import Api

TEXTS = (
    "... on TextJob { maxLength maxContextLength softPrompt "
    "generations { id state seed model workerName text textAbsence tokens notes { type value ref } } }"
)
JOB = f"id kind state shared queuePosition estimatedWaitSeconds {QUOTE} charged {TEXTS}"
SUBMITTED = (
    f"... on SubmitTextJobSuccess {{ job {{ {JOB} }} accessKey warnings {{ code message }} position }} "
    "... on InsufficientKudos { required available missing limitTokens limitPromptTokens largestLength } "
    "... on TooManyJobs { waiting wouldWait limit }"
)
POPPED = (
    "... on TextAssignment { leaseId jobId kind expiresAt model payload softPrompt generations { id seed } } "
    "... on NoJob { skipped { reason count } }"
)
QUOTED = f"... on QuoteTextSuccess {{ {QUOTE} warnings {{ code message }} }}"
#: of 7.2 billion parameters, and of 70.6
SMALL, LARGE = "Mistral-7B-Instruct-v0.3", "Llama-3.3-70B-Instruct"
TAX = Decimal(1)


@dataclass
class Scribe:
    """A text worker driven by hand."""

    owner: User
    name: str
    capabilities: dict[str, Any]
    agent: str = "test:1:none"

    def pop(self, **given: Any) -> dict[str, Any]:
        text = {"maxLength": 4096, "maxContextLength": 1_048_576, **self.capabilities}
        asked = {"workerName": self.name, "text": text, "bridgeAgent": self.agent, **given}
        return self.owner.api.call("popJob", POPPED, asked)

    def take(self, **given: Any) -> dict[str, Any]:
        found = self.pop(**given)
        assert found["__typename"] == "TextAssignment", found
        return found

    def skipped(self) -> dict[str, int]:
        found = self.pop()
        assert found["__typename"] == "NoJob", found
        return {skip["reason"]: skip["count"] for skip in found["skipped"]}

    def told(self, reason: str) -> None:
        """It finds nothing, and is told why: by counters at most a second old."""
        eventually(lambda: reason in self.skipped(), 5, reason)

    def report(self, taken: dict[str, Any], *results: dict[str, Any]) -> dict[str, Any]:
        given = {"leaseId": taken["leaseId"], "results": list(results)}
        return self.owner.api.call("submitResult", RESULT, given)

    def write(self, text: str = "and so on", **given: Any) -> dict[str, Any]:
        """Take and deliver the same text for all that was taken."""
        taken = self.take(**given)
        return self.report(
            taken, *({"generationId": g["id"], "state": "OK", "text": text} for g in taken["generations"])
        )


def scribe(owner: User, *models: str, agent: str = "test:1:none", **capabilities: Any) -> Scribe:
    return Scribe(owner, unique("scribe"), {"models": list(models), **capabilities}, agent)


def ask(api: Api, prompt: str = "Once upon a time", **given: Any) -> dict[str, Any]:
    return api.call("submitTextJob", SUBMITTED, {"prompt": prompt, **given})


def look(api: Api, submitted: dict[str, Any]) -> dict[str, Any]:
    document = f"query($id: ID!, $key: String) {{ job(id: $id, accessKey: $key) {{ {JOB} }} }}"
    found: dict[str, Any] = api.ask(document, id=submitted["job"]["id"], key=submitted["accessKey"])["job"]
    return found


def quote(api: Api, prompt: str = "Once upon a time", **given: Any) -> dict[str, Any]:
    document = (
        "query($input: SubmitTextJobInput!) { quoteTextJob(input: $input) { "
        f"{QUOTED} ... on UserError {{ code message path }} }} }}"
    )
    found: dict[str, Any] = api.ask(document, input={"prompt": prompt, **given})["quoteTextJob"]
    return found


def total(api: Api, prompt: str = "Once upon a time", **given: Any) -> Decimal:
    return Decimal(quote(api, prompt, **given)["quote"]["total"])


def test_a_text_is_asked_for_written_and_read(alice: User, bob: User, model: str) -> None:
    """Features 76, 77 and 98: submitted, followed, looked at by its owner, by who has its access key, by `node`."""
    asked = ask(alice.api, models=[model], params={"n": 2})
    assert (asked["job"]["kind"], asked["job"]["state"], asked["job"]["queuePosition"]) == (
        "TEXT",
        "WAITING",
        1,
    )
    assert not asked["job"]["shared"]
    writer = scribe(bob, model)
    taken = writer.take(amount=2)
    assert (taken["kind"], taken["model"], taken["softPrompt"]) == ("TEXT", model, None)
    assert taken["payload"]["prompt"] == "Once upon a time"
    one, two = taken["generations"]
    writer.report(taken, {"generationId": one["id"], "state": "OK", "text": "there was", "seed": "7"})
    half = look(alice.api, asked)
    assert [g["textAbsence"] for g in half["generations"]] == [None, "NOT_DELIVERED"]
    writer.report(taken, {"generationId": two["id"], "state": "OK", "text": ""})
    done = look(Api(alice.api.url), asked)
    assert done["state"] == "DONE"
    first, second = done["generations"]
    assert (first["text"], first["tokens"], first["seed"], first["model"]) == ("there was", 20, "7", model)
    assert (second["text"], second["tokens"], second["workerName"]) == ("", 20, writer.name)
    found = alice.api.ask(
        "query($job: ID!, $one: ID!) { job: node(id: $job) { ... on TextJob { state } } "
        "one: node(id: $one) { ... on TextGeneration { text } } "
        "viewer { jobs(first: 1) { edges { node { id kind ... on TextJob { generations { text } } } } } } }",
        job=asked["job"]["id"],
        one=one["id"],
    )
    assert (found["job"]["state"], found["one"]["text"]) == ("DONE", "there was")
    assert found["viewer"]["jobs"]["edges"][0]["node"]["kind"] == "TEXT"
    assert Api(alice.api.url).ask(
        "query($id: ID!) { node(id: $id) { id } job(id: $id) { id } }", id=asked["job"]["id"]
    ) == {"node": None, "job": None}


def test_a_text_job_is_cancelled(alice: User, bob: User, model: str) -> None:
    """Feature 77: what waits is cancelled and its hold released, what is being written may be delivered."""
    asked = ask(alice.api, models=[model], params={"n": 3})
    writer = scribe(bob, model)
    taken = writer.take()
    answer = alice.api.call(
        "cancelJob", f"... on CancelJobSuccess {{ job {{ {JOB} }} }}", {"id": asked["job"]["id"]}
    )
    states = sorted(g["state"] for g in answer["job"]["generations"])
    assert states == ["CANCELLED", "CANCELLED", "PROCESSING"]
    writer.report(taken, {"generationId": taken["generations"][0]["id"], "state": "OK", "text": "x" * 400})
    ended = look(alice.api, asked)
    assert ended["state"] == "CANCELLED"
    assert alice.me()["held"] == "0.00"
    assert 0 < Decimal(ended["charged"]) <= Decimal(asked["job"]["quote"]["total"]) / 3 + Decimal("0.01")


def test_a_client_waits_for_its_text(alice: User, bob: User, model: str) -> None:
    """Feature 77 without asking again: the answer comes when the text is there."""
    writer = scribe(bob, model)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(ask, alice.api, models=[model], waitSeconds=30)
        writer.write("the end", waitSeconds=20)
        answer = waiting.result(30)
    assert answer["job"]["state"] == "DONE"
    assert answer["job"]["generations"][0]["text"] == "the end"


PARAMS: dict[str, Any] = {
    "maxLength": 128, "maxContextLength": 4096, "repPen": 1.1, "repPenRange": 320, "repPenSlope": 0.7,
    "temperature": 0.65, "tfs": 0.9, "topA": 0.1, "topK": 40, "topP": 0.92, "typical": 0.95, "minP": 0.05,
    "smoothingFactor": 0.3, "dynatempRange": 0.5, "dynatempExponent": 1.5, "samplerOrder": [6, 0, 1, 3, 4, 2, 5],
    "stopSequence": ["\nYou:", "###"], "singleline": True, "frmtadsnsp": True, "frmtrmblln": False,
    "frmtrmspch": True, "frmttriminc": False, "useDefaultBadwordsids": True,
}  # fmt: skip
#: as workers know them
NAMED = {
    "maxLength": "max_length", "maxContextLength": "max_context_length", "repPen": "rep_pen",
    "repPenRange": "rep_pen_range", "repPenSlope": "rep_pen_slope", "topA": "top_a", "topK": "top_k", "topP": "top_p",
    "minP": "min_p", "smoothingFactor": "smoothing_factor", "dynatempRange": "dynatemp_range",
    "dynatempExponent": "dynatemp_exponent", "samplerOrder": "sampler_order", "stopSequence": "stop_sequence",
    "useDefaultBadwordsids": "use_default_badwordsids",
}  # fmt: skip


def test_a_worker_is_given_every_parameter_by_the_name_that_backends_know(
    alice: User, bob: User, model: str
) -> None:
    """Features 78 and 79: nothing is left out, and what was not said is not made up."""
    ask(alice.api, models=[model], params=PARAMS)
    payload = scribe(bob, model).take()["payload"]
    assert {NAMED.get(name, name): value for name, value in PARAMS.items()}.items() <= payload.items()
    ask(alice.api, models=[model])
    plain = scribe(bob, model).take()["payload"]
    assert plain == {"prompt": "Once upon a time", "max_length": 80, "max_context_length": 2048}


@pytest.mark.parametrize(
    ("params", "field", "said"),
    [
        ({"n": 21}, "n", "from 1 to 20"),
        ({"maxLength": 15}, "maxLength", "from 16 to 4096"),
        ({"maxLength": 4097}, "maxLength", "from 16 to 4096"),
        ({"maxContextLength": 79}, "maxContextLength", "from 80 to 1048576"),
        ({"maxContextLength": 1_048_577}, "maxContextLength", "from 80 to 1048576"),
        ({"maxLength": 512, "maxContextLength": 511}, "maxContextLength", "TokenOverflow"),
        ({"minP": 1.01}, "minP", "from 0 to 1"),
        ({"topP": 0}, "topP", "from 0.001 to 1"),
        ({"dynatempExponent": 5.1}, "dynatempExponent", "from 0 to 5"),
        ({"smoothingFactor": 10.1}, "smoothingFactor", "from 0 to 10"),
        ({"samplerOrder": [0, 1, 2, 3, 4, 5, 5]}, "samplerOrder", "MissingFullSamplerOrder"),
        ({"stopSequence": [str(n) for n in range(129)]}, "stopSequence", "TooManyStopSequences"),
        ({"stopSequence": ["a" * 1_000, "b" * 1_001]}, "stopSequence", "ExcessiveStopSequence"),
    ],
)  # fmt: skip
def test_what_no_worker_is_to_be_given_is_refused_by_its_field(
    alice: User, params: dict[str, Any], field: str, said: str
) -> None:
    """Features 78 to 80: every bound is named, with the code that the Horde has for it."""
    with refused("INVALID_INPUT", "input", "params", field) as found:
        ask(alice.api, params=params)
    assert said in found.result["message"]
    assert quote(alice.api, params=params)["path"] == ["input", "params", field]


def test_a_worker_gets_no_more_than_it_can_read_and_write(alice: User, bob: User, model: str) -> None:
    """Feature 80: 4,096 tokens after 1,048,576 are the most; a worker declares what it holds of both."""
    most = {"maxLength": 4096, "maxContextLength": 1_048_576}
    asked = ask(alice.api, models=[model], params=most)
    scribe(bob, model, maxLength=4095).told("max_length")
    scribe(bob, model, maxContextLength=1_048_575).told("max_context_length")
    assert scribe(bob, model).take()["jobId"] == asked["job"]["id"]


def test_a_soft_prompt_is_used_by_who_has_it(alice: User, bob: User, model: str) -> None:
    """Feature 81."""
    asked = ask(alice.api, models=[model], softPrompt="pirates")
    assert asked["job"]["softPrompt"] == "pirates"
    scribe(bob, model).told("soft_prompt")
    other = scribe(bob, model, softPrompts=["ghosts"])
    assert other.pop()["__typename"] == "NoJob"
    taken = scribe(bob, model, softPrompts=["ghosts", "pirates"]).take()
    assert taken["softPrompt"] == "pirates"


def test_any_model_will_do_of_a_size_that_is_paid_for(alice: User, bob: User) -> None:
    """Feature 82: each is paid by its size; one that is too dear is asked only as far as the client allows."""
    usual = total(alice.api)
    assert total(alice.api, maxKudos="0.40") < usual < total(alice.api, maxKudos="100")
    asked = ask(alice.api)
    assert scribe(bob, LARGE).pop()["__typename"] == "NoJob"
    written = scribe(bob, SMALL).write("x" * 320)
    assert Decimal(written["reward"]) < Decimal(asked["job"]["quote"]["total"]) - TAX
    assert look(alice.api, asked)["generations"][0]["model"] == SMALL
    dear = ask(alice.api, maxKudos="100")
    large = scribe(bob, LARGE).write("x" * 320)
    assert Decimal(large["reward"]) > Decimal(written["reward"]) * 10
    assert Decimal(look(alice.api, dear)["charged"]) == Decimal(large["reward"]) + TAX


def test_a_text_is_paid_by_its_tokens_and_by_the_size_of_the_model(alice: User, bob: User) -> None:
    """Feature 158: quoted for all tokens that were asked for, charged for those that were written."""
    before, earned = alice.kudos, bob.earned
    asked = ask(alice.api, "x" * 4096, models=[SMALL], params={"maxLength": 100})
    # 100 tokens x 7.2 / 125, after 1,024 tokens x 2.2
    assert Decimal(asked["job"]["quote"]["total"]) == Decimal("12.67") + TAX
    assert Decimal(alice.me()["held"]) == Decimal("13.67")
    assert Decimal(scribe(bob, SMALL).write("x" * 200)["reward"]) == Decimal("6.34")
    assert before - alice.kudos == Decimal("7.34") == Decimal(look(alice.api, asked)["charged"])
    assert bob.earned - earned == Decimal("6.34")
    assert alice.me()["held"] == "0.00"
    ask(alice.api, "x" * 4096, models=[SMALL], params={"maxLength": 100})
    assert Decimal(scribe(bob, SMALL).write("x" * 20_000)["reward"]) == Decimal("12.67")
    lines = {line["label"]: line["amount"] for line in alice.statement()[0]["breakdown"]}
    assert sum(map(Decimal, lines.values())) == Decimal("-13.67")
    ten = total(alice.api, models=[LARGE]) - TAX
    assert ten > 10 * (total(alice.api, models=[SMALL]) - TAX)
    assert total(alice.api, models=[f"koboldcpp/{SMALL}-Q4_K_M"]) == total(alice.api, models=[SMALL])
    assert total(alice.api, models=[unique("unheard of")]) < total(alice.api, models=[SMALL])


def test_a_long_text_is_paid_beforehand_or_shortened(horde: Horde, bob: User, model: str) -> None:
    """Features 65 and 76: beyond 256 tokens a newcomer has the whole quote in hand, or allows a shorter text."""
    poor = horde.register("poor")
    with refused("INSUFFICIENT_KUDOS", "input", "params", "maxLength") as found:
        ask(poor.api, models=[model], params={"maxLength": 257})
    assert (found.result["limitTokens"], found.result["largestLength"]) == (256, 256)
    with refused("INSUFFICIENT_KUDOS", "input", "prompt"):
        ask(poor.api, "x" * 4_100, models=[model])
    with refused("INSUFFICIENT_KUDOS", "input", "slowWorkers"):
        ask(poor.api, models=[model], slowWorkers=False)
    asked = ask(poor.api, models=[model], params={"maxLength": 1_000}, allowDowngrade=True)
    assert asked["warnings"][0]["code"] == "DOWNGRADED"
    assert asked["job"]["maxLength"] == 256
    assert scribe(bob, model).take()["payload"]["max_length"] == 256
    assert (
        quote(poor.api, models=[model], params={"maxLength": 257})["warnings"][0]["code"]
        == "INSUFFICIENT_KUDOS"
    )


def test_texts_wait_in_the_same_number_as_pictures(alice: User, model: str) -> None:
    """Feature 76: 30 generations of whatever kind may wait."""
    for _ in range(2):
        ask(alice.api, models=[model], params={"n": 10})
    alice.submit(models=[model], params={"n": 5, "width": 64, "height": 64, "steps": 1})
    with refused("TOO_MANY_JOBS", "input", "params", "n") as found:
        ask(alice.api, models=[model], params={"n": 6})
    assert (found.result["waiting"], found.result["limit"]) == (25, 30)


def test_workers_are_chosen_as_for_pictures(horde: Horde, alice: User, bob: User, model: str) -> None:
    """Features 57 to 61 of text jobs: validated programs by their name, trusted owners, lists, not safe for work."""
    asked = ask(alice.api, models=[model], validatedBackends=True)
    scribe(bob, model).told("validated_backend")
    assert scribe(bob, model, agent="TabbyAPI:1:x").take()["jobId"] == asked["job"]["id"]
    asked = ask(alice.api, models=[model], trustedWorkers=True)
    scribe(bob, model).told("trusted_worker")
    carol = horde.promote(horde.register("carol"), "trusted")
    assert scribe(carol, model).take()["jobId"] == asked["job"]["id"]
    ask(alice.api, models=[model], nsfw=True)
    chosen = scribe(carol, model, nsfw=False)
    chosen.told("nsfw")
    chosen.capabilities["nsfw"] = True
    chosen.write()
    asked = ask(alice.api, models=[model], workers=[chosen.name])
    scribe(carol, model).told("worker_id")
    assert chosen.take()["jobId"] == asked["job"]["id"]
    image = carol.worker(model)
    image.pop()
    with refused("NOT_FOUND", "input", "workers", "0"):
        ask(alice.api, models=[model], workers=[image.name])


def test_a_repeated_submission_is_one_job(alice: User, model: str) -> None:
    """Feature 76: the same key gives the same job; with another input it is refused."""
    key = unique("key")
    one = ask(alice.api, models=[model], idempotencyKey=key)
    assert ask(alice.api, models=[model], idempotencyKey=key)["job"]["id"] == one["job"]["id"]
    with refused("IDEMPOTENCY_CONFLICT"):
        ask(alice.api, "another", models=[model], idempotencyKey=key)


def test_what_a_worker_does_not_show_is_not_charged_but_for_the_tax(
    horde: Horde, alice: User, bob: User, model: str
) -> None:
    """Feature 72 of texts: notes, censoring, and reports, which withhold at once and are decided by moderators."""
    asked = ask(alice.api, models=[model], params={"n": 2})
    writer = scribe(bob, model)
    taken = writer.take(amount=2)
    one, two = (g["id"] for g in taken["generations"])
    note = {"type": "CENSORSHIP", "value": "NSFW"}
    writer.report(
        taken,
        {"generationId": one, "state": "CENSORED", "notes": [note]},
        {"generationId": two, "state": "CSAM"},
    )
    job = look(alice.api, asked)
    assert [g["state"] for g in job["generations"]] == ["CENSORED", "CENSORED"]
    assert job["generations"][0]["notes"] == [{**note, "ref": None}]
    assert Decimal(job["charged"]) == 2 * TAX
    moderator = horde.promote(horde.register("mona"), "moderator")
    cases = moderator.api.ask("{ moderatorCases(first: 1) { edges { node { jobId prompt generationId } } } }")
    case = cases["moderatorCases"]["edges"][0]["node"]
    assert case == {"jobId": asked["job"]["id"], "prompt": "Once upon a time", "generationId": two}
