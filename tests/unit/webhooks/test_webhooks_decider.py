"""Who may do what to webhooks, and what the house makes of one that hears nothing."""

from uuid import UUID

import pytest

from app.accounts.decider import OpenRealm
from app.platform.commands import Command
from app.platform.vault import Erase, JobWebhook, WebhookPlace
from app.webhooks.decider import (
    MOST,
    CreateWebhook,
    DeleteWebhook,
    PingWebhook,
    Redeliver,
    RotateSecret,
    SuspendWebhook,
    UpdateWebhook,
    WebhookStands,
)
from events.base import ANONYMOUS
from events.webhooks import (
    RedeliveryAsked,
    SuspensionCause,
    WebhookChanged,
    WebhookCreated,
    WebhookDeleted,
    WebhookEvent,
    WebhookPinged,
    WebhookSecretRotated,
    WebhookSuspended,
)
from projections import memory
from projections.registry import INLINE
from projections.webhooks import Webhooks
from tests.factories import grant, register, submit, uid
from tests.given import Scene, given, later

ALICE, BOB, HOOK, JOB = uid(1), uid(2), uid(30), uid(40)
URL = "https://example.com/hook"
ALL, DONE = tuple(WebhookEvent), (WebhookEvent.JOB_DONE,)
THREE_DAYS = 3 * 86_400.0
OWN = {"webhook": HOOK, "owner": ALICE}


def create(hook: UUID = HOOK, owner: UUID = ALICE, events=ALL) -> CreateWebhook:
    return CreateWebhook(webhook=hook, owner=owner, url=URL, events=events)


def people() -> Scene:
    return given(OpenRealm(), register(ALICE), register(BOB), grant(ALICE, 100_000))


def owned(scene: Scene, owner: UUID = ALICE) -> Webhooks:
    found = scene.log.state["webhooks"][owner]
    assert isinstance(found, Webhooks)
    return found


def failing() -> SuspendWebhook:
    return SuspendWebhook(**OWN, cause=SuspensionCause.FAILING)


def test_a_user_has_a_few_and_anonymous_has_none():
    then = people().when(create(events=DONE))
    then.then(WebhookCreated(**OWN, events=DONE), result=WebhookStands(webhook=HOOK))
    assert then.vault == [WebhookPlace(HOOK, ALICE, URL)]
    full = people().and_given(*(create(uid(100 + n)) for n in range(MOST)))
    full.when(create()).then_rejected("INVALID_INPUT", "input", match=str(MOST))
    full.and_given(DeleteWebhook(webhook=uid(100), owner=ALICE)).when(create()).then(
        WebhookCreated(**OWN, events=ALL)
    )
    people().when(create(owner=ANONYMOUS)).then_rejected("FORBIDDEN")
    people().when(create(owner=uid(99))).then_rejected("FORBIDDEN")


@pytest.mark.parametrize(
    "command",
    [
        UpdateWebhook(webhook=HOOK, owner=BOB, active=False),
        DeleteWebhook(webhook=HOOK, owner=BOB),
        RotateSecret(webhook=HOOK, owner=BOB),
        PingWebhook(webhook=HOOK, owner=BOB),
    ],
)
def test_to_others_it_does_not_exist(command: Command):
    made = people().and_given(create())
    made.when(command).then_rejected("NOT_FOUND", "input", "id")
    made.and_given(create(uid(31), BOB)).when(command).then_rejected("NOT_FOUND", "input", "id")


def test_what_is_changed_is_a_fact_and_the_rest_stays():
    made = people().and_given(create())
    made.when(UpdateWebhook(**OWN, events=ALL, active=True)).then_nothing()
    changed = made.when(UpdateWebhook(**OWN, events=DONE))
    changed.then(WebhookChanged(**OWN, events=DONE, active=True, moved=False))
    assert changed.vault == []
    moved = made.when(UpdateWebhook(**OWN, url="https://example.org/"))
    moved.then(WebhookChanged(**OWN, events=ALL, active=True, moved=True))
    assert moved.vault == [WebhookPlace(HOOK, ALICE, "https://example.org/")]


def test_it_is_told_of_nothing_before_it_was_activated():
    made = people().and_given(create(), later(5))
    (first,) = owned(made).endpoints
    (inactive,) = owned(made.and_given(UpdateWebhook(**OWN, active=False))).endpoints
    assert (inactive.active, inactive.since) == (False, first.since)
    (back,) = owned(made.and_given(later(5), UpdateWebhook(**OWN, active=True))).endpoints
    assert (back.active, back.since) == (True, made.log.events[-1].position)
    (same,) = owned(made.and_given(later(5), UpdateWebhook(**OWN, events=DONE))).endpoints
    assert (same.since, same.begun_at, same.created_at) == (back.since, back.begun_at, first.created_at)


def test_a_secret_is_counted_on_and_never_in_a_result():
    made = people().and_given(create())
    made.when(RotateSecret(**OWN)).then(
        WebhookSecretRotated(**OWN), result=WebhookStands(webhook=HOOK, rotations=1)
    )
    (twice,) = owned(made.and_given(RotateSecret(**OWN), RotateSecret(**OWN))).endpoints
    assert (twice.secret, twice.rotated_at) == (2, made.log.now)


def test_a_deleted_webhook_is_forgotten():
    then = people().and_given(create()).when(DeleteWebhook(**OWN))
    then.then(WebhookDeleted(**OWN))
    assert then.vault == [Erase(WebhookPlace, HOOK)]
    gone = people().and_given(create(), DeleteWebhook(**OWN))
    assert owned(gone).endpoints == ()
    gone.when(DeleteWebhook(**OWN)).then_rejected("NOT_FOUND")


def test_only_what_is_active_is_pinged_or_told_again():
    made = people().and_given(create())
    made.when(PingWebhook(**OWN)).then(WebhookPinged(**OWN))
    made.when(Redeliver(**OWN, told=7)).then(RedeliveryAsked(**OWN, told=7))
    off = made.and_given(UpdateWebhook(**OWN, active=False))
    off.when(PingWebhook(**OWN)).then_rejected("INVALID_INPUT", "input", "id")
    off.when(Redeliver(**OWN, told=7)).then_rejected("INVALID_INPUT", "input", "deliveryId")
    # of a job's webhook nothing is known here
    off.when(Redeliver(webhook=JOB, owner=ALICE, told=7)).then(
        RedeliveryAsked(webhook=JOB, owner=ALICE, told=7)
    )


def test_who_hears_nothing_for_three_days_is_suspended_and_may_come_back():
    made = people().and_given(create(), later(THREE_DAYS - 1))
    made.when(failing()).then_nothing()
    made.and_given(later(1)).when(failing()).then(WebhookSuspended(**OWN, cause=SuspensionCause.FAILING))
    (suspended,) = owned(made.and_given(failing())).endpoints
    assert (suspended.active, suspended.suspended) == (False, SuspensionCause.FAILING)
    made.when(failing()).then_nothing()
    (back,) = owned(made.and_given(UpdateWebhook(**OWN, active=True))).endpoints
    assert (back.active, back.suspended) == (True, None)
    made.and_given(later(THREE_DAYS - 1)).when(failing()).then_nothing()


def test_another_url_is_given_another_chance_and_gone_is_gone_at_once():
    made = people().and_given(create(), later(THREE_DAYS), UpdateWebhook(**OWN, url=URL))
    made.when(failing()).then_nothing()
    gone = SuspendWebhook(**OWN, cause=SuspensionCause.GONE)
    made.when(gone).then(WebhookSuspended(**OWN, cause=SuspensionCause.GONE))
    made.and_given(DeleteWebhook(**OWN)).when(gone).then_nothing()


def test_where_a_job_tells_is_a_row_beside_its_words_and_no_fact():
    hook = JobWebhook(JOB, ALICE, URL, DONE, "")
    plain = people().when(submit(ALICE, job=JOB, generations=[uid(41)]))
    told = people().when(submit(ALICE, job=JOB, generations=[uid(41)], wish={"webhook": hook}))
    assert told.events == plain.events
    assert told.vault == [*plain.vault, hook]


def test_the_rows_are_what_a_replay_makes_of_the_log():
    made = people().and_given(
        create(), later(5), create(uid(31), BOB), RotateSecret(**OWN), UpdateWebhook(**OWN, events=DONE),
        SuspendWebhook(**OWN, cause=SuspensionCause.GONE), DeleteWebhook(webhook=uid(31), owner=BOB),
    )  # fmt: skip
    assert memory.replay(made.log.facts, INLINE)["webhooks"] == made.log.state["webhooks"]
