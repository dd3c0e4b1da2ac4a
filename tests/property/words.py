"""Moves about what is no picture: texts, forms, what was told before; and about modes, webhooks and profiles.

Look next: `playing.py` for what plays them, `histories.py` for the other moves.
"""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from app.accounts.decider import SetPublicProfile
from app.jobs.interrogation_wish import ToldBefore
from app.platform.commands import Command
from app.platform.vault import JobSource, SourceRole
from app.webhooks.decider import (
    CreateWebhook,
    DeleteWebhook,
    PingWebhook,
    Redeliver,
    RotateSecret,
    SuspendWebhook,
    UpdateWebhook,
)
from app.workers.decider import Capabilities
from app.workers.lease_decider import GenerationResult, ResultState, SubmitResults
from events.base import ANONYMOUS
from events.jobs import JobKind
from events.webhooks import SuspensionCause, WebhookEvent
from projections.queue import ALLOWED_BEFORE
from tests.factories import form_capabilities, result, submit_forms, submit_text, text_capabilities, uid
from tests.property.playing import OF_KIND, USERS, Player

#: of two classes, and one that nobody described
TEXT_MODELS = ("Llama-3.2-1B-Instruct", "Qwen2.5-32B-Instruct", "unheard of")
FORMS = ("caption", "interrogation", "nsfw", "RealESRGAN_x2plus")
#: characters of texts: the least that counts, odd ones, and more than was asked for
LENGTHS = (0, 81, 123, 400, 1_001, 9_000)


def able_in_words(worker: UUID, b: int) -> Capabilities:
    """What a worker of texts or forms says it serves; with 0 all that is asked for here."""
    allows = (("nsfw", "soft_prompt", *ALLOWED_BEFORE), ("not_extra_slow", "not_covered"))[b % 5 == 4]
    if worker in OF_KIND[JobKind.TEXT]:
        return text_capabilities(
            (TEXT_MODELS, TEXT_MODELS, TEXT_MODELS[:1], TEXT_MODELS[1:])[b % 4],
            max_length=(4096, 4096, 100)[b % 3],
            max_context_length=(1_048_576, 1_048_576, 1024)[b // 2 % 3],
            soft_prompts=(("sweet",), (), ("sour",))[b % 3],
            allows=allows,
            agent=("KoboldCppEmbedWorker:1", "test:1")[b % 2],
            extra_slow=b == 11,
        )
    return form_capabilities(
        (FORMS, FORMS[1:3], FORMS, FORMS[:1], FORMS[2:])[b % 5], max_tiles=(64, 64, 4)[b % 3], allows=allows
    )


def made_of(kind: JobKind, generation: Any, state: ResultState, length: int) -> GenerationResult:
    """What a worker delivers, by the kind of the job and the form that was asked for."""
    if state is not ResultState.OK or kind is JobKind.IMAGE or generation.form == FORMS[-1]:
        return result(generation.id, state)
    if kind is JobKind.TEXT:
        text = "x" * LENGTHS[length % len(LENGTHS)]
        return GenerationResult(
            generation=generation.id, state=state, etag=None, seed="1", metadata=None, text=text
        )
    told = f'"{generation.form}"'
    return GenerationResult(
        generation=generation.id, state=state, etag=None, seed=None, metadata=None, form=told
    )


class Words(Player):
    """The moves."""

    def results(
        self, lease: Any, generations: Sequence[UUID], state: ResultState, length: int = 0
    ) -> SubmitResults:
        """What a worker delivers of a lease; texts are of several lengths."""
        rows = self.rows("generations")
        made = (made_of(lease.kind, rows[g], state, length + at) for at, g in enumerate(generations))
        return SubmitResults(lease=lease.id, owner=lease.owner, results=tuple(made))

    def _write(self, a: int, b: int, c: int) -> Command:
        """Texts; by one model, some, or any, after a prompt that may be long."""
        return submit_text(
            (*USERS, ANONYMOUS)[a % 5],
            job=self.new(),
            generations=[self.new() for _ in range(1 + c % 3)],
            models=(TEXT_MODELS[:1], TEXT_MODELS[1:], TEXT_MODELS, ())[b % 4],
            prompt=("a cat", "a dog " * 700, "a cat and a dog")[a % 3],
            nsfw=b >= 9,
            max_length=(80, 33, 300)[c % 3],
            max_context_length=(1024, 2048)[b % 2],
            max_kudos=(None, None, 100_000)[b % 3],
            wish={
                "soft_prompt": "sweet" if c in (1, 4, 9) else None,
                "validated_backends": c in (2, 5, 9),
                "slow_workers": c != 7,
                "trusted_workers": c == 8,
                "batching": c != 10,
                "allow_downgrade": b % 2 == 0,
                "denied_workers": OF_KIND[JobKind.TEXT][:1] if c == 6 else (),
            },
        )

    def _ask(self, a: int, b: int, c: int) -> Command:
        """Some forms of a picture, which is there, or is to be fetched."""
        job, fetched = self.new(), b == 7
        forms = (FORMS, FORMS[:1], FORMS[:3], FORMS[1:], FORMS[1:2])[c % 5]
        source = JobSource(
            job, SourceRole.SOURCE, 0, 1.0, "" if fetched else "key", "https://x" if fetched else ""
        )
        return submit_forms(
            (*USERS, ANONYMOUS)[a % 5],
            *forms[: 3 if fetched else 4],
            job=job,
            generations=[self.new() for _ in forms[: 3 if fetched else 4]],
            tiles=0 if fetched else 1 + b,
            nsfw=b >= 9,
            sources=(source,),
            slow_workers=a != 11,
            trusted_workers=a == 10,
            denied_workers=OF_KIND[JobKind.INTERROGATION][:1] if a == 9 else (),
        )

    def _again(self, a: int, b: int, c: int) -> Command | None:
        """What was told of a picture is asked once more, alone or with what was not told."""
        rows = self.rows("generations")
        told = [
            g for g in rows.values() if g.form in FORMS[:3] and g.state.value == "DONE" and g.reused is None
        ]
        if not told:
            return None
        known = {g.form: ToldBefore(g.form, g.id, g.lease, "{}") for g in told[a % len(told) :]}
        forms = tuple(dict.fromkeys((*known, *FORMS[: c % 5])))
        return submit_forms(
            (*USERS, ANONYMOUS)[b % 5],
            *forms,
            job=self.new(),
            generations=[self.new() for _ in forms],
            told=tuple(known.values()),
        )

    def _tell_on(self, a: int, b: int, c: int) -> None:
        """A worker of texts or forms takes what there is and delivers it whole."""
        workers = (*OF_KIND[JobKind.TEXT], *OF_KIND[JobKind.INTERROGATION])
        poll: Any = self.polls(workers[a % 6], 2, c)
        self.do(poll)
        if (lease := self.rows("leases").get(poll.lease)) is not None:
            self.do(self.results(lease, lease.generations, ResultState.OK, b))

    def _hook(self, a: int, b: int, c: int) -> Command:
        """Somebody's webhook; mostly one that there is."""
        owner = (*USERS, ANONYMOUS)[a % 5]
        known = self.rows("webhooks").get(owner)
        if known is None or not known.endpoints or b == 11:
            return CreateWebhook(
                webhook=self.new(), owner=owner, url="https://x", events=tuple(WebhookEvent)[: 1 + c % 7]
            )
        hook = known.endpoints[c % len(known.endpoints)].id if b else uid(99)
        match b % 6:
            case 0:
                return SuspendWebhook(webhook=hook, owner=owner, cause=tuple(SuspensionCause)[c % 2])
            case 1:
                return UpdateWebhook(
                    webhook=hook,
                    owner=owner,
                    url="https://y" if c % 3 == 0 else None,
                    active=(None, True, False)[c % 3],
                )
            case 2:
                return RotateSecret(webhook=hook, owner=owner)
            case 3:
                return PingWebhook(webhook=hook, owner=owner)
            case 4:
                return Redeliver(webhook=hook, owner=owner, told=1 + c)
            case _:
                return DeleteWebhook(webhook=hook, owner=owner)

    def _profile(self, a: int, b: int, _: int) -> Command:
        return SetPublicProfile(user=(*USERS, ANONYMOUS)[a % 5], public=b % 2 == 0)
