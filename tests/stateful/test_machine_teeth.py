"""The machine has teeth: each of these faults, planted in the server, is found within a few examples.

Look next: `test_machine_scenes.py` for faults that take a scene.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import Any, ClassVar

import msgspec
import pytest
from hypothesis import Phase
from hypothesis.errors import HypothesisException

from app.fleet import serving
from app.jobs import decider as jobs_decider
from app.jobs import wish
from app.ledger import closing, postings
from app.ledger.price_book import PriceBook
from app.moderation import decider as moderation_decider
from app.platform.rows import Rows
from app.platform.writer import Writer, apply, batch, gather
from app.relay import sweeper, tailing
from app.sharing import decider as sharing_decider
from app.sharing import story
from app.workers import lease_decider, matching, payment, steering_decider
from events.store import log
from projections import accounts, jobs
from projections.queue import Found
from projections.store import build, search
from tests.stateful.machine import Hoard
from tests.stateful.playing import play
from tests.stateful.world import Clockwork

#: within so many examples each is found; most in fewer than ten
EXAMPLES = 200
#: those that `make test` plants: one of each kind that is found at once
QUICK = frozenset(
    {
        "another price is charged than was quoted",
        "a hold pays nothing",
        "a hold is kept at the end of its job",
        "what is leased waits on",
        "later commands do not see earlier ones",
        "a prompt is in the log",
        "a source costs nothing",
    }
)


def without_tax(**fields: Any) -> Any:
    return REAL["delivery"](**{**fields, "tax": 0})


def to_the_requester(**fields: Any) -> Any:
    return REAL["delivery"](**{**fields, "worker_owner": fields["requester"]})


def always_paid(draft: Any, lease: Any, job: Any, generation: Any, result: Any, _: Any) -> Any:
    return lease_decider._pay(draft, lease, job, result, waited=generation.state.value == "WAITING")


def late_is_paid_after_cancel(
    draft: Any, lease: Any, job: Any, generation: Any, result: Any, path: Any
) -> Any:
    if generation.state.value == "CANCELLED" and result.state is lease_decider.ResultState.OK:
        return lease_decider._outcome(draft, generation.id, reward=job.price)
    return REAL["_late"](draft, lease, job, generation, result, path)


def kept_to_the_end(draft: Any, job_id: Any) -> None:
    job = closing.standing(draft, job_id)
    if not job.open and not job.final:
        draft.add(closing.JobEnded(job=job.id, requester=job.requester, state=closing._final_state(job)))


def words_in_the_log(command: Any, *others: Any) -> Any:
    events = REAL["_submission"](command, *others)
    return [msgspec.structs.replace(events[0], sampler=command.prompt), *events[1:]]


def untold_price(*arguments: Any, **fields: Any) -> Any:
    quote = REAL["quote_image"](*arguments, **fields)
    offers = tuple((model, price + 1, surcharge) for model, price, surcharge in quote.offers)
    return msgspec.structs.replace(
        quote, offers=offers, price=quote.price + 1, total=quote.total + fields["n"]
    )


def every_second(connection: Any, realm: int, schema: str, projection: Any, chunk: Any) -> None:
    REAL["fold_chunk"](connection, realm, schema, projection, chunk[::2])


def any_submission(beginning: Any, _: Any) -> Any:
    return next(fact for fact in beginning if fact.event.TYPE == "jobs.ImageJobSubmitted")


def by_this_clock(realm: int, row: Any) -> Any:
    return log.Head(row[0], row[1], bytes(row[3])) if row[1] else REAL["head_of"](realm, row)


def same_whatever_it_says(self: Any, request: Any, rule: Any) -> Any:
    key = request.idempotency
    if key is None or (kept := self.known.get((key.scope, key.key))) is None:
        return None
    result = msgspec.json.decode(kept.outcome, type=rule.result)
    return batch.Done(result, kept.position, repeated=True)


def leased_still_waits(event: Any) -> int:
    return 0 if event.TYPE == "jobs.GenerationsLeased" else REAL["_queued"](event)


def queued_at_once(event: Any, fact: Any) -> Any:
    return msgspec.structs.replace(REAL["_submitted"](event, fact), fetching=False)


def paid_at_once(**fields: Any) -> Any:
    return REAL["delivery"](**{**fields, "trusted_owner": True})


def paid_as_the_dearest(draft: Any, lease: Any, *others: Any) -> Any:
    return REAL["_terms"](draft, msgspec.structs.replace(lease, price=None), *others)


def own_among_others(self: Any, text: str) -> Any:
    return {
        question: Found(tuple(sorted(found.candidates, key=lambda c: (-c.rank, c.position))), found.after)
        for question, found in REAL["answers"](self, text).items()
    }


REAL: dict[str, Any] = {
    "_terms": payment._terms,
    "answers": search.Questions.answers,
    "_queued": accounts._queued,
    "delivery": postings.delivery,
    "_late": lease_decider._late,
    "_submission": jobs_decider._submission,
    "quote_image": wish.quote_image,
    "_submitted": jobs._submitted,
    "fold_chunk": build.fold_chunk,
    "head_of": log.head_of,
}


def swapped(where: Any, name: str, *change: str) -> tuple[Any, str, Any]:
    """A statement with one thing in it exchanged, which must be in it."""
    text = getattr(where, name)
    assert change[0] in text
    return where, name, text.replace(*change)


Fault = tuple[Any, str, Any]
FAULTS: dict[str, Fault] = {
    "the tax is forgotten": (postings, "delivery", without_tax),
    "another than the owner is paid": (postings, "delivery", to_the_requester),
    "a hold pays nothing": (postings, "capture", lambda *_: 0),
    "all that is available is held": (jobs_decider.holds, "place", lambda available, _: max(0, available)),
    "a hold is kept at the end of its job": (lease_decider, "end_if_over", kept_to_the_end),
    "more is released than is free": (closing, "release_on_drop", lambda left, *_: left),
    "another price is charged than was quoted": (wish, "quote_image", untold_price),
    "whatever comes late is paid": (lease_decider, "_late", always_paid),
    "what was cancelled is answered as paid": (lease_decider, "_late", late_is_paid_after_cancel),
    "a repeated result is no repeat": (lease_decider, "_repeat", lambda *_: None),
    "redundant deliveries have another cap": (payment, "LATE_CAP_PER_DAY", 400),
    "leases can be extended for ever": (lease_decider, "MAX_LEASE", lease_decider.LONGEST_LEASE),
    "anybody may extend a lease": (
        lease_decider,
        "_live",
        lambda rows, key, _: rows.lease(key) or lease_decider._no_lease(),
    ),
    "what a lapsed lease held is forgotten": (lease_decider, "_held", lambda *_: ()),
    "jobs never expire": (jobs_decider, "EXPIRY", lease_decider.LONGEST_LEASE * 20),
    "one failure is enough": (closing, "MAX_FAILURES", 2),
    "the last is served first": swapped(
        search,
        "FIND",
        "p.rank DESC, p.position), '[]') AS found FROM places",
        "p.rank, p.position DESC), '[]') AS found FROM places",
    ),
    "own jobs do not come first": (search.Questions, "answers", own_among_others),
    "what failed is offered again": (
        matching,
        "_untried",
        lambda _, job, rows: tuple(g.id for g in rows.generations_of(job.id) if g.state.value == "WAITING"),
    ),
    "what any model may serve is not found": (serving, "token", lambda *_, **__: "*none"),
    "every model is paid as the dearest": (payment, "_terms", paid_as_the_dearest),
    "a source costs nothing": (PriceBook, "_surcharge_percents", lambda *_: iter(())),
    "all is paid out at once": (postings, "delivery", paid_at_once),
    "what is being fetched is given out": (jobs, "_submitted", queued_at_once),
    "all workers are trusted": (serving, "_OF_FAST", serving._OF_FAST | serving._OF_TRUSTED),
    "every worker is fast": (serving, "_slow", lambda _: False),
    "a pause changes nothing": (steering_decider, "WorkerPaused", steering_decider.WorkerResumed),
    "what is deleted works on": (steering_decider, "WorkerDeleted", steering_decider.WorkerDescribed),
    "anybody pauses workers": (steering_decider, "moderates", lambda _: True),
    "work counts for no team": (payment, "_team", lambda *_: None),
    "leases of slow workers are as short": (lease_decider, "EXTRA_SLOW_FACTOR", 1),
    "the queue is not kept": (apply.derived, "statements", lambda *_: []),
    "a key promises nothing": (batch.Batch, "_repeat", lambda *_: None),
    "a key is valid for any parameters": (batch.Batch, "_repeat", same_whatever_it_says),
    "later commands do not see earlier ones": (Rows, "accept", Rows.discard),
    "a commit of unknown outcome is not looked up": (Writer, "_committed", lambda *_: False),
    "time follows the clock, also back": (gather.log, "head_of", by_this_clock),
    "leases are never swept": swapped(sweeper, "_LEASES", "expires_at < now()", "expires_at > now()"),
    "a tail skips every second event": (tailing, "fold_chunk", every_second),
    "a rebuild skips every second event": (build, "fold_chunk", every_second),
    "pages of the relay begin too late": swapped(
        log, "READ_TYPES", "position > %(after)s", "position > %(after)s + 12"
    ),
    "every picture is to be shared": (story, "_agreed_submission", any_submission),
    "consent is not recorded": (jobs_decider, "ShareConsentForced", jobs_decider.ShareConsentGiven),
    "a picture is judged as often as asked": (
        sharing_decider,
        "_eligible",
        lambda job, _, rows: rows.job(job),
    ),
    "whoever asks may have anything wait": (wish, "check_waiting", lambda *_: None),
    "a newcomer is trusted": (wish, "established", lambda account: not account.anonymous),
    "what is leased waits on": (accounts, "_queued", leased_still_waits),
    "a report opens no case": (lease_decider, "report", lambda *_: None),
    "anybody decides cases": (moderation_decider, "moderates", lambda _: True),
    "a report ends no sharing": (sharing_decider, "unshared", lambda of_job, _: of_job),
    "a prompt is in the log": (jobs_decider, "_submission", words_in_the_log),
}


class Watched(Hoard):
    """Remembers the first failure; Hypothesis would play it again to print it, which nobody reads here."""

    caught: ClassVar[list[BaseException]]

    def __init__(self) -> None:
        if self.caught:
            raise AssertionError("it was found")
        try:
            super().__init__()
        except Exception as error:
            self.caught.append(error)
            raise

    def teardown(self) -> None:
        error = sys.exc_info()[1]
        if isinstance(error, Exception) and not isinstance(error, HypothesisException):
            self.caught.append(error)
        try:
            super().teardown()
        except Exception as later:
            self.caught.append(later)
            raise


CASES = [pytest.param(fault, marks=() if fault in QUICK else pytest.mark.slow) for fault in FAULTS]


@pytest.mark.parametrize("fault", CASES)
@pytest.mark.filterwarnings("ignore")
def test_a_planted_fault_is_found(fault: str, clockwork: Clockwork, monkeypatch: pytest.MonkeyPatch):
    where, name, wrong = FAULTS[fault]
    monkeypatch.setattr(where, name, wrong)
    caught: list[BaseException] = []
    machine = type("Watched", (Watched,), {"caught": caught})
    with suppress(Exception, BaseExceptionGroup):
        play(
            clockwork,
            machine,
            max_examples=EXAMPLES,
            stateful_step_count=50,
            phases=(Phase.generate,),
        )
    assert caught, f"{EXAMPLES} examples did not notice: {fault}"
