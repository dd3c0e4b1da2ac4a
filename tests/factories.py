"""Commands and facts with sensible defaults, and ids that read well in failures.

Look next: `tests/given.py` for deciders, `tests/model.py` for histories.
"""

from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from app.accounts import decider as accounts
from app.accounts import treasury
from app.accounts.decider import GrantKudos, OpenRealm, RegisterUser, SetWaitingLimit, SetWorkerLimit
from app.fleet.serving import LEAST_SPEED, Judged, backends_of, families_of
from app.images import decider as images
from app.jobs import decider as jobs
from app.jobs import interrogation_decider as interrogations
from app.jobs import text_decider as texts
from app.jobs.decider import SubmitImageJob
from app.jobs.image_params import ImageParams
from app.jobs.interrogation_decider import SubmitInterrogationJob
from app.jobs.text_decider import SubmitTextJob
from app.jobs.text_params import TextParams, payload_of
from app.ledger.quote import ModelChoice
from app.ledger.standing import MAX_WAITING, MAX_WORKERS
from app.ledger.text_price import prompt_tokens_of
from app.ledger.text_quote import TextModelChoice
from app.moderation import decider as moderation
from app.operations import decider as operations
from app.platform.commands import Command, Done, Request, rules
from app.platform.model_reference import ModelReference
from app.platform.writer import Writer
from app.raters import decider as raters
from app.ratings import case_decider as picture_cases
from app.ratings import decider as ratings
from app.ratings import job_decider as own_ratings
from app.sharing import decider as sharing
from app.sources import decider as sources
from app.teams import decider as teams
from app.webhooks import decider as webhooks
from app.workers import decider as workers
from app.workers import lease_decider as leases
from app.workers import steering_decider as steering
from app.workers.decider import (
    Capabilities,
    CheckIn,
    ImageCapabilities,
    InterrogationCapabilities,
    TextCapabilities,
)
from app.workers.lease_decider import GenerationResult, PopJob, ResultState, SubmitResults
from events.jobs import JobKind
from projections.queue import (
    ALLOWED_BEFORE,
    STANDING_REQUIREMENTS,
    Search,
    plain_requirements,
    requirement_mask,
    text_size,
)

#: the rules of all slices
RULES = rules(
    accounts.RULES,
    treasury.RULES,
    jobs.RULES,
    texts.RULES,
    interrogations.RULES,
    workers.RULES,
    leases.RULES,
    sources.RULES,
    steering.RULES,
    teams.RULES,
    sharing.RULES,
    moderation.RULES,
    images.RULES,
    operations.RULES,
    webhooks.RULES,
    ratings.RULES,
    own_ratings.RULES,
    picture_cases.RULES,
    raters.RULES,
)

#: what is known of models, as servers have it
REFERENCE = ModelReference.load(None)

#: the instant at which histories of deciders begin
START = datetime(2026, 1, 1, tzinfo=UTC)


def at(seconds: float) -> datetime:
    """An instant so many seconds after `START`."""
    return START + timedelta(seconds=seconds)


def uid(number: int) -> UUID:
    """A short readable id; 0 is the anonymous user's."""
    return UUID(int=number)


def request(command: Command, **changes: Any) -> Request:
    """A command as the writer takes it, with a new internal id."""
    return Request(command, changes.pop("id", uuid4()), **changes)


def run(writer: Writer, command: Command, **changes: Any) -> Done:
    """Have a writer decide a command that must be accepted."""
    outcome = writer.execute_sync(request(command, **changes))
    assert isinstance(outcome, Done), outcome
    return outcome


def open_realm(writer: Writer) -> None:
    """Put the anonymous user at -50."""
    run(writer, OpenRealm())


def register(user: UUID | None = None, number: int | None = None) -> RegisterUser:
    """A registration of a new user."""
    user = user or uuid4()
    number = number if number is not None else user.int % (1 << 62)
    return RegisterUser(user=user, key=uuid4(), key_hash=uuid4().bytes, username="name", number=number)


def grant(user: UUID, amount: int) -> GrantKudos:
    """A gift of `amount` hundredths."""
    return GrantKudos(user=user, amount=amount, note=uuid4(), reason="a reason")


def unlimited(user: UUID) -> SetWaitingLimit:
    """As many waiting generations as a test queues."""
    return SetWaitingLimit(user=user, limit=MAX_WAITING)


def many_workers(user: UUID) -> SetWorkerLimit:
    """As many workers as a test registers."""
    return SetWorkerLimit(user=user, limit=MAX_WORKERS)


def submit(
    requester: UUID,
    *,
    job: UUID | None = None,
    n: int = 1,
    generations: Sequence[UUID] = (),
    models: Sequence[str] = ("stable",),
    nsfw: bool = False,
    shared: bool = False,
    prompt: str = "a cat",
    max_kudos: int | None = None,
    wish: dict[str, Any] | None = None,
    **params: Any,
) -> SubmitImageJob:
    """An image job; `wish` are other fields of the command, `params` are fields of `ImageParams` (512x512, 30 steps: 650 + 300 hundredths a picture)."""
    made = tuple(generations) or tuple(uuid4() for _ in range(n))
    return SubmitImageJob(
        job=job or uuid4(),
        requester=requester,
        generations=made,
        prompt=prompt,
        negative_prompt="",
        models=tuple(ModelChoice(name, REFERENCE.baseline(name)) for name in models),
        params=ImageParams(n=len(made), **params),
        nsfw=nsfw,
        shared=shared,
        max_kudos=max_kudos,
        seeds=tuple(range(len(made))),
        payload="{}",
        **(wish or {}),
    )


def submit_text(
    requester: UUID,
    *,
    job: UUID | None = None,
    n: int = 1,
    generations: Sequence[UUID] = (),
    models: Sequence[str] = ("writer",),
    nsfw: bool = False,
    prompt: str = "once",
    max_kudos: int | None = None,
    wish: dict[str, Any] | None = None,
    **params: Any,
) -> SubmitTextJob:
    """A text job; `wish` are other fields of the command, `params` are fields of `TextParams` (80 tokens at most)."""
    made = tuple(generations) or tuple(uuid4() for _ in range(n))
    asked = TextParams(n=len(made), **params)
    return SubmitTextJob(
        job=job or uuid4(),
        requester=requester,
        generations=made,
        prompt=prompt,
        prompt_tokens=prompt_tokens_of(len(prompt), asked.max_context_length),
        models=tuple(TextModelChoice(name, REFERENCE.parameters(name)) for name in models),
        params=asked,
        nsfw=nsfw,
        max_kudos=max_kudos,
        seeds=tuple(range(len(made))),
        payload=payload_of(asked, None),
        **(wish or {}),
    )


def submit_forms(
    requester: UUID,
    *forms: str,
    job: UUID | None = None,
    generations: Sequence[UUID] = (),
    tiles: int = 1,
    nsfw: bool = False,
    max_kudos: int | None = None,
    **wish: Any,
) -> SubmitInterrogationJob:
    """An interrogation about some forms of a picture; `wish` are other fields of the command."""
    return SubmitInterrogationJob(
        job=job or uuid4(),
        requester=requester,
        generations=tuple(generations) or tuple(uuid4() for _ in forms),
        forms=forms,
        tiles=tiles,
        nsfw=nsfw,
        max_kudos=max_kudos,
        **wish,
    )


def capabilities(
    models: Sequence[str] = ("stable",),
    *,
    max_pixels: int = 1024 * 1024,
    nsfw: bool = True,
    post_processing: bool = True,
    allows: Collection[str] = (*ALLOWED_BEFORE, "many_steps"),
    extra_slow: bool = False,
) -> ImageCapabilities:
    """What a worker says it serves."""
    return ImageCapabilities(
        models=tuple(models),
        max_pixels=max_pixels,
        allows=tuple(sorted({*allows, *plain_requirements(nsfw=nsfw, post_processing=post_processing)})),
        threads=1,
        agent="test:1",
        extra_slow=extra_slow,
    )


def text_capabilities(
    models: Sequence[str] = ("writer",),
    *,
    max_length: int = 4096,
    max_context_length: int = 1_048_576,
    soft_prompts: Sequence[str] = (),
    allows: Collection[str] = ("nsfw", "soft_prompt", *ALLOWED_BEFORE),
    agent: str = "test:1",
    extra_slow: bool = False,
) -> TextCapabilities:
    """What a text worker says it serves."""
    return TextCapabilities(
        models=tuple(sorted(models)),
        max_length=max_length,
        max_context_length=max_context_length,
        soft_prompts=tuple(sorted(soft_prompts)),
        allows=tuple(sorted(allows)),
        threads=1,
        agent=agent,
        extra_slow=extra_slow,
    )


def form_capabilities(
    forms: Sequence[str] = ("caption",),
    *,
    max_tiles: int = 64,
    allows: Collection[str] = ("nsfw", *ALLOWED_BEFORE),
    extra_slow: bool = False,
) -> InterrogationCapabilities:
    """What an interrogation worker says it tells."""
    return InterrogationCapabilities(
        forms=tuple(sorted(forms)),
        max_tiles=max_tiles,
        allows=tuple(sorted(allows)),
        threads=1,
        agent="test:1",
        extra_slow=extra_slow,
    )


def check_in(worker: UUID, owner: UUID, able: ImageCapabilities | TextCapabilities | None = None) -> CheckIn:
    """A worker's registration or changed capabilities."""
    return CheckIn(worker=worker, owner=owner, name=f"worker {worker}", capabilities=able or capabilities())


def search_of(
    worker: UUID,
    owner: UUID,
    able: Capabilities | None = None,
    *,
    blacklist: Sequence[str] = (),
    friends: Sequence[UUID] = (),
    standing: Collection[str] = STANDING_REQUIREMENTS,
    own_only: bool = False,
    after: tuple[int, int] | None = None,
) -> Search:
    """The search that a worker's capabilities make."""
    able = able or capabilities()
    families = (name for name, _ in families_of(able.kind, able.serves, REFERENCE))
    return Search(
        worker=worker,
        owner=owner,
        kind=able.kind,
        models=(*(able.serves if able.kind is JobKind.IMAGE else ()), *families),
        max_size=_max_size(able),
        soft_prompts=able.soft_prompts if isinstance(able, TextCapabilities) else (),
        allowed=requirement_mask(able.allows) | requirement_mask(standing),
        friends=tuple(friends),
        blacklist=tuple(blacklist),
        own_only=own_only,
        after=after,
    )


def _max_size(able: Capabilities) -> int:
    match able:
        case TextCapabilities():
            return text_size(able.max_context_length, able.max_length)
        case InterrogationCapabilities():
            return able.max_tiles
        case ImageCapabilities():
            return able.max_pixels
        case _:
            raise TypeError(able)


def pop(
    worker: UUID,
    owner: UUID,
    able: Capabilities | None = None,
    *,
    lease: UUID | None = None,
    amount: int = 1,
    choice: int = 0,
    **search: Any,
) -> PopJob:
    """A worker's request for work."""
    able = able or capabilities()
    backends = backends_of(None)
    return PopJob(
        lease=lease or uuid4(),
        worker=worker,
        search=search_of(worker, owner, able, **search),
        families=families_of(able.kind, able.serves, REFERENCE),
        judged=Judged(LEAST_SPEED[able.kind], able.agent.partition(":")[0] in backends),
        amount=amount,
        choice=choice,
    )


def result(generation: UUID, state: ResultState = ResultState.OK) -> GenerationResult:
    """What a worker did with one generation."""
    etag = "etag" if state is ResultState.OK else None
    return GenerationResult(generation=generation, state=state, etag=etag, seed="1", metadata=None)


def deliver(
    lease: UUID, owner: UUID, *generations: UUID, state: ResultState = ResultState.OK
) -> SubmitResults:
    """A submission of results, all of the same state."""
    return SubmitResults(lease=lease, owner=owner, results=tuple(result(g, state) for g in generations))


def deliver_text(
    lease: UUID,
    owner: UUID,
    *generations: UUID,
    text: str = "and so on",
    state: ResultState = ResultState.OK,
    fastest: int | None = None,
) -> SubmitResults:
    """A submission of texts, all alike."""
    made = (
        GenerationResult(
            generation=g,
            state=state,
            etag=None,
            seed="1",
            metadata=None,
            text=text if state is ResultState.OK else None,
            fastest=fastest,
        )
        for g in generations
    )
    return SubmitResults(lease=lease, owner=owner, results=tuple(made))
