"""What must hold after the soak: all of `tests/chaos/aftermath.py` for three kinds of work, webhooks, memory.

Look next: `tests/soak/report.py` for the figures.
"""

import base64
import hashlib
import hmac
import json
from collections import Counter
from typing import Any

from projections.store.tables import TABLES
from tests.acceptance.processes import run_cli
from tests.chaos import aftermath
from tests.chaos.aftermath import it_goes_on, nothing_is_half_done
from tests.soak.town import SPARED, Soak
from tests.stranger import Visit

SUBMISSIONS = {
    "submitImageJob": "jobs.ImageJobSubmitted",
    "submitTextJob": "jobs.TextJobSubmitted",
    "submitInterrogationJob": "jobs.InterrogationJobSubmitted",
}
#: facts that webhooks are told of, and by what name; an ended job by its state
TOLD = {
    "jobs.GenerationDelivered": "generation.done",
    "jobs.FormReused": "generation.done",
    "jobs.GenerationCensored": "generation.censored",
    "jobs.GenerationFaulted": "generation.faulted",
}
#: MiB by which a spared process may have grown over the last two thirds of a soak that is long enough: the rows at hand
#: are full by then, and other things that are kept and bounded (renderings, 8 MB) nearly
GROWTH, LONG_ENOUGH = 12.0, 1200.0
_EVENTS = """
SELECT type, position, max(position) OVER (PARTITION BY metadata::json->>'command'), subject::text, data
FROM log.event ORDER BY position
"""
Fact = tuple[str, int, int, str | None, dict[str, Any]]


def check(soak: Soak) -> list[str]:
    """All of it, and a line about each. Raises AssertionError."""
    log = read(soak)
    said = []
    said.append(every_promise_is_kept_once(soak, log))
    said.append(every_acknowledged_result_is_paid_once(soak, log))
    said.append(observers_missed_nothing(soak, log))
    said.append(webhooks_were_told(soak, log))
    looks = (
        nothing_is_half_done,
        no_worker_met_a_bug,
        aftermath.bucket_and_log_agree,
        the_log_is_whole,
        aftermath.nobody_met_a_bug,
    )
    for look in (*looks, it_goes_on):
        look(soak)
        said.append(f"{look.__name__.replace('_', ' ')}: good")
    memory_is_flat(soak)
    return said


def read(soak: Soak) -> list[Fact]:
    """The whole log: type, position, last position of the same decision, subject, data."""
    return [(kind, at, last, who, json.loads(data)) for kind, at, last, who, data in soak.world.rows(_EVENTS)]


def every_promise_is_kept_once(soak: Soak, log: list[Fact]) -> str:
    """Every acknowledged command of a client is in the log once; none is there that was not acknowledged."""
    for mutation, name in SUBMISSIONS.items():
        there = [(last, data["job"]) for kind, _, last, _, data in log if kind == name]
        promised = [(fact["position"], fact["job"]) for fact in soak.ledger.of(mutation)]
        assert promised, f"nothing came of {mutation}"
        aftermath._same(there, promised, mutation)
    mine = {user.id for user in soak.people}
    gifts = [last for kind, _, last, who, _ in log if kind == "kudos.KudosTransferred" and who in mine]
    aftermath._same(gifts, [fact["position"] for fact in soak.ledger.of("transferKudos")], "gifts")
    asked = {"jobs.JobCancelled": "cancelJob", "sharing.ShareConsentWithdrawn": "withdrawConsent"}
    # Of a job that was never to be shared, such as one drawn from somebody's picture, there is no consent to withdraw.
    shared = {data["job"] for kind, *_, data in log if kind == "sharing.ShareConsentGiven"}
    for name, mutation in asked.items():
        there = {data["job"] for kind, *_, data in log if kind == name}
        facts = soak.ledger.of(mutation)
        told = {fact["job"] for fact in facts if fact.get("state", "CANCELLED") == "CANCELLED"}
        if mutation == "withdrawConsent":
            told &= shared
        assert told, f"nothing came of {mutation}"
        assert there >= told, f"{mutation} was lost: {[*told - there][:5]}"
    return f"acknowledged to clients and in the log once: {soak.ledger.count}"


def every_acknowledged_result_is_paid_once(soak: Soak, log: list[Fact]) -> str:
    """What workers were told is done was delivered exactly once, of each kind."""
    delivered = Counter(data["generation"] for kind, *_, data in log if kind == "jobs.GenerationDelivered")
    done = [
        fact["generation"]
        for fact in soak.acknowledged()
        if fact["asked"] == "OK" and fact["state"] == "DONE"
    ]
    lost = [key for key in done if delivered[key] != 1]
    assert not lost, f"acknowledged results that are not in the log once: {lost[:5]}"
    assert max(delivered.values()) == 1, "a generation was delivered twice"
    kinds = {
        kind for (kind,) in soak.world.rows("SELECT DISTINCT kind FROM projections.jobs WHERE state = 'DONE'")
    }
    assert len(kinds) == 3, kinds
    return f"acknowledged to workers and in the log once: {len(done)}"


def observers_missed_nothing(soak: Soak, log: list[Fact]) -> str:
    """Those who subscribed to the log heard each event once, in order, up to where they stopped."""
    observers = soak.crowd.observers  # type: ignore[attr-defined]
    last = log[-1][1]
    assert all(0 < each.position <= last for each in observers), [each.position for each in observers]
    heard, cut = min(each.position for each in observers), sum(each.cut for each in observers)
    return f"{len(observers)} observers heard every event, at least {heard}, though cut off {cut} times"


def webhooks_were_told(soak: Soak, log: list[Fact]) -> str:
    """What the log says is owed to webhooks was told at least once, well signed, or waits for its time."""
    owners: dict[str, list[tuple[str, int]]] = {}
    for webhook, owner, since in soak.webhooks:
        owners.setdefault(owner, []).append((webhook, since))
    of_jobs = {
        str(job): set(events) for job, events in soak.world.rows("SELECT job, events FROM vault.job_webhook")
    }
    owed = set()
    for kind, at, _, who, data in log:
        name = f"job.{data['state'].lower()}" if kind == "jobs.JobEnded" else TOLD.get(kind)
        if name is None or who is None:
            continue
        owed |= {(webhook, at) for webhook, since in owners.get(who, ()) if at > since}
        if name in of_jobs.get(data["job"], ()):
            owed.add((data["job"], at))
    rows = soak.world.rows("SELECT webhook::text, position, id::text, state FROM vault.webhook_delivery")
    assert {(webhook, at) for webhook, at, _, _ in rows} == owed, "what is told is what the log owes"
    visits = list(soak.receiver.visits)
    assert all(signed(visit, soak.secrets) for visit in visits), "a call was not signed"
    heard = {visit.headers["webhook-id"] for visit in visits}
    states = Counter(state for *_, state in rows)
    assert set(states) <= {"DELIVERED", "PENDING"}, states
    silent = [key for _, _, key, state in rows if state == "DELIVERED" and key not in heard]
    assert states["DELIVERED"], "webhooks were told"
    assert not silent, f"said to be delivered, but never heard: {silent[:5]}"
    assert heard <= {key for _, _, key, _ in rows}, "nothing was told that is not owed"
    return (
        f"webhooks: {len(owed)} owed, {states['DELIVERED']} told (in {len(visits)} calls, a tenth of them refused), "
        f"{states['PENDING']} on their schedule"
    )


def signed(visit: Visit, secrets: dict[str, str]) -> bool:
    """Whether a call bears the signature of the webhook that it is for."""
    key = base64.b64decode(secrets[visit.path.partition("?")[2]].removeprefix("whsec_"))
    parts = (visit.headers["webhook-id"].encode(), visit.headers["webhook-timestamp"].encode(), visit.body)
    good = "v1," + base64.b64encode(hmac.digest(key, b".".join(parts), hashlib.sha256)).decode()
    return good in visit.headers["webhook-signature"].split(" ")


def no_worker_met_a_bug(soak: Soak) -> None:
    """No worker was refused for good, and none wrote of an error of its own."""
    for log in sorted(soak.world.folder.glob("crew*.log")):
        text = log.read_text(encoding="utf-8")
        met = [line for line in text.split("\n") if line.startswith(("refused", "Traceback"))]
        assert not met, (log.name, met[:3])


def the_log_is_whole(soak: Soak) -> None:
    """Dense, chained, balanced; its projections, each of them, are what a rebuild makes of it."""
    for what in ("log", "projections"):
        run_cli(what, "verify", variables=soak.world.variables, timeout=600)
    before = everything(soak)
    run_cli("projections", "rebuild", variables=soak.world.variables, timeout=600)
    after = everything(soak)
    assert before == after, f"a rebuild makes other rows of {[n for n in before if before[n] != after[n]]}"


def everything(soak: Soak) -> dict[str, str]:
    """A digest of the rows of each projection."""
    return {
        name: soak.world.rows(
            f"SELECT md5(string_agg(t::text, ';' ORDER BY t::text)) FROM projections.{name} AS t"
        )[0][0]
        for name in (*TABLES, "queue_head", "queue_histogram")
    }


def memory_is_flat(soak: Soak) -> None:
    """A process that lived through all of a long soak does not grow without end."""
    if soak.seconds < LONG_ENOUGH:
        return
    for name, life in soak.meter.longest().items():
        if name in SPARED:
            slope = life.slope()
            assert slope is not None, f"{name} was not measured"
            grown = slope[0] * soak.seconds * 2 / 3 / 3600
            assert grown < GROWTH, f"{name} grew by {grown:.1f} MiB over the last two thirds"
