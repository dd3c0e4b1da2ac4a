"""Why a job went as it did, asked of the public API; the answers name events of the public log."""

from decimal import Decimal
from typing import Any

from tests.acceptance.horde import NOBODY, Horde, User, unique
from tests.acceptance.wires import Api

STATEMENT = "{ text positions events at amount }"
WHY = f"query($id: ID!) {{ whyJob(id: $id) {{ id charged position history {STATEMENT} price {STATEMENT} }} }}"


def why(api: Api, job: str) -> dict[str, Any] | None:
    found: dict[str, Any] | None = api.ask(WHY, id=job)["whyJob"]
    return found


def test_a_requester_reads_why_a_job_went_as_it_did(horde: Horde, alice: User, bob: User) -> None:
    """Feature 141: what was quoted, who took it, what it cost, each with its events in the log."""
    model = unique("model")
    job = alice.submit(models=[model], params={"n": 2})
    waits = why(alice.api, job.id)
    assert waits is not None
    assert waits["charged"] == "0.00"
    assert waits["history"][0]["text"].startswith(
        "submitted: 2 generations, among registered users, with 1000.00"
    )
    bob.worker(model).serve(amount=2)
    told = why(alice.api, job.id)
    assert told is not None
    assert told["charged"] == job.now()["charged"]
    assert Decimal(1_000) - alice.kudos == Decimal(told["charged"])
    quoted = [Decimal(each["amount"]) for each in told["price"] if each["text"].startswith("quoted: ")]
    assert sum(quoted) == Decimal(job.now()["quote"]["total"])
    assert told["history"][-1]["text"].endswith("ended, done")
    named = {position for each in (*told["history"], *told["price"]) for position in each["positions"]}
    stream = {event["position"] for event in horde.events() if event["stream"] == f"job-{job.id}"}
    assert named <= stream
    assert told["position"] == max(stream, key=int)


def test_of_anothers_job_nothing_is_said(horde: Horde, alice: User, bob: User) -> None:
    """Feature 141: as if it were not there."""
    job = alice.submit(models=[unique("model")])
    assert why(bob.api, job.id) is None
    assert why(horde.anonymous, job.id) is None
    assert why(alice.api, NOBODY) is None
    assert why(alice.api, "nonsense") is None
