"""The working set of a batch: what a draft brings into being is there once when the batch has it, too."""

from app.accounts.decider import OpenRealm
from tests.factories import check_in, form_capabilities, pop, register, request, submit_forms, uid
from tests.model import MemoryLog

ALICE, BOB, WORKER = uid(1), uid(2), uid(3)


def test_forms_that_are_asked_for_and_taken_in_one_batch_are_taken_once():
    log = MemoryLog()
    able = form_capabilities(("caption", "nsfw"))
    for command in (OpenRealm(), register(ALICE), register(BOB), check_in(WORKER, BOB, able)):
        log.run(command)
    asked, taken = submit_forms(ALICE, "caption", "nsfw"), pop(WORKER, BOB, able, amount=4)
    outcomes = log.commit([request(asked), request(taken)])
    assert not [outcome for outcome in outcomes if isinstance(outcome, Exception)]
    leases = log.state["leases"]
    assert [lease.generations for lease in leases.values()] == [asked.generations]  # type: ignore[attr-defined]
