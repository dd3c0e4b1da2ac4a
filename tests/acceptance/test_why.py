"""Why a job went as it did, asked of the public API; the answers name events of the public log."""

import json
from decimal import Decimal
from typing import Any

from tests.acceptance.horde import NOBODY, Horde, User, unique
from tests.acceptance.processes import run_cli
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


def asked(horde: Horde, *question: str) -> dict[str, Any]:
    """What `hoard why` answers of the live log."""
    answer: dict[str, Any] = json.loads(run_cli("why", *question, "--json", variables=horde.variables))
    return answer


def test_the_live_log_explains_what_everybody_has(horde: Horde, alice: User, bob: User) -> None:
    """Feature 141: sums over the log are what the API shows, of whom it was charged to and of whom it went to."""
    model = unique("model")
    job = alice.submit(models=[model], params={"n": 2})
    bob.worker(model).serve(amount=2)
    for user in (alice, bob):
        balance = asked(horde, "balance", user.id)
        assert Decimal(balance["total"]) / 100 == user.kudos
        parts = [each["amount"] for each in balance["statements"] if each["amount"] is not None]
        assert sum(parts) == balance["total"]
    told = [each["text"] for each in asked(horde, "job", job.id)["statements"]]
    assert any("waiting jobs were ahead of it then" in text for text in told)
    api = why(alice.api, job.id)
    assert api is not None
    same = [each["text"] for each in api["history"]]
    assert [text for text in told if text in same] == same
